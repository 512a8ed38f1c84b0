"""A code survives being read aloud and typed by a tired hand; a slip is told before the ledger is asked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.codes import ALPHABET, BadCode, Codes, parse, tail

CODES = Codes(b"k" * 32, b"p" * 32)
coupons = st.text("0123456789abcdef", min_size=24, max_size=24)
codes = st.builds(CODES.of, coupons)


def reason_of(typed: str) -> str:
    with pytest.raises(BadCode) as refused:
        parse(typed)
    return refused.value.reason


def squeezed(code: str) -> str:
    return code.replace("-", "")


@given(coupons)
def test_a_coupon_has_the_same_code_every_time(coupon):
    assert CODES.of(coupon) == Codes(b"k" * 32, b"p" * 32).of(coupon)


def test_another_key_gives_another_code():
    assert CODES.of("a") != Codes(b"j" * 32, b"p" * 32).of("a")


def test_a_later_turn_gives_another_code():
    assert CODES.of("a", turn=1) != CODES.of("a")


@given(codes)
def test_a_code_is_three_fours_and_a_check_character(code):
    assert [len(part) for part in code.split("-")] == [4, 4, 4, 1] and set(squeezed(code)) <= set(ALPHABET)


@given(codes)
def test_a_code_reads_back(code):
    assert parse(code) == code


@given(codes, st.data())
def test_case_spaces_hyphens_and_look_alikes_do_not_matter(code, data):
    typed = squeezed(code).lower()
    for true, alike in (("0", "oO0"), ("1", "iIlL1")):
        typed = "".join(data.draw(st.sampled_from(alike)) if c == true else c for c in typed)
    at = data.draw(st.integers(0, len(typed)))
    assert parse(typed[:at] + data.draw(st.sampled_from([" ", "-", " - "])) + typed[at:]) == code


@given(codes, st.integers(0, 12), st.sampled_from(ALPHABET))
def test_any_one_wrong_character_is_told(code, at, other):
    typed = squeezed(code)
    if typed[at] != other:
        assert reason_of(typed[:at] + other + typed[at + 1 :]) == "check"


@given(codes, st.tuples(st.integers(0, 12), st.integers(0, 12)))
def test_any_two_characters_that_changed_places_are_told(code, places):
    typed = list(squeezed(code))
    here, there = places
    if typed[here] != typed[there]:
        typed[here], typed[there] = typed[there], typed[here]
        assert reason_of("".join(typed)) == "check"


@given(codes)
def test_a_missing_character_is_told(code):
    assert reason_of(code[:-1]) == "length"


@pytest.mark.parametrize("typed", ["UUUU-UUUU-UUUU-U", "咖啡咖啡咖啡咖啡咖啡咖啡九", "****-****-****-*"])
def test_a_character_no_code_has_is_told(typed):
    assert reason_of(typed) == "character"


@given(st.text(max_size=40))
def test_whatever_is_typed_is_a_code_or_a_reason(typed):
    try:
        assert parse(parse(typed)) == parse(typed)
    except BadCode as refused:
        assert refused.reason in {"length", "character", "check"}


@given(codes)
def test_the_ledger_holds_nothing_of_a_code_but_a_keyed_digest(code):
    assert squeezed(code).encode() not in CODES.digest(code)
    assert CODES.digest(code) != Codes(b"k" * 32, b"q" * 32).digest(code)


def test_the_tail_is_the_last_four_characters():
    assert tail("ABCD-EFGH-JKMN-P") == "KMNP"
