"""Follows the ledger and carries out what the book says: each batch of events or deadlines in one transaction.

The transaction that gives a coupon also moves the cursor, the instance, its deadline, the exposure that limits
count and the decisions with their traces: a crash repeats the batch whole or not at all.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

import sqlalchemy as sa

from engine.clock import Clock, system_clock
from engine.events import Moment, ZoneEntered, id_of
from engine.ledger import Ledger
from rules import tables
from rules.batch import Batch
from rules.book import Book, Mall
from rules.coupons import Coupons
from rules.decide import LATE_MS
from rules.events import CouponDelivered, CouponIssued, CouponSuperseded, CouponSuppressed
from rules.recall import Recall
from rules.shelf import Shelf

# Large enough that the queries of a batch cost little per event, small enough that a writer waits briefly.
MOST_AT_ONCE = 500
# What this room tells by itself and already knows when it hears it.
OWN_NEWS = (CouponIssued, CouponDelivered, CouponSuppressed, CouponSuperseded)


class Promotion:
    """The one decider of a ledger. round() and due() may be called from different threads; they take turns."""

    CURSOR = "promote"

    def __init__(
        self,
        ledger: Ledger,
        book: Book,
        coupons: Coupons,
        mall: Mall,
        clock: Clock,
        *,
        lateness_ms: int = LATE_MS,
        real_clock: Clock = system_clock,
    ) -> None:
        """clock tells paced time; real_clock wall time, from which latency is counted.

        lateness_ms  news older than this gives nothing by itself; the question is asked again a little later
        """
        self._ledger, self._coupons = ledger, coupons
        self._clock, self._lateness_ms, self._real_clock = clock, lateness_ms, real_clock
        self._recall = Recall(ledger)
        self._turn = threading.Lock()
        self._shelf = Shelf(mall)
        self.seen = 0  # the last event worked through, for Ledger.wait_beyond
        self.adopt(book)

    def adopt(self, book: Book) -> None:
        """Instances that begin from now on follow *book*; those that run keep theirs."""
        with self._turn, self._ledger.write() as tx:
            row = {"version": book.version, "text": book.text, "adopted_ms": self._clock()}
            tx.execute(self._ledger.insert(tables.book).values(row).on_conflict_do_nothing())
            self.seen = self._ledger.cursor(tx, self.CURSOR)
        self._book = book
        self._shelf.put(book)

    def round(self) -> int:
        """Work through the next events in one transaction; the number of the last one worked through so far."""
        with self._turn:
            self._round()
            return self.seen

    def due(self, now_ms: int) -> int:
        """Work through deadlines and run-out coupons due by *now_ms*; how many members and coupons that were.

        News comes first: a deadline must not act on a standing that the ledger knows better already.
        """
        with self._turn:
            while self._round() == MOST_AT_ONCE:
                pass
            with self._ledger.read() as tx:
                if not self._recall.due(tx, now_ms, 1) and not self._any_overdue(tx, now_ms):
                    return 0
            with self._ledger.write() as tx:
                self._ledger.take_turn(tx)
                real_ms = self._real_clock()
                expired = self._coupons.expire_due(tx, now_ms, heard_real_ms=real_ms, limit=MOST_AT_ONCE)
                due_ms = self._recall.due(tx, now_ms, MOST_AT_ONCE)
                batch = self._batch(tx, due_ms, now_ms)
                for member, since_ms in due_ms.items():
                    batch.move(member, id_of("deadline", member, since_ms), real_ms, late=False)
                batch.close()
            return len(due_ms) + len(expired)

    def _round(self) -> int:
        """How many events there were."""
        with self._ledger.read() as tx:
            self.seen = self._ledger.cursor(tx, self.CURSOR)
            if self._ledger.last_seq(tx) <= self.seen:
                return 0
        with self._ledger.write() as tx:
            self._ledger.take_turn(tx)
            # Read again under the turn: another process may have been here.
            seen = self._ledger.cursor(tx, self.CURSOR)
            recorded = self._ledger.since(tx, seen, MOST_AT_ONCE)
            news = [record for record in recorded if not isinstance(record.event, OWN_NEWS)]
            now_ms = self._clock()
            batch = self._batch(tx, {record.event.member for record in news}, now_ms)
            for record in news:
                batch.hear(record.event, record.heard_real_ms, late=self._is_late(record.event, now_ms))
            batch.close()
            if recorded:
                seen = recorded[-1].seq
                self._ledger.move_cursor(tx, self.CURSOR, seen)
        self.seen = seen
        return len(recorded)

    def _is_late(self, event: Moment, now_ms: int) -> bool:
        # A zone is entered when that is believed, which is some time after the first evidence.
        told_ms = event.confirmed_ms if isinstance(event, ZoneEntered) else event.at_ms
        return now_ms - told_ms > self._lateness_ms

    def _batch(self, tx: sa.Connection, members: Iterable[int], now_ms: int) -> Batch:
        return Batch(tx, self._recall, self._coupons, self._book, self._shelf.book, members, now_ms)

    @staticmethod
    def _any_overdue(tx: sa.Connection, now_ms: int) -> bool:
        overdue = sa.select(tables.coupon.c.id).where(tables.LIVE, tables.coupon.c.expires_ms <= now_ms).limit(1)
        return tx.execute(overdue).first() is not None
