"""A small mall to walk in: two levels of 60 m x 30 m, on each four shops with a sensor and two sensors in the hall."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pytest
from shapely import box

from engine.plan import Level, Plan, Sensor, Zone
from engine.readings import Readings, readings

NOON_MS = 1_790_000_000_000  # a whole number of seconds
SHOPS = {"cafe": (0, 0), "books": (40, 0), "grill": (0, 18), "shoes": (40, 18)}
HALL_M = [(25.0, 15.0), (35.0, 15.0)]


@pytest.fixture(scope="session")
def plan() -> Plan:
    levels = tuple(Level(key, row, {"en": key}, {"en": key}, box(0, 0, 60, 30)) for row, key in enumerate(("L1", "L2")))
    zones, sensors = [], []
    for level in levels:
        for name, (x_m, y_m) in SHOPS.items():
            key = f"{name}-{level.key}"
            zones.append(Zone(key, level.key, {"en": key}, "shop", box(x_m, y_m, x_m + 20, y_m + 12), shop=name))
            sensors.append(Sensor(f"s-{key}", level.key, x_m + 10.0, y_m + 6.0))
        for number, (x_m, y_m) in enumerate(HALL_M):
            sensors.append(Sensor(f"s-hall-{number}-{level.key}", level.key, x_m, y_m))
    return Plan("test", levels, tuple(zones), tuple(sensors), width_m=60.0, height_m=30.0)


Hear = Callable[..., Readings]


@pytest.fixture(scope="session")
def hear(plan: Plan) -> Hear:
    """hear(member, zone or (level, x_m, y_m), at_ms): what all sensors hear of one frame sent there, free of noise."""

    def heard(member: int, place: str | tuple[str, float, float], at_ms: int | Iterable[int]) -> Readings:
        if isinstance(place, str):
            zone = plan.zones[plan.zone_index[place]]
            level, x_m, y_m = zone.level, zone.polygon.centroid.x, zone.polygon.centroid.y
        else:
            level, x_m, y_m = place
        away_m = np.hypot(*(plan.anchors_m - (x_m, y_m)).T)
        floors = np.abs(plan.sensor_level - plan.level_index[level])
        rssi_dbm = -40 - 30 * np.log10(np.maximum(away_m, 1.0)) - 15 * floors
        sensor = np.flatnonzero(rssi_dbm > -88)
        times = [at_ms] if isinstance(at_ms, int) else list(at_ms)
        return readings(
            np.repeat(times, len(sensor)),
            np.full(len(sensor) * len(times), member),
            np.tile(sensor, len(times)),
            np.tile(rssi_dbm[sensor], len(times)),
        )

    return heard
