"""How probable each zone is for members whose place is a probability over cells."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engine.cells import CELL_M, Cells, Floats
from engine.plan import NOWHERE, Plan

# Each cell is asked at so many points along each side, evenly: 9 points 1 m apart in a cell of 3 m.
POINTS = 3
# A level where someone so improbably is has no zone that counts; hardly anybody is on two.
NEGLIGIBLE = 0.005

Zones = npt.NDArray[np.int16]


class Chances(NamedTuple):
    """Columns: the most probable zone (NOWHERE if none is), its probability, and that of the zone asked about."""

    zone: Zones
    p: npt.NDArray[np.float64]
    p_here: npt.NDArray[np.float64]


class ZoneMap:
    """The zones of a plan, by the share that each has of each cell; where zones overlap, the smallest counts."""

    def __init__(self, plan: Plan, cells: Cells) -> None:
        self._of_level = cells.of_level
        self._zones_of = [np.flatnonzero(plan.zone_level == level) for level in range(len(plan.levels))]
        steps_m = ((np.arange(POINTS) + 0.5) / POINTS - 0.5) * CELL_M
        found = np.stack([
            plan.zones_at(cells.level, np.column_stack((cells.x_m + right_m, cells.y_m + up_m)))
            for right_m in steps_m for up_m in steps_m
        ])  # fmt: skip
        self.shares: list[Floats] = []  # for each level (its cells, its zones)
        for level, zones in enumerate(self._zones_of):
            here = found[:, self._of_level[level]]
            self.shares.append(np.stack([(here == zone).mean(axis=0) for zone in zones], axis=1).astype(np.float32)
                               if len(zones) else np.zeros((here.shape[1], 0), np.float32))  # fmt: skip
        self._zones = len(plan.zones)

    def share_of(self, zone: int) -> Floats:
        """(cells,): how much of each cell the zone has."""
        whole = np.zeros(self._of_level[-1].stop, np.float32)
        for cells, zones, share in zip(self._of_level, self._zones_of, self.shares, strict=True):
            if zone in zones:
                whole[cells] = share[:, int(np.flatnonzero(zones == zone)[0])]
        return whole

    def masses(self, places: Floats) -> Floats:
        """(n, zones): the probability of each zone, for places (n, cells)."""
        mass = np.zeros((len(places), self._zones), np.float32)
        for cells, zones, share in zip(self._of_level, self._zones_of, self.shares, strict=True):
            there = np.flatnonzero(places[:, cells].sum(axis=1) > NEGLIGIBLE)
            if len(there):
                mass[np.ix_(there, zones)] = places[there, cells] @ share
        return mass

    def chances(self, places: Floats, here: Zones) -> Chances:
        """For places (n, cells). here  a zone for each whose probability is wanted too, NOWHERE for none."""
        if not self._zones:
            none = np.zeros(len(places))
            return Chances(np.full(len(places), NOWHERE, np.int16), none, none)
        mass = np.minimum(self.masses(places).astype(np.float64), 1.0)
        row = np.arange(len(places))
        best = mass.argmax(axis=1)
        p = mass[row, best]
        p_here = np.where(here == NOWHERE, 0.0, mass[row, here])
        return Chances(np.where(p > 0, best, NOWHERE).astype(np.int16), p, p_here)
