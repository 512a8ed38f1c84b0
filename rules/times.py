"""Lengths of time and hours of the day as people write them, and the mall's local calendar.

People write "1h30m" and "09:00-11:00" in the book; they are read once, here. Inside, lengths and
instants are whole milliseconds, hours of the day are minutes since local midnight.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
# Whoever is there longer is staff or a device left behind, so a window that opens later than this
# after its close of today will not be met by the same visit.
LONGEST_VISIT_MS = 12 * HOUR_MS
# What is to last longer is no "for now".
LONGEST_UNTIL_MS = 366 * DAY_MS

_UNIT_MS = {"d": DAY_MS, "h": HOUR_MS, "m": MINUTE_MS, "s": SECOND_MS}
_LENGTH = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", re.ASCII)
_HOUR = re.compile(r"(\d{1,2}):(\d{2})", re.ASCII)
_DAY = re.compile(r"2[0-9]{3}-[0-9]{2}-[0-9]{2}")
_HOURS = re.compile(r"(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})", re.ASCII)


class NotTime(ValueError):
    """What was written is no length of time, or no pair of hours; says what would be."""


def length_ms(text: str) -> int:
    """Read a length such as "90s", "20m", "1h30m" or "30d". Raises NotTime."""
    match = _LENGTH.fullmatch(text.strip())
    if match is None or not any(match.groups()):
        raise NotTime(f"'{text}' is no length of time; write it like 90s, 20m, 1h30m or 30d")
    return sum(int(count) * unit for count, unit in zip(match.groups(), _UNIT_MS.values(), strict=True) if count)


def length_text(length_ms: int) -> str:
    """The inverse of length_ms, to whole seconds: 5_400_000 reads "1h30m"."""
    return _length_text(max(0, length_ms) // SECOND_MS * SECOND_MS)


@lru_cache(maxsize=8192)  # every trace says a length or two, and seconds repeat
def _length_text(left: int) -> str:
    parts = []
    for unit, unit_ms in _UNIT_MS.items():
        count, left = divmod(left, unit_ms)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def minute_of(text: str) -> int:
    """Read an hour such as "12:10" as minutes since midnight. Raises NotTime."""
    match = _HOUR.fullmatch(text.strip())
    if match is None or int(match[1]) > 23 or int(match[2]) > 59:
        raise NotTime(f"'{text}' is no hour of the day; write it like 12:10")
    return int(match[1]) * 60 + int(match[2])


class Hours(NamedTuple):
    """From one minute of the local day up to another; over midnight where until is not after from."""

    from_minute: int
    until_minute: int

    @classmethod
    def read(cls, text: str) -> Hours:
        """Read "09:00-11:00"; "24:00" ends a day, "21:30-08:30" goes over midnight. Raises NotTime."""
        match = _HOURS.fullmatch(text.strip())
        if match is None:
            raise NotTime(f"'{text}' is no pair of hours; write it like \"09:00-11:00\"")
        from_hour, from_minute, until_hour, until_minute = map(int, match.groups())
        hours = cls(from_hour * 60 + from_minute, until_hour * 60 + until_minute)
        if from_minute > 59 or until_minute > 59 or hours.from_minute >= 1440 or hours.until_minute > 1440:
            raise NotTime(f"'{text}' names an hour the day does not have; write it like \"09:00-11:00\"")
        if hours.from_minute == hours.until_minute:
            raise NotTime(f"'{text}' lasts no time at all; for the whole day write \"00:00-24:00\"")
        return hours

    @property
    def over_midnight(self) -> bool:
        return self.until_minute < self.from_minute

    def __str__(self) -> str:
        return _hours_text(*self)


@lru_cache(maxsize=1024)
def _hours_text(*minutes: int) -> str:
    return "-".join(f"{minute // 60:02}:{minute % 60:02}" for minute in minutes)


class Opening(NamedTuple):
    """Whether hours are open now; changes_ms is when that changes, None if that is too late to matter."""

    is_open: bool
    changes_ms: int | None


class Calendar:
    """Local days of one time zone, daylight saving included. Values in, values out; remembers its last answers."""

    def __init__(self, timezone: str) -> None:
        """Raises zoneinfo.ZoneInfoNotFoundError or ValueError for a zone nobody knows."""
        self.timezone = timezone
        self._zone = ZoneInfo(timezone)
        self._span: tuple[int, int, date] = (0, 0, date.min)

        # The last answer, and from when until when it holds.
        self._openings: dict[tuple[Hours, int], tuple[int, int, Opening]] = {}

    def local(self, at_ms: int) -> datetime:
        return datetime.fromtimestamp(at_ms / SECOND_MS, self._zone)

    def clock_text(self, at_ms: int) -> str:
        return _clock_text(self._zone, at_ms // MINUTE_MS)

    def moment_text(self, at_ms: int) -> str:
        """Day and hour: "2026-11-24 18:00"."""
        return f"{self.local(at_ms):%Y-%m-%d %H:%M}"

    def until_text(self, at_ms: int | None) -> str:
        """ " until 2026-11-24 18:00"; empty where nobody said when."""
        return "" if at_ms is None else f" until {self.moment_text(at_ms)}"

    def day(self, at_ms: int) -> date:
        from_ms, until_ms, day = self._span
        if not from_ms <= at_ms < until_ms:
            day = self.local(at_ms).date()
            self._span = (self.instant_ms(day, 0), self.instant_ms(day + timedelta(days=1), 0), day)
        return day

    def midnight_ms(self, at_ms: int) -> int:
        """When the local day of *at_ms* ends."""
        return self.instant_ms(self.day(at_ms) + timedelta(days=1), 0)

    def instant_ms(self, day: date, minute: int) -> int:
        return _instant_ms(self._zone, day, minute)

    def opening(self, hours: Hours, at_ms: int, within_ms: int = LONGEST_VISIT_MS) -> Opening:
        """Whether *hours* are open at *at_ms*, and until or from when; not told if they open later than within_ms."""
        from_ms, until_ms, known = self._openings.get((hours, within_ms), (0, 0, None))
        if known is not None and from_ms <= at_ms < until_ms:
            return known
        opening = self._opening(hours, at_ms, within_ms)
        if opening.changes_ms is not None:
            self._openings[hours, within_ms] = (at_ms, opening.changes_ms, opening)
        return opening

    def _opening(self, hours: Hours, at_ms: int, within_ms: int) -> Opening:
        day = self.day(at_ms)
        for offset in (-1, 0):
            from_ms, until_ms = _bounds(self._zone, day + timedelta(days=offset), hours)
            if from_ms <= at_ms < until_ms:
                return Opening(True, until_ms)
        opens_ms, _ = _bounds(self._zone, day, hours)
        if at_ms < opens_ms:
            return Opening(False, opens_ms)
        opens_ms, _ = _bounds(self._zone, day + timedelta(days=1), hours)
        return Opening(False, opens_ms if opens_ms - at_ms <= within_ms else None)


def until_ms(text: str, calendar: Calendar, now_ms: int) -> int:
    """When something ends that lasts until "tomorrow", an hour like "18:00", "2026-11-24 18:00", or for "2h".

    An hour is the next one to come; tomorrow begins at midnight. Raises NotTime, also for what is over.
    """
    at_ms = _until_ms(text.strip(), calendar, now_ms)
    if not now_ms < at_ms <= now_ms + LONGEST_UNTIL_MS:
        raise NotTime(f"'{text}' is over, or more than a year away; write an instant to come, or none")
    return at_ms


def _until_ms(written: str, calendar: Calendar, now_ms: int) -> int:
    if written == "tomorrow":
        return calendar.midnight_ms(now_ms)
    day, _, hour = written.rpartition(" ")
    if day:
        if not _DAY.fullmatch(day):
            raise NotTime(f"'{day}' is no day; write it like 2026-11-24 18:00")
        try:
            return calendar.instant_ms(date.fromisoformat(day), minute_of(hour))
        except ValueError:
            raise NotTime(f"'{written}' is no instant; write it like 2026-11-24 18:00") from None
    if ":" in written:
        today = calendar.day(now_ms)
        at_ms = calendar.instant_ms(today, minute_of(hour))
        return at_ms if at_ms > now_ms else calendar.instant_ms(today + timedelta(days=1), minute_of(hour))
    try:
        return now_ms + length_ms(written)
    except NotTime:
        raise NotTime(f"'{written}' is no end; write it like tomorrow, 18:00, 2026-11-24 18:00 or 2h") from None


@lru_cache(maxsize=4096)
def _clock_text(zone: ZoneInfo, minute: int) -> str:
    return f"{datetime.fromtimestamp(minute * 60, UTC).astimezone(zone):%H:%M}"


@lru_cache(maxsize=4096)
def _instant_ms(zone: ZoneInfo, day: date, minute: int) -> int:
    # Through naive local time and fold 0: an hour that daylight saving skips or repeats is taken
    # with the offset from before the change, so that hours never end before they begin.
    local = datetime.combine(day, time(), zone) + timedelta(minutes=minute)
    return int(local.timestamp()) * SECOND_MS


@lru_cache(maxsize=4096)
def _bounds(zone: ZoneInfo, day: date, hours: Hours) -> tuple[int, int]:
    ends = day + timedelta(days=1) if hours.over_midnight else day
    return _instant_ms(zone, day, hours.from_minute), _instant_ms(zone, ends, hours.until_minute)
