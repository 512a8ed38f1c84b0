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
import numpy.typing as npt
from numba import njit

from engine.cells import CELL_M, LEAK_RATE, NO_TILE, TILE, WAY_RATE, Floats, Floor, Ints
from engine.walking import CELLS, NONE, ONE, Beliefs, Desk, Real, add, any_of, begin, desk_for, wake, walk

Rows = npt.NDArray[np.intp]
Doubles = npt.NDArray[np.float64]

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
# Signals are taken relative to this, so that squares of them keep their digits in 32 bits.
MIDDLE_DBM = np.float32(-70.0)
# Where in the desk's sums these begin.
OFF, SURE = CELLS, 2 * CELLS
HALF, THIRD, QUARTER, FIFTH, SIXTH, SEVENTH, PART = np.float32(1) / np.array([2, 3, 4, 5, 6, 7, 64], np.float32)


class Air(NamedTuple):
    """What is heard of a device in each cell. Logarithms of probabilities, but for constants of a device.

    signal       (sensors, tiles, 2 CELLS): 1 / variance in each cell of a tile, then mean above MIDDLE_DBM / variance
    heard_log    (loudnesses, sensors, cells) of a signal of MIDDLE_DBM, against silence
    silent_log   the same, of silence          silence  (loudnesses, cells) of that of every live sensor
    live         (sensors,) whose silence says something       level, x_m, y_m  (sensors,) where they hang, from the
    """

    signal: Floats
    heard_log: Floats
    silent_log: Floats
    silence: Floats
    live: npt.NDArray[np.bool_]
    level: Ints
    x_m: Doubles
    y_m: Doubles


class Heard(NamedTuple):
    """What was heard of devices in one second, and what is known of each; (devices,) where nothing else is said.

    first       (devices + 1,): the readings of a device are first to the next one's first
    sensor, signal_dbm  (readings,) of one device no two by one sensor
    fresh       never placed before             away_s      since it was last heard
    blur        the row of BLURS_M if it walked           moved, news  see engine.motion.Motion
    soon        the most that may be new so soon, were it from another place
    louder_db, doubt_db, loudness  see engine.phones.Loudness
    east_m, north_m  how far it got if it walked on as it went, see engine.heading
    fix_first   (devices + 1,): its fixes are, in the same way, rows of fixes (fixes, cells): see engine.fixes.explained
    """

    first: Ints
    sensor: Rows
    signal_dbm: Floats
    fresh: npt.NDArray[np.bool_]
    away_s: Floats
    blur: Ints
    east_m: Floats
    north_m: Floats
    moved: Floats
    news: Floats
    soon: Floats
    louder_db: Floats
    doubt_db: Floats
    loudness: Rows
    fix_first: Ints
    fixes: Floats


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
    """The zones of each cell: those of a cell are first to the next one's first."""

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
        _weigh(desk, air, heard, device, tiles)
        _conclude(desk, floor, shares, heard, belief, place, device, tiles)


