"""How signals truly fade in the made-up mall; nothing here is known to a locator.

Path loss with the distance in space, floors between, and a smooth random field for each sensor and level in which
places near to each other are shadowed alike. The field's correlation is exponential (Gudmundson 1991), its values are
normal: a locator that takes shadowing for independent from sensor to sensor is right here, from place to place is not.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import shapely

from engine.plan import Plan
from tests.accuracy.building import ATRIUM, DEPTH_M, STOREY_M, WIDTH_M

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

AT_1_M_DBM = -40.0
LOSS_EXPONENT = 3.0
ALIKE_WITHIN_M = 6.0
PHONE_M, CEILING_M = 1.2, 3.2  # above the level
BEHIND_BODY_DB = 6.0
STEP_M = 2.0  # of the fields' grid; between its points they are interpolated


class Fading(NamedTuple):
    """What differs from one mall to another."""

    shadowing_db: float = 5.0
    floor_loss_db: float = 15.0
    atrium: bool = False


class Air:
    """The signals of one mall."""

    def __init__(self, draw: np.random.Generator, plan: Plan, fading: Fading) -> None:
        self._plan, self._fading = plan, fading
        self._fields_db = fading.shadowing_db * _fields(draw, len(plan.sensors), len(plan.levels))

    def age(self, draw: np.random.Generator, share: float) -> None:
        """Redraw so much of the shadowing's variance: shops are refitted, goods come and go."""
        fresh_db = self._fading.shadowing_db * _fields(draw, len(self._plan.sensors), len(self._plan.levels))
        self._fields_db = np.sqrt(1 - share) * self._fields_db + np.sqrt(share) * fresh_db

    def mean_dbm(self, level: Ints, xy_m: Floats, above_m: float = PHONE_M) -> Floats:
        """(places, sensors): how loud each sensor hears a sender of 0 dB offset at each place, but for bodies."""
        plan, loss_db = self._plan, self._fading.floor_loss_db
        away_m = plan.anchors_m[None] - xy_m[:, None]
        from_m = level[:, None] * STOREY_M + above_m
        rise_m = (plan.sensor_level * STOREY_M + CEILING_M)[None] - from_m
        distance_m = np.maximum(np.sqrt((away_m**2).sum(axis=2) + rise_m**2), 1.0)
        dbm = AT_1_M_DBM - 10 * LOSS_EXPONENT * np.log10(distance_m) + self._shadow_db(level, xy_m)
        for slab in range(1, len(plan.levels)):
            between = (level[:, None] < slab) != (plan.sensor_level[None] < slab)
            if self._fading.atrium:
                part = np.where(between, (slab * STOREY_M - from_m) / np.where(between, rise_m, 1.0), 0.0)
                crossed_m = xy_m[:, None] + part[..., None] * away_m
                between &= ~shapely.intersects_xy(ATRIUM, crossed_m[..., 0], crossed_m[..., 1])
            dbm -= loss_db * between
        return np.asarray(dbm)

    def body_db(self, xy_m: Floats, heading: Floats) -> Floats:
        """(places, sensors): 0 for sensors ahead of who holds the phone, down to -6 dB for those behind."""
        away_m = self._plan.anchors_m[None] - xy_m[:, None]
        bearing = np.arctan2(away_m[..., 1], away_m[..., 0])
        return np.asarray(-BEHIND_BODY_DB * (1 - np.cos(bearing - heading[:, None])) / 2)

    def _shadow_db(self, level: Ints, xy_m: Floats) -> Floats:
        """(places, sensors), bilinear between the points of the grid."""
        fields = self._fields_db
        column, row = (np.clip(xy_m / STEP_M, 0, None)).T
        column = np.minimum(column, fields.shape[3] - 1.001)
        row = np.minimum(row, fields.shape[2] - 1.001)
        west, south = column.astype(np.intp), row.astype(np.intp)
        right, up = (column - west)[:, None], (row - south)[:, None]
        sensors = np.arange(fields.shape[0])[None]
        here = level[:, None]

        def at(east: int, north: int) -> Floats:
            return np.asarray(fields[sensors, here, (south + north)[:, None], (west + east)[:, None]])

        lower = at(0, 0) * (1 - right) + at(1, 0) * right
        upper = at(0, 1) * (1 - right) + at(1, 1) * right
        return np.asarray(lower * (1 - up) + upper * up)


def _fields(draw: np.random.Generator, sensors: int, levels: int) -> Floats:
    """(sensors, levels, rows, columns) of unit variance, drawn on a torus larger than the mall by several lengths."""
    rows, columns = int(DEPTH_M / STEP_M) + 1, int(WIDTH_M / STEP_M) + 1
    high, wide = rows + int(5 * ALIKE_WITHIN_M / STEP_M), columns + int(5 * ALIKE_WITHIN_M / STEP_M)
    up_m = STEP_M * np.minimum(np.arange(high), high - np.arange(high))
    right_m = STEP_M * np.minimum(np.arange(wide), wide - np.arange(wide))
    alike = np.exp(-np.hypot(up_m[:, None], right_m[None]) / ALIKE_WITHIN_M)
    amplitude = np.sqrt(np.maximum(np.fft.fft2(alike).real, 0.0))
    white = draw.standard_normal((sensors, levels, high, wide))
    drawn = np.fft.ifft2(amplitude * np.fft.fft2(white)).real
    return np.asarray(drawn[..., :rows, :columns])
