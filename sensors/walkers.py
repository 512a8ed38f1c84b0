"""Bodies that walk a mall: along the fields of their goals, and from level to level by stairs, lifts and escalators."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sensors.venue import Floats, Ints
from sensors.walkways import CELL_M, Walkways

AWAY_LEVEL = -1
NOBODYS_ZONE = -1
NOWHERE = -1
NEVER = np.iinfo(np.int64).max
SPEED_MPS, SPEED_SPREAD_MPS, SLOWEST_MPS, FASTEST_MPS = 1.2, 0.15, 0.8, 1.6
# People keep to their own line through a cell; less than half a cell, so that they stay in it.
SIDESTEP_M = 0.4 * CELL_M
# What another level is worth in metres of walking, where the real walk to it is not looked up.
LEVEL_M = 60.0
# Not everyone takes the shortest way: each looks up to this many times as long as it is.
MISJUDGED = 1.6


class Bodies(NamedTuple):
    """Where everybody is: level -1 is away; heading is where they face, radians from the x axis."""

    level: Ints
    xy_m: Floats
    heading: Floats


class Walkers:
    """People as columns. A spot and a goal are goals of *walkways*; the spot may lie on another level, the goal not."""

    def __init__(self, walkways: Walkways, people: int, rng: np.random.Generator) -> None:
        self._ways, self._rng = walkways, rng
        self.bodies = Bodies(np.full(people, AWAY_LEVEL, np.int16), np.zeros((people, 2)), np.zeros(people))
        self.lands_ms = np.full(people, NEVER)  # of those who ride a way
        self._spot = np.full(people, NOWHERE, np.int32)
        self._goal = np.full(people, NOWHERE, np.int32)
        self._alight = np.full(people, NOWHERE, np.int32)  # the far end of the way whose near end is the goal
        self._ride_ms = np.zeros(people, np.int64)
        self._speed_mps = np.clip(rng.normal(SPEED_MPS, SPEED_SPREAD_MPS, people), SLOWEST_MPS, FASTEST_MPS)
        self._sidestep_m = rng.uniform(-SIDESTEP_M, SIDESTEP_M, (people, 2))

    def cell(self, person: int) -> int:
        return int(self._ways.cells_at(self.bodies.xy_m[person : person + 1])[0])

    def zone_under(self, person: int) -> int:
        """The zone somebody stands in, as an index into the venue's zones; -1 none or away."""
        level = self.bodies.level[person]
        return NOBODYS_ZONE if level == AWAY_LEVEL else int(self._ways.zone_of[level, self.cell(person)])

    def walk_ms(self, person: int, spot: int) -> int:
        """About how long somebody present would walk to a spot."""
        ways, level, cell = self._ways, int(self.bodies.level[person]), self.cell(person)
        walked_m, ridden_ms = 0.0, 0
        while level != (target := int(ways.goal_level[spot])):
            leg = min(ways.legs(level, target), key=lambda leg: ways.far_m(leg.board, cell))
            walked_m += ways.far_m(leg.board, cell)
            ridden_ms += leg.ride_ms
            level, cell = int(ways.goal_level[leg.alight]), int(ways.goal_cell[leg.alight])
        walked_m += ways.far_m(spot, cell)
        return ridden_ms + int(walked_m / self._speed_mps[person] * 1_000)

    def appear(self, person: int, goal: int) -> None:
        """Put somebody at a goal."""
        self.bodies.level[person] = self._ways.goal_level[goal]
        self.bodies.xy_m[person] = self._ways.centres_m[self._ways.goal_cell[goal]] + self._sidestep_m[person]

    def vanish(self, person: int) -> None:
        self.bodies.level[person], self._spot[person] = AWAY_LEVEL, NOWHERE

    def head_for(self, person: int, spot: int) -> None:
        """Walk to *spot* from now on. Nobody jumps off an escalator: who rides looks for it on landing."""
        self._spot[person] = spot
        if self.lands_ms[person] != NEVER:
            return
        ways, level, target = self._ways, int(self.bodies.level[person]), int(self._ways.goal_level[spot])
        if level == target:
            self._goal[person], self._alight[person] = spot, NOWHERE
            return
        cell, speed_mps, legs = self.cell(person), float(self._speed_mps[person]), ways.legs(level, target)
        takes_s = [
            (ways.far_m(leg.board, cell) + leg.levels_left * LEVEL_M) / speed_mps + leg.ride_ms / 1_000 for leg in legs
        ]
        leg = legs[int(np.argmin(takes_s * self._rng.uniform(1.0, MISJUDGED, len(legs))))]
        self._goal[person], self._alight[person], self._ride_ms[person] = leg.board, leg.alight, leg.ride_ms

    def step(self, now_ms: int, dt_ms: int) -> tuple[Ints, list[int]]:
        """Walk and ride for dt_ms, until now_ms; -> who walked, and who reached their spot."""
        walking = np.flatnonzero((self._spot != NOWHERE) & (self.lands_ms == NEVER))
        reached = []
        for person in self._stroll(walking, dt_ms).tolist():
            if self._alight[person] != NOWHERE:
                self.lands_ms[person] = now_ms + self._ride_ms[person]
            else:
                self._spot[person] = NOWHERE
                reached.append(person)
        for person in np.flatnonzero(self.lands_ms <= now_ms).tolist():
            self.lands_ms[person] = NEVER
            self.appear(person, int(self._alight[person]))
            self.head_for(person, int(self._spot[person]))
        return walking, reached

    def _stroll(self, who: Ints, dt_ms: int) -> Ints:
        """Move walkers from cell to cell; -> those who stand at their goal."""
        ways, (_, xy_m, heading) = self._ways, self.bodies
        reached: list[Ints] = [who[:0]]
        left_m = self._speed_mps[who] * dt_ms / 1_000
        while who.size:
            goal, cell = self._goal[who], ways.cells_at(xy_m[who])
            gap_m = ways.centres_m[ways.next_cells(goal, cell)] + self._sidestep_m[who] - xy_m[who]
            far_m = np.hypot(gap_m[:, 0], gap_m[:, 1])
            stride_m = np.minimum(far_m, left_m)
            xy_m[who] += gap_m * (stride_m / np.maximum(far_m, 1e-9))[:, None]
            turned = stride_m > 0
            heading[who[turned]] = np.arctan2(gap_m[turned, 1], gap_m[turned, 0])
            arrived = (cell == ways.goal_cell[goal]) & (far_m <= stride_m)
            reached.append(who[arrived])
            left_m = left_m - stride_m
            going = ~arrived & (left_m > 1e-6)
            who, left_m = who[going], left_m[going]
        return np.concatenate(reached)
