"""What a survey is worth: how much of the floor was walked, and whether its points bear each other out.

A survey is judged by points that it was not told: the locator that presence uses places them by the other points, and
by none. So a survey of another mall, or one too thin to help, is seen before anybody is placed by it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engine.cells import Cells, Ints
from engine.plan import NOWHERE, Plan
from engine.position import Locator, unplaced
from engine.radio import Radio
from engine.readings import Readings
from engine.survey import NO_SENSOR
from engine.surveyed import Walked, surveyed
from engine.tuning import Tuning

# Wherever nobody stood within this, the survey says little: the model's error is alike over about as far.
FAR_M = 10.0
# Each fifth of the points is placed by the other four.
PARTS = 5
# Turns of one standing are taken to be as far apart as a phone in use is heard.
EVERY_MS = 5_000
# No mall was ever placed worse than this without a survey: the recorded one, of few sensors, is off by 11 m.
DOUBTFUL_M = 20.0
WRONG_LEVEL_M = 1_000.0  # more than any place is off on its own level

Doubles = npt.NDArray[np.float64]


class Floor(NamedTuple):
    """How well one level was walked: points on it, and the share of its floor further than FAR_M from any."""

    level: str
    points: int
    far: float


class Worth(NamedTuple):
    """off_m  the median error for points left out, by the others;  unsurveyed_off_m  and by the radio as it is"""

    points: int
    floors: list[Floor]
    off_m: float
    unsurveyed_off_m: float


def worth(plan: Plan, radio: Radio, survey: Walked, tuning: Tuning) -> Worth:
    """radio  not bent to it. Takes five times as long as to bend it, and some seconds."""
    floors = [_floor(level.key, row, radio.cells, survey) for row, level in enumerate(plan.levels)]
    part = np.unique(survey.t_ms, return_inverse=True)[1] % PARTS
    parts = [survey.at(part == left_out) for left_out in range(PARTS)]
    others = [surveyed(radio, survey.at(part != left_out)) for left_out in range(PARTS)]
    off_m = [_off_m(plan, bent, tuning, left) for bent, left in zip(others, parts, strict=True)]
    unsurveyed_m = _off_m(plan, radio, tuning, survey)
    return Worth(survey.points, floors, float(np.median(np.concatenate(off_m))), float(np.median(unsurveyed_m)))


def _floor(key: str, row: int, cells: Cells, survey: Walked) -> Floor:
    here = survey.at(survey.level == row)
    part = cells.of_level[row]
    walkable = cells.walkable[part]
    x_m, y_m = cells.x_m[part][walkable], cells.y_m[part][walkable]
    spots_m = np.unique(np.column_stack((here.x_m, here.y_m)), axis=0)
    away_m = np.hypot(x_m[:, None] - spots_m[:, 0], y_m[:, None] - spots_m[:, 1]).min(axis=1, initial=np.inf)
    return Floor(key, here.points, float(np.mean(away_m > FAR_M)))


def _off_m(plan: Plan, radio: Radio, tuning: Tuning, survey: Walked) -> Doubles:
    """(points that were heard,): how far off each is placed after all its turns."""
    locator, live = Locator(plan, radio, tuning), np.ones(len(plan.sensors), np.bool_)
    heard = survey.at(survey.sensor != NO_SENSOR)
    _, first, point = np.unique(heard.t_ms, return_index=True, return_inverse=True)
    tracks, beliefs = unplaced(len(first)), np.zeros((len(first), len(radio.cells)), np.uint8)
    for turn in range(int(heard.device.max(initial=-1)) + 1):
        now = heard.device == turn
        who, of = np.unique(point[now], return_inverse=True)
        at_ms: Ints = np.full(len(who), turn * EVERY_MS)
        told = Readings(at_ms[of], who[of], heard.sensor[now], heard.rssi_dbm[now])
        track, nowhere = tracks[who], np.full(len(who), NOWHERE, np.int16)
        locator.locate(track, beliefs, who, at_ms, told, of, live, nowhere)
        tracks[who] = track
    off_m = np.hypot(tracks["x_m"] - heard.x_m[first], tracks["y_m"] - heard.y_m[first])
    return np.asarray(np.where(tracks["level"] == heard.level[first], off_m, WRONG_LEVEL_M), np.float64)
