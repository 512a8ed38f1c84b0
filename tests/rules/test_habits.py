"""What a member has done, told and is known for: spend, segments, and the room an offer has left."""

from __future__ import annotations

from contextlib import suppress

import pytest

from engine.events import VisitEnded, VisitStarted, ZoneEntered, ZoneLeft
from rules.segments import read_segment
from rules.source import Source, SourceError, Spoilt
from rules.standing import REDEEMED, Exposure, Profile, Purchase, Standing
from rules.times import DAY_MS, Calendar
from rules.words import Terms, read_conditions
from tests.promoting import instant_ms

NOON_MS = instant_ms("12:00")
HOUR_MS = 3_600_000
SHOPS = frozenset({"cafe-luna", "noodle-hut", "glow"})
SOLD = {"cafe": frozenset({"cafe-luna"}), "beauty": frozenset({"glow"})}
ZONES = {"cafe": frozenset({"luna"}), "beauty": frozenset({"glow-1", "glow-2"})}
HERE = Standing(1).after(VisitStarted("v", NOON_MS - HOUR_MS, 1, "visit"))


def spent(*purchases: tuple[float, str, int], standing: Standing = HERE) -> Standing:
    """Each purchase as (hours ago, shop, minor units)."""
    return standing._replace(purchases=tuple(Purchase(int(NOON_MS - ago * HOUR_MS), s, m) for ago, s, m in purchases))


def says(row: str, standing: Standing):
    terms = Terms(
        Calendar("Asia/Shanghai"), {}, frozenset(), frozenset({"coffee"}), {}, SHOPS, SOLD, frozenset({"coffee"})
    )
    source = Source(f"[{{{row}}}]", "row")
    read = read_conditions(source.root, terms)
    source.settle()
    return read[0].test(standing, NOON_MS)


def belongs(lines: str, standing: Standing) -> tuple[bool, str]:
    source = Source(lines, "segment")
    segment = read_segment(source.root, SHOPS, SOLD, ZONES)
    source.settle()
    return tuple(segment.belongs(standing, NOON_MS))


def refusal(lines: str) -> str:
    source = Source(lines, "segment")
    with suppress(Spoilt):
        read_segment(source.root, SHOPS, SOLD, ZONES)
    with pytest.raises(SourceError) as refused:
        source.settle()
    return str(refused.value)


def test_money_spent_in_this_visit_counts_and_earlier_money_does_not():
    standing = spent((0.5, "cafe-luna", 300), (2, "cafe-luna", 5000))
    assert says("spend: {at_least: 300, within: visit}", standing).held
    answer = says("spend: {at_least: 301, within: visit}", standing)
    assert (answer.held, answer.seen, answer.settled) == (False, "spent 300 of 301 within the visit", False)


def test_money_spent_is_counted_over_a_time():
    standing = spent((10 * 24, "glow", 4000), (40 * 24, "glow", 9000))
    assert says("spend: {at_least: 4000, within: 30d}", standing).held
    assert not says("spend: {at_least: 4001, within: 30d}", standing).held


@pytest.mark.parametrize(
    ("where", "held"), [("shop: glow", True), ("category: cafe", False), ("category: cafe, shop: glow", True)]
)
def test_money_may_be_counted_in_some_shops_only(where, held):
    standing = spent((0.5, "glow", 4000))
    assert says(f"spend: {{at_least: 4000, within: visit, {where}}}", standing).held == held


def test_somebody_who_is_not_here_has_spent_nothing_in_a_visit():
    assert (
        says("spend: {at_least: 1, within: visit}", spent((0, "glow", 4000), standing=Standing(1))).seen == "not here"
    )


@pytest.mark.parametrize(("room", "held"), [({"coffee": 5}, True), ({"coffee": 4}, False), ({}, False)])
def test_capacity_asks_how_much_room_an_offer_has_left(room, held):
    assert says("capacity: {offer: coffee, at_least: 5}", HERE._replace(room=room)).held == held


