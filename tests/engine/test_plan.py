"""The plan says where a place is; its file is refused with every fault it has."""

from __future__ import annotations

import copy
import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import shape

from engine.geo import Anchor
from engine.plan import NOWHERE, Level, Plan, PlanError, Sensor, Zone

FILE = Path(__file__).parents[2] / "zones.geojson"
MALL = Plan.read(FILE)
ON_DISK = json.loads(FILE.read_bytes())


def smallest_zone(plan, level, x_m, y_m):
    """The rule for one place, said with plain shapely."""
    place = shapely.Point(x_m, y_m)
    around = [z for z in plan.zones if z.level == plan.levels[level].key and z.polygon.covers(place)]
    return min(around, key=lambda z: z.polygon.area).key if around else None


def named(plan, rows):
    return [None if row == NOWHERE else plan.zones[row].key for row in rows]


@given(st.lists(st.tuples(st.integers(0, 2), st.floats(-5, 137), st.floats(-5, 77)), max_size=40))
def test_many_places_are_zoned_as_one_by_one(places):
    level = np.array([level for level, _, _ in places], np.int64)
    xy_m = np.array([(x_m, y_m) for _, x_m, y_m in places], np.float64).reshape(-1, 2)
    assert named(MALL, MALL.zones_at(level, xy_m)) == [smallest_zone(MALL, *place) for place in places]


def test_no_place_of_a_floor_falls_between_zones():
    rng = np.random.default_rng(1)
    for row, level in enumerate(MALL.levels):
        xy_m = rng.uniform((0, 0), (MALL.width_m, MALL.height_m), (10_000, 2))
        inside = shapely.intersects_xy(level.outline.buffer(-0.01), xy_m)
        assert (MALL.zones_at(np.full(len(xy_m), row), xy_m)[inside] != NOWHERE).all()


def test_a_stall_wins_over_the_hall_around_it():
    xy_m = np.array([[10.0, 60.0], [10.0, 48.0]])
    assert named(MALL, MALL.zones_at(np.array([2, 2]), xy_m)) == ["dumpling-bar", "food-court"]


def test_the_void_above_the_court_is_nowhere():
    xy_m = np.array([[60.0, 36.0]] * 3)
    assert named(MALL, MALL.zones_at(np.arange(3), xy_m)) == ["atrium-1", None, None]


@pytest.mark.parametrize("mall", ["grand-place", "caserne"])
def test_real_malls_with_holes_and_overlaps_are_zoned_as_one_by_one(shared, mall):
    rooms = json.loads(gzip.decompress((shared / "indoor-maps" / f"{mall}.geojson.gz").read_bytes()))["features"]
    rooms = [r for r in rooms if "Polygon" in r["geometry"]["type"] and r["properties"].get("name")]
    west, south = np.min([shape(r["geometry"]).bounds[:2] for r in rooms], axis=0)
    anchor = Anchor(west, south, 0.0)
    drawn = [shapely.transform(shape(r["geometry"]), anchor.to_metres) for r in rooms]
    zones = tuple(
        Zone(room["properties"].get("id", str(n)), "0", {}, "room", polygon)
        for n, (room, polygon) in enumerate(zip(rooms, drawn, strict=True))
        if polygon.is_valid
    )
    plan = Plan(mall, (Level("0", 0, {}, {}, shapely.box(0, 0, 500, 500)),), zones, (), anchor=anchor)
    xy_m = np.random.default_rng(2).uniform((0, 0), shapely.total_bounds(drawn)[2:], (10_000, 2))
    found = plan.zones_at(np.zeros(len(xy_m), np.int64), xy_m)
    covers = np.array([shapely.intersects_xy(zone.polygon, xy_m) for zone in zones])
    area = np.where(covers, np.array([[zone.polygon.area] for zone in zones]), np.inf)
    assert np.array_equal(found, np.where(covers.any(axis=0), area.argmin(axis=0), NOWHERE))
    assert (found != NOWHERE).sum() > 500


def test_a_plan_can_be_built_without_a_file():
    floor = Level("F1", 0, {}, {}, shapely.box(0, 0, 50, 30))
    plan = Plan("site1", (floor,), (), (Sensor("a", "F1", 1.0, 2.0), Sensor("b", "F1", 3.0, 4.0)))
    assert (plan.anchors_m.tolist(), plan.sensor_level.tolist()) == ([[1.0, 2.0], [3.0, 4.0]], [0, 0])


