"""The desk where somebody is helped with their coupons, over HTTP and on the command line."""

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
from engine.problems import Problem
from rules import coupons_api, tables
from rules.codes import tail
from tests.conftest import ROOT
from tests.promoting import instant_ms


@pytest.fixture
def coffee(mall):
    (coupon,) = mall.coupons("ana", "issued")
    return coupon["id"]


@pytest.fixture
def http(mall, access, tmp_path):
    pace = Pace(system_clock(), instant_ms("09:10"), 1.0)
    desk = coupons_api.Helpdesk(mall.ledger, mall.codes)
    router = coupons_api.routes(mall.ledger, desk, access, pace)
    with TestClient(create_app([router], tmp_path / "none"), base_url="http://mall.test") as client:
        client.headers["Authorization"] = f"Bearer {access.key('operator', 'demo')}"
        yield client


def lines(http, coupon):
    return [(line["act"], line["actor"]) for line in http.get(f"/v1/coupons/{coupon}").json()["lines"]]


def take_back(http, coupon, reason="printed twice"):
    return http.post(f"/v1/coupons/{coupon}/void", json={"reason": reason})


def test_a_member_s_coupons_are_shown_without_their_codes(http, mall, coffee):
    (shown,) = http.get(f"/v1/members/{mall.members['ana']}/coupons").json()
    code = mall.codes.of(coffee)
    assert (shown["offer"], shown["state"], shown["code_tail"]) == ("coffee", "issued", tail(code))
    assert code not in str(shown)


def test_what_became_of_a_coupon_is_told_line_by_line(http, mall, coffee):
    mall.redeems("ana", "cafe-luna")
    assert lines(http, coffee) == [("issue", "journey"), ("redeem", "shop:cafe-luna")]


def test_a_coupon_is_taken_back_with_who_did_it_and_why(http, coffee):
    told = take_back(http, coffee).json()
    assert (told["state"], told["lines"][-1]["actor"], told["lines"][-1]["reason"]) == (
        "void", "operator:demo", "printed twice",
    )  # fmt: skip


def test_what_was_taken_back_holds_no_money_any_more(http, mall, coffee):
    take_back(http, coffee)
    with mall.ledger.read() as tx:
        assert set(tx.execute(sa.select(tables.budget.c.reserved)).scalars()) == {0}


def test_a_till_takes_nothing_that_was_taken_back(http, mall, coffee):
    take_back(http, coffee)
    with pytest.raises(Problem, match="taken back"), mall.ledger.write() as tx:
        mall.till.redeem(tx, "cafe-luna", mall.codes.of(coffee), mall.now_ms, heard_real_ms=6)


def test_the_journey_goes_on_without_what_was_taken_back(http, mall, coffee):
    take_back(http, coffee)
    mall.hear()
    mall.at("13:00")
    assert mall.wallet("ana") and coffee not in [one["id"] for one in mall.coupons("ana", "issued")]


def test_what_is_redeemed_is_not_taken_back_here(http, mall, coffee):
    mall.redeems("ana", "cafe-luna")
    refused = take_back(http, coffee)
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/not-live")
    assert lines(http, coffee)[-1] == ("redeem", "shop:cafe-luna")


@pytest.mark.parametrize("reason", ["", "   ", "\x00"])
def test_nothing_is_taken_back_without_a_reason(http, coffee, reason):
    assert take_back(http, coffee, reason).status_code == 422


def test_a_coupon_that_is_not_there_is_not_found(http):
    assert take_back(http, "none").status_code == http.get("/v1/coupons/none").status_code == 404


def test_a_member_who_is_gone_is_not_found(http):
    assert http.get("/v1/members/999/coupons").status_code == 404


def test_every_look_is_on_record(http, mall, coffee):
    http.get(f"/v1/coupons/{coffee}")
    with mall.ledger.read() as tx:
        looks = tx.execute(sa.select(tables.lookup.c.actor, tables.lookup.c.member, tables.lookup.c.about)).all()
    assert looks == [("operator:demo", mall.members["ana"], "coupons")]


@pytest.mark.parametrize("role", ["shop", "member"])
def test_nobody_but_operators_is_at_the_desk(http, access, mall, coffee, role):
    http.headers["Authorization"] = f"Bearer {access.key(role, str(mall.members['ana']))}"
    for path in (f"/v1/coupons/{coffee}", f"/v1/members/{mall.members['ana']}/coupons"):
        assert http.get(path).status_code == 403
    assert take_back(http, coffee).status_code == 403


# -- the command line -----------------------------------------------------------------------------


@pytest.fixture
def terminal(mall, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    file = mall.ledger.database.url.database

    def sojourn(*words):
        env = {"SOJOURN_LEDGER_URL": f"sqlite:///{file}"}
        return CliRunner().invoke(app, ["coupon", *words, "--data", str(tmp_path / "data")], env=env)

    return sojourn


def test_the_command_line_lists_a_members_coupons(terminal, coffee):
    assert coffee in terminal("list", "ana").output
    assert json.loads(terminal("list", "ana", "--json").output)[0]["offer"] == "coffee"


def test_the_command_line_takes_back_and_shows_it(terminal, coffee):
    terminal("void", coffee, "--because", "printed twice", "--by", "kim")
    assert terminal("show", coffee).output.splitlines()[-1].endswith("kim: printed twice")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("list", "nobody"), "no member 'nobody'"),
        (("show", "none"), "no coupon 'none': `sojourn coupon list MEMBER`"),
        (("void", "none", "--because", "x"), "no coupon 'none'"),
        (("void", "none", "--because", " "), "say why"),
    ],
)
def test_what_cannot_be_shown_is_refused_with_the_way_out(terminal, words, says):
    problem = terminal(*words).exception
    assert isinstance(problem, CannotStart) and says in str(problem)


def test_the_command_line_takes_nothing_back_twice(terminal, coffee):
    terminal("void", coffee, "--because", "printed twice")
    assert "void already" in str(terminal("void", coffee, "--because", "again").exception)
