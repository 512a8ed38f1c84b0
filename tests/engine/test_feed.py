"""The feed tells of k members together, or not at all."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.events import VisitEnded, VisitStarted, ZoneEntered
from engine.feed import GATHER_MS, Feed, FeedLine

NOW_MS = 5_000_000


def entered(member: int, zone: str = "cafe-luna") -> ZoneEntered:
    return ZoneEntered(f"e{member}", 1_000, member, f"v{member}", zone=zone, confidence=0.9, confirmed_ms=2_000)


def feed(k: int = 3) -> Feed:
    return Feed(k, quiet={"clinic"}, title={}.get)


def told(feed: Feed, members: range, zone: str = "cafe-luna") -> list[FeedLine]:
    """What is told once they have all entered and the time to gather is over."""
    for member in members:
        feed.note(entered(member, zone), NOW_MS)
    return feed.due(NOW_MS + GATHER_MS)


def test_a_line_says_how_many_stand_behind_it() -> None:
    assert [(line.zone, line.members) for line in told(feed(), range(7))] == [("cafe-luna", 7)]


def test_a_line_gathers_before_it_is_told() -> None:
    one = feed()
    for member in range(5):
        one.note(entered(member), NOW_MS)
    assert [len(one.due(NOW_MS + after_ms)) for after_ms in (0, GATHER_MS - 1, GATHER_MS, GATHER_MS)] == [0, 0, 1, 0]


def test_a_line_waits_on_until_k_members_stand_behind_it() -> None:
    one = feed()
    assert told(one, range(2)) == []
    one.note(entered(9), NOW_MS + 9 * GATHER_MS)
    assert [line.members for line in one.due(NOW_MS + 9 * GATHER_MS)] == [3]


def test_a_line_bears_the_time_at_which_it_is_told() -> None:
    one = feed()
    for member in range(3):
        one.note(VisitEnded(f"x{member}", NOW_MS - 900_000, member, f"v{member}", dwell_ms=1, cause="silent"), NOW_MS)
        one.note(entered(member), NOW_MS + 1)
    times = [line.at_ms for line in (*one.due(NOW_MS + GATHER_MS), *one.due(NOW_MS + 2 * GATHER_MS))]
    assert times == [NOW_MS + GATHER_MS, NOW_MS + 2 * GATHER_MS]


def test_one_member_going_in_and_out_is_no_crowd() -> None:
    one = feed()
    for _ in range(9):
        one.note(entered(1), NOW_MS)
    assert one.due(NOW_MS + GATHER_MS) == []


def test_a_zone_without_marketing_is_never_told_of() -> None:
    assert told(feed(k=2), range(9), "clinic") == []


@given(
    st.lists(st.tuples(st.integers(1, 9), st.sampled_from(["a", "b"]), st.integers(0, GATHER_MS)), max_size=60),
    st.integers(2, 6),
)
def test_no_line_ever_has_fewer_than_k_members(walk: list[tuple[int, str, int]], k: int) -> None:
    one, now_ms = feed(k), NOW_MS
    for member, zone, later_ms in walk:
        now_ms += later_ms
        one.note(entered(member, zone), now_ms)
        assert all(line.members >= k for line in one.due(now_ms))


def test_kinds_are_counted_apart() -> None:
    one = feed(k=2)
    one.note(entered(1), NOW_MS)
    one.note(VisitStarted("s", 1, 2, "v"), NOW_MS)
    assert one.due(NOW_MS + GATHER_MS) == []
