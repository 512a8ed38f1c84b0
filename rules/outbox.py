"""From a coupon given to a coupon seen: what is queued is checked once more, delivered, and told to open pages.

The inbox is the wallet page, so delivering there is the same transaction as deciding to: nothing can be sent
twice, and a crash before the commit leaves the row queued. A late coupon is worse than none, so rows expire.
"""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby
from typing import NamedTuple

import sqlalchemy as sa

from engine.events import Moment
from engine.identity import Identity
from engine.ledger import Ledger
from rules.coupons import Coupons, Row, moment
from rules.events import CouponDelivered, CouponIssued, CouponMoment, CouponSuppressed
from rules.life import State
from rules.tables import QUEUED, coupon, outbox

INBOX = "inbox"
OFFERS = "personal_offers"
# One transaction carries at most this many: a till that waits for it should not notice.
ROWS_PER_ROUND = 200
QUEUED_STATE, DELIVERED, EXPIRED = "queued", "delivered", "expired"


class Verdict(NamedTuple):
    """What becomes of an outbox row; reason is empty where it is delivered."""

    state: str
    reason: str


def verdict(row: Row, granted: set[str], now_ms: int) -> Verdict:
    """Whether a queued coupon may still be sent: what was true when it was decided may not be true any more.

    row      of the outbox, with `coupon_state` beside it
    granted  the purposes its member consents to now; a channel is a purpose of its own
    """
    if row["coupon_state"] != State.ISSUED:
        return Verdict("suppressed:not-live", "not-live")
    if now_ms >= row["expires_ms"]:
        return Verdict(EXPIRED, "too-late")
    for purpose in (OFFERS, row["channel"]):
        if purpose not in granted:
            return Verdict("suppressed:no-consent", f"no-consent:{purpose}")
    return Verdict(DELIVERED, "")


class Outbox:
    """Carries queued coupons to the members' inboxes."""

    def __init__(self, ledger: Ledger, coupons: Coupons, identity: Identity) -> None:
        self._ledger, self._coupons, self._identity = ledger, coupons, identity

    def round(self, now_ms: int, real_ms: int) -> int:
        """Decide on everything that is due at *now_ms*; how many rows that were. *real_ms* is the wall clock's now."""
        with self._ledger.read() as tx:
            # Mostly nothing is due, and then nobody should have to wait for a writer.
            if tx.execute(sa.select(outbox.c.id).where(QUEUED, outbox.c.not_before_ms <= now_ms)).first() is None:
                return 0
        with self._ledger.write() as tx:
            self._ledger.take_turn(tx)
            due = self._due(tx, now_ms)
            consents = self._identity.consents_of_each(tx, {row["member"] for row in due})
            for heard_real_ms, rows in groupby(due, key=lambda row: int(row["heard_real_ms"])):
                events = [self._carry(tx, row, consents[row["member"]], now_ms, real_ms) for row in rows]
                self._ledger.append(tx, events, heard_real_ms=heard_real_ms)
        return len(due)

    @staticmethod
    def _due(tx: sa.Connection, now_ms: int) -> list[Row]:
        about = [coupon.c[name] for name in ("visit", "offer", "journey")]
        joined = outbox.join(coupon, coupon.c.id == outbox.c.coupon)
        due = sa.select(outbox, *about, coupon.c.state.label("coupon_state")).select_from(joined)
        due = due.where(QUEUED, outbox.c.not_before_ms <= now_ms)
        rows = tx.execute(due.order_by(outbox.c.heard_real_ms, outbox.c.id).limit(ROWS_PER_ROUND)).mappings()
        return [dict(row) for row in rows]

    def _carry(self, tx: sa.Connection, row: Row, granted: set[str], now_ms: int, real_ms: int) -> CouponMoment:
        decided = verdict(row, granted, now_ms)
        change: dict[str, object] = {"state": decided.state}
        if decided.state == DELIVERED:
            change |= {"delivered_ms": now_ms, "delivered_real_ms": real_ms}
        tx.execute(sa.update(outbox).where(outbox.c.id == row["id"], QUEUED).values(change))
        channel, about = row["channel"], {**row, "id": row["coupon"]}
        if decided.state == DELIVERED:
            return moment(CouponDelivered, about, now_ms, channel, channel=channel)
        if not self._may_still_arrive(tx, row["coupon"]):
            # It would only keep its budget from others, and its member from the next offer.
            why, heard_real_ms = f"not delivered: {decided.reason}", row["heard_real_ms"]
            self._coupons.void(tx, row["coupon"], now_ms, "outbox", why, heard_real_ms=heard_real_ms)
        return moment(CouponSuppressed, about, now_ms, channel, channel=channel, reason=decided.reason)

    @staticmethod
    def _may_still_arrive(tx: sa.Connection, coupon_id: str) -> bool:
        hopeful = outbox.c.state.in_((QUEUED_STATE, DELIVERED))
        return tx.execute(sa.select(outbox.c.id).where(outbox.c.coupon == coupon_id, hopeful)).first() is not None


class _Bell(NamedTuple):
    """Wakes one open page; asyncio events are not for other threads, so it is rung through its loop."""

    loop: asyncio.AbstractEventLoop
    rung: asyncio.Event


class Inbox:
    """Which wallet pages are open, and how to wake a member's when something in it has changed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bells: defaultdict[int, set[_Bell]] = defaultdict(set)

    def hear(self, events: Iterable[Moment]) -> None:
        """Wake the pages that these events change. Any thread may call."""
        # A coupon that was only issued is not in the inbox yet.
        for member in {e.member for e in events if isinstance(e, CouponMoment) and not isinstance(e, CouponIssued)}:
            self.changed(member)

    def changed(self, member: int) -> None:
        """Wake the open pages of one member. Any thread may call."""
        with self._lock:
            for bell in self._bells.get(member, ()):
                bell.loop.call_soon_threadsafe(bell.rung.set)

    @contextmanager
    def listening(self, member: int) -> Iterator[asyncio.Event]:
        """Within the block, the event is set whenever the member's wallet changes. Clear it before reading."""
        bell = _Bell(asyncio.get_running_loop(), asyncio.Event())
        with self._lock:
            self._bells[member].add(bell)
        try:
            yield bell.rung
        finally:
            with self._lock:
                self._bells[member].discard(bell)
                if not self._bells[member]:
                    del self._bells[member]

    @property
    def open_pages(self) -> int:
        with self._lock:
            return sum(map(len, self._bells.values()))
