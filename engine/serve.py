"""The engine's process, wired once: what listens, what decides, what the clock starts, and what answers.

Every loop below runs for as long as the process does. One that fails takes the process down with it, and is seen:
a supervisor restarts us, and the ledger says where each loop had come to.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from secrets import token_bytes
from tempfile import TemporaryDirectory
from time import thread_time
from typing import Any
from zoneinfo import ZoneInfo

import structlog
import uvicorn
from apscheduler.events import EVENT_JOB_ERROR, JobExecutionEvent
from apscheduler.schedulers.background import BackgroundScheduler
from fastapi import FastAPI

from engine import api, covering, picture, status
from engine.access import Access
from engine.app import create_app
from engine.batches import Border
from engine.broker import Subscriber, open_broker
from engine.clock import system_clock
from engine.events import PresenceEvent
from engine.feed import Feed
from engine.identity import DAY_MS, Identity
from engine.ingest import Ingest
from engine.keys import Keys
from engine.ledger import Ledger, open_ledger
from engine.live import LiveAway, LiveState, open_live
from engine.live import answers as live_answers
from engine.plan import Plan
from engine.presence import Presence
from engine.settings import Settings
from engine.start import CannotStart, data_folder, listening, read_plan, read_the_book
from engine.status import SensorClock, SensorFault, Status
from engine.stream import Stream
from engine.surroundings import Surroundings
from engine.tuning import Tuning
from rules import api as rules_api
from rules import book_api, channels_api, explain_api, invitations_api, receipts_api, residents_api, switches_api
from rules.book import Book, Mall
from rules.codes import Codes
from rules.coupons import Coupons
from rules.delivery import Delivery, open_delivery
from rules.events import CouponEvent
from rules.forgetting import forget_traces
from rules.idempotency import forget_old
from rules.inbox import Inbox
from rules.invitations import Invitations
from rules.parcel import NoTemplate
from rules.promote import Promotion
from rules.receipts import Receipts
from rules.redemption import Till
from rules.sending import Senders
from rules.shelf import Shelf
from rules.times import Calendar
from rules.wallet import ShopPlace, Wallets

log = structlog.get_logger()

# As many threads as loops and jobs can hold at once, with room for the stream.
THREADS = 16
EPOCHS_TURN_HOUR = 4  # local; malls are closed
# How often deadlines that have come are looked for, in paced seconds, and the least real seconds between two looks.
DUE_EVERY_S = 1.0
LEAST_PERIOD_S = 0.2
WATCH_EVERY_S = 5
# A look for deadlines is left out while the last one still runs: the next finds the same. That is no news for a log.
logging.getLogger("apscheduler.scheduler").setLevel(logging.ERROR)
# Each statement of a transaction gives up the interpreter and waits to get it back: with the usual 5 ms, a busy thread
# beside it made a transaction of ten statements last 50 ms, and everybody else wait for the writer.
SWITCH_S = 0.0005
# How long a round of ingest waits for a first message, and how many make the next one follow at once.
WAIT_S, MANY = 0.2, 200
# However long a round took, the next one comes within this: pages and coupons wait for it.
LONGEST_PAUSE_MS = 500
PAGES_FOLDER = Path(__file__).resolve().parent.parent / "dashboards" / "dist"


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
            observations=ingest.observations,
            fixes=ingest.fixes,
            late_observations=ingest.presence.late,
            missing_batches=sum(ingest.border.gaps().values()),
            refused=refused + [SensorFault(sensor="", reason=r, count=n) for r, n in sorted(ingest.refused.items())],
        )


def build(settings: Settings, stack: ExitStack) -> tuple[Engine, FastAPI]:
    """Open everything; *stack* closes it in the reverse order. Raises CannotStart or embedded.NotStarted."""
    folder = data_folder(settings)
    plan = read_plan(settings.zones_path)
    book = read_the_book(settings, plan)
    keys = Keys.read_or_make(folder, token_bytes)
    clock = settings.pace.now
    broker_url = stack.enter_context(open_broker(settings.broker_url, folder))
    client = stack.enter_context(open_live(settings.live_url, folder))
    live = LiveState(client, plan.site)
    ledger = open_ledger(settings.ledger, PresenceEvent | CouponEvent)
    stack.callback(ledger.close)
    identity = Identity(ledger, keys, plan.site, token_bytes, turn_ms=_turn_ms(book.calendar.timezone, clock()))
    subscriber = Subscriber(broker_url, plan.site)
    stack.callback(subscriber.close)
    tuning = Tuning()
    ingest = Ingest(
        plan=plan,
        presence=Presence(plan, tuning),
        border=Border(plan.sensor_index, settings.controllers),
        identity=identity,
        ledger=ledger,
        subscriber=subscriber,
        keys=keys,
        pace=settings.pace,
        controllers=settings.controllers,
    )
    ingest.start()
    codes = Codes(keys.codes, keys.code_digests)
    coupons, mall = Coupons(ledger, codes), Mall.of(plan)
    shops = {key: ShopPlace(key=key, name=dict(zone.name), level=zone.level) for key, zone in plan.shops().items()}
    inbox = Inbox()
    access = Access(keys.access)
    stream = Stream(live, period_s=settings.frame_period_ms / 2_000)
    promotion = Promotion(
        ledger, book, coupons, mall, clock, lateness_ms=settings.lateness_ms, two_people=settings.two_people
    )
    around = Surroundings(
        {
            "broker": lambda: subscriber.connected,
            "live state": lambda: live_answers(client),
            "ledger": ledger.answers,
        }
    )
    delivery = _delivery(
        settings, stack, ledger=ledger, coupons=coupons, identity=identity, keys=keys, book=lambda: promotion.book
    )
    engine = Engine(
        settings=settings,
        plan=plan,
        book=book,
        ledger=ledger,
        live=live,
        ingest=ingest,
        promotion=promotion,
        senders=delivery.senders,
        inbox=inbox,
        stream=stream,
        feed=Feed(
            settings.k,
            quiet={zone.key for zone in plan.zones if zone.no_marketing},
            title=lambda offer: dict(promotion.book.offers[offer].title) if offer in promotion.book.offers else None,
        ),
        subscriber=subscriber,
        around=around,
        stopping=threading.Event(),
    )

    def in_force() -> Book:
        return promotion.book

    def calendar() -> Calendar:
        return promotion.book.calendar

    ways = delivery.channels.open
    people: dict[str, Any] = {
        "ledger": ledger, "inbox": inbox, "identity": identity, "live": live, "access": access, "pace": settings.pace,
        "wallets": Wallets(codes, identity, shops, settings.pace, lambda: in_force().timezone, ways),
        "calendar": calendar, "consents_changed": ingest.consents_changed,
    }  # fmt: skip
    routers = [
        access.routes(shops={key: place.name for key, place in shops.items()}),
        api.routes(
            plan=plan,
            ledger=ledger,
            identity=identity,
            stream=stream,
            access=access,
            clock=clock,
            consents_changed=ingest.consents_changed,
            ready=around.why_not_ready,
        ),
        status.routes(access, engine.status),
        covering.routes(plan, lambda: ingest.presence.radio, tuning, access),
        rules_api.routes(till=Till(ledger, codes, calendar), **people),
        invitations_api.routes(
            invitations=Invitations(ledger, {key: zone.kind for key, zone in plan.shops().items()}, token_bytes),
            k=settings.k,
            **people,
        ),
        receipts_api.routes(
            receipts=Receipts(ledger, codes, plan.shops(), calendar), access=access, pace=settings.pace
        ),
        explain_api.routes(ledger=ledger, shelf=Shelf(mall), book=in_force, access=access, pace=settings.pace),
        book_api.routes(
            ledger=ledger, mall=mall, two_people=settings.two_people, access=access, pace=settings.pace, k=settings.k
        ),
        channels_api.routes(ledger, delivery, access, clock),
        residents_api.routes(ledger, access, clock),
        switches_api.routes(ledger, switches_api.Board(ledger, in_force, plan.shops(), ways), access, clock),
    ]
    return engine, create_app(routers, PAGES_FOLDER)


def _delivery(settings: Settings, stack: ExitStack, **parts: Any) -> Delivery:
    names = ("pace", "push_contact", "push_services", "messages_url")
    try:
        return open_delivery(stack, **parts, **{name: getattr(settings, name) for name in names})
    except NoTemplate as problem:
        raise CannotStart(str(problem)) from None


def document() -> dict[str, object]:
    """The API's OpenAPI document, without opening anything that lasts."""
    with TemporaryDirectory() as folder, ExitStack() as stack:
        settings = Settings(data_folder=Path(folder), live_url="redis://127.0.0.1:1/0", broker_url="mqtt://127.0.0.1:1")
        return build(settings, stack)[1].openapi()


