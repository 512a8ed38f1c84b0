"""Coupons given, taken back and run out: each a few conditional statements in the caller's transaction.

Whatever happens to a coupon leaves three things behind, together or not at all: its new state, a line in
coupon_event with actor and reason, and an event in the ledger that journeys and pages follow.
"""

from __future__ import annotations

from contextlib import nullcontext
from itertools import count
from typing import Any

import sqlalchemy as sa

from engine.hot import nested
from engine.ledger import Ledger
from rules.budgets import Budgets
from rules.capacity import Capacity, Room
from rules.codes import Codes
from rules.events import CouponExpired, CouponMoment, CouponOpened, CouponSuperseded, CouponVoided, moment
from rules.giving import Giving, New
from rules.life import Act, State, after
from rules.tables import LIVE, coupon, coupon_event

# Built once: building a statement costs more than running it.
NOW_MS = sa.bindparam("now_ms", type_=sa.BigInteger)
HOLDER = coupon.c.member == sa.bindparam("holder")
GIVEN = sa.select(coupon.c.id).where(coupon.c.id == sa.bindparam("coupon"))
HELD = sa.select(coupon.c.id).where(HOLDER, LIVE)
VOID = (
    sa.update(coupon)
    .where(coupon.c.id == sa.bindparam("which"), LIVE)
    .values(
        state=after(State.ISSUED, Act.VOID),
        ended_ms=sa.bindparam("at_ms", type_=sa.BigInteger),
        superseded_by=sa.bindparam("by", type_=sa.String),
    )
    .returning(*coupon.c)
)
EXPIRE = (
    sa.update(coupon)
    .where(LIVE, coupon.c.expires_ms <= NOW_MS)
    .values(state=after(State.ISSUED, Act.EXPIRE), ended_ms=coupon.c.expires_ms)
    .returning(*coupon.c)
)
EXPIRE_OF = EXPIRE.where(HOLDER)
DUE = sa.select(coupon.c.id).where(LIVE, coupon.c.expires_ms <= NOW_MS).order_by(coupon.c.expires_ms, coupon.c.id)
EXPIRE_DUE = EXPIRE.where(coupon.c.id.in_(DUE.limit(sa.bindparam("most", type_=sa.Integer))))
NOTE_COLUMNS = ("coupon", "act", "at_ms", "actor", "reason")


class Refused(Exception):
    """The coupon was not given, and nothing has changed.

    reason  live-offer (the member holds another), superseded-not-live (redeemed or gone just before),
            budget:<scope>, capacity:<offer or shop>
    room    the capacity that was full
    """

    def __init__(self, reason: str, room: Room | None = None) -> None:
        super().__init__(reason)
        self.reason, self.room = reason, room


