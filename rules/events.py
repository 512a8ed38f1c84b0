"""What happens to coupons and what members spend, told to the ledger: journeys move on by these."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.events import Moment, id_of


class CouponMoment(Moment, frozen=True):
    """Something that happened to one coupon; journey, instance, step and rung say where it came from."""

    coupon: str
    offer: str
    journey: str
    instance: str
    step: str
    rung: int


class CouponIssued(CouponMoment, frozen=True, tag="coupon.issued"):
    """Given, and queued for delivery: the member has not seen it yet."""

    expires_ms: int


class CouponDelivered(CouponMoment, frozen=True, tag="coupon.delivered"):
    """Arrived on *channel*, for instance in the member's inbox."""

    channel: str


class CouponSuppressed(CouponMoment, frozen=True, tag="coupon.suppressed"):
    """Checked again at send and not sent on *channel*; reason: no-consent, not-live, too-late, ..."""

    channel: str
    reason: str


class CouponOpened(CouponMoment, frozen=True, tag="coupon.opened"):
    """The member looked at its code for the first time: on the way to the till, or tempted."""


class CouponRedeemed(CouponMoment, frozen=True, tag="coupon.redeemed"):
    """Spent at *shop*; amount_minor is what the customer paid there, if the till said so."""

    redemption: str
    shop: str
    amount_minor: int | None


class CouponRestored(CouponMoment, frozen=True, tag="coupon.restored"):
    """The till undid *redemption*; state is what the coupon is now: issued, or void if it cannot live again."""

    redemption: str
    shop: str
    state: str


class CouponVoided(CouponMoment, frozen=True, tag="coupon.voided"):
    """Taken back before use."""

    reason: str


class CouponSuperseded(CouponMoment, frozen=True, tag="coupon.superseded"):
    """Taken back because a better coupon takes its place."""

    by: str


class CouponExpired(CouponMoment, frozen=True, tag="coupon.expired"):
    """Its time ran out; at_ms is when it did, however late that was noticed."""


class MoneySpent(Moment, frozen=True, tag="money.spent"):
    """A shop told what a member paid, by a receipt. amount_minor is below zero for money given back.

    coupon: the one redeemed with it, whose till may have told the same money
    """

    shop: str
    receipt: str
    amount_minor: int
    coupon: str | None


class BecameResident(Moment, frozen=True, tag="member.resident"):
    """Here all day, as staff and fixed devices are: kept out of marketing from now on. because: what was seen"""

    because: str


class BecameVisitor(Moment, frozen=True, tag="member.visitor"):
    """No longer here all day: offers are given again. because: what was seen"""

    because: str


class MemberAway(Moment, frozen=True, tag="member.away"):
    """Not seen for after_ms; visit is the key of the absence, and at_ms when it became that long."""

    since_ms: int
    after_ms: int


CouponEvent = (
    CouponIssued
    | CouponDelivered
    | CouponSuppressed
    | CouponOpened
    | CouponRedeemed
    | CouponRestored
    | CouponVoided
    | CouponSuperseded
    | CouponExpired
    | MoneySpent
    | BecameResident
    | BecameVisitor
    | MemberAway
)
KINDS: tuple[type[CouponMoment], ...] = (
    CouponIssued,
    CouponDelivered,
    CouponSuppressed,
    CouponOpened,
    CouponRedeemed,
    CouponRestored,
    CouponVoided,
    CouponSuperseded,
    CouponExpired,
)


Row = Mapping[Any, Any]  # a row of the table coupon

# What *moment* asks of it.
OF_EVENT = ("id", "member", "visit", "offer", "journey", "instance", "step", "rung")


def moment(kind: type[CouponMoment], row: Row, at_ms: int, *which: object, **more: object) -> CouponMoment:
    """The event of *kind* that befell a coupon; *which* tells apart what can befall it more than once."""
    return kind(
        id=id_of(kind.__struct_config__.tag, row["id"], *which),
        at_ms=at_ms,
        member=row["member"],
        visit=row["visit"],
        coupon=row["id"],
        offer=row["offer"],
        journey=row["journey"],
        instance=row["instance"],
        step=row["step"],
        rung=row["rung"],
        **more,
    )
