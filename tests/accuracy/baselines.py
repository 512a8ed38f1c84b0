"""What simpler methods make of the same readings: strongest sensor, weighted centroid, nearest fingerprints.

Each answers every sending with one place and no doubt. They are here to be compared with, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engine.plan import Plan
from engine.position import Sightings
from engine.readings import Readings
from engine.survey import Survey

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# The centroid: weights are 10^(dBm / DECAY_DB); readings this old still count, but less and less; the place and each
# level's share of the power are smoothed; another level needs so many times the power.
DECAY_DB, MEMORY_MS, SMOOTHING_MS, LEVEL_HOLD = 13.0, 10_000, 5_000, 2.0
# The fingerprints: a sensor that did not hear counts as one that heard this little.
NEIGHBOURS, UNHEARD_DBM = 5, -95.0


class Sendings(NamedTuple):
    """One row per device and instant, ordered by both; dbm (rows, sensors), NaN where not heard."""

    t_ms: Ints
    device: Ints
    dbm: Floats


class Fingerprints(NamedTuple):
    """Surveyed places, and what every sensor hears there: UNHEARD_DBM for nothing."""

    level: Ints
    xy_m: Floats
    dbm: Floats


def sendings(plan: Plan, heard: Readings) -> Sendings:
    order = np.lexsort((heard.t_ms, heard.device))
    heard = heard.at(order)
    new = (np.diff(heard.device, prepend=-1) != 0) | (np.diff(heard.t_ms, prepend=-1) != 0)
    row = np.cumsum(new) - 1
    dbm = np.full((int(row[-1]) + 1, len(plan.sensors)), np.nan)
    dbm[row, heard.sensor] = heard.rssi_dbm
    return Sendings(heard.t_ms[new], heard.device[new], dbm)


def nearest_sensor(plan: Plan, sent: Sendings) -> Sightings:
    """Where the sensor hangs that heard the device loudest."""
    strongest = np.nanargmax(sent.dbm, axis=1)
    return _seen(plan, sent, plan.sensor_level[strongest], plan.anchors_m[strongest])


def weighted_centroid(plan: Plan, sent: Sendings) -> Sightings:
    """The mean of the sensors' places, weighted by how loud each heard the device; smoothed from sending to sending."""
    amplitude = _amplitude(sent)
    weight = amplitude ** (20 / DECAY_DB)
    place = weight @ plan.anchors_m / weight.sum(axis=1, keepdims=True)
    power = np.stack([(amplitude[:, plan.sensor_level == row] ** 2).sum(axis=1) for row in range(len(plan.levels))], 1)
    share = power / power.sum(axis=1, keepdims=True)
    level = np.zeros(len(share), np.int64)
    for row in range(len(level)):
        if not row or sent.device[row] != sent.device[row - 1]:
            level[row] = share[row].argmax()
            continue
        gain = -np.expm1((sent.t_ms[row - 1] - sent.t_ms[row]) / SMOOTHING_MS)
        share[row] = share[row - 1] + gain * (share[row] - share[row - 1])
        held = share[row].copy()
        held[level[row - 1]] *= LEVEL_HOLD
        level[row] = held.argmax()
        if level[row] == level[row - 1]:
            place[row] = place[row - 1] + gain * (place[row] - place[row - 1])
    return _seen(plan, sent, level, place)


def _amplitude(sent: Sendings) -> Floats:
    """(rows, sensors): how loud each sensor heard the device lately on average, 0 where it did not."""
    weight, total_dbm = np.zeros(sent.dbm.shape), np.zeros(sent.dbm.shape)
    for back in range(len(sent.t_ms)):
        until = len(sent.t_ms) - back
        age_ms = sent.t_ms[back:] - sent.t_ms[:until]
        lately = (sent.device[back:] == sent.device[:until]) & (age_ms < MEMORY_MS)
        if not lately.any():
            break
        heard = ~np.isnan(sent.dbm[:until]) & lately[:, None]
        fresh = np.exp(-np.where(lately, age_ms, 0) / SMOOTHING_MS)[:, None] * heard
        weight[back:] += fresh
        total_dbm[back:] += fresh * np.nan_to_num(sent.dbm[:until])
    mean_dbm = np.divide(total_dbm, weight, out=np.full(weight.shape, -np.inf), where=weight > 0)
    return np.asarray(np.minimum(weight, 1.0) * 10 ** (mean_dbm / 20))


def fingerprints(plan: Plan, survey: Survey) -> Fingerprints:
    """A survey as one row per place."""
    place, of = np.unique(np.column_stack((survey.level, survey.x_m, survey.y_m)), axis=0, return_inverse=True)
    cell = of.ravel() * len(plan.sensors) + survey.sensor
    size = len(place) * len(plan.sensors)
    count = np.bincount(cell, minlength=size)
    total_dbm = np.bincount(cell, survey.rssi_dbm, size)
    dbm = np.where(count > 0, total_dbm / np.maximum(count, 1), UNHEARD_DBM).reshape(len(place), -1)
    return Fingerprints(place[:, 0].astype(np.int64), place[:, 1:], dbm)


def wknn(plan: Plan, sent: Sendings, known: Fingerprints) -> Sightings:
    """The mean of the five places that sound most alike, weighted by likeness; the level by the same vote."""
    heard_dbm = np.nan_to_num(sent.dbm, nan=UNHEARD_DBM)
    apart = (heard_dbm**2).sum(axis=1)[:, None] + (known.dbm**2).sum(axis=1) - 2 * heard_dbm @ known.dbm.T
    rows = np.argpartition(apart, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
    weight = 1 / (np.sqrt(np.maximum(np.take_along_axis(apart, rows, axis=1), 0)) + 1e-3)
    votes = np.stack([(weight * (known.level[rows] == row)).sum(axis=1) for row in range(len(plan.levels))], axis=1)
    place = (weight[..., None] * known.xy_m[rows]).sum(axis=1) / weight.sum(axis=1, keepdims=True)
    return _seen(plan, sent, votes.argmax(axis=1), place)


def _seen(plan: Plan, sent: Sendings, level: Ints, xy_m: Floats) -> Sightings:
    rows = len(level)
    return Sightings(
        t_ms=sent.t_ms, member=sent.device, level=level.astype(np.int16),
        x_m=xy_m[:, 0].astype(np.float32), y_m=xy_m[:, 1].astype(np.float32), radius_m=np.zeros(rows, np.float32),
        zone=plan.zones_at(level, xy_m).astype(np.int16), p=np.ones(rows, np.float32),
    )  # fmt: skip


WITHOUT_SURVEY: dict[str, Callable[[Plan, Sendings], Sightings]] = {
    "weighted_centroid": weighted_centroid,
    "nearest_sensor": nearest_sensor,
}
