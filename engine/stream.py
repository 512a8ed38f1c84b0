"""One stream of pictures and feed lines, encoded once, for however many pages are open."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from engine.live import LiveAway, LiveState

# A page that reconnects gets what it missed of these; an older one is told to reload.
LINES_KEPT = 200
# Proxies and browsers drop a silent connection; a comment keeps it.
QUIET_S = 15.0


def sse(event: str, data: bytes, id: str | None = None) -> bytes:
    """One server-sent event; *data* has no line breaks (it is JSON)."""
    head = f"id: {id}\nevent: {event}\n" if id else f"event: {event}\n"
    return head.encode() + b"data: " + data + b"\n\n"


class Stream:
    """Follows the live state once, for all readers. A slow reader skips pictures, never lines."""

    def __init__(self, live: LiveState, *, period_s: float) -> None:
        self._live, self._period_s = live, period_s
        self._picture, self._frame = b"", b""  # as JSON, and as a stream event
        self._lines: deque[tuple[int, bytes]] = deque(maxlen=LINES_KEPT)
        self._bare: deque[tuple[int, bytes]] = deque(maxlen=LINES_KEPT)
        self._ids: dict[str, int] = {}
        self._count = 0
        self._changed = asyncio.Condition()
        self._version = 0

    async def follow(self) -> None:
        """Runs for ever; live state that is away leaves pages to see that they are stale."""
        last: str | None = None
        while True:
            try:
                frame = await asyncio.to_thread(self._live.frame)
                told = await asyncio.to_thread(self._live.told, last, LINES_KEPT)
            except LiveAway:
                frame, told = None, []
            for id, line in told:
                last = id
                self._count += 1
                self._lines.append((self._count, sse("feed", line, id)))
                self._bare.append((self._count, line))
                self._ids[id] = self._count
                if len(self._ids) > LINES_KEPT:
                    del self._ids[next(iter(self._ids))]
            if told or (frame is not None and frame != self._picture):
                if frame is not None:
                    self._picture, self._frame = frame, sse("frame", frame)
                async with self._changed:
                    self._version += 1
                    self._changed.notify_all()
            await asyncio.sleep(self._period_s)

    async def read(self, after: str | None) -> AsyncIterator[bytes]:
        """Everything from the feed line after id *after* on, and each newest picture."""
        told = self._ids.get(after, 0) if after else 0
        version, shown = -1, b""
        while True:
            if version == self._version:
                try:
                    async with asyncio.timeout(QUIET_S), self._changed:
                        await self._changed.wait_for(lambda seen=version: self._version != seen)  # type: ignore[misc]
                except TimeoutError:
                    yield b": still here\n\n"
                    continue
            version = self._version
            lines = [line for number, line in self._lines if number > told]
            told = self._count
            if lines:
                yield b"".join(lines)
            if self._frame and self._frame is not shown:
                shown = self._frame
                yield shown

    def now(self) -> tuple[bytes | None, list[bytes]]:
        """The newest picture and the feed lines kept, oldest first."""
        return self._picture or None, [line for _, line in self._bare]
