"""Whatever happens, in whatever order: no limit is passed, nothing is given unwanted, and a replay decides the same.

SOJOURN_HISTORIES says how many histories each property tries; a few here, thousands with `make fuzz`.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.events import ConsentChanged, PresenceEvent
from engine.identity import Identity
from engine.keys import Keys
from engine.ledger import Ledger, open_database
from rules import tables
from rules.book import Book, Mall
from rules.channels import Channels
from rules.coupons import Coupons
from rules.delivery import quiet
from rules.events import CouponDelivered, CouponEvent, CouponMoment, CouponRedeemed, MemberAway, MoneySpent
from rules.life import LIFE, Act, State
from rules.lines import Line
from rules.off import worthless
from rules.outbox import Outbox
from rules.reading import parse_book
from rules.receipts import Receipts
from rules.switches import Switches
from rules.times import DAY_MS
from tests.promoting import Story
from tests.servers import own_ledger_url, sqlite_ledger_url

BOOK = """\
schema: 1
timezone: Asia/Shanghai
offers:
  coffee: {title: a, shops: [cafe-luna, cafe-aurora], cost: 100, valid: 20m, visit_bound: true, capacity: 2 now}
  coffee+: {title: b, shops: [cafe-luna], cost: 200, valid: 20m, visit_bound: true, chance: 0.6}
  lunch: {title: c, shops: [noodle-hut], cost: 300, valid: 30m, capacity: 3 per day}
  cake: {title: d, shops: [cafe-luna], cost: 400, valid: 30m}
  back: {title: e, shops: [cafe-aurora], cost: 300, valid: 6h}
  back+: {title: f, shops: [cafe-aurora], cost: 350, valid: 6h}
limits:
  quiet: "12:00-12:20"
  member: [1 per 5m, 3 per visit, 5 per 30d]
  upgrades: [1 per visit, 2 per 30d]
  budget: {day: 1500, visit: 700, shops: {cafe-luna: 900}}
  capacity: {cafe-luna: 2 now}
  holdout: {percent: 20, salt: s}
journeys:
  birthday:
    priority: 90
    start: {event: visit.started, when: [{birthday: today}], once: 300d}
    steps: [{id: cake, when: [{present: 2m}], try: [cake], wait: 10m}]
    finish: {join: day-out, step: lunch}
  day-out:
    priority: 50
    budget: 1200
    start: {event: visit.started}
    steps:
      - {id: coffee, when: [{time: "09:00-12:00"}, {present: 4m}], try: [coffee, coffee+], wait: 10m, chance: 0.8}
      - id: lunch
        when: [{time: "11:00-14:00"}, {any: [{spend: {at_least: 500, within: visit}}, {present: 8m}]}]
        try: [lunch]
        wait: 20m
  come-back:
    priority: 20
    start: {event: member.away, after: 1d}
    steps: [{id: back, when: [{time: "10:00-20:00"}], try: [back, back+], wait: 5h, jitter: 2h}]
