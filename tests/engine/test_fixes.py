"""What a controller computed enters as one more likelihood; alone, it places a device as well."""

from __future__ import annotations

from itertools import count

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.batches import Border, Handles
from engine.cells import Cells
from engine.fixes import LEAST_SIGMA_M, RADIUS_90, UNKNOWN, Fixes, explained, fixes, from_columns, on_plan
from engine.geo import Anchor
from engine.presence import Presence
from engine.tuning import MINUTE_MS, Tuning
from sensors import wire

NOON_MS = 1_790_000_000_000
ANA, BEN = 7, 3
HANDLES = Handles({(1, 101): ANA, (1, 102): BEN})
CAFE_M, SHOES_M = (10.0, 6.0), (50.0, 24.0)


def told(member: int, at_ms: int, xy_m: tuple[float, float], *, level: int = 0, sigma_m: float = 3.0) -> Fixes:
    return fixes([at_ms], [member], [level], [xy_m[0]], [xy_m[1]], [sigma_m])


def where(presence: Presence, member: int = ANA) -> tuple[int, float, float]:
    there = presence.where()
    row = there.member.tolist().index(member)
    return int(there.level[row]), float(there.x_m[row]), float(there.y_m[row])


def stay(presence: Presence, xy_m: tuple[float, float], for_ms: int, **how: int) -> list[str]:
    events = []
    for at_ms in range(NOON_MS, NOON_MS + for_ms, 5_000):
        events += presence.place(told(ANA, at_ms, xy_m, **how))
    return [type(event).__name__ for event in events + presence.expire(NOON_MS + for_ms)]


# -- presence -------------------------------------------------------------------------------------


def test_fixes_alone_make_a_visit_and_a_stay(plan):
    presence = Presence(plan, Tuning())
    assert stay(presence, CAFE_M, 70_000) == ["VisitStarted", "ZoneEntered", "ZoneDwelt"]
    level, x_m, y_m = where(presence)
    assert (level, np.hypot(x_m - 10, y_m - 6) < 2) == (0, True)


def test_a_fix_says_which_level(plan):
    presence = Presence(plan, Tuning())
    stay(presence, CAFE_M, 70_000, level=1)
    assert where(presence)[0] == 1


def test_a_fix_without_a_level_leaves_it_to_what_is_heard(plan, hear):
    presence = Presence(plan, Tuning())
    for at_ms in range(NOON_MS, NOON_MS + 30_000, 5_000):
        presence.absorb(hear(ANA, "cafe-L2", at_ms))
        presence.place(told(ANA, at_ms + 100, CAFE_M, level=UNKNOWN))
    presence.expire(NOON_MS + 40_000)
    assert where(presence)[0] == 1


def test_a_sure_fix_pulls_more_than_a_vague_one(plan, hear):
    x_m = []
    for sigma_m in (2.0, 15.0):
        presence = Presence(plan, Tuning())
        for at_ms in range(NOON_MS, NOON_MS + 10_000, 5_000):
            presence.absorb(hear(ANA, ("L1", 25.0, 6.0), at_ms))
            presence.place(told(ANA, at_ms + 100, CAFE_M, sigma_m=sigma_m))
        presence.expire(NOON_MS + 20_000)
        x_m.append(where(presence)[1])
    assert x_m[0] < x_m[1] - 2


def test_one_mad_fix_does_not_carry_a_settled_member_away(plan, hear):
    presence = Presence(plan, Tuning())
    presence.absorb(hear(ANA, "cafe-L1", range(NOON_MS, NOON_MS + MINUTE_MS, 5_000)))
    presence.place(told(ANA, NOON_MS + MINUTE_MS, SHOES_M))
    presence.absorb(hear(ANA, "cafe-L1", NOON_MS + MINUTE_MS + 5_000))
    presence.expire(NOON_MS + MINUTE_MS + 20_000)
    _, x_m, y_m = where(presence)
    assert np.hypot(x_m - 10, y_m - 6) < 5


