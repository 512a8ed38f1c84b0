"""Each word of `when`: does it hold, what did it see, when can time alone change it, is it settled."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.events import VisitResumed, VisitSilent, VisitStarted, ZoneEntered, ZoneLeft
from rules.segments import read_segment
from rules.source import Source
from rules.standing import REDEEMED, Exposure, Profile, Standing
from rules.times import Calendar
from rules.when import Answer, all_of, any_of, ask, none_of
from rules.words import Terms, read_conditions
from tests.promoting import instant_ms

NINE_MS = instant_ms("09:00")
MINUTE_MS = 60_000
FAR = read_segment(Source('{home_km: ">= 20"}', "s").root, frozenset(), {}, {})
TERMS = Terms(
    Calendar("Asia/Shanghai"),
    {"denim": frozenset({"denim"}), "stride": frozenset({"stride"}), "fashion": frozenset({"denim", "stride"})},
    frozenset(),
    frozenset({"coffee", "lunch"}),
    {"lives-far": FAR},
)


NOTHING_TOLD = Profile()


def after(*events: tuple[type, int, dict[str, object]], profile: Profile = NOTHING_TOLD) -> Standing:
    """A member who came at nine, and what happened since; instants in minutes after nine."""
    standing = Standing(1, profile).after(VisitStarted("v", NINE_MS, 1, "visit"))
    for kind, minute, facts in events:
        at_ms = NINE_MS + minute * MINUTE_MS
        standing = standing.after(kind(id=str(minute), at_ms=at_ms, member=1, visit="visit", **facts))
    return standing


def enters(zone: str, minute: int) -> tuple[type, int, dict[str, object]]:
    return ZoneEntered, minute, {"zone": zone, "confidence": 0.9, "confirmed_ms": 0}


def leaves(zone: str, minute: int, dwelt_min: int) -> tuple[type, int, dict[str, object]]:
    return ZoneLeft, minute, {"zone": zone, "dwell_ms": dwelt_min * MINUTE_MS, "cause": "heard-elsewhere"}


def silent(minute: int) -> tuple[type, int, dict[str, object]]:
    return VisitSilent, minute, {"last_ms": NINE_MS + minute * MINUTE_MS}


class Said(NamedTuple):
    """An answer, with changes in minutes after nine."""

    held: bool
    seen: str
    changes: int | None
    settled: bool


def says(row: str, standing: Standing, minute: float = 0) -> Said:
    """The answer of one row, written as in the book, at a minute after nine."""
    (condition,) = read_conditions(Source(f"[{{{row}}}]", "row").root, TERMS)
    answer = condition.test(standing, NINE_MS + int(minute * MINUTE_MS))
    changes = None if answer.changes_ms is None else (answer.changes_ms - NINE_MS) // MINUTE_MS
    return Said(answer.held, answer.seen, changes, answer.settled)


def given_offer(standing: Standing, offer: str, outcome: str = REDEEMED, visit: str = "visit") -> Standing:
    return standing.exposed(
        Exposure("x", 1, visit, "j", "i", "s", 0, offer, "c", False, False, NINE_MS, 2**52, NINE_MS + 1, outcome)
    )


def test_time_before_its_window_says_when_it_opens():
    assert says('time: "10:00-11:00"', after()) == (False, "09:00 of 10:00-11:00", 60, False)


def test_time_in_its_window_says_when_it_closes():
    assert says('time: "08:00-11:00"', after()) == (True, "09:00 of 08:00-11:00", 120, False)


def test_time_after_its_window_is_settled():
    assert says('time: "07:00-08:00"', after()) == (False, "09:00 of 07:00-08:00", None, True)


def test_one_of_several_windows_is_enough():
    assert says('time: ["07:00-08:00", "08:30-09:30"]', after()).held


def test_time_between_two_windows_waits_for_the_second():
    assert says('time: ["07:00-08:00", "10:00-11:00"]', after()).changes == 60


@pytest.mark.parametrize(
    ("days", "held", "settled"), [("sat", True, False), ("weekend", True, False), ("[mon, tue]", False, True)]
)
def test_days_are_those_of_the_mall(days, held, settled):  # 2026-11-21 is a Saturday
    answer = says(f"days: {days}", after())
    assert (answer.held, answer.settled) == (held, settled)


def test_a_day_that_ends_tonight_changes_at_midnight():
    assert says("days: sat", after()).changes == 15 * 60


def test_present_says_how_long_and_when_it_will_be_long_enough():
    assert says("present: 10m", after(), 6) == (False, "6m of 10m", 10, False)


def test_present_holds_from_its_very_minute():
    assert says("present: 10m", after(), 10) == (True, "10m of 10m", None, False)


def test_nobody_silent_is_present_however_long_ago_they_came():
    assert says("present: 10m", after(silent(8)), 30) == (False, "silent after 8m", None, False)


def test_who_is_heard_again_is_present_since_the_visit_began():
    assert says("present: 10m", after(silent(8), (VisitResumed, 20, {})), 21).held


def test_unseen_counts_from_the_last_evidence():
    assert says("unseen: 10m", after(silent(8)), 12) == (False, "4m of 10m", 18, False)


def test_who_is_heard_is_not_unseen():
    assert says("unseen: 10m", after(), 60) == (False, "heard, 10m of silence needed", None, False)


def test_in_zone_means_now():
    assert says("in_zone: fashion", after(enters("denim", 1)), 2) == (True, "in denim", None, False)


def test_visited_stays_true_after_leaving():
    answer = says("visited: denim", after(enters("denim", 1), leaves("denim", 5, 4)), 9)
    assert answer == (True, "was there", None, True)


def test_stayed_counts_a_stay_that_goes_on_and_says_when_it_will_do():
    assert says("stayed: {zone: denim, for: 10m}", after(enters("denim", 2)), 6) == (False, "4m of 10m", 12, False)


def test_stayed_adds_up_all_zones_that_are_meant():
    standing = after(enters("denim", 0), leaves("denim", 6, 6), enters("stride", 6), leaves("stride", 10, 4))
    assert says("stayed: {zone: fashion, for: 10m}", standing, 30).held


def test_a_stay_that_has_ended_waits_for_an_event_not_for_time():
    standing = after(enters("denim", 0), leaves("denim", 6, 6))
    assert says("stayed: {zone: denim, for: 10m}", standing, 30) == (False, "6m of 10m", None, False)


def test_a_stay_is_frozen_while_nothing_is_heard():
    standing = after(enters("denim", 0), silent(5))
    assert says("stayed: {zone: denim, for: 10m}", standing, 30) == (False, "5m of 10m", None, False)


def test_redeemed_means_in_this_visit():
    assert says("redeemed: coffee", given_offer(after(), "coffee")).held
    assert not says("redeemed: coffee", given_offer(after(), "coffee", visit="earlier")).held


def test_not_redeemed_is_the_opposite():
    assert says("not_redeemed: [coffee, lunch]", after()).held
    assert not says("not_redeemed: [coffee, lunch]", given_offer(after(), "lunch")).held


@pytest.mark.parametrize(
    ("birthday", "row", "held"),
    [
        ("11-21", "birthday: today", True),
        ("11-22", "birthday: today", False),
        ("11-24", "birthday: 3d", True),
        ("11-25", "birthday: 3d", False),
        (None, "birthday: today", False),
    ],
)
def test_birthday_is_today_or_some_days_around(birthday, row, held):
    assert says(row, after(profile=Profile(birthday))).held == held


def test_a_birthday_tomorrow_comes_at_midnight():
    assert says("birthday: today", after(profile=Profile("11-22"))).changes == 15 * 60


def test_a_birthday_around_new_year_reaches_over_it():
    (condition,) = read_conditions(Source("[{birthday: 3d}]", "row").root, TERMS)
    assert condition.test(after(profile=Profile("01-01")), instant_ms("09:00", "2026-12-30")).held


def test_who_was_born_on_a_leap_day_celebrates_on_the_28th_in_other_years():
    (condition,) = read_conditions(Source("[{birthday: today}]", "row").root, TERMS)
    standing = after(profile=Profile("02-29"))
    days = ("2027-02-28", "2028-02-28", "2028-02-29")
    assert [condition.test(standing, instant_ms("09:00", day)).held for day in days] == [True, False, True]


@pytest.mark.parametrize(("home_km", "held"), [(20.0, True), (19.9, False), (None, False)])
def test_a_segment_is_computed_from_the_profile(home_km, held):
    answer = says("segment: lives-far", after(profile=Profile(home_km=home_km)))
    assert (answer.held, answer.settled) == (held, True)


def test_visits_count_this_one_too():
    assert says("visits: {at_least: 1, within: 30d}", after()) == (True, "1 visits within 30d", None, True)


def test_a_first_visit_is_at_most_one():
    standing = after().after(VisitStarted("v2", NINE_MS + 1, 1, "second"))
    assert not says("visits: {at_most: 1, within: 30d}", standing, 1).held


def test_any_needs_one_and_none_needs_none():
    rows = "[{visited: denim}, {visited: stride}]"
    standing = after(enters("denim", 1))
    assert (says(f"any: {rows}", standing).held, says(f"none: {rows}", standing).held) == (True, False)


def test_a_none_of_something_that_happened_is_settled():
    assert says("none: [{visited: denim}]", after(enters("denim", 1))).settled


def test_the_trace_names_every_row_by_its_path():
    rows = read_conditions(Source('[{time: "08:00-11:00"}, {present: 10m}]', "row").root, TERMS)
    _, lines = ask(rows, after(), NINE_MS + 6 * MINUTE_MS)
    assert lines == [("/0", True, "09:06 of 08:00-11:00"), ("/1", False, "6m of 10m")]


# -- several answers make one ---------------------------------------------------------------------

an_answer = st.builds(Answer, st.booleans(), st.just(""), st.none() | st.integers(1, 9), st.booleans())
answers = st.lists(an_answer, min_size=1)


@given(answers)
def test_all_any_and_none_are_what_their_names_say(several):
    held = [answer.held for answer in several]
    assert (all_of(several).held, any_of(several).held, none_of(several).held) == (all(held), any(held), not any(held))


@given(answers)
def test_when_all_can_change_only_by_two_events_the_earlier_is_not_waited_for(several):
    """Unmet rows must all change before the whole holds, so the latest of them is soon enough."""
    whole = all_of(several)
    unmet = [answer.changes_ms for answer in several if not answer.held]
    if unmet and None not in unmet and not any(answer.held for answer in several):
        assert whole.changes_ms == max(unmet)


@given(answers)
def test_one_settled_no_settles_all_and_one_settled_yes_settles_any(several):
    assert all_of(several).settled or not any(answer.settled and not answer.held for answer in several)
    assert any_of(several).settled or not any(answer.settled and answer.held for answer in several)
