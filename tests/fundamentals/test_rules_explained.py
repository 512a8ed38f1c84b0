"""Any member, any instant, any step: why it was given, or why not, in words of both languages."""

from __future__ import annotations

import re

import pytest

from rules.attributes import import_members
from rules.explain import explain
from rules.lines import Line
from rules.past import look_back
from rules.reading import parse_book
from rules.shelf import Shelf
from tests.promoting import instant_ms

CHAIN = """\
schema: 1
timezone: Asia/Shanghai
offers:
  coffee: {title: {en: Coffee, zh-Hans: 咖啡}, shops: [cafe-luna], cost: 300, valid: 40m, visit_bound: true}
  lunch: {title: {en: Lunch, zh-Hans: 午餐}, shops: [noodle-hut], cost: 300, valid: 40m}
  cake: {title: {en: Cake, zh-Hans: 蛋糕}, shops: [cafe-luna], cost: 300, valid: 40m}
limits:
  quiet: "21:30-08:30"
  member: [1 per 20m, 3 per visit]
  budget: {day: 900}
  holdout: {percent: 10, salt: s}
journeys:
  birthday:
    priority: 90
    start: {event: visit.started, when: [{birthday: today}], once: 300d}
    steps: [{id: cake, try: [cake], wait: 30m}]
  cafe:
    priority: 60
    start: {event: zone.entered, when: [{in_zone: cafe-luna}]}
    steps: [{id: cafe-cake, when: [{present: 5h}], try: [cake], wait: 30m}]
  day-out:
    priority: 50
    start: {event: visit.started}
    steps:
      - {id: coffee, when: [{time: "09:00-11:00"}, {present: 10m}], try: [coffee], wait: 25m}
      - {id: lunch, when: [{time: "11:30-14:30"}], try: [lunch], wait: 25m, jitter: 10m}
"""


@pytest.fixture
def mall(open_story):
    return open_story(CHAIN, opens="09:00")


def asked(mall, name, hour, step=None, day="2026-11-21"):
    """What is answered about a member at an hour, as when it is asked the next day."""
    shelf = Shelf(mall.mall)
    with mall.ledger.read() as tx:
        past = look_back(mall.ledger, tx, mall.members[name], instant_ms(hour, day) + 59_999)
        return explain(past, mall.book, lambda version: shelf.readable(tx, version), step=step)


def why(mall, name, hour, step, language="en"):
    (answer,) = asked(mall, name, hour, step).answers
    return answer.said[language]


def test_it_was_given_and_what_became_of_it(mall):
    mall.arrives("ana")
    mall.at("09:20")
    mall.redeems("ana", "cafe-luna")
    assert (
        why(mall, "ana", "09:12", "coffee")
        == "Given at 09:10: Coffee. It was out and unredeemed; waited for until 09:35."
    )
    assert why(mall, "ana", "09:20", "coffee") == "Done: Coffee was redeemed, and the chain went on at 09:20."


def test_the_same_in_chinese(mall):
    mall.arrives("ana")
    mall.at("09:20")
    assert why(mall, "ana", "09:12", "coffee", "zh-Hans") == "09:10 已发放：咖啡。当时未核销，等待到 09:35。"
    assert (
        why(mall, "ana", "09:03", "coffee", "zh-Hans") == "在等待：在商场停留一段时间（3 分钟 59 秒，需要 10 分钟）。"
    )


def test_a_no_that_still_held_is_looked_at_as_it_was_then(mall):
    mall.arrives("ana")
    mall.at("09:30")
    assert why(mall, "ana", "09:06", "coffee") == "Waiting for: present in the mall for a while (6m59s of 10m)."


def test_not_yet_its_turn(mall):
    mall.arrives("ana")
    mall.at("12:00")
    assert why(mall, "ana", "09:15", "lunch").startswith(
        "Its turn had not come: the chain was at step coffee. Given at 09:10"
    )


def test_a_step_the_chain_has_passed_says_how(open_story):
    mall = open_story(CHAIN, opens="12:00")
    mall.arrives("ana")
    mall.at("12:20")
    assert (
        why(mall, "ana", "12:15", "coffee") == "Skipped: the time of day could no longer hold (12:00 of 09:00-11:00)."
    )


def test_no_event_would_have_triggered_it(mall):
    mall.arrives("ana")
    mall.at("09:30")
    assert why(mall, "ana", "09:20", "cafe-cake").startswith(
        "No event would have triggered it: it starts with zone.entered"
    )


def test_it_had_not_started_because_of_a_condition(mall):
    mall.arrives("ana")
    mall.at("09:30")
    assert (
        why(mall, "ana", "09:20", "cake")
        == "It had not started because this did not hold: the birthday (birthday not told)."
    )


def test_it_had_not_started_because_it_ran_before(mall):
    mall.join("bo", birthday="11-21")
    for hour in ("09:05", "15:05"):
        mall.at(hour)
        mall.arrives("bo")
        mall.turn(30 * 60_000)
        mall.goes_home("bo")
    assert "may run once in a while and had run before: ran 6h ago" in why(mall, "bo", "15:10", "cake")


def test_a_journey_of_higher_priority_paused_it(mall):
    mall.join("bo", birthday="11-21")
    mall.arrives("bo")
    mall.at("09:30")
    assert why(mall, "bo", "09:20", "coffee") == "Paused by a journey of higher priority: birthday."


def test_waiting_for_the_members_own_delay(open_story):
    mall = open_story(CHAIN, opens="11:30")
    mall.arrives("ana")
    mall.at("12:00")
    assert why(mall, "ana", "11:30", "lunch").startswith("Waiting for this member's own short delay")


