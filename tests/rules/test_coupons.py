"""Coupons are given once, one at a time, and never with money that is not there."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from engine.events import Moment
from rules.budgets import Charge
from rules.coupons import Refused
from rules.events import CouponExpired, CouponIssued, CouponSuperseded, CouponVoided
from rules.life import ENDS, Act, NotInLife, State, after
from rules.tables import budget, coupon, coupon_event, outbox

NOON_MS = 1_795_233_600_000
MINUTE_MS = 60_000
DAY = Charge("day", "2026-11-21", 600)


@pytest.fixture
def give(ledger, coupons):
    """Issue in a transaction of its own."""

    def issue(new):
        with ledger.write() as tx:
            return coupons.issue(tx, new)

    return issue


@pytest.fixture
def void(ledger, coupons):
    def take_back(coupon_id, *, at_ms=NOON_MS, **more):
        with ledger.write() as tx:
            return coupons.void(tx, coupon_id, at_ms, "journey", "visit ended", heard_real_ms=9, **more)

    return take_back


@pytest.fixture
def sweep(ledger, coupons):
    def expire(now_ms, limit=500):
        with ledger.write() as tx:
            return coupons.expire_due(tx, now_ms, heard_real_ms=9, limit=limit)

    return expire


def states(ledger) -> dict[str, str]:
    with ledger.read() as tx:
        return {row.id: row.state for row in tx.execute(sa.select(coupon.c.id, coupon.c.state))}


def money(ledger) -> dict[str, tuple[int, int]]:
    with ledger.read() as tx:
        rows = tx.execute(sa.select(budget.c.scope, budget.c.reserved, budget.c.spent)).all()
    return {scope: (reserved, spent) for scope, reserved, spent in rows}


def told(ledger) -> list[Moment]:
    with ledger.read() as tx:
        return [recorded.event for recorded in ledger.since(tx, 0, 1_000)]


def queued(ledger) -> list[tuple[str, str]]:
    with ledger.read() as tx:
        return [tuple(row) for row in tx.execute(sa.select(outbox.c.coupon, outbox.c.channel)).all()]


# -- giving -------------------------------------------------------------------------------------------


def test_a_coupon_is_given_with_its_delivery_queued_and_its_event_told(ledger, give, a_coffee):
    new = a_coffee()
    assert give(new) == new.id
    assert queued(ledger) == [(new.id, "inbox")]
    assert told(ledger) == [
        CouponIssued(
            id=told(ledger)[0].id, at_ms=NOON_MS, member=1, visit="visit-1", coupon=new.id, offer="coffee",
            journey="day-out", instance="run-1", step="coffee", rung=0, expires_ms=NOON_MS + 40 * MINUTE_MS,
        )
    ]  # fmt: skip


def test_the_same_step_and_rung_gives_the_same_coupon_once(ledger, give, a_coffee):
    first = give(a_coffee())
    assert give(a_coffee(issued_ms=NOON_MS + 1)) is None
    assert list(states(ledger)) == [first]


def test_a_member_holds_at_most_one_live_coupon(ledger, give, a_coffee):
    give(a_coffee())
    with pytest.raises(Refused, match="live-offer"):
        give(a_coffee(step="lunch"))
    assert len(states(ledger)) == 1 and len(queued(ledger)) == 1


def test_the_database_itself_refuses_a_second_live_coupon(ledger, give, a_coffee):
    give(a_coffee())
    give(a_coffee(member=2))
    with pytest.raises(sa.exc.IntegrityError), ledger.write() as tx:
        tx.execute(sa.update(coupon).values(member=1))


def test_a_coupon_that_ran_out_unswept_stands_in_nobodys_way(ledger, give, a_coffee):
    old = give(a_coffee(expires_ms=NOON_MS + MINUTE_MS))
    new = give(a_coffee(step="lunch", issued_ms=NOON_MS + MINUTE_MS))
    assert states(ledger) == {old: "expired", new: "issued"}


def test_two_coupons_whose_codes_collide_get_different_codes(ledger, give, a_coffee, codes, monkeypatch):
    of = codes.of
    monkeypatch.setattr(codes, "of", lambda coupon_id, turn=0: of("the same", 0) if turn == 0 else of(coupon_id, turn))
    give(a_coffee())
    give(a_coffee(member=2))
    with ledger.read() as tx:
        assert sorted(tx.execute(sa.select(coupon.c.code_turn)).scalars()) == [0, 1]


def test_nothing_readable_of_a_code_is_in_the_ledger(ledger, give, a_coffee, codes):
    code = codes.of(give(a_coffee())).replace("-", "")
    with ledger.read() as tx:
        row = tx.execute(sa.select(coupon)).one()
    assert code[:4] not in repr(row) and row.code_tail == code[-4:]


# -- money --------------------------------------------------------------------------------------------


def test_a_coupon_sets_its_cost_aside(ledger, give, a_coffee):
    give(a_coffee(budgets=(DAY, Charge("visit", "visit-1", 100))))
    assert money(ledger) == {"day": (60, 0), "visit": (60, 0)}


def test_a_coupon_may_set_aside_less_than_its_cost_if_the_book_says_so(ledger, give, a_coffee):
    give(a_coffee(budgets=(DAY,), reserve=15))
    assert money(ledger) == {"day": (15, 0)}


def test_a_budget_that_does_not_suffice_refuses_and_nothing_is_set_aside_elsewhere(ledger, give, a_coffee):
    with pytest.raises(Refused, match="budget:visit"):
        give(a_coffee(budgets=(DAY, Charge("visit", "visit-1", 59))))
    assert (money(ledger), states(ledger), told(ledger), queued(ledger)) == ({}, {}, [], [])


def test_a_raised_cap_holds_from_the_next_coupon_on(ledger, give, a_coffee):
    give(a_coffee(budgets=(DAY._replace(cap=60),)))
    with pytest.raises(Refused, match="budget:day"):
        give(a_coffee(member=2, budgets=(DAY._replace(cap=60),)))
    give(a_coffee(member=2, budgets=(DAY._replace(cap=120),)))
    assert money(ledger) == {"day": (120, 0)}


@pytest.mark.parametrize("end", ["void", "expire"])
def test_money_is_free_again_when_a_coupon_ends_unused(ledger, give, void, sweep, a_coffee, end):
    given = give(a_coffee(budgets=(DAY,), reserve=15))
    void(given) if end == "void" else sweep(NOON_MS + 40 * MINUTE_MS)
    assert money(ledger) == {"day": (0, 0)}


def test_fifty_workers_issue_against_money_for_ten(ledger, give, a_coffee):
    def try_one(member: int) -> str | None:
        try:
            return give(a_coffee(member=member, budgets=(DAY,)))
        except Refused as no:
            assert no.reason == "budget:day"
            return None

    with ThreadPoolExecutor(50) as pool:
        given = [one for one in pool.map(try_one, range(1, 51)) if one is not None]
    assert len(given) == 10 and set(states(ledger)) == set(given) and money(ledger) == {"day": (600, 0)}


def test_fifty_workers_give_one_member_one_coupon(ledger, give, a_coffee):
    def try_one(step: int) -> str | None:
        try:
            return give(a_coffee(step=f"step-{step}", budgets=(DAY,)))
        except Refused as no:
            assert no.reason == "live-offer"
            return None

    with ThreadPoolExecutor(50) as pool:
        given = [one for one in pool.map(try_one, range(50)) if one is not None]
    assert len(given) == 1 and money(ledger) == {"day": (60, 0)}


# -- ending -------------------------------------------------------------------------------------------


def test_a_better_coupon_takes_the_place_of_the_weaker(ledger, give, a_coffee):
    weak = give(a_coffee(budgets=(DAY,)))
    better = give(a_coffee(rung=1, cost=180, supersedes=weak, budgets=(DAY,)))
    assert states(ledger) == {weak: "void", better: "issued"} and money(ledger) == {"day": (180, 0)}
    assert [event.by for event in told(ledger) if isinstance(event, CouponSuperseded)] == [better]


def test_a_better_coupon_without_money_leaves_the_weaker_as_it_was(ledger, give, a_coffee):
    weak = give(a_coffee(budgets=(DAY,)))
    before = told(ledger)
    with pytest.raises(Refused, match="budget:day"):
        give(a_coffee(rung=1, cost=900, supersedes=weak, budgets=(DAY,)))
    assert (states(ledger), money(ledger), told(ledger)) == ({weak: "issued"}, {"day": (60, 0)}, before)


def test_a_coupon_that_is_gone_is_not_superseded(ledger, give, void, a_coffee):
    weak = give(a_coffee())
    void(weak)
    with pytest.raises(Refused, match="superseded-not-live"):
        give(a_coffee(rung=1, supersedes=weak))


def test_a_coupon_is_taken_back_once(ledger, give, void, a_coffee):
    given = give(a_coffee(budgets=(DAY,)))
    assert (void(given), void(given)) == (True, False)
    assert states(ledger) == {given: "void"} and money(ledger) == {"day": (0, 0)}
    assert [event.reason for event in told(ledger) if isinstance(event, CouponVoided)] == ["visit ended"]


def test_a_coupon_expires_at_its_instant_however_late_it_is_noticed(ledger, give, sweep, a_coffee):
    given = give(a_coffee())
    assert sweep(NOON_MS + 40 * MINUTE_MS - 1) == []
    (expired,) = sweep(NOON_MS + 300 * MINUTE_MS)
    assert isinstance(expired, CouponExpired) and expired.at_ms == NOON_MS + 40 * MINUTE_MS
    assert told(ledger)[-1] == expired and states(ledger) == {given: "expired"}


def test_a_sweep_may_be_repeated(ledger, give, sweep, a_coffee):
    give(a_coffee(budgets=(DAY,)))
    late_ms = NOON_MS + 60 * MINUTE_MS
    assert (len(sweep(late_ms)), sweep(late_ms), money(ledger)) == (1, [], {"day": (0, 0)})


def test_a_sweep_takes_the_longest_overdue_first(ledger, give, sweep, a_coffee):
    for member in (1, 2, 3):
        give(a_coffee(member=member, expires_ms=NOON_MS + member * MINUTE_MS))
    assert [event.member for event in sweep(NOON_MS + 60 * MINUTE_MS, limit=2)] == [1, 2]


def test_every_change_of_a_coupon_is_a_line_with_actor_and_reason(ledger, give, void, a_coffee):
    void(give(a_coffee()), at_ms=NOON_MS + 7)
    columns = [coupon_event.c[name] for name in ("act", "at_ms", "actor", "reason")]
    with ledger.read() as tx:
        lines = [tuple(row) for row in tx.execute(sa.select(*columns).order_by(coupon_event.c.seq))]
    assert lines == [("issue", NOON_MS, "journey", "dwelt"), ("void", NOON_MS + 7, "journey", "visit ended")]


# -- the life of a coupon -----------------------------------------------------------------------------


def test_a_coupon_ends_void_or_expired_and_stays_so():
    assert {State.VOID, State.EXPIRED} == ENDS
    for state in ENDS:
        for act in Act:
            with pytest.raises(NotInLife):
                after(state, act)


def test_only_a_redeemed_coupon_can_be_restored():
    assert [state for state in State if state is not State.REDEEMED and _can(state, Act.RESTORE)] == []
    assert after(State.REDEEMED, Act.RESTORE) is State.ISSUED


def _can(state: State, act: Act) -> bool:
    try:
        after(state, act)
    except NotInLife:
        return False
    return True
