"""The vocabulary of `when`: reads each row of the book into a condition, a plain closure over a standing."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from types import MappingProxyType
from typing import NamedTuple

from engine.plainly import nearest
from rules.expression import read_expression
from rules.habits import Categories, Counter, read_spend, read_visits
from rules.segments import Segment
from rules.shape import (
    CAPACITY,
    COUNTED,
    DAY_GROUPS,
    DAYS,
    HOURS,
    LENGTH,
    ROWS,
    SPENT,
    STAYED,
    TEXT,
    Schema,
    one_of,
    one_or_more,
    ref,
)
from rules.source import Node
from rules.standing import Standing
from rules.times import DAY_MS, LONGEST_VISIT_MS, Calendar, length_text
from rules.when import Answer, Condition, Test, all_of, any_of, earliest, none_of

NO_ZONES: frozenset[str] = frozenset()


class Terms(NamedTuple):
    """What the words of a condition may refer to.

    zones       a zone's key, kind or tag -> the zones meant
    categories  a zone's kind or tag -> the shops that trade there
    limited     the offers that have a capacity
    """

    calendar: Calendar
    zones: Mapping[str, frozenset[str]]
    no_marketing: frozenset[str]
    offers: frozenset[str]
    segments: Mapping[str, Segment]
    shops: frozenset[str] = frozenset()
    categories: Categories = MappingProxyType({})
    limited: frozenset[str] = frozenset()


def read_conditions(node: Node, terms: Terms) -> tuple[Condition, ...]:
    """The rows of a `when`; broken rows are noted as faults and left out."""
    return node.each(lambda row: read_condition(row, terms))


def read_condition(row: Node, terms: Terms) -> Condition:
    """One row, which holds one word of the vocabulary and its value."""
    entries = row.entries()
    if len(entries) != 1:
        raise row.fault("a row holds one condition; start a new row with '-' for each")
    word, value = next(iter(entries.items()))
    if word not in VOCABULARY:
        raise value.fault(f"unknown condition '{word}'; {nearest(word, VOCABULARY)}")
    return Condition(row.path, word, VOCABULARY[word].read(value, terms))


def _zones(node: Node, terms: Terms) -> frozenset[str]:
    def one(name_node: Node) -> frozenset[str]:
        name = name_node.text()
        if name not in terms.zones:
            raise name_node.fault(f"no zone, kind or tag '{name}' on the plan; {nearest(name, terms.zones)}")
        forbidden = terms.zones[name] & terms.no_marketing
        if forbidden:
            named = ", ".join(sorted(forbidden))
            raise name_node.fault(f"no rule may rest on {named}, marked no_marketing on the plan; name other zones")
        return terms.zones[name]

    return NO_ZONES.union(*node.each_or_one(one))


def _offers(node: Node, terms: Terms) -> frozenset[str]:
    return frozenset(node.each_or_one(lambda one: one.one_of(terms.offers, "offer")))


# -- the words ------------------------------------------------------------------------------------


def _time(node: Node, terms: Terms) -> Test:
    windows = node.each_or_one(Node.hours)
    written = ", ".join(map(str, windows))
    calendar = terms.calendar

    def test(standing: Standing, now_ms: int) -> Answer:
        # A visit ends before a window opens tomorrow; an absence does not.
        within_ms = LONGEST_VISIT_MS if standing.visit else 2 * DAY_MS
        is_open, changes_ms = False, None
        for hours in windows:
            opening = calendar.opening(hours, now_ms, within_ms)
            is_open |= opening.is_open
            changes_ms = earliest(changes_ms, opening.changes_ms)
        seen = f"{calendar.clock_text(now_ms)} of {written}"
        return Answer(is_open, seen, changes_ms, settled=not is_open and changes_ms is None)

    return test


def _days(node: Node, terms: Terms) -> Test:
    known = (*DAYS, *DAY_GROUPS)
    names = node.each_or_one(lambda one: one.one_of(known, "day"))
    wanted = frozenset().union(*(DAY_GROUPS.get(name, frozenset({name})) for name in names))
    calendar = terms.calendar

    def test(standing: Standing, now_ms: int) -> Answer:
        today = DAYS[calendar.day(now_ms).weekday()]
        tomorrow = DAYS[(calendar.day(now_ms).weekday() + 1) % 7]
        held = today in wanted
        if standing.visit and held == (tomorrow in wanted):
            return Answer(held, today, settled=not held)
        return Answer(held, today, calendar.midnight_ms(now_ms))

    return test


def _present(node: Node, terms: Terms) -> Test:
    least_ms = node.length_ms()
    written = length_text(least_ms)

    def test(standing: Standing, now_ms: int) -> Answer:
        visit = standing.visit
        if visit is None:
            return Answer(False, f"not here, {written} needed")
        here_ms = now_ms - visit.started_ms
        if not visit.present:
            return Answer(False, f"silent after {length_text((visit.silent_ms or now_ms) - visit.started_ms)}")
        held = here_ms >= least_ms
        return Answer(held, f"{length_text(here_ms)} of {written}", None if held else visit.started_ms + least_ms)

    return test


def _unseen(node: Node, terms: Terms) -> Test:
    least_ms = node.length_ms()
    written = length_text(least_ms)

    def test(standing: Standing, now_ms: int) -> Answer:
        silent_ms = standing.visit.silent_ms if standing.visit else None
        if silent_ms is None:
            return Answer(False, f"heard, {written} of silence needed")
        held = now_ms - silent_ms >= least_ms
        return Answer(held, f"{length_text(now_ms - silent_ms)} of {written}", None if held else silent_ms + least_ms)

    return test


def _in_zone(node: Node, terms: Terms) -> Test:
    zones = _zones(node, terms)

    def test(standing: Standing, now_ms: int) -> Answer:
        inside = standing.visit.inside if standing.visit else {}
        held = not zones.isdisjoint(inside)
        return Answer(held, f"in {', '.join(sorted(inside)) or 'no zone'}")

    return test


def _stayed(node: Node, terms: Terms) -> Test:
    fields = node.part(STAYED)
    zones = fields.take("zone", lambda value: _zones(value, terms), NO_ZONES)
    least_ms = fields.take("for", Node.length_ms, 0)
    written = length_text(least_ms)

    def test(standing: Standing, now_ms: int) -> Answer:
        visit = standing.visit
        if visit is None:
            return Answer(False, "not here")
        stayed_ms = visit.stayed_ms(zones, now_ms)
        seen = f"{length_text(stayed_ms)} of {written}"
        if stayed_ms >= least_ms:
            return Answer(True, seen)
        goes_on = visit.present and not zones.isdisjoint(visit.inside)
        return Answer(False, seen, now_ms + least_ms - stayed_ms if goes_on else None)

    return test


def _visited(node: Node, terms: Terms) -> Test:
    zones = _zones(node, terms)

    def test(standing: Standing, now_ms: int) -> Answer:
        held = standing.visit is not None and standing.visit.entered(zones)
        return Answer(held, "was there" if held else "not yet there", settled=held)

    return test


def _redeemed(node: Node, terms: Terms) -> Test:
    offers = _offers(node, terms)

    def test(standing: Standing, now_ms: int) -> Answer:
        held = standing.redeemed(offers)
        return Answer(held, "redeemed" if held else "not redeemed")  # a till may still undo it, so never settled

    return test


def _not_redeemed(node: Node, terms: Terms) -> Test:
    redeemed = _redeemed(node, terms)

    def test(standing: Standing, now_ms: int) -> Answer:
        return none_of([redeemed(standing, now_ms)])

    return test


def _birthday(node: Node, terms: Terms) -> Test:
    around = 0 if node.value == "today" else _days_around(node)
    calendar = terms.calendar

    def test(standing: Standing, now_ms: int) -> Answer:
        birthday = standing.profile.birthday
        if birthday is None:
            return Answer(False, "birthday not told", settled=True)
        today = calendar.day(now_ms)
        held, tomorrow = (_near(birthday, day, around) for day in (today, today + timedelta(days=1)))
        seen = f"birthday {birthday}, today {today:%m-%d}"
        if standing.visit and held == tomorrow:
            return Answer(held, seen, settled=not held)
        return Answer(held, seen, calendar.midnight_ms(now_ms))

    return test


def _days_around(node: Node) -> int:
    around_ms = node.length_ms(instead="today")
    if around_ms % DAY_MS:
        raise node.fault(f"'{node.value}' is not whole days; write today, or for instance 3d for three days around it")
    return around_ms // DAY_MS


def _near(birthday: str, day: date, around: int) -> bool:
    # Whoever was born on 29 February celebrates on the 28th where the year has no 29th.
    month, of_month = int(birthday[:2]), int(birthday[3:])
    years = (day.year - 1, day.year, day.year + 1)
    celebrated = (date(year, month, min(of_month, monthrange(year, month)[1])) for year in years)
    return any(abs((each - day).days) <= around for each in celebrated)


def _segment(node: Node, terms: Terms) -> Test:
    belongs, settled = terms.segments[node.one_of(terms.segments, "segment")]
    return _counted(belongs, settled=settled)


def _visits(node: Node, terms: Terms) -> Test:
    return _counted(read_visits(node), settled=True)


def _spend(node: Node, terms: Terms) -> Test:
    return _counted(read_spend(node, terms.shops, terms.categories), settled=False)


def _counted(counter: Counter, *, settled: bool) -> Test:
    def test(standing: Standing, now_ms: int) -> Answer:
        held, seen = counter(standing, now_ms)
        return Answer(held, seen, settled=settled)

    return test


def _capacity(node: Node, terms: Terms) -> Test:
    fields = node.part(CAPACITY)
    offer = fields.take("offer", lambda value: value.one_of(terms.offers, "offer"), "")
    if offer and offer not in terms.limited:
        raise fields["offer"].fault(f"'{offer}' has no capacity to run out of; add capacity: 20 per 15m to the offer")
    at_least = fields.take("at_least", lambda value: value.whole(1), 1)

    def test(standing: Standing, _: int) -> Answer:
        room = standing.room.get(offer, 0)
        return Answer(room >= at_least, f"room for {room} of {at_least}", short_of=f"capacity:{offer}")

    return test


def _if(node: Node, terms: Terms) -> Test:
    return read_expression(node, terms.calendar)


def _several(combine: Callable[[Sequence[Answer]], Answer]) -> Callable[[Node, Terms], Test]:
    def read(node: Node, terms: Terms) -> Test:
        if not node.items():
            raise node.fault("there is nothing in it; give it at least one row")
        tests = [condition.test for condition in read_conditions(node, terms)]

        def test(standing: Standing, now_ms: int) -> Answer:
            return combine([test(standing, now_ms) for test in tests])

        return test

    return read


class Word(NamedTuple):
    """One word of the vocabulary: how its value is read, and what may stand there."""

    read: Callable[[Node, Terms], Test]
    shape: Schema


ZONES, OFFERS = one_or_more(ref("zone")), one_or_more(TEXT)
VOCABULARY: Mapping[str, Word] = {
    "time": Word(_time, one_or_more(HOURS)),
    "days": Word(_days, one_or_more(one_of(*DAYS, *DAY_GROUPS))),
    "present": Word(_present, LENGTH),
    "unseen": Word(_unseen, LENGTH),
    "in_zone": Word(_in_zone, ZONES),
    "stayed": Word(_stayed, STAYED.schema()),
    "visited": Word(_visited, ZONES),
    "redeemed": Word(_redeemed, OFFERS),
    "not_redeemed": Word(_not_redeemed, OFFERS),
    "birthday": Word(_birthday, {"anyOf": [one_of("today"), LENGTH]}),
    "segment": Word(_segment, TEXT),
    "visits": Word(_visits, COUNTED.schema()),
    "spend": Word(_spend, SPENT.schema()),
    "capacity": Word(_capacity, CAPACITY.schema()),
    "if": Word(_if, TEXT),
    "all": Word(_several(all_of), ROWS),
    "any": Word(_several(any_of), ROWS),
    "none": Word(_several(none_of), ROWS),
}
