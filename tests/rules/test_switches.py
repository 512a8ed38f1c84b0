"""What is switched off stops at once: a shop that closes early, an offer taken out, a journey, the whole mall."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from engine.problems import Problem
from rules import tables
from rules.reading import parse_book
from rules.switches import Switch, Switches
from tests.promoting import Story, instant_ms

BOOK = """\
schema: 1
timezone: Asia/Shanghai
offers:
  coffee: {title: Coffee, shops: [cafe-luna], cost: 100, valid: 60m}
  tea: {title: Tea, shops: [cafe-aurora], cost: 150, valid: 60m}
  either: {title: Either, shops: [cafe-luna, cafe-aurora], cost: 100, valid: 60m}
  lunch: {title: Lunch, shops: [noodle-hut], cost: 100, valid: 60m}
limits:
  member: [1 per 20m, 9 per visit]
journeys:
  birthday:
    priority: 90
    start: {event: visit.started, when: [{birthday: today}]}
    steps: [{id: cake, when: [{present: 5m}], try: [lunch], wait: 30m}]
  day-out:
    priority: 50
    start: {event: visit.started}
    steps:
      - {id: coffee, when: [{time: "09:00-11:00"}, {present: 5m}], try: [coffee, tea], wait: 30m}
      - {id: lunch, when: [{time: "09:00-14:00"}], try: [lunch], wait: 30m}
