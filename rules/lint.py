"""Looks over a book that can be read for what cannot work, or is hardly meant. Pure.

An error is something that can never do what it says, and keeps a version from being published; a warning may be
meant. Each names its place and the way out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from rules.book import Book, Journey, Mall, Step
from rules.lint_away import look_at_absences
from rules.lint_chain import look_at_chains
from rules.lint_limits import look_at_limits
from rules.reading import book_of
from rules.source import ERROR, WARNING, Fault, Node, Source, SourceError


class Checked(NamedTuple):
    """A text looked over. book is None where it cannot even be read."""

    book: Book | None
    faults: tuple[Fault, ...]

    @property
    def errors(self) -> list[Fault]:
        return [fault for fault in self.faults if fault.severity == ERROR]

    @property
    def warnings(self) -> list[Fault]:
        return [fault for fault in self.faults if fault.severity == WARNING]


def check(text: str, mall: Mall, *, name: str = "book.yaml") -> Checked:
    """Everything that can be said about *text* without running it."""
    try:
        source = Source(text, name)
        book = book_of(source, mall)
    except SourceError as problem:
        return Checked(None, problem.faults)
    look_at_chains(source, book)
    look_at_absences(source, book)
    look_at_limits(source, book)
    for key, node in _offers_of_quiet_shops(source, book, mall):
        node.fault(f"'{key}' trades where the plan says no_marketing, so nothing may be given for it; take it out")
    _look_for_unused(source, book)
    return Checked(book, tuple(sorted(dict.fromkeys(source.faults))))


def _offers_of_quiet_shops(source: Source, book: Book, mall: Mall) -> Iterator[tuple[str, Node]]:
    for offer in book.offers.values():
        for row, shop in enumerate(offer.shops):
            if shop in mall.quiet_shops:
                yield shop, source.at(f"offers/{offer.key}/shops/{row}")


def _look_for_unused(source: Source, book: Book) -> None:
    given = {rung.offer.key for _, step in steps_of(book) for arm in step.arms for rung in arm.rungs}
    for key in book.offers:
        if key not in given:
            source.at(f"offers/{key}").fault(
                f"no step gives '{key}'; add it to a try, or take it out", severity=WARNING
            )
    asked = set(_segments_asked(source.at("journeys")))
    segments = source.root.entries().get("segments")
    for key, node in (segments.entries() if segments else {}).items():
        if key not in asked:
            node.fault(f"nothing asks for the segment '{key}'; use it in a when, or take it out", severity=WARNING)


def _segments_asked(node: Node) -> Iterator[str]:
    if isinstance(node.value, dict):
        for key, below in node.entries().items():
            if key == "segment":
                yield str(below.value)
            yield from _segments_asked(below)
    elif isinstance(node.value, list):
        for below in node.items():
            yield from _segments_asked(below)


def steps_of(book: Book) -> Iterator[tuple[Journey, Step]]:
    for journey in book.journeys.values():
        for step in journey.steps:
            yield journey, step
