"""Readings come late and out of order; presence sees whole seconds, once, in order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.readings import Alignment, Readings, from_columns, joined, readings

ROWS = st.lists(st.tuples(st.integers(0, 20_000), st.integers(1, 3), st.integers(0, 2), st.integers(-90, -30)))


def of(rows: list[tuple[int, int, int, int]]) -> Readings:
    return readings(*zip(*rows, strict=True)) if rows else readings()


def seconds(alignment: Alignment) -> list[tuple[int, list[tuple[int, ...]]]]:
    return [
        (start_ms, list(zip(*map(np.ndarray.tolist, heard), strict=True))) for start_ms, heard in alignment.closed()
    ]


def test_a_second_stays_open_until_the_newest_reading_is_lateness_past_its_end():
    alignment = Alignment(lateness_ms=2_000)
    alignment.add(of([(10_400, 1, 0, -50), (12_999, 1, 0, -50)]))
    assert seconds(alignment) == []
    alignment.add(of([(13_000, 1, 0, -50)]))
    assert seconds(alignment) == [(10_000, [(10_400, 1, 0, -50.0)])]


def test_a_second_is_given_out_once():
    alignment = Alignment(lateness_ms=0)
    alignment.add(of([(1_000, 1, 0, -50), (2_000, 1, 0, -50)]))
    assert [start_ms for start_ms, _ in seconds(alignment)] == [1_000]
    assert seconds(alignment) == []


def test_readings_within_a_second_are_ordered_by_time_device_and_sensor():
    alignment = Alignment(lateness_ms=0)
    alignment.add(of([(1_500, 1, 0, -50), (1_200, 2, 0, -50), (1_200, 1, 2, -50), (1_200, 1, 1, -50)]))
    alignment.reach(2_000)
    assert [row[:3] for _, rows in seconds(alignment) for row in rows] == [
        (1_200, 1, 1), (1_200, 1, 2), (1_200, 2, 0), (1_500, 1, 0),
    ]  # fmt: skip


def test_a_reading_of_a_closed_second_is_counted_and_left_out():
    alignment = Alignment(lateness_ms=1_000)
    alignment.add(of([(10_000, 1, 0, -50), (8_999, 1, 0, -50), (9_000, 1, 0, -50)]))
    alignment.reach(20_000)
    assert [row[0] for _, rows in seconds(alignment) for row in rows] == [9_000, 10_000]
    assert alignment.late == 1


def test_a_late_reading_is_late_even_if_its_second_was_not_asked_for_yet():
    alignment = Alignment(lateness_ms=0)
    alignment.add(of([(9_000, 1, 0, -50), (5_000, 1, 0, -50)]))
    assert alignment.late == 1


def test_time_passes_with_heartbeats_alone():
    alignment = Alignment(lateness_ms=2_000)
    alignment.add(of([(10_000, 1, 0, -50)]))
    alignment.reach(13_000)
    assert [start_ms for start_ms, _ in seconds(alignment)] == [10_000]


def test_without_data_or_heartbeats_time_stands_still():
    alignment = Alignment(lateness_ms=2_000)
    alignment.reach(10_000)
    before = alignment.closed_ms
    alignment.reach(5_000)
    assert (before, alignment.closed_ms) == (8_000, 8_000)


def test_forgetting_a_device_removes_what_waits_of_it():
    alignment = Alignment(lateness_ms=2_000)
    alignment.add(of([(1_000, 1, 0, -50), (1_000, 2, 0, -50)]))
    alignment.forget(1)
    assert alignment.pending().device.tolist() == [2]


@given(ROWS, st.lists(st.integers(0, 60), max_size=6), st.integers(0, 4_000))
def test_the_seconds_do_not_depend_on_how_the_stream_is_cut(rows, cuts, lateness_ms):
    whole, parts = Alignment(lateness_ms), Alignment(lateness_ms)
    whole.add(of(rows))
    ends = sorted(min(cut, len(rows)) for cut in cuts)
    given_out = []
    for start, end in zip([0, *ends], [*ends, len(rows)], strict=True):
        parts.add(of(rows[start:end]))
        given_out += seconds(parts)
    assert given_out == seconds(whole)
    assert (parts.late, parts.newest_ms) == (whole.late, whole.newest_ms)


@given(ROWS.flatmap(lambda rows: st.tuples(st.just(rows), st.permutations(rows))))
def test_the_order_of_arrival_within_the_lateness_leaves_no_trace(both):
    given_out = []
    for rows in both:
        alignment = Alignment(lateness_ms=20_000)
        alignment.add(of(rows))
        alignment.reach(100_000)
        given_out.append(seconds(alignment))
    assert given_out[0] == given_out[1]


@given(ROWS)
def test_columns_survive_the_way_to_bytes_and_back(rows):
    assert seconds_of(from_columns(of(rows).columns())) == seconds_of(of(rows))


def seconds_of(heard: Readings) -> list[list[float]]:
    return [column.tolist() for column in heard]


def test_columns_of_unequal_length_are_refused():
    columns = of([(1, 1, 1, -50)]).columns()
    with pytest.raises(ValueError, match="unequal"):
        from_columns([columns[0] * 2, *columns[1:]])


def test_joining_nothing_gives_no_readings():
    assert joined([]).size == 0


FAR = st.sampled_from([0, 1, 2**40, 2**60])


@given(ROWS, FAR, FAR)
def test_rows_are_ordered_by_time_device_sensor_and_then_signal_however_far_apart(rows, apart_ms, apart):
    moved = [(one[0] + (row % 2) * apart_ms, one[1] + (row % 3) * apart, *one[2:]) for row, one in enumerate(rows)]
    heard = of(moved)
    expected = sorted(zip(*map(np.ndarray.tolist, heard), strict=True))
    assert list(zip(*map(np.ndarray.tolist, heard.in_order()), strict=True)) == expected
