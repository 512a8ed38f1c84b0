"""One instance, walked: values in, values out, no ledger."""

from __future__ import annotations

import msgspec
import pytest

from engine.events import VisitStarted, ZoneEntered
from rules import journey
from rules.book import Mall
from rules.instance import FINISHED, SEEKING, WAITING, Instance
from rules.journey import Issue
from rules.reading import parse_book
from rules.standing import REDEEMED, Exposure, Profile, Standing
from rules.when import Line
from tests.promoting import instant_ms

MINUTE_MS = 60_000
NINE_MS = instant_ms("09:00")
MALL = Mall({"denim": frozenset({"denim"})}, frozenset(), frozenset({"cafe"}))
FRAME = """\
schema: 1
timezone: Asia/Shanghai
offers:
  coffee: {title: a, shops: [cafe], cost: 1, valid: 40m}
  coffee+: {title: b, shops: [cafe], cost: 2, valid: 40m}
  lunch: {title: c, shops: [cafe], cost: 3, valid: 40m}
segments:
  lives-far: {home_km: ">= 20"}
limits: {upgrades: [1 per visit]}
journeys:
  day-out:
    priority: 50
    start: {event: visit.started}
    steps:
"""
COFFEE = '      - {id: coffee, when: [{time: "08:00-11:00"}, {present: 10m}], try: [coffee, coffee+], wait: 25m}\n'
LUNCH = '      - {id: lunch, when: [{time: "11:00-14:00"}], try: [lunch], wait: 30m}\n'


class Run:
    """An instance with its standing and a clock in minutes after nine."""

    def __init__(self, steps: str, *, profile: Profile = Profile(), frame: str = FRAME) -> None:  # noqa: B008
        self.book = parse_book(frame + steps, MALL)
        self.journey = self.book.journeys["day-out"]
        self.now_ms = NINE_MS
        self.notes: list[tuple[str, str]] = []
        event = VisitStarted("v", NINE_MS, 1, "visit")
        self.standing = Standing(1, profile, frozenset({"personal_offers"})).after(event)
        begun, note = journey.enter(self.journey, event, self.standing, self.book, NINE_MS)
        assert note is not None
        self.begun, self.here = note.verdict, begun

    def at(self, minute: float) -> Issue | None:
        """Advance at that minute; an issue is carried out at once."""
        self.now_ms = NINE_MS + int(minute * MINUTE_MS)
        outcome = journey.advance(self.here, self.standing, self.book, self.now_ms)
        self.here = outcome.instance
        self.notes += [(note.verdict, note.because) for note in outcome.notes]
        if outcome.issue:
            self._give(outcome.issue)
        return outcome.issue

    def _give(self, issue: Issue) -> None:
        identity = f"{issue.step}/{issue.rung}"
        if issue.supersedes:
            self.standing = self.standing.ended(issue.supersedes, self.now_ms, "superseded")
        self.standing = self.standing.exposed(
            Exposure(
                identity, 1, "visit", "day-out", self.here.id, issue.step, issue.rung, issue.offer.key, identity,
                issue.ghost, False, self.now_ms, self.now_ms + issue.offer.valid_ms,
            )
        )  # fmt: skip
        self.here, note = journey.issued(self.here, issue, identity, self.now_ms)
        self.notes.append((note.verdict, note.because))

    def redeem(self) -> None:
        self.standing = self.standing.ended(self.here.out, self.now_ms, REDEEMED)

    @property
    def wakes(self) -> float | None:
        return None if self.here.wakes_ms is None else (self.here.wakes_ms - NINE_MS) / MINUTE_MS


def offer_of(issue: Issue | None) -> str | None:
    return issue.offer.key if issue else None


# -- beginning ------------------------------------------------------------------------------------


def test_an_instance_begins_at_the_first_step():
    run = Run(COFFEE + LUNCH)
    assert (run.here.step, run.here.phase, run.here.version) == ("coffee", SEEKING, run.book.version)


def test_the_entry_is_tested_once_when_the_event_comes():
    run = Run(
        COFFEE, frame=FRAME.replace("{event: visit.started}", "{event: visit.started, when: [{birthday: today}]}")
    )
    assert (run.here, run.begun) == (None, "not-started")


def test_another_event_does_not_begin_it():
    run = Run(COFFEE)
    event = ZoneEntered("z", NINE_MS, 1, "visit", "denim", 0.9, NINE_MS)
    assert journey.enter(run.journey, event, run.standing, run.book, NINE_MS) == (None, None)


def test_it_begins_once_in_a_visit():
    run = Run(COFFEE)
    again = run.standing.begun("day-out", NINE_MS)
    assert journey.enter(run.journey, VisitStarted("v", NINE_MS, 1, "visit"), again, run.book, NINE_MS) == (None, None)


