"""Where a device is placed, and how sure that is."""

from __future__ import annotations

import numpy as np
import pytest

from engine.plan import NOWHERE
from engine.position import Locator, unplaced
from engine.radio import Radio
from engine.readings import joined, readings
from engine.tuning import Tuning
from engine.walking import CELLS
from engine.zones import chances, zone_shares

NOON_MS = 1_790_000_000_000


@pytest.fixture(scope="session")
def radio(plan):
    return Radio.of(plan)


@pytest.fixture
def locate(plan, radio):
    """locate(parts of one second each, of devices 0..) -> tracks, beliefs and chances after the last part."""
    locator = Locator(plan, radio, Tuning())

    def located(*parts, devices=1, live=None, here=None):
        tracks, beliefs = unplaced(devices), np.zeros((devices, len(radio.cells)), np.uint8)
        live = np.ones(len(plan.sensors), np.bool_) if live is None else live
        here = np.full(devices, NOWHERE, np.int16) if here is None else here
        for heard in parts:
            at_ms = np.full(devices, heard.t_ms.max())
            rows = np.arange(devices)
            found = locator.locate(tracks, beliefs, rows, at_ms, heard, heard.device.astype(np.intp), live, here)
        return tracks, beliefs, found

    return located


@pytest.fixture
def place(locate):
    """place(heard, ...) -> the track of one device after what was heard of it at each instant in turn."""

    def placed(*parts, **circumstances):
        return locate(*(part._replace(device=np.zeros(part.size, np.int64)) for part in parts), **circumstances)[0][0]

    return placed


def test_a_device_in_a_shop_is_placed_in_it(place, hear, plan):
    track = place(hear(1, "cafe-L2", NOON_MS))
    assert plan.levels[track["level"]].key == "L2"
    assert np.hypot(track["x_m"] - 10, track["y_m"] - 6) < 4


def test_many_devices_are_placed_at_once_as_each_alone(locate, place, hear):
    places = ["cafe-L1", "shoes-L2", "grill-L1"]
    heard = [hear(member, at, NOON_MS) for member, at in enumerate(places)]
    together, _, _ = locate(joined(heard), devices=3)
    for track, alone in zip(together, map(place, heard), strict=True):
        assert track["level"] == alone["level"]
        assert (track["x_m"], track["y_m"]) == pytest.approx((alone["x_m"], alone["y_m"]), abs=0.01)


def test_a_device_heard_by_one_sensor_is_near_it_but_less_surely(place):
    alone = place(readings([NOON_MS], [1], [0], [-60]))
    company = place(readings([NOON_MS] * 3, [1] * 3, [0, 4, 5], [-55, -70, -75]))
    assert np.hypot(alone["x_m"] - 10, alone["y_m"] - 6) < 8
    assert alone["sigma_m"] > company["sigma_m"]


def test_the_louder_sensor_pulls_more(place):
    track = place(readings([NOON_MS] * 2, [1] * 2, [0, 1], [-50, -65]))
    assert track["x_m"] < 25


def test_a_phone_that_is_fainter_than_others_is_placed_alike(place, hear):
    heard = hear(1, "grill-L1", NOON_MS)
    usual, faint = place(heard), place(heard._replace(rssi_dbm=heard.rssi_dbm - 5))
    assert np.hypot(usual["x_m"] - faint["x_m"], usual["y_m"] - faint["y_m"]) < 3


def test_one_odd_sighting_moves_a_settled_device_only_part_of_the_way(place, hear):
    settled = [hear(1, "cafe-L1", NOON_MS + second * 1_000) for second in range(10)]
    odd = hear(1, "books-L1", NOON_MS + 10_000)
    assert place(*settled, odd)["x_m"] < place(odd)["x_m"] - 5


def test_a_device_is_found_again_however_wrongly_it_was_placed(place, hear):
    wrong = [hear(1, "cafe-L1", NOON_MS + second * 5_000) for second in range(20)]
    right = [hear(1, "shoes-L2", NOON_MS + 100_000 + second * 5_000) for second in range(4)]
    track = place(*wrong, *right)
    assert track["level"] == 1
    assert np.hypot(track["x_m"] - 50, track["y_m"] - 24) < 6


def test_a_sensor_that_should_have_heard_a_device_and_did_not_speaks_against_its_place(place, plan):
    heard = readings([NOON_MS], [1], [4], [-62])  # a sensor in the hall, 25 m into it
    everyone = np.ones(len(plan.sensors), np.bool_)
    west_is_dead = everyone.copy()
    west_is_dead[[0, 2]] = False
    assert place(heard, live=west_is_dead)["x_m"] < place(heard, live=everyone)["x_m"] - 0.5


