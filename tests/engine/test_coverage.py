"""What the sensors' geometry promises of each zone, and what operators are told to do about it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from shapely import box

from engine import problems
from engine.access import Access
from engine.coverage import ENOUGH, cover
from engine.covering import covered, lines, routes
from engine.plan import Zone
from engine.radio import Radio
from engine.tuning import Tuning


def covers(plan, seed: int = 1):
    return {one.zone: one for one in cover(plan, Radio.of(plan), Tuning(), np.random.default_rng(seed))}


@pytest.fixture(scope="module")
def found(plan):
    return covers(plan)


@pytest.fixture(scope="module")
def stall(plan):
    """The mall with a stall of 4 m in the café that has no sensor of its own."""
    tiny = Zone("stall", "L1", {"en": "Stall", "zh-Hans": "小摊"}, "shop", box(1, 1, 5, 5))
    return replace(plan, zones=(*plan.zones, tiny))


def test_every_zone_is_told_of_in_the_order_of_the_plan(found, plan):
    assert list(found) == [zone.key for zone in plan.zones]
    assert all(0 <= one.hit <= 1 and one.median_m > 0 for one in found.values())


def test_the_same_draw_gives_the_same_answer(plan, found):
    assert covers(plan) == found


def test_a_large_zone_with_a_sensor_is_supported_and_a_stall_in_it_is_not(stall):
    found = covers(stall)
    assert found["books-L1"].supported and not found["stall"].supported
    assert (found["stall"].rival, round(found["stall"].short_side_m)) == ("cafe-L1", 4)


def test_a_mall_without_sensors_on_a_level_supports_nothing_there(plan):
    bare = replace(plan, sensors=tuple(sensor for sensor in plan.sensors if sensor.level == "L1"))
    found = covers(bare)
    assert max(found[zone.key].hit for zone in bare.zones if zone.level == "L2") < ENOUGH
    assert found["cafe-L1"].hit > found["cafe-L2"].hit


def test_where_nobody_is_heard_nothing_is_hit(plan):
    silent = Radio.of(plan)
    silent = silent._replace(mean_dbm=silent.mean_dbm - 100)
    assert {one.hit for one in cover(plan, silent, Tuning(), np.random.default_rng(1))} == {0.0}


def test_an_operator_is_told_what_to_do_in_both_languages(stall):
    told = {one.zone: one for one in covered(stall, Radio.of(stall), Tuning()).zones}
    english, chinese = told["stall"].advice["en"], told["stall"].advice["zh-Hans"]
    assert "add a sensor near (2, 2) m on L1, or merge it with cafe-L1" in english
    assert "加装传感器" in chinese and "cafe-L1" in chinese
    assert told["books-L1"].advice == {}


def test_a_terminal_shows_the_worst_zone_first(stall):
    first, *_ = lines(covered(stall, Radio.of(stall), Tuning()))
    assert "stall" in first and "expected hit" in first


def test_an_operator_asks_over_http_and_a_shop_may_not(stall):
    access, app = Access(b"secret"), FastAPI()
    problems.install(app)
    radio = Radio.of(stall)
    app.include_router(routes(stall, lambda: radio, Tuning(), access))
    http = TestClient(app)

    def ask(role: str, who: str):
        return http.get("/v1/coverage", headers={"Authorization": f"Bearer {access.key(role, who)}"})

    assert ask("operator", "test").json() == covered(stall, radio, Tuning()).model_dump(mode="json")
    assert ask("shop", "cafe").status_code == 403
