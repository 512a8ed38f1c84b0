"""The crowd walks where one can walk, as people do, and the same again from the same seed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.plan import Plan
from sensors.crowd import Crowd, Doing
from sensors.habits import DAY_MS, HOUR_MS, MINUTE_MS
from sensors.walkers import AWAY_LEVEL
from sensors.walkways import CELL_M, VenueError, Walkways

OPENS_MS = 1_790_000_000_000
SECOND_MS = 1_000
CAFE, CLINIC, RESTAURANT = 2, 4, 5


def crowd_of(mall, seed=1, members=30, others=60, **more):
    return Crowd(mall, seed, members=members, others=others, opens_ms=OPENS_MS, **more)


def live(crowd, minutes, *, from_ms=OPENS_MS, step_ms=SECOND_MS):
    for now_ms in range(from_ms, from_ms + int(minutes * MINUTE_MS) + 1, step_ms):
        yield crowd.step(now_ms)


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**32), step_ms=st.sampled_from([300, 1_000, 2_500]))
def test_nobody_stands_outside_the_outline(mall, seed, step_ms):
    crowd = crowd_of(mall, seed)
    for _ in live(crowd, 15, step_ms=step_ms):
        for index, level in enumerate(mall.levels):
            x_m, y_m = crowd.bodies.xy_m[crowd.bodies.level == index].T
            assert shapely.contains_xy(level.outline, x_m, y_m).all()


def test_levels_change_only_at_ways(mall):
    crowd = crowd_of(mall)
    ends = np.array([(way.x_m, way.y_m) for way in mall.ways if way.kind != "entrance"])
    before, changes = crowd.bodies.level.copy(), 0
    for _ in live(crowd, 40):
        changed = (before != crowd.bodies.level) & (before != AWAY_LEVEL) & (crowd.bodies.level != AWAY_LEVEL)
        away_m = np.hypot(*(crowd.bodies.xy_m[changed][:, None] - ends).transpose(2, 0, 1)).min(axis=1)
        assert (away_m <= 1.5 * CELL_M).all()
        changes += int(changed.sum())
        before = crowd.bodies.level.copy()
    assert changes > 10


def test_a_ride_takes_its_time(mall):
    crowd = crowd_of(mall)
    boarded, rides_ms = {}, []
    for step in live(crowd, 40):
        riding = set(crowd.riding().tolist())
        rides_ms += [step.now_ms - boarded.pop(person) for person in set(boarded) - riding]
        for person in riding:
            boarded.setdefault(person, step.now_ms)
    assert 30_000 <= min(rides_ms) <= max(rides_ms) <= 43_000


def test_people_come_in_and_go_out_by_the_door(mall):
    crowd = crowd_of(mall)
    doors = np.array([(1.0, 18.0), (3.0, 18.0)])
    for step in live(crowd, 90):
        for person in np.concatenate([step.arrived, step.left]):
            assert np.hypot(*(doors - crowd.bodies.xy_m[person]).T).min() <= 2 * CELL_M + 1


def test_nobody_is_faster_than_a_walk(mall):
    crowd, before = crowd_of(mall), None
    for _ in live(crowd, 20):
        if before is not None:
            same = before[0] == crowd.bodies.level
            assert (
                np.hypot(*(crowd.bodies.xy_m - before[1])[same & (crowd.bodies.level >= 0)].T).max(initial=0.0) <= 1.7
            )
        before = crowd.bodies.level.copy(), crowd.bodies.xy_m.copy()


def test_the_same_seed_and_the_same_messages_give_the_same_walk(mall):
    def walk(seed):
        crowd, trace = crowd_of(mall, seed), []
        for step in live(crowd, 12):
            if step.now_ms == OPENS_MS + 6 * MINUTE_MS:
                for person in crowd.present()[:5]:
                    crowd.send(int(person), "petal")
            trace.append((crowd.bodies.level.tobytes(), crowd.bodies.xy_m.tobytes(), step.arrived.tobytes()))
        return trace

    assert walk(3) == walk(3)
    assert walk(3) != walk(4)


def test_the_opening_hour_is_the_liveliest_and_its_first_quarter_above_all(mall):
    crowd = crowd_of(mall, members=400, others=1_200)
    came = Counter()
    for step in live(crowd, 60, step_ms=5_000):
        quarter = (step.now_ms - OPENS_MS) // (15 * MINUTE_MS)
        came["members", quarter] += int((step.arrived < 400).sum())
        came["others", quarter] += int((step.arrived >= 400).sum())
    assert sum(came["members", quarter] for quarter in range(5)) >= 150
    assert sum(came["others", quarter] for quarter in range(5)) >= 450
    assert came["members", 0] >= 75


def test_a_visit_lasts_an_hour_or_a_few(mall):
    crowd, came_ms, visits_ms = crowd_of(mall, members=200, others=0), {}, []
    for step in live(crowd, 12 * 60, step_ms=5_000):
        came_ms |= dict.fromkeys(step.arrived.tolist(), step.now_ms)
        visits_ms += [step.now_ms - came_ms[person] for person in step.left.tolist()]
    tenth, median, most = np.percentile(visits_ms, [10, 50, 90])
    assert 45 * MINUTE_MS < tenth < 90 * MINUTE_MS < median < 150 * MINUTE_MS < most < 260 * MINUTE_MS


def test_everybody_goes_home_at_night_and_most_come_again_the_next_day(mall):
    crowd = crowd_of(mall, members=60, others=0)
    days = [set(), set()]
    for day, came in enumerate(days):
        for step in live(crowd, 13 * 60, from_ms=OPENS_MS + day * DAY_MS, step_ms=10_000):
            came |= set(step.arrived.tolist())
        assert crowd.present().size == 0
    assert [len(came) for came in days] == [54, 54]
    assert len(days[0] & days[1]) > 40


def test_who_should_be_here_when_the_demo_starts_late_comes_soon_but_not_at_once(mall):
    crowd = crowd_of(mall, members=300, others=0)
    came = [step.arrived.size for step in live(crowd, 20, from_ms=OPENS_MS + 2 * HOUR_MS)]
    assert sum(came) > 80
    assert max(came) <= 10


def test_coffee_is_for_the_morning_and_dinner_for_the_evening(mall):
    def guests(opening_hour):
        crowd = crowd_of(mall, members=0, others=300, opening_hour=opening_hour)
        stays = Counter()
        for _ in live(crowd, 60, step_ms=2_000):
            stays.update(crowd.zone[crowd.doing == Doing.STAYING].tolist())
        return stays

    morning, evening = guests(9), guests(18)
    assert morning[CAFE] > 1.5 * evening[CAFE]
    assert evening[RESTAURANT] > 2 * morning[RESTAURANT]


def test_few_choose_a_zone_where_nothing_may_be_advertised(mall):
    crowd, chosen = crowd_of(mall, members=0, others=300), Counter()
    for _ in live(crowd, 90, step_ms=2_000):
        chosen.update(crowd.zone[crowd.doing == Doing.STAYING].tolist())
    assert 0 < chosen[CLINIC] < 0.06 * chosen.total()


def test_who_is_sent_somewhere_goes_there_and_leaves_no_sooner(mall):
    crowd = crowd_of(mall)
    list(live(crowd, 10))
    person = int(crowd.present()[0])
    expected_ms = crowd.walk_ms(person, "noodle-hut")
    crowd.leaves_ms[person] = OPENS_MS + 11 * MINUTE_MS
    crowd.send(person, "noodle-hut", at_least_ms=20 * MINUTE_MS)
    sent_ms = OPENS_MS + 10 * MINUTE_MS
    arrived_ms = next(
        step.now_ms for step in live(crowd, 15, from_ms=sent_ms + SECOND_MS) if crowd.zone_under(person) == RESTAURANT
    )
    assert arrived_ms - sent_ms < expected_ms + 2 * MINUTE_MS
    list(live(crowd, 18, from_ms=arrived_ms + SECOND_MS))
    assert crowd.zone_under(person) == RESTAURANT


def test_every_goal_is_in_reach_of_every_cell_of_its_level(mall):
    ways = Walkways(mall)
    for goal, level in enumerate(ways.goal_level):
        assert all(np.isfinite(ways.far_m(goal, cell)) for cell in np.flatnonzero(ways.walkable[level]))


def test_a_walk_is_no_shorter_than_the_straight_line(mall):
    ways = Walkways(mall)
    cells = np.flatnonzero(ways.walkable[0])
    straight_m = np.hypot(*(ways.centres_m[cells] - ways.centres_m[ways.goal_cell[0]]).T)
    assert all(ways.far_m(0, int(cell)) >= line_m - 1e-3 for cell, line_m in zip(cells, straight_m, strict=True))


def test_a_mall_without_a_door_is_refused(mall):
    shut = mall._replace(ways=mall.ways[1:], zones=mall.zones[1:])
    with pytest.raises(VenueError, match="nobody could come in"):
        Walkways(shut)


def test_levels_without_a_way_between_them_are_refused(mall):
    with pytest.raises(VenueError, match="no way leads from level G to level U"):
        Walkways(mall._replace(ways=mall.ways[:1]))


def test_the_demo_mall_can_be_walked():
    plan = Plan.read(Path(__file__).parents[2] / "zones.geojson")
    crowd = crowd_of(plan, members=400, others=1_200)
    seen = set()
    for _ in live(crowd, 60, step_ms=2_000):
        seen |= set(crowd.zone[crowd.doing == Doing.STAYING].tolist())
    here = crowd.present()
    assert (here < 400).sum() >= 150
    assert len(set(crowd.bodies.level[here].tolist())) == 3
    assert len(seen) >= 25
