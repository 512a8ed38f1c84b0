"""Positions that a controller computed, in columns, and what each of them says of every cell of the floor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engine.cells import CELL_M, Cells, Floats
from engine.geo import Anchor
from sensors import wire

UNKNOWN = -1  # the level of a fix that names none
# Of a two-dimensional normal distribution, 90 % lies within so many standard deviations.
RADIUS_90 = 2.146
# Controllers err by more than they say now and then: nothing further off than this many standard deviations is less
# probable still, and another level than the one they name is as improbable as three standard deviations.
FURTHEST, OTHER_LEVEL_LOG = 4.0, -4.5
# No fix is surer than the floor's cells are fine.
LEAST_SIGMA_M = CELL_M / 2

Times = npt.NDArray[np.int64]
Rows = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]


class Fixes(NamedTuple):
    """One row per fix, columns of equal length.

    t_ms   when, event time                   device      the member whose device it is
    level  row of plan.levels, or UNKNOWN     x_m, y_m    local metres, with a standard deviation of sigma_m each
    """

    t_ms: Times
    device: Times
    level: npt.NDArray[np.int16]
    x_m: Floats
    y_m: Floats
    sigma_m: Floats

    @property
    def size(self) -> int:
        return len(self.t_ms)

    def at(self, rows: Rows | Mask | slice) -> Fixes:
        return Fixes(
            self.t_ms[rows], self.device[rows], self.level[rows], self.x_m[rows], self.y_m[rows], self.sigma_m[rows]
        )

    def in_order(self) -> Fixes:
        """By time and device; equal ones by what they say, so that the order of arrival leaves no trace."""
        return self.at(np.lexsort(tuple(reversed(self))))

    def by_time(self) -> Fixes:
        return self.at(np.argsort(self.t_ms, kind="stable"))

    def and_also(self, others: list[Fixes]) -> Fixes:
        return Fixes(*(np.concatenate(columns) for columns in zip(self, *others, strict=True)))

    def columns(self) -> list[bytes]:
        return [column.tobytes() for column in self]


TYPES = (np.int64, np.int64, np.int16, np.float32, np.float32, np.float32)


def fixes(*columns: npt.ArrayLike) -> Fixes:
    """Fixes from anything array-like, in the types their columns have; none where nothing is given."""
    given = columns or ((),) * len(TYPES)
    return Fixes(*(np.asarray(column, kind) for column, kind in zip(given, TYPES, strict=True)))


def from_columns(columns: list[bytes]) -> Fixes:
    """The inverse of Fixes.columns. Raises ValueError on columns that are not fixes."""
    found = [np.frombuffer(column, kind).copy() for column, kind in zip(columns, TYPES, strict=True)]
    if len({len(column) for column in found}) != 1:
        raise ValueError("columns of unequal length")
    return Fixes(*found)


def on_plan(told: Sequence[wire.Fix], device: Times, anchor: Anchor, level_index: Mapping[str, int]) -> Fixes:
    """What was told of these devices, in the plan's metres and levels.

    A level that the plan does not have is taken for none: controllers name their maps as they like.
    """
    earth = np.array([(0.0, 0.0) if fix.lon is None or fix.lat is None else (fix.lon, fix.lat) for fix in told])
    local = np.array([(np.nan, np.nan) if fix.x_m is None or fix.y_m is None else (fix.x_m, fix.y_m) for fix in told])
    xy_m = np.where(np.isnan(local), anchor.to_metres(earth), local)
    sigma_m = np.maximum(np.array([fix.radius_m for fix in told]) / RADIUS_90, LEAST_SIGMA_M)
    levels = [UNKNOWN if fix.level is None else level_index.get(fix.level, UNKNOWN) for fix in told]
    return fixes([fix.at_ms for fix in told], device, levels, xy_m[:, 0], xy_m[:, 1], sigma_m)


def explained(cells: Cells, told: Fixes) -> Floats:
    """(fixes, cells): the logarithm of how well each cell explains each fix, up to a constant for each."""
    away_m2 = (cells.x_m - told.x_m[:, None]) ** 2 + (cells.y_m - told.y_m[:, None]) ** 2
    away = np.minimum(away_m2 / told.sigma_m[:, None] ** 2, FURTHEST**2)
    elsewhere = (told.level[:, None] != UNKNOWN) & (told.level[:, None] != cells.level)
    return np.asarray(-away / 2 + OTHER_LEVEL_LOG * elsewhere, np.float32)
