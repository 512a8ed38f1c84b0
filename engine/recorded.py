"""A mall's recorded walk-throughs as the engine's own types: its plan, its readings, and where people truly were.

The folder holds `scans`, `obs` (xz-compressed CSV), `sensor_layouts.csv` and `maps/<site>-<floor>.geojson.gz` with
`.info.json`; its SOURCE.md describes them. Each recorded path is one visitor; a layout's access points are the sensors.
"""

from __future__ import annotations

import csv
import gzip
import json
import lzma
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry import shape

from engine.plainly import SaidPlainly
from engine.plan import Level, Plan, Sensor, Zone
from engine.readings import Readings, readings

# The floors' names, from below.
ORDINALS = {"B2": -2, "B1": -1, "F1": 0, "F2": 1, "F3": 2, "F4": 3, "F5": 4, "F6": 5}


class Unreadable(SaidPlainly):
    """The folder is no recorded mall; the message says which file is wrong and how."""


class Truth(NamedTuple):
    """Where each visitor truly was, one row per scan of the phone, in order of time."""

    t_ms: npt.NDArray[np.int64]
    visitor: npt.NDArray[np.int64]  # 1.., in order of first appearance
    level: npt.NDArray[np.int64]
    xy_m: npt.NDArray[np.float64]
    unit: npt.NDArray[np.int64]  # the nearest zone
    test: npt.NDArray[np.bool_]  # kept apart to be scored on


class Recording(NamedTuple):
    plan: Plan
    heard: Readings  # in order of time; device is the visitor
    truth: Truth


class _Floor(NamedTuple):
    """How a floor's own metres lie in the mall's: every floor is drawn from its own lower-left corner."""

    offset_m: tuple[float, float]
    level: Level
    zones: list[Zone]


def read(folder: Path, layout: str) -> Recording:
    """Read a recorded mall with one of its sensor layouts. Raises Unreadable."""
    try:
        return _read(folder, layout)
    except OSError as problem:
        raise Unreadable(f"{problem.filename or folder}: {problem.strerror}") from problem
    except (KeyError, ValueError, lzma.LZMAError, EOFError) as problem:
        raise Unreadable(f"{folder} is not a recorded mall: {problem!r}") from problem


def _read(folder: Path, layout: str) -> Recording:
    placed = list(_rows(folder / "sensor_layouts.csv"))
    layouts = sorted({row["layout"] for row in placed})
    if layout not in layouts:
        raise Unreadable(f"no layout {layout} in {folder / 'sensor_layouts.csv'}; there are {', '.join(layouts)}")
    floors = _floors(folder / "maps")
    sensors = []
    for row in placed:
        if row["layout"] == layout:
            right_m, up_m = floors[row["floor"]].offset_m
            x_m, y_m = float(row["x_m"]) + right_m, float(row["y_m"]) + up_m
            sensors.append(Sensor(f"ap-{row['ap']}", row["floor"], x_m, y_m))
    levels = sorted((floor.level for floor in floors.values()), key=lambda level: level.ordinal)
    width_m, height_m = np.max([level.outline.bounds[2:] for level in levels], axis=0).tolist()
    zones = tuple(zone for floor in floors.values() for zone in floor.zones)
    plan = Plan(placed[0]["site"], tuple(levels), zones, tuple(sensors), width_m=width_m, height_m=height_m)

    scans = sorted(_rows(folder / "scans.csv.xz"), key=lambda row: (int(row["t_ms"]), int(row["scan"])))
    visitors: dict[str, int] = {}
    for row in scans:
        visitors.setdefault(row["path"], len(visitors) + 1)
    truth = Truth(
        t_ms=np.array([int(row["t_ms"]) for row in scans], np.int64),
        visitor=np.array([visitors[row["path"]] for row in scans], np.int64),
        level=np.array([plan.level_index[row["floor"]] for row in scans], np.int64),
        xy_m=np.array([_in_mall(row, floors[row["floor"]]) for row in scans], np.float64),
        unit=np.array([plan.zone_index[f"{row['floor']}:{row['nearest_unit_id']}"] for row in scans], np.int64),
        test=np.array([row["split"] == "test" for row in scans], np.bool_),
    )
    order = np.array([int(row["scan"]) for row in scans], np.int64)
    return Recording(plan, _heard(folder / "obs.csv.xz", plan, order, truth), truth)


