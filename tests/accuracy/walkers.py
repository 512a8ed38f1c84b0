"""People who walk about a mall: to somewhere, a while there, and on; to another level only by a way.

They walk straight to places, at a pace of their own, and so unlike the diffusion a locator may believe in.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import shapely

from engine.plan import Plan

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

CHANGES_LEVEL = 0.15  # share of errands that lead to another level
STOPS = 0.75  # share of errands that end with a stop
PACE_M_S = (0.7, 1.5)
STOP_S = (90.0, 1.0)  # median, and sigma of its logarithm
LONGEST_STOP_S = 900.0
RIDE_S = (15.0, 40.0)
TURNS_S = 20.0  # mean time between two turns of someone who stands
MARGIN_M = 0.5  # nobody walks along a wall closer than this


class Walks(NamedTuple):
    """Where everyone is at each whole second: (people, seconds)."""

    level: Ints  # rows of plan.levels
    xy_m: Floats  # (people, seconds, 2)
    heading: Floats  # radians, counted from east to north

    def at(self, person: Ints, at_s: Floats) -> tuple[Ints, Floats, Floats]:
        """level, xy_m and heading of each person at each instant, between two seconds in between."""
        second = at_s.astype(np.int64)
        part = (at_s - second)[:, None]
        xy_m = self.xy_m[person, second] * (1 - part) + self.xy_m[person, second + 1] * part
        return self.level[person, second], xy_m, self.heading[person, second]


class _Path:
    """One person's errands, written down as they go."""

    def __init__(self, draw: np.random.Generator, plan: Plan, walkable: list[shapely.Polygon]) -> None:
        self._draw, self._plan, self._walkable = draw, plan, walkable
        self.at_s, self.level = 0.0, int(draw.integers(len(plan.levels)))
        self.xy_m = self._somewhere()
        self._pace_m_s = draw.uniform(*PACE_M_S)
        self.places = [(0.0, *self.xy_m)]
        self.levels = [(0.0, self.level)]
        self.headings = [(0.0, float(draw.uniform(-np.pi, np.pi)))]

    def errand(self) -> None:
        ways = [way for way in self._plan.ways if self._plan.levels[self.level].key in way.levels]
        if self._draw.random() < CHANGES_LEVEL:
            way = ways[self._draw.integers(len(ways))]
            self._go((way.x_m, way.y_m))
            others = [level for key in way.levels if (level := self._plan.level_index[key]) != self.level]
            ride_s = self._draw.uniform(*RIDE_S)
            self.level = int(self._draw.choice(others))
            self.levels.append((self.at_s + ride_s / 2, self.level))
            self._stand(ride_s)
            return
        self._go(self._somewhere())
        if self._draw.random() < STOPS:
            median_s, sigma = STOP_S
            self._stand(min(median_s * float(np.exp(self._draw.normal(0, sigma))), LONGEST_STOP_S))

    def _somewhere(self) -> tuple[float, float]:
        west, south, east, north = self._walkable[self.level].bounds
        while True:
            x_m, y_m = self._draw.uniform((west, south), (east, north)).tolist()
            if shapely.intersects_xy(self._walkable[self.level], x_m, y_m):
                return x_m, y_m

    def _go(self, goal_m: tuple[float, float]) -> None:
        """Straight there; where a void is in the way, by places from which one sees further."""
        while not self._sees(self.xy_m, goal_m):
            between_m = self._somewhere()
            if self._sees(self.xy_m, between_m):
                self._walk(between_m)
        self._walk(goal_m)

    def _sees(self, one_m: tuple[float, float], other_m: tuple[float, float]) -> bool:
        return bool(self._walkable[self.level].covers(shapely.LineString((one_m, other_m))))

    def _walk(self, to_m: tuple[float, float]) -> None:
        right_m, up_m = to_m[0] - self.xy_m[0], to_m[1] - self.xy_m[1]
        self.headings.append((self.at_s, float(np.arctan2(up_m, right_m))))
        self.at_s += float(np.hypot(right_m, up_m)) / self._pace_m_s
        self.xy_m = to_m
        self.places.append((self.at_s, *to_m))

    def _stand(self, for_s: float) -> None:
        until_s = self.at_s + for_s
        while (turns_s := self.at_s + self._draw.exponential(TURNS_S)) < until_s:
            self.at_s = turns_s
            self.headings.append((turns_s, float(self._draw.uniform(-np.pi, np.pi))))
        self.at_s = until_s
        self.places.append((until_s, *self.xy_m))


def walk(draw: np.random.Generator, plan: Plan, *, people: int, seconds: int) -> Walks:
    """Let so many people walk about for so long."""
    walkable = [level.outline.buffer(-MARGIN_M, join_style="mitre") for level in plan.levels]
    for polygon in walkable:
        shapely.prepare(polygon)
    clock = np.arange(seconds + 1, dtype=np.float64)
    level = np.zeros((people, seconds + 1), np.int64)
    xy_m, heading = np.zeros((people, seconds + 1, 2)), np.zeros((people, seconds + 1))
    for person in range(people):
        path = _Path(draw, plan, walkable)
        while path.at_s <= seconds:
            path.errand()
        at_s, x_m, y_m = np.array(path.places).T
        xy_m[person] = np.column_stack((np.interp(clock, at_s, x_m), np.interp(clock, at_s, y_m)))
        level[person] = _held(path.levels, clock)
        heading[person] = _held(path.headings, clock)
    return Walks(level, xy_m, heading)


def _held(changes: list[tuple[float, float]] | list[tuple[float, int]], clock: Floats) -> Floats:
    """The newest value at each instant."""
    at_s, value = np.array(changes, np.float64).T
    return np.asarray(value[np.searchsorted(at_s, clock, side="right") - 1])
