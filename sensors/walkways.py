"""Where one can walk in a mall, and the next step from anywhere to any goal.

Each level's outline is cut into square cells; a cell counts only if all of it lies inside, and a diagonal step only if
both cells beside it count, so whoever walks from cell to cell never stands outside. Goals are *spots* (a few cells of
each zone) and the ends of ways; for each goal a field of next steps is computed once, for all cells together.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple, TypeVar

import numpy as np
import shapely
from numpy.typing import NDArray

from sensors.venue import Bools, Floats, Ints, Venue, Zone

CELL_M = 2.0
# Enough that a zone's guests do not stand on one another, few enough that start-up takes about a second.
SPOTS_PER_ZONE = 5
# People walk through halls and around shops: a metre inside a shop counts as this many.
SHOP_DETOUR = 4.0
THOROUGHFARES = frozenset({"corridor", "atrium", "entrance"})
# How long a way takes: to get on (a lift is waited for), and then for each level.
BOARD_MS = {"stairs": 2_000, "escalator": 3_000, "lift": 30_000}
CLIMB_MS = {"stairs": 28_000, "escalator": 22_000, "lift": 12_000}

# The eight neighbours of a cell, as (columns, rows).
NEIGHBOURS = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1))


Cell = TypeVar("Cell", bound=np.generic)


class VenueError(Exception):
    """The crowd cannot live in this venue; the message says what is missing."""


class Leg(NamedTuple):
    """One way to get nearer to another level: walk to the goal *board*, ride, stand at the goal *alight*."""

    board: int
    alight: int
    ride_ms: int
    levels_left: int


class Walkways:
    """The cells, goals and fields of one venue. Raises VenueError where nobody could come in or go round.

    A cell is an index into a row-major grid that all levels share; a goal is an index into goal_level and goal_cell.

    centres_m   (cells, 2)
    walkable    (levels, cells)
    zone_of     (levels, cells) index of the zone under a cell's centre, -1 none; of overlapping zones the smaller
    spots       per zone, its goals
    entrances   goals at the street
    """

    def __init__(self, venue: Venue) -> None:
        self._index = {level.key: index for index, level in enumerate(venue.levels)}
        outlines = [level.outline for level in venue.levels]
        left, bottom, right, top = shapely.total_bounds(outlines)
        self._origin_m = np.array([left, bottom])
        self.columns, self.rows = int(np.ceil((right - left) / CELL_M)), int(np.ceil((top - bottom) / CELL_M))
        row, column = np.divmod(np.arange(self.rows * self.columns), self.columns)
        self.centres_m: Floats = self._origin_m + (np.stack([column, row], 1) + 0.5) * CELL_M
        (x, y), half = self.centres_m.T, CELL_M / 2
        squares = shapely.box(x - half, y - half, x + half, y + half)
        self.walkable: Bools = np.stack([self._in_one_piece(shapely.covers(outline, squares)) for outline in outlines])
        self.zone_of: Ints = np.full(self.walkable.shape, -1, np.int16)
        for index, zone in sorted(enumerate(venue.zones), key=lambda each: -each[1].polygon.area):
            self.zone_of[self._index[zone.level], shapely.contains_xy(zone.polygon, self.centres_m)] = index

        self._goals: list[tuple[int, int]] = []
        self.spots = [self._spots_of(index, zone, squares) for index, zone in enumerate(venue.zones)]
        ends = [
            [self._goal(self._index[key], self._nearest(key, way.x_m, way.y_m)) for key in way.levels]
            for way in venue.ways
        ]
        self.entrances = [end for way, on in zip(venue.ways, ends, strict=True) if way.kind == "entrance" for end in on]
        self.entrances += [
            spot for z, on in zip(venue.zones, self.spots, strict=True) if z.kind == "entrance" for spot in on[:1]
        ]
        if not self.entrances:
            raise VenueError("no way or zone of kind 'entrance': nobody could come in")
        self.goal_level: Ints = np.array([level for level, _ in self._goals], np.int16)
        self.goal_cell: Ints = np.array([cell for _, cell in self._goals], np.int32)
        self._legs = self._legs_between(venue, ends)
        self._next, self._far_m = self._fields(venue.zones)

    # -- asking -----------------------------------------------------------------------------------

    def cells_at(self, xy_m: Floats) -> Ints:
        """(n, 2) -> (n,) the cell under each point; points must lie within the grid."""
        column, row = ((xy_m - self._origin_m) // CELL_M).astype(np.int32).T
        return np.asarray(row * self.columns + column)

    def next_cells(self, goal: Ints, cell: Ints) -> Ints:
        """The cell to walk to next, for each walker; the goal's own cell once there."""
        return np.asarray(self._next[goal, cell])

    def far_m(self, goal: int, cell: int) -> float:
        """How far a goal on the same level is, metres inside shops counted SHOP_DETOUR times."""
        return float(self._far_m[goal, cell])

    def legs(self, level: int, to_level: int) -> Sequence[Leg]:
        """The ways that lead from one level nearer to another."""
        return self._legs[level, to_level]

    # -- building ---------------------------------------------------------------------------------

    def _goal(self, level: int, cell: int) -> int:
        self._goals.append((level, cell))
        return len(self._goals) - 1

    def _nearest(self, level: str, x_m: float, y_m: float) -> int:
        cells = np.flatnonzero(self.walkable[self._index[level]])
        return int(cells[np.argmin(np.hypot(*(self.centres_m[cells] - (x_m, y_m)).T))])

    def _spots_of(self, index: int, zone: Zone, squares: object) -> list[int]:
        """Cells wholly inside the zone where there are any: who stands there is in the zone wherever in the cell."""
        level = self._index[zone.level]
        own = self.walkable[level] & (self.zone_of[level] == index)
        whole = own & shapely.covers(zone.polygon, squares)
        cells = np.flatnonzero(whole if whole.any() else own)
        if not cells.size:
            point = zone.polygon.representative_point()
            return [self._goal(level, self._nearest(zone.level, point.x, point.y))]
        chosen = np.linspace(0, cells.size - 1, min(SPOTS_PER_ZONE, cells.size)).astype(int)
        return [self._goal(level, int(cell)) for cell in cells[chosen]]

    def _in_one_piece(self, inside: Bools) -> Bools:
        """The largest set of cells that can all reach one another, so that every goal is in reach of everyone."""
        largest, rest, grid = np.zeros_like(inside), inside.copy(), (self.rows, self.columns)
        while rest.sum() > largest.sum():
            start = np.flatnonzero(rest)[:1]
            far_m = _fields(rest.reshape(grid), np.ones(grid), start)[1]
            piece = np.isfinite(far_m[0])
            rest &= ~piece
            if piece.sum() > largest.sum():
                largest = piece
        if not largest.any():
            raise VenueError(f"a level holds no walkable cell of {CELL_M} m")
        return largest

    def _legs_between(self, venue: Venue, ends: list[list[int]]) -> dict[tuple[int, int], list[Leg]]:
        served = [[self._index[key] for key in way.levels] for way in venue.ways]
        count = len(self._index)
        hops = np.where(np.eye(count, dtype=bool), 0, count + 1)
        for _ in range(count):
            for way, levels in zip(venue.ways, served, strict=True):
                if way.kind == "entrance":
                    continue
                hops[levels] = np.minimum(hops[levels], 1 + hops[levels].min(axis=0))
        legs: dict[tuple[int, int], list[Leg]] = {}
        for way, levels, on in zip(venue.ways, served, ends, strict=True):
            if way.kind == "entrance":
                continue
            for here, board in zip(levels, on, strict=True):
                for target in range(count):
                    landing, alight = min(
                        zip(levels, on, strict=True), key=lambda end: (hops[end[0], target], abs(end[0] - target))
                    )
                    if hops[landing, target] < hops[here, target]:
                        ride_ms = BOARD_MS[way.kind] + CLIMB_MS[way.kind] * abs(landing - here)
                        legs.setdefault((here, target), []).append(
                            Leg(board, alight, ride_ms, int(hops[landing, target]))
                        )
        for here, to in product(range(count), repeat=2):
            if here != to and (here, to) not in legs:
                raise VenueError(f"no way leads from level {venue.levels[here].key} to level {venue.levels[to].key}")
        return legs

    def _fields(self, zones: Sequence[Zone]) -> tuple[Ints, Floats]:
        grid = (self.rows, self.columns)
        shop = np.array([zone.kind not in THOROUGHFARES for zone in zones] + [False])
        toward = np.zeros((len(self._goals), self.walkable.shape[1]), np.int32)
        far_m = np.zeros(toward.shape, np.float32)
        for level, walkable in enumerate(self.walkable):
            here = np.flatnonzero(self.goal_level == level)
            cost = np.where(shop[self.zone_of[level]], SHOP_DETOUR, 1.0)
            toward[here], far_m[here] = _fields(walkable.reshape(grid), cost.reshape(grid), self.goal_cell[here])
        return toward, far_m


