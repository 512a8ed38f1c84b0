"""The mall's walkable floor in square cells, and how probability moves over it while someone walks unheard.

Cells are ordered by level, from below, so that everything about one level is one slice. A place is a probability
for each cell; several members' places are rows of one array.
"""

from __future__ import annotations

from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt
import shapely

from engine.plan import Plan

# Zones count by the share of a cell they cover, so a border needs no finer cells than the floor does. Cells of 2 m
# would cost more than twice as much.
CELL_M = 3.0
# Within this of stairs, a lift or an escalator someone may be about to change level.
WAY_M = 6.0
# Shares that change level in a second: beside a way every twentieth; elsewhere, for ways nobody has drawn and for
# places believed on the wrong level, 0.2 % in the 5 s after which a phone in use is heard again.
WAY_RATE, LEAK_RATE = 0.05, 0.0004
# A brisk walk. 1.2, 1.4, 1.6 and 2 were tried: faster keeps the radius more honest, and in made-up malls costs half a
# metre for each 0.4 m/s. Whoever keeps walking turns after about ten seconds, and so spreads like one who wanders.
WALK_M_S, STRAIGHT_S = 1.4, 10.0
# Blurs are made for these; whoever is unheard for long may be anywhere within the last.
BLURS_M = np.array([1.0, 1.5, 2.2, 3.2, 4.5, 6.5, 9.0, 13.0, 18.0, 26.0, 40.0])

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


class Cells:
    """Of one plan. level, x_m, y_m  (cells,) of each cell's middle;  of_level  for each level its slice of cells."""

    def __init__(self, plan: Plan) -> None:
        bounds = np.array([level.outline.bounds for level in plan.levels])
        low_m, high_m = bounds[:, :2].min(axis=0), bounds[:, 2:].max(axis=0)
        columns, rows = np.maximum(np.ceil((high_m - low_m) / CELL_M).astype(int), 1).tolist()
        x_m = low_m[0] + (np.arange(columns) + 0.5) * CELL_M
        y_m = low_m[1] + (np.arange(rows) + 0.5) * CELL_M
        middles = np.meshgrid(x_m, y_m)
        walkable = np.array([shapely.intersects_xy(level.outline, *middles) for level in plan.levels])
        for level in np.flatnonzero(~walkable.any(axis=(1, 2))):  # a level smaller than a cell is one cell
            point = plan.levels[level].outline.representative_point()
            walkable[level, int((point.y - low_m[1]) // CELL_M), int((point.x - low_m[0]) // CELL_M)] = True
        self.shape = walkable.shape
        self._at = np.flatnonzero(walkable.ravel())
        self.level, row, column = np.nonzero(walkable)
        self.x_m, self.y_m = x_m[column].astype(np.float32), y_m[row].astype(np.float32)
        ends = np.cumsum(np.bincount(self.level, minlength=len(plan.levels))).tolist()
        self.of_level = [slice(start, end) for start, end in zip([0, *ends[:-1]], ends, strict=True)]
        self._climbs = self._ways(plan)

    def __len__(self) -> int:
        return len(self._at)

    @cached_property
    def anywhere(self) -> Floats:
        """(cells,): where someone is of whom nothing is known. Levels are alike, however large: people are, too."""
        cells = np.bincount(self.level, minlength=self.shape[0])
        return np.asarray(1.0 / cells[self.level] / self.shape[0], np.float32)

    def walked(self, places: Floats, away_ms: Ints) -> Floats:
        """Where those who were at *places* (n, cells) are after away_ms (n,) in which nothing was heard of them."""
        kernel = blur_of(away_ms)
        after = np.empty_like(places)
        for which in np.unique(kernel).tolist():
            rows = kernel == which
            after[rows] = self._blurred(places[rows], which)
        return self._climbed(after, np.minimum(away_ms, 60_000)[:, None] / 1_000)

    def _blurred(self, places: Floats, kernel: int) -> Floats:
        levels, rows, columns = self.shape
        dense = np.zeros((len(places), levels * rows * columns), np.float32)
        dense[:, self._at] = places
        dense = dense.reshape(-1, columns) @ _blur(columns, kernel)
        dense = _blur(rows, kernel) @ dense.reshape(-1, rows, columns)
        return np.asarray(dense.reshape(len(places), -1)[:, self._at])

    def _climbed(self, places: Floats, away_s: npt.NDArray[np.float64]) -> Floats:
        after = places.copy()
        for below, above, rate in self._climbs:
            share = (1 - np.exp(-rate * away_s)).astype(np.float32) / 2
            up, down = places[:, below] * share, places[:, above] * share
            after[:, below] += down - up
            after[:, above] += up - down
        return after

    def _ways(self, plan: Plan) -> list[tuple[Ints, Ints, npt.NDArray[np.float64]]]:
        """For each two levels above each other: cells that lie over each other, and the rate of changing between."""
        found = []
        place = np.full(int(np.prod(self.shape)), -1, np.int64)
        place[self._at] = np.arange(len(self._at))
        of_level = np.split(place, self.shape[0])
        for lower in range(self.shape[0] - 1):
            both = (of_level[lower] >= 0) & (of_level[lower + 1] >= 0)
            below, above = of_level[lower][both], of_level[lower + 1][both]
            rate = np.full(len(below), LEAK_RATE)
            for way in plan.ways:
                rows = [plan.level_index[key] for key in way.levels]
                if len(rows) > 1 and min(rows) <= lower < max(rows):
                    near = np.hypot(self.x_m[below] - way.x_m, self.y_m[below] - way.y_m) <= WAY_M
                    rate[near] = WAY_RATE
            found.append((below, above, rate))
        return found


def blur_of(away_ms: Ints) -> Ints:
    """(n,): the row of BLURS_M for so long a walk."""
    away_s = np.maximum(away_ms, 0) / 1_000
    spread_m = WALK_M_S * away_s / np.sqrt(1 + away_s / STRAIGHT_S)
    return np.asarray(np.abs(np.log(np.maximum(spread_m, BLURS_M[0]))[:, None] - np.log(BLURS_M)).argmin(axis=1))


@lru_cache(maxsize=64)
def _blur(cells: int, kernel: int) -> Floats:
    """(cells, cells): the share of each cell that a Gaussian moves to each other cell of its line."""
    apart_m = np.subtract.outer(np.arange(cells), np.arange(cells)) * CELL_M
    weight = np.exp(-0.5 * (apart_m / BLURS_M[kernel]) ** 2)
    return np.asarray(weight / weight[cells // 2].sum(), np.float32)
