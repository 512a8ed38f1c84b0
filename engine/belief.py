"""What one second tells of where each device is: the inner loops of the grid filter, compiled.

A place is remembered in a byte a cell. A second spreads it as far as somebody may have walked, weighs every cell by
how well it explains what was heard and what was not, and sums up. Most of a mall is out of the question at any time, so
only some tiles are worked on: those that the device may have walked to, those near whoever hears it loudest, and above
or below the former where a way leads there.

Each device is worked on alone and in one order, so the answer depends on nothing but what was known and heard of it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from engine.cells import CELL_M, LEAK_RATE, NO_TILE, TILE, WAY_RATE, Floats, Floor, Ints
from engine.walking import (
    CELLS,
    EACH,
    HALF,
    NONE,
    OFF,
    ONE,
    SIDE,
    SURE,
    Beliefs,
    Desk,
    Real,
    any_of,
    begin,
    cells_from,
    desk_for,
    inner_loop,
    wake,
    walk,
)
from engine.weighing import Air, Doubles, Heard, Rows, weigh

# Some probability is everywhere, always: whoever was misplaced is found again, near whoever hears them loudest.
EVERYWHERE, LOUDEST_M = np.float32(1e-4), 15.0
# Three standard deviations (a logarithm): the part of the floor that a fix speaks of.
NEAR_A_FIX = np.float32(-4.5)
# What explains a second so much worse than the best cell (a logarithm) is impossible.
IMPOSSIBLE = np.float32(25.0)
NEVER = np.float32(-1e30)
# Where somebody is believed to be, what is heard is explained worse than elsewhere by a few (a logarithm): shadows. By
# this much it is not: they are misplaced, and what is heard counts in full, however often it was heard.
SURPRISE = np.float32(14.0)
# The square root in a byte keeps small probabilities apart, down to 1/65,000 of the largest.
MOST = np.float32(255.0)
# Whoever is unheard for longer may have changed level as often as one may.
LONGEST_S = 60.0
# Of each cell of a tile, from its first one: 1, how far it is to the east, and to the north, and the square of that.
RIGHT_M, UP_M = np.tile(np.arange(TILE), TILE) * CELL_M, np.repeat(np.arange(TILE), TILE) * CELL_M
MOMENTS = np.stack((np.ones(CELLS), RIGHT_M, UP_M, RIGHT_M**2 + UP_M**2)).astype(np.float32)
QUARTER, FIFTH, SIXTH, PART = np.float32(1) / np.array([4, 5, 6, 64], np.float32)


class Place(NamedTuple):
    """Where devices are: (devices,), and the probability of each zone (devices, zones); cell is the most probable."""

    level: Ints
    x_m: Doubles
    y_m: Doubles
    variance_m2: Doubles
    cell: Ints
    zones: Doubles


def nowhere(devices: int, zones: int) -> Place:
    """Room for the answer about so many devices."""
    x_m, y_m, variance_m2 = np.zeros((3, devices))
    level, cell = np.zeros((2, devices), np.int64)
    return Place(level, x_m, y_m, variance_m2, cell, np.zeros((devices, zones)))


class Shares(NamedTuple):
    """The zones of each tile: of one tile, first to the next one's first. share  (so many, CELLS) of each cell"""

    first: Ints
    zone: Ints
    share: Floats


@njit(cache=True, error_model="numpy")
def advance(
    floor: Floor, air: Air, shares: Shares, heard: Heard, order: Rows, beliefs: Beliefs, rows: Rows, place: Place
) -> None:
    """Move on what is believed of each device, beliefs[rows] in place, and say where it is, into *place*.

    order  in which to go through the devices: the answer is the same, but what is near in it shares the cache
    """
    desk = desk_for(floor)
    for device in order:
        belief = beliefs[rows[device]]
        if heard.fresh[device]:
            tiles = begin(desk, floor)
        else:
            east_m, north_m = heard.east_m[device], heard.north_m[device]
            tiles = walk(desk, floor, belief, heard.blur[device], heard.moved[device], east_m, north_m)
            tiles = _look_near_the_loudest(desk, floor, air, heard, device, tiles)
            tiles = _look_near_the_fixes(desk, heard, device, tiles)
            tiles = _climb(desk, floor, heard.away_s[device], tiles)
        weigh(desk, air, heard, device, tiles)
        _conclude(desk, floor, shares, heard, belief, place, device, tiles)


