"""The measures themselves, on walks short enough to be judged by eye; and what the made-up mall is made of."""

from __future__ import annotations

import numpy as np
import pytest

from engine.events import ZoneDwelt, ZoneEntered, ZoneLeft
from engine.position import Sightings
from engine.recorded import Truth
from tests.accuracy.air import Air, Fading
from tests.accuracy.building import mall
from tests.accuracy.measures import Dwelling, answered, dwelling, placing, reliability
from tests.accuracy.scenarios import BASE
from tests.accuracy.simulator import START_MS, WEAKEST_DBM, simulate
from tests.accuracy.walkers import Walks

WEST, EAST = "L0:0,0", "L0:30,0"
PLAN = mall(np.random.default_rng(1), m2_per_sensor=400.0, zone_m=30.0, atrium=False)


@pytest.fixture(scope="module")
def world():
    return simulate(7, BASE._replace(dead_after_s=300.0), people=8, seconds=600)


def judged(*events: ZoneEntered | ZoneDwelt | ZoneLeft) -> Dwelling:
    """One person is in WEST for 200 s and then in EAST for 200 s; their phone sends every 5 s."""
    x_m = np.where(np.arange(401) < 200, 15.0, 45.0)
    walks = Walks(np.zeros((1, 401), np.int64), np.stack((x_m, np.full(401, 15.0)), axis=1)[None], np.zeros((1, 401)))
    sent = np.arange(0, 400, 5)
    truth = Truth(START_MS + sent * 1_000, np.ones(80), np.zeros(80), np.zeros((80, 2)), np.zeros(80), np.ones(80))
    return dwelling(PLAN, list(events), walks, truth, START_MS)


def entered(zone: str, since_s: int, confirmed_s: int) -> ZoneEntered:
    return ZoneEntered(
        "e", START_MS + since_s * 1_000, 1, "v", zone=zone, confidence=0.9, confirmed_ms=START_MS + confirmed_s * 1_000
    )


def dwelt(zone: str, at_s: int) -> ZoneDwelt:
    return ZoneDwelt("d", START_MS + at_s * 1_000, 1, "v", zone=zone, dwell_ms=60_000)


def test_a_trigger_is_wrong_if_most_of_the_minute_was_spent_elsewhere():
    told = judged(dwelt(WEST, 100), dwelt(WEST, 225), dwelt(WEST, 235), dwelt(EAST, 190))
    assert told.triggers.tolist() == [False, False, True, True]


def test_an_entry_is_false_if_the_member_was_not_there_at_all():
    told = judged(entered(WEST, 10, 20), entered(EAST, 100, 110), entered(WEST, 205, 215), entered(WEST, 215, 225))
    assert told.entries.tolist() == [False, True, False, True]


def test_entering_is_timed_from_the_true_entry_to_its_confirmation():
    told = judged(
        entered(WEST, 0, 10), ZoneLeft("l", START_MS, 1, "v", zone=WEST, dwell_ms=0, cause="x"), entered(EAST, 203, 215)
    )
    assert (told.latency_s.tolist(), told.awake.tolist(), told.stays) == ([15.0], [True], 1)


def test_who_was_believed_there_already_is_entered_at_once():
    assert judged(entered(EAST, 190, 195)).latency_s.tolist() == [0.0]


def test_a_stay_that_was_never_found_counts_as_a_stay():
    told = judged()
    assert (told.latency_s.size, told.stays) == (0, 1)


def test_places_levels_and_flips_are_counted_against_the_truth():
    seen = Sightings(
        t_ms=np.array([1_000, 2_000, 3_000]), member=np.array([1, 1, 1]), level=np.array([0, 1, 0], np.int16),
        x_m=np.array([3, 3, 3], np.float32), y_m=np.array([4, 4, 4], np.float32), radius_m=np.full(3, 4.0, np.float32),
        zone=np.array([5, 5, 6], np.int16), p=np.array([0.85, 0.85, 0.4], np.float32),
    )  # fmt: skip
    truth = Truth(
        np.array([1_000, 2_000, 3_000, 60_000]), np.ones(4, np.int64), np.zeros(4, np.int64), np.zeros((4, 2)),
        np.zeros(4, np.int64), np.ones(4, np.bool_),
    )  # fmt: skip
    found = answered(seen, truth, truth.test, np.array([5, 5, 5, 5]))
    assert (found.located.tolist(), found.level_right.tolist()) == ([True] * 3 + [False], [True, False, True, False])
    assert (placing(found)["median_m"], found.flips.sum(), found.within.any()) == (5.0, 2.0, False)
    # The right zone on the wrong level does not count.
    assert [(row["n"], row["right"]) for row in reliability(found)] == [(1, 0.0), (2, 0.5)]


# -- the made-up mall -----------------------------------------------------------------------------


def test_the_same_seed_makes_the_same_world(world):
    again = simulate(7, BASE._replace(dead_after_s=300.0), people=8, seconds=600)
    assert again.heard.columns() == world.heard.columns()


def test_a_dead_sensor_changes_nothing_but_what_it_hears(world):
    alive = simulate(7, BASE, people=8, seconds=600).heard
    dead = np.setdiff1d(alive.sensor, world.heard.sensor[world.heard.t_ms >= START_MS + 300_000])
    assert len(dead) == 9
    before = alive.t_ms < START_MS + 300_000
    assert world.heard.columns() == alive.at(before | ~np.isin(alive.sensor, dead)).columns()


def test_a_sending_is_heard_by_ten_sensors_at_most_and_no_weaker_than_they_can(world):
    _, heard_by = np.unique(world.heard.device * 10**13 + world.heard.t_ms, return_counts=True)
    assert heard_by.max() <= 10
    assert world.heard.rssi_dbm.min() >= WEAKEST_DBM


def test_people_change_level_only_where_a_way_is(world):
    person, second = np.nonzero(np.diff(world.walks.level, axis=1))
    assert len(person)
    ways_m = np.array([(way.x_m, way.y_m) for way in world.plan.ways])
    away_m = np.hypot(*(world.walks.xy_m[person, second][:, None] - ways_m).transpose(2, 0, 1)).min(axis=1)
    assert away_m.max() < 1e-9


def test_shadowing_is_as_deep_as_said_and_alike_nearby():
    air = Air(np.random.default_rng(3), PLAN, Fading(shadowing_db=5.0))
    flat = Air(np.random.default_rng(3), PLAN, Fading(shadowing_db=0.0))
    x_m, y_m = np.meshgrid(np.arange(2, 118, 2.0), np.arange(2, 58, 2.0))
    spots = np.column_stack((x_m.ravel(), y_m.ravel()))
    shadow = [
        each.mean_dbm(np.zeros(len(spots), np.int64), spots).reshape(*x_m.shape, -1) for each in (air, flat)
    ]  # fmt: skip
    shadow_db = shadow[0] - shadow[1]
    assert shadow_db.std() == pytest.approx(5.0, abs=0.4)
    assert np.corrcoef(shadow_db[:, 3:].ravel(), shadow_db[:, :-3].ravel())[0, 1] == pytest.approx(np.exp(-1), abs=0.08)
