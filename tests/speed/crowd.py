"""What sensors publish of a crowd of members: made once, seeded, and the same on every machine.

Members linger in zones and walk between them at 1.2 m/s; each phone is heard every 5 s, by the sensors that are near
enough: about eight of them, as in a mall with one sensor for 400 m². Sensors gather a second into a batch each.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from shapely import box

from engine.batches import Handles
from engine.plan import Level, Plan, Sensor, Zone
from sensors import wire

ROOT = Path(__file__).resolve().parent.parent.parent
NOON_MS = 1_790_000_000_000
EVERY_S = 5
EPOCH = 7
WALKED_M = 1.2 * EVERY_S
LINGERS_S = 180
# Log-distance with a concrete floor between levels; what is weaker than this is not heard.
AT_A_METRE_DBM, LOSS, FLOOR_DB, NOISE_DB, PHONE_DB, FAINTEST_DBM = -40.0, 30.0, 18.0, 4.0, 5.0, -86.0
DETECTED = 0.75

Second = list[tuple[str, bytes]]  # topic, payload


class Heard(NamedTuple):
    """A crowd as the engine's border meets it.

    seconds  what arrives in each second, from NOON_MS on
    rows     observations of each second     updates  members heard in each second
    """

    plan: Plan
    seconds: list[Second]
    handles: Handles
    rows: list[int]
    updates: list[int]


@cache
def demo_mall() -> Plan:
    return Plan.read(ROOT / "zones.geojson")


@cache
def block(levels: int, sensors: int) -> Plan:
    """A mall of 120 m x 60 m a level, in shops of 15 m, with so many sensors spread over its levels."""
    floors = tuple(Level(f"L{row}", row, {"en": f"L{row}"}, {}, box(0, 0, 120, 60)) for row in range(levels))
    zones = tuple(
        Zone(f"z{level.key}-{x}-{y}", level.key, {"en": "Shop"}, "shop", box(x, y, x + 15, y + 15))
        for level in floors
        for x in range(0, 120, 15)
        for y in range(0, 60, 15)
    )
    hung: list[Sensor] = []
    for row, level in enumerate(floors):
        count = sensors // levels + (row < sensors % levels)
        across = int(np.ceil(np.sqrt(2 * count)))
        rows = -(-count // across)
        hung += [
            Sensor(f"s{row}-{at}", level.key, (at % across + 0.5) * 120 / across, (at // across + 0.5) * 60 / rows)
            for at in range(count)
        ]
    return Plan("block", floors, zones, tuple(hung), width_m=120.0, height_m=60.0)


@cache
def heard(plan: Plan, members: int, seconds: int, epoch: int = EPOCH, handles: tuple[int, ...] = ()) -> Heard:
    """What the sensors of *plan* publish of so many members in so many seconds.

    handles  one for each member, in *epoch*; where not given, drawn as the engine draws them
    """
    chance = np.random.default_rng(members)
    handle = np.array(handles or chance.integers(1, 2**wire.HANDLE_BITS, members), np.int64)
    place = _Places(plan, members, chance)
    phone_db = chance.normal(0.0, PHONE_DB, members)
    parts: list[Second] = []
    numbers = Counter[str]()
    rows, updates = [], []
    for second in range(seconds):
        due = np.arange(second % EVERY_S, members, EVERY_S)
        place.move(due)
        rssi_dbm = _signals(plan, place, due, chance) + phone_db[due, None]
        loud = (rssi_dbm > FAINTEST_DBM) & (chance.random(rssi_dbm.shape) < DETECTED)
        offset_ms = chance.integers(0, 1_000, len(due))
        parts.append(list(_batches(plan, epoch, second, numbers, loud, handle[due], offset_ms, rssi_dbm)))
        rows.append(int(np.count_nonzero(loud)))
        updates.append(int(np.count_nonzero(loud.any(axis=1))))
    member_of = {(epoch, one): row + 1 for row, one in enumerate(handle.tolist())}
    return Heard(plan, parts, Handles(member_of), rows, updates)


class _Places:
    """Where members are: (members,) columns of level, x_m, y_m, and where each is going."""

    def __init__(self, plan: Plan, members: int, chance: np.random.Generator) -> None:
        self._chance = chance
        self._bounds_m = np.array([zone.polygon.bounds for zone in plan.zones])
        self._zone_level = plan.zone_level
        self.level, self.xy_m = self._somewhere(members)
        self._to_level, self._to_m = self.level.copy(), self.xy_m.copy()

    def _somewhere(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        zone = self._chance.integers(0, len(self._bounds_m), count)
        low_m, high_m = self._bounds_m[zone, :2], self._bounds_m[zone, 2:]
        return self._zone_level[zone], low_m + self._chance.random((count, 2)) * (high_m - low_m)

    def move(self, who: np.ndarray) -> None:
        """EVERY_S later for *who*: a step towards where they go, or, now and then, a new place to go to."""
        bored = who[self._chance.random(len(who)) < EVERY_S / LINGERS_S]
        self._to_level[bored], self._to_m[bored] = self._somewhere(len(bored))
        away_m = self._to_m[who] - self.xy_m[who]
        far_m = np.hypot(*away_m.T)[:, None]
        self.xy_m[who] += away_m * np.minimum(WALKED_M / np.maximum(far_m, WALKED_M), 1.0)
        there = who[far_m[:, 0] <= WALKED_M]
        self.level[there] = self._to_level[there]


def _signals(plan: Plan, place: _Places, who: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """(who, sensors): the signal of each phone at each sensor."""
    away_m = np.hypot(*(place.xy_m[who, None] - plan.anchors_m).transpose(2, 0, 1))
    floors = np.abs(place.level[who, None] - plan.sensor_level)
    noise_db = chance.normal(0.0, NOISE_DB, away_m.shape)
    return AT_A_METRE_DBM - LOSS * np.log10(np.maximum(away_m, 1.0)) - FLOOR_DB * floors + noise_db


def _batches(plan, epoch, second, numbers, loud, handle, offset_ms, rssi_dbm):  # type: ignore[no-untyped-def]
    for row, sensor in enumerate(plan.sensors):
        rows = np.flatnonzero(loud[:, row])
        if not len(rows):
            continue
        rows = rows[np.argsort(offset_ms[rows], kind="stable")]
        first_ms = int(offset_ms[rows[0]])
        batch = wire.Batch(
            sensor=sensor.key,
            boot=1,
            seq=numbers[sensor.key],
            epoch=epoch,
            t0_ms=NOON_MS + second * 1_000 + first_ms,
            handle=handle[rows].tolist(),
            dt_ms=(offset_ms[rows] - first_ms).tolist(),
            rssi_dbm=np.clip(np.rint(rssi_dbm[rows, row]), -120, -1).astype(int).tolist(),
            channel=[6] * len(rows),
        )
        numbers[sensor.key] += 1
        yield wire.observations_topic(plan.site, sensor.key), wire.pack(batch)