@pytest.mark.parametrize(
    ("told", "held"),
    [({"tier": "gold"}, True), ({"tier": "silver"}, True), ({"tier": "bronze"}, False), ({}, False)],
)
def test_an_attribute_may_be_one_of_several(told, held):
    standing = HERE._replace(profile=Profile(attributes=told))
    assert belongs("attributes: {tier: [gold, silver]}", standing)[0] == held


@pytest.mark.parametrize(("points", "held"), [(500.0, True), (499.0, False), ("many", False)])
def test_an_attribute_may_be_compared(points, held):
    standing = HERE._replace(profile=Profile(attributes={"points": points}))
    assert belongs('attributes: {points: ">= 500"}', standing)[0] == held


def test_an_attribute_may_be_a_number():
    standing = HERE._replace(profile=Profile(attributes={"children": 2.0}))
    assert belongs("attributes: {children: 2}", standing)[0]


def test_all_lines_of_a_segment_must_fit_and_the_first_that_does_not_says_so():
    profile = Profile(home_km=30.0, language="en", attributes={"tier": "gold"})
    lines = 'home_km: ">= 20"\nlanguage: zh-Hans\nattributes: {tier: gold}'
    assert belongs(lines, HERE._replace(profile=profile)) == (False, "reads en")


def exposure(outcome: str, days_ago: int) -> Exposure:
    at_ms = NOON_MS - days_ago * DAY_MS
    return Exposure("x", 1, "v", "j", "i", "s", 0, "o", "c", False, False, at_ms, 2**52, at_ms, outcome)


def test_redemptions_are_counted_over_visits():
    standing = HERE._replace(exposures=(exposure(REDEEMED, 20), exposure("expired", 3), exposure(REDEEMED, 2)))
    assert belongs("redemptions: {at_least: 2, within: 30d}", standing)[0]
    assert belongs("redemptions: {at_least: 2, within: 7d}", standing) == (False, "1 redemptions within 7d")


def test_somebody_new_is_a_segment_too():
    assert belongs("visits: {at_most: 1, within: 90d}", HERE)[0]


def strolled(minutes: dict[str, int]) -> Standing:
    """After a visit with so many minutes in each zone."""
    standing = Standing(1).after(VisitStarted("v", 0, 1, "first"))
    for zone, stay in minutes.items():
        standing = standing.after(ZoneEntered(zone, 1, 1, "first", zone, 0.9, 1))
        standing = standing.after(ZoneLeft(zone + "-", 2, 1, "first", zone, stay * 60_000, "silent"))
    return standing.after(VisitEnded("e", 3, 1, "first", 3, "silent"))


def test_the_favourite_category_is_where_most_time_went():
    standing = strolled({"glow-1": 10, "glow-2": 15, "luna": 20})
    assert belongs("favourite: beauty", standing) == (True, "belongs")
    assert belongs("favourite: cafe", standing) == (False, "more time in beauty")
    assert belongs("favourite: [cafe, beauty]", standing)[0]


def test_nobody_has_a_favourite_before_the_first_visit_has_ended():
    assert belongs("favourite: beauty", HERE) == (False, "never stayed there")


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("{}", "a segment needs at least one of home_km, language, attributes"),
        ("visits: {within: 30d}", "give a number to compare with"),
        ("visits: {at_least: 5, at_most: 2, within: 30d}", "no number is at least 5 and at most 2"),
        ("redemptions: {at_least: 1, within: 60d}", "'60d' is further back than the 30 days remembered"),
        ("spend: {at_least: 1, within: 1d, shop: []}", "the list is empty; name at least one"),
        ("favourite: beuaty", "unknown category 'beuaty'; did you mean 'beauty'?"),
        ('attributes: {points: "> many"}', "'> many' is no comparison"),
        ("attributes: {}", "name an attribute and its value"),
    ],
)
def test_a_segment_that_cannot_be_computed_says_why(lines, says):
    assert says in refusal(lines)
