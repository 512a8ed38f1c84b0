"""How probable each zone is for a device that stands about here.

Zones are painted on a fine grid once; a place with its uncertainty is then a fixed pattern of points, each worth the
same probability, looked up in that grid.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import shapely

from engine.plan import NOWHERE, Plan

# Finer than any place is known; a corridor of 4 m is still 4 cells wide.
CELL_M = 1.0
# Rings of points around the mean, in standard deviations: quantiles of a normal distribution in the plane, so that
# every point stands for the same probability (1 + 6 + 10 + 14 + 18 = 49 points, 2 % each).
RINGS = (1, 6, 10, 14, 18)

Floats = npt.NDArray[np.float64]
Zones = npt.NDArray[np.int16]


def _pattern() -> Floats:
    """(points, 2): equally probable places of a normal distribution with standard deviation 1."""
    total, inner, points = sum(RINGS), 0, []
    for ring, count in enumerate(RINGS):
        middle = (inner + count / 2) / total
        radius = 0.0 if ring == 0 else np.sqrt(-2 * np.log1p(-middle))
        # Turned a little, so that no point lies right above or beside the mean, where walls so often run.
        turn = (np.arange(count) + ring / 2 + 0.25) * (2 * np.pi / count)
        points.append(np.column_stack((radius * np.cos(turn), radius * np.sin(turn))))
        inner += count
    return np.concatenate(points)


class Chances(NamedTuple):
    """Columns: the most probable zone (NOWHERE if none is), its probability, and that of the zone asked about."""

    zone: Zones
    p: Floats
    p_here: Floats


class ZoneMap:
    """The zones of a plan, painted on CELL_M cells for every level."""

    def __init__(self, plan: Plan) -> None:
        bounds = np.array([zone.polygon.bounds for zone in plan.zones]).reshape(-1, 4)
        self._low_m = np.floor(bounds[:, :2].min(axis=0, initial=0.0))
        size_m = np.ceil(bounds[:, 2:].max(axis=0, initial=CELL_M)) - self._low_m
        self._columns, self._rows = np.ceil(size_m / CELL_M).astype(int).tolist()
        # One row of nothing around, so that whatever lies outside can be clipped into it.
        self._painted = np.full((len(plan.levels), self._rows + 2, self._columns + 2), NOWHERE, np.int16)
        self._zones = len(plan.zones)
        self._points = _pattern()
        # By falling area, and for equal areas from the last: the smaller paints over the larger, as in Plan.zones_at.
        for row in sorted(range(len(plan.zones)), key=lambda row: (-plan.zones[row].polygon.area, -row)):
            self._paint(row, plan.zones[row].polygon, int(plan.zone_level[row]))

    def _paint(self, zone: int, polygon: shapely.Polygon, level: int) -> None:
        low = np.floor((np.array(polygon.bounds[:2]) - self._low_m) / CELL_M).astype(int)
        high = np.ceil((np.array(polygon.bounds[2:]) - self._low_m) / CELL_M).astype(int)
        columns, rows = np.arange(low[0], high[0]), np.arange(low[1], high[1])
        x_m = self._low_m[0] + (columns + 0.5) * CELL_M
        y_m = self._low_m[1] + (rows + 0.5) * CELL_M
        shapely.prepare(polygon)
        inside = shapely.intersects_xy(polygon, *np.meshgrid(x_m, y_m))
        self._painted[level, low[1] + 1 : high[1] + 1, low[0] + 1 : high[0] + 1][inside] = zone

    def at(self, level: npt.NDArray[np.int16], x_m: Floats, y_m: Floats) -> Zones:
        """The zone of each place, NOWHERE in none; exact to half a cell. *level* is broadcast against the places."""
        column = np.clip(np.floor((x_m - self._low_m[0]) / CELL_M), -1, self._columns).astype(np.intp) + 1
        row = np.clip(np.floor((y_m - self._low_m[1]) / CELL_M), -1, self._rows).astype(np.intp) + 1
        found: Zones = self._painted[level, row, column]
        return found

    def chances(self, level: npt.NDArray[np.int16], x_m: Floats, y_m: Floats, sigma_m: Floats, here: Zones) -> Chances:
        """How probable zones are for devices at (x_m, y_m) give or take sigma_m along each axis; all columns (n,).

        here  a zone for each device whose probability is wanted too, NOWHERE for none
        """
        devices = len(level)
        point = self._points[None] * sigma_m[:, None, None]
        zone = self.at(level[:, None], x_m[:, None] + point[..., 0], y_m[:, None] + point[..., 1])
        # Column 0 counts the points in no zone.
        slot = np.arange(devices)[:, None] * (self._zones + 1) + zone + 1
        mass = np.bincount(slot.ravel(), minlength=devices * (self._zones + 1)).reshape(devices, -1)
        mass[:, 0] = 0
        best = mass.argmax(axis=1)
        p = mass.max(axis=1) / len(self._points)
        p_here = np.where(here == NOWHERE, 0, mass[np.arange(devices), here + 1]) / len(self._points)
        return Chances(np.where(p > 0, best - 1, NOWHERE).astype(np.int16), p, p_here)
