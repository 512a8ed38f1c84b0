"""Whom a sensor may publish: addresses become handles here, or go no further.

What is not on the list is told to nobody: it is not logged, queued or counted by address. To ask once per address
and not once per frame, answers are kept in memory for as long as the list and its epoch last, and never longer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Lock

from sensors.wire import DIGEST_BYTES, AllowList, digest

# 65,536 answers are about 10 MB. Phones that change their address with each probe fill it within hours
# in a full mall; then all answers are forgotten and members' are found again, some microseconds each.
MOST_ANSWERS = 65_536

Answer = tuple[int, int] | None  # (epoch number, handle) of a member's device


@dataclass(frozen=True, slots=True)
class _Epoch:
    number: int
    from_ms: int
    until_ms: int
    key: bytes
    handles: dict[bytes, int]  # by digest


@dataclass(frozen=True, slots=True)
class _Window:
    """A stretch of time in which the same epochs are valid, newest first, and what was answered in it."""

    from_ms: int
    until_ms: int
    epochs: tuple[_Epoch, ...]
    answers: dict[bytes, Answer] = field(default_factory=dict)


_END_OF_TIME_MS = 2**53
_NOWHEN = _Window(0, _END_OF_TIME_MS, ())


class ConsentFilter:
    """The allow-list of one site as sensors use it. Several agents, and the thread that takes lists, may share one."""

    def __init__(self, site: str) -> None:
        self.site = site
        self.list_version = 0
        self.beacons: dict[bytes, str] = {}  # the sensor beside each of the mall's access points
        self._epochs: tuple[_Epoch, ...] = ()
        self._window = _NOWHEN
        # Held by those who change the window; asking needs no lock.
        self._changing = Lock()

    def take(self, allow: AllowList, at_ms: int) -> str:
        """Replace the list, and forget every answer given by the old one.

        Returns why the list was refused, empty if it was taken. A list that was taken before is neither.
        """
        if allow.site != self.site:
            return "list-for-another-site"
        if all(epoch.until_ms <= at_ms for epoch in allow.epochs):
            return "list-expired"
        with self._changing:
            if allow.list_version < self.list_version:
                # An older list may name somebody who has withdrawn since.
                return "list-older-than-ours"
            if allow.list_version > self.list_version:
                self.list_version = allow.list_version
                newest_first = sorted(allow.epochs, key=lambda epoch: epoch.number, reverse=True)
                self._epochs = tuple(
                    _Epoch(
                        epoch.number,
                        epoch.from_ms,
                        epoch.until_ms,
                        epoch.key,
                        {
                            epoch.digests[DIGEST_BYTES * row : DIGEST_BYTES * (row + 1)]: handle
                            for row, handle in enumerate(epoch.handles)
                        },
                    )
                    for epoch in newest_first
                )
                self._window = self._window_at(at_ms)
                self.beacons = allow.beacons
        return ""

    def handle(self, address: bytes, at_ms: int) -> Answer:
        """(epoch number, handle) of the member's device that sends from *address*; None for everybody else."""
        window = self._window
        if not window.from_ms <= at_ms < window.until_ms:
            with self._changing:
                window = self._window = self._window_at(at_ms)
        try:
            return window.answers[address]
        except KeyError:
            return self._look_up(window, address)

    def why(self, at_ms: int) -> str:
        """Why nothing may be published at *at_ms*; empty if the list is good."""
        if self.list_version == 0:
            return "no-allow-list"
        if not any(epoch.from_ms <= at_ms < epoch.until_ms for epoch in self._epochs):
            return "allow-list-expired"
        return ""

    def _look_up(self, window: _Window, address: bytes) -> Answer:
        answer: Answer = None
        for epoch in window.epochs:
            handle = epoch.handles.get(digest(epoch.key, self.site, address))
            if handle is not None:
                answer = epoch.number, handle
                break
        if len(window.answers) >= MOST_ANSWERS:
            window.answers.clear()
        window.answers[address] = answer
        return answer

    def _window_at(self, at_ms: int) -> _Window:
        edges = [edge for epoch in self._epochs for edge in (epoch.from_ms, epoch.until_ms)]
        return _Window(
            from_ms=max((edge for edge in edges if edge <= at_ms), default=0),
            until_ms=min((edge for edge in edges if edge > at_ms), default=_END_OF_TIME_MS),
            epochs=tuple(epoch for epoch in self._epochs if epoch.from_ms <= at_ms < epoch.until_ms),
        )
