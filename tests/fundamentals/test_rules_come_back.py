"""Somebody is brought by a clerk, comes, stays away for a month, and comes back: who did it, and what it brought.

Read after the day out. The book is the demo mall's own.
"""

from __future__ import annotations

from secrets import token_bytes

import pytest
import sqlalchemy as sa

from engine.clock import Pace
from rules.brought import brought
from rules.invitations import Invitations, credited
from rules.settlement import settle_shop
from rules.tables import instance
from rules.times import Calendar


@pytest.fixture
def mall(open_story):
    """Ana joined by the code of Kim, who works at the café, and had coffee there on two days of November."""
    mall = open_story(opens="15:00")
    ana = mall.join("ana")
    invitations = Invitations(mall.ledger, {"cafe-luna": "cafe"}, token_bytes)
    with mall.ledger.write() as tx:
        link = invitations.make(tx, "cafe-luna", "Kim", mall.now_ms)
        assert invitations.credit(tx, ana, link.id, mall.now_ms)
    for day in ("2026-11-21", "2026-11-22"):
        mall.at("15:00", day)
        mall.arrives("ana")
        mall.enters("ana", "cafe-luna")
        mall.turn(4 * 60_000)
        mall.leaves("ana")
        mall.goes_home("ana")
    return mall


def a_month_later(mall):
    return mall.at("20:00", "2026-12-23")


def test_nothing_is_said_while_she_is_away_for_less_than_a_month(mall):
    assert mall.at("14:00", "2026-12-22").given("ana") == []


def test_after_a_month_she_is_asked_back_by_what_she_liked(mall):
    assert a_month_later(mall).given("ana") == ["back-coffee"]


def test_it_came_in_the_daytime_and_not_to_everybody_at_once(mall):
    (coupon,) = a_month_later(mall).coupons("ana")
    local = mall.book.calendar.local(coupon["issued_ms"])
    assert 10 <= local.hour < 20 and (local.minute, local.second) != (4, 0)


def test_she_comes_back_and_that_is_what_it_brought(mall):
    a_month_later(mall).arrives("ana")
    with mall.ledger.read() as tx:
        runs = sa.select(instance.c.outcome).where(instance.c.journey == "come-back")
        assert list(tx.execute(runs).scalars()) == ["came back"]
        (counted,) = brought(tx, k=1)
    assert (counted.sent.runs, counted.sent.came_back) == (1, 1)


def test_what_she_spends_then_is_credited_to_who_brought_her_first(mall):
    a_month_later(mall).arrives("ana")
    mall.redeems("ana", "cafe-luna")
    with mall.ledger.read() as tx:
        settled = settle_shop(tx, "cafe-luna", None, Calendar("Asia/Shanghai"), Pace(0, mall.now_ms, 0.0))
    (line,) = settled.lines
    assert (line.offer, line.credit_shop, line.credit_clerk) == ("back-coffee", "cafe-luna", "Kim")


def test_half_a_year_later_she_is_nobodys(mall):
    with mall.ledger.read() as tx:
        assert credited(tx, mall.members["ana"], mall.now_ms) is not None
    mall.at("15:00", "2027-05-21")
    with mall.ledger.read() as tx:
        assert credited(tx, mall.members["ana"], mall.now_ms) is None


def test_she_is_not_asked_back_twice_within_three_months(mall):
    a_month_later(mall).arrives("ana")
    mall.goes_home("ana")
    mall.at("20:00", "2027-02-10")
    assert mall.given("ana").count("back-coffee") == 1