"""


@pytest.fixture
def mall(ledger, demo_mall):
    """Opens a story by a changed book, on each database."""

    def begin(old="", new=""):
        return Story(ledger, parse_book(BOOK.replace(old, new) if old else BOOK, demo_mall), demo_mall)

    return begin


@pytest.fixture
def coffee(mall):
    """Ana came at nine and was given a coffee at five past, good at Cafe Luna alone."""
    story = mall()
    story.arrives("ana")
    return story.at("09:05")


# -- a shop closes early ----------------------------------------------------------------------------


def test_closing_a_shop_takes_back_what_is_good_nowhere_else_and_the_next_offer_follows_at_once(coffee):
    coffee.switch("shop", "cafe-luna")
    assert coffee.states("ana") == [("coffee", "void"), ("tea", "issued")]


def test_the_trace_of_what_follows_says_why_it_came(coffee):
    coffee.switch("shop", "cafe-luna")
    assert coffee.trace("ana")["journeys/day-out/steps/0/wait"] == "taken back, as its shop closed"
    assert coffee.trace("ana")["limits/member/0"] == "last 0s ago of 20m, taken back since"


def test_who_closed_it_stands_in_the_history_of_the_coupon(coffee):
    coffee.switch("shop", "cafe-luna", actor="shop:cafe-luna")
    line = tables.coupon_event.c
    with coffee.ledger.read() as tx:
        last = tx.execute(sa.select(line.act, line.actor, line.reason).where(line.act == "void")).one()
    assert tuple(last) == ("void", "shop:cafe-luna", "closed")


def test_no_better_offer_at_an_open_shop_and_the_next_step_follows(mall):
    story = mall("try: [coffee, tea]", "try: [coffee]")
    story.arrives("ana")
    story.at("09:05").switch("shop", "cafe-luna")
    assert story.states("ana") == [("coffee", "void"), ("lunch", "issued")]


def test_a_coupon_that_is_good_at_another_shop_too_stays(mall):
    story = mall("try: [coffee, tea]", "try: [either, tea]")
    story.arrives("ana")
    story.at("09:05").switch("shop", "cafe-luna")
    assert story.wallet("ana") == ["either"]
    story.switch("shop", "cafe-aurora")
    assert story.wallet("ana") == ["lunch"]


def test_a_coupon_stays_where_its_shop_opens_again_within_its_time(coffee):
    coffee.switch("shop", "cafe-luna", until_ms=instant_ms("09:30"))
    assert coffee.wallet("ana") == ["coffee"]
    coffee.switch("shop", "cafe-luna", until_ms=instant_ms("10:05"))
    assert coffee.wallet("ana") == ["tea"], "it would open as its time is over"


def test_a_till_of_a_closed_shop_still_serves_who_stands_there(coffee):
    coffee.switch("shop", "cafe-luna", until_ms=instant_ms("09:30"))
    assert coffee.redeems("ana", "cafe-luna") == "coffee"


def test_what_a_till_of_a_closed_shop_undoes_lives_again(coffee):
    (given,) = coffee.coupons("ana")
    with coffee.ledger.write() as tx:
        spent = coffee.till.redeem(tx, "cafe-luna", coffee.codes.of(given["id"]), coffee.now_ms, heard_real_ms=6)
        closed = Switch("shop", "cafe-luna", False, None, "no power", "shop:cafe-luna", coffee.now_ms)
        Switches(coffee.ledger).turn(tx, closed)
        coffee.till.restore(tx, "cafe-luna", spent.redemption, coffee.now_ms, heard_real_ms=6)
    assert coffee.wallet("ana") == ["coffee"]


def test_a_till_says_that_a_coupon_was_taken_back(coffee):
    (given,) = coffee.coupons("ana")
    coffee.switch("shop", "cafe-luna")
    with coffee.ledger.read() as tx, pytest.raises(Problem, match="taken back"):
        coffee.till.validate(tx, "cafe-luna", coffee.codes.of(given["id"]), coffee.now_ms)


def test_money_of_what_was_taken_back_is_set_free(mall):
    story = mall("  member:", "  budget: {day: 150}\n  member:")
    story.arrives("ana")
    story.at("09:05").switch("shop", "cafe-luna")
    assert story.wallet("ana") == ["tea"]


def test_a_step_with_an_offer_at_an_open_shop_passes_over_the_closed_one(mall):
    story = mall()
    story.switch("shop", "cafe-luna")
    story.arrives("ana")
    assert story.at("09:05").wallet("ana") == ["tea"]
    assert story.trace("ana")["switches/shop/cafe-luna"] == "off"


def test_a_step_that_nobody_can_give_is_skipped_with_its_reason(mall):
    story = mall("try: [coffee, tea]", "try: [coffee]")
    story.switch("shop", "cafe-luna", until_ms=instant_ms("00:00", "2026-11-22"))
    story.arrives("ana")
    assert story.at("09:05").wallet("ana") == ["lunch"]
    assert ("skipped", "closed:cafe-luna") in story.decisions("ana", "coffee")


def test_a_step_waits_for_a_shop_that_opens_again_within_its_window(mall):
    story = mall("try: [coffee, tea]", "try: [coffee]")
    story.switch("shop", "cafe-luna", until_ms=instant_ms("10:00"))
    story.arrives("ana")
    assert story.at("09:59").given("ana") == []
    assert story.decisions("ana", "coffee")[-1] == ("withheld", "closed:cafe-luna")
    assert story.at("10:00").wallet("ana") == ["coffee"]


def test_a_shop_that_opens_earlier_than_it_said_is_asked_for_at_once(mall):
    story = mall("try: [coffee, tea]", "try: [coffee]")
    story.switch("shop", "cafe-luna", until_ms=instant_ms("10:00"))
    story.arrives("ana")
    story.at("09:30").switch("shop", "cafe-luna", True)
    assert story.wallet("ana") == ["coffee"]


def test_closing_is_the_same_for_who_is_held_out(mall):
    story = mall("  member:", "  holdout: {percent: 10, salt: s}\n  member:")
    story.join("gus", holdout=True)
    story.arrives("gus")
    story.at("09:05").switch("shop", "cafe-luna")
    assert (story.given("gus"), story.ghosts("gus")) == ([], ["coffee", "tea"])


def test_what_a_turn_brings_about_is_brought_about_once(coffee):
    coffee.switch("shop", "cafe-luna")
    before = coffee.decided("ana")
    coffee.restart()
    coffee.hear()
    assert coffee.decided("ana") == before


# -- an offer is taken out --------------------------------------------------------------------------


def test_an_offer_taken_out_is_passed_over_and_what_is_out_stays_good(coffee):
    coffee.switch("offer", "coffee")
    coffee.arrives("bo")
    coffee.at("09:10")
    assert (coffee.wallet("ana"), coffee.wallet("bo")) == (["coffee"], ["tea"])
    assert coffee.trace("bo")["switches/offer/coffee"] == "off"


def test_a_better_offer_taken_out_leaves_the_step_after_its_wait(coffee):
    coffee.switch("offer", "tea")
    coffee.at("09:35")
    assert coffee.decisions("ana", "coffee")[-1] == ("moved-on", "taken-out:tea")


# -- a journey or the mall is switched off ----------------------------------------------------------


@pytest.mark.parametrize("which", [("journey", "day-out"), ("mall", "mall")])
def test_nothing_is_given_while_it_is_off_and_it_goes_on_where_it_was(coffee, which):
    coffee.switch(*which)
    coffee.at("09:50")
    assert coffee.states("ana") == [("coffee", "issued")], "its wait was over at 09:35"
    assert coffee.decisions("ana")[-1] == ("withheld", f"switched-off:{which[1]}")
    coffee.switch(*which, True)
    assert coffee.wallet("ana") == ["tea"]


def test_what_is_out_is_redeemed_meanwhile_and_counts_when_it_goes_on(coffee):
    coffee.switch("mall", "mall")
    coffee.redeems("ana", "cafe-luna")
    assert coffee.at("09:30").wallet("ana") == []
    coffee.switch("mall", "mall", True)
    assert coffee.wallet("ana") == ["lunch"]


def test_who_comes_while_it_is_off_is_given_something_when_it_goes_on(mall):
    story = mall()
    story.switch("journey", "day-out")
    story.arrives("ana")
    assert story.at("09:20").given("ana") == []
    story.switch("journey", "day-out", True)
    assert story.wallet("ana") == ["coffee"]


def test_a_switch_with_an_end_goes_on_by_itself(mall):
    story = mall()
    story.switch("mall", "mall", until_ms=instant_ms("09:30"))
    story.arrives("ana")
    assert story.at("09:29").given("ana") == []
    assert story.at("09:30").wallet("ana") == ["coffee"]


def test_a_journey_that_is_off_holds_up_no_other(mall):
    story = mall()
    story.join("bo", birthday="11-21")
    story.switch("journey", "birthday")
    story.arrives("bo")
    assert story.at("09:05").wallet("bo") == ["coffee"]


def test_whoever_was_paused_by_a_journey_that_is_switched_off_goes_on_at_once(mall):
    story = mall()
    story.join("bo", birthday="11-21")
    story.arrives("bo")
    story.at("09:04")
    assert story.decisions("bo")[-1] == ("withheld", "paused by birthday")
    story.switch("journey", "birthday")
    assert story.at("09:05").wallet("bo") == ["coffee"]


def test_a_visit_that_ends_meanwhile_ends_its_runs(coffee):
    coffee.switch("mall", "mall")
    coffee.goes_home("ana")
    assert coffee.decisions("ana")[-1] == ("finished", "visit ended")


def test_a_restart_forgets_no_switch(coffee):
    coffee.switch("mall", "mall")
    coffee.restart()
    assert coffee.at("09:50").states("ana") == [("coffee", "issued")]


def test_every_turn_is_kept_with_who_and_why(coffee):
    coffee.switch("mall", "mall")
    coffee.switch("mall", "mall", True, actor="operator:lee")
    with coffee.ledger.read() as tx:
        turns = Switches(coffee.ledger).history(tx, "mall", "mall", 10)
    assert [(one.is_on, one.reason, one.actor) for one in turns] == [
        (True, "burst pipe", "operator:lee"), (False, "burst pipe", "operator:kim"),
    ]  # fmt: skip
