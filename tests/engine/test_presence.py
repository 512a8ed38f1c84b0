"""Presence: what a member's signals mean, second by second, and that nothing but their content matters."""

from __future__ import annotations

from collections import Counter

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import snapshot
from engine.events import PresenceEvent
from engine.plan import NOWHERE, Plan
from engine.presence import Presence
from engine.readings import Readings, joined, readings
from engine.tuning import MINUTE_MS, Tuning

NOON_MS = 1_790_000_000_000
STEP_MS = 5_000
ANA, BEN = 7, 3


class Mall:
    """Presence on the small plan, with a clock of signals that the test turns."""

    def __init__(self, plan: Plan, hear, tuning: Tuning) -> None:
        self.presence, self._hear, self.at_ms = Presence(plan, tuning), hear, NOON_MS
        self.told: list[PresenceEvent] = []

    def walk(self, *members: int, to, for_ms: int = 0, every_ms: int = STEP_MS) -> list[PresenceEvent]:
        """The members are heard at *to* now and every so often for *for_ms*."""
        told = []
        for at_ms in range(self.at_ms, self.at_ms + for_ms + 1, every_ms):
            told += self.presence.absorb(joined([self._hear(member, to, at_ms) for member in members]))
            self.at_ms = at_ms + every_ms
        self.told += told
        return told

    def quiet(self, for_ms: int) -> list[PresenceEvent]:
        """The sensors live and hear nobody."""
        self.at_ms += for_ms
        told = self.presence.expire(self.at_ms)
        self.told += told
        return told

    def kinds(self) -> list[str]:
        return [kind(event) for event in self.told]

    def one(self, wanted: str) -> PresenceEvent:
        (event,) = [event for event in self.told if kind(event) == wanted]
        return event


def kind(event: PresenceEvent) -> str:
    return str(type(event).__struct_config__.tag)


@pytest.fixture
def mall(plan, hear) -> Mall:
    return Mall(plan, hear, Tuning())


def test_a_visit_starts_at_the_first_evidence_once_a_second_window_confirms_it(mall):
    assert mall.walk(ANA, to="cafe-L1") == []
    mall.walk(ANA, to="cafe-L1", for_ms=STEP_MS)
    started = mall.one("visit.started")
    assert (started.member, started.at_ms) == (ANA, NOON_MS)


def test_someone_heard_once_from_the_street_has_not_visited(mall):
    mall.walk(ANA, to="cafe-L1")
    assert mall.quiet(60 * MINUTE_MS) == []


def test_a_zone_is_entered_when_windows_agree_and_dated_to_the_first_of_them(mall):
    mall.walk(ANA, to="cafe-L1", for_ms=20_000)
    entered = mall.one("zone.entered")
    assert (entered.zone, entered.at_ms, entered.confirmed_ms) == ("cafe-L1", NOON_MS, NOON_MS + 5_000)
    assert entered.confidence >= 0.6


def test_a_stay_passes_its_dwell_marks_while_the_member_is_heard(mall):
    mall.walk(ANA, to="cafe-L1", for_ms=5 * MINUTE_MS + 3_000)
    assert [event.dwell_ms for event in mall.told if kind(event) == "zone.dwelt"] == [60_000, 120_000]
    mall.walk(ANA, to="cafe-L1", for_ms=5_000)
    assert mall.told[-1].dwell_ms == 300_000


def test_going_next_door_leaves_before_it_enters(mall):
    mall.walk(ANA, to="cafe-L1", for_ms=2 * MINUTE_MS)
    mall.walk(ANA, to="shoes-L1", for_ms=MINUTE_MS)
    assert mall.kinds()[-2:] == ["zone.left", "zone.entered"]
    left, entered = mall.told[-2:]
    assert (left.zone, left.cause, entered.zone) == ("cafe-L1", "heard-elsewhere", "shoes-L1")
    assert left.at_ms <= entered.at_ms


def test_a_stay_that_ends_is_told_with_its_class(mall):
    mall.walk(ANA, to="cafe-L1", for_ms=6 * MINUTE_MS)
    mall.walk(ANA, to="shoes-L1", for_ms=2 * MINUTE_MS)
    mall.quiet(30 * MINUTE_MS)
    left = [event for event in mall.told if kind(event) == "zone.left"]
    assert [(event.zone, event.dwell_class) for event in left] == [("cafe-L1", "visit"), ("shoes-L1", "stop")]


