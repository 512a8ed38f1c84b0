"""One sensor: frames in, batches of observations out. No I/O and no clock of its own."""

from __future__ import annotations

from statistics import median_low

from sensors import frames
from sensors.consent import ConsentFilter
from sensors.frames import RADIOTAP, Kind, Undecodable
from sensors.wire import Batch, Health

# Sent by stations to find or join an access point. Data frames tell by their direction that a station sent them.
_FROM_STATIONS = frozenset({Kind.ASSOC_REQUEST, Kind.REASSOC_REQUEST, Kind.PROBE_REQUEST, Kind.AUTH})
_FIRST_DATA = 0x20
_BROADCAST = b"\xff" * 6
# A frame that was not acknowledged is sent again within some 10 ms, seldom 100. The same sequence number
# comes round after 4096 frames, which takes the busiest phone a second.
RETRY_MS = 200
# Drivers write 0 or more where they know nothing; nobody's phone is heard at a milliwatt.
_WEAKEST_DBM, _STRONGEST_DBM = -120, -1
# wire.Offset: a batch spans a minute at most.
_LONGEST_MS = 60_000
# 12 octets a row, packed, make 96 KiB; as lists 20 at most, 160 KiB: within wire.MOST_PAYLOAD_BYTES either way.
MOST_ROWS = 8_192

_Key = tuple[int, int, int]  # epoch, handle, channel


class Agent:
    """What one sensor heard of members since it was last asked.

    sensor  its key in the floor plan
    boot    rises with each start, so that (boot, seq) names a batch for ever
    bssids  if any are given, only frames to these access points or to all of them count: neighbours' stay out
    """

    def __init__(
        self, sensor: str, consent: ConsentFilter, *, boot: int, bssids: frozenset[bytes] = frozenset()
    ) -> None:
        self.sensor, self.boot = sensor, boot
        self._consent, self._bssids = consent, bssids and bssids | {_BROADCAST}
        self._seq = 0
        self._rows: dict[_Key, tuple[int, list[int]]] = {}  # time of the last frame, all signals
        self._last: dict[int, tuple[int, int]] = {}  # by handle: sequence and time of its last frame
        self._beacons: dict[str, list[int]] = {}  # all signals of the access point beside each other sensor
        self._frames = self._undecodable = self._dropped_by_consent = self._without_signal = self._published = 0

    def hear(self, raw: bytes, at_ms: int, linktype: int = RADIOTAP) -> None:
        """Take one frame as captured, radio header and all."""
        self._frames += 1
        try:
            subtype, transmitter, bssid, to_ds, from_ds, retry, sequence, rssi_dbm, channel = frames.read(raw, linktype)
        except Undecodable:
            self._undecodable += 1
            return
        if subtype < _FIRST_DATA:
            if subtype == Kind.BEACON:
                self._hear_beacon(transmitter, rssi_dbm)
            if subtype not in _FROM_STATIONS:
                return
        elif from_ds or not to_ds:
            return
        if transmitter is None or (self._bssids and bssid not in self._bssids):
            return
        answer = self._consent.handle(transmitter, at_ms)
        if answer is None:
            self._dropped_by_consent += 1
            return
        if rssi_dbm is None or not _WEAKEST_DBM <= rssi_dbm <= _STRONGEST_DBM:
            self._without_signal += 1
            return
        epoch, handle = answer
        if retry:
            last_sequence, last_ms = self._last.get(handle, (-1, 0))
            if sequence == last_sequence and -RETRY_MS <= at_ms - last_ms <= RETRY_MS:
                return
        self._last[handle] = sequence, at_ms
        key = (epoch, handle, channel)
        row = self._rows.get(key)
        if row is None:
            self._rows[key] = at_ms, [rssi_dbm]
        else:
            row[1].append(rssi_dbm)
            self._rows[key] = max(at_ms, row[0]), row[1]

    def _hear_beacon(self, transmitter: bytes | None, rssi_dbm: int | None) -> None:
        """Our own access points are no people: how loud they are is told by the name of the sensor beside each."""
        beside = self._consent.beacons.get(transmitter) if transmitter else None
        if (
            beside is None
            or beside == self.sensor
            or rssi_dbm is None
            or not _WEAKEST_DBM <= rssi_dbm <= _STRONGEST_DBM
        ):
            return
        self._beacons.setdefault(beside, []).append(rssi_dbm)

    def gather(self, now_ms: int) -> Batch | None:
        """What was heard and not gathered yet: one row per handle and channel; None if there is nothing.

        A row's signal is the median of its frames. The strongest would grow with the number of frames, and bring
        busy phones nearer than they are; a single frame may be the one that a passing body swallowed.
        What one batch cannot hold (another epoch, more than a minute, too many rows) waits for the next call.
        """
        if not self._rows:
            return None
        self._last = {handle: last for handle, last in self._last.items() if now_ms - last[1] <= RETRY_MS}
        epoch = min(key[0] for key in self._rows)
        rows = sorted((last_ms, key, dbm) for key, (last_ms, dbm) in self._rows.items() if key[0] == epoch)
        t0_ms = rows[0][0]
        rows = [row for row in rows[:MOST_ROWS] if row[0] - t0_ms <= _LONGEST_MS]
        for _, key, _ in rows:
            del self._rows[key]
        self._seq += 1
        self._published += len(rows)
        return Batch(
            sensor=self.sensor,
            boot=self.boot,
            seq=self._seq,
            epoch=epoch,
            t0_ms=t0_ms,
            handle=[handle for _, (_, handle, _), _ in rows],
            dt_ms=[last_ms - t0_ms for last_ms, _, _ in rows],
            rssi_dbm=[median_low(dbm) for _, _, dbm in rows],
            channel=[channel for _, (_, _, channel), _ in rows],
        )

    def health(self, now_ms: int) -> Health:
        """The heartbeat; counts are since the start. *published* counts observations, the others frames.

        What was heard of other sensors is told once: the next heartbeat tells what was heard since.
        """
        why = self._consent.why(now_ms)
        beacons, self._beacons = self._beacons, {}
        return Health(
            sensor=self.sensor,
            boot=self.boot,
            at_ms=now_ms,
            status="refusing" if why else "online",
            why=why,
            frames=self._frames,
            published=self._published,
            dropped_by_consent=self._dropped_by_consent,
            undecodable=self._undecodable,
            without_signal=self._without_signal,
            list_version=self._consent.list_version,
            hears={sensor: median_low(dbm) for sensor, dbm in beacons.items()},
        )
