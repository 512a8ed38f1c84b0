"""The senders of what is leased: a few threads that wait for other people's servers, so that nobody else does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import structlog

from engine.clock import Clock
from rules.outbox import Outbox
from rules.parcel import Outcome, Parcel

log = structlog.get_logger()

# Sends one parcel; raises nothing that it expects. now_ms is paced.
Post = Callable[[Parcel, int], Outcome]
# A push service answers in under a second; while one hangs, these many wait for it and the rest stays queued.
THREADS, MOST_IN_HAND = 8, 32


class Senders:
    """Takes parcels and reports what came of them. round() never waits for a sender."""

    def __init__(self, outbox: Outbox, posts: Mapping[str, Post], clock: Clock, real_clock: Clock) -> None:
        self._outbox, self._posts, self._clock, self._real_clock = outbox, posts, clock, real_clock
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="sender")
        self._lock = threading.Lock()
        self._in_hand = 0
        self._idle = threading.Condition(self._lock)

    def round(self) -> int:
        """Deliver what is due to inboxes, and hand the rest to senders; how many rows that were."""
        room = MOST_IN_HAND - self._in_hand if self._posts else 0
        rows, parcels = self._outbox.round(self._clock(), self._real_clock(), room)
        for parcel in parcels:
            with self._lock:
                self._in_hand += 1
            self._pool.submit(self._send, parcel)
        return rows

    def wait_until_idle(self, timeout_s: float) -> bool:
        """Whether everything that was handed over is reported, waiting for it at most *timeout_s*."""
        with self._idle:
            return self._idle.wait_for(lambda: self._in_hand == 0, timeout_s)

    def close(self) -> None:
        """What is still in hand is tried again after its lease, by whoever comes next."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _send(self, parcel: Parcel) -> None:
        try:
            now_ms = self._clock()
            # It waited here for so long that it may be in other hands by now.
            if now_ms < min(parcel.lease_ms, parcel.expires_ms):
                outcome = self._posts[parcel.channel](parcel, now_ms)
                if outcome.kind == "stop":
                    log.error("a channel is switched off", channel=parcel.channel, reason=outcome.reason)
                self._outbox.report(parcel, outcome, self._clock(), self._real_clock())
        except Exception as problem:
            # One parcel must not take the senders down; its lease ends and it is tried again, or it expires. What the
            # problem says may hold an address, so only its kind is for the log.
            log.error("sending failed", channel=parcel.channel, problem=type(problem).__name__)
        finally:
            with self._idle:
                self._in_hand -= 1
                self._idle.notify_all()
