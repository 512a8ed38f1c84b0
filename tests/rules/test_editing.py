"""A form's edit changes one value and not one byte besides: comments, order, quotes and layout stay."""

from __future__ import annotations

import difflib
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.editing import Edit, NotEditable, edited
from rules.source import Source
from tests.promoting import ROOT
from tests.rules.broken_books import GOOD

BOOK = (ROOT / "rules" / "book.yaml").read_text(encoding="utf-8")


def edit(text: str, act: str, path: str, value: object = None, index: int = 0) -> str:
    return edited(text, [Edit(act=act, path=path, value=value, index=index)])


def lines_changed(before: str, after: str) -> list[str]:
    """Lines taken out (-) and put in (+)."""
    return [line for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line[0] in "+-"]


def test_a_value_is_set_where_it_stands():
    after = edit(BOOK, "set", "journeys/day-out/steps/0/wait", "12m")
    assert lines_changed(BOOK, after) == ["-         wait: 15m", "+         wait: 12m"]


def test_a_value_in_the_middle_of_a_line_is_set_there_and_its_comment_stays():
    after = edit(BOOK, "set", "limits/budget/visit", 30000)
    (gone, come) = lines_changed(BOOK, after)
    assert come[2:] == gone[2:].replace("25000", "30000") and "# set aside when" in come


def test_quotes_stay_as_they_were():
    after = edit(BOOK, "set", "limits/quiet", "23:00-08:00")
    assert '  quiet: "23:00-08:00"    ' in after


def test_an_item_of_a_list_on_one_line_is_set():
    after = edit(BOOK, "set", "limits/member/1", "9 per visit")
    assert "member: [1 per 10m, 9 per visit, 40 per 30d]    # a redemption" in after


def test_a_new_key_is_added_at_the_end_of_a_step():
    after = edit(BOOK, "set", "journeys/day-out/steps/2/skip_after", "2h")
    assert lines_changed(BOOK, after) == ["+         skip_after: 2h"]
    assert Source(after, "b").at("journeys/day-out/steps/2/skip_after").value == "2h"


def test_a_new_key_is_added_within_braces():
    after = edit(BOOK, "set", "limits/budget/visit", None)
    assert edit("a: {b: 1}\n", "set", "a/c", [1, "x"]) == "a: {b: 1, c: [1, x]}\n"
    assert edit("a: {}\n", "set", "a/c", True) == "a: {c: true}\n" and after != BOOK


def test_an_offer_is_added_behind_the_others_and_before_what_follows():
    offer = {"title": "Tea", "shops": ["cafe-luna"], "cost": 100, "valid": "20m"}
    after = edit(BOOK, "set", "offers/tea", offer)
    assert lines_changed(BOOK, after) == ["+   tea: {title: Tea, shops: [cafe-luna], cost: 100, valid: 20m}"]


def test_a_key_is_removed_with_its_line():
    after = edit(BOOK, "remove", "journeys/day-out/steps/0/exhausted")
    assert [line[:1] for line in lines_changed(BOOK, after)] == ["-"]


def test_the_first_key_behind_a_dash_is_removed_and_the_next_takes_its_place():
    assert edit("a:\n  - x: 1\n    y: 2\n", "remove", "a/0/x") == "a:\n  - y: 2\n"


@pytest.mark.parametrize(
    ("row", "after"),
    [(0, "m: [7 per visit, 40 per 30d]  # c\n"), (2, "m: [1 per 10m, 7 per visit]  # c\n")],
)  # fmt: skip
def test_an_item_on_one_line_is_removed_with_its_comma(row, after):
    assert edit("m: [1 per 10m, 7 per visit, 40 per 30d]  # c\n", "remove", f"m/{row}") == after


def test_a_step_is_inserted_before_another_and_its_comment():
    text = "s:\n  # one\n  - {id: a}\n\n  # two\n  - {id: b}  # b\n"
    before = "s:\n  # one\n  - {id: a}\n\n  - {id: x}\n  # two\n  - {id: b}  # b\n"
    assert edit(text, "insert", "s", {"id": "x"}, 1) == before
    assert edit(text, "insert", "s", {"id": "x"}, 2).endswith("- {id: b}  # b\n  - {id: x}\n")


def test_a_row_is_inserted_into_a_list_on_one_line():
    after = edit(BOOK, "insert", "journeys/day-out/steps/0/when", {"segment": "lives-far"}, 1)
    assert 'when: [{time: "08:30-11:30"}, {segment: lives-far}, {present: 4m}]' in after