def test_a_change_of_level_is_followed(mall):
    mall.walk(ANA, to="cafe-L1", for_ms=MINUTE_MS)
    mall.walk(ANA, to="cafe-L2", for_ms=MINUTE_MS)
    assert [event.zone for event in mall.told if kind(event) == "zone.entered"] == ["cafe-L1", "cafe-L2"]


def test_a_sleeping_phone_keeps_its_visit_and_its_stay(mall):
    mall.walk(ANA, to="cafe-L1", for_ms=30_000)
    mall.quiet(4 * MINUTE_MS)
    mall.walk(ANA, to="cafe-L1", for_ms=30_000)
    assert Counter(mall.kinds()) == {"visit.started": 1, "zone.entered": 1, "zone.dwelt": 3}


def test_silence_deepens_step_by_step_and_ends_the_visit_at_its_last_evidence(mall):
    mall.walk(ANA, to="cafe-L1", for_ms=30_000)
    last_ms = NOON_MS + 30_000
    silence = mall.quiet(30 * MINUTE_MS)
    assert [(kind(event), event.at_ms) for event in silence] == [
        ("visit.silent", last_ms + 5 * MINUTE_MS),
        ("zone.left", last_ms),
        ("visit.ended", last_ms),
    ]
    silent, left, ended = silence
    assert (silent.last_ms, left.cause, left.dwell_ms) == (last_ms, "silent", 30_000)
    assert (ended.dwell_ms, ended.cause) == (30_000, "silent")


def test_each_step_of_silence_is_told_when_it_is_due_and_not_before(mall):
    mall.walk(ANA, to="cafe-L1", for_ms=30_000)
    lateness_ms = Tuning().lateness_ms
    mall.at_ms = NOON_MS + 30_000 + lateness_ms
    told = [[kind(event) for event in mall.quiet(5 * MINUTE_MS)] for _ in range(3)]
    told_at_once = [[kind(event) for event in mall.quiet(1_000)]]
    assert told + told_at_once == [[], ["visit.silent"], ["zone.left"], ["visit.ended"]]


def test_a_visit_resumes_when_the_member_is_heard_again(mall):
    mall.walk(ANA, to="cafe-L1", for_ms=30_000)
    mall.quiet(12 * MINUTE_MS)
    back_ms = mall.at_ms
    mall.walk(ANA, to="cafe-L1", for_ms=30_000)
    assert mall.kinds() == [
        "visit.started", "zone.entered", "visit.silent", "zone.left", "visit.resumed", "zone.entered",
    ]  # fmt: skip
    assert mall.one("visit.resumed").at_ms == back_ms


def test_after_a_visit_has_ended_the_next_one_is_another(mall):
    mall.walk(ANA, to="cafe-L1", for_ms=30_000)
    mall.quiet(30 * MINUTE_MS)
    mall.walk(ANA, to="cafe-L1", for_ms=30_000)
    assert len({event.visit for event in mall.told if kind(event) == "visit.started"}) == 2


def test_if_all_sensors_fall_silent_nothing_expires(mall):
    mall.walk(ANA, to="cafe-L1", for_ms=30_000)
    assert mall.presence.absorb(readings()) == []
    assert mall.presence.where().member.tolist() == [ANA]


def test_late_readings_are_counted_and_fire_nothing(mall, hear):
    mall.walk(ANA, to="cafe-L1", for_ms=30_000)
    late = hear(BEN, "grill-L1", range(NOON_MS, NOON_MS + 20_000, STEP_MS))
    assert mall.presence.absorb(late) == []
    assert mall.presence.late == late.size


def test_withdrawn_consent_ends_the_visit_and_leaves_nothing_behind(mall):
    mall.walk(ANA, BEN, to="cafe-L1", for_ms=30_000)
    ended = mall.presence.forget(ANA, mall.at_ms)
    assert [(kind(event), event.cause) for event in ended] == [
        ("zone.left", "consent-withdrawn"), ("visit.ended", "consent-withdrawn"),
    ]  # fmt: skip
    assert mall.presence.where().member.tolist() == [BEN]
    assert {event.member for event in mall.quiet(30 * MINUTE_MS)} == {BEN}


def test_nothing_heard_after_the_withdrawal_counts(mall):
    mall.walk(ANA, to="cafe-L1", for_ms=60_000)
    left, ended = mall.presence.forget(ANA, NOON_MS + 30_000)
    assert (left.at_ms, left.dwell_ms, ended.at_ms, ended.dwell_ms) == (NOON_MS + 30_000, 30_000) * 2


def test_forgetting_someone_never_seen_tells_nothing(mall):
    assert mall.presence.forget(99, NOON_MS) == []


