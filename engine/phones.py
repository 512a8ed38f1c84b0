"""How much louder than usual each phone is, learnt from what is heard of it where it seems to be.

A quiet phone is heard by few sensors. Taken for a usual one it would seem to stand where few sensors are: in a corner,
a little further out with each sighting. So its loudness counts for the silence of sensors as for what they hear.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engine.cells import Floats, Ints
from engine.radio import Radio
from engine.weighing import Heard

# Phones differ by 10 dB and more, with their make, their case and the pocket they are in.
LOUDNESS_DB = np.arange(-12.0, 12.1, 4.0)
# Signals of one place repeat the same shadow, so each sighting is worth this much of what the model would say; and
# phones change hands and pockets: what was learnt thirty sightings ago is worth a third.
WORTH, KEPT = 0.3, 0.97
# However much was learnt, bodies and pockets make this difference from sighting to sighting.
LEAST_DB = 1.5

Odds = npt.NDArray[np.float32]
Rows = npt.NDArray[np.intp]


class Loudness(NamedTuple):
    """Columns: mean and standard deviation in dB above the usual, and the row of LOUDNESS_DB that comes nearest."""

    mean_db: Floats
    spread_db: Floats
    nearest: Rows


class Phones:
    """Loudness by one radio model. *odds* are (n, loudnesses): for each phone the logarithm of how probable each of
    LOUDNESS_DB is by what was heard of it, up to a constant; zeros where nothing was."""

    def __init__(self, radio: Radio, phone_db: float) -> None:
        self._radio = radio
        self._unknown = (-0.5 * (LOUDNESS_DB / max(phone_db, 1e-3)) ** 2).astype(np.float32)
        self.silent_log = np.stack([radio.silent_at(db) for db in LOUDNESS_DB.tolist()])  # each (sensors, cells)
        self._silent_log_at = np.ascontiguousarray(np.moveaxis(self.silent_log, 0, -1))  # one place at a time

    def loudness(self, odds: Odds) -> Loudness:
        share = odds + self._unknown
        share = np.exp(share - share.max(axis=1, keepdims=True))
        share /= share.sum(axis=1, keepdims=True)
        mean_db = share @ LOUDNESS_DB
        spread_db = np.sqrt(np.maximum(share @ LOUDNESS_DB**2 - mean_db**2, LEAST_DB**2))
        nearest = np.abs(mean_db[:, None] - LOUDNESS_DB).argmin(axis=1)
        return Loudness(mean_db.astype(np.float32), spread_db.astype(np.float32), nearest)

    def learn(self, odds: Odds, cell: Ints, heard: Heard, silence: Floats) -> Odds:
        """The odds after a sighting in *cell* (n,).

        heard  the readings, and how much of them is new    silence  (loudnesses, cells): were no live sensor to hear
        """
        at = heard.sensor, np.repeat(cell, np.diff(heard.first))
        above_db = heard.signal_dbm - self._radio.mean_dbm[at]
        off = (above_db[:, None] - LOUDNESS_DB.astype(np.float32)) / self._radio.spread_db[at][:, None]
        worth = -0.5 * off**2 - self._silent_log_at[at]
        like = silence[:, cell].T + np.add.reduceat(worth, heard.first[:-1])
        like -= like.max(axis=1, keepdims=True)
        return (KEPT * odds + WORTH * heard.news[:, None] * like).astype(np.float32)
