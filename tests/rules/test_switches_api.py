"""Switches over HTTP and on a terminal: operators stop what must stop, and a shop closes itself at its till."""

from __future__ import annotations

import json
import sys
from contextlib import closing

import pytest

from engine.__main__ import main
from engine.events import PresenceEvent
from engine.ledger import open_ledger
from rules.reading import parse_book
from rules.versions import Versions
from tests.conftest import ROOT
from tests.promoting import instant_ms
from tests.rules.broken_books import GOOD, MALL


def turn(http, site, path, *, who=None, **body):
    return http.put(f"/v1/switches/{path}", headers=who or site.as_("operator", "kim"), json={"is_on": False} | body)


def every(http, site):
    return {
        (one["kind"], one["name"]): one for one in http.get("/v1/switches", headers=site.as_("operator", "kim")).json()
    }


def test_an_operator_switches_the_mall_off_and_says_why(http, site):
    turn(http, site, "mall/mall", reason="wrong prices")
    mall = every(http, site)["mall", "mall"]
    assert (mall["is_on"], mall["reason"], mall["actor"]) == (False, "wrong prices", "operator:kim")


def test_everything_that_can_be_switched_is_listed_and_on_at_first(http, site):
    found = every(http, site)
    for which in (
        ("mall", "mall"),
        ("journey", "day-out"),
        ("offer", "coffee"),
        ("shop", "cafe-luna"),
        ("channel", "inbox"),
    ):
        assert (found[which]["is_on"], found[which]["at_ms"]) == (True, None)


def test_off_until_tomorrow_is_until_the_malls_midnight(http, site):
    answer = turn(http, site, "shop/cafe-luna", until="tomorrow").json()
    assert answer["until_ms"] == instant_ms("00:00", "2026-11-22")


@pytest.mark.parametrize(
    ("until", "ends"),
    [("18:00", "2026-11-21 18:00"), ("09:00", "2026-11-22 09:00"), ("2026-12-24 09:30", "2026-12-24 09:30")],
)
def test_off_until_an_hour_or_a_day(http, site, until, ends):
    day, hour = ends.split()
    assert turn(http, site, "offer/coffee", until=until).json()["until_ms"] == instant_ms(hour, day)


@pytest.mark.parametrize(
    "until", ["yesterday", "25:00", "2026-11-20 09:00", "2026-13-01 09:00", "9999999999d", "0s", " ", "\ud7ff"]
)
def test_an_end_that_is_none_is_refused(http, site, until):
    answer = turn(http, site, "shop/cafe-luna", until=until)
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/no-such-instant")


@pytest.mark.parametrize("path", ["shop/nowhere", "journey/none", "offer/none", "channel/pigeons", "mall/other"])
def test_what_is_not_there_cannot_be_switched_off(http, site, path):
    answer = turn(http, site, path)
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/no-such-switch")


def test_every_turn_stays_on_record(http, site):
    turn(http, site, "journey/day-out", reason="late kitchen")
    turn(http, site, "journey/day-out", is_on=True, who=site.as_("operator", "lee"))
    turns = http.get("/v1/switches/journey/day-out/turns", headers=site.as_("operator", "kim")).json()
    assert [(one["is_on"], one["actor"], one["reason"]) for one in turns] == [
        (True, "operator:lee", ""), (False, "operator:kim", "late kitchen"),
    ]  # fmt: skip


def test_a_shop_closes_and_opens_itself_and_no_other(http, site):
    closing = {"is_open": False, "until": "tomorrow", "reason": "no power"}
    assert http.put("/v1/opening", headers=site.as_cafe, json=closing).json()["is_open"] is False
    shop = every(http, site)["shop", "cafe-luna"]
    assert (shop["is_on"], shop["actor"], shop["reason"]) == (False, "shop:cafe-luna", "no power")
    assert http.put("/v1/opening", headers=site.as_cafe, json={"is_open": True}).json()["is_open"] is True
    assert http.get("/v1/opening", headers=site.as_cafe).json() == {
        "shop": "cafe-luna", "is_open": True, "until_ms": None, "reason": "",
    }  # fmt: skip


@pytest.mark.parametrize("role", ["member", "shop"])
def test_nobody_but_operators_switches_anything(http, site, role):
    who = {"member": site.as_ana, "shop": site.as_cafe}[role]
    assert turn(http, site, "mall/mall", who=who).status_code == 403


def test_nothing_arrives_on_a_channel_that_is_off_until_it_is_on_again(http, site, a_coffee):
    turn(http, site, "channel/inbox")
    site.deliver(a_coffee(member=site.ana))
    turn(http, site, "channel/inbox", is_on=True)
    site.deliver(a_coffee(member=site.ana, step="lunch", offer="lunch"))
    held = http.get("/v1/wallet", headers=site.as_ana).json()["coupons"]
    assert [one["offer"] for one in held] == ["lunch"]


@pytest.fixture
def terminal(tmp_path, monkeypatch, capsys, own_log):
    """Types a command: what it prints, or where it must fail the one line that it ends with."""
    monkeypatch.chdir(ROOT)
    open_ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}", PresenceEvent).close()

    def sojourn(*words, fails=False):
        monkeypatch.setattr(sys, "argv", ["sojourn", "switch", *words, "--data", str(tmp_path)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        assert ended.value.code == (2 if fails else 0), said.err
        return said.err if fails else said.out

    return sojourn


def test_the_command_line_switches_too(terminal):
    closed = terminal("shop", "cafe-luna", "--off", "--until", "tomorrow", "--because", "burst pipe", "--by", "kim")
    assert closed.startswith("shop cafe-luna: off until ") and "(burst pipe; kim)" in closed
    assert terminal() == closed
    assert terminal("shop", "cafe-luna", "--on", "--by", "kim") == "shop cafe-luna: on (kim)\n"
    assert terminal() == "Nothing is switched off.\n"
    assert json.loads(terminal("mall", "--json"))[0]["is_on"] is True


def test_the_command_line_speaks_of_the_mall_as_one(terminal):
    assert terminal("mall", "--off", "--by", "kim") == "mall: off (kim)\n"


def test_a_switch_turns_though_the_file_of_the_book_is_broken_once_one_is_in_force(terminal, tmp_path, monkeypatch):
    with closing(open_ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}", PresenceEvent)) as ledger, ledger.write() as tx:
        Versions(ledger, MALL, two_people=True).take_file(tx, parse_book(GOOD, MALL), 0)
    (tmp_path / "broken.yaml").write_text("schema: [")
    monkeypatch.setenv("SOJOURN_BOOK_PATH", str(tmp_path / "broken.yaml"))
    assert terminal("mall", "--off", "--by", "kim") == "mall: off (kim)\n"


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("pigeons",), "pigeons"),
        (("shop", "nowhere", "--off"), "nowhere"),
        (("shop", "cafe-luna", "--off", "--until", "never"), "never"),
    ],
)
def test_what_cannot_be_switched_is_one_line_that_names_it(terminal, words, named):
    said = terminal(*words, fails=True)
    assert named in said and said.count("\n") == 1
