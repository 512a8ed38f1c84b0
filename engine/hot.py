"""Statements of the hot path, compiled once and sent to the driver as they are.

SQLAlchemy builds an execution around every statement, which costs more than SQLite needs to run it. A hot statement is
declared with SQLAlchemy like any other; its text, its order of values and the conversions of its columns are taken from
the compiled form, and the rest is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from operator import itemgetter
from typing import Any

import psycopg
import sqlalchemy as sa

from engine.ways import Fetch, Way, way

Convert = Callable[[Any], Any]
# Makes a statement that is to have this condition.
Following = Callable[[sa.ColumnElement[bool]], Any]

ALWAYS = sa.literal_column("1") == sa.literal_column("1")


class Hot:
    """One statement of one database.

    columns  the values an INSERT is given, by name; others take theirs from the statement's parameters
    """

    def __init__(self, dialect: sa.Dialect, statement: Any, columns: Iterable[str] | None = None) -> None:
        asked = None if columns is None else list(columns)
        compiled: Any = statement.compile(dialect=_by_number(dialect), column_keys=asked)
        self._text = str(compiled)
        self._change = self._text.partition(" RETURNING ")[0] if dialect.name == "sqlite" else self._text
        names: list[str] = compiled.positiontup
        written: Convert = compiled.dialect._json_serializer
        converts: dict[str, Convert] = dict(compiled._bind_processors)
        for name, value in compiled.binds.items():
            if isinstance(value.type, sa.JSON):
                converts[name] = written  # past what drivers wrap it in, to unwrap it at once
            elif isinstance(value.type, sa.LargeBinary):
                converts.pop(name, None)  # they take bytes as they are
        fixed = {
            name: value for name, value in compiled.params.items() if value is not None and name not in (asked or ())
        }
        # The values in the order in which the text wants them: those given, those among them that are converted, and
        # those that are always the same.
        given = [name for name in names if name not in fixed]
        self._pick = _picking(given)
        self._converts = [(place, converts[name]) for place, name in enumerate(given) if name in converts]
        self._fixed = [
            (place, converts[name](fixed[name]) if name in converts else fixed[name])
            for place, name in enumerate(names) if name in fixed
        ]  # fmt: skip
        returned = statement.exported_columns if statement.is_select or statement._returning else ()
        self._columns = [column.key for column in returned]
        loads = [column.type.dialect_impl(dialect).result_processor(dialect, None) for column in returned]
        self._loads = [(name, load) for name, load in zip(self._columns, loads, strict=True) if load is not None]

    def __call__(self, tx: sa.Connection, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Run it with *values*; the rows it returns, by column."""
        return self.send(tx, values).rows()

    @property
    def returns(self) -> bool:
        """Whether it returns rows at all."""
        return bool(self._columns)

    def send(self, tx: sa.Connection, values: Mapping[str, Any]) -> Sent:
        """The same, where its rows are wanted later or not at all: what nobody asks about, the commit answers for."""
        return Sent(self.fetch(way(tx), values), self._columns, self._loads)

    def fetch(self, on: Way, values: Mapping[str, Any]) -> Fetch:
        """The same, with the rows as the driver has them."""
        return on.send(self._text, self._ordered(values))

    def change(self, on: Way, values: Mapping[str, Any]) -> Callable[[], list[int]]:
        """Change rows: the numbers of those it inserted (of more than one the last one's, as often as rows changed).

        SQLite knows that without being asked. To have it return anything costs more than the row, as it makes a table
        for that each time.
        """
        return on.change(self._change, self._ordered(values))

    def _ordered(self, values: Mapping[str, Any]) -> Sequence[Any]:
        picked = self._pick(values)
        if not (self._converts or self._fixed):
            return picked
        ordered = list(picked)
        for place, convert in self._converts:
            ordered[place] = convert(ordered[place])
        for place, value in self._fixed:
            ordered.insert(place, value)
        return ordered


