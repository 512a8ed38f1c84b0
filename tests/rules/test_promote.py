"""What is decided is carried out once, whole or not at all, and within every limit, whatever happens when."""

from __future__ import annotations

import threading

import pytest
import sqlalchemy as sa

from engine.events import PresenceEvent, VisitStarted, id_of
from engine.ledger import Ledger, open_ledger
from rules import tables
from rules.book import Book, Mall
from rules.events import CouponEvent
from rules.promote import Promotion
from rules.reading import parse_book
from tests.promoting import Story, instant_ms
from tests.servers import sqlite_ledger_url

BOOK = """\
schema: 1
timezone: Asia/Shanghai
offers:
  coffee: {title: a, shops: [cafe-luna], cost: 100, valid: 20m, visit_bound: true}
  coffee+: {title: b, shops: [cafe-luna], cost: 200, valid: 20m, visit_bound: true}
  lunch: {title: c, shops: [noodle-hut], cost: 300, valid: 30m}
  cake: {title: d, shops: [cafe-luna], cost: 400, valid: 30m}
limits:
  quiet: "12:00-12:20"
  member: [1 per 5m, 3 per visit, 5 per 30d]
  upgrades: [1 per visit, 2 per 30d]
  budget: {day: 1500, visit: 700}
  holdout: {percent: 20, salt: s}
journeys:
  birthday:
    priority: 90
    start: {event: visit.started, when: [{birthday: today}], once: 300d}
    steps: [{id: cake, when: [{present: 2m}], try: [cake], wait: 10m}]
    finish: {join: day-out, step: lunch}
  day-out:
    priority: 50
    start: {event: visit.started}
    steps:
      - {id: coffee, when: [{time: "09:00-12:00"}, {present: 4m}], try: [coffee, coffee+], wait: 10m}
      - {id: lunch, when: [{time: "11:00-14:00"}], try: [lunch], wait: 20m}
"""


@pytest.fixture(scope="module")
def book(demo_mall: Mall) -> Book:
    return parse_book(BOOK, demo_mall)


@pytest.fixture
def story(ledger: Ledger, book: Book, demo_mall: Mall) -> Story:
    return Story(ledger, book, demo_mall)


def rows(ledger: Ledger, table: sa.Table) -> list[tuple[object, ...]]:
    with ledger.read() as tx:
        return sorted(map(tuple, tx.execute(sa.select(table))), key=repr)


# -- once -----------------------------------------------------------------------------------------


def test_an_event_told_twice_is_heard_once(story):
    story.arrives("ana")
    story.tell("ana", VisitStarted)
    story.at("09:05")
    assert story.given("ana") == ["coffee"]


