"""A real mall's recorded scans through the engine."""

from __future__ import annotations

import io
import json
import lzma
from pathlib import Path

import numpy as np
import pytest
import shapely
from rich.console import Console

from engine.position import Sightings
from engine.recorded import Recording, Truth, Unreadable, read
from engine.replay import Result, replay, score, show, summary


@pytest.fixture(scope="module")
def mall(shared: Path) -> Path:
    return shared / "mall-site1"


@pytest.fixture(scope="module")
def result(mall: Path) -> Result:
    return replay(mall, 12)


@pytest.fixture(scope="module")
def recording(mall: Path) -> Recording:
    return read(mall, "12")


def test_the_recording_becomes_a_plan_of_five_levels_in_one_frame(recording):
    assert [level.key for level in recording.plan.levels] == ["B1", "F1", "F2", "F3", "F4"]
    assert len(recording.plan.sensors) == 60
    assert len(recording.plan.zones) > 1_000
    # The upper floors lie on top of each other: frames that did not agree would tear them apart.
    middles = np.array([recording.truth.xy_m[recording.truth.level == level].mean(axis=0) for level in range(1, 5)])
    assert np.ptp(middles, axis=0).max() < 30


def test_floors_of_two_buildings_are_there_as_a_whole(recording):
    truth = recording.truth
    for row, level in enumerate(recording.plan.levels):
        on = truth.xy_m[truth.level == row]
        assert shapely.intersects_xy(level.outline, *on.T).mean() > 0.99


def test_every_visitor_is_somewhere(result):
    assert len(result.visitors) > 500
    assert {one.level for one in result.visitors} == {"B1", "F1", "F2", "F3", "F4"}


def test_the_engine_beats_a_centroid_without_memory(result):
    # What a weighted centroid of each scan alone gives with the same sensors, as published with the recording.
    assert result.score.scans == 2_050
    assert result.score.level_right > 0.722
    assert result.score.median_m < 14.8
    assert result.score.p90_m < 35.6


def test_every_visit_in_it_begins_and_ends(result):
    assert result.events["visit.started"] == result.events["visit.ended"] > 400


def test_it_can_be_printed(result):
    page = Console(file=io.StringIO(), width=120)
    show(result, page)
    printed = page.file.getvalue()
    assert "right level" in printed
    assert result.visitors[0].level in printed


def test_it_can_be_told_as_json(result):
    told = json.loads(json.dumps(summary(result)))
    assert told["score"]["scans"] == 2_050
    assert len(told["visitors"]) == len(result.visitors)


def test_a_layout_that_is_not_there_is_refused_with_those_that_are(mall):
    with pytest.raises(Unreadable, match="12, 24, 48"):
        read(mall, "7")


def test_a_folder_without_a_recording_is_refused_with_the_missing_file(tmp_path):
    with pytest.raises(Unreadable, match=r"sensor_layouts\.csv"):
        replay(tmp_path)


def test_a_damaged_recording_is_refused(tmp_path, mall):
    for path in ("sensor_layouts.csv", "maps", "obs.csv.xz"):
        (tmp_path / path).symlink_to(mall / path)
    (tmp_path / "scans.csv.xz").write_bytes((mall / "scans.csv.xz").read_bytes()[:1_000])
    with pytest.raises(Unreadable):
        replay(tmp_path)
    (tmp_path / "scans.csv.xz").write_bytes(lzma.compress(b"scan\n1\n"))
    with pytest.raises(Unreadable, match="t_ms"):
        replay(tmp_path)


def test_a_scan_is_answered_by_the_newest_sighting_before_it_if_that_is_fresh():
    seen = Sightings(
        t_ms=np.array([1_000, 2_000, 2_000]),
        member=np.array([1, 1, 2]),
        level=np.array([0, 1, 0], np.int16),
        x_m=np.array([0, 3, 50], np.float32),
        y_m=np.array([0, 4, 50], np.float32),
        radius_m=np.full(3, 6, np.float32),
        zone=np.array([0, 1, 2], np.int16),
        p=np.ones(3, np.float32),
    )
    # Asked about visitor 1 at 2.5 s (found, 5 m off, right level), at 20 s (stale) and before anything (unknown).
    truth = Truth(
        t_ms=np.array([2_500, 20_000, 500]),
        visitor=np.array([1, 1, 1]),
        level=np.array([1, 1, 1]),
        xy_m=np.zeros((3, 2)),
        unit=np.array([1, 1, 1]),
        test=np.array([True, True, True]),
    )
    found = score(seen, truth)
    assert (found.scans, found.located, found.level_right) == (3, pytest.approx(1 / 3), pytest.approx(1 / 3))
    assert (found.median_m, found.zone_right, found.within_radius) == (5.0, 1.0, 1.0)
