"""What every program needs before it starts, and what it says when it cannot."""

from __future__ import annotations

import os
import re
import socket
import tomllib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from engine import covering, survey_file, zones_file
from engine.events import PresenceEvent
from engine.keys import Role
from engine.ledger import Ledger, open_ledger
from engine.plan import Plan
from engine.radio import Radio
from engine.settings import NOT_SETTINGS, SETTINGS_FILE, Settings
from engine.surveyed import Walked
from rules.book import Book, Mall
from rules.events import CouponEvent
from rules.lines import Line, NotAFile, read_csv
from rules.past import member_of
from rules.reading import parse_book
from rules.shelf import Shelf
from rules.source import nearest
from rules.versions import Versions

# Who an operator's key is for: a name that may stand in a key, and beside what they did.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,47}")


class CannotStart(Exception):
    """Something that whoever started us can put right; the message is one line that says how."""


def settings(**given: Any) -> Settings:
    """The settings, with what the command line gave. Raises CannotStart."""
    named = os.environ.get(SETTINGS_FILE)
    if named is not None and not Path(named).is_file():
        raise CannotStart(f"no settings at {named}: {SETTINGS_FILE} must name a file, or not be set")
    known = {*NOT_SETTINGS, *(f"SOJOURN_{name.upper()}" for name in Settings.model_fields)}
    for name in sorted(set(os.environ) - known):
        if name.startswith("SOJOURN_"):
            raise CannotStart(f"{name} is no setting: {nearest(name, known)}")
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise CannotStart(f"cannot read {named or 'sojourn.toml'}: {problem}") from None
    except ValidationError as problem:
        fault = problem.errors()[0]
        name = "SOJOURN_" + "_".join(map(str, fault["loc"])).upper()
        raise CannotStart(f"{name}: {fault['msg']}; see the settings in README.md") from None


def read_plan(path: Path) -> Plan:
    try:
        return zones_file.read(path)
    except OSError as problem:
        raise CannotStart(
            f"no map at {path} ({problem.strerror}): start in the project's folder, or set SOJOURN_ZONES_PATH"
        ) from None


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


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """The socket to answer on. Raises CannotStart where it is taken or not ours."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind((host, port))
        except OSError as problem:
            raise CannotStart(
                f"cannot serve on {host} port {port} ({problem.strerror}): stop what uses it, or choose another --port"
            ) from None
        yield taken


def data_folder(settings: Settings) -> Path:
    folder = settings.data_folder
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as problem:
        raise CannotStart(
            f"cannot write to the data folder {folder} ({problem.strerror}): make it writable, or name another one"
        ) from None
    return folder


def book_text(path: Path) -> str:
    """A rule book as it is written. Raises CannotStart."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as problem:
        raise CannotStart(
            f"no rule book at {path} ({problem.strerror}): name another one, or set SOJOURN_BOOK_PATH"
        ) from None
    except UnicodeDecodeError as problem:
        raise CannotStart(f"{path} is no text in UTF-8 (byte {problem.start}): save it again as UTF-8") from None


def read_the_book(settings: Settings, plan: Plan) -> Book:
    return parse_book(book_text(settings.book_path), Mall.of(plan), name=settings.book_path.name)


def the_ledger(settings: Settings) -> Ledger:
    """The ledger that an engine keeps, for one command; a mistyped folder shall not become a mall of its own.

    Raises CannotStart where there is none, or NoLedger.
    """
    if not _has_ledger(settings):
        raise CannotStart(f"no ledger in {settings.data_folder}: name the engine's data folder with --data")
    return open_ledger(settings.ledger, PresenceEvent | CouponEvent)


def _has_ledger(settings: Settings) -> bool:
    return bool(settings.ledger_url) or (settings.data_folder / "ledger.sqlite").exists()


def book_in_force(settings: Settings, plan: Plan, ledger: Ledger) -> Book:
    """The book that is followed; the one of the file where none was published that can be read. Raises SourceError."""
    mall = Mall.of(plan)
    with ledger.read() as tx:
        force = Versions(ledger, mall, two_people=False).in_force(tx)
        followed = Shelf(mall).readable(tx, force.version) if force else None
    return followed or read_the_book(settings, plan)


def read_radio(settings: Settings, plan: Plan) -> Radio:
    """As the engine of these settings fitted it; the usual one where no engine ran yet. Raises NoLedger."""
    if not _has_ledger(settings):
        return Radio.of(plan)
    ledger = open_ledger(settings.ledger, object)
    try:
        return covering.kept_radio(plan, ledger)
    finally:
        ledger.close()


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
