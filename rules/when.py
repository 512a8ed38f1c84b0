"""What a condition is: a question about a standing, its answer, and how several answers make one.

A condition answers whether it holds, what it saw, when time alone may change that (so that a deadline
can be set instead of polling), and whether it is settled for the rest of the visit. rules.words reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from rules.standing import Standing

# Answers and lines are what deciding makes most of; a Struct is made in a quarter of a NamedTuple's time.


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What a condition says now. changes_ms: the earliest instant at which time alone may change it.

    short_of  where it is room that is missing: of what
    """

    held: bool
    seen: str
    changes_ms: int | None = None
    settled: bool = False
    short_of: str = ""


Test = Callable[[Standing, int], Answer]  # standing, now_ms


class Condition(NamedTuple):
    """One row of the book: where it stands, its word, and its test."""

    path: str
    word: str
    test: Test


class Line(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One line of a trace: the path of what was asked, whether it held, and what was seen."""

    path: str
    held: bool
    seen: str


UNCONDITIONAL = Answer(True, "", settled=True)


def ask(conditions: Sequence[Condition], standing: Standing, now_ms: int) -> tuple[Answer, list[Line]]:
    """Whether all hold. Every condition is asked, so that the trace names each one that does not."""
    if not conditions:
        return UNCONDITIONAL, []
    answers, lines = [], []
    for path, _, test in conditions:
        answer = test(standing, now_ms)
        answers.append(answer)
        lines.append(Line(path, answer.held, answer.seen))
    return all_of(answers), lines


def all_of(answers: Sequence[Answer]) -> Answer:
    if len(answers) == 1:
        return answers[0]
    unmet = [answer for answer in answers if not answer.held]
    if not unmet:
        return Answer(True, _seen(answers), _first_change(answers), all([answer.settled for answer in answers]))
    # All unmet ones must change before the whole can, but a held one may be lost earlier.
    gains_ms: int | None = 0
    for answer in unmet:
        if answer.changes_ms is None:
            gains_ms = None
            break
        gains_ms = max(gains_ms or 0, answer.changes_ms)
    losses_ms = _first_change([answer for answer in answers if answer.held])
    changes_ms = losses_ms if gains_ms is None or (losses_ms is not None and losses_ms < gains_ms) else gains_ms
    return Answer(False, _seen(unmet), changes_ms, any([answer.settled for answer in unmet]), _short_of(unmet))


def any_of(answers: Sequence[Answer]) -> Answer:
    held = [answer for answer in answers if answer.held]
    changes_ms = _first_change(answers)
    if held:
        return Answer(True, _seen(held), changes_ms, any([answer.settled for answer in held]))
    settled = all([answer.settled for answer in answers])
    return Answer(False, _seen(answers), changes_ms, settled, _short_of(answers))


def none_of(answers: Sequence[Answer]) -> Answer:
    some = any_of(answers)
    return msgspec.structs.replace(some, held=not some.held)


def _seen(answers: Sequence[Answer]) -> str:
    return answers[0].seen if len(answers) == 1 else "; ".join([answer.seen for answer in answers])


def _short_of(answers: Sequence[Answer]) -> str:
    for answer in answers:
        if answer.short_of:
            return answer.short_of
    return ""


def _first_change(answers: Sequence[Answer]) -> int | None:
    first: int | None = None
    for answer in answers:
        if answer.changes_ms is not None and (first is None or answer.changes_ms < first):
            first = answer.changes_ms
    return first


def earliest(*instants: int | None) -> int | None:
    first: int | None = None
    for at_ms in instants:
        if at_ms is not None and (first is None or at_ms < first):
            first = at_ms
    return first
