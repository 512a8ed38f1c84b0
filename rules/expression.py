"""`if`: an expression in CEL, the way out where no row of the vocabulary says it.

It is compiled once, when the book is read; names it may use are in VARIABLES. An expression that fails while it is
asked is a "no" that says why, never the end of the process.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import cel

from engine.events import dwell_class
from engine.plainly import nearest
from rules.habits import days_away, visits_lately
from rules.shape import DAYS
from rules.source import Node, Spoilt
from rules.standing import REDEEMED, Standing
from rules.times import MINUTE_MS, Calendar
from rules.when import Answer, Test


class Variable(NamedTuple):
    """One name an expression may use: what it is, and how it is found (standing, now_ms, local time)."""

    says: str
    read: Callable[[Standing, int, datetime], object]
    moves: bool = False  # time alone changes it


def _minutes(standing: Standing, now_ms: int) -> int:
    return (now_ms - standing.visit.started_ms) // MINUTE_MS if standing.visit else 0


def _silent(standing: Standing, now_ms: int) -> int:
    silent_ms = standing.visit.silent_ms if standing.visit else None
    return 0 if silent_ms is None else (now_ms - silent_ms) // MINUTE_MS


def _dwell(standing: Standing, now_ms: int) -> dict[str, str]:
    visit = standing.visit
    return {} if visit is None else {z: dwell_class(visit.stayed_ms(frozenset({z}), now_ms)) for z in visit.dwelt_ms}


def _redeemed(standing: Standing) -> list[str]:
    key = standing.visit.key if standing.visit else None
    return [exposure.offer for exposure in standing.exposures if exposure.outcome == REDEEMED and exposure.visit == key]


def _spend(standing: Standing) -> int:
    since_ms = standing.visit.started_ms if standing.visit else 2**63
    return sum(purchase.amount_minor for purchase in standing.purchases if purchase.at_ms >= since_ms)


VARIABLES: Mapping[str, Mapping[str, Variable]] = {
    "member": {
        "home_km": Variable("way home in km, a double; absent if not told", lambda s, _, __: s.profile.home_km),
        "language": Variable("language of the member, such as en", lambda s, _, __: s.profile.language),
        "birthday": Variable("MM-DD; absent if not told", lambda s, _, __: s.profile.birthday),
        "attributes": Variable("imported attributes by name", lambda s, _, __: dict(s.profile.attributes)),
        "visits": Variable("visits remembered, this one included", lambda s, _, __: len(s.memory.visits_ms)),
        "visits_30d": Variable("visits within 30 days, this one included", lambda s, now, _: visits_lately(s, now)),
        "days_away": Variable("days since the visit before; absent if none", lambda s, now, _: days_away(s, now)),
    },
    "visit": {
        "minutes": Variable("minutes since the visit began", lambda s, now, _: _minutes(s, now), moves=True),
        "silent": Variable("minutes of silence, 0 while heard", lambda s, now, _: _silent(s, now), moves=True),
        "zones": Variable("zones the member is in now", lambda s, _, __: sorted(s.visit.inside) if s.visit else []),
        "visited": Variable("zones of this visit so far", lambda s, _, __: sorted(s.visit.dwelt_ms) if s.visit else []),
        "dwell": Variable("zone -> pass, stop, visit or engaged", lambda s, now, _: _dwell(s, now), moves=True),
        "redeemed": Variable("offers redeemed in this visit", lambda s, _, __: _redeemed(s)),
        "spend": Variable("money spent in this visit, in minor units", lambda s, _, __: _spend(s)),
    },
    "now": {
        "hour": Variable("local hour, 0 to 23", lambda _, __, local: local.hour, moves=True),
        "minute": Variable("minute of the hour", lambda _, __, local: local.minute, moves=True),
        "day": Variable("mon, tue, wed, thu, fri, sat or sun", lambda _, __, local: DAYS[local.weekday()], moves=True),
    },
}
# What every expression is tried with when the book is read: all that can be told is told.
SAMPLE: Mapping[str, Mapping[str, object]] = {
    "member": {
        "home_km": 12.5,
        "language": "en",
        "birthday": "11-21",
        "attributes": {},
        "visits": 3,
        "visits_30d": 2,
        "days_away": 9,
    },
    "visit": {
        "minutes": 90,
        "silent": 0,
        "zones": ["z"],
        "visited": ["z"],
        "dwell": {"z": "engaged"},
        "redeemed": ["o"],
        "spend": 4000,
    },
    "now": {"hour": 12, "minute": 10, "day": "sat"},
}
MOST_CHARACTERS = 500

_TEXT = re.compile(r"'[^']*'|\"[^\"]*\"")
_DOTTED = re.compile(r"(?<![\w.])(member|visit|now)\s*\.\s*(\w+)")
_PLACE = re.compile(r"<input>:(\d+):(\d+): (?:Syntax error: )?(.*)")
# What CEL raises: a missing key, a type that does not fit, a division by nothing, a function nobody knows.
FAILS = (KeyError, IndexError, TypeError, ValueError, RuntimeError, ArithmeticError)


def read_expression(node: Node, calendar: Calendar) -> Test:
    """A test of the expression in *node*; whatever can be known to be wrong is a fault at its own column."""
    text = node.text()
    if len(text) > MOST_CHARACTERS:
        raise node.fault(f"an expression of {len(text)} characters is too long to be read; say it with rows of when")
    single = re.search(r"(?<![=!<>])=(?!=)", _blank(text))
    if single:
        raise node.fault_within(single.start(), "'=' compares nothing; write '=='")
    program = _compile(node, text)
    _check_names(node, text, program)
    _try_out(node, program)
    used = [
        (group, name, variable)
        for group, members in VARIABLES.items()
        for name, variable in members.items()
        if re.search(rf"(?<![\w.]){group}\b", _blank(text)) and re.search(rf"\b{name}\b", text)
    ]
    moves = any(variable.moves for _, _, variable in used)
    groups = {group: [(name, variable.read) for of, name, variable in used if of == group] for group in VARIABLES}

    def test(standing: Standing, now_ms: int) -> Answer:
        local = calendar.local(now_ms)
        facts: dict[str, Any] = {
            group: {name: value for name, read in names if (value := read(standing, now_ms, local)) is not None}
            for group, names in groups.items()
        }
        # Seconds do not count in an expression, so the next minute is the earliest that time alone changes it.
        changes_ms = now_ms - now_ms % MINUTE_MS + MINUTE_MS if moves else None
        try:
            held = program.execute(facts)
        except FAILS as problem:
            return Answer(False, f"failed: {_short(problem)}", changes_ms)
        if not isinstance(held, bool):
            return Answer(False, f"failed: gave {held}, not true or false", changes_ms)
        seen = ", ".join(f"{group}.{name}={facts[group].get(name, 'unknown')}" for group, name, _ in used)
        return Answer(held, seen or "always so", changes_ms)

    return test


def _compile(node: Node, text: str) -> cel.Program:
    try:
        return cel.compile(text)
    except ValueError as problem:
        found = _PLACE.search(str(problem))
        if found is None:
            raise node.fault(f"this is no expression: {_short(problem)}") from None
        line, column, says = int(found[1]), int(found[2]), found[3].split(" expecting ")[0]
        offset = column - 1 if line == 1 else 0
        if "<EOF>" in says or offset >= len(text):
            says = "it ends too early; a part or a closing bracket is missing"
        raise node.fault_within(offset, f"this is no expression: {says}") from None


def _check_names(node: Node, text: str, program: cel.Program) -> None:
    bare = _blank(text)
    faults: list[Spoilt] = []
    for found in _DOTTED.finditer(bare):
        if found[2] not in VARIABLES[found[1]]:
            known = VARIABLES[found[1]]
            says = f"{found[1]} has no '{found[2]}'; {nearest(found[2], known)}"
            faults.append(node.fault_within(found.start(2), says))
    bound = set(re.findall(r"\.(?:all|exists|exists_one|filter|map)\s*\(\s*(\w+)\s*,", bare))
    for name in program.variables():
        if name not in VARIABLES and name not in bound:
            place = re.search(rf"(?<![\w.]){re.escape(name)}\b", bare)
            says = f"unknown name '{name}'; {_meant(name)}"
            faults.append(node.fault_within(place.start() if place else 0, says))
    if faults:
        raise faults[0]


def _meant(name: str) -> str:
    owners = [f"{group}.{name}" for group, members in VARIABLES.items() if name in members]
    return f"did you mean {owners[0]}?" if owners else nearest(name, VARIABLES)


def _try_out(node: Node, program: cel.Program) -> None:
    """Run it once on a made-up member: types that never fit and functions nobody knows show at once."""
    try:
        answer = program.execute({group: dict(members) for group, members in SAMPLE.items()})
    except (KeyError, IndexError, ArithmeticError):
        return  # depends on what a member has told: that is no mistake of the book
    except FAILS as problem:
        raise node.fault(f"this expression cannot be worked out: {_short(problem)}") from None
    if not isinstance(answer, bool):
        raise node.fault(f"an expression must say yes or no, this one gives {answer!r}; compare it with something")


def _blank(text: str) -> str:
    """With texts inside blanked out, so that no name is found in them."""
    return _TEXT.sub(lambda found: " " * len(found[0]), text)


def _short(problem: BaseException) -> str:
    if isinstance(problem, KeyError):
        return f"{problem.args[0]} is not known"
    says = str(problem)
    if says.startswith("No such overload"):
        return "the types do not go together"
    if says.startswith("Undefined variable or function: "):
        return f"nobody knows {says.split(': ')[1].split('. ')[0]}"
    return says.split(". ")[0].rstrip(".")
