"""The radio between phones and sensors: who hears which frame, and how loud.

Signal falls with the logarithm of distance, loses a fixed amount per level, is shadowed by what stands around (the
same each time for the same sensor and neighbourhood), dimmed by the sender's body, and jitters. Both bands are taken to
carry equally, and every sensor to hear every channel at once: channel hopping is not simulated.

Beside each sensor hangs one of the mall's access points, which phones on its level join by strength.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b

import numpy as np

from sensors.airframes import BROADCAST, CHANNELS, SIGNAL, beacon, frame, lead
from sensors.frames import Kind
from sensors.phones import Emissions, octets
from sensors.venue import Floats, Ints, Venue
from sensors.walkers import Bodies

LOSS_EXPONENT = 3.0
AT_1_M_DBM = -40.0
FLOOR_LOSS_DB = 15.0
SHADOW_DB, SHADOW_CELL_M = 5.0, 6.0
JITTER_DB = 3.0
# With the back to a sensor, against facing it.
BODY_LOSS_DB = 6.0
FAINTEST_DBM, LOUDEST_DBM = -88.0, -20.0
# Interference and a busy receiver lose a quarter of what could be heard; and a driver's queue is short.
DETECTED = 0.75
MOST_SENSORS = 10

# Access points send louder than phones. Of the ten beacons a second that each sends, one a minute is made up.
BEACON_DB, BEACON_EVERY_MS = 3.0, 60_000

NOT_JOINED = -1
PROBED_CHANNELS = np.array(CHANNELS)


def bssid_of(sensor: str) -> bytes:
    """The access point beside a sensor: a unicast, locally administered address derived from the sensor's key."""
    digest = blake2b(sensor.encode(), digest_size=5, person=b"bssid").digest()
    return b"\x06" + digest


