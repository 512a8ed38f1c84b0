"""Receipts tell what members spent: once each, to the minor unit, and of nobody else."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from engine.__main__ import app
from engine.access import Access
from engine.app import create_app
from engine.clock import Pace, system_clock
from rules import receipts_api
from rules.lines import Line
from rules.recall import Recall
from rules.receipts import Receipts
from rules.tables import receipt
from rules.times import Calendar
from tests.promoting import Story, instant_ms

SHOPS = ("cafe-luna", "noodle-hut")
SPENDERS = """\
schema: 1
timezone: Asia/Shanghai
offers:
  coffee: {title: Coffee, shops: [cafe-luna], cost: 300, valid: 50m}
  dinner: {title: Dinner, shops: [trattoria], cost: 300, valid: 2h}
journeys:
  day-out:
    priority: 50
    start: {event: visit.started}
    steps:
      - {id: coffee, try: [coffee], wait: 1h}
      - {id: dinner, when: [{spend: {at_least: 5000, within: visit}}], try: [dinner], wait: 1h}
"""


@pytest.fixture
def mall(open_story):
    mall = open_story(SPENDERS, opens="09:00")
    mall.arrives("ana")
    return mall


@pytest.fixture
def receipts(mall):
    return Receipts(mall.ledger, mall.codes, SHOPS, lambda: Calendar("Asia/Shanghai"))


def line(number=1, **different):
    usual = {"shop": "noodle-hut", "receipt": "r1", "at": "2026-11-21 09:30", "amount_minor": "1250", "member": "ana"}
    return Line(number, usual | {"coupon": ""} | different)


def told(mall, receipts, *lines, **how):
    report = receipts.take(lines, mall.now_ms, heard_real_ms=9, **how)
    mall.hear()
    return report


def spent(mall: Story, name="ana"):
    member = mall.members[name]
    with mall.ledger.read() as tx:
        standing = Recall(mall.ledger).load(tx, [member], mall.now_ms)[member].standing
    return [(one.shop, one.amount_minor, one.at_ms) for one in standing.purchases]


def test_a_receipt_by_member_is_known_as_spent(mall, receipts):
    assert told(mall, receipts, line()).changed == 1
    assert spent(mall) == [("noodle-hut", 1250, instant_ms("09:30"))]


def test_a_receipt_by_the_number_of_the_member(mall, receipts):
    told(mall, receipts, line(member=str(mall.members["ana"])))
    assert len(spent(mall)) == 1


def test_a_receipt_by_a_coupon_is_its_holders(mall, receipts):
    (coupon,) = mall.coupons("ana")
    told(mall, receipts, line(member="", coupon=mall.codes.of(coupon["id"]).lower()))
    assert len(spent(mall)) == 1


def test_a_receipt_counts_once_however_often_it_is_told(mall, receipts):
    told(mall, receipts, line(), line(2))
    assert told(mall, receipts, line()).unchanged == 1
    assert len(spent(mall)) == 1


def test_the_same_number_of_another_shop_is_another_receipt(mall, receipts):
    told(mall, receipts, line(), line(shop="cafe-luna"))
    assert len(spent(mall)) == 2


def test_a_receipt_told_otherwise_the_second_time_is_refused(mall, receipts):
    told(mall, receipts, line())
    (refused,) = told(mall, receipts, line(7, amount_minor="1251")).refused
    assert (refused.line, refused.says.split("; ")[1]) == (7, "tell the difference under a number of its own")


def test_money_given_back_is_a_receipt_below_zero(mall, receipts):
    told(mall, receipts, line(), line(receipt="r2", amount_minor="-1250"))
    assert sum(amount for _, amount, _ in spent(mall)) == 0


def test_what_a_till_told_with_the_redemption_is_not_counted_twice(mall, receipts):
    (coupon,) = mall.coupons("ana")
    with mall.ledger.write() as tx:
        code = mall.codes.of(coupon["id"])
        mall.till.redeem(tx, "cafe-luna", code, mall.now_ms, heard_real_ms=6, amount_minor=2000, receipt="r9")
    mall.hear()
    told(mall, receipts, line(shop="cafe-luna", receipt="r9", amount_minor="2100"))
    assert [amount for _, amount, _ in spent(mall)] == [2100]


def test_a_redemption_undone_takes_its_money_along(mall):
    (coupon,) = mall.coupons("ana")
    with mall.ledger.write() as tx:
        code = mall.codes.of(coupon["id"])
        one = mall.till.redeem(tx, "cafe-luna", code, mall.now_ms, heard_real_ms=6, amount_minor=2000)
    mall.hear()
    assert len(spent(mall)) == 1
    with mall.ledger.write() as tx:
        mall.till.restore(tx, "cafe-luna", one.redemption, mall.now_ms, heard_real_ms=6)
    mall.hear()
    assert spent(mall) == []


def test_spending_moves_a_journey_without_any_redemption(mall, receipts):
    mall.at("10:30")
    told(mall, receipts, line(amount_minor="5000", at="2026-11-21 10:30"))
    assert mall.wallet("ana") == ["dinner"]


def test_spending_is_remembered_over_a_restart(mall, receipts):
    told(mall, receipts, line())
    mall.restart()
    assert len(spent(mall)) == 1


def test_nothing_is_kept_of_who_is_no_member(mall, receipts):
    report = told(mall, receipts, line(member="zoe"), line(receipt="r2", member=""), line(receipt="r3", member="999"))
    assert (report.strangers, report.refused) == (3, [])
    with mall.ledger.read() as tx:
        assert tx.execute(sa.select(receipt)).all() == []


def test_nothing_is_kept_of_who_did_not_agree_to_personal_offers(mall, receipts):
    mall.join("bo", consents=("presence",))
    assert told(mall, receipts, line(member="bo")).strangers == 1


def test_a_dry_run_keeps_nothing(mall, receipts):
    assert told(mall, receipts, line(), dry_run=True).changed == 1
    assert spent(mall) == []


@pytest.mark.parametrize(
    ("different", "way_out"),
    [
        ({"shop": "noodle"}, "did you mean 'noodle-hut'?"),
        ({"receipt": "=1+1"}, "use letters, digits and ._:/#-, at most 64"),
        ({"amount_minor": "12.50"}, "write whole minor units, 1250 for 12.50"),
        ({"amount_minor": "1e3"}, "write whole minor units, 1250 for 12.50"),
        ({"at": "yesterday"}, "write it like 2026-11-24 12:10"),
        ({"at": "2027-11-24 12:10"}, "set the till's clock"),
    ],
)
def test_a_bad_line_is_named_with_the_way_out(mall, receipts, different, way_out):
    (refused,) = told(mall, receipts, line(3, **different)).refused
    assert refused.line == 3 and way_out in refused.says


def test_an_hour_that_daylight_saving_repeats_is_read(mall):
    berlin = Receipts(mall.ledger, mall.codes, SHOPS, lambda: Calendar("Europe/Berlin"))
    report = told(mall, berlin, line(at="2026-10-25 02:30"), line(receipt="r2", at="2026-03-29 02:30:15"))
    assert report.changed == 2


# -- over HTTP and on the command line --------------------------------------------------------------


@pytest.fixture
def http(mall, receipts, tmp_path):
    access = Access(b"s" * 32)
    router = receipts_api.routes(receipts=receipts, access=access, pace=Pace(system_clock(), instant_ms("10:00"), 1.0))
    with TestClient(create_app([router], tmp_path / "none"), base_url="http://mall.test") as client:
        client.key = lambda role, subject: {"Authorization": f"Bearer {access.key(role, subject)}"}
        yield client


ONE = {"receipt": "r1", "at": "2026-11-21 09:30", "amount_minor": 1250, "member": "ana"}


def test_a_shop_tells_of_its_own_receipts(http, mall):
    told = http.post("/v1/receipts", json=[ONE], headers=http.key("shop", "noodle-hut"))
    mall.hear()
    assert (told.json()["changed"], len(spent(mall))) == (1, 1)


def test_a_shop_may_not_tell_of_anothers(http):
    told = http.post("/v1/receipts", json=[ONE | {"shop": "cafe-luna"}], headers=http.key("shop", "noodle-hut"))
    assert told.json()["refused"][0]["says"] == "'cafe-luna' is another shop; tell of receipts of noodle-hut only"


def test_an_operator_may_tell_of_any_shop(http):
    told = http.post("/v1/receipts", json=[ONE | {"shop": "cafe-luna"}], headers=http.key("operator", "demo"))
    assert told.json()["changed"] == 1


def test_a_member_may_tell_of_none(http):
    assert http.post("/v1/receipts", json=[ONE], headers=http.key("member", 1)).status_code == 403


def run(mall, tmp_path, kind, text, *args):
    file = tmp_path / "told.csv"
    file.write_text(text)
    env = {"SOJOURN_LEDGER_URL": f"sqlite:///{mall.ledger.database.url.database}", "SOJOURN_DATA_FOLDER": str(tmp_path)}
    return CliRunner().invoke(app, ["import", kind, str(file), *args], env=env)


def test_the_command_line_takes_receipts_and_names_bad_lines(mall, tmp_path):
    text = (
        "shop,receipt,at,amount_minor,member\nnoodle-hut,r1,2026-11-21 09:00,100,ana\nnoodle,r2,2026-11-21 09:00,1,a\n"
    )
    done = run(mall, tmp_path, "receipts", text)
    assert done.exit_code == 1
    mall.hear()
    assert len(spent(mall)) == 1
    assert run(mall, tmp_path, "receipts", text.rpartition("noodle,")[0]).exit_code == 0


def test_the_command_line_takes_attributes(mall, tmp_path):
    assert run(mall, tmp_path, "members", "login,tier\nana,gold\n").exit_code == 0
    assert run(mall, tmp_path, "members", "login,tier\nzoe,gold\n").exit_code == 1