"""
BUDGETS = {"day": 1500, "visit": 700, "shop:cafe-luna": 900, "journey:day-out": 1200}
NAMES = ("ana", "bo", "cy", "di", "gus")
ACTS = ("arrives", "goes_home", "falls_silent", "is_heard_again", "redeems", "undoes", "buys", "withdraws", "consents",
        "waits", "waits", "stays_away", "restarts", "delivers", "closes", "opens", "halts", "goes_on")  # fmt: skip
SHOPS = ("cafe-luna", "cafe-aurora", "noodle-hut")
HALTS = (("mall", "mall"), ("journey", "day-out"), ("offer", "lunch"))
happenings = st.lists(st.tuples(st.sampled_from(ACTS), st.sampled_from(NAMES), st.integers(1, 25)), max_size=45)
openings = st.sampled_from(["09:00", "10:55", "11:30"])
HISTORIES = int(os.environ.get("SOJOURN_HISTORIES", "10"))
KINDS = PresenceEvent | CouponEvent
Fresh = Callable[[], AbstractContextManager[Ledger]]


class Databases(NamedTuple):
    """Makes empty ledgers, each a copy of one whose tables are there; and tries a property with some of them."""

    fresh: Fresh
    examples: int

    def try_all(self, holds: Callable[[Fresh, list[tuple[str, str, int]], str], None]) -> None:
        @settings(max_examples=self.examples, deadline=None, suppress_health_check=list(HealthCheck))
        @given(happenings, openings)
        def attempt(happenings: list[tuple[str, str, int]], opens: str) -> None:
            holds(self.fresh, happenings, opens)

        attempt()


@pytest.fixture(params=["sqlite", "postgresql"])
def databases(request: pytest.FixtureRequest, tmp_path: Path) -> Databases:
    if request.param == "sqlite":
        return Databases(_files(tmp_path), HISTORIES)
    # A database is made and dropped for each; what is the same statement on both needs no thousands of them.
    return Databases(_databases(str(request.getfixturevalue("postgres_url"))), max(3, HISTORIES // 20))


def _files(folder: Path) -> Fresh:
    numbers = count()

    @contextmanager
    def fresh() -> Iterator[Ledger]:
        path = folder / f"{next(numbers)}.db"
        database = open_database(sqlite_ledger_url(path))

        @sa.event.listens_for(database, "connect")
        def hasten(connection: Any, _record: Any) -> None:
            connection.execute("PRAGMA synchronous=OFF")  # what is proved here does not need the disk

        ledger = Ledger(database, KINDS)
        yield ledger
        ledger.close()
        path.unlink()

    return fresh


def _databases(server: str) -> Fresh:
    @contextmanager
    def fresh() -> Iterator[Ledger]:
        with own_ledger_url(server) as url:
            ledger = Ledger(open_database(url), KINDS)
            yield ledger
            ledger.close()

    return fresh


@pytest.fixture(scope="module")
def book(demo_mall: Mall) -> Book:
    return parse_book(BOOK, demo_mall)


class Done(NamedTuple):
    """What somebody did that is no event: after which one it came, and when."""

    seq: int
    at_ms: int
    act: str
    words: tuple[Any, ...]


class History:
    """One story, lived through act by act."""

    def __init__(self, ledger: Ledger, book: Book, mall: Mall, opens: str) -> None:
        self.story = Story(ledger, book, mall, opens)
        self.receipts = Receipts(ledger, self.story.codes, mall.shops, lambda: book.calendar)
        coupons, identity = Coupons(ledger, self.story.codes), Identity(ledger, Keys(b"m" * 32), "demo", bytes)
        channels = Channels(ledger, b"c" * 32, bytes)
        self.outbox = Outbox(ledger, coupons, identity, channels, quiet=quiet(lambda: book))
        self.inside: set[str] = set()
        self.redemptions: dict[str, tuple[str, str]] = {}
        self.bought = 0
        self.done: list[Done] = []
        for name in NAMES:
            self.story.join(name, holdout=name == "gus", birthday="11-21" if name == "bo" else None)

    def live(self, happenings: list[tuple[str, str, int]]) -> Story:
        """Play what can happen, whatever cannot is passed over; every limit is checked after each act."""
        for act, name, minutes in happenings:
            self.play(act, name, minutes)
            keeps_every_limit(self.story)
        return self.story

    def play(self, act: str, name: str, minutes: int) -> None:
        story = self.story
        match act:
            case "waits":
                story.turn(minutes * 60_000)
            case "stays_away":
                story.turn(minutes * 2 * 3_600_000)
            case "restarts":
                story.restart()
            case "withdraws" | "consents":
                story.consent(name, "personal_offers", act == "consents")
            case "arrives" if name not in self.inside:
                self.inside.add(name)
                story.arrives(name)
            case "goes_home" if name in self.inside:
                self.inside.remove(name)
                story.goes_home(name)
            case "redeems" if story.wallet(name):
                (coupon,) = [one for one in story.coupons(name, "issued") if one["expires_ms"] > story.now_ms]
                self.redeem(coupon["id"], coupon["shops"][0], minutes * 50)
                self.redemptions[name] = coupon["id"], coupon["shops"][0]
            case "undoes" if name in self.redemptions:
                self.undo(*self.redemptions.pop(name))
            case "buys":
                self.bought += 1
                self.buy(f"r{self.bought}", str(story.members[name]), story.now_ms, minutes * 50)
            case "falls_silent" | "is_heard_again" if name in self.inside:
                getattr(story, act)(name)
            case "closes" | "opens":
                until_ms = story.now_ms + minutes * 60_000 if minutes % 2 and act == "closes" else None
                self.do("switch", "shop", SHOPS[minutes % 3], act == "opens", until_ms)
            case "halts" | "goes_on":
                self.do("switch", *HALTS[minutes % 3], act == "goes_on", None)
            case "delivers":
                self.do("deliver")

    def do(self, act: str, *words: Any) -> None:
        with self.story.ledger.read() as tx:
            self.done.append(Done(self.story.ledger.last_seq(tx), self.story.now_ms, act, words))
        getattr(self, act)(*words)

    def switch(self, kind: str, name: str, on: bool, until_ms: int | None) -> None:
        self.story.switch(kind, name, on, until_ms=until_ms)

    def deliver(self) -> None:
        self.outbox.round(self.story.now_ms, 9)
        self.story.hear()

    def redeem(self, coupon: str, shop: str, amount_minor: int | None) -> None:
        story = self.story
        with story.ledger.write() as tx:
            code = story.codes.of(coupon)
            story.till.redeem(tx, shop, code, story.now_ms, heard_real_ms=6, amount_minor=amount_minor)
        story.hear()

    def undo(self, coupon: str, shop: str) -> None:
        r, story = tables.redemption.c, self.story
        with story.ledger.write() as tx:
            chosen = sa.select(r.id, r.at_ms).where(r.coupon == coupon, r.restored_ms.is_(None))
            last = tx.execute(chosen).first()
            if last is not None and story.now_ms - last.at_ms < 9 * 60_000:
                story.till.restore(tx, shop, last.id, story.now_ms, heard_real_ms=6)
        story.hear()

    def buy(self, number: str, member: str, at_ms: int, amount_minor: int) -> None:
        at = self.story.book.calendar.local(at_ms).isoformat()
        fields = {"shop": "stride", "receipt": number, "at": at, "amount_minor": str(amount_minor), "member": member}
        self.receipts.take([Line(1, fields)], self.story.now_ms, heard_real_ms=6)
        self.story.hear()


def keeps_every_limit(story: Story) -> None:
    coupons = [dict(row) for name in NAMES for row in story.coupons(name)]
    live = [one for one in coupons if one["state"] == "issued"]
    assert max(Counter(one["member"] for one in live).values(), default=0) <= 1
    current = [one for one in live if one["expires_ms"] > story.now_ms]
    assert sum(one["offer"] == "coffee" for one in current) <= 2
    assert sum("cafe-luna" in one["shops"] for one in current) <= 2
    day = story.book.calendar.day
    lunches = Counter(day(one["issued_ms"]) for one in coupons if one["offer"] == "lunch" and one["state"] != "void")
    assert max(lunches.values(), default=0) <= 3
    for member in story.members.values():
        mine = [coupon for coupon in coupons if coupon["member"] == member]
        lately = [coupon for coupon in mine if coupon["issued_ms"] > story.now_ms - 30 * DAY_MS]
        assert len(lately) <= 5 and sum(coupon["rung"] > 0 for coupon in lately) <= 2
        assert max(Counter(coupon["visit"] for coupon in mine).values(), default=0) <= 3
    assert not [one for one in coupons if "12:00" <= story.book.calendar.clock_text(one["issued_ms"]) < "12:20"]
    assert story.given("gus") == []
    with story.ledger.read() as tx:
        off = Switches(story.ledger).off(tx, story.now_ms)
        # What a till of a closed shop undid lives on: its member stands there.
        never_spent = [one for one in current if not one["uses"]]
        assert not [one for one in never_spent if worthless(off, one["shops"], one["expires_ms"])]
        nothing_is_given_that_is_off(tx, coupons)
        for sent in story.ledger.of_kind(tx, CouponDelivered.__struct_config__.tag, 0, 10_000):
            assert not "12:00" <= story.book.calendar.clock_text(sent.event.at_ms) < "12:20"
        for scope, reserved, spent in tx.execute(
            sa.select(tables.budget.c.scope, tables.budget.c.reserved, tables.budget.c.spent)
        ):
            assert reserved >= 0 and spent >= 0 and reserved + spent <= BUDGETS[scope]
    nothing_is_given_without_consent(story, live)


def nothing_is_given_that_is_off(tx: sa.Connection, coupons: list[dict[str, Any]]) -> None:
    e = tables.switch_event.c
    turns = tx.execute(sa.select(e.kind, e.name, e.is_on, e.until_ms, e.at_ms).order_by(e.seq)).all()
    for one in coupons:
        stops = {("mall", "mall"), ("journey", one["journey"]), ("offer", one["offer"])}
        for which in stops:
            # A turn and a coupon of the same millisecond may have come in either order.
            mine = [turn for turn in turns if (turn.kind, turn.name) == which and turn.at_ms <= one["issued_ms"]]
            last = mine[-1] if mine else None
            assert last is None or last.is_on or last.at_ms == one["issued_ms"]


def nothing_is_given_without_consent(story: Story, live: list[dict[str, Any]]) -> None:
    for name, member in story.members.items():
        with story.ledger.read() as tx:
            said = [one.event for one in story.ledger.of_member(tx, member) if isinstance(one.event, ConsentChanged)]
        offers = [event for event in said if event.purpose == "personal_offers"]
        for coupon in story.coupons(name):
            # An act may fall on the very instant of a change of mind, before or after it.
            before = [event.granted for event in offers if event.at_ms < coupon["issued_ms"]]
            at_once = [event.granted for event in offers if event.at_ms == coupon["issued_ms"]]
            assert (before and before[-1]) or True in at_once
        if not offers[-1].granted:
            assert not [one for one in live if one["member"] == member]


def test_no_history_passes_a_limit_or_gives_what_is_not_wanted(databases, book, demo_mall):
    def holds(fresh: Fresh, happenings: list[tuple[str, str, int]], opens: str) -> None:
        with fresh() as ledger:
            History(ledger, book, demo_mall, opens).live(happenings)

    databases.try_all(holds)


def test_every_coupon_of_every_history_lives_by_the_table_and_comes_to_one_end(databases, book, demo_mall):
    def holds(fresh: Fresh, happenings: list[tuple[str, str, int]], opens: str) -> None:
        with fresh() as ledger:
            story = History(ledger, book, demo_mall, opens).live(happenings)
            story.turn(3 * DAY_MS)
            line, c = tables.coupon_event.c, tables.coupon.c
            with ledger.read() as tx:
                states: dict[str, State] = {}
                for coupon, act in tx.execute(sa.select(line.coupon, line.act).order_by(line.seq)):
                    states[coupon] = LIFE[states.get(coupon), Act(act)]
                kept = dict(tx.execute(sa.select(c.id, c.state)).all())
                live = set(tx.execute(sa.select(c.id).where(c.expires_ms > story.now_ms)).scalars())
            assert states == kept
            assert not [one for one, state in states.items() if state == State.ISSUED and one not in live]

    databases.try_all(holds)


def test_a_replay_of_the_ledger_decides_the_same_to_the_byte(databases, book, demo_mall):
    def holds(fresh: Fresh, happenings: list[tuple[str, str, int]], opens: str) -> None:
        with fresh() as one, fresh() as other:
            first, again = History(one, book, demo_mall, opens), History(other, book, demo_mall, opens)
            first.live(happenings)
            replay(first, again)
            assert decisions(again.story) == decisions(first.story)

    databases.try_all(holds)


def replay(was: History, again: History) -> None:
    """What came from outside, told again at the instants at which it came."""
    first, done = was.story, list(was.done)
    with first.ledger.read() as tx:
        recorded = first.ledger.since(tx, 0, 100_000)
    names = {member: name for name, member in first.members.items()}
    joined = len(NAMES) * 3
    for seq, _, event in recorded[joined:]:
        while done and done[0].seq < seq:
            do_again(done.pop(0), again)
        if isinstance(event, MemberAway) or (
            isinstance(event, CouponMoment)
            and not isinstance(event, CouponRedeemed)
            and not hasattr(event, "redemption")
        ):
            continue  # of our own making
        again.story.turn(event.at_ms - again.story.now_ms)
        match event:
            case ConsentChanged():
                again.story.consent(names[event.member], event.purpose, event.granted)
            case CouponRedeemed():
                again.redeem(event.coupon, event.shop, event.amount_minor)
            case CouponMoment():
                again.undo(event.coupon, event.shop)
            case MoneySpent():
                again.buy(event.receipt, str(event.member), event.at_ms, event.amount_minor)
            case _:
                with again.story.ledger.write() as tx:
                    again.story.ledger.append(tx, [event], heard_real_ms=5)
                again.story.hear()
    for rest in done:
        do_again(rest, again)
    again.story.turn(first.now_ms - again.story.now_ms)


def do_again(one: Done, again: History) -> None:
    again.story.turn(one.at_ms - again.story.now_ms)
    getattr(again, one.act)(*one.words)


def decisions(story: Story) -> list[tuple[object, ...]]:
    with story.ledger.read() as tx:
        return [tuple(row) for row in tx.execute(sa.select(tables.decision).order_by(tables.decision.c.seq))]
