"""The event feed for pages: a line is told once at least k different members stand behind it."""

from __future__ import annotations

from collections.abc import Callable, Collection

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


class FeedLine(BaseModel):
    """*members* different members did the same since the last line of its kind."""

    id: str
    at_ms: int
    kind: str
    zone: str | None
    offer: str | None
    title: dict[str, str] | None
    members: int


class Feed:
    """Gathers events until k members share one; zones in *quiet* (no marketing) are never told of."""

    def __init__(self, k: int, *, quiet: Collection[str], title: Callable[[str], dict[str, str] | None]) -> None:
        """title  what an offer is called now, by language"""
        self._k, self._quiet, self._title = k, quiet, title
        self._behind: dict[tuple[str, str | None, str | None], set[int]] = {}

    def note(self, event: Moment) -> FeedLine | None:
        """The line this event completes, if it does."""
        kind = str(event.__struct_config__.tag)
        zone, offer = getattr(event, "zone", None), getattr(event, "offer", None)
        if kind not in KINDS or zone in self._quiet:
            return None
        members = self._behind.setdefault((kind, zone, offer), set())
        members.add(event.member)
        if len(members) < self._k:
            return None
        del self._behind[kind, zone, offer]
        return FeedLine(
            id=event.id,
            at_ms=event.at_ms,
            kind=kind,
            zone=zone,
            offer=offer,
            title=self._title(offer) if offer else None,
            members=len(members),
        )
