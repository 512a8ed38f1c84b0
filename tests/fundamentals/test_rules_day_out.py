"""A day in the mall, hour by hour: how one coupon leads to the next, and a member stays a little longer.

Read it from top to bottom; it follows rules/book.yaml.
"""

from __future__ import annotations

import pytest

from engine.events import PresenceEvent
from engine.ledger import open_ledger
from rules.events import CouponEvent
from rules.lines import Line
from rules.reading import parse_book
from rules.receipts import Receipts
from tests.promoting import ROOT, Story


@pytest.fixture
def mall(ledger_url, demo_mall):
    """The demo mall at nine, on one database after the other."""
    ledger = open_ledger(ledger_url, PresenceEvent | CouponEvent)
    book = parse_book((ROOT / "rules" / "book.yaml").read_text(encoding="utf-8"), demo_mall)
    yield Story(ledger, book, demo_mall, "09:00")
    ledger.close()


# -- the morning ----------------------------------------------------------------------------------


def test_who_has_been_here_a_few_minutes_in_the_morning_is_offered_a_coffee(mall):
    mall.arrives("ana")
    mall.at("09:03")
    assert mall.wallet("ana") == []
    mall.at("09:04")
    assert mall.wallet("ana") == ["coffee"]


def test_still_here_and_the_coffee_unredeemed_brings_a_better_offer_in_its_place(mall):
    mall.arrives("ana")
    mall.at("09:19")
    assert mall.states("ana") == [("coffee", "void"), ("coffee+", "issued")]


def test_a_coffee_redeemed_brings_the_next_coupon_at_once(mall):
    mall.arrives("ana")
    mall.at("09:09")
    mall.redeems("ana", "cafe-luna")
    assert mall.wallet("ana") == ["style"]


def test_no_coffee_at_all_and_lunch_is_the_better_offer(mall):
    mall.arrives("ana")
    mall.at("10:51")
    assert mall.given("ana") == ["coffee", "coffee+", "lunch"]


def test_a_birthday_starts_with_a_present_instead(mall):
    mall.join("bo", birthday="11-21")
    mall.arrives("bo")
    mall.at("09:15")
    assert mall.given("bo") == ["birthday-coffee"]


def test_a_birthday_coffee_left_waiting_is_joined_by_cake(mall):
    mall.join("bo", birthday="11-21")
    mall.arrives("bo")
    mall.at("09:23")
    assert mall.wallet("bo") == ["birthday-cake"]


def test_after_the_birthday_treat_the_day_out_goes_on_behind_its_coffee(mall):
    mall.join("bo", birthday="11-21")
    mall.arrives("bo")
    mall.at("09:10")
    mall.redeems("bo", "cafe-luna")
    assert mall.given("bo") == ["birthday-coffee", "style"]


# -- noon to evening ------------------------------------------------------------------------------


@pytest.fixture
def lunched(mall):
    """Half past eleven: Ana had coffee, looked for clothes, and paid for an early lunch with a coupon."""
    mall.arrives("ana")
    mall.at("09:09")
    mall.redeems("ana", "cafe-luna")
    mall.enters("ana", "denim-works")
    mall.at("09:25")
    mall.leaves("ana")
    mall.at("11:05")
    mall.redeems("ana", "noodle-hut")
    mall.at("11:30")
    return mall


def test_shopped_and_lunched_leads_to_beauty(lunched):
    assert lunched.wallet("ana") == ["nails"]


def test_lunched_without_a_look_at_clothes_leads_to_the_cinema(mall):
    mall.arrives("cy")
    mall.at("11:05")
    mall.redeems("cy", "grill-9")
    mall.at("11:30")
    assert mall.wallet("cy") == ["cinema"]


def test_the_cinema_leads_to_dinner(mall):
    mall.arrives("cy")
    mall.at("11:05")
    mall.redeems("cy", "grill-9")
    mall.at("11:30")
    mall.redeems("cy", "cine-12")
    mall.at("17:00")
    assert mall.wallet("cy") == ["dinner"]


def test_money_spent_without_any_coupon_leads_to_dinner_too(mall):
    mall.at("18:55")
    mall.arrives("cy")
    mall.at("19:30")
    assert mall.given("cy") == []
    receipts = Receipts(mall.ledger, mall.codes, mall.mall.shops, lambda: mall.book.calendar)
    bought = {"shop": "denim-works", "receipt": "r1", "at": "2026-11-21 19:30", "amount_minor": "24900", "member": "cy"}
    receipts.take([Line(1, bought)], mall.now_ms, heard_real_ms=5)
    mall.hear()
    assert mall.wallet("cy") == ["dinner"]


@pytest.mark.parametrize(("home_km", "offer"), [(4.0, "taxi"), (65.0, "hotel")])
def test_the_evening_ends_with_a_taxi_or_for_those_who_live_far_a_hotel(mall, home_km, offer):
    mall.join("di", home_km=home_km)
    mall.at("17:30")
    mall.arrives("di")
    mall.at("19:35")
    mall.redeems("di", "trattoria")
    assert mall.wallet("di") == [offer]


def test_the_whole_day_of_one_member(lunched):
    lunched.redeems("ana", "beauty-bar")
    lunched.at("17:10")
    lunched.redeems("ana", "izakaya-k")
    lunched.at("19:40")
    lunched.redeems("ana", "taxi-rank")
    assert lunched.states("ana") == [
        (offer, "redeemed") if offer != "style" else (offer, "expired")
        for offer in ("coffee", "style", "lunch", "nails", "dinner", "taxi")
    ]


def test_the_whole_day_of_one_who_is_held_out_is_the_same_with_nothing_sent(mall):
    mall.join("gus", holdout=True)
    mall.arrives("gus")
    mall.at("21:00")
    assert mall.given("gus") == []
    assert mall.ghosts("gus")[:4] == ["coffee", "coffee+", "lunch", "lunch+"]


def test_who_withdraws_consent_over_lunch_is_left_alone_at_once(mall):
    mall.arrives("ana")
    mall.at("11:05")
    mall.consent("ana", "personal_offers", False)
    mall.at("21:00")
    assert {state for _, state in mall.states("ana")} <= {"void", "expired"}
    assert mall.given("ana")[-1] == "lunch"


# -- leaving --------------------------------------------------------------------------------------


def test_going_home_takes_back_what_is_good_only_in_the_mall(mall):
    mall.arrives("ana")
    mall.at("09:10")
    mall.goes_home("ana")
    assert mall.states("ana") == [("coffee", "void")]


def test_who_has_gone_home_is_offered_nothing_more(mall):
    mall.arrives("ana")
    mall.at("09:10")
    mall.goes_home("ana")
    mall.at("12:30")
    assert mall.given("ana") == ["coffee"]


def test_another_visit_is_another_chain(mall):
    mall.arrives("ana")
    mall.at("09:10")
    mall.goes_home("ana")
    mall.at("10:30")
    mall.arrives("ana")
    mall.at("10:35")
    assert mall.given("ana") == ["coffee", "coffee"]