@inner_loop
def _look_near_the_loudest(desk: Desk, floor: Floor, air: Air, heard: Heard, device: int, tiles: int) -> int:
    if heard.first[device] == heard.first[device + 1]:
        return tiles
    loudest = heard.first[device]
    for reading in range(heard.first[device], heard.first[device + 1]):
        if heard.signal_dbm[reading] > heard.signal_dbm[loudest]:
            loudest = reading
    sensor, side_m = heard.sensor[loudest], TILE * CELL_M
    x_m, y_m = air.x_m[sensor], air.y_m[sensor]
    west, east = int(np.floor((x_m - LOUDEST_M) / side_m)), int(np.floor((x_m + LOUDEST_M) / side_m))
    south, north = int(np.floor((y_m - LOUDEST_M) / side_m)), int(np.floor((y_m + LOUDEST_M) / side_m))
    for row in range(max(south, 0), min(north + 1, floor.tile_at.shape[1])):
        for column in range(max(west, 0), min(east + 1, floor.tile_at.shape[2])):
            tiles = wake(desk, floor.tile_at[air.level[sensor], row, column], tiles)
    return tiles


@inner_loop
def _look_near_the_fixes(desk: Desk, heard: Heard, device: int, tiles: int) -> int:
    for fix in range(heard.fix_first[device], heard.fix_first[device + 1]):
        for tile in range(len(desk.is_active)):
            if heard.fixes[fix, tile * CELLS : (tile + 1) * CELLS].max() > NEAR_A_FIX:
                tiles = wake(desk, tile, tiles)
    return tiles


@inner_loop
def _climb(desk: Desk, floor: Floor, away_s: Real, tiles: int) -> int:
    """Where a way leads to another level, that level becomes active; what may have gone there does."""
    for number in range(tiles):
        tile = desk.active[number]
        level, row, column = floor.tile_level[tile], floor.tile_row[tile], floor.tile_column[tile]
        if floor.way[tile, 0]:
            tiles = wake(desk, floor.tile_at[level - 1, row, column], tiles)
        if floor.way[tile, 1]:
            tiles = wake(desk, floor.tile_at[level + 1, row, column], tiles)
    for number in range(tiles):
        start = cells_from(desk.active[number])
        for at in range(EACH):
            desk.places[start + at] = desk.walked[start + at] + EVERYWHERE * floor.anywhere[start + at]
    seconds = min(away_s, LONGEST_S)
    at_way = np.float32((1 - np.exp(-WAY_RATE * seconds)) / 2)
    elsewhere = np.float32((1 - np.exp(-LEAK_RATE * seconds)) / 2)
    for number in range(tiles):
        tile = desk.active[number]
        level = floor.tile_level[tile] + 1
        if level == floor.tile_at.shape[0]:
            continue
        upper = floor.tile_at[level, floor.tile_row[tile], floor.tile_column[tile]]
        if upper != NO_TILE and desk.is_active[upper]:
            _flow(desk, floor, cells_from(tile), cells_from(upper), at_way, elsewhere)
    return tiles


@inner_loop
def _flow(desk: Desk, floor: Floor, below: np.uint64, above: np.uint64, at_way: Real, elsewhere: Real) -> None:
    """Between two tiles that lie one above the other, given the first cell of each."""
    walked, places, anywhere, way_up, flow = desk.walked, desk.places, floor.anywhere, floor.way_up, desk.sums
    for at in range(EACH):
        rate = at_way if way_up[below + at] else elsewhere
        through = rate * (walked[below + at] - walked[above + at])
        flow[at] = through if anywhere[below + at] > NONE and anywhere[above + at] > NONE else NONE
    for at in range(EACH):
        places[below + at] -= flow[at]
    for at in range(EACH):
        places[above + at] += flow[at]


@inner_loop
def _exp(log: Real) -> Real:
    """e to the power of a logarithm between 0 and -IMPOSSIBLE, within 0.05 %. In wide steps, too."""
    part = log * PART
    series = ONE + part * (QUARTER + part * QUARTER * FIFTH)
    power = ONE + part * (ONE + part * (HALF + part * SIXTH * series))
    for _ in range(6):
        power *= power
    return np.float32(power)