class Air:
    """The radio of one venue. All chance from *seed*: the shadowing drawn once, the rest frame by frame.

    people  how many phones there can be, for who is joined to which access point
    """

    def __init__(self, venue: Venue, people: int, seed: int) -> None:
        self._rng = rng = np.random.default_rng([seed, 0xA1])
        level_index = {level.key: index for index, level in enumerate(venue.levels)}
        self._anchors_m: Floats = np.array([(sensor.x_m, sensor.y_m) for sensor in venue.sensors])
        self._level: Ints = np.array([level_index[sensor.level] for sensor in venue.sensors])
        self.bssids = [bssid_of(sensor.key) for sensor in venue.sensors]
        self.channels: Ints = np.array([CHANNELS[index % len(CHANNELS)] for index in range(len(venue.sensors))])
        bounds = np.array([level.outline.bounds for level in venue.levels])
        self._corner_m = bounds[:, :2].min(axis=0)
        columns, rows = (np.ceil((bounds[:, 2:].max(axis=0) - self._corner_m) / SHADOW_CELL_M) + 1).astype(int)
        self._shadow_db: Floats = rng.normal(0.0, SHADOW_DB, (len(venue.levels), rows, columns, len(venue.sensors)))
        self._serving = np.full(people, NOT_JOINED, np.int32)
        self._beacon_rng = np.random.default_rng([seed, 0xBE])
        # Each access point begins at another instant of the minute.
        self._beacon_ms = np.arange(len(venue.sensors)) * BEACON_EVERY_MS // max(len(venue.sensors), 1)
        self._beacons_dbm = self.mean_dbm(self._level, self._anchors_m) + BEACON_DB
        np.fill_diagonal(self._beacons_dbm, -np.inf)  # a sensor that sends is deaf

    def mean_dbm(self, level: Ints, xy_m: Floats) -> Floats:
        """What the average phone would read at each sensor, before body and jitter: (n,), (n, 2) -> (n, sensors)."""
        away_m = np.maximum(np.hypot(*(xy_m[:, None, :] - self._anchors_m).transpose(2, 0, 1)), 1.0)
        column, row = ((xy_m - self._corner_m) / SHADOW_CELL_M).astype(int).T
        levels_between = np.abs(level[:, None] - self._level)
        faded = AT_1_M_DBM - 10 * LOSS_EXPONENT * np.log10(away_m) - FLOOR_LOSS_DB * levels_between
        return np.asarray(faded + self._shadow_db[level, row, column])

    def hear(self, emissions: Emissions, bodies: Bodies) -> Iterator[tuple[int, bytes, int]]:
        """-> (sensor index, radiotap frame, when), one for each sensor that hears each emission; in order of time."""
        who = emissions.person
        if not who.size:
            return
        level, xy_m = bodies.level[who], bodies.xy_m[who]
        mean_dbm = self.mean_dbm(level, xy_m)
        came_from, serving = self._join(emissions, level, mean_dbm)
        heard_dbm = self._received(emissions, bodies, mean_dbm)
        channels = np.where(
            emissions.kind == Kind.PROBE_REQUEST, self._rng.choice(PROBED_CHANNELS, who.size), self.channels[serving]
        )
        roamed = (came_from != serving) & (came_from != NOT_JOINED) & (emissions.kind >= Kind.NULL)
        kinds = np.where(roamed, Kind.REASSOC_REQUEST, emissions.kind)
        rows = zip(
            *(column.tolist() for column in (kinds, emissions.address, emissions.sequence, emissions.at_ms, channels)),
            serving.tolist(),
            came_from.tolist(),
            heard_dbm,
            strict=True,
        )
        for kind, address, sequence, at_ms, channel, serves, left, row_dbm in rows:
            sensors = np.flatnonzero(row_dbm > -np.inf)
            if not sensors.size:
                continue
            leaves = self.bssids[left] if left != NOT_JOINED else BROADCAST
            begins = lead(at_ms, channel)
            ends = frame(kind, self.bssids[serves], octets(address), sequence, leaves=leaves)
            for sensor, dbm in zip(sensors.tolist(), row_dbm[sensors].astype(int).tolist(), strict=True):
                yield sensor, begins + SIGNAL[dbm + 128] + ends, at_ms

    def beacons(self, from_ms: int, until_ms: int) -> Iterator[tuple[int, bytes, int]]:
        """What sensors hear of each other's access points in that time, as `hear` gives it."""
        for index, offset_ms in enumerate(self._beacon_ms.tolist()):
            at_ms = (until_ms - 1 - offset_ms) // BEACON_EVERY_MS * BEACON_EVERY_MS + offset_ms
            if at_ms < from_ms:
                continue
            dbm = self._beacons_dbm[index] + self._beacon_rng.normal(0.0, JITTER_DB, len(self.bssids))
            heard = (dbm >= FAINTEST_DBM) & (self._beacon_rng.random(len(dbm)) < DETECTED)
            begins = lead(at_ms, int(self.channels[index]))
            ends = beacon(self.bssids[index], at_ms // BEACON_EVERY_MS % 4_096)
            for sensor in np.flatnonzero(heard).tolist():
                signal = int(np.rint(min(dbm[sensor], LOUDEST_DBM)))
                yield sensor, begins + SIGNAL[signal + 128] + ends, at_ms

    def _join(self, emissions: Emissions, level: Ints, mean_dbm: Floats) -> tuple[Ints, Ints]:
        """The access point each sender came from and the one it now uses: the strongest of its level."""
        who = emissions.person
        own = np.where(self._level == level[:, None], mean_dbm, -np.inf)
        serving = own.argmax(axis=1)
        came_from = self._serving[who]
        came_from[(emissions.kind == Kind.AUTH) | (emissions.kind == Kind.ASSOC_REQUEST)] = NOT_JOINED
        on_network = emissions.kind != Kind.PROBE_REQUEST
        self._serving[who[on_network]] = serving[on_network]
        return came_from, serving

    def _received(self, emissions: Emissions, bodies: Bodies, mean_dbm: Floats) -> Floats:
        """Whole dBm at each sensor, (emissions, sensors); minus infinity where it was not heard."""
        rng, who = self._rng, emissions.person
        toward_m = self._anchors_m - bodies.xy_m[who][:, None, :]
        bearing = np.arctan2(toward_m[..., 1], toward_m[..., 0])
        body_db = BODY_LOSS_DB / 2 * (1 - np.cos(bearing - bodies.heading[who][:, None]))
        dbm = mean_dbm + emissions.power_db[:, None] - body_db + rng.normal(0.0, JITTER_DB, mean_dbm.shape)
        dbm[(dbm < FAINTEST_DBM) | (rng.random(dbm.shape) >= DETECTED)] = -np.inf
        if dbm.shape[1] > MOST_SENSORS:
            tenth_dbm = np.partition(dbm, -MOST_SENSORS, axis=1)[:, -MOST_SENSORS]
            dbm[dbm < tenth_dbm[:, None]] = -np.inf
        return np.rint(np.minimum(dbm, LOUDEST_DBM))
