"""Where a device stands: level and place by weighted centroid of the sensors that heard it lately, smoothed.

The louder a sensor heard the device, the more its place counts. The level is the one whose sensors took in most
power. It needs no radio model and no survey; what is left of doubt is in the radius.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engine.plan import Plan
from engine.readings import Readings
from engine.tuning import Tuning

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Tracks = npt.NDArray[np.void]

UNPLACED = -1  # the level of a device that was never placed
# Weights are 10^(dBm / DECAY_DB). 20 would be the amplitude, and leaves far sensors too much say: indoors the signal
# falls faster than in the open. 20, 15, 12 and 10 were tried on recorded and simulated walks: 12 to 15 place best.
DECAY_DB = 13.0
# How unsure a place is, in distances between neighbouring sensors: of many sensors together, for walls and bodies bend
# them all alike, and of one sensor alone, which says no more than "hereabouts".
LEAST, LONE = 0.25, 0.6
# Of a two-dimensional normal distribution, 90 % lies within so many standard deviations.
RADIUS_90 = 2.146


def track_type(levels: int) -> np.dtype[np.void]:
    """What is remembered of a device's place between sightings.

    at_ms  instant of the last sighting         level        row of plan.levels, UNPLACED before the first
    x_m, y_m  the smoothed place                sigma_m      its standard deviation along each axis
    shares (levels,) the smoothed share of received power that each level's sensors took in
    """
    return np.dtype([
        ("at_ms", np.int64), ("level", np.int16), ("x_m", np.float64), ("y_m", np.float64), ("sigma_m", np.float64),
        ("shares", np.float64, (levels,)),
    ])  # fmt: skip


def unplaced(rows: int, levels: int) -> Tracks:
    tracks = np.zeros(rows, track_type(levels))
    tracks["level"] = UNPLACED
    return tracks


def _spacing_m(plan: Plan) -> Floats:
    """(sensors,): how far the next sensor on the same level is; for a level's only one, as far as the level is wide."""
    apart_m = np.hypot(*(plan.anchors_m[:, None] - plan.anchors_m).transpose(2, 0, 1))
    apart_m[(plan.sensor_level[:, None] != plan.sensor_level) | np.eye(len(apart_m), dtype=np.bool_)] = np.inf
    widths_m = [max(np.ptp(np.reshape(level.outline.bounds, (2, 2)), axis=0)) for level in plan.levels]
    nearest_m: Floats = np.minimum(apart_m.min(axis=1, initial=np.inf), np.array(widths_m)[plan.sensor_level])
    return nearest_m


class Locator:
    """Places devices on one plan."""

    def __init__(self, plan: Plan, tuning: Tuning) -> None:
        self._anchors_m, self._level = plan.anchors_m, plan.sensor_level
        self._spacing_m = _spacing_m(plan)
        self._on_level = [np.flatnonzero(plan.sensor_level == level) for level in range(len(plan.levels))]
        self._tuning = tuning

    def locate(self, tracks: Tracks, at_ms: Ints, recent: Readings, row: npt.NDArray[np.intp]) -> None:
        """Advance *tracks* (n,) to *at_ms* (n,), in place, by what was heard of their devices lately.

        recent  readings of these devices not older than tuning.memory_ms, at least one of each
        row     (readings,) which of the tracks each is about
        """
        amplitude = self._amplitudes(len(tracks), at_ms, recent, row)
        fresh = tracks["level"] == UNPLACED
        gain = -np.expm1((tracks["at_ms"] - at_ms) / max(self._tuning.smoothing_ms, 1))
        gain[fresh] = 1.0

        shares = self._shares(amplitude)
        tracks["shares"] += gain[:, None] * (shares - tracks["shares"])
        level = self._levels(tracks)
        gain[level != tracks["level"]] = 1.0  # nothing is learnt about a place from one on another level

        x_m, y_m, sigma_m = self._centroids(amplitude)
        tracks["x_m"] += gain * (x_m - tracks["x_m"])
        tracks["y_m"] += gain * (y_m - tracks["y_m"])
        tracks["sigma_m"] += gain * (sigma_m - tracks["sigma_m"])
        tracks["level"], tracks["at_ms"] = level, at_ms

    def _amplitudes(self, devices: int, at_ms: Ints, recent: Readings, row: npt.NDArray[np.intp]) -> Floats:
        """(devices, sensors): how loud each sensor heard each device on average, 0 where it did not.

        Newer readings count more, and a sensor that only heard the device a while ago counts less.
        """
        sensors = len(self._level)
        cell = row * sensors + recent.sensor
        freshness = np.exp((recent.t_ms - at_ms[row]) / max(self._tuning.smoothing_ms, 1))
        weight = np.bincount(cell, freshness, devices * sensors)
        level_dbm = np.bincount(cell, freshness * recent.rssi_dbm, devices * sensors)
        heard = weight > 0
        amplitude = np.zeros(devices * sensors)
        amplitude[heard] = np.minimum(weight[heard], 1.0) * 10 ** (level_dbm[heard] / weight[heard] / 20)
        return amplitude.reshape(devices, sensors)

    def _shares(self, amplitude: Floats) -> Floats:
        """(devices, levels): the share of the received power that each level's sensors took in."""
        power = amplitude**2
        per_level: Floats = np.stack([power[:, sensors].sum(axis=1) for sensors in self._on_level], axis=1)
        per_level /= per_level.sum(axis=1, keepdims=True)
        return per_level

    def _levels(self, tracks: Tracks) -> npt.NDArray[np.int16]:
        """The level with most power; the present one keeps its place unless clearly outdone."""
        shares = tracks["shares"].copy()
        placed = np.flatnonzero(tracks["level"] != UNPLACED)
        shares[placed, tracks["level"][placed]] *= self._tuning.level_hold
        most: npt.NDArray[np.int16] = shares.argmax(axis=1).astype(np.int16)
        return most

    def _centroids(self, amplitude: Floats) -> tuple[Floats, Floats, Floats]:
        """x_m, y_m and sigma_m of each device.

        The sensors of other levels help: they hang in the same frame, and the floor between has dimmed them already.
        """
        weight = amplitude ** (20 / DECAY_DB)
        lone = np.count_nonzero(weight, axis=1) == 1
        weight /= weight.sum(axis=1, keepdims=True)
        x_m, y_m = self._anchors_m.T
        mean_x_m, mean_y_m = (weight * x_m).sum(axis=1), (weight * y_m).sum(axis=1)
        away_m2 = (x_m - mean_x_m[:, None]) ** 2 + (y_m - mean_y_m[:, None]) ** 2
        # The error of a weighted mean along one axis, on top of what more sensors would not cure.
        spread_m2 = (weight**2 * away_m2).sum(axis=1) / 2
        spacing_m = (weight * self._spacing_m).sum(axis=1)
        sigma_m = np.where(lone, LONE * spacing_m, np.sqrt((LEAST * spacing_m) ** 2 + spread_m2))
        return mean_x_m, mean_y_m, sigma_m


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
