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

from engine.belief import advance, nowhere
from engine.cells import Floats, Ints, blur_of
from engine.fixes import RADIUS_90, Fixes, explained
from engine.heading import HEADING, drift, turn
from engine.motion import SPELL, Told, watch
from engine.phones import LOUDNESS_DB, Phones
from engine.plan import Plan
from engine.radio import Radio
from engine.readings import Readings, readings
from engine.tuning import Tuning
from engine.walking import CELLS, Beliefs
from engine.weighing import MIDDLE_DBM, Air, Heard, Rows
from engine.zones import Chances, Zones, chances, zone_shares

Tracks = npt.NDArray[np.void]
Mask = npt.NDArray[np.bool_]

UNPLACED = -1  # the level of a device that was never placed

TRACK = np.dtype([
    ("at_ms", np.int64),  # instant of the last sighting
    ("level", np.int16),  # row of plan.levels, UNPLACED before the first
    ("x_m", np.float32), ("y_m", np.float32),
    ("sigma_m", np.float32),  # the standard deviation of the place along each axis
    ("loudness", np.float32, LOUDNESS_DB.shape),  # of the phone, see engine.phones
    ("heading", HEADING),  # see engine.heading
    ("spell", SPELL),  # of standing in one place, see engine.motion
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


NO_SIGHTINGS = Sightings(
    *(np.zeros(0, kind) for kind in (np.int64, np.int64, np.int16, *([np.float32] * 3), np.int16, np.float32))
)


def sightings(member: Ints, tracks: Tracks, found: Chances) -> Sightings:
    """Of members who were located just now."""
    return Sightings(
        t_ms=tracks["at_ms"].copy(),
        member=member,
        level=tracks["level"].copy(),
        x_m=tracks["x_m"].astype(np.float32),
        y_m=tracks["y_m"].astype(np.float32),
        radius_m=(RADIUS_90 * tracks["sigma_m"]).astype(np.float32),
        zone=found.zone,
        p=found.p.astype(np.float32),
    )


class Locator:
    """Places devices by one radio model."""

    def __init__(self, plan: Plan, radio: Radio, tuning: Tuning) -> None:
        self._tuning, self._cells, self._floor = tuning, radio.cells, radio.cells.floor()
        self._shares, self._zones = zone_shares(plan, radio.cells), len(plan.zones)
        self._phones = Phones(radio, tuning.phone_db)
        low_x_m, low_y_m = radio.cells.low_m
        precision, middle_db = (1 / radio.spread_db**2).astype(np.float32), radio.mean_dbm - MIDDLE_DBM
        heard_log = (radio.heard_log - precision * middle_db**2 / 2 - self._phones.silent_log).astype(np.float32)
        tiles = (len(plan.sensors), -1, CELLS)
        signal = np.concatenate((precision.reshape(tiles), (precision * middle_db).reshape(tiles)), axis=2)
        self._air = Air(
            signal, heard_log, self._phones.silent_log,
            np.zeros_like(self._phones.silent_log[:, 0]), np.zeros(len(plan.sensors), np.bool_),
            plan.sensor_level.astype(np.int64), plan.anchors_m[:, 0] - low_x_m, plan.anchors_m[:, 1] - low_y_m,
        )  # fmt: skip
        self._no_fixes: Floats = np.zeros((0, len(radio.cells)), np.float32)
        self._compile()

    def locate(
        self,
        tracks: Tracks,
        beliefs: Beliefs,
        rows: Rows,
        at_ms: Ints,
        heard: Readings,
        of: Rows,
        live: Mask,
        here: Zones,
    ) -> Chances:
        """Advance *tracks* (n,) and beliefs[rows] (n, cells) in place to at_ms (n,) by what was heard in one second.

        heard  readings of these devices, at least one of each    of    (readings,) which of the tracks each is about
        live   (sensors,) whose silence says something            here  (n,) a zone whose probability is wanted
        """
        self._listen(live)
        # Of several readings by one sensor the mean counts.
        pair, back, times = np.unique(of * len(live) + heard.sensor, return_inverse=True, return_counts=True)
        device, sensor = np.divmod(pair, len(live))
        signal_dbm = (np.bincount(back, heard.rssi_dbm) / times).astype(np.float32)
        fresh = tracks["level"] == UNPLACED
        away_ms = np.where(fresh, 0, at_ms - tracks["at_ms"])
        first, away_s = np.searchsorted(device, np.arange(len(tracks) + 1)), (away_ms / 1_000).astype(np.float32)
        motion = watch(tracks["spell"], Told(at_ms, away_s, fresh, first, sensor, signal_dbm))
        # What is heard again soon is bent by the same walls and bodies, and says little new.
        soon = np.where(fresh, 1.0, np.minimum(away_ms / max(self._tuning.news_ms, 1), 1.0)).astype(np.float32)
        loudness, (east_m, north_m) = self._phones.loudness(tracks["loudness"]), drift(tracks["heading"], away_s)
        told = Heard(
            first, sensor, signal_dbm, fresh, away_s, blur_of(motion.walked_s), east_m, north_m,
            motion.moved, np.minimum(motion.news, soon), soon, *loudness, np.zeros_like(first), self._no_fixes,
        )  # fmt: skip
        loudest = np.lexsort((signal_dbm, device))[first[1:] - 1]
        cell, found = self._advance(
            tracks, beliefs, rows, at_ms, told, np.lexsort((sensor[loudest], loudness.nearest)), here
        )
        tracks["loudness"] = self._phones.learn(tracks["loudness"], cell, told, self._air.silence)
        return found

    def fix(
        self, tracks: Tracks, beliefs: Beliefs, rows: Rows, at_ms: Ints, told: Fixes, of: Rows, here: Zones
    ) -> Chances:
        """Advance as `locate` does, by positions that a controller computed.

        told  fixes of these devices, at least one of each        of    (fixes,) which of the tracks each is about

        Nothing is learnt of the phone's loudness, and no silence counts: the controller has other ears.
        """
        devices, order = len(tracks), np.argsort(of, kind="stable")
        fresh = tracks["level"] == UNPLACED
        away_s = (np.where(fresh, 0, at_ms - tracks["at_ms"]) / 1_000).astype(np.float32)
        none, one, usual = np.zeros(devices, np.float32), np.ones(devices, np.float32), np.zeros(devices, np.intp)
        found = Heard(
            np.zeros(devices + 1, np.int64), np.zeros(0, np.intp), np.zeros(0, np.float32), fresh, away_s,
            blur_of(away_s), none, none, one, one, one, none, none, usual,
            np.searchsorted(of[order], np.arange(devices + 1)), explained(self._cells, told.at(order)),
        )  # fmt: skip
        return self._advance(tracks, beliefs, rows, at_ms, found, np.arange(devices), here)[1]

    def _advance(
        self, tracks: Tracks, beliefs: Beliefs, rows: Rows, at_ms: Ints, told: Heard, order: Rows, here: Zones
    ) -> tuple[Ints, Chances]:
        """The most probable cell of each, and the chances of its zones."""
        place = nowhere(len(tracks), self._zones)
        advance(self._floor, self._air, self._shares, told, order, beliefs, rows, place)
        lost = told.fresh | (told.away_s <= 0) | (tracks["level"] != place.level)
        turn(tracks["heading"], told.away_s, place.x_m - tracks["x_m"], place.y_m - tracks["y_m"], lost)
        tracks["at_ms"], tracks["level"], tracks["x_m"], tracks["y_m"] = at_ms, place.level, place.x_m, place.y_m
        tracks["sigma_m"] = np.sqrt(np.maximum(place.variance_m2, 0.5) / 2)
        return place.cell, chances(place.zones, here)

    def _compile(self) -> None:
        """Once for each machine that takes seconds, and no member should wait for it."""
        nobody = readings()
        no_rows, no_beliefs = np.zeros(0, np.intp), np.zeros((0, len(self._floor.x_m)), np.uint8)
        at_ms = np.zeros(0, np.int64)
        self.locate(unplaced(0), no_beliefs, no_rows, at_ms, nobody, no_rows, self._air.live, np.zeros(0, np.int16))

    def _listen(self, live: Mask) -> None:
        """As long as the same sensors live, the silence of all of them is one and the same."""
        if not np.array_equal(live, self._air.live):
            silence = np.einsum("s,lsc->lc", live.astype(np.float32), self._air.silent_log)
            self._air = self._air._replace(live=live.copy(), silence=silence)
