"""What the mall knows of its members, from a file: language, birthday, the way home, and attributes of its own.

Only members are told about; a file makes nobody a member, as only they can opt in.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import sqlalchemy as sa

from engine import tables as engine_tables
from engine.ledger import Ledger
from rules.lines import Line, NotAFile, NotALine, Report, batches
from rules.sayings import LANGUAGES
from rules.tables import attribute, former

LOGIN = "login"
CLEAR = "-"
MOST_ATTRIBUTES, LONGEST = 50, 64
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,6})?")
_BIRTHDAY = re.compile(r"(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])")


def _birthday(text: str) -> str:
    if not _BIRTHDAY.fullmatch(text):
        raise NotALine(f"'{text}' is no birthday; write month and day like 11-24, without the year")
    return text


def _language(text: str) -> str:
    if text not in LANGUAGES:
        raise NotALine(f"no language '{text}'; write one of {', '.join(LANGUAGES)}")
    return text


def _home_km(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 20_000:
        raise NotALine(f"'{text}' is no way home in km; write a number from 0 to 20000")
    return value


PROFILE: Mapping[str, Callable[[str], str | float]] = {
    "birthday": _birthday,
    "language": _language,
    "home_km": _home_km,
}


class _Told(NamedTuple):
    """What a line tells of a member; None clears what was known."""

    line: int
    login: str
    profile: Mapping[str, str | float | None]
    attributes: Mapping[str, str | float | None]


def check_columns(columns: Sequence[str], name: str) -> None:
    """Raises NotAFile where a column could be no attribute."""
    own = [column for column in columns if column not in (LOGIN, *PROFILE)]
    for column in own:
        if not _NAME.fullmatch(column):
            raise NotAFile(
                f"{name}:1: '{column}' is no name of an attribute; use small letters, digits and _, at most 32"
            )
    if len(own) > MOST_ATTRIBUTES:
        raise NotAFile(f"{name}:1: {len(own)} attributes; at most {MOST_ATTRIBUTES} are kept of a member")
    if len(columns) < 2:
        raise NotAFile(f"{name}:1: nothing is told but {LOGIN}; add a column such as language, home_km or tier")


def import_members(ledger: Ledger, lines: Iterable[Line], at_ms: int, *, dry_run: bool = False) -> Report:
    """Tell members' attributes; the same file again changes nothing. An empty cell tells nothing, "-" clears."""
    report = Report()
    for batch in batches(lines):
        told = list(_read(batch, report))
        with ledger.read() if dry_run else ledger.write() as tx:
            known = _known(tx, [one.login for one in told])
            for one in told:
                _take(ledger, tx, one, known, report, at_ms, dry_run=dry_run)
    return report


def _read(batch: list[Line], report: Report) -> Iterator[_Told]:
    for line in batch:
        try:
            if line.says:
                raise NotALine(line.says)
            yield _told(line)
        except NotALine as problem:
            report.refuse(line.number, str(problem))


def _told(line: Line) -> _Told:
    login = line.fields[LOGIN]
    if not login:
        raise NotALine("no login; name whom the line is about")
    profile: dict[str, str | float | None] = {}
    attributes: dict[str, str | float | None] = {}
    for column, cell in line.fields.items():
        if column == LOGIN or not cell:
            continue
        if column == "language" and cell == CLEAR:
            raise NotALine(f"a language cannot be cleared; write one of {', '.join(LANGUAGES)}")
        if column in PROFILE:
            profile[column] = None if cell == CLEAR else PROFILE[column](cell)
        else:
            attributes[column] = None if cell == CLEAR else _value(column, cell)
    return _Told(line.number, login, profile, attributes)


def _value(column: str, cell: str) -> str | float:
    if len(cell) > LONGEST:
        raise NotALine(f"'{column}' has {len(cell)} characters; at most {LONGEST} are kept")
    # Only what reads the same when written again: 007 is a text.
    return float(cell) if _NUMBER.fullmatch(cell) else cell


class _Known(NamedTuple):
    id: int
    profile: dict[str, str | float | None]
    attributes: dict[str, str | float | None]


def _known(tx: sa.Connection, logins: list[str]) -> dict[str, _Known]:
    m, a = engine_tables.member.c, attribute.c
    people = {
        login: _Known(id, dict(zip(PROFILE, profile, strict=True)), {})
        for id, login, *profile in tx.execute(
            sa.select(m.id, m.login, *(m[name] for name in PROFILE)).where(m.login.in_(logins))
        )
    }
    by_id = {known.id: known for known in people.values()}
    for member, name, value in tx.execute(sa.select(a.member, a.name, a.value).where(a.member.in_(by_id))):
        by_id[member].attributes[name] = value
    return people


def _take(
    ledger: Ledger, tx: sa.Connection, told: _Told, people: dict[str, _Known], report: Report, at_ms: int,
    *, dry_run: bool,
) -> None:  # fmt: skip
    known = people.get(told.login)
    if known is None:
        report.refuse(told.line, f"no member with the login '{told.login}'; members opt in themselves, leave it out")
        return
    profile = {name: value for name, value in told.profile.items() if known.profile[name] != value}
    attributes = {name: value for name, value in told.attributes.items() if known.attributes.get(name) != value}
    if not profile and not attributes:
        report.unchanged += 1
        return
    report.changed += 1
    before = [
        {"member": known.id, "name": name, "is_attribute": is_attribute, "value": of.get(name), "until_ms": at_ms}
        for told_of, of, is_attribute in ((profile, known.profile, False), (attributes, known.attributes, True))
        for name in told_of
    ]
    # Within a file the later line counts, as it would if it came in a file of its own.
    known.profile.update(profile)
    known.attributes.update(attributes)
    if dry_run:
        return
    # Whoever asks why, later, must be told by what was known then.
    tx.execute(sa.insert(former), before)
    if profile:
        tx.execute(sa.update(engine_tables.member).where(engine_tables.member.c.id == known.id).values(profile))
    for name, value in attributes.items():
        mine = {"member": known.id, "name": name}
        if value is None:
            tx.execute(sa.delete(attribute).where(attribute.c.member == known.id, attribute.c.name == name))
        else:
            row = ledger.insert(attribute).values(mine | {"value": value, "told_ms": at_ms})
            new = {"value": row.excluded.value, "told_ms": row.excluded.told_ms}
            tx.execute(row.on_conflict_do_update(index_elements=["member", "name"], set_=new))
