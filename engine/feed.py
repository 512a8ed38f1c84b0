"""The event feed for pages: what at least k different members did is told as one line, with how many they were."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple

from pydantic import BaseModel

from engine.events import Moment

# What a marketer watches; dwell marks and silences would only drown it.
KINDS = (
    "visit.started",
    "zone.entered",
    "coupon.issued",
    "coupon.redeemed",
    "coupon.superseded",
    "visit.ended",
)


# How long a line waits for more members to stand behind it. Told with the k-th, every line would say "k members".
GATHER_MS = 60_000


class FeedLine(BaseModel):
    """*members* different members did the same since the last line of its kind; told at *at_ms*."""

    id: str
    at_ms: int
    kind: str
    zone: str | None
    offer: str | None
    title: dict[str, str] | None
    members: int


class _Behind(NamedTuple):
    """Who stands behind a line that is not told yet, since when, and the event that began it."""

    first: str
    since_ms: int
    members: set[int]


class Feed:
    """Gathers events for GATHER_MS, and until k members share one. Zones in *quiet* (no marketing) stay untold."""

    def __init__(self, k: int, *, quiet: Collection[str], title: Callable[[str], dict[str, str] | None]) -> None:
        """title  what an offer is called now, by language"""
        self._k, self._quiet, self._title = k, quiet, title
        self._behind: dict[tuple[str, str | None, str | None], _Behind] = {}

    def note(self, event: Moment, now_ms: int) -> None:
        """Take in an event that became known now."""
        kind = str(event.__struct_config__.tag)
        zone, offer = getattr(event, "zone", None), getattr(event, "offer", None)
        if kind in KINDS and zone not in self._quiet:
            self._behind.setdefault((kind, zone, offer), _Behind(event.id, now_ms, set())).members.add(event.member)

    def due(self, now_ms: int) -> list[FeedLine]:
        """The lines that are told now. They bear this time and not their events', which may lie back by minutes."""
        told = [
            key
            for key, behind in self._behind.items()
            if now_ms - behind.since_ms >= GATHER_MS and len(behind.members) >= self._k
        ]
        return [self._line(*key, self._behind.pop(key), now_ms) for key in told]

    def _line(self, kind: str, zone: str | None, offer: str | None, behind: _Behind, now_ms: int) -> FeedLine:
        return FeedLine(
            id=behind.first,
            at_ms=now_ms,
            kind=kind,
            zone=zone,
            offer=offer,
            title=self._title(offer) if offer else None,
            members=len(behind.members),
        )
