"""The engine's border for observations: whatever a sensor's topic carries becomes readings here, or a number. So does
what a controller's topic carries: the places of members, or a number.

Nothing raises past the border, and nothing a stranger sends can make it grow: counters and memory of repeats exist
for the plan's sensors and the settings' controllers only, everyone else shares one name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from itertools import pairwise
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from engine.readings import Members, Readings
from sensors import wire

# What is refused of a sender that is not one of the plan's sensors is counted under this name.
STRANGER = "(unknown)"
# A clock this far ahead is wrong; believing it would make everyone else's readings late.
AHEAD_MS = 60_000
# Of one boot, so many batches back a repeat is still told from news: a quarter of an hour of one batch a second.
# Anything further back was acknowledged long ago.
REMEMBERED = 1_024
# Boots of one sensor that are remembered: after a restart the spool of the boot before it may still arrive.
BOOTS = 4
NOBODY = 0  # no member has this key


class Handles:
    """Whose each handle is, in columns sorted by handle, so that all rows of a batch are looked up at once."""

    def __init__(self, member_of: Mapping[tuple[int, int], int]) -> None:
        """member_of  (epoch, handle) -> member"""
        epoch, handle, member = (
            np.array([(*key, member) for key, member in member_of.items()], np.int64).reshape(-1, 3).T
        )
        order = np.lexsort((handle, epoch))
        handle, member = handle[order], member[order]
        epochs, starts = np.unique(epoch[order], return_index=True)
        spans = pairwise([*starts.tolist(), len(handle)])
        self._epochs = {
            number: (handle[start:end], member[start:end])
            for number, (start, end) in zip(epochs.tolist(), spans, strict=True)
        }

    def members(self, epoch: int, handle: npt.NDArray[np.int64]) -> Members:
        """Whose these handles are in *epoch*, NOBODY where they are nobody's."""
        if epoch not in self._epochs:
            return np.full(len(handle), NOBODY, np.int64)
        known, member = self._epochs[epoch]
        at = np.minimum(np.searchsorted(known, handle), len(known) - 1)
        return np.where(known[at] == handle, member[at], NOBODY)


class Refused(NamedTuple):
    sensor: str
    reason: str


class Placed(NamedTuple):
    """Fixes, and the members whose devices they are about."""

    told: list[wire.Fix]
    device: Members


