"""How loud phones are, and the radio's numbers, learnt from what sensors hear."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
from shapely import box

from engine.phones import LOUDNESS_DB, Phones
from engine.plan import Level, Plan, Sensor
from engine.radio import PHONE_FAINTER_DB, SILENCE, Propagation, Radio, fit
from engine.replay import Walked
from engine.survey import bend
from engine.weighing import Heard


class Links(NamedTuple):
    transmitter: np.ndarray
    receiver: np.ndarray
    rssi_dbm: np.ndarray


@pytest.fixture
def plan() -> Plan:
    level = Level("L1", 0, {"en": "Level 1"}, "L1", box(0, 0, 80, 60))
    spots = [(x, y) for x in (10.0, 30.0, 50.0, 70.0) for y in (10.0, 30.0, 50.0)]
    sensors = tuple(Sensor(f"s{row}", "L1", x, y) for row, (x, y) in enumerate(spots))
    return Plan("hall", (level,), (), sensors, width_m=80.0, height_m=60.0)


def learnt(radio: Radio, louder_db: float, sightings: int) -> float:
    """What is believed of a phone that stands in the middle and is heard as its loudness has it."""
    phones = Phones(radio, phone_db=3.0)
    cell = np.array([np.hypot(radio.cells.x_m - 40, radio.cells.y_m - 30).argmin()])
    signal_dbm = radio.mean_dbm[:, cell].T + np.float32(louder_db)
    silence = phones.silent_log.sum(axis=1)
    odds = np.zeros((1, len(LOUDNESS_DB)), np.float32)
    sensor = np.flatnonzero(signal_dbm[0] >= -88)
    first, one = np.array([0, len(sensor)]), np.ones(1, np.float32)
    heard = Heard(
        first,
        sensor,
        signal_dbm[0, sensor],
        one > 1,
        one,
        first[:1],
        *[one] * 5,
        *phones.loudness(odds),
        first,
        signal_dbm[:0],
    )
    for _ in range(sightings):
        odds = phones.learn(odds, cell, heard, silence)
    return float(phones.loudness(odds).mean_db[0])


def test_a_phone_of_which_nothing_was_heard_is_a_usual_one(plan):
    assert learnt(Radio.of(plan), -8.0, sightings=0) == 0.0


@pytest.mark.parametrize("louder_db", [-8.0, 0.0, 8.0])
def test_how_loud_a_phone_is_gets_learnt_as_it_is_heard(plan, louder_db):
    assert learnt(Radio.of(plan), louder_db, sightings=30) == pytest.approx(louder_db, abs=2.0)


def test_a_quiet_phone_makes_silence_less_telling(plan):
    radio = Radio.of(plan)
    assert (radio.silent_at(-8.0) >= radio.silent_at(0.0)).all()
    assert radio.silent_at(0.0) == pytest.approx(SILENCE * radio.silent_log, abs=2e-3)


def surveyed_corner(plan: Plan) -> Radio:
    once = np.zeros(50, np.int64)
    corner_m = np.full(50, 5.0)
    return bend(Radio.of(plan), Walked(np.arange(50), once, once, np.full(50, -60.0), once, corner_m, corner_m))


def test_silence_counts_in_full_once_a_survey_tells_what_walls_do(plan):
    assert surveyed_corner(plan).silence == 1


def test_silence_counts_for_the_share_of_levels_that_were_surveyed(plan):
    attic = Level("L2", 1, {"en": "Level 2"}, "L2", box(0, 0, 80, 60))
    radio = surveyed_corner(replace(plan, levels=(*plan.levels, attic)))
    assert radio.silence == pytest.approx((SILENCE + 1) / 2)


def test_the_radio_is_fitted_from_what_sensors_hear_of_each_other(plan):
    truth = Propagation(at_1_m_dbm=-34.0, exponent=3.5)
    away_m = np.hypot(*(plan.anchors_m[:, None] - plan.anchors_m).transpose(2, 0, 1))
    dbm = truth.mean_dbm(away_m, np.zeros_like(away_m, dtype=np.int64))
    dbm = dbm + np.random.default_rng(5).normal(0, 3, (6, *dbm.shape))
    frame, transmitter, receiver = np.nonzero((dbm >= -88) & ~np.eye(len(away_m), dtype=np.bool_))
    found = fit(plan, Links(transmitter, receiver, dbm[frame, transmitter, receiver]))
    assert found.exponent == pytest.approx(3.5, abs=0.5)
    # A phone is fainter than a sensor.
    expected_dbm = truth.mean_dbm(np.array([[25.0]]), np.array([[0]])) - PHONE_FAINTER_DB
    assert found._replace(sensor_db=None).mean_dbm(np.array([[25.0]]), np.array([[0]])) == pytest.approx(
        expected_dbm, abs=3
    )
