"""How many coupons may be out at once, or within a time: of an offer, and at a shop.

Counted in the very statement that gives one, while no other can: there is one writer at a time, so between the count
and the commit nobody else's coupon comes in.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import sqlalchemy as sa

from engine.hot import constant
from engine.ledger import Ledger, written
from rules.book import Book, Cap, Offer
from rules.life import State
from rules.tables import LIVE, coupon

OFFER = coupon.c.offer == sa.bindparam("of")
SINCE = sa.and_(coupon.c.issued_ms > sa.bindparam("since_ms", type_=sa.BigInteger), coupon.c.state != State.VOID)

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

    @property
    def is_of_live(self) -> bool:
        """Whether those count that are live now."""
        return self.since_ms is None


def good_at(name: str) -> sa.ColumnElement[bool]:
    """Whether a coupon is good at the shop whose key, as JSON, is the value called *name*.

    Its shops are a JSON list of keys. The databases agree on little about JSON, but in both a text is changed if a
    quoted key that is in it is taken out. (With LIKE, SQLite would plan the statement anew for each shop.)
    """
    shops = sa.cast(coupon.c.shops, sa.Text)
    return sa.func.replace(shops, sa.bindparam(name, type_=sa.Text), constant("")) != shops


def taken(scope: str, live: bool, n: int = 0) -> sa.Select[int]:
    """Counts the coupons that take up a room; live: those that are now, else those given since. n tells its values
    from those of other rooms in one statement."""
    count = sa.select(sa.func.count().label("taken")).select_from(coupon)
    if scope == "offer":
        count = count.where(coupon.c.offer == sa.bindparam(f"of_{n}"))
    else:
        count = count.where(good_at(f"of_{n}"))
    at_ms = sa.bindparam(f"room_ms_{n}", type_=sa.BigInteger)
    if live:
        return count.where(LIVE, coupon.c.expires_ms > at_ms)
    return count.where(coupon.c.issued_ms > at_ms, coupon.c.state != State.VOID)


def asked(room: Room, n: int = 0) -> dict[str, object]:
    """The values of *taken*."""
    of = room.of if room.scope == "offer" else written(room.of)
    return {f"of_{n}": of, f"room_ms_{n}": room.now_ms if room.since_ms is None else room.since_ms}


def rooms(book: Book, offer: Offer, now_ms: int) -> tuple[Room, ...]:
    """Every capacity that a coupon of *offer* takes up."""
    of_shops = [_room("shop", shop, book.limits.capacity[shop], book, now_ms) for shop in sorted(offer.shops)
                if shop in book.limits.capacity]  # fmt: skip
    return (*([_room("offer", offer.key, offer.capacity, book, now_ms)] if offer.capacity else ()), *of_shops)


class Capacity:
    """What there is room for in one ledger; every method works inside the transaction it is given."""

    def __init__(self, ledger: Ledger) -> None:
        kinds = [("offer", True), ("offer", False), ("shop", True)]
        self._taken = {kind: ledger.hot(taken(*kind)) for kind in kinds}
        self._oldest = ledger.hot(OLDEST)

    def left(self, tx: sa.Connection, room: Room) -> int:
        """How many more there is room for; what was taken back does not count, what ran out counts within a time."""
        (row,) = self._taken[room.scope, room.is_of_live](tx, asked(room))
        return room.most - int(row["taken"])

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
            limits = rooms(book, offer, now_ms)
            if limits:
                left[offer.key] = max(0, min(self.left(tx, room) for room in limits))
        return left

    def full(self, tx: sa.Connection, wanted: Iterable[Room]) -> Room | None:
        """The first of *wanted* that has no room for one more."""
        return next((room for room in wanted if self.left(tx, room) < 1), None)


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
