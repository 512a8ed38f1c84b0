"""Money set aside when a coupon is given, spent when it is redeemed, set free when it ends unused."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import sqlalchemy as sa

from engine.hot import Hot
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
    return sa.func.coalesce(held, 0) + RESERVE <= _row(n)["cap"]


def reserving(ledger: Ledger, charges: int, if_so: sa.ColumnElement[bool]) -> Any:
    """Sets *reserve* aside in so many charges, making each at first use; returns a row for each that had it left.

    A cap edited in the book holds from the next reservation on.
    """
    rows = [sa.select(*_row(n).values(), RESERVE, sa.literal(0)).where(if_so) for n in range(charges)]
    statement = ledger.insert(budget).from_select(COLUMNS, sa.union_all(*rows) if charges > 1 else rows[0])
    new = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=["scope", "span"],
        set_={"reserved": budget.c.reserved + new.reserved, "cap": new.cap},
        where=budget.c.reserved + budget.c.spent + new.reserved <= new.cap,
    ).returning(budget.c.scope)


def charged(charges: Iterable[Charge]) -> dict[str, object]:
    """The values of *fits* and *reserving*, but for *reserve*."""
    return {f"{name}_{n}": value for n, one in enumerate(sorted(charges)) for name, value in one._asdict().items()}


def _row(n: int) -> dict[str, sa.BindParameter[Any]]:
    return {name: sa.bindparam(f"{name}_{n}", type_=budget.c[name].type) for name in COLUMNS[:3]}


class Budgets:
    """The budgets of one ledger; every method works inside the transaction it is given."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._moves: dict[int, Hot] = {}  # by how many they move

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
        """The same for a coupon that *shop* redeems, or undoes: of the shops it was good at, only that one pays."""
        pays = [which for which in budgets if not which[0].startswith(SHOP) or which[0] == SHOP + shop]
        self.move(tx, pays, reserved=reserved, spent=spent)
        self.move(tx, [which for which in budgets if which not in pays], reserved=reserved)

    def move(self, tx: sa.Connection, budgets: Iterable[Any], *, reserved: int = 0, spent: int = 0) -> None:
        """Add to what is reserved and spent of every [scope, span]; a negative amount takes away."""
        chosen = list(budgets)
        if not chosen:
            return
        move = self._moves.get(len(chosen)) or self._moves.setdefault(len(chosen), self._ledger.hot(_move(len(chosen))))
        values: dict[str, object] = {"reserving": reserved, "spending": spent}
        for n, (scope, span) in enumerate(chosen):
            values |= {f"scope_{n}": scope, f"span_{n}": span}
        move(tx, values)


def _mine(n: int) -> sa.ColumnElement[bool]:
    row = _row(n)
    return sa.and_(budget.c.scope == row["scope"], budget.c.span == row["span"])


def _move(budgets: int) -> sa.Update:
    changed = {"reserved": "reserving", "spent": "spending"}
    return (
        sa.update(budget)
        .where(sa.or_(*map(_mine, range(budgets))))
        .values({name: budget.c[name] + sa.bindparam(by, type_=sa.BigInteger) for name, by in changed.items()})
    )
