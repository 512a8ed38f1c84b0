"""The ledger: what happened, numbered, once; on SQLite or PostgreSQL, told apart by the URL alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
from alembic.util import CommandError
from sqlalchemy.dialects import postgresql, sqlite

from engine import schema, tables
from engine.events import Moment
from engine.hot import Hot
from engine.plainly import SaidPlainly
from engine.ways import WAY, Connection, way, way_of
from engine.writers import APPENDED, Writers

# A coupon's transaction touches some twenty pages of SQLite; with its usual 1,000 pages between two checkpoints, every
# fiftieth writer would wait for one. The log may grow to 32 MB instead.
WAL_PAGES = 8_000
# One INSERT carries at most this many rows: SQLite's default limit on bound values is 32,766.
ROWS_PER_INSERT = 500
WRITE_IT = "ledger_url must look like sqlite:////path/to/file or postgresql://user@host/name"


class NoLedger(SaidPlainly):
    """The ledger cannot be opened; the message says which, why, and the way out."""


# Up to so many rows are sent one by one, past SQLAlchemy; more of them fare better as one statement.
FEW = 4
EVENT_COLUMNS = ("id", "kind", "at_ms", "heard_real_ms", "member", "visit", "body")
AS_TOLD = tuple(f"event_{name}" for name in EVENT_COLUMNS)


class Recorded(NamedTuple):
    """An event as the ledger numbered it."""

    seq: int
    heard_real_ms: int
    event: Moment


def written(value: object) -> str:
    """*value* as columns of JSON hold it."""
    return msgspec.json.encode(value).decode()


class Ledger:
    """One database. Reads and writes are transactions that the caller opens and that end with the block."""

    def __init__(self, database: sa.Engine, kinds: Any) -> None:
        """kinds  the union of Moment types that may be read back"""
        self.database = database
        self.sqlite = database.dialect.name == "sqlite"
        self.insert: Any = sqlite.insert if self.sqlite else postgresql.insert
        # Built once: building it costs more than running it.
        self._append = (
            self.insert(tables.event).on_conflict_do_nothing(index_elements=["id"]).returning(tables.event.c.seq)
        )
        self._append_one = self.hot(self._append, EVENT_COLUMNS)
        self._decode = msgspec.json.Decoder(kinds).decode
        self._writers = Writers(database, self._appended)
        self._changed = threading.Condition()
        self._last_seq = 0  # of what this process appended

    def hot(self, statement: Any, columns: Iterable[str] | None = None) -> Hot:
        """*statement*, compiled for this ledger's database; columns as Hot wants them."""
        return Hot(self.database.dialect, statement, columns)

    def write(self) -> AbstractContextManager[sa.Connection]:
        """One transaction, committed when the block ends well. There is one writer at a time.

        PostgreSQL draws numbers before commit: two appenders could commit out of order, and a follower would pass
        over the later one for ever. SQLite could not do otherwise. Those who come while others write may share a
        commit with them (engine.writers); the block does not notice.
        """
        return self._writers.write()

    def _appended(self, seq: int) -> None:
        with self._changed:
            self._last_seq = max(self._last_seq, seq)
            self._changed.notify_all()

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """One consistent view."""
        with self.database.connect() as tx, tx.begin():
            yield tx

    def append(self, tx: sa.Connection, events: Sequence[Moment], *, heard_real_ms: int) -> None:
        """Number the events that are not there yet. A repeated id is a repeated cause."""
        for start in range(0, len(events), ROWS_PER_INSERT):
            rows = [_row(event, heard_real_ms) for event in events[start : start + ROWS_PER_INSERT]]
            if len(rows) <= FEW:
                for row in rows:
                    self.numbered(tx, self._append_one.change(way(tx), row))
            else:
                numbers = tx.execute(self._append, rows).scalars().all()
                self.numbered(tx, partial(list, numbers))

    def appending(self, if_so: sa.ColumnElement[bool]) -> Any:
        """What *append* does of one event, as a part of a Chain; *told* has its values, and *numbered* wants its
        answer."""
        event = {
            name: sa.bindparam(told, type_=tables.event.c[name].type)
            for name, told in zip(EVENT_COLUMNS, AS_TOLD, strict=True)
        }
        statement = self.insert(tables.event).from_select(list(event), sa.select(*event.values()).where(if_so))
        return statement.on_conflict_do_nothing(index_elements=["id"]).returning(tables.event.c.seq)

    @staticmethod
    def told(event: Moment, heard_real_ms: int) -> dict[str, object]:
        return {f"event_{name}": value for name, value in _row(event, heard_real_ms).items()}

    @staticmethod
    def numbered(tx: sa.Connection, numbers: Callable[[], list[int]]) -> None:
        """*numbers* will tell, once *tx* is committed, which ones new events were given in it."""
        tx.info[APPENDED].append(numbers)

    def since(self, tx: sa.Connection, seq: int, limit: int) -> list[Recorded]:
        """The events numbered above *seq*, oldest first."""
        return self._recorded(tx, tables.event.c.seq > seq, limit=limit)

    def of_kind(self, tx: sa.Connection, kind: str, seq: int, limit: int) -> list[Recorded]:
        """The events of one kind numbered above *seq*, oldest first."""
        return self._recorded(tx, tables.event.c.kind == kind, tables.event.c.seq > seq, limit=limit)

    def of_member(
        self, tx: sa.Connection, member: int, *, since_ms: int = 0, until_ms: int | None = None
    ) -> list[Recorded]:
        """One member's events in the order they were numbered; until_ms is the last instant wanted."""
        at_ms = tables.event.c.at_ms
        upper = [] if until_ms is None else [at_ms <= until_ms]
        return self._recorded(tx, tables.event.c.member == member, at_ms >= since_ms, *upper)

    def _recorded(self, tx: sa.Connection, *wanted: sa.ColumnElement[bool], limit: int | None = None) -> list[Recorded]:
        event = tables.event.c
        found = sa.select(event.seq, event.heard_real_ms, event.body).where(*wanted).order_by(event.seq).limit(limit)
        return [Recorded(seq, heard, self._decode(body)) for seq, heard, body in tx.execute(found)]

    def cursor(self, tx: sa.Connection, name: str) -> int:
        """How far the follower *name* has come; 0 before its first step."""
        return tx.execute(sa.select(tables.cursor.c.seq).where(tables.cursor.c.name == name)).scalar() or 0

    def move_cursor(self, tx: sa.Connection, name: str, seq: int) -> None:
        row = self.insert(tables.cursor).values(name=name, seq=seq)
        tx.execute(row.on_conflict_do_update(index_elements=["name"], set_={"seq": row.excluded.seq}))

    def keep(self, tx: sa.Connection, name: str, blob: bytes, at_ms: int) -> None:
        """Replace the snapshot *name*."""
        row = self.insert(tables.snapshot).values(name=name, blob=blob, at_ms=at_ms)
        tx.execute(
            row.on_conflict_do_update(
                index_elements=["name"], set_={"blob": row.excluded.blob, "at_ms": row.excluded.at_ms}
            )
        )

    def kept(self, tx: sa.Connection, name: str) -> bytes | None:
        """The snapshot *name*, if one was ever kept."""
        blob: bytes | None = tx.execute(
            sa.select(tables.snapshot.c.blob).where(tables.snapshot.c.name == name)
        ).scalar()
        return blob

    def last_seq(self, tx: sa.Connection) -> int:
        return tx.execute(sa.select(sa.func.max(tables.event.c.seq))).scalar() or 0

    def last_at_ms(self, tx: sa.Connection) -> int:
        """The latest instant any event speaks of; 0 in an empty ledger."""
        return tx.execute(sa.select(sa.func.max(tables.event.c.at_ms))).scalar() or 0

    def wait_beyond(self, seq: int, timeout_s: float) -> bool:
        """Whether there is an event numbered above *seq*, waiting for one at most *timeout_s*.

        Writes of this process wake the waiter; those of another are found when the time is up.
        """
        with self._changed:
            if self._changed.wait_for(lambda: self._last_seq > seq, timeout_s):
                return True
        with self.read() as tx:
            return self.last_seq(tx) > seq

    def answers(self) -> bool:
        """True if it is there and can be read."""
        try:
            with self.read() as tx:
                tx.execute(sa.select(tables.cursor.c.seq).limit(1))
        except sa.exc.DBAPIError:
            return False
        return True

    def close(self) -> None:
        self._writers.close()
        self.database.dispose()


