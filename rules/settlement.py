"""What was redeemed on one local day, by shop or by funder: whoever gave and whoever pays settle by the same lines."""

from __future__ import annotations

import csv
import io
from datetime import date, timedelta
from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel, Field

from engine.clock import Pace
from rules.invitations import earned
from rules.tables import coupon, credit, invitation, redemption
from rules.times import Calendar

COLUMNS = (
    "redemption", "local_time", "shop", "funder", "offer", "title", "code_last4", "till", "receipt",
    "amount_minor", "cost_minor", "state", "credit_shop", "credit_clerk",
)  # fmt: skip


class SettlementLine(BaseModel):
    """One redemption, undone or not."""

    redemption: str
    shop: str
    funder: str = Field(description="Who pays cost_minor, as the book said when the coupon was given")
    offer: str
    title: dict[str, str] = Field(description="By language")
    code_last4: str
    till: str
    receipt: str | None
    redeemed_ms: int
    amount_minor: int | None = Field(description="What the customer paid, if the till said so")
    cost_minor: int = Field(description="What the offer costs whoever funds it")
    restored_ms: int | None = Field(description="When it was undone; null if it stands")
    credit_shop: str | None = Field(
        description="Who had brought the member when the coupon was given; a shop learns only of itself"
    )
    credit_clerk: str | None = Field(description="Empty for the shop itself")


class Day(BaseModel):
    """A day's redemptions. The totals leave out what was undone."""

    day: date
    timezone: str
    at_ms: int
    speed: float
    redeemed: int
    restored: int
    amount_minor: int
    cost_minor: int
    lines: list[SettlementLine]


class Settlement(Day):
    """One shop's day: what it gave on behalf of whom."""

    shop: str


class FunderSettlement(Day):
    """One funder's day: what shops gave on its behalf."""

    funder: str


def settle_shop(tx: sa.Connection, shop: str, day: date | None, calendar: Calendar, pace: Pace) -> Settlement:
    """The redemptions of *shop* on *day*, today if None, oldest first."""
    own = invitation.c.shop == shop
    return Settlement(shop=shop, **_settled(tx, redemption.c.shop == shop, day, calendar, pace, credits=own))


def settle_funder(tx: sa.Connection, funder: str, day: date | None, calendar: Calendar, pace: Pace) -> FunderSettlement:
    """What was redeemed at the cost of *funder* on *day*, today if None, oldest first."""
    own = redemption.c.funder == funder
    return FunderSettlement(funder=funder, **_settled(tx, own, day, calendar, pace, credits=sa.true()))


def _settled(
    tx: sa.Connection, whose: sa.ColumnElement[bool], day: date | None, calendar: Calendar, pace: Pace,
    *, credits: sa.ColumnElement[bool],
) -> dict[str, Any]:  # fmt: skip
    """What a Day of *whose* redemptions is made of, with those of the *credits* it may show."""
    now_ms = pace.now()
    day = day or calendar.day(now_ms)
    from_ms, until_ms = calendar.instant_ms(day, 0), calendar.instant_ms(day + timedelta(days=1), 0)
    r, c = redemption.c, credit.c
    brought = (
        sa.select(c.member, c.from_ms, c.until_ms, invitation.c.shop, invitation.c.clerk)
        .join(invitation, invitation.c.id == c.invitation)
        .where(credits)
        .subquery()
    )
    rows = tx.execute(
        sa.select(
            redemption,
            coupon.c.title,
            coupon.c.code_tail,
            brought.c.shop.label("credit_shop"),
            brought.c.clerk.label("credit_clerk"),
        )
        .join(coupon, coupon.c.id == r.coupon)
        .outerjoin(brought, earned(brought.c))
        .where(whose, r.at_ms >= from_ms, r.at_ms < until_ms)
        .order_by(r.at_ms, r.id)
    ).mappings()
    lines = [
        SettlementLine(
            redemption=row["id"],
            code_last4=row["code_tail"],
            redeemed_ms=row["at_ms"],
            cost_minor=row["cost"],
            **{
                name: row[name]
                for name in (
                    "shop",
                    "funder",
                    "offer",
                    "title",
                    "till",
                    "receipt",
                    "amount_minor",
                    "restored_ms",
                    "credit_shop",
                    "credit_clerk",
                )
            },
        )
        for row in rows
    ]
    stands = [line for line in lines if line.restored_ms is None]
    return {
        "day": day,
        "timezone": calendar.timezone,
        "at_ms": now_ms,
        "speed": pace.speed,
        "redeemed": len(stands),
        "restored": len(lines) - len(stands),
        "amount_minor": sum(line.amount_minor or 0 for line in stands),
        "cost_minor": sum(line.cost_minor for line in stands),
        "lines": lines,
    }


def as_csv(settlement: Day, calendar: Calendar) -> str:
    """The same for a spreadsheet: one line per redemption, no totals to add up twice."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for line in settlement.lines:
        when = f"{calendar.local(line.redeemed_ms):%Y-%m-%d %H:%M:%S}"
        which = (line.redemption, when, line.shop, line.funder, line.offer, line.title.get("en", ""))
        told = (line.code_last4, line.till, line.receipt, line.amount_minor, line.cost_minor)
        state = "redeemed" if line.restored_ms is None else "restored"
        writer.writerow((*which, *told, state, line.credit_shop, line.credit_clerk))
    return text.getvalue()
