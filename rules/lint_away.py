"""Looks over journeys that begin with `member.away`: between two visits nothing of a visit is so."""

from __future__ import annotations

from collections.abc import Iterator

from rules.absence import AWAY
from rules.book import Book, Journey
from rules.lint_chain import asked_for
from rules.source import WARNING, Node, Source

# Words that look at the visit that goes on.
OF_A_VISIT = ("present", "unseen", "in_zone", "stayed", "visited", "redeemed", "not_redeemed")


def look_at_absences(source: Source, book: Book) -> None:
    for journey in book.journeys.values():
        if journey.away:
            _look_at_words(source, journey)
            _look_at_offers(source, journey)
            _look_at_rush(source, journey)
        _look_at_join(source, book, journey)


def _look_at_words(source: Source, journey: Journey) -> None:
    for node in _asking(source, journey):
        for word in OF_A_VISIT:
            for value in asked_for(node, word):
                value.fault(f"`{word}` looks at a visit, and {AWAY} is between two; take it out, or ask a segment")
        for value in asked_for(node, "spend"):
            within = value.entries()["within"]
            if within.value == "visit":
                within.fault(f"there is no visit while {AWAY}; write within: 30d")
        for value in asked_for(node, "if"):
            if "visit." in str(value.value):
                value.fault(f"there is no visit while {AWAY}, so these are all empty; ask for member", severity=WARNING)


def _asking(source: Source, journey: Journey) -> Iterator[Node]:
    yield source.at(f"{journey.path}/start")
    for step in journey.steps:
        yield source.at(step.path)


def _look_at_offers(source: Source, journey: Journey) -> None:
    for step in journey.steps:
        node = source.at(step.path)
        places = node.entries()["choose"].items() if "choose" in node.entries() else [node]
        for place, arm in zip(places, step.arms, strict=True):
            for tried, rung in zip(place.entries()["try"].items(), arm.rungs, strict=True):
                if rung.offer.visit_bound:
                    tried.fault(
                        f"'{rung.offer.key}' is visit_bound, and would be taken back the moment the member comes in; "
                        "give one that is not"
                    )


def _look_at_rush(source: Source, journey: Journey) -> None:
    first = journey.steps[0]
    if not first.jitter_ms:
        source.at(first.path).fault(
            "all who left on one evening are sent this in one minute; add jitter: 6h", severity=WARNING
        )


def _look_at_join(source: Source, book: Book, journey: Journey) -> None:
    join = journey.join
    if join is not None and (journey.away or book.journeys[join.journey].away):
        source.at(f"{journey.path}/finish").fault(
            f"a journey that begins with {AWAY} never runs in the same visit as another; take this out"
        )
