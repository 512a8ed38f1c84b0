"""Which wallet pages are open, and how to wake a member's when something in it has changed."""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from engine.events import Moment
from rules.events import CouponIssued, CouponMoment


class _Bell(NamedTuple):
    """Wakes one open page; asyncio events are not for other threads, so it is rung through its loop."""

    loop: asyncio.AbstractEventLoop
    rung: asyncio.Event


class Inbox:
    """Which wallet pages are open, and how to wake a member's when something in it has changed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bells: defaultdict[int, set[_Bell]] = defaultdict(set)

    def hear(self, events: Iterable[Moment]) -> None:
        """Wake the pages that these events change. Any thread may call."""
        # A coupon that was only issued is not in the inbox yet.
        for member in {e.member for e in events if isinstance(e, CouponMoment) and not isinstance(e, CouponIssued)}:
            self.changed(member)

    def changed(self, member: int) -> None:
        """Wake the open pages of one member. Any thread may call."""
        with self._lock:
            for bell in self._bells.get(member, ()):
                bell.loop.call_soon_threadsafe(bell.rung.set)

    @contextmanager
    def listening(self, member: int) -> Iterator[asyncio.Event]:
        """Within the block, the event is set whenever the member's wallet changes. Clear it before reading."""
        bell = _Bell(asyncio.get_running_loop(), asyncio.Event())
        with self._lock:
            self._bells[member].add(bell)
        try:
            yield bell.rung
        finally:
            with self._lock:
                self._bells[member].discard(bell)
                if not self._bells[member]:
                    del self._bells[member]

    @property
    def open_pages(self) -> int:
        with self._lock:
            return sum(map(len, self._bells.values()))
