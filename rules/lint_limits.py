"""Looks over money, caps and ladders: what can never be given, and what will run short."""

from __future__ import annotations

from rules.book import Book, Cap, Journey, Step
from rules.source import WARNING, Node, Source
from rules.times import DAY_MS, length_text


def look_at_limits(source: Source, book: Book) -> None:
    _look_at_costs(source, book)
    for cap in book.limits.member:
        _look_at_cap(source, book, cap)
    for journey in book.journeys.values():
        _look_at_run(source, book, journey)
        for step in journey.steps:
            _look_at_ladders(source, book, step)


def _look_at_costs(source: Source, book: Book) -> None:
    for scope, budget in (("day", book.limits.budget_day), ("visit", book.limits.budget_visit)):
        for offer in book.offers.values():
            if budget is not None and offer.cost > budget:
                source.at(f"offers/{offer.key}/cost").fault(
                    f"{offer.cost} is more than the whole budget of a {scope}, {budget}, so it can never be given; "
                    f"lower it, or raise limits/budget/{scope}"
                )


def _look_at_cap(source: Source, book: Book, cap: Cap) -> None:
    node = source.at(cap.path)
    if cap.most == 0:
        node.fault("none at all: no offer is ever given; take this limit out, or raise it")
        return
    # A window that outlasts a day holds several visits, and is not about one run.
    if cap.is_gap or (cap.per == "time" and cap.window_ms > DAY_MS):
        return
    for journey in book.journeys.values():
        if len(journey.steps) > cap.most:
            per = cap.per if cap.per != "time" else length_text(cap.window_ms)
            node.fault(
                f"'{journey.key}' has {len(journey.steps)} steps, but a member gets at most {cap.most} offers per "
                f"{per}, so its end may never be reached; raise this, or shorten the chain",
                severity=WARNING,
            )
            return


def _look_at_run(source: Source, book: Book, journey: Journey) -> None:
    dearest = sum(max(rung.offer.cost for arm in step.arms for rung in arm.rungs) for step in journey.steps)
    budget = book.limits.budget_visit
    if budget is not None and dearest > budget:
        source.at("limits/budget/visit").fault(
            f"whoever redeems the best offer of every step of '{journey.key}' costs {dearest}, more than this; "
            "the last steps will find no money, unless you raise it",
            severity=WARNING,
        )


def _look_at_ladders(source: Source, book: Book, step: Step) -> None:
    node = source.at(step.path)
    places = node.entries()["choose"].items() if "choose" in node.entries() else [node]
    gaps = [cap for cap in book.limits.member if cap.is_gap]
    for place, arm in zip(places, step.arms, strict=True):
        tries = place.entries()["try"].items()
        waits = place.entries()["wait"].one_or_more()
        for row, rung in enumerate(arm.rungs):
            wait = waits[min(row, len(waits) - 1)]
            if rung.wait_ms > rung.offer.valid_ms:
                valid = length_text(rung.offer.valid_ms)
                wait.fault(
                    f"'{rung.offer.key}' is valid for {valid} only, and nobody holds anything after that; "
                    f"wait {valid} at most, or let it be valid longer",
                    severity=WARNING,
                )
            if row == 0:
                continue
            _look_at_upgrade(book, tries[row], row, arm.rungs[row - 1].offer.cost, rung.offer.cost)
            if rung.offer.key in {earlier.offer.key for earlier in arm.rungs[:row]}:
                tries[row].fault(f"'{rung.offer.key}' was tried above already; a better offer is another one")
            for gap in gaps:
                if arm.rungs[row - 1].wait_ms < gap.window_ms:
                    wait.fault(
                        f"the pause of {length_text(gap.window_ms)} in {gap.path} is longer than this wait, so the "
                        "better offer comes later than written; lengthen the wait, or shorten the pause",
                        severity=WARNING,
                    )
                    break


def _look_at_upgrade(book: Book, node: Node, row: int, cost_before: int, cost: int) -> None:
    for cap in book.limits.upgrades:
        if cap.most < row:
            per = cap.per if cap.per != "time" else length_text(cap.window_ms)
            node.fault(
                f"this is better offer number {row}, but {cap.path} allows {cap.most} per {per}, so it is never given; "
                "raise that, or end the ladder above"
            )
            return
    if cost < cost_before:
        node.fault(
            f"this costs {cost}, less than the {cost_before} of the offer it takes the place of; is it any better?",
            severity=WARNING,
        )
