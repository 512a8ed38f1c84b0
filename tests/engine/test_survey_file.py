"""A survey's file: what is written is read again, and what cannot be so is named with its line and the way out."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from shapely import Polygon, box

from engine.geo import Anchor
from engine.loading import survey_lines
from engine.plan import Plan
from engine.radio import Radio
from engine.serve import build
from engine.settings import Settings
from engine.survey import NO_SENSOR
from engine.survey_file import LEAST_POINTS, MOST_TOLD, NotASurvey, Place, append, begin, parse
from tests.conftest import ROOT

HEARD = [{"s-cafe-L1": -48.0, "s-books-L1": -71.5}]


@pytest.fixture(scope="module")
def mall(plan):
    """In Shanghai, turned, and with a void in the middle of its upper level."""
    holed = Polygon(box(0, 0, 60, 30).exterior, [box(22, 2, 38, 28).exterior])
    levels = (plan.levels[0], replace(plan.levels[1], outline=holed))
    return replace(plan, levels=levels, anchor=Anchor(121.47, 31.22, 17.0))


@pytest.fixture
def file(mall, tmp_path: Path) -> Path:
    """Of as many points as it takes, all on the ground."""
    path = tmp_path / "walked.csv"
    begin(path)
    for point in range(1, LEAST_POINTS + 1):
        append(path, mall, point, Place("L1", 5.0 * point, 10.0), HEARD)
    return path


def read(file: Path, mall):
    return parse(survey_lines(file), mall, file.name)


def test_what_is_written_is_read_again(mall, file: Path) -> None:
    survey = read(file, mall)
    assert survey.points == LEAST_POINTS
    assert np.allclose(survey.x_m[:2], 5.0, atol=0.02) and np.allclose(survey.y_m, 10.0, atol=0.02)
    keys = [mall.sensors[row].key for row in survey.sensor[:2]]
    assert dict(zip(keys, survey.rssi_dbm[:2].tolist(), strict=True)) == HEARD[0]


def test_a_point_where_nothing_was_heard_is_read_as_a_scan_of_no_sensor(mall, file: Path) -> None:
    append(file, mall, 99, Place("L2", 5.0, 5.0), [])
    survey = read(file, mall)
    assert (survey.points, survey.sensor[-1], survey.level[-1]) == (LEAST_POINTS + 1, NO_SENSOR, 1)


def test_each_turn_of_a_standing_is_a_scan_of_its_own(mall, file: Path) -> None:
    append(file, mall, 99, Place("L1", 5.0, 5.0), [{"s-cafe-L1": -50.0, "s-grill-L1": -80.0}, {"s-cafe-L1": -60.0}])
    survey = read(file, mall)
    last = survey.at(survey.t_ms == survey.t_ms.max())
    assert sorted(zip(last.device.tolist(), last.rssi_dbm.tolist(), strict=True)) == [(0, -80), (0, -50), (1, -60)]


def test_no_more_stands_in_the_file_than_places_and_signals(file: Path) -> None:
    assert file.read_text().splitlines()[:2] == [
        "point,level,lon,lat,sensor,dbm", "1,L1,121.4700809,31.2200731,s-books-L1,-71.5",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("11,L9,{at},s-cafe-L1,-50", "no level 'L9' on the map; there are L1, L2"),
        ("11,L1,{at},s-cave-L1,-50", "no sensor 's-cave-L1' on the map; correct it"),
        ("11,L1,31.22,121.47,s-cafe-L1,-50", "outside of L1's floor; correct lon and lat, in this order"),
        ("11,L1,east,31.22,s-cafe-L1,-50", "lon 'east' is no number; write degrees"),
        ("11,L1,nan,31.22,s-cafe-L1,-50", "lon 'nan' is no number"),
        ("11,L2,{void},s-cafe-L1,-50", "(30.0, 15.0) m is outside of L2's floor"),
        ("11,L1,{at},s-cafe-L1,50", "50 dBm is no signal of a phone; write -120 to 0, with its minus"),
        ("11,L1,{at},s-cafe-L1,", "dbm '' is no number; write a signal, as in -63"),
        ("11,L1,{at},,-50", "no sensor '' on the map"),
        (",L1,{at},s-cafe-L1,-50", "no point; number the places"),
        ("1,L1,{at},s-grill-L1,-50", "point 1 stands elsewhere in line 2; give each place its own point"),
        ("11,L1", "the first line has 6 fields, this one 2"),
    ],
)  # fmt: skip
def test_a_line_that_cannot_be_so_is_named_with_the_way_out(mall, file: Path, line: str, says: str) -> None:
    (at, void) = mall.anchor.to_degrees(np.array([(40.0, 20.0), (30.0, 15.0)])).tolist()
    line = line.format(at="{},{}".format(*at), void="{},{}".format(*void))
    file.write_text(file.read_text() + line + "\n")
    with pytest.raises(NotASurvey) as found:
        read(file, mall)
    [fault] = found.value.faults
    assert fault.startswith(f"walked.csv:{2 * LEAST_POINTS + 2}: ") and says in fault


def test_every_fault_is_told_at_once_but_no_more_than_a_screen_holds(mall, file: Path) -> None:
    file.write_text(file.read_text() + "12,L9,1,1,,\n" * (MOST_TOLD + 7))
    with pytest.raises(NotASurvey) as found:
        read(file, mall)
    assert len(found.value.faults) == MOST_TOLD + 7
    assert str(found.value).splitlines()[-1] == "... and 7 more"


def test_an_engine_goes_by_the_survey_that_its_settings_name(tmp_path: Path) -> None:
    plan, path = Plan.read(ROOT / "zones.geojson"), tmp_path / "survey.csv"
    begin(path)
    for point, zone in enumerate(plan.zones):
        middle = zone.polygon.representative_point()
        append(path, plan, point, Place(zone.level, middle.x, middle.y), [{plan.sensors[point].key: -50.0}])
    away = {"live_url": "redis://127.0.0.1:1/0", "broker_url": "mqtt://127.0.0.1:1"}
    with ExitStack() as stack:
        engine, _ = build(Settings(data_folder=tmp_path, survey_path=path, **away), stack)
        assert engine.status().survey_points == len(plan.zones)
        assert not np.array_equal(engine.ingest.presence.radio.mean_dbm, Radio.of(plan).mean_dbm)


def test_too_few_points_are_none(mall, file: Path) -> None:
    few = [line for line in survey_lines(file) if line.fields["point"] != "1"]
    with pytest.raises(NotASurvey, match=r"only 9 of the 10 points it takes"):
        parse(few, mall, "walked.csv")
