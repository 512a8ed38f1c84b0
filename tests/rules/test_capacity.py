"""Room for so many coupons and money for so much: of an offer, a shop, a journey; never passed, on each database."""

from __future__ import annotations

import threading

import pytest
import sqlalchemy as sa

from rules import tables
from rules.reading import parse_book
from tests.promoting import Story, instant_ms

BOOK = """\
schema: 1
timezone: Asia/Shanghai
offers:
  coffee: {title: a, shops: [cafe-luna, cafe-aurora], cost: 300, valid: 30m, capacity: "3 per day"}
limits: {}
journeys:
  day-out:
    priority: 50
    start: {event: visit.started}
    steps: [{id: coffee, try: [coffee], wait: 20m}]
"""
NAMES = ("ana", "bo", "cy", "di", "eve")


@pytest.fixture
def mall(ledger, demo_mall):
    """Opens a story by a changed book, on each database."""

    def begin(old="", new="", opens="09:00"):
        return Story(ledger, parse_book(BOOK.replace(old, new) if old else BOOK, demo_mall), demo_mall, opens)

    return begin


def all_arrive(story, names=NAMES):
    for name in names:
        story.arrives(name)
        story.turn(1_000)
    return [len(story.given(name)) for name in names]


def held(story):
    b = tables.budget.c
    with story.ledger.read() as tx:
        rows = tx.execute(sa.select(b.scope, b.reserved, b.spent).order_by(b.scope))
        return {scope: (reserved, spent) for scope, reserved, spent in rows}


def test_no_more_of_an_offer_than_its_capacity_for_the_day(mall):
    story = mall()
    assert all_arrive(story) == [1, 1, 1, 0, 0]
    assert story.decisions("eve")[-1] == ("withheld", "capacity:coffee")


def test_another_day_has_room_again(mall):
    story = mall(opens="23:50")
    all_arrive(story)
    story.at("00:00", "2026-11-22")
    story.at("00:06", "2026-11-22")
    assert [len(story.given(name)) for name in NAMES] == [1, 1, 1, 1, 1]


def test_a_capacity_of_live_coupons_frees_as_they_end(mall):
    story = mall("3 per day", "1 now")
    assert all_arrive(story) == [1, 0, 0, 0, 0]
    story.redeems("ana", "cafe-luna")
    story.at("09:05")
    story.turn(10_000)
    assert [len(story.given(name)) for name in NAMES].count(1) == 2


def test_a_capacity_over_a_rolling_time(mall):
    story = mall("3 per day", "2 per 1h")
    assert all_arrive(story) == [1, 1, 0, 0, 0]
    story.at("09:59")
    assert sum(len(story.given(name)) for name in NAMES) == 2
    story.at("10:06")
    assert sum(len(story.given(name)) for name in NAMES) == 4


def test_a_shop_has_room_for_so_many_live_coupons_of_all_offers(mall):
    story = mall("limits: {}", "limits: {capacity: {cafe-aurora: 2 now}}")
    assert all_arrive(story) == [1, 1, 0, 0, 0]
    assert story.decisions("cy")[-1] == ("withheld", "capacity:cafe-aurora")


def test_a_journey_has_a_budget_for_the_day(mall):
    story = mall("priority: 50", "priority: 50\n    budget: 700")
    assert all_arrive(story)[:3] == [1, 1, 0]
    assert story.decisions("cy")[-1] == ("withheld", "budget:journey:day-out")


def test_a_shop_has_a_budget_for_the_day(mall):
    story = mall("limits: {}", "limits: {budget: {shops: {cafe-luna: 300}}}")
    assert all_arrive(story)[:2] == [1, 0]
    assert story.decisions("bo")[-1] == ("withheld", "budget:shop:cafe-luna")


def test_of_the_shops_a_coupon_is_good_at_the_one_that_redeems_pays(mall):
    story = mall("limits: {}", "limits: {budget: {shops: {cafe-luna: 900, cafe-aurora: 900}}}")
    story.arrives("ana")
    assert held(story) == {"shop:cafe-aurora": (300, 0), "shop:cafe-luna": (300, 0)}
    story.redeems("ana", "cafe-luna")
    assert held(story) == {"shop:cafe-aurora": (0, 0), "shop:cafe-luna": (0, 300)}


def test_a_redemption_undone_gives_the_money_back_where_it_came_from(mall):
    story = mall("limits: {}", "limits: {budget: {shops: {cafe-luna: 900, cafe-aurora: 900}}}")
    story.arrives("ana")
    (coupon,) = story.coupons("ana")
    with story.ledger.write() as tx:
        spent = story.till.redeem(tx, "cafe-luna", story.codes.of(coupon["id"]), story.now_ms, heard_real_ms=6)
        story.till.restore(tx, "cafe-luna", spent.redemption, story.now_ms, heard_real_ms=6)
    assert held(story) == {"shop:cafe-aurora": (300, 0), "shop:cafe-luna": (300, 0)}


def test_with_an_expected_redemption_only_that_part_is_set_aside(mall):
    story = mall("limits: {}", "limits: {budget: {day: 100, expected_redemption: 0.1}}")
    assert all_arrive(story)[:3] == [1, 1, 1]
    assert held(story) == {"day": (90, 0)}


def test_what_is_redeemed_counts_in_full(mall):
    story = mall("limits: {}", "limits: {budget: {day: 100, expected_redemption: 0.1}}")
    story.arrives("ana")
    story.redeems("ana", "cafe-luna")
    assert held(story) == {"day": (0, 300)}
    story.arrives("bo")
    assert story.decisions("bo")[-1] == ("withheld", "budget:day")


def test_what_expires_sets_its_part_free(mall):
    story = mall("limits: {}", "limits: {budget: {day: 100, expected_redemption: 0.1}}")
    story.arrives("ana")
    story.at("09:30")
    assert held(story) == {"day": (0, 0)}


@pytest.mark.parametrize("capacity", ["3 per day", "3 now", "3 per 2h"])
def test_fifty_who_issue_at_once_do_not_pass_the_capacity(ledger, coupons, a_coffee, capacity, demo_mall):
    from rules.capacity import rooms
    from rules.coupons import Refused

    book = parse_book(BOOK.replace("3 per day", capacity), demo_mall)
    taken = rooms(book, book.offers["coffee"], instant_ms("12:00"))
    refused = []

    def give(member):
        try:
            with ledger.write() as tx:
                coupons.issue(tx, a_coffee(member=member, rooms=taken))
        except Refused as problem:
            refused.append(problem.reason)

    workers = [threading.Thread(target=give, args=(member,)) for member in range(1, 51)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    with ledger.read() as tx:
        assert tx.execute(sa.select(sa.func.count()).select_from(tables.coupon)).scalar_one() == 3
    assert refused == ["capacity:coffee"] * 47


def test_a_room_left_may_be_asked_for(mall, demo_mall):
    story = mall("[{id: coffee, ", "[{id: coffee, when: [{capacity: {offer: coffee, at_least: 2}}], ")
    assert all_arrive(story) == [1, 1, 0, 0, 0]
    assert story.trace("cy")["journeys/day-out/steps/0/when/0"] == "room for 1 of 2"
