"""Follows the ledger and carries out what the book says: each batch of events or deadlines in one transaction.

The transaction that gives a coupon also moves the cursor, the instance, its deadline, the exposure that limits
count and the decisions with their traces: a crash repeats the batch whole or not at all.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

import sqlalchemy as sa
import structlog

from engine.clock import Clock, system_clock
from engine.events import Moment, ZoneEntered, id_of
from engine.ledger import Ledger
from rules import tables
from rules.batch import Batch
from rules.book import Book, Mall
from rules.coupons import Coupons
from rules.decide import LATE_MS
from rules.events import CouponDelivered, CouponIssued, CouponSuperseded, CouponSuppressed
from rules.moving import FINISH_OLD
from rules.recall import Recall
from rules.shelf import Shelf
from rules.source import SourceError
from rules.versions import Versions

log = structlog.get_logger()

# Large enough that the queries of a batch cost little per event, small enough that a writer waits briefly.
MOST_AT_ONCE = 500
# What this room tells by itself and already knows when it hears it.
OWN_NEWS = (CouponIssued, CouponDelivered, CouponSuppressed, CouponSuperseded)


class Promotion:
    """The one decider of a ledger. round() and due() may be called from different threads; they take turns."""

    CURSOR = "promote"
    BOOK_CURSOR = "book"  # how many publications were carried out

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
        two_people: bool = False,
    ) -> None:
        """clock tells paced time; real_clock wall time, from which latency is counted.

        book         of the file; it is published if it never was, else what was published since is followed
        lateness_ms  news older than this gives nothing by itself; the question is asked again a little later
        two_people   whether a file that may spend more waits for a second person
        """
        self._ledger, self._coupons = ledger, coupons
        self._clock, self._lateness_ms, self._real_clock = clock, lateness_ms, real_clock
        self._recall = Recall(ledger)
        self._turn = threading.Lock()
        self._shelf = Shelf(mall)
        self._versions = Versions(ledger, mall, two_people=two_people)
        self.seen = 0  # the last event worked through, for Ledger.wait_beyond
        self._number = 0  # of the publication that is followed
        self.book = book
        with self._turn, ledger.write() as tx:
            taken = self._versions.take_file(tx, book, clock())
            self.seen = ledger.cursor(tx, self.CURSOR)
            self._take_up(tx, clock())
        if taken is not None and taken.publication is None:
            log.warning(
                "the book in the file may spend more, so it waits and what was published before stays in force",
                raises=taken.raises,
                way_out=f"sojourn book publish {book.version}, or two_people = false in the settings",
            )

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
                self._take_up(tx, now_ms)
                real_ms = self._real_clock()
                expired = self._coupons.expire_due(tx, now_ms, heard_real_ms=real_ms, limit=MOST_AT_ONCE)
                due_ms = self._recall.due(tx, now_ms, MOST_AT_ONCE)
                batch = self._batch(tx, due_ms, now_ms)
                told = [event for member in due_ms for event in batch.wake(member)]
                for member, since_ms in due_ms.items():
                    batch.move(member, id_of("deadline", member, since_ms), real_ms, late=False)
                batch.close()
                self._ledger.append(tx, told, heard_real_ms=real_ms)
            return len(due_ms) + len(expired)

    def _round(self) -> int:
        """How many events there were."""
        with self._ledger.read() as tx:
            self.seen = self._ledger.cursor(tx, self.CURSOR)
            published = self._versions.number(tx) != self._number
            if self._ledger.last_seq(tx) <= self.seen and not published:
                return 0
        with self._ledger.write() as tx:
            self._ledger.take_turn(tx)
            self._take_up(tx, self._clock())
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

    def _take_up(self, tx: sa.Connection, now_ms: int) -> None:
        """Follow what was published since, and decide once for all processes what becomes of those on their way."""
        news = self._versions.publications(tx, beyond=self._number)
        if not news:
            return
        begins, self._number = not self._number, news[-1].number
        try:
            self.book = self._shelf.book(tx, news[-1].version)
        except SourceError as problem:
            if begins:
                raise  # whoever starts us can put the plan right
            log.error("a published version speaks of what is not on this plan", problem=str(problem))
            return
        decided = self._ledger.cursor(tx, self.BOOK_CURSOR)
        for publication in news:
            if publication.number <= decided:
                continue
            new = self._shelf.book(tx, publication.version)
            if new.away_ms:
                self._recall.look_at_every_absence(tx, now_ms)
            movers = {key: fate for key, fate in publication.fates.items() if fate.fate != FINISH_OLD}
            members = self._recall.running_in(tx, movers)
            for start in range(0, len(members), MOST_AT_ONCE):
                batch = self._batch(tx, members[start : start + MOST_AT_ONCE], now_ms)
                batch.change(new, movers, id_of("publication", publication.number))
                batch.close()
        self._ledger.move_cursor(tx, self.BOOK_CURSOR, self._number)

    def _is_late(self, event: Moment, now_ms: int) -> bool:
        # A zone is entered when that is believed, which is some time after the first evidence.
        told_ms = event.confirmed_ms if isinstance(event, ZoneEntered) else event.at_ms
        return now_ms - told_ms > self._lateness_ms

    def _batch(self, tx: sa.Connection, members: Iterable[int], now_ms: int) -> Batch:
        return Batch(tx, self._recall, self._coupons, self.book, self._shelf.book, members, now_ms)

    @staticmethod
    def _any_overdue(tx: sa.Connection, now_ms: int) -> bool:
        overdue = sa.select(tables.coupon.c.id).where(tables.LIVE, tables.coupon.c.expires_ms <= now_ms).limit(1)
        return tx.execute(overdue).first() is not None
