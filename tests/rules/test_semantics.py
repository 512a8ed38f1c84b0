"""What happens at the edges: clocks, midnights, withdrawals, restarts, and more than one thing at once."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from engine.events import ZoneEntered
from rules.reading import parse_book
from rules.times import Hours
from tests.promoting import Story, instant_ms

BOOK = """\
schema: 1
timezone: ZONE
offers:
  coffee: {title: a, shops: [cafe-luna], cost: 300, valid: 40m}
  coffee+: {title: b, shops: [cafe-luna], cost: 900, valid: 30m}
  lunch: {title: c, shops: [noodle-hut], cost: 300, valid: 40m}
limits: {quiet: "21:30-08:30", member: [1 per 10m]}
journeys:
  day-out:
    priority: 50
    start: {event: visit.started}
    steps:
      - {id: coffee, when: [{time: "09:00-11:00"}, {present: 10m}], try: [coffee, coffee+], wait: 25m}
      - {id: lunch, when: [{time: "11:30-14:30"}], try: [lunch], wait: 30m}
"""


@pytest.fixture
def story(ledger, demo_mall):
    """A story on each database, by the book with something different."""

    def begin(old="ZONE", new="Asia/Shanghai", *, opens="09:00"):
        text = BOOK.replace(old, new).replace("ZONE", "Asia/Shanghai")
        return Story(ledger, parse_book(text, demo_mall), demo_mall, opens)

    return begin


# -- consent withdrawn ------------------------------------------------------------------------------


@pytest.mark.parametrize("purpose", ["personal_offers", "presence"])
def test_consent_withdrawn_takes_back_what_is_out_and_ends_every_wait(story, purpose):
    mall = story()
    mall.arrives("ana")
    mall.at("09:15")
    mall.consent("ana", purpose, False)
    assert mall.states("ana") == [("coffee", "void")]
    assert mall.decisions("ana")[-1] == ("finished", "consent withdrawn")


def test_after_consent_is_withdrawn_nothing_more_comes_in_this_visit(story):
    mall = story()
    mall.arrives("ana")
    mall.at("09:15")
    mall.consent("ana", "personal_offers", False)
    mall.at("15:00")
    assert mall.given("ana") == ["coffee"]
    assert mall.next_due_ms() == 2**53


def test_a_channel_withdrawn_ends_no_journey(story):
    mall = story()
    mall.arrives("ana")
    mall.at("09:15")
    mall.consent("ana", "inbox", False)
    assert mall.states("ana") == [("coffee", "issued")]


def test_the_money_of_what_is_taken_back_is_free_again(story):
    mall = story("limits: {", "limits: {budget: {day: 300}, ")
    mall.arrives("ana")
    mall.at("09:10")
    mall.arrives("bo")
    mall.at("09:15")
    mall.consent("ana", "personal_offers", False)
    mall.at("09:26")
    assert mall.wallet("bo") == ["coffee"]


# -- restarts, downtime and clocks that jump --------------------------------------------------------


@pytest.mark.parametrize("minute", range(0, 60, 7))
def test_a_restart_at_any_minute_changes_nothing(story, minute):
    mall = story()
    mall.arrives("ana")
    mall.at(f"09:{minute:02}")
    mall.restart()
    mall.at("10:30")
    assert mall.states("ana") == [("coffee", "void"), ("coffee+", "expired")]


def test_a_wait_that_ended_while_the_program_was_away_ends_when_it_is_back(story):
    mall = story()
    mall.arrives("ana")
    mall.at("09:11")
    mall.now_ms = instant_ms("09:40")
    mall.restart()
    mall.promotion.due(mall.now_ms)
    assert mall.wallet("ana") == ["coffee+"]


def test_a_window_that_closed_while_the_program_was_away_gives_nothing_late_and_says_so(story):
    mall = story()
    mall.arrives("ana")
    mall.now_ms = instant_ms("11:10")
    mall.restart()
    mall.promotion.due(mall.now_ms)
    assert mall.given("ana") == []
    assert mall.decisions("ana", "coffee")[-1] == ("skipped", "journeys/day-out/steps/0/when/0")
    assert mall.trace("ana") == {"journeys/day-out/steps/1/when/0": "11:10 of 11:30-14:30"}


def test_a_clock_that_jumps_ahead_fires_each_deadline_once(story):
    mall = story()
    mall.arrives("ana")
    mall.at("09:11")
    mall.now_ms = instant_ms("12:00")
    for _ in range(5):
        mall.promotion.due(mall.now_ms)
        mall.hear()
    assert mall.given("ana") == ["coffee", "coffee+"]


def test_a_clock_that_jumps_back_gives_nothing_twice(story):
    mall = story()
    mall.arrives("ana")
    mall.at("09:36")
    mall.now_ms = instant_ms("09:05")
    mall.restart()
    mall.hear()
    mall.at("09:34")
    assert mall.given("ana") == ["coffee", "coffee+"]


# -- time zones, daylight saving and midnight -------------------------------------------------------


def hour_in(zone, hour, day):
    return int(datetime.fromisoformat(f"{day}T{hour}").replace(tzinfo=ZoneInfo(zone)).timestamp()) * 1_000


def test_hours_are_those_of_the_malls_own_zone(story):
    mall = story("ZONE", "America/New_York")
    mall.now_ms = hour_in("America/New_York", "10:00", "2026-11-21")
    mall.arrives("ana")
    mall.turn(11 * 60_000)
    assert mall.wallet("ana") == ["coffee"]


@pytest.mark.parametrize(
    ("day", "hours"),
    [("2026-03-29", 1), ("2026-10-25", 3), ("2026-10-24", 2)],
    ids=["an hour is left out", "an hour comes twice", "any other day"],
)
def test_a_window_over_a_change_of_clocks_lasts_as_long_as_the_clocks_say(story, day, hours):
    mall = story('time: "09:00-11:00"', 'time: "01:30-03:30"')
    text = mall.book.text.replace("Asia/Shanghai", "Europe/Berlin").replace('quiet: "21:30-08:30", ', "")
    mall.restart(parse_book(text, mall.mall))
    mall.now_ms = hour_in("Europe/Berlin", "01:30", day) - 20 * 60_000
    mall.arrives("ana")
    mall.turn(21 * 60_000)
    assert mall.given("ana") == ["coffee"]
    opening = mall.book.calendar.opening(Hours.read("01:30-03:30"), mall.now_ms)
    assert opening.changes_ms - hour_in("Europe/Berlin", "01:30", day) == hours * 3_600_000


def test_a_wait_over_a_change_of_clocks_is_as_long_as_written(story):
    mall = story('time: "09:00-11:00"', 'time: "01:00-05:00"')
    text = mall.book.text.replace("Asia/Shanghai", "Europe/Berlin").replace('quiet: "21:30-08:30", ', "")
    mall.restart(parse_book(text, mall.mall))
    mall.now_ms = hour_in("Europe/Berlin", "01:35", "2026-03-29")
    mall.arrives("ana")
    mall.turn(10 * 60_000)
    mall.turn(24 * 60_000)
    assert mall.given("ana") == ["coffee"]
    mall.turn(60_000)
    assert mall.given("ana") == ["coffee", "coffee+"]


def test_a_budget_for_the_day_begins_anew_at_local_midnight(story):
    mall = story('limits: {quiet: "21:30-08:30", ', "limits: {budget: {day: 300}, ")
    text = mall.book.text.replace('time: "09:00-11:00"', 'time: "23:00-02:00"')
    mall.restart(parse_book(text, mall.mall))
    mall.at("23:40")
    for name in ("ana", "bo"):
        mall.arrives(name)
        mall.turn(1_000)
    mall.at("23:59")
    assert [mall.given(name) for name in ("ana", "bo")] == [["coffee"], []]
    mall.at("00:06", "2026-11-22")
    assert mall.given("bo") == ["coffee"]


# -- more than one thing at once --------------------------------------------------------------------


def test_of_two_journeys_that_start_on_one_event_the_higher_goes_first_and_the_lower_follows(story):
    mall = story("journeys:", "journeys:\n  welcome:\n    priority: 90\n    start: {event: visit.started}\n"
                 "    steps: [{id: hello, try: [lunch], wait: 15m}]")  # fmt: skip
    mall.arrives("ana")
    assert mall.given("ana") == ["lunch"]
    assert ("withheld", "paused by welcome") in mall.decisions("ana")
    mall.redeems("ana", "noodle-hut")
    mall.at("09:10")
    assert mall.given("ana") == ["lunch", "coffee"]


def test_a_member_where_two_zones_overlap_is_in_both(story):
    mall = story("{present: 10m}]", "{in_zone: cafe-luna}, {in_zone: stride}]")
    mall.arrives("ana")
    for zone in ("cafe-luna", "stride"):
        mall.tell("ana", ZoneEntered, zone=zone, confidence=0.6, confirmed_ms=mall.now_ms)
    assert mall.wallet("ana") == ["coffee"]
