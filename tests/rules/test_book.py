"""A book is read whole or refused whole, and a refusal tells every mistake by its line, column and way out."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rules.book import Cap, Join, Mall, Redeem
from rules.reading import parse_book
from rules.source import SourceError
from rules.times import Hours

MALL = Mall(
    zones={
        "cafe-luna": frozenset({"cafe-luna"}),
        "clinic": frozenset({"clinic"}),
        "denim-works": frozenset({"denim-works"}),
        "stride": frozenset({"stride"}),
        "fashion": frozenset({"denim-works", "stride"}),
        "health": frozenset({"clinic"}),
    },
    no_marketing=frozenset({"clinic"}),
    shops=frozenset({"cafe-luna", "noodle-hut", "denim-works"}),
)

GOOD = """\
schema: 1
timezone: Asia/Shanghai
offers:
  coffee: {title: {en: Coffee, zh-Hans: 咖啡}, shops: [cafe-luna], cost: 60, valid: 40m}
  lunch: {title: Lunch, shops: [noodle-hut], cost: 120, valid: 60m}
segments:
  lives-far: {home_km: ">= 20"}
limits:
  quiet: "21:30-08:30"
  member: [1 per 20m, 7 per visit, 20 per 30d]
  upgrades: [1 per step]
  budget: {day: 60000, visit: 2500}
  holdout: {percent: 10, salt: s}
journeys:
  day-out:
    priority: 50
    start: {event: visit.started, once: visit}
    stop: {event: visit.ended}
    steps:
      - id: coffee
        when: [{time: "09:00-11:00"}, {present: 10m}]
        try: [coffee, lunch]
        wait: 25m
      - id: lunch
        when: [{stayed: {zone: fashion, for: 10m}}]
        choose:
          - {when: [{segment: lives-far}], try: [lunch], wait: 10m}
          - {try: [coffee], wait: 5m}
"""

BIRTHDAY = """\
  birthday:
    priority: 90
    start: {event: visit.started}
    finish: {join: day-out, step: lunch}
    steps: [{id: cake, try: [coffee], wait: 5m}]
"""


def refusal(text: str) -> list[str]:
    with pytest.raises(SourceError) as refused:
        parse_book(text, MALL)
    return str(refused.value).splitlines()


def good_but(old: str, new: str) -> str:
    assert GOOD.count(old) == 1, f"{old!r} must be there once"
    return GOOD.replace(old, new)


# -- what is read ---------------------------------------------------------------------------------


def test_a_journey_keeps_its_steps_in_the_order_written():
    assert [step.key for step in parse_book(GOOD, MALL).journeys["day-out"].steps] == ["coffee", "lunch"]


def test_one_wait_serves_every_offer_of_a_step():
    (arm,) = parse_book(GOOD, MALL).journeys["day-out"].step("coffee").arms
    assert [(rung.offer.key, rung.wait_ms) for rung in arm.rungs] == [("coffee", 1_500_000), ("lunch", 1_500_000)]


def test_each_offer_may_have_a_wait_of_its_own():
    (arm,) = parse_book(good_but("wait: 25m", "wait: [25m, 90s]"), MALL).journeys["day-out"].step("coffee").arms
    assert [rung.wait_ms for rung in arm.rungs] == [1_500_000, 90_000]


def test_limits_are_read_with_their_paths():
    limits = parse_book(GOOD, MALL).limits
    assert (limits.quiet, limits.member[1], limits.budget_visit) == (
        Hours(1290, 510),
        Cap(7, "visit", 0, "limits/member/1"),
        2500,
    )


def test_journeys_come_in_order_of_priority():
    two_more = """\
  later: &later {priority: 10, start: {event: visit.started}, steps: [{id: one, try: [lunch], wait: 5m}]}
  first: {<<: *later, priority: 90}
