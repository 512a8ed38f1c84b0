"""A mall small enough to think about: two levels with a corner missing and a void, eight zones, twelve sensors."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from shapely import Polygon, box


class Level(NamedTuple):
    key: str
    outline: Polygon


class Zone(NamedTuple):
    key: str
    level: str
    kind: str
    polygon: Polygon
    shop: str | None = None
    no_marketing: bool = False


class Way(NamedTuple):
    key: str
    kind: str
    levels: tuple[str, ...]
    x_m: float
    y_m: float


class Sensor(NamedTuple):
    key: str
    level: str
    x_m: float
    y_m: float


class Mall(NamedTuple):
    levels: tuple[Level, ...]
    zones: tuple[Zone, ...]
    sensors: tuple[Sensor, ...]
    ways: tuple[Way, ...]


@pytest.fixture(scope="session")
def mall() -> Mall:
    return Mall(
        levels=(
            Level("G", box(0, 0, 60, 36).difference(box(44, 24, 60, 36))),
            Level("U", box(0, 0, 60, 36).difference(box(26, 14, 36, 22))),
        ),
        zones=(
            Zone("gate", "G", "entrance", box(0, 14, 6, 22)),
            Zone("hall", "G", "corridor", box(6, 14, 60, 22)),
            Zone("cafe-luna", "G", "cafe", box(8, 0, 22, 13), "cafe-luna"),
            Zone("threads", "G", "fashion", box(24, 0, 42, 13), "threads"),
            Zone("clinic", "G", "clinic", box(8, 24, 20, 36), no_marketing=True),
            Zone("noodle-hut", "U", "restaurant", box(2, 0, 24, 12), "noodle-hut"),
            Zone("petal", "U", "beauty", box(30, 0, 46, 12), "petal"),
            Zone("cinema", "U", "cinema", box(2, 24, 30, 36), "cinema"),
        ),
        sensors=tuple(
            Sensor(f"{level.lower()}{column}{row}", level, 10.0 + 20 * column, 9.0 + 18 * row)
            for level in ("G", "U")
            for column in range(3)
            for row in range(2)
        ),
        ways=(
            Way("door", "entrance", ("G",), 1.0, 18.0),
            Way("stairs", "stairs", ("G", "U"), 40.0, 18.0),
            Way("lift", "lift", ("G", "U"), 12.0, 18.0),
        ),
    )
