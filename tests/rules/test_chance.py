"""What is left to chance: drawn once, logged with its probability, otherwise the same machine as if it were sent."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from rules.decide import draw
from rules.tables import decision, exposure
from tests.promoting import instant_ms

BOOK = """\
schema: 1
timezone: Asia/Shanghai
offers:
  coffee: {title: a, shops: [cafe-luna], cost: 300, valid: 40m}
  coffee+: {title: b, shops: [cafe-luna], cost: 900, valid: 30m, chance: UPGRADE}
  lunch: {title: c, shops: [noodle-hut], cost: 300, valid: 40m}
limits:
  member: [2 per visit]
  holdout: {percent: 10, salt: s}
journeys:
  day-out:
    priority: 50
    start: {event: visit.started}
    steps:
      - {id: coffee, chance: FIRST, try: [coffee, coffee+], wait: 20m}
      - {id: lunch, try: [lunch], wait: 20m}
"""
NEVER, ALWAYS = "0.000001", "1"


@pytest.fixture
def cafe(open_story):
    def begin(first=ALWAYS, upgrade=ALWAYS, **who):
        story = open_story(BOOK.replace("FIRST", first).replace("UPGRADE", upgrade))
        story.join("ana", **who)
        story.arrives("ana")
        return story

    return begin


def exposures(story):
    e = exposure.c
    with story.ledger.read() as tx:
        rows = tx.execute(sa.select(e.offer, e.propensity, e.drawn, e.ghost, e.coupon.is_(None)).order_by(e.at_ms))
        return [tuple(row) for row in rows]


def test_what_chance_leaves_out_is_not_sent(cafe):
    story = cafe(first=NEVER)
    assert (story.given("ana"), story.decisions("ana", "coffee")[-1]) == ([], ("chance", "ready"))


def test_the_probability_is_logged_with_the_decision_and_the_exposure_of_both_outcomes(cafe):
    left_out, sent = cafe(first=NEVER), cafe(first="0.999999")
    assert exposures(left_out) == [("coffee", 0.000001, False, True, True)]
    assert exposures(sent) == [("coffee", 0.999999, True, False, False)]
    for story, verdict in ((left_out, "chance"), (sent, "issued")):
        with story.ledger.read() as tx:
            rows = tx.execute(sa.select(decision.c.propensity).where(decision.c.verdict == verdict)).scalars().all()
        assert rows == [exposures(story)[0][1]]


def test_the_trace_tells_the_draw(cafe):
    assert cafe(first=NEVER).trace("ana")["chance"].endswith(" under 1e-06")


def test_a_step_left_out_waits_as_long_as_if_it_had_been_given_and_offers_nothing_better(cafe):
    story = cafe(first=NEVER)
    story.at("09:19")
    assert story.decisions("ana", "lunch") == []
    story.at("10:00")
    assert story.decisions("ana", "coffee")[-1] == ("moved-on", "chance")
    assert story.given("ana") == ["lunch"]


def test_a_better_offer_left_out_leaves_the_first_one_good(cafe):
    story = cafe(upgrade=NEVER)
    story.at("09:25")
    assert story.states("ana") == [("coffee", "issued")]
    assert exposures(story)[1] == ("coffee+", 0.000001, False, True, True)


def test_the_first_one_redeemed_after_all_moves_the_chain_on(cafe):
    story = cafe(upgrade=NEVER)
    story.at("09:25")
    story.redeems("ana", "cafe-luna")
    assert story.decisions("ana", "coffee")[-1] == ("moved-on", "redeemed")


def test_what_was_left_out_counts_for_the_caps_as_if_it_had_been_sent(cafe):
    story = cafe(first=ALWAYS, upgrade=NEVER)
    story.at("11:00")
    assert story.given("ana") == ["coffee"]
    assert story.decisions("ana", "lunch")[-1] == ("withheld", "cap")


def test_a_restart_does_not_draw_again(cafe):
    story = cafe(first="0.5")
    before = exposures(story)
    story.restart()
    story.at("09:10")
    assert exposures(story) == before


def test_held_out_members_are_drawn_for_too(cafe):
    story = cafe(first=NEVER, holdout=True)
    assert story.decisions("ana", "coffee")[-1] == ("chance", "ready")


@given(st.text(max_size=20), st.floats(0.01, 1))
def test_the_same_cause_draws_the_same(cause, chance):
    assert draw(cause, chance, "s") == draw(cause, chance, "s")


def test_draws_are_fair_and_another_salt_draws_anew():
    drawn = [draw(f"run{n}", 0.7, "s")[0] for n in range(20_000)]
    assert abs(sum(drawn) / len(drawn) - 0.7) < 0.015
    others = [draw(f"run{n}", 0.7, "t")[0] for n in range(20_000)]
    both = sum(one and other for one, other in zip(drawn, others, strict=True)) / len(drawn)
    assert abs(both - 0.49) < 0.015


# -- held out: the same machine, with nothing sent ----------------------------------------------------


def test_a_ghost_waits_and_is_bettered_as_a_coupon_is(cafe):
    sent, held_out = cafe(), cafe(holdout=True)
    for story in (sent, held_out):
        story.at("11:00")
    steps = [[(row["step"], row["rung"], row["offer"], row["reason"], row["at_ms"]) for row in story.decided("ana")]
             for story in (sent, held_out)]  # fmt: skip
    assert [one[1:] for one in steps[0][1:]] == [one[1:] for one in steps[1][1:]]
    assert held_out.given("ana") == []


def test_a_ghost_is_held_to_the_budget_it_does_not_draw_on(open_story):
    text = BOOK.replace("FIRST", "1").replace("UPGRADE", "1")
    story = open_story(text.replace("holdout:", "budget: {day: 500}\n  holdout:"))
    story.join("gus", holdout=True)
    story.join("ana")
    story.arrives("ana")
    story.arrives("gus")
    assert story.decisions("gus")[-1] == ("withheld", "budget:day")
    assert story.decided("gus")[-1]["at_ms"] == instant_ms("09:00")