def _row(event: Moment, heard_real_ms: int) -> dict[str, object]:
    return {
        "id": event.id,
        "kind": event.__struct_config__.tag,
        "at_ms": event.at_ms,
        "heard_real_ms": heard_real_ms,
        "member": event.member,
        "visit": event.visit,
        "body": msgspec.json.encode(event),
    }


def open_database(url: str) -> sa.Engine:
    """The SQLAlchemy engine of a ledger URL: sqlite:////path/to/file or postgresql://user@host/name."""
    as_json: dict[str, Any] = {"json_serializer": written, "json_deserializer": msgspec.json.decode}
    if url.startswith("postgresql://"):
        on_psycopg = url.replace("postgresql://", "postgresql+psycopg://", 1)
        database = sa.create_engine(on_psycopg, pool_size=8, max_overflow=24, **as_json)

        @sa.event.listens_for(database, "do_connect")
        def connect(_dialect: Any, _record: Any, where: Any, how: Any) -> Connection:
            return Connection.connect(*where, **how)

    else:
        database = sa.create_engine(url, connect_args={"timeout": 30}, **as_json)

    @sa.event.listens_for(database, "connect")
    def prepare(connection: Any, record: Any) -> None:
        record.info[WAY] = way_of(connection)
        # Transactions are begun below, and not when the driver sees a reason to.
        if database.dialect.name == "postgresql":
            connection.autocommit = True
            return
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"wal_autocheckpoint={WAL_PAGES}"):
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(database, "begin")
    def begin(connection: sa.Connection) -> None:
        match connection.get_execution_options().get("transaction", "reads"):
            case "reads":
                way(connection).begin_reading()
            case "writes":
                way(connection).begin_writing()
            # What is begun by hand is left to engine.writers: SQLAlchemy would take longer over it than SQLite.

    return database


def open_ledger(url: str, kinds: Any) -> Ledger:
    """The ledger at *url* with its schema up to date; made if it is not there. Raises NoLedger."""
    if not url.startswith(("sqlite:///", "postgresql://")):
        raise NoLedger(WRITE_IT)
    try:
        database = open_database(url)
        schema.upgrade(database)
    except sa.exc.ArgumentError:
        raise NoLedger(WRITE_IT) from None
    except (sa.exc.DBAPIError, CommandError) as problem:
        why = str(problem.orig if isinstance(problem, sa.exc.DBAPIError) else problem).strip().splitlines()[0]
        named = sa.make_url(url).render_as_string(hide_password=True)
        raise NoLedger(f"cannot open the ledger {named} ({why}): is it there, and ours?") from None
    return Ledger(database, kinds)
