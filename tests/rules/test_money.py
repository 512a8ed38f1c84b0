"""Whatever happens to coupons, in whatever order: money adds up, and nobody holds two."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.problems import Problem
from rules.budgets import Charge
from rules.coupons import Refused
from rules.life import LIFE
from rules.redemption import Till
from rules.tables import budget, coupon, coupon_event, redemption
from rules.times import Calendar

NOON_MS = 1_795_233_600_000
MINUTE_MS = 60_000
MEMBERS = (1, 2, 3)
CAP = 300
_runs = count()

acts = st.one_of(
    st.tuples(st.just("issue"), st.sampled_from(MEMBERS), st.integers(0, 3), st.sampled_from([60, 120])),
    st.tuples(st.just("upgrade"), st.sampled_from(MEMBERS), st.integers(0, 3), st.sampled_from([120, 250])),
    st.tuples(st.just("redeem"), st.sampled_from(MEMBERS)),
    st.tuples(st.just("restore"), st.sampled_from(MEMBERS)),
    st.tuples(st.just("void"), st.sampled_from(MEMBERS)),
    st.tuples(st.just("sweep")),
    st.tuples(st.just("wait"), st.integers(1, 15)),
)


class Run:
    """One history over members, coupons and a day's budget that no other history shares."""

    def __init__(self, ledger, coupons, codes, a_coffee) -> None:
        self.ledger, self.coupons, self.codes, self.a_coffee = ledger, coupons, codes, a_coffee
        self.till = Till(ledger, codes, lambda: Calendar("Asia/Shanghai"))
        self.number = next(_runs)
        self.now_ms = NOON_MS
        self.charge = Charge("day", f"run-{self.number}", CAP)
        self.redeemed: dict[int, str] = {}

    def member(self, member: int) -> int:
        return self.number * 10 + member

    def new(self, member: int, rung: int, cost: int, supersedes: str | None = None):
        return self.a_coffee(
            member=self.member(member), rung=rung, cost=cost, reserve=cost // 2, budgets=(self.charge,),
            issued_ms=self.now_ms, expires_ms=self.now_ms + 20 * MINUTE_MS, supersedes=supersedes,
        )  # fmt: skip

    def live(self, member: int) -> str | None:
        with self.ledger.read() as tx:
            mine = sa.select(coupon.c.id).where(coupon.c.member == self.member(member), coupon.c.state == "issued")
            return tx.execute(mine).scalar()

    def act(self, what: str, *details: int) -> None:
        with suppress(Refused, Problem):  # a no is an answer; what matters is what it leaves behind
            getattr(self, what)(*details)

    def issue(self, member: int, rung: int, cost: int) -> None:
        with self.ledger.write() as tx:
            self.coupons.issue(tx, self.new(member, rung, cost))

    def upgrade(self, member: int, rung: int, cost: int) -> None:
        with self.ledger.write() as tx:
            self.coupons.issue(tx, self.new(member, rung, cost, supersedes=self.live(member) or "nothing"))

    def redeem(self, member: int) -> None:
        code = self.codes.of(self.live(member) or "nothing")
        with self.ledger.write() as tx:
            spent = self.till.redeem(tx, "cafe-luna", code, self.now_ms, heard_real_ms=1)
        self.redeemed[member] = spent.redemption

    def restore(self, member: int) -> None:
        with self.ledger.write() as tx:
            which = self.redeemed.get(member, "nothing")
            self.till.restore(tx, "cafe-luna", which, self.now_ms, heard_real_ms=1)

    def void(self, member: int) -> None:
        with self.ledger.write() as tx:
            self.coupons.void(tx, self.live(member) or "nothing", self.now_ms, "journey", "x", heard_real_ms=1)

    def sweep(self) -> None:
        with self.ledger.write() as tx:
            self.coupons.expire_due(tx, self.now_ms, heard_real_ms=1)

    def wait(self, minutes: int) -> None:
        self.now_ms += minutes * MINUTE_MS

    def rows(self):
        with self.ledger.read() as tx:
            members = [self.member(member) for member in MEMBERS]
            return tx.execute(sa.select(coupon).where(coupon.c.member.in_(members))).all()

    def money(self) -> tuple[int, int]:
        with self.ledger.read() as tx:
            mine = sa.select(budget.c.reserved, budget.c.spent).where(budget.c.span == self.charge.span)
            return tuple(tx.execute(mine).first() or (0, 0))


any_history = given(history=st.lists(acts, max_size=25))
a_few = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@any_history
@a_few
def test_money_set_aside_is_that_of_live_coupons_and_money_spent_that_of_standing_redemptions(
    ledger, coupons, codes, a_coffee, history
):
    run = Run(ledger, coupons, codes, a_coffee)
    for what, *details in history:
        run.act(what, *details)
        rows = run.rows()
        held = sum(row.reserve for row in rows if row.state == "issued")
        spent = sum(row.cost for row in rows if row.state == "redeemed")
        assert run.money() == (held, spent)


@any_history
@a_few
def test_no_member_ever_holds_two_and_every_change_is_in_the_table_of_lives(ledger, coupons, codes, a_coffee, history):
    run = Run(ledger, coupons, codes, a_coffee)
    for what, *details in history:
        run.act(what, *details)
        live = [row.member for row in run.rows() if row.state == "issued"]
        assert len(live) == len(set(live))
    for row in run.rows():
        with ledger.read() as tx:
            lines = sa.select(coupon_event.c.act).where(coupon_event.c.coupon == row.id).order_by(coupon_event.c.seq)
            state = None
            for act in tx.execute(lines).scalars():
                state = LIFE[state, act]
        assert state == row.state


@pytest.mark.parametrize("rival", ["supersede", "void", "expire"])
def test_a_till_and_a_journey_that_want_the_same_coupon_do_not_both_get_it(ledger, coupons, codes, a_coffee, rival):
    run = Run(ledger, coupons, codes, a_coffee)
    run.charge = run.charge._replace(cap=10_000)
    pairs = 20
    for member in range(pairs):
        run.issue(member, 0, 60)
    shown = [codes.of(run.live(member)) for member in range(pairs)]  # before any of them can be followed by a better

    def at_the_till(member: int) -> None:
        with suppress(Problem), ledger.write() as tx:
            run.till.redeem(tx, "cafe-luna", shown[member], NOON_MS, heard_real_ms=1)

    def in_the_journey(member: int) -> None:
        if rival == "supersede":
            run.act("upgrade", member, 1, 120)
        elif rival == "void":
            run.act("void", member)
        else:
            with ledger.write() as tx:
                coupons.expire_due(tx, NOON_MS + 20 * MINUTE_MS, heard_real_ms=1, limit=1)

    with ThreadPoolExecutor(2 * pairs) as pool:
        both = [pool.submit(act, member) for member in range(pairs) for act in (at_the_till, in_the_journey)]
    for one in both:
        one.result()
    with ledger.read() as tx:
        first = tx.execute(sa.select(coupon.c.id, coupon.c.state).where(coupon.c.rung == 0)).all()
        stands = set(tx.execute(sa.select(redemption.c.coupon)).scalars())
    assert {row.id for row in first if row.state == "redeemed"} == stands
    assert len(first) == pairs and all((row.state == "redeemed") == (row.id in stands) for row in first)
