"""What coverage expects of each zone, against what presence then did in made-up malls whose air it does not know."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

from engine.coverage import cover
from engine.plan import Plan
from engine.presence import Presence
from engine.radio import Radio, fit
from engine.tuning import Tuning
from tests.accuracy.measures import answered
from tests.accuracy.scenarios import BASE, SEED
from tests.accuracy.simulator import World, simulate

Floats = npt.NDArray[np.float64]
# Fewer sightings than this of one zone say little about it.
SIGHTINGS = 60
# Shadows differ from mall to mall: of one zone they are the most of what is wrong, of all zones together they are not.
ALL_WITHIN, EACH_WITHIN, CORRELATED = 0.06, 0.15, 0.35


class Compared(NamedTuple):
    """One row a zone that was seen often enough."""

    expected: Floats
    measured: Floats
    sightings: Floats


def compared(world: World, plan: Plan, radio: Radio) -> Compared:
    presence = Presence(plan, Tuning(), radio)
    presence.hear_of(*world.beats)
    presence.absorb(world.heard)
    truth = world.truth
    zone = plan.zones_at(truth.level, truth.xy_m)
    found = answered(presence.sightings(), truth, np.ones(len(zone), np.bool_), zone)
    seen = np.bincount(zone[found.located & (zone >= 0)], minlength=len(plan.zones))
    right = np.bincount(zone[found.zone_right & (zone >= 0)], minlength=len(plan.zones))
    expected = np.array([one.hit for one in cover(plan, radio, Tuning(), np.random.default_rng(1))])
    often = seen >= SIGHTINGS
    return Compared(expected[often], right[often] / seen[often], seen[often].astype(np.float64))


@pytest.fixture(scope="module")
def zones() -> dict[str, Compared]:
    """Zones of 30 m and of 15 m with a sensor on 400 m², and of 15 m with one on 225 m²."""
    base, dense = (simulate(SEED, BASE._replace(m2_per_sensor=m2), people=40, seconds=1_200) for m2 in (400.0, 225.0))
    radio, denser = (Radio.of(world.plan, fit(world.plan, world.links)) for world in (base, dense))
    return {
        "base 30 m": compared(base, base.plan, radio),
        "base 15 m": compared(base, base.fine, radio),
        "dense 15 m": compared(dense, dense.fine, denser),
    }


def test_on_average_zones_are_hit_as_often_as_expected(zones: dict[str, Compared]) -> None:
    off = {
        name: round(float(np.average(of.expected - of.measured, weights=of.sightings)), 3) for name, of in zones.items()
    }
    assert {name: gap for name, gap in off.items() if abs(gap) > ALL_WITHIN} == {}


def test_each_zone_is_hit_about_as_often_as_expected(zones: dict[str, Compared]) -> None:
    off = np.concatenate([np.abs(of.expected - of.measured) for of in zones.values()])
    assert off.mean() <= EACH_WITHIN


def test_zones_of_which_less_is_expected_are_hit_less(zones: dict[str, Compared]) -> None:
    expected = np.concatenate([of.expected for of in zones.values()])
    measured = np.concatenate([of.measured for of in zones.values()])
    correlation = float(np.corrcoef(expected, measured)[0, 1])
    assert correlation >= CORRELATED, f"expected and measured hit rates of {len(expected)} zones: {correlation:.2f}"
