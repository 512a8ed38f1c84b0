"""The border: what a topic carries becomes readings, or a count by sensor and reason, and never more than that."""

from __future__ import annotations

import gc
import random
import tracemalloc

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.batches import AHEAD_MS, BOOTS, NOBODY, REMEMBERED, STRANGER, Border, Handles, Refused
from sensors import wire

SENSORS = {"s-1": 0, "s-2": 1}
NOW_MS = 1_790_000_000_000
HANDLES = Handles({(7, 102): 2, (7, 101): 1, (6, 5): 9})


def batch(seq: int = 0, *, sensor: str = "s-1", boot: int = 1, **changed: object) -> wire.Batch:
    whole: dict[str, object] = {
        "epoch": 7, "t0_ms": NOW_MS - 2_000, "handle": [101, 102], "dt_ms": [0, 900], "rssi_dbm": [-50, -70],
        "channel": [1, 1],
    }  # fmt: skip
    return msgspec.convert({"sensor": sensor, "boot": boot, "seq": seq, **whole, **changed}, wire.Batch)


def give(border: Border, *batches: wire.Batch, now_ms: int = NOW_MS) -> list[int]:
    """The number of readings that came of each."""
    topic = wire.observations_topic("test", "s-1")
    taken = [border.take(topic, wire.pack(each), now_ms, HANDLES) for each in batches]
    return [heard.size if heard else 0 for heard in taken]


@pytest.fixture
def border() -> Border:
    return Border(SENSORS)


def test_a_batch_becomes_one_reading_a_row(border):
    heard = border.take(wire.observations_topic("test", "s-2"), wire.pack(batch(sensor="s-2")), NOW_MS, HANDLES)
    assert [column.tolist() for column in heard] == [[NOW_MS - 2_000, NOW_MS - 1_100], [1, 2], [1, 1], [-50.0, -70.0]]


def test_json_says_the_same_as_messagepack(border):
    topic = wire.observations_topic("test", "s-1")
    heard = border.take(topic, msgspec.json.encode(batch()), NOW_MS, HANDLES)
    assert heard.device.tolist() == [1, 2]


def test_handles_of_nobody_are_dropped_row_by_row_and_counted(border):
    assert give(border, batch(handle=[101, 999])) == [1]
    assert border.unknown_handles == {"s-1": 1}


def test_a_handle_means_nothing_in_another_epoch(border):
    assert give(border, batch(epoch=8)) == [0]
    assert border.unknown_handles == {"s-1": 2}


def test_an_empty_batch_is_taken_in_silence(border):
    assert give(border, batch(handle=[], dt_ms=[], rssi_dbm=[], channel=[])) == [0]
    assert not border.refused


def test_a_repeat_is_refused(border):
    assert give(border, batch(3), batch(4), batch(3), batch(4)) == [2, 2, 0, 0]
    assert border.refused == {Refused("s-1", "repeat"): 2}


def test_a_batch_out_of_order_is_no_repeat(border):
    assert give(border, batch(5), batch(3), batch(4), batch(3)) == [2, 2, 2, 0]


def test_numbering_starts_anew_with_a_boot(border):
    assert give(border, batch(3), batch(3, boot=2), batch(3)) == [2, 2, 0]


def test_what_lies_too_far_back_to_tell_is_taken_for_a_repeat(border):
    assert give(border, batch(REMEMBERED + 5), batch(5)) == [2, 0]


def test_missing_batches_show_until_they_come(border):
    give(border, batch(1), batch(4))
    assert border.gaps() == {"s-1": 2}
    give(border, batch(2))
    assert border.gaps() == {"s-1": 1}


def test_missing_batches_of_a_boot_long_gone_still_show(border):
    give(border, batch(1), batch(4), *(batch(1, boot=boot) for boot in range(2, BOOTS + 2)))
    assert border.gaps() == {"s-1": 2}


