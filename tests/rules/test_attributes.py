"""What the mall knows of its members comes from a file: good lines are taken, bad ones named with the way out."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from engine.access import Access
from engine.app import create_app
from engine.clock import Pace, system_clock
from engine.tables import member
from rules import attributes_api
from rules.attributes import check_columns, import_members
from rules.forgetting import TRACES_KEPT_MS, forget_traces
from rules.lines import NotAFile, read_csv
from rules.past import look_back
from rules.recall import Recall
from rules.tables import former


@pytest.fixture
def members(ledger, tmp_path):
    """Ana and Bo are members; told() reads a file about them."""
    with ledger.write() as tx:
        for id, login in ((1, "ana"), (2, "bo")):
            row = {"id": id, "login": login, "name": login, "language": "en", "created_ms": 0}
            tx.execute(sa.insert(member).values(row))

    def told(text, at_ms=5, **how):
        file = tmp_path / "members.csv"
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        columns, lines = read_csv(file, required=("login",))
        check_columns(columns, file.name)
        return import_members(ledger, lines, at_ms, **how)

    return told


def profile(ledger, id=1):
    with ledger.read() as tx:
        return Recall(ledger).load(tx, [id], 0)[id].standing.profile


def test_attributes_and_profile_are_known_to_decisions(ledger, members):
    report = members("login,tier,points,language,birthday,home_km\nana,gold,120,zh-Hans,02-29,7.5\n")
    assert (report.changed, report.refused) == (1, [])
    told = profile(ledger)
    assert (told.birthday, told.language, told.home_km) == ("02-29", "zh-Hans", 7.5)
    assert dict(told.attributes) == {"tier": "gold", "points": 120.0}


def known(ledger, at_ms):
    """The profile that an explanation of that instant rests on."""
    with ledger.read() as tx:
        found = look_back(ledger, tx, 1, at_ms).standing.profile
    return found.birthday, found.language, dict(found.attributes)


def test_whatever_was_known_at_an_instant_can_be_told_later(ledger, members):
    members("login,tier,birthday\nana,gold,02-29\n", 10)
    members("login,tier,birthday,language\nana,-,03-01,zh-Hans\n", 20)
    assert known(ledger, 9) == (None, "en", {})
    assert known(ledger, 10) == known(ledger, 19) == ("02-29", "en", {"tier": "gold"})
    assert known(ledger, 20) == ("03-01", "zh-Hans", {})


def test_what_was_known_is_forgotten_with_the_traces(ledger, members):
    members("login,tier\nana,gold\n", 10)
    forget_traces(ledger, 11 + TRACES_KEPT_MS)
    with ledger.read() as tx:
        assert tx.execute(sa.select(former.c.name)).all() == []


def test_the_same_file_again_changes_nothing(members):
    text = "login,tier\nana,gold\nbo,silver\n"
    assert members(text).changed == 2
    again = members(text)
    assert (again.changed, again.unchanged) == (0, 2)


def test_a_dry_run_says_what_would_be_and_changes_nothing(ledger, members):
    assert members("login,tier\nana,gold\n", dry_run=True).changed == 1
    assert dict(profile(ledger).attributes) == {}


def test_an_empty_cell_tells_nothing_and_a_hyphen_clears(ledger, members):
    members("login,tier,card\nana,gold,blue\n")
    members("login,tier,card\nana,,-\n")
    assert dict(profile(ledger).attributes) == {"tier": "gold"}


def test_a_number_that_is_a_name_stays_a_text(ledger, members):
    members("login,card\nana,007\n")
    assert dict(profile(ledger).attributes) == {"card": "007"}


def test_the_later_of_two_lines_counts(ledger, members):
    members("login,tier\nana,gold\nana,silver\n")
    assert dict(profile(ledger).attributes) == {"tier": "silver"}


def test_bad_lines_are_named_and_good_ones_kept(ledger, members):
    report = members(
        'login,tier,birthday,home_km,language\nana,"gold\nplus",,,\nzoe,gold,,,\nbo,gold,13-01,,\nbo,gold,,-1,\n'
        "bo,gold,,,fr\nbo,gold\n,gold,,,\nbo,silver,,,\n"
    )
    assert [(one.line, one.says.split(";")[-1].strip()) for one in report.refused] == [
        (5, "write month and day like 11-24, without the year"),
        (6, "write a number from 0 to 20000"),
        (7, "write one of en, zh-Hans"),
        (8, "leave empty ones empty"),
        (9, "name whom the line is about"),
        (4, "members opt in themselves, leave it out"),
    ]
    assert report.changed == 2
    assert profile(ledger, 2).attributes["tier"] == "silver"


def test_semicolons_and_a_mark_at_the_beginning_are_no_hindrance(ledger, members):
    members("\ufefflogin;tier\r\nana;gold\r\n")
    assert profile(ledger).attributes["tier"] == "gold"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name,tier\nana,gold\n", "no column 'login'"),
        ("", "no column 'login'"),
        ("login\nana\n", "nothing is told but login"),
        ("login,Tier!\nana,gold\n", "'Tier!' is no name of an attribute"),
        ("login,tier,tier\nana,a,b\n", "two columns 'tier'"),
        (b"login,tier\nana,\xff\n", "not UTF-8"),
        ("login,tier\nana,\0\n", "not text"),
    ],
)
def test_a_file_of_which_nothing_can_be_taken_is_refused_whole(members, text, says):
    with pytest.raises(NotAFile, match=says):
        members(text)


# -- over HTTP ------------------------------------------------------------------------------------


@pytest.fixture
def http(ledger, members, tmp_path):
    access = Access(b"s" * 32)
    router = attributes_api.routes(ledger, access, Pace(system_clock(), 5, 1.0))
    with TestClient(create_app([router], tmp_path / "none"), base_url="http://mall.test") as client:
        client.key = lambda role, subject: {"Authorization": f"Bearer {access.key(role, subject)}"}
        yield client


def test_another_program_tells_attributes_and_hears_what_was_not_taken(http, ledger):
    lines = [{"login": "ana", "told": {"tier": "gold", "home_km": "7.5"}}, {"login": "zoe", "told": {"tier": "gold"}}]
    told = http.post("/v1/members/attributes", json=lines, headers=http.key("operator", "kim")).json()
    assert (told["changed"], [one["line"] for one in told["refused"]]) == (1, [2])
    assert (profile(ledger).home_km, dict(profile(ledger).attributes)) == (7.5, {"tier": "gold"})


def test_a_shop_tells_nothing_of_members(http):
    lines = [{"login": "ana", "told": {"tier": "gold"}}]
    assert http.post("/v1/members/attributes", json=lines, headers=http.key("shop", "cafe-luna")).status_code == 403


@pytest.mark.parametrize("told", [{}, {"Tier": "gold"}, {"tier": "g\0"}, {"tier": "g" * 65}])
def test_what_cannot_be_an_attribute_is_refused(http, told):
    lines = [{"login": "ana", "told": told}]
    assert http.post("/v1/members/attributes", json=lines, headers=http.key("operator", "kim")).status_code == 422
