"""Counts what a capture file holds: which kinds of frames, how strongly heard, how many transmitters.

Addresses are held while counting, to tell one transmitter from another; what comes out has none.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from sensors import captures, frames
from sensors.frames import Kind, Undecodable

_LOCALLY_ADMINISTERED = 0x02


@dataclass(frozen=True, slots=True)
class Heard:
    """Frames of one subtype; the signals are of those *with_signal*, None if there are none."""

    frames: int
    with_signal: int
    weakest_dbm: int | None
    strongest_dbm: int | None


@dataclass(frozen=True, slots=True)
class Census:
    """What was counted. frames = those of all subtypes + the undecodable ones.

    heard         by subtype, as in frames.Kind
    undecodable   packets by the reason why they could not be read
    first_us, last_us  times of the first and the last packet, None if there is none; captures may run backwards
    sliced        packets stored shorter than they were on the air
    access_points  transmitters of beacons and probe responses; probers: of probe requests; each counted once
    ended         why the file could not be read to its end, empty if it could
    """

    frames: int
    heard: dict[int, Heard]
    undecodable: dict[str, int]
    first_us: int | None
    last_us: int | None
    sliced: int
    retries: int
    transmitters: int
    access_points: int
    probers: int
    probers_with_private_address: int
    ended: str

    @property
    def with_signal(self) -> int:
        return sum(heard.with_signal for heard in self.heard.values())

    @property
    def weakest_dbm(self) -> int | None:
        return min((h.weakest_dbm for h in self.heard.values() if h.weakest_dbm is not None), default=None)

    @property
    def strongest_dbm(self) -> int | None:
        return max((h.strongest_dbm for h in self.heard.values() if h.strongest_dbm is not None), default=None)


@dataclass(slots=True)
class _Tally:
    subtypes: Counter[int] = field(default_factory=Counter)
    signals_dbm: defaultdict[int, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    undecodable: Counter[str] = field(default_factory=Counter)
    frames: int = 0
    first_us: int | None = None
    last_us: int | None = None
    sliced: int = 0
    retries: int = 0
    transmitters: set[bytes] = field(default_factory=set)
    access_points: set[bytes] = field(default_factory=set)
    probers: set[bytes] = field(default_factory=set)

    def add(self, packet: captures.Packet) -> None:
        self.frames += 1
        self.first_us = packet.t_us if self.first_us is None else self.first_us
        self.last_us = packet.t_us
        self.sliced += len(packet.raw) < packet.original_length
        try:
            frame = frames.read(packet.raw, packet.linktype)
        except Undecodable as problem:
            self.undecodable[problem.reason] += 1
            return
        self.subtypes[frame.subtype] += 1
        self.retries += frame.retry
        if frame.rssi_dbm is not None:
            self.signals_dbm[frame.subtype][frame.rssi_dbm] += 1
        if frame.transmitter is not None:
            self.transmitters.add(frame.transmitter)
            if frame.subtype in (Kind.BEACON, Kind.PROBE_RESPONSE):
                self.access_points.add(frame.transmitter)
            elif frame.subtype == Kind.PROBE_REQUEST:
                self.probers.add(frame.transmitter)

    def heard(self, subtype: int) -> Heard:
        dbm = self.signals_dbm[subtype]
        return Heard(self.subtypes[subtype], dbm.total(), min(dbm, default=None), max(dbm, default=None))

    def close(self, ended: str) -> Census:
        return Census(
            frames=self.frames,
            heard={subtype: self.heard(subtype) for subtype in sorted(self.subtypes)},
            undecodable=dict(sorted(self.undecodable.items())),
            first_us=self.first_us,
            last_us=self.last_us,
            sliced=self.sliced,
            retries=self.retries,
            transmitters=len(self.transmitters),
            access_points=len(self.access_points),
            probers=len(self.probers),
            probers_with_private_address=sum(1 for address in self.probers if address[0] & _LOCALLY_ADMINISTERED),
            ended=ended,
        )


def census(path: Path) -> Census:
    """Count a capture file to its end, or to where it breaks. Raises OSError if it cannot be opened."""
    return census_of(captures.packets(path))


def census_of(packets: Iterable[captures.Packet]) -> Census:
    """The same for packets from anywhere; a BrokenCapture among them ends the count with its reason."""
    tally = _Tally()
    try:
        for packet in packets:
            tally.add(packet)
    except captures.BrokenCapture as broken:
        return tally.close(broken.reason)
    return tally.close("")
