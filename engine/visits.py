"""How a visit begins, falls silent and ends, as a table of stages and the silence that leads to the next."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import numpy.typing as npt

from engine.tuning import Tuning

Times = npt.NDArray[np.int64]
Visits = npt.NDArray[np.void]


class Stage(IntEnum):
    """A newcomer becomes open with a second window. Each further stage is reached by silence; any evidence reopens."""

    NEWCOMER = 0  # heard, but no visit yet; forgotten without a word
    OPEN = 1
    SILENT = 2  # told: may still be here, asleep
    INACTIVE = 3  # told: no longer in any zone


# One row per member, beside its stay.
#   first_ms  first evidence of the visit     last_ms  newest evidence     stage  see Stage
VISIT = np.dtype([("first_ms", np.int64), ("last_ms", np.int64), ("stage", np.uint8)])


def patience(tuning: Tuning) -> Times:
    """By stage: the silence after which it gives way to the next."""
    return np.array([tuning.newcomer_ms, tuning.silent_ms, tuning.inactive_ms, tuning.close_ms], np.int64)


def due_ms(visits: Visits, patience_ms: Times) -> Times:
    """When each visit's stage gives way, if nothing is heard until then."""
    due: Times = visits["last_ms"] + patience_ms[visits["stage"]]
    return due
