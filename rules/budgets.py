"""Money set aside when a coupon is given, spent when it is redeemed, set free when it ends unused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from engine.hot import ALWAYS, Hot, constant
from engine.ledger import Ledger
from rules.tables import budget

SHOP = "shop:"
COLUMNS = ("scope", "span", "cap", "reserved", "spent")
RESERVE = sa.bindparam("reserve", type_=sa.BigInteger)


class Charge(NamedTuple):
    """One budget that a coupon draws on: of what, over which span, and how much that may be in all."""

    scope: str  # "day", "visit", "shop:cafe-luna", "journey:day-out"
    span: str  # "2026-11-22", a visit id
    cap: int  # minor units


def fits(n: int) -> sa.ColumnElement[bool]:
    """Whether the *n*th charge has *reserve* left to set aside."""
    held = sa.select(budget.c.reserved + budget.c.spent).where(_mine(n)).scalar_subquery()
    return sa.func.coalesce(held, constant(0)) + RESERVE <= _row(n)["cap"]


def reserving(ledger: Ledger, charges: int, if_so: sa.ColumnElement[bool]) -> Any:
    """Sets *reserve* aside in so many charges, making each at first use; returns a row for each that had it left.

    A cap edited in the book holds from the next reservation on.
    """
    rows = [sa.select(*_row(n).values(), RESERVE, constant(0)).where(if_so) for n in range(charges)]
    statement = ledger.insert(budget).from_select(COLUMNS, sa.union_all(*rows) if charges > 1 else rows[0])
    new = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=["scope", "span"],
        set_={"reserved": budget.c.reserved + new.reserved, "cap": new.cap},
        where=budget.c.reserved + budget.c.spent + new.reserved <= new.cap,
    ).returning(budget.c.scope)


def charged(charges: Iterable[Charge]) -> dict[str, object]:
    """The values of *fits* and *reserving*, but for *reserve*."""
    values: dict[str, object] = {}
    for n, (scope, span, cap) in enumerate(sorted(charges)):
        values[f"scope_{n}"], values[f"span_{n}"], values[f"cap_{n}"] = scope, span, cap
    return values


def _row(n: int) -> dict[str, sa.BindParameter[Any]]:
    return {name: sa.bindparam(f"{name}_{n}", type_=budget.c[name].type) for name in COLUMNS[:3]}


class Budgets:
    """The budgets of one ledger; every method works inside the transaction it is given."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._moves: dict[tuple[int, int], Hot] = {}

    @staticmethod
    def lacking(tx: sa.Connection, charges: Iterable[Charge], amount: int) -> Charge | None:
        """The first of *charges* that could not set *amount* aside now; nothing is changed."""
        for charge in sorted(charges):
            mine = (budget.c.scope == charge.scope, budget.c.span == charge.span)
            held = tx.execute(sa.select(budget.c.reserved + budget.c.spent).where(*mine)).scalar() or 0
            if held + amount > charge.cap:
                return charge
        return None

    def spend(self, tx: sa.Connection, budgets: Iterable[Any], shop: str, *, reserved: int, spent: int) -> None:
        """The same for a coupon that *shop* redeems, or undoes."""
        self._move(tx, *paying_first(budgets, shop), reserved, spent)

    def move(self, tx: sa.Connection, budgets: Iterable[Any], *, reserved: int = 0) -> None:
        """Add to what is reserved of every [scope, span]; a negative amount takes away."""
        self._move(tx, list(budgets), 0, reserved, 0)

    def _move(self, tx: sa.Connection, budgets: Sequence[Any], paying: int, reserved: int, spent: int) -> None:
        if not budgets:
            return
        shape = len(budgets), paying
        move = self._moves.get(shape) or self._moves.setdefault(shape, self._ledger.hot(moving(*shape)))
        move(tx, moved(budgets, reserved, spent))


def paying_first(budgets: Iterable[Any], shop: str) -> tuple[list[Any], int]:
    """What a coupon holds money of, and how many of these pay when *shop* redeems it: of the shops, only that one."""
    known = list(budgets)
    pay = [which for which in known if not which[0].startswith(SHOP) or which[0] == SHOP + shop]
    return pay + [which for which in known if which not in pay], len(pay)


def moving(charges: int, paying: int, if_so: sa.ColumnElement[bool] = ALWAYS) -> sa.Update:
    """Adds to what so many charges have reserved, and to what the first *paying* of them have spent."""
    spent = budget.c.spent + sa.bindparam("spending", type_=sa.BigInteger)
    if paying < charges:
        spent = sa.case((sa.or_(sa.false(), *map(_mine, range(paying))), spent), else_=budget.c.spent)
    reserved = budget.c.reserved + sa.bindparam("reserving", type_=sa.BigInteger)
    return sa.update(budget).where(sa.or_(*map(_mine, range(charges))), if_so).values(reserved=reserved, spent=spent)


def moved(budgets: Iterable[Any], reserved: int, spent: int) -> dict[str, object]:
    """The values of *moving*."""
    values: dict[str, object] = {"reserving": reserved, "spending": spent}
    for n, (scope, span) in enumerate(budgets):
        values[f"scope_{n}"], values[f"span_{n}"] = scope, span
    return values


def _mine(n: int) -> sa.ColumnElement[bool]:
    row = _row(n)
    return sa.and_(budget.c.scope == row["scope"], budget.c.span == row["span"])
