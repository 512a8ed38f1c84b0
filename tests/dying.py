"""Acts on coupons, each done by a process of its own that may kill itself before any statement it sends.

A module apart, so that a fresh process can import it: nothing is left to clean up after a kill -9.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import sqlalchemy as sa

from engine.events import PresenceEvent, VisitStarted, id_of
from engine.identity import Identity, Newcomer
from engine.keys import Keys
from engine.ledger import Ledger, open_database
from engine.plan import Plan
from rules import idempotency
from rules.book import Mall
from rules.budgets import Charge
from rules.channels import Channels
from rules.codes import Codes
from rules.coupons import Coupons, Refused
from rules.events import CouponEvent
from rules.giving import New
from rules.outbox import Outbox
from rules.promote import Promotion
from rules.reading import parse_book
from rules.redemption import Till
from rules.switches import Switch, Switches
from rules.times import Calendar

NOON_MS = 1_795_233_600_000  # 2026-11-21 12:00 in Shanghai
MINUTE_MS = 60_000
SHOP = "cafe-luna"
ROOT = Path(__file__).resolve().parent.parent
MALL = Mall.of(Plan.read(ROOT / "zones.geojson"))
BOOK = """
schema: 1
timezone: Asia/Shanghai
offers:
  coffee: {title: Coffee, shops: [cafe-luna], cost: 60, valid: 40m}
limits: {budget: {day: 1000000, visit: 2500}}
journeys:
  day-out:
    priority: 50
    start: {event: visit.started, once: visit}
    stop: {event: visit.ended}
    steps:
      - {id: coffee, when: [{time: "09:00-18:00"}], try: [coffee], wait: 25m}
