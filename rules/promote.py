"""Follows the ledger and carries out what the book says: each batch of events or deadlines in one transaction.

The transaction that gives a coupon also moves the cursor, the instance, its deadline, the exposure that limits
count and the decisions with their traces: a crash repeats the batch whole or not at all.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping

import sqlalchemy as sa
import structlog

from engine.clock import Clock, system_clock
from engine.events import Moment, ZoneEntered, id_of
from engine.ledger import Ledger, Recorded
from rules import tables
from rules.batch import Batch
from rules.book import Book, Mall
from rules.coupons import Coupons
from rules.decide import LATE_MS
from rules.events import (
    BecameResident,
    BecameVisitor,
    CouponDelivered,
    CouponExpired,
    CouponIssued,
    CouponOpened,
    CouponRedeemed,
    CouponRestored,
    CouponSuperseded,
    CouponSuppressed,
    CouponVoided,
)
from rules.moving import FINISH_OLD
from rules.off import JOURNEY, OFFER, SHOP, Off
from rules.recall import Recall, Waiter
from rules.room import freed_by, held_for_closed
from rules.shelf import Shelf
from rules.source import SourceError
from rules.switches import Switch, Switches
from rules.versions import Versions

log = structlog.get_logger()

# Large enough that the queries of a batch cost little per event, small enough that a writer waits briefly.
MOST_AT_ONCE = 500
# What this room tells by itself and already knows when it hears it.
OWN_NEWS = (
    CouponIssued, CouponDelivered, CouponSuppressed, CouponSuperseded, CouponOpened, BecameResident, BecameVisitor,
)  # fmt: skip
# What leaves room or money to somebody else.
MAKES_ROOM = (CouponRedeemed, CouponVoided, CouponSuperseded, CouponExpired, CouponRestored)
# Of those who wait for the same, so many may be refused in a row: who began under another version, or needs less, may
# still have luck, but a till must not wait until everybody was asked.
REFUSED_IN_A_ROW = 3


class Promotion:
    """The one decider of a ledger. round() and due() may be called from different threads; they take turns."""

    CURSOR = "promote"
    BOOK_CURSOR = "book"  # how many publications were carried out
    SWITCH_CURSOR = "switch"  # the last turn of a switch that was

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
        self._versions, self._switches = Versions(ledger, mall, two_people=two_people), Switches(ledger)
        self._turns = 0  # the last turn of a switch that is followed
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
                self._take_up(tx, now_ms)
                real_ms = self._real_clock()
                expired = self._coupons.expire_due(tx, now_ms, heard_real_ms=real_ms, limit=MOST_AT_ONCE)
                dues = self._recall.due(tx, now_ms, MOST_AT_ONCE)
                batch = self._batch(tx, dues, now_ms)
                told = [event for member, due in dues.items() for event in batch.wake(member, due, real_ms)]
                batch.close()
                self._ledger.append(tx, told, heard_real_ms=real_ms)
            return len(dues) + len(expired)

    def _round(self) -> int:
        """How many events there were."""
        with self._ledger.read() as tx:
            self.seen = self._ledger.cursor(tx, self.CURSOR)
            turned = self._versions.number(tx) != self._number or self._switches.last(tx) != self._turns
            if self._ledger.last_seq(tx) <= self.seen and not turned:
                return 0
        with self._ledger.write() as tx:
            self._take_up(tx, self._clock())
            # Read again as the only writer: another process may have been here.
            seen = self._ledger.cursor(tx, self.CURSOR)
            recorded = self._ledger.since(tx, seen, MOST_AT_ONCE)
            self._hear(tx, recorded, self._clock())
            if recorded:
                seen = recorded[-1].seq
                self._ledger.move_cursor(tx, self.CURSOR, seen)
        self.seen = seen
        return len(recorded)

    def _hear(self, tx: sa.Connection, recorded: list[Recorded], now_ms: int) -> None:
        """Every event in its turn; where one makes room, those who wait for it are asked before the next is heard."""
        batch = self._batch(tx, _members(recorded), now_ms)
        for place, record in enumerate(recorded, 1):
            event = record.event
            if not isinstance(event, OWN_NEWS):
                batch.hear(event, record.heard_real_ms, late=self._is_late(event, now_ms))
            if isinstance(event, MAKES_ROOM) and (batch.is_short_of("") or self._recall.anyone_waits(tx)):
                batch.close()
                for short_of in sorted(freed_by(tx, event.coupon)):
                    self._ask_waiting(tx, short_of, id_of("room", short_of, event.id), record.heard_real_ms, now_ms)
                batch = self._batch(tx, _members(recorded[place:]), now_ms)
        batch.close()

    def _ask_waiting(self, tx: sa.Connection, short_of: str, cause: str, heard_real_ms: int, now_ms: int) -> None:
        """Who was refused first is asked first, for as long as there is some left."""
        refused, last = 0, None
        while refused < REFUSED_IN_A_ROW:
            waiter: Waiter | None = self._recall.next_waiting(tx, short_of, last)
            if waiter is None:
                return
            batch = self._batch(tx, [waiter.member], now_ms)
            batch.move(waiter.member, cause, heard_real_ms, late=False)
            batch.close()
            refused, last = refused + 1 if batch.is_short_of(short_of) else 0, waiter

    def _take_up(self, tx: sa.Connection, now_ms: int) -> None:
        """Follow what was published and switched since, and carry out once for all processes what follows from it."""
        self._take_up_publications(tx, now_ms)
        self._take_up_switches(tx, now_ms)

    def _take_up_switches(self, tx: sa.Connection, now_ms: int) -> None:
        """What is off is asked for at every decision; here is what a turn itself brings about.

        Of shops that closed, what is good nowhere else is taken back; whoever was held by what is on again goes on.
        """
        news = self._switches.beyond(tx, self._ledger.cursor(tx, self.SWITCH_CURSOR))
        self._turns = self._switches.last(tx)
        if not news:
            return
        off, real_ms = self._switches.off(tx, now_ms), self._real_clock()
        for seq, turn in news:
            cause = id_of("switch", seq)
            if turn.kind == SHOP and not turn.is_on:
                gone = held_for_closed(tx, self.book, off, now_ms)
                self._close(tx, gone, cause, turn.actor, real_ms, now_ms, off)
            self._ask_held(tx, turn, now_ms)
        self._ledger.move_cursor(tx, self.SWITCH_CURSOR, self._turns)

    def _close(
        self, tx: sa.Connection, gone: Mapping[int, set[str]], cause: str, actor: str, real_ms: int, now_ms: int,
        off: Off,
    ) -> None:  # fmt: skip
        members = sorted(gone)
        for start in range(0, len(members), MOST_AT_ONCE):
            some = members[start : start + MOST_AT_ONCE]
            batch = self._batch(tx, some, now_ms, off)
            for member in some:
                batch.close_shop(member, gone[member], cause, actor, real_ms)
            batch.close()

    def _ask_held(self, tx: sa.Connection, turn: Switch, now_ms: int) -> None:
        """Whoever was held by what is on again goes on; whoever still is, knows until when."""
        held = ("closed:", "taken-out:") if turn.kind in (SHOP, OFFER) else (f"switched-off:{turn.name}",)
        if turn.kind == JOURNEY:  # one that is off pauses no other
            held = (*held, f"paused by {turn.name}")
        for because in held:
            self._recall.wake(tx, because, now_ms)

    def _take_up_publications(self, tx: sa.Connection, now_ms: int) -> None:
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

    def _batch(self, tx: sa.Connection, members: Iterable[int], now_ms: int, off: Off | None = None) -> Batch:
        off = self._switches.off(tx, now_ms) if off is None else off
        return Batch(tx, self._recall, self._coupons, self.book, self._shelf.book, members, now_ms, off)

    @staticmethod
    def _any_overdue(tx: sa.Connection, now_ms: int) -> bool:
        overdue = sa.select(tables.coupon.c.id).where(tables.LIVE, tables.coupon.c.expires_ms <= now_ms).limit(1)
        return tx.execute(overdue).first() is not None


def _members(recorded: Iterable[Recorded]) -> set[int]:
    return {record.event.member for record in recorded if not isinstance(record.event, OWN_NEWS)}