def test_once_in_so_many_days_is_told_when_it_holds_back():
    run = Run(COFFEE, frame=FRAME.replace("{event: visit.started}", "{event: visit.started, once: 300d}"))
    before = run.standing.begun("day-out", NINE_MS - 86_400_000)
    _, note = journey.enter(run.journey, VisitStarted("v", NINE_MS, 1, "visit"), before, run.book, NINE_MS)
    assert (note.verdict, note.lines) == (
        "not-started",
        [Line("journeys/day-out/start/once", False, "ran 1d ago")],
    )


# -- steps ----------------------------------------------------------------------------------------


def test_a_step_waits_for_all_of_its_conditions_and_knows_when_to_look_again():
    run = Run(COFFEE)
    assert (offer_of(run.at(0)), run.wakes) == (None, 10)


def test_a_step_that_is_ready_gives_its_first_offer_and_waits():
    run = Run(COFFEE)
    assert (offer_of(run.at(10)), run.here.phase, run.wakes) == ("coffee", WAITING, 35)


def test_nothing_more_happens_before_the_wait_is_over():
    run = Run(COFFEE)
    run.at(10)
    assert (offer_of(run.at(34)), run.wakes) == (None, 35)


def test_the_end_of_the_wait_brings_the_next_offer_in_place_of_the_last():
    run = Run(COFFEE)
    run.at(10)
    issue = run.at(35)
    assert (offer_of(issue), issue.supersedes, issue.rung) == ("coffee+", "coffee/0", 1)


def test_an_offer_that_ran_out_during_the_wait_is_not_superseded_but_followed():
    run = Run(COFFEE.replace("25m", "45m"))
    run.at(10)
    assert run.at(55).supersedes is None


def test_when_no_offer_is_left_the_next_step_has_its_turn():
    run = Run(COFFEE + LUNCH)
    for minute in (10, 35, 60):
        run.at(minute)
    assert (run.here.step, run.here.phase, run.wakes) == ("lunch", SEEKING, 120)


def test_a_redemption_leads_on_at_once():
    run = Run(COFFEE + LUNCH.replace("11:00-", "08:00-"))
    run.at(10)
    run.redeem()
    assert offer_of(run.at(12)) == "lunch"


def test_after_the_last_step_the_journey_has_run_its_course():
    run = Run(COFFEE)
    run.at(10)
    run.redeem()
    run.at(12)
    assert (run.here.phase, run.here.outcome, run.wakes) == (FINISHED, "redeemed", None)


def test_a_closed_window_is_skipped_and_the_next_step_looked_at_in_the_same_breath():
    run = Run(COFFEE + LUNCH)
    assert offer_of(run.at(125)) == "lunch"
    assert run.notes[0] == ("skipped", "journeys/day-out/steps/0/when/0")


def test_a_window_about_to_close_on_an_unready_step_is_a_deadline_too():
    run = Run(COFFEE.replace("present: 10m", "visited: denim") + LUNCH)
    run.at(1)
    assert run.wakes == 120


def test_a_step_has_patience_of_its_own():
    run = Run(COFFEE.replace("present: 10m", "visited: denim").replace("wait:", "skip_after: 20m, wait:") + LUNCH)
    run.at(1)
    assert run.wakes == 20
    run.at(20)
    assert (run.here.step, run.notes[-2]) == ("lunch", ("skipped", "patience"))


def test_a_redeemed_step_may_lead_elsewhere():
    run = Run(COFFEE.replace("wait:", "redeemed: dinner, wait:") + LUNCH + LUNCH.replace("id: lunch", "id: dinner"))
    run.at(10)
    run.redeem()
    run.at(12)
    assert run.here.step == "dinner"


def test_the_first_arm_that_fits_is_taken():
    arms = (
        "      - id: home\n        choose:\n"
        "          - {when: [{segment: lives-far}], try: [lunch], wait: 5m}\n          - {try: [coffee], wait: 5m}\n"
    )
    near, far = Run(arms), Run(arms, profile=Profile(home_km=70.0))
    assert (offer_of(near.at(0)), offer_of(far.at(0))) == ("coffee", "lunch")


def test_the_arm_taken_is_kept_for_the_better_offers():
    arms = (
        "      - id: home\n        choose:\n"
        "          - {when: [{visited: denim}], try: [lunch], wait: 5m}\n"
        "          - {try: [coffee, coffee+], wait: 5m}\n"
    )
    run = Run(arms)
    run.at(0)
    run.standing = run.standing.after(ZoneEntered("z", NINE_MS, 1, "visit", "denim", 0.9, NINE_MS))
    assert offer_of(run.at(5)) == "coffee+"


