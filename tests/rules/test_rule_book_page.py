"""The page for operators is complete, and whatever it shows as an example is read without a fault."""

from __future__ import annotations

import csv
import re
import shlex

import click
import pytest
import typer

from engine.__main__ import app
from rules.attributes import check_columns, import_members
from rules.expression import VARIABLES
from rules.lines import Line
from rules.lint import check
from rules.receipts import COLUMNS
from rules.shape import BOOK, BUDGET, FINISH, HOLDOUT, JOURNEY, LIMITS, OFFER, REDEEM, SEGMENT, START, STEP
from rules.source import ERROR
from rules.words import VOCABULARY
from tests.promoting import ROOT

PAGE = (ROOT / "rules" / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
TABLES = re.findall(r"```csv\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = re.findall(r"^    (sojourn .*)$", PAGE, re.MULTILINE)
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


# -- the chain of one's own does what the page says ---------------------------------------------------


@pytest.fixture
def rainy(open_story):
    """A rainy afternoon: Ana is in the atrium from half past two."""
    (book,) = (example for example in EXAMPLES if "rainy-day:" in example)
    story = open_story(book, opens="14:20")
    story.arrives("ana")
    story.at("14:30").enters("ana", "atrium-1")
    return story


def test_who_lingers_in_the_atrium_gets_tea(rainy):
    assert rainy.at("14:39").given("ana") == []
    assert rainy.at("14:41").given("ana") == ["tea"]


def test_who_was_imported_as_a_reader_gets_a_book(rainy):
    import_members(rainy.ledger, [Line(2, {"login": "ana", "reads": "yes"})], rainy.now_ms)
    assert rainy.at("14:41").given("ana") == ["book"]


def test_who_does_not_redeem_within_a_quarter_of_an_hour_gets_a_better_one_and_nothing_else(rainy):
    assert rainy.at("15:50").given("ana") == ["tea", "tea+"]


def test_who_redeems_gets_the_cinema_or_by_what_they_did_beauty(rainy):
    rainy.at("14:41").redeems("ana", "tea-garden")
    assert rainy.at("14:43").given("ana") == ["tea", "cinema"]


def test_who_has_been_to_beauty_gets_beauty(rainy):
    rainy.at("14:41").enters("ana", "beauty-bar")
    rainy.at("14:50").redeems("ana", "tea-garden")
    assert rainy.at("14:52").given("ana") == ["tea", "nails"]


def test_another_zone_begins_nothing(open_story):
    (book,) = (example for example in EXAMPLES if "rainy-day:" in example)
    story = open_story(book, opens="14:20")
    story.arrives("ana")
    story.enters("ana", "cafe-luna")
    assert story.at("15:00").given("ana") == []


# -- what it shows besides the book -------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_on_it_is_one(command):
    """Its words and options, as click reads them; nothing is run."""
    words = shlex.split(command, comments=True)[1:]
    found: click.Command = typer.main.get_command(app)
    while isinstance(found, click.Group):
        found = found.commands[words.pop(0)]
    found.make_context("sojourn", words)


def test_its_tables_of_members_and_receipts_are_read(ledger):
    members, receipts = TABLES
    columns, *rows = csv.reader(members.splitlines())
    check_columns(columns, "members.csv")
    report = import_members(ledger, [Line(n, dict(zip(columns, row, strict=True))) for n, row in enumerate(rows, 2)], 0)
    assert [one.says for one in report.refused] == [
        f"no member with the login '{login}'; members opt in themselves, leave it out" for login in ("ana", "bo")
    ]
    assert tuple(receipts.splitlines()[0].split(",")) == (*COLUMNS, "member")