def test_a_step_is_moved_with_its_comment():
    text = "s:\n  # one\n  - {id: a}\n  # two\n  - {id: b}  # b\n"
    moved = "s:\n  # two\n  - {id: b}  # b\n  # one\n  - {id: a}\n"
    assert edit(text, "move", "s/1", index=0) == moved and edit(text, "move", "s/0", index=1) == moved


def test_a_step_of_the_book_is_moved():
    after = edit(BOOK, "move", "journeys/day-out/steps/1", index=3)
    ids = [step.entries()["id"].value for step in Source(after, "b").at("journeys/day-out/steps").items()]
    assert ids == ["coffee", "lunch", "treat", "browse", "dinner", "home"]
    assert sorted(after.splitlines()) == sorted(BOOK.splitlines())


def test_a_file_without_a_last_line_break_is_edited_too():
    assert edit("s:\n  - a\n  - b", "move", "s/0", index=1) == "s:\n  - b\n  - a\n"
    assert edit("s:\n  - a", "insert", "s", "b", 1) == "s:\n  - a\n  - b\n"
    assert edit("a: 1", "set", "b", 2) == "a: 1\nb: 2\n"


def test_several_edits_are_made_one_after_the_other():
    edits = [Edit(act="remove", path="a/0"), Edit(act="set", path="a/0", value=5)]
    assert edited("a: [1, 2, 3]\n", edits) == "a: [5, 3]\n"


@pytest.mark.parametrize(
    ("text", "act", "path", "says"),
    [
        ("a: 1\n", "set", "b/c", "there is no 'b'"),
        ("a: [1]\n", "set", "a/1", "there is no '1'; items of a list are counted from 0, here up to 0"),
        ("a: [{id: x}, {id: y}]\n", "set", "a/y/b", "and 'y' is number 1"),
        ("coffee: {cost: 1}\n", "remove", "cofee/cost", "did you mean 'coffee'?"),
        ("a: [1]\n", "remove", "a/x", "there is no 'x'"),
        ("a: 1\n", "insert", "a", "there is no list"),
        ("a: [1]\n", "move", "a/0", "no place 7 in that list"),
        ("a: [1\n", "set", "a", "this text is no YAML"),
        ("a:\n  b: 1\n", "remove", "a/b", "nothing would be left there"),
        ("a: &x {b: 1}\nc: *x\n", "set", "c/b", "cannot be edited alone"),
        ("a: &x {b: 1}\nc: *x\n", "set", "a", "cannot be edited alone"),
        ("a: &x {b: {d: 1}}\nc: {<<: *x}\n", "set", "c/b/d", "comes from elsewhere"),
    ],
)
def test_what_cannot_be_edited_alone_is_refused(text, act, path, says):
    with pytest.raises(NotEditable, match=re.escape(says)):
        edit(text, act, path, "v", 7)


def paths(value: object, path: str = "") -> list[str]:
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [path] if path else []
    for key, item in below:
        found += paths(item, f"{path}/{key}" if path else str(key))
    return found


ALL = {text: paths(Source(text, "b").tree) for text in (BOOK, GOOD)}
TEXTS = ["5m", "a: b", "# no", "09:00-11:00", "", "'\"", "是"]
VALUES = st.sampled_from([*TEXTS, 7, -1, True, None, 1.5, ["x", 1], {"k": ["v"]}, {"a": 1, "b": {"c": "d"}}])


@settings(max_examples=40)
@given(
    st.sampled_from([BOOK, GOOD]).flatmap(lambda text: st.tuples(st.just(text), st.sampled_from(ALL[text]))),
    st.sampled_from(["set", "remove", "insert", "move"]),
    VALUES,
    st.integers(0, 5),
)
def test_whatever_is_edited_everything_else_stays_to_the_byte(place, act, value, index):
    text, path = place
    try:
        after = edit(text, act, path, value, index)
    except NotEditable:
        return
    if act == "move":
        assert sorted(re.sub(r"[\s,]", "", after)) == sorted(re.sub(r"[\s,]", "", text))
        return
    passages = difflib.SequenceMatcher(None, text.splitlines(), after.splitlines(), autojunk=False).get_opcodes()
    changed = [passage for passage in passages if passage[0] != "equal"]
    assert len(changed) <= 1
    gone = "".join("\n".join(text.splitlines()[start:end]) for _, start, end, _, _ in changed)
    if act == "remove" or (act == "set" and isinstance(Source(text, "b").at(path).value, dict | list)):
        return  # what is written inside a value goes with it
    assert all(comment in after for comment in re.findall(r"  #.*|^#.*", gone, re.MULTILINE))
