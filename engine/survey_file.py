"""The border between a survey's CSV file and the plan: one line a signal heard at a place, checked as a whole.

    point,level,lon,lat,sensor,dbm
    1,L1,121.4901234,31.2301234,s101,-48

A point is one standing somewhere. A sensor that no line of it names did not hear the phone there; a point where none
did has one line without sensor and dbm. A standing may be of several turns: then a sensor has a line for each turn in
which it heard the phone, and one that has fewer than others did not hear it in the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import NamedTuple

import numpy as np
from shapely import Point

from engine.plan import Plan
from engine.survey import NO_SENSOR
from engine.surveyed import Walked

COLUMNS = ("point", "level", "lon", "lat", "sensor", "dbm")
HEADER = ",".join(COLUMNS)
# Fewer cannot be held against each other, and so nobody would notice that they are of another mall.
LEAST_POINTS = 10
WEAKEST_DBM, STRONGEST_DBM = -120.0, 0.0
# A place is read off a map, and the floor's edge was drawn by hand.
SLACK_M = 1.0
MOST_TOLD = 20
DEGREES = 7  # behind the point: a centimetre

# Of the columns of Walked.
KINDS = (np.int64, np.int64, np.int32, np.float32, np.int64, np.float64, np.float64)

# Number, fields by column, and what keeps it from being read: rules.lines.Line.
Line = tuple[int, Mapping[str, str], str]


class NotASurvey(ValueError):
    """The file cannot be used. *faults* holds every fault: file and line, what is wrong, and the way out."""

    def __init__(self, faults: list[str]) -> None:
        more = [f"... and {len(faults) - MOST_TOLD} more"] if len(faults) > MOST_TOLD else []
        super().__init__("\n".join([*faults[:MOST_TOLD], *more]))
        self.faults = tuple(faults)


class Place(NamedTuple):
    """Where somebody stood: a level's key and local metres."""

    level: str
    x_m: float
    y_m: float


class _Fault(Exception):
    """Of one line."""


def parse(lines: Iterable[Line], plan: Plan, name: str) -> Walked:
    """The survey that these lines tell. Raises NotASurvey with every fault.

    name  what the file is called
    """
    survey, faults = read(lines, plan, name)
    if not faults and survey.points < LEAST_POINTS:
        faults = [
            f"{name}: only {survey.points} of the {LEAST_POINTS} points it takes to tell whether they fit; walk more"
        ]
    if faults:
        raise NotASurvey(faults)
    return survey


def read(lines: Iterable[Line], plan: Plan, name: str) -> tuple[Walked, list[str]]:
    """What can be read of these lines, and what is wrong with the others."""
    rows: list[tuple[int, int, int, float, int, float, float]] = []
    turns = Counter[tuple[int, int]]()  # lines so far, by point and sensor
    first: dict[str, tuple[int, int, Place]] = {}  # by point: its number, and where it was told first
    places: dict[tuple[str, str, str], Place] = {}
    faults = []
    for number, fields, says in lines:
        try:
            if says:
                raise _Fault(says)
            stands = fields["level"], fields["lon"], fields["lat"]
            place = places.get(stands) or _place(stands[0], stands[1:], plan)
            places[stands] = place  # many lines are of one
            if not fields["point"]:
                raise _Fault("no point; number the places where you stood")
            point, line, where = first.setdefault(fields["point"], (len(first), number, place))
            if where != place:
                raise _Fault(f"point {fields['point']} stands elsewhere in line {line}; give each place its own point")
            sensor, dbm = _signal(fields, plan)
            turn = turns[point, sensor]
            turns[point, sensor] += 1
            rows.append((point, turn, sensor, dbm, plan.level_index[place.level], place.x_m, place.y_m))
        except _Fault as fault:
            faults.append(f"{name}:{number}: {fault}")
    columns = np.array(rows, np.float64).reshape(-1, len(KINDS)).T
    return Walked(*(column.astype(kind) for column, kind in zip(columns, KINDS, strict=True))), faults


def stands_outside(place: Place, plan: Plan) -> bool:
    """Whether nobody can stand there: beside the level's floor, or over a void."""
    outline = plan.levels[plan.level_index[place.level]].outline
    return bool(outline.distance(Point(place.x_m, place.y_m)) > SLACK_M)


def at_degrees(plan: Plan, level: str, lon: float, lat: float) -> Place:
    ((x_m, y_m),) = plan.anchor.to_metres(np.array([[lon, lat]])).tolist()
    return Place(level, x_m, y_m)


def begin(file: Path) -> None:
    """Make the file of a survey without points, where there is none yet. Raises OSError."""
    with file.open("a", encoding="utf-8") as text:
        if not text.tell():
            text.write(HEADER + "\n")


def append(file: Path, plan: Plan, point: int, place: Place, turns: Sequence[Mapping[str, float]]) -> None:
    """Write one more point behind those that are there. Raises OSError.

    turns  by sensor, how loud it heard the phone
    """
    ((lon, lat),) = plan.anchor.to_degrees(np.array([[place.x_m, place.y_m]])).tolist()
    where = f"{point},{place.level},{lon:.{DEGREES}f},{lat:.{DEGREES}f}"
    lines = [f"{where},{sensor},{dbm:g}\n" for turn in turns for sensor, dbm in sorted(turn.items())]
    lines = lines or [f"{where},,\n"]
    with file.open("a", encoding="utf-8") as text:
        text.write("".join(lines))


def _place(level: str, lon_lat: tuple[str, str], plan: Plan) -> Place:
    if level not in plan.level_index:
        raise _Fault(f"no level {level!r} on the map; there are {', '.join(plan.level_index)}")
    lon, lat = (_number(of, name, "degrees, as in 121.4901") for of, name in zip(lon_lat, ("lon", "lat"), strict=True))
    place = at_degrees(plan, level, lon, lat)
    if stands_outside(place, plan):
        where = f"({place.x_m:.1f}, {place.y_m:.1f}) m"
        raise _Fault(f"{where} is outside of {level}'s floor; correct lon and lat, in this order, or the level")
    return place


def _signal(fields: Mapping[str, str], plan: Plan) -> tuple[int, float]:
    sensor, written = fields["sensor"], fields["dbm"]
    if not sensor and not written:
        return NO_SENSOR, 0.0
    if sensor not in plan.sensor_index:
        raise _Fault(f"no sensor {sensor!r} on the map; correct it, or delete the lines of one that was taken down")
    dbm = _number(written, "dbm", "a signal, as in -63")
    if not WEAKEST_DBM <= dbm <= STRONGEST_DBM:
        raise _Fault(
            f"{written} dBm is no signal of a phone; write {WEAKEST_DBM:g} to {STRONGEST_DBM:g}, with its minus"
        )
    return plan.sensor_index[sensor], dbm


def _number(written: str, name: str, as_in: str) -> float:
    try:
        number = float(written)
    except ValueError:
        number = float("nan")
    if not isfinite(number):
        raise _Fault(f"{name} {written!r} is no number; write {as_in}")
    return number