class Chain:
    """Statements of one act: one message to PostgreSQL, and to SQLite one after the other.

    decides  changes one row, or none, and then the others do not happen; None where nothing is to be decided any more
    follow   make the others
    """

    def __init__(self, dialect: sa.Dialect, decides: Any | None, follow: Iterable[Following]) -> None:
        first = [] if decides is None else [decides]
        self._decides = bool(first)
        if dialect.name == "sqlite":
            self._each = [Hot(dialect, one) for one in (*first, *(each(ALWAYS) for each in follow))]
            return
        # PostgreSQL sets up all of a plan each time: the fewer nodes, the better. So what follows is joined to the row
        # that decides, where EXISTS would be asked by each, and the rows are told as they are, with their part's place.
        decided = [one.cte("decided") for one in first]
        if_so = decided[0].c[0].is_not(None) if decided else ALWAYS
        parts = [each(if_so).cte(f"part_{n}") for n, each in enumerate(follow)]
        told = [part for part in (*decided, *parts) if part.element._returning]
        numbers = [part.c[0] if isinstance(part.c[0].type, sa.Integer) else constant(0) for part in told]
        rows = [
            sa.select(constant(place).label("part"), number.label("number")).select_from(part)
            for place, (part, number) in enumerate(zip(told, numbers, strict=True))
        ]
        self._told = len(told)
        self._each = [Hot(dialect, sa.union_all(*rows).add_cte(*parts))]

    def __call__(self, tx: sa.Connection, values: Mapping[str, Any]) -> list[list[int]]:
        """Run it with *values*: of each statement that returns something, an entry for each row it changed.

        Of an INSERT that returns the numbers of its rows, these; elsewhere anything. The first is [] if nothing
        happened.
        """
        return self.send(tx, values)()

    def send(self, tx: sa.Connection, values: Mapping[str, Any]) -> Callable[[], list[list[int]]]:
        """The same, where the answer is wanted later or not at all."""
        on = way(tx)
        if tx.dialect.name != "sqlite":
            fetch = self._each[0].fetch(on, values)
            return lambda: self._by_part(fetch())
        found = []
        for n, each in enumerate(self._each):
            changed = each.change(on, values)()
            if each.returns:
                found.append(changed)
            if n == 0 and self._decides and not changed:
                break
        return lambda: found

    def _by_part(self, rows: Iterable[tuple[Any, ...]]) -> list[list[int]]:
        found: list[list[int]] = [[] for _ in range(self._told)]
        for part, number in rows:
            found[part].append(number)
        return found


def constant(value: str | int) -> sa.ColumnElement[Any]:
    """A value that stands in the text of a statement, and need not travel with each."""
    return sa.literal_column(f"'{value}'" if isinstance(value, str) else str(value))


def inserting(table: sa.Table, row: Mapping[str, object], if_so: sa.ColumnElement[bool]) -> Any:
    """An INSERT as a part of a Chain. row: column -> the name of its value, or a constant."""
    values = [
        value if isinstance(value, sa.ColumnElement) else sa.bindparam(str(value), type_=table.c[name].type)
        for name, value in row.items()
    ]
    return sa.insert(table).from_select(list(row), sa.select(*values).where(if_so))


class Sent:
    """A hot statement that is under way, or done."""

    def __init__(self, fetch: Fetch, columns: Sequence[str], loads: Sequence[tuple[str, Convert]]) -> None:
        self._fetch, self._columns, self._loads = fetch, columns, loads

    def rows(self) -> list[dict[str, Any]]:
        """What it returned, by column; to be asked once."""
        if not self._columns:
            return []
        found = [dict(zip(self._columns, row, strict=True)) for row in self._fetch()]
        for row in found:
            for name, load in self._loads:
                row[name] = load(row[name])
        return found


def _picking(names: Sequence[str]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    """Takes the values of these names out of more, in this order."""
    if len(names) > 1:
        return itemgetter(*names)
    return lambda values: tuple(values[name] for name in names)


def _by_number(dialect: sa.Dialect) -> sa.Dialect:
    """*dialect*, with values as the protocol has them ($1): psycopg would look for names in the text at each call."""
    if dialect.name == "sqlite":
        return dialect
    known: Any = dialect
    kind: Any = type(dialect)
    numbered: sa.Dialect = kind(paramstyle="numeric_dollar", json_serializer=known._json_serializer)
    return numbered


@contextmanager
def nested(tx: sa.Connection) -> Iterator[None]:
    """A part of a transaction that is undone by itself when the block raises."""
    on = way(tx)
    on.send("SAVEPOINT nested")
    try:
        yield
    except BaseException:
        with suppress(psycopg.Error):
            on.settle()  # whatever else was wrong is undone too
        on.send("ROLLBACK TO SAVEPOINT nested")
        on.send("RELEASE SAVEPOINT nested")
        raise
    on.send("RELEASE SAVEPOINT nested")
