"""Which sensors are live is told in event time, and silence in a zone that nobody could hear is no departure."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.liveness import SILENT_MS, Liveness
from engine.presence import Presence
from engine.readings import readings
from engine.tuning import MINUTE_MS, Tuning

NOON_MS = 1_790_000_000_000
ANA = 7
BEAT_MS = 10_000


@pytest.fixture
def liveness(plan) -> Liveness:
    return Liveness(plan)


def serving(plan, zone: str) -> list[int]:
    """The sensors that would hear a phone in *zone*: its own and those of its level's hall within 20 m."""
    row = plan.zone_index[zone]
    return np.flatnonzero(Liveness(plan).serves[row]).tolist()


def test_a_mall_that_never_tells_of_its_sensors_has_all_of_them(liveness):
    liveness.close(NOON_MS, readings([NOON_MS - 500], [ANA], [0], [-50]))
    assert liveness.live(NOON_MS + 10**9).all()


def test_a_sensor_is_live_for_half_a_minute_after_its_last_sign(liveness):
    liveness.tell([3], [NOON_MS])
    liveness.close(NOON_MS + 1_000)
    alive = [np.flatnonzero(liveness.live(NOON_MS + after_ms)).tolist() for after_ms in (SILENT_MS, SILENT_MS + 1)]
    assert alive == [[3], []]


def test_a_sign_takes_effect_with_its_own_second_and_not_before(liveness):
    liveness.tell([3], [NOON_MS + 5_000])
    liveness.close(NOON_MS + 5_000)
    assert not liveness.live(NOON_MS + 5_000).any()
    liveness.close(NOON_MS + 6_000)
    assert liveness.live(NOON_MS + 6_000).any()


def test_a_reading_is_a_sign_of_life(liveness):
    liveness.tell([3], [NOON_MS])
    liveness.close(NOON_MS + 1_000, readings([NOON_MS + 200], [ANA], [5], [-50]))
    assert np.flatnonzero(liveness.live(NOON_MS + 1_000)).tolist() == [3, 5]


def test_a_zone_is_deaf_only_when_all_that_serve_it_are_silent(plan, liveness):
    zone, serves = plan.zone_index["cafe-L1"], serving(plan, "cafe-L1")
    liveness.tell(serves, [NOON_MS] * len(serves))
    liveness.tell(serves[:1], [NOON_MS + 40_000])
    liveness.close(NOON_MS + 41_000)
    assert not liveness.was_deaf(zone, NOON_MS + 60_000, within_ms=1)
    assert liveness.was_deaf(zone, NOON_MS + 80_000, within_ms=1)


def test_a_zone_was_deaf_until_it_was_heard_again(plan, liveness):
    zone, serves = plan.zone_index["cafe-L1"], serving(plan, "cafe-L1")
    liveness.tell(serves[:1] * 3, [NOON_MS, NOON_MS + 100_000, NOON_MS + 110_000])
    liveness.close(NOON_MS + 111_000)
    assert [liveness.was_deaf(zone, NOON_MS + 120_000, within_ms=ms) for ms in (20_000, 20_001)] == [False, True]


@given(
    st.lists(st.tuples(st.integers(0, 11), st.integers(0, 300_000)), min_size=1, max_size=30),
    st.lists(st.integers(0, 300), max_size=5),
    st.randoms(use_true_random=False),
)
def test_neither_the_order_of_signs_nor_the_cuts_between_seconds_matter(plan, signs, cuts, chance):
    sensor, at_ms = zip(*signs, strict=True)
    whole, parts = Liveness(plan), Liveness(plan)
    whole.tell(sensor, at_ms)
    shuffled = chance.sample(signs, len(signs))
    parts.tell(*zip(*shuffled, strict=True))
    parts.tell(*zip(*shuffled[:3], strict=True))
    for cut in sorted(cuts):
        parts.close(cut * 1_000)
    for each in (whole, parts):
        each.close(301_000)
    for mine, others in zip(parts.keep(), whole.keep(), strict=True):
        assert np.array_equal(mine, others)


# -- what presence makes of it --------------------------------------------------------------------


def stay_then_silence(plan, hear, dies: list[int], *, back_after_ms: int | None = None) -> list[tuple[str, str]]:
    """Ana stays in the café and falls silent, as do the sensors *dies*; the causes of zone.left and visit.ended."""
    presence, told = Presence(plan, Tuning()), []
    everyone = list(range(len(plan.sensors)))
    for at_ms in range(NOON_MS, NOON_MS + 30 * MINUTE_MS, BEAT_MS):
        after_ms = at_ms - NOON_MS - MINUTE_MS
        back = back_after_ms is not None and after_ms >= back_after_ms
        alive = everyone if after_ms < 0 or back else sorted({*everyone} - {*dies})
        presence.hear_of(alive, [at_ms] * len(alive))
        if after_ms < 0:
            told += presence.absorb(hear(ANA, "cafe-L1", [at_ms, at_ms + 5_000]))
        told += presence.expire(at_ms)
    return [(type(event).__name__, event.cause) for event in told if hasattr(event, "cause")]


def test_a_stay_that_falls_silent_among_live_sensors_ends_by_silence(plan, hear):
    assert stay_then_silence(plan, hear, [])[0] == ("ZoneLeft", "silent")


def test_a_stay_whose_sensors_fall_silent_ends_by_sensor_outage(plan, hear):
    assert stay_then_silence(plan, hear, serving(plan, "cafe-L1"))[0] == ("ZoneLeft", "sensor-outage")


def test_one_dead_sensor_among_live_ones_is_no_outage(plan, hear):
    assert stay_then_silence(plan, hear, serving(plan, "cafe-L1")[:1])[0] == ("ZoneLeft", "silent")


def test_an_outage_long_over_is_no_excuse(plan, hear):
    dies = serving(plan, "cafe-L1")
    causes = [stay_then_silence(plan, hear, dies, back_after_ms=m * MINUTE_MS)[0][1] for m in (4, 6)]
    assert causes == ["silent", "sensor-outage"]


def test_the_end_of_a_visit_is_by_silence_in_the_whole_mall(plan, hear):
    assert stay_then_silence(plan, hear, serving(plan, "cafe-L1"))[1] == ("VisitEnded", "silent")


def test_signs_of_life_survive_a_restart(plan, hear):
    steady = Presence(plan, Tuning())
    steady.hear_of([0, 1, 2], [NOON_MS, NOON_MS + 1, NOON_MS + 90_000])
    steady.absorb(hear(ANA, "cafe-L1", range(NOON_MS, NOON_MS + 60_000, 5_000)))
    restarted = Presence(plan, Tuning())
    restarted.restore(steady.snapshot())
    assert restarted.snapshot() == steady.snapshot()
    assert restarted.expire(NOON_MS + 10**7) == steady.expire(NOON_MS + 10**7)
