"""A seeded mall whose truth is known: what its sensors hear of people, of each other, and of a surveyor.

What a locator must not be able to lean on, because it is drawn by other rules than it may assume: shadowing that is
correlated over metres and does not average out, a body in the way on one side, phones louder or quieter than each
other, the ten loudest sensors only, whole decibels, walks that are no diffusion, phones that sleep, and a survey that
has aged. What is still kinder than a real mall: no crowd that shadows, no walls but shadowing, one path loss
everywhere, sensors whose positions are exact and clocks that agree.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import shapely

from engine.plan import Plan
from engine.readings import Readings, readings
from engine.recorded import Truth
from engine.surveyed import Walked
from tests.accuracy.air import CEILING_M, Air, Fading, Floats, Ints
from tests.accuracy.building import DEPTH_M, WIDTH_M, mall
from tests.accuracy.walkers import Walks, walk

START_MS = 1_790_000_000_000
EVERY_S, JITTER_S = 5.0, 0.5
OFFSET_DB, NOISE_DB = 5.0, 3.0
DETECTED = 0.75
WEAKEST_DBM = -88.0
MOST_SENSORS = 10
# A phone with its screen off: a quarter of the phones wake for some minutes and sleep for some.
SLEEPERS = 0.25
AWAKE_S, ASLEEP_S = (60.0, 300.0), (60.0, 300.0)
# Sensors send as well, somewhat louder than a phone, and hear each other a number of times.
LOUDER_DB = 3.0
LINK_FRAMES = 8
BEAT_S = 10
SURVEY_STEP_M = 5.0
SURVEY_SCANS = 4  # at each point, turning
AGED = 0.1  # share of the shadowing's variance that changed between the survey and today
# One sensor of each neighbourhood of about six fails.
NEIGHBOURHOOD_M = (40.0, 60.0)


class Conditions(NamedTuple):
    m2_per_sensor: float = 400.0
    fading: Fading = Fading()
    dead_after_s: float = np.inf  # instant from which one sensor of each neighbourhood is silent


class Links(NamedTuple):
    """What sensors hear of each other, one row a frame: rows of plan.sensors, and how loud."""

    transmitter: npt.NDArray[np.int32]
    receiver: npt.NDArray[np.int32]
    rssi_dbm: npt.NDArray[np.float32]


class World(NamedTuple):
    plan: Plan  # with zones of 30 m
    fine: Plan  # the same mall with zones of 15 m
    walks: Walks
    heard: Readings
    truth: Truth  # one row for each time that a phone sent; device and visitor are 1 + the person's row
    links: Links
    survey: Walked
    beats: tuple[Ints, Ints]  # rows of plan.sensors that were live, and when


def simulate(seed: int, conditions: Conditions, *, people: int, seconds: int) -> World:
    """One world. The same seed gives the same walks and phones under all conditions of one shape of mall."""
    place, stroll, radio, phones, frames = (np.random.default_rng((seed, part)) for part in range(5))
    shape = {"m2_per_sensor": conditions.m2_per_sensor, "atrium": conditions.fading.atrium}
    fine = mall(np.random.default_rng((seed, 0)), zone_m=15.0, **shape)
    plan = mall(place, zone_m=30.0, **shape)
    walks = walk(stroll, plan, people=people, seconds=seconds)
    air = Air(radio, plan, conditions.fading)
    links, survey = _links(radio, plan, air), _survey(radio, plan, air)
    air.age(radio, AGED)

    person, sent_s = _sendings(phones, people, seconds)
    level, xy_m, heading = walks.at(person, sent_s)
    offset_db = phones.normal(0, OFFSET_DB, people)[person, None]
    dbm = air.mean_dbm(level, xy_m) + air.body_db(xy_m, heading) + offset_db
    heard = _heard(frames, dbm)
    dead = np.zeros(len(plan.sensors), np.bool_)  # sooner or later
    dead[_one_of_each_neighbourhood(plan)] = True
    heard[(sent_s[:, None] >= conditions.dead_after_s) & dead] = np.nan
    row, sensor = np.nonzero(~np.isnan(heard))
    t_ms = START_MS + np.rint(sent_s * 1_000).astype(np.int64)
    truth = Truth(
        t_ms, person + 1, level, xy_m, unit=plan.zones_at(level, xy_m), test=np.ones(len(person), np.bool_)
    )  # fmt: skip
    told = readings(t_ms[row], person[row] + 1, sensor, heard[row, sensor]).in_order()
    return World(plan, fine, walks, told, truth, links, survey, _beats(dead, conditions.dead_after_s, seconds))


def _beats(dying: npt.NDArray[np.bool_], dead_after_s: float, seconds: int) -> tuple[Ints, Ints]:
    """Every sensor says every ten seconds that it is live, unless it is not."""
    at_s, sensor = (each.ravel() for each in np.meshgrid(np.arange(0, seconds, BEAT_S), np.arange(len(dying))))
    live = ~dying[sensor] | (at_s < dead_after_s)
    return sensor[live], START_MS + at_s[live] * 1_000


def _sendings(draw: np.random.Generator, people: int, seconds: int) -> tuple[Ints, Floats]:
    """Whose phone sends, and when: ordered by time."""
    who, when = [], []
    for person in range(people):
        sent_s = np.arange(draw.uniform(0, EVERY_S), seconds - 1, EVERY_S)
        sent_s = np.clip(sent_s + draw.uniform(-JITTER_S, JITTER_S, len(sent_s)), 0, seconds - 1)
        if person < SLEEPERS * people:
            at_s, asleep = 0.0, []
            while at_s < seconds:
                at_s += draw.uniform(*AWAKE_S)
                asleep.append((at_s, at_s := at_s + draw.uniform(*ASLEEP_S)))
            for from_s, until_s in asleep:
                sent_s = sent_s[(sent_s < from_s) | (sent_s >= until_s)]
        who.append(np.full(len(sent_s), person))
        when.append(sent_s)
    person, sent_s = np.concatenate(who), np.concatenate(when)
    order = np.argsort(sent_s, kind="stable")
    return person[order], sent_s[order]


def _heard(draw: np.random.Generator, dbm: Floats) -> Floats:
    """(sendings, sensors): what is reported of each sending, NaN for nothing."""
    noisy = np.rint(dbm + draw.normal(0, NOISE_DB, dbm.shape))
    noisy[(noisy < WEAKEST_DBM) | (draw.random(dbm.shape) >= DETECTED)] = np.nan
    rank = np.argsort(np.argsort(-np.nan_to_num(noisy, nan=-np.inf), axis=1, kind="stable"), axis=1, kind="stable")
    noisy[rank >= MOST_SENSORS] = np.nan
    return noisy


def _links(draw: np.random.Generator, plan: Plan, air: Air) -> Links:
    dbm = air.mean_dbm(plan.sensor_level, plan.anchors_m, CEILING_M) + LOUDER_DB
    frames = np.repeat(dbm[None], LINK_FRAMES, axis=0)
    noisy = np.rint(frames + draw.normal(0, NOISE_DB, frames.shape))
    missed = (noisy < WEAKEST_DBM) | (draw.random(noisy.shape) >= DETECTED) | np.eye(len(dbm), dtype=np.bool_)
    frame, transmitter, receiver = np.nonzero(~missed)
    return Links(
        transmitter.astype(np.int32), receiver.astype(np.int32), noisy[frame, transmitter, receiver].astype(np.float32)
    )  # fmt: skip


def _survey(draw: np.random.Generator, plan: Plan, air: Air) -> Walked:
    """Somebody stands on every fifth metre of every level and turns around; their phone has an offset as well."""
    spots = np.stack(
        np.meshgrid(
            np.arange(SURVEY_STEP_M / 2, WIDTH_M, SURVEY_STEP_M), np.arange(SURVEY_STEP_M / 2, DEPTH_M, SURVEY_STEP_M)
        ),
        axis=-1,
    ).reshape(-1, 2)
    levels = range(len(plan.levels))
    level = np.concatenate([np.full(len(inside), row) for row in levels for inside in [_on(plan, row, spots)]])
    xy_m = np.repeat(np.concatenate([_on(plan, row, spots) for row in levels]), SURVEY_SCANS, axis=0)
    level = np.repeat(level, SURVEY_SCANS)
    heading = draw.uniform(-np.pi, np.pi, len(level))
    dbm = air.mean_dbm(level, xy_m) + air.body_db(xy_m, heading) + draw.normal(0, OFFSET_DB)
    heard = _heard(draw, dbm)
    row, sensor = np.nonzero(~np.isnan(heard))
    t_ms = START_MS - 86_400_000 + row * int(EVERY_S * 1_000)
    return Walked(
        t_ms, np.zeros(len(row), np.int64), sensor.astype(np.int32), heard[row, sensor].astype(np.float32),
        level[row], xy_m[row, 0], xy_m[row, 1],
    )  # fmt: skip


def _on(plan: Plan, level: int, spots_m: Floats) -> Floats:
    return np.asarray(spots_m[shapely.intersects_xy(plan.levels[level].outline, *spots_m.T)])


def _one_of_each_neighbourhood(plan: Plan) -> Ints:
    """Rows of the sensors that fail: in each neighbourhood the one nearest to its middle, where it is missed most."""
    wide_m, deep_m = NEIGHBOURHOOD_M
    failing = []
    for level in range(len(plan.levels)):
        for west_m in np.arange(0, WIDTH_M, wide_m):
            for south_m in np.arange(0, DEPTH_M, deep_m):
                away_m = np.hypot(*(plan.anchors_m - (west_m + wide_m / 2, south_m + deep_m / 2)).T)
                failing.append(int(np.where(plan.sensor_level == level, away_m, np.inf).argmin()))
    return np.array(failing, np.int64)
