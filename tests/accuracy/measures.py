"""What is measured: how well sightings and events agree with where people truly were.

Rows are kept until the end, so that several worlds are scored as one.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engine.events import PresenceEvent, ZoneDwelt, ZoneEntered, ZoneLeft
from engine.plan import Plan
from engine.position import Sightings
from engine.recorded import Truth
from engine.replay import answers
from tests.accuracy.walkers import Walks

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Figures = dict[str, float]

TRIGGER_MS = 60_000  # the dwell mark that sends a coupon
LEAST_TRUE_S = 30  # of the last minute in the zone, or the trigger was wrong
BEFORE_S = 10  # a zone that was left so shortly before was no false entry, but a slow one
LONG_STAY_S = 120  # a stay that has to be found
# Three sendings in the first twenty seconds: a phone that does not sleep while its owner walks in.
AWAKE_S, AWAKE_SENDINGS = 20, 3
BINS = np.linspace(0, 1, 11)


class Answers(NamedTuple):
    """One row per sending asked about, in the order of the truth."""

    located: Mask
    level_right: Mask  # False where not located
    off_m: Floats  # NaN where not located
    zone_right: Mask  # False where not located
    p: Floats  # what was said of the zone; 0 where none was
    within: Mask  # inside the radius that claims to hold 90 %
    flips: Floats  # changes of the level said, beyond the true ones, since the visitor's last sending
    minutes: Floats  # since then, both located; else 0


class Dwelling(NamedTuple):
    """What came of the zones of one world."""

    triggers: Mask  # one a dwell mark of a minute: was it wrong?
    entries: Mask  # one an entry: was it false?
    latency_s: Floats  # one a long stay that was found: how long after the true entry
    awake: Mask  # one a long stay that was found: was the phone awake when its owner walked in?
    stays: int  # long stays in all
    hours: float  # device-hours


def answered(seen: Sightings, truth: Truth, wanted: Mask, zone: Ints) -> Answers:
    """Compare the truth where *wanted* with the newest sighting of the same visitor.

    zone  (truth,) the zone that is right for each row
    """
    visitor, t_ms = truth.visitor[wanted], truth.t_ms[wanted]
    located, found = answers(seen, visitor, t_ms)
    level, true_level = seen.level[found].astype(np.int64), truth.level[wanted]
    off_m = np.hypot(seen.x_m[found] - truth.xy_m[wanted][:, 0], seen.y_m[found] - truth.xy_m[wanted][:, 1])
    order = np.lexsort((t_ms, visitor))
    last = np.full(len(order), -1)
    last[order[1:]] = np.where(visitor[order[1:]] == visitor[order[:-1]], order[:-1], -1)
    follows = (last >= 0) & located & located[last]
    changes = (level != level[last]).astype(np.float64) - (true_level != true_level[last])
    return Answers(
        located=located,
        level_right=located & (level == true_level),
        off_m=np.where(located, off_m, np.nan),
        zone_right=located & (seen.zone[found] == zone[wanted]) & (level == true_level),
        p=np.where(located & (seen.zone[found] >= 0), seen.p[found], 0.0),
        within=located & (off_m <= seen.radius_m[found]),
        flips=np.where(follows, changes, 0.0),
        minutes=np.where(follows, (t_ms - t_ms[last]) / 60_000, 0.0),
    )


def pooled(parts: Iterable[Answers]) -> Answers:
    return Answers(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def placing(found: Answers) -> Figures:
    """How well places and levels were known."""
    off_m = found.off_m[found.located]
    return {
        "located": float(found.located.mean()),
        "level": float(found.level_right.mean()),
        "median_m": float(np.median(off_m)),
        "p90_m": float(np.percentile(off_m, 90)),
        "level_flips_per_minute": float(found.flips.sum() / max(found.minutes.sum(), 1.0)),
    }


def doubt(found: Answers) -> Figures:
    """Share of the located that lie within the radius which claims to hold 90 %."""
    return {"within_radius": float(found.within[found.located].mean())}


def zone_right(found: Answers) -> float:
    """Share of the located whose most probable zone is the true one."""
    return float(found.zone_right[found.located].mean())


def reliability(found: Answers) -> list[Figures]:
    """For each tenth of the probability said: how often it was said, its mean, and the share that was right."""
    said = found.p > 0
    p, right = found.p[said], found.zone_right[said]
    tenth = np.minimum(np.digitize(p, BINS) - 1, len(BINS) - 2)
    return [
        {"from": float(BINS[row]), "said": float(p[tenth == row].mean()), "right": float(right[tenth == row].mean()),
         "n": int(np.count_nonzero(tenth == row))}
        for row in np.unique(tenth).tolist()
    ]  # fmt: skip


def dwelling(plan: Plan, events: list[PresenceEvent], walks: Walks, truth: Truth, start_ms: int) -> Dwelling:
    """Judge the events of one world. Members are 1 + the row of *walks*; it begins at start_ms."""
    people, seconds = walks.level.shape
    zone = plan.zones_at(walks.level.ravel(), walks.xy_m.reshape(-1, 2)).reshape(people, seconds)
    wrong, false = [], []
    for event in events:
        if isinstance(event, ZoneDwelt) and event.dwell_ms == TRIGGER_MS:
            true_s = _true_s(zone, plan, event, event.at_ms - start_ms - TRIGGER_MS, event.at_ms - start_ms)
            wrong.append(true_s < LEAST_TRUE_S)
        if isinstance(event, ZoneEntered):
            from_ms = event.at_ms - start_ms - BEFORE_S * 1_000
            false.append(_true_s(zone, plan, event, from_ms, event.confirmed_ms - start_ms) == 0)
    latency_s, awake, stays = [], [], 0
    believed = _believed(plan, events, start_ms)
    for person in range(people):
        sent_s = np.sort(truth.t_ms[truth.visitor == person + 1] - start_ms) / 1_000
        cuts = np.flatnonzero(np.diff(zone[person], prepend=-2, append=-2)).tolist()
        for from_s, until_s in pairwise(cuts):
            if until_s - from_s < LONG_STAY_S or zone[person, from_s] < 0 or from_s == 0:
                continue
            stays += 1
            of_it = believed.get((person + 1, int(zone[person, from_s])), [])
            known_s = [max(known - from_s, 0.0) for known, left in of_it if known <= until_s and left >= from_s]
            if known_s:
                latency_s.append(min(known_s))
                first, end = np.searchsorted(sent_s, (from_s, from_s + AWAKE_S))
                awake.append(end - first >= AWAKE_SENDINGS)
    return Dwelling(
        np.array(wrong, np.bool_), np.array(false, np.bool_), np.array(latency_s, np.float64),
        np.array(awake, np.bool_), stays, people * (seconds - 1) / 3_600,
    )  # fmt: skip


def _true_s(zone: Ints, plan: Plan, event: ZoneDwelt | ZoneEntered, from_ms: int, until_ms: int) -> int:
    """How many seconds of that time the member truly was in the event's zone."""
    there = zone[event.member - 1, max(from_ms // 1_000, 0) : until_ms // 1_000 + 1] == plan.zone_index[event.zone]
    return int(np.count_nonzero(there))


def _believed(plan: Plan, events: list[PresenceEvent], start_ms: int) -> dict[tuple[int, int], list[list[float]]]:
    """For each member and zone, from when until when it was believed, in seconds; the end is the last evidence."""
    spans: dict[tuple[int, int], list[list[float]]] = {}
    for event in events:
        match event:
            case ZoneEntered():
                key = event.member, plan.zone_index[event.zone]
                spans.setdefault(key, []).append([(event.confirmed_ms - start_ms) / 1_000, np.inf])
            case ZoneLeft():
                spans[event.member, plan.zone_index[event.zone]][-1][1] = (event.at_ms - start_ms) / 1_000
    return spans


def zoning(parts: list[Dwelling]) -> Figures:
    """What the events of all worlds together were worth."""
    triggers, entries, latency_s, awake = (np.concatenate(column) for column in list(zip(*parts, strict=True))[:4])
    hours, stays = sum(part.hours for part in parts), sum(part.stays for part in parts)
    return {
        "wrong_triggers_60s": float(triggers.mean()),
        "triggers": len(triggers),
        "false_entries_per_device_hour": float(np.count_nonzero(entries) / hours),
        "stays_found": len(latency_s) / stays,
        "enter_p50_s": float(np.median(latency_s[awake])),
        "enter_p90_s": float(np.percentile(latency_s[awake], 90)),
        "enter_p90_s_with_sleepers": float(np.percentile(latency_s, 90)),
    }