def test_a_fix_moves_nobody_else(plan, hear):
    alone, together = Presence(plan, Tuning()), Presence(plan, Tuning())
    for at_ms in range(NOON_MS, NOON_MS + 20_000, 5_000):
        for presence in (alone, together):
            presence.absorb(hear(BEN, "grill-L1", at_ms))
        together.place(told(ANA, at_ms, SHOES_M))
    for presence in (alone, together):
        presence.expire(NOON_MS + 30_000)
    assert where(alone, BEN) == pytest.approx(where(together, BEN), abs=1e-3)


def test_a_fix_that_is_late_is_counted_and_left_out(plan):
    presence = Presence(plan, Tuning())
    presence.place(told(ANA, NOON_MS, CAFE_M))
    presence.place(told(ANA, NOON_MS - 5_000, CAFE_M))
    assert presence.late == 1


def test_whoever_withdraws_is_forgotten_with_the_fixes_that_wait(plan):
    presence = Presence(plan, Tuning())
    presence.place(told(ANA, NOON_MS, CAFE_M))
    presence.forget(ANA, NOON_MS)
    assert presence.expire(NOON_MS + 10**7) == []


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 60_000), st.booleans(), st.floats(0, 60), st.floats(0, 30)), max_size=25),
       st.data())  # fmt: skip
def test_a_restart_between_fixes_and_readings_changes_nothing(plan, hear, steps, data):
    steady, restarted, events = Presence(plan, Tuning()), Presence(plan, Tuning()), ([], [])
    cut = data.draw(st.integers(0, len(steps)))
    for number, (after_ms, is_fix, x_m, y_m) in enumerate(sorted(steps)):
        if number == cut:
            blob = restarted.snapshot()
            restarted = Presence(plan, Tuning())
            restarted.restore(blob)
        for presence, said in zip((steady, restarted), events, strict=True):
            at_ms = NOON_MS + after_ms
            if is_fix:
                said += presence.place(told(ANA, at_ms, (x_m, y_m)))
            else:
                said += presence.absorb(hear(ANA, "cafe-L1", at_ms))
    for presence, said in zip((steady, restarted), events, strict=True):
        said += presence.expire(NOON_MS + 10**7)
    assert events[0] == events[1]
    assert steady.snapshot() == restarted.snapshot()


# -- one fix --------------------------------------------------------------------------------------


def test_a_fix_is_normal_around_its_place_and_no_surer_than_a_cell(plan):
    (said,) = explained(Cells(plan), told(ANA, NOON_MS, CAFE_M, sigma_m=6.0))
    cells = Cells(plan)
    near, further = (int(np.hypot(cells.x_m - x_m, cells.y_m - 6).argmin()) for x_m in (10.0, 22.0))
    assert said[near] - said[further] == pytest.approx(2, abs=0.4)
    sharp = on_plan([wire.Fix(101, 1, 0.1, x_m=1.0, y_m=1.0)], np.array([ANA]), plan.anchor, plan.level_index)
    assert sharp.sigma_m[0] == LEAST_SIGMA_M


def test_degrees_and_metres_say_the_same(plan):
    anchor = Anchor(121.47, 31.22, 14.0)
    ((lon, lat),) = anchor.to_degrees(np.array([CAFE_M])).tolist()
    metres = wire.Fix(101, 1, RADIUS_90 * 3, "L1", x_m=CAFE_M[0], y_m=CAFE_M[1])
    degrees = wire.Fix(101, 1, RADIUS_90 * 3, "attic", lon=lon, lat=lat)
    both = on_plan([metres, degrees], np.array([ANA, ANA]), anchor, plan.level_index)
    assert np.allclose(both.x_m, CAFE_M[0], atol=0.01) and np.allclose(both.y_m, CAFE_M[1], atol=0.01)
    assert (both.level.tolist(), both.sigma_m.tolist()) == ([0, UNKNOWN], [3.0, 3.0])


