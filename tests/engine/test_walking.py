"""The inner loops are quick by doing in wide steps what is said here plainly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.belief import IMPOSSIBLE, _exp
from engine.cells import BLURS_M, CELL_M, NO_TILE, TILE, Cells
from engine.plan import Plan
from engine.walking import CELLS, FAINT, desk_for, walk
from engine.weighing import _log


@pytest.fixture(scope="session")
def floor(plan: Plan):
    return Cells(plan).floor()


def taps(floor, blur: int, reach: int, ahead_m: float) -> np.ndarray:
    """Of a walk along one axis: the share that leads -reach, .., reach cells on. Normal, and cut off at its sides."""
    off_m = np.arange(-reach, reach + 1) * CELL_M - ahead_m
    within = np.abs(off_m) <= floor.walks.reach[blur] * CELL_M
    share = np.where(within, np.exp(-0.5 * (off_m / floor.walks.blur_m[blur]) ** 2), 0)
    return share / share.sum()


def spread(floor, belief, blur: int, moved: float, east_m: float, north_m: float) -> np.ndarray:
    """(cells,), level by level, without a thought for what may be left out."""
    share = np.where(belief >= FAINT, belief.astype(np.float64) ** 2, 0)
    share /= share.sum()
    furthest = floor.walks.reach.max()
    reach = min(floor.walks.reach[blur] + int(np.ceil(max(abs(east_m), abs(north_m)) / CELL_M)), furthest)
    walked = np.zeros(len(belief))
    for at in floor.tile_at:
        there = at[..., None, None] * CELLS + np.arange(CELLS).reshape(TILE, TILE)
        level = np.where(at[..., None, None] == NO_TILE, 0, share[there])
        square = level.swapaxes(1, 2).reshape(at.shape[0] * TILE, at.shape[1] * TILE)
        for axis, ahead_m in enumerate((north_m, east_m)):
            led = taps(floor, blur, reach, ahead_m)
            square = np.apply_along_axis(np.convolve, axis, square, led)
            square = np.take(square, np.arange(reach, square.shape[axis] - reach), axis)
        tiled = square.reshape(at.shape[0], TILE, at.shape[1], TILE).swapaxes(1, 2)
        walked[there[at != NO_TILE]] = tiled[at != NO_TILE]
    return np.where(floor.anywhere > 0, moved * walked + (1 - moved) * share, 0)


@settings(max_examples=60)
@given(st.data())
def test_a_walk_leads_where_a_plain_blur_of_the_whole_floor_says(floor, data):
    cells = np.flatnonzero(floor.anywhere > 0).tolist()
    belief = np.zeros(len(floor.anywhere), np.uint8)
    for cell in data.draw(st.sets(st.sampled_from(cells), min_size=1, max_size=30)):
        belief[cell] = data.draw(st.integers(1, 255))
    belief[data.draw(st.sampled_from(cells))] = 255
    blur, moved = data.draw(st.integers(0, len(BLURS_M) - 1)), data.draw(st.sampled_from([0.02, 0.5, 1.0]))
    east_m, north_m = (data.draw(st.sampled_from([0.0, 0.4, -2.0, 3.0, -7.7])) for _ in range(2))
    how = blur, np.float32(moved), np.float32(east_m), np.float32(north_m)
    desk, found = desk_for(floor), np.zeros(len(belief))
    for _ in range(2):  # nothing is left on the desk from one walk to the next
        for tile in desk.active[: walk(desk, floor, belief, *how)].tolist():
            found[tile * CELLS : (tile + 1) * CELLS] = desk.walked[tile * CELLS : (tile + 1) * CELLS]
    assert np.abs(found - spread(floor, belief, blur, moved, east_m, north_m)).max() < 1.1e-6


def test_the_logarithm_and_the_power_are_as_right_as_they_say():
    logs, ratios = np.linspace(-IMPOSSIBLE, 0, 5_000, dtype=np.float32), np.linspace(1 / 3, 3, 5_000, dtype=np.float32)
    assert max(abs(_exp(log) / np.exp(log) - 1) for log in logs) < 5e-4
    assert max(abs(_log(ratio) - np.log(ratio)) for ratio in ratios) < 1e-3
