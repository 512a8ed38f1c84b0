"""How many coupons may be out at once, or within a time: of an offer, and at a shop.

Counted in the transaction that gives one, while no other can: there is one writer at a time, so between the count and
the commit nobody else's coupon comes in.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import NamedTuple

import sqlalchemy as sa

from engine.ledger import Ledger
from rules.book import Book, Cap, Offer
from rules.life import State
from rules.tables import LIVE, coupon

LITERALLY = str.maketrans({"/": "//", "%": "/%", "_": "/_"})
GIVEN = sa.select(sa.func.count().label("given")).select_from(coupon)
OFFER = coupon.c.offer == sa.bindparam("of")
# Its shops are a JSON list of keys; the databases agree on little about JSON, but both find a quoted key in its text.
SHOP = sa.cast(coupon.c.shops, sa.Text).like(sa.bindparam("quoted"), escape="/")
NOW = sa.and_(LIVE, coupon.c.expires_ms > sa.bindparam("now_ms", type_=sa.BigInteger))
SINCE = sa.and_(coupon.c.issued_ms > sa.bindparam("since_ms", type_=sa.BigInteger), coupon.c.state != State.VOID)
COUNTS = {
    ("offer", True): GIVEN.where(OFFER, NOW),
    ("offer", False): GIVEN.where(OFFER, SINCE),
    ("shop", True): GIVEN.where(SHOP, NOW),
}

# Of the newest `most` the oldest: when it counts no more, there is room for one.
OLDEST = (
    sa.select(coupon.c.issued_ms)
    .where(OFFER, SINCE)
    .order_by(coupon.c.issued_ms.desc())
    .offset(sa.bindparam("newer", type_=sa.Integer))
    .limit(1)
)


class Room(NamedTuple):
    """A capacity at one instant.

    of         an offer or a shop
    since_ms   coupons given after it count, None those live
    anew_ms    when it begins anew; None where it does not
    window_ms  for how long a coupon counts; 0 where it counts until it ends, or the day does
    """

    scope: str  # "offer" or "shop"
    of: str
    most: int
    since_ms: int | None
    now_ms: int
    anew_ms: int | None = None
    window_ms: int = 0


def rooms(book: Book, offer: Offer, now_ms: int) -> tuple[Room, ...]:
    """Every capacity that a coupon of *offer* takes up."""
    of_shops = [_room("shop", shop, book.limits.capacity[shop], book, now_ms) for shop in sorted(offer.shops)
                if shop in book.limits.capacity]  # fmt: skip
    return (*([_room("offer", offer.key, offer.capacity, book, now_ms)] if offer.capacity else ()), *of_shops)


class Capacity:
    """What there is room for in one ledger; every method works inside the transaction it is given."""

    def __init__(self, ledger: Ledger) -> None:
        self._counts = {asked: ledger.hot(count) for asked, count in COUNTS.items()}
        self._oldest = ledger.hot(OLDEST)

    def left(self, tx: sa.Connection, room: Room) -> int:
        """How many more there is room for; what was taken back does not count, what ran out counts within a time."""
        values: dict[str, object] = {"of": room.of} if room.scope == "offer" else {"quoted": _quoted(room.of)}
        values |= {"now_ms": room.now_ms} if room.since_ms is None else {"since_ms": room.since_ms}
        (row,) = self._counts[room.scope, room.since_ms is None](tx, values)
        return room.most - int(row["given"])

    def again_ms(self, tx: sa.Connection, room: Room) -> int | None:
        """When time alone makes room; None where only the end of a coupon does."""
        if not room.window_ms:
            return room.anew_ms
        rows = self._oldest(tx, {"of": room.of, "since_ms": room.since_ms, "newer": room.most - 1})
        return rows[0]["issued_ms"] + room.window_ms if rows else None

    def all_left(self, tx: sa.Connection, book: Book, now_ms: int) -> dict[str, int]:
        """Offer -> how many more of it there is room for, of each that has a capacity."""
        left: dict[str, int] = {}
        for offer in book.offers.values():
            taken = rooms(book, offer, now_ms)
            if taken:
                left[offer.key] = max(0, min(self.left(tx, room) for room in taken))
        return left

    def full(self, tx: sa.Connection, taken: Iterable[Room], *, more: int) -> Room | None:
        """The first of *taken* that has no room for *more*."""
        return next((room for room in taken if self.left(tx, room) < more), None)


def _room(scope: str, of: str, cap: Cap, book: Book, now_ms: int) -> Room:
    room = Room(scope, of, cap.most, None, now_ms)
    match cap.per:
        case "now":
            return room
        case "day":
            today_ms = book.calendar.instant_ms(book.calendar.day(now_ms), 0)
            return room._replace(since_ms=today_ms - 1, anew_ms=book.calendar.midnight_ms(now_ms))
        case _:
            return room._replace(since_ms=now_ms - cap.window_ms, window_ms=cap.window_ms)


def _quoted(shop: str) -> str:
    return f"%{json.dumps(shop).translate(LITERALLY)}%"
