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
        self._fixed = {
            name: value for name, value in compiled.params.items() if value is not None and name not in (asked or ())
        }
        self._order: Sequence[str] | None = compiled.positiontup
        self._names = tuple(compiled.params)
        self._binds: dict[str, Convert] = dict(compiled._bind_processors)
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
        given = {**self._fixed, **values}
        for name, convert in self._binds.items():
            given[name] = convert(given[name])
        driver: Any = tx.connection.driver_connection
        if self._order is None:
            cursor: psycopg.Cursor[Any] = psycopg.Cursor(driver)
            cursor.execute(self._text, {name: given[name] for name in self._names})
            pipeline: Any = tx.info.get(PIPELINE)

            def fetch() -> Sequence[Any]:
                if cursor.pgresult is None:
                    # Never left to the cursor: it would have the answers come without the state of the transaction,
                    # and the driver take an open one for none.
                    pipeline.sync()
                return cursor.fetchall()

            return Sent(fetch, self._results)
        answer = driver.execute(self._text, tuple([given[name] for name in self._order]))
        # To SQLite a statement goes on until its rows are taken, and a savepoint waits for that.
        taken = answer.fetchall() if self._results else []
        return Sent(lambda: taken, self._results)


class Chain:
    """A statement that decides, and others that follow if it returned a row: one message to PostgreSQL, and to SQLite
    one after the other.

    follow  make an INSERT or UPDATE that is to have this condition
    """

    def __init__(
        self, dialect: sa.Dialect, decides: Any, follow: Iterable[Callable[[sa.ColumnElement[bool]], Any]]
    ) -> None:
        if dialect.name == "sqlite":
            self._decides = Hot(dialect, decides)
            self._follow = [Hot(dialect, each(ALWAYS)) for each in follow]
            return
        decided = decides.cte("decided")
        if_so = sa.exists(sa.select(sa.literal_column("1")).select_from(decided))
        parts = [each(if_so).cte(f"part_{n}") for n, each in enumerate(follow)]
        returned = [decided, *(part for part in parts if part.element._returning)]
        counts = [sa.select(sa.func.count()).select_from(part).scalar_subquery() for part in returned]
        self._decides = Hot(dialect, sa.select(*(c.label(f"n_{n}") for n, c in enumerate(counts))).add_cte(*parts))

    def __call__(self, tx: sa.Connection, values: Mapping[str, Any]) -> list[int]:
        """Run it with *values*: how many rows each statement returned, of those that return some."""
        decided = self._decides(tx, values)
        if tx.dialect.name != "sqlite":
            return list(decided[0].values())
        if not decided:
            return [0]
        rows = [each(tx, values) for each in self._follow]
        return [len(decided), *(len(found) for each, found in zip(self._follow, rows, strict=True) if each.returns)]


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
