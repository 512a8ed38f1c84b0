"""How hot statements reach a database: one way on each connection, past SQLAlchemy and past its driver's cursors.

To SQLite a statement is a call. To PostgreSQL it is a message, and most of a short transaction is waiting for answers
and making up messages: a cursor of psycopg's takes longer over a statement than the server does, as it looks for values
in the text each time. Here a text gets a name on its connection when it is first sent, so that afterwards only values
travel, and whatever nobody waits for yet shares a message with what follows.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property
from itertools import count
from typing import Any, Protocol

import psycopg
import sqlalchemy as sa
from psycopg import abc
from psycopg.abc import PQGen
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.pq.abc import PGresult
from psycopg.waiting import Wait

# Takes the rows of what was sent, waiting for them if need be.
Fetch = Callable[[], Sequence[tuple[Any, ...]]]

# Where a connection notes its way.
WAY = "sojourn.way"
# Any constant will do, as long as only writers take it.
WRITER_LOCK = 0x50_4A_4F_55
# After these psycopg has the server forget all names, ours too.
FORGETFUL = ("ALTER", "DROP", "ROLLBACK", "DISCARD", "DEALLOCATE")
DONE = (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK)


class Way(Protocol):
    """What one connection is asked to do, in this order; SQLAlchemy's statements come in between."""

    def send(self, text: str, values: Sequence[Any] = ()) -> Fetch:
        """Have it done, at the latest when its rows are fetched or all is settled."""

    def change(self, text: str, values: Sequence[Any] = ()) -> Callable[[], list[int]]:
        """The same for a statement that returns the numbers of rows it inserts; SQLite's are told without returning."""

    def settle(self) -> None:
        """Wait until all that was sent is done. Raises what was wrong with the first of it."""

    def begin_reading(self) -> None:
        """Begin a transaction that waits for nobody."""

    def begin_writing(self) -> None:
        """Begin a transaction that no other writes beside."""

    @property
    def goes_on(self) -> bool:
        """Whether its transaction is still there, and not undone by the database or lost with the connection."""

    def commit(self) -> bool:
        """Whether the transaction is kept: a driver would say nothing where the database has undone it before."""

    def roll_back(self) -> None:
        """Undo the transaction, if it is still there."""


def way(tx: sa.Connection) -> Way:
    """The way of a connection of a ledger's."""
    found: Way = tx.info[WAY]
    return found


class SqliteWay:
    """Does everything at once."""

    def __init__(self, driver: sqlite3.Connection) -> None:
        self._driver = driver

    def send(self, text: str, values: Sequence[Any] = ()) -> Fetch:
        # A statement goes on until its rows are taken, and a savepoint waits for that.
        rows = self._driver.execute(text, values).fetchall()
        return lambda: rows

    def change(self, text: str, values: Sequence[Any] = ()) -> Callable[[], list[int]]:
        done = self._driver.execute(text, values)
        # Once for each row, though it is the number of the last one inserted.
        numbers = [done.lastrowid or 0] * done.rowcount
        return lambda: numbers

    def settle(self) -> None:
        pass

    def begin_reading(self) -> None:
        self._driver.execute("BEGIN")

    def begin_writing(self) -> None:
        # A writer that begins by reading could meet a newer database when it comes to write; IMMEDIATE cannot.
        self._driver.execute("BEGIN IMMEDIATE")

    @property
    def goes_on(self) -> bool:
        return self._driver.in_transaction

    def commit(self) -> bool:
        if not self.goes_on:
            return False
        self._driver.execute("COMMIT")
        return True

    def roll_back(self) -> None:
        self._driver.rollback()


class Answer:
    """What a statement of a PostgresWay is answered; None until that is settled."""

    def __init__(self, way: PostgresWay) -> None:
        self._way = way
        self.result: PGresult | None = None

    def rows(self) -> list[tuple[Any, ...]]:
        if self.result is None:
            self._way.settle()
        assert self.result is not None
        return self._way.loaded(self.result)

    def column(self) -> list[Any]:
        return [row[0] for row in self.rows()]


