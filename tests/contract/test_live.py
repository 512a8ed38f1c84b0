"""What the live state promises, on Valkey from the wheel and on Redis; no test may leave a key that never expires."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis

from engine.embedded import NotStarted
from engine.live import FEED_LINES, LiveAway, LiveState, open_live
from tests.servers import free_port


@pytest.fixture
def client(live_url: str, tmp_path: Path) -> Iterator[redis.Redis]:
    with open_live(live_url, tmp_path) as client:
        yield client


@pytest.fixture
def live(client: redis.Redis) -> LiveState:
    return LiveState(client, "demo")


def test_the_latest_picture_is_the_one_shown(live: LiveState) -> None:
    assert live.frame() is None
    live.show(b"first")
    live.show(b"second")
    assert live.frame() == b"second"


def test_a_picture_does_not_outlive_a_minute(live: LiveState, client: redis.Redis) -> None:
    live.show(b"picture")
    assert 0 < client.pttl("sojourn:demo:frame") <= 60_000


def test_members_are_where_they_were_placed_last(live: LiveState) -> None:
    live.place({1: b"cafe", 2: b"cinema"})
    live.place({1: b"atrium"})
    assert [live.whereabouts(member) for member in (1, 2, 3)] == [b"atrium", b"cinema", None]


def test_a_forgotten_member_is_nowhere(live: LiveState) -> None:
    live.place({1: b"cafe", 2: b"cinema"})
    live.forget([1])
    assert [live.whereabouts(member) for member in (1, 2)] == [None, b"cinema"]


def test_nothing_to_place_to_forget_or_to_tell_is_no_error(live: LiveState) -> None:
    live.place({})
    live.forget([])
    assert live.tell([]) == []


def test_the_feed_is_told_in_order_from_where_a_reader_was(live: LiveState) -> None:
    first, *_ = live.tell([b"a", b"b"])
    live.tell([b"c"])
    assert [line for _, line in live.told(first, 10)] == [b"b", b"c"]
    assert [line for _, line in live.told(first, 1)] == [b"b"]


def test_a_new_reader_gets_the_newest_lines_oldest_first(live: LiveState) -> None:
    ids = live.tell([b"a", b"b", b"c"])
    assert live.told(None, 2) == [(ids[1], b"b"), (ids[2], b"c")]


def test_a_reader_who_was_away_too_long_hears_of_the_gap(live: LiveState) -> None:
    early, *_ = live.tell([b"early"])
    assert not live.missed(early)
    live.tell([b"later"] * (2 * FEED_LINES))
    assert live.missed(early)


def test_the_feed_stays_short(live: LiveState) -> None:
    live.tell([b"line"] * (3 * FEED_LINES))
    assert FEED_LINES <= len(live.told(None, 3 * FEED_LINES)) < 1.2 * FEED_LINES


@pytest.mark.parametrize("nonsense", ["", "7", "-", "1-x", "1-1 COUNT", "+", "(1-1", "١-١"])
def test_an_id_that_was_never_given_is_refused(live: LiveState, nonsense: str) -> None:
    with pytest.raises(ValueError, match="no id"):
        live.told(nonsense, 1)


def test_uses_within_the_limit_pass_and_the_next_one_waits(live: LiveState) -> None:
    assert [live.allow("till:7", 3, 60_000) for _ in range(3)] == [0, 0, 0]
    assert 0 < live.allow("till:7", 3, 60_000) <= 60_000


def test_limits_are_counted_apart(live: LiveState) -> None:
    live.allow("till:7", 1, 60_000)
    assert live.allow("till:8", 1, 60_000) == 0


def test_the_limit_holds_when_many_ask_at_once(live: LiveState) -> None:
    with ThreadPoolExecutor(8) as crowd:
        waits = list(crowd.map(lambda _: live.allow("door", 10, 60_000), range(64)))
    assert waits.count(0) == 10


def test_one_leads_and_keeps_the_lead(live: LiveState) -> None:
    assert live.lead("schedule", "ana", 60_000)
    assert not live.lead("schedule", "ben", 60_000)
    assert live.lead("schedule", "ana", 60_000)


def test_only_one_of_many_takes_the_lead(live: LiveState) -> None:
    with ThreadPoolExecutor(8) as crowd:
        assert sum(crowd.map(lambda holder: live.lead("schedule", f"holder{holder}", 60_000), range(32))) == 1


def test_who_resigns_makes_room_for_the_next(live: LiveState) -> None:
    live.lead("schedule", "ana", 60_000)
    live.resign("schedule", "ben")
    assert not live.lead("schedule", "ben", 60_000)
    live.resign("schedule", "ana")
    assert live.lead("schedule", "ben", 60_000)


def test_sites_do_not_see_each_other(client: redis.Redis, live: LiveState) -> None:
    other = LiveState(client, "other")
    live.show(b"picture")
    live.place({1: b"cafe"})
    assert (other.frame(), other.whereabouts(1), other.told(None, 10)) == (None, None, [])


def test_a_server_that_is_away_is_one_error(tmp_path: Path) -> None:
    with open_live(f"redis://127.0.0.1:{free_port()}/0", tmp_path) as client, pytest.raises(LiveAway):
        LiveState(client, "demo").show(b"picture")


def test_connections_that_the_server_closed_are_not_noticed(live: LiveState, client: redis.Redis) -> None:
    live.show(b"picture")
    client.client_kill_filter(_type="normal", skipme=False)
    assert live.frame() == b"picture"


def test_an_unknown_scheme_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(NotStarted, match="embedded://, redis://, rediss://, unix://"):
        open_live("memcached://somewhere", tmp_path)
