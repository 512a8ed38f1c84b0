"""How loud each sensor hears a phone from anywhere on the floor: a radio model.

The signal falls with the logarithm of distance. Between levels it loses a fixed amount, or comes a longer way round
(through an atrium, past the escalators), which in malls with voids matters more. The model's numbers are the usual ones
until they are fitted from what sensors hear of each other (`fit`), or from the traffic itself (engine.calibration). A
survey bends the model where it is wrong (engine.survey).
"""

from __future__ import annotations

from itertools import product
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from engine.cells import Cells, Floats
from engine.plan import Plan

# A receiver at its limit. Weaker frames are lost; stronger ones are, too, now and then: collisions, another channel.
FAINTEST_DBM, CAUGHT = -88.0, 0.85
STEEPNESS = 1.702  # makes the logistic function follow the normal distribution's within 1 %
# Sensors hang so much higher than phones are carried.
HEIGHT_M = 2.0
# A phone is that much fainter than a sensor: it sends with 14 dBm or so where an access point sends with 20, and a body
# beside it takes 3 more on average. Phones that are louder show it (engine.phones); what is learnt of a phone taken for
# too loud is learnt from the wrong places.
PHONE_FAINTER_DB = 9.0
# Between sensors many frames are averaged and nobody stands: single frames of carried phones lie further apart by this.
PHONE_SPREAD_DB = 4.0
# A signal that many spreads off has met a wall, and says no more for being further off. Sensors hear as differently as
# if each of them had so many links on which it heard as usual.
BLOCKED, ALIKE = 3.0, 6.0
# Frames of one link differ by this.
JITTER_DB = 3.0
# The model knows no walls: what keeps one sensor from hearing keeps its neighbours from it, too, time and again.
# So without a survey silence is worth this much of what the model would say. 1, 0.6 and 0.3 were tried.
SILENCE = 0.5


class Propagation(NamedTuple):
    """The model's numbers. The signal is at_1_m_dbm - 10 exponent log10(metres) - floor_db a level, with detour_m of
    further way a level; sensor_db (sensors,) is how much louder than that each sensor hears. spread_db is how far
    single signals lie around it: shadows, bodies, jitter."""

    at_1_m_dbm: float = -40.0
    exponent: float = 3.0
    floor_db: float = 0.0
    detour_m: float = 25.0
    spread_db: float = 8.0
    sensor_db: npt.NDArray[np.float64] | None = None

    def mean_dbm(self, away_m: npt.NDArray[np.floating], levels: npt.NDArray[np.integer]) -> npt.NDArray[np.floating]:
        """(sensors, places): the signal over so many metres along the floor and so many levels."""
        path_m = np.sqrt(away_m**2 + HEIGHT_M**2) + self.detour_m * levels
        louder_db = 0.0 if self.sensor_db is None else self.sensor_db[:, None]
        mean_dbm = self.at_1_m_dbm - 10 * self.exponent * np.log10(path_m) - self.floor_db * levels + louder_db
        return np.asarray(mean_dbm)


USUAL = Propagation()


class Links(Protocol):
    """What sensors hear of each other, one row a frame: rows of plan.sensors, and how loud."""

    @property
    def transmitter(self) -> npt.NDArray[np.integer]: ...
    @property
    def receiver(self) -> npt.NDArray[np.integer]: ...
    @property
    def rssi_dbm(self) -> npt.NDArray[np.floating]: ...


class Radio(NamedTuple):
    """What each sensor hears from each cell, (sensors, cells).

    mean_dbm, spread_db  the signal, if it is heard
    heard_log, silent_log  logarithms: of being heard (with what the signal's density has in common), and of not
    silence  how much of what silence says is believed
    """

    cells: Cells
    mean_dbm: Floats
    spread_db: Floats
    heard_log: Floats
    silent_log: Floats
    silence: float

    @staticmethod
    def of(plan: Plan, propagation: Propagation = USUAL) -> Radio:
        """The model without a survey. A signal that would be too faint is not heard, so hearing one costs nothing."""
        cells = Cells(plan)
        away_m = np.hypot(plan.anchors_m[:, :1] - cells.x_m, plan.anchors_m[:, 1:] - cells.y_m)
        levels = np.abs(plan.sensor_level[:, None] - cells.level)
        mean_dbm = propagation.mean_dbm(away_m, levels).astype(np.float32)
        spread_db = np.full_like(mean_dbm, propagation.spread_db)
        silent_log = np.log1p(-chance(mean_dbm, spread_db))
        return Radio(cells, mean_dbm, spread_db, -np.log(spread_db), silent_log, SILENCE)

    def silent_at(self, louder_db: float) -> Floats:
        """(sensors, cells): silent_log of a phone that is so much louder than usual, as far as it is believed."""
        hears = np.clip(-np.expm1(self.silent_log) / CAUGHT, 1e-4, 1 - 1e-4)
        odds = hears / (1 - hears) * np.exp(STEEPNESS * louder_db / self.spread_db)
        return np.asarray(self.silence * np.log1p(-CAUGHT * odds / (1 + odds)), np.float32)


def chance(mean_dbm: npt.NDArray[np.floating], spread_db: npt.NDArray[np.floating] | float) -> Floats:
    """How probable it is that a frame is heard. The normal distribution function by its logistic approximation."""
    above = (mean_dbm - FAINTEST_DBM) / spread_db
    return (CAUGHT / (1 + np.exp(-STEEPNESS * above))).astype(np.float32)