class PostgresWay:
    """Keeps what was sent until somebody waits for it."""

    def __init__(self, driver: psycopg.Connection[Any]) -> None:
        self._driver, self._pgconn = driver, driver.pgconn
        self._names: dict[str, bytes] = {}
        self._numbers = count()  # none is given twice, as one that failed may have been known for all that
        self._sent: deque[Answer | str] = deque()  # a text is to be given its name

    @cached_property
    def _adapt(self) -> abc.Transformer:
        # Not before a connection was made: SQLAlchemy tells it then how to read JSON.
        return Transformer(self._driver)

    def send(self, text: str, values: Sequence[Any] = ()) -> Fetch:
        return self._send(text, values).rows

    def change(self, text: str, values: Sequence[Any] = ()) -> Callable[[], list[int]]:
        return self._send(text, values).column

    def _send(self, text: str, values: Sequence[Any] = ()) -> Answer:
        if not self._sent:
            self._pgconn.enter_pipeline_mode()
        name = self._names.get(text)
        if name is None:
            name = self._names[text] = f"sojourn_{next(self._numbers)}".encode()
            self._pgconn.send_prepare(name, text.encode())
            self._sent.append(text)
        self._pgconn.send_query_prepared(name, self._adapt.dump_sequence(values, [PyFormat.TEXT] * len(values)))
        answer = Answer(self)
        self._sent.append(answer)
        return answer

    def settle(self) -> None:
        if not self._sent:
            return
        try:
            self._pgconn.pipeline_sync()
            problem = self._driver.wait(self._answered())
            self._pgconn.exit_pipeline_mode()
        except BaseException:
            self._sent.clear()
            self._driver.close()  # nobody knows what it is in
            raise
        if problem is not None:
            raise problem

    def forget(self) -> None:
        """Have texts named anew: their names may be gone."""
        self._names.clear()

    def loaded(self, result: PGresult) -> list[tuple[Any, ...]]:
        self._adapt.set_pgresult(result)
        return self._adapt.load_rows(0, result.ntuples, tuple)

    def begin_reading(self) -> None:
        self._send("BEGIN")
        self.settle()

    def begin_writing(self) -> None:
        # The lock is held until the commit. It is a statement of its own, or the first would see what was before it.
        self._send("BEGIN")
        self._send(f"SELECT pg_advisory_xact_lock({WRITER_LOCK})")

    @property
    def goes_on(self) -> bool:
        with suppress(psycopg.Error):
            self.settle()
        return self._pgconn.transaction_status == TransactionStatus.INTRANS

    def commit(self) -> bool:
        answer = self._send("COMMIT")
        self.settle()
        return answer.result is not None and answer.result.command_status == b"COMMIT"

    def roll_back(self) -> None:
        with suppress(psycopg.Error):
            self.settle()
        if self._pgconn.transaction_status != TransactionStatus.IDLE:
            self._send("ROLLBACK")
            self.settle()

    def _answered(self) -> PQGen[psycopg.Error | None]:
        """Hand out the answers; what was wrong with the first that failed."""
        problem: psycopg.Error | None = None
        # The server answers all at once, mostly, so that only the first answer is waited for.
        busy, next_result = self._pgconn.is_busy, self._pgconn.get_result
        while self._sent:
            if busy():
                yield from self._arrival()
            asked, result = self._sent.popleft(), next_result()
            assert result is not None
            if busy():
                yield from self._arrival()
            next_result()  # None, which ends an answer
            if result.status in DONE:
                if isinstance(asked, Answer):
                    asked.result = result
                continue
            if isinstance(asked, str):
                del self._names[asked]
            problem = problem or error_from_result(result)
        if busy():
            yield from self._arrival()
        next_result()  # that of the sync
        return problem

    def _arrival(self) -> PQGen[None]:
        while self._pgconn.is_busy():
            # What is left of ours goes out while theirs comes in, or each might wait for the other to take it.
            yield Wait.RW if self._pgconn.flush() else Wait.R
            self._pgconn.consume_input()


class Connection(psycopg.Connection[Any]):
    """A connection whose own statements, and SQLAlchemy's, keep in step with what its way has sent."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.cursor_factory = After
        self.way = PostgresWay(self)

    def rollback(self) -> None:
        # The driver's own would have the server forget all names.
        self.way.roll_back()


class After(psycopg.Cursor[Any]):
    """Comes after what was sent."""

    connection: Connection

    def execute(self, *args: Any, **more: Any) -> Any:
        self.connection.way.settle()
        super().execute(*args, **more)
        if (self.statusmessage or "").startswith(FORGETFUL):
            self.connection.way.forget()
        return self

    def executemany(self, *args: Any, **more: Any) -> None:
        self.connection.way.settle()
        super().executemany(*args, **more)


def way_of(driver: sqlite3.Connection | Connection) -> Way:
    """The way of a new connection of a driver's."""
    return SqliteWay(driver) if isinstance(driver, sqlite3.Connection) else driver.way
