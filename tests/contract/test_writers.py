"""Writers who come together share a commit, and notice nothing of it: on each database that is there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

import pytest
import sqlalchemy as sa

from engine.events import PresenceEvent
from engine.ledger import Ledger, open_ledger
from engine.tables import cursor
from engine.writers import Undone, Writers

WAIT_S = 20


class Desk:
    """Writers whose groups stay open for as long as somebody waits."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.commits = ledger, 0
        self.writers = Writers(ledger.database, self._count, group_s=WAIT_S)
        self._threads = ThreadPoolExecutor(8)

    def _count(self, _: int) -> None:
        self.commits += 1

    def write(self, name: str, then: Callable[[sa.Connection], object] = lambda _: None) -> Future[None]:
        """Note *name*, do *then* in the same transaction; in a thread of its own."""

        def act() -> None:
            with self.writers.write() as tx:
                tx.execute(sa.insert(cursor).values(name=name, seq=1))
                then(tx)

        return self._threads.submit(act)

    def begin(self, others: int, then: Callable[[sa.Connection], object] = lambda _: None) -> Future[None]:
        """The first writer, who is at it now and goes on once so many others queue."""
        at_it, tick = threading.Event(), threading.Event()

        def until_they_queue(tx: sa.Connection) -> None:
            at_it.set()
            while self.writers.waiting < others:
                tick.wait(0.001)
            then(tx)

        first = self.write("first", until_they_queue)
        assert at_it.wait(WAIT_S)
        return first

    def kept(self) -> set[str]:
        with self.ledger.read() as tx:
            return set(tx.execute(sa.select(cursor.c.name)).scalars())

    def close(self) -> None:
        self._threads.shutdown()
        self.writers.close()


@pytest.fixture
def desk(ledger_url: str) -> Iterator[Desk]:
    ledger = open_ledger(ledger_url, PresenceEvent)
    desk = Desk(ledger)
    yield desk
    desk.close()
    ledger.close()


def fail(_: sa.Connection) -> None:
    raise ZeroDivisionError


def break_down(tx: sa.Connection) -> None:
    """Have the database give up the whole transaction."""
    if tx.dialect.name == "sqlite":
        tx.connection.driver_connection.rollback()
        raise OSError("no room left")
    tx.execute(sa.text("SELECT pg_terminate_backend(pg_backend_pid())"))


def test_who_comes_while_another_writes_shares_its_commit(desk: Desk) -> None:
    asked = [desk.begin(others=3), *(desk.write(f"{number}") for number in range(3))]
    for one in asked:
        one.result(WAIT_S)
    assert desk.commits == 1
    assert desk.kept() == {"first", "0", "1", "2"}


def test_nobody_is_told_before_all_is_kept(desk: Desk) -> None:
    at_it, go_on = threading.Event(), threading.Event()

    def hold(_: sa.Connection) -> None:
        at_it.set()
        assert go_on.wait(WAIT_S)

    first = desk.begin(others=1)
    second = desk.write("second", hold)
    assert at_it.wait(WAIT_S)
    assert (first.done(), desk.kept()) == (False, set())
    go_on.set()
    first.result(WAIT_S)
    assert desk.kept() == {"first", "second"}
    second.result(WAIT_S)


@pytest.mark.parametrize("failing", ["first", "second", "third"])
def test_who_fails_is_undone_alone(desk: Desk, failing: str) -> None:
    nothing: Callable[[sa.Connection], object] = lambda _: None  # noqa: E731
    asked = {"first": desk.begin(2, fail if failing == "first" else nothing)}
    asked |= {name: desk.write(name, fail if name == failing else nothing) for name in ("second", "third")}
    for name, one in asked.items():
        assert isinstance(one.exception(WAIT_S), ZeroDivisionError) == (name == failing)
    assert desk.kept() == set(asked) - {failing}


@pytest.mark.parametrize("failing", ["first", "second", "third"])
def test_who_fails_at_what_it_did_not_ask_about_is_undone_alone(desk: Desk, failing: str) -> None:
    note = desk.ledger.hot(sa.insert(cursor), ("name", "seq"))

    def note_again(tx: sa.Connection) -> None:
        note.send(tx, {"name": failing, "seq": 2})

    nothing: Callable[[sa.Connection], object] = lambda _: None  # noqa: E731
    asked = {"first": desk.begin(2, note_again if failing == "first" else nothing)}
    asked |= {name: desk.write(name, note_again if name == failing else nothing) for name in ("second", "third")}
    for name, one in asked.items():
        problem = one.exception(WAIT_S)
        assert (None if problem is None else type(problem).__name__) in (
            ("IntegrityError", "UniqueViolation") if name == failing else (None,)
        )
    assert desk.kept() == set(asked) - {failing}


def undo_in_silence(tx: sa.Connection) -> None:
    """Have the database undo the whole transaction, and go on as if nothing were."""
    if tx.dialect.name == "sqlite":
        tx.connection.driver_connection.rollback()
        return
    with suppress(sa.exc.DBAPIError):
        tx.execute(sa.text("SELECT 1 / 0"))


def test_a_transaction_that_was_undone_in_silence_is_not_taken_for_kept(desk: Desk) -> None:
    assert isinstance(desk.write("first", undo_in_silence).exception(WAIT_S), Undone)
    desk.write("later").result(WAIT_S)
    assert desk.kept() == {"later"}


def test_a_write_within_a_write_is_refused_and_says_where_the_other_is(desk: Desk) -> None:
    def write_too(_: sa.Connection) -> None:
        with desk.writers.write():
            raise AssertionError("never comes here")

    problem = desk.write("first", write_too).exception(WAIT_S)
    assert isinstance(problem, RuntimeError) and f"act ({__file__}:" in str(problem)
    desk.write("later").result(WAIT_S)
    assert desk.kept() == {"later"}


def test_a_ledger_is_closed_once_whoever_is_writing_is_done(desk: Desk) -> None:
    closing = threading.Event()

    def go_on_once_it_closes(_: sa.Connection) -> None:
        assert closing.wait(WAIT_S)

    first = desk.begin(0, go_on_once_it_closes)
    closer = threading.Thread(target=desk.writers.close)
    closer.start()
    closing.set()
    closer.join(WAIT_S)
    first.result(WAIT_S)
    assert desk.kept() == {"first"}


def test_a_transaction_that_is_lost_fails_for_all_who_shared_it(desk: Desk) -> None:
    asked = [desk.begin(others=1), desk.write("second", break_down)]
    assert all(one.exception(WAIT_S) for one in asked)
    assert desk.kept() == set()
    desk.write("later").result(WAIT_S)
    assert desk.kept() == {"later"}