def fit(plan: Plan, links: Links) -> Propagation:
    """The numbers under which what the sensors hear of each other, and do not hear, is most probable.

    A sensor that did not hear another counts as "fainter than it can hear", so this is a censored regression (Tobin,
    "Estimation of Relationships for Limited Dependent Variables", 1958): over the heard signals alone, which are the
    lucky ones, it would come out with half the loss. Each of its numbers is sought in Newton's steps, or among a few.
    """
    sensors = len(plan.sensors)
    pair = np.asarray(links.transmitter, np.int64) * sensors + links.receiver
    times = np.bincount(pair, minlength=sensors**2).reshape(sensors, sensors)
    total = np.bincount(pair, links.rssi_dbm, sensors**2).reshape(sensors, sensors)
    heard: npt.NDArray[np.bool_] = times > 0
    if np.count_nonzero(heard) < 3 * sensors:
        return USUAL  # too little to tell
    signal_dbm = _unlucky(total / np.maximum(times, 1))
    away_m = np.hypot(*(plan.anchors_m[:, None] - plan.anchors_m).transpose(2, 0, 1))
    levels = np.abs(plan.sensor_level[:, None] - plan.sensor_level)
    on = np.flatnonzero(heard.any(axis=1))  # transmitters that were heard at all
    silent = np.zeros_like(heard)
    silent[on] = ~heard[on]
    silent[:, ~heard.any(axis=0)] = False  # whoever hears nobody is deaf, and no proof of how signals fade
    np.fill_diagonal(silent, False)

    def misfit(tried: Propagation) -> tuple[float, Propagation]:
        mean_dbm = tried.mean_dbm(away_m, levels)
        at_1_m_dbm, spread_db = tried.at_1_m_dbm + float(np.median((signal_dbm - mean_dbm)[heard])), 6.0
        for _ in range(8):
            centred = tried._replace(at_1_m_dbm=at_1_m_dbm)
            mean_dbm = centred.mean_dbm(away_m, levels)
            off_db = (signal_dbm - mean_dbm)[heard]
            near = np.clip(off_db / spread_db, -BLOCKED, BLOCKED)
            pull, bend = (each[silent] for each in _pull(mean_dbm, spread_db))
            at_1_m_dbm += float((near.sum() - pull.sum()) * spread_db / (len(near) + bend.sum()))
            counting = len(near) - float((pull * (mean_dbm[silent] - FAINTEST_DBM)).sum()) / spread_db
            spread_db = float(np.clip(spread_db * np.sqrt((near**2).sum() / max(counting, len(near) / 4)), 3.0, 10.0))
        cost = float((np.minimum(np.abs(off_db) / spread_db, BLOCKED) ** 2 / 2 + np.log(spread_db)).sum())
        # Many frames were sent, so a pair that never heard is fainter than the limit for sure, but for lasting shadows.
        cost += float(np.logaddexp(0, STEEPNESS * (mean_dbm[silent] - FAINTEST_DBM) / spread_db).sum())
        return cost, centred._replace(at_1_m_dbm=at_1_m_dbm, spread_db=spread_db)

    tries = product(np.arange(2.0, 4.6, 0.25).tolist(), (0.0, 5.0, 10.0, 15.0, 20.0), (0.0, 10.0, 20.0, 30.0))
    _, best = min(
        (misfit(Propagation(exponent=n, floor_db=floor, detour_m=detour)) for n, floor, detour in tries),
        key=lambda found: found[0],
    )
    sensor_db = _sensors_db(best.mean_dbm(away_m, levels), best.spread_db, signal_dbm, heard, silent)
    spread_db = float(np.hypot(best.spread_db, PHONE_SPREAD_DB))
    return best._replace(at_1_m_dbm=best.at_1_m_dbm - PHONE_FAINTER_DB, spread_db=spread_db, sensor_db=sensor_db)


def _sensors_db(mean_dbm: Any, spread_db: float, signal_dbm: Any, heard: Any, silent: Any) -> npt.NDArray[np.float64]:
    """How much louder than the model says each receiver hears, most probably. All are (transmitters, receivers)."""
    sensor_db = np.zeros(len(mean_dbm))
    for _ in range(5):
        pull, bend = _pull(mean_dbm + sensor_db, spread_db)
        off = np.clip((signal_dbm - mean_dbm - sensor_db) / spread_db, -BLOCKED, BLOCKED)
        step_db = np.where(heard, off, -pull * silent).sum(axis=0) * spread_db - sensor_db * ALIKE
        sensor_db += step_db / ((heard + bend * silent).sum(axis=0) + ALIKE)
    return sensor_db


def _unlucky(average_dbm: Any) -> Any:
    """What a link's frames would be on average, were those of them heard that were too faint."""
    scale_db = JITTER_DB / STEEPNESS
    # Of a logistic distribution so many scales above the limit, the mean of what is above the limit, in scales.
    above = np.linspace(-2.0, 12.0, 141)
    lucky = np.logaddexp(0, above) * (1 + np.exp(-above))
    far = (average_dbm - FAINTEST_DBM) / scale_db
    return np.where(far < lucky[-1], FAINTEST_DBM + scale_db * np.interp(far, lucky, above), average_dbm)


def _pull(mean_dbm: Any, spread_db: float) -> tuple[Any, Any]:
    """How far the silence of those that would hear so much pulls the mean down, in spreads; and how that bends."""
    hears = chance(mean_dbm, spread_db) / CAUGHT
    return STEEPNESS * hears, STEEPNESS**2 * hears * (1 - hears)
