"""How much louder each sensor hears than the radio model says, learnt from ordinary traffic: nobody's place is known.

Expectation and maximisation in turn: members are placed by the model as it is, then each sensor's own loudness is
taken such that what it heard of members at these places, and did not hear, is most probable. It is what a mall whose
sensors cannot hear each other has in place of `radio.fit`. After: Dempster, Laird, Rubin, "Maximum Likelihood from
Incomplete Data via the EM Algorithm", JRSS B 39 (1977).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engine.cells import Ints
from engine.plan import NOWHERE, Plan
from engine.position import Locator, unplaced
from engine.radio import USUAL, Propagation, Radio, chance
from engine.readings import Readings
from engine.tuning import Tuning

# The second round corrects what the first placed wrongly; a third changes little.
ROUNDS = 2
# Sensors of one make differ by this much, and hang behind signs and in corners; a sensor heard seldom stays near zero.
SENSOR_DB, STEP_DB, MOST_DB = 6.0, 1.0, 24.0
# Signals of one place repeat the same shadow: so much is each sighting worth.
WORTH = 0.5
# A single signal further off than this many spreads is an accident, and no more than that is learnt from it.
FURTHEST = 4.0
# So many readings tell enough; of more, every second, third, ... member is taken.
ENOUGH = 8_000


class Sighted(NamedTuple):
    """Where members were placed at each instant, and what each sensor heard of them then, one row an instant."""

    level: Ints
    x_m: npt.NDArray[np.floating]
    y_m: npt.NDArray[np.floating]
    sigma_m: npt.NDArray[np.floating]
    signal_dbm: npt.NDArray[np.floating]  # (instants, sensors), NaN where nothing was heard


def calibrated(plan: Plan, heard: Readings, tuning: Tuning, start: Propagation = USUAL) -> Propagation:
    """*start* with the loudness of each sensor of *plan*, from what was heard of members of whom nothing is known."""
    if not heard.size:
        return start
    _, member = np.unique(heard.device, return_inverse=True)
    heard = heard.at(member % max(1, heard.size // ENOUGH) == 0)
    found = start._replace(sensor_db=np.zeros(len(plan.sensors)))
    for _ in range(ROUNDS):
        found = found._replace(sensor_db=_loudness(plan, _placed(plan, heard, tuning, found), found))
    return found


def _placed(plan: Plan, heard: Readings, tuning: Tuning, propagation: Propagation) -> Sighted:
    """All members side by side: first everyone's first instant, then everyone's second, and so on."""
    instant, of = np.unique(np.column_stack((heard.device, heard.t_ms)), axis=0, return_inverse=True)
    of, device = of.ravel(), instant[:, 0]
    first = np.flatnonzero(np.diff(device, prepend=-1))
    member = np.cumsum(np.diff(device, prepend=device[:1]) != 0)
    turn = np.arange(len(device)) - first[member]
    radio = Radio.of(plan, propagation)
    locator = Locator(plan, radio, tuning)
    tracks, beliefs = unplaced(len(first)), np.zeros((len(first), len(radio.cells)), np.uint8)
    sighted = unplaced(len(device))
    live = np.ones(len(plan.sensors), np.bool_)
    by_turn = np.argsort(turn[of], kind="stable")
    cuts = np.searchsorted(turn[of][by_turn], np.arange(int(turn.max()) + 2))
    for now in range(int(turn.max()) + 1):
        rows = by_turn[cuts[now] : cuts[now + 1]]
        at = np.flatnonzero(turn == now)
        who = member[at]
        track = tracks[who]
        nowhere = np.full(len(who), NOWHERE, np.int16)
        which = np.searchsorted(at, of[rows])
        locator.locate(track, beliefs, who, instant[at, 1], heard.at(rows), which, live, nowhere)
        tracks[who] = sighted[at] = track
    signal_dbm = np.full((len(device), len(plan.sensors)), np.nan, np.float32)
    np.fmax.at(signal_dbm, (of, heard.sensor), heard.rssi_dbm)
    return Sighted(sighted["level"].astype(np.int64), sighted["x_m"], sighted["y_m"], sighted["sigma_m"], signal_dbm)


def _loudness(plan: Plan, seen: Sighted, propagation: Propagation) -> npt.NDArray[np.float64]:
    """(sensors,): the most probable loudness of each, by trying them all."""
    away_m = np.hypot(plan.anchors_m[:, :1] - seen.x_m, plan.anchors_m[:, 1:] - seen.y_m)
    away_m = np.hypot(away_m, seen.sigma_m)  # of somebody whose place is unsure, no sensor is known to be near
    levels = np.abs(plan.sensor_level[:, None] - seen.level)
    expected_dbm = propagation._replace(sensor_db=None).mean_dbm(away_m, levels)
    signal_dbm, spread_db = seen.signal_dbm.T, propagation.spread_db
    was_heard = ~np.isnan(signal_dbm)
    tried = np.arange(-MOST_DB, MOST_DB + STEP_DB, STEP_DB)
    cost = np.empty((len(tried), len(plan.sensors)))
    for row, louder_db in enumerate(tried.tolist()):
        off = np.minimum(np.abs(signal_dbm - expected_dbm - louder_db) / spread_db, FURTHEST)
        silence = -np.log1p(-chance(expected_dbm + louder_db, spread_db))
        cost[row] = WORTH * np.where(was_heard, off**2 / 2, silence).sum(axis=1) + (louder_db / SENSOR_DB) ** 2 / 2
    return np.asarray(tried[cost.argmin(axis=0)])
