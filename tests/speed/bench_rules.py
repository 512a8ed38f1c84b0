"""How many decisions, coupons and redemptions a second; and what a million deadlines cost while none is due."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter

import psycopg
import sqlalchemy as sa

from engine.events import PresenceEvent, VisitStarted, id_of
from engine.ledger import WAL_PAGES, Ledger, open_ledger
from engine.plan import Plan
from engine.tables import metadata
from rules import journey
from rules.book import Book, Mall
from rules.budgets import Charge
from rules.codes import Codes
from rules.coupons import Coupons
from rules.events import CouponEvent
from rules.giving import New
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
CODES = Codes(b"k" * 32, b"p" * 32)
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


# What a driver is given to write: the same rows into the same tables, and the same money; all else is left out.
WRITTEN = {"issue": ("coupon", "coupon_event", "outbox", "event"), "redeem": ("redemption", "coupon_event", "event")}
SPENT = """
UPDATE coupon SET state = 'redeemed', redeemed_ms = {0}, ended_ms = {0}, uses = uses + 1
WHERE code_digest = {1} AND state = 'issued' AND expires_ms > {0}"""
RESERVED = """
INSERT INTO budget (scope, span, cap, reserved, spent) VALUES ('{scope}', '{span}', {cap}, 60, 0)
ON CONFLICT (scope, span) DO UPDATE SET reserved = budget.reserved + 60
WHERE budget.reserved + budget.spent + 60 <= budget.cap"""
PAID = "UPDATE budget SET reserved = reserved - 60, spent = spent + 60 WHERE scope = '{scope}' AND span = '{span}'"
Parts = list[tuple[str, Sequence[object]]]


class Bare:
    """What a bare driver is asked to do beside a ledger of ours; parts are the statements of one transaction.

    It writes the same rows, with their indexes, and the same money, as durably as ours and one transaction after the
    other in one connection, as ours does when one asks at a time. The values are ready: it makes up no code, encodes no
    JSON, and asks for no more than that a budget suffices and the coupon is live.

    SQLite      BEGIN IMMEDIATE, a prepared statement for each row or budget, COMMIT; with the pragmas of ours
    PostgreSQL  all of it as one prepared statement, which commits by itself: one journey to the server, no lock. Its
                values are numbered, as psycopg would read a text of so many named ones anew each time
    At once     one thread, a hundred transactions' worth of statements in each commit, and nobody to be told
    """

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self._sqlite = ledger, ledger.sqlite

    def parts(self, act: str, number: int) -> Parts:
        """What *ledger* wrote when it did *act* for a coupon, as statements that would write it again."""
        coupon, mark = new(number).id, "?" if self._sqlite else "%s"
        found: Parts = []
        for table in WRITTEN[act]:
            columns = list(metadata.tables[table].c.keys())
            # The last line and event of a coupon, and PostgreSQL's values as it would write them itself.
            asked = ", ".join(columns if self._sqlite else [f"{name}::text" for name in columns])
            of = {"coupon": "id", "event": "visit"}.get(table, "coupon")
            last = f" ORDER BY {table}.seq DESC LIMIT 1" if "seq" in columns else ""
            which = f"visit-{number}" if of == "visit" else coupon
            with self.ledger.read() as tx:
                values = tx.exec_driver_sql(f"SELECT {asked} FROM {table} WHERE {of} = '{which}'{last}").one()
            found.append(
                (
                    f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join([mark] * len(columns))})",
                    tuple(values),
                )
            )
        if act == "redeem":
            digest = CODES.digest(CODES.of(coupon))
            found.append((SPENT.format(NOON_MS + MINUTE_MS, mark), (digest,)))
        money = RESERVED if act == "issue" else PAID
        return found + [(money.format(**charge._asdict()), ()) for charge in BUDGETS]


def bare_sqlite(file: Path) -> Callable[[Sequence[Parts]], None]:
    open_ledger(f"sqlite:///{file}", PresenceEvent | CouponEvent).close()
    driver = sqlite3.connect(file, isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", f"wal_autocheckpoint={WAL_PAGES}"):
        driver.execute(f"PRAGMA {pragma}")

    def transact(group: Sequence[Parts]) -> None:
        """All of the group in one transaction."""
        driver.execute("BEGIN IMMEDIATE")
        for parts in group:
            for statement, values in parts:
                driver.execute(statement, values)
        driver.execute("COMMIT")

    return transact


def bare_postgres(server: str) -> Callable[[Sequence[Parts]], None]:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("CREATE DATABASE bare")
    url = server.removesuffix("postgres") + "bare"
    open_ledger(url, PresenceEvent | CouponEvent).close()
    driver = psycopg.connect(url, autocommit=True, cursor_factory=psycopg.RawCursor)

    def transact(group: Sequence[Parts]) -> None:
        """One prepared statement, which is a transaction by itself: one journey to the server and back."""
        for parts in group:
            for text, values in parts:
                driver.execute(text, values, prepare=True)

    return transact


def together(parts: Parts) -> Parts:
    """The statements of one transaction as one of PostgreSQL's."""
    *first, (last, _) = parts
    text = ", ".join(f"part_{n} AS ({one} RETURNING 1)" for n, (one, _) in enumerate(first))
    start, *rest = f"WITH {text} {last}".split("%s")
    numbered = start + "".join(f"${number}{piece}" for number, piece in enumerate(rest, 1))
    return [(numbered, [value for _, values in parts for value in values])]


