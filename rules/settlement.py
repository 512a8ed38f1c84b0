"""What a shop redeemed on one local day: the mall and the shop settle by it."""

from __future__ import annotations

import csv
import io
from datetime import date, timedelta

import sqlalchemy as sa
from pydantic import BaseModel, Field

from engine.clock import Pace
from rules.tables import coupon, redemption
from rules.times import Calendar

COLUMNS = (
    "redemption", "local_time", "offer", "title", "code_last4", "till", "receipt",
    "amount_minor", "cost_minor", "state",
)  # fmt: skip


class SettlementLine(BaseModel):
    """One redemption, undone or not."""

    redemption: str
    offer: str
    title: dict[str, str] = Field(description="By language")
    code_last4: str
    till: str
    receipt: str | None
    redeemed_ms: int
    amount_minor: int | None = Field(description="What the customer paid, if the till said so")
    cost_minor: int = Field(description="What the offer costs whoever funds it")
    restored_ms: int | None = Field(description="When it was undone; null if it stands")


class Settlement(BaseModel):
    """One shop's day. The totals leave out what was undone."""

    shop: str
    day: date
    timezone: str
    at_ms: int
    speed: float
    redeemed: int
    restored: int
    amount_minor: int
    cost_minor: int
    lines: list[SettlementLine]


def settle(tx: sa.Connection, shop: str, day: date | None, calendar: Calendar, pace: Pace) -> Settlement:
    """The redemptions of *shop* on *day*, today if None, oldest first."""
    now_ms = pace.now()
    day = day or calendar.day(now_ms)
    from_ms, until_ms = calendar.instant_ms(day, 0), calendar.instant_ms(day + timedelta(days=1), 0)
    r = redemption.c
    rows = tx.execute(
        sa.select(redemption, coupon.c.title, coupon.c.code_tail)
        .join(coupon, coupon.c.id == r.coupon)
        .where(r.shop == shop, r.at_ms >= from_ms, r.at_ms < until_ms)
        .order_by(r.at_ms, r.id)
    ).mappings()
    lines = [
        SettlementLine(
            redemption=row["id"],
            code_last4=row["code_tail"],
            redeemed_ms=row["at_ms"],
            cost_minor=row["cost"],
            **{name: row[name] for name in ("offer", "title", "till", "receipt", "amount_minor", "restored_ms")},
        )
        for row in rows
    ]
    stands = [line for line in lines if line.restored_ms is None]
    return Settlement(
        shop=shop,
        day=day,
        timezone=calendar.timezone,
        at_ms=now_ms,
        speed=pace.speed,
        redeemed=len(stands),
        restored=len(lines) - len(stands),
        amount_minor=sum(line.amount_minor or 0 for line in stands),
        cost_minor=sum(line.cost_minor for line in stands),
        lines=lines,
    )


def as_csv(settlement: Settlement, calendar: Calendar) -> str:
    """The same for a spreadsheet: one line per redemption, no totals to add up twice."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for line in settlement.lines:
        when = f"{calendar.local(line.redeemed_ms):%Y-%m-%d %H:%M:%S}"
        what = (line.redemption, when, line.offer, line.title.get("en", ""), line.code_last4, line.till, line.receipt)
        state = "redeemed" if line.restored_ms is None else "restored"
        writer.writerow((*what, line.amount_minor, line.cost_minor, state))
    return text.getvalue()
