"""Who is refused for want of room or money waits in a queue, and is asked when there is some, first come first."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from rules import tables
from rules.forgetting import forget_traces
from rules.reading import parse_book
from tests.promoting import Story, instant_ms

BOOK = """\
schema: 1
timezone: Asia/Shanghai
offers:
  coffee: {title: a, shops: [cafe-luna], cost: 300, valid: 30m, visit_bound: true, capacity: "1 now"}
journeys:
  day-out:
    priority: 50
    start: {event: visit.started}
    steps: [{id: coffee, try: [coffee], wait: 20m}]
"""
NAMES = ("ana", "bo", "cy")


@pytest.fixture
def mall(ledger, demo_mall):
    """Ana has the one coffee; Bo was refused at 09:01 and Cy at 09:02. By a changed book, on each database."""

    def begin(old="", new=""):
        story = Story(ledger, parse_book(BOOK.replace(old, new) if old else BOOK, demo_mall), demo_mall)
        for name in NAMES:
            story.arrives(name)
            story.turn(60_000)
        assert having(story) == ["ana"]
        return story

    return begin


def having(story):
    return [name for name in NAMES if story.wallet(name)]


def test_a_redemption_gives_its_room_to_who_was_refused_first(mall):
    story = mall()
    story.redeems("ana", "cafe-luna")
    assert having(story) == ["bo"]
    story.redeems("bo", "cafe-luna")
    assert having(story) == ["cy"]


def test_a_coupon_that_is_void_gives_its_room_away(mall):
    story = mall()
    story.goes_home("ana")
    assert having(story) == ["bo"]


def test_a_coupon_that_runs_out_gives_its_room_away_at_that_instant(mall):
    story = mall()
    assert having(story.at("09:29")) == ["ana"]
    assert having(story.at("09:30")) == ["bo"]


def test_nobody_is_asked_before_there_is_room(mall):
    story = mall()
    story.at("09:29")
    assert story.decisions("bo") == [("started", story.decided("bo")[0]["cause"]), ("withheld", "capacity:coffee")]
    assert story.next_due_ms() == instant_ms("09:30"), "only the coupon's own end"


def test_who_is_not_heard_is_passed_over_and_keeps_the_place(mall):
    story = mall()
    story.falls_silent("bo")
    story.redeems("ana", "cafe-luna")
    assert having(story) == ["cy"]
    story.is_heard_again("bo")
    story.redeems("cy", "cafe-luna")
    assert having(story) == ["bo"]


def test_whoever_goes_home_leaves_the_queue(mall):
    story = mall()
    story.goes_home("bo")
    story.redeems("ana", "cafe-luna")
    assert having(story) == ["cy"]


def test_held_out_members_queue_too_and_take_no_room(ledger, demo_mall):
    text = BOOK.replace("journeys:", "limits: {holdout: {percent: 50, salt: s}}\njourneys:")
    story = Story(ledger, parse_book(text, demo_mall), demo_mall)
    for name in ("ana", "gus", "cy"):
        story.join(name, holdout=name == "gus")
        story.arrives(name)
        story.turn(60_000)
    story.redeems("ana", "cafe-luna")
    assert (story.ghosts("gus"), story.wallet("cy")) == (["coffee"], ["coffee"])


def test_money_that_comes_back_goes_to_who_was_refused_first(mall):
    story = mall(', capacity: "1 now"}\n', "}\nlimits: {budget: {day: 300}}\n")
    story.goes_home("ana")
    assert having(story) == ["bo"]


def test_a_shops_room_is_waited_for_in_the_same_way(mall):
    story = mall(', capacity: "1 now"}\n', "}\nlimits: {capacity: {cafe-luna: 1 now}}\n")
    story.redeems("ana", "cafe-luna")
    assert having(story) == ["bo"]


def test_a_row_that_asks_for_room_is_looked_at_when_there_is_some(mall):
    story = mall("id: coffee, ", "id: coffee, when: [{capacity: {offer: coffee, at_least: 1}}], ")
    story.redeems("ana", "cafe-luna")
    assert having(story) == ["bo"]


def test_a_place_in_the_queue_survives_a_restart(mall):
    story = mall()
    story.restart()
    story.redeems("ana", "cafe-luna")
    assert having(story) == ["bo"]


def test_an_hour_that_counts_no_more_is_asked_for_at_its_instant(mall):
    story = mall("1 now", "1 per 45m")
    assert having(story.at("09:44")) == []
    assert having(story.at("09:45")) == ["bo"]


def test_whoever_is_no_more_leaves_the_queue_with_what_is_forgotten(mall):
    story = mall()
    bo = tables.instance.c.member == story.members["bo"]
    with story.ledger.write() as tx:
        tx.execute(sa.delete(tables.instance).where(bo))
    forget_traces(story.ledger, story.now_ms)
    with story.ledger.read() as tx:
        assert tx.execute(sa.select(tables.waiting.c.member)).scalars().all() == [story.members["cy"]]
    story.redeems("ana", "cafe-luna")
    assert having(story) == ["cy"]


def test_the_queue_is_empty_when_nobody_waits(mall):
    story = mall()
    for name in NAMES:
        story.redeems(name, "cafe-luna")
    with story.ledger.read() as tx:
        assert tx.execute(sa.select(sa.func.count()).select_from(tables.waiting)).scalar_one() == 0
