"""Statements of the hot path, compiled once and sent to the driver as they are.

SQLAlchemy builds an execution around every statement, which costs more than SQLite needs to run it. A hot statement is
declared with SQLAlchemy like any other; its text, its order of values and the conversions of its columns are taken from
the compiled form, and the rest is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
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
        given = {**self._fixed, **values}
        for name, convert in self._binds.items():
            given[name] = convert(given[name])
        cursor = tx.connection.cursor()
        try:
            if self._order is None:
                cursor.execute(self._text, {name: given[name] for name in self._names})
            else:
                cursor.execute(self._text, tuple(given[name] for name in self._order))
            if not self._results:
                return []
            return [
                {key: row[place] if convert is None else convert(row[place]) for place, key, convert in self._results}
                for row in cursor.fetchall()
            ]
        finally:
            cursor.close()


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
