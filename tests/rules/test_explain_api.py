"""Why and why not over HTTP and on the command line: who may ask, and that every look is on record."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from engine.__main__ import app
from engine.app import create_app
from engine.clock import Pace, system_clock
from engine.plainly import CannotStart
from rules import explain_api, tables
from rules.shelf import Shelf
from tests.conftest import ROOT
from tests.promoting import instant_ms

BOOK = (ROOT / "rules" / "book.yaml").read_text(encoding="utf-8")


@pytest.fixture
def http(mall, access, tmp_path):
    pace = Pace(system_clock(), instant_ms("09:30"), 1.0)
    router = explain_api.routes(
        ledger=mall.ledger, shelf=Shelf(mall.mall), book=lambda: mall.book, access=access, pace=pace
    )
    with TestClient(create_app([router], tmp_path / "none"), base_url="http://mall.test") as client:
        yield client


def as_(access, role, subject):
    return {"Authorization": f"Bearer {access.key(role, subject)}"}


def explained(http, access, mall, **query):
    return http.get(f"/v1/members/{mall.members['ana']}/explain", params=query, headers=as_(access, "operator", "demo"))


def test_an_operator_may_ask_about_a_member(http, access, mall):
    answers = explained(http, access, mall, at="09:04", step="coffee").json()["answers"]
    assert [(one["journey"], one["verdict"]) for one in answers] == [("day-out", "issued")]


def test_every_look_is_on_record(http, access, mall):
    explained(http, access, mall, at="09:04")
    with mall.ledger.read() as tx:
        looks = tx.execute(sa.select(tables.lookup.c.actor, tables.lookup.c.member, tables.lookup.c.about)).all()
    assert looks == [("operator:demo", mall.members["ana"], "explain 2026-11-21 09:04")]


def test_nobody_else_may_ask(http, access, mall):
    path = f"/v1/members/{mall.members['ana']}/explain"
    assert http.get(path).status_code == 401
    for role in ("shop", "member"):
        assert http.get(path, headers=as_(access, role, mall.members["ana"])).status_code == 403


def test_what_is_still_to_come_cannot_be_explained(http, access, mall):
    refused = explained(http, access, mall, at="23:10")
    assert (refused.status_code, refused.json()["type"]) == (422, "/problems/no-such-instant")


def test_an_hour_the_day_does_not_have_is_refused(http, access, mall):
    assert explained(http, access, mall, at="25:10").status_code == 422


def test_a_member_who_is_gone_is_not_found(http, access):
    assert http.get("/v1/members/999/explain", headers=as_(access, "operator", "demo")).status_code == 404


def test_a_member_may_ask_why_they_got_a_coupon(http, access, mall):
    (coupon,) = mall.coupons("ana")
    answer = http.get(f"/v1/wallet/coupons/{coupon['id']}/why", headers=as_(access, "member", mall.members["ana"]))
    assert {"en": "You allow offers made for you.", "zh-Hans": "您同意接收个性化优惠。"} in answer.json()["reasons"]
    assert answer.json()["said"] == {"en": "Given at 09:04: Coffee 10 % off.", "zh-Hans": "09:04 已发放：咖啡九折。"}


def test_a_coupon_of_somebody_else_is_none_of_theirs(http, access, mall):
    (coupon,) = mall.coupons("ana")
    asked = http.get(f"/v1/wallet/coupons/{coupon['id']}/why", headers=as_(access, "member", 99))
    assert asked.status_code == 404


# -- the command line -----------------------------------------------------------------------------


def run(mall, *args):
    file = mall.ledger.database.url.database
    return CliRunner().invoke(app, ["explain", *args], env={"SOJOURN_LEDGER_URL": f"sqlite:///{file}"})


def test_the_command_line_says_why_in_one_sentence_and_what_was_asked_below(mall):
    told = run(mall, "ana", "--at", "09:04", "--step", "coffee").output.splitlines()
    assert told[2] == (
        "day-out/coffee: Given at 09:04: Coffee 10 % off. It was out and unredeemed; waited for until 09:19."
    )
    assert "  + consent to personal offers: granted  [consent]" in told


def test_the_command_line_says_why_not(mall):
    told = run(mall, "ana", "--at", "09:02", "--step", "lunch").output.splitlines()
    assert told[2].startswith(
        "day-out/lunch: Its turn had not come: the chain was at step coffee. Waiting for: present"
    )


def test_the_command_line_speaks_chinese(mall):
    assert "消息及时" in run(mall, "ana", "--at", "09:04", "--language", "zh-Hans").output


def test_the_command_line_gives_json(mall):
    assert json.loads(run(mall, "ana", "--at", "09:04", "--json").output)["local"] == "2026-11-21 09:04"


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["nobody"], "no member 'nobody': name one by id or login"),
        (["ana", "--at", "noon"], "'noon' is no hour of the day; write it like 12:10"),
        (["ana", "--day", "tomorrow"], "--day tomorrow: write it like 2026-11-24"),
        (["ana", "--step", "tea"], "no step 'tea' in the book in force, nor in a run of then; did you mean 'treat'?"),
        (["ana", "--language", "fr"], "--language fr: choose one of en, zh-Hans"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_the_way_out(mall, args, says):
    problem = run(mall, *args).exception
    assert isinstance(problem, CannotStart) and says in str(problem)


@pytest.fixture
def renamed(mall):
    """The file has a step `lunch`, the book in force `midday` in its place; ana's run began under the file's."""
    mall.publish(BOOK.replace("- id: lunch\n", "- id: midday\n").replace("exhausted: lunch", "exhausted: midday"))
    return mall


def test_a_step_of_the_book_in_force_is_known_though_no_run_has_it_yet(renamed):
    assert "No journey had such a step" in run(renamed, "ana", "--at", "09:04", "--step", "midday").output


def test_a_step_of_the_version_a_run_began_with_is_answered_though_the_book_has_it_no_more(renamed):
    assert "day-out/lunch" in run(renamed, "ana", "--at", "09:02", "--step", "lunch").output
