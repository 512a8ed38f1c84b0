"""How probable each zone is for members whose place is a probability over cells."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engine.belief import Shares
from engine.cells import CELL_M, Cells
from engine.plan import NOWHERE, Plan
from engine.walking import CELLS

# Each cell is asked at so many points along each side, evenly: 9 points 1 m apart in a cell of 3 m.
POINTS = 3

Zones = npt.NDArray[np.int16]


class Chances(NamedTuple):
    """Columns: the most probable zone (NOWHERE if none is), its probability, and that of the zone asked about."""

    zone: Zones
    p: npt.NDArray[np.float64]
    p_here: npt.NDArray[np.float64]


def zone_shares(plan: Plan, cells: Cells) -> Shares:
    """The share that each zone of a plan has of each cell; where zones overlap, the smallest counts."""
    zones = max(len(plan.zones), 1)
    steps_m = ((np.arange(POINTS) + 0.5) / POINTS - 0.5) * CELL_M
    found = np.stack([
        plan.zones_at(cells.level, np.column_stack((cells.x_m + right_m, cells.y_m + up_m)))
        for right_m in steps_m for up_m in steps_m
    ])  # fmt: skip
    point, cell = np.nonzero(found != NOWHERE)
    pair, points = np.unique(cell * zones + found[point, cell], return_counts=True)
    cell, zone = np.divmod(pair, zones)
    of_tile, row = np.unique(cell // CELLS * zones + zone, return_inverse=True)
    tile, zone = np.divmod(of_tile, zones)
    share = np.zeros((len(of_tile), CELLS), np.float32)
    share[row, cell % CELLS] = points / len(found)
    return Shares(np.searchsorted(tile, np.arange(len(cells) // CELLS + 1)), zone, share)


def chances(masses: npt.NDArray[np.float64], here: Zones) -> Chances:
    """Of the probabilities of zones (n, zones). here  a zone for each whose probability is wanted too, or NOWHERE."""
    if not masses.shape[1]:
        none = np.zeros(len(masses))
        return Chances(np.full(len(masses), NOWHERE, np.int16), none, none)
    row, best = np.arange(len(masses)), masses.argmax(axis=1)
    p = np.minimum(masses[row, best], 1.0)
    p_here = np.where(here == NOWHERE, 0.0, np.minimum(masses[row, here], 1.0))
    return Chances(np.where(p > 0, best, NOWHERE).astype(np.int16), p, p_here)
