"""A version is published while members are in the middle of a journey: they finish the old one, move, or stop."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rules import tables
from rules.promote import Promotion
from rules.reading import parse_book
from rules.source import SourceError
from tests.promoting import Story

OFFERS = """\
schema: 1
timezone: Asia/Shanghai
offers:
  coffee: {title: Coffee, shops: [cafe-luna], cost: 60, valid: 60m}
  cake: {title: Cake, shops: [cafe-luna], cost: 90, valid: 60m}
  lunch: {title: Lunch, shops: [noodle-hut], cost: 120, valid: 60m}
journeys:
  day-out:
    priority: 50
    start: {event: visit.started}
    steps:
"""
COFFEE = "      - {id: coffee, when: [{present: 5m}], try: [coffee, cake], wait: 30m}\n"
LUNCH = "      - {id: lunch, when: [{present: 5m}], try: [lunch], wait: 30m}\n"
BOOK = OFFERS + COFFEE + LUNCH


@pytest.fixture
def mall(ledger, demo_mall):
    """Ana came at nine and was given a coffee at five past, on each database."""
    story = Story(ledger, parse_book(BOOK, demo_mall), demo_mall)
    story.arrives("ana")
    story.at("09:05")
    assert story.wallet("ana") == ["coffee"]
    return story


def test_whoever_is_on_the_way_finishes_the_old_version_by_default(mall):
    mall.publish(BOOK.replace("wait: 30m", "wait: 10m"))
    assert mall.at("09:20").wallet("ana") == ["coffee"]
    assert mall.at("09:35").wallet("ana") == ["cake"]


def test_whoever_comes_later_begins_under_the_new_version(mall):
    mall.publish(BOOK.replace("try: [coffee, cake]", "try: [lunch]"))
    mall.arrives("bo")
    mall.at("09:10")
    assert mall.wallet("bo") == ["lunch"]


def test_a_shortened_wait_counts_from_when_the_offer_was_given(mall):
    mall.at("09:10").publish(BOOK.replace("wait: 30m", "wait: 10m"), day_out="move")
    assert mall.at("09:14").wallet("ana") == ["coffee"]
    assert mall.at("09:15").wallet("ana") == ["cake"]


def test_a_wait_that_is_over_under_the_new_version_ends_at_once(mall):
    mall.at("09:20").publish(BOOK.replace("wait: 30m", "wait: 10m"), day_out="move")
    assert mall.wallet("ana") == ["cake"]


def test_a_lengthened_wait_goes_on(mall):
    mall.publish(BOOK.replace("wait: 30m", "wait: 50m"), day_out="move")
    assert mall.at("09:54").wallet("ana") == ["coffee"]
    assert mall.at("09:55").wallet("ana") == ["cake"]


def test_a_step_removed_while_a_member_waits_in_it_hands_them_to_the_next(mall):
    mall.at("09:06").publish(OFFERS + LUNCH, day_out="move")
    assert mall.decisions("ana")[-1] == ("withheld", "live-offer")
    assert mall.states("ana") == [("coffee", "issued")], "what was promised stays good"
    mall.redeems("ana", "cafe-luna")
    assert mall.wallet("ana") == ["lunch"]


def test_nothing_left_of_a_journey_ends_it(mall):
    other = LUNCH.replace("id: lunch", "id: dinner")
    mall.publish(OFFERS + other, day_out="move")
    assert mall.decisions("ana")[-1] == ("finished", "step removed")


def test_a_renamed_step_is_the_same_step(mall):
    renamed = OFFERS + COFFEE.replace("id: coffee", "id: espresso").replace("wait: 30m", "wait: 10m") + LUNCH
    mall.publish(renamed, day_out={"coffee": "espresso"})
    assert mall.at("09:15").wallet("ana") == ["cake"]


def test_a_better_offer_taken_away_leaves_the_step_after_its_wait(mall):
    mall.publish(BOOK.replace("try: [coffee, cake]", "try: [coffee]"), day_out="move")
    mall.at("09:35")
    assert ("moved-on", "exhausted") in mall.decisions("ana")


def test_a_new_step_in_front_is_not_gone_back_to(mall):
    first = "      - {id: hello, when: [{present: 1m}], try: [lunch], wait: 5m}\n"
    mall.publish(OFFERS + first + COFFEE + LUNCH, day_out="move")
    assert mall.at("09:35").wallet("ana") == ["cake"]


def test_a_stopped_run_gives_nothing_more_and_takes_nothing_back(mall):
    mall.publish(BOOK + "# changed\n", day_out="stop")
    assert mall.decisions("ana")[-1] == ("finished", "book changed")
    assert mall.at("09:50").states("ana") == [("coffee", "issued")]


def test_a_stopped_journey_does_not_begin_again_in_the_same_visit(mall):
    mall.publish(BOOK + "# changed\n", day_out="stop")
    mall.falls_silent("ana")
    mall.is_heard_again("ana")
    assert mall.at("09:50").given("ana") == ["coffee"]


def test_a_journey_taken_out_goes_on_for_those_who_are_in_it(mall):
    mall.publish(BOOK.replace("day-out", "night-out"))
    assert mall.at("09:35").wallet("ana") == ["cake"]


def test_somebody_moved_can_be_asked_about_under_both_versions(mall):
    mall.publish(BOOK.replace("wait: 30m", "wait: 10m"), day_out="move")
    mall.at("09:20")
    assert len({row["version"] for row in mall.decided("ana")}) == 2


def test_what_becomes_of_members_is_decided_once_for_all_processes(mall):
    other = Promotion(
        mall.ledger, mall.book, mall.promotion._coupons, mall.mall, lambda: mall.now_ms, real_clock=lambda: 7
    )
    mall.publish(BOOK + "# changed\n", day_out="stop")
    before = len(mall.decided("ana"))
    assert (other.round(), other.book.version) == (mall.promotion.seen, mall.promotion.book.version)
    assert len(mall.decided("ana")) == before


def test_a_version_is_taken_up_although_nothing_happens(mall):
    mall.publish(BOOK + "# quiet\n")
    assert mall.promotion.book.text.endswith("# quiet\n")


def test_a_restart_follows_what_was_published_and_not_the_file_it_began_with(mall):
    mall.publish(BOOK + "# newer\n")
    mall.restart()
    assert mall.promotion.book.text.endswith("# newer\n")


def test_a_run_that_was_moved_is_stored_under_its_new_version(mall):
    mall.publish(BOOK + "# moved\n", day_out="move")
    (row,) = mall._rows(tables.instance.select())
    assert row["version"] == mall.promotion.book.version


@pytest.fixture
def elsewhere(mall):
    """An engine whose plan lacks the cinema, which the newest version then speaks of."""
    plan = replace(mall.mall, zones={name: zones for name, zones in mall.mall.zones.items() if name != "cinema"})

    def start() -> Promotion:
        return Promotion(mall.ledger, mall.book, mall.promotion._coupons, plan, lambda: mall.now_ms)

    running = start()
    mall.publish(BOOK.replace("{present: 5m}", "{visited: cinema}", 1))
    return running, start


def test_a_version_that_is_not_on_its_plan_stops_no_running_engine(elsewhere, mall):
    running, _ = elsewhere
    running.round()
    assert running.book.version == mall.book.version


def test_a_version_that_is_not_on_the_plan_is_told_at_the_start(elsewhere):
    _, start = elsewhere
    with pytest.raises(SourceError, match="no zone, kind or tag 'cinema' on the plan"):
        start()
