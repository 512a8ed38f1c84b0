"""Statements of the hot path, compiled once and sent to the driver as they are.

SQLAlchemy builds an execution around every statement, which costs more than SQLite needs to run it. A hot statement is
declared with SQLAlchemy like any other; its text, its order of values and the conversions of its columns are taken from
the compiled form, and the rest is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
import sqlalchemy as sa

Convert = Callable[[Any], Any]
# Makes a statement that is to have this condition.
Following = Callable[[sa.ColumnElement[bool]], Any]

# Where a connection notes that its statements set out without awaiting each other: see pipelined.
PIPELINE = "sojourn.pipeline"
ALWAYS = sa.literal_column("1") == sa.literal_column("1")


class Hot:
    """One statement of one database.

    columns  the values an INSERT is given, by name; others take theirs from the statement's parameters
    """

    def __init__(self, dialect: sa.Dialect, statement: Any, columns: Iterable[str] | None = None) -> None:
        asked = None if columns is None else list(columns)
        compiled: Any = statement.compile(dialect=dialect, column_keys=asked)
        self._text = str(compiled)
        converts = compiled._bind_processors
        fixed = {
            name: value for name, value in compiled.params.items() if value is not None and name not in (asked or ())
        }
        self._fixed = {name: converts[name](value) if name in converts else value for name, value in fixed.items()}
        self._named = compiled.positiontup is None
        # The values in the order in which the text wants them, and how each is converted.
        self._slots: list[tuple[str, Convert | None]] = [
            (name, None if name in fixed else converts.get(name)) for name in compiled.positiontup or compiled.params
        ]
        returned = statement.exported_columns if statement.is_select or statement._returning else ()
        self._results: list[tuple[int, str, Convert | None]] = [
            (place, column.key, column.type.dialect_impl(dialect).result_processor(dialect, None))
            for place, column in enumerate(returned)
        ]

    def __call__(self, tx: sa.Connection, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Run it with *values*; the rows it returns, by column."""
        return self.send(tx, values).rows()

    @property
    def returns(self) -> bool:
        """Whether it returns rows at all."""
        return bool(self._results)

    def send(self, tx: sa.Connection, values: Mapping[str, Any]) -> Sent:
        """The same, where its rows are wanted later or not at all: see pipelined."""
        given = {**values, **self._fixed}
        driver: Any = tx.connection.driver_connection
        if self._named:
            cursor: psycopg.Cursor[Any] = psycopg.Cursor(driver)
            named = {name: given[name] if c is None else c(given[name]) for name, c in self._slots}
            cursor.execute(self._text, named)
            pipeline: Any = tx.info.get(PIPELINE)

            def fetch() -> Sequence[Any]:
                if cursor.pgresult is None:
                    # Never left to the cursor: it would have the answers come without the state of the transaction,
                    # and the driver take an open one for none.
                    pipeline.sync()
                return cursor.fetchall()

            return Sent(fetch, self._results)
        answer = driver.execute(self._text, [given[name] if c is None else c(given[name]) for name, c in self._slots])
        # To SQLite a statement goes on until its rows are taken, and a savepoint waits for that.
        taken = answer.fetchall() if self._results else []
        return Sent(lambda: taken, self._results)


class Chain:
    """Statements of one act: one message to PostgreSQL, and to SQLite one after the other.

    decides  a statement without whose row the others do not happen; None where nothing is to be decided any more
    follow   make the others
    """

    def __init__(self, dialect: sa.Dialect, decides: Any | None, follow: Iterable[Following]) -> None:
        if dialect.name == "sqlite":
            self._first = None if decides is None else Hot(dialect, decides)
            self._rest = [Hot(dialect, each(ALWAYS)) for each in follow]
            return
        decided = [] if decides is None else [decides.cte("decided")]
        if_so = sa.exists(sa.select(sa.literal_column("1")).select_from(*decided)) if decided else ALWAYS
        parts = [each(if_so).cte(f"part_{n}") for n, each in enumerate(follow)]
        told = [part for part in (*decided, *parts) if part.element._returning]
        answers = [sa.select(sa.func.array_agg(part.c[0])).scalar_subquery().label(part.name) for part in told]
        self._first, self._rest = Hot(dialect, sa.select(*answers).add_cte(*parts)), []

    def __call__(self, tx: sa.Connection, values: Mapping[str, Any]) -> list[list[Any]]:
        """Run it with *values*: of each statement that returns something its first column; [[]] if nothing happened."""
        return self.send(tx, values)()

    def send(self, tx: sa.Connection, values: Mapping[str, Any]) -> Callable[[], list[list[Any]]]:
        """The same, where the answer is wanted later or not at all."""
        if tx.dialect.name != "sqlite":
            assert self._first is not None
            sent = self._first.send(tx, values)
            return lambda: [found or [] for found in sent.rows()[0].values()]
        found: list[list[Any]] = []
        if self._first is not None:
            found.append(self._first.send(tx, values).column())
            if not found[0]:
                return lambda: found
        for each in self._rest:
            answer = each.send(tx, values)
            if each.returns:
                found.append(answer.column())
        return lambda: found