def side_by_side(
    ledger: Ledger, transact: Callable[[Sequence[Parts]], None], count: int, ready: Callable[[Parts], Parts] = list
) -> dict[str, float]:
    """Seconds for *count* of each, ours and bare, in turns of ten, so that both meet the same machine."""
    coupons, till, bare = Coupons(ledger, CODES), Till(ledger, CODES, lambda: Calendar("Asia/Shanghai")), Bare(ledger)
    took = dict.fromkeys(("issue", "redeem", "bare issue", "bare redeem"), 0.0)

    def issue(coupon: New) -> None:
        with ledger.write() as tx:
            coupons.issue(tx, coupon)

    def redeem(code: str) -> None:
        with ledger.write() as tx:
            till.redeem(tx, SHOP, code, NOON_MS + MINUTE_MS, heard_real_ms=7)

    for start in range(0, count, 10):
        # What is asked for is ready: a coupon that was decided on, and the code that a member shows.
        decided = [new(number) for number in range(start, start + 10)]
        ours_of = {
            "issue": [partial(issue, one) for one in decided],
            "redeem": [partial(redeem, CODES.of(one.id)) for one in decided],
        }
        for name, ours in ours_of.items():
            began_s = perf_counter()
            for act in ours:
                act()
            took[name] += perf_counter() - began_s
            again = [[ready(bare.parts(name, number))] for number in range(start, start + 10)]
            began_s = perf_counter()
            for group in again:
                transact(group)
            took[f"bare {name}"] += perf_counter() - began_s
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
    """Coupons with budget, outbox row, line and event are given, and redeemed, one durable transaction each, beside a
    bare driver that writes the same rows into SQLite."""
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
        return figures(side_by_side(ledger, bare_postgres(url), count, together), count, "postgres")


# -- many at once -------------------------------------------------------------------------------------

CALLERS, GROUP = 32, 100


@benchmark(
    runs=3,
    **{f"{act}_at_once_{what}tx_per_s_sqlite": Figure("tx/s") for act in ("issue", "redeem") for what in ("", "bare_")},
    **{f"{act}_at_once_of_bare_sqlite": Figure(ENOUGH, at_least=0.6) for act in ("issue", "redeem")},
)
def coupons_for_many_at_once(share: float) -> dict[str, float]:
    """32 callers give and redeem coupons, each told when its own is durable; a driver commits 100 at once."""
    count = max(int(2_000 * share), 2 * GROUP) // GROUP * GROUP
    found: dict[str, float] = {}
    with sqlite_ledger() as (ledger, folder), ThreadPoolExecutor(CALLERS) as callers:
        coupons, till = Coupons(ledger, CODES), Till(ledger, CODES, lambda: Calendar("Asia/Shanghai"))
        transact, bare = bare_sqlite(folder / "bare.sqlite"), Bare(ledger)

        def issue(number: int) -> None:
            with ledger.write() as tx:
                assert coupons.issue(tx, new(number))

        def redeem(number: int) -> None:
            with ledger.write() as tx:
                till.redeem(tx, SHOP, CODES.of(new(number).id), NOON_MS + MINUTE_MS, heard_real_ms=7)

        for name, act in (("issue", issue), ("redeem", redeem)):
            began_s = perf_counter()
            for _ in callers.map(act, range(count)):
                pass
            found[f"{name}_at_once_tx_per_s_sqlite"] = count / (perf_counter() - began_s)
            parts = [bare.parts(name, number) for number in range(count)]
            began_s = perf_counter()
            for start in range(0, count, GROUP):
                transact(parts[start : start + GROUP])
            found[f"{name}_at_once_bare_tx_per_s_sqlite"] = count / (perf_counter() - began_s)
            ours, theirs = (found[f"{name}_at_once_{what}tx_per_s_sqlite"] for what in ("", "bare_"))
            found[f"{name}_at_once_of_bare_sqlite"] = ours / theirs
    return found


# -- deadlines ----------------------------------------------------------------------------------------


@benchmark(runs=1, due_deadlines_tick_ms_1m=Figure("ms", at_most=1))
def a_tick_with_nothing_due(share: float) -> dict[str, float]:
    """What it costs to ask for deadlines that have come while a million wait for later; SQLite."""
    pending, mall = max(int(1_000_000 * share), 1_000), Mall.of(Plan.read(ROOT / "zones.geojson"))
    with sqlite_ledger() as (ledger, _):
        rows = [{"instance": id_of(n), "member": n, "due_ms": NOON_MS + MINUTE_MS + n} for n in range(pending)]
        with ledger.write() as tx:
            tx.execute(sa.insert(deadline), rows)
        coupons = Coupons(ledger, CODES)
        promotion = Promotion(ledger, large_book(mall), coupons, mall, lambda: NOON_MS)
        took_s = []
        for tick in range(50):
            began_s = perf_counter()
            assert promotion.due(NOON_MS + tick) == 0
            took_s.append(perf_counter() - began_s)
    return {"due_deadlines_tick_ms_1m": 1_000 * median(took_s)}
