"""How a place spreads over the floor while nobody hears of it: part of the inner loops, see engine.belief."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from engine.cells import NO_TILE, TILE, Floats, Floor, Ints

Beliefs = npt.NDArray[np.uint8]
Real = float | np.floating

CELLS = TILE * TILE
STEP = 32  # so many numbers at once is what processors are quick with
# A walk need not be followed to where less than this share of it leads in a cell, nor from cells whose byte is fainter.
TRACE, FAINT = np.float32(1e-6), 3
ONE, NONE = np.float32(1.0), np.float32(0.0)


class Desk(NamedTuple):
    """Room to work in, for one device at a time. What is of cells counts in the tiles of *active* alone."""

    active: Ints
    is_active: npt.NDArray[np.bool_]
    walked: Floats
    places: Floats
    like: Floats
    off: Floats
    sure: Floats
    lines: Floats  # (rows, columns and a step) of one level, blurred along columns
    blurred: Floats  # the same, blurred along both; all zero between two walks
    line: Floats


@njit(cache=True, error_model="numpy")
def desk_for(floor: Floor) -> Desk:
    tiles = len(floor.tile_level)
    rows, columns, cells = floor.tile_at.shape[1] * TILE, floor.tile_at.shape[2] * TILE, tiles * CELLS
    return Desk(
        np.zeros(tiles, np.int64), np.zeros(tiles, np.bool_),
        np.zeros(cells, np.float32), np.zeros(cells, np.float32), np.zeros(cells, np.float32),
        np.zeros(cells, np.float32), np.zeros(cells, np.float32),
        np.zeros((rows, columns + STEP), np.float32), np.zeros((rows, columns + STEP), np.float32),
        np.zeros(columns + STEP, np.float32),
    )  # fmt: skip


@njit(cache=True, error_model="numpy")
def activate(desk: Desk, tile: int, tiles: int) -> int:
    desk.is_active[tile] = True
    desk.active[tiles] = tile
    return tiles + 1


@njit(cache=True, error_model="numpy")
def begin(desk: Desk, floor: Floor) -> int:
    """Somebody of whom nothing is known may be anywhere."""
    tiles = 0
    for tile in range(len(floor.tile_level)):
        tiles = activate(desk, tile, tiles)
    desk.places[:] = floor.anywhere
    return tiles


@njit(cache=True, error_model="numpy")
def walk(desk: Desk, floor: Floor, belief: Beliefs, blur: int, moved: Real) -> int:
    """Spread what is believed, if it *moved*; the tiles where that leads become active."""
    high, wide = floor.tile_at.shape[1] * TILE, floor.tile_at.shape[2] * TILE
    reach = floor.walks.reach[blur]
    taps = floor.walks.taps[blur, : 2 * reach + 1]
    total = NONE
    for cell in range(len(belief)):
        if belief[cell] >= FAINT:
            total += np.float32(belief[cell]) * np.float32(belief[cell])
    tiles, first = 0, 0
    for level in range(floor.tile_at.shape[0]):
        end = first
        while end < len(floor.tile_level) and floor.tile_level[end] == level:
            end += 1
        south, north, west, east = _edges(floor, belief, first, end)
        if north >= 0:
            from_column, to_column = max(west - reach, 0), min(east + reach + 1, wide)
            # Whole steps of the processor's; what is blurred beyond to_column is not read.
            padded = from_column + (to_column - from_column + STEP - 1) // STEP * STEP
            desk.lines[south : north + 1, from_column:padded] = NONE
            for tile in range(first, end):
                _along_columns(desk, floor, belief, tile, taps, total)
            for row in range(max(south - reach, 0), min(north + reach, high - 1) + 1):
                line = desk.line[from_column:padded]
                line[:] = NONE
                for other in range(max(row - reach, south), min(row + reach, north) + 1):
                    add(line, desk.lines[other, from_column:padded], taps[other - row + reach])
                desk.blurred[row, from_column:to_column] = desk.line[from_column:to_column]
            for row in range(max(south - reach, 0) // TILE, min(north + reach, high - 1) // TILE + 1):
                for column in range(from_column // TILE, (to_column - 1) // TILE + 1):
                    tile = floor.tile_at[level, row, column]
                    if tile != NO_TILE and _walked_to(desk, floor, belief, tile, moved, total):
                        tiles = activate(desk, tile, tiles)
            desk.blurred[max(south - reach, 0) : north + reach + 1, from_column:to_column] = NONE
        first = end
    return tiles


@njit(cache=True, error_model="numpy")
def _edges(floor: Floor, belief: Beliefs, first: int, end: int) -> tuple[int, int, int, int]:
    """The rows and columns, south, north, west, east, between which anything is believed in these tiles of one level;
    north is -1 where nothing is."""
    south, north, west, east = floor.tile_at.shape[1] * TILE, -1, floor.tile_at.shape[2] * TILE, -1
    for tile in range(first, end):
        for at in range(CELLS):
            if belief[tile * CELLS + at] >= FAINT:
                row, column = floor.tile_row[tile] * TILE + at // TILE, floor.tile_column[tile] * TILE + at % TILE
                south, north = min(south, row), max(north, row)
                west, east = min(west, column), max(east, column)
    return south, north, west, east


@njit(cache=True, error_model="numpy")
def _along_columns(desk: Desk, floor: Floor, belief: Beliefs, tile: int, taps: Floats, total: Real) -> None:
    reach, wide = len(taps) // 2, floor.tile_at.shape[2] * TILE
    for at in range(CELLS):
        byte = np.float32(belief[tile * CELLS + at])
        if byte >= FAINT:
            line = desk.lines[floor.tile_row[tile] * TILE + at // TILE]
            column = floor.tile_column[tile] * TILE + at % TILE
            low, top = max(column - reach, 0), min(column + reach + 1, wide)
            add(line[low:top], taps[low - column + reach : top - column + reach], byte * byte / total)


@njit(cache=True, error_model="numpy")
def _walked_to(desk: Desk, floor: Floor, belief: Beliefs, tile: int, moved: Real, total: Real) -> bool:
    """Fill in where the walk leads in this tile; whether that is worth following."""
    most = NONE
    south, west = floor.tile_row[tile] * TILE, floor.tile_column[tile] * TILE
    for row in range(TILE):
        line = desk.blurred[south + row, west : west + TILE]
        for column in range(TILE):
            cell = tile * CELLS + row * TILE + column
            byte = np.float32(belief[cell])
            stayed = byte * byte / total if byte >= FAINT else NONE
            # Nobody walks off the floor.
            desk.walked[cell] = moved * line[column] + (ONE - moved) * stayed if floor.anywhere[cell] > NONE else NONE
            most = max(most, desk.walked[cell])
    return bool(most > TRACE)


@njit(cache=True, error_model="numpy")
def add(to: Floats, what: Floats, times: Real) -> None:
    for at in range(len(to)):
        to[at] += times * what[at]


@njit(cache=True, error_model="numpy")
def wake(desk: Desk, tile: int, tiles: int) -> int:
    """Make a tile active where nobody walked to, if there is one and it is not active."""
    if tile == NO_TILE or desk.is_active[tile]:
        return tiles
    desk.walked[tile * CELLS : (tile + 1) * CELLS] = NONE
    return activate(desk, tile, tiles)
