"""Where a device stands: a probability for every cell of the floor, moved by walking and sharpened by what is heard.

A grid Bayes filter with motion. Each second in which a device is heard, its place first spreads as far as it may have
walked, then every cell is weighed by how well it explains the second: the signals at the sensors that heard the device
(normal around the radio model; the device's own loudness is learnt, and what is unsure of it integrated out), and the
silence of the live sensors that should have heard it. After: probabilistic localisation over a grid, as in Fox,
Burgard, Thrun, "Markov Localization for Mobile Robots in Dynamic Environments", JAIR 11 (1999), with the loudness as a
Gaussian nuisance.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engine.cells import Floats, Ints, blur_of
from engine.fixes import Fixes, explained
from engine.phones import LOUDNESS_DB, Loudness, Phones
from engine.radio import Radio
from engine.readings import Readings
from engine.tuning import Tuning
from engine.zones import Chances, ZoneMap, Zones

Tracks = npt.NDArray[np.void]
Beliefs = npt.NDArray[np.uint8]
Rows = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]

UNPLACED = -1  # the level of a device that was never placed
# Signals are taken relative to this, so that squares of them keep their digits in 32 bits.
MIDDLE_DBM = -70.0
# Some probability is everywhere, always: whoever was misplaced is found again.
EVERYWHERE = 1e-4
# So many devices at once: what is worked on fits the processor's cache.
AT_ONCE = 96

TRACK = np.dtype([
    ("at_ms", np.int64),  # instant of the last sighting
    ("level", np.int16),  # row of plan.levels, UNPLACED before the first
    ("x_m", np.float32), ("y_m", np.float32),
    ("sigma_m", np.float32),  # the standard deviation of the place along each axis
    ("loudness", np.float32, LOUDNESS_DB.shape),  # of the phone, see engine.phones
])  # fmt: skip


def unplaced(rows: int) -> Tracks:
    tracks = np.zeros(rows, TRACK)
    tracks["level"] = UNPLACED
    return tracks


class Sightings(NamedTuple):
    """Where devices were seen, columns.

    level  row of plan.levels    x_m, y_m  with *radius_m* around them holds 90 %    zone, p  the most probable zone
    """

    t_ms: Ints
    member: Ints
    level: npt.NDArray[np.int16]
    x_m: npt.NDArray[np.float32]
    y_m: npt.NDArray[np.float32]
    radius_m: npt.NDArray[np.float32]
    zone: npt.NDArray[np.int16]
    p: npt.NDArray[np.float32]


class Locator:
    """Places devices by one radio model."""

    def __init__(self, radio: Radio, zones: ZoneMap, tuning: Tuning) -> None:
        self._cells, self._zones, self._tuning = radio.cells, zones, tuning
        self._precision = (1 / radio.spread_db**2).astype(np.float32)
        middle = radio.mean_dbm - np.float32(MIDDLE_DBM)
        self._pull = self._precision * middle
        self._worth = radio.heard_log - self._pull * middle / 2
        self._phones = Phones(radio, tuning.phone_db)
        self._live: Mask = np.zeros(len(radio.mean_dbm), np.bool_)
        self._silence = [np.zeros(len(radio.cells), np.float32) for _ in LOUDNESS_DB]
        self._moments = self._of_levels()

    def locate(
        self, tracks: Tracks, beliefs: Beliefs, at_ms: Ints, heard: Readings, row: Rows, live: Mask, here: Zones
    ) -> Chances:
        """Advance *tracks* (n,) and *beliefs* (n, cells) in place to at_ms (n,) by what was heard in one second.

        heard  readings of these devices, at least one of each    row   (readings,) which of the tracks each is about
        live   (sensors,) whose silence says something            here  (n,) a zone whose probability is wanted
        """
        devices, sensors = len(tracks), len(live)
        if not np.array_equal(live, self._live):
            # As long as the same sensors live, the silence of all of them is one and the same.
            self._live = live.copy()
            self._silence = [live.astype(np.float32) @ silent for silent in self._phones.silent_log]
        pair = row * sensors + heard.sensor
        times = np.bincount(pair, minlength=devices * sensors).reshape(devices, sensors)
        total = np.bincount(pair, heard.rssi_dbm - MIDDLE_DBM, devices * sensors).reshape(devices, sensors)
        signal = (total / np.maximum(times, 1)).astype(np.float32)
        away_ms = np.where(tracks["level"] == UNPLACED, 0, at_ms - tracks["at_ms"])
        loudness = self._phones.loudness(tracks["loudness"])
        # Together go those as loud, who walked as long and are near each other: they share what is looked up.
        loudest = np.where(times > 0, signal, -np.inf).argmax(axis=1)
        order = np.lexsort((loudest, blur_of(away_ms), loudness.nearest))
        cuts = [np.flatnonzero(np.diff(loudness.nearest[order])) + 1, np.arange(AT_ONCE, devices, AT_ONCE)]
        answers = [
            self._some(
                tracks, beliefs, at_ms, times[some] > 0, signal[some], away_ms[some], here, some, loudness.at(some)
            )
            for some in np.split(order, np.unique(np.concatenate(cuts)))
        ]
        back = np.argsort(order)
        return Chances(*(np.concatenate(column)[back] for column in zip(*answers, strict=True)))

    def fix(self, tracks: Tracks, beliefs: Beliefs, at_ms: Ints, told: Fixes, row: Rows, here: Zones) -> Chances:
        """Advance as `locate` does, by positions that a controller computed.

        told  fixes of these devices, at least one of each    row   (fixes,) which of the tracks each is about

        Nothing is learnt of the phone's loudness, and no silence counts: the controller has other ears.
        """
        answers = []
        for start in range(0, len(tracks), AT_ONCE):
            some = slice(start, start + AT_ONCE)
            fresh = tracks["level"][some] == UNPLACED
            before = remembered(beliefs[some])
            before[fresh] = self._cells.anywhere
            places = self._cells.walked(before, np.where(fresh, 0, at_ms[some] - tracks["at_ms"][some]))
            places += EVERYWHERE * self._cells.anywhere
            mine = (row >= start) & (row < start + AT_ONCE)
            like = np.zeros_like(places)
            np.add.at(like, row[mine] - start, explained(self._cells, told.at(mine)))
            places *= np.exp(like - like.max(axis=1, keepdims=True))
            places /= places.sum(axis=1, keepdims=True)
            beliefs[some] = to_remember(places)
            tracks["at_ms"][some] = at_ms[some]
            for name, column in zip(("level", "x_m", "y_m", "sigma_m"), self._middles(places), strict=True):
                tracks[name][some] = column
            answers.append(self._zones.chances(places, here[some]))
        return Chances(*(np.concatenate(column) for column in zip(*answers, strict=True)))

    def _some(
        self,
        tracks: Tracks,
        beliefs: Beliefs,
        at_ms: Ints,
        was_heard: Mask,
        signal: Floats,
        away_ms: Ints,
        here: Zones,
        some: Rows,
        loudness: Loudness,
    ) -> Chances:
        fresh = tracks["level"][some] == UNPLACED
        before = remembered(beliefs[some])
        before[fresh] = self._cells.anywhere
        places = self._cells.walked(before, away_ms)
        places += EVERYWHERE * self._cells.anywhere
        explained = self._explained(was_heard, signal, loudness)
        # What is heard again soon is bent by the same walls and bodies, and says little new.
        news = np.where(fresh, 1.0, np.minimum(away_ms / max(self._tuning.news_ms, 1), 1.0))
        explained *= news[:, None].astype(np.float32)
        explained -= explained.max(axis=1, keepdims=True)
        places *= np.exp(explained, out=explained)
        places /= places.sum(axis=1, keepdims=True)
        beliefs[some] = to_remember(places)
        tracks["loudness"][some] = self._phones.learn(
            tracks["loudness"][some], places.argmax(axis=1), signal + MIDDLE_DBM, was_heard, self._silence, news
        )
        tracks["at_ms"][some] = at_ms[some]
        for name, column in zip(("level", "x_m", "y_m", "sigma_m"), self._middles(places), strict=True):
            tracks[name][some] = column
        return self._zones.chances(places, here[some])

    def _explained(self, was_heard: Mask, signal: Floats, loudness: Loudness) -> Floats:
        """(n, cells): the log-likelihood of what was heard, and of what was not, up to a constant for each device.

        All of *loudness* have the same nearest one.
        """
        as_loud = int(loudness.nearest[0])
        used = np.flatnonzero(was_heard.any(axis=0))
        heard = was_heard[:, used].astype(np.float32)
        signal = (signal[:, used] - loudness.mean_db[:, None]) * heard
        precision, pull, silent = self._precision[used], self._pull[used], self._phones.silent_log[as_loud][used]
        sure = heard @ precision
        off = signal @ precision - heard @ pull  # sum of (signal - mean) / variance
        explained = (signal * signal) @ (-precision / 2) + signal @ pull + heard @ (self._worth[used] - silent)
        # Whoever was heard is not silent; what a dead sensor did not hear says nothing.
        explained += self._silence[as_loud]
        dead_heard = heard * ~self._live[used]
        if dead_heard.any():
            explained += dead_heard @ silent
        variance = loudness.spread_db[:, None] ** 2
        sure = 1 + variance * sure
        explained += variance / 2 * off * off / sure
        explained -= np.log(sure) / 2
        return np.asarray(explained)

    def _middles(self, places: Floats) -> tuple[Ints, Floats, Floats, Floats]:
        """The most probable level, and the mean and standard deviation of the place on it."""
        levels = len(self._cells.of_level)
        moments = (places @ self._moments).reshape(len(places), levels, 4)
        level = moments[:, :, 0].argmax(axis=1)
        mass, x_m, y_m, square_m2 = moments[np.arange(len(places)), level].T
        x_m, y_m = x_m / mass, y_m / mass
        sigma_m = np.sqrt(np.maximum(square_m2 / mass - x_m**2 - y_m**2, 0.5) / 2)
        middle_x_m, middle_y_m = self._middle_m
        return level, x_m + middle_x_m, y_m + middle_y_m, sigma_m

    def _of_levels(self) -> Floats:
        """(cells, 4 * levels): for each level what sums to its mass, x, y and square, around the middle of the mall."""
        cells = self._cells
        self._middle_m = cells.x_m.mean(), cells.y_m.mean()
        x_m, y_m = cells.x_m - self._middle_m[0], cells.y_m - self._middle_m[1]
        sums = np.zeros((len(cells), len(cells.of_level), 4), np.float32)
        for level, part in enumerate(cells.of_level):
            sums[part, level] = np.stack((np.ones_like(x_m), x_m, y_m, x_m**2 + y_m**2), axis=1)[part]
        return sums.reshape(len(cells), -1)


def to_remember(places: Floats) -> Beliefs:
    """Places in a byte a cell: the square root keeps small probabilities apart, down to 1/65,000 of the largest."""
    return np.asarray(np.rint(np.sqrt(places / places.max(axis=1, keepdims=True)) * 255), np.uint8)


def remembered(beliefs: Beliefs) -> Floats:
    """The inverse of to_remember, summing to 1; all zero where nothing was remembered."""
    places = beliefs.astype(np.float32)
    places *= places
    total = places.sum(axis=1, keepdims=True)
    places /= np.maximum(total, 1)
    return places