def _heard(path: Path, plan: Plan, scan: npt.NDArray[np.int64], truth: Truth) -> Readings:
    """What the plan's sensors heard: a million rows, of which a layout keeps a few in a hundred."""
    # Unpacked in one piece: line by line, unpacking took longer than reading.
    text = StringIO(lzma.decompress(path.read_bytes()).decode())
    table = np.loadtxt(text, np.int32, delimiter=",", ndmin=2, skiprows=1)
    sensor_of = np.full(int(table[:, 1].max()) + 1, -1, np.int32)
    sensor_of[[int(sensor.key.removeprefix("ap-")) for sensor in plan.sensors]] = np.arange(len(plan.sensors))
    table = table[sensor_of[table[:, 1]] >= 0]
    row_of = np.full(int(scan.max()) + 1, -1, np.int64)
    row_of[scan] = np.arange(len(scan))
    row = row_of[table[:, 0]]
    heard = readings(truth.t_ms[row], truth.visitor[row], sensor_of[table[:, 1]], table[:, 2])
    return heard.in_order()


def _in_mall(row: dict[str, str], floor: _Floor) -> tuple[float, float]:
    return float(row["x_m"]) + floor.offset_m[0], float(row["y_m"]) + floor.offset_m[1]


def _rows(path: Path) -> Iterator[dict[str, str]]:
    content = path.read_bytes()
    text = (lzma.decompress(content) if path.suffix == ".xz" else content).decode()
    yield from csv.DictReader(text.splitlines())


def _floors(maps: Path) -> dict[str, _Floor]:
    drawn: dict[str, tuple[list[Any], Any]] = {}
    for path in sorted(maps.glob("*.geojson.gz")):
        floor = path.name.removesuffix(".geojson.gz").rpartition("-")[2]
        info = json.loads((maps / path.name.replace(".geojson.gz", ".info.json")).read_bytes())["map_info"]
        with gzip.open(path) as file:
            drawn[floor] = json.load(file)["features"], info
    if not drawn:
        raise Unreadable(f"no floor maps in {maps}")
    bounds = {
        floor: shapely.total_bounds([shape(feature["geometry"]) for feature in features])
        for floor, (features, _) in drawn.items()
    }
    origin = np.min([each[:2] for each in bounds.values()], axis=0)
    found = {}
    for floor, (features, info) in drawn.items():
        corner = bounds[floor][:2]
        m_per_degree = np.array([info["width"], info["height"]]) / (bounds[floor][2:] - corner)
        shapes = np.array([shape(feature["geometry"]) for feature in features])
        scaled = shapely.set_coordinates(shapes, (shapely.get_coordinates(shapes) - origin) * m_per_degree)
        outline, *units = _whole(scaled[0]), *map(_largest, scaled[1:])
        right_m, up_m = ((corner - origin) * m_per_degree).tolist()
        zones = []
        for feature, polygon in zip(features[1:], units, strict=True):
            name = feature["properties"].get("name") or "(unnamed)"
            zones.append(Zone(f"{floor}:{feature['id']}", floor, {"en": name, "zh-Hans": name}, "unit", polygon))
        both = {"en": floor, "zh-Hans": floor}
        level = Level(floor, ORDINALS[floor], both, both, outline)
        found[floor] = _Floor((right_m, up_m), level, zones)
    return found


def _whole(drawn: shapely.Geometry) -> shapely.MultiPolygon:
    """All of a floor: a mall may be two buildings that only some floors connect."""
    return shapely.MultiPolygon(_polygons(drawn))


def _largest(drawn: shapely.Geometry) -> shapely.Polygon:
    """The main part of a unit: maps drawn by hand cross themselves and leave crumbs."""
    return max(_polygons(drawn), key=lambda polygon: polygon.area)


def _polygons(drawn: shapely.Geometry) -> list[shapely.Polygon]:
    parts = shapely.get_parts(shapely.make_valid(drawn))
    return [part for part in shapely.get_parts(parts) if isinstance(part, shapely.Polygon)]
