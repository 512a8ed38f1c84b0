"""One member's run through a journey: an ordered list of steps, walked as a state machine with defaults.

Pure: an instance, a standing and a moment go in; the next instance, at most one offer to give, and the notes
of every yes and no come out. What must happen later is an instant in the instance, never a timer.
"""

from __future__ import annotations

from hashlib import blake2b

import msgspec

from engine.events import Moment, id_of
from rules.book import Book, Journey, Offer, Step, Texts
from rules.decide import ASK_AGAIN_MS, Allow, Proposal, arbitrate
from rules.events import MemberAway
from rules.instance import FINISHED, WAITING, Instance, Note, at_step, finished, noted, onward, short
from rules.off import Halt, journey_halt, offer_halt
from rules.standing import CLOSED, REDEEMED, Standing
from rules.times import length_text
from rules.when import Line, ask, earliest

# What may run short: who is refused for it waits in a queue, and is asked again when a coupon that held some has ended.
SHORT = ("budget:", "capacity:")
# Of this one only the member's own coupons hold some, and what becomes of those is heard anyway.
OWN_BUDGET = "budget:visit"


class Issue(msgspec.Struct, frozen=True, gc=False):
    """An offer to give now. supersedes: the exposure whose place it takes.

    ghost       to a held-out member: only as if
    drawn       False where chance says not to send it; everything goes on as if it had been
    propensity  the probability with which it was drawn
    """

    step: str
    arm: int
    rung: int
    offer: Offer
    supersedes: str | None
    ghost: bool
    wait_ms: int
    why: Texts
    lines: list[Line]
    drawn: bool = True
    propensity: float = 1.0


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """instance is as if nothing had been given yet; issued() or refused() tell how the giving went."""

    instance: Instance
    issue: Issue | None
    notes: list[Note]


def enter(
    journey: Journey, event: Moment, standing: Standing, book: Book, now_ms: int
) -> tuple[Instance | None, Note | None]:
    """Test once whether *event* begins an instance. No note when the event has nothing to do with the journey."""
    began_ms = _began_ms(journey, event, standing)
    place = standing.place
    if began_ms is None or place is None:
        return None, None
    last_ms = standing.memory.started_ms.get(journey.key)
    if last_ms is not None and last_ms >= began_ms:
        return None, None  # it has run in this visit, or in this absence
    first = journey.steps[0].key
    once_ms = journey.start.once_ms
    if once_ms is not None and last_ms is not None and now_ms - last_ms < once_ms:
        line = Line(f"{journey.path}/start/once", False, f"ran {length_text(now_ms - last_ms)} ago")
        return None, Note("not-started", "once", first, -1, None, [line])
    answer, lines = ask(journey.start.when, standing, now_ms)
    if not answer.held:
        return None, Note("not-started", _first_unmet(lines), first, -1, None, lines)
    identity = id_of("instance", journey.key, standing.member, place)
    begun = Instance(identity, journey.key, book.version, standing.member, place, now_ms, first, now_ms)
    return begun, Note("started", event.id, first, -1, None, lines)


def _began_ms(journey: Journey, event: Moment, standing: Standing) -> int | None:
    """Since when the visit or absence lasts in which *event* may begin the journey; None if it may not."""
    if event.__struct_config__.tag != journey.start.event:
        return None
    visit, absence = standing.visit, standing.memory.absence
    if not isinstance(event, MemberAway):
        return visit.started_ms if visit else None
    # It may be heard late: then the member has come in meanwhile, or has left again.
    meant = absence is not None and absence.key == event.visit and event.after_ms == journey.start.after_ms
    return absence.since_ms if absence and meant else None


def advance(instance: Instance, standing: Standing, book: Book, now_ms: int, *, late: bool = False) -> Outcome:
    """Go on as far as the moment allows: over steps that are closed, up to one offer, or to the end."""
    walk = _Walk(book.journeys[instance.journey], standing, book, now_ms, late)
    here, issue, moved = instance, None, True
    if here.short_of:
        here = msgspec.structs.replace(here, short_of="")
    while moved and here.phase != FINISHED:
        here, issue, moved = walk.wait(here) if here.phase == WAITING else walk.seek(here)
    return Outcome(here, issue, walk.notes)


