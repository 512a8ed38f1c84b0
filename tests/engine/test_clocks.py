"""A sensor's wrong clock is found by when its messages come, put right, and believed again once it is right."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from engine.clocks import STEADY_MS, Clocks

NOON_MS = 1_790_000_000_000
BEAT_MS = 10_000
FIVE_MINUTES_MS = 300_000
TRAVELS_MS = 300


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


def beats(clocks: Clocks, off_ms: dict[str, int], times: int = 4, *, from_ms: int = NOON_MS) -> None:
    """Heartbeats of all these sensors, whose clocks read so much less than ours."""
    for at_ms in range(from_ms, from_ms + times * BEAT_MS, BEAT_MS):
        for sensor, behind_ms in off_ms.items():
            clocks.note(sensor, at_ms - behind_ms, at_ms + TRAVELS_MS)


def backlog(clocks: Clocks, sensor: str, stamps_ms: Iterable[int], every_real_ms: int) -> None:
    for number, at_ms in enumerate(stamps_ms):
        clocks.note(sensor, at_ms, NOON_MS + number * every_real_ms)


def test_clocks_that_are_right_stay_as_they_are(clocks):
    beats(clocks, {"s1": 0, "s2": 2_000, "s3": -2_000})
    assert clocks.wrong == {}
    assert clocks.right("s2", NOON_MS) == NOON_MS


@pytest.mark.parametrize("behind_ms", [FIVE_MINUTES_MS, -FIVE_MINUTES_MS, NOON_MS])
def test_a_clock_that_is_minutes_or_decades_wrong_is_put_right(clocks, behind_ms):
    beats(clocks, {"s1": behind_ms, "s2": 0, "s3": 0, "s4": 0})
    assert list(clocks.wrong) == ["s1"]
    assert abs(clocks.right("s1", NOON_MS - behind_ms) - NOON_MS) <= TRAVELS_MS


def test_one_strange_message_proves_nothing(clocks):
    beats(clocks, {"s1": 0, "s2": 0})
    clocks.note("s1", NOON_MS - FIVE_MINUTES_MS, NOON_MS + 50_000)
    assert clocks.wrong == {}


def test_what_a_broker_held_back_and_sends_in_one_burst_is_no_wrong_clock(clocks):
    backlog(clocks, "s1", range(NOON_MS - 3_600_000, NOON_MS, 60_000), every_real_ms=10)
    assert clocks.wrong == {}


def test_a_backlog_that_shrinks_is_no_wrong_clock(clocks):
    backlog(clocks, "s1", range(NOON_MS - 3_600_000, NOON_MS, 10_000), every_real_ms=1_000)
    assert clocks.wrong == {}


def test_a_spool_between_heartbeats_that_are_on_time_is_no_wrong_clock(clocks):
    for at_ms in range(NOON_MS, NOON_MS + 3 * STEADY_MS, 1_000):
        clocks.note("s1", at_ms - FIVE_MINUTES_MS, at_ms)
        clocks.note("s1", at_ms, at_ms)
    assert clocks.wrong == {}


def test_if_all_are_off_alike_it_is_our_own_clock_and_nobody_is_shifted(clocks):
    beats(clocks, dict.fromkeys(("s1", "s2", "s3", "s4"), FIVE_MINUTES_MS))
    assert clocks.wrong == {}


def test_one_that_differs_from_all_that_are_off_alike_is_put_with_them(clocks):
    beats(clocks, {"s1": FIVE_MINUTES_MS, "s2": FIVE_MINUTES_MS, "s3": FIVE_MINUTES_MS, "s4": 0}, times=6)
    assert clocks.wrong == {"s4": -FIVE_MINUTES_MS}


def test_a_clock_set_right_is_believed_with_its_next_message(clocks):
    beats(clocks, {"s1": FIVE_MINUTES_MS})
    clocks.note("s1", NOON_MS + 50_000, NOON_MS + 50_000)
    assert clocks.wrong == {}


def test_a_slow_way_is_tolerated_as_far_as_one_asks():
    slow = Clocks(tolerance_ms=60_000)
    beats(slow, {"s1": 55_000})
    assert slow.wrong == {}


def test_a_restart_does_not_believe_a_wrong_clock_again(clocks):
    beats(clocks, {"s1": FIVE_MINUTES_MS, "s2": 0, "s3": 0})
    restarted = Clocks()
    restarted.load(clocks.dump())
    assert restarted.wrong == clocks.wrong != {}
    for each in (clocks, restarted):
        beats(each, {"s1": FIVE_MINUTES_MS, "s2": FIVE_MINUTES_MS}, from_ms=NOON_MS + 50_000)
    assert restarted.dump() == clocks.dump()
