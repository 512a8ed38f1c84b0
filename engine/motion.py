"""Whether somebody walked since they were last heard, by how much what each sensor hears of them changed.

Whoever stands is bent by the same walls at each sighting: to hear them again is to hear the same error again, and to
believe it twice would move them through the wall. Whoever walks a few metres is bent by others. So signals that stayed
as they were mean that the phone stayed where it was, and that it said little new; it needs no idea of where that is.

While somebody stands, what each sensor hears is averaged (a spell): what changed is held against the average.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from engine.cells import Floats, Ints

Rows = npt.NDArray[np.intp]
Slots = npt.NDArray[np.int16]

SLOTS = 10  # sensors remembered of a spell: more than hear most phones
NOBODY = -1
# Signals of a phone that stands differ by FRAME_DB from frame to frame (radio, bodies, hands), one standard deviation;
# those of places that are far apart by PLACE_DB (walls, shelves), and of places ALIKE_M apart by two thirds of it.
FRAME_DB, PLACE_DB, ALIKE_M = 3.5, 4.5, 6.0
# Shoppers stop and go: on average they stand so long, walk so long, and then at this pace.
STANDS_S, WALKS_S, PACE_M_S = 45.0, 50.0, 0.8
# Half of those who stopped within a gap had walked in it.
WALKED_FIRST = 0.5
# One or two sightings pass before a walk shows; it may have begun so much earlier than it is seen.
UNSEEN_S = 5.0
# Nobody is surer than this that they stood or walked, before hearing them; nor after.
LEAST, MOST_LOG = 0.02, 20.0
# In doubt somebody walked, by these odds: who walks and is taken to stand is held back, and in the wrong zone soon; who
# stands and is taken to walk only hears the same error once more.
IN_DOUBT = np.exp(0.5)
# Heard by other sensors than before: e² to 1 for a walk.
OTHERS_LOG = 2.0
MOST_TIMES = 30

SPELL = np.dtype([
    ("since_ms", np.int64), ("still", np.float32),  # how probable it is that the phone stands
    ("sensor", np.int16, (SLOTS,)), ("dbm", np.float32, (SLOTS,)), ("times", np.float32, (SLOTS,)),
])  # fmt: skip


class Motion(NamedTuple):
    """(devices,): how far to believe that each walked, how long it may have walked, and how much of what is heard is
    new: 0 to 1, where 1 is a place of which nothing was heard before."""

    moved: Floats
    walked_s: Floats
    news: Floats


class Told(NamedTuple):
    """What is heard of devices in one second. Readings of a device are first to the next one's first."""

    at_ms: Ints
    away_s: Floats
    fresh: npt.NDArray[np.bool_]
    first: Ints
    sensor: Rows
    signal_dbm: Floats


class _Spells(NamedTuple):
    """The columns of SPELL."""

    since_ms: Ints
    still: Floats
    sensor: Slots
    dbm: Floats
    times: Floats


def watch(spells: npt.NDArray[np.void], told: Told) -> Motion:
    """Go on with *spells* (devices,), in place."""
    motion = Motion(*np.zeros((3, len(spells)), np.float32))
    _watch(told, _Spells(*(spells[name] for name in _Spells._fields)), motion)
    return motion


