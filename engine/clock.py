"""Time as a value that is handed in: the system's, or the same one running faster from another start."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

Clock = Callable[[], int]  # ms since the Unix epoch, UTC


def system_clock() -> int:
    return time.time_ns() // 1_000_000


class Pace(NamedTuple):
    """A clock that read started_ms when the system clock read anchor_ms, and runs speed times as fast.

    It has no state, so every process (and every restart) given the same three numbers agrees.
    """

    anchor_ms: int
    started_ms: int
    speed: float

    def at(self, system_ms: int) -> int:
        return self.started_ms + int((system_ms - self.anchor_ms) * self.speed)

    def system_at(self, paced_ms: int) -> int:
        """When the system clock will read, or has read, as this one reads *paced_ms*."""
        return self.anchor_ms + int((paced_ms - self.started_ms) / self.speed)

    def now(self) -> int:
        return self.at(system_clock())


REAL = Pace(0, 0, 1.0)