"""
_fresh = multiprocessing.get_context("forkserver")
_fresh.set_forkserver_preload([__name__])


class Site(NamedTuple):
    """What the acts work with, on one ledger."""

    ledger: Ledger
    codes: Codes
    coupons: Coupons
    till: Till
    outbox: Outbox
    promotion: Callable[[], Promotion]


def open_site(ledger: Ledger) -> Site:
    codes = Codes(b"k" * 32, b"p" * 32)
    coupons = Coupons(ledger, codes)
    outbox = Outbox(
        ledger, coupons, Identity(ledger, Keys(b"m" * 32), "demo", bytes), Channels(ledger, b"c" * 32, bytes)
    )

    def promotion() -> Promotion:
        return Promotion(
            ledger, parse_book(BOOK, MALL), coupons, MALL, lambda: NOON_MS + MINUTE_MS, real_clock=lambda: 7
        )

    return Site(ledger, codes, coupons, Till(ledger, codes, lambda: Calendar("Asia/Shanghai")), outbox, promotion)


def new(member: int, *, rung: int = 0, cost: int = 60) -> New:
    """The coupon that *member* is given at noon; rung 1 takes the place of rung 0."""
    first = id_of("coupon", f"run-{member}", "coffee", 0)
    return New(
        member=member, visit=f"visit-{member}", journey="day-out", instance=f"run-{member}", step="coffee", rung=rung,
        offer="coffee", shops=(SHOP,), cost=cost, reserve=cost // 2, issued_ms=NOON_MS,
        expires_ms=NOON_MS + 40 * MINUTE_MS, cause="dwelt", heard_real_ms=5, title={"en": "Coffee"}, why={"en": "Hi"},
        budgets=(Charge("day", "2026-11-21", 10**9), Charge("visit", f"visit-{member}", 2_500)),
        supersedes=first if rung else None,
    )  # fmt: skip


# -- what is there before ---------------------------------------------------------------------------


def join(site: Site, member: int) -> None:
    with site.ledger.write() as tx:
        who = Newcomer(f"m{member}", "Ana", consents=("presence", "personal_offers", "inbox"))
        identity = Identity(site.ledger, Keys(b"m" * 32), "demo", bytes)
        assert identity.join(tx, [who], NOON_MS, place="form") == [member]


def issued(site: Site, member: int) -> None:
    with site.ledger.write() as tx:
        site.coupons.issue(tx, new(member))


def redeemed(site: Site, member: int) -> None:
    issued(site, member)
    redeem(site, member)


def arrived(site: Site, member: int) -> None:
    visit = f"visit-{member}"
    event = VisitStarted(id=id_of("visit.started", visit), at_ms=NOON_MS, member=member, visit=visit)
    with site.ledger.write() as tx:
        site.ledger.append(tx, [event], heard_real_ms=5)


def holds_by_decision(site: Site, member: int) -> None:
    """The shop is open, and a journey gave the member its coupon."""
    _switch(site, True)
    arrived(site, member)
    site.promotion().round()


# -- what happens, and is killed --------------------------------------------------------------------


def issue(site: Site, member: int) -> object:
    with site.ledger.write() as tx:
        site.coupons.issue(tx, new(member))
    return None


def supersede(site: Site, member: int) -> object:
    with site.ledger.write() as tx:
        site.coupons.issue(tx, new(member, rung=1, cost=180))
    return None


def redeem(site: Site, member: int) -> object:
    code, at_ms = site.codes.of(new(member).id), NOON_MS + MINUTE_MS
    request = idempotency.Request(SHOP, "redemptions", f"redeem-{member}", {"code": code})
    act = lambda tx: site.till.redeem(tx, SHOP, code, at_ms, heard_real_ms=7).model_dump(mode="json")  # noqa: E731
    answer = idempotency.Answers(site.ledger).once(request, at_ms, act)
    return answer.status, answer.body


def restore(site: Site, member: int) -> object:
    which, at_ms = id_of("redemption", new(member).id, 1), NOON_MS + 2 * MINUTE_MS
    request = idempotency.Request(SHOP, "restore", f"restore-{member}", {"redemption": which})
    act = lambda tx: site.till.restore(tx, SHOP, which, at_ms, heard_real_ms=8).model_dump(mode="json")  # noqa: E731
    answer = idempotency.Answers(site.ledger).once(request, at_ms, act)
    return answer.status, answer.body


def expire(site: Site, member: int) -> object:
    with site.ledger.write() as tx:
        site.coupons.expire_due(tx, NOON_MS + 41 * MINUTE_MS, heard_real_ms=9)
    return None


def void(site: Site, member: int) -> object:
    with site.ledger.write() as tx:
        site.coupons.void(tx, new(member).id, NOON_MS, "journey", "visit ended", heard_real_ms=9)
    return None


def deliver(site: Site, member: int) -> object:
    site.outbox.round(NOON_MS, 11)
    return None


def decide(site: Site, member: int) -> object:
    promotion = site.promotion()
    promotion.round()
    return None


def close(site: Site, member: int) -> object:
    promotion = site.promotion()
    _switch(site, False)
    promotion.round()
    return None


def _switch(site: Site, on: bool) -> None:
    with site.ledger.write() as tx:
        Switches(site.ledger).turn(tx, Switch("shop", SHOP, on, None, "no power", "shop", NOON_MS + MINUTE_MS))


ACTS: dict[str, tuple[Callable[[Site, int], None] | None, Callable[[Site, int], object]]] = {
    "issue": (None, issue),
    "supersede": (issued, supersede),
    "redeem": (issued, redeem),
    "restore": (redeemed, restore),
    "expire": (issued, expire),
    "void": (issued, void),
    "deliver": (issued, deliver),
    "decide": (arrived, decide),
    "close": (holds_by_decision, close),
}


# -- dying ------------------------------------------------------------------------------------------


def _die_before(database: sa.Engine, nth: int) -> None:
    """Kill this process before the *nth* statement that reaches the driver; beginnings and commits count too."""
    sent = count(1)

    def step(*_: object) -> None:
        if next(sent) == nth:
            os.kill(os.getpid(), signal.SIGKILL)

    if database.dialect.name == "sqlite":

        @sa.event.listens_for(database, "connect")
        def watch(connection: Any, _record: Any) -> None:
            connection.set_trace_callback(step)  # SQLite itself calls it, whoever sends the statement

        return
    for name in ("execute", "executemany"):
        setattr(psycopg.Cursor, name, _after(step, getattr(psycopg.Cursor, name)))


def _after(step: Callable[..., None], method: Callable[..., Any]) -> Callable[..., Any]:
    def stepping(*args: Any, **more: Any) -> Any:
        step()
        return method(*args, **more)

    return stepping


def _act_and_die(url: str, act: str, member: int, nth: int) -> None:
    database = open_database(url)
    site = open_site(Ledger(database, PresenceEvent | CouponEvent))
    _die_before(database, nth)
    ACTS[act][1](site, member)
    # Done and committed, and nobody was told.
    os._exit(0)


def die_in(url: str, act: str, member: int, nth: int) -> bool:
    """Have a process do *act* and be killed before its *nth* statement; False if it was done before that."""
    process = _fresh.Process(target=_act_and_die, args=(url, act, member, nth))
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL), process.exitcode
    return process.exitcode != 0


# -- together ---------------------------------------------------------------------------------------


def _give(url: str, members: range, budget: Charge) -> None:
    site = open_site(Ledger(open_database(url), PresenceEvent | CouponEvent))

    def try_one(member: int) -> None:
        with suppress(Refused), site.ledger.write() as tx:
            site.coupons.issue(tx, replace(new(member), reserve=None, budgets=(budget,)))

    with ThreadPoolExecutor(len(members)) as pool:
        list(pool.map(try_one, members))


def give_from_processes(url: str, groups: list[range], budget: Charge) -> None:
    """Give each member a coupon of one budget: a process for each group, in it a thread for each member."""
    processes = [_fresh.Process(target=_give, args=(url, members, budget)) for members in groups]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