def issued(instance: Instance, issue: Issue, exposure: str, now_ms: int) -> tuple[Instance, Note]:
    """The instance once the offer was given: it waits."""
    until_ms = now_ms + issue.wait_ms
    after = msgspec.structs.replace(
        instance,
        phase=WAITING,
        arm=issue.arm,
        rung=issue.rung,
        out=exposure,
        wait_until_ms=until_ms,
        wakes_ms=until_ms,
        said="",
        short_since_ms=None,
    )
    verdict = "chance" if not issue.drawn else "ghost" if issue.ghost else "issued"
    because = "better offer" if issue.rung else "ready"
    return after, Note(verdict, because, issue.step, issue.rung, issue.offer.key, issue.lines, issue.propensity)


def refused(
    instance: Instance, issue: Issue, because: str, book: Book, now_ms: int, again_ms: int | None = None
) -> tuple[Instance, Note | None]:
    """The instance when the ledger would not give it: no room, no money, or the coupon it rests on has just changed.

    again_ms  when time alone makes room
    """
    line = Line("ledger", False, because)
    journey = book.journeys[instance.journey]
    if because.startswith(SHORT):
        if issue.rung:  # nothing better can be afforded, so the step is over
            note = Note("moved-on", because, issue.step, issue.rung, issue.offer.key, [*issue.lines, line])
            return onward(instance, journey, journey.step(issue.step).exhausted, because, now_ms), note
        if because != OWN_BUDGET:
            instance = short(instance, because, now_ms)
    else:
        again_ms = now_ms + ASK_AGAIN_MS  # the event that tells of the change will be heard before
    after = msgspec.structs.replace(instance, wakes_ms=earliest(instance.wakes_ms, again_ms))
    return noted(after, Note("withheld", because, issue.step, issue.rung, issue.offer.key, [*issue.lines, line]))


def paused(instance: Instance, by: str) -> tuple[Instance, Note | None]:
    """Held back, not ended, by a journey of higher priority; it wakes with that one."""
    line = Line("priority", False, f"{by} runs")
    rests = msgspec.structs.replace(instance, wakes_ms=None, short_of="")
    return noted(rests, Note("withheld", f"paused by {by}", instance.step, instance.rung, None, [line]))


def halted(instance: Instance, standing: Standing, book: Book) -> tuple[Instance, Note | None] | None:
    """Held where it is, not ended, while the mall or its journey is switched off; None where neither is.

    No wait, patience or deadline counts meanwhile: what has passed is looked at when it goes on.
    """
    halt = journey_halt(standing.off, instance.journey)
    if halt is None:
        return None
    rests = msgspec.structs.replace(instance, wakes_ms=halt.until_ms, short_of="")
    lines = [_halt_line(halt, book)]
    return noted(rests, Note("withheld", halt.because, instance.step, instance.rung, None, lines))


def stopped(instance: Instance, because: str) -> tuple[Instance, Note]:
    """Ended from outside, as the end of a visit does."""
    return finished(instance, because), Note("finished", because, instance.step, instance.rung, None, [])


def joined(instance: Instance, step: str, by: str, book: Book, now_ms: int) -> tuple[Instance, Note | None]:
    """Another journey ended and hands the member on: go to *step*, unless that is behind."""
    index = book.journeys[instance.journey].index
    if instance.phase == FINISHED or index.get(step, -1) <= index[instance.step]:
        return instance, None
    note = Note("moved-on", f"joined from {by}", instance.step, instance.rung, None, [])
    return at_step(instance, step, now_ms), note


