"""Whether an offer may be given now: every limit by itself, what it says, and when it is worth asking again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.events import VisitSilent, VisitStarted
from rules.book import Book, Cap, Limits, Offer
from rules.decide import ASK_AGAIN_MS, Allow, Proposal, Withhold, arbitrate, held_out
from rules.standing import REDEEMED, Exposure, Standing
from rules.times import Calendar, Hours
from rules.when import Line
from tests.promoting import instant_ms

NOON_MS = instant_ms("12:00")
MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS
COFFEE = Offer("coffee", {"en": "Coffee"}, ("cafe-luna",), 60, 40 * MINUTE_MS)
HERE = Standing(1, consents=frozenset({"personal_offers"})).after(VisitStarted("v", NOON_MS - 3600_000, 1, "now"))
PROPOSAL = Proposal("now", "day-out", "coffee", 0, COFFEE, None, False)


def book(**limits: object) -> Book:
    return Book("1", "", Calendar("Asia/Shanghai"), {"coffee": COFFEE}, Limits(**limits), {})


def offered(*minutes_ago: int, standing: Standing = HERE, **facts: object) -> Standing:
    """As if offers had been given so many minutes ago; over long since unless said otherwise."""
    for minute in minutes_ago:
        at_ms = NOON_MS - minute * MINUTE_MS
        usual = {"visit": "now", "step": "coffee", "rung": 0, "expires_ms": at_ms + 1, "ended_ms": None, "outcome": ""}
        exposure = Exposure(
            id=f"x{minute}", member=1, journey="day-out", instance="i", offer="coffee", coupon="c", ghost=False,
            visit_bound=False, at_ms=at_ms, **(usual | facts),
        )  # fmt: skip
        standing = standing.exposed(exposure)
    return standing


def ask(standing: Standing = HERE, proposal: Proposal = PROPOSAL, *, late: bool = False, **limits: object) -> object:
    """True for yes, or why not and in how many minutes to ask again."""
    verdict = arbitrate(proposal, standing, book(**limits), NOON_MS, late=late)
    if isinstance(verdict, Allow):
        return True
    return verdict.because, None if verdict.again_ms is None else (verdict.again_ms - NOON_MS) / MINUTE_MS


GAP = Cap(1, "time", 20 * MINUTE_MS, "limits/member/0")
PER_VISIT = Cap(2, "visit", 0, "limits/member/1")
PER_DAY = Cap(2, "time", DAY_MS, "limits/member/2")


def test_with_no_limits_a_member_who_consents_and_is_here_is_given_it():
    assert ask() is True


def test_without_consent_only_a_change_of_mind_can_help():
    assert ask(HERE._replace(consents=frozenset({"presence"}))) == ("no-consent", None)


def test_late_news_is_asked_about_again_in_a_moment():
    assert ask(late=True) == ("late", ASK_AGAIN_MS / MINUTE_MS)


def test_who_is_silent_is_given_nothing_until_heard():
    assert ask(HERE.after(VisitSilent("s", NOON_MS, 1, "now", NOON_MS))) == ("not-present", None)


def test_what_is_meant_for_the_unseen_is_given_to_the_silent():
    silent = HERE.after(VisitSilent("s", NOON_MS, 1, "now", NOON_MS))
    assert ask(silent, PROPOSAL._replace(for_the_unseen=True)) is True


def test_quiet_hours_hold_it_until_they_end():
    assert ask(quiet=Hours.read("11:30-12:45")) == ("quiet-hours", 45)


def test_another_live_offer_holds_it_until_that_expires():
    assert ask(offered(5, expires_ms=NOON_MS + 7 * MINUTE_MS)) == ("live-offer", 7)


def test_the_offer_it_supersedes_does_not_stand_in_its_way():
    assert ask(offered(5, expires_ms=NOON_MS + 7 * MINUTE_MS), PROPOSAL._replace(supersedes="x5")) is True


def test_the_pause_after_an_offer_is_kept():
    assert ask(offered(5), member=(GAP,)) == ("gap", 15)


def test_the_pause_is_over_to_the_minute():
    assert ask(offered(20), member=(GAP,)) is True


def test_a_redemption_ends_the_pause():
    assert ask(offered(5, ended_ms=NOON_MS - 1, outcome=REDEEMED), member=(GAP,)) is True


def test_a_redemption_before_the_last_offer_does_not():
    before = offered(30, ended_ms=NOON_MS - 25 * MINUTE_MS, outcome=REDEEMED)
    assert ask(offered(5, standing=before), member=(GAP,)) == ("gap", 15)


def test_so_many_per_visit_are_enough_for_the_visit():
    verdict = arbitrate(PROPOSAL, offered(50, 40), book(member=(PER_VISIT,)), NOON_MS, late=False)
    assert isinstance(verdict, Withhold) and (verdict.because, verdict.spent, verdict.again_ms) == ("cap", True, None)


def test_offers_of_earlier_visits_do_not_count_for_this_one():
    assert ask(offered(50, 40, visit="earlier"), member=(PER_VISIT,)) is True


def test_a_rolling_cap_has_room_when_the_oldest_leaves_its_window():
    assert ask(offered(24 * 60 - 30, 10), member=(PER_DAY,)) == ("cap", 30)


def test_a_redemption_does_not_make_room_under_a_cap():
    standing = offered(50, 40, ended_ms=NOON_MS - 1, outcome=REDEEMED)
    assert ask(standing, member=(PER_DAY,)) == ("cap", 24 * 60 - 50)


def test_a_first_offer_is_no_upgrade():
    assert ask(offered(50, rung=1), upgrades=(Cap(1, "visit", 0, "u"),)) is True


def test_only_so_many_upgrades():
    assert ask(offered(50, rung=1), PROPOSAL._replace(rung=1), upgrades=(Cap(1, "visit", 0, "u"),)) == ("cap", None)


def test_upgrades_of_another_step_do_not_count_for_this_one():
    per_step = (Cap(1, "step", 0, "u"),)
    assert ask(offered(50, rung=1, step="lunch"), PROPOSAL._replace(rung=1), upgrades=per_step) is True


def test_the_trace_ends_with_the_limit_that_refused():
    verdict = arbitrate(PROPOSAL, offered(5), book(member=(GAP, PER_VISIT)), NOON_MS, late=False)
    assert verdict.lines[-1] == Line("limits/member/0", False, "last 5m ago of 20m")


@given(st.integers(1, 2**40), st.text(min_size=1, max_size=8))
def test_a_member_is_held_out_for_ever_under_one_salt(member, salt):
    limits = Limits(holdout_percent=10, holdout_salt=salt)
    assert held_out(member, limits) == held_out(member, limits)


@pytest.mark.parametrize("percent", [0, 10, 50])
def test_the_share_held_out_is_what_was_asked_for(percent):
    limits = Limits(holdout_percent=percent, holdout_salt="2026q4")
    share = sum(held_out(member, limits) for member in range(1, 20_001)) / 200
    assert abs(share - percent) < 1


def test_raising_the_share_keeps_those_who_are_in():
    few, more = (Limits(holdout_percent=percent, holdout_salt="s") for percent in (10, 20))
    assert all(held_out(member, more) for member in range(1, 2_000) if held_out(member, few))


def test_held_out_is_the_last_question_so_that_both_arms_meet_the_same_limits():
    limits = {"holdout_percent": 50, "holdout_salt": "s", "member": (GAP,)}
    ghost = next(member for member in range(1, 100) if held_out(member, Limits(holdout_percent=50, holdout_salt="s")))
    assert ask(offered(5)._replace(member=ghost), **limits) == ("gap", 15)
    assert arbitrate(PROPOSAL, HERE._replace(member=ghost), book(**limits), NOON_MS, late=False).ghost