@inner_loop
def _conclude(
    desk: Desk, floor: Floor, shares: Shares, heard: Heard, belief: Beliefs, place: Place, device: int, tiles: int
) -> None:
    """Places times likelihoods: what is to be remembered, and where the device is by it."""
    best, believed = _best(desk, tiles)
    most, total = _multiply(desk, tiles, best, heard.soon[device] if best - believed > SURPRISE else heard.news[device])
    desk.of_level[:] = 0
    belief[:] = 0
    brightness, words, of_all = MOST * MOST / most, belief.view(np.uint64), ONE / total
    places, remembered = desk.places, desk.sums
    for number in range(tiles):
        tile = desk.active[number]
        desk.is_active[tile] = False
        start, peaks = cells_from(tile), 0
        for at in range(EACH):
            belief[start + at] = np.uint8(np.sqrt(places[start + at] * brightness) + HALF)
        if not any_of(words, tile):
            continue
        for at in range(EACH):
            remembered[at] = places[start + at] * of_all if belief[start + at] > 0 else NONE
        _sum_up(desk.of_level[floor.tile_level[tile]], desk, floor.x_m[start], floor.y_m[start])
        for one in range(shares.first[tile], shares.first[tile + 1]):
            place.zones[device, shares.zone[one]] += _weighted(desk, shares.share, one)
        for at in range(EACH):
            peaks += int(places[start + at] == most)
        if peaks:
            for cell in range(start, start + EACH):
                if places[cell] == most:
                    place.cell[device] = cell
    level = desk.of_level[:, 0].argmax()
    mass, x_m, y_m, square_m2 = desk.of_level[level]
    place.level[device] = level
    place.x_m[device], place.y_m[device] = x_m / mass, y_m / mass
    place.variance_m2[device] = square_m2 / mass - (x_m / mass) ** 2 - (y_m / mass) ** 2


@inner_loop
def _sum_up(sums: Doubles, desk: Desk, x_m: Real, y_m: Real) -> None:
    """Add to the sums of a level what is remembered of one of its tiles, whose first cell is there."""
    mass, right_m = float(_weighted(desk, MOMENTS, 0)), float(_weighted(desk, MOMENTS, 1))
    up_m, square_m2 = float(_weighted(desk, MOMENTS, 2)), float(_weighted(desk, MOMENTS, 3))
    sums[0] += mass
    sums[1] += mass * x_m + right_m
    sums[2] += mass * y_m + up_m
    sums[3] += mass * (float(x_m) ** 2 + float(y_m) ** 2) + 2 * (right_m * x_m + up_m * y_m) + square_m2


@inner_loop
def _weighted(desk: Desk, weights: Floats, row: int) -> Real:
    """The sum of what is remembered of a tile, in desk.sums, times a row of weights: columns first, each for itself."""
    sums, of = desk.sums, np.uint64(row)
    for column in range(SIDE):
        sums[OFF + column] = NONE
    for start in range(np.uint64(0), EACH, SIDE):
        for column in range(SIDE):
            sums[OFF + column] += sums[start + column] * weights[of, start + column]
    total = NONE
    for column in range(SIDE):
        total += sums[OFF + column]
    return total


@inner_loop
def _best(desk: Desk, tiles: int) -> tuple[Real, Real]:
    """How well the cell that explains it best explains what was heard, and the one that was most probable before."""
    best, most, believed = desk.sums[:CELLS], desk.sums[OFF:SURE], desk.sums[SURE:]
    best[:], most[:] = NEVER, NONE
    places, like = desk.places, desk.like
    for number in range(tiles):
        start = cells_from(desk.active[number])
        for at in range(EACH):
            # Beyond the edge of the floor anything may fit, and nobody is.
            better = places[start + at] > NONE and like[start + at] > best[at]
            best[at] = like[start + at] if better else best[at]
        for at in range(EACH):
            likelier = places[start + at] > most[at]
            believed[at] = like[start + at] if likelier else believed[at]
            most[at] = places[start + at] if likelier else most[at]
    return best.max(), believed[most.argmax()]


@inner_loop
def _multiply(desk: Desk, tiles: int, best: Real, news: Real) -> tuple[Real, Real]:
    """Make of desk.places what is probable now, up to a factor; the most, and the sum, of it."""
    most, total = desk.sums[:CELLS], desk.sums[OFF:SURE]
    most[:], total[:] = NONE, NONE
    places, like = desk.places, desk.like
    for number in range(tiles):
        start = cells_from(desk.active[number])
        for at in range(EACH):
            worse = news * (like[start + at] - best)
            share = places[start + at] * _exp(max(worse, -IMPOSSIBLE))
            places[start + at] = share if worse > -IMPOSSIBLE else NONE
        for at in range(EACH):
            total[at] += places[start + at]
        for at in range(EACH):
            most[at] = max(most[at], places[start + at])
    return most.max(), total.sum()
