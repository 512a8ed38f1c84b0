"""Members who were not seen for a while are woken up, between two visits, under the same limits as in one."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from engine.events import VisitEnded
from engine.identity import Identity
from engine.keys import Keys
from rules import tables
from rules.absence import absence_after, is_absence, next_ms, reached
from rules.book import Mall
from rules.brought import brought
from rules.channels import Channels
from rules.coupons import Coupons
from rules.events import MemberAway
from rules.explain import explain
from rules.outbox import Outbox
from rules.past import look_back
from rules.reading import parse_book
from rules.shelf import Shelf
from rules.times import DAY_MS
from tests.promoting import Story, instant_ms

FRAME = """\
schema: 1
timezone: Asia/Shanghai
offers:
  coffee: {title: {en: Coffee, zh-Hans: 咖啡}, shops: [cafe-luna], cost: 300, valid: 40m, visit_bound: true}
  back: {title: {en: Come back, zh-Hans: 再来}, shops: [cafe-luna], cost: 500, valid: 5d}
  back+: {title: {en: Do come, zh-Hans: 快来}, shops: [cafe-luna], cost: 900, valid: 5d}
  jeans: {title: {en: Jeans, zh-Hans: 牛仔裤}, shops: [denim-works], cost: 700, valid: 5d}
segments:
  style: {favourite: fashion}
limits:
"""
LIMITS = """\
  quiet: "21:30-08:30"
  member: [1 per 20m, 2 per visit, 3 per 30d]
  holdout: {percent: 10, salt: s}
"""
DAY_OUT = """\
  day-out:
    priority: 50
    start: {event: visit.started}
    steps: [{id: coffee, when: [{present: 10m}], try: [coffee], wait: 25m}]
"""
BACK = """\
  come-back:
    priority: 20
    start: {event: member.away, after: 10d}
    stop: {event: visit.started}
    steps:
      - id: back
        when: [{time: "10:00-20:00"}]
        choose:
          - {when: [{segment: style}], try: [jeans], wait: 4d}
          - {try: [back, back+], wait: 4d}