def test_silence_makes_a_place_less_sure(locate, hear):
    near = hear(0, "cafe-L1", NOON_MS)._replace(device=np.zeros(hear(0, "cafe-L1", NOON_MS).size, np.int64))
    faint = readings([NOON_MS + 1], [0], [0], [-60])
    soon, late = (faint._replace(t_ms=faint.t_ms + after_ms) for after_ms in (200, 60_000))
    assert locate(near, late)[0][0]["sigma_m"] > locate(near, soon)[0][0]["sigma_m"]


def test_a_place_is_remembered_on_the_floor_alone(locate, hear, radio):
    _, beliefs, _ = locate(hear(0, "cafe-L1", NOON_MS), hear(0, "cafe-L1", NOON_MS + 5_000))
    assert beliefs[0][radio.cells.walkable].max() == 255
    assert beliefs[0][~radio.cells.walkable].max() == 0


def test_whoever_is_heard_as_from_far_outside_is_on_the_floor_all_the_same(place, plan):
    """Where the floor ends, cells beyond it would explain the signals far better."""
    beside_the_door = [0] * 20
    track = place(*(readings([NOON_MS + n * 5_000], [1], [sensor], [-85]) for n, sensor in enumerate(beside_the_door)))
    assert np.isfinite([track["x_m"], track["y_m"], track["sigma_m"]]).all()
    assert 0 <= track["x_m"] <= plan.width_m and 0 <= track["y_m"] <= plan.height_m


def test_whoever_stands_is_not_moved_by_hearing_the_same_again(place, hear):
    """Their signals are bent by the same walls each time: the place of the first sightings stands."""
    bent_db = np.random.default_rng(3).normal(0, 4, 12)
    heard = [hear(1, "cafe-L1", NOON_MS + second * 5_000) for second in range(20)]
    bent = [part._replace(rssi_dbm=part.rssi_dbm + bent_db[part.sensor]) for part in heard]
    early, late = place(*bent[:3]), place(*bent)
    assert np.hypot(early["x_m"] - late["x_m"], early["y_m"] - late["y_m"]) < 1.5


# -- zones ----------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def within(plan, radio):
    """within(level, x_m, y_m, sigma_m) -> the probability of each zone (1, zones) for a place normally distributed."""
    shares = zone_shares(plan, radio.cells)

    def masses(level, x_m, y_m, sigma_m):
        cells = radio.cells
        there = cells.walkable & (cells.level == level)
        weight = np.exp(-((cells.x_m - x_m) ** 2 + (cells.y_m - y_m) ** 2) / (2 * sigma_m**2)) * there
        found = np.zeros((1, len(plan.zones)))
        tile = np.repeat(np.arange(len(shares.first) - 1), np.diff(shares.first))
        of_tile = (weight / weight.sum()).reshape(-1, CELLS)[tile]
        np.add.at(found[0], shares.zone, (of_tile * shares.share).sum(axis=1))
        return found

    return masses


def said(masses, here=NOWHERE):
    found = chances(masses, np.array([here], np.int16))
    return int(found.zone[0]), float(found.p[0]), float(found.p_here[0])


def test_well_inside_a_zone_it_is_certain(within, plan):
    zone, p, p_here = said(within(0, 10.0, 6.0, 1.0))
    assert (zone, p, p_here) == (plan.zone_index["cafe-L1"], pytest.approx(1.0, abs=0.01), 0.0)


def test_on_the_border_of_a_zone_it_is_even(within):
    assert said(within(0, 20.0, 6.0, 2.5))[1] == pytest.approx(0.5, abs=0.06)


def test_the_zone_asked_about_has_a_probability_even_if_another_is_likelier(within, plan):
    cafe, books = plan.zone_index["cafe-L1"], plan.zone_index["books-L1"]
    zone, p, p_here = said(within(0, 32.0, 6.0, 8.0), here=cafe)
    assert (zone, 0 < p_here < p) == (books, True)


def test_between_all_zones_there_is_none(within):
    zone, p, _ = said(within(0, 30.0, 15.0, 0.5))
    assert p < 0.1 or zone == NOWHERE


def test_zones_and_what_lies_between_share_one_whole(within, plan):
    masses = within(1, 25.0, 14.0, 9.0)
    assert 0 < masses.sum() <= 1.0001
    assert masses[0, plan.zone_level == 0].sum() == 0