def test_jitter_spreads_members_over_its_length_but_not_one_member_over_time():
    run = Run(COFFEE.replace("wait:", "jitter: 20m, wait:"))
    run.at(10)
    starts = run.wakes
    run.at(11)
    assert (run.wakes, 10 <= starts < 30, offer_of(run.at(starts))) == (starts, True, "coffee")


def test_too_many_upgrades_end_the_step():
    run = Run(COFFEE + COFFEE.replace("id: coffee", "id: more") + LUNCH)
    for minute in (10, 35, 60, 75, 100):
        run.at(minute)
    assert ("moved-on", "no upgrade left") in run.notes and run.here.step == "lunch"


# -- from outside ---------------------------------------------------------------------------------


def test_who_is_refused_for_money_waits_in_the_queue_for_it():
    run = Run(COFFEE)
    outcome = journey.advance(run.here, run.standing, run.book, NINE_MS + 10 * MINUTE_MS)
    now_ms, midnight_ms = NINE_MS + 10 * MINUTE_MS, NINE_MS + 15 * 60 * MINUTE_MS
    after, note = journey.refused(outcome.instance, outcome.issue, "budget:day", run.book, now_ms, midnight_ms)
    assert (after.queued, note.because) == (("budget:day", now_ms), "budget:day")


def test_no_money_for_a_better_offer_ends_the_step():
    run = Run(COFFEE + LUNCH)
    run.at(10)
    outcome = journey.advance(run.here, run.standing, run.book, NINE_MS + 35 * MINUTE_MS)
    after, note = journey.refused(outcome.instance, outcome.issue, "budget:day", run.book, NINE_MS + 35 * MINUTE_MS)
    assert (after.step, note.verdict) == ("lunch", "moved-on")


def test_a_paused_instance_keeps_its_place_and_sets_no_deadline():
    run = Run(COFFEE)
    run.at(1)
    after, note = journey.paused(run.here, "birthday")
    assert (after.step, after.wakes_ms, note.because) == ("coffee", None, "paused by birthday")
    assert journey.paused(after, "birthday") == (after, None)


def test_joining_goes_forward():
    run = Run(COFFEE + LUNCH)
    after, _ = journey.joined(run.here, "lunch", "birthday", run.book, NINE_MS)
    assert after.step == "lunch"
    assert journey.joined(after, "coffee", "birthday", run.book, NINE_MS) == (after, None)


def test_an_instance_reads_back_from_the_ledger_as_it_was():
    run = Run(COFFEE)
    run.at(10)
    assert msgspec.json.decode(msgspec.json.encode(run.here), type=Instance) == run.here


@pytest.mark.parametrize("minute", range(0, 130, 5))
def test_advancing_twice_at_one_moment_changes_nothing_the_second_time(minute):
    run = Run(COFFEE + LUNCH)
    run.at(minute)
    before, notes = run.here, list(run.notes)
    assert run.at(minute) is None
    assert (run.here, run.notes) == (before, notes)


# -- better offers only when they are worth it; steps that give way ---------------------------------

CHOOSY = COFFEE.replace("wait: 25m", "wait: 25m, upgrade_if: [{visited: denim}]")


def test_a_better_offer_follows_only_if_it_is_wanted():
    run = Run(CHOOSY + LUNCH)
    run.at(10), run.at(35)
    assert (run.here.step, run.notes[-2]) == ("lunch", ("moved-on", "no upgrade wanted"))


def test_a_better_offer_follows_when_what_it_asks_holds():
    run = Run(CHOOSY + LUNCH)
    run.at(10)
    run.standing = run.standing.after(ZoneEntered("z", NINE_MS, 1, "visit", "denim", 0.9, NINE_MS))
    assert offer_of(run.at(35)) == "coffee+"


OPTIONAL = (
    "      - {id: look, when: [{visited: denim}], try: [coffee], wait: 5m, optional: true, skip_after: 2h}\n"
    "      - {id: eat, when: [{present: 20m}], try: [lunch], wait: 30m}\n"
)


def test_an_optional_step_gives_way_as_soon_as_the_next_is_ready():
    run = Run(OPTIONAL)
    assert (run.at(0), run.wakes) == (None, 20)
    assert (offer_of(run.at(20)), run.notes[1]) == ("lunch", ("skipped", "gave way"))


def test_an_optional_step_that_is_ready_first_is_not_passed_over():
    run = Run(OPTIONAL)
    run.standing = run.standing.after(ZoneEntered("z", NINE_MS, 1, "visit", "denim", 0.9, NINE_MS))
    assert offer_of(run.at(25)) == "coffee"


def test_a_step_that_is_not_optional_holds_the_chain_up():
    run = Run(OPTIONAL.replace("optional: true, ", ""))
    assert (run.at(20), run.here.step) == (None, "look")
