"""Where a device is placed, and how sure that is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.plan import NOWHERE
from engine.position import Locator, unplaced
from engine.readings import joined, readings
from engine.tuning import Tuning
from engine.zones import ZoneMap

NOON_MS = 1_790_000_000_000


@pytest.fixture
def place(plan):
    """place(heard, ...) -> the track of one device after what was heard of it at each instant in turn."""

    def placed(*parts, tuning=None):
        locator, track = Locator(plan, tuning or Tuning()), unplaced(1, len(plan.levels))
        for heard in parts:
            at_ms = np.array([heard.t_ms.max()])
            locator.locate(track, at_ms, heard, np.zeros(heard.size, np.intp))
        return track[0]

    return placed


def test_a_device_in_a_shop_is_placed_in_it(place, hear, plan):
    track = place(hear(1, "cafe-L2", NOON_MS))
    assert plan.levels[track["level"]].key == "L2"
    assert np.hypot(track["x_m"] - 10, track["y_m"] - 6) < 3


def test_many_devices_are_placed_at_once_as_each_alone(place, hear, plan):
    places = ["cafe-L1", "shoes-L2", "grill-L1"]
    heard = [hear(member, at, NOON_MS) for member, at in enumerate(places)]
    tracks = unplaced(3, 2)
    row = np.repeat(np.arange(3), [part.size for part in heard])
    Locator(plan, Tuning()).locate(tracks, np.full(3, NOON_MS), joined(heard), row)
    assert [track.tobytes() for track in tracks] == [place(part).tobytes() for part in heard]


def test_a_device_heard_by_one_sensor_is_there_but_less_surely(place):
    alone = place(readings([NOON_MS], [1], [0], [-60]))
    company = place(readings([NOON_MS] * 3, [1] * 3, [0, 1, 2], [-50, -70, -70]))
    assert (alone["x_m"], alone["y_m"]) == (10.0, 6.0)
    assert alone["sigma_m"] > 1.5 * company["sigma_m"]


def test_a_place_is_surer_where_sensors_hang_closer(plan, hear):
    heard, sigma_m = hear(1, "cafe-L1", NOON_MS), []
    for stretch in (1, 2):
        sensors = tuple(replace(each, x_m=each.x_m * stretch, y_m=each.y_m * stretch) for each in plan.sensors)
        track = unplaced(1, 2)
        Locator(replace(plan, sensors=sensors), Tuning()).locate(
            track, np.array([NOON_MS]), heard, np.zeros(heard.size, np.intp)
        )
        sigma_m.append(track["sigma_m"][0])
    assert sigma_m[1] == pytest.approx(2 * sigma_m[0])


def test_the_louder_sensor_pulls_more(place):
    track = place(readings([NOON_MS] * 2, [1] * 2, [0, 1], [-50, -60]))
    assert 10 < track["x_m"] < 30


def test_one_odd_sighting_moves_a_settled_device_only_part_of_the_way(place, hear):
    settled = [hear(1, "cafe-L1", NOON_MS + second * 1_000) for second in range(10)]
    odd = hear(1, "books-L1", NOON_MS + 10_000)
    assert place(*settled, odd)["x_m"] < 25 < place(odd)["x_m"]


def test_a_device_keeps_its_level_where_another_is_about_as_loud(place):
    lower = readings([NOON_MS], [1], [0], [-60])
    both = readings([NOON_MS + 5_000] * 2, [1] * 2, [0, 6], [-61, -60])
    assert place(lower, both)["level"] == 0
    assert place(both)["level"] == 1


def test_a_device_changes_level_where_the_other_is_clearly_louder(place, hear, plan):
    track = place(hear(1, "cafe-L1", NOON_MS), hear(1, "cafe-L2", NOON_MS + 10_000))
    assert track["level"] == 1


def test_sensors_of_another_level_help_to_place_a_device(place):
    alone = readings([NOON_MS] * 2, [1] * 2, [0, 4], [-50, -60])
    company = readings([NOON_MS] * 3, [1] * 3, [0, 4, 7], [-50, -60, -65])
    assert place(company)["level"] == 0
    assert place(company)["x_m"] > place(alone)["x_m"]


def test_a_fading_memory_of_a_sensor_counts_less_than_what_is_heard_now(place):
    now, before = (NOON_MS, 0), (NOON_MS - 9_000, 1)
    both = readings([now[0], before[0]], [1, 1], [now[1], before[1]], [-60, -60])
    assert place(both)["x_m"] < 20


@pytest.fixture(scope="session")
def zones(plan):
    return ZoneMap(plan)


def chances(zones, place, sigma_m, here=NOWHERE, level=0):
    x_m, y_m = place
    found = zones.chances(
        np.array([level], np.int16), np.array([x_m]), np.array([y_m]), np.array([sigma_m]), np.array([here], np.int16)
    )
    return int(found.zone[0]), float(found.p[0]), float(found.p_here[0])


def test_well_inside_a_zone_it_is_certain(zones, plan):
    assert chances(zones, (10.0, 6.0), sigma_m=1.0) == (plan.zone_index["cafe-L1"], 1.0, 0.0)


def test_on_the_border_of_a_zone_it_is_even(zones):
    _, p, _ = chances(zones, (20.0, 6.0), sigma_m=2.0)
    assert p == pytest.approx(0.5, abs=0.05)


def test_the_zone_asked_about_has_a_probability_even_if_another_is_likelier(zones, plan):
    cafe, books = plan.zone_index["cafe-L1"], plan.zone_index["books-L1"]
    zone, p, p_here = chances(zones, (32.0, 6.0), sigma_m=8.0, here=cafe)
    assert (zone, 0 < p_here < p) == (books, True)


def test_far_from_every_zone_there_is_none(zones):
    assert chances(zones, (500.0, -500.0), sigma_m=5.0) == (NOWHERE, 0.0, 0.0)


def test_the_probability_is_that_of_a_normal_distribution(zones):
    drawn = np.random.default_rng(1).normal((10.0, 6.0), 7.0, (200_000, 2))
    share = ((drawn > (0, 0)) & (drawn < (20, 12))).all(axis=1).mean()
    assert chances(zones, (10.0, 6.0), sigma_m=7.0)[1] == pytest.approx(share, abs=0.04)


def test_the_painted_zones_are_those_of_the_plan(zones, plan):
    xy_m = np.random.default_rng(2).uniform((-5, -5), (65, 35), (500, 2))
    # Half a cell away from a border the paint is exact; the borders of this plan lie on whole metres.
    xy_m = np.floor(xy_m) + 0.5
    for level in range(2):
        levels = np.full(len(xy_m), level)
        painted = zones.at(levels.astype(np.int16), xy_m[:, 0], xy_m[:, 1])
        assert painted.tolist() == plan.zones_at(levels, xy_m).tolist()
