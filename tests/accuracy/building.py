"""A made-up mall of three levels, 120 m by 60 m each, with sensors on a grid that nobody hung quite straight."""

from __future__ import annotations

import numpy as np
from shapely import Polygon, box

from engine.plan import Level, Plan, Sensor, Way, Zone

WIDTH_M, DEPTH_M, LEVELS = 120.0, 60.0, 3
STOREY_M = 5.0
# How far a sensor hangs from its place on the grid, along each axis, as a share of the grid's step.
JITTER = 0.15
# Open from the ground to the roof: the two upper levels are holed by it.
ATRIUM = box(50, 22, 70, 38)

WAYS = (
    Way("stairs-west", "stairs", ("L0", "L1", "L2"), 12.0, 10.0),
    Way("stairs-east", "stairs", ("L0", "L1", "L2"), 108.0, 50.0),
    Way("lift", "lift", ("L0", "L1", "L2"), 44.0, 30.0),
    Way("escalator-low", "escalator", ("L0", "L1"), 76.0, 26.0),
    Way("escalator-high", "escalator", ("L1", "L2"), 76.0, 34.0),
)


def mall(draw: np.random.Generator, *, m2_per_sensor: float, zone_m: float, atrium: bool) -> Plan:
    """The mall with one sensor on so many square metres, tiled by square zones.

    The same state of *draw* gives the same sensors, whatever the zones.
    """
    step_m = np.sqrt(m2_per_sensor)
    columns, rows = round(WIDTH_M / step_m), round(DEPTH_M / step_m)
    levels, zones, sensors = [], [], []
    for ordinal in range(LEVELS):
        key = f"L{ordinal}"
        levels.append(Level(key, ordinal, {"en": key, "zh-Hans": key}, key, _outline(ordinal, atrium)))
        for west_m in np.arange(0, WIDTH_M, zone_m).tolist():
            for south_m in np.arange(0, DEPTH_M, zone_m).tolist():
                name = f"{key}:{west_m:.0f},{south_m:.0f}"
                tile = box(west_m, south_m, west_m + zone_m, south_m + zone_m)
                zones.append(Zone(name, key, {"en": name, "zh-Hans": name}, "unit", tile))
        grid = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).reshape(-1, 2)
        spots_m = (grid + 0.5 + draw.normal(0, JITTER, grid.shape)) * (WIDTH_M / columns, DEPTH_M / rows)
        sensors += [Sensor(f"{key}-{row}", key, x_m, y_m) for row, (x_m, y_m) in enumerate(spots_m.tolist())]
    return Plan(
        "simulated", tuple(levels), tuple(zones), tuple(sensors), WAYS, width_m=WIDTH_M, height_m=DEPTH_M
    )  # fmt: skip


def _outline(ordinal: int, atrium: bool) -> Polygon:
    whole = box(0, 0, WIDTH_M, DEPTH_M)
    return Polygon(whole.exterior, [ATRIUM.exterior]) if atrium and ordinal else whole
