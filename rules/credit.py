"""What came of the members that shops and clerks brought, by month: how many joined, what they were given and spent."""

from __future__ import annotations

import csv
import io
from datetime import date, timedelta

import sqlalchemy as sa
from pydantic import BaseModel, Field

from rules.invitations import earned
from rules.tables import STANDS, coupon, credit, invitation, redemption
from rules.times import Calendar

WHO = ("shop", "category", "clerk")
FIGURES = ("coupons", "redeemed", "amount_minor", "cost_minor")
COLUMNS = ("month", *WHO, "joined", "members", *FIGURES)


class CreditLine(BaseModel):
    """One clerk, or a shop itself. Figures are null where fewer than k members stand behind them."""

    shop: str
    category: str = Field(description="The kind of the shop's zone when the link was made")
    clerk: str = Field(description="Empty for the shop itself")
    joined: int = Field(description="Members whose credit began in this month")
    members: int = Field(description="Members credited at any time in this month")
    coupons: int | None = Field(description="Given to them in this month, at all shops")
    redeemed: int | None = Field(description="Of theirs, spent in this month and not undone")
    amount_minor: int | None = Field(description="What they paid with these, as far as tills said so")
    cost_minor: int | None = Field(description="What these cost whoever funds them")


class Credit(BaseModel):
    """One month of the members that were brought."""

    month: str
    k: int = Field(description="Fewer members than this give no figures")
    lines: list[CreditLine] = Field(description="By shop and clerk")


def credit_of(tx: sa.Connection, month: date, calendar: Calendar, k: int, shop: str | None = None) -> Credit:
    """The month that *month* lies in, for *shop* or for all."""
    first = month.replace(day=1)
    following = (first + timedelta(days=31)).replace(day=1)
    from_ms, until_ms = calendar.instant_ms(first, 0), calendar.instant_ms(following, 0)
    c, i, r = credit.c, invitation.c, redemption.c
    who = (i.shop, i.category, i.clerk)
    mine = sa.true() if shop is None else i.shop == shop
    brought = sa.select(*who).select_from(credit.join(invitation, i.id == c.invitation)).where(mine).group_by(*who)
    began = sa.case((c.from_ms >= from_ms, 1), else_=0)
    members = brought.add_columns(
        sa.func.sum(began).label("joined"), sa.func.count(c.member.distinct()).label("members")
    ).where(c.from_ms < until_ms, c.until_ms > from_ms)
    given = brought.join(coupon, earned(c)).add_columns(sa.func.count().label("coupons"))
    given = given.where(coupon.c.issued_ms >= from_ms, coupon.c.issued_ms < until_ms)
    spent = brought.join(coupon, earned(c)).join(redemption, sa.and_(r.coupon == coupon.c.id, STANDS))
    spent = spent.add_columns(
        sa.func.count().label("redeemed"),
        sa.func.coalesce(sa.func.sum(r.amount_minor), 0).label("amount_minor"),
        sa.func.sum(r.cost).label("cost_minor"),
    ).where(r.at_ms >= from_ms, r.at_ms < until_ms)
    lines: dict[tuple[str, ...], dict[str, int | None]] = {}
    for chosen in (members, given, spent):
        for row in tx.execute(chosen).mappings():
            whose = tuple(row[name] for name in WHO)
            line = lines.setdefault(whose, dict.fromkeys(("joined", "members", *FIGURES), 0))
            line |= {name: int(row[name]) for name in row if name not in WHO}
    for line in lines.values():
        if (line["members"] or 0) < k:
            line |= dict.fromkeys(FIGURES)
    return Credit(
        month=f"{first:%Y-%m}",
        k=k,
        lines=[CreditLine(**dict(zip(WHO, whose, strict=True)), **line) for whose, line in sorted(lines.items())],
    )


def as_csv(credited: Credit) -> str:
    """The same for a spreadsheet; a figure that is withheld is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for line in credited.lines:
        writer.writerow((credited.month, *(getattr(line, name) for name in COLUMNS[1:])))
    return text.getvalue()
