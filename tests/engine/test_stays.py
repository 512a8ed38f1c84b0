"""The zone machine: the scalar rule sentence by sentence, and the columns that obey it."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import zip_longest

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.plan import NOWHERE
from engine.stays import (
    STAY,
    Change,
    Dwelt,
    Entered,
    Left,
    Phase,
    Stay,
    Window,
    advance,
    advance_all,
    end,
    end_all,
    outside,
    phase,
)
from engine.tuning import MINUTE_MS, Tuning

CAFE, GRILL = 0, 1
TUNING = Tuning()
WINDOW_MS = 5_000


@dataclass
class Walk:
    """One member's windows, WINDOW_MS apart unless said otherwise."""

    stay: Stay = field(default_factory=Stay)
    at_ms: int = 0
    told: list[Change] = field(default_factory=list)

    def see(
        self, zone: int, p: float = 0.9, times: int = 1, after_ms: int = WINDOW_MS, still: float = 0.0
    ) -> list[Change]:
        """What *times* windows with *zone* at *p* change, the first of them *after_ms* after the last one."""
        changes: list[Change] = []
        for _ in range(times):
            self.at_ms, after_ms = self.at_ms + after_ms, WINDOW_MS
            p_here = p if zone == self.stay.zone else 0.0
            self.stay, told = advance(self.stay, Window(self.at_ms, zone, p, p_here, still), TUNING)
            changes += told
        self.told += changes
        return changes

    def phase(self, after_ms: int = 0) -> Phase:
        return phase(self.stay, self.at_ms + after_ms, TUNING)


def test_two_windows_of_three_enter_a_zone_dated_to_the_first_of_them():
    walk = Walk()
    assert walk.see(CAFE) == []
    assert walk.phase() is Phase.CANDIDATE
    assert walk.see(CAFE) == [Entered(CAFE, since_ms=5_000, confidence=0.9)]
    assert walk.phase() is Phase.INSIDE


def test_one_window_that_is_nearly_certain_enters_at_once():
    for p, told in ((0.97, []), (0.98, [Entered(CAFE, since_ms=10_000, confidence=0.98)])):
        walk = Walk()
        walk.see(NOWHERE, p=0.0)
        assert walk.see(CAFE, p=p) == told


def test_whoever_is_heard_for_the_first_time_is_in_no_zone_yet():
    assert Walk().see(CAFE, p=1.0) == []


def test_one_window_that_is_nearly_certain_takes_over_from_another_zone():
    walk = Walk()
    walk.see(CAFE, times=4)
    assert walk.see(GRILL, p=0.98) == [Left(CAFE, 5_000, 20_000), Entered(GRILL, since_ms=25_000, confidence=0.98)]


def test_one_stray_window_does_not_prevent_entering():
    walk = Walk()
    walk.see(CAFE)
    walk.see(GRILL)
    assert walk.see(CAFE) == [Entered(CAFE, since_ms=5_000, confidence=0.9)]


def test_windows_below_the_entering_probability_are_no_votes():
    walk = Walk()
    assert walk.see(CAFE, p=0.6, times=10) == []
    assert walk.phase() is Phase.OUTSIDE


def test_whoever_stands_needs_to_be_surer_to_enter():
    walk = Walk()
    assert walk.see(CAFE, p=0.8, times=10, still=0.9) == []
    assert walk.see(CAFE, p=0.8, times=2, still=0.1) == [Entered(CAFE, since_ms=55_000, confidence=0.8)]


def test_a_doubtful_window_neither_ends_nor_interrupts_a_stay():
    walk = Walk()
    walk.see(CAFE, times=3)
    assert walk.see(CAFE, p=0.2, times=8) == []
    assert (walk.phase(), walk.stay.here_ms) == (Phase.INSIDE, walk.at_ms)


def test_half_a_minute_elsewhere_ends_a_stay_at_its_last_evidence():
    walk = Walk()
    walk.see(CAFE, times=4)
    assert walk.see(NOWHERE, p=0.0, times=6) == []
    assert walk.phase() is Phase.LEAVING
    assert walk.see(NOWHERE, p=0.0) == [Left(CAFE, since_ms=5_000, here_ms=20_000)]
    assert walk.phase() is Phase.OUTSIDE


def test_coming_back_while_leaving_keeps_the_stay():
    walk = Walk()
    walk.see(CAFE, times=4)
    walk.see(NOWHERE, p=0.0, times=6)
    assert walk.see(CAFE, p=0.3) == []
    assert walk.phase() is Phase.INSIDE


def test_a_confirmed_next_zone_takes_over_and_leaving_is_told_first():
    walk = Walk()
    walk.see(CAFE, times=4)
    walk.see(GRILL)
    assert walk.see(GRILL) == [Left(CAFE, 5_000, 20_000), Entered(GRILL, since_ms=25_000, confidence=0.9)]


def test_back_within_a_minute_it_is_the_same_stay():
    walk = Walk()
    walk.see(CAFE, times=4)
    walk.see(NOWHERE, p=0.0, times=7)
    assert walk.stay.zone == NOWHERE
    walk.see(CAFE)
    assert walk.see(CAFE)[0] == Entered(CAFE, since_ms=5_000, confidence=0.9)


def test_back_after_more_than_a_minute_it_is_a_new_stay():
    walk = Walk()
    walk.see(CAFE, times=4)
    walk.see(NOWHERE, p=0.0, times=13)
    assert walk.see(CAFE, times=3)[0] == Entered(CAFE, since_ms=90_000, confidence=0.9)


