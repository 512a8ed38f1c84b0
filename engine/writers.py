"""Who writes to the ledger next, and one commit for all who came meanwhile.

A commit waits for the disk for thousands of times as long as a statement takes. So whoever has written and sees others
waiting leaves its transaction open to the next of them, and the last one commits for all: a group. Each is told that it
is done only when the group is on the disk, and what one of them fails at is undone alone.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import psycopg
import sqlalchemy as sa

from engine.hot import nested
from engine.ways import way

# Where a transaction notes what will tell, once it is committed, which numbers it appended: a list of functions.
APPENDED = "sojourn.appended"
# A group takes in nobody any more once it is as old as this: the first of it has waited long enough. With a commit of
# some milliseconds it is large enough to make hundreds durable at once.
GROUP_S = 0.02


class Undone(Exception):
    """A transaction was undone by the database before its commit, and whoever wrote in it did not say so."""


class Group:
    """One transaction of the database, in which one writer follows the other."""

    def __init__(self, tx: sa.Connection, open_s: float) -> None:
        """open_s  for how long others may follow the first"""
        self.tx = tx
        self._appended: list[Callable[[], list[int]]] = []
        tx.info[APPENDED] = self._appended
        self._way = way(tx)
        self._way.begin_writing()
        self._closes_s = time.monotonic() + open_s
        # Held until it has ended: waits like an Event, and is made and passed sooner.
        self._going = threading.Lock()
        self._going.acquire()
        self._problem: BaseException | None = None

    @property
    def is_open(self) -> bool:
        """Whether one more may follow."""
        return self._problem is None and time.monotonic() < self._closes_s

    @contextmanager
    def after_others(self) -> Iterator[None]:
        """What a writer does who is not the first: undone alone if it fails."""
        appended = len(self._appended)
        try:
            with nested(self.tx):
                yield
                self.settle()
        except BaseException as problem:
            del self._appended[appended:]
            if not self._way.goes_on:
                self.fail(problem)
            raise

    def settle(self) -> None:
        """Wait for what was sent, so that whatever is wrong with it is the writer's own and no follower's."""
        self._way.settle()

    def fail(self, problem: BaseException) -> None:
        """Have it undone as a whole."""
        self._problem = problem

    def end(self, committed: Callable[[int], None]) -> None:
        """Make it durable, or undo it if it failed as a whole; those who wait are told."""
        try:
            if self._problem is None:
                if not self._way.commit():
                    raise Undone("the database undid it after an error that whoever wrote in it did not pass on")
                committed(max((number for numbers in self._appended for number in numbers()), default=0))
            else:
                self._way.roll_back()
        except BaseException as problem:
            self._problem = problem
            raise
        finally:
            self._going.release()

    def wait(self) -> None:
        """Until it is durable. Raises what it failed at as a whole."""
        with self._going:
            pass
        if self._problem is not None:
            raise self._problem


class Writers:
    """The writers of one ledger; those of other processes queue at the database."""

    def __init__(self, database: sa.Engine, committed: Callable[[int], None], *, group_s: float = GROUP_S) -> None:
        """committed  is told the highest number that a group has appended, 0 for none"""
        self._database, self._committed, self._group_s = database, committed, group_s
        self._turn, self._counting = threading.Lock(), threading.Lock()
        self._writer = 0  # the thread whose turn it is
        self._frame: FrameType | None = None  # where it began to write
        self.waiting = 0  # how many want to write while another does
        self._group: Group | None = None
        # All groups use one connection: to take one from the pool and give it back costs as much as a statement.
        self._tx: sa.Connection | None = None

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A transaction of one's own, as far as the block can tell; durable once it is left.

        Raises RuntimeError within another write of the same thread.
        """
        self._queue()
        first, stays = self._group is None, False
        try:
            group = self._group = self._group or self._begin()
        except BaseException:
            self._pass_on()
            raise
        try:
            if first:
                yield group.tx
                stays = self._goes_on(group)
                if stays:  # else all is settled with the commit
                    group.settle()
            else:
                with group.after_others():
                    yield group.tx
                stays = self._goes_on(group)
        except BaseException as problem:
            if first:
                group.fail(problem)
            stays = self._goes_on(group)
            raise
        finally:
            try:
                if not stays:
                    self._end(group)
            finally:
                self._pass_on()
            group.wait()

    def close(self) -> None:
        """Give the connection back, once whoever is writing is done."""
        self._queue()
        try:
            if self._group is not None:  # it was left open to whoever came, as we did
                self._end(self._group)
        finally:
            tx, self._tx = self._tx, None
            if tx is not None:
                tx.close()
            self._pass_on()

    def _goes_on(self, group: Group) -> bool:
        """Whether another will follow in this group."""
        return self.waiting > 0 and group.is_open

    def _queue(self) -> None:
        if self._writer == threading.get_ident():
            raise RuntimeError(
                f"{self._where()} writes to the ledger already, and would wait for itself for ever: "
                "what it calls has to be given its transaction (tx), or to come after it"
            )
        if not self._turn.acquire(blocking=False):
            with self._counting:
                self.waiting += 1
            try:
                self._turn.acquire()
            finally:
                with self._counting:
                    self.waiting -= 1
        self._writer, self._frame = threading.get_ident(), sys._getframe(2)

    def _pass_on(self) -> None:
        self._writer, self._frame = 0, None
        self._turn.release()

    def _where(self) -> str:
        """The place that has the turn."""
        frame = self._frame
        while frame is not None and frame.f_code.co_filename in (__file__, contextlib.__file__):
            frame = frame.f_back
        return (
            "somebody" if frame is None else f"{frame.f_code.co_qualname} ({frame.f_code.co_filename}:{frame.f_lineno})"
        )

    def _begin(self) -> Group:
        if self._tx is None:
            self._tx = self._database.connect().execution_options(transaction="by hand")
        try:
            return Group(self._tx, self._group_s)
        except BaseException:
            self._hang_up()
            raise

    def _end(self, group: Group) -> None:
        self._group, kept = None, False
        try:
            group.end(self._committed)
            kept = not group.tx.invalidated
        finally:
            if not kept:
                self._hang_up()

    def _hang_up(self) -> None:
        """Have the next group use another connection: nobody knows what this one is in."""
        tx, self._tx = self._tx, None
        if tx is not None:
            with suppress(psycopg.Error, sa.exc.DBAPIError):
                tx.invalidate()
                tx.close()