def test_columns_follow_the_order_of_the_plan():
    sensor = MALL.sensors[MALL.sensor_index["s212"]]
    assert MALL.anchors_m[MALL.sensor_index["s212"]].tolist() == [sensor.x_m, sensor.y_m]
    assert MALL.levels[MALL.sensor_level[MALL.sensor_index["s212"]]].key == "L2"
    assert MALL.levels[MALL.zone_level[MALL.zone_index["cine-12"]]].key == "L3"


def test_a_shop_is_found_by_its_key():
    assert MALL.shops()["cafe-luna"].name == {"en": "Café Luna", "zh-Hans": "月光咖啡"}


# -- faults ---------------------------------------------------------------------------------------


def pick(collection, key):
    (feature,) = [feature for feature in collection["features"] if feature["properties"]["key"] == key]
    return feature


def ids(*keys):
    return [pick(ON_DISK, key)["id"] for key in keys]


def at(x_m, y_m):
    return MALL.anchor.to_degrees(np.array([[x_m, y_m]]))[0].tolist()


def ring(*corners_m):
    return [at(*corner) for corner in [*corners_m, corners_m[0]]]


def on_the_wrong_level(mall):
    pick(mall, "cafe-luna")["properties"]["level_ids"] = ["no-such-level"]


def crossing_itself(mall):
    pick(mall, "beauty-bar")["geometry"]["coordinates"] = [ring((24, 2), (34, 18), (34, 2), (24, 18))]


def a_line_for_an_area(mall):
    pick(mall, "beauty-bar")["geometry"] = {"type": "LineString", "coordinates": [at(1, 1), at(2, 2)]}


def two_zones_of_one_key(mall):
    pick(mall, "tea-garden")["properties"]["key"] = "cafe-luna"


def two_zones_of_one_id(mall):
    pick(mall, "tea-garden")["id"] = ids("cafe-luna")[0]


def two_zones_of_one_shop(mall):
    pick(mall, "tea-garden")["properties"]["shop"] = "cafe-luna"


def a_name_in_one_language(mall):
    pick(mall, "grill-9")["properties"]["name"] = {"en": "Grill 9"}


def a_sensor_in_the_street(mall):
    pick(mall, "s101")["geometry"]["coordinates"] = at(60, -9)


def a_sensor_nowhere(mall):
    pick(mall, "s101")["geometry"]["coordinates"] = [float("nan"), 31.0]


def a_shop_beyond_the_wall(mall):
    pick(mall, "maison-lin")["geometry"]["coordinates"] = [ring((-9, 8), (20, 8), (20, 20), (-9, 20))]


def an_undeclared_overlap(mall):
    pick(mall, "curry-corner")["properties"]["parents"] = None


def a_stranger_for_a_parent(mall):
    pick(mall, "curry-corner")["properties"]["parents"] = ids("cafe-luna")


def a_copy_that_was_forgotten(mall):
    pick(mall, "cafe-luna")["properties"]["level"] = "L2"


def two_levels_of_one_ordinal(mall):
    pick(mall, "L3")["properties"]["ordinal"] = 1


def a_lift_to_nowhere(mall):
    pick(mall, "lift-north")["properties"]["level_ids"] = ids("L1")


def a_misspelt_feature_type(mall):
    pick(mall, "cafe-luna")["feature_type"] = "geofense"


def another_datum(mall):
    pick(mall, "demo")["properties"]["anchor_lon"] += 0.0045