def test_the_whereabouts_say_who_is_where_and_since_when(mall, plan):
    mall.walk(ANA, BEN, to="grill-L2", for_ms=30_000)
    where = mall.presence.where()
    zone = plan.zone_index["grill-L2"]
    assert (where.member.tolist(), where.zone.tolist(), where.level.tolist()) == ([BEN, ANA], [zone, zone], [1, 1])
    assert where.since_ms.tolist() == [NOON_MS, NOON_MS]
    assert np.hypot(where.x_m - 10, where.y_m - 24).max() < 3


def test_after_three_silent_minutes_the_zone_is_no_longer_claimed_and_after_five_nor_is_presence(mall):
    mall.walk(ANA, to="cafe-L1", for_ms=30_000)
    zones = []
    for _ in range(3):
        mall.quiet(2 * MINUTE_MS)
        zones.append(mall.presence.where().zone.tolist())
    assert zones == [[0], [NOWHERE], []]


def test_sightings_tell_where_each_device_was_in_the_seconds_just_closed(mall, plan):
    mall.walk(ANA, BEN, to="books-L1", for_ms=STEP_MS)
    seen = mall.presence.sightings()
    assert (seen.member.tolist(), seen.t_ms.tolist()) == ([BEN, ANA], [NOON_MS, NOON_MS])
    assert set(seen.zone.tolist()) == {plan.zone_index["books-L1"]}


def test_no_event_is_told_twice_under_one_id(mall):
    for place in ("cafe-L1", "shoes-L2", "cafe-L1", "grill-L1") * 3:
        mall.walk(ANA, BEN, to=place, for_ms=2 * MINUTE_MS)
        mall.quiet(6 * MINUTE_MS)
    assert len({event.id for event in mall.told}) == len(mall.told) > 40


def test_a_burst_after_an_outage_tells_what_a_steady_stream_would_have(mall, plan, hear):
    stream = [hear(ANA, "cafe-L1", at_ms) for at_ms in range(NOON_MS, NOON_MS + 300_000, STEP_MS)]
    steady = [event for part in stream for event in mall.presence.absorb(part)]
    assert Presence(plan, Tuning()).absorb(joined(stream)) == steady


# -- what must hold for any stream ----------------------------------------------------------------

PLACES = ["cafe-L1", "books-L1", "grill-L2", ("L1", 30.0, 15.0)]
# Who is heard where, and how long after the last: signals come in bursts and with every length of silence.
HEARD = st.tuples(
    st.sampled_from([ANA, BEN]),
    st.sampled_from(PLACES),
    st.sampled_from([0, 700, 4_000, 5_000, 30_000, 200_000, 400_000, 1_000_000]),
)
RUN = st.tuples(HEARD, st.integers(1, 8))


@st.composite
def streams(draw) -> list[tuple[int, object, int]]:
    """Rows of (member, place, at_ms) in order of arrival, some of them out of order and some late."""
    at_ms, rows = NOON_MS, []
    for (member, place, after_ms), times in draw(st.lists(RUN, min_size=1, max_size=12)):
        at_ms += after_ms
        for _ in range(times):
            rows.append((member, place, at_ms - draw(st.sampled_from([0, 0, 0, 900, 5_000]))))
            at_ms += draw(st.sampled_from([5_000, 5_000, 1_000]))
    return rows


def arrived(hear, rows) -> list[Readings]:
    return [hear(*row) for row in rows]


def bytes_of(events: list[PresenceEvent]) -> bytes:
    return msgspec.msgpack.encode(events)


@settings(max_examples=30, deadline=None)
@given(streams(), st.data())
def test_events_do_not_depend_on_how_the_stream_is_cut(plan, hear, rows, data):
    heard, tuning = joined(arrived(hear, rows)), Tuning()
    whole, parts = Presence(plan, tuning), Presence(plan, tuning)
    expected = whole.absorb(heard) + whole.expire(NOON_MS + 10**8)
    cuts = sorted(data.draw(st.lists(st.integers(0, heard.size), max_size=8)))
    told = []
    for start, end in zip([0, *cuts], [*cuts, heard.size], strict=True):
        told += parts.absorb(heard.at(slice(start, end)))
    told += parts.expire(NOON_MS + 10**8)
    assert bytes_of(told) == bytes_of(expected)
    assert parts.snapshot() == whole.snapshot()


