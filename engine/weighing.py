"""How well each cell explains what is heard of a device, and what is not: an inner loop, see engine.belief."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engine.cells import Floats, Ints
from engine.walking import EACH, HALF, NONE, OFF, ONE, SURE, Desk, Real, cells_from, inner_loop

Rows = npt.NDArray[np.intp]
Doubles = npt.NDArray[np.float64]

# Signals are taken relative to this, so that squares of them keep their digits in 32 bits.
MIDDLE_DBM = np.float32(-70.0)
THIRD, FIFTH, SEVENTH = np.float32(1) / np.array([3, 5, 7], np.float32)


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


@inner_loop
def weigh(desk: Desk, air: Air, heard: Heard, device: int, tiles: int) -> None:
    """The log-likelihood of what was heard, and of what was not, up to a constant: into desk.like.

    The doubt about the device's loudness is integrated out: it adds variance² off² / 2 sure - log(sure) / 2, with off
    the sum of (signal - mean) / variance, and sure 1 + its own variance times the sum of 1 / variance.
    """
    doubt_db2, usual, sums, like = heard.doubt_db[device] ** 2, ONE, desk.sums, desk.like
    loudness, first, end = np.uint64(heard.loudness[device]), heard.first[device], heard.first[device + 1]
    for number in range(tiles):
        tile = desk.active[number]
        start = cells_from(tile)
        sums[:] = NONE
        if first < end:  # a controller alone has other ears
            for at in range(EACH):
                sums[at] += air.silence[loudness, start + at]
        for fix in range(heard.fix_first[device], heard.fix_first[device + 1]):
            for at in range(EACH):
                sums[at] += heard.fixes[np.uint64(fix), start + at]
        # Two readings in one go, as far as they go: half the way to the sums and back.
        for reading in range(first, end - 1, 2):
            _count_two(sums, air, heard, device, reading, tile)
        if (end - first) % 2:
            _count(sums, air, heard, device, end - 1, tile)
        for reading in range(first, end):
            sensor = np.uint64(heard.sensor[reading])
            if not air.live[sensor]:  # its silence was not counted, so it is not to be taken back
                for at in range(EACH):
                    sums[at] += air.silent_log[loudness, sensor, start + at]
        if number == 0:
            usual = ONE + doubt_db2 * sums[SURE]
        for at in range(EACH):
            sure, off = ONE + doubt_db2 * sums[SURE + at], sums[OFF + at]
            like[start + at] = sums[at] + HALF * (doubt_db2 * off * off / sure - _log(sure / usual))


@inner_loop
def _count(sums: Floats, air: Air, heard: Heard, device: int, reading: int, tile: int) -> None:
    """Add to the sums of a tile what one reading says there."""
    loudness, there, start = np.uint64(heard.loudness[device]), np.uint64(tile), cells_from(tile)
    sensor, above_db, half_square = _reading(heard, device, reading)
    for at in range(EACH):
        precision, pull = air.signal[sensor, there, at], air.signal[sensor, there, OFF + at]
        sums[at] += air.heard_log[loudness, sensor, start + at] + above_db * pull - half_square * precision
        sums[OFF + at] += above_db * precision - pull
        sums[SURE + at] += precision


@inner_loop
def _count_two(sums: Floats, air: Air, heard: Heard, device: int, reading: int, tile: int) -> None:
    """The same of this reading, and then of the next one."""
    loudness, there, start = np.uint64(heard.loudness[device]), np.uint64(tile), cells_from(tile)
    one, one_db, one_square = _reading(heard, device, reading)
    two, two_db, two_square = _reading(heard, device, reading + 1)
    for at in range(EACH):
        one_precision, one_pull = air.signal[one, there, at], air.signal[one, there, OFF + at]
        two_precision, two_pull = air.signal[two, there, at], air.signal[two, there, OFF + at]
        one_log = air.heard_log[loudness, one, start + at] + one_db * one_pull - one_square * one_precision
        two_log = air.heard_log[loudness, two, start + at] + two_db * two_pull - two_square * two_precision
        sums[at] = sums[at] + one_log + two_log
        sums[OFF + at] = sums[OFF + at] + (one_db * one_precision - one_pull) + (two_db * two_precision - two_pull)
        sums[SURE + at] = sums[SURE + at] + one_precision + two_precision


@inner_loop
def _reading(heard: Heard, device: int, reading: int) -> tuple[np.uint64, Real, Real]:
    """Whose it is; how far it is above MIDDLE_DBM, were the device as loud as others; and half the square of that."""
    above_db = heard.signal_dbm[reading] - MIDDLE_DBM - heard.louder_db[device]
    return np.uint64(heard.sensor[reading]), above_db, HALF * above_db * above_db


@inner_loop
def _log(ratio: Real) -> Real:
    """The logarithm of what is between a third and 3, within 0.001. Unlike the library's it goes in wide steps."""
    half = (ratio - ONE) / (ratio + ONE)
    square = half * half
    series = ONE + square * (THIRD + square * (FIFTH + square * SEVENTH))
    return np.float32((half + half) * series)
