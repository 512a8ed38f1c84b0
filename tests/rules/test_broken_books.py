"""Every mistake an operator may make is told with its place and the way out, and so is a rule hardly meant."""

from __future__ import annotations

from pathlib import Path

import pytest
from ruamel.yaml.comments import CommentedMap

from rules.lint import check
from rules.source import ERROR, WARNING, Source
from tests.promoting import ROOT
from tests.rules.broken_books import CASES, GOOD, MALL, broken


def told(text: str) -> list[str]:
    return [fault.text("").removeprefix(":") for fault in check(text, MALL).faults]


def test_nothing_is_said_against_a_good_book():
    assert told(GOOD) == []


def test_nothing_is_said_against_the_book_of_the_demo_mall(demo_mall):
    assert check((ROOT / "rules" / "book.yaml").read_text(encoding="utf-8"), demo_mall).faults == ()


@pytest.mark.parametrize("case", CASES, ids=[case["new"][:60] for case in CASES])
def test_a_mistake_is_told_with_its_place_and_way_out(case):
    assert told(broken(case)) == case["says"]


def test_there_are_more_than_a_hundred_ways_to_get_it_wrong():
    assert len({case["old"] + "\0" + case["new"] for case in CASES}) > 100


def test_a_book_with_warnings_only_can_be_used():
    checked = check(GOOD.replace("priority: 50", "priority: 90"), MALL)
    assert (len(checked.errors), len(checked.warnings), checked.book is not None) == (0, 1, True)


def test_what_can_never_work_is_an_error_and_what_may_be_meant_a_warning():
    kinds = {says.split(": ")[1] == WARNING for case in CASES for says in case["says"]}
    assert kinds == {True, False} and ERROR not in {says.split(": ")[1] for case in CASES for says in case["says"]}


def test_every_value_of_a_book_is_found_again_by_its_path():
    source = Source(Path(ROOT / "rules" / "book.yaml").read_text(encoding="utf-8"), "book.yaml")
    assert source.at("journeys/day-out/steps/0/id").value == "coffee"
    assert isinstance(source.at("").value, CommentedMap)