@settings(max_examples=30, deadline=None)
@given(streams(), st.data())
def test_a_restart_at_any_point_changes_nothing(plan, hear, rows, data):
    steady, restarted = Presence(plan, Tuning()), Presence(plan, Tuning())
    restarts = data.draw(st.sets(st.integers(0, len(rows)), max_size=4))
    for number, heard in enumerate(arrived(hear, rows)):
        if number in restarts:
            blob = restarted.snapshot()
            restarted = Presence(plan, Tuning())
            restarted.restore(blob)
        assert bytes_of(restarted.absorb(heard)) == bytes_of(steady.absorb(heard))
    assert restarted.snapshot() == steady.snapshot()
    assert restarted.expire(NOON_MS + 10**8) == steady.expire(NOON_MS + 10**8)


@settings(max_examples=30, deadline=None)
@given(streams())
def test_every_visit_is_a_well_formed_story(plan, hear, rows):
    presence = Presence(plan, Tuning())
    events = presence.absorb(joined(arrived(hear, rows))) + presence.expire(NOON_MS + 10**8)
    stories: dict[str, list[PresenceEvent]] = {}
    for event in events:
        stories.setdefault(event.visit, []).append(event)
    for story in stories.values():
        kinds = [kind(event) for event in story]
        assert (kinds[0], kinds[-1]) == ("visit.started", "visit.ended")
        assert (kinds.count("visit.started"), kinds.count("visit.ended")) == (1, 1)
        inside = None
        for event in story:
            match kind(event):
                case "zone.entered":
                    assert inside is None
                    inside = event.zone
                case "zone.left":
                    assert inside == event.zone
                    inside = None
                case "zone.dwelt":
                    assert inside == event.zone
        assert inside is None


# -- snapshots and another plan -------------------------------------------------------------------


def replan(plan: Plan, **changed) -> Plan:
    parts = {"site": plan.site, "levels": plan.levels, "zones": plan.zones, "sensors": plan.sensors, **changed}
    return Plan(**parts)


def test_a_snapshot_finds_zones_and_sensors_again_by_their_key(mall, plan):
    mall.walk(ANA, to="shoes-L2", for_ms=30_000)
    moved = Presence(replan(plan, zones=plan.zones[::-1], sensors=plan.sensors[::-1]), Tuning())
    moved.restore(mall.presence.snapshot())
    assert bytes_of(moved.expire(NOON_MS + 10**7)) == bytes_of(mall.presence.expire(NOON_MS + 10**7))


def test_a_snapshot_finds_levels_again_by_their_key(mall, plan):
    mall.walk(ANA, to="shoes-L2", for_ms=30_000)
    turned = replan(plan, zones=plan.zones[::-1], levels=plan.levels[::-1])
    moved = Presence(turned, Tuning())
    moved.restore(mall.presence.snapshot())
    where = moved.where()
    assert (turned.zones[where.zone[0]].key, turned.levels[where.level[0]].key) == ("shoes-L2", "L2")


def test_a_stay_in_a_zone_that_was_removed_ends_and_the_visit_goes_on(mall, plan):
    mall.walk(ANA, to="cafe-L1", for_ms=30_000)
    without = Presence(replan(plan, zones=plan.zones[1:]), Tuning())
    without.restore(mall.presence.snapshot())
    assert without.where().zone.tolist() == [NOWHERE]
    assert [kind(event) for event in without.expire(NOON_MS + 10**7)] == ["visit.silent", "visit.ended"]


@pytest.mark.parametrize("blob", [b"", b"\xc1", b"\x80", msgspec.msgpack.encode({"version": 1})])
def test_what_is_no_snapshot_is_refused(mall, blob):
    with pytest.raises(snapshot.Unusable):
        mall.presence.restore(blob)


@pytest.mark.parametrize("change", [{"version": 99}, {"fields": "other"}, {"table": b"\0"}])
def test_a_snapshot_of_another_shape_is_refused(mall, change):
    mall.walk(ANA, to="cafe-L1", for_ms=30_000)
    written = msgspec.msgpack.decode(mall.presence.snapshot()) | change
    with pytest.raises(snapshot.Unusable):
        mall.presence.restore(msgspec.msgpack.encode(written))


# -- tuning ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "contrary",
    [
        {"hold_ms": 400_000},
        {"inactive_ms": 900_000},
        {"merge_ms": 600_000},
        {"newcomer_ms": 600_000, "close_ms": 599_000, "inactive_ms": 300_000},
        {"dwell_marks_ms": (60_000, 60_000)},
        {"enter_p": 0.5},
        {"sure_p": 0.6},
    ],
)
def test_constants_that_contradict_each_other_are_refused(contrary):
    with pytest.raises(ValueError):
        Tuning(**contrary)


def test_every_constant_gives_its_reason():
    assert [name for name, knob in Tuning.model_fields.items() if not knob.description] == []
