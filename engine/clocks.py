"""Which sensors' clocks are wrong, told from when their messages arrive.

A message arrives a little after the instant it is about. Where a backlog is sent again, that little shrinks as the
backlog does; where a clock is wrong, it stays the same. So a clock counts as wrong once a sensor's messages have been
equally early or late for STEADY_MS, by more than the others' are: if all are off alike, it is our own clock, or the
way here, and nobody is put right by it.

A wrong clock is put right by what it is off, so that its sensor still counts and its time moves nobody else's. It is
believed again with the first message that arrives when it should.
"""

from __future__ import annotations

from statistics import median_low

import msgspec

# What a network and a second of gathering may take, with much to spare.
TOLERANCE_MS = 10_000
# Two heartbeats apart, so that what a broker held back and sends in one burst does not look steady.
STEADY_MS = 20_000
STEADY_MESSAGES = 3
# With fewer sensors than this nobody can say who of them is right, and our own clock decides.
QUORUM = 3


class _Run(msgspec.Struct):
    """Messages of one sensor that were all late by the same, give or take the tolerance (negative: early)."""

    least_late_ms: int
    most_late_ms: int
    from_ms: int
    messages: int = 1
    until_ms: int = 0

    def takes(self, late_ms: int, tolerance_ms: int) -> bool:
        return self.most_late_ms - tolerance_ms <= late_ms <= self.least_late_ms + tolerance_ms

    def lasted(self, steady_ms: int) -> bool:
        return self.messages >= STEADY_MESSAGES and self.until_ms - self.from_ms >= steady_ms


class Kept(msgspec.Struct):
    """What must not be forgotten over a restart, or a wrong clock would be believed again for a while."""

    runs: dict[str, _Run]
    off_ms: dict[str, int]
    usual_ms: int


class Clocks:
    """The clocks of the sensors that have been heard of. Our own time is handed in."""

    def __init__(self, tolerance_ms: int = TOLERANCE_MS, steady_ms: int = STEADY_MS) -> None:
        self._tolerance_ms, self._steady_ms = tolerance_ms, steady_ms
        self._runs: dict[str, _Run] = {}
        self._off_ms: dict[str, int] = {}
        self._usual_ms = 0  # how late most sensors' messages are, where that is beyond the tolerance

    @property
    def wrong(self) -> dict[str, int]:
        """The sensors whose clocks are wrong: what is to be added to their times, in ms; negative where it is ahead."""
        return dict(self._off_ms)

    def right(self, sensor: str, at_ms: int) -> int:
        """What the time is when *sensor* says that it is *at_ms*."""
        return at_ms + self._off_ms.get(sensor, 0)

    def note(self, sensor: str, at_ms: int, now_ms: int) -> None:
        """A message of *sensor* about *at_ms*, by its own clock, arrived at *now_ms*."""
        late_ms = now_ms - at_ms
        run = self._runs.get(sensor)
        if run is None or not run.takes(late_ms, self._tolerance_ms):
            run = self._runs[sensor] = _Run(late_ms, late_ms, now_ms, until_ms=now_ms)
        else:
            run.least_late_ms, run.most_late_ms = min(run.least_late_ms, late_ms), max(run.most_late_ms, late_ms)
            run.messages, run.until_ms = run.messages + 1, max(run.until_ms, now_ms)
        if self._usual_ms or abs(late_ms) > self._tolerance_ms:
            self._usual_ms = self._usual()
        if abs(late_ms - self._usual_ms) <= self._tolerance_ms:
            self._off_ms.pop(sensor, None)
        elif run.lasted(self._steady_ms):
            self._off_ms[sensor] = run.least_late_ms - self._usual_ms

    def dump(self) -> bytes:
        return msgspec.msgpack.encode(Kept(self._runs, self._off_ms, self._usual_ms))

    def load(self, blob: bytes) -> None:
        """Take up a dump. Raises msgspec.DecodeError."""
        kept = msgspec.msgpack.decode(blob, type=Kept)
        self._runs, self._off_ms, self._usual_ms = kept.runs, kept.off_ms, kept.usual_ms

    def _usual(self) -> int:
        steady = [run.least_late_ms for run in self._runs.values() if run.lasted(self._steady_ms)]
        late_ms = median_low(steady) if len(steady) >= QUORUM else 0
        return late_ms if abs(late_ms) > self._tolerance_ms else 0
