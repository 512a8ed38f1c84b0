"""Lanes go forward together."""

from __future__ import annotations

from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from engine.broker import Message
from engine.lanes import APART_MS, IDLE_REAL_MS, Lanes
from sensors import wire

EVER = 2**50
_mid = count(1)


def batch(lane: int, at_ms: int) -> Message:
    payload = wire.pack(wire.Batch("s1", 1, 1, 1, at_ms, [1], [0], [-60], [6]))
    return Message("sojourn/demo/obs/0/s1", payload, next(_mid), False, 0, lane, 0)


def heartbeat(lane: int, at_ms: int) -> Message:
    payload = wire.pack(wire.Health("s1", boot=1, at_ms=at_ms, status="online"))
    return Message("sojourn/demo/health/s1", payload, next(_mid), False, 0, lane, 0)


def instants(messages: list[Message]) -> list[int]:
    return [wire.read_batch(message.payload).t0_ms for message in messages]


def test_messages_in_step_pass_at_once() -> None:
    lanes = Lanes()
    lanes.add([batch(0, 5_000), batch(1, 5_500)], 0, no_later_than_ms=EVER)
    assert instants(lanes.ready(0)) == [5_000, 5_500]


def test_a_lane_that_runs_ahead_waits_for_the_other() -> None:
    lanes = Lanes()
    lanes.add([batch(0, 5_000), batch(1, 5_000), batch(0, 60_000)], 0, no_later_than_ms=EVER)
    assert instants(lanes.ready(0)) == [5_000, 5_000]
    lanes.add([batch(1, 60_000)], 1, no_later_than_ms=EVER)
    assert instants(lanes.ready(1)) == [60_000, 60_000]


def test_nobody_waits_for_a_lane_that_has_nothing_to_send() -> None:
    lanes = Lanes()
    lanes.add([batch(0, 5_000), batch(1, 60_000)], 0, no_later_than_ms=EVER)
    lanes.ready(0)
    assert instants(lanes.ready(IDLE_REAL_MS)) == [60_000]


def test_a_lane_without_a_connection_is_waited_for() -> None:
    lanes = Lanes()
    lanes.add([batch(0, 5_000), batch(1, 5_000)], 0, no_later_than_ms=EVER)
    lanes.ready(0)
    lanes.add([batch(0, 60_000)], IDLE_REAL_MS, no_later_than_ms=EVER)
    assert lanes.ready(IDLE_REAL_MS, away={1}) == []
    assert lanes.ready(2 * IDLE_REAL_MS - 1) == []
    assert instants(lanes.ready(2 * IDLE_REAL_MS)) == [60_000]


def test_a_clock_that_is_wrong_holds_up_nobody() -> None:
    lanes = Lanes()
    lanes.add([batch(0, EVER), batch(1, 5_000)], 0, no_later_than_ms=10_000)
    assert len(lanes.ready(0)) == 2


def test_a_heartbeat_waits_for_the_batches_before_it() -> None:
    lanes = Lanes()
    lanes.add([batch(0, 5_000), heartbeat(8, 60_000)], 0, no_later_than_ms=EVER)
    assert instants(lanes.ready(0)) == [5_000]


def test_heartbeats_that_are_slow_hold_up_no_batch() -> None:
    lanes = Lanes()
    lanes.add([heartbeat(8, 5_000), batch(0, 60_000)], 0, no_later_than_ms=EVER)
    assert len(lanes.ready(0)) == 2


def test_where_nobody_is_heard_heartbeats_pass() -> None:
    lanes = Lanes()
    lanes.add([heartbeat(8, 5_000), heartbeat(8, 60_000)], 0, no_later_than_ms=EVER)
    assert len(lanes.ready(0)) == 2


def test_what_cannot_be_read_passes_to_whoever_counts_it() -> None:
    lanes = Lanes()
    lanes.add([Message("sojourn/demo/obs/0/s1", b"\xff{", 1, False, 0, 0, 0)], 0, no_later_than_ms=EVER)
    assert len(lanes.ready(0)) == 1


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 500)), max_size=60), st.integers(1, 9))
def test_each_lane_keeps_its_order_and_loses_nothing(steps: list[tuple[int, int]], together: int) -> None:
    """Every lane's time rises by some steps; whatever is taken together, all comes out, in the lane's order."""
    lanes, now_ms = Lanes(), dict.fromkeys(range(4), 0)
    sent: list[Message] = []
    for lane, more_ms in steps:
        now_ms[lane] += more_ms * 10
        sent.append(batch(lane, now_ms[lane]))
    came: list[Message] = []
    for start in range(0, len(sent), together):
        lanes.add(sent[start : start + together], 0, no_later_than_ms=EVER)
        came += lanes.ready(0)
    for _ in range(len(sent)):
        came += lanes.ready(IDLE_REAL_MS)
    assert sorted(m.mid or 0 for m in came) == [m.mid for m in sent]
    for lane in range(4):
        assert [m for m in came if m.lane == lane] == [m for m in sent if m.lane == lane]


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 5_000)), max_size=40))
def test_nothing_passes_that_is_further_ahead_than_apart(steps: list[tuple[int, int]]) -> None:
    lanes, newest = Lanes(), {0: 0, 1: 0}
    lanes.add([batch(0, 0), batch(1, 0)], 0, no_later_than_ms=EVER)
    lanes.ready(0)
    for lane, more_ms in steps:
        newest[lane] += more_ms * 1_000
        lanes.add([batch(lane, newest[lane])], 0, no_later_than_ms=EVER)
        assert all(at_ms <= min(newest.values()) + APART_MS for at_ms in instants(lanes.ready(0)))


def test_nobody_waits_for_a_clock_that_is_behind_once_it_is_put_right() -> None:
    lanes = Lanes()
    behind_ms = {0: 300_000, 1: 0}
    said = [batch(0, 700_000), batch(1, 1_000_000)]
    lanes.add(said, 0, no_later_than_ms=EVER, right=lambda message, at_ms: at_ms + behind_ms[message.lane])
    assert instants(lanes.ready(0)) == [700_000, 1_000_000]
