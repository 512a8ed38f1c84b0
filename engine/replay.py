"""A recorded mall through the engine: where people were, and how far off the engine was.

The recording's readings go the way of live ones, from alignment to visits. What is scored is the part that its authors
kept apart for that; nothing is fitted to it. From the rest the radio model learns how loud each transmitter is, without
knowing where anybody was, and with a survey also what was heard where.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import track
from rich.table import Table

from engine.calibration import calibrated
from engine.events import PresenceEvent
from engine.plan import NOWHERE, Plan
from engine.position import Sightings
from engine.presence import Presence
from engine.radio import Radio
from engine.readings import Readings
from engine.recorded import Recording, Truth, read
from engine.survey import bend
from engine.surveyed import Walked
from engine.tuning import Tuning

# A sighting this old still says where someone is; a scan that no sensor took part in is answered by the one before.
FRESH_MS = 10_000
VISITORS_SHOWN = 30


class Score(msgspec.Struct, frozen=True):
    """How well the engine knew, over the scans kept apart for testing.

    located    share of scans for which there was a place   level_right  share of all scans on the right level
    median_m, p90_m  how far off the located ones were, along the floor, whatever the level
    zone_right  share of located scans whose zone was the true place's nearest unit; most truly lie in a corridor
    within_radius  share of located scans within the radius that claims to hold 90 %
    """

    scans: int
    located: float
    level_right: float
    median_m: float
    p90_m: float
    zone_right: float
    within_radius: float


class Whereabout(msgspec.Struct, frozen=True):
    """Where one visitor was: the place seen most during their visit."""

    visitor: int
    from_ms: int
    until_ms: int
    level: str
    zone: str | None
    x_m: float
    y_m: float
    radius_m: float


class Result(msgspec.Struct, frozen=True):
    """What one replay found."""

    site: str
    layout: int
    sensors: int
    readings: int
    visitors: list[Whereabout]
    events: dict[str, int]
    score: Score


def replay(
    folder: Path,
    layout: int = 24,
    tuning: Tuning | None = None,
    console: Console | None = None,
    *,
    surveyed: bool = False,
) -> Result:
    """Feed the recording in *folder* through presence, in order of time. Raises engine.recorded.Unreadable.

    layout    which of the recording's sensor layouts listens: the number of sensors on each floor
    console   shows progress there, if given
    surveyed  take the scans that are not scored as a survey: their places are known
    """
    recording, tuning = read(folder, str(layout)), tuning or Tuning()
    seen, events = _seen(recording, learnt(recording, tuning, surveyed=surveyed), tuning, console)
    plan, told = recording.plan, [type(event).__struct_config__.tag for event in events]
    return Result(
        site=plan.site,
        layout=layout,
        sensors=len(plan.sensors),
        readings=recording.heard.size,
        visitors=list(_whereabouts(plan, seen)),
        events={str(kind): told.count(kind) for kind in sorted(set(map(str, told)))},
        score=score(seen, recording.truth),
    )


def learnt(recording: Recording, tuning: Tuning, *, surveyed: bool) -> Radio:
    """The radio model by the visitors who are not scored: of their readings alone, or also of where they were."""
    radio = Radio.of(recording.plan, calibrated(recording.plan, _not_scored(recording), tuning))
    return bend(radio, walked(recording)) if surveyed else radio


def walked(recording: Recording) -> Walked:
    """Where the visitors were who are not scored."""
    truth, heard = recording.truth, _not_scored(recording)
    # Both are ordered by time, and one visitor walks at a time.
    scan = np.searchsorted(truth.t_ms, heard.t_ms)
    return Walked(*heard, truth.level[scan], *truth.xy_m[scan].T)


def _not_scored(recording: Recording) -> Readings:
    scored = recording.truth.visitor[recording.truth.test]
    return recording.heard.at(~np.isin(recording.heard.device, scored))


def _seen(
    recording: Recording, radio: Radio, tuning: Tuning, console: Console | None
) -> tuple[Sightings, list[PresenceEvent]]:
    heard = recording.heard
    presence = Presence(recording.plan, tuning, radio)
    events: list[PresenceEvent] = []
    sightings = []
    parts = np.flatnonzero(np.diff(heard.device, prepend=0, append=0))
    for start, end in track(list(pairwise(parts)), "Walking the mall", console=console, disable=console is None):
        events += presence.absorb(heard.at(slice(start, end)))
        sightings.append(presence.sightings())
    if heard.size:
        events += presence.expire(int(heard.t_ms[-1]) + tuning.lateness_ms + tuning.close_ms + 1_000)
        sightings.append(presence.sightings())
    return Sightings(*map(np.concatenate, zip(*sightings, strict=True))), events


def score(seen: Sightings, truth: Truth) -> Score:
    """Compare each scan kept for testing with the newest sighting of its visitor at its instant."""
    return _score(seen, truth, truth.test)


def answers(
    seen: Sightings, visitor: npt.NDArray[np.int64], t_ms: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.intp]]:
    """Which sighting answers "where is this visitor at this instant?": the newest not after it, if it is fresh.

    visitor, t_ms  (asked,)
    Returns (asked,) whether there is an answer, and (asked,) rows of *seen*, which mean nothing where there is none.
    """
    # Ordered by visitor, then time: one search finds the newest sighting not after each scan.
    span_ms = int(max(seen.t_ms.max(), t_ms.max())) + 1
    stamp = seen.member * span_ms + seen.t_ms
    order = np.argsort(stamp, kind="stable")
    asked = visitor * span_ms + t_ms
    found = order[np.maximum(np.searchsorted(stamp[order], asked, side="right") - 1, 0)]
    age_ms = asked - stamp[found]
    return (age_ms >= 0) & (age_ms <= FRESH_MS), found


def _score(seen: Sightings, truth: Truth, wanted: npt.NDArray[np.bool_]) -> Score:
    located, found = answers(seen, truth.visitor[wanted], truth.t_ms[wanted])
    found = found[located]
    off_m = np.hypot(*(np.column_stack((seen.x_m[found], seen.y_m[found])) - truth.xy_m[wanted][located]).T)
    return Score(
        scans=len(located),
        located=float(located.mean()),
        level_right=float(np.count_nonzero(seen.level[found] == truth.level[wanted][located]) / len(located)),
        median_m=float(np.median(off_m)),
        p90_m=float(np.percentile(off_m, 90)),
        zone_right=float((seen.zone[found] == truth.unit[wanted][located]).mean()),
        within_radius=float((off_m <= seen.radius_m[found]).mean()),
    )


def _whereabouts(plan: Plan, seen: Sightings) -> Iterable[Whereabout]:
    for visitor in np.unique(seen.member).tolist():
        rows = np.flatnonzero(seen.member == visitor)
        level = int(np.bincount(seen.level[rows]).argmax())
        there = rows[seen.level[rows] == level]
        zone = int(np.bincount(seen.zone[there] + 1).argmax()) - 1
        yield Whereabout(
            visitor=visitor,
            from_ms=int(seen.t_ms[rows[0]]),
            until_ms=int(seen.t_ms[rows[-1]]),
            level=plan.levels[level].key,
            zone=None if zone == NOWHERE else plan.zones[zone].name["en"],
            x_m=round(float(seen.x_m[there].mean()), 1),
            y_m=round(float(seen.y_m[there].mean()), 1),
            radius_m=round(float(np.median(seen.radius_m[there])), 1),
        )


def summary(result: Result) -> dict[str, object]:
    """The same as plain values, for JSON."""
    plain: dict[str, object] = msgspec.to_builtins(result)
    return plain


def show(result: Result, console: Console) -> None:
    """Print where people were, and how well that agrees with where they truly were."""
    table = Table(title=f"{result.site}: where {len(result.visitors)} visitors were", title_justify="left")
    for heading, side in (("visitor", "right"), ("from (UTC)", "left"), ("for", "right"), ("level", "left"),
                          ("mostly in", "left"), ("x, y (90 % within)", "right")):  # fmt: skip
        table.add_column(heading, justify="right" if side == "right" else "left")
    for one in result.visitors[:VISITORS_SHOWN]:
        started = datetime.fromtimestamp(one.from_ms / 1_000, UTC)
        table.add_row(
            str(one.visitor),
            f"{started:%Y-%m-%d %H:%M:%S}",
            f"{(one.until_ms - one.from_ms) / 1_000:.0f} s",
            one.level,
            one.zone or "between units",
            f"{one.x_m:.0f}, {one.y_m:.0f} m ({one.radius_m:.0f} m)",
        )
    console.print(table)
    more = len(result.visitors) - VISITORS_SHOWN
    if more > 0:
        console.print(f"... and {more} more (all of them with --json)")
    told = ", ".join(f"{count} {kind}" for kind, count in result.events.items())
    console.print(f"{result.readings:,} readings by {result.sensors} sensors gave: {told}")
    sure = result.score
    console.print(
        f"Against the surveyed truth ({sure.scans:,} scans kept apart): located {sure.located:.1%}, right level "
        f"{sure.level_right:.1%}, off by {sure.median_m:.1f} m in the median and {sure.p90_m:.1f} m at most in 90 %; "
        f"{sure.within_radius:.0%} lie within the 90 % radius",
        highlight=False,
    )
