"""What a till asks of a coupon besides its code: when, at which hours, from which amount on, and whose it is."""

from __future__ import annotations

import pytest

from engine.problems import Problem
from rules.book import Redeem
from rules.redemption import Till
from rules.times import Calendar, Hours

NOON_MS = 1_795_233_600_000  # 12:00 in Shanghai
MINUTE_MS = 60_000
SHOP = "cafe-luna"


@pytest.fixture
def till(ledger, codes):
    return Till(ledger, codes, lambda: Calendar("Asia/Shanghai"))


@pytest.fixture
def give(ledger, coupons, codes, a_coffee):
    def issue(**different):
        with ledger.write() as tx:
            return codes.of(coupons.issue(tx, a_coffee(**different)))

    return issue


@pytest.fixture
def redeem(ledger, till):
    def spend(code, *, shop=SHOP, at_ms=NOON_MS + MINUTE_MS, **more):
        with ledger.write() as tx:
            return till.redeem(tx, shop, code, at_ms, heard_real_ms=7, **more)

    return spend


@pytest.fixture
def validate(ledger, till):
    def ask(code, *, shop=SHOP, at_ms=NOON_MS + MINUTE_MS, **more):
        with ledger.read() as tx:
            return till.validate(tx, shop, code, at_ms, **more)

    return ask


def no(act, *args, **more) -> Problem:
    with pytest.raises(Problem) as refused:
        act(*args, **more)
    return refused.value


def test_a_coupon_is_not_valid_before_its_start(give, redeem):
    code = give(redeem=Redeem(after_ms=10 * MINUTE_MS))
    problem = no(redeem, code, at_ms=NOON_MS + 10 * MINUTE_MS - 1)
    assert (problem.status, problem.type) == (422, "not-yet-valid")
    assert problem.extra == {"path": "offers/coffee/redeem/after", "starts_ms": NOON_MS + 10 * MINUTE_MS}
    assert redeem(code, at_ms=NOON_MS + 10 * MINUTE_MS).offer == "coffee"


@pytest.mark.parametrize(
    "hours, good",
    [("11:00-12:02", True), ("12:01-24:00", True), ("11:00-12:01", False), ("12:02-14:00", False),
     ("22:00-12:02", True), ("12:01-03:00", True), ("12:02-03:00", False), ("22:00-12:01", False)],
)  # fmt: skip
def test_a_coupon_is_good_within_its_hours(give, redeem, validate, hours, good):
    code = give(redeem=Redeem(hours=Hours.read(hours)))
    if good:
        assert (validate(code).offer, redeem(code).offer) == ("coffee", "coffee")
    else:
        problem = no(redeem, code)
        assert (problem.status, problem.type, problem.extra["hours"]) == (422, "outside-hours", hours)
        assert problem.extra["path"] == "offers/coffee/redeem/hours" and no(validate, code).type == "outside-hours"


def test_a_coupon_from_an_amount_on_is_not_spent_below_it(give, redeem):
    code = give(redeem=Redeem(spend_minor=30_000))
    problem = no(redeem, code, amount_minor=29_999)
    assert (problem.status, problem.type) == (422, "condition-failed")
    assert problem.extra == {"path": "offers/coffee/redeem/spend", "spend_minor": 30_000}
    assert redeem(code, amount_minor=30_000).offer == "coffee"


def test_an_amount_nobody_told_does_not_suffice(give, redeem):
    assert no(redeem, give(redeem=Redeem(spend_minor=1))).type == "condition-failed"


def test_an_amount_not_known_yet_is_asked_for_by_the_ticket(give, validate):
    code = give(redeem=Redeem(spend_minor=30_000))
    assert validate(code).spend_minor == 30_000
    assert no(validate, code, amount_minor=100).type == "condition-failed"


def test_another_members_code_is_refused_where_the_till_knows_whom_it_serves(give, redeem, validate):
    code = give(member=7)
    for act in (redeem, validate):
        problem = no(act, code, holder=8)
        assert (problem.status, problem.type, problem.extra) == (403, "wrong-holder", {})
    assert (validate(code, holder=7).offer, redeem(code, holder=7).offer) == ("coffee", "coffee")


def test_a_replaced_coupon_names_the_one_in_its_place(give, redeem, a_coffee):
    code = give()
    give(rung=1, supersedes=a_coffee().id)
    problem = no(redeem, code)
    assert (problem.type, problem.extra["superseded_by"]) == ("void", a_coffee(rung=1).id)


# -- what a member could use --------------------------------------------------------------------------


@pytest.fixture
def qualify(ledger, till):
    def ask(code, *, shop=SHOP, at_ms=NOON_MS + MINUTE_MS):
        with ledger.read() as tx:
            return till.qualify(tx, shop, code, at_ms)

    return ask


def test_a_replaced_code_leads_to_the_coupon_in_its_place(give, qualify, a_coffee):
    old = give()
    give(rung=1, offer="coffee+", supersedes=a_coffee().id)
    assert [(one.offer, one.usable) for one in qualify(old).coupons] == [("coffee+", True)]


def test_what_cannot_be_used_yet_says_why(give, qualify):
    (one,) = qualify(give(redeem=Redeem(after_ms=10 * MINUTE_MS))).coupons
    assert (one.usable, one.because, one.path) == (False, "/problems/not-yet-valid", "offers/coffee/redeem/after")


def test_what_is_for_another_shop_is_none_of_this_shops_business(give, qualify):
    assert qualify(give(), shop="grill-9").coupons == []


def test_nothing_is_left_of_a_coupon_that_is_over(give, qualify, redeem):
    code = give()
    assert qualify(code, at_ms=NOON_MS + 40 * MINUTE_MS).coupons == []
    redeem(code)
    assert qualify(code).coupons == []


def test_asking_changes_nothing(give, qualify, redeem):
    code = give()
    assert qualify(code) == qualify(code) and redeem(code).offer == "coffee"


def test_a_code_nobody_was_given_qualifies_for_nothing(qualify, codes):
    assert no(qualify, codes.of("nobody's")).type == "not-found"