class Boot(msgspec.Struct):
    """Which batches of one boot of a sensor have been taken: bit i of *seen* stands for highest - i."""

    boot: int
    highest: int
    seen: bytes = b"\x01"
    missing: int = 0  # batches skipped and not come since

    def is_new(self, seq: int) -> bool:
        """Mark *seq* as taken; False if it was before, or lies too far back to tell."""
        seen = int.from_bytes(self.seen, "little")
        back = self.highest - seq
        if back >= REMEMBERED or (back >= 0 and seen >> back & 1):
            return False
        if back >= 0:
            seen |= 1 << back
            self.missing -= 1
        else:
            ahead = -back
            seen = (seen << ahead | 1) & ((1 << REMEMBERED) - 1) if ahead < REMEMBERED else 1
            self.missing += ahead - 1
            self.highest = seq
        self.seen = seen.to_bytes(REMEMBERED // 8, "little")
        return True


class Kept(msgspec.Struct):
    """What a border must not forget over a restart, or redelivered batches would count twice."""

    boots: dict[str, list[Boot]]
    refused: list[tuple[str, str, int]]
    unknown_handles: dict[str, int]
    lost: dict[str, int]


class Border:
    """Decodes batches, and keeps apart what is new, repeated, malformed, or of nobody we know.

    refused          payloads refused, by sensor and reason; `repeat` among the reasons is no fault
    unknown_handles  rows dropped, by sensor: their handle is not (or no longer) a member's
    """

    def __init__(self, sensor_index: Mapping[str, int], controllers: Collection[str] = ()) -> None:
        self._row, self._controllers = dict(sensor_index), frozenset(controllers)
        self._boots: dict[str, list[Boot]] = {}  # newest last
        self._lost: Counter[str] = Counter()  # missing batches of boots no longer remembered
        self.refused: Counter[Refused] = Counter()
        self.unknown_handles: Counter[str] = Counter()

    def take(self, topic: str, payload: bytes, now_ms: int, handles: Handles, *, off_ms: int = 0) -> Readings | None:
        """The readings of one published payload, None where it holds none; the reason is in the counters.

        now_ms  the engine's own clock, against which a sensor's clock is judged
        off_ms  what is to be added to the sensor's times, where its clock is known to be wrong
        """
        sensor = topic.rpartition("/")[2]
        if sensor not in self._row:
            self.refused[Refused(STRANGER, "unknown-sensor")] += 1
            return None
        try:
            batch, rows = self._news(sensor, payload, now_ms - off_ms)  # the time as its clock has it
        except wire.Malformed as problem:
            self.refused[Refused(sensor, problem.reason)] += 1
            return None
        device = handles.members(batch.epoch, rows.handle)
        known = device != NOBODY
        members = int(np.count_nonzero(known))
        if members < len(device):
            self.unknown_handles[sensor] += len(device) - members
        if not members:
            return None
        # A clock slightly ahead is taken at our own time, so that one sensor cannot hurry the rest.
        t_ms = np.minimum(batch.t0_ms + rows.dt_ms + off_ms, now_ms)
        sensors = np.full(len(device), self._row[sensor], np.int32)
        heard = Readings(t_ms, device, sensors, rows.rssi_dbm.astype(np.float32))
        return heard if members == len(device) else heard.at(known)

    def take_fixes(self, topic: str, payload: bytes, now_ms: int, handles: Handles) -> Placed | None:
        """The fixes of one published payload, None where it holds none; the reason is in the counters.

        now_ms  the engine's own clock; a controller's that is slightly ahead is taken at our own time
        """
        controller = topic.rpartition("/")[2]
        if controller not in self._controllers:
            self.refused[Refused(STRANGER, "unknown-controller")] += 1
            return None
        try:
            message = wire.read_fixes(payload)
            self._believe(message, controller, message.at_ms, now_ms)
        except wire.Malformed as problem:
            self.refused[Refused(controller, problem.reason)] += 1
            return None
        device = handles.members(message.epoch, np.array([fix.handle for fix in message.fixes], np.int64))
        told = [
            (msgspec.structs.replace(fix, at_ms=min(fix.at_ms, now_ms)), member)
            for fix, member in zip(message.fixes, device.tolist(), strict=True)
            if member != NOBODY
        ]
        if len(told) < len(device):
            self.unknown_handles[controller] += len(device) - len(told)
        return Placed([fix for fix, _ in told], np.array([member for _, member in told], np.int64)) if told else None

    def gaps(self) -> dict[str, int]:
        """Batches that each sensor numbered and that never came."""
        missing = Counter(self._lost)
        for sensor, boots in self._boots.items():
            missing[sensor] += sum(boot.missing for boot in boots)
        return {sensor: count for sensor, count in missing.items() if count}

    def dump(self) -> bytes:
        kept = Kept(
            boots=self._boots,
            refused=[(*refused, count) for refused, count in self.refused.items()],
            unknown_handles=dict(self.unknown_handles),
            lost=dict(self._lost),
        )
        return msgspec.msgpack.encode(kept)

    def load(self, blob: bytes) -> None:
        """Take up a dump. Senders that have left the plan or the settings since are dropped.

        Raises msgspec.DecodeError.
        """
        kept = msgspec.msgpack.decode(blob, type=Kept)
        known = self._controllers.union(self._row)
        self._boots = {sender: boots for sender, boots in kept.boots.items() if sender in known}
        self._lost = Counter(kept.lost)
        self.refused = Counter({Refused(sensor, reason): count for sensor, reason, count in kept.refused})
        self.unknown_handles = Counter(kept.unknown_handles)

    def _news(self, sensor: str, payload: bytes, now_ms: int) -> tuple[wire.Batch, wire.Columns]:
        """A batch that may be believed and was not taken before. Raises Malformed with the reason if it is none."""
        batch = wire.read_batch(payload)
        rows = batch.columns()
        self._believe(batch, sensor, batch.t0_ms + int(rows.dt_ms.max(initial=0)), now_ms)
        return batch, rows

    def _believe(self, message: wire.Batch | wire.Fixes, sender: str, newest_ms: int, now_ms: int) -> None:
        """Raises Malformed unless *sender* may say so, now and for the first time."""
        if message.sensor != sender:
            raise wire.Malformed("another-sensor")
        if newest_ms > now_ms + AHEAD_MS:
            raise wire.Malformed("from-the-future")
        if not self._is_new(message):
            raise wire.Malformed("repeat")

    def _is_new(self, batch: wire.Batch | wire.Fixes) -> bool:
        boots = self._boots.setdefault(batch.sensor, [])
        for boot in boots:
            if boot.boot == batch.boot:
                return boot.is_new(batch.seq)
        boots.append(Boot(batch.boot, batch.seq))
        if len(boots) > BOOTS:
            self._lost[batch.sensor] += boots.pop(0).missing
        return True