@given(st.lists(st.integers(0, 40), max_size=60))
def test_every_number_counts_exactly_once_in_any_order(numbers):
    border, different = Border(SENSORS), {0, *numbers}
    assert sum(give(border, batch(0), *map(batch, numbers))) == 2 * len(different)
    assert border.gaps().get("s-1", 0) == max(different) + 1 - len(different)


def test_a_batch_from_more_than_a_minute_ahead_is_refused(border):
    assert give(border, batch(t0_ms=NOW_MS + AHEAD_MS, dt_ms=[0, 1])) == [0]
    assert border.refused == {Refused("s-1", "from-the-future"): 1}


def test_a_sensor_slightly_ahead_is_heard_at_our_own_time(border):
    heard = border.take(wire.observations_topic("test", "s-1"), wire.pack(batch(t0_ms=NOW_MS + 5_000)), NOW_MS, HANDLES)
    assert heard.t_ms.tolist() == [NOW_MS, NOW_MS]


@pytest.mark.parametrize("off_ms", [3_600_000, -3_600_000])
def test_a_clock_known_to_be_off_is_put_right_before_it_is_judged(border, off_ms):
    payload = wire.pack(batch(t0_ms=NOW_MS - 2_000 - off_ms))
    heard = border.take(wire.observations_topic("test", "s-1"), payload, NOW_MS, HANDLES, off_ms=off_ms)
    assert heard.t_ms.tolist() == [NOW_MS - 2_000, NOW_MS - 1_100]


def test_a_sensor_may_only_speak_for_itself(border):
    assert give(border, batch(sensor="s-2")) == [0]
    assert border.refused == {Refused("s-1", "another-sensor"): 1}


def test_all_strangers_share_one_counter(border):
    for number in range(50):
        border.take(f"sojourn/test/obs/0/s-{number + 10}", wire.pack(batch()), NOW_MS, HANDLES)
    assert border.refused == {Refused(STRANGER, "unknown-sensor"): 50}


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "not-decodable"),
        (b"\xc1", "not-decodable"),
        (b"{", "not-decodable"),
        (b'{"handle":' + b"[" * 100_000, "not-a-batch"),
        (b'{"sensor": 1}', "not-a-batch"),
        (msgspec.msgpack.encode(msgspec.to_builtins(batch()) | {"version": 9}), "unknown-version"),
        (msgspec.msgpack.encode(msgspec.to_builtins(batch()) | {"channel": [1]}), "ragged-columns"),
        (b"\x80" * (wire.MOST_PAYLOAD_BYTES + 1), "too-large"),
    ],
    ids=["empty", "no-code", "cut-json", "deep-json", "other-types", "version", "ragged", "huge"],
)
def test_malformed_payloads_are_counted_by_their_reason(border, payload, reason):
    assert border.take(wire.observations_topic("test", "s-1"), payload, NOW_MS, HANDLES) is None
    assert border.refused == {Refused("s-1", reason): 1}


@given(st.text(max_size=80), st.binary(max_size=300))
def test_no_topic_and_no_bytes_raise_past_the_border(topic, payload):
    border = Border(SENSORS)
    assert border.take(topic, payload, NOW_MS, HANDLES) is None
    assert border.take(wire.observations_topic("test", "s-1"), payload, NOW_MS, HANDLES) is None
    assert border.refused.total() == 2


@given(st.data())
def test_no_damage_to_a_good_payload_raises_past_the_border(data):
    payload = bytearray(wire.pack(batch()))
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    border = Border(SENSORS)
    border.take(wire.observations_topic("test", "s-1"), bytes(payload), NOW_MS, HANDLES)
    assert border.refused.total() <= 1


def held_by_the_border() -> int:
    """Bytes that the border's own lines hold. Other threads of the run may hold what they like."""
    gc.collect()  # what the collector has not come to yet is no growth
    ours = [tracemalloc.Filter(True, f"*/{file}") for file in ("engine/batches.py", "sensors/wire.py")]
    return sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces(ours).traces)


