"""How the simulated members respond to coupons: a stated model, so that a demo claims nothing about people.

Field figures put redemption at 5 to 15 % of the coupons shown. A demo of an hour would then show a handful, so the
rates here are about three times higher, on purpose. What they keep is the order: food before shops before an evening's
outing; a better offer does better than the one it follows; a birthday pleases.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from sensors.habits import MINUTE_MS


class Rate(NamedTuple):
    """How a kind of shop fares: the share of opened coupons taken up, and how much later who redeems goes home."""

    tempts: float
    lingers_min: float
    because: str


RATES: Mapping[str, Rate] = {
    "cafe": Rate(0.45, 15, "small, near and at once; in mall trials snacks did best"),
    "restaurant": Rate(0.40, 30, "everybody eats, and the choice is open until the last minute"),
    "supermarket": Rate(0.30, 10, "planned spending, moved a little"),
    "fashion": Rate(0.22, 15, "needs a wish for the thing"),
    "beauty": Rate(0.28, 20, "a treat, and often a matter of minutes"),
    "cinema": Rate(0.25, 100, "costs an evening, but keeps people longest"),
    "taxi": Rate(0.35, 0, "everybody has to go home"),
    "service": Rate(0.10, 10, "a hotel room is for the few who live far"),
}
OTHERWISE = Rate(0.20, 10, "as a shop nobody planned to visit")

OPENS = 0.8  # the rest never look, or swipe it away
OPENING_MEDIAN_MS, OPENING_SPREAD = 50_000, 0.8
BETTER_RUNG = 0.15  # more, for each better offer in place of the last
BIRTHDAY = 0.25  # more, on the day
MOST = 0.95
QUEUE_MEDIAN_MS, QUEUE_SPREAD = 2 * MINUTE_MS, 0.4

Chance = Callable[[], float]  # evenly spread over [0, 1); a seeded generator's


class Intent(NamedTuple):
    """Opens the coupon at open_ms and means to spend it; queues this long once in the shop."""

    open_ms: int
    queue_ms: int


class Ignored(NamedTuple):
    """Nothing comes of it, *because*; opened is when it was looked at all the same, or None."""

    because: str
    open_ms: int | None = None


def rate_of(kind: str) -> Rate:
    return RATES.get(kind, OTHERWISE)


def share_tempted(kind: str, *, rung: int, birthday: bool) -> float:
    """The share of opened coupons that is taken up."""
    return min(rate_of(kind).tempts + BETTER_RUNG * rung + BIRTHDAY * birthday, MOST)


def respond(kind: str, *, rung: int, birthday: bool, told_ms: int, chance: Chance) -> Intent | Ignored:
    """What somebody makes of a coupon for a kind of shop, told at told_ms."""
    if chance() >= OPENS:
        return Ignored("never opened")
    open_ms = told_ms + _lognormal_ms(OPENING_MEDIAN_MS, OPENING_SPREAD, chance)
    if chance() >= share_tempted(kind, rung=rung, birthday=birthday):
        return Ignored("not tempted", open_ms)
    return Intent(open_ms, _lognormal_ms(QUEUE_MEDIAN_MS, QUEUE_SPREAD, chance))


def _lognormal_ms(median_ms: float, spread: float, chance: Chance) -> int:
    # Box and Muller's normal; 1 - chance() keeps the logarithm away from zero.
    normal = np.sqrt(-2 * np.log(1 - chance())) * np.cos(2 * np.pi * chance())
    return int(median_ms * np.exp(spread * normal))