"""
    assert list(parse_book(GOOD + two_more, MALL).journeys) == ["first", "day-out", "later"]


def test_a_journey_may_hand_on_to_a_step_of_another():
    text = GOOD + BIRTHDAY
    assert parse_book(text, MALL).journeys["birthday"].join == Join("day-out", "lunch")


def test_a_kind_of_zone_means_all_zones_of_that_kind():
    parse_book(good_but("zone: fashion", "zone: [fashion, cafe-luna]"), MALL)


def test_a_text_in_one_language_stands_for_all():
    assert parse_book(GOOD, MALL).offers["lunch"].title == {"en": "Lunch", "zh-Hans": "Lunch"}


def test_the_same_text_is_the_same_version():
    assert parse_book(GOOD, MALL).version == parse_book(GOOD, MALL).version


def test_any_other_text_is_another_version():
    assert parse_book(GOOD, MALL).version != parse_book(GOOD + "# a remark\n", MALL).version


def test_hours_need_no_quotes_because_numbers_with_colons_stay_text():
    parse_book(good_but('time: "09:00-11:00"', "time: 09:00-11:00"), MALL)


# -- what is refused ------------------------------------------------------------------------------


def test_a_mistake_is_told_by_line_column_and_path():
    assert refusal(good_but("present: 10m", "presnt: 10m")) == [
        "book.yaml:21:40: journeys/day-out/steps/0/when/1/presnt: unknown condition 'presnt'; did you mean 'present'?"
    ]


def test_all_mistakes_are_told_together_in_order():
    text = GOOD.replace("cost: 60", "cost: x").replace("present: 10m", "presnt: 10m").replace("day: 60000", "day: x")
    assert [line.split(":")[1] for line in refusal(text)] == ["4", "12", "21"]


@pytest.mark.parametrize("zone", ["clinic", "health"])
def test_no_rule_may_rest_on_a_zone_without_marketing(zone):
    assert "no rule may rest on clinic, marked no_marketing on the plan; name other zones" in "\n".join(
        refusal(good_but("zone: fashion", f"zone: {zone}"))
    )


def test_a_journey_cannot_hand_on_to_a_step_that_is_not_there():
    text = GOOD + BIRTHDAY.replace("step: lunch", "step: tea")
    assert "'day-out' has no step 'tea'" in "\n".join(refusal(text))


def test_a_chain_only_leads_forward():
    text = good_but("      - id: lunch\n", "      - id: lunch\n        redeemed: coffee\n")
    assert "'coffee' is not further down; a chain only leads forward" in "\n".join(refusal(text))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "book.yaml:1:1: expected a mapping with schema, timezone, offers, journeys, found nothing"),
        ("- 1", "journeys, found a list"),
        ("a: [1", "book.yaml:1:"),
        ("%YAML 1.1\n---\nschema: 1\n", "YAML 1.1 reads hours as numbers; drop the directive"),
        ("a: &a [*a]", "unknown key 'a'"),
        ("x: !!python/object/apply:os.system [ls]", "unknown key 'x'"),
    ],
)
def test_what_is_no_book_is_refused_too(text, says):
    assert says in "\n".join(refusal(text))


def test_conditions_that_contain_themselves_come_to_an_end():
    text = good_but("{present: 10m}", "&loop {any: [*loop]}")
    assert refusal(text)


def test_anchors_that_multiply_come_to_an_end():
    rows = ["&a0 {any: [{present: 1m}]}"]
    rows += [f"&a{level} {{any: [{', '.join([f'*a{level - 1}'] * 10)}]}}" for level in range(1, 10)]
    text = good_but('when: [{time: "09:00-11:00"}, {present: 10m}]', f"when: [{', '.join(rows)}]")
    assert "anchors (&, *) repeat each other without end" in "\n".join(refusal(text))


@given(st.integers(0, len(GOOD)), st.integers(0, 30), st.text("{}[]:-,'\"&*!|> \n\tabc019é", max_size=8))
@example(0, 0, "\t")
def test_however_a_book_is_spoilt_it_is_read_or_refused_with_a_place(start, length, instead):
    text = GOOD[:start] + instead + GOOD[start + length :]
    try:
        parse_book(text, MALL)
    except SourceError as problem:
        assert all(fault.line >= 1 and fault.column >= 1 for fault in problem.faults) and problem.faults


# -- who pays, and what a till asks -------------------------------------------------------------------


def test_an_offer_that_names_no_funder_is_the_malls():
    assert {offer.funder for offer in parse_book(GOOD, MALL).offers.values()} == {"mall"}


def test_an_offer_says_who_pays_and_what_a_till_asks():
    text = GOOD.replace(
        "cost: 120, valid: 60m}",
        'cost: 120, valid: 60m, funder: noodle-brand, redeem: {after: 5m, hours: "11:00-14:00", spend: 5000}}',
    )
    lunch = parse_book(text, MALL).offers["lunch"]
    assert lunch.funder == "noodle-brand"
    assert lunch.redeem == Redeem(after_ms=300_000, hours=Hours(660, 840), spend_minor=5_000)
