"""Money set aside when a coupon is given, spent when it is redeemed, set free when it ends unused."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import sqlalchemy as sa

from engine.ledger import Ledger
from rules.tables import budget

SHOP = "shop:"


class Charge(NamedTuple):
    """One budget that a coupon draws on: of what, over which span, and how much that may be in all."""

    scope: str  # "day", "visit", "shop:cafe-luna", "journey:day-out"
    span: str  # "2026-11-22", a visit id
    cap: int  # minor units


class Exhausted(Exception):
    """There is not enough left in *charge* to set *amount* aside."""

    def __init__(self, charge: Charge, amount: int) -> None:
        super().__init__(f"budget {charge.scope} {charge.span} has less than {amount} left of {charge.cap}")
        self.charge, self.amount = charge, amount


class Budgets:
    """The budgets of one ledger; every method works inside the transaction it is given."""

    def __init__(self, ledger: Ledger) -> None:
        columns = ("scope", "span", "cap", "reserved", "spent")
        row: list[Any] = [*(sa.bindparam(name, type_=budget.c[name].type) for name in columns[:4]), sa.literal(0)]
        fits_alone = sa.select(*row).where(row[3] <= row[2])
        # Built once, like every statement of the hot path: building them costs more than running them.
        statement = ledger.insert(budget).from_select(columns, fits_alone)
        new = statement.excluded
        self._move = ledger.hot(MOVE)
        self._reserve = ledger.hot(
            statement.on_conflict_do_update(
                index_elements=["scope", "span"],
                set_={"reserved": budget.c.reserved + new.reserved, "cap": new.cap},
                where=budget.c.reserved + budget.c.spent + new.reserved <= new.cap,
            ).returning(budget.c.scope)
        )

    def reserving(self, tx: sa.Connection, charges: Iterable[Charge], amount: int) -> Callable[[], None]:
        """Set *amount* aside in every one of *charges*, making each at first use; whether that was done is for the
        function to say that comes back. It raises Exhausted: then roll back.

        Check and change are one statement. A cap edited in the book holds from the next reservation on.
        """
        sent = [(charge, self._reserve.send(tx, charge._asdict() | {"reserved": amount})) for charge in sorted(charges)]

        def done() -> None:
            for charge, reserved in sent:
                if not reserved.rows():
                    raise Exhausted(charge, amount)

        return done

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
        for scope, span in sorted(budgets):
            self._move(tx, {"of": scope, "during": span, "reserving": reserved, "spending": spent})


MOVE = (
    sa.update(budget)
    .where(budget.c.scope == sa.bindparam("of"), budget.c.span == sa.bindparam("during"))
    .values(
        reserved=budget.c.reserved + sa.bindparam("reserving", type_=sa.BigInteger),
        spent=budget.c.spent + sa.bindparam("spending", type_=sa.BigInteger),
    )
)
