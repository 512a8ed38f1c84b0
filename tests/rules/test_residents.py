"""Who is here all day, as staff and fixed devices are, is kept out of marketing: seen, said and taken back."""

from __future__ import annotations

import msgspec
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from fastapi.testclient import TestClient

from engine import problems
from engine.access import Access
from engine.events import VisitEnded, VisitSilent, VisitStarted, dwell_class
from rules.habits import days_away, visits_lately
from rules.residents import residence
from rules.residents_api import routes
from rules.sayings import seen
from rules.standing import Memory, Profile, Standing
from rules.tables import lookup
from rules.times import DAY_MS, HOUR_MS, Calendar
from tests.promoting import instant_ms

CALENDAR = Calendar("Asia/Shanghai")
MORNING_MS = instant_ms("09:00")
BOOK = """\
schema: 1
timezone: Asia/Shanghai
offers:
  coffee: {title: Coffee 10 % off, shops: [cafe-luna], cost: 300, valid: 40m}
limits: {member: [9 per visit]}
journeys:
  day-out:
    priority: 50
    start: {event: visit.started}
    steps:
      - {id: coffee, when: [{present: 10m}], try: [coffee], wait: 25m}
"""


def worked(*hours_of_day: float, visit_h: float | None = None) -> Standing:
    """Somebody who was here for so many hours on each of the days before today, and is now for visit_h."""
    standing = Standing(1)
    for ago, hours in zip(range(len(hours_of_day), 0, -1), hours_of_day, strict=True):
        began_ms, length_ms = MORNING_MS - ago * DAY_MS, int(hours * HOUR_MS)
        standing = standing.after(VisitStarted(f"s{ago}", began_ms, 1, f"v{ago}"))
        standing = standing.after(VisitEnded(f"e{ago}", began_ms + length_ms, 1, f"v{ago}", length_ms, "silent"))
    if visit_h is not None:
        standing = standing.after(VisitStarted("s", MORNING_MS - int(visit_h * HOUR_MS), 1, "v"))
    return standing


def judged(standing: Standing, *, at_ms: int = MORNING_MS) -> tuple[bool, str]:
    return tuple(residence(standing, CALENDAR, at_ms))


@pytest.mark.parametrize(
    ("standing", "resident", "what"),
    [
        (worked(), False, "here for 8h on 0 of 7 days"),
        (worked(3, 3, 3, 3, 3, 3), False, "here for 8h on 0 of 7 days"),
        (worked(9, 9, 9), False, "here for 8h on 3 of 7 days"),
        (worked(9, 0.1, 9, 9, 0.1, 8), True, "here for 8h on 4 of 7 days"),
        (worked(12.5), True, "here for 12h30m at a time"),
        (worked(visit_h=11.9), False, "here for 8h on 1 of 7 days"),
        (worked(visit_h=12), True, "here for 12h at a time"),
    ],
)
def test_twelve_hours_at_a_time_or_eight_on_most_days_are_no_shopping(standing, resident, what):
    assert judged(standing) == (resident, what)


def test_a_break_at_noon_does_not_hide_a_days_work():
    standing = Standing(1)
    for ago in range(4, 0, -1):
        for number, from_h in enumerate((0, 5)):
            key, began_ms = f"{ago}{number}", MORNING_MS - ago * DAY_MS + from_h * HOUR_MS
            standing = standing.after(VisitStarted("s" + key, began_ms, 1, key))
            standing = standing.after(VisitEnded("e" + key, began_ms + 4 * HOUR_MS, 1, key, 4 * HOUR_MS, "silent"))
    assert judged(standing) == (True, "here for 8h on 4 of 7 days")


def test_silence_is_no_presence():
    silent = worked(visit_h=12).after(VisitSilent("q", MORNING_MS, 1, "v", MORNING_MS - 2 * HOUR_MS))
    assert judged(silent)[0] is False


def test_a_week_later_it_is_over():
    assert judged(worked(9, 9, 9, 9), at_ms=MORNING_MS + 7 * DAY_MS)[0] is False


@pytest.mark.parametrize(("said", "standing"), [("yes", worked()), ("no", worked(visit_h=20))])
def test_the_mall_has_the_last_word(said, standing):
    told = standing._replace(profile=Profile(attributes={"resident": said}))
    assert judged(told) == (said == "yes", f"resident: {said}")