FAULTY = [
    (on_the_wrong_level, "geofence cafe-luna", "unknown level no-such-level"),
    (crossing_itself, "geofence beauty-bar", "Self-intersection"),
    (a_line_for_an_area, "geofence beauty-bar", "LineString"),
    (two_zones_of_one_key, "geofence cafe-luna", "another one has this key"),
    (two_zones_of_one_id, "geofence tea-garden", "its id is missing or taken"),
    (two_zones_of_one_shop, "geofence tea-garden", "shop cafe-luna already trades in cafe-luna"),
    (a_name_in_one_language, "geofence grill-9", "has no name in zh-Hans"),
    (a_sensor_in_the_street, "sensor s101", "outside of L1; move it inside"),
    (a_sensor_nowhere, "sensor s101", "Expected `float`"),
    (a_shop_beyond_the_wall, "geofence maison-lin", "108.0 m2 of it lie outside of L1"),
    (an_undeclared_overlap, "geofence curry-corner", "overlaps food-court by 182.0 m2"),
    (a_stranger_for_a_parent, "geofence curry-corner", "is no zone of L3"),
    (a_copy_that_was_forgotten, "geofence cafe-luna", "*level* says L2 but level_ids says L1"),
    (two_levels_of_one_ordinal, "level L3", "another level has the ordinal 1"),
    (a_lift_to_nowhere, "amenity lift-north", "any other way on two or more"),
    (a_misspelt_feature_type, "geofense cafe-luna", "not a feature_type we know"),
    (another_datum, "level L1", "the venue's anchor, bearing or size"),
]


def faults_of(collection):
    with pytest.raises(PlanError) as refused:
        Plan.parse(collection)
    return refused.value.faults


@pytest.mark.parametrize(("spoil", "feature", "what"), FAULTY, ids=lambda part: getattr(part, "__name__", ""))
def test_a_fault_is_told_with_its_feature_and_the_way_out(spoil, feature, what):
    mall = copy.deepcopy(ON_DISK)
    spoil(mall)
    assert any(fault.startswith(feature) and what in fault for fault in faults_of(mall))


def test_all_faults_are_told_at_once():
    mall = copy.deepcopy(ON_DISK)
    for spoil in (crossing_itself, a_sensor_in_the_street, a_name_in_one_language):
        spoil(mall)
    assert len(faults_of(mall)) == 3


def test_a_level_s_fault_is_not_told_again_for_all_that_lies_on_it():
    mall = copy.deepcopy(ON_DISK)
    pick(mall, "L2")["geometry"]["coordinates"] = [ring((0, 0), (120, 72), (120, 0), (0, 72))]
    (fault,) = faults_of(mall)
    assert fault.startswith("level L2")


def without(*keys):
    return {**ON_DISK, "features": [f for f in ON_DISK["features"] if f["properties"]["key"] not in keys]}


def test_a_level_that_nobody_can_reach_is_a_fault():
    upwards = [way.key for way in MALL.ways if "L3" in way.levels and way.kind != "entrance"]
    assert faults_of(without(*upwards)) == (
        "level L3: no way leads there from L1; draw stairs, a lift or an escalator",
    )


def test_a_mall_needs_a_level():
    assert "no levels; draw one level feature for each floor" in faults_of(without("L1", "L2", "L3"))


def test_a_mall_needs_a_venue():
    (fault,) = faults_of(without("demo"))
    assert fault.startswith("0 usable venue features")


def test_feature_type_may_stand_among_the_properties_alone():
    stripped = copy.deepcopy(ON_DISK)
    for feature in stripped["features"]:
        del feature["feature_type"]
    assert [zone.key for zone in Plan.parse(stripped).zones] == [zone.key for zone in MALL.zones]


def test_what_imdf_draws_for_the_eye_is_let_by():
    bench = {"type": "Feature", "id": "b", "feature_type": "fixture", "properties": {}, "geometry": None}
    assert len(Plan.parse({**ON_DISK, "features": [*ON_DISK["features"], bench]}).zones) == len(MALL.zones)


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe", b"[]", b'{"features": 3}', b'{"features": [1]}'])
def test_what_is_no_map_is_refused(tmp_path, text):
    (tmp_path / "zones.geojson").write_bytes(text)
    with pytest.raises(PlanError):
        Plan.read(tmp_path / "zones.geojson")


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "key", "en"]), inner),
    max_leaves=5,
)


@settings(max_examples=60)
@given(st.data())
def test_whatever_is_put_into_the_file_is_a_plan_or_a_plan_error(data):
    mall = {**ON_DISK, "features": list(ON_DISK["features"])}
    row = data.draw(st.sampled_from([0, 1, 4, 5, -1, -6, -20]))
    feature = copy.deepcopy(mall["features"][row])
    part = data.draw(st.sampled_from([feature, feature["properties"], feature["geometry"]]))
    part[data.draw(st.sampled_from(sorted(part)))] = data.draw(junk)
    mall["features"][row] = feature
    try:
        Plan.parse(mall)
    except PlanError as refused:
        assert refused.faults
