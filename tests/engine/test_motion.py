"""Whether somebody walked, by what their phone is heard like."""

from __future__ import annotations

import numpy as np
import pytest

from engine.motion import SPELL, Told, watch

NOON_MS = 1_790_000_000_000
EVERY_MS = 5_000


@pytest.fixture
def watched():
    """watched(signals (sightings, sensors), sensors) -> (moved, news) at each sighting, EVERY_MS apart."""

    def each(signals_dbm, sensors=None, every_ms=EVERY_MS):
        spells, found = np.zeros(1, SPELL), []
        for number, dbm in enumerate(signals_dbm):
            sensor = np.arange(len(dbm)) if sensors is None else sensors[number]
            told = np.array([NOON_MS + number * every_ms]), np.array([every_ms / 1_000], np.float32)
            first, fresh = np.array([0, len(dbm)]), np.array([number == 0])
            heard = np.asarray(sensor, np.intp), np.asarray(dbm, np.float32)
            motion = watch(spells, Told(*told, fresh, first, *heard))
            found.append((float(motion.moved[0]), float(motion.news[0]), float(motion.walked_s[0])))
        return np.array(found).T

    return each


@pytest.fixture
def frames():
    """Eight sensors' signals of somebody who stands for twenty sightings."""
    draw = np.random.default_rng(7)
    return draw.normal(-65, 8, 8) + draw.normal(0, 3, (20, 8))


def test_whoever_is_heard_alike_stands(watched, frames):
    moved, _, _ = watched(frames)
    assert moved[5:].max() < 0.3


def test_whoever_is_heard_otherwise_walked(watched, frames):
    moved, _, _ = watched([*frames[:10], np.random.default_rng(8).normal(-65, 8, 8)])
    assert moved[-1] > 0.9


def test_whoever_is_heard_by_other_sensors_walked(watched, frames):
    sensors = [np.arange(8)] * 3 + [np.arange(8, 16)]
    assert watched(frames[:4], sensors)[0][-1] > 0.8


def test_signals_told_again_beside_changed_ones_are_echoes_and_say_nothing(watched):
    walks = np.random.default_rng(8).normal(-65, 8, (10, 4))
    echoes = np.full((10, 4), -60.0)
    assert (watched(np.hstack((walks, echoes)))[0] == watched(walks)[0]).all()


def test_the_first_sighting_is_all_news(watched, frames):
    assert watched(frames)[1][0] == 1.0


def test_the_same_place_says_less_each_time(watched, frames):
    _, news, _ = watched([frames[0]] * 10)
    assert (np.diff(news[1:]) <= 0).all() and news[-1] < 0.05


def test_a_walk_that_shows_late_may_have_begun_earlier(watched, frames):
    *_, walked_s = watched([*frames[:10], np.random.default_rng(8).normal(-65, 8, 8)])
    assert walked_s[-1] == pytest.approx(10.0)


def test_who_stood_is_sooner_believed_to_stand_than_who_was_not_heard_for_hours(watched, frames):
    soon, late = (watched([*frames[:5], frames[5] + 5], every_ms=every_ms)[0][-1] for every_ms in (5_000, 3_600_000))
    assert soon < late
