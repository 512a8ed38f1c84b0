"""Versions of the book: drafted, previewed with whom they concern, published by one or two people, rolled back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from rules.changes import diff, raises
from rules.lint import check
from rules.moving import Fate
from rules.reading import parse_book, version_of
from rules.versions import NotSo, Versions
from tests.promoting import Story
from tests.rules.broken_books import GOOD, MALL

NOW_MS = 1_795_233_600_000
DEARER = GOOD.replace("day: 60000", "day: 90000")
OTHER = GOOD + "# another\n"


class Shelf:
    """Versions of one ledger, each call a transaction of its own."""

    def __init__(self, ledger, *, two_people: bool = True) -> None:
        self.ledger, self.versions = ledger, Versions(ledger, MALL, two_people=two_people)

    def draft(self, text: str, author: str = "ana") -> str:
        with self.ledger.write() as tx:
            return self.versions.draft(tx, text, author=author, note="", parent=None, now_ms=NOW_MS)

    def publish(self, text: str, author: str = "ana", **more: object):
        version = self.draft(text, author)
        with self.ledger.write() as tx:
            usual = {"note": "why", "fates": {}, "now_ms": NOW_MS}
            return self.versions.publish(tx, version, author=author, **(usual | more))

    def roll_back(self, author: str = "ana"):
        with self.ledger.write() as tx:
            return self.versions.roll_back(tx, author=author, note="", fates={}, now_ms=NOW_MS)

    def preview(self, text: str, **fates: Fate):
        with self.ledger.read() as tx:
            return self.versions.preview(tx, text, fates)

    @property
    def force(self) -> str:
        with self.ledger.read() as tx:
            return self.versions.text(tx, self.versions.in_force(tx).version)

    def all(self):
        with self.ledger.read() as tx:
            return self.versions.all(tx)


@pytest.fixture
def shelf(ledger) -> Shelf:
    shelf = Shelf(ledger)
    shelf.publish(GOOD)
    return shelf


@contextmanager
def refused(kind: str):
    with pytest.raises(NotSo) as problem:
        yield
    assert problem.value.kind == kind


def test_a_draft_is_kept_with_its_author_and_is_not_in_force(shelf):
    shelf.draft(OTHER, "bo")
    kept = {one.version: one for one in shelf.all()}[version_of(OTHER)]
    assert (kept.author, kept.published, shelf.force) == ("bo", [], GOOD)


def test_a_draft_may_be_as_broken_as_its_author_likes(shelf):
    assert shelf.draft("offers: [") == version_of("offers: [")


def test_a_published_version_is_in_force_with_author_time_and_note(shelf):
    done = shelf.publish(OTHER, "bo").publication
    assert (done.number, done.author, done.note, done.at_ms, shelf.force) == (2, "bo", "why", NOW_MS, OTHER)


def test_a_version_with_errors_is_not_published(shelf):
    with refused("has-errors"):
        shelf.publish(GOOD.replace("cost: 500", "cost: 99999"))


def test_a_version_with_warnings_is_published(shelf):
    text = GOOD.replace("priority: 50", "priority: 90")
    assert check(text, MALL).warnings and shelf.publish(text).publication


def test_what_is_in_force_is_not_published_again(shelf):
    with refused("in-force"):
        shelf.publish(GOOD)


def test_a_version_nobody_kept_is_told_as_such(shelf):
    with refused("no-such-version"), shelf.ledger.read() as tx:
        shelf.versions.text(tx, "0" * 12)


def test_a_publication_is_refused_when_another_came_since_it_was_looked_at(shelf):
    seen = shelf.preview(GOOD).on_top_of
    shelf.publish(OTHER)
    with refused("published-meanwhile"):
        shelf.publish(GOOD + "# third\n", on_top_of=seen)


def test_rolling_back_is_a_publication_of_the_version_before(shelf):
    shelf.publish(OTHER)
    done = shelf.roll_back().publication
    assert (done.number, done.note, shelf.force) == (3, "rolled back", GOOD)


def test_rolling_back_twice_comes_back(shelf):
    shelf.publish(OTHER)
    shelf.roll_back(), shelf.roll_back()
    assert shelf.force == OTHER


def test_there_is_nothing_before_the_first_version(shelf):
    with refused("nothing-before"):
        shelf.roll_back()


# -- two people -----------------------------------------------------------------------------------


def test_a_version_that_may_spend_more_waits_for_a_second_person(shelf):
    outcome = shelf.publish(DEARER, "ana")
    assert (outcome.publication, outcome.raises, shelf.force) == (None, ["budget for a day 60000 to 90000"], GOOD)
    done = shelf.publish(DEARER, "bo").publication
    assert (done.author, done.second, shelf.force) == ("ana", "bo", DEARER)


def test_nobody_is_their_own_second_person(shelf):
    shelf.publish(DEARER, "ana")
    with refused("needs-second"):
        shelf.publish(DEARER, "ana")
    assert shelf.force == GOOD


def test_agreeing_to_what_was_weighed_against_an_older_version_begins_anew(shelf):
    shelf.publish(DEARER, "ana")
    shelf.publish(OTHER, "cy")
    assert shelf.publish(DEARER, "bo").publication is None
    assert shelf.publish(DEARER, "ana").publication.second == "ana"


def test_what_waits_is_listed_as_waiting(shelf):
    shelf.publish(DEARER)
    assert [one.version for one in shelf.all() if one.waits] == [version_of(DEARER)]


def test_a_mall_may_do_without_a_second_person(ledger):
    shelf = Shelf(ledger, two_people=False)
    shelf.publish(GOOD)
    assert shelf.publish(DEARER).publication


def test_spending_less_needs_nobody_else(shelf):
    assert shelf.publish(GOOD.replace("day: 60000", "day: 50000")).publication


def test_going_back_to_what_was_agreed_to_before_needs_nobody_else(shelf):
    shelf.publish(GOOD.replace("day: 60000", "day: 50000"))
    assert shelf.roll_back().publication and shelf.force == GOOD


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("visit: 2500", "visit: 2600", "budget for a visit 2500 to 2600"),
        ("budget: {day: 60000, visit: 2500}", "budget: {visit: 2500}", "no budget for a day any more, 60000 before"),
        ("cost: 120", "cost: 130", "cost of lunch 120 to 130"),
        (", visit: 2500}", ", visit: 2500, expected_redemption: 0.5}", "expected redemption 1 to 0.5"),
    ],
)
def test_each_way_to_spend_more_is_named(shelf, old, new, says):
    seen = shelf.preview(GOOD.replace(old, new))
    assert (seen.raises, seen.needs_second) == ([says], True)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("budget: 5000", "budget: 6000", ["budget for journey day-out 5000 to 6000"]),
        ("    budget: 5000\n", "", ["no budget for journey day-out any more, 5000 before"]),
        ("{cafe-luna: 900}", "{cafe-luna: 950}", ["budget for shop cafe-luna 900 to 950"]),
        ("budget: 5000", "budget: 4000", []),
    ],
)
def test_budgets_of_journeys_and_shops_are_budgets(old, new, says):
    before = GOOD.replace("    priority: 50\n", "    priority: 50\n    budget: 5000\n")
    before = before.replace(", visit: 2500}", ", visit: 2500, shops: {cafe-luna: 900}}")
    assert before.count(old) == 1
    assert raises(parse_book(before, MALL), parse_book(before.replace(old, new), MALL)) == says


def test_a_journey_that_is_gone_spends_nothing_and_needs_no_budget():
    last = GOOD.index("  come-back:")
    budgeted = GOOD + "    budget: 5000\n"
    assert raises(parse_book(budgeted, MALL), parse_book(GOOD[:last], MALL)) == []


# -- previews -------------------------------------------------------------------------------------


def test_a_preview_says_value_by_value_what_changes(shelf):
    text = GOOD.replace("wait: 25m", "wait: 20m").replace("jitter: 5m", "jitter: 5m  # a remark")
    assert [(c.path, c.before, c.after) for c in shelf.preview(text).changes] == [
        ("journeys/day-out/steps/coffee/wait", "25m", "20m")
    ]


def test_a_moved_step_is_a_changed_order_and_nothing_else(shelf):
    text = GOOD.replace("id: coffee", "id: X").replace("id: browse", "id: coffee").replace("id: X", "id: browse")
    paths = {change.path for change in shelf.preview(text).changes}
    assert "journeys/day-out/steps" in paths


def test_two_texts_are_compared_line_by_line():
    assert "+# another" in diff(GOOD, OTHER).splitlines()


@pytest.mark.parametrize(
    ("fates", "kind"),
    [
        ({"night": Fate(fate="stop")}, "no-such-journey"),
        ({"day-out": Fate(fate="move", steps={"coffee": "tea"})}, "no-such-step"),
    ],
)
def test_a_fate_that_makes_no_sense_is_refused(shelf, fates, kind):
    shelf.draft(OTHER)
    with refused(kind), shelf.ledger.read() as tx:
        shelf.versions.preview(tx, OTHER, fates)


def test_of_many_who_publish_at_once_only_one_is_next(shelf):
    texts = [GOOD + f"# {number}\n" for number in range(8)]
    seen = shelf.preview(GOOD).on_top_of

    def attempt(text: str) -> bool:
        try:
            return shelf.publish(text, on_top_of=seen).publication is not None
        except NotSo:
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, texts)) == 1


# -- members on their way, and the file -----------------------------------------------------------

CHAIN = """\
schema: 1
timezone: Asia/Shanghai
offers:
  coffee: {title: Coffee, shops: [cafe-luna], cost: 60, valid: 60m}
