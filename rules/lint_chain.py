"""Looks over journeys and their steps: windows that never open, steps nobody reaches, steps that hold everyone up."""

from __future__ import annotations

from collections.abc import Iterator

from rules.book import Book, Journey, Step
from rules.shape import DAY_GROUPS, DAYS
from rules.source import ERROR, WARNING, Node, Source
from rules.times import LONGEST_VISIT_MS, MINUTE_MS, Hours, length_text

DAY_MINUTES = 1440
ALL_DAY = (1 << DAY_MINUTES) - 1
# Words whose "no" holds for the rest of the visit, so that the step is skipped instead of waited for.
SETTLED_WORDS = frozenset({"time", "days", "birthday", "segment", "visits"})
Rows = list[tuple[str, Node]]  # word, its value


def look_at_chains(source: Source, book: Book) -> None:
    for journey in book.journeys.values():
        rows = [_rows(source, step) for step in journey.steps]
        start = source.at(f"{journey.path}/start")
        _look_at_window(_under(start), start, book.limits.quiet if len(journey.steps) == 1 else None)
        for step, asked in zip(journey.steps, rows, strict=True):
            _look_at_step(source, step, asked, book)
        _look_at_first(source, journey, rows[0])
        _look_at_reach(source, book, journey, rows)
        if not journey.away:  # an absence sees tomorrow's windows too
            _look_at_order(source, journey, rows)
        _look_at_patience(source, journey, rows)
        _look_at_redeemed(source, book, journey)
        _look_at_birthday(journey, start)
    _look_at_priorities(source, book)


def _look_at_step(source: Source, step: Step, asked: Rows, book: Book) -> None:
    node = source.at(step.path)
    _look_at_window(asked, node, book.limits.quiet)
    for word in ("present", "unseen", "stayed"):
        for value in asked_for(node, word):
            least = value.entries()["for"] if word == "stayed" else value
            if least.length_ms() > LONGEST_VISIT_MS:
                longest = length_text(LONGEST_VISIT_MS)
                least.fault(f"'{least.value}' is longer than any visit lasts; write {longest} or less")
    words = {word for word, _ in asked}
    if {"present", "unseen"} <= words:
        dict(asked)["unseen"].fault("nobody is present and unseen at once; keep one of the two")
    minutes = _open_minutes(asked)
    if step.jitter_ms and minutes and step.jitter_ms >= minutes.bit_count() * MINUTE_MS:
        node.entries()["jitter"].fault(
            f"the delay may be longer than the {length_text(minutes.bit_count() * MINUTE_MS)} that the step is open, "
            "and then nothing is given; shorten it",
            severity=WARNING,
        )


def _look_at_window(asked: Rows, node: Node, quiet: Hours | None) -> None:
    """Rows that all must hold, but never can at once."""
    minutes, days = ALL_DAY, set(DAYS)
    for word, value in asked:
        if word == "time":
            before, minutes = minutes, minutes & _minutes(value)
            if before and not minutes:
                value.fault("this window never opens while those above it are open; let them overlap")
                return
        elif word == "days":
            wanted = set().union(*(DAY_GROUPS.get(str(one.value), {str(one.value)}) for one in value.one_or_more()))
            before_days, days = days, days & wanted
            if before_days and not days:
                value.fault("no day is in all rows of days; join them into one row")
                return
    times = [value for word, value in asked if word == "time"]
    if quiet is not None and times and not minutes & ~_mask(quiet):
        times[0].fault(
            f"this window lies wholly in the quiet hours {quiet}, when nothing is sent; move it, or limits/quiet"
        )


def _look_at_first(source: Source, journey: Journey, asked: Rows) -> None:
    """The first step's turn comes with the visit, so its patience and `present` run from the same instant."""
    step = journey.steps[0]
    if step.skip_after_ms is None or journey.start.event != "visit.started":
        return
    for word, value in asked:
        if word == "present" and value.length_ms() > step.skip_after_ms:
            source.at(f"{step.path}/skip_after").fault(
                f"this patience is over before present: {value.value} can hold; make it longer than that"
            )


def _look_at_reach(source: Source, book: Book, journey: Journey, rows: list[Rows]) -> None:
    reached = {journey.steps[0].key}
    reached |= {each.join.step for each in book.journeys.values() if each.join and each.join.journey == journey.key}
    for step, asked in zip(journey.steps, rows, strict=True):
        if step.key not in reached:
            source.at(step.path).fault(
                f"nobody reaches '{step.key}': every step above goes on further down; "
                "name it in a redeemed or exhausted, or take it out"
            )
            continue
        may_skip = step.skip_after_ms is not None or any(word in SETTLED_WORDS for word, _ in asked)
        following = journey.after(step.key)
        for target in (step.redeemed or following, step.exhausted or following, following if may_skip else None):
            if target is not None:
                reached.add(target)


