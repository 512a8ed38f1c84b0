"""How full the mall is, drawn so that nobody can be found in it.

The rule. Members are drawn in pools of k or more, each spread evenly over the floor of its tile. A tile of 6 m with k
members is a pool. Whoever is in no pool is pooled over tiles of twice the size, and so on to 24 m; the rest of a level
is pooled over the whole of it. Should the rest be fewer than k, the largest pool lends it what it lacks (or, where none
can spare that and stay a pool, the smallest dissolves into it). A level with fewer than k members is not drawn at all.

So every shade tells of k members or more; no two pools share a member; and as a level is drawn whole or not at all,
subtracting shades from the level's count leaves nobody over. Where someone stands within a tile of 6 m changes nothing,
and neither does where someone stands who is in no pool of a tile. The blur comes after and only sees pools.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import shapely

from engine.geo import Floats
from engine.plan import Ints, Plan

CELL_M = 2.0
# Members per cell (4 m2) that one step of a byte means. 255 steps reach 1.28, a crowded shop of members alone; with a
# coarser step a hundred members spread over one level of the demo mall would round to next to nothing.
UNIT_MEMBERS = 0.005
# Rows and columns of cells in a tile, each made of two of the last: 6 m is a shop front, 24 m a wing.
TILES = ((3, 3), (3, 6), (6, 6), (6, 12), (12, 12))
# Softens the tiles' edges and no more: 3 m is about what a position may be off.
BLUR_CELLS = 1.5

Bytes = npt.NDArray[np.uint8]


class _Floor(NamedTuple):
    """What does not change from one picture to the next. Rows and columns are padded to whole largest tiles."""

    rows: int
    columns: int
    walkable: Floats  # (levels, padded rows, padded columns): 1 where a cell's centre is on the level, else 0
    tile_cells: tuple[Floats, ...]  # for each of TILES (levels, tile rows, tile columns): walkable cells in each tile
    down: Floats  # (rows, rows): the blur between rows
    across: Floats  # (columns, columns): the blur between columns
    reach: Floats  # (levels, rows, columns): how much of a cell's blur falls on walkable cells


@lru_cache(maxsize=4)
def _floor(plan: Plan) -> _Floor:
    rows, columns = int(np.ceil(plan.height_m / CELL_M)), int(np.ceil(plan.width_m / CELL_M))
    x_m, y_m = np.meshgrid((np.arange(columns) + 0.5) * CELL_M, (np.arange(rows) + 0.5) * CELL_M)
    inside = [shapely.intersects_xy(level.outline, x_m, y_m) for level in plan.levels]
    spare = ((0, 0), (0, -rows % TILES[-1][0]), (0, -columns % TILES[-1][1]))
    walkable = np.pad(np.array(inside, np.float64), spare)
    down, across = _blur(rows), _blur(columns)
    reach = down @ walkable[:, :rows, :columns] @ across
    return _Floor(rows, columns, walkable, tuple(_sums(walkable, tile) for tile in TILES), down, across, reach)


def _blur(cells: int) -> Floats:
    """(cells, cells): the share of each cell that a Gaussian moves to each other cell of its line."""
    apart = np.subtract.outer(np.arange(cells), np.arange(cells))
    return np.asarray(np.exp(-0.5 * (apart / BLUR_CELLS) ** 2) / (BLUR_CELLS * np.sqrt(2 * np.pi)), np.float64)


def _sums(cells: Floats, tile: tuple[int, int]) -> Floats:
    """Sums over tiles of so many rows and columns, in the last two axes."""
    levels, rows, columns = cells.shape
    apart = cells.reshape(levels, rows // tile[0], tile[0], columns // tile[1], tile[1])
    return np.asarray(apart.sum(axis=(2, 4)), np.float64)


def pooled(plan: Plan, level: Ints, xy_m: Floats, *, k: int) -> Floats:
    """Members per cell by the rule above, not yet blurred: (levels, rows, columns), row 0 in the south.

    level  (N,) rows of plan.levels;  xy_m  (N, 2) local metres; a place off the plan counts in the nearest cell
    """
    floor = _floor(plan)
    row = np.clip(xy_m[:, 1] // CELL_M, 0, floor.rows - 1).astype(np.int64)
    column = np.clip(xy_m[:, 0] // CELL_M, 0, floor.columns - 1).astype(np.int64)
    shape = floor.tile_cells[0].shape
    tile = np.ravel_multi_index((level, row // TILES[0][0], column // TILES[0][1]), shape)
    waiting: Floats = np.bincount(tile, minlength=int(np.prod(shape))).reshape(shape).astype(np.float64)
    pools: list[Floats] = []
    for cells in floor.tile_cells:
        if pools:
            waiting = _sums(waiting, (waiting.shape[1] // cells.shape[1], waiting.shape[2] // cells.shape[2]))
        pools.append(np.where((waiting >= k) & (cells > 0), waiting, 0.0))
        waiting = waiting - pools[-1]
    rest = waiting.sum(axis=(1, 2))
    for few in np.flatnonzero((rest > 0) & (rest < k)):
        rest[few] += _give_up([pool[few] for pool in pools], k - rest[few], k)
    members = np.where(rest >= k, rest / np.maximum(floor.walkable.sum(axis=(1, 2)), 1), 0.0)[:, None, None]
    for tile_shape, cells, pool in zip(TILES, floor.tile_cells, pools, strict=True):
        members = members + np.kron(pool / np.maximum(cells, 1), np.ones((1, *tile_shape)))
    return np.asarray((members * floor.walkable)[:, : floor.rows, : floor.columns], np.float64)


def _give_up(pools: list[Floats], lacking: float, k: int) -> float:
    """Take *lacking* members out of the pools of one level, leaving pools of k or more; 0 where there are none.

    The largest pool lends them, for it is least changed by it; if it cannot, the smallest goes whole.
    """
    flat = np.concatenate([pool.ravel() for pool in pools])
    if not flat.any():
        return 0.0
    lender = int(flat.argmax())
    if flat[lender] - lacking < k:
        lender = int(np.where(flat > 0, flat, np.inf).argmin())
        lacking = float(flat[lender])
    for pool in pools:
        if lender < pool.size:
            pool[np.unravel_index(lender, pool.shape)] -= lacking
            break
        lender -= pool.size
    return lacking


def occupancy(plan: Plan, level: Ints, xy_m: Floats, *, k: int) -> Bytes:
    """The heat on every level: (levels, rows, columns), row 0 in the south, in steps of UNIT_MEMBERS up to 255.

    Arguments as for pooled. The blur keeps to the floor, so it loses nobody and fills no void.
    """
    floor = _floor(plan)
    walkable = floor.walkable[:, : floor.rows, : floor.columns]
    even = np.divide(pooled(plan, level, xy_m, k=k), floor.reach, out=np.zeros_like(walkable), where=walkable > 0)
    soft = walkable * (floor.down @ even @ floor.across)
    return np.minimum(np.rint(soft / UNIT_MEMBERS), 255).astype(np.uint8)


def counts(members: Ints, k: int, *, elsewhere: int = 0) -> list[int | None]:
    """How many members each part of a whole holds, None where that may not be told.

    members    (parts,) members in each
    elsewhere  members of the whole in none of the parts

    Parts under k are not told. Pages also see the whole, so the untold parts could be had by subtraction: where those
    together are fewer than k, the smallest told part is withheld too.
    """
    told = members >= k
    untold = elsewhere + int(members[~told].sum())
    if 0 < untold < k and told.any():
        told[np.argmin(np.where(told, members, np.iinfo(np.int64).max))] = False
    return [int(n) if may else None for n, may in zip(members, told, strict=True)]
