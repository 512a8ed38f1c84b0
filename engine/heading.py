"""Where somebody is heading, by how their place has moved: whoever walks mostly goes on as they went.

A place that spreads to all sides alike follows a walker a metre late. So it spreads around where they would be by now,
and not all the way: people turn and stop. The speed is what is left of the one before, corrected by a share of what the
place moved otherwise: an alpha-beta filter, as in Bar-Shalom, Li, Kirubarajan, "Estimation with Applications to
Tracking and Navigation" (2001), ch. 6, in which the grid is the alpha.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engine.cells import STRAIGHT_S, WALK_M_S, Floats

# Of somebody's way so much goes on; of how their place moved so much is believed. A place moves by shadows, too.
GOES_ON, BELIEVED = 0.55, 0.3
# Of two sightings within this the difference says nothing of a speed.
LEAST_S = 2.0

HEADING = np.dtype([("east_m_s", np.float32), ("north_m_s", np.float32)])

Headings = npt.NDArray[np.void]


def drift(headings: Headings, away_s: Floats) -> tuple[Floats, Floats]:
    """How far to the east and to the north those (devices,) have got who walked on since they were last heard."""
    straight_s = (GOES_ON * STRAIGHT_S * (1 - np.exp(-away_s / STRAIGHT_S))).astype(np.float32)
    return headings["east_m_s"] * straight_s, headings["north_m_s"] * straight_s


def turn(headings: Headings, away_s: Floats, east_m: Floats, north_m: Floats, lost: npt.NDArray[np.bool_]) -> None:
    """Learn from how far the places of (devices,) moved within away_s, in place. lost  whose move says nothing: they
    were not placed before, or on another level."""
    kept = (1 - BELIEVED) * np.exp(-away_s / STRAIGHT_S)
    seen = BELIEVED / np.maximum(away_s, LEAST_S)
    east_m_s, north_m_s = headings["east_m_s"] * kept + east_m * seen, headings["north_m_s"] * kept + north_m * seen
    # Nobody is believed to run: such a place jumped.
    most = np.where(lost, 0, np.minimum(1, WALK_M_S / np.maximum(np.hypot(east_m_s, north_m_s), WALK_M_S / 2)))
    headings["east_m_s"], headings["north_m_s"] = east_m_s * most, north_m_s * most