class _Walk:
    """One call of advance: the circumstances, and the notes taken on the way."""

    def __init__(self, journey: Journey, standing: Standing, book: Book, now_ms: int, late: bool) -> None:
        self._journey, self._standing, self._book, self._now_ms, self._late = journey, standing, book, now_ms, late
        self.notes: list[Note] = []

    def seek(self, here: Instance) -> tuple[Instance, Issue | None, bool]:
        """Watch the step's conditions; the flag says whether there is more to do."""
        step = self._journey.step(here.step)
        answer, lines = ask(step.when, self._standing, self._now_ms)
        patience_ms = None if step.skip_after_ms is None else here.since_ms + step.skip_after_ms
        if not answer.held:
            if answer.settled:
                return self._skip(here, _first_unmet(lines), lines)
            if patience_ms is not None and self._now_ms >= patience_ms:
                return self._skip(here, "patience", lines)
            ready, next_ms = self._next_is_ready(step, lines)
            if ready:
                return self._skip(here, "gave way", lines)
            wakes_ms = earliest(answer.changes_ms, patience_ms, next_ms)
            rests = msgspec.structs.replace(here, wakes_ms=wakes_ms, ready_ms=None)
            if answer.short_of:
                rests = short(rests, answer.short_of, self._now_ms)
            return self._note(rests, Note("waits", _first_unmet(lines), step.key, -1, None, lines)), None, False
        ready_ms = self._now_ms if here.ready_ms is None else here.ready_ms
        here = msgspec.structs.replace(here, ready_ms=ready_ms)
        starts_ms = ready_ms + _jitter_ms(here, step)
        if self._now_ms < starts_ms:
            rests = msgspec.structs.replace(here, wakes_ms=earliest(starts_ms, answer.changes_ms, patience_ms))
            line = Line(f"{step.path}/jitter", False, f"{length_text(starts_ms - self._now_ms)} to go")
            return self._note(rests, Note("waits", line.path, step.key, -1, None, [*lines, line])), None, False
        arm = self._choose(step, lines)
        impatient = patience_ms is not None and self._now_ms >= patience_ms
        lapses_ms = earliest(answer.changes_ms, None if impatient else patience_ms)
        after, issue, moved = self._offer(here, step, arm, 0, None, lapses_ms, lines)
        if issue is None and not moved and impatient:
            return self._skip(here, "patience", lines)
        return after, issue, moved

    def wait(self, here: Instance) -> tuple[Instance, Issue | None, bool]:
        """Look whether the offer that is out was redeemed, or its wait is over."""
        step = self._journey.step(here.step)
        exposure = self._standing.exposure(here.out) if here.out else None
        # Where chance withheld the better offer, the one before is still out.
        spent = next((one for one in self._standing.of_step(here.id, step.key) if one.outcome == REDEEMED), None)
        if spent is not None:
            line = Line(f"{step.path}/try/{spent.rung}", True, f"{spent.offer} redeemed")
            return self._go_on(here, step.redeemed, "redeemed", [line])
        closed = exposure is not None and exposure.outcome == CLOSED
        if not closed and here.wait_until_ms is not None and self._now_ms < here.wait_until_ms:
            return msgspec.structs.replace(here, wakes_ms=here.wait_until_ms), None, False
        seen = "taken back, as its shop closed" if closed else "unredeemed when the wait was over"
        waited = Line(f"{step.path}/wait", True, seen)
        if exposure is not None and not exposure.drawn:
            # What was not sent cannot be bettered: the step is compared as a whole with one that was.
            return self._go_on(here, step.exhausted, "chance", [waited])
        if here.rung + 1 >= len(step.arms[here.arm].rungs):
            because = "exhausted"
            if closed:
                because = f"closed:{','.join(sorted(step.arms[here.arm].rungs[here.rung].offer.shops))}"
            return self._go_on(here, step.exhausted, because, [waited])
        answer, lines = ask(step.upgrade_if, self._standing, self._now_ms)
        if not answer.held:
            return self._go_on(here, step.exhausted, "no upgrade wanted", [waited, *lines])
        live = here.out if exposure is not None and exposure.live(self._now_ms) else None
        return self._offer(here, step, here.arm, here.rung + 1, live, None, [waited, *lines])

    def _next_is_ready(self, step: Step, lines: list[Line]) -> tuple[bool, int | None]:
        """Whether an optional step must give way, and when time alone may change that."""
        following = self._journey.after(step.key) if step.optional else None
        if following is None:
            return False, None
        answer, seen = ask(self._journey.step(following).when, self._standing, self._now_ms)
        if answer.held:
            lines += seen
        return answer.held, None if answer.held else answer.changes_ms

    def _choose(self, step: Step, lines: list[Line]) -> int:
        """The first arm that fits; the default, last, always does. What was looked at is added to *lines*."""
        for row, arm in enumerate(step.arms):
            answer, seen = ask(arm.when, self._standing, self._now_ms)
            lines += seen
            if answer.held:
                return row
        raise AssertionError("the book's reader lets no step through without a default arm")

    def _offer(
        self, here: Instance, step: Step, arm: int, rung: int, supersedes: str | None, lapses_ms: int | None,
        lines: list[Line],
    ) -> tuple[Instance, Issue | None, bool]:  # fmt: skip
        """Propose the first from *rung* on that was not taken out and has an open shop.

        Where there is none, a first offer waits for one that is back before the step may lapse, and before midnight;
        of who is away, until it is back, for an absence lasts longer than a day.
        """
        halts: list[Halt] = []
        for row, (offer, _) in list(enumerate(step.arms[arm].rungs))[rung:]:
            halt = offer_halt(self._standing.off, offer.key, offer.shops) if self._standing.off else None
            if halt is None:
                return self._propose(here, step, arm, row, supersedes, lapses_ms, lines)
            halts.append(halt)
            lines = [*lines, _halt_line(halt, self._book)]
        because = halts[0].because
        if rung:
            return self._go_on(here, step.exhausted, because, lines)
        again_ms = earliest(*[halt.until_ms for halt in halts])
        over_ms = None if self._journey.away else earliest(lapses_ms, self._book.calendar.midnight_ms(self._now_ms))
        if again_ms is None or (over_ms is not None and again_ms >= over_ms):
            return self._skip(here, because, lines)
        rests = msgspec.structs.replace(here, wakes_ms=earliest(again_ms, lapses_ms))
        return self._note(rests, Note("withheld", because, step.key, 0, None, lines)), None, False

    def _propose(
        self, here: Instance, step: Step, arm: int, rung: int, supersedes: str | None, lapses_ms: int | None,
        lines: list[Line],
    ) -> tuple[Instance, Issue | None, bool]:  # fmt: skip
        """lapses_ms: when the step may cease to be ready, which must be looked at if nothing is given now."""
        offer, wait_ms = step.arms[arm].rungs[rung]
        chance = offer.chance if rung else offer.chance * step.chance
        proposal = Proposal(
            here.visit, here.journey, step.key, rung, offer, supersedes, step.for_the_unseen,
            chance, f"{here.id}\0{step.key}\0{rung}", self._journey.away,
        )  # fmt: skip
        verdict = arbitrate(proposal, self._standing, self._book, self._now_ms, late=self._late)
        lines = [*lines, *verdict.lines]
        if isinstance(verdict, Allow):
            here = msgspec.structs.replace(here, wakes_ms=lapses_ms)
            replaced = supersedes if verdict.drawn else None
            issue = Issue(
                step.key, arm, rung, offer, replaced, verdict.ghost, wait_ms, step.why, lines, verdict.drawn, chance
            )
            return here, issue, False
        if rung and verdict.because == "cap":
            return self._go_on(here, step.exhausted, "no upgrade left", lines)
        rests = msgspec.structs.replace(here, wakes_ms=earliest(verdict.again_ms, lapses_ms))
        return self._note(rests, Note("withheld", verdict.because, step.key, rung, offer.key, lines)), None, False

    def _skip(self, here: Instance, because: str, lines: list[Line]) -> tuple[Instance, None, bool]:
        self.notes.append(Note("skipped", because, here.step, -1, None, lines))
        return onward(here, self._journey, None, "skipped", self._now_ms), None, True

    def _go_on(
        self, here: Instance, target: str | None, because: str, lines: list[Line]
    ) -> tuple[Instance, None, bool]:
        self.notes.append(Note("moved-on", because, here.step, here.rung, None, lines))
        return onward(here, self._journey, target, because, self._now_ms), None, True

    def _note(self, here: Instance, note: Note) -> Instance:
        after, fresh = noted(here, note)
        if fresh is not None:
            self.notes.append(fresh)
        return after


def _halt_line(halt: Halt, book: Book) -> Line:
    return Line(halt.path, False, f"off{book.calendar.until_text(halt.until_ms)}")


def _first_unmet(lines: list[Line]) -> str:
    return next((line.path for line in lines if not line.held), "")


def _jitter_ms(here: Instance, step: Step) -> int:
    """This member's own delay, the same at every look: a window that opens must not send everybody at once."""
    if not step.jitter_ms:
        return 0
    digest = blake2b(f"{here.id}\0{step.key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) % step.jitter_ms