def _turn_ms(timezone: str, now_ms: int) -> int:
    """When epochs change, in ms after midnight UTC."""
    offset = datetime.fromtimestamp(now_ms / 1_000, ZoneInfo(timezone)).utcoffset()
    assert offset is not None
    return int((timedelta(hours=EPOCHS_TURN_HOUR) - offset) / timedelta(milliseconds=1)) % DAY_MS


async def run(settings: Settings) -> None:
    """Serve until told to stop. Raises CannotStart, and whatever broke a loop."""
    sys.setswitchinterval(SWITCH_S)
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(THREADS))
    with ExitStack() as stack:
        taken = stack.enter_context(listening(settings.host, settings.port))
        engine, app = build(settings, stack)
        server = uvicorn.Server(
            uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=2)
        )
        stack.enter_context(_alarms(engine, server))
        log.info("serving", url=f"http://{settings.host}:{taken.getsockname()[1]}")
        async with asyncio.TaskGroup() as tasks:
            follow = tasks.create_task(engine.stream.follow(), name="stream")
            for work in (engine.listen, engine.decide, engine.tell):
                tasks.create_task(asyncio.to_thread(work), name=work.__name__)
            try:
                await server.serve(sockets=[taken])
            finally:
                engine.stopping.set()
                follow.cancel()


@contextmanager
def _alarms(engine: Engine, server: uvicorn.Server) -> Iterator[None]:
    """What the clock starts. The jobs hold no logic; one that fails stops the server, as a loop would."""
    alarms = BackgroundScheduler(timezone="UTC")
    failed: list[BaseException] = []

    def note(job: JobExecutionEvent) -> None:
        failed.append(job.exception)
        server.should_exit = True

    alarms.add_listener(note, EVENT_JOB_ERROR)
    pace = engine.settings.pace
    options = {"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
    alarms.add_job(
        engine.meet_deadlines,
        "interval",
        seconds=max(DUE_EVERY_S / pace.speed, LEAST_PERIOD_S),
        **options,
    )
    alarms.add_job(engine.around.watch, "interval", seconds=WATCH_EVERY_S, **options)
    alarms.add_job(engine.forget, "interval", hours=24 / pace.speed, **options)
    alarms.start()
    try:
        yield
    finally:
        alarms.shutdown()
        if failed:
            raise failed[0]
