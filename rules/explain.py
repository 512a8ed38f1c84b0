"""Why did this member get that, and why not? Answers for any member, instant, journey and step, in plain words.

What was decided is in the ledger, with what was seen. Where nothing was decided because nothing changed, the last
decision still held, and what it waited for is looked at again as it was at the instant asked about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pydantic import BaseModel, Field

from engine.events import Moment
from rules import sayings
from rules.book import Book, Journey, Rung, Step, Texts
from rules.decide import held_out
from rules.habits import days_away, visits_lately
from rules.off import MALL, Halt, journey_halt
from rules.past import Decided, Past
from rules.residents import residence
from rules.sayings import say
from rules.standing import CLOSED, OFFERS_CONSENT, REDEEMED, SUPERSEDED, VOID, Exposure
from rules.times import MINUTE_MS, length_text
from rules.told import told
from rules.when import Condition, Line, ask

PRESENCE = "presence"
GIVEN = ("issued", "ghost")
WENT_ON = ("moved-on", "skipped")
# After these, the next thing to come of a run is an offer.
SEEKING_ON = (*WENT_ON, "started", "waits", "withheld")
# Finds the book of a version; None where nothing can be read of it any more.
BookOf = Callable[[str], Book | None]


class TraceLine(BaseModel):
    """One thing that was asked."""

    path: str = Field(description="Where it stands: in the book, or among the limits")
    held: bool
    asked: dict[str, str] = Field(description="By language")
    seen: dict[str, str] = Field(description="By language")


class Answer(BaseModel):
    """One journey, or one step of it."""

    journey: str
    step: str | None
    verdict: str = Field(description="issued, ghost, waits, withheld, skipped, moved-on, ...; none: nothing decided")
    reason: str = Field(description="Stable, for programs")
    said: dict[str, str] = Field(description="The reason in words, by language")
    decided_ms: int | None = Field(description="When that was decided; it held since")
    lines: list[TraceLine] = Field(description="All that was asked then")


class Reasons(BaseModel):
    """Why a member got a coupon, in words for that member."""

    said: dict[str, str] = Field(description="What was given when, by language")
    given_ms: int
    reasons: list[dict[str, str]] = Field(description="By language; empty once the trace is forgotten")


class Explanation(BaseModel):
    """What was so of one member at one instant, and why."""

    member: int
    at_ms: int
    local: str = Field(description="The same instant on the mall's clocks")
    present: bool = Field(description="In the mall then")
    resident: bool = Field(description="Here all day, as staff and fixed devices are, and so kept out of offers")
    visits_30d: int = Field(description="Visits within 30 days, the one that went on included")
    days_away: int | None = Field(description="Days since the visit before; null where none is known")
    held_out: bool = Field(description="Of the random few who are never sent anything")
    said: dict[str, str] = Field(description="In one sentence, by language")
    answers: list[Answer] = Field(description="By priority of the journeys, highest first")


def explain(past: Past, now_in_force: Book, book_of: BookOf, *, step: str | None = None) -> Explanation:
    """step  only what concerns steps of that id"""
    book = (book_of(past.version) if past.version else None) or now_in_force
    teller = _Teller(past, book, book_of)
    answers = [answer for journey in book.journeys.values() for answer in teller.journey(journey, step)]
    return Explanation(
        member=past.standing.member,
        at_ms=past.at_ms,
        local=f"{book.calendar.local(past.at_ms):%Y-%m-%d %H:%M}",
        present=past.standing.visit is not None,
        resident=residence(past.standing, book.calendar, past.at_ms).resident,
        visits_30d=visits_lately(past.standing, past.at_ms),
        days_away=days_away(past.standing, past.at_ms),
        held_out=held_out(past.standing.member, book.limits),
        said=dict(teller.member()),
        answers=answers,
    )


def why(decided: Decided, book: Book) -> Reasons:
    """Why a coupon was given, as its member is told."""
    said = say("issued", at=book.calendar.clock_text(decided.at_ms), offer=_title(book, decided.offer), outcome="")
    journey = book.journeys.get(decided.journey)
    held = [line for line in decided.lines if line.held] if journey else []
    reasons = told((_word(journey, line.path), line.seen) for line in held) if journey else []
    return Reasons(said=dict(said), given_ms=decided.at_ms, reasons=[dict(reason) for reason in reasons])


class _Teller:
    """Tells of one member at one instant."""

    def __init__(self, past: Past, book: Book, book_of: BookOf) -> None:
        self._past, self._book, self._book_of = past, book, book_of

    # -- the member -------------------------------------------------------------------------------

    def member(self) -> Texts:
        standing = self._past.standing
        if standing.visit is None:
            last = say("last-visit", at=self._when(self._past.left_ms)) if self._past.left_ms else say("no-visit")
            away = say("away", last=last)
            if PRESENCE in standing.consents:
                return _both(away, self._running()) if self._past.decided else away
            return _both(away, say("unfollowed", since=self._since(PRESENCE)))
        inside = sorted(standing.visit.inside)
        place = say("in", zones=sayings.joined(inside)) if inside else say("nowhere")
        return say("here", since=self._when(standing.visit.started_ms), place=place, running=self._running())

    def _running(self) -> Texts:
        running = sorted({one.journey for one in self._past.decided if self._runs(one.journey)})
        return say("running", journeys=sayings.joined(running)) if running else say("none-running")

    def _runs(self, journey: str) -> bool:
        mine = self._of(journey)
        last = mine[-1]
        if last.verdict in ("finished", "not-started"):
            return False
        book = self._book_of(last.version)
        after = book.journeys[journey].after(last.step) if book and journey in book.journeys else None
        return last.verdict not in WENT_ON or after is not None

    def _since(self, purpose: str) -> Texts:
        said = self._past.consents.get(purpose)
        return say("since", at=self._when(said.at_ms)) if said else say("never")

    # -- journeys and steps -----------------------------------------------------------------------

    def journey(self, current: Journey, step: str | None) -> Iterator[Answer]:
        """One answer for the step asked about, or for the one the member was at."""
        decided = self._of(current.key)
        book = (self._book_of(decided[-1].version) if decided else None) or self._book
        journey = book.journeys.get(current.key, current)
        if step is not None and step not in journey.index:
            return
        here = self._past.standing.visit is not None
        if journey.away == here:
            said = say("not-away") if here else self.member()
            yield _answer(journey.key, step, None, said, [], "not-away" if here else "not-here")
        elif not decided:
            yield self._unbegun(journey, step)
        elif decided[-1].verdict == "not-started":
            yield self._not_started(journey, step, decided[-1])
        elif (halt := journey_halt(self._past.standing.off, journey.key)) and self._held(journey, step, decided[-1]):
            yield self._switched_off(journey.key, step or decided[-1].step, halt)
        else:
            yield self._step(book, journey, step or decided[-1].step, decided)

    def _of(self, journey: str) -> list[Decided]:
        return [one for one in self._past.decided if one.journey == journey]

    def _unbegun(self, journey: Journey, step: str | None) -> Answer:
        absence, after_ms = self._past.standing.memory.absence, journey.start.after_ms
        if after_ms is not None and (absence is None or self._past.at_ms - absence.since_ms < after_ms):
            away_ms = self._past.at_ms - absence.since_ms if absence else 0
            seen = f"{length_text(away_ms // MINUTE_MS * MINUTE_MS)} of {length_text(after_ms)}"
            said = say("not-long-away", seen=sayings.seen(seen)) if absence else say("absence-unknown")
            return _answer(journey.key, step, None, said, [], "not-long-away")
        came = any(_kind(event) == journey.start.event for event in self._past.events)
        code = "untold" if came else "no-event"
        return _answer(journey.key, step, None, say(code, event=journey.start.event), [], code)

    def _not_started(self, journey: Journey, step: str | None, last: Decided) -> Answer:
        lines = _lines(journey, last.lines)
        unmet = next((line for line in lines if not line.held), None)
        if last.reason == "once":
            said = say("once", seen=unmet.seen if unmet else "")
        else:
            said = self._unmet("not-started", journey, last.reason, lines)
        return _answer(journey.key, step, last, said, lines)

    def _held(self, journey: Journey, step: str | None, last: Decided) -> bool:
        """Whether the step asked about was still to come, so that a switch was what held it."""
        ahead = step is None or journey.index[step] >= journey.index.get(last.step, 0)
        return ahead and last.verdict in SEEKING_ON

    def _switched_off(self, journey: str, step: str, halt: Halt) -> Answer:
        _, kind, name = halt.path.split("/")
        switch = self._past.off[kind, name]
        said = say(
            "switched-off", at=self._when(switch.at_ms or 0), by=switch.actor, what=_switched(name),
            why=switch.reason or say("no-reason"),
        )  # fmt: skip
        asked, seen = sayings.asked(kind), sayings.seen(f"off{self._book.calendar.until_text(halt.until_ms)}")
        line = TraceLine(path=halt.path, held=False, asked=dict(asked), seen=dict(seen))
        return Answer(
            journey=journey, step=step, verdict="withheld", reason=halt.because, said=dict(said),
            decided_ms=switch.at_ms, lines=[line],
        )  # fmt: skip

    def _step(self, book: Book, journey: Journey, step: str, decided: list[Decided]) -> Answer:
        mine = [one for one in decided if one.step == step]
        if mine:
            return self._said(book, journey, journey.step(step), mine[-1])
        last = decided[-1]
        there = self._said(book, journey, journey.step(last.step), last)
        ahead = journey.index[step] > journey.index[last.step] and last.verdict != "finished"
        code = "not-yet" if ahead else "passed-over"
        said = say(code, there=last.step, why=there.said)
        return Answer(
            journey=journey.key, step=step, verdict="none", reason=code, said=dict(said), decided_ms=last.at_ms,
            lines=there.lines,
        )  # fmt: skip

    def _said(self, book: Book, journey: Journey, step: Step, one: Decided) -> Answer:
        """What was decided last about a step, as it was at the instant asked about."""
        seen = one.lines
        if one.verdict == "waits" and not one.reason.endswith("/jitter"):
            _, seen = ask(step.when, self._past.standing, self._past.at_ms)
        lines = _lines(journey, seen)
        return _answer(journey.key, step.key, one, self._words(book, journey, step, one, lines), lines)

    def _words(self, book: Book, journey: Journey, step: Step, one: Decided, lines: list[TraceLine]) -> Texts:
        at, offer = self._when(one.at_ms), _title(book, one.offer)
        unmet = next((line for line in lines if not line.held), None)
        seen: Texts | str = unmet.seen if unmet else ""
        scope = one.reason.partition(":")[2]
        match one.verdict, one.reason.partition(":")[0]:
            case "started", _:
                return say("started")
            case "waits", reason if reason.endswith("/jitter"):
                return say("jitter", seen=seen)
            case "waits", reason:
                return self._unmet("waits", journey, unmet.path if unmet else reason, lines)
            case "withheld", "no-consent":
                return say("no-consent", since=self._since(OFFERS_CONSENT))
            case "withheld", reason if reason.startswith("paused by "):
                return say("paused", by=reason.removeprefix("paused by "))
            case (("withheld" | "moved-on" | "skipped"), ("budget" | "capacity" | "closed" | "taken-out") as reason):
                return say(reason, scope=scope)
            case "withheld", "switched-off":
                return say("was-off", what=_switched(scope))
            case "withheld", reason if reason in sayings.SAYINGS:
                return say(reason, seen=seen)
            case "issued", _:
                return say("issued", at=at, offer=offer, outcome=self._outcome(step, one))
            case "ghost", _:
                return say("ghost", at=at, offer=offer)
            case "chance", _:
                return say("chance", offer=offer, seen=str(one.propensity or ""))
            case "moved-on", "chance":
                return say("chance-over", at=at)
            case "skipped", "patience":
                return say("patience")
            case "skipped", "gave way":
                return say("gave-way", at=at)
            case "skipped", reason:
                return self._unmet("skipped", journey, reason, lines)
            case "moved-on", "redeemed":
                was = self._exposure(one)
                return say("redeemed", at=at, offer=_title(book, was.offer if was else None))
            case "moved-on", "exhausted":
                return say("exhausted", at=at)
            case "moved-on", "no upgrade left":
                return say("no-upgrade", at=at, seen=seen)
            case "moved-on", "no upgrade wanted":
                return say("no-upgrade-wanted", at=at, asked=unmet.asked if unmet else "", seen=seen)
            case "moved-on", reason if reason.startswith("joined from "):
                return say("joined", at=at, by=reason.removeprefix("joined from "))
            case "finished", "consent withdrawn":
                if PRESENCE not in self._past.standing.consents:
                    return say("unfollowed", since=self._since(PRESENCE))
                return say("no-consent", since=self._since(OFFERS_CONSENT))
            case "finished", reason if reason.replace(" ", "-") in sayings.SAYINGS:
                return say(reason.replace(" ", "-"), at=at)
        return say("other", verdict=one.verdict, reason=one.reason)

    def _unmet(self, code: str, journey: Journey, path: str, lines: list[TraceLine]) -> Texts:
        line = next((line for line in lines if line.path == path), None)
        asked: Texts = line.asked if line else sayings.asked(_word(journey, path))
        return say(code, asked=asked, seen=line.seen if line else "")

    def _outcome(self, step: Step, one: Decided) -> Texts:
        """What had become of an offer by then."""
        exposure = self._exposure(one)
        if exposure is None:
            return dict.fromkeys(sayings.LANGUAGES, "")
        if exposure.ended_ms is None and self._past.at_ms < exposure.expires_ms:
            waits_ms = next((arm.rungs[one.rung].wait_ms for arm in step.arms if _gives(arm.rungs, one)), 0)
            return say("is-out", until=self._when(one.at_ms + waits_ms))
        kinds = {outcome: f"was-{outcome}" for outcome in (REDEEMED, SUPERSEDED, VOID, CLOSED)}
        ended_ms = exposure.expires_ms if exposure.ended_ms is None else exposure.ended_ms
        return say(kinds.get(exposure.outcome, "was-expired"), at=self._when(ended_ms))

    def _exposure(self, one: Decided) -> Exposure | None:
        of = (one.instance, one.step, one.rung)
        exposures = self._past.standing.exposures
        return next((each for each in exposures if (each.instance, each.step, each.rung) == of), None)

    def _when(self, at_ms: int) -> str:
        """The hour, with its day where that is another."""
        calendar = self._book.calendar
        same = calendar.day(at_ms) == calendar.day(self._past.at_ms)
        return calendar.clock_text(at_ms) if same else f"{calendar.local(at_ms):%Y-%m-%d %H:%M}"


def _answer(
    journey: str, step: str | None, one: Decided | None, said: Texts, lines: list[TraceLine], reason: str = ""
) -> Answer:
    return Answer(
        journey=journey,
        step=step,
        verdict=one.verdict if one else "none",
        reason=reason or (one.reason if one else ""),
        said=dict(said),
        decided_ms=one.at_ms if one else None,
        lines=lines,
    )


def _lines(journey: Journey, seen: list[Line]) -> list[TraceLine]:
    return [
        TraceLine(
            path=line.path,
            held=line.held,
            asked=dict(sayings.asked(_word(journey, line.path))),
            seen=dict(sayings.seen(line.seen)),
        )
        for line in seen
    ]


def _word(journey: Journey, path: str) -> str:
    """The word of `when` that stands at *path*, a switch's kind, or else the last name in it."""
    if path.startswith("switches/"):
        return path.split("/")[1]
    for condition in _conditions(journey):
        if condition.path == path:
            return condition.word
    return next((name for name in reversed(path.split("/")) if not name.isdecimal()), path)


def _conditions(journey: Journey) -> Iterator[Condition]:
    yield from journey.start.when
    for step in journey.steps:
        yield from (*step.when, *step.upgrade_if)
        for arm in step.arms:
            yield from arm.when


def _gives(rungs: tuple[Rung, ...], one: Decided) -> bool:
    return 0 <= one.rung < len(rungs) and rungs[one.rung].offer.key == one.offer


def _title(book: Book, offer: str | None) -> Texts:
    found = book.offers.get(offer) if offer else None
    return found.title if found else dict.fromkeys(sayings.LANGUAGES, offer or "")


def _switched(name: str) -> Texts | str:
    return say("the-mall") if name == MALL else name


def _kind(event: Moment) -> str:
    return str(event.__struct_config__.tag)


def _both(one: Texts, other: Texts) -> Texts:
    return {language: f"{text} {other[language]}" for language, text in one.items()}
