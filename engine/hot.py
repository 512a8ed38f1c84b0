"""Statements of the hot path, compiled once and sent to the driver as they are.

SQLAlchemy builds an execution around every statement, which costs more than SQLite needs to run it. A hot statement is
declared with SQLAlchemy like any other; its text, its order of values and the conversions of its columns are taken from
the compiled form, and the rest is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import sqlalchemy as sa

Convert = Callable[[Any], Any]


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

    def send(self, tx: sa.Connection, values: Mapping[str, Any]) -> Sent:
        """The same, where its rows are wanted later or not at all: see pipelined."""
        given = {**self._fixed, **values}
        for name, convert in self._binds.items():
            given[name] = convert(given[name])
        cursor = tx.connection.cursor()
        if self._order is None:
            cursor.execute(self._text, {name: given[name] for name in self._names})
            return Sent(cursor.fetchall, self._results)
        cursor.execute(self._text, tuple([given[name] for name in self._order]))
        # To SQLite a statement goes on until its rows are taken, and a savepoint waits for that.
        taken = cursor.fetchall()
        return Sent(lambda: taken, self._results)


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


def pipelined(tx: sa.Connection) -> AbstractContextManager[Any]:
    """A block whose hot statements set out for PostgreSQL without awaiting each other: whoever asks for rows waits for
    all that were sent, and the end of the block for the rest. Only hot ones may be in it, for SQLAlchemy looks at each
    answer at once. SQLite has no way to save."""
    driver: Any = tx.connection.driver_connection
    return nullcontext() if tx.dialect.name == "sqlite" else driver.pipeline()


@contextmanager
def nested(tx: sa.Connection) -> Iterator[None]:
    """A part of a transaction that is undone by itself when the block raises."""
    cursor = tx.connection.cursor()
    try:
        cursor.execute("SAVEPOINT nested")
        try:
            yield
        except BaseException:
            cursor.execute("ROLLBACK TO SAVEPOINT nested")
            cursor.execute("RELEASE SAVEPOINT nested")
            raise
        cursor.execute("RELEASE SAVEPOINT nested")
    finally:
        cursor.close()
