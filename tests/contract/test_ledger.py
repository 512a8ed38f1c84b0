"""What every ledger must hold, on each database that is there."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from engine.events import PresenceEvent, VisitEnded, VisitStarted, id_of
from engine.ledger import Ledger, open_ledger


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    opened = open_ledger(ledger_url, PresenceEvent)
    yield opened
    opened.close()


def started(member: int, at_ms: int = 1_000) -> VisitStarted:
    visit = id_of("visit", member, at_ms)
    return VisitStarted(id_of(visit, "started"), at_ms, member, visit)


def append(ledger: Ledger, *events: PresenceEvent) -> None:
    with ledger.write() as tx:
        ledger.append(tx, events, heard_real_ms=7)


def test_events_come_back_as_they_were_told_and_in_order(ledger: Ledger) -> None:
    told = [started(1), VisitEnded("e", 9_000, 1, "v", dwell_ms=8_000, cause="silent"), started(2)]
    append(ledger, *told)
    with ledger.read() as tx:
        assert [recorded.event for recorded in ledger.since(tx, 0, 10)] == told


def test_a_cause_that_is_repeated_is_kept_once(ledger: Ledger) -> None:
    append(ledger, started(1))
    append(ledger, started(1), started(2))
    with ledger.read() as tx:
        assert [recorded.event.member for recorded in ledger.since(tx, 0, 10)] == [1, 2]


def test_a_follower_goes_on_from_its_own_cursor(ledger: Ledger) -> None:
    append(ledger, started(1), started(2), started(3))
    with ledger.write() as tx:
        first = ledger.since(tx, ledger.cursor(tx, "promote"), 2)
        ledger.move_cursor(tx, "promote", first[-1].seq)
    with ledger.read() as tx:
        rest = ledger.since(tx, ledger.cursor(tx, "promote"), 10)
    assert [recorded.event.member for recorded in rest] == [3]


def test_a_write_that_fails_leaves_nothing_behind(ledger: Ledger) -> None:
    with pytest.raises(ZeroDivisionError), ledger.write() as tx:
        ledger.append(tx, [started(1)], heard_real_ms=0)
        ledger.move_cursor(tx, "promote", 5)
        raise ZeroDivisionError
    with ledger.read() as tx:
        assert (ledger.since(tx, 0, 10), ledger.cursor(tx, "promote")) == ([], 0)


def test_a_snapshot_is_replaced(ledger: Ledger) -> None:
    for blob in (b"one", b"two"):
        with ledger.write() as tx:
            ledger.keep(tx, "presence", blob, at_ms=1)
    with ledger.read() as tx:
        assert ledger.kept(tx, "presence") == b"two"


def test_a_waiting_follower_is_woken_by_a_write(ledger: Ledger) -> None:
    woken: list[bool] = []
    follower = threading.Thread(target=lambda: woken.append(ledger.wait_beyond(0, timeout_s=30)))
    follower.start()
    append(ledger, started(1))
    follower.join(timeout=10)
    assert woken == [True]


def test_waiting_ends_when_nothing_comes(ledger: Ledger) -> None:
    assert ledger.wait_beyond(0, timeout_s=0.01) is False


def test_a_follower_of_many_writers_misses_nothing(ledger: Ledger) -> None:
    def write(writer: int) -> None:
        for number in range(20):
            append(ledger, started(writer * 100 + number))

    writers = [threading.Thread(target=write, args=(writer,)) for writer in range(1, 6)]
    for writer in writers:
        writer.start()
    seen: list[int] = []
    seq = 0
    while len(seen) < 100 and ledger.wait_beyond(seq, timeout_s=20):
        with ledger.read() as tx:
            for recorded in ledger.since(tx, seq, 7):
                seen.append(recorded.event.member)
                seq = recorded.seq
    for writer in writers:
        writer.join()
    assert sorted(seen) == sorted(w * 100 + n for w in range(1, 6) for n in range(20))


def test_one_members_events_are_found_without_the_others(ledger: Ledger) -> None:
    append(ledger, started(1), started(2), started(1, at_ms=5_000))
    with ledger.read() as tx:
        assert [r.event.at_ms for r in ledger.of_member(tx, 1)] == [1_000, 5_000]
