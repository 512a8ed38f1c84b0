"""`sojourn explain`: the answers about one member, on a terminal."""

from __future__ import annotations

from contextlib import closing
from datetime import date

from engine.ledger import Ledger
from engine.loading import book_in_force, the_ledger
from engine.plainly import CannotStart, nearest
from engine.settings import Settings
from engine.start import read_plan
from rules.book import Book, Mall
from rules.explain import Explanation
from rules.explain_api import NotYet, explained, instant
from rules.past import member_of
from rules.sayings import LANGUAGES
from rules.shelf import Shelf
from rules.times import NotTime

HELD, UNMET = "+", "-"
NOTHING_THEN = {
    "en": "No journey had such a step at that moment: what runs keeps the version of the book it began with.",
    "zh-Hans": "当时没有任何旅程有这一步：进行中的旅程沿用开始时的规则版本。",
}


def explain(
    settings: Settings, named: str, *, at: str | None, day: str | None, step: str | None, language: str, as_json: bool
) -> None:
    """Print the answers. Raises CannotStart."""
    if language not in LANGUAGES:
        raise CannotStart(f"--language {language}: choose one of {', '.join(LANGUAGES)}")
    plan = read_plan(settings.zones_path)
    with closing(the_ledger(settings)) as ledger:
        book = book_in_force(settings, plan, ledger)
        found = _ask(ledger, settings, book, Shelf(Mall.of(plan)), named, at, day, step)
    print(found.model_dump_json(indent=1) if as_json else as_text(found, language))


def _ask(
    ledger: Ledger, settings: Settings, book: Book, shelf: Shelf, named: str, at: str | None, day: str | None,
    step: str | None,
) -> Explanation:  # fmt: skip
    with ledger.read() as tx:
        member = member_of(tx, named)
        last_ms = ledger.last_at_ms(tx)
    if member is None:
        raise CannotStart(f"no member {named!r}: name one by id or login")
    now_ms = max(last_ms, settings.pace.now())
    try:
        # A ledger may have been quiet for a while, or run on a clock of its own: its last day is the one meant.
        on = date.fromisoformat(day) if day else book.calendar.day(last_ms or now_ms)
    except ValueError:
        raise CannotStart(f"--day {day}: write it like 2026-11-24") from None
    try:
        at_ms = instant(book.calendar, at, on, now_ms)
    except NotTime as problem:
        raise CannotStart(f"--at {at}: {problem}") from None
    except NotYet as problem:
        raise CannotStart(f"{problem}: name an earlier --at or --day") from None
    found = explained(ledger, shelf, book, member, at_ms, step, actor="command line", now_ms=now_ms)
    known = {key for journey in book.journeys.values() for key in journey.index}
    # A run may be of an older version, whose steps have answers too.
    if step is not None and not found.answers and step not in known:
        raise CannotStart(f"no step {step!r} in the book in force, nor in a run of then; {nearest(step, known)}")
    return found


def as_text(found: Explanation, language: str) -> str:
    """One paragraph a journey; below it what was asked, + where it held and - where it did not."""
    lines = [f"{found.local}  {found.said[language]}"]
    if not found.answers:
        lines += ["", NOTHING_THEN[language]]
    for answer in found.answers:
        place = f"{answer.journey}/{answer.step}" if answer.step else answer.journey
        lines += ["", f"{place}: {answer.said[language]}"]
        lines += [
            f"  {HELD if line.held else UNMET} {line.asked[language]}: {line.seen[language]}  [{line.path}]"
            for line in answer.lines
        ]
    return "\n".join(lines)
