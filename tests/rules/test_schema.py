"""The JSON Schema says what the reader says: what is read is valid, and what has the wrong shape is neither."""

from __future__ import annotations

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from rules.lint import check
from rules.reading import parse_book
from rules.schema import DIALECT, schema
from rules.source import SourceError
from rules.words import VOCABULARY
from tests.promoting import ROOT
from tests.rules.broken_books import CASES, GOOD, MALL, broken

ANY_MALL, THIS_MALL = (jsonschema_rs.validator_for(schema(mall)) for mall in (None, MALL))
# A fault of shape is one that a single value or mapping has by itself; the schema must find these too.
OF_SHAPE = (
    "unknown key",
    "unknown condition",
    "' is missing",
    "expected a list",
    "expected a mapping",
    "expected text",
)
OF_SHAPE += ("expected text", "expected true", "no length of time", "no pair of hours")


def plain(value: object) -> object:
    """What an editor sees of a YAML document: mappings, lists and plain values."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def document(text: str) -> object:
    return plain(YAML(typ="safe").load(text))


def test_it_is_a_json_schema():
    jsonschema_rs.meta.validate(schema())
    assert schema()["$schema"] == DIALECT


@pytest.mark.parametrize("validator", [ANY_MALL, THIS_MALL])
def test_a_good_book_is_valid(validator):
    validator.validate(document(GOOD))


def test_the_book_of_the_demo_mall_is_valid_against_its_own_schema(demo_mall):
    text = (ROOT / "rules" / "book.yaml").read_text(encoding="utf-8")
    jsonschema_rs.validator_for(schema(demo_mall)).validate(document(text))


@pytest.mark.parametrize("case", CASES, ids=[case["new"][:60] for case in CASES])
def test_what_is_read_is_valid_and_what_has_the_wrong_shape_is_not(case):
    text = broken(case)
    checked = check(text, MALL)
    if checked.book is not None:
        assert THIS_MALL.is_valid(document(text))
    elif any(word in fault.says for fault in checked.errors for word in OF_SHAPE):
        try:
            read = document(text)
        except YAMLError:
            return  # no document at all, so there is none to hold against the schema
        assert not THIS_MALL.is_valid(read)


def test_a_zone_or_shop_of_another_mall_is_underlined():
    assert not THIS_MALL.is_valid(document(GOOD.replace("zone: fashion", "zone: clothes")))
    assert ANY_MALL.is_valid(document(GOOD.replace("zone: fashion", "zone: clothes")))


@pytest.mark.parametrize("word", VOCABULARY)
def test_every_word_of_the_vocabulary_is_in_it(word):
    assert word in schema()["$defs"]["condition"]["properties"]


@given(st.integers(0, len(GOOD)), st.integers(0, 12), st.text("{}[]:-, \n0159mhdabc+\"'", max_size=6))
def test_however_a_book_is_changed_what_is_read_is_valid(start, length, instead):
    text = GOOD[:start] + instead + GOOD[start + length :]
    try:
        parse_book(text, MALL)
    except SourceError:
        return
    assert ANY_MALL.is_valid(document(text))
