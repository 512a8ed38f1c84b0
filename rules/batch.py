"""One batch of news or deadlines, inside one transaction: members loaded, moved one cause at a time, stored.

Deciding is pure (rules.journey, rules.decide); what it wants is carried out here, and the refusal of a
conditional statement is handed back to it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from math import ceil
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa

from engine.events import ConsentChanged, Moment, id_of
from rules import journey
from rules.absence import AWAY, is_absence, next_ms, reached
from rules.book import Book, Offer
from rules.brought import CAME_BACK
from rules.budgets import SHOP, Charge
from rules.capacity import rooms
from rules.coupons import Coupons, Refused
from rules.events import BecameResident, BecameVisitor, MemberAway
from rules.giving import New
from rules.instance import FINISHED, Instance, Note
from rules.journey import Issue
from rules.moving import Fate, moved
from rules.off import Off
from rules.recall import Decision, Due, Known, Recall
from rules.residents import residence
from rules.source import SourceError
from rules.standing import CLOSED, OFFERS_CONSENT, SUPERSEDED, VOID, Exposure, Standing

# Without either of these nothing may be decided about a member.
WANTED = (OFFERS_CONSENT, "presence")


class Batch:
    """book is what begins now; book_of finds the version an instance began under (raises SourceError); off is what is
    switched off."""

    def __init__(
        self,
        tx: sa.Connection,
        recall: Recall,
        coupons: Coupons,
        book: Book,
        book_of: Callable[[sa.Connection, str], Book],
        members: Iterable[int],
        now_ms: int,
        off: Off,
    ) -> None:
        self._tx, self._recall, self._coupons = tx, recall, coupons
        self._book, self._book_of, self._now_ms = book, book_of, now_ms
        self._before = recall.load(tx, members, now_ms)
        # One for all members of the batch: what one is given, the next cannot have.
        self._room = coupons.capacity.all_left(tx, book, now_ms)
        room = MappingProxyType(self._room)
        self._known = {
            member: Known(known.standing._replace(room=room, off=off), dict(known.runs))
            for member, known in self._before.items()
        }
        self._away: dict[int, int | None] = {}  # member -> when their absence is long enough for something
        self._decisions: list[Decision] = []
        self._noted: Counter[tuple[str, str]] = Counter()
        self._woken: set[str] = set()

    def hear(self, event: Moment, heard_real_ms: int, *, late: bool) -> None:
        """One event: what is known changes, journeys begin, and those that run go on. late: it may be history."""
        known = self._known[event.member]
        before = known.standing.memory.absence
        known.standing = known.standing.after(event)
        if known.standing.memory.absence is not before:
            self._set_away(known.standing)
        if isinstance(event, ConsentChanged) and not event.granted and event.purpose in WANTED:
            self._withdraw(known, event.id, heard_real_ms)
        for one in self._book.journeys.values():
            begun, note = journey.enter(one, event, known.standing, self._book, self._now_ms)
            if begun is not None:
                known.runs[begun.id] = begun
                known.standing = known.standing.begun(one.key, self._now_ms)
            if note is not None:
                instance = id_of("instance", one.key, event.member, event.visit)
                self._note(known.standing, event.visit, one.key, self._book.version, instance, event.id, note)
        self.move(event.member, event.id, heard_real_ms, late=late)

    def move(self, member: int, cause: str, heard_real_ms: int, *, late: bool) -> None:
        """All instances of *member*, the highest priority first; one that still runs pauses those below it.

        One that is switched off pauses nobody: the others have the member to themselves meanwhile.
        """
        known = self._known[member]
        self._judge(known, cause, heard_real_ms)
        self._end_what_is_over(known, cause, heard_real_ms)
        by: str | None = None
        for run in self._running(known, cause):
            here = known.runs[run.id]
            if by is not None:
                rests, note = journey.paused(here, by)
                self._keep(known, rests, cause, [note])
                continue
            halted = journey.halted(here, known.standing, self._book_of(self._tx, here.version))
            if halted is not None:
                self._keep(known, halted[0], cause, [halted[1]])
            elif self._go_on(known, here, cause, heard_real_ms, late).phase != FINISHED:
                by = run.journey

    def _judge(self, known: Known, cause: str, heard_real_ms: int) -> None:
        """Tell it where somebody turns out to be here all day, or no longer."""
        standing = known.standing
        found = residence(standing, self._book.calendar, self._now_ms)
        if found.resident == standing.memory.resident:
            return
        became = BecameResident if found.resident else BecameVisitor
        visit = standing.visit.key if standing.visit else ""
        id = id_of("resident", standing.member, cause, found.resident)
        told = became(id, self._now_ms, standing.member, visit, found.seen)
        self._recall.tell(self._tx, told, heard_real_ms)
        known.standing = standing.after(told)

    def wake(self, member: int, dues: Iterable[Due], heard_real_ms: int) -> list[MemberAway]:
        """Deadlines of *member* that have come: all are taken off, and set anew by what is waited for then.

        What their absence has come to by now is for the caller to tell. The cause is what was due, when, and where each
        stood: what happens twice in one millisecond differs in that.
        """
        known, cause = self._known[member], ["deadline", str(member)]
        for due in sorted(dues):
            self._woken.add(due.instance)
            run = known.runs.get(due.instance)
            stood = (run.step, run.phase, run.rung, run.said) if run else ()
            cause += map(str, (due.instance, due.due_ms, *stood))
        told = self._absent(known.standing)
        self.move(member, id_of(*cause), heard_real_ms, late=False)
        return told

    def _absent(self, standing: Standing) -> list[MemberAway]:
        """What an absence has come to by now, if it lasts; its deadline moves on to what is next."""
        self._set_away(standing)
        absence = standing.memory.absence
        if absence is None:
            return []
        return [
            MemberAway(
                id=id_of(AWAY, absence.key, after_ms), at_ms=absence.since_ms + after_ms, member=standing.member,
                visit=absence.key, since_ms=absence.since_ms, after_ms=after_ms,
            )
            for after_ms in reached(absence, self._book.away_ms, self._now_ms)
        ]  # fmt: skip

    def _set_away(self, standing: Standing) -> None:
        self._away[standing.member] = next_ms(standing.memory.absence, self._book.away_ms, self._now_ms)

    def close_shop(self, member: int, exposures: Iterable[str], cause: str, actor: str, heard_real_ms: int) -> None:
        """Take back what *member* holds for shops that closed, and go on as if the wait were over."""
        known = self._known[member]
        for exposure in known.standing.live(self._now_ms):
            if exposure.id in exposures:
                self._take_back(known, exposure, CLOSED, heard_real_ms, actor=actor, outcome=CLOSED)
        self.move(member, cause, heard_real_ms, late=False)

    def is_short_of(self, short_of: str) -> bool:
        """Whether somebody here waits for that; for anything, if it is empty."""
        return any(
            run.short_of and short_of in ("", run.short_of)
            for known in self._known.values()
            for run in known.runs.values()
        )

    def change(self, new: Book, fates: Mapping[str, Fate], cause: str) -> None:
        """Another version was published: what becomes of those in the middle of a journey it names."""
        for known in self._known.values():
            for run in list(known.runs.values()):
                if run.phase == FINISHED or run.journey not in fates:
                    continue
                try:
                    after, note = moved(
                        run, fates[run.journey], self._book_of(self._tx, run.version), new, self._now_ms
                    )
                except SourceError:
                    after, note = journey.stopped(run, "version unusable")
                self._keep(known, after, cause, [note])

    def close(self) -> None:
        """Store everything that changed."""
        self._recall.store(self._tx, self._before, self._known, self._now_ms, self._woken)
        self._recall.set_away(self._tx, self._away)
        self._recall.decide(self._tx, self._decisions)

    def _running(self, known: Known, cause: str) -> list[Instance]:
        ranks: list[tuple[int, str, Instance]] = []
        for run in list(known.runs.values()):
            if run.phase == FINISHED:
                continue
            try:
                ranks.append((-self._book_of(self._tx, run.version).journeys[run.journey].priority, run.journey, run))
            except SourceError:
                # The plan lost what that version speaks of; nothing can be decided by it any more.
                ended, note = journey.stopped(run, "version unusable")
                self._keep(known, ended, cause, [note])
        return [run for _, _, run in sorted(ranks, key=lambda rank: rank[:2])]

    def _end_what_is_over(self, known: Known, cause: str, heard_real_ms: int) -> None:
        """Instances and visit-bound coupons of a visit that is no longer the member's."""
        visit = known.standing.place
        for run in list(known.runs.values()):
            if run.phase != FINISHED and run.visit != visit:
                ended, note = journey.stopped(run, CAME_BACK if is_absence(run.visit) else "visit ended")
                self._keep(known, ended, cause, [note])
        for exposure in known.standing.live(self._now_ms):
            if exposure.visit_bound and exposure.visit != visit:
                self._take_back(known, exposure, "visit ended", heard_real_ms)

    def _withdraw(self, known: Known, cause: str, heard_real_ms: int) -> None:
        """Nothing is waited for any more, and nothing that is out stays good."""
        for run in list(known.runs.values()):
            if run.phase != FINISHED:
                ended, note = journey.stopped(run, "consent withdrawn")
                self._keep(known, ended, cause, [note])
        for exposure in known.standing.live(self._now_ms):
            self._take_back(known, exposure, "consent withdrawn", heard_real_ms)

    def _take_back(
        self, known: Known, exposure: Exposure, why: str, heard_real_ms: int, *, actor: str = "journey",
        outcome: str = VOID,
    ) -> None:  # fmt: skip
        if exposure.coupon is None or self._coupons.void(
            self._tx, exposure.coupon, self._now_ms, actor, why, heard_real_ms=heard_real_ms
        ):
            known.standing = known.standing.ended(exposure.id, self._now_ms, outcome)

    def _go_on(self, known: Known, here: Instance, cause: str, heard_real_ms: int, late: bool) -> Instance:
        book = self._book_of(self._tx, here.version)
        while True:
            outcome = journey.advance(here, known.standing, book, self._now_ms, late=late)
            notes: list[Note | None] = [*outcome.notes]
            after, refusal = outcome.instance, None
            if outcome.issue is not None:
                refusal = self._give(known, after, book, outcome.issue, cause, heard_real_ms)
                if refusal is None:
                    exposure = _exposure_id(after, outcome.issue)
                    after, note = journey.issued(after, outcome.issue, exposure, self._now_ms)
                    notes.append(note)
                else:
                    again_ms = self._again_ms(refusal, book)
                    after, note_of = journey.refused(after, outcome.issue, refusal.reason, book, self._now_ms, again_ms)
                    notes.append(note_of)
            self._keep(known, after, cause, notes)
            # A refusal may have moved the instance on to a step that is ready already.
            if refusal is None or after.step == here.step or after.phase == FINISHED:
                break
            here = after
        if after.phase == FINISHED:
            self._hand_on(known, after, book, cause)
        return after

    def _give(
        self, known: Known, run: Instance, book: Book, issue: Issue, cause: str, heard_real_ms: int
    ) -> Refused | None:
        """Give the offer, or note it as a ghost; why the ledger refused, or None."""
        now_ms, offer = self._now_ms, issue.offer
        replaced = known.standing.exposure(issue.supersedes) if issue.supersedes else None
        coupon: str | None = None
        place: dict[str, Any] = {
            "member": run.member, "visit": run.visit, "journey": run.journey, "instance": run.id,
            "step": issue.step, "rung": issue.rung, "offer": offer.key,
        }  # fmt: skip
        new = New(
            **place,
            shops=offer.shops,
            cost=offer.cost,
            reserve=ceil(offer.cost * book.limits.expected_redemption),
            issued_ms=now_ms,
            wait_ms=issue.wait_ms,
            expires_ms=now_ms + offer.valid_ms,
            cause=cause,
            heard_real_ms=heard_real_ms,
            title=offer.title,
            why=issue.why,
            terms=offer.terms,
            funder=offer.funder,
            redeem=offer.redeem,
            budgets=_charges(book, run, offer, now_ms),
            rooms=rooms(book, offer, now_ms),
            supersedes=replaced.coupon if replaced else None,
        )
        if issue.ghost or not issue.drawn:
            # Whoever is sent nothing meets the same limits, or the two could not be compared.
            refusal = self._coupons.refusal(self._tx, new)
            if refusal is not None:
                return refusal
        else:
            try:
                self._coupons.issue(self._tx, new)
            except Refused as refused:
                return refused
            coupon = new.id
            if new.rooms:
                self._room.update(self._coupons.capacity.all_left(self._tx, self._book, now_ms))
        if replaced is not None:
            known.standing = known.standing.ended(replaced.id, now_ms, SUPERSEDED)
        exposure = Exposure(
            **place,
            id=_exposure_id(run, issue),
            coupon=coupon,
            ghost=coupon is None,
            visit_bound=offer.visit_bound,
            at_ms=now_ms,
            expires_ms=now_ms + offer.valid_ms,
            propensity=issue.propensity,
            drawn=issue.drawn,
        )
        known.standing = known.standing.exposed(exposure)
        return None

    def _again_ms(self, refused: Refused, book: Book) -> int | None:
        """When time alone makes room, or brings money."""
        if refused.room is not None:
            return self._coupons.capacity.again_ms(self._tx, refused.room)
        by_day = refused.reason.startswith("budget:") and refused.reason != journey.OWN_BUDGET
        return book.calendar.midnight_ms(self._now_ms) if by_day else None

    def _hand_on(self, known: Known, ended: Instance, book: Book, cause: str) -> None:
        join = book.journeys[ended.journey].join
        if join is None:
            return
        for run in list(known.runs.values()):
            if run.journey == join.journey and run.visit == ended.visit:
                there = self._book_of(self._tx, run.version)
                after, note = journey.joined(run, join.step, ended.journey, there, self._now_ms)
                self._keep(known, after, cause, [note])

    def _keep(self, known: Known, after: Instance, cause: str, notes: Iterable[Note | None]) -> None:
        if after != known.runs[after.id]:
            known.runs[after.id] = after
        for note in notes:
            if note is not None:
                self._note(known.standing, after.visit, after.journey, after.version, after.id, cause, note)

    def _note(
        self, standing: Standing, visit: str, key: str, version: str, instance: str, cause: str, note: Note
    ) -> None:
        which = self._noted[instance, cause]
        self._noted[instance, cause] += 1
        self._decisions.append(
            Decision(
                id=id_of("decision", instance, cause, which),
                at_ms=self._now_ms,
                member=standing.member,
                visit=visit,
                journey=key,
                version=version,
                instance=instance,
                step=note.step,
                rung=note.rung,
                offer=note.offer,
                verdict=note.verdict,
                reason=note.because,
                cause=cause,
                trace=note.lines,
                propensity=note.propensity,
            )
        )


def _exposure_id(run: Instance, issue: Issue) -> str:
    return id_of("exposure", run.id, issue.step, issue.rung)


def _charges(book: Book, run: Instance, offer: Offer, now_ms: int) -> tuple[Charge, ...]:
    """Every budget that a coupon draws on. Of the shops it is good at each sets money aside, and one will pay."""
    limits, today = book.limits, book.calendar.day(now_ms).isoformat()
    caps = [
        ("day", today, limits.budget_day),
        ("visit", run.visit, limits.budget_visit),
        (f"journey:{run.journey}", today, book.journeys[run.journey].budget_day),
        *((f"{SHOP}{shop}", today, limits.budget_shops.get(shop)) for shop in offer.shops),
    ]
    return tuple(Charge(scope, span, cap) for scope, span, cap in caps if cap is not None)