limits: {budget: {day: 1000}}
journeys:
  day-out:
    priority: 50
    start: {event: visit.started}
    steps:
      - {id: coffee, when: [{present: 5m}], try: [coffee], wait: 30m}
      - {id: lunch, when: [{present: 5h}], try: [coffee], wait: 30m}
"""


@pytest.fixture
def mall(open_story) -> Story:
    """Ana holds a coffee, Bo has just come."""
    story = open_story(CHAIN)
    story.arrives("ana")
    story.at("09:06")
    story.arrives("bo")
    return story


def previewed(mall: Story, text: str, **fates: Fate):
    versions = Versions(mall.ledger, mall.mall, two_people=True)
    with mall.ledger.read() as tx:
        (one,) = versions.preview(tx, text, {key.replace("_", "-"): fate for key, fate in fates.items()}).concerned
    return one


def test_a_preview_counts_the_members_concerned(mall):
    one = previewed(mall, CHAIN + "# new\n")
    assert (one.journey, one.running, one.holding, one.removed, one.ending) == ("day-out", 2, 1, {}, 0)


def test_a_preview_counts_those_in_a_step_that_is_gone(mall):
    one = previewed(mall, CHAIN.replace("id: coffee", "id: tea"))
    assert one.removed == {"coffee": 2}


def test_a_preview_counts_whose_run_would_end(mall):
    renamed = CHAIN.replace("id: coffee", "id: tea").replace("id: lunch", "id: dinner")
    assert previewed(mall, renamed, day_out=Fate(fate="move")).ending == 2
    assert previewed(mall, renamed, day_out=Fate(fate="move", steps={"lunch": "dinner"})).ending == 0
    assert previewed(mall, CHAIN + "# new\n", day_out=Fate(fate="stop")).ending == 2


def test_whoever_is_under_an_even_older_version_is_counted_too(mall):
    mall.publish(CHAIN + "# two\n")
    assert previewed(mall, CHAIN + "# three\n").running == 2


def test_a_new_file_is_published_at_the_next_start(mall):
    mall.restart(parse_book(CHAIN + "# newer\n", mall.mall))
    assert mall.promotion.book.text.endswith("# newer\n")


def test_a_file_that_was_published_before_does_not_undo_what_came_since(mall):
    mall.publish(CHAIN + "# by an operator\n")
    mall.restart(parse_book(CHAIN, mall.mall))
    assert mall.promotion.book.text.endswith("# by an operator\n")
