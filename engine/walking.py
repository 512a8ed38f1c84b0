"""How a place spreads over the floor while nobody hears of it: part of the inner loops, see engine.belief.

Loops that count without a sign, do one simple thing, and are not shorter than a tile, become the processor's wide
steps, eight numbers or more in each; others do not, and take five times as long. Nor is a slice made for each tile: to
make one costs as much as such a loop.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from engine.cells import AT_ONCE, CELL_M, NO_TILE, TILE, Floats, Floor, Ints

Beliefs = npt.NDArray[np.uint8]
Real = float | np.floating

CELLS = TILE * TILE
# The cells of a tile, and its rows or columns, counted without a sign.
EACH, SIDE = np.uint64(CELLS), np.uint64(TILE)
# Where in the desk's sums the second ones begin, and the third.
OFF, SURE = np.uint64(CELLS), np.uint64(2 * CELLS)
SPARE = AT_ONCE - 1
# A walk need not be followed to where less than this share of it leads in a cell, nor from cells whose byte is fainter.
TRACE, FAINT = np.float32(1e-6), np.float32(3.0)
ONE, HALF, NONE = np.float32(1.0), np.float32(0.5), np.float32(0.0)
# Written where they are called: a call hands over every column of a Desk, a Floor or an Air, which costs more than most
# of these loops.
inner_loop = njit(cache=True, error_model="numpy", forceinline=True)


class Desk(NamedTuple):
    """Room to work in, for one device at a time. What is of cells counts in the tiles of *active* alone."""

    active: Ints
    is_active: npt.NDArray[np.bool_]
    held: Ints  # tiles in which something is believed, by number
    stayed: Floats  # what is believed, squared: (cells,), all zero between two walks
    walked: Floats
    places: Floats
    like: Floats
    sums: Floats  # (3 CELLS,): what is summed up for each cell of a tile, or over the tiles
    of_level: npt.NDArray[np.float64]  # (levels, 4) of shares: sums of 1, x, y, x² + y²
    believed: Floats  # on one level, row by row
    across: Floats  # the same, blurred along columns
    along: Floats  # and along rows
    taps: Floats  # (2, taps): the share of a walk that leads so many cells to the east, and to the north


@njit(cache=True, error_model="numpy")
def desk_for(floor: Floor) -> Desk:
    tiles = len(floor.tile_level)
    rows, columns, cells = floor.tile_at.shape[1] * TILE, floor.tile_at.shape[2] * TILE, tiles * CELLS
    furthest = 2 * int(floor.walks.reach.max()) + AT_ONCE
    most = (rows + furthest + SPARE) * (columns + furthest)
    return Desk(
        np.zeros(tiles, np.int64), np.zeros(tiles, np.bool_), np.zeros(tiles, np.int64),
        np.zeros(cells, np.float32), np.zeros(cells, np.float32), np.zeros(cells, np.float32),
        np.zeros(cells, np.float32), np.zeros(3 * CELLS, np.float32), np.zeros((floor.tile_at.shape[0], 4)),
        np.zeros(most, np.float32), np.zeros(most, np.float32), np.zeros(most, np.float32),
        np.zeros((2, furthest), np.float32),
    )  # fmt: skip


@inner_loop
def activate(desk: Desk, tile: int, tiles: int) -> int:
    desk.is_active[tile] = True
    desk.active[tiles] = tile
    return tiles + 1


@inner_loop
def begin(desk: Desk, floor: Floor) -> int:
    """Somebody of whom nothing is known may be anywhere."""
    tiles = 0
    for tile in range(len(floor.tile_level)):
        tiles = activate(desk, tile, tiles)
    desk.places[:] = floor.anywhere
    return tiles


@inner_loop
def cells_from(tile: int) -> np.uint64:
    """The first cell of a tile."""
    return np.uint64(tile * CELLS)


@inner_loop
def walk(desk: Desk, floor: Floor, belief: Beliefs, blur: int, moved: Real, east_m: Real, north_m: Real) -> int:
    """Spread what is believed, if it *moved*, around so far to the east and north; the tiles where that leads become
    active."""
    held, total = _take_up(desk, belief)
    reach = _aim(desk, floor, blur, east_m, north_m)
    tiles, first = 0, 0
    while first < held:
        level, end = floor.tile_level[desk.held[first]], first + 1
        while end < held and floor.tile_level[desk.held[end]] == level:
            end += 1
        tiles = _spread(desk, floor, desk.held[first:end], reach, moved / total, (ONE - moved) / total, tiles)
        first = end
    for number in range(held):
        clear(desk.stayed, desk.held[number])
    return tiles


@inner_loop
def clear(cells: Floats, tile: int) -> None:
    start = cells_from(tile)
    for at in range(EACH):
        cells[start + at] = NONE


@inner_loop
def any_of(words: npt.NDArray[np.uint64], tile: int) -> bool:
    """Whether anything is believed in a tile, whose rows are a word each."""
    some, start = np.uint64(0), np.uint64(tile * TILE)
    for row in range(SIDE):
        some |= words[start + row]
    return bool(some)


@inner_loop
def _take_up(desk: Desk, belief: Beliefs) -> tuple[int, Real]:
    """The number of tiles in which anything is believed that may be walked from, and the sum of all that is."""
    words, held, sums, stayed = belief.view(np.uint64), 0, desk.sums[:CELLS], desk.stayed
    sums[:] = NONE
    for tile in range(len(desk.active)):
        if not any_of(words, tile):
            continue
        start, some = cells_from(tile), 0
        for at in range(EACH):
            believed = np.float32(belief[start + at])
            stayed[start + at] = believed * believed if believed >= FAINT else NONE
        for at in range(EACH):
            some += int(belief[start + at] >= FAINT)
        if some:
            desk.held[held] = tile
            held += 1
            for at in range(EACH):
                sums[at] += stayed[start + at]
    return held, sums.sum()


@inner_loop
def _aim(desk: Desk, floor: Floor, blur: int, east_m: Real, north_m: Real) -> int:
    """How far, in cells, a walk leads along either axis; and the share that moves so far, into desk.taps."""
    furthest = (desk.taps.shape[1] - AT_ONCE) // 2
    around, blur_m = int(floor.walks.reach[blur]), floor.walks.blur_m[blur]
    ahead_m = max(abs(float(east_m)), abs(float(north_m)))
    reach: int = min(around + int(np.ceil(ahead_m / CELL_M)), furthest)
    desk.taps[:] = NONE
    for axis in range(2):
        taps, shift_m = desk.taps[axis], north_m if axis else east_m
        for tap in range(2 * reach + 1):
            # What arrives in a cell has come from where the taps say, and so from behind.
            off_m = (tap - reach) * CELL_M + float(shift_m)
            if abs(off_m) <= around * CELL_M:
                taps[tap] = np.exp(-HALF * (off_m / blur_m) ** 2)
        taps /= taps.sum()
    return reach


@inner_loop
def _spread(desk: Desk, floor: Floor, held: Ints, reach: int, walks: Real, stays: Real, tiles: int) -> int:
    """The same for one level, of which these tiles are held."""
    level = floor.tile_level[held[0]]
    south, north, west, east = _edges(floor, held)
    from_row, past_row = max(south - reach, 0) // TILE, min((north + reach - 1) // TILE + 1, floor.tile_at.shape[1])
    from_column = max(west - reach, 0) // TILE
    past_column = min((east + reach - 1) // TILE + 1, floor.tile_at.shape[2])
    # All rows in one line, with nothing between them, before the first and after the last for as far as walks reach.
    wide, high = (past_column - from_column) * TILE + reach, (past_row - from_row) * TILE
    much = (north - south) * wide
    desk.believed[: much + 2 * reach + SPARE] = NONE
    for number in range(len(held)):
        tile = held[number]
        row, column = floor.tile_row[tile] * TILE - south, (floor.tile_column[tile] - from_column) * TILE + reach
        _lay(desk, tile, np.uint64(row * wide + column), np.uint64(wide))
    desk.across[: (high + 2 * reach + SPARE) * wide] = NONE
    _blur(desk.across[(south - from_row * TILE + reach) * wide :][:much], desk.believed, desk.taps[0], reach, 1)
    _blur(desk.along[: high * wide], desk.across, desk.taps[1], reach, wide)
    for row in range(from_row, past_row):
        for column in range(from_column, past_column):
            tile, at = floor.tile_at[level, row, column], (row - from_row) * TILE * wide + (column - from_column) * TILE
            if tile != NO_TILE and _walked_to(desk, floor, tile, np.uint64(at), np.uint64(wide), walks, stays):
                tiles = activate(desk, tile, tiles)
    return tiles


@inner_loop
def _lay(desk: Desk, tile: int, to: np.uint64, wide: np.uint64) -> None:
    """Write what is believed in a tile into rows so wide, its first cell to the place *to*."""
    believed, stayed, start = desk.believed, desk.stayed, cells_from(tile)
    for row in range(SIDE):
        for column in range(SIDE):
            believed[to + row * wide + column] = stayed[start + row * SIDE + column]


@inner_loop
def _edges(floor: Floor, held: Ints) -> tuple[int, int, int, int]:
    """The first row of these tiles, the row past the last, and the columns likewise."""
    south, north, west, east = floor.tile_at.shape[1], 0, floor.tile_at.shape[2], 0
    for number in range(len(held)):
        row, column = floor.tile_row[held[number]], floor.tile_column[held[number]]
        south, north, west, east = min(south, row), max(north, row + 1), min(west, column), max(east, column + 1)
    return south * TILE, north * TILE, west * TILE, east * TILE


@inner_loop
def _blur(to: Floats, what: Floats, taps: Floats, reach: int, apart: int) -> None:
    """to[i] = the sum of what[i + k apart] taps[k], over so many taps as a walk of this reach has."""
    cells = len(to)
    for tap in range(0, 2 * reach + 1, AT_ONCE):
        one, two, three, four = taps[tap], taps[tap + 1], taps[tap + 2], taps[tap + 3]
        first, second = what[tap * apart :][:cells], what[(tap + 1) * apart :][:cells]
        third, fourth = what[(tap + 2) * apart :][:cells], what[(tap + 3) * apart :][:cells]
        if tap == 0:
            for at in range(cells):
                to[at] = one * first[at] + two * second[at] + three * third[at] + four * fourth[at]
        else:
            for at in range(cells):
                to[at] += one * first[at] + two * second[at] + three * third[at] + four * fourth[at]


@inner_loop
def _walked_to(
    desk: Desk, floor: Floor, tile: int, at_first: np.uint64, wide: np.uint64, walks: Real, stays: Real
) -> bool:
    """Fill in where the walk leads in this tile, whose first cell is there in rows so wide; whether that is worth
    following."""
    walked, stayed, along, anywhere = desk.walked, desk.stayed, desk.along, floor.anywhere
    start, worth = cells_from(tile), 0
    for row in range(SIDE):
        for column in range(SIDE):
            walked[start + row * SIDE + column] = along[at_first + row * wide + column]
    for at in range(EACH):
        # Nobody walks off the floor.
        gone = walks * walked[start + at] + stays * stayed[start + at]
        walked[start + at] = gone if anywhere[start + at] > NONE else NONE
    for at in range(EACH):
        worth += int(walked[start + at] > TRACE)
    return worth > 0


@inner_loop
def wake(desk: Desk, tile: int, tiles: int) -> int:
    """Make a tile active where nobody walked to, if there is one and it is not active."""
    if tile == NO_TILE or desk.is_active[tile]:
        return tiles
    clear(desk.walked, tile)
    return activate(desk, tile, tiles)