def test_columns_of_fixes_go_to_bytes_and_back():
    one = told(ANA, NOON_MS, CAFE_M)
    assert from_columns(one.columns()) == one
    with pytest.raises(ValueError, match="unequal"):
        from_columns([*one.columns()[:-1], b""])


# -- at the border --------------------------------------------------------------------------------

_seq = count()
NAME = "wlc-1"


def message(*placed: wire.Fix, **changed: object) -> wire.Fixes:
    whole = {"sensor": NAME, "boot": 1, "seq": next(_seq), "epoch": 1, "at_ms": NOON_MS, "fixes": list(placed)}
    return wire.Fixes(**(whole | changed))


def take(border: Border, payload: bytes, *, controller: str = NAME):
    return border.take_fixes(wire.fixes_topic("test", controller), payload, NOON_MS, HANDLES)


@pytest.fixture
def border(plan) -> Border:
    return Border(plan.sensor_index, [NAME])


HERE = wire.Fix(101, NOON_MS, 5.0, "L1", x_m=1.0, y_m=2.0)


def test_fixes_of_members_are_taken_and_others_are_counted(border):
    taken = take(border, wire.pack(message(HERE, replace_handle(HERE, 999))))
    assert ([fix.handle for fix in taken.told], taken.device.tolist()) == ([101], [ANA])
    assert border.unknown_handles == {NAME: 1}


def replace_handle(fix: wire.Fix, handle: int) -> wire.Fix:
    return wire.Fix(handle, fix.at_ms, fix.radius_m, fix.level, fix.x_m, fix.y_m)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"\xc1", "not-decodable"),
        (wire.pack(wire.Health(NAME, 1, 2, "online")), "not-fixes"),
        (wire.pack(message(HERE, sensor="wlc-2")), "another-sensor"),
        (wire.pack(message(HERE, version=9)), "unknown-version"),
        (wire.pack(message(HERE, at_ms=NOON_MS + 3_600_000)), "from-the-future"),
    ],
)
def test_what_is_no_message_of_fixes_is_counted_by_its_reason(border, payload, reason):
    assert take(border, payload) is None
    assert border.refused == {(NAME, reason): 1}


def test_a_controller_of_no_setting_is_refused_and_remembered_by_nobody(border):
    assert take(border, wire.pack(message(HERE, sensor="wlc-2")), controller="wlc-2") is None
    assert border.refused == {("(unknown)", "unknown-controller"): 1}


def test_a_repeat_is_refused_also_after_a_restart(border, plan):
    payload = wire.pack(message(HERE))
    take(border, payload)
    again = Border(plan.sensor_index, [NAME])
    again.load(border.dump())
    assert take(again, payload) is None
    assert again.refused == {(NAME, "repeat"): 1}


def test_a_clock_slightly_ahead_is_taken_at_our_own_time(border):
    ahead = NOON_MS + 30_000
    taken = take(border, wire.pack(message(wire.Fix(101, ahead, 5.0, x_m=1.0, y_m=2.0), at_ms=ahead)))
    assert [fix.at_ms for fix in taken.told] == [NOON_MS]


@pytest.mark.parametrize(
    "place",
    [{}, {"x_m": 1.0}, {"lon": 1.0, "lat": 191.0}, {"x_m": 1.0, "y_m": float("nan")}, {"x_m": 1, "y_m": 2, "lat": 3}],
)
def test_a_fix_has_one_whole_place(border, place):
    one = {"handle": 101, "at_ms": NOON_MS, "radius_m": 5.0} | place
    whole = {"sensor": NAME, "boot": 1, "seq": 1, "epoch": 1, "at_ms": NOON_MS, "fixes": [one]}
    with pytest.raises(wire.Malformed, match="not-fixes"):
        wire.read_fixes(wire._pack(whole))


def test_no_fix_is_later_than_its_message():
    whole = {"sensor": NAME, "boot": 1, "seq": 1, "epoch": 1, "at_ms": 5, "fixes": [{"handle": 1, "at_ms": 6}]}
    with pytest.raises(wire.Malformed, match="not-fixes"):
        wire.read_fixes(wire._pack(whole))
