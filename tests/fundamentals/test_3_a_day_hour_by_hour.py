"""Third part of the tutorial: a Saturday in the mall, hour by hour. One coupon leads to the next, and members stay.

Read it from top to bottom beside rules/book.yaml, whose journeys it follows. Everything is the program itself, on one
database after the other; only presence is told by hand, and the clock is the test's. A wallet holds one live coupon at
most. Ana likes coffee; Bo has his birthday; Cy never takes the first offer; Di comes in the evening; Gus is held out.
"""

from __future__ import annotations

import pytest

from engine.events import PresenceEvent
from engine.ledger import open_ledger
from rules.events import CouponEvent
from rules.explain import explain
from rules.lines import Line
from rules.past import look_back
from rules.reading import parse_book
from rules.receipts import Receipts
from rules.shelf import Shelf
from tests.promoting import ROOT, Story, instant_ms


@pytest.fixture
def mall(ledger_url, demo_mall):
    """The demo mall at nine, on one database after the other."""
    ledger = open_ledger(ledger_url, PresenceEvent | CouponEvent)
    book = parse_book((ROOT / "rules" / "book.yaml").read_text(encoding="utf-8"), demo_mall)
    yield Story(ledger, book, demo_mall, "09:00")
    ledger.close()


def buys(mall, name, shop, amount_minor):
    """A shop's till tells what a member paid, without any coupon."""
    receipts = Receipts(mall.ledger, mall.codes, mall.mall.shops, lambda: mall.book.calendar)
    at = mall.book.calendar.moment_text(mall.now_ms)
    bought = {"shop": shop, "receipt": f"r{mall.now_ms}", "at": at, "amount_minor": str(amount_minor), "member": name}
    receipts.take([Line(1, bought)], mall.now_ms, heard_real_ms=5)
    mall.hear()


def said(mall, name, hour, step):
    """What `sojourn explain NAME --at HOUR --step STEP` answers about the day out."""
    shelf = Shelf(mall.mall)
    with mall.ledger.read() as tx:
        past = look_back(mall.ledger, tx, mall.members[name], instant_ms(hour) + 59_999)
        found = explain(past, mall.book, lambda version: shelf.readable(tx, version), step=step)
    return next(answer.said["en"] for answer in found.answers if answer.journey == "day-out")


# -- 09:30: a coffee --------------------------------------------------------------------------------


@pytest.fixture
def half_past_nine(mall):
    """Ana and Cy came a few minutes ago, and have been offered a coffee each."""
    mall.at("09:26")
    mall.arrives("ana")
    mall.arrives("cy")
    return mall.at("09:30")


def test_at_09_26_nobody_who_has_just_come_is_offered_anything(mall):
    mall.at("09:26").arrives("ana")
    assert mall.at("09:29").wallet("ana") == []


def test_at_09_30_who_has_been_here_a_few_minutes_is_offered_a_coffee(half_past_nine):
    assert half_past_nine.wallet("ana") == ["coffee"]


def test_at_09_30_it_can_be_said_why(half_past_nine):
    assert said(half_past_nine, "ana", "09:28", "coffee") == (
        "Waiting for: present in the mall for a while (2m59s of 4m)."
    )
    assert said(half_past_nine, "ana", "09:30", "coffee").startswith("Given at 09:30: Coffee 10 % off.")


def test_at_09_30_on_a_birthday_the_coffee_is_a_present(mall):
    mall.join("bo", birthday="11-21")
    mall.at("09:26").arrives("bo")
    assert mall.at("09:30").wallet("bo") == ["birthday-coffee"]


def test_at_09_30_one_who_is_held_out_is_decided_about_in_the_same_way_and_sent_nothing(mall):
    mall.join("gus", holdout=True)
    mall.at("09:26").arrives("gus")
    mall.at("09:30")
    assert (mall.given("gus"), mall.ghosts("gus")) == ([], ["coffee"])


# -- 09:40: redeemed, and the next coupon follows at once -------------------------------------------


def test_at_09_40_a_coffee_redeemed_brings_the_next_coupon_at_once(half_past_nine):
    half_past_nine.at("09:40").redeems("ana", "cafe-luna")
    assert half_past_nine.wallet("ana") == ["style"]


def test_at_09_40_after_the_birthday_present_the_day_goes_on_behind_its_coffee(mall):
    mall.join("bo", birthday="11-21")
    mall.at("09:26").arrives("bo")
    mall.at("09:40").redeems("bo", "cafe-luna")
    assert mall.given("bo") == ["birthday-coffee", "style"]


# -- 09:45 to 11:00: here and unredeemed, so a better offer, lunch among them -----------------------


def test_at_09_45_still_here_and_the_coffee_unredeemed_brings_a_better_one_in_its_place(half_past_nine):
    half_past_nine.at("09:45")
    assert half_past_nine.states("cy") == [("coffee", "void"), ("coffee+", "issued")]


def test_at_09_45_nothing_better_goes_to_one_who_may_have_left(half_past_nine):
    half_past_nine.at("09:40").falls_silent("cy")
    assert half_past_nine.at("09:50").given("cy") == ["coffee"]


def test_at_09_49_a_birthday_coffee_left_waiting_is_joined_by_cake(mall):
    mall.join("bo", birthday="11-21")
    mall.at("09:26").arrives("bo")
    assert mall.at("09:49").wallet("bo") == ["birthday-cake"]


def test_by_10_51_who_wanted_no_coffee_at_all_is_offered_lunch_instead(half_past_nine):
    half_past_nine.at("10:51")
    assert half_past_nine.given("cy") == ["coffee", "coffee+", "lunch"]


