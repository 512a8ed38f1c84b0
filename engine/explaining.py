"""`sojourn explain`: the answers about one member, on a terminal."""

from __future__ import annotations

from datetime import date

from engine.events import PresenceEvent
from engine.ledger import Ledger, open_ledger
from engine.settings import Settings
from engine.start import CannotStart, read_plan, read_the_book
from rules.book import Book, Mall
from rules.events import CouponEvent
from rules.explain import Explanation
from rules.explain_api import NotYet, explained, instant
from rules.past import member_of
from rules.sayings import LANGUAGES
from rules.shelf import Shelf
from rules.times import NotTime

HELD, UNMET = "+", "-"


def explain(
    settings: Settings, named: str, *, at: str | None, day: str | None, step: str | None, language: str, as_json: bool
) -> None:
    """Print the answers. Raises CannotStart."""
    if language not in LANGUAGES:
        raise CannotStart(f"--language {language}: choose one of {', '.join(LANGUAGES)}")
    plan = read_plan(settings.zones_path)
    book = read_the_book(settings, plan)
    if not settings.ledger_url and not (settings.data_folder / "ledger.sqlite").exists():
        raise CannotStart(f"no ledger in {settings.data_folder}: name the engine's data folder with --data")
    ledger = open_ledger(settings.ledger, PresenceEvent | CouponEvent)
    try:
        found = _ask(ledger, settings, book, Shelf(Mall.of(plan)), named, at, day, step)
    finally:
        ledger.close()
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
        at_ms = instant(book.calendar, at, on, now_ms)
    except (NotTime, NotYet, ValueError) as problem:
        raise CannotStart(f"{problem}: write --at 12:10 --day 2026-11-24") from None
    if step is not None and not any(step in journey.index for journey in book.journeys.values()):
        known = sorted({key for journey in book.journeys.values() for key in journey.index})
        raise CannotStart(f"no step {step!r} in the book: there are {', '.join(known)}")
    return explained(ledger, shelf, book, member, at_ms, step, actor="command line", now_ms=now_ms)


def as_text(found: Explanation, language: str) -> str:
    """One paragraph a journey; below it what was asked, + where it held and - where it did not."""
    lines = [f"{found.local}  {found.said[language]}"]
    for answer in found.answers:
        place = f"{answer.journey}/{answer.step}" if answer.step else answer.journey
        lines += ["", f"{place}: {answer.said[language]}"]
        lines += [
            f"  {HELD if line.held else UNMET} {line.asked[language]}: {line.seen[language]}  [{line.path}]"
            for line in answer.lines
        ]
    return "\n".join(lines)
