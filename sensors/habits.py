"""What people want of a mall, when, and for how long: the tables that the simulated crowd lives by.

The figures are assumptions for a lively and plausible day, not measurements; they stand here so that they can be argued
with. Hours are local clock hours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sensors.venue import Bools, Floats, Ints, Zone

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS


class Rush(NamedTuple):
    """Between these hours the kind is this many times as attractive as otherwise."""

    from_hour: int
    until_hour: int
    times: float


class Habit(NamedTuple):
    """appetite is relative to a shop's 1.0; stay is the median of a lognormal; browses: wanders about inside."""

    appetite: float
    stay_min: float
    rushes: tuple[Rush, ...] = ()
    browses: bool = False
    fills: bool = False


SHOP = Habit(1.0, 8, (Rush(13, 18, 1.5),), browses=True)
HABITS: dict[str, Habit] = {
    "cafe": Habit(1.1, 20, (Rush(8, 11, 2.0), Rush(14, 17, 1.5)), fills=True),
    "restaurant": Habit(0.5, 40, (Rush(11, 14, 4.0), Rush(17, 21, 5.0)), fills=True),
    "cinema": Habit(0.35, 110, (Rush(13, 21, 3.0),)),
    "fashion": SHOP._replace(stay_min=10),
    "beauty": SHOP._replace(stay_min=14, browses=False),
    "supermarket": SHOP._replace(appetite=1.5, stay_min=22),
    "electronics": SHOP._replace(stay_min=12),
    "books": SHOP._replace(stay_min=15),
    "kids": Habit(0.4, 30, browses=True),
    "service": Habit(0.2, 6),
    "taxi": Habit(0.03, 5),
    "clinic": Habit(0.04, 15),
    "prayer": Habit(0.04, 12),
    "atrium": Habit(0.4, 5, browses=True),
    "corridor": Habit(0.02, 1.5),
    "entrance": Habit(0.02, 1.5),
}
# Only who must goes there; they may still be walked through.
SHUNNED = 0.04
STAY_SPREAD = 0.45
LONGEST_STAY = 3.0  # times the median: nobody waits out a lognormal's tail at a counter
# Who has just eaten is not hungry; who has been in a shop rarely returns on the same visit.
SATED_MS = 100 * MINUTE_MS
SATED = 0.1
SEEN_BEFORE = 0.15

# Of everybody known to the mall this share comes on a given day, and of those this share in the opening hour: a demo
# watches the first hour, so it is the liveliest. The rest come as an ordinary day's humps.
COMES = 0.9
OPENING = 0.48
OPENING_MEAN_MIN = 22.0
HUMPS = ((150, 40, 0.3), (300, 70, 0.35), (450, 50, 0.35))  # minutes after opening, spread, share
OPEN_MS = 12 * HOUR_MS
VISIT_MEDIAN_MIN, VISIT_SPREAD = 115.0, 0.4
VISIT_SHORTEST_MIN, VISIT_LONGEST_MIN = 45.0, 300.0


def habit_of(zone: Zone) -> Habit:
    """By kind; a kind that the table does not know is a shop if there is a shop, and a passage otherwise."""
    return HABITS.get(zone.kind, SHOP if zone.shop else HABITS["corridor"])


def appetites(zones: Sequence[Zone]) -> Floats:
    """How attractive each zone is in each clock hour: (24, zones)."""
    table = np.zeros((24, len(zones)))
    for index, zone in enumerate(zones):
        habit = habit_of(zone)
        table[:, index] = min(habit.appetite, SHUNNED) if zone.no_marketing else habit.appetite
        for rush in habit.rushes:
            table[rush.from_hour : rush.until_hour, index] *= rush.times
    return table


def draw_stay_ms(habit: Habit, rng: np.random.Generator) -> int:
    """How long somebody stays."""
    drawn = habit.stay_min * min(rng.lognormal(0.0, STAY_SPREAD), LONGEST_STAY)
    return int(drawn * MINUTE_MS)


def draw_day(groups: Sequence[int], rng: np.random.Generator) -> tuple[Ints, Ints]:
    """When everybody arrives and leaves on one day, in ms after opening; arrival -1: stays away.

    groups  sizes of the groups, in order; within each the shares hold to a person, so no seed gives an empty hall
    """
    days = [_draw_group(size, rng) for size in groups]
    return np.concatenate([arrives for arrives, _ in days]), np.concatenate([leaves for _, leaves in days])


def _draw_group(size: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    rank = (rng.permutation(size) + rng.random(size)) / max(size, 1)
    comes: Bools = rank < COMES
    opening: Bools = rank < COMES * OPENING
    # An exponential cut at the hour, by its inverse: evenly spread ranks stay evenly spread.
    within = rank / (COMES * OPENING) * (1 - np.exp(-60 / OPENING_MEAN_MIN))
    minutes = np.where(opening, -OPENING_MEAN_MIN * np.log1p(-np.minimum(within, 0.999)), 0.0)
    centre, spread, share = np.array(HUMPS).T
    hump = rng.choice(len(HUMPS), size=size, p=share / share.sum())
    later = np.clip(rng.normal(centre[hump], spread[hump]), 60, OPEN_MS / MINUTE_MS - VISIT_SHORTEST_MIN)
    arrives_ms = (np.where(opening, minutes, later) * MINUTE_MS).astype(np.int64)
    length_min = np.clip(
        rng.lognormal(np.log(VISIT_MEDIAN_MIN), VISIT_SPREAD, size), VISIT_SHORTEST_MIN, VISIT_LONGEST_MIN
    )
    leaves_ms = np.minimum(arrives_ms + (length_min * MINUTE_MS).astype(np.int64), OPEN_MS)
    return np.where(comes, arrives_ms, -1), leaves_ms
