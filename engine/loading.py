"""What an engine or a command loads: the survey, the rule book, the ledger."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

from engine import survey_file
from engine.events import PresenceEvent
from engine.keys import Role
from engine.ledger import Ledger, open_ledger
from engine.plainly import CannotStart, nearest
from engine.plan import Plan
from engine.settings import Settings
from engine.start import book_text, read_plan
from engine.surveyed import Walked
from rules.book import Book, Mall
from rules.events import CouponEvent
from rules.lines import Line, NotAFile, read_csv
from rules.past import member_of
from rules.reading import parse_book
from rules.shelf import Shelf
from rules.versions import Versions

# Who an operator's key is for: a name that may stand in a key, and beside what they did.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,47}")


def read_survey(settings: Settings, plan: Plan) -> Walked | None:
    """The survey that the settings name, None where they name none. Raises CannotStart."""
    path = settings.survey_path
    if path is None:
        return None
    try:
        return survey_file.parse(survey_lines(path), plan, path.name)
    except OSError as problem:
        raise CannotStart(
            f"no survey at {path} ({problem.strerror}): name another one, or do not set SOJOURN_SURVEY_PATH"
        ) from None
    except survey_file.NotASurvey as problem:
        raise CannotStart(str(problem)) from None


def survey_lines(path: Path) -> list[Line]:
    """Raises CannotStart, and OSError if it cannot be opened."""
    try:
        return list(read_csv(path, required=survey_file.COLUMNS)[1])
    except NotAFile as problem:
        raise CannotStart(str(problem)) from None


def read_the_book(settings: Settings, plan: Plan) -> Book:
    return parse_book(book_text(settings.book_path), Mall.of(plan), name=settings.book_path.name)


def the_ledger(settings: Settings) -> Ledger:
    """The ledger that an engine keeps, for one command; a mistyped folder shall not become a mall of its own.

    Raises CannotStart where there is none, or NoLedger.
    """
    if not has_ledger(settings):
        raise CannotStart(f"no ledger in {settings.data_folder}: name the engine's data folder with --data")
    return open_ledger(settings.ledger, PresenceEvent | CouponEvent)


def has_ledger(settings: Settings) -> bool:
    return bool(settings.ledger_url) or (settings.data_folder / "ledger.sqlite").exists()


def book_in_force(settings: Settings, plan: Plan, ledger: Ledger) -> Book:
    """The book that is followed; the one of the file where none was published that can be read. Raises SourceError."""
    mall = Mall.of(plan)
    with ledger.read() as tx:
        force = Versions(ledger, mall, two_people=False).in_force(tx)
        followed = Shelf(mall).readable(tx, force.version) if force else None
    return followed or read_the_book(settings, plan)


def subject_of(settings: Settings, role: Role, named: str) -> str:
    """Whom an access key of *role* is for. Raises CannotStart where there is nobody of that name, or NoLedger."""
    if role == "member":
        with closing(the_ledger(settings)) as ledger, ledger.read() as tx:
            member = member_of(tx, named)
        if member is None:
            raise CannotStart(f"no member {named!r}: name one by id or login")
        return str(member)
    if role == "operator":
        if not _NAME.fullmatch(named):
            raise CannotStart(f"{named!r} is no name for a key: use letters, digits and . _ - only, at most 48")
        return named
    return the_shop(settings, named)


def the_shop(settings: Settings, named: str) -> str:
    """Raises CannotStart where the plan has no such shop."""
    known = read_plan(settings.zones_path).shops()
    if named not in known:
        raise CannotStart(f"no shop {named!r} on {settings.zones_path}: {nearest(named, known)}")
    return named
