"""The page for operators is complete, and whatever it shows as an example is read without a fault."""

from __future__ import annotations

import re

import pytest

from rules.expression import VARIABLES
from rules.lint import check
from rules.shape import BOOK, BUDGET, FINISH, HOLDOUT, JOURNEY, LIMITS, OFFER, REDEEM, SEGMENT, START, STEP
from rules.source import ERROR
from rules.words import VOCABULARY
from tests.promoting import ROOT

PAGE = (ROOT / "rules" / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
ROWS = re.findall(r"^\| `(\w+)` \| .* \| `(\{.*\})` \|$", PAGE, re.MULTILINE)
PARTS = (BOOK, OFFER, REDEEM, LIMITS, BUDGET, HOLDOUT, SEGMENT, JOURNEY, START, FINISH, STEP)
MORE_OFFERS = """\
  coffee+: {title: b, shops: [cafe-luna], cost: 900, valid: 40m}
  lunch: {title: c, shops: [noodle-hut], cost: 1000, valid: 60m}
"""
SECTIONS = {
    "offers": f"""offers:
  coffee: {{title: a, shops: [cafe-luna], cost: 300, valid: 40m, capacity: 20 per 15m}}
{MORE_OFFERS}""",
    "segments": """segments: {lives-far: {home_km: ">= 20"}, gold: {attributes: {tier: gold}}}
""",
    "limits": """limits: {member: [1 per 10m]}
""",
    "journeys": """journeys:
  day-out:
    priority: 50
    start: {event: visit.started}
    steps:
""",
}
FIRST = (
    "- {id: first, when: [{time: '08:00-12:00'}], try: [coffee, coffee+], wait: 20m}\n"
    "- {id: second, when: [{time: '08:00-12:00'}], try: [lunch], wait: 20m}\n"
)


def book_around(example: str) -> str:
    """A whole book with the example in its place."""
    if example.startswith("schema:"):
        return example
    for name in SECTIONS:
        if example.startswith(f"{name}:"):
            rest = [text for other, text in SECTIONS.items() if other != name]
            steps = "" if name == "journeys" else indented(FIRST)
            example += MORE_OFFERS if name == "offers" else ""
            return "schema: 1\ntimezone: Asia/Shanghai\n" + "".join(sorted([*rest, example], key=_order)) + steps
    whole = example.startswith("- id:")
    step = example if whole else f"- id: example\n  when:\n    {example}  try: [coffee]\n  wait: 20m\n"
    return "schema: 1\ntimezone: Asia/Shanghai\n" + "".join(SECTIONS.values()) + indented(FIRST + step)


def _order(text: str) -> int:
    return list(SECTIONS).index(text.split(":")[0])


def indented(text: str) -> str:
    return "".join(f"      {line}\n" for line in text.splitlines())


@pytest.mark.parametrize("example", EXAMPLES, ids=[example[:40] for example in EXAMPLES])
def test_every_example_is_read_without_a_fault(example, demo_mall):
    faults = check(book_around(example), demo_mall).faults
    assert [fault.text("example") for fault in faults if fault.severity == ERROR] == []


@pytest.mark.parametrize(("word", "row"), ROWS)
def test_every_row_is_read_without_a_fault(word, row, demo_mall):
    faults = check(book_around(f"- {row}\n"), demo_mall).faults
    assert [fault.text("example") for fault in faults if fault.severity == ERROR] == []
    assert row.startswith("{" + word)


def test_every_word_has_its_row_and_example():
    assert {word for word, _ in ROWS} == set(VOCABULARY)


@pytest.mark.parametrize("part", PARTS, ids=[part.says[:30] for part in PARTS])
def test_every_key_stands_in_it(part):
    keys = {*part.required, *part.optional}
    assert {key for key in keys if f"`{key}`" not in PAGE and f"{key}:" not in PAGE} == set()


@pytest.mark.parametrize("name", [f"{group}.{name}" for group, names in VARIABLES.items() for name in names])
def test_every_name_of_an_expression_stands_in_it(name):
    assert f"`{name}`" in PAGE


def test_it_is_found_from_the_front_page():
    assert "rules/README.md" in (ROOT / "README.md").read_text(encoding="utf-8")
