"""What the features of a zones.geojson hold, as far as the engine reads them.

The words are those of IMDF (OGC 20-094); `key`, `kind`, `shop`, `no_marketing`, `tags` are ours. `label`, `label_zh`,
`level` and `ordinal` are flat copies for GIS programs, which cannot show nested names: only `level` is read here, to
tell when it was edited and `level_ids` was not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from engine.plan import WayKind
from sensors.wire import Name

LANGUAGES = ("en", "zh-Hans")
READ = {"venue", "level", "geofence", "sensor", "amenity", "opening"}
# Feature types of IMDF that are for the eye or for other programs, and mean nothing to the engine.
ONLY_DRAWN = {"address", "anchor", "building", "detail", "fixture", "footprint", "kiosk", "occupant"}
ONLY_DRAWN |= {"relationship", "section", "unit"}

Degrees = Annotated[float, msgspec.Meta(ge=-180, le=180)]
# Longitude and latitude, then perhaps an altitude in metres. The bounds keep out what is no number.
Position = Annotated[
    list[Annotated[float, msgspec.Meta(ge=-20_000, le=20_000)]], msgspec.Meta(min_length=2, max_length=3)
]
Ring = Annotated[list[Position], msgspec.Meta(min_length=4)]
Metres = Annotated[float, msgspec.Meta(gt=0, le=5000)]
Names = dict[str, str]  # language -> text
OneLevel = Annotated[list[str], msgspec.Meta(min_length=1, max_length=1)]


class Area(msgspec.Struct, tag_field="type", tag="Polygon"):
    coordinates: Annotated[list[Ring], msgspec.Meta(min_length=1)]


class Line(msgspec.Struct, tag_field="type", tag="LineString"):
    coordinates: Annotated[list[Position], msgspec.Meta(min_length=2)]


class Spot(msgspec.Struct, tag_field="type", tag="Point"):
    coordinates: Position


class Venue(msgspec.Struct):
    """The site: where its lower-left corner stands on the Earth, how it is turned, how large it is."""

    key: Name
    anchor_lon: Degrees
    anchor_lat: Annotated[float, msgspec.Meta(ge=-85, le=85)]  # metres per degree run out at the poles
    bearing_deg: Annotated[float, msgspec.Meta(ge=-360, le=360)]
    width_m: Metres
    height_m: Metres


class LevelFeature(msgspec.Struct):
    key: Name
    ordinal: int
    name: Names
    short_name: Names


class Geofence(msgspec.Struct):
    """A zone; *parents* holds the ids of the zones it deliberately lies in."""

    key: Name
    name: Names
    level_ids: OneLevel
    kind: Name
    parents: list[str] | None = None
    tags: list[str] = []
    shop: Name | None = None
    no_marketing: bool = False
    level: str | None = None


class SensorFeature(msgspec.Struct):
    """*bssid* is the address of the access point beside the sensor: other sensors hear its beacons."""

    key: Name
    level_ids: OneLevel
    bssid: Annotated[str, msgspec.Meta(pattern=r"^([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}$")] | None = None
    level: str | None = None


class WayFeature(msgspec.Struct):
    """An amenity (a point on two or more levels) or an opening (a line across a door) that has a *kind*."""

    key: Name
    kind: WayKind
    level_ids: Annotated[list[str], msgspec.Meta(min_length=1)]


def properties_of(feature: Mapping[str, Any]) -> dict[str, Any]:
    """The feature's properties; none where it has something else in their place."""
    properties = feature.get("properties")
    return properties if isinstance(properties, dict) else {}


def type_of(feature: Mapping[str, Any]) -> str:
    """The feature_type. Programs that know only GeoJSON drop it beside *properties*, so there is a copy within."""
    return str(feature.get("feature_type") or properties_of(feature).get("feature_type"))
