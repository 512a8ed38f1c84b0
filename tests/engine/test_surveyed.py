"""Presence with a walked survey: it places better where the air is not as modelled, and stays repeatable."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from engine.coverage import cover
from engine.covering import checked, worth_lines
from engine.links import Heard, heard
from engine.loading import survey_lines
from engine.presence import Presence
from engine.radio import Propagation, Radio
from engine.readings import readings
from engine.survey import NO_SENSOR
from engine.survey_file import Place, append, begin, parse
from engine.survey_worth import Worth, worth
from engine.surveyed import Walked, surveyed
from engine.tuning import MINUTE_MS, Tuning

NOON_MS = 1_790_000_000_000
ANA = 7
# What no model knows: a wall across both levels, behind which each sensor hears this much less.
WALL_M, BEHIND_DB = 30.0, 15.0
FAINTEST_DBM = -88.0


def dbm_at(plan, level, xy_m):
    """(places, sensors): how loud each sensor hears a phone, with the wall."""
    away_m = np.hypot(*(plan.anchors_m[None] - xy_m[:, None]).transpose(2, 0, 1))
    levels = np.abs(plan.sensor_level[None] - level[:, None])
    behind = (plan.anchors_m[None, :, 0] < WALL_M) != (xy_m[:, None, 0] < WALL_M)
    return Propagation().mean_dbm(away_m, levels) - BEHIND_DB * behind


def spots(plan, step_m: float):
    """Places on a grid over both levels: rows of levels, and local metres."""
    x_m, y_m = (
        each.ravel() for each in np.meshgrid(np.arange(step_m / 2, 60, step_m), np.arange(step_m / 2, 30, step_m))
    )
    level = np.repeat(np.arange(len(plan.levels)), len(x_m))
    return level, np.tile(np.column_stack((x_m, y_m)), (len(plan.levels), 1))


def walk(plan, file: Path, step_m: float = 5.0, *, louder_db: float = 0.0, without: str = "") -> Walked:
    """What `sojourn survey` would write of a walk over the grid, read as the engine reads it."""
    level, xy_m = spots(plan, step_m)
    begin(file)
    for point, (row, (x_m, y_m), dbm) in enumerate(
        zip(level, xy_m, dbm_at(plan, level, xy_m) + louder_db, strict=True)
    ):
        turn = {
            sensor.key: float(np.rint(dbm[at]))
            for at, sensor in enumerate(plan.sensors)
            if dbm[at] >= FAINTEST_DBM and sensor.key != without
        }
        append(file, plan, point, Place(plan.levels[row].key, x_m, y_m), [turn])
    return parse(survey_lines(file), plan, file.name)


@pytest.fixture(scope="module")
def survey(plan, tmp_path_factory: pytest.TempPathFactory) -> Walked:
    return walk(plan, tmp_path_factory.mktemp("walked") / "survey.csv")


def off_m(plan, presence: Presence) -> float:
    """The mean error for one phone in each of many places, each heard six times."""
    level, xy_m = spots(plan, 7.0)
    dbm = dbm_at(plan, level, xy_m)
    person, sensor = np.nonzero(dbm >= FAINTEST_DBM)
    times = [
        readings(np.full(len(person), NOON_MS + at_ms), person + 1, sensor, dbm[person, sensor])
        for at_ms in range(0, 30_000, 5_000)
    ]
    for each in times:
        presence.absorb(each)
    presence.expire(NOON_MS + 40_000)
    where = presence.where()
    right = where.level == level[where.member - 1]
    away_m = np.hypot(where.x_m - xy_m[where.member - 1, 0], where.y_m - xy_m[where.member - 1, 1])
    return float(np.where(right, away_m, 30.0).mean())


def test_a_surveyed_presence_places_better_where_the_air_is_not_as_modelled(plan, survey: Walked) -> None:
    unsurveyed_m, surveyed_m = (off_m(plan, Presence(plan, Tuning(), survey=each)) for each in (None, survey))
    assert surveyed_m < 0.6 * unsurveyed_m


def test_a_few_points_of_a_loud_phone_do_no_harm(plan, tmp_path: Path) -> None:
    few = walk(plan, tmp_path / "survey.csv", 10.0, louder_db=10.0)
    unsurveyed_m, surveyed_m = (off_m(plan, Presence(plan, Tuning(), survey=each)) for each in (None, few))
    assert surveyed_m < unsurveyed_m


def test_a_sensor_that_was_hung_after_the_survey_keeps_its_model(plan, tmp_path: Path) -> None:
    new = "s-cafe-L1"
    bent = surveyed(Radio.of(plan), walk(plan, tmp_path / "survey.csv", without=new))
    bent_db = np.ptp(bent.mean_dbm - Radio.of(plan).mean_dbm, axis=1)  # of each sensor, but for the phone's loudness
    assert [plan.sensors[row].key for row in np.flatnonzero(bent_db < 1e-3)] == [new]


def test_a_scan_that_no_sensor_heard_tells_that_signals_are_fainter_there(plan, survey: Walked) -> None:
    corner = (survey.x_m < 15) & (survey.y_m < 15) & (survey.level == 0)
    points = np.unique(survey.t_ms[corner])
    elsewhere, first = survey.at(~corner), [np.flatnonzero(survey.t_ms == point)[0] for point in points]
    silent = Walked(*(np.concatenate((part, column[first])) for part, column in zip(elsewhere, survey, strict=True)))
    silent.sensor[len(elsewhere.sensor) :] = NO_SENSOR
    there = Radio.of(plan).cells
    cell = np.flatnonzero((there.level == 0) & (there.x_m < 10) & (there.y_m < 10) & there.walkable)
    unsaid, said = (surveyed(Radio.of(plan), each).mean_dbm[:, cell].mean() for each in (elsewhere, silent))
    assert said < unsaid - 1


# -- new fits, cuts and restarts ------------------------------------------------------------------


def beats(plan, for_ms: int) -> Heard:
    """Every sensor tells every ten seconds how loud it hears each other."""
    dbm = np.rint(dbm_at(plan, plan.sensor_level, plan.anchors_m)).astype(np.int64).T + 6
    receiver, transmitter = np.nonzero((dbm > FAINTEST_DBM) & ~np.eye(len(dbm), dtype=np.bool_))
    times = np.arange(NOON_MS, NOON_MS + for_ms, 10_000)
    columns = (receiver, transmitter, dbm[receiver, transmitter])
    return heard(np.repeat(times, len(receiver)), *(np.tile(column, len(times)) for column in columns))


def morning(plan, hear, survey: Walked | None, cuts: list[int], *, restart_at: int | None = None):
    """Ana in the café for fifteen minutes, in which the model is fitted; cut and restarted as one likes."""
    presence, told, links = Presence(plan, Tuning(), survey=survey), [], beats(plan, 15 * MINUTE_MS)
    said = hear(ANA, "cafe-L1", range(NOON_MS, NOON_MS + 15 * MINUTE_MS, 5_000))
    for number, (from_s, until_s) in enumerate(pairwise(sorted({*cuts, 0, 15 * 60}))):
        if number == restart_at:
            blob, presence = presence.snapshot(), Presence(plan, Tuning(), survey=survey)
            presence.restore(blob)
        from_ms, until_ms = NOON_MS + from_s * 1_000, NOON_MS + until_s * 1_000
        now = (links.at_ms >= from_ms) & (links.at_ms < until_ms)
        presence.hear_links(Heard(*(column[now] for column in links)))
        told += presence.absorb(said.at((said.t_ms >= from_ms) & (said.t_ms < until_ms)))
    return presence, told


@pytest.fixture(scope="module")
def whole(plan, hear, survey: Walked):
    return morning(plan, hear, survey, [])


def test_a_new_fit_is_bent_again(plan, survey: Walked, whole) -> None:
    presence, _ = whole
    assert presence.links.fitted is not None
    again = surveyed(Radio.of(plan, presence.links.fitted), survey)
    assert np.array_equal(presence.radio.mean_dbm, again.mean_dbm)


@pytest.mark.parametrize("restart_at", [1, 2, 3])
def test_cuts_and_a_restart_with_a_survey_in_force_come_to_the_same(
    plan, hear, survey: Walked, whole, restart_at: int
) -> None:
    presence, told = morning(plan, hear, survey, [300, 601, 700], restart_at=restart_at)
    assert told == whole[1]
    assert presence.snapshot() == whole[0].snapshot()
    assert np.array_equal(presence.radio.mean_dbm, whole[0].radio.mean_dbm)


@pytest.mark.parametrize("other", ["none", "fewer points"])
def test_with_another_survey_places_stay_and_how_loud_phones_seemed_is_forgotten(
    plan, survey: Walked, whole, other: str
) -> None:
    kept = Presence(plan, Tuning(), survey=None if other == "none" else survey.at(survey.t_ms > 3))
    kept.restore(whole[0].snapshot())
    assert np.array_equal(kept.where().x_m, whole[0].where().x_m)
    assert whole[0]._table["track"]["loudness"].any() and not kept._table["track"]["loudness"].any()


# -- what is told of it ---------------------------------------------------------------------------


def test_points_left_out_are_placed_better_by_the_others_than_without(plan, survey: Walked) -> None:
    known = worth(plan, Radio.of(plan), survey, Tuning())
    assert known.off_m < 0.8 * known.unsurveyed_off_m


def test_what_was_not_walked_is_told_of_each_level(plan, survey: Walked) -> None:
    half = survey.at((survey.level == 0) & (survey.x_m < 30))
    ground, upper = worth(plan, Radio.of(plan), half, Tuning()).floors
    assert (ground.level, ground.points, upper.points, upper.far) == ("L1", 36, 0, 1.0)
    assert 0.25 < ground.far < 0.45


def test_a_check_says_what_a_survey_is_worth(plan, survey: Walked) -> None:
    said = checked(plan, Radio.of(plan), survey)
    assert said.lines[-2].startswith("Survey of 144 points: L1 72, 0% of the floor further than 10 m from any; L2 72")
    assert said.found["survey"]["points"] == 144


@pytest.mark.parametrize("wrong", ["mirrored", "on the other level"])
def test_a_check_doubts_places_that_are_far_from_what_was_heard(plan, survey: Walked, wrong: str) -> None:
    places = {"x_m": 60 - survey.x_m} if wrong == "mirrored" else {"level": 1 - survey.level}
    said = checked(plan, Radio.of(plan), survey._replace(**places))
    assert said.lines[-1].endswith("see whether the survey's places are right, and their levels.")


def test_a_check_says_so_where_a_survey_is_too_thin_to_help() -> None:
    assert worth_lines(Worth(12, [], off_m=5.1, unsurveyed_off_m=5.0))[-1].endswith("walk more points.")


def test_the_coverage_is_that_of_the_bent_radio(plan, survey: Walked, whole) -> None:
    small = replace(plan, zones=plan.zones[:1])
    bent = cover(small, whole[0].radio, Tuning(), np.random.default_rng(1))
    usual = cover(small, Radio.of(plan, whole[0].links.fitted), Tuning(), np.random.default_rng(1))
    assert bent != usual