def _look_at_order(source: Source, journey: Journey, rows: list[Rows]) -> None:
    """A step that is over before one above it opens, for whose window everybody waits first."""
    opens, above = -1, ""
    for step, asked in zip(journey.steps, rows, strict=True):
        windows = [hours for word, value in asked if word == "time" for hours in _hours(value)]
        if not windows:
            continue
        if any(hours.over_midnight for hours in windows):
            return
        closes = max(hours.until_minute for hours in windows)
        if closes <= opens:
            source.at(step.path).fault(
                f"'{step.key}' is over before '{above}' above it opens, so nobody gets it; swap the two"
            )
            continue
        passes = step.skip_after_ms is not None or {word for word, _ in asked} & (SETTLED_WORDS - {"time"})
        first = min(hours.from_minute for hours in windows)
        if not passes and first > opens:
            opens, above = first, step.key


def _look_at_patience(source: Source, journey: Journey, rows: list[Rows]) -> None:
    for step, asked in zip(journey.steps[:-1], rows, strict=False):
        words = [word for word, _ in asked if word not in ("present", *SETTLED_WORDS)]
        if words and step.skip_after_ms is None and not {word for word, _ in asked} & {"time"}:
            source.at(step.path).fault(
                f"this step may wait for `{words[0]}` as long as the visit lasts, and everything below waits with it; "
                "add skip_after: 30m, or a time window",
                severity=WARNING,
            )
    last = journey.steps[-1]
    if last.optional:
        source.at(f"{last.path}/optional").fault(
            "the last step has nothing to give way to; leave optional out", severity=WARNING
        )


def _look_at_redeemed(source: Source, book: Book, journey: Journey) -> None:
    elsewhere = {
        rung.offer.key
        for other in book.journeys.values()
        if other.key != journey.key
        for step in other.steps
        for arm in step.arms
        for rung in arm.rungs
    }
    given = set(elsewhere)
    for step in journey.steps:
        must_hold = {value.path for _, value in _rows(source, step)}
        for value in asked_for(source.at(step.path), "redeemed"):
            # One row may name several offers, of which one is enough.
            names = {str(one.value) for one in value.one_or_more()}
            if not names & given:
                # Within any and none, another row may still decide.
                value.fault(
                    f"nothing above gives {' or '.join(sorted(names))}, so this never holds; name another offer",
                    severity=ERROR if value.path in must_hold else WARNING,
                )
        given |= {rung.offer.key for arm in step.arms for rung in arm.rungs}


def _look_at_birthday(journey: Journey, start: Node) -> None:
    for word, value in _under(start):
        if word == "birthday" and journey.start.once_ms is None:
            value.fault(
                "this starts again in every visit around the birthday; add once: 300d to the start", severity=WARNING
            )


def _look_at_priorities(source: Source, book: Book) -> None:
    first: dict[tuple[int, str], str] = {}
    for journey in book.journeys.values():
        rival = first.setdefault((journey.priority, journey.start.event), journey.key)
        if rival != journey.key:
            source.at(f"{journey.path}/priority").fault(
                f"'{rival}' starts on the same event with the same priority, and goes first by its name alone; "
                "give them different priorities",
                severity=WARNING,
            )


def _rows(source: Source, step: Step) -> Rows:
    return _under(source.at(step.path))


def _under(node: Node) -> Rows:
    """The rows of a `when` that all must hold, those of `all` among them."""
    when = node.entries().get("when")
    return list(_flat(when)) if when else []


def _flat(rows: Node) -> Iterator[tuple[str, Node]]:
    for row in rows.items():
        ((word, value),) = row.entries().items()
        if word == "all":
            yield from _flat(value)
        else:
            yield word, value


def asked_for(node: Node, word: str) -> Iterator[Node]:
    """Every row of *word* in the conditions of a step, however deep, but not its own key `redeemed`."""
    if isinstance(node.value, list):
        for item in node.items():
            entries = item.entries() if isinstance(item.value, dict) else {}
            for key, value in entries.items():
                if key == word and len(entries) == 1:
                    yield value
                elif isinstance(value.value, list):
                    yield from asked_for(value, word)
    elif isinstance(node.value, dict):
        for key, value in node.entries().items():
            if key in ("when", "choose", "upgrade_if"):
                yield from asked_for(value, word)


def _hours(value: Node) -> list[Hours]:
    return [Hours.read(str(one.value)) for one in value.one_or_more()]


def _minutes(value: Node) -> int:
    minutes = 0
    for hours in _hours(value):
        minutes |= _mask(hours)
    return minutes


def _open_minutes(asked: Rows) -> int:
    minutes = ALL_DAY
    for word, value in asked:
        if word == "time":
            minutes &= _minutes(value)
    return minutes


def _mask(hours: Hours) -> int:
    """The minutes of a day as bits."""
    until = (1 << hours.until_minute) - 1
    since = (1 << hours.from_minute) - 1
    return (ALL_DAY & ~since) | until if hours.over_midnight else until & ~since
