"""Second part of the tutorial: observations become sightings, stays and a visit, all in event time.

The mall is one hall of 60 m by 30 m with a café in the west and a bookshop in the east.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from shapely import box

from engine.events import VisitEnded, VisitSilent, VisitStarted, ZoneDwelt, ZoneEntered, ZoneLeft
from engine.plan import Level, Plan, Sensor, Zone
from engine.presence import Presence
from engine.readings import Readings, readings
from engine.tuning import Tuning

NOON_MS = 1_790_000_000_000
MINUTE_MS = 60_000
ANA = 1
CAFE_M, BOOKS_M = (10.0, 15.0), (50.0, 15.0)


@pytest.fixture
def plan() -> Plan:
    level = Level("L1", 0, {"en": "Level 1"}, {"en": "L1"}, box(0, 0, 60, 30))
    zones = (
        Zone("cafe", "L1", {"en": "Café"}, "cafe", box(0, 0, 22, 30)),
        Zone("books", "L1", {"en": "Books"}, "books", box(38, 0, 60, 30)),
    )
    spots = [(8, 8), (8, 22), (30, 8), (30, 22), (52, 8), (52, 22)]
    sensors = tuple(Sensor(f"s{i}", "L1", float(x), float(y)) for i, (x, y) in enumerate(spots))
    return Plan("tutorial", (level,), zones, sensors, width_m=60.0, height_m=30.0)


@pytest.fixture
def presence(plan: Plan) -> Presence:
    return Presence(plan, Tuning())


def ana(plan: Plan, at_m: tuple[float, float], times_ms: Iterable[int]) -> Readings:
    """What the six sensors hear of Ana's phone, which stands still and sends at these instants."""
    away_m = np.hypot(*(plan.anchors_m - at_m).T)
    rssi_dbm = -40 - 30 * np.log10(np.maximum(away_m, 1.0))
    times = list(times_ms)
    sensors = len(plan.sensors)
    return readings(
        np.repeat(times, sensors),
        np.full(sensors * len(times), ANA),
        np.tile(np.arange(sensors), len(times)),
        np.tile(rssi_dbm, len(times)),
    )


def minutes(start: float, end: float, every_s: int = 5) -> range:
    return range(NOON_MS + int(start * MINUTE_MS), NOON_MS + int(end * MINUTE_MS), every_s * 1_000)


def test_being_heard_for_a_while_starts_a_visit(plan: Plan, presence: Presence) -> None:
    told = presence.absorb(ana(plan, CAFE_M, minutes(0, 1)))
    assert isinstance(told[0], VisitStarted) and told[0].member == ANA


def test_a_zone_is_believed_after_some_seconds_and_dated_back(plan: Plan, presence: Presence) -> None:
    told = presence.absorb(ana(plan, CAFE_M, minutes(0, 1)))
    [entered] = [event for event in told if isinstance(event, ZoneEntered)]
    assert entered.zone == "cafe" and entered.at_ms < entered.confirmed_ms <= NOON_MS + 30_000


def test_staying_passes_dwell_marks(plan: Plan, presence: Presence) -> None:
    told = presence.absorb(ana(plan, CAFE_M, minutes(0, 6)))
    assert [event.dwell_ms // MINUTE_MS for event in told if isinstance(event, ZoneDwelt)] == [1, 2, 5]


def test_walking_over_leaves_one_zone_before_the_next_is_entered(plan: Plan, presence: Presence) -> None:
    told = presence.absorb(ana(plan, CAFE_M, minutes(0, 3)))
    told += presence.absorb(ana(plan, BOOKS_M, minutes(3, 6)))
    zones = [(type(event).__name__, event.zone) for event in told if isinstance(event, ZoneEntered | ZoneLeft)]
    assert zones == [("ZoneEntered", "cafe"), ("ZoneLeft", "cafe"), ("ZoneEntered", "books")]


def test_a_phone_that_sleeps_has_not_left(plan: Plan, presence: Presence) -> None:
    presence.absorb(ana(plan, CAFE_M, minutes(0, 3)))
    assert presence.expire(NOON_MS + 6 * MINUTE_MS) == []


def test_a_long_silence_is_told_and_then_ends_the_visit_when_ana_was_last_heard(plan: Plan, presence: Presence) -> None:
    presence.absorb(ana(plan, CAFE_M, minutes(0, 3)))
    told = presence.expire(NOON_MS + 30 * MINUTE_MS)
    assert any(isinstance(event, VisitSilent) for event in told)
    ended = told[-1]
    assert isinstance(ended, VisitEnded)
    assert ended.at_ms < NOON_MS + 3 * MINUTE_MS and ended.dwell_ms < 3 * MINUTE_MS


def test_nothing_depends_on_how_readings_are_cut_into_batches(plan: Plan) -> None:
    whole, cut = Presence(plan, Tuning()), Presence(plan, Tuning())
    times = list(minutes(0, 6))
    told = [
        event for start in range(0, len(times), 7) for event in cut.absorb(ana(plan, CAFE_M, times[start : start + 7]))
    ]
    assert told == whole.absorb(ana(plan, CAFE_M, times))


def test_a_restart_goes_on_as_if_nothing_had_happened(plan: Plan, presence: Presence) -> None:
    presence.absorb(ana(plan, CAFE_M, minutes(0, 2)))
    restarted = Presence(plan, Tuning())
    restarted.restore(presence.snapshot())
    rest = ana(plan, CAFE_M, minutes(2, 6))
    assert restarted.absorb(rest) == presence.absorb(rest)


def test_withdrawing_consent_ends_the_visit_and_forgets(plan: Plan, presence: Presence) -> None:
    presence.absorb(ana(plan, CAFE_M, minutes(0, 3)))
    told = presence.forget(ANA, NOON_MS + 3 * MINUTE_MS)
    assert [event.cause for event in told if isinstance(event, VisitEnded)] == ["consent-withdrawn"]
    assert len(presence.where().member) == 0
