"""Who writes to the ledger next, and one commit for all who came meanwhile.

A commit waits for the disk for thousands of times as long as a statement takes. So whoever has written and sees others
waiting leaves its transaction open to the next of them, and the last one commits for all: a group. Each is told that it
is done only when the group is on the disk, and what one of them fails at is undone alone.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import sqlalchemy as sa
from psycopg.pq import TransactionStatus

from engine.hot import nested

# Where a transaction notes the highest number it appended, until it is committed.
APPENDED = "sojourn.appended"
# A group takes in nobody any more once it is as old as this: the first of it has waited long enough. With a commit of
# some milliseconds it is large enough to make hundreds durable at once.
GROUP_S = 0.02


class Group:
    """One transaction of the database, in which one writer follows the other."""

    def __init__(self, database: sa.Engine, open_s: float) -> None:
        """open_s  for how long others may follow the first"""
        self.tx = database.connect().execution_options(writes=True)
        self.tx.info[APPENDED] = 0
        try:
            self._transaction = self.tx.begin()
        except BaseException:
            self.tx.close()
            raise
        self._closes_s, self._writers = time.monotonic() + open_s, 0
        self._ended = threading.Event()
        self._problem: BaseException | None = None

    @property
    def is_open(self) -> bool:
        """Whether one more may follow."""
        return self._problem is None and time.monotonic() < self._closes_s

    @contextmanager
    def part(self) -> Iterator[sa.Connection]:
        """What one writer does, undone alone if it fails."""
        appended = self.tx.info[APPENDED]
        self._writers += 1
        alone = self._writers == 1
        try:
            with nullcontext() if alone else nested(self.tx):
                yield self.tx
        except BaseException as problem:
            self.tx.info[APPENDED] = appended
            if alone or not _goes_on(self.tx):
                self._problem = problem
            raise

    def end(self, committed: Callable[[int], None]) -> None:
        """Make it durable, or undo it if it failed as a whole; those who wait are told."""
        try:
            if self._problem is None:
                appended = self.tx.info[APPENDED]
                self._transaction.commit()
                committed(appended)
            else:
                self._transaction.rollback()
        except BaseException as problem:
            self._problem = problem
            raise
        finally:
            self.tx.close()
            self._ended.set()

    def wait(self) -> None:
        """Until it is durable. Raises what it failed at as a whole."""
        self._ended.wait()
        if self._problem is not None:
            raise self._problem


class Writers:
    """The writers of one ledger; those of other processes queue at the database."""

    def __init__(self, database: sa.Engine, committed: Callable[[int], None], *, group_s: float = GROUP_S) -> None:
        """committed  is told the highest number that a group has appended, 0 for none"""
        self._database, self._committed, self._group_s = database, committed, group_s
        self._turn, self._counting = threading.Lock(), threading.Lock()
        self.waiting = 0  # how many want to write while another does
        self._group: Group | None = None

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A transaction of one's own, as far as the block can tell; durable once it is left."""
        self._queue()
        try:
            group = self._group = self._group or Group(self._database, self._group_s)
        except BaseException:
            self._turn.release()
            raise
        try:
            with group.part() as tx:
                yield tx
        finally:
            try:
                if not (self.waiting and group.is_open):
                    self._group = None
                    group.end(self._committed)
            finally:
                self._turn.release()
            group.wait()

    def _queue(self) -> None:
        with self._counting:
            self.waiting += 1
        try:
            self._turn.acquire()
        finally:
            with self._counting:
                self.waiting -= 1


def _goes_on(tx: sa.Connection) -> bool:
    """Whether the transaction is still there, and not undone by the database or lost with the connection."""
    driver: Any = tx.connection.driver_connection
    if tx.dialect.name == "sqlite":
        return bool(driver.in_transaction)
    return bool(driver.info.transaction_status == TransactionStatus.INTRANS)