def inserting(table: sa.Table, row: Mapping[str, object], if_so: sa.ColumnElement[bool]) -> Any:
    """An INSERT as a part of a Chain. row: column -> the name of its value, or a literal."""
    values = [
        value if isinstance(value, sa.ColumnElement) else sa.bindparam(str(value), type_=table.c[name].type)
        for name, value in row.items()
    ]
    return sa.insert(table).from_select(list(row), sa.select(*values).where(if_so))


class Sent:
    """A hot statement that is under way, or done."""

    def __init__(self, fetch: Callable[[], Sequence[Any]], results: list[tuple[int, str, Convert | None]]) -> None:
        self._fetch, self._results = fetch, results

    def rows(self) -> list[dict[str, Any]]:
        """What it returned, by column; to be asked once."""
        if not self._results:
            return []
        return [
            {key: row[place] if convert is None else convert(row[place]) for place, key, convert in self._results}
            for row in self._fetch()
        ]

    def column(self) -> list[Any]:
        """The first column of what it returned, as the driver gave it; to be asked once."""
        return [row[0] for row in self._fetch()]


@contextmanager
def pipelined(tx: sa.Connection) -> Iterator[None]:
    """Have hot statements on *tx* set out for PostgreSQL without awaiting each other, as long as the block lasts.

    Whoever asks for rows waits for all that were sent, as every statement of SQLAlchemy does; what nobody asks about
    is answered for by the commit. SQLite has no way to save.
    """
    if tx.dialect.name == "sqlite":
        yield
        return
    driver: Any = tx.connection.driver_connection
    info = tx.info
    with driver.pipeline() as pipeline:

        class Awaited(psycopg.Cursor[Any]):
            """SQLAlchemy looks at each answer at once."""

            def execute(self, *args: Any, **more: Any) -> Any:
                super().execute(*args, **more)
                pipeline.sync()
                return self

            def executemany(self, *args: Any, **more: Any) -> None:
                super().executemany(*args, **more)
                pipeline.sync()

        driver.cursor_factory, info[PIPELINE] = Awaited, pipeline
        try:
            yield
        finally:
            driver.cursor_factory = psycopg.Cursor
            del info[PIPELINE]


def send(tx: sa.Connection, command: str) -> Any:
    """Give a *command* without values or rows on its way: the driver's cursor that will have its outcome."""
    driver: Any = tx.connection.driver_connection
    return driver.execute(command) if tx.dialect.name == "sqlite" else psycopg.Cursor(driver).execute(command)


def settle(tx: sa.Connection) -> None:
    """Wait until all that was sent is done. Raises what was wrong with the first of it."""
    pipeline = tx.info.get(PIPELINE)
    if pipeline is not None:
        pipeline.sync()


@contextmanager
def nested(tx: sa.Connection) -> Iterator[None]:
    """A part of a transaction that is undone by itself when the block raises."""
    send(tx, "SAVEPOINT nested")
    try:
        yield
    except BaseException:
        with suppress(psycopg.Error):
            settle(tx)  # whatever else was wrong is undone too
        send(tx, "ROLLBACK TO SAVEPOINT nested")
        send(tx, "RELEASE SAVEPOINT nested")
        raise
    send(tx, "RELEASE SAVEPOINT nested")
