"""Coupons spent at a till, at most once each, and undone while the customer is still there."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

import sqlalchemy as sa
from pydantic import BaseModel, Field

from engine.events import id_of
from engine.hot import Chain, Following, constant, inserting
from engine.ledger import Ledger, written
from engine.problems import Problem
from rules.budgets import Budgets, moved, moving, paying_first
from rules.capacity import good_at
from rules.codes import BadCode, Codes, parse
from rules.coupons import Notes
from rules.events import OF_EVENT, CouponRedeemed, CouponRestored, Row, moment
from rules.life import Act, State, after
from rules.tables import LIVE, STANDS, coupon, coupon_event, redemption
from rules.times import Calendar, Hours

# Long enough to notice a mistake at the till, too short to spend the offer and have it back.
UNDO_MS = 10 * 60_000

# More than anybody pays: what is asked of the amount while it is not known yet.
ANY_AMOUNT = 2**62
_now_ms = sa.bindparam("now_ms", type_=sa.BigInteger)
_minute = sa.bindparam("minute", type_=sa.Integer)
_holder = sa.bindparam("holder", type_=sa.BigInteger)
_since, _until = coupon.c.from_minute <= _minute, coupon.c.until_minute > _minute
# The one condition under which a coupon may be redeemed.
GOOD = sa.and_(
    coupon.c.code_digest == sa.bindparam("digest"),
    LIVE,
    coupon.c.expires_ms > _now_ms,
    coupon.c.starts_ms <= _now_ms,
    sa.case(
        (coupon.c.from_minute.is_(None), sa.true()),
        (coupon.c.from_minute < coupon.c.until_minute, sa.and_(_since, _until)),
        else_=sa.or_(_since, _until),
    ),
    coupon.c.spend_minor <= sa.bindparam("amount", type_=sa.BigInteger),
    sa.or_(_holder.is_(None), coupon.c.member == _holder),
    good_at("shop"),
)
CHECK = sa.select(coupon).where(GOOD)
SPEND = (
    sa.update(coupon)
    .where(GOOD)
    .values(
        state=constant(after(State.ISSUED, Act.REDEEM)),
        redeemed_ms=_now_ms,
        ended_ms=_now_ms,
        uses=coupon.c.uses + constant(1),
    )
    .returning(*(coupon.c[name] for name in (*OF_EVENT, "uses", "cost", "funder", "reserve", "budgets", "title")))
)
# What follows: columns and the names of their values.
LINE = {column.name: column.name for column in redemption.c if column.name != "restored_ms"}
NOTE = {"coupon": "coupon", "act": constant(Act.REDEEM), "at_ms": "at_ms", "actor": "actor", "reason": "id"}


class Ticket(BaseModel):
    """What a valid coupon is good for."""

    coupon: str
    offer: str
    title: dict[str, str] = Field(description="By language")
    terms: dict[str, str] | None = Field(description="By language")
    shop: str
    expires_ms: int
    spend_minor: int = Field(description="The least amount to pay for it, in minor units; 0 for any")


class Qualified(BaseModel):
    """A coupon that the member holds and this shop redeems. It takes its own code to redeem it."""

    coupon: str
    offer: str
    title: dict[str, str] = Field(description="By language")
    terms: dict[str, str] | None = Field(description="By language")
    expires_ms: int
    usable: bool = Field(description="Whether it could be redeemed now")
    because: str | None = Field(description="Why not: the type of the problem that redeeming would answer with")
    path: str | None = Field(description="Which condition of the offer does not hold")


class Qualifications(BaseModel):
    """What the member who showed a code could use here."""

    shop: str
    at_ms: int
    coupons: list[Qualified]


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


class Asked(NamedTuple):
    """Who asks for what, and when."""

    shop: str
    now_ms: int
    amount_minor: int
    holder: int | None


def _unknown() -> Problem:
    return Problem("not-found", 404, "No such coupon", "Nobody was given this code.", reason="unknown")


class Till:
    """What shops do with coupons. Every method works inside the transaction it is given."""

    def __init__(self, ledger: Ledger, codes: Codes, calendar: Callable[[], Calendar]) -> None:
        """calendar  of the book in force: whose hours a coupon's hours are"""
        self._ledger, self._codes, self._calendar = ledger, codes, calendar
        self._notes, self._budgets = Notes(ledger), Budgets(ledger)
        self._check, self._spend = ledger.hot(CHECK), ledger.hot(SPEND)
        self._enter: dict[tuple[int, int], Chain] = {}

    def validate(
        self, tx: sa.Connection, shop: str, typed: str, now_ms: int,
        *, amount_minor: int | None = None, holder: int | None = None,
    ) -> Ticket:  # fmt: skip
        """What *redeem* would say, without doing it; an amount not known yet is taken to suffice. Raises Problem."""
        asked = Asked(shop, now_ms, ANY_AMOUNT if amount_minor is None else amount_minor, holder)
        rows = self._check(tx, self._good_at(asked, typed))
        if not rows:
            raise self._why_not(tx, asked, typed)
        (row,) = rows
        fields = ("offer", "title", "terms", "expires_ms", "spend_minor")
        return Ticket(coupon=row["id"], shop=shop, **{name: row[name] for name in fields})

    def redeem(
        self, tx: sa.Connection, shop: str, typed: str, now_ms: int, *, heard_real_ms: int,
        till: str = "", amount_minor: int | None = None, receipt: str | None = None, holder: int | None = None,
    ) -> Spent:  # fmt: skip
        """Spend a coupon: one conditional UPDATE decides who does. Raises Problem.

        amount_minor  what the customer pays; a coupon with a least amount is not spent on one that nobody told
        holder        the member the till believes it serves, where it knows
        """
        asked = Asked(shop, now_ms, amount_minor or 0, holder)
        rows = self._spend(tx, self._good_at(asked, typed))
        if not rows:
            raise self._why_not(tx, asked, typed)
        (row,) = rows
        redemption_id = id_of("redemption", row["id"], row["uses"])
        event = moment(
            CouponRedeemed, row, now_ms, row["uses"], redemption=redemption_id, shop=shop, amount_minor=amount_minor
        )
        line = {
            "id": redemption_id, "coupon": row["id"], "offer": row["offer"], "at_ms": now_ms, "cost": row["cost"],
            "funder": row["funder"], "shop": shop, "till": till, "amount_minor": amount_minor, "receipt": receipt,
            "actor": f"shop:{shop}",
        }  # fmt: skip
        budgets, paying = paying_first(row["budgets"], shop)
        shape = len(budgets), paying
        enter = self._enter.get(shape) or self._enter.setdefault(shape, self._entering(*shape))
        line |= self._ledger.told(event, heard_real_ms)
        line |= moved(budgets, -row["reserve"], row["cost"])
        entered = enter.send(tx, line)
        self._ledger.numbered(tx, lambda: entered()[0])
        return Spent(
            redemption=redemption_id, coupon=row["id"], offer=row["offer"], title=row["title"], shop=shop,
            redeemed_ms=now_ms, undo_until_ms=now_ms + UNDO_MS,
        )  # fmt: skip

    def restore(self, tx: sa.Connection, shop: str, redemption_id: str, now_ms: int, *, heard_real_ms: int) -> Undone:
        """Undo a redemption of this shop. Raises Problem.

        The coupon lives again if it still could: its time has not run out and the member holds no other.
        """
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
        self._notes(tx, coupon_id, act, now_ms, f"shop:{shop}", f"undone {redemption_id}")
        held = row["reserve"] if act is Act.RESTORE else 0
        self._budgets.spend(tx, row["budgets"], shop, reserved=held, spent=-row["cost"])
        event = moment(
            CouponRestored, row, now_ms, row["uses"], redemption=redemption_id, shop=shop, state=row["state"]
        )
        self._ledger.append(tx, [event], heard_real_ms=heard_real_ms)
        return Undone(redemption=redemption_id, coupon=coupon_id, state=row["state"], restored_ms=now_ms)

    def qualify(self, tx: sa.Connection, shop: str, typed: str, now_ms: int) -> Qualifications:
        """What whoever was given the code could use at *shop*: the code itself may be spent or over. Raises Problem."""
        found = sa.select(coupon.c.member).where(coupon.c.code_digest == self._digest(typed))
        member = tx.execute(found).scalar()
        if member is None:
            raise _unknown()
        mine = sa.select(coupon).where(coupon.c.member == member, LIVE, coupon.c.expires_ms > now_ms)
        asked, coupons = Asked(shop, now_ms, ANY_AMOUNT, None), []
        for row in tx.execute(mine.order_by(coupon.c.issued_ms, coupon.c.id)).mappings():
            if shop not in row["shops"]:
                continue
            problem = self._not_now(row, asked)
            because = None if problem is None else problem.body()
            coupons.append(
                Qualified(
                    coupon=row["id"], usable=because is None, because=because and str(because["type"]),
                    path=because and str(because["path"]),
                    **{name: row[name] for name in ("offer", "title", "terms", "expires_ms")},
                )
            )  # fmt: skip
        return Qualifications(shop=shop, at_ms=now_ms, coupons=coupons)

    def _entering(self, charges: int, paying: int) -> Chain:
        """Writes down a redemption that has been decided on."""
        follow: list[Following] = [
            partial(inserting, redemption, LINE),
            partial(inserting, coupon_event, NOTE),
            self._ledger.appending,
        ]
        if charges:
            follow.append(partial(moving, charges, paying))
        return Chain(self._ledger.database.dialect, None, follow)

    def _good_at(self, asked: Asked, typed: str) -> dict[str, object]:
        """What GOOD is asked about. Raises Problem not-found for what is no code."""
        return {
            "digest": self._digest(typed), "now_ms": asked.now_ms, "minute": self._minute(asked.now_ms),
            "amount": asked.amount_minor, "holder": asked.holder, "shop": written(asked.shop),
        }  # fmt: skip

    def _minute(self, now_ms: int) -> int:
        local = self._calendar().local(now_ms)
        return local.hour * 60 + local.minute

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

    def _why_not(self, tx: sa.Connection, asked: Asked, typed: str) -> Problem:
        """Nothing was changed: say why. A shop learns of another's coupon only that it is another's."""
        found = sa.select(coupon).where(coupon.c.code_digest == self._digest(typed))
        row = tx.execute(found).mappings().first()
        if row is None:
            return _unknown()
        if asked.shop not in row["shops"]:
            return Problem("wrong-shop", 403, "For another shop", "This coupon is not for this shop.")
        if asked.holder not in (None, row["member"]):
            return Problem("wrong-holder", 403, "Another member's", "This coupon was given to somebody else.")
        if row["state"] == State.REDEEMED:
            return self._already(tx, asked.shop, row)
        if row["state"] == State.VOID and row["superseded_by"] is not None:
            return Problem(
                "void", 410, "Replaced by a newer coupon", "The member's wallet has a newer coupon in its place.",
                reason="superseded", ended_ms=row["ended_ms"], superseded_by=row["superseded_by"],
            )  # fmt: skip
        if row["state"] == State.VOID:
            return Problem(
                "void", 410, "No longer valid", "This coupon was taken back.", reason="void", ended_ms=row["ended_ms"]
            )
        if row["state"] == State.EXPIRED or row["expires_ms"] <= asked.now_ms:
            ended_ms = row["expires_ms"]
            return Problem("expired", 410, "Expired", "The time of this coupon has run out.", expires_ms=ended_ms)
        # It became good between the two questions: somebody undid a redemption just now.
        return self._not_now(row, asked) or Problem(
            "in-progress", 409, "Being changed just now", "Ask again.", headers={"Retry-After": "1"}
        )

    def _not_now(self, row: Row, asked: Asked) -> Problem | None:
        """Why a live coupon of this shop cannot be redeemed yet, or not so; None if it can."""
        path = f"offers/{row['offer']}/redeem"
        if row["starts_ms"] > asked.now_ms:
            starts_ms = row["starts_ms"]
            detail = f"It is good from {self._calendar().clock_text(starts_ms)} on."
            return Problem("not-yet-valid", 422, "Not yet valid", detail, path=f"{path}/after", starts_ms=starts_ms)
        if row["from_minute"] is not None:
            hours, minute = Hours(row["from_minute"], row["until_minute"]), self._minute(asked.now_ms)
            since, until = hours.from_minute <= minute, minute < hours.until_minute
            if not (since or until if hours.over_midnight else since and until):
                detail = f"It is good from {str(hours).replace('-', ' to ')} only."
                return Problem("outside-hours", 422, "Not at this hour", detail, path=f"{path}/hours", hours=str(hours))
        if row["spend_minor"] > asked.amount_minor:
            least = row["spend_minor"]
            detail = f"It is good from an amount of {least} (minor units) on; the till has to send amount_minor."
            return Problem(
                "condition-failed", 422, "Not for this purchase", detail, path=f"{path}/spend", spend_minor=least
            )
        return None

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
