"""Coupons spent at a till, at most once each, and undone while the customer is still there."""

from __future__ import annotations

import json
from typing import Literal

import sqlalchemy as sa
from pydantic import BaseModel, Field

from engine.events import id_of
from engine.ledger import Ledger
from engine.problems import Problem
from rules.budgets import Budgets
from rules.codes import BadCode, Codes, parse
from rules.coupons import Row, moment, note
from rules.events import CouponRedeemed, CouponRestored
from rules.life import Act, State, after
from rules.tables import LIVE, STANDS, coupon, redemption

# Long enough to notice a mistake at the till, too short to spend the offer and have it back.
UNDO_MS = 10 * 60_000

# The one condition under which a coupon may be redeemed. Its shops are a JSON list of keys; the databases agree on
# little about JSON, but both find a quoted key in its text.
GOOD = sa.and_(
    coupon.c.code_digest == sa.bindparam("digest"),
    LIVE,
    coupon.c.expires_ms > sa.bindparam("now_ms", type_=sa.BigInteger),
    sa.cast(coupon.c.shops, sa.Text).like(sa.bindparam("for_shop"), escape="/"),
)
LITERALLY = str.maketrans({"/": "//", "%": "/%", "_": "/_"})
CHECK = sa.select(coupon).where(GOOD)
SPEND = (
    sa.update(coupon)
    .where(GOOD)
    .values(
        state=after(State.ISSUED, Act.REDEEM),
        redeemed_ms=sa.bindparam("now_ms", type_=sa.BigInteger),
        ended_ms=sa.bindparam("now_ms", type_=sa.BigInteger),
        uses=coupon.c.uses + 1,
    )
    .returning(*coupon.c)
)
ENTER = sa.insert(redemption)


class Ticket(BaseModel):
    """What a valid coupon is good for."""

    coupon: str
    offer: str
    title: dict[str, str] = Field(description="By language")
    terms: dict[str, str] | None = Field(description="By language")
    shop: str
    expires_ms: int


class Spent(BaseModel):
    """A coupon was redeemed."""

    redemption: str
    coupon: str
    offer: str
    title: dict[str, str] = Field(description="By language")
    shop: str
    redeemed_ms: int
    undo_until_ms: int


class Undone(BaseModel):
    """A redemption was undone."""

    redemption: str
    coupon: str
    state: Literal["issued", "void"] = Field(description="issued: may be redeemed again; void: it cannot live again")
    restored_ms: int