def test_two_deciders_of_one_ledger_give_each_coupon_once(story):
    for number in range(12):
        story.arrives(f"member {number}")
    story.now_ms += 4 * 60_000
    second = Story(story.ledger, story.book, story.mall)
    threads = [
        threading.Thread(target=decider.due, args=(story.now_ms,)) for decider in (story.promotion, second.promotion)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [story.given(f"member {number}") for number in range(12)] == [["coffee"]] * 12


def test_a_batch_that_fails_leaves_no_trace_and_is_done_in_full_the_next_time(story):
    story.arrives("ana")
    story.now_ms += 4 * 60_000
    with story.ledger.write() as tx:
        tx.execute(sa.text("ALTER TABLE decision RENAME TO gone"))
    with pytest.raises(sa.exc.DBAPIError):
        story.promotion.due(story.now_ms)
    assert rows(story.ledger, tables.coupon) == []
    with story.ledger.write() as tx:
        tx.execute(sa.text("ALTER TABLE gone RENAME TO decision"))
    story.promotion.due(story.now_ms)
    assert story.given("ana") == ["coffee"]


def test_the_cursor_moves_with_the_batch(story):
    story.arrives("ana")
    with story.ledger.read() as tx:
        assert story.ledger.cursor(tx, Promotion.CURSOR) == story.ledger.last_seq(tx) == story.promotion.seen


def test_what_is_told_of_somebody_unknown_gives_nothing(story):
    story.members["nobody"] = 4711
    story.arrives("nobody")
    story.at("09:30")
    assert story.given("nobody") == []


# -- journeys beside each other -------------------------------------------------------------------


def test_the_journey_of_higher_priority_pauses_the_other(story):
    story.join("bo", birthday="11-21")
    story.arrives("bo")
    story.at("09:09")
    assert (story.given("bo"), story.decisions("bo", "coffee")[-1]) == (["cake"], ("withheld", "paused by birthday"))


def test_the_paused_journey_goes_on_when_the_other_has_run_its_course(story):
    story.join("bo", birthday="11-21")
    story.at("10:50")
    story.arrives("bo")
    story.at("11:00")
    story.redeems("bo", "cafe-luna")
    assert story.given("bo") == ["cake", "lunch"]


def test_a_birthday_is_celebrated_once_a_year(story):
    story.join("bo", birthday="11-21")
    for hour in ("09:00", "10:00"):
        story.at(hour)
        story.arrives("bo")
        story.at(hour.replace(":00", ":05"))
        story.goes_home("bo")
    assert story.given("bo") == ["cake", "coffee"]


# -- ends -----------------------------------------------------------------------------------------


def test_the_end_of_a_visit_closes_its_instances_and_clears_their_deadlines(story):
    story.arrives("ana")
    story.at("09:06")
    story.goes_home("ana")
    with story.ledger.read() as tx:
        phases = tx.execute(sa.select(tables.instance.c.phase, tables.instance.c.outcome)).all()
        deadlines = tx.execute(sa.select(tables.deadline)).all()
    assert (phases, deadlines) == ([("finished", "visit ended")], [])


def test_a_coupon_not_bound_to_the_visit_outlives_it(story):
    story.at("11:10")
    story.join("bo", birthday="11-21")
    story.arrives("bo")
    story.at("11:15")
    story.goes_home("bo")
    assert story.states("bo") == [("cake", "issued")]


def test_a_redemption_in_the_moment_of_the_better_offer_keeps_the_redemption(story):
    story.arrives("ana")
    story.at("09:05")
    story.now_ms = instant_ms("09:14")
    (coupon,) = story.coupons("ana", "issued")
    with story.ledger.write() as tx:  # the till is faster than the follower
        story.till.redeem(tx, "cafe-luna", story.codes.of(coupon["id"]), story.now_ms, heard_real_ms=6)
    story.promotion.due(story.now_ms)
    assert story.states("ana") == [("coffee", "redeemed")]


def test_an_undone_redemption_makes_the_offer_live_again_for_the_limits_too(story):
    story.arrives("ana")
    story.at("09:05")
    (coupon,) = story.coupons("ana", "issued")
    with story.ledger.write() as tx:
        spent = story.till.redeem(tx, "cafe-luna", story.codes.of(coupon["id"]), story.now_ms, heard_real_ms=6)
        story.till.restore(tx, "cafe-luna", spent.redemption, story.now_ms + 1, heard_real_ms=6)
    story.hear()
    with story.ledger.read() as tx:
        assert tx.execute(sa.select(tables.exposure.c.outcome, tables.exposure.c.ended_ms)).all() == [("", None)]


# -- whatever happens -----------------------------------------------------------------------------

NAMES = ("ana", "bo", "cy", "gus")


def test_a_batch_may_be_cut_anywhere(story, book, demo_mall, tmp_path):
    """Heard one by one or all at once, the same news at the same moment comes to the same."""
    one = Story(open_ledger(sqlite_ledger_url(tmp_path / "one.db"), PresenceEvent | CouponEvent), book, demo_mall)
    for name in NAMES:
        story.join(name, holdout=name == "gus", birthday="11-21" if name == "bo" else None)
        one.join(name, holdout=name == "gus", birthday="11-21" if name == "bo" else None)
        one.arrives(name)
    events = [VisitStarted(id_of("visit.started", visit, story.now_ms), story.now_ms, story.members[name], visit)
              for name, (visit, _) in one._visits.items()]  # fmt: skip
    with story.ledger.write() as tx:
        story.ledger.append(tx, events, heard_real_ms=5)
    story.hear()
    decided = [rows(each.ledger, tables.decision) for each in (one, story)]
    one.ledger.close()
    assert decided[0] == decided[1]


def test_what_falls_due_twice_in_one_millisecond_are_two_causes(story):
    story.switch("journey", "day-out")
    story.arrives("ana")
    story.at("09:10").switch("journey", "day-out", True)
    assert story.wallet("ana") == ["coffee"]
    story.switch("journey", "day-out")
    story.redeems("ana", "cafe-luna")
    story.switch("journey", "day-out", True)
    assert story.decisions("ana")[-2:] == [("moved-on", "redeemed"), ("waits", "journeys/day-out/steps/1/when/0")]
    kept = story.decided("ana")
    assert len({row["cause"] for row in kept if row["at_ms"] == story.now_ms}) == 3
