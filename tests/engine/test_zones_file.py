"""The demo mall's file opens in GIS programs as it is, and describes a mall one can walk."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from uuid import UUID

import numpy as np
import pyogrio
import pytest
import shapely

from engine.plan import Plan, PlanError
from sensors.air import bssid_of

FILE = Path(__file__).parents[2] / "zones.geojson"
MALL = Plan.read(FILE)
FEATURES = json.loads(FILE.read_bytes())["features"]


@pytest.fixture(scope="module")
def table():
    """What GDAL, and so QGIS, makes of the file: its facts and each field as a column."""
    facts, _, geometry, columns = pyogrio.raw.read(FILE)
    return facts, geometry, dict(zip(facts["fields"], columns, strict=True))


def of(feature_type):
    return [feature for feature in FEATURES if feature["feature_type"] == feature_type]


# -- in GIS programs ------------------------------------------------------------------------------


def test_gdal_reads_every_feature(table):
    facts, geometry, _ = table
    parts = (MALL.levels, MALL.zones, MALL.sensors, MALL.ways)
    assert len(geometry) == len(FEATURES) == 1 + sum(map(len, parts))
    assert facts["crs"] == "EPSG:4326"


def test_gdal_has_flat_columns_to_label_and_filter_by(table):
    _, _, columns = table
    row = list(columns["key"]).index("cafe-luna")
    said = {name: columns[name][row] for name in ("feature_type", "label", "label_zh", "level", "ordinal", "kind")}
    assert said == {
        "feature_type": "geofence",
        "label": "Café Luna",
        "label_zh": "月光咖啡",
        "level": "L1",
        "ordinal": 0,
        "kind": "cafe",
    }


def test_gdal_keeps_names_in_both_languages(table):
    _, _, columns = table
    row = list(columns["key"]).index("izakaya-k")
    assert json.loads(columns["name"][row]) == {"en": "Izakaya K", "zh-Hans": "K居酒屋"}


def test_gdal_finds_no_shape_at_fault(table):
    _, geometry, _ = table
    assert shapely.is_valid(shapely.from_wkb(geometry)).all()


def test_flat_copies_say_what_the_names_say():
    for feature in [*of("geofence"), *of("level"), *of("amenity"), *of("opening"), *of("venue")]:
        said = feature["properties"]
        assert said["name"] == {"en": said["label"], "zh-Hans": said["label_zh"]}
        assert said["feature_type"] == feature["feature_type"]


def test_the_file_is_rfc_7946_with_a_uuid_for_every_feature():
    assert "crs" not in json.loads(FILE.read_bytes())
    assert len({UUID(feature["id"]) for feature in FEATURES}) == len(FEATURES)
    for feature in FEATURES:
        if feature["geometry"]["type"] == "Polygon":
            outer, *holes = (shapely.LinearRing(ring) for ring in feature["geometry"]["coordinates"])
            assert outer.is_ccw and not any(hole.is_ccw for hole in holes)


def test_one_feature_stands_on_each_line():
    lines = FILE.read_text("utf-8").splitlines()
    assert [json.loads(line.rstrip(","))["id"] for line in lines[1:-1]] == [feature["id"] for feature in FEATURES]


# -- a mall ---------------------------------------------------------------------------------------


def test_the_mall_is_large_enough_for_a_day_out():
    assert (len(MALL.levels), len(MALL.zones) >= 30, len(MALL.sensors) >= 44) == (3, True, True)


def test_every_trade_of_the_day_out_is_there():
    trades = Counter(zone.kind for zone in MALL.zones)
    least = {"cafe": 3, "fashion": 5, "beauty": 2, "restaurant": 4, "cinema": 1, "entrance": 3, "atrium": 3}
    least |= {"books": 1, "electronics": 1, "supermarket": 1, "kids": 1, "clinic": 1, "prayer": 1, "taxi": 1}
    assert trades >= Counter(least)


@pytest.mark.parametrize(
    "shop", ["cafe-luna", "noodle-hut", "grill-9", "beauty-bar", "cine-12", "izakaya-k", "trattoria", "taxi-rank"]
)
def test_shops_that_the_rule_book_names_are_there(shop):
    assert MALL.shops()[shop].key == shop


def test_clinic_prayer_and_children_are_left_alone():
    assert {z.key for z in MALL.zones if z.no_marketing} == {"clinic", "prayer-room", "kids-play", "family-room"}


def test_no_shop_trades_where_marketing_is_not_allowed():
    assert not any(zone.no_marketing for zone in MALL.shops().values())


def test_every_zone_is_named_in_both_languages_and_no_name_twice():
    for language in ("en", "zh-Hans"):
        names = [zone.name[language] for zone in MALL.zones]
        assert all(names) and len(set(names)) == len(names)


def test_zones_are_wide_enough_to_be_told_apart():
    boxes = [shapely.get_coordinates(shapely.minimum_rotated_rectangle(zone.polygon)) for zone in MALL.zones]
    short_m = [np.linalg.norm(np.diff(corners[:3], axis=0), axis=1).min() for corners in boxes]
    assert min(short_m) > 11.9


def test_zones_meet_wall_to_wall_and_fill_their_level():
    for level in MALL.levels:
        stalls = {feature["properties"]["key"] for feature in of("geofence") if feature["properties"]["parents"]}
        walls = [zone.polygon for zone in MALL.zones if zone.level == level.key and zone.key not in stalls]
        assert shapely.coverage_is_valid(walls)
        assert shapely.union_all(walls).symmetric_difference(level.outline).area < 0.1


def test_every_zone_can_be_walked_into_from_the_doors():
    """Zones that share a front of 2 m or more are one walk apart; ways join levels."""
    near = {zone.key: {zone.key} for zone in MALL.zones}
    for one in MALL.zones:
        for other in MALL.zones:
            front_m = one.polygon.boundary.intersection(other.polygon.buffer(0.01)).length
            if one.level == other.level and (front_m >= 2 or one.polygon.contains(other.polygon)):
                near[one.key].add(other.key)
                near[other.key].add(one.key)
    at_ways = {way.key: _zones_at(way) for way in MALL.ways}
    reached = {zone for way in MALL.ways if way.kind == "entrance" for zone in at_ways[way.key]}
    for _ in MALL.zones:
        reached |= {other for zone in reached for other in near[zone]}
        reached |= {zone for zones in at_ways.values() if reached & set(zones) for zone in zones}
    assert reached == {zone.key for zone in MALL.zones}


def _zones_at(way):
    level = np.array([MALL.level_index[key] for key in way.levels])
    return [MALL.zones[row].key for row in MALL.zones_at(level, np.array([[way.x_m, way.y_m]] * len(level)))]


def test_ways_stand_on_the_floor_and_not_in_a_shop():
    kinds = {MALL.zones[MALL.zone_index[key]].kind for way in MALL.ways for key in _zones_at(way)}
    assert kinds <= {"corridor", "atrium", "entrance", "taxi"}


def test_a_sensor_hangs_within_15_m_of_nearly_every_place():
    for row, level in enumerate(MALL.levels):
        xy_m = np.random.default_rng(3).uniform((0, 0), (MALL.width_m, MALL.height_m), (4000, 2))
        xy_m = xy_m[shapely.intersects_xy(level.outline, xy_m)]
        hung = MALL.anchors_m[MALL.sensor_level == row]
        nearest_m = np.linalg.norm(xy_m[:, None] - hung, axis=2).min(axis=1)
        assert np.quantile(nearest_m, 0.95) < 15


def test_beside_each_sensor_of_the_demo_hangs_the_access_point_that_its_crowd_hears():
    assert {sensor.key: sensor.bssid for sensor in MALL.sensors} == {s.key: bssid_of(s.key) for s in MALL.sensors}


@pytest.mark.parametrize(("bssid", "says"), [("06:00", "bssid"), (of("sensor")[1]["properties"]["bssid"], "give each")])
def test_an_address_that_is_none_or_taken_is_a_fault(bssid, says):
    features = json.loads(json.dumps(FEATURES))
    first = next(feature for feature in features if feature["feature_type"] == "sensor")
    first["properties"]["bssid"] = bssid
    with pytest.raises(PlanError, match=says):
        Plan.parse({"type": "FeatureCollection", "features": features})