def test_lengths_of_visits_are_forgotten_after_a_week():
    assert len(worked(*[1.0] * 30).memory.lasted_ms) <= 8


def test_what_is_remembered_goes_to_text_and_back():
    memory = worked(9, 9).memory
    assert msgspec.json.decode(msgspec.json.encode(memory), type=Memory) == memory


@pytest.mark.parametrize("what", [judged(worked(12.5))[1], judged(worked(9, 9))[1], "resident: yes", "resident: no"])
def test_what_was_seen_is_said_in_chinese_too(what):
    assert seen(what)["zh-Hans"] != what


# -- the whole way --------------------------------------------------------------------------------


@pytest.fixture
def story(open_story):
    story = open_story(BOOK, opens="08:00")
    story.join("ana")
    return story


def kinds(story) -> list[str]:
    with story.ledger.read() as tx:
        told = [record.event for record in story.ledger.since(tx, 0, 1_000)]
    return [type(one).__name__ for one in told if type(one).__name__.startswith("Became")]


def four_days_of_work(story) -> None:
    for day in ("17", "18", "19", "20"):
        story.now_ms = instant_ms("09:00", f"2026-11-{day}")
        story.arrives("ana")
        story.turn(9 * HOUR_MS)
        story.goes_home("ana")


def test_who_works_here_is_told_and_given_nothing(story):
    four_days_of_work(story)
    assert kinds(story) == ["BecameResident"]
    given = len(story.given("ana"))
    story.at("09:00")
    story.arrives("ana")
    story.turn(HOUR_MS)
    assert len(story.given("ana")) == given
    assert story.decisions("ana")[-1] == ("withheld", "resident")
    assert story.trace("ana")["resident"] == "here for 8h on 4 of 7 days"


def test_who_no_longer_works_here_is_given_offers_again(story):
    four_days_of_work(story)
    story.now_ms = instant_ms("10:00", "2026-12-05")
    story.arrives("ana")
    assert kinds(story) == ["BecameResident", "BecameVisitor"]
    story.turn(HOUR_MS)
    assert story.wallet("ana") or story.given("ana")[-1] == "coffee"
    assert story.decisions("ana")[-1][1] != "resident"


def test_a_restart_tells_it_no_second_time(story):
    four_days_of_work(story)
    story.restart()
    story.at("09:00")
    story.arrives("ana")
    assert kinds(story) == ["BecameResident"]


def test_operators_see_who_is_kept_out_and_shops_do_not(story):
    four_days_of_work(story)
    access, app = Access(b"secret"), FastAPI()
    problems.install(app)
    app.include_router(routes(story.ledger, access, lambda: story.now_ms))
    http = TestClient(app)

    def ask(role: str, who: str):
        return http.get("/v1/residents", headers={"Authorization": f"Bearer {access.key(role, who)}"})

    (found,) = ask("operator", "demo").json()
    assert (found["member"], found["because"]["en"]) == (story.members["ana"], "here for 8h on 4 of 7 days")
    assert ask("shop", "cafe-luna").status_code == 403
    with story.ledger.read() as tx:
        looks = [tuple(row) for row in tx.execute(sa.select(lookup.c.actor, lookup.c.member, lookup.c.about))]
    assert looks == [("operator:demo", story.members["ana"], "residents")]


# -- repeat visits and classes of stays -----------------------------------------------------------


def test_repeat_visits_are_counted_within_thirty_days():
    standing = worked(1, 1, 1, visit_h=0.5)
    assert (visits_lately(standing, MORNING_MS), days_away(standing, MORNING_MS)) == (4, 0)
    assert visits_lately(standing, MORNING_MS + 29 * DAY_MS) == 2
    assert days_away(worked(1), MORNING_MS + 2 * DAY_MS) == 3


def test_of_a_first_visit_nobody_was_away():
    assert days_away(worked(visit_h=1), MORNING_MS) is None


@pytest.mark.parametrize(
    ("seconds", "name"), [(0, "pass"), (59, "pass"), (60, "stop"), (299, "stop"), (300, "visit"), (600, "engaged")]
)
def test_stays_have_classes(seconds, name):
    assert dwell_class(seconds * 1_000) == name
