"""Where room comes from: what the end of a coupon leaves to others, and what a closed shop leaves to nobody."""

from __future__ import annotations

import sqlalchemy as sa

from rules.book import Book
from rules.journey import OWN_BUDGET
from rules.off import Off, worthless
from rules.tables import LIVE, UNSENT, coupon, exposure


def freed_by(tx: sa.Connection, coupon_id: str) -> set[str]:
    """What a coupon held of capacities and budgets, as refusals name it."""
    row = tx.execute(sa.select(coupon.c.offer, coupon.c.shops, coupon.c.budgets).where(coupon.c.id == coupon_id)).one()
    budgets = {f"budget:{scope}" for scope, _ in row.budgets} - {OWN_BUDGET}
    return budgets | {f"capacity:{of}" for of in (row.offer, *row.shops)}


def held_for_closed(tx: sa.Connection, book: Book, off: Off, now_ms: int) -> dict[int, set[str]]:
    """Member -> exposures that are good only at shops which are closed for the rest of their time.

    Those that were not sent (held out, or left to chance) too: whoever is compared must be treated alike.
    """
    e, c = exposure.c, coupon.c
    out = sa.and_(e.ended_ms.is_(None), e.expires_ms > now_ms)
    sent = sa.select(e.id, e.member, c.shops, e.expires_ms).join(coupon, c.id == e.coupon).where(LIVE, out)
    gone: dict[int, set[str]] = {}
    for id, member, shops, expires_ms in tx.execute(sent):
        if worthless(off, shops, expires_ms):
            gone.setdefault(member, set()).add(id)
    unsent = sa.select(e.id, e.member, e.offer, e.expires_ms).where(UNSENT, out)
    for id, member, offer, expires_ms in tx.execute(unsent):
        if offer in book.offers and worthless(off, book.offers[offer].shops, expires_ms):
            gone.setdefault(member, set()).add(id)
    return gone
