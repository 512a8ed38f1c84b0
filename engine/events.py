"""What the engine tells the world about members' presence.

Every event has an id derived from its cause, so that a replay tells the same event again and the
ledger keeps it once. Other rooms add their own kinds as further Moments.
"""

from __future__ import annotations

from hashlib import blake2b

import msgspec


def id_of(*cause: object) -> str:
    """The same cause gives the same id: 24 hex digits of BLAKE2b over its parts."""
    return blake2b("\0".join(map(str, cause)).encode(), digest_size=12).hexdigest()


# From which length of a stay it is called so: passed by, stopped, visited, engaged.
DWELL_CLASSES = {"pass": 0, "stop": 60_000, "visit": 300_000, "engaged": 600_000}


def dwell_class(dwell_ms: int) -> str:
    """The class of a stay of that length."""
    return [name for name, least_ms in DWELL_CLASSES.items() if dwell_ms >= least_ms][-1]


class Moment(msgspec.Struct, frozen=True, gc=False, tag_field="kind"):
    """Something that happened to one member at one instant of event time."""

    id: str
    at_ms: int
    member: int
    visit: str


class VisitStarted(Moment, frozen=True, tag="visit.started"):
    """First evidence of a member in the mall."""


class ZoneEntered(Moment, frozen=True, tag="zone.entered"):
    """Believed inside *zone* since at_ms; confidence is the zone's probability when confirmed."""

    zone: str
    confidence: float
    confirmed_ms: int


class ZoneDwelt(Moment, frozen=True, tag="zone.dwelt"):
    """A dwell mark was passed while evidence kept coming."""

    zone: str
    dwell_ms: int


class ZoneLeft(Moment, frozen=True, tag="zone.left"):
    """at_ms is the last evidence in the zone. cause: heard-elsewhere, silent, consent-withdrawn, sensor-outage.

    dwell_class  pass, stop (1 min), visit (5 min) or engaged (10 min)
    """

    zone: str
    dwell_ms: int
    cause: str
    dwell_class: str = ""


class VisitSilent(Moment, frozen=True, tag="visit.silent"):
    """Nothing heard for the silence hold; last_ms is the last evidence. The visit may still resume."""

    last_ms: int


class VisitResumed(Moment, frozen=True, tag="visit.resumed"):
    """Heard again within the same visit after VisitSilent."""


class VisitEnded(Moment, frozen=True, tag="visit.ended"):
    """at_ms is the last evidence; dwell_ms the visit's length up to it."""

    dwell_ms: int
    cause: str


class ConsentChanged(Moment, frozen=True, tag="consent.changed"):
    """A member granted or withdrew a consent after joining; visit is empty, as it may be said anywhere."""

    purpose: str
    granted: bool


# Consents are among them: withdrawing ends what presence has begun.
PresenceEvent = (
    VisitStarted | ZoneEntered | ZoneDwelt | ZoneLeft | VisitSilent | VisitResumed | VisitEnded | ConsentChanged
)
