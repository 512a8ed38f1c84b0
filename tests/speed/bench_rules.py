"""How many decisions, coupons and redemptions a second; and what a million deadlines cost while none is due."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter

import psycopg
import sqlalchemy as sa

from engine.events import PresenceEvent, VisitStarted, id_of
from engine.ledger import Ledger, open_ledger
from engine.plan import Plan
from rules import journey
from rules.book import Book, Mall
from rules.budgets import Charge
from rules.codes import Codes
from rules.coupons import Coupons, New
from rules.events import CouponEvent
from rules.instance import Instance
from rules.promote import Promotion
from rules.reading import parse_book
from rules.redemption import Till
from rules.standing import Standing
from rules.tables import deadline
from rules.times import Calendar
from tests.conftest import ROOT
from tests.servers import postgres
from tests.speed.benchmark import Figure, benchmark, processor

NOON_MS = 1_795_233_600_000  # 2026-11-21 12:00 in Shanghai
MINUTE_MS = 60_000
SHOP = "cafe-luna"
BUDGETS = (Charge("day", "2026-11-21", 10**12), Charge("visit", "v", 10**12))
ENOUGH = "of bare"


# -- deciding -----------------------------------------------------------------------------------------


def large_book(mall: Mall) -> Book:
    """Twenty journeys of eight steps, each step with a window, a presence and an alternative to test."""
    steps = [
        {
            "id": f"step-{n}",
            "when": [
                {"time": f"{8 + n:02}:00-{14 + n:02}:00"},
                {"present": f"{10 + n}m"},
                {"any": [{"visited": "cinema"}, {"redeemed": "coffee"}, {"present": f"{30 * n}m"}]},
            ],
            "try": ["coffee", "lunch"],
            "wait": "25m",
        }
        for n in range(1, 9)
    ]
    start, stop = {"event": "visit.started", "once": "visit"}, {"event": "visit.ended"}
    offer = {"shops": [SHOP], "cost": 60, "valid": "40m"}
    return parse_book(
        json.dumps(
            {
                "schema": 1,
                "timezone": "Asia/Shanghai",
                "offers": {"coffee": {"title": "Coffee", **offer}, "lunch": {"title": "Lunch", **offer}},
                "limits": {"quiet": "22:30-08:30", "member": ["1 per 20m", "7 per visit"], "upgrades": ["1 per step"]},
                "journeys": {
                    f"journey-{n}": {"priority": n, "start": start, "stop": stop, "steps": steps} for n in range(1, 21)
                },
            }
        ),
        mall,
    )


@benchmark(decisions_per_s=Figure("decisions/s", at_least=50_000))
def deciding(share: float) -> dict[str, float]:
    """Instances of 20 journeys of 8 steps are asked, one after the other, whether they go on; one core."""
    book = large_book(Mall.of(Plan.read(ROOT / "zones.geojson")))
    asked: list[tuple[Instance, Standing]] = []
    for member in range(100):
        started_ms = NOON_MS - (member % 90) * MINUTE_MS
        arrived = VisitStarted(id=id_of(member), at_ms=started_ms, member=member, visit=f"visit-{member}")
        standing = Standing(member, consents=frozenset({"personal_offers", "inbox"})).after(arrived)
        for one in book.journeys.values():
            begun, _ = journey.enter(one, arrived, standing, book, started_ms)
            assert begun is not None
            asked.append((begun, standing))
    rounds = max(int(10 * share), 1)
    with processor() as seconds:
        for turn in range(rounds):
            for instance, standing in asked:
                journey.advance(instance, standing, book, NOON_MS + turn * 1_000)
    return {"decisions_per_s": rounds * len(asked) / seconds()}


# -- transactions -------------------------------------------------------------------------------------


def new(number: int) -> New:
    return New(
        member=number, visit=f"visit-{number}", journey="day-out", instance=f"run-{number}", step="coffee", rung=0,
        offer="coffee", shops=(SHOP,), cost=60, issued_ms=NOON_MS, expires_ms=NOON_MS + 40 * MINUTE_MS, cause="dwelt",
        heard_real_ms=5, title={"en": "Coffee 10 % off", "zh-Hans": "咖啡九折"}, why={"en": "You are here."},
        budgets=BUDGETS,
    )  # fmt: skip


BARE = """
CREATE TABLE bare_coupon (id TEXT PRIMARY KEY, member BIGINT, digest TEXT UNIQUE, state TEXT, expires_ms BIGINT);
CREATE TABLE bare_outbox (id TEXT PRIMARY KEY, coupon TEXT, state TEXT);
CREATE TABLE bare_budget (scope TEXT PRIMARY KEY, cap BIGINT, reserved BIGINT);
CREATE TABLE bare_redemption (id TEXT PRIMARY KEY, coupon TEXT UNIQUE);
INSERT INTO bare_budget VALUES ('day', 1000000000000, 0)
"""
# What a driver must send at the least: the money, the coupon and its delivery; the coupon spent and its line.
BARE_ISSUE = (
    "UPDATE bare_budget SET reserved = reserved + 60 WHERE scope = 'day' AND reserved + 60 <= cap",
    "INSERT INTO bare_coupon VALUES ({0}, 1, {0}, 'issued', 9)",
    "INSERT INTO bare_outbox VALUES ({0}, {0}, 'queued')",
)
BARE_REDEEM = (
    "UPDATE bare_coupon SET state = 'redeemed' WHERE digest = {0} AND state = 'issued' AND expires_ms > 1",
    "INSERT INTO bare_redemption VALUES ({0}, {0})",
)


def bare_sqlite(path: Path) -> Callable[[tuple[str, ...], int], None]:
    driver = sqlite3.connect(path, isolation_level=None)
    driver.execute("PRAGMA journal_mode=WAL")
    driver.execute("PRAGMA synchronous=FULL")
    driver.executescript(BARE)

    def transact(statements: tuple[str, ...], number: int) -> None:
        driver.execute("BEGIN IMMEDIATE")
        for statement in statements:
            driver.execute(statement.format("?1"), (str(number),) if "{0}" in statement else ())
        driver.execute("COMMIT")

    return transact


def bare_postgres(url: str) -> Callable[[tuple[str, ...], int], None]:
    driver = psycopg.connect(url)
    for statement in BARE.split(";"):
        driver.execute(statement)
    driver.commit()

    def transact(statements: tuple[str, ...], number: int) -> None:
        """One statement, one journey to the server and back."""
        *first, last = (statement.format(f"'{number}'") for statement in statements)
        parts = ", ".join(f"part_{n} AS ({one} RETURNING 1)" for n, one in enumerate(first))
        driver.execute(f"WITH {parts} {last}", prepare=False)
        driver.commit()

    return transact


def side_by_side(ledger: Ledger, bare: Callable[[tuple[str, ...], int], None], count: int) -> dict[str, float]:
    """Seconds for *count* of each, ours and bare, in turns of ten, so that both meet the same machine."""
    codes = Codes(b"k" * 32, b"p" * 32)
    coupons, till = Coupons(ledger, codes), Till(ledger, codes, lambda: Calendar("Asia/Shanghai"))
    took = dict.fromkeys(("issue", "redeem", "bare issue", "bare redeem"), 0.0)
    for start in range(0, count, 10):
        numbers = range(start, start + 10)
        given = [new(number) for number in numbers]
        spent = [codes.of(one.id) for one in given]
        began_s = perf_counter()
        for one in given:
            with ledger.write() as tx:
                coupons.issue(tx, one)
        took["issue"] += perf_counter() - began_s
        began_s = perf_counter()
        for code in spent:
            with ledger.write() as tx:
                till.redeem(tx, SHOP, code, NOON_MS + MINUTE_MS, heard_real_ms=7)
        took["redeem"] += perf_counter() - began_s
        for name, statements in (("bare issue", BARE_ISSUE), ("bare redeem", BARE_REDEEM)):
            began_s = perf_counter()
            for number in numbers:
                bare(statements, number)
            took[name] += perf_counter() - began_s
    return took


def figures(took: dict[str, float], count: int, database: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for act in ("issue", "redeem"):
        found[f"{act}_tx_per_s_{database}"] = count / took[act]
        found[f"{act}_bare_tx_per_s_{database}"] = count / took[f"bare {act}"]
        found[f"{act}_of_bare_{database}"] = took[f"bare {act}"] / took[act]
    return found


def promised(database: str) -> dict[str, Figure]:
    return {
        f"{act}_{what}_{database}": figure
        for act in ("issue", "redeem")
        for what, figure in (
            ("tx_per_s", Figure("tx/s")), ("bare_tx_per_s", Figure("tx/s")), ("of_bare", Figure(ENOUGH, at_least=0.6)),
        )
    }  # fmt: skip


@contextmanager
def sqlite_ledger() -> Iterator[tuple[Ledger, Path]]:
    with tempfile.TemporaryDirectory() as folder:
        ledger = open_ledger(f"sqlite:///{folder}/ledger.sqlite", PresenceEvent | CouponEvent)
        yield ledger, Path(folder)
        ledger.close()


@benchmark(runs=3, **promised("sqlite"))
def coupons_on_sqlite(share: float) -> dict[str, float]:
    """Coupons with budget, outbox row, line and event are given, and redeemed, one durable transaction each; SQLite."""
    count = max(int(600 * share) // 10 * 10, 10)
    with sqlite_ledger() as (ledger, folder):
        return figures(side_by_side(ledger, bare_sqlite(folder / "bare.sqlite"), count), count, "sqlite")


@benchmark(runs=3, **promised("postgres"))
def coupons_on_postgres(share: float) -> dict[str, float]:
    """The same on PostgreSQL with fsync, beside a driver that sends each transaction as one statement."""
    count = max(int(300 * share) // 10 * 10, 10)
    with ExitStack() as stack:
        url = stack.enter_context(postgres(durable=True))
        ledger = open_ledger(url, PresenceEvent | CouponEvent)
        stack.callback(ledger.close)
        return figures(side_by_side(ledger, bare_postgres(url), count), count, "postgres")


# -- deadlines ----------------------------------------------------------------------------------------


@benchmark(runs=1, due_deadlines_tick_ms_1m=Figure("ms", at_most=1))
def a_tick_with_nothing_due(share: float) -> dict[str, float]:
    """What it costs to ask for deadlines that have come while a million wait for later; SQLite."""
    pending, mall = max(int(1_000_000 * share), 1_000), Mall.of(Plan.read(ROOT / "zones.geojson"))
    with sqlite_ledger() as (ledger, _):
        rows = [{"instance": id_of(n), "member": n, "due_ms": NOON_MS + MINUTE_MS + n} for n in range(pending)]
        with ledger.write() as tx:
            tx.execute(sa.insert(deadline), rows)
        coupons = Coupons(ledger, Codes(b"k" * 32, b"p" * 32))
        promotion = Promotion(ledger, large_book(mall), coupons, mall, lambda: NOON_MS)
        took_s = []
        for tick in range(50):
            began_s = perf_counter()
            assert promotion.due(NOON_MS + tick) == 0
            took_s.append(perf_counter() - began_s)
    return {"due_deadlines_tick_ms_1m": 1_000 * median(took_s)}
