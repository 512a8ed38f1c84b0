"""The mall's walkable floor in square cells, and how far somebody gets on it who is not heard.

Cells are ordered by level, from below, so that everything about one level is one slice; within a level by tiles of
TILE x TILE cells, so that everything about a small part of the floor is one slice, too. A tile at the edge has cells
outside: nobody is ever in those. A place is a probability for each cell.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import shapely

from engine.plan import Plan

# Zones count by the share of a cell they cover, so a border needs no finer cells than the floor does. Cells of 2 m
# would cost more than twice as much.
CELL_M = 3.0
TILE = 8
NO_TILE = -1
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
# Nobody gets further than so many standard deviations of their blur.
FURTHEST = 1.8
AT_ONCE = 4  # taps that are added up in one go

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


class Walks(NamedTuple):
    """How a place blurs, by row of BLURS_M: standard deviation along each axis, and in cells how far it leads."""

    blur_m: Floats
    reach: Ints


class Floor(NamedTuple):
    """Cells as engine.belief goes through them. Tiles are numbered as their cells are: tile t has TILE² from t * TILE².

    tile_at    (levels, tile rows, tile columns) the tile there, or NO_TILE
    tile_level, tile_row, tile_column  (tiles,) the inverse
    way        (tiles, 2) whether a way leads from it to the level below, to the level above
    x_m, y_m, anywhere  (cells,), see Cells       way_up  (cells,) whether a way leads from it to the level above
    """

    tile_at: Ints
    tile_level: Ints
    tile_row: Ints
    tile_column: Ints
    way: Mask
    x_m: Floats
    y_m: Floats
    anywhere: Floats
    way_up: Mask
    walks: Walks


class Cells:
    """Of one plan. level, x_m, y_m  (cells,) of each cell's middle;  of_level  for each level its slice of cells

    anywhere  (cells,): where someone is of whom nothing is known. Levels are alike, however large: people are, too.
    """

    def __init__(self, plan: Plan) -> None:
        bounds = np.array([level.outline.bounds for level in plan.levels])
        self.low_m = bounds[:, :2].min(axis=0)
        high_m = bounds[:, 2:].max(axis=0)
        across, along = np.maximum(np.ceil((high_m - self.low_m) / (CELL_M * TILE)).astype(int), 1).tolist()
        x_m = self.low_m[0] + (np.arange(across * TILE) + 0.5) * CELL_M
        y_m = self.low_m[1] + (np.arange(along * TILE) + 0.5) * CELL_M
        middles = np.meshgrid(x_m, y_m)
        walkable = np.array([shapely.intersects_xy(level.outline, *middles) for level in plan.levels])
        for level in np.flatnonzero(~walkable.any(axis=(1, 2))):  # a level smaller than a cell is one cell
            point = plan.levels[level].outline.representative_point()
            column, row = self._place(point.x, point.y)
            walkable[level, row, column] = True
        tiled = walkable.reshape(len(plan.levels), along, TILE, across, TILE).swapaxes(2, 3)
        used = tiled.any(axis=(3, 4))
        self.tile_at = np.where(used, np.cumsum(used).reshape(used.shape) - 1, NO_TILE)
        tile_level, tile_row, tile_column = np.nonzero(used)
        self.level = np.repeat(tile_level, TILE**2)
        within = np.arange(TILE)
        rows = tile_row[:, None, None] * TILE + within[:, None] + 0 * within
        columns = tile_column[:, None, None] * TILE + within + 0 * within[:, None]
        self.x_m, self.y_m = x_m[columns].ravel().astype(np.float32), y_m[rows].ravel().astype(np.float32)
        self.walkable = tiled[used].ravel()
        ends = np.cumsum(np.bincount(self.level, minlength=len(plan.levels))).tolist()
        self.of_level = [slice(start, end) for start, end in zip([0, *ends[:-1]], ends, strict=True)]
        floor = np.bincount(self.level, self.walkable, len(plan.levels))
        self.anywhere = (self.walkable / floor[self.level] / len(plan.levels)).astype(np.float32)
        self._way_up = self._ways(plan)

    def __len__(self) -> int:
        return len(self.level)

    def _place(self, x_m: float, y_m: float) -> tuple[int, int]:
        return int((x_m - self.low_m[0]) // CELL_M), int((y_m - self.low_m[1]) // CELL_M)

    def floor(self) -> Floor:
        """For compiled loops."""
        level, row, column = np.nonzero(self.tile_at != NO_TILE)
        has_way = np.any(self._way_up.reshape(len(level), -1), axis=1)
        above = np.append(self.tile_at, np.full_like(self.tile_at[:1], NO_TILE), axis=0)[level + 1, row, column]
        way = np.zeros((len(level), 2), np.bool_)
        way[:, 1] = has_way & (above != NO_TILE)
        way[above[way[:, 1]], 0] = True
        tiles = (self.tile_at, level, row, column, way)
        return Floor(*tiles, self.x_m, self.y_m, self.anywhere, self._way_up, _walks())

    def _ways(self, plan: Plan) -> Mask:
        """(cells,): whether a way leads from there to the level above."""
        up = np.zeros(len(self), np.bool_)
        for way in plan.ways:
            rows = [plan.level_index[key] for key in way.levels]
            near = np.hypot(self.x_m - way.x_m, self.y_m - way.y_m) <= WAY_M
            up |= near & (self.level >= min(rows)) & (self.level < max(rows))
        return up


def _walks() -> Walks:
    return Walks(BLURS_M.astype(np.float32), np.ceil(FURTHEST * BLURS_M / CELL_M).astype(np.int64))


def blur_of(walked_s: Floats) -> Ints:
    """(n,): the row of BLURS_M for so long a walk."""
    walked_s = np.maximum(walked_s, 0)
    spread_m = WALK_M_S * walked_s / np.sqrt(1 + walked_s / STRAIGHT_S)
    return np.asarray(np.abs(np.log(np.maximum(spread_m, BLURS_M[0]))[:, None] - np.log(BLURS_M)).argmin(axis=1))