class Till:
    """What shops do with coupons. Every method works inside the transaction it is given."""

    def __init__(self, ledger: Ledger, codes: Codes) -> None:
        self._ledger, self._codes = ledger, codes

    def validate(self, tx: sa.Connection, shop: str, typed: str, now_ms: int) -> Ticket:
        """What *redeem* would say, without doing it. Raises Problem."""
        row = tx.execute(CHECK, self._good_at(shop, typed, now_ms)).mappings().first()
        if row is None:
            raise self._why_not(tx, shop, typed, now_ms)
        fields = ("offer", "title", "terms", "expires_ms")
        return Ticket(coupon=row["id"], shop=shop, **{name: row[name] for name in fields})

    def redeem(
        self, tx: sa.Connection, shop: str, typed: str, now_ms: int, *, heard_real_ms: int,
        till: str = "", amount_minor: int | None = None, receipt: str | None = None,
    ) -> Spent:  # fmt: skip
        """Spend a coupon: one conditional UPDATE decides who does. Raises Problem."""
        self._ledger.take_turn(tx)
        row = tx.execute(SPEND, self._good_at(shop, typed, now_ms)).mappings().first()
        if row is None:
            raise self._why_not(tx, shop, typed, now_ms)
        redemption_id = id_of("redemption", row["id"], row["uses"])
        line = {"id": redemption_id, "coupon": row["id"], "offer": row["offer"], "cost": row["cost"], "at_ms": now_ms}
        paid = {"shop": shop, "till": till, "amount_minor": amount_minor, "receipt": receipt}
        tx.execute(ENTER, line | paid)
        note(tx, row["id"], Act.REDEEM, now_ms, f"shop:{shop}", redemption_id)
        Budgets.move(tx, row["budgets"], reserved=-row["reserve"], spent=row["cost"])
        event = moment(
            CouponRedeemed, row, now_ms, row["uses"], redemption=redemption_id, shop=shop, amount_minor=amount_minor
        )
        self._ledger.append(tx, [event], heard_real_ms=heard_real_ms)
        return Spent(
            redemption=redemption_id, coupon=row["id"], offer=row["offer"], title=row["title"], shop=shop,
            redeemed_ms=now_ms, undo_until_ms=now_ms + UNDO_MS,
        )  # fmt: skip

    def restore(self, tx: sa.Connection, shop: str, redemption_id: str, now_ms: int, *, heard_real_ms: int) -> Undone:
        """Undo a redemption of this shop. Raises Problem.

        The coupon lives again if it still could: its time has not run out and the member holds no other.
        """
        self._ledger.take_turn(tx)
        coupon_id = tx.execute(
            sa.update(redemption)
            .where(redemption.c.id == redemption_id, redemption.c.shop == shop, STANDS)
            .where(redemption.c.at_ms > now_ms - UNDO_MS)
            .values(restored_ms=now_ms)
            .returning(redemption.c.coupon)
        ).scalar()
        if coupon_id is None:
            raise self._why_not_undone(tx, shop, redemption_id)
        row, act = self._back(tx, coupon_id, now_ms)
        note(tx, coupon_id, act, now_ms, f"shop:{shop}", f"undone {redemption_id}")
        held = row["reserve"] if act is Act.RESTORE else 0
        Budgets.move(tx, row["budgets"], reserved=held, spent=-row["cost"])
        event = moment(
            CouponRestored, row, now_ms, row["uses"], redemption=redemption_id, shop=shop, state=row["state"]
        )
        self._ledger.append(tx, [event], heard_real_ms=heard_real_ms)
        return Undone(redemption=redemption_id, coupon=coupon_id, state=row["state"], restored_ms=now_ms)

    def _good_at(self, shop: str, typed: str, now_ms: int) -> dict[str, object]:
        """What GOOD is asked about. Raises Problem not-found for what is no code."""
        quoted = json.dumps(shop).translate(LITERALLY)
        return {"digest": self._digest(typed), "now_ms": now_ms, "for_shop": f"%{quoted}%"}

    def _digest(self, typed: str) -> bytes:
        try:
            return self._codes.digest(parse(typed))
        except BadCode as problem:
            detail = {
                "length": "A code has 13 characters, like ABCD-EFGH-JKMN-P.",
                "character": "A code has digits and letters, but no U.",
                "check": "A character was mistyped, or two changed places.",
            }[problem.reason]
            raise Problem("not-found", 404, "No such coupon", detail, reason=f"mistyped-{problem.reason}") from None

    def _why_not(self, tx: sa.Connection, shop: str, typed: str, now_ms: int) -> Problem:
        """Nothing was changed: say why. A shop learns of another's coupon only that it is another's."""
        found = sa.select(coupon).where(coupon.c.code_digest == self._digest(typed))
        row = tx.execute(found).mappings().first()
        if row is None:
            return Problem("not-found", 404, "No such coupon", "Nobody was given this code.", reason="unknown")
        if shop not in row["shops"]:
            return Problem("wrong-shop", 403, "For another shop", "This coupon is not for this shop.")
        if row["state"] == State.REDEEMED:
            return self._already(tx, shop, row)
        if row["state"] == State.VOID and row["superseded_by"] is not None:
            return Problem(
                "void", 410, "Replaced by a newer coupon", "The member's wallet has a newer coupon in its place.",
                reason="superseded", ended_ms=row["ended_ms"],
            )  # fmt: skip
        if row["state"] == State.VOID:
            return Problem(
                "void", 410, "No longer valid", "This coupon was taken back.", reason="void", ended_ms=row["ended_ms"]
            )
        return Problem("expired", 410, "Expired", "The time of this coupon has run out.", expires_ms=row["expires_ms"])

    def _already(self, tx: sa.Connection, shop: str, row: Row) -> Problem:
        standing = sa.select(redemption).where(redemption.c.coupon == row["id"], STANDS)
        spent = tx.execute(standing).mappings().one()
        if spent["shop"] != shop:
            return Problem("already-redeemed", 409, "Already redeemed", "It was redeemed at another shop.")
        when = {"redeemed_ms": spent["at_ms"], "redemption": spent["id"], "undo_until_ms": spent["at_ms"] + UNDO_MS}
        return Problem("already-redeemed", 409, "Already redeemed", "It was redeemed here before.", **when)

    def _why_not_undone(self, tx: sa.Connection, shop: str, redemption_id: str) -> Problem:
        found = sa.select(redemption).where(redemption.c.id == redemption_id, redemption.c.shop == shop)
        row = tx.execute(found).mappings().first()
        if row is None:
            return Problem("not-found", 404, "No such redemption", "This shop has no redemption of that id.")
        if row["restored_ms"] is not None:
            was = row["restored_ms"]
            return Problem("already-restored", 409, "Already undone", "It was undone before.", restored_ms=was)
        detail = "Only the last 10 minutes can be undone."
        return Problem("too-late", 409, "Too late to undo", detail, undo_until_ms=row["at_ms"] + UNDO_MS)

    @staticmethod
    def _back(tx: sa.Connection, coupon_id: str, now_ms: int) -> tuple[Row, Act]:
        """The coupon of an undone redemption as it is now, and what that was: restore, or void if it cannot live."""
        mine = sa.update(coupon).where(coupon.c.id == coupon_id, coupon.c.state == State.REDEEMED)
        rival = coupon.alias()
        holds_another = sa.exists().where(rival.c.member == coupon.c.member, rival.c.state == State.ISSUED)
        alive = {"state": after(State.REDEEMED, Act.RESTORE), "redeemed_ms": None, "ended_ms": None}
        live = mine.where(coupon.c.expires_ms > now_ms, ~holds_another).values(alive)
        row = tx.execute(live.returning(*coupon.c)).mappings().first()
        if row is not None:
            return row, Act.RESTORE
        dead = mine.values(state=after(State.REDEEMED, Act.VOID), redeemed_ms=None, ended_ms=now_ms)
        return tx.execute(dead.returning(*coupon.c)).mappings().one(), Act.VOID
