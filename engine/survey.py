"""What a survey adds to a radio model: phones heard at known places bend it where it was wrong.

The model's error is taken for a random field over each level and sensor (a Gaussian process with exponential
covariance, as shadows have: Gudmundson, "Correlation model for shadow fading in mobile radio systems", 1991). So a cell
is bent by what was heard near it, no more than that allows, and remembers how unsure it is the further away that was.
How rough the field is, and how much frames differ, is learnt from the survey itself.

A scan that a sensor did not hear is evidence, too: it was too faint, or just missed. Without it, all that is known of
places at the edge of what a sensor hears would be the lucky frames. What it would have read is filled in with what the
field leads one to expect, and the field is worked out again (expectation maximisation).
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from engine.cells import Ints
from engine.radio import CAUGHT, FAINTEST_DBM, Radio, chance

# How far a model is off (one standard deviation), and over how many metres the error is alike: what is tried.
OFF_DB, ALIKE_M = (4.0, 5.5, 8.0, 12.0), (6.0, 10.0, 16.0, 25.0)
# Goods move and shops are refitted: a survey is this much less sure than it was on its day.
AGED_DB = 2.0
# How far frames at one spot differ if nothing says it: no spot was scanned twice.
FRAME_DB = 4.0
# No reading is surer than this: people stand in the way.
LEAST_SPREAD_DB = 3.5
# Rounds of filling in: the first two move most of the way.
ROUNDS = 5
# In the place of the sensor, where a scan was heard by none.
NO_SENSOR = -1

Doubles = npt.NDArray[np.float64]


class Survey(Protocol):
    """What sensors heard of phones at known places: one row a reading; readings of one phone at one instant are one
    scan, and sensors without a row in it did not hear it. A scan that none heard is one row of NO_SENSOR."""

    @property
    def t_ms(self) -> Ints: ...
    @property
    def device(self) -> Ints: ...
    @property
    def sensor(self) -> npt.NDArray[np.integer]: ...
    @property
    def rssi_dbm(self) -> npt.NDArray[np.floating]: ...
    @property
    def level(self) -> Ints: ...
    @property
    def x_m(self) -> npt.NDArray[np.floating]: ...
    @property
    def y_m(self) -> npt.NDArray[np.floating]: ...


class _Spots(NamedTuple):
    """The cells of one level in which scans were made.

    cells      the level's slice of all cells           xy_m   (spots, 2) mean place of the scans
    scans      (spots,) how many                        model_dbm  (spots, sensors) what the model says
    heard, total_dbm, squares  (spots, sensors) of the signals: how many, their sum, and that of their squares
    """

    cells: slice
    xy_m: Doubles
    scans: Doubles
    model_dbm: Doubles
    heard: Doubles
    total_dbm: Doubles
    squares: Doubles


class _Field(NamedTuple):
    """How the model's error varies over a level."""

    off_db: float
    alike_m: float

    def alike(self, one_m: Doubles, other_m: Doubles) -> Doubles:
        """(one, other): the covariance."""
        away_m = np.hypot(*(one_m[:, None] - other_m).transpose(2, 0, 1))
        return np.asarray(self.off_db**2 * np.exp(-away_m / self.alike_m))


def bend(radio: Radio, survey: Survey) -> Radio:
    """The model bent to a survey. Levels without a scan sound as they did."""
    levels = _spots(radio, survey)
    frame_db = _frame_db(levels)
    tried = [_Field(*numbers) for numbers in product(OFF_DB, ALIKE_M)]
    field = max(tried, key=lambda field: sum(_foretold(spots, field, frame_db) for spots in levels))
    mean_dbm, spread_db = radio.mean_dbm.copy(), radio.spread_db.copy()
    for spots in levels:
        alike = field.alike(spots.xy_m, spots.xy_m)
        precision = _precision(spots, alike, frame_db)
        by_spot = precision @ _errors(spots, alike, frame_db, precision)
        part = spots.cells
        cells_m = np.column_stack((radio.cells.x_m[part], radio.cells.y_m[part])).astype(np.float64)
        near = field.alike(cells_m, spots.xy_m)
        mean_dbm[:, part] += (near @ by_spot).T
        unsure_db2 = np.maximum(field.off_db**2 - np.einsum("cs,cs->c", near @ precision, near), 0)
        spread_db[:, part] = np.maximum(np.sqrt(frame_db**2 + unsure_db2 + AGED_DB**2), LEAST_SPREAD_DB)
    # Scans tell what walls do, so silence means what it says. It does so everywhere: the spread says how unsure a place
    # is, and were silence believed less there, whoever is heard by few would be drawn to where nobody has walked.
    silence = 1 - (1 - radio.silence) * (1 - len(levels) / len(radio.cells.of_level))
    silent_log = np.log1p(-chance(mean_dbm, spread_db))
    return Radio(radio.cells, mean_dbm, spread_db, -np.log(spread_db), silent_log, silence)


