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
from datetime import datetime, timedelta
from pathlib import Path
from secrets import token_bytes
from tempfile import TemporaryDirectory
from typing import Any
from zoneinfo import ZoneInfo

import structlog
import uvicorn
from apscheduler.events import EVENT_JOB_ERROR, JobExecutionEvent
from apscheduler.schedulers.background import BackgroundScheduler
from fastapi import FastAPI

from engine import api, covering, status
from engine.access import Access
from engine.app import create_app
from engine.batches import Border
from engine.broker import Subscriber, open_broker
from engine.events import PresenceEvent
from engine.feed import Feed
from engine.identity import DAY_MS, Identity
from engine.ingest import Ingest
from engine.keys import Keys
from engine.ledger import open_ledger
from engine.live import LiveState, open_live
from engine.live import answers as live_answers
from engine.loading import read_survey, read_the_book
from engine.loops import LEAST_PERIOD_S, Engine
from engine.plainly import CannotStart
from engine.presence import Presence
from engine.settings import Settings
from engine.start import data_folder, listening, read_plan
from engine.stream import Stream
from engine.surroundings import Surroundings
from engine.tuning import Tuning
from rules import api as rules_api
from rules import (
    attributes_api,
    book_api,
    channels_api,
    coupons_api,
    explain_api,
    invitations_api,
    receipts_api,
    residents_api,
    switches_api,
)
from rules.book import Book, Mall
from rules.codes import Codes
from rules.coupons import Coupons
from rules.delivery import Delivery, open_delivery
from rules.events import CouponEvent
from rules.inbox import Inbox
from rules.invitations import Invitations
from rules.parcel import NoTemplate
from rules.promote import Promotion
from rules.receipts import Receipts
from rules.redemption import Till
from rules.shelf import Shelf
from rules.times import Calendar
from rules.wallet import ShopPlace, Wallets

log = structlog.get_logger()

# As many threads as loops and jobs can hold at once, with room for the stream.
THREADS = 16
EPOCHS_TURN_HOUR = 4  # local; malls are closed
# How often deadlines that have come are looked for, in paced seconds; not oftener than LEAST_PERIOD_S in real ones.
DUE_EVERY_S = 1.0
WATCH_EVERY_S = 5
# A look for deadlines is left out while the last one still runs: the next finds the same. That is no news for a log.
logging.getLogger("apscheduler.scheduler").setLevel(logging.ERROR)
# Each statement of a transaction gives up the interpreter and waits to get it back: with the usual 5 ms, a busy thread
# beside it made a transaction of ten statements last 50 ms, and everybody else wait for the writer.
SWITCH_S = 0.0005
PAGES_FOLDER = Path(__file__).resolve().parent.parent / "dashboards" / "dist"


def build(settings: Settings, stack: ExitStack) -> tuple[Engine, FastAPI]:
    """Open everything; *stack* closes it in the reverse order. Raises CannotStart or embedded.NotStarted."""
    folder = data_folder(settings)
    plan = read_plan(settings.zones_path)
    survey = read_survey(settings, plan)
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
        presence=Presence(plan, tuning, survey=survey),
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
    levels = {level.key: dict(level.short_name) for level in plan.levels}
    shops = {
        key: ShopPlace(key=key, name=dict(zone.name), level=levels[zone.level]) for key, zone in plan.shops().items()
    }
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
        coupons_api.routes(ledger, coupons_api.Helpdesk(ledger, codes), access, settings.pace),
        attributes_api.routes(ledger, access, settings.pace),
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
