"""What sensors hear of each other, gathered in event time until the radio model can be fitted to it.

Access points do not move, and nobody has to walk about with a phone: how their beacons fade from one to the next tells
how signals fade in this mall. The model is fitted as soon as enough has been heard, and again each night, when the mall
is empty of people who shadow and it may have been refitted. Signals are summed as whole numbers, and take effect with
the second they are about, so the order in which sensors told leaves no trace, and a replay fits the same.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engine.plan import Plan
from engine.radio import Propagation, fit

# Ten beats of every sensor. Shadows do not average out with more of them, so waiting longer would gain little.
FIRST_MS = 600_000
DAY_MS, HOUR_MS = 86_400_000, 3_600_000
NIGHT_HOUR = 4  # by the sun
NEVER_MS = -1

Ints = npt.NDArray[np.int64]


class Heard(NamedTuple):
    """Columns: a sensor heard another at an instant so loud. receiver, transmitter  rows of plan.sensors"""

    at_ms: Ints
    receiver: Ints
    transmitter: Ints
    rssi_dbm: Ints


class Pairs(NamedTuple):
    """One row for each two sensors of which one heard the other: how often, and the signals' sum."""

    receiver: Ints
    transmitter: Ints
    times: Ints
    total_dbm: Ints

    @property
    def rssi_dbm(self) -> npt.NDArray[np.float64]:
        return np.asarray(self.total_dbm / self.times)


class Kept(NamedTuple):
    """All that has been gathered.

    waiting  what is about seconds not closed yet    due_ms     when to fit next, NEVER_MS before anything was heard
    fitted   by the last fit, None before it         fitted_ms  when that was
    """

    waiting: Heard
    pairs: Pairs
    due_ms: int
    fitted: Propagation | None
    fitted_ms: int


class Links:
    """Of one plan."""

    def __init__(self, plan: Plan) -> None:
        self._plan, many = plan, len(plan.sensors)
        self._waiting = [heard()]
        self._times, self._total_dbm = np.zeros((many, many), np.int64), np.zeros((many, many), np.int64)
        self._due_ms = self.fitted_ms = NEVER_MS
        self.fitted: Propagation | None = None
        # Of this place on the Earth, in ms after midnight UTC.
        self._night_ms = int((NIGHT_HOUR - plan.anchor.lon / 15) * HOUR_MS) % DAY_MS

    def tell(self, told: Heard) -> None:
        """In any order. What a sensor hears of itself says nothing."""
        others = told.receiver != told.transmitter
        self._waiting.append(Heard(*(column[others] for column in told)))

    def close(self, until_ms: int) -> Propagation | None:
        """Take in what is about seconds before *until_ms*. Returns the model where it was fitted anew by then."""
        found = None
        waiting = self._gathered()
        if self._due_ms == NEVER_MS and len(waiting.at_ms):
            self._due_ms = int(waiting.at_ms.min()) + FIRST_MS
        while self._due_ms != NEVER_MS and self._due_ms <= until_ms:
            self._take_in(self._due_ms)
            found = self._fit(self._due_ms) or found
        self._take_in(until_ms)
        return found

    def keep(self) -> Kept:
        waiting = self._gathered()
        receiver, transmitter = np.nonzero(self._times)
        pairs = Pairs(receiver, transmitter, *(of[receiver, transmitter] for of in (self._times, self._total_dbm)))
        order = np.lexsort(tuple(reversed(waiting)))
        return Kept(Heard(*(c[order] for c in waiting)), pairs, self._due_ms, self.fitted, self.fitted_ms)

    def resume(self, kept: Kept) -> None:
        self._waiting, pairs = [kept.waiting], kept.pairs
        self._times[:], self._total_dbm[:] = 0, 0
        self._times[pairs.receiver, pairs.transmitter] = pairs.times
        self._total_dbm[pairs.receiver, pairs.transmitter] = pairs.total_dbm
        self._due_ms, self.fitted, self.fitted_ms = kept.due_ms, kept.fitted, kept.fitted_ms

    def _gathered(self) -> Heard:
        if len(self._waiting) > 1:
            self._waiting = [Heard(*(np.concatenate(column) for column in zip(*self._waiting, strict=True)))]
        return self._waiting[0]

    def _take_in(self, until_ms: int) -> None:
        waiting = self._gathered()
        ready = waiting.at_ms < until_ms
        if ready.any():
            pair = waiting.receiver[ready], waiting.transmitter[ready]
            np.add.at(self._times, pair, 1)
            np.add.at(self._total_dbm, pair, waiting.rssi_dbm[ready])
            self._waiting = [Heard(*(column[~ready] for column in waiting))]

    def _fit(self, now_ms: int) -> Propagation | None:
        """By what was heard since the last night's fit; where that is too little, the model stays as it is."""
        pairs = self.keep().pairs
        enough = len(pairs.times) >= 3 * len(self._plan.sensors)
        if enough:
            if self.fitted is not None:  # of the first fit of a day, the night's makes use again
                self._times[:], self._total_dbm[:] = 0, 0
            self.fitted, self.fitted_ms = fit(self._plan, pairs), now_ms
        tonight_ms = (now_ms - self._night_ms) // DAY_MS * DAY_MS + self._night_ms + DAY_MS
        self._due_ms = tonight_ms if self.fitted is not None else now_ms + FIRST_MS
        return self.fitted if enough else None


def heard(*columns: npt.ArrayLike) -> Heard:
    """From anything array-like; nothing where nothing is given."""
    return Heard(*(np.asarray(column, np.int64) for column in columns or ((), (), (), ())))


def moved(kept: Kept, row: Ints, sensors: int) -> Kept:
    """The same for a plan whose sensors stand in other rows: row  (old sensors,) the new row of each, -1 for gone."""
    waiting, pairs, fitted = kept.waiting, kept.pairs, kept.fitted
    waiting = waiting._replace(receiver=row[waiting.receiver], transmitter=row[waiting.transmitter])
    pairs = pairs._replace(receiver=row[pairs.receiver], transmitter=row[pairs.transmitter])
    if fitted is not None and fitted.sensor_db is not None:
        sensor_db = np.zeros(sensors)
        old = np.flatnonzero(row[: len(fitted.sensor_db)] >= 0)
        sensor_db[row[old]] = fitted.sensor_db[old]
        fitted = fitted._replace(sensor_db=sensor_db)
    stay, last = ((each.receiver >= 0) & (each.transmitter >= 0) for each in (waiting, pairs))
    return kept._replace(
        waiting=Heard(*(column[stay] for column in waiting)),
        pairs=Pairs(*(column[last] for column in pairs)),
        fitted=fitted,
    )
