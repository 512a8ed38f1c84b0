"""Lengths and hours read as people write them; the local day holds also where clocks are changed."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.times import LONGEST_VISIT_MS, Calendar, Hours, NotTime, length_ms, length_text

SHANGHAI = Calendar("Asia/Shanghai")
BERLIN = Calendar("Europe/Berlin")  # clocks go forward on 2026-03-29 at 02:00, back on 2026-10-25 at 03:00


def at(hour: str, day: str = "2026-11-21", zone: str = "Asia/Shanghai", fold: int = 0) -> int:
    local = datetime.fromisoformat(f"{day}T{hour}").replace(tzinfo=ZoneInfo(zone), fold=fold)
    return int(local.timestamp() * 1_000)


@pytest.mark.parametrize(
    ("text", "expected_ms"),
    [("90s", 90_000), ("20m", 1_200_000), ("1h30m", 5_400_000), ("30d", 2_592_000_000), ("0m", 0)],
)
def test_a_length_is_read_as_it_is_written(text, expected_ms):
    assert length_ms(text) == expected_ms


@pytest.mark.parametrize("text", ["", "20", "m", "20 minutes", "-5m", "1.5h", "30m1h"])
def test_what_is_no_length_is_refused_with_an_example(text):
    with pytest.raises(NotTime, match="write it like 90s, 20m, 1h30m or 30d"):
        length_ms(text)


@given(st.integers(0, 400 * 86_400))
def test_a_length_reads_back(seconds):
    assert length_ms(length_text(seconds * 1_000)) == seconds * 1_000


@pytest.mark.parametrize("text", ["9-11", "09:00", "25:00-26:00", "09:60-10:00", "24:00-08:00", "09:00-09:00"])
def test_what_are_no_hours_is_refused(text):
    with pytest.raises(NotTime):
        Hours.read(text)


@pytest.mark.parametrize("text", ["09:00-11:00", "21:30-08:30", "00:00-24:00"])
def test_hours_print_as_they_were_written(text):
    assert str(Hours.read(text)) == text


def test_hours_open_at_their_first_minute_and_close_before_their_last():
    morning = Hours.read("09:00-11:00")
    states = [SHANGHAI.opening(morning, at(hour)).is_open for hour in ("08:59", "09:00", "10:59", "11:00")]
    assert states == [False, True, True, False]


def test_before_hours_open_they_say_when_they_will():
    assert SHANGHAI.opening(Hours.read("09:00-11:00"), at("08:15")) == (False, at("09:00"))


def test_while_hours_are_open_they_say_when_they_close():
    assert SHANGHAI.opening(Hours.read("09:00-11:00"), at("10:15")) == (True, at("11:00"))


def test_hours_that_are_over_do_not_open_again_in_the_same_visit():
    assert SHANGHAI.opening(Hours.read("09:00-11:00"), at("11:15")) == (False, None)


def test_hours_over_midnight_are_open_on_both_sides_of_it():
    night = Hours.read("21:30-08:30")
    expected = {"21:29": False, "21:30": True, "23:59": True, "00:00": True, "08:29": True, "08:30": False}
    assert {hour: SHANGHAI.opening(night, at(hour)).is_open for hour in expected} == expected


def test_late_at_night_the_next_morning_still_counts():
    assert SHANGHAI.opening(Hours.read("06:00-08:00"), at("23:30")) == (False, at("06:00", "2026-11-22"))


def test_a_day_of_changed_clocks_is_as_long_as_it_is():
    days = [("2026-03-28", 24), ("2026-03-29", 23), ("2026-10-25", 25)]
    noon = [at("12:00", day, "Europe/Berlin") for day, _ in days]
    lengths = [BERLIN.midnight_ms(ms) - BERLIN.instant_ms(BERLIN.day(ms), 0) for ms in noon]
    assert [length // 3_600_000 for length in lengths] == [hours for _, hours in days]


def test_hours_inside_the_skipped_hour_begin_when_the_clock_has_jumped():
    skipped = Hours.read("02:00-03:30")
    assert BERLIN.opening(skipped, at("01:59", "2026-03-29", "Europe/Berlin")).changes_ms == at(
        "03:00", "2026-03-29", "Europe/Berlin"
    )


hours = st.builds(Hours, st.integers(0, 1439), st.integers(1, 1440)).filter(lambda h: h.from_minute != h.until_minute)
instants = st.integers(at("00:00", "2026-01-01"), at("00:00", "2027-01-01"))


@given(instants, hours)
def test_what_hours_say_of_the_future_is_ahead_even_where_clocks_are_changed(now_ms, hours):
    changes_ms = BERLIN.opening(hours, now_ms).changes_ms
    assert changes_ms is None or changes_ms > now_ms


@given(instants, hours.filter(lambda h: h != Hours(0, 1440)))
def test_at_the_change_hours_are_what_they_were_not(now_ms, hours):
    now = SHANGHAI.opening(hours, now_ms)
    if now.changes_ms is not None:
        assert SHANGHAI.opening(hours, now.changes_ms).is_open != now.is_open


@given(instants, hours)
def test_hours_that_are_over_stay_closed_for_as_long_as_a_visit_may_last(now_ms, hours):
    if SHANGHAI.opening(hours, now_ms) == (False, None):
        assert not SHANGHAI.opening(hours, now_ms + LONGEST_VISIT_MS).is_open
