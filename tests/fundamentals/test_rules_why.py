"""Every no has its reason, and the reasons can be read: what keeps a coupon from being given, one by one."""

from __future__ import annotations

import pytest

from engine.events import ZoneEntered
from rules.reading import parse_book
from tests.promoting import instant_ms

COFFEE_ONLY = """\
schema: 1
timezone: Asia/Shanghai
offers:
  coffee: {title: Coffee 10 % off, shops: [cafe-luna], cost: 300, valid: 40m}
  coffee+: {title: Coffee 30 % off, shops: [cafe-luna], cost: 900, valid: 30m}
limits:
  quiet: "21:30-08:30"
  member: [1 per 20m, 2 per visit]
  upgrades: [1 per visit]
  budget: {day: 1000}
  holdout: {percent: 10, salt: s}
journeys:
  day-out:
    priority: 50
    start: {event: visit.started}
    steps:
      - {id: coffee, when: [{time: "07:00-11:00"}, {present: 10m}], try: [coffee, coffee+], wait: 25m}
"""


@pytest.fixture
def cafe(open_story):
    return open_story(COFFEE_ONLY, opens="09:00")


def test_why_not_yet_is_answered_by_the_row_of_the_book_and_what_was_seen(cafe):
    cafe.arrives("ana")
    assert cafe.trace("ana") == {
        "journeys/day-out/steps/0/when/0": "09:00 of 07:00-11:00",
        "journeys/day-out/steps/0/when/1": "0s of 10m",
    }


def test_a_no_that_goes_on_is_kept_once(cafe):
    cafe.arrives("ana")
    for zone in ("cafe-luna", "denim-works", "stride"):
        cafe.turn(60_000)
        cafe.enters("ana", zone)
    assert cafe.decisions("ana") == [
        ("started", cafe.decisions("ana")[0][1]),
        ("waits", "journeys/day-out/steps/0/when/1"),
    ]


def test_why_yes_is_answered_with_every_limit_that_was_asked(cafe):
    cafe.arrives("ana")
    cafe.at("09:10")
    assert cafe.decided("ana")[-1]["verdict"] == "issued"
    assert cafe.trace("ana") == {
        "journeys/day-out/steps/0/when/0": "09:10 of 07:00-11:00",
        "journeys/day-out/steps/0/when/1": "10m of 10m",
        "consent": "granted",
        "resident": "here for 8h on 0 of 7 days",
        "news": "fresh",
        "presence": "heard",
        "limits/quiet": "09:10, quiet 21:30-08:30",
        "live": "none",
        "limits/member/0": "first offer",
        "limits/member/1": "0 of 2 per visit",
        "limits/holdout": "not held out",
    }


def test_without_consent_nothing_is_given(cafe):
    cafe.join("ana", consents=("presence",))
    cafe.arrives("ana")
    cafe.at("09:30")
    assert (cafe.given("ana"), cafe.decisions("ana")[-1]) == ([], ("withheld", "no-consent"))


def test_consent_withdrawn_ends_what_was_still_to_come(cafe):
    cafe.arrives("ana")
    cafe.at("09:20")
    cafe.consent("ana", "personal_offers", False)
    cafe.at("10:59")
    assert cafe.given("ana") == ["coffee"]


def test_who_is_no_longer_heard_waits_for_the_better_offer_until_heard_again(cafe):
    cafe.arrives("ana")
    cafe.at("09:30")
    cafe.falls_silent("ana")
    cafe.at("09:40")
    assert cafe.decisions("ana")[-1] == ("withheld", "not-present")
    cafe.is_heard_again("ana")
    assert cafe.wallet("ana") == ["coffee+"]


def test_quiet_hours_hold_a_coupon_back_until_they_end(open_story):
    cafe = open_story(COFFEE_ONLY, opens="07:30")
    cafe.arrives("ana")
    cafe.at("08:29")
    assert (cafe.given("ana"), cafe.decisions("ana")[-1]) == ([], ("withheld", "quiet-hours"))
    cafe.at("08:30")
    assert cafe.wallet("ana") == ["coffee"]


