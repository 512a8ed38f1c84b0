"""The feed tells of k members together, or not at all."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.events import VisitStarted, ZoneEntered
from engine.feed import Feed


def entered(member: int, zone: str = "cafe-luna") -> ZoneEntered:
    return ZoneEntered(f"e{member}", 1_000, member, f"v{member}", zone=zone, confidence=0.9, confirmed_ms=2_000)


def feed(k: int = 3) -> Feed:
    return Feed(k, quiet={"clinic"}, title={}.get)


def test_a_line_waits_until_k_members_stand_behind_it() -> None:
    lines = [feed_ for feed_ in map(feed().note, map(entered, (1, 2, 3, 4))) if feed_]
    assert [(line.zone, line.members) for line in lines] == [("cafe-luna", 3)]


def test_one_member_going_in_and_out_is_no_crowd() -> None:
    one = feed()
    assert [one.note(entered(1)) for _ in range(9)] == [None] * 9


def test_a_zone_without_marketing_is_never_told_of() -> None:
    one = feed(k=2)
    assert [one.note(entered(m, "clinic")) for m in range(9)] == [None] * 9


@given(st.lists(st.tuples(st.integers(1, 9), st.sampled_from(["a", "b"])), max_size=60), st.integers(2, 6))
def test_no_line_ever_has_fewer_than_k_members(walk: list[tuple[int, str]], k: int) -> None:
    one = feed(k)
    lines = [line for line in (one.note(entered(m, z)) for m, z in walk) if line]
    assert all(line.members >= k for line in lines)


def test_kinds_are_counted_apart() -> None:
    one = feed(k=2)
    assert one.note(entered(1)) is None
    assert one.note(VisitStarted("s", 1, 2, "v")) is None
