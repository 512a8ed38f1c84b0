"""Readings in columns, and their alignment to closed seconds of event time.

Sensors' batches arrive a little late and out of order. Presence may only look at a second once no more of it is
expected; what comes even later is counted and left out. Whether a reading is late depends on the readings before it
alone, never on how the stream was cut into calls, so every replay sees the same seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Generic, NamedTuple, Protocol, Self, TypeVar

import numpy as np
import numpy.typing as npt

TICK_MS = 1_000
BEGINNING_MS = 0  # nothing is heard before 1970

Times = npt.NDArray[np.int64]
Members = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int32]
Signals = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


class Readings(NamedTuple):
    """One row per device and sensor that heard it, columns of equal length.

    t_ms      when, event time          device    the member whose device it is
    sensor    row in plan.sensors       rssi_dbm  how loud
    """

    t_ms: Times
    device: Members
    sensor: Rows
    rssi_dbm: Signals

    @property
    def size(self) -> int:
        return len(self.t_ms)

    def at(self, rows: npt.NDArray[np.intp] | Mask | slice) -> Readings:
        return Readings(self.t_ms[rows], self.device[rows], self.sensor[rows], self.rssi_dbm[rows])

    def in_order(self) -> Readings:
        """By time, device and sensor; equal ones by signal, so that the order of arrival leaves no trace."""
        return self.at(_order(self))

    def by_time(self) -> Readings:
        """By time alone, equal ones as they came."""
        return self.at(np.argsort(self.t_ms, kind="stable"))

    def and_also(self, others: list[Readings]) -> Readings:
        return joined(others) if others else self

    def columns(self) -> list[bytes]:
        return [column.tobytes() for column in self]


def readings(
    t_ms: npt.ArrayLike = (), device: npt.ArrayLike = (), sensor: npt.ArrayLike = (), rssi_dbm: npt.ArrayLike = ()
) -> Readings:
    """Readings from anything array-like, in the types their columns have."""
    return Readings(
        np.asarray(t_ms, np.int64),
        np.asarray(device, np.int64),
        np.asarray(sensor, np.int32),
        np.asarray(rssi_dbm, np.float32),
    )


def _order(heard: Readings) -> npt.NDArray[np.intp]:
    """What lexsort would say, in a fifth of its time: by one number a row, made of time, device and sensor."""
    if not heard.size:
        return np.zeros(0, np.intp)
    key, room = np.zeros(heard.size, np.int64), 2**63 - 1
    for column in (heard.t_ms, heard.device, heard.sensor):
        least = int(column.min())
        span = int(column.max()) - least + 1
        room //= span
        key = key * span + (column - least)
    if not room:  # they do not fit into one number
        return np.lexsort((heard.rssi_dbm, heard.sensor, heard.device, heard.t_ms))
    order = np.argsort(key)
    equal = np.diff(key[order]) == 0
    tied = np.append(equal, False) | np.append(False, equal)
    among = order[tied]
    order[tied] = among[np.lexsort((heard.rssi_dbm[among], key[among]))]
    return order


def from_columns(columns: list[bytes]) -> Readings:
    """The inverse of Readings.columns. Raises ValueError on columns that are not readings."""
    types = (np.int64, np.int64, np.int32, np.float32)
    found = [np.frombuffer(column, kind).copy() for column, kind in zip(columns, types, strict=True)]
    if len({len(column) for column in found}) != 1:
        raise ValueError("columns of unequal length")
    return Readings(*found)


def joined(parts: list[Readings]) -> Readings:
    return Readings(*(np.concatenate(columns) for columns in zip(*parts, strict=True))) if parts else readings()


class Timed(Protocol):
    """Columns of evidence about devices: Readings, or the Fixes of a controller."""

    @property
    def t_ms(self) -> Times: ...
    @property
    def device(self) -> Members: ...
    @property
    def size(self) -> int: ...
    def at(self, rows: Mask | slice) -> Self: ...
    def in_order(self) -> Self: ...
    def and_also(self, others: list[Self]) -> Self: ...


Evidence = TypeVar("Evidence", bound=Timed)


class Aligned(Generic[Evidence]):
    """Holds evidence back until its second is closed: the newest event time has passed it by *lateness_ms*."""

    def __init__(self, lateness_ms: int, nothing: Evidence) -> None:
        self._lateness_ms, self._nothing = lateness_ms, nothing
        self._pending: list[Evidence] = []
        self._given_out_ms = BEGINNING_MS
        self.newest_ms = BEGINNING_MS
        self.late = 0  # rows that came after their second was closed

    @property
    def closed_ms(self) -> int:
        """Every second before this is closed. A multiple of TICK_MS."""
        return max(self.newest_ms - self._lateness_ms, BEGINNING_MS) // TICK_MS * TICK_MS

    def add(self, heard: Evidence) -> None:
        """Take rows in the order they came; the late ones among them are counted and dropped."""
        if not heard.size:
            return
        newest_ms = np.maximum.accumulate(np.maximum(heard.t_ms, self.newest_ms))
        # Compared to the newest row before it, and so blind to where one call ends and the next begins.
        open_from_ms = (newest_ms - self._lateness_ms) // TICK_MS * TICK_MS
        in_time = heard.t_ms >= np.maximum(open_from_ms, BEGINNING_MS)
        self.late += heard.size - int(np.count_nonzero(in_time))
        self.newest_ms = int(newest_ms[-1])
        self._pending.append(heard if in_time.all() else heard.at(in_time))

    def reach(self, now_ms: int) -> None:
        """Event time has come to *now_ms*, though nobody was heard."""
        self.newest_ms = max(self.newest_ms, now_ms)

    def forget(self, device: int) -> None:
        self._pending = [part.at(part.device != device) for part in self._pending]

    def closed(self) -> Iterator[tuple[int, Evidence]]:
        """Give out each closed second of which something was told, once: its start, and its rows in order."""
        if self._given_out_ms == self.closed_ms:
            return  # what has come since waits for its second
        self._given_out_ms = self.closed_ms
        heard = self._nothing.and_also(self._pending)
        ready = heard.t_ms < self.closed_ms
        self._pending = [heard.at(~ready)]
        heard = heard.at(ready).in_order()
        tick = heard.t_ms // TICK_MS
        cuts = np.flatnonzero(np.diff(tick, prepend=-1, append=-1)).tolist()
        for start, end in pairwise(cuts):
            yield int(tick[start]) * TICK_MS, heard.at(slice(start, end))

    def pending(self) -> Evidence:
        """What waits for its second to close, in a fixed order."""
        return self._nothing.and_also(self._pending).in_order()

    def resume(self, pending: Evidence, newest_ms: int, late: int) -> None:
        """Take up where another alignment stopped."""
        self._pending, self.newest_ms, self.late = [pending], newest_ms, late
        self._given_out_ms = BEGINNING_MS


class Alignment(Aligned[Readings]):
    """Of readings."""

    def __init__(self, lateness_ms: int) -> None:
        super().__init__(lateness_ms, readings())