def test_no_consent_since(mall):
    mall.arrives("ana")
    mall.at("09:05")
    mall.consent("ana", "personal_offers", False)
    mall.at("09:30")
    assert why(mall, "ana", "09:20", "coffee") == "No consent to personal offers since 09:05."


def test_never_asked_for_consent(mall):
    mall.join("ana", consents=("presence",))
    mall.arrives("ana")
    mall.at("09:30")
    assert why(mall, "ana", "09:20", "coffee") == "No consent to personal offers so far."


def test_held_out(mall):
    mall.join("gus", holdout=True)
    mall.arrives("gus")
    mall.at("09:30")
    assert (
        why(mall, "gus", "09:20", "coffee")
        == "The member was held out: Coffee was decided at 09:10 and, by design, not sent."
    )


def test_no_money_was_left(mall):
    for name in ("ana", "bo", "cy", "di"):
        mall.arrives(name)
        mall.turn(1_000)
    mall.at("09:15")
    assert why(mall, "di", "09:12", "coffee") == "No money left in the budget: day."


def test_the_journey_was_switched_off_by_whom_and_why(mall):
    mall.arrives("ana")
    mall.at("09:05").switch("journey", "day-out")
    mall.at("09:40").switch("journey", "day-out", True)
    mall.at("10:00")
    assert why(mall, "ana", "09:20", "coffee") == (
        "Switched off since 09:05: day-out, by operator:kim (burst pipe). It goes on where it was."
    )
    assert why(mall, "ana", "09:20", "coffee", "zh-Hans") == (
        "自 09:05 起由 operator:kim 关闭：day-out（burst pipe）。恢复后从原处继续。"
    )
    assert why(mall, "ana", "09:45", "coffee").startswith("Given at 09:40: Coffee.")


def test_the_shop_was_closed(mall):
    mall.switch("shop", "cafe-luna", until_ms=instant_ms("00:00", "2026-11-22"))
    mall.arrives("ana")
    mall.at("09:30")
    assert why(mall, "ana", "09:20", "coffee") == "Closed for now: cafe-luna."


def test_the_coupon_was_taken_back_as_its_shop_closed(mall):
    mall.arrives("ana")
    mall.at("09:15").switch("shop", "cafe-luna")
    assert [row["offer"] for row in mall.coupons("ana", "void")] == ["coffee"]
    assert why(mall, "ana", "09:12", "coffee").startswith("Given at 09:10: Coffee. It was out and unredeemed")
    assert why(mall, "ana", "09:15", "coffee") == "Closed for now: cafe-luna."


def test_what_was_known_of_the_member_then_is_what_is_told(mall):
    mall.arrives("ana")
    mall.at("09:30")
    facts = {"login": "ana", "birthday": "11-21", "tier": "gold"}
    import_members(mall.ledger, [Line(1, facts)], mall.now_ms)
    mall.at("09:40")
    with mall.ledger.read() as tx:
        then, now = (look_back(mall.ledger, tx, mall.members["ana"], instant_ms(hour)).standing.profile
                     for hour in ("09:20", "09:40"))  # fmt: skip
    assert (then.birthday, dict(then.attributes)) == (None, {})
    assert (now.birthday, dict(now.attributes)) == ("11-21", {"tier": "gold"})


def test_not_in_the_mall_then(mall):
    mall.arrives("ana")
    mall.at("09:30")
    mall.goes_home("ana")
    mall.at("13:00")
    assert why(mall, "ana", "12:10", "lunch") == "Not in the mall at that moment. The last visit ended at 09:30."


def test_not_followed_since(mall):
    mall.join("ana", consents=())
    mall.at("10:00")
    assert why(mall, "ana", "09:30", "coffee") == (
        "Not in the mall at that moment. No visit is known before. Not followed: no consent to presence so far."
    )


def test_no_journey_was_running(open_story):
    mall = open_story(CHAIN, opens="15:00")
    mall.arrives("ana")
    mall.enters("ana", "stride")
    mall.at("15:10")
    assert asked(mall, "ana", "15:05").said["en"] == "In the mall since 15:00, in stride. No journey was running."


def test_without_a_step_every_journey_tells_where_it_was(mall):
    mall.arrives("ana")
    mall.at("12:00")
    assert [(each.journey, each.step, each.reason) for each in asked(mall, "ana", "09:12").answers] == [
        ("birthday", None, "journeys/birthday/start/when/0"),
        ("cafe", None, "no-event"),
        ("day-out", "coffee", "ready"),
    ]


def test_what_happened_later_is_not_known_then(mall):
    mall.arrives("ana")
    before = None
    for hour in ("09:15", "12:00", "16:00"):
        mall.at(hour)
        told = asked(mall, "ana", "09:12")
        assert before in (None, told)
        before = told


def test_an_edit_of_the_book_does_not_change_what_was_so(mall):
    mall.arrives("ana")
    mall.at("09:15")
    told = asked(mall, "ana", "09:12")
    mall.at("10:00")
    mall.restart(parse_book(CHAIN.replace("present: 10m", "present: 5m"), mall.mall))
    assert asked(mall, "ana", "09:12").answers == told.answers


def test_every_answer_is_in_words_of_both_languages(mall):
    mall.join("bo", birthday="11-21")
    mall.join("gus", holdout=True)
    for name in ("ana", "bo", "gus"):
        mall.arrives(name)
        mall.enters(name, "cafe-luna")
    mall.at("16:00")
    for hour in ("09:00", "09:05", "09:12", "10:30", "11:32", "12:20", "15:00"):
        for name in ("ana", "bo", "gus"):
            found = asked(mall, name, hour)
            for said in (found.said, *(answer.said for answer in found.answers)):
                assert re.search("[a-z]", said["en"]) and not re.search("[\u4e00-\u9fff]", said["en"])
                assert re.search("[\u4e00-\u9fff]", said["zh-Hans"])
