"""What a member has done, counted: visits, redemptions, money spent, and where the time went.

Each reader turns a part of the book into a Counter over a standing; words of `when` and segments are made of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from rules.book import LONGEST_WINDOW_MS
from rules.shape import COUNTED, SPENT
from rules.source import Node
from rules.standing import REDEEMED, SPENDING_WINDOW_MS, Standing
from rules.times import DAY_MS, length_text

Categories = Mapping[str, frozenset[str]]  # a zone's kind or tag -> what trades or lies there


# Visits of so many days are what "lately" means where a number of them is given.
LATELY_MS = 30 * DAY_MS


def visits_lately(standing: Standing, now_ms: int) -> int:
    """Visits begun within 30 days, this one included."""
    return sum(now_ms - started_ms <= LATELY_MS for started_ms in standing.memory.visits_ms)


def days_away(standing: Standing, now_ms: int) -> int | None:
    """Whole days between the beginnings of this visit (or now) and the one before; None where none is known."""
    visit = standing.visit
    since_ms = visit.started_ms if visit else now_ms
    before = [started_ms for started_ms in standing.memory.visits_ms if visit is None or started_ms < since_ms]
    return (since_ms - before[-1]) // DAY_MS if before else None


class Count(NamedTuple):
    """Whether it is enough (and not too much), and what was counted."""

    held: bool
    seen: str


Counter = Callable[[Standing, int], Count]  # standing, now_ms


def read_visits(node: Node) -> Counter:
    """{at_least: 3, within: 90d}: visits begun within the time, this one included."""
    bounds = _bounds(node)

    def count(standing: Standing, now_ms: int) -> Count:
        number = sum(now_ms - started_ms <= bounds.within_ms for started_ms in standing.memory.visits_ms)
        return bounds.judge(number, "visits")

    return count


def read_redemptions(node: Node) -> Counter:
    """{at_least: 2, within: 30d}: coupons redeemed within the time, in any visit."""
    bounds = _bounds(node, LONGEST_WINDOW_MS)

    def count(standing: Standing, now_ms: int) -> Count:
        number = sum(
            exposure.outcome == REDEEMED and now_ms - (exposure.ended_ms or exposure.at_ms) <= bounds.within_ms
            for exposure in standing.exposures
        )
        return bounds.judge(number, "redemptions")

    return count


def read_spend(node: Node, shops: frozenset[str], categories: Categories) -> Counter:
    """{at_least: 15000, within: visit, shop: [..], category: [..]}: money spent, in minor units."""
    fields = node.part(SPENT)
    at_least = fields.take("at_least", lambda value: value.whole(1), 0)
    in_visit = "within" in fields and fields["within"].value == "visit"
    within_ms = (
        0 if in_visit else fields.take("within", lambda value: _within(value, SPENDING_WINDOW_MS, instead="visit"), 0)
    )
    wanted: frozenset[str] | None = None
    if "shop" in fields or "category" in fields:
        named = fields.take("shop", lambda value: value.each_or_one(lambda one: one.one_of(shops, "shop")), ())
        wanted = frozenset(named) | fields.take("category", lambda value: read_category(value, categories), frozenset())
    written = f"{at_least} within {'the visit' if in_visit else length_text(within_ms)}"

    def count(standing: Standing, now_ms: int) -> Count:
        if in_visit and standing.visit is None:
            return Count(False, "not here")
        since_ms = standing.visit.started_ms if in_visit and standing.visit else now_ms - within_ms
        spent = sum(
            purchase.amount_minor
            for purchase in standing.purchases
            if purchase.at_ms >= since_ms and (wanted is None or purchase.shop in wanted)
        )
        return Count(spent >= at_least, f"spent {spent} of {written}")

    return count


def read_favourite(node: Node, places: Categories) -> Counter:
    """beauty, or [beauty, fashion]: more time of earlier visits went there than to any category apart from it."""
    names = node.each_or_one(lambda one: one.one_of(places, "category"))
    wanted = frozenset().union(*(places[name] for name in names))
    rivals = {name: zones for name, zones in places.items() if zones.isdisjoint(wanted)}

    def count(standing: Standing, _: int) -> Count:
        dwelt_ms = standing.memory.dwelt_ms
        mine_ms = sum(dwelt_ms.get(zone, 0) for zone in wanted)
        if not mine_ms:
            return Count(False, "never stayed there")
        for name, zones in rivals.items():
            if sum(dwelt_ms.get(zone, 0) for zone in zones) > mine_ms:
                return Count(False, f"more time in {name}")
        return Count(True, f"{length_text(mine_ms)} there, nowhere more")

    return count


def read_category(node: Node, categories: Categories) -> frozenset[str]:
    named = node.each_or_one(lambda one: categories[one.one_of(categories, "category")])
    return frozenset().union(*named)


class _Bounds(NamedTuple):
    at_least: int
    at_most: int | None
    within_ms: int

    def judge(self, number: int, what: str) -> Count:
        held = number >= self.at_least and (self.at_most is None or number <= self.at_most)
        return Count(held, f"{number} {what} within {length_text(self.within_ms)}")


def _bounds(node: Node, longest_ms: int | None = None) -> _Bounds:
    fields = node.part(COUNTED)
    if not {"at_least", "at_most"} & set(fields):
        raise node.fault("give a number to compare with: add at_least: 2, or at_most: 5")
    at_least = fields.take("at_least", lambda value: value.whole(1, 100), 0)
    at_most = fields.take("at_most", lambda value: value.whole(0, 99), None)
    if at_most is not None and at_most < at_least:
        raise fields["at_most"].fault(f"no number is at least {at_least} and at most {at_most}; swap them, or drop one")
    return _Bounds(at_least, at_most, fields.take("within", lambda value: _within(value, longest_ms), 0))


def _within(node: Node, longest_ms: int | None, *, instead: str = "") -> int:
    within_ms = node.length_ms(least_ms=1, instead=instead)
    if longest_ms is not None and within_ms > longest_ms:
        days = longest_ms // DAY_MS
        raise node.fault(f"'{node.value}' is further back than the {days} days remembered; write {days}d or less")
    return within_ms
