"""Who is here all day: staff, and devices that never leave. They are kept out of marketing.

Told from their visits alone, and so taken back by itself when the days change; the mall has the last word with the
attribute `resident` (yes or no), which it imports like any other.
"""

from __future__ import annotations

from typing import NamedTuple

from rules.standing import Standing
from rules.times import DAY_MS, HOUR_MS, Calendar, length_text

# Nobody shops for twelve hours; and who is there for eight on most days of a week works there.
AT_A_TIME_MS, A_DAY_MS = 12 * HOUR_MS, 8 * HOUR_MS
DAYS, MOST_DAYS = 7, 4
ATTRIBUTE = "resident"


class Residence(NamedTuple):
    """Whether somebody is here all day, and what that was seen by."""

    resident: bool
    seen: str


def residence(standing: Standing, calendar: Calendar, now_ms: int) -> Residence:
    told = standing.profile.attributes.get(ATTRIBUTE)
    if told in ("yes", "no"):
        return Residence(told == "yes", f"{ATTRIBUTE}: {told}")
    lengths_ms = {
        began_ms: length_ms
        for began_ms, length_ms in standing.memory.lasted_ms.items()
        if began_ms + length_ms > now_ms - DAYS * DAY_MS
    }
    visit = standing.visit
    if visit is not None:
        until_ms = now_ms if visit.silent_ms is None else visit.silent_ms
        lengths_ms[visit.started_ms] = max(until_ms - visit.started_ms, 0)
    longest_ms = max(lengths_ms.values(), default=0)
    if longest_ms >= AT_A_TIME_MS:
        return Residence(True, f"here for {length_text(longest_ms)} at a time")
    of_day: dict[object, int] = {}
    for began_ms, length_ms in lengths_ms.items():
        day = calendar.day(began_ms)
        of_day[day] = of_day.get(day, 0) + length_ms
    days = sum(length_ms >= A_DAY_MS for length_ms in of_day.values())
    return Residence(days >= MOST_DAYS, f"here for {length_text(A_DAY_MS)} on {days} of {DAYS} days")