@njit(cache=True, error_model="numpy")
def _watch(told: Told, spells: _Spells, motion: Motion) -> None:
    for device in range(len(told.at_ms)):
        readings = slice(told.first[device], told.first[device + 1])
        sensor, signal_dbm, away_s = told.sensor[readings], told.signal_dbm[readings], told.away_s[device]
        by, dbm, times = spells.sensor[device], spells.dbm[device], spells.times[device]
        if told.fresh[device]:
            motion.moved[device], motion.news[device] = 1.0, 1.0
            spells.since_ms[device] = told.at_ms[device]
            _begin(by, dbm, times, sensor, signal_dbm)
            continue
        for_walk = _for_a_walk(by, dbm, times, sensor, signal_dbm, away_s)
        stood = spells.still[device] * np.exp(-away_s / STANDS_S)
        stopped = (1 - spells.still[device]) * (1 - np.exp(-away_s / WALKS_S)) * WALKED_FIRST
        stays = min(max(stood + stopped, LEAST), 1 - LEAST)
        odds = (1 - stays) / stays * np.exp(min(max(for_walk, -MOST_LOG), MOST_LOG))
        walked = odds / (1 + odds)
        spells.still[device] = 1 - walked
        moved = motion.moved[device] = odds * IN_DOUBT / (1 + odds * IN_DOUBT)
        if walked > 0.5:
            spell_s = (told.at_ms[device] - spells.since_ms[device]) / 1_000
            motion.walked_s[device] = min(max(spell_s, away_s), away_s + UNSEEN_S)
            spells.since_ms[device] = told.at_ms[device]
            _begin(by, dbm, times, sensor, signal_dbm)
            motion.news[device] = moved
        else:
            motion.walked_s[device] = away_s
            most = _average(by, dbm, times, sensor, signal_dbm)
            motion.news[device] = moved + (1 - moved) * _again(most)


@njit(cache=True, error_model="numpy")
def _for_a_walk(by: Slots, dbm: Floats, times: Floats, sensor: Rows, signal_dbm: Floats, away_s: float) -> float:
    """The logarithm of how much better a walk explains the changes than standing does.

    Where some signals changed and others are the very same, these are echoes: listeners tell again what they heard last
    where they hear nothing new. Echoes say neither.
    """
    apart_db2 = 2 * PLACE_DB**2 * (1 - np.exp(-away_s * PACE_M_S / ALIKE_M))
    for_walk, for_echo, changed, alike = 0.0, 0.0, 0, 0
    for reading in range(len(sensor)):
        for slot in range(SLOTS):
            if by[slot] == sensor[reading]:
                stood_db2 = FRAME_DB**2 * (1 + 1 / times[slot])
                walked_db2 = stood_db2 + apart_db2
                changed_db2 = (signal_dbm[reading] - dbm[slot]) ** 2
                says = 0.5 * (np.log(stood_db2 / walked_db2) + changed_db2 * (1 / stood_db2 - 1 / walked_db2))
                if changed_db2 > 0:
                    for_walk += says
                    changed += 1
                else:
                    for_echo += says
                    alike += 1
    if changed:
        return for_walk
    return for_echo if alike else OTHERS_LOG


@njit(cache=True, error_model="numpy")
def _begin(by: Slots, dbm: Floats, times: Floats, sensor: Rows, signal_dbm: Floats) -> None:
    by[:] = NOBODY
    for slot in range(min(len(sensor), SLOTS)):
        by[slot], dbm[slot], times[slot] = sensor[slot], signal_dbm[slot], 1


@njit(cache=True, error_model="numpy")
def _average(by: Slots, dbm: Floats, times: Floats, sensor: Rows, signal_dbm: Floats) -> float:
    """Returns how often the sensor that heard the phone most often in this spell has heard it."""
    most = 1.0
    for reading in range(len(sensor)):
        for slot in range(SLOTS):
            if by[slot] == sensor[reading]:
                times[slot] = min(times[slot] + 1, MOST_TIMES)
                dbm[slot] += (signal_dbm[reading] - dbm[slot]) / times[slot]
                most = max(most, times[slot])
                break
            if by[slot] == NOBODY:
                by[slot], dbm[slot], times[slot] = sensor[reading], signal_dbm[reading], 1
                break
    return most


@njit(cache=True, error_model="numpy")
def _again(times: float) -> float:
    """How much the nth frame from one place adds to what the first one said: frames average out, walls do not."""
    frame = FRAME_DB**2 / PLACE_DB**2
    return (1 + frame) * (1 / (1 + frame / times) - 1 / (1 + frame / max(times - 1, 1)))