class Coupons:
    """The coupons of one ledger; every method works inside the transaction it is given."""

    def __init__(self, ledger: Ledger, codes: Codes) -> None:
        self._ledger, self._codes, self._budgets, self._notes = ledger, codes, Budgets(ledger), Notes(ledger)
        self.capacity = Capacity(ledger)
        self._give = Giving(ledger, codes)
        self._given, self._held, self._void = ledger.hot(GIVEN), ledger.hot(HELD), ledger.hot(VOID)
        self._expire_of, self._expire_due = ledger.hot(EXPIRE_OF), ledger.hot(EXPIRE_DUE)

    def issue(self, tx: sa.Connection, new: New) -> str | None:
        """Give a coupon and queue its delivery. None when that coupon was given before. Raises Refused."""
        if new.supersedes is not None:
            self._sweep(tx, new)  # what ran out is not superseded
        try:
            self._put(tx, new)
        except Refused:
            # Nearly always all is well: only now it is asked whether this is a repeat, and what stood in the way.
            if self._given(tx, {"coupon": new.id}):
                return None
            if not self._sweep(tx, new):
                raise
            self._put(tx, new)
        return new.id

    def refusal(self, tx: sa.Connection, new: New) -> Refused | None:
        """Why *issue* would refuse for want of room or money, without giving anything: what ghosts are held to."""
        crowded = self.capacity.full(tx, new.rooms)
        if crowded is not None:
            return Refused(f"capacity:{crowded.of}", crowded)
        lacking = self._budgets.lacking(tx, new.budgets, new.reserved)
        return None if lacking is None else Refused(f"budget:{lacking.scope}")

    def void(
        self, tx: sa.Connection, coupon_id: str, at_ms: int, actor: str, reason: str, superseded_by: str | None = None,
        *, heard_real_ms: int,
    ) -> bool:  # fmt: skip
        """Take a coupon back before use; False when it is not live (any more)."""
        ended = {"which": coupon_id, "at_ms": at_ms, "by": superseded_by}
        rows = self._void(tx, ended)
        if not rows:
            return False
        (row,) = rows
        self._notes(tx, row["id"], Act.VOID, at_ms, actor, reason)
        self._budgets.move(tx, row["budgets"], reserved=-row["reserve"])
        if superseded_by is None:
            self._tell(tx, [moment(CouponVoided, row, at_ms, reason=reason)], heard_real_ms)
        else:
            self._tell(tx, [moment(CouponSuperseded, row, at_ms, by=superseded_by)], heard_real_ms)
        return True

    def open(self, tx: sa.Connection, coupon_id: str, at_ms: int, *, heard_real_ms: int) -> bool:
        """Its member looked at a live coupon's code; False where that was known, or it lives no more."""
        fresh = sa.and_(coupon.c.id == coupon_id, LIVE, coupon.c.opened_ms.is_(None))
        opened = sa.update(coupon).where(fresh).values(opened_ms=at_ms).returning(*coupon.c)
        row = tx.execute(opened).mappings().first()
        if row is None:
            return False
        self._notes(tx, coupon_id, Act.OPEN, at_ms, "member", "seen in the wallet")
        self._tell(tx, [moment(CouponOpened, row, at_ms)], heard_real_ms)
        return True

    def expire_due(self, tx: sa.Connection, now_ms: int, *, heard_real_ms: int, limit: int = 500) -> list[CouponMoment]:
        """Sweep up to *limit* live coupons whose time ran out, the longest overdue first; may be repeated at will."""
        return self._ended(tx, self._expire_due(tx, {"now_ms": now_ms, "most": limit}), heard_real_ms)

    def _put(self, tx: sa.Connection, new: New) -> None:
        """The coupon and all that goes with it. Raises Refused: then nothing is written."""
        with nullcontext() if new.supersedes is None else nested(tx):
            if new.supersedes is not None and not self.void(
                tx, new.supersedes, new.issued_ms, new.actor, "superseded", new.id, heard_real_ms=new.heard_real_ms
            ):
                raise Refused("superseded-not-live")
            for turn in count():
                if self._give(tx, new, turn):
                    return
                if self._held(tx, {"holder": new.member}) or self._given(tx, {"coupon": new.id}):
                    raise Refused("live-offer")
                refusal = self.refusal(tx, new)
                if refusal is not None:
                    raise refusal
                # What is left is another coupon with the same code: once in about 10^18 pairs, so take the next code.

    def _sweep(self, tx: sa.Connection, new: New) -> bool:
        """Expire the member's coupon if it ran out and was not swept up; whether it was so."""
        rows = self._expire_of(tx, {"holder": new.member, "now_ms": new.issued_ms})
        return bool(self._ended(tx, rows, new.heard_real_ms))

    def _ended(self, tx: sa.Connection, rows: list[dict[str, Any]], heard_real_ms: int) -> list[CouponMoment]:
        """Leave behind what an expiry must, for the rows that an EXPIRE statement has changed."""
        for row in rows:
            self._notes(tx, row["id"], Act.EXPIRE, row["expires_ms"], "clock", "time ran out")
            self._budgets.move(tx, row["budgets"], reserved=-row["reserve"])
        events = [moment(CouponExpired, row, row["expires_ms"]) for row in rows]
        self._tell(tx, events, heard_real_ms)
        return events

    def _tell(self, tx: sa.Connection, events: list[CouponMoment], heard_real_ms: int) -> None:
        self._ledger.append(tx, events, heard_real_ms=heard_real_ms)


class Notes:
    """Writes one more line in a coupon's history."""

    def __init__(self, ledger: Ledger) -> None:
        self._insert = ledger.hot(sa.insert(coupon_event), NOTE_COLUMNS)

    def __call__(self, tx: sa.Connection, coupon_id: str, act: Act, at_ms: int, actor: str, reason: str) -> None:
        self._insert(tx, {"coupon": coupon_id, "act": act, "at_ms": at_ms, "actor": actor, "reason": reason})