@njit(cache=True, error_model="numpy")
def _look_near_the_loudest(desk: Desk, floor: Floor, air: Air, heard: Heard, device: int, tiles: int) -> int:
    if heard.first[device] == heard.first[device + 1]:
        return tiles
    loudest = heard.first[device]
    for reading in range(heard.first[device], heard.first[device + 1]):
        if heard.signal_dbm[reading] > heard.signal_dbm[loudest]:
            loudest = reading
    sensor, side_m = heard.sensor[loudest], TILE * CELL_M
    west, east = int((air.x_m[sensor] - LOUDEST_M) // side_m), int((air.x_m[sensor] + LOUDEST_M) // side_m)
    south, north = int((air.y_m[sensor] - LOUDEST_M) // side_m), int((air.y_m[sensor] + LOUDEST_M) // side_m)
    for row in range(max(south, 0), min(north + 1, floor.tile_at.shape[1])):
        for column in range(max(west, 0), min(east + 1, floor.tile_at.shape[2])):
            tiles = wake(desk, floor.tile_at[air.level[sensor], row, column], tiles)
    return tiles


@njit(cache=True, error_model="numpy")
def _look_near_the_fixes(desk: Desk, heard: Heard, device: int, tiles: int) -> int:
    for fix in range(heard.fix_first[device], heard.fix_first[device + 1]):
        for tile in range(len(desk.is_active)):
            if heard.fixes[fix, tile * CELLS : (tile + 1) * CELLS].max() > NEAR_A_FIX:
                tiles = wake(desk, tile, tiles)
    return tiles


@njit(cache=True, error_model="numpy")
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
        start = desk.active[number] * CELLS
        places, walked = desk.places[start : start + CELLS], desk.walked[start : start + CELLS]
        anywhere = floor.anywhere[start : start + CELLS]
        for at in range(CELLS):
            places[at] = walked[at] + EVERYWHERE * anywhere[at]
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
            _flow(desk, floor, tile * CELLS, upper * CELLS, at_way, elsewhere)
    return tiles


@njit(cache=True, error_model="numpy")
def _flow(desk: Desk, floor: Floor, below: int, above: int, at_way: Real, elsewhere: Real) -> None:
    lower, upper, flow = slice(below, below + CELLS), slice(above, above + CELLS), desk.sums[:CELLS]
    way_up, floor_lower, floor_upper = floor.way_up[lower], floor.anywhere[lower], floor.anywhere[upper]
    walked_lower, walked_upper = desk.walked[lower], desk.walked[upper]
    places_lower, places_upper = desk.places[lower], desk.places[upper]
    for at in range(CELLS):
        rate = at_way if way_up[at] else elsewhere
        through = rate * (walked_lower[at] - walked_upper[at])
        flow[at] = through if floor_lower[at] > NONE and floor_upper[at] > NONE else NONE
    for at in range(CELLS):
        places_lower[at] -= flow[at]
    for at in range(CELLS):
        places_upper[at] += flow[at]


@njit(cache=True, error_model="numpy")
def _weigh(desk: Desk, air: Air, heard: Heard, device: int, tiles: int) -> None:
    """The log-likelihood of what was heard, and of what was not, up to a constant: into desk.like.

    The doubt about the device's loudness is integrated out: it adds variance² off² / 2 sure - log(sure) / 2, with off
    the sum of (signal - mean) / variance, and sure 1 + its own variance times the sum of 1 / variance.
    """
    loudness, doubt_db2, usual = heard.loudness[device], heard.doubt_db[device] ** 2, ONE
    sums = desk.sums
    for number in range(tiles):
        tile = desk.active[number]
        cells = slice(tile * CELLS, (tile + 1) * CELLS)
        sums[:] = NONE
        if heard.first[device] < heard.first[device + 1]:  # a controller alone has other ears
            add(sums, air.silence[loudness, cells])
        for fix in range(heard.fix_first[device], heard.fix_first[device + 1]):
            add(sums, heard.fixes[fix, cells])
        for reading in range(heard.first[device], heard.first[device + 1]):
            sensor = heard.sensor[reading]
            above_db = heard.signal_dbm[reading] - MIDDLE_DBM - heard.louder_db[device]
            _count(sums, above_db, air.signal[sensor, tile], air.heard_log[loudness, sensor, cells])
            if not air.live[sensor]:  # its silence was not counted, so it is not to be taken back
                add(sums, air.silent_log[loudness, sensor, cells])
        if number == 0:
            usual = ONE + doubt_db2 * sums[SURE]
        like = desk.like[cells]
        for at in range(CELLS):
            sure, off = ONE + doubt_db2 * sums[SURE + at], sums[OFF + at]
            like[at] = sums[at] + HALF * (doubt_db2 * off * off / sure - _log(sure / usual))


@njit(cache=True, error_model="numpy")
def _count(sums: Floats, above_db: Real, signal: Floats, heard_log: Floats) -> None:
    half_square = HALF * above_db * above_db
    for at in range(CELLS):
        precision, pull = signal[at], signal[CELLS + at]
        sums[at] += heard_log[at] + above_db * pull - half_square * precision
        sums[OFF + at] += above_db * precision - pull
        sums[SURE + at] += precision


@njit(cache=True, error_model="numpy")
def _log(ratio: Real) -> Real:
    """The logarithm of what is between a third and 3, within 0.001. Unlike the library's it goes in wide steps."""
    half = (ratio - ONE) / (ratio + ONE)
    square = half * half
    series = ONE + square * (THIRD + square * (FIFTH + square * SEVENTH))
    return np.float32((half + half) * series)


@njit(cache=True, error_model="numpy")
def _exp(log: Real) -> Real:
    """e to the power of a logarithm between 0 and -IMPOSSIBLE, within 0.05 %. In wide steps, too."""
    part = log * PART
    series = ONE + part * (QUARTER + part * QUARTER * FIFTH)
    power = ONE + part * (ONE + part * (HALF + part * SIXTH * series))
    for _ in range(6):
        power *= power
    return np.float32(power)


@njit(cache=True, error_model="numpy")
def _conclude(
    desk: Desk, floor: Floor, shares: Shares, heard: Heard, belief: Beliefs, place: Place, device: int, tiles: int
) -> None:
    """Places times likelihoods: what is to be remembered, and where the device is by it."""
    best, believed = _best(desk, tiles)
    most, total = _multiply(desk, tiles, best, heard.soon[device] if best - believed > SURPRISE else heard.news[device])
    desk.of_level[:] = 0
    belief[:] = 0
    brightness, words, of_all = MOST * MOST / most, belief.view(np.uint64), 1 / total
    for number in range(tiles):
        tile = desk.active[number]
        desk.is_active[tile] = False
        byte, places = belief[tile * CELLS : (tile + 1) * CELLS], desk.places[tile * CELLS : (tile + 1) * CELLS]
        for at in range(CELLS):
            byte[at] = np.uint8(np.sqrt(places[at] * brightness) + HALF)
        if not any_of(words[tile * TILE : (tile + 1) * TILE]):
            continue
        sums = desk.of_level[floor.tile_level[tile]]
        for at in range(CELLS):
            if byte[at] > 0:
                cell, share = tile * CELLS + at, places[at] * of_all
                x_m, y_m = float(floor.x_m[cell]), float(floor.y_m[cell])
                sums[0] += share
                sums[1] += share * x_m
                sums[2] += share * y_m
                sums[3] += share * (x_m * x_m + y_m * y_m)
                if places[at] == most:
                    place.cell[device] = cell
                for one in range(shares.first[cell], shares.first[cell + 1]):
                    place.zones[device, shares.zone[one]] += share * shares.share[one]
    level = desk.of_level[:, 0].argmax()
    mass, x_m, y_m, square_m2 = desk.of_level[level]
    place.level[device] = level
    place.x_m[device], place.y_m[device] = x_m / mass, y_m / mass
    place.variance_m2[device] = square_m2 / mass - (x_m / mass) ** 2 - (y_m / mass) ** 2


@njit(cache=True, error_model="numpy")
def _best(desk: Desk, tiles: int) -> tuple[Real, Real]:
    """How well the cell that explains it best explains what was heard, and the one that was most probable before."""
    best, most, believed = desk.sums[:CELLS], desk.sums[OFF:SURE], desk.sums[SURE:]
    best[:], most[:] = NEVER, NONE
    for number in range(tiles):
        start = desk.active[number] * CELLS
        places, like = desk.places[start : start + CELLS], desk.like[start : start + CELLS]
        for at in range(CELLS):
            # Beyond the edge of the floor anything may fit, and nobody is.
            better = places[at] > NONE and like[at] > best[at]
            best[at] = like[at] if better else best[at]
        for at in range(CELLS):
            likelier = places[at] > most[at]
            believed[at] = like[at] if likelier else believed[at]
            most[at] = places[at] if likelier else most[at]
    return best.max(), believed[most.argmax()]


@njit(cache=True, error_model="numpy")
def _multiply(desk: Desk, tiles: int, best: Real, news: Real) -> tuple[Real, Real]:
    """Make of desk.places what is probable now, up to a factor; the most, and the sum, of it."""
    most, total = desk.sums[:CELLS], desk.sums[OFF:SURE]
    most[:], total[:] = NONE, NONE
    for number in range(tiles):
        start = desk.active[number] * CELLS
        places, like = desk.places[start : start + CELLS], desk.like[start : start + CELLS]
        for at in range(CELLS):
            worse = news * (like[at] - best)
            share = places[at] * _exp(max(worse, -IMPOSSIBLE))
            places[at] = share if worse > -IMPOSSIBLE else NONE
        for at in range(CELLS):
            total[at] += places[at]
        for at in range(CELLS):
            most[at] = max(most[at], places[at])
    return most.max(), total.sum()
