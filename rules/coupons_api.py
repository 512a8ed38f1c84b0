"""A member's coupons for whoever helps them: what became of each, line by line, and taking one back.

Annotations are evaluated here, not left as text: FastAPI could not find the dependencies that each router makes.
"""

from typing import Annotated

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, Field

from engine.access import Access
from engine.clock import Pace, system_clock
from engine.ledger import Ledger
from engine.problems import Problem
from rules.api import NO_NUL, refusals
from rules.codes import Codes
from rules.coupons import Coupons
from rules.life import State
from rules.past import is_member
from rules.tables import coupon, coupon_event, lookup

MOST = 200


class CouponState(BaseModel):
    """One coupon as it stands. Its code is its member's alone: only the last four characters are told."""

    id: str
    member: int
    journey: str
    step: str
    offer: str
    title: dict[str, str] = Field(description="By language")
    shops: list[str]
    state: State
    code_tail: str
    issued_ms: int
    expires_ms: int
    ended_ms: int | None = Field(description="When it was redeemed, taken back or ran out")
    superseded_by: str | None = Field(description="The coupon that took its place")


class CouponLine(BaseModel):
    act: str = Field(description="issue, open, redeem, restore, void, expire")
    at_ms: int
    actor: str = Field(description="journey, shop:cafe-luna, operator:kim, clock, ...")
    reason: str


class CouponStory(CouponState):
    """One coupon, and all that ever happened to it."""

    lines: list[CouponLine] = Field(description="The oldest first")


class TakeBack(BaseModel):
    reason: Annotated[
        str, Field(max_length=200, pattern=r"^[^\x00]*[^\s\x00][^\x00]*$", description="It stays on record")
    ]


class Helpdesk:
    """Where somebody is helped with their coupons, for the API and the command line. Every look is on record."""

    def __init__(self, ledger: Ledger, codes: Codes) -> None:
        self._coupons = Coupons(ledger, codes)

    def all(self, tx: sa.Connection, member: int, actor: str, now_ms: int) -> list[CouponState]:
        """A member's coupons, the newest first, at most MOST."""
        _looked(tx, member, actor, now_ms)
        held = sa.select(coupon).where(coupon.c.member == member)
        rows = tx.execute(held.order_by(coupon.c.issued_ms.desc(), coupon.c.id).limit(MOST)).mappings()
        return [CouponState.model_validate(dict(row)) for row in rows]

    def one(self, tx: sa.Connection, coupon_id: str, actor: str, now_ms: int) -> CouponStory | None:
        """What became of one coupon; None where there is none of that id."""
        row = tx.execute(sa.select(coupon).where(coupon.c.id == coupon_id)).mappings().first()
        if row is None:
            return None
        _looked(tx, row["member"], actor, now_ms)
        lines = sa.select(coupon_event).where(coupon_event.c.coupon == coupon_id).order_by(coupon_event.c.seq)
        return CouponStory.model_validate(dict(row) | {"lines": [dict(line) for line in tx.execute(lines).mappings()]})

    def take_back(self, tx: sa.Connection, coupon_id: str, reason: str, actor: str, now_ms: int) -> bool:
        """Void a coupon: its money is free again, and its journey goes on without it. False where it does not live."""
        return self._coupons.void(tx, coupon_id, now_ms, actor, reason, heard_real_ms=system_clock())


def _looked(tx: sa.Connection, member: int, actor: str, now_ms: int) -> None:
    tx.execute(sa.insert(lookup).values(at_ms=now_ms, actor=actor, member=member, about="coupons"))


def routes(ledger: Ledger, desk: Helpdesk, access: Access, pace: Pace) -> APIRouter:
    router = APIRouter(tags=["members"])
    Operator = Annotated[str, Depends(access.operator)]
    Coupon = Annotated[str, Path(min_length=1, max_length=64, pattern=NO_NUL, description="Its id")]

    @router.get(
        "/v1/members/{member}/coupons",
        responses=refusals(401, 403, 404),
        summary=f"A member's coupons, the newest {MOST}. Every look is on record",
    )
    def read_coupons(operator: Operator, member: Annotated[int, Path(ge=1, le=2**53)]) -> list[CouponState]:
        with ledger.write() as tx:
            if not is_member(tx, member):
                raise Problem("not-found", 404, "No such member", "This member is not with us (any more).")
            return desk.all(tx, member, f"operator:{operator}", pace.now())

    @router.get(
        "/v1/coupons/{coupon}",
        responses=refusals(401, 403, 404),
        summary="What became of one coupon, line by line. Every look is on record",
    )
    def read_coupon(operator: Operator, coupon: Coupon) -> CouponStory:
        with ledger.write() as tx:
            return _there(desk.one(tx, coupon, f"operator:{operator}", pace.now()))

    @router.post(
        "/v1/coupons/{coupon}/void",
        responses=refusals(401, 403, 404, 409),
        summary="Take a live coupon back; what is redeemed is undone at the till instead",
    )
    def void_coupon(operator: Operator, coupon: Coupon, why: TakeBack) -> CouponStory:
        actor, now_ms = f"operator:{operator}", pace.now()
        with ledger.write() as tx:
            taken = desk.take_back(tx, coupon, why.reason, actor, now_ms)
            found = _there(desk.one(tx, coupon, actor, now_ms))
        if not taken:
            raise Problem("not-live", 409, "Not live", f"This coupon is {found.state} already.")
        return found

    return router


def _there(found: CouponStory | None) -> CouponStory:
    if found is None:
        raise Problem("not-found", 404, "No such coupon", "There is no coupon of this id.")
    return found
