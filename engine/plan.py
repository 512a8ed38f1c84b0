"""The mall as the engine knows it: levels, zones, sensors and the ways between levels, in local metres.

x points right and y up, from the plan's lower-left corner; every level lies in the same frame, so a lift has one
(x, y) on all of them. zones.geojson is one way to get a Plan (engine.zones_file reads it); recorded malls without
such a file build one directly from its parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import shapely
from shapely import MultiPolygon, Polygon

from engine.geo import Anchor, Floats
from engine.plainly import SaidPlainly

Ints = npt.NDArray[np.int64]
WayKind = Literal["stairs", "lift", "escalator", "entrance"]

NOWHERE = -1  # the zone index of a place in no zone


class PlanError(SaidPlainly):
    """The plan cannot be used. *faults* holds every fault found: which feature, what is wrong, and the way out."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


@dataclass(frozen=True)
class Level:
    """One floor. outline is its walkable area, in several parts where it is of several buildings; a void that looks
    down to the level below is a hole in it."""

    key: str
    ordinal: int  # order from below; 0 is the ground
    name: Mapping[str, str]  # language -> text
    short_name: Mapping[str, str]
    outline: Polygon | MultiPolygon


@dataclass(frozen=True)
class Zone:
    """A named area on one level: a shop, a stretch of corridor, an entrance."""

    key: str
    level: str
    name: Mapping[str, str]  # language -> text
    kind: str
    polygon: Polygon
    tags: tuple[str, ...] = ()
    shop: str | None = None  # the shop whose offers are spent here
    no_marketing: bool = False


@dataclass(frozen=True)
class Sensor:
    """Where a sensor hangs. bssid  six octets, of the access point beside it whose beacons other sensors hear"""

    key: str
    level: str
    x_m: float
    y_m: float
    bssid: bytes | None = None


@dataclass(frozen=True)
class Way:
    """Where people change level or, for an entrance, come and go."""

    key: str
    kind: WayKind
    levels: tuple[str, ...]
    x_m: float
    y_m: float


@dataclass(frozen=True, eq=False)
class Plan:
    """One mall. Rows of every array follow the order of the tuple they describe; levels are ordered from below."""

    site: str
    levels: tuple[Level, ...]
    zones: tuple[Zone, ...]
    sensors: tuple[Sensor, ...]
    ways: tuple[Way, ...] = ()
    anchor: Anchor = field(default=Anchor(0.0, 0.0, 0.0))
    width_m: float = 0.0
    height_m: float = 0.0

    @staticmethod
    def read(path: Path) -> Plan:
        """Read a zones.geojson. Raises PlanError with every fault in it, OSError if it cannot be opened."""
        from engine.zones_file import read

        return read(path)

    @staticmethod
    def parse(collection: object) -> Plan:
        """Read the FeatureCollection of a zones.geojson, already parsed from JSON. Raises PlanError."""
        from engine.zones_file import parse

        return parse(collection)

    @cached_property
    def level_index(self) -> dict[str, int]:
        return {level.key: row for row, level in enumerate(self.levels)}

    @cached_property
    def zone_index(self) -> dict[str, int]:
        return {zone.key: row for row, zone in enumerate(self.zones)}

    @cached_property
    def sensor_index(self) -> dict[str, int]:
        return {sensor.key: row for row, sensor in enumerate(self.sensors)}

    @cached_property
    def anchors_m(self) -> Floats:
        """(sensors, 2): where each sensor hangs."""
        return np.array([(sensor.x_m, sensor.y_m) for sensor in self.sensors], np.float64).reshape(-1, 2)

    @cached_property
    def sensor_level(self) -> Ints:
        """(sensors,): the level each sensor hangs on."""
        return np.array([self.level_index[sensor.level] for sensor in self.sensors], np.int64)

    @cached_property
    def zone_level(self) -> Ints:
        """(zones,): the level each zone lies on."""
        return np.array([self.level_index[zone.level] for zone in self.zones], np.int64)

    @cached_property
    def _largest_first(self) -> list[list[int]]:
        """For each level its zones by falling area, so that painting them in turn lets the smaller one win."""
        shapely.prepare([zone.polygon for zone in self.zones])
        order = sorted(range(len(self.zones)), key=lambda row: (-self.zones[row].polygon.area, -row))
        return [[row for row in order if self.zone_level[row] == level] for level in range(len(self.levels))]

    def zones_at(self, level: Ints, xy_m: Floats) -> Ints:
        """The zone of each place; where zones overlap the smallest wins, then the first of the plan.

        level  (N,) rows of levels;  xy_m  (N, 2) local metres
        Returns (N,) rows of zones, NOWHERE in no zone. A border belongs to both its zones, so no place falls between.
        """
        found = np.full(len(xy_m), NOWHERE, np.int64)
        for here, zones in enumerate(self._largest_first):
            rows = np.flatnonzero(level == here)
            # In order of x_m, as most zones are narrow beside a level.
            rows = rows[np.argsort(xy_m[rows, 0], kind="stable")]
            x_m, y_m = xy_m[rows, 0], xy_m[rows, 1]
            for zone in zones:
                polygon = self.zones[zone].polygon
                west_m, _, east_m, _ = polygon.bounds
                near = slice(np.searchsorted(x_m, west_m), np.searchsorted(x_m, east_m, "right"))
                found[rows[near][shapely.intersects_xy(polygon, x_m[near], y_m[near])]] = zone
        return found

    def shops(self) -> dict[str, Zone]:
        """Each shop and the zone it trades in."""
        return {zone.shop: zone for zone in self.zones if zone.shop is not None}
