"""The border between zones.geojson and the plan: RFC 7946 GeoJSON in the words of IMDF, checked as a whole.

A plan is drawn by hand, so every fault is told at once, by feature and with the way out.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
import shapely
from shapely import Point, Polygon

from engine import imdf
from engine.geo import Anchor
from engine.plan import Level, Plan, PlanError, Sensor, Way, Zone

# Borders that are meant to coincide are drawn by hand and miss each other by centimetres.
SLACK_M2 = 1.0
SLACK_M = 0.5

Feature = dict[str, Any]
Properties = TypeVar("Properties", imdf.Venue, imdf.LevelFeature, imdf.Geofence, imdf.SensorFeature, imdf.WayFeature)
Geometry = TypeVar("Geometry", imdf.Area, imdf.Line, imdf.Spot)


def read(path: Path) -> Plan:
    """Read a zones.geojson. Raises PlanError, or OSError if it cannot be opened."""
    try:
        collection = msgspec.json.decode(path.read_bytes())
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise PlanError([f"{path}: not JSON ({problem}); export it again as GeoJSON"]) from problem
    return parse(collection)


def parse(collection: object) -> Plan:
    """Check a whole FeatureCollection and make the Plan of it. Raises PlanError with every fault."""
    features = collection.get("features") if isinstance(collection, dict) else None
    if not isinstance(features, list) or not all(isinstance(feature, dict) for feature in features):
        raise PlanError(["not a GeoJSON FeatureCollection with a list of features; export the whole layer again"])
    return _Reading(features).plan()


class _Reading:
    """One pass over the features: makes what can be made and notes a fault for what cannot."""

    def __init__(self, features: Sequence[Feature]) -> None:
        self.faults: list[str] = []
        self.by_type: dict[str, list[Feature]] = {}
        for feature in features:
            self.by_type.setdefault(imdf.type_of(feature), []).append(feature)
        known = imdf.READ | imdf.ONLY_DRAWN
        for unknown in self.by_type.keys() - known:
            for feature in self.by_type[unknown]:
                self.fault(feature, f"not a feature_type we know; use one of {', '.join(sorted(known))}")
        self.level_of: dict[str, Level] = {}  # by the level feature's id
        self.unusable_levels: set[str] = set()

    def fault(self, feature: Feature, what: str) -> None:
        key = imdf.properties_of(feature).get("key")
        self.faults.append(f"{imdf.type_of(feature)} {key} (id {feature.get('id')}): {what}")

    def typed(
        self, of_type: str, properties: type[Properties], geometry: type[Geometry]
    ) -> list[tuple[Feature, Properties, Geometry]]:
        """The features of a type with their properties and geometry as types; the others are faults."""
        found = []
        for feature in self.by_type.get(of_type, []):
            try:
                told = msgspec.convert(feature.get("properties"), properties)
                shape = msgspec.convert(feature.get("geometry"), geometry)
            except msgspec.ValidationError as problem:
                self.fault(feature, f"{problem}; correct that field or delete the feature")
                continue
            found.append((feature, told, shape))
        return found

    def plan(self) -> Plan:
        venues = self.typed("venue", imdf.Venue, imdf.Area)
        if len(venues) != 1:
            self.faults.append(f"{len(venues)} usable venue features; draw one, with its anchor, bearing and size")
            raise PlanError(self.faults)
        self.venue = venues[0][1]
        self.anchor = Anchor(self.venue.anchor_lon, self.venue.anchor_lat, self.venue.bearing_deg)
        self.read_levels()
        zones = self.read_zones()
        sensors = self.read_sensors()
        ways = self.read_ways()
        self.check_reach(ways)
        if self.faults:
            raise PlanError(self.faults)
        return Plan(
            site=self.venue.key,
            levels=tuple(sorted(self.level_of.values(), key=lambda level: level.ordinal)),
            zones=zones,
            sensors=sensors,
            ways=ways,
            anchor=self.anchor,
            width_m=self.venue.width_m,
            height_m=self.venue.height_m,
        )

    # -- geometry ---------------------------------------------------------------------------------

    def metres(self, coordinates: Sequence[Sequence[float]]) -> list[tuple[float, float]]:
        degrees = np.array([position[:2] for position in coordinates], np.float64)
        return [(float(x), float(y)) for x, y in self.anchor.to_metres(degrees)]

    def polygon(self, feature: Feature, shape: imdf.Area) -> Polygon | None:
        rings = [self.metres(ring) for ring in shape.coordinates]
        polygon = Polygon(rings[0], rings[1:])
        if not polygon.is_valid or polygon.area < SLACK_M2:
            why = shapely.is_valid_reason(polygon) if not polygon.is_valid else f"only {polygon.area:.2f} m2"
            self.fault(feature, f"not a usable area ({why}, in local metres); redraw it as one simple closed shape")
            return None
        return polygon

    def unique(self, found: Sequence[tuple[Feature, Any, object]]) -> None:
        keys, ids = set[str](), set[str]()
        for feature, told, _ in found:
            if told.key in keys:
                self.fault(feature, "another one has this key; give each its own")
            if not isinstance(feature.get("id"), str) or feature["id"] in ids:
                self.fault(feature, "its id is missing or taken; give each feature an id of its own, a UUID")
            keys.add(told.key)
            ids.add(str(feature.get("id")))

    def bilingual(self, feature: Feature, name: imdf.Names) -> None:
        missing = [language for language in imdf.LANGUAGES if not name.get(language, "").strip()]
        if missing:
            self.fault(feature, f"has no name in {' and '.join(missing)}; add it to *name*")

    def levels_named(self, feature: Feature, level_ids: Sequence[str]) -> list[Level]:
        unknown = [said for said in level_ids if said not in self.level_of and said not in self.unusable_levels]
        if unknown:
            self.fault(feature, f"unknown level {', '.join(unknown)}; level_ids holds the id of a level feature")
        return [self.level_of[said] for said in level_ids if said in self.level_of]

    def inside(self, feature: Feature, level: Level, at: Point) -> None:
        # Holes are voids, and a sensor may well hang over one.
        if min(Polygon(part.exterior).distance(at) for part in shapely.get_parts(level.outline)) > SLACK_M:
            self.fault(feature, f"stands at ({at.x:.1f}, {at.y:.1f}) m, outside of {level.key}; move it inside")

    def copy_agrees(self, feature: Feature, copy: str | None, level: Level) -> None:
        if copy is not None and copy != level.key:
            self.fault(feature, f"*level* says {copy} but level_ids says {level.key}; make both the same")

    # -- features ---------------------------------------------------------------------------------

    def read_levels(self) -> None:
        found = self.typed("level", imdf.LevelFeature, imdf.Area)
        self.unique(found)
        if not self.by_type.get("level"):
            self.faults.append("no levels; draw one level feature for each floor")
        site = shapely.box(0, 0, self.venue.width_m, self.venue.height_m).buffer(SLACK_M)
        ordinals: set[int] = set()
        for feature, told, shape in found:
            self.bilingual(feature, told.name)
            if told.ordinal in ordinals:
                self.fault(feature, f"another level has the ordinal {told.ordinal}; number them from below")
            ordinals.add(told.ordinal)
            outline = self.polygon(feature, shape)
            if outline is None:
                continue
            if not site.covers(outline):
                self.fault(feature, "reaches out of the site; correct it, or the venue's anchor, bearing or size")
            short_name = {"en": told.key} | told.short_name
            self.level_of[str(feature.get("id"))] = Level(told.key, told.ordinal, told.name, short_name, outline)
        # Their own fault is told; what lies on them is not faulty for it.
        self.unusable_levels = {str(feature.get("id")) for feature in self.by_type.get("level", [])} - set(
            self.level_of
        )

    def read_zones(self) -> tuple[Zone, ...]:
        found = self.typed("geofence", imdf.Geofence, imdf.Area)
        self.unique(found)
        drawn: list[tuple[Feature, imdf.Geofence, Zone]] = []
        for feature, told, shape in found:
            self.bilingual(feature, told.name)
            polygon, levels = self.polygon(feature, shape), self.levels_named(feature, told.level_ids)
            if polygon is None or not levels:
                continue
            level = levels[0]
            self.copy_agrees(feature, told.level, level)
            outside_m2 = polygon.difference(level.outline).area
            if outside_m2 > SLACK_M2:
                self.fault(feature, f"{outside_m2:.1f} m2 of it lie outside of {level.key}; pull it inside the outline")
            tags = tuple(told.tags)
            zone = Zone(told.key, level.key, told.name, told.kind, polygon, tags, told.shop, told.no_marketing)
            drawn.append((feature, told, zone))
        self.check_nesting(drawn)
        traded: dict[str, str] = {}
        for feature, _, zone in drawn:
            if zone.shop is not None and traded.setdefault(zone.shop, zone.key) != zone.key:
                self.fault(feature, f"shop {zone.shop} already trades in {traded[zone.shop]}; a shop has one zone")
        return tuple(zone for _, _, zone in drawn)

    def check_nesting(self, drawn: list[tuple[Feature, imdf.Geofence, Zone]]) -> None:
        """Zones overlap only where one names the other as parent, and then lies within it."""
        by_id = {str(feature.get("id")): zone for feature, _, zone in drawn}
        nested: set[frozenset[str]] = set()
        for feature, told, zone in drawn:
            for parent_id in told.parents or []:
                parent = by_id.get(parent_id)
                if parent is None or parent.level != zone.level:
                    self.fault(feature, f"parent {parent_id} is no zone of {zone.level}; *parents* holds zone ids")
                    continue
                nested.add(frozenset((zone.key, parent.key)))
                if zone.polygon.difference(parent.polygon).area > SLACK_M2:
                    self.fault(feature, f"reaches out of its parent {parent.key}; pull it inside or drop the parent")
        for (_, _, one), (feature, _, other) in combinations(drawn, 2):
            if one.level != other.level or frozenset((one.key, other.key)) in nested:
                continue
            common_m2 = one.polygon.intersection(other.polygon).area
            if common_m2 > SLACK_M2:
                self.fault(feature, f"overlaps {one.key} by {common_m2:.1f} m2; part them or name it in *parents*")

    def read_sensors(self) -> tuple[Sensor, ...]:
        found = self.typed("sensor", imdf.SensorFeature, imdf.Spot)
        self.unique(found)
        sensors, beside = [], set[bytes]()
        for feature, told, shape in found:
            bssid = bytes.fromhex(told.bssid.replace(":", "")) if told.bssid else None
            if bssid is not None and bssid in beside:
                self.fault(feature, f"another sensor has the bssid {told.bssid}, too; give each its own")
            beside |= {bssid} if bssid else set()
            ((x_m, y_m),) = self.metres([shape.coordinates])
            for level in self.levels_named(feature, told.level_ids):
                self.copy_agrees(feature, told.level, level)
                self.inside(feature, level, Point(x_m, y_m))
                sensors.append(Sensor(told.key, level.key, x_m, y_m, bssid))
        return tuple(sensors)

    def read_ways(self) -> tuple[Way, ...]:
        for name in ("amenity", "opening"):
            self.by_type[name] = [f for f in self.by_type.get(name, []) if "kind" in imdf.properties_of(f)]
        found = [
            *(
                (feature, told, [at.coordinates])
                for feature, told, at in self.typed("amenity", imdf.WayFeature, imdf.Spot)
            ),
            *(
                (feature, told, door.coordinates)
                for feature, told, door in self.typed("opening", imdf.WayFeature, imdf.Line)
            ),
        ]
        self.unique(found)
        ways = []
        for feature, told, places in found:
            x_m, y_m = np.mean(self.metres([places[0], places[-1]]), axis=0)
            at = Point(x_m, y_m)
            levels = sorted(self.levels_named(feature, told.level_ids), key=lambda level: level.ordinal)
            if (len(told.level_ids) > 1) == (told.kind == "entrance"):
                self.fault(feature, "an entrance is on one level, any other way on two or more; correct level_ids")
            for level in levels:
                self.inside(feature, level, at)
            ways.append(Way(told.key, told.kind, tuple(level.key for level in levels), at.x, at.y))
        return tuple(ways)

    def check_reach(self, ways: Sequence[Way]) -> None:
        """Positions change level only along ways, so a level without one would stay empty for ever."""
        if self.unusable_levels:
            return
        levels = sorted(self.level_of.values(), key=lambda level: level.ordinal)
        reached = {level.key for level in levels[:1]}
        for _ in levels:
            reached |= {key for way in ways if reached & set(way.levels) for key in way.levels}
        self.faults.extend(
            f"level {level.key}: no way leads there from {levels[0].key}; draw stairs, a lift or an escalator"
            for level in levels
            if level.key not in reached
        )
