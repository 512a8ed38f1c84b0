"""Which sensors are live, in event time, and in which zones nobody could be heard.

A sensor of which nothing is heard for SILENT_MS counts for nothing: that it did not hear a phone says nothing then, and
silence from a zone whose sensors are all silent is an outage and no departure. What shows a sensor to be live is a
heartbeat, a batch (of whomever), or a reading.

Facts take effect with the second they are about, never earlier, so the answer for a second is the same in a replay. A
mall that never tells of its sensors, such as a recording, is taken to have all of them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import shapely

from engine.plan import Plan
from engine.readings import TICK_MS, Readings

NEVER_MS = -1
# Sensors beat every 10 s (wire.HEARTBEAT_MS): two may be lost before one counts as silent.
SILENT_MS = 30_000
# A phone in a zone is heard by the sensors within this of it: so far apart do sensors hang at one for 400 m².
REACH_M = 20.0

Times = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]


class Kept(NamedTuple):
    """All that liveness knows.

    told  whether a fact ever came        sensor, at_ms  facts whose second is not closed yet
    last_ms  (sensors,) newest sign of life    deaf_ms  (zones,) when each was last deaf; NEVER_MS for never
    """

    told: bool
    sensor: Rows
    at_ms: Times
    last_ms: Times
    deaf_ms: Times


class Liveness:
    def __init__(self, plan: Plan) -> None:
        self.serves = serves(plan)
        self._told = False
        # Facts whose second is open: sensor, at_ms. In one piece, as operators ask while presence goes on.
        self._open: tuple[Rows, Times] = np.zeros(0, np.int32), np.zeros(0, np.int64)
        self._last_ms = np.full(len(plan.sensors), NEVER_MS, np.int64)
        self._deaf_ms = np.full(len(plan.zones), NEVER_MS, np.int64)
        self._zone_ms = self._newest_by_zone()

    def tell(self, sensor: npt.ArrayLike, at_ms: npt.ArrayLike) -> None:
        """These sensors (rows of plan.sensors) were live at these instants; in any order, and as often as they say."""
        self._told = True
        sensors, times_ms = self._open
        self._open = np.append(sensors, np.asarray(sensor, np.int32)), np.append(times_ms, np.asarray(at_ms, np.int64))

    def close(self, until_ms: int, heard: Readings | None = None) -> None:
        """Take in the facts about seconds before *until_ms*, and the readings of the last of these seconds."""
        sensors, times_ms = self._open
        ready = times_ms < until_ms
        if ready.any():
            sensor, tick = sensors[ready], times_ms[ready] // TICK_MS
            self._open = sensors[~ready], times_ms[~ready]
            for second in np.unique(tick).tolist():
                self._hear_of(np.unique(sensor[tick == second]), second * TICK_MS)
        if heard is not None and heard.size:
            present = np.bincount(heard.sensor, minlength=len(self._last_ms)) > 0
            self._hear_of(np.flatnonzero(present), until_ms - TICK_MS)

    def live(self, at_ms: int) -> Mask:
        """(sensors,): which were live at *at_ms*, as far as has been closed."""
        if not self._told:
            return np.ones(len(self._last_ms), np.bool_)
        lives: Mask = (self._last_ms != NEVER_MS) & (at_ms - self._last_ms <= SILENT_MS)
        return lives

    def newest_ms(self) -> Times:
        """(sensors,): the newest sign of life of each, also in seconds still open; NEVER_MS where there was none."""
        sensors, times_ms = self._open
        newest: Times = self._last_ms.copy()
        np.maximum.at(newest, sensors, times_ms)
        return newest

    def was_deaf(self, zone: int, at_ms: int, within_ms: int) -> bool:
        """Whether all sensors of *zone* were silent at *at_ms*, or at some time not longer before it."""
        if not self._told or not self.serves[zone].any():
            return False
        deaf_ms = at_ms if at_ms - self._zone_ms[zone] > SILENT_MS else self._deaf_ms[zone]
        return bool(deaf_ms != NEVER_MS and at_ms - deaf_ms < within_ms)

    def keep(self) -> Kept:
        """In a fixed order of facts: how they came leaves no trace."""
        sensors, times_ms = self._open
        order = np.lexsort((sensors, times_ms))
        return Kept(self._told, sensors[order], times_ms[order], self._last_ms, self._deaf_ms)

    def resume(self, kept: Kept) -> None:
        self._told, sensors, times_ms, self._last_ms, self._deaf_ms = kept
        self._open = sensors, times_ms
        self._zone_ms = self._newest_by_zone()

    def _hear_of(self, sensor: npt.NDArray[np.intp], at_ms: int) -> None:
        self._last_ms[sensor] = np.maximum(self._last_ms[sensor], at_ms)
        newest_ms = self._newest_by_zone()
        back = newest_ms - self._zone_ms > SILENT_MS
        self._deaf_ms[back] = newest_ms[back]
        self._zone_ms = newest_ms

    def _newest_by_zone(self) -> Times:
        """(zones,): the newest sign of life of any sensor that serves the zone."""
        newest: Times = np.where(self.serves, self._last_ms, NEVER_MS).max(axis=1, initial=NEVER_MS)
        return newest


def serves(plan: Plan) -> Mask:
    """(zones, sensors): which sensors would hear a phone in each zone: those in reach of it, and the nearest anyhow."""
    serves = np.zeros((len(plan.zones), len(plan.sensors)), np.bool_)
    places = shapely.points(plan.anchors_m)
    for row, zone in enumerate(plan.zones):
        away_m = np.where(plan.sensor_level == plan.zone_level[row], shapely.distance(zone.polygon, places), np.inf)
        if np.isfinite(away_m).any():
            serves[row] = away_m <= max(REACH_M, away_m.min())
    return serves