def test_by_11_20_an_unredeemed_lunch_gets_better_too(half_past_nine):
    half_past_nine.at("11:20")
    assert half_past_nine.states("cy")[-2:] == [("lunch", "void"), ("lunch+", "issued")]


# -- 11:30: shopped and lunched, so beauty; lunched only, so the cinema -----------------------------


@pytest.fixture
def shopped_and_lunched(half_past_nine):
    """Ana had coffee at 09:40, looked at clothes for a quarter of an hour, and had lunch at 11:05."""
    mall = half_past_nine.at("09:40")
    mall.redeems("ana", "cafe-luna")
    mall.enters("ana", "denim-works")
    mall.at("09:55").leaves("ana")
    mall.at("11:05").redeems("ana", "noodle-hut")
    return mall.at("11:30")


@pytest.fixture
def lunched(half_past_nine):
    """Cy took no coffee, looked at nothing, and had the better lunch at 11:20."""
    half_past_nine.at("11:20").redeems("cy", "grill-9")
    return half_past_nine.at("11:30")


def test_at_11_30_shopped_and_lunched_leads_to_beauty(shopped_and_lunched):
    assert shopped_and_lunched.wallet("ana") == ["nails"]


def test_at_11_30_lunched_without_a_look_at_clothes_leads_to_the_cinema(lunched):
    assert lunched.wallet("cy") == ["cinema"]


def test_at_12_00_an_unredeemed_cinema_ticket_comes_with_popcorn(lunched):
    lunched.at("12:00")
    assert lunched.states("cy")[-2:] == [("cinema", "void"), ("cinema+", "issued")]
    assert said(lunched, "cy", "12:00", "treat").startswith("Given at 12:00: 30 off a cinema ticket")


# -- 17:00: the cinema or other spending, so dinner -------------------------------------------------


def test_at_17_00_the_cinema_leads_to_dinner(lunched):
    lunched.at("11:40").redeems("cy", "cine-12")
    assert lunched.at("16:59").wallet("cy") == []
    assert lunched.at("17:00").wallet("cy") == ["dinner"]


def test_at_19_30_money_spent_without_any_coupon_leads_to_dinner_too(mall):
    mall.at("18:55").arrives("cy")
    assert mall.at("19:30").given("cy") == []
    buys(mall, "cy", "denim-works", 24_900)
    assert mall.wallet("cy") == ["dinner"]


def test_at_19_30_too_little_spent_leads_nowhere_yet(mall):
    mall.at("18:55").arrives("cy")
    mall.at("19:30")
    buys(mall, "cy", "denim-works", 900)
    assert mall.wallet("cy") == []


# -- 19:40: a taxi home, or a hotel for those who live far ------------------------------------------


@pytest.mark.parametrize(("home_km", "offer"), [(4.0, "taxi"), (65.0, "hotel")])
def test_at_19_40_the_evening_ends_with_a_taxi_or_for_those_who_live_far_a_hotel(mall, home_km, offer):
    mall.join("di", home_km=home_km)
    mall.at("17:30").arrives("di")
    mall.at("19:40").redeems("di", "trattoria")
    assert mall.wallet("di") == [offer]


# -- the whole day ----------------------------------------------------------------------------------


def test_the_whole_day_of_ana(shopped_and_lunched):
    mall = shopped_and_lunched
    mall.redeems("ana", "beauty-bar")
    mall.at("17:10").redeems("ana", "izakaya-k")
    mall.at("19:40").redeems("ana", "taxi-rank")
    assert mall.states("ana") == [
        ("coffee", "redeemed"),
        ("style", "expired"),
        ("lunch", "redeemed"),
        ("nails", "redeemed"),
        ("dinner", "redeemed"),
        ("taxi", "redeemed"),
    ]


def test_the_whole_day_of_gus_who_is_held_out_is_a_day_with_nothing_sent(mall):
    mall.join("gus", holdout=True)
    mall.arrives("gus")
    mall.at("21:00")
    assert mall.given("gus") == []
    assert mall.ghosts("gus")[:4] == ["coffee", "coffee+", "lunch", "lunch+"]


def test_at_every_hour_of_the_day_one_coupon_at_most_is_in_a_wallet(mall):
    mall.arrives("cy")
    for hour in range(9, 22):
        for minute in (10, 25, 40, 55):
            assert len(mall.at(f"{hour:02}:{minute}").wallet("cy")) <= 1


# -- what can go wrong ------------------------------------------------------------------------------


def test_the_cafe_closes_early_and_the_next_offer_takes_the_place_of_its_coffee(half_past_nine):
    for shop in ("cafe-luna", "cafe-aurora"):
        half_past_nine.switch("shop", shop, until_ms=instant_ms("00:00", "2026-11-22"))
    assert half_past_nine.states("ana") == [("coffee", "void"), ("coffee+", "issued")], "it is good at the bakery too"


def test_an_operator_stops_everything_and_what_is_out_is_still_redeemed(half_past_nine):
    half_past_nine.switch("mall", "mall")
    assert half_past_nine.at("09:55").redeems("ana", "cafe-luna") == "coffee"
    assert half_past_nine.at("10:10").wallet("ana") == []
    half_past_nine.switch("mall", "mall", True)
    assert half_past_nine.wallet("ana") == ["style"]


def test_who_withdraws_consent_over_lunch_is_left_alone_at_once(half_past_nine):
    half_past_nine.at("11:05").consent("cy", "personal_offers", False)
    half_past_nine.at("21:00")
    assert {state for _, state in half_past_nine.states("cy")} <= {"void", "expired"}
    assert half_past_nine.given("cy")[-1] == "lunch"


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