def _spots(radio: Radio, survey: Survey) -> list[_Spots]:
    """Of each level that was surveyed."""
    scan, first, of = np.unique(
        np.column_stack((survey.t_ms, survey.device)), axis=0, return_index=True, return_inverse=True
    )
    sensors = len(radio.mean_dbm)
    told = survey.sensor != NO_SENSOR
    at = (of.ravel() * sensors + survey.sensor)[told]
    times = np.bincount(at, minlength=len(scan) * sensors).reshape(len(scan), sensors)
    total_dbm = np.bincount(at, survey.rssi_dbm[told], len(scan) * sensors).reshape(len(scan), sensors)
    signal_dbm, heard = total_dbm / np.maximum(times, 1), (times > 0).astype(np.float64)
    level, xy_m = survey.level[first], np.column_stack((survey.x_m[first], survey.y_m[first]))
    found = []
    for which, part in enumerate(radio.cells.of_level):
        on = np.flatnonzero(level == which)
        if not len(on):
            continue
        away_m = np.subtract.outer(xy_m[on, 0], radio.cells.x_m[part]) ** 2
        away_m += np.subtract.outer(xy_m[on, 1], radio.cells.y_m[part]) ** 2
        cell, spot = np.unique(away_m.argmin(axis=1), return_inverse=True)
        in_spot = (spot == np.arange(len(cell))[:, None]).astype(np.float64)
        scans = in_spot.sum(axis=1)
        found.append(_Spots(
            part, in_spot @ xy_m[on] / scans[:, None], scans, radio.mean_dbm[:, part][:, cell].T.astype(np.float64),
            in_spot @ heard[on], in_spot @ signal_dbm[on], in_spot @ signal_dbm[on] ** 2,
        ))  # fmt: skip
    return found


def _frame_db(levels: list[_Spots]) -> float:
    """How far the signals of one sensor at one spot differ."""
    spread, free = 0.0, 0.0
    for spots in levels:
        often = spots.heard > 1
        spread += float((spots.squares - spots.total_dbm**2 / np.maximum(spots.heard, 1))[often].sum())
        free += float((spots.heard[often] - 1).sum())
    return max(float(np.sqrt(spread / free)), 1.0) if free else FRAME_DB


def _precision(spots: _Spots, alike: Doubles, frame_db: float) -> Doubles:
    """(spots, spots): the inverse covariance of what is averaged at the spots, the same for each sensor."""
    return np.asarray(np.linalg.inv(alike + np.diag(frame_db**2 / spots.scans)), np.float64)


def _errors(spots: _Spots, alike: Doubles, frame_db: float, precision: Doubles, rounds: int = ROUNDS) -> Doubles:
    """(spots, sensors): how far the model was off at each spot on average, unheard scans filled in."""
    smooth = alike @ precision
    mean_dbm, unheard = spots.model_dbm, spots.scans[:, None] - spots.heard
    for _ in range(rounds):
        above = (mean_dbm - FAINTEST_DBM) / frame_db
        audible = chance(mean_dbm, frame_db).astype(np.float64) / CAUGHT
        density = np.exp(-(above**2) / 2) / np.sqrt(2 * np.pi)
        # Of those unheard the too faint lie below the limit, the others anywhere: so the mean is lower by this.
        lower_db = CAUGHT * frame_db * density / (1 - CAUGHT * audible)
        errors = (spots.total_dbm + unheard * (mean_dbm - lower_db)) / spots.scans[:, None] - spots.model_dbm
        mean_dbm = spots.model_dbm + smooth @ errors
    return np.asarray(errors)


def _foretold(spots: _Spots, field: _Field, frame_db: float) -> float:
    """The logarithm of how probable each spot's signals are by those of all others, up to a constant."""
    alike = field.alike(spots.xy_m, spots.xy_m)
    precision = _precision(spots, alike, frame_db)
    alone = np.diag(precision)[:, None]
    off_db = precision @ _errors(spots, alike, frame_db, precision, rounds=2) / alone
    mostly_heard = spots.heard > spots.scans[:, None] / 2
    return float(np.where(mostly_heard, np.log(alone) - off_db**2 * alone, 0).sum() / 2)
