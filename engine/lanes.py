"""Keeps the lanes of a subscription in step, so that a backlog on one does not make the others' news late.

A broker sends each lane its messages in order, but after an outage one lane may run minutes ahead of another. What is
far ahead waits here, unacknowledged, until the slower lanes have come as far; a lane that has nothing to send is not
waited for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

import msgspec

from engine.broker import Message

# In whole seconds, as sensors gather. With the second that a batch spans it makes the lateness of alignment (2 s):
# more, and what is in step would be late; less, and in real time each second would wait for the next.
SECOND_MS = APART_MS = 1_000
# A lane that sent nothing for so long has nothing to send. Brokers answer an acknowledgement within milliseconds, but a
# busy machine may not let them.
IDLE_REAL_MS = 2_000


EVER_MS = 2**62


class _Instant(msgspec.Struct):
    """When a batch or a heartbeat is about; the rest of the payload is not looked at."""

    t0_ms: int | None = None
    at_ms: int | None = None


_from_msgpack = msgspec.msgpack.Decoder(_Instant).decode
_from_json = msgspec.json.Decoder(_Instant).decode


class Second(NamedTuple):
    """What a payload is about. Batches set the pace; a heartbeat follows, for it claims that all before it came."""

    at_ms: int
    paces: bool


def second_of(payload: bytes) -> Second | None:
    """The second of a payload, if it is readable and has one; whoever takes the payload judges the rest."""
    try:
        found = _from_json(payload) if payload[:1] == b"{" else _from_msgpack(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    at_ms = found.at_ms if found.t0_ms is None else found.t0_ms
    return None if at_ms is None else Second(at_ms // SECOND_MS * SECOND_MS, paces=found.t0_ms is not None)


class Lanes:
    """Messages that wait for their turn. Real time is handed in."""

    def __init__(self) -> None:
        self._waiting: dict[int, deque[tuple[int | None, Message]]] = {}
        self._newest_ms: dict[int, int] = {}  # lane -> newest event time that has come
        self._last_real_ms: dict[int, int] = {}

    def add(
        self,
        messages: Iterable[Message],
        now_real_ms: int,
        *,
        no_later_than_ms: int,
        right: Callable[[Message, int], int] = lambda _, at_ms: at_ms,
    ) -> None:
        """Take messages in the order in which each lane brought them.

        no_later_than_ms  what claims to be later comes from a clock that is wrong, and must hold up nobody
        right             what the time is when a message says that it is so late
        """
        for message in messages:
            second = second_of(message.payload)
            if second is not None:
                second = second._replace(at_ms=right(message, second.at_ms))
            if second is not None and second.at_ms > no_later_than_ms:
                second = None
            self._waiting.setdefault(message.lane, deque()).append((second.at_ms if second else None, message))
            if second is not None and second.paces:
                self._last_real_ms[message.lane] = now_real_ms
                self._newest_ms[message.lane] = max(second.at_ms, self._newest_ms.get(message.lane, 0))

    def ready(self, now_real_ms: int, *, away: Collection[int] = ()) -> list[Message]:
        """Those whose turn has come, each lane's in order.

        away  lanes without a connection: they come back one by one, and with a backlog, so each is waited for
        """
        for lane in away:
            self._last_real_ms[lane] = now_real_ms
        busy = [
            newest_ms
            for lane, newest_ms in self._newest_ms.items()
            if self._waiting.get(lane) or now_real_ms - self._last_real_ms[lane] < IDLE_REAL_MS
        ]
        horizon_ms = min(busy, default=EVER_MS) + APART_MS
        found: list[Message] = []
        for waiting in self._waiting.values():
            while waiting and ((at_ms := waiting[0][0]) is None or at_ms <= horizon_ms):
                found.append(waiting.popleft()[1])
        return found
