"""Presence: readings in; visits, stays and whereabouts out. The same readings give the same events, always.

Works on closed seconds of event time, in columns until something changes. It knows no clock, no chance and no I/O,
so it may be fed live, from a log or from a recording, and be taken up from a snapshot at any point.

In each second the readings come first, then the timers that fall due in it. An event's time is when its cause was
(the last evidence, the due instant), not when the second was closed.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engine import snapshot
from engine.events import (
    PresenceEvent,
    VisitEnded,
    VisitResumed,
    VisitSilent,
    VisitStarted,
    ZoneDwelt,
    ZoneEntered,
    ZoneLeft,
    dwell_class,
    id_of,
)
from engine.fixes import Fixes, fixes
from engine.links import Heard, Links
from engine.liveness import Liveness
from engine.plan import NOWHERE, Plan
from engine.position import NO_SIGHTINGS, TRACK, UNPLACED, Locator, Sightings, sightings, unplaced
from engine.radio import Radio
from engine.readings import TICK_MS, Aligned, Alignment, Readings, readings
from engine.roster import Roster
from engine.stays import NEVER_MS, STAY, Changes, advance_all, end_all, outside
from engine.surveyed import Walked, surveyed
from engine.tuning import Tuning
from engine.visits import VISIT, Stage, due_ms, patience
from engine.zones import Chances

HEARD_ELSEWHERE, SILENT, CONSENT_WITHDRAWN = "heard-elsewhere", "silent", "consent-withdrawn"
SENSOR_OUTAGE = "sensor-outage"

Rows = npt.NDArray[np.intp]
ROW = np.dtype([("member", np.int64), ("visit", VISIT), ("stay", STAY), ("track", TRACK)])


class Whereabouts(NamedTuple):
    """Columns of the members in the mall now, by rising member.

    level  row of plan.levels             x_m, y_m  local metres     zone      row of plan.zones, NOWHERE for none
    last_ms  newest evidence of them      since_ms  in the zone since; where there is none, in the mall since
    """

    member: npt.NDArray[np.int64]
    level: npt.NDArray[np.int16]
    x_m: npt.NDArray[np.float32]
    y_m: npt.NDArray[np.float32]
    zone: npt.NDArray[np.int16]
    last_ms: npt.NDArray[np.int64]
    since_ms: npt.NDArray[np.int64]


class Presence:
    """One mall's members. Its result depends on the order of readings and instants given, never on how they are cut."""

    def __init__(self, plan: Plan, tuning: Tuning, radio: Radio | None = None, survey: Walked | None = None) -> None:
        """
        radio   of this plan, as it stays; None for the usual one, to be fitted to what sensors hear of each other
        survey  what the radio is bent to, whenever it is another
        """
        self._plan, self._tuning, self.survey = plan, tuning, survey
        self.links, self._may_fit = Links(plan), radio is None
        self._go_by(Radio.of(plan) if radio is None else radio)
        self._cells = self.radio.cells
        self._patience_ms = patience(tuning)
        self._alignment = Alignment(tuning.lateness_ms)
        self._fixing = Aligned(tuning.lateness_ms, fixes())
        self.liveness = Liveness(plan)
        self._roster = Roster(ROW, len(self._cells))
        self._no_timer_before_ms = 0
        self._sightings: list[Sightings] = []

    @property
    def reached_ms(self) -> int:
        """Every second before this is closed."""
        return self._alignment.closed_ms

    @property
    def late(self) -> int:
        """Readings and fixes that came too late to count."""
        return self._alignment.late + self._fixing.late

    def absorb(self, heard: Readings) -> list[PresenceEvent]:
        """Take readings in the order they came. Returns what became certain by them."""
        self._alignment.add(heard)
        return self._close()

    def place(self, told: Fixes) -> list[PresenceEvent]:
        """Take fixes of a controller, as `absorb` takes readings: in the order they came, between what came then."""
        self._fixing.reach(self._alignment.newest_ms)
        self._fixing.add(told)
        self._alignment.reach(self._fixing.newest_ms)
        return self._close()

    def expire(self, now_ms: int) -> list[PresenceEvent]:
        """Event time has reached now_ms (sensors live, nobody heard): what that makes certain, such as silence."""
        self._alignment.reach(now_ms)
        return self._close()

    def hear_of(self, sensor: npt.ArrayLike, at_ms: npt.ArrayLike) -> None:
        """These sensors (rows of plan.sensors) were live at these instants of event time, whomever they heard.

        It moves no time; it says whose silence is evidence. Give it before the readings of the same time.
        """
        self.liveness.tell(sensor, at_ms)

    def hear_links(self, told: Heard) -> None:
        """What sensors heard of each other. Like their signs of life, it moves no time."""
        if self._may_fit:
            self.links.tell(told)

    def forget(self, member: int, at_ms: int) -> list[PresenceEvent]:
        """The member withdrew consent at at_ms: their visit ends, and nothing of them is kept."""
        self._alignment.forget(member)
        self._fixing.forget(member)
        rows, known = self._roster.find(np.array([member], np.int64))
        if not known[0]:
            return []
        events = list(self._end(int(rows[0]), CONSENT_WITHDRAWN, at_ms))
        self._roster.drop(rows)
        return events

    def where(self) -> Whereabouts:
        """Who is in the mall as of reached_ms: visits not silent; a zone only as long as it is still believed."""
        table = self._roster.in_order()
        table = table[(table["visit"]["stage"] == Stage.OPEN) & (table["track"]["level"] != UNPLACED)]
        stay, track, visit = table["stay"], table["track"], table["visit"]
        believed = self.reached_ms - stay["window_ms"] < self._tuning.hold_ms
        zone = np.where(believed, stay["zone"], np.int16(NOWHERE))
        return Whereabouts(
            member=table["member"].copy(),
            level=track["level"].copy(),
            x_m=track["x_m"].astype(np.float32),
            y_m=track["y_m"].astype(np.float32),
            zone=zone,
            last_ms=visit["last_ms"].copy(),
            since_ms=np.where(zone == NOWHERE, visit["first_ms"], stay["since_ms"]),
        )

    def sightings(self) -> Sightings:
        """Every sighting of the seconds that the last absorb or expire closed."""
        return Sightings(*map(np.concatenate, zip(*(self._sightings or [NO_SIGHTINGS]), strict=True)))

    def snapshot(self) -> bytes:
        """All there is to know, to go on from with `restore`. Equal states give equal bytes."""
        waiting = self._alignment
        kept = snapshot.Kept(
            newest_ms=waiting.newest_ms,
            late=self.late,
            pending=waiting.pending(),
            fixes=self._fixing.pending(),
            table=self._roster.in_order(),
            beliefs=self._roster.held(),
            liveness=self.liveness.keep(),
            links=self.links.keep(),
            survey=self._mark,
        )
        return snapshot.pack(kept, self._plan, self._cells)

    def restore(self, blob: bytes) -> None:
        """Go on from a snapshot, also one of an earlier plan or another survey. Raises snapshot.Unusable."""
        kept = snapshot.unpack(blob, self._plan, self._cells, ROW)
        if kept.survey != self._mark:
            kept.table["track"]["loudness"] = 0  # as after a new fit
        self._alignment.resume(kept.pending, kept.newest_ms, kept.late)
        self._fixing.resume(kept.fixes, kept.newest_ms, 0)
        self._roster.fill(kept.table, kept.beliefs)
        self.liveness.resume(kept.liveness)
        self.links.resume(kept.links)
        if kept.links.fitted is not None:
            self._go_by(Radio.of(self._plan, kept.links.fitted))
        self._no_timer_before_ms, self._sightings = 0, []

    # -- one second at a time ---------------------------------------------------------------------

    def _close(self) -> list[PresenceEvent]:
        events: list[PresenceEvent] = []
        self._sightings = []
        self._fixing.reach(self._alignment.newest_ms)
        heard, told = dict(self._alignment.closed()), dict(self._fixing.closed())
        for tick_ms in sorted({*heard, *told}):
            events += self._expire_before(tick_ms)
            self._fit_before(tick_ms)
            of_second = heard.get(tick_ms, NOTHING_HEARD)
            self.liveness.close(tick_ms + TICK_MS, of_second)
            events += self._hear(tick_ms, of_second, told.get(tick_ms, NOTHING_TOLD))
        events += self._expire_before(self.reached_ms)
        self._fit_before(self.reached_ms)
        self.liveness.close(self.reached_ms)
        return events

    def _fit_before(self, until_ms: int) -> None:
        """Where a fit fell due before *until_ms*, go by it from there on. Everybody stays where they are believed."""
        fitted = self.links.close(until_ms)
        if fitted is not None:
            self._go_by(Radio.of(self._plan, fitted))
            # How loud a phone seemed was told by the model before.
            self._table["track"]["loudness"] = 0

    def _go_by(self, radio: Radio) -> None:
        self.radio = surveyed(radio, self.survey)
        self._locator = Locator(self._plan, self.radio, self._tuning)

    @cached_property
    def _mark(self) -> bytes:
        return b"" if self.survey is None else self.survey.mark

    def _hear(self, tick_ms: int, heard: Readings, told: Fixes) -> Iterator[PresenceEvent]:
        """One closed second in which someone was heard, or placed by a controller."""
        t_ms = np.concatenate((heard.t_ms, told.t_ms))
        member, of = np.unique(np.concatenate((heard.device, told.device)), return_inverse=True)
        first_ms, at_ms = np.full(len(member), tick_ms + TICK_MS), np.zeros(len(member), np.int64)
        np.minimum.at(first_ms, of, t_ms)
        np.maximum.at(at_ms, of, t_ms)
        rows = self._admitted(member, first_ms)
        visit, table = self._table["visit"], self._table

        back = visit["stage"][rows] >= Stage.SILENT
        for row, resumed_ms in zip(rows[back].tolist(), first_ms[back].tolist(), strict=True):
            yield VisitResumed(*self._about(row, resumed_ms, "visit.resumed", resumed_ms))
        visit["stage"][rows[back]] = Stage.OPEN
        visit["last_ms"][rows] = at_ms

        track, beliefs = table["track"][rows], self._roster.beliefs
        live, here = self.liveness.live(tick_ms + TICK_MS), table["stay"]["zone"][rows]
        if not told.size:
            chances = self._locator.locate(track, beliefs, rows, at_ms, heard, of, live, here)
        else:
            chances = self._heard_and_told(track, rows, at_ms, heard, told, of, live, here)
        table["track"][rows] = track
        self._sightings.append(sightings(member, track, chances))

        window = at_ms - table["stay"]["window_ms"][rows] >= self._tuning.window_ms
        still = track["spell"]["still"][window].astype(np.float64)
        yield from self._vote(rows[window], at_ms[window], Chances(*(column[window] for column in chances)), still)
        soonest = due_ms(visit[rows], self._patience_ms)
        self._no_timer_before_ms = min(self._no_timer_before_ms, int(soonest.min()))

    def _heard_and_told(
        self,
        track: npt.NDArray[np.void],
        rows: Rows,
        at_ms: npt.NDArray[np.int64],
        heard: Readings,
        told: Fixes,
        of: Rows,
        live: npt.NDArray[np.bool_],
        here: npt.NDArray[np.int16],
    ) -> Chances:
        """First what was heard of members, then what a controller told: whoever has both has the chances after both."""
        many = len(track)
        chances = Chances(np.full(many, NOWHERE, np.int16), np.zeros(many), np.zeros(many))
        for evidence, about in ((heard, of[: heard.size]), (told, of[heard.size :])):
            if not evidence.size:
                continue
            who, which = np.unique(about, return_inverse=True)
            mine, of_them, beliefs = track[who], rows[who], self._roster.beliefs
            if isinstance(evidence, Fixes):
                found = self._locator.fix(mine, beliefs, of_them, at_ms[who], evidence, which, here[who])
            else:
                found = self._locator.locate(mine, beliefs, of_them, at_ms[who], evidence, which, live, here[who])
            track[who] = mine
            chances.zone[who], chances.p[who], chances.p_here[who] = found
        return chances

    def _vote(
        self, rows: Rows, at_ms: npt.NDArray[np.int64], chances: Chances, still: npt.NDArray[np.float64]
    ) -> Iterator[PresenceEvent]:
        """One window each for *rows*: visits may start, stays begin, pass a mark and end."""
        visit, stays = self._table["visit"], self._table["stay"][rows]
        starts = (visit["stage"][rows] == Stage.NEWCOMER) & (stays["window_ms"] != NEVER_MS)
        visit["stage"][rows[starts]] = Stage.OPEN
        changes = advance_all(stays, at_ms, *chances, still, self._tuning)
        self._table["stay"][rows] = stays
        for at in np.flatnonzero(starts | changes.any).tolist():
            row = int(rows[at])
            if starts[at]:
                yield VisitStarted(*self._about(row, int(visit["first_ms"][row]), "visit.started"))
            yield from self._told(row, at, int(at_ms[at]), float(chances.p[at]), changes)

    def _told(self, row: int, at: int, at_ms: int, p: float, changes: Changes) -> Iterator[PresenceEvent]:
        """The events of one changed stay, leaving before entering."""
        if changes.left[at]:
            yield self._left(row, changes.gone[at], HEARD_ELSEWHERE, at_ms)
        stay = self._table["stay"][row]
        zone, since_ms = self._plan.zones[int(stay["zone"])].key, int(stay["since_ms"])
        if changes.entered[at]:
            about = self._about(row, since_ms, "zone.entered", zone, at_ms)
            yield ZoneEntered(*about, zone=zone, confidence=round(p, 3), confirmed_ms=at_ms)
        for mark in range(int(changes.marks_from[at]), int(changes.marks_to[at])):
            dwell_ms = self._tuning.dwell_marks_ms[mark]
            about = self._about(row, at_ms, "zone.dwelt", zone, since_ms, dwell_ms)
            yield ZoneDwelt(*about, zone=zone, dwell_ms=dwell_ms)

    def _expire_before(self, until_ms: int) -> Iterator[PresenceEvent]:
        """Fire the timers due before *until_ms*, second by second; seconds in which none is due cost nothing."""
        while self._no_timer_before_ms < until_ms and len(self._roster):
            everyone = self._roster.rows
            due = due_ms(self._table["visit"][everyone], self._patience_ms)
            self._no_timer_before_ms = int(due.min())
            if self._no_timer_before_ms >= until_ms:
                return
            second_over_ms = (self._no_timer_before_ms // TICK_MS + 1) * TICK_MS
            self.liveness.close(second_over_ms)
            soon = due < second_over_ms
            rows, over = everyone[soon], []
            for row, row_due in zip(rows.tolist(), due[soon].tolist(), strict=True):
                yield from self._grow_silent(row, row_due)
                if self._table["visit"]["stage"][row] in (Stage.NEWCOMER, Stage.INACTIVE):
                    over.append(row)
            stage = self._table["visit"]["stage"][rows]
            end_all(self._table["stay"], rows[stage == Stage.SILENT])
            self._table["visit"]["stage"][rows] = stage + 1
            if over:
                self._roster.drop(np.array(over, np.intp))

    def _grow_silent(self, row: int, due: int) -> Iterator[PresenceEvent]:
        """What is to be told when the silence has lasted long enough for the next stage."""
        visit, stay = self._table["visit"][row], self._table["stay"][row]
        last_ms = int(visit["last_ms"])
        match Stage(int(visit["stage"])):
            case Stage.OPEN:
                yield VisitSilent(*self._about(row, due, "visit.silent", last_ms), last_ms=last_ms)
            case Stage.SILENT if stay["zone"] != NOWHERE:
                # The longest sleep of a phone must have passed with somebody listening, or silence says nothing.
                deaf = self.liveness.was_deaf(int(stay["zone"]), due, within_ms=self._tuning.silent_ms)
                yield self._left(row, stay, SENSOR_OUTAGE if deaf else SILENT, due)
            case Stage.INACTIVE:
                yield from self._end(row, SILENT, last_ms)

    def _end(self, row: int, cause: str, at_ms: int) -> Iterator[PresenceEvent]:
        """The visit of *row* is over: dated to the last evidence, but not after *at_ms*."""
        visit, stay = self._table["visit"][row], self._table["stay"][row]
        if visit["stage"] == Stage.NEWCOMER:
            return
        if stay["zone"] != NOWHERE:
            yield self._left(row, stay, cause, at_ms)
        first_ms = int(visit["first_ms"])
        end_ms = max(min(int(visit["last_ms"]), at_ms), first_ms)
        yield VisitEnded(*self._about(row, end_ms, "visit.ended"), dwell_ms=end_ms - first_ms, cause=cause)

    def _left(self, row: int, stay: np.void, cause: str, at_ms: int) -> ZoneLeft:
        """Dated to the last evidence in the zone, but not after *at_ms*."""
        zone, since_ms = self._plan.zones[int(stay["zone"])].key, int(stay["since_ms"])
        here_ms = max(min(int(stay["here_ms"]), at_ms), since_ms)
        about = self._about(row, here_ms, "zone.left", zone, since_ms, here_ms)
        dwell_ms = here_ms - since_ms
        return ZoneLeft(*about, zone=zone, dwell_ms=dwell_ms, cause=cause, dwell_class=dwell_class(dwell_ms))

    def _about(self, row: int, at_ms: int, *cause: object) -> tuple[str, int, int, str]:
        """What every event begins with: id, instant, member, visit."""
        member, first_ms = int(self._table["member"][row]), int(self._table["visit"]["first_ms"][row])
        visit = id_of("visit", self._plan.site, member, first_ms)
        return id_of(visit, *cause), at_ms, member, visit

    # -- the table --------------------------------------------------------------------------------

    @property
    def _table(self) -> npt.NDArray[np.void]:
        """By row; admission may put another in its place."""
        return self._roster.table

    def _admitted(self, member: npt.NDArray[np.int64], first_ms: npt.NDArray[np.int64]) -> Rows:
        """The row of each member (rising), with a new one for those who had none."""
        rows, known = self._roster.find(member)
        if known.all():
            return rows
        new = rows[~known] = self._roster.admit(member[~known])
        self._table["stay"][new] = outside(len(new))
        self._table["track"][new] = unplaced(len(new))
        for when in ("first_ms", "last_ms"):
            self._table["visit"][when][new] = first_ms[~known]
        return rows


NOTHING_HEARD, NOTHING_TOLD = readings(), fixes()
