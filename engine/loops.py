"""What one engine is made of, and its loops: messages to events, events to coupons, events to pages."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from time import thread_time

import structlog

from engine import picture, status
from engine.broker import Subscriber
from engine.clock import system_clock
from engine.feed import Feed
from engine.ingest import Ingest
from engine.ledger import Ledger
from engine.live import LiveAway, LiveState
from engine.plan import Plan
from engine.settings import Settings
from engine.status import SensorClock, SensorFault, Status
from engine.stream import Stream
from engine.surroundings import Surroundings
from rules.book import Book
from rules.forgetting import forget_traces
from rules.idempotency import forget_old
from rules.inbox import Inbox
from rules.promote import Promotion
from rules.sending import Senders

log = structlog.get_logger()

# How long a round of ingest waits for a first message, and how many make the next one follow at once.
WAIT_S, MANY = 0.2, 200
# However long a round took, the next one comes within this: pages and coupons wait for it.
LONGEST_PAUSE_MS = 500
# The least real seconds between two looks at the ledger.
LEAST_PERIOD_S = 0.2


@dataclass
class Engine:
    """What one process is made of."""

    settings: Settings
    plan: Plan
    book: Book
    ledger: Ledger
    live: LiveState
    ingest: Ingest
    promotion: Promotion
    senders: Senders
    inbox: Inbox
    stream: Stream
    feed: Feed
    subscriber: Subscriber
    around: Surroundings
    stopping: threading.Event

    def listen(self) -> None:
        """Messages to events; then the picture, which must see presence between two rounds."""
        drawn_real_ms = 0
        while not self.stopping.is_set():
            began_real_ms, began_s = system_clock(), thread_time()
            taken = self.ingest.round(WAIT_S)
            worked_ms = (thread_time() - began_s) * 1_000
            now_real_ms = system_clock()
            if now_real_ms - drawn_real_ms >= self.settings.frame_period_ms:
                drawn_real_ms = now_real_ms
                self._show(now_real_ms)
            # Gathered, messages cost far less than one by one; where many wait already, there is nothing to wait for.
            # A round that closes a second keeps the whole state: where that is work for longer than a round should
            # last, rounds are made rarer, so that half the time is left for what arrives.
            if taken < MANY:
                pause_ms = min(worked_ms, LONGEST_PAUSE_MS) if worked_ms > self.settings.round_ms else 0
                self.stopping.wait(max(began_real_ms + self.settings.round_ms - system_clock(), pause_ms) / 1_000)
        self.ingest.round(0.0, last=True)

    def _show(self, now_real_ms: int) -> None:
        if not self.ingest.reached_ms:
            return  # nothing was heard yet, and no picture is truer than an empty one
        where = self.ingest.where()
        frame = picture.draw(
            self.plan,
            where,
            at_ms=max(self.ingest.reached_ms, self.ingest.presence.reached_ms),
            clock_ms=self.settings.pace.now(),
            real_ms=now_real_ms,
            speed=self.settings.pace.speed,
            timezone=self.promotion.book.timezone,
            k=self.settings.k,
            silent=self.ingest.silent(),
        )
        try:
            self.live.show(frame.model_dump_json().encode())
        except LiveAway as problem:
            # Pages say by themselves that they are stale; presence and coupons do not need it.
            log.warning("live state is away", problem=str(problem))

    def decide(self) -> None:
        """Events to coupons, and coupons to inboxes."""
        while not self.stopping.is_set():
            self.ledger.wait_beyond(self.promotion.seen, LEAST_PERIOD_S)
            self.promotion.round()
            self.senders.round()

    def tell(self) -> None:
        """Events to lines of the feed and to open wallets, from now on."""
        with self.ledger.read() as tx:
            seq = self.ledger.last_seq(tx)
        while not self.stopping.is_set():
            if self.ledger.wait_beyond(seq, 0.5):
                with self.ledger.read() as tx:
                    recorded = self.ledger.since(tx, seq, 1_000)
                seq = recorded[-1].seq
                self.inbox.hear(one.event for one in recorded)
                for one in recorded:
                    self.feed.note(one.event, self.settings.pace.now())
            lines = self.feed.due(self.settings.pace.now())
            try:
                self.live.tell([line.model_dump_json().encode() for line in lines])
            except LiveAway as problem:
                log.warning("live state is away", problem=str(problem))

    def meet_deadlines(self) -> None:
        """Deadlines that have come. They wait for event time: while no sensor is heard, nobody is known to be here."""
        self.promotion.due(min(self.settings.pace.now(), self.ingest.reached_ms))

    def forget(self) -> None:
        """What nobody will ask for again."""
        with self.ledger.write() as tx:
            forget_old(tx, self.settings.pace.now())
        forget_traces(self.ledger, self.settings.pace.now())

    def status(self) -> Status:
        ingest = self.ingest
        refused = [
            SensorFault(sensor=sensor, reason=reason, count=count)
            for (sensor, reason), count in sorted(ingest.border.refused.items())
        ]
        return Status(
            clock_ms=self.settings.pace.now(),
            reached_ms=ingest.reached_ms,
            lag_ms_max=int(ingest.lag_ms_max / self.settings.pace.speed),
            connected=self.subscriber.connected,
            sensors_silent=list(ingest.silent()),
            clocks_wrong=[SensorClock(sensor=s, off_ms=ms) for s, ms in sorted(ingest.clocks.wrong.items())],
            radio=status.radio_fit(ingest.presence.links),
            survey_points=0 if ingest.presence.survey is None else ingest.presence.survey.points,
            observations=ingest.observations,
            fixes=ingest.fixes,
            late_observations=ingest.presence.late,
            missing_batches=sum(ingest.border.gaps().values()),
            refused=refused + [SensorFault(sensor="", reason=r, count=n) for r, n in sorted(ingest.refused.items())],
        )