def test_back_from_another_zone_it_is_a_new_stay():
    walk = Walk()
    walk.see(CAFE, times=4)
    walk.see(GRILL, times=3)
    assert walk.see(CAFE, times=3)[-1] == Entered(CAFE, since_ms=40_000, confidence=0.9)


def test_dwell_marks_are_told_once_each_while_evidence_keeps_coming():
    walk = Walk()
    walk.see(CAFE, times=3 * MINUTE_MS // WINDOW_MS)
    assert [change for change in walk.told if isinstance(change, Dwelt)] == [
        Dwelt(CAFE, 5_000, 0, 1), Dwelt(CAFE, 5_000, 1, 2),
    ]  # fmt: skip


def test_a_mark_is_told_only_when_the_member_is_heard_in_the_zone_beyond_it():
    walk = Walk()
    walk.see(CAFE, times=3)
    assert walk.see(CAFE, after_ms=49_000) == []
    assert walk.see(CAFE, after_ms=20_000) == [Dwelt(CAFE, 5_000, 0, 1)]


def test_no_mark_is_told_of_somebody_who_is_probably_there_only_now_and_then():
    walk = Walk()
    walk.see(CAFE, times=2)
    walk.see(CAFE, p=0.4, times=18)
    assert [change for change in walk.told if isinstance(change, Dwelt)] == []
    told = walk.see(CAFE, p=0.95, times=12)
    assert told == [Dwelt(CAFE, 5_000, 0, 2)]


def test_a_merged_stay_tells_no_mark_twice():
    walk = Walk()
    walk.see(CAFE, times=14)
    walk.see(NOWHERE, p=0.0, times=7)
    walk.see(CAFE, times=3)
    assert [change for change in walk.told if isinstance(change, Dwelt)] == [Dwelt(CAFE, 5_000, 0, 1)]


def test_three_minutes_unheard_a_stay_is_silent_and_heard_again_it_goes_on():
    walk = Walk()
    walk.see(CAFE, times=3)
    assert (walk.phase(after_ms=179_999), walk.phase(after_ms=180_000)) == (Phase.INSIDE, Phase.SILENT)
    walk.see(CAFE, after_ms=240_000)
    assert (walk.phase(), walk.stay.since_ms) == (Phase.INSIDE, 5_000)


def test_votes_from_before_a_long_silence_do_not_count():
    walk = Walk()
    walk.see(CAFE)
    assert walk.see(CAFE, p=1.0, after_ms=180_000) == []


def test_a_stay_that_was_ended_is_not_continued():
    walk = Walk()
    walk.see(CAFE, times=4)
    walk.stay = end(walk.stay)
    assert walk.see(CAFE, times=3) == [Entered(CAFE, since_ms=25_000, confidence=0.9)]


# A walk is runs of like windows: so long apart, that zone, so probable (and if elsewhere, the old zone so), standing so
# probably, so often.
RUN = st.tuples(
    st.sampled_from([5_000, 1_000, 20_000, 61_000, 180_000]),
    st.sampled_from([CAFE, GRILL, NOWHERE]),
    st.sampled_from([0.98, 0.95, 0.8, 0.64, 0.63, 0.4, 0.15, 0.14, 0.0]),
    st.sampled_from([0.0, 0.14, 0.15, 0.3]),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.integers(1, 8),
)
WALK = st.lists(RUN, min_size=3, max_size=8).map(lambda runs: [run[:5] for run in runs for _ in range(run[5])])
MEMBERS = 3


@settings(max_examples=150)
@given(st.tuples(*[WALK] * MEMBERS), st.integers(0, 60))
def test_the_columns_obey_the_scalar(walks, ended_before):
    one, many, at_ms = [Stay()] * MEMBERS, outside(MEMBERS), [0] * MEMBERS
    for number, step in enumerate(zip_longest(*walks)):
        rows = np.array([row for row, seen in enumerate(step) if seen], np.intp)
        windows = []
        for row in rows.tolist():
            after_ms, zone, p, p_else, still = step[row]
            at_ms[row] += after_ms
            windows.append(Window(at_ms[row], zone, p, p if zone == one[row].zone else min(p_else, 1 - p), still))
        stays = many[rows]
        told = advance_all(stays, *(np.array(column) for column in zip(*windows, strict=True)), TUNING)
        many[rows] = stays
        for at, row in enumerate(rows.tolist()):
            one[row], changes = advance(one[row], windows[at], TUNING)
            assert changes_of(told, at, stays[at], windows[at].p) == changes
        if number == ended_before:
            one = [end(stay) for stay in one]
            end_all(many, np.arange(MEMBERS))
        assert [as_stay(row) for row in many] == one


def changes_of(told, at: int, stay: np.void, p: float) -> list[Change]:
    changes: list[Change] = []
    if told.left[at]:
        gone = told.gone[at]
        changes.append(Left(int(gone["zone"]), int(gone["since_ms"]), int(gone["here_ms"])))
    zone, since_ms = int(stay["zone"]), int(stay["since_ms"])
    if told.entered[at]:
        changes.append(Entered(zone, since_ms, p))
    if told.marks_to[at] > told.marks_from[at]:
        changes.append(Dwelt(zone, since_ms, int(told.marks_from[at]), int(told.marks_to[at])))
    return changes


def as_stay(row: np.void) -> Stay:
    values = {name: row[name].tolist() for name in STAY.names}
    return Stay(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})
