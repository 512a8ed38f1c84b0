"""A coupon is spent once, by the right shop, in time; a mistake at the till can be undone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from engine.problems import Problem
from rules.budgets import Charge
from rules.codes import Codes
from rules.events import CouponRedeemed, CouponRestored
from rules.idempotency import KEPT_MS, Answers, Request, forget_old
from rules.redemption import UNDO_MS, Till
from rules.tables import budget, coupon, coupon_event, idempotency, redemption
from rules.times import Calendar

NOON_MS = 1_795_233_600_000
MINUTE_MS = 60_000
DAY = Charge("day", "2026-11-21", 600)
SHOP = "cafe-luna"


@pytest.fixture
def till(ledger, codes):
    return Till(ledger, codes, lambda: Calendar("Asia/Shanghai"))


@pytest.fixture
def give(ledger, coupons):
    def issue(new):
        with ledger.write() as tx:
            return coupons.issue(tx, new)

    return issue


@pytest.fixture
def code(give, a_coffee, codes):
    """The code of a coffee coupon given at noon."""
    return codes.of(give(a_coffee(budgets=(DAY,))))


@pytest.fixture
def redeem(ledger, till):
    def spend(typed, *, shop=SHOP, at_ms=NOON_MS + MINUTE_MS, **more):
        with ledger.write() as tx:
            return till.redeem(tx, shop, typed, at_ms, heard_real_ms=7, **more)

    return spend


@pytest.fixture
def restore(ledger, till):
    def undo(redemption_id, *, shop=SHOP, at_ms=NOON_MS + 2 * MINUTE_MS):
        with ledger.write() as tx:
            return till.restore(tx, shop, redemption_id, at_ms, heard_real_ms=8)

    return undo


def no(act, *args, **more) -> Problem:
    with pytest.raises(Problem) as refused:
        act(*args, **more)
    return refused.value


def told(ledger, kind):
    with ledger.read() as tx:
        return [recorded.event for recorded in ledger.since(tx, 0, 1_000) if isinstance(recorded.event, kind)]


def state(ledger) -> str:
    with ledger.read() as tx:
        return tx.execute(sa.select(coupon.c.state).order_by(coupon.c.issued_ms)).scalars().first()


def money(ledger) -> tuple[int, int]:
    with ledger.read() as tx:
        return tuple(tx.execute(sa.select(budget.c.reserved, budget.c.spent)).one())


def standing(ledger) -> int:
    with ledger.read() as tx:
        return tx.execute(sa.select(sa.func.count()).where(redemption.c.restored_ms.is_(None))).scalar_one()


# -- redeeming ----------------------------------------------------------------------------------------


def test_a_good_code_is_redeemed_and_the_journey_is_told(ledger, redeem, code):
    spent = redeem(code, amount_minor=2_400, receipt="R-17")
    assert (spent.offer, spent.shop, spent.redeemed_ms) == ("coffee", SHOP, NOON_MS + MINUTE_MS)
    assert spent.undo_until_ms == spent.redeemed_ms + UNDO_MS
    (event,) = told(ledger, CouponRedeemed)
    assert (event.redemption, event.step, event.amount_minor) == (spent.redemption, "coffee", 2_400)
    assert state(ledger) == "redeemed"


def test_money_set_aside_is_spent_at_full_cost(ledger, give, a_coffee, codes, redeem):
    redeem(codes.of(give(a_coffee(budgets=(DAY,), reserve=15))))
    assert money(ledger) == (0, 60)


def test_a_code_is_good_however_it_is_typed(redeem, code):
    assert redeem(" " + code.lower().replace("-", " ").replace("0", "o").replace("1", "l")).offer == "coffee"


def test_fifty_tills_redeem_one_code_and_one_wins(ledger, redeem, code):
    def try_one(_: int) -> str:
        try:
            return redeem(code).redemption
        except Problem as problem:
            return problem.type

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(try_one, range(50)))
    assert answers.count("already-redeemed") == 49 and standing(ledger) == 1
    assert money(ledger) == (0, 60) and len(told(ledger, CouponRedeemed)) == 1


def test_validating_says_what_redeeming_would_and_changes_nothing(ledger, till, code):
    with ledger.read() as tx:
        ticket = till.validate(tx, SHOP, code, NOON_MS)
    assert (ticket.offer, ticket.expires_ms, state(ledger)) == ("coffee", NOON_MS + 40 * MINUTE_MS, "issued")


# -- refusals -----------------------------------------------------------------------------------------


def test_a_code_nobody_was_given_is_not_found(redeem, code):
    problem = no(redeem, Codes(b"x" * 32, b"y" * 32).of("another"))
    assert (problem.status, problem.type, problem.extra) == (404, "not-found", {"reason": "unknown"})


def test_a_mistyped_code_is_told_before_the_ledger_is_asked(redeem, code):
    slip = ("3" if code[0] != "3" else "4") + code[1:]
    problem = no(redeem, slip)
    assert (problem.status, problem.type, problem.extra) == (404, "not-found", {"reason": "mistyped-check"})


def test_the_shop_that_redeemed_it_learns_when(redeem, code):
    spent = redeem(code)
    problem = no(redeem, code)
    assert (problem.status, problem.type) == (409, "already-redeemed")
    assert (problem.extra["redeemed_ms"], problem.extra["redemption"]) == (spent.redeemed_ms, spent.redemption)


def test_another_shop_learns_only_that_it_was_redeemed(give, a_coffee, codes, redeem):
    code = codes.of(give(a_coffee(shops=("noodle-hut", "grill-9"))))
    redeem(code, shop="noodle-hut")
    problem = no(redeem, code, shop="grill-9")
    assert (problem.type, problem.extra) == ("already-redeemed", {})


@pytest.mark.parametrize("shop", ["cafe", "luna", "cafe-lun_", "%", 'cafe-luna"', "CAFE-LUNB"])
def test_a_shop_the_coupon_is_not_for_learns_nothing_else(redeem, code, shop):
    problem = no(redeem, code, shop=shop)
    assert (problem.status, problem.type, problem.extra) == (403, "wrong-shop", {})


def test_a_coupon_is_good_until_the_instant_it_expires(redeem, code):
    assert redeem(code, at_ms=NOON_MS + 40 * MINUTE_MS - 1).offer == "coffee"


def test_a_coupon_that_ran_out_has_expired_even_before_the_sweep(redeem, code):
    problem = no(redeem, code, at_ms=NOON_MS + 40 * MINUTE_MS)
    assert (problem.status, problem.type, problem.extra) == (410, "expired", {"expires_ms": NOON_MS + 40 * MINUTE_MS})


def test_a_superseded_coupon_says_that_a_newer_one_is_there(give, a_coffee, codes, redeem, code):
    weak = a_coffee().id
    give(a_coffee(rung=1, supersedes=weak))
    problem = no(redeem, code)
    assert (problem.status, problem.type, problem.extra["reason"]) == (410, "void", "superseded")


def test_a_coupon_taken_back_is_void(ledger, coupons, a_coffee, redeem, code):
    with ledger.write() as tx:
        coupons.void(tx, a_coffee().id, NOON_MS, "journey", "visit ended", heard_real_ms=9)
    problem = no(redeem, code)
    assert (problem.status, problem.type, problem.extra["reason"]) == (410, "void", "void")


def test_a_refused_redemption_changes_nothing(ledger, redeem, code):
    no(redeem, code, shop="grill-9")
    assert (state(ledger), money(ledger), standing(ledger)) == ("issued", (60, 0), 0)


# -- undoing ------------------------------------------------------------------------------------------


def test_an_undone_coupon_may_be_redeemed_again(ledger, redeem, restore, code):
    undone = restore(redeem(code).redemption)
    assert (undone.state, state(ledger), money(ledger)) == ("issued", "issued", (60, 0))
    again = redeem(code, at_ms=NOON_MS + 3 * MINUTE_MS)
    assert again.redemption != undone.redemption and len(told(ledger, CouponRedeemed)) == 2


def test_undoing_is_told(ledger, redeem, restore, code):
    spent = redeem(code)
    restore(spent.redemption)
    (event,) = told(ledger, CouponRestored)
    assert (event.redemption, event.state) == (spent.redemption, "issued")


def test_an_undone_coupon_whose_time_is_over_is_void(ledger, redeem, restore, code):
    spent = redeem(code, at_ms=NOON_MS + 39 * MINUTE_MS)
    assert restore(spent.redemption, at_ms=NOON_MS + 41 * MINUTE_MS).state == "void"
    assert (state(ledger), money(ledger)) == ("void", (0, 0))


def test_an_undone_coupon_of_a_member_who_holds_the_next_is_void(ledger, give, a_coffee, redeem, restore, code):
    spent = redeem(code)
    give(a_coffee(step="lunch", issued_ms=NOON_MS + MINUTE_MS))
    assert restore(spent.redemption).state == "void"


def test_a_redemption_is_undone_once(ledger, redeem, restore, code):
    spent = redeem(code)
    was = restore(spent.redemption).restored_ms
    problem = no(restore, spent.redemption)
    assert (problem.status, problem.type, problem.extra) == (409, "already-restored", {"restored_ms": was})


def test_fifty_tills_undo_one_redemption_and_one_does(ledger, redeem, restore, code):
    spent = redeem(code)

    def try_one(_: int) -> str:
        try:
            return restore(spent.redemption).state
        except Problem as problem:
            return problem.type

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(try_one, range(50)))
    assert sorted(answers) == ["already-restored"] * 49 + ["issued"] and money(ledger) == (60, 0)


def test_only_the_last_ten_minutes_can_be_undone(redeem, restore, code):
    spent = redeem(code)
    problem = no(restore, spent.redemption, at_ms=spent.undo_until_ms)
    assert (problem.status, problem.type) == (409, "too-late")


@pytest.mark.parametrize("shop, which", [("grill-9", None), (SHOP, "0" * 24)])
def test_a_shop_undoes_only_what_it_redeemed(redeem, restore, code, shop, which):
    spent = redeem(code)
    assert no(restore, which or spent.redemption, shop=shop).type == "not-found"


def test_every_change_names_the_shop(ledger, redeem, restore, code):
    restore(redeem(code).redemption)
    with ledger.read() as tx:
        lines = [tuple(row) for row in tx.execute(sa.select(coupon_event.c.act, coupon_event.c.actor))]
    assert lines == [("issue", "journey"), ("redeem", "shop:cafe-luna"), ("restore", "shop:cafe-luna")]


# -- asking twice -------------------------------------------------------------------------------------


@pytest.fixture
def ask(ledger, till):
    """Redeem under an idempotency key."""
    answers = Answers(ledger)

    def redeem_once(code, key, *, shop=SHOP, at_ms=NOON_MS, receipt=None):
        request = Request(shop, "redemptions", key, {"code": code, "receipt": receipt})
        act = lambda tx: till.redeem(tx, shop, code, at_ms, heard_real_ms=7, receipt=receipt).model_dump()  # noqa: E731
        return answers.once(request, at_ms, act)

    return redeem_once


def test_the_same_key_and_body_get_the_same_answer(ledger, ask, code):
    first, second = ask(code, "k1"), ask(code, "k1", at_ms=NOON_MS + 5)
    assert (first.status, first.replayed, second) == (200, False, first._replace(replayed=True))
    assert standing(ledger) == 1


def test_the_same_key_with_another_body_is_refused(ask, code):
    ask(code, "k1")
    problem = no(ask, code, "k1", receipt="R-18")
    assert (problem.status, problem.type) == (409, "idempotency-mismatch")


def test_another_key_is_another_request(ask, code):
    ask(code, "k1")
    assert ask(code, "k2").body["type"] == "/problems/already-redeemed"


def test_a_no_is_remembered_too(ask, code):
    first = ask(code, "k1", shop="grill-9")
    assert (first.status, ask(code, "k1", shop="grill-9")) == (403, first._replace(replayed=True))


def test_what_came_before_a_no_is_undone(ledger, till, code):
    def spend_and_refuse(tx):
        till.redeem(tx, SHOP, code, NOON_MS, heard_real_ms=7)
        raise Problem("in-progress", 409, "Not today")

    answer = Answers(ledger).once(Request(SHOP, "redemptions", "k1", {}), NOON_MS, spend_and_refuse)
    assert (answer.status, standing(ledger)) == (409, 0)


def test_keys_belong_to_a_shop(ask, code):
    ask(code, "k1", shop="grill-9")
    assert ask(code, "k1").status == 200


def test_fifty_repeats_at_once_get_one_answer(ledger, ask, code):
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: ask(code, "k1"), range(50)))
    assert {answer.status for answer in answers} == {200} and standing(ledger) == 1
    assert len({answer.body["redemption"] for answer in answers}) == 1
    assert sum(not answer.replayed for answer in answers) == 1


def test_a_key_is_remembered_for_seven_days(ledger, ask, code):
    ask(code, "k1")
    assert ask(code, "k1", at_ms=NOON_MS + KEPT_MS - 1).replayed
    assert not ask(code, "k1", at_ms=NOON_MS + KEPT_MS).replayed


def test_old_keys_are_dropped(ledger, ask, code):
    ask(code, "k1")
    with ledger.write() as tx:
        assert (forget_old(tx, NOON_MS + KEPT_MS - 1), forget_old(tx, NOON_MS + KEPT_MS)) == (0, 1)
        assert tx.execute(sa.select(sa.func.count()).select_from(idempotency)).scalar() == 0