"""


def book(journeys=BACK, limits=LIMITS):
    return f"{FRAME}{limits}journeys:\n{DAY_OUT}{journeys}"


@pytest.fixture
def tell(ledger, demo_mall: Mall):
    """Opens a story on one database after the other."""
    return lambda text=book(): Story(ledger, parse_book(text, demo_mall), demo_mall, "12:00")  # noqa: B008


@pytest.fixture
def mall(tell):
    """Ana was here for a minute at noon, and left."""
    mall = tell()
    been(mall, "ana")
    return mall


def been(mall, name, zone=None, **about):
    if name not in mall.members:
        mall.join(name, **about)
    mall.arrives(name)
    if zone:
        mall.enters(name, zone)
    mall.turn(60_000)
    mall.leaves(name)
    mall.goes_home(name)


def outcomes(mall, journey="come-back"):
    with mall.ledger.read() as tx:
        i = tables.instance.c
        return list(tx.execute(sa.select(i.outcome).where(i.journey == journey).order_by(i.updated_ms)).scalars())


# -- since when, and how long -------------------------------------------------------------------------


def test_an_absence_has_a_key_of_its_own_as_long_as_a_visits():
    key = absence_after("0123456789abcdef01234567", 0).key
    assert (len(key), is_absence(key), is_absence("0123456789abcdef01234567")) == (24, True, False)


def test_each_length_of_absence_is_reached_in_its_turn():
    absence, spans = absence_after("v", 0), {30 * DAY_MS, 10 * DAY_MS}
    assert (reached(absence, spans, 10 * DAY_MS), next_ms(absence, spans, 10 * DAY_MS)) == ([10 * DAY_MS], 30 * DAY_MS)
    assert (len(reached(absence, spans, 40 * DAY_MS)), next_ms(absence, spans, 40 * DAY_MS)) == (2, None)


# -- waking up ----------------------------------------------------------------------------------------


def test_nobody_is_woken_before_the_time(mall):
    mall.at("11:59", "2026-12-01")
    assert mall.given("ana") == []


def test_who_was_not_seen_for_so_long_gets_an_offer_outside_the_mall(mall):
    mall.at("12:02", "2026-12-01")
    assert mall.wallet("ana") == ["back"]


def test_the_offer_goes_by_the_favourite_kind_of_shop(tell):
    mall = tell()
    been(mall, "bo", "denim-works")
    mall.at("12:02", "2026-12-01")
    assert mall.wallet("bo") == ["jeans"]


def test_a_better_one_follows_while_they_stay_away(mall):
    mall.at("12:02", "2026-12-05")
    assert mall.states("ana") == [("back", "void"), ("back+", "issued")]


def test_a_window_that_is_closed_is_waited_for_until_tomorrow(tell):
    mall = tell()
    mall.at("21:00")
    been(mall, "ana")
    mall.at("09:59", "2026-12-02")
    assert mall.given("ana") == []
    assert mall.at("10:00", "2026-12-02").given("ana") == ["back"]


def test_a_shop_that_opens_again_tomorrow_is_waited_for(mall):
    mall.at("12:00", "2026-11-30").switch("shop", "cafe-luna", until_ms=instant_ms("11:00", "2026-12-02"))
    assert mall.at("10:59", "2026-12-02").given("ana") == []
    assert mall.at("11:00", "2026-12-02").given("ana") == ["back"]


def test_quiet_hours_hold_it_back_too(tell):
    mall = tell(book(BACK.replace('[{time: "10:00-20:00"}]', "[{days: [mon, tue, wed, thu, fri, sat, sun]}]")))
    mall.at("23:00")
    been(mall, "ana")
    assert mall.at("08:29", "2026-12-02").given("ana") == []
    assert mall.at("08:30", "2026-12-02").given("ana") == ["back"]


def test_a_restart_forgets_no_absence(mall):
    mall.restart()
    assert mall.at("12:02", "2026-12-01").given("ana") == ["back"]


def test_what_came_due_while_the_engine_was_down_is_met_when_it_is_back(mall):
    mall.now_ms = instant_ms("15:00", "2026-12-04")
    mall.restart()
    mall.promotion.due(mall.now_ms)
    mall.hear()
    assert mall.given("ana") == []  # as late as that, it is asked again a little later
    assert mall.at("15:01", "2026-12-04").given("ana") == ["back"]


def test_it_is_delivered_to_who_is_not_here(mall):
    identity = Identity(mall.ledger, Keys(b"m" * 32), "demo", bytes)
    channels = Channels(mall.ledger, b"c" * 32, bytes)
    outbox = Outbox(mall.ledger, Coupons(mall.ledger, mall.codes), identity, channels)
    mall.at("12:02", "2026-12-01")
    outbox.round(mall.now_ms, 1)
    with mall.ledger.read() as tx:
        assert list(tx.execute(sa.select(tables.outbox.c.state)).scalars()) == ["accepted"]


# -- the end of an absence ----------------------------------------------------------------------------


def test_it_ends_when_the_member_comes_in_and_that_is_counted(mall):
    mall.at("12:02", "2026-12-01")
    mall.arrives("ana")
    assert (outcomes(mall), mall.decisions("ana", "back")[-1]) == (["came back"], ("finished", "came back"))


def test_the_coupon_that_brought_them_is_good_at_the_till(mall):
    mall.at("12:02", "2026-12-01")
    mall.arrives("ana")
    assert mall.redeems("ana", "cafe-luna") == "back"


def test_the_chain_of_the_visit_follows_once_it_is_spent(mall):
    mall.at("12:02", "2026-12-01")
    mall.arrives("ana")
    assert mall.turn(15 * 60_000).wallet("ana") == ["back"]
    mall.redeems("ana", "cafe-luna")
    assert mall.wallet("ana") == ["coffee"]


def test_who_comes_before_the_time_is_not_woken_and_begins_anew(mall):
    mall.at("12:00", "2026-11-29")
    been(mall, "ana")
    assert mall.at("12:05", "2026-12-05").given("ana") == []
    assert mall.at("12:05", "2026-12-09").given("ana") == ["back"]


def test_news_of_an_absence_that_is_over_begins_nothing(mall):
    with mall.ledger.read() as tx:
        (last,) = [one.event for one in mall.ledger.of_member(tx, 1) if isinstance(one.event, VisitEnded)] or [None]
        absence = absence_after(last.visit, last.at_ms)
    mall.at("11:00", "2026-12-01")
    mall.arrives("ana")
    late = MemberAway(
        id="late", at_ms=mall.now_ms, member=1, visit=absence.key, since_ms=absence.since_ms, after_ms=10 * DAY_MS
    )
    with mall.ledger.write() as tx:
        mall.ledger.append(tx, [late], heard_real_ms=1)
    mall.hear()
    assert outcomes(mall) == []


def test_each_absence_has_a_run_of_its_own(mall):
    mall.at("12:02", "2026-12-01")
    been(mall, "ana")
    mall.at("12:05", "2027-01-15")
    assert outcomes(mall) == ["came back", "exhausted"]


def test_once_holds_over_absences(tell):
    mall = tell(book(BACK.replace("after: 10d", "after: 10d, once: 90d")))
    been(mall, "ana")
    mall.at("12:02", "2026-12-01")
    been(mall, "ana")
    mall.at("12:05", "2027-01-15")
    assert ("not-started", "once") in mall.decisions("ana")
    assert outcomes(mall) == ["came back"]


# -- under the same limits ----------------------------------------------------------------------------


def test_a_limit_per_visit_counts_the_absence(tell):
    mall = tell(book(limits="  member: [1 per visit]\n"))
    been(mall, "ana")
    mall.at("12:02", "2026-12-05")
    assert mall.given("ana") == ["back"]
    mall.arrives("ana")
    mall.redeems("ana", "cafe-luna")
    assert mall.turn(11 * 60_000).wallet("ana") == ["coffee"]


def test_a_limit_over_time_counts_visits_and_absences_together(tell):
    mall = tell(book(limits="  member: [2 per 30d]\n"))
    for day in ("2026-11-21", "2026-11-22"):
        mall.at("12:00", day)
        mall.arrives("ana")
        mall.turn(12 * 60_000)
        mall.goes_home("ana")
    mall.at("12:30", "2026-12-02")
    assert (mall.given("ana"), mall.decisions("ana", "back")[-1]) == (["coffee", "coffee"], ("withheld", "cap"))


def test_a_budget_for_a_visit_is_one_for_the_absence(tell):
    mall = tell(book(limits="  budget: {visit: 1000}\n"))
    been(mall, "ana")
    mall.at("12:02", "2026-12-01")
    with mall.ledger.read() as tx:
        spans = list(tx.execute(sa.select(tables.budget.c.span).where(tables.budget.c.scope == "visit")).scalars())
    assert [is_absence(span) for span in spans] == [True]


def test_held_out_members_are_sent_nothing_and_run_the_same(tell):
    mall = tell()
    been(mall, "gus", holdout=True)
    mall.at("12:02", "2026-12-01")
    assert (mall.given("gus"), mall.ghosts("gus")) == ([], ["back"])
    mall.arrives("gus")
    assert outcomes(mall) == ["came back"]


def test_nobody_is_woken_without_consent_to_offers(tell):
    mall = tell()
    been(mall, "ana", consents=("presence", "inbox"))
    assert mall.at("12:02", "2026-12-01").given("ana") == []
    assert mall.decisions("ana", "back")[-1] == ("withheld", "no-consent")


def test_of_whom_nobody_looks_for_nobody_says_that_they_are_away(mall):
    mall.consent("ana", "presence", False)
    mall.consent("ana", "presence", True)
    assert mall.at("12:02", "2026-12-06").decisions("ana", "back") == []


def test_withdrawing_consent_takes_it_back(mall):
    mall.at("12:02", "2026-12-01")
    mall.consent("ana", "personal_offers", False)
    assert (mall.wallet("ana"), outcomes(mall)) == ([], ["consent withdrawn"])


def test_those_who_came_are_counted_beside_those_held_out_from_k_members_on(tell):
    mall = tell()
    for name in ("ana", "bo", "cy"):
        been(mall, name)
    been(mall, "gus", holdout=True)
    mall.at("12:30", "2026-12-01")
    mall.arrives("ana")
    with mall.ledger.read() as tx:
        (counted,) = brought(tx, 2)
    assert (counted.journey, counted.sent.runs, counted.sent.came_back) == ("come-back", 3, 1)
    assert (counted.held_out.runs, counted.held_out.came_back) == (None, None)


# -- another book -------------------------------------------------------------------------------------


def test_a_new_book_wakes_those_who_left_before_it(tell):
    mall = tell(book(journeys=""))
    been(mall, "ana")
    mall.at("11:00", "2026-12-20")
    mall.publish(book())
    mall.turn(60_000)
    assert mall.turn(60_000).wallet("ana") == ["back"]


def test_a_new_book_leaves_those_in_the_mall_alone(tell):
    mall = tell(book(journeys=""))
    been(mall, "ana")
    mall.at("11:00", "2026-12-20")
    mall.arrives("ana")
    mall.publish(book())
    assert mall.turn(60_000).decisions("ana", "back") == []


def test_a_book_without_such_a_journey_wakes_nobody_any_more(mall):
    mall.publish(book(journeys=""))
    assert mall.at("12:02", "2026-12-06").given("ana") == []


# -- why, and why not ---------------------------------------------------------------------------------


def said(mall, hour, day, language="en"):
    shelf = Shelf(mall.mall)
    with mall.ledger.read() as tx:
        past = look_back(mall.ledger, tx, mall.members["ana"], instant_ms(hour, day) + 59_999)
        found = explain(past, mall.book, lambda version: shelf.readable(tx, version))
    return next(answer.said[language] for answer in found.answers if answer.journey == "come-back")


@pytest.mark.parametrize(
    ("language", "says"),
    [("en", "Not away for long enough: 4d of 10d."), ("zh-Hans", "离开得还不够久：4 天，需要 10 天。")],
)
def test_not_away_for_long_enough(mall, language, says):
    mall.at("12:02", "2026-12-01")
    assert said(mall, "12:01", "2026-11-25", language) == says


@pytest.mark.parametrize(
    ("language", "says"),
    [
        ("en", "Given at 12:01: Come back. It was out and unredeemed; waited for until 2026-12-05 12:01."),
        ("zh-Hans", "12:01 已发放：再来。当时未核销，等待到 2026-12-05 12:01。"),
    ],
)
def test_it_was_given(mall, language, says):
    mall.at("13:00", "2026-12-01")
    assert said(mall, "12:30", "2026-12-01", language) == says


def test_it_is_not_for_who_is_here(mall):
    mall.at("13:00", "2026-12-01")
    mall.arrives("ana")
    assert said(mall, "13:00", "2026-12-01") == "It is for members who are away, and this one was in the mall."


def test_nobody_knows_how_long_where_nobody_looked(mall):
    mall.consent("ana", "presence", False)
    assert said(mall, "12:05", "2026-11-21").startswith("Nobody knows for how long this member has been away")