def test_a_hundred_thousand_hostile_payloads_are_counted_in_flat_memory(border):
    chance = random.Random(7)
    good = wire.pack(batch())
    topics = [wire.observations_topic("test", name) for name in ("s-1", "s-2")]
    sent = 0

    def attack(payloads: int) -> None:
        nonlocal sent
        for _ in range(payloads):
            match chance.randrange(4):
                case 0:
                    payload = chance.randbytes(chance.randrange(60))
                case 1:
                    payload = good[: chance.randrange(len(good))]
                case 2:
                    at = chance.randrange(len(good))
                    payload = good[:at] + chance.randbytes(3) + good[at + 3 :]
                case _:
                    payload = b'{"sensor":"s-1","boot":%d}' % chance.randrange(2**60)
            stranger = chance.randrange(3) == 0
            topic = f"sojourn/test/obs/1/{chance.randrange(2**40)}" if stranger else chance.choice(topics)
            taken = border.take(topic, payload, NOW_MS, HANDLES)
            sent += taken is None

    attack(75_000)
    tracemalloc.start()  # tracing is slow, and what does not grow in a quarter of it does not grow
    try:
        attack(5_000)
        before = held_by_the_border()
        attack(20_000)
        after = held_by_the_border()
    finally:
        tracemalloc.stop()
    # Something kept of each payload, however little, would come to a megabyte; what is bounded may still fill up.
    assert after - before < 128 * 1024
    assert border.refused.total() >= sent - border.unknown_handles.total() > 99_000
    assert {refused.sensor for refused in border.refused} == {"s-1", "s-2", STRANGER}
    assert give(border, batch(10**6)) == [2]


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 3)), max_size=30), st.integers(0, 30))
def test_a_restart_forgets_no_batch_and_no_count(sent, restart_at):
    steady, restarted = Border(SENSORS), Border(SENSORS)
    for number, (seq, boot) in enumerate(sent):
        if number == restart_at:
            blob = restarted.dump()
            restarted = Border(SENSORS)
            restarted.load(blob)
        each = batch(seq, boot=boot)
        assert give(restarted, each) == give(steady, each)
    assert (restarted.refused, restarted.gaps(), restarted.unknown_handles) == (
        steady.refused, steady.gaps(), steady.unknown_handles,
    )  # fmt: skip


def test_sensors_that_left_the_plan_are_let_go_of_at_a_restart(border):
    give(border, batch())
    smaller = Border({"s-2": 0})
    smaller.load(border.dump())
    assert "s-1" not in msgspec.msgpack.decode(smaller.dump())["boots"]


def test_what_is_kept_between_restarts_is_bounded(border):
    for boot in range(20):
        give(border, *(batch(seq, boot=boot) for seq in range(0, 5 * REMEMBERED, 97)))
    assert len(border.dump()) < 2 * BOOTS * REMEMBERED


KEYS = st.tuples(st.integers(0, 3), st.integers(1, 2**53 - 1) | st.integers(1, 9))


@given(st.dictionaries(KEYS, st.integers(1, 50), max_size=20), st.lists(KEYS, max_size=20))
def test_a_column_of_handles_is_looked_up_as_one_by_one(member_of, asked):
    asked += list(member_of)
    found = [Handles(member_of).members(epoch, np.array([handle])).tolist() for epoch, handle in asked]
    assert found == [[member_of.get(key, NOBODY)] for key in asked]


@given(st.dictionaries(KEYS, st.integers(1, 50), max_size=20), st.integers(0, 3))
def test_a_whole_epoch_is_looked_up_at_once(member_of, epoch):
    handle = [number for of, number in member_of if of == epoch]
    expected = [member_of[epoch, number] for number in handle]
    assert Handles(member_of).members(epoch, np.array(handle, np.int64)).tolist() == expected
