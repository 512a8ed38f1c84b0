"""The time between two visits: since when a member has not been seen, and when that is long enough to wake them up.

Pure. An absence stands where a visit stands otherwise: caps, budgets and instances of journeys that begin with
`member.away` are counted by it, and it ends the moment the member comes in.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from engine.events import id_of
from rules.times import DAY_MS

AWAY = "member.away"
# Who was here yesterday is not away; whoever did not come for a year has most likely moved.
LEAST_AWAY_MS, MOST_AWAY_MS = DAY_MS, 365 * DAY_MS
# Told from the key of a visit, which is hexadecimal, by whoever reads a table.
MARK = "away"


class Absence(msgspec.Struct, frozen=True):
    """since_ms: the last evidence of the visit before."""

    key: str
    since_ms: int


def absence_after(visit: str, since_ms: int) -> Absence:
    """As long as the key of a visit."""
    return Absence(MARK + id_of("absence", visit)[len(MARK) :], since_ms)


def is_absence(key: str) -> bool:
    return key.startswith(MARK)


def reached(absence: Absence, spans_ms: Iterable[int], now_ms: int) -> list[int]:
    """Those of *spans_ms* for which the member has been away by now, the shortest first."""
    return sorted(span_ms for span_ms in spans_ms if absence.since_ms + span_ms <= now_ms)


def next_ms(absence: Absence | None, spans_ms: Iterable[int], now_ms: int) -> int | None:
    """When the next of *spans_ms* is reached; None if there is none, or the member is here."""
    if absence is None:
        return None
    return min((absence.since_ms + span for span in spans_ms if absence.since_ms + span > now_ms), default=None)
