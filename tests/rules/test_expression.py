"""`if`: compiled once, wrong names and types found when the book is read, and never a crash."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.events import VisitSilent, VisitStarted, ZoneEntered
from rules.expression import SAMPLE, VARIABLES, read_expression
from rules.source import Source, SourceError, Spoilt
from rules.standing import Profile, Purchase, Standing
from rules.times import MINUTE_MS, Calendar
from tests.promoting import instant_ms

NINE_MS = instant_ms("09:00")
CALENDAR = Calendar("Asia/Shanghai")
HERE = (
    Standing(1, Profile(attributes={"tier": "gold", "points": 700.0}))
    .after(VisitStarted("v", NINE_MS, 1, "visit"))
    .after(ZoneEntered("z", NINE_MS, 1, "visit", "cafe-luna", 0.9, NINE_MS))
)


def asks(expression: str, standing: Standing = HERE, minute: int = 95):
    source = Source(f"if: '{expression}'", "book.yaml")
    test = read_expression(source.root.entries()["if"], CALENDAR)
    return test(standing, NINE_MS + minute * MINUTE_MS)


def refusal(text: str) -> str:
    source = Source(text, "book.yaml")
    with pytest.raises(Spoilt):
        read_expression(source.root.entries()["if"], CALENDAR)
    with pytest.raises(SourceError) as refused:
        source.settle()
    return str(refused.value)


@pytest.mark.parametrize(
    ("expression", "held"),
    [
        ("visit.minutes >= 90 && now.hour < 12", True),
        ("visit.minutes > 95", False),
        ("now.day in [\"sat\", \"sun\"]", True),
        ("\"cafe-luna\" in visit.zones", True),
        ("visit.visited.exists(z, z.startsWith(\"cafe\"))", True),
        ("member.attributes.tier == \"gold\" && member.attributes.points > 500", True),
        ("has(member.home_km) && member.home_km > 20.0", False),
        ("member.visits == 1 && visit.redeemed.size() == 0", True),
    ],
)  # fmt: skip
def test_an_expression_asks_what_no_row_can(expression, held):
    assert asks(expression).held == held


def test_what_was_spent_in_this_visit_may_be_asked():
    standing = HERE._replace(purchases=(Purchase(NINE_MS - 1, "s", 900), Purchase(NINE_MS + 1, "s", 1500)))
    assert asks("visit.spend >= 1500", standing).held and not asks("visit.spend > 1500", standing).held


def test_the_trace_says_what_was_seen():
    assert asks("visit.minutes > 100").seen == "visit.minutes=95"


def test_an_expression_over_the_clock_is_looked_at_once_a_minute():
    assert asks("visit.minutes > 100").changes_ms == NINE_MS + 96 * MINUTE_MS


def test_an_expression_without_the_clock_waits_for_news_only():
    assert asks("\"cinema\" in visit.zones").changes_ms is None  # fmt: skip


@pytest.mark.parametrize(
    ("expression", "seen"),
    [
        ("member.home_km > 20.0", "failed: home_km is not known"),
        ("member.attributes.car == \"red\"", "failed: car is not known"),
        ("1 / (visit.minutes - 95) > 0", "failed: division by zero in CEL expression"),
        ("member.attributes.tier > 3", "failed: the types do not go together"),
    ],
)  # fmt: skip
def test_an_expression_that_fails_is_a_no_with_its_reason(expression, seen):
    answer = asks(expression)
    assert (answer.held, answer.seen) == (False, seen)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("if: visit.minuts > 5", "book.yaml:1:11: if: visit has no 'minuts'; did you mean 'minutes'?"),
        ("if: 'visit.minuts > 5'", "book.yaml:1:12: if: visit has no 'minuts'; did you mean 'minutes'?"),
        ("if: minutes > 5", "book.yaml:1:5: if: unknown name 'minutes'; did you mean visit.minutes?"),
        ("if: vist.minutes > 5", "book.yaml:1:5: if: unknown name 'vist'; did you mean 'visit'?"),
        ("if: 'visit.minutes >'", "book.yaml:1:21: if: this is no expression: it ends too early"),
        ("if: visit.minutes = 5", "book.yaml:1:19: if: '=' compares nothing; write '=='"),
        ("if: visit.minutes", "an expression must say yes or no, this one gives 90; compare it with something"),
        ("if: visit.minutes > 'five'", "this expression cannot be worked out: the types do not go together"),
        ("if: upper(member.language) == 'EN'", "this expression cannot be worked out: nobody knows 'upper'"),
        ("if: 5", "expected text, found '5'"),
        (f'if: "{"true && " * 90} true"', "is too long to be read"),
    ],
)
def test_a_mistake_is_found_when_the_book_is_read(text, says):
    assert says in refusal(text)


def test_every_variable_has_a_sample_of_its_own_type():
    standing = HERE._replace(profile=Profile("11-21", "en", 3.0, {"a": 1.0}))
    standing = standing.after(VisitSilent("q", NINE_MS, 1, "visit", NINE_MS))
    memory = msgspec.structs.replace(standing.memory, visits_ms=(1, NINE_MS))
    standing = standing._replace(memory=memory)
    for group, names in VARIABLES.items():
        told = {name: variable.read(standing, NINE_MS, CALENDAR.local(NINE_MS)) for name, variable in names.items()}
        assert {name: type(value) for name, value in told.items()} == {
            name: type(value) for name, value in SAMPLE[group].items()
        }


@given(st.text("visitmemberow.() <>=&|!'0123456789+-/[],mnutes", max_size=40))
def test_whatever_is_written_is_read_or_refused_with_a_place(text):
    source = Source("", "book.yaml")
    node = type(source.root)(text, "if", (0, 0), source.faults)
    try:
        answer = read_expression(node, CALENDAR)(HERE, NINE_MS)
    except Spoilt:
        assert source.faults and all(fault.line == 1 for fault in source.faults)
    else:
        assert answer.held in (True, False)