def _fields(walkable: Bools, cost: Floats, goals: Ints) -> tuple[Ints, Floats]:
    """Shortest paths from every cell to every goal, all goals at once.

    walkable, cost  (rows, columns); cost is what leaving a cell counts, per metre
    goals           (goals,) cells
    -> next cell and metres left, (goals, rows * columns); infinite where there is no path
    """
    rows, columns = walkable.shape
    open_ = np.pad(walkable, 1)
    far = np.full((len(goals), rows + 2, columns + 2), np.inf, np.float32)
    far[np.arange(len(goals)), goals // columns + 1, goals % columns + 1] = 0
    inner = far[:, 1:-1, 1:-1]

    def beside(grid: NDArray[Cell], dx: int, dy: int) -> NDArray[Cell]:
        return grid[..., 1 + dy : rows + 1 + dy, 1 + dx : columns + 1 + dx]

    step = [
        np.where(
            beside(open_, 0, 0) & beside(open_, dx, dy) & beside(open_, dx, 0) & beside(open_, 0, dy),
            cost * CELL_M * np.hypot(dx, dy),
            np.inf,
        ).astype(np.float32)
        for dx, dy in NEIGHBOURS
    ]
    while True:
        before = inner.copy()
        for (dx, dy), metres in zip(NEIGHBOURS, step, strict=True):
            np.minimum(inner, beside(far, dx, dy) + metres, out=inner)
        if np.array_equal(before, inner):
            break
    through = np.stack([beside(far, dx, dy) + metres for (dx, dy), metres in zip(NEIGHBOURS, step, strict=True)])
    offset = np.array([dy * columns + dx for dx, dy in NEIGHBOURS])
    cells = np.arange(rows * columns)
    toward = cells + offset[through.argmin(axis=0).reshape(len(goals), -1)]
    toward[np.arange(len(goals)), goals] = goals
    return toward, inner.reshape(len(goals), -1)