def test_a_window_that_has_closed_is_skipped_and_says_so(open_story):
    cafe = open_story(COFFEE_ONLY, opens="11:05")
    cafe.arrives("ana")
    assert cafe.decisions("ana")[-1] == ("skipped", "journeys/day-out/steps/0/when/0")


def test_a_window_that_closes_on_a_waiting_member_is_skipped_at_that_minute(open_story):
    cafe = open_story(COFFEE_ONLY, opens="10:55")
    cafe.arrives("ana")
    cafe.at("11:30")
    assert (cafe.decided("ana")[-1]["verdict"], cafe.decided("ana")[-1]["at_ms"]) == ("skipped", instant_ms("11:00"))


def test_held_out_members_run_the_same_machine_and_are_sent_nothing(cafe):
    cafe.join("gus", holdout=True)
    cafe.arrives("gus")
    cafe.at("10:10")
    assert (cafe.given("gus"), cafe.ghosts("gus")) == ([], ["coffee", "coffee+"])


def test_what_is_held_out_is_decided_and_kept(cafe):
    cafe.join("gus", holdout=True)
    cafe.arrives("gus")
    cafe.at("09:10")
    assert cafe.decisions("gus")[-1] == ("ghost", "ready")


def test_money_that_is_spoken_for_is_not_promised_again(cafe):
    for name in ("ana", "bo", "cy", "di"):
        cafe.arrives(name)
        cafe.turn(1_000)
    cafe.at("09:11")
    assert [len(cafe.wallet(name)) for name in ("ana", "bo", "cy", "di")] == [1, 1, 1, 0]
    assert cafe.decisions("di")[-1] == ("withheld", "budget:day")


def test_money_that_comes_back_is_given_to_who_still_waits(cafe):
    for name in ("ana", "bo", "cy", "di"):
        cafe.arrives(name)
        cafe.turn(1_000)
    cafe.at("09:56")
    assert cafe.given("di") == ["coffee"]


def test_a_better_offer_that_cannot_be_afforded_leaves_the_first_one_good(cafe):
    cafe.arrives("ana")
    cafe.arrives("bo")
    cafe.at("09:36")
    assert (cafe.wallet("ana"), cafe.wallet("bo")) == (["coffee"], ["coffee"])


def test_a_restart_forgets_nothing(cafe):
    cafe.arrives("ana")
    cafe.at("09:05")
    cafe.restart()
    cafe.at("09:12")
    cafe.restart()
    cafe.at("09:40")
    assert cafe.states("ana") == [("coffee", "void"), ("coffee+", "issued")]


def test_deadlines_missed_while_the_program_was_away_are_kept_when_it_is_back(cafe):
    cafe.arrives("ana")
    cafe.now_ms = instant_ms("09:50")  # nothing ran meanwhile
    cafe.restart()
    cafe.promotion.due(cafe.now_ms)
    assert cafe.wallet("ana") == ["coffee"]


def test_an_instance_keeps_the_book_it_began_under(cafe):
    cafe.arrives("ana")
    cafe.restart(parse_book(COFFEE_ONLY.replace("present: 10m", "present: 5m"), cafe.mall))
    cafe.arrives("bo")
    cafe.at("09:06")
    assert (cafe.wallet("ana"), cafe.wallet("bo")) == ([], ["coffee"])


def test_late_news_gives_nothing_at_once_and_only_delays(open_story):
    cafe = open_story(COFFEE_ONLY.replace("{present: 10m}", "{visited: cafe-luna}"), opens="09:00")
    cafe.arrives("ana")
    cafe.turn(5 * 60_000)
    facts = {"zone": "cafe-luna", "confidence": 0.9, "confirmed_ms": instant_ms("09:01")}
    cafe.tell("ana", ZoneEntered, at_ms=instant_ms("09:01"), **facts)
    assert (cafe.given("ana"), cafe.decisions("ana")[-1]) == ([], ("withheld", "late"))
    cafe.turn(15_000)
    assert cafe.wallet("ana") == ["coffee"]
