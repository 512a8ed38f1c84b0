"""What a condition is: a question about a standing, its answer, and how several answers make one.

A condition answers whether it holds, what it saw, when time alone may change that (so that a deadline
can be set instead of polling), and whether it is settled for the rest of the visit. rules.words reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from rules.standing import Standing


class Answer(NamedTuple):
    """What a condition says now. changes_ms: the earliest instant at which time alone may change it."""

    held: bool
    seen: str
    changes_ms: int | None = None
    settled: bool = False


Test = Callable[[Standing, int], Answer]  # standing, now_ms


class Condition(NamedTuple):
    """One row of the book: where it stands, its word, and its test."""

    path: str
    word: str
    test: Test


class Line(NamedTuple):
    """One line of a trace: the path of what was asked, whether it held, and what was seen."""

    path: str
    held: bool
    seen: str


def ask(conditions: Sequence[Condition], standing: Standing, now_ms: int) -> tuple[Answer, list[Line]]:
    """Whether all hold. Every condition is asked, so that the trace names each one that does not."""
    answers = [condition.test(standing, now_ms) for condition in conditions]
    lines = [
        Line(condition.path, answer.held, answer.seen) for condition, answer in zip(conditions, answers, strict=True)
    ]
    return all_of(answers), lines


def all_of(answers: Sequence[Answer]) -> Answer:
    unmet = [answer for answer in answers if not answer.held]
    if unmet:
        # All unmet ones must change before the whole can, but a held one may be lost earlier.
        waits = [answer.changes_ms for answer in unmet]
        gains_ms = max((at_ms for at_ms in waits if at_ms is not None), default=None) if None not in waits else None
        losses = [answer.changes_ms for answer in answers if answer.held]
        return Answer(False, _seen(unmet), earliest([gains_ms, *losses]), any(answer.settled for answer in unmet))
    changes_ms = earliest(answer.changes_ms for answer in answers)
    return Answer(True, _seen(answers), changes_ms, all(answer.settled for answer in answers))


def any_of(answers: Sequence[Answer]) -> Answer:
    held = [answer for answer in answers if answer.held]
    changes_ms = earliest(answer.changes_ms for answer in answers)
    if held:
        return Answer(True, _seen(held), changes_ms, any(answer.settled for answer in held))
    return Answer(False, _seen(answers), changes_ms, all(answer.settled for answer in answers))


def none_of(answers: Sequence[Answer]) -> Answer:
    some = any_of(answers)
    return some._replace(held=not some.held)


def _seen(answers: Sequence[Answer]) -> str:
    return "; ".join(answer.seen for answer in answers)


def earliest(instants: Iterable[int | None]) -> int | None:
    return min((at_ms for at_ms in instants if at_ms is not None), default=None)
