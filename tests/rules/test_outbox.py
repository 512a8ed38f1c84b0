"""A coupon is checked once more before it is shown, shown once, and never late."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from engine.identity import Identity, Newcomer
from engine.keys import Keys
from rules.budgets import Charge
from rules.channels import Channels
from rules.events import CouponDelivered, CouponIssued, CouponSuppressed, CouponVoided
from rules.inbox import Inbox
from rules.outbox import Facts, Outbox, verdict
from rules.tables import budget, coupon, outbox

NOON_MS = 1_795_233_600_000
MINUTE_MS = 60_000
BOTH = {"personal_offers", "inbox"}


@pytest.fixture
def identity(ledger):
    return Identity(ledger, Keys(b"m" * 32), "demo", bytes)


@pytest.fixture
def ana(ledger, identity):
    """A member who consents to offers in the inbox."""
    with ledger.write() as tx:
        ana = Newcomer("ana", "Ana", consents=("presence", *sorted(BOTH)))
        (member,) = identity.join(tx, [ana], NOON_MS, place="form")
    return member


@pytest.fixture
def post(ledger, coupons, identity):
    class Inboxes(Outbox):
        """Only what is delivered without anybody's help."""

        def deliver(self, now_ms: int, real_ms: int) -> int:
            return self.round(now_ms, real_ms)[0]

    return Inboxes(ledger, coupons, identity, Channels(ledger, b"c" * 32, bytes))


@pytest.fixture
def give(ledger, coupons):
    def issue(new):
        with ledger.write() as tx:
            return coupons.issue(tx, new)

    return issue


def rows(ledger):
    with ledger.read() as tx:
        columns = (outbox.c.state, outbox.c.delivered_ms, outbox.c.delivered_real_ms)
        return [tuple(row) for row in tx.execute(sa.select(*columns))]


def told(ledger, kind):
    with ledger.read() as tx:
        return [recorded.event for recorded in ledger.since(tx, 0, 1_000) if isinstance(recorded.event, kind)]


def withdraw(ledger, identity, member, purpose):
    with ledger.write() as tx:
        identity.consent(tx, member, purpose, False, NOON_MS, language="en", place="wallet")


def test_a_queued_coupon_is_delivered_and_it_is_told_when(ledger, post, give, ana, a_coffee):
    given = give(a_coffee(member=ana, heard_real_ms=100))
    assert post.deliver(NOON_MS, 140) == 1
    assert rows(ledger) == [("accepted", NOON_MS, 140)]
    assert [(event.coupon, event.channel) for event in told(ledger, CouponDelivered)] == [(given, "inbox")]


def test_the_delivery_carries_on_when_its_cause_was_heard(ledger, post, give, ana, a_coffee):
    give(a_coffee(member=ana, heard_real_ms=100))
    post.deliver(NOON_MS, 140)
    with ledger.read() as tx:
        heard = {recorded.event.__struct_config__.tag: recorded.heard_real_ms for recorded in ledger.since(tx, 0, 10)}
    assert heard == {"coupon.issued": 100, "coupon.delivered": 100}


def test_a_delivered_coupon_is_not_delivered_again(ledger, post, give, ana, a_coffee):
    give(a_coffee(member=ana))
    assert [post.deliver(NOON_MS, 1), post.deliver(NOON_MS, 2)] == [1, 0]


def test_many_workers_deliver_a_coupon_once(ledger, post, give, ana, a_coffee):
    give(a_coffee(member=ana))
    with ThreadPoolExecutor(20) as pool:
        done = list(pool.map(lambda real_ms: post.deliver(NOON_MS, real_ms), range(20)))
    assert sum(done) == 1 and len(told(ledger, CouponDelivered)) == 1


def test_nothing_is_delivered_before_its_time(ledger, post, give, ana, a_coffee):
    give(a_coffee(member=ana))
    assert post.deliver(NOON_MS - 1, 1) == 0


@pytest.mark.parametrize("purpose", sorted(BOTH))
def test_a_consent_withdrawn_since_then_holds(ledger, identity, post, give, ana, a_coffee, purpose):
    give(a_coffee(member=ana))
    withdraw(ledger, identity, ana, purpose)
    post.deliver(NOON_MS, 1)
    assert rows(ledger) == [("suppressed:no-consent", None, None)]
    assert [event.reason for event in told(ledger, CouponSuppressed)] == [f"no-consent:{purpose}"]


def test_a_coupon_that_cannot_arrive_is_taken_back_with_its_money(ledger, identity, post, give, ana, a_coffee):
    give(a_coffee(member=ana, budgets=(Charge("day", "2026-11-21", 600),)))
    withdraw(ledger, identity, ana, "inbox")
    post.deliver(NOON_MS, 1)
    with ledger.read() as tx:
        state, reserved = (tx.execute(sa.select(column)).scalar_one() for column in (coupon.c.state, budget.c.reserved))
    assert (state, reserved, len(told(ledger, CouponVoided))) == ("void", 0, 1)


def test_a_coupon_taken_back_meanwhile_is_not_shown(ledger, coupons, post, give, ana, a_coffee):
    with ledger.write() as tx:
        coupons.void(tx, coupons.issue(tx, a_coffee(member=ana)), NOON_MS, "journey", "left", heard_real_ms=1)
    post.deliver(NOON_MS, 1)
    assert rows(ledger) == [("suppressed:not-live", None, None)]


def test_a_late_coupon_is_worse_than_none(ledger, post, give, ana, a_coffee):
    give(a_coffee(member=ana))
    post.deliver(NOON_MS + 40 * MINUTE_MS, 1)
    assert rows(ledger) == [("expired", None, None)]


PENDING = {"coupon_state": "issued", "expires_ms": NOON_MS, "channel": "inbox"}


@given(
    state=st.sampled_from(["issued", "redeemed", "void", "expired"]),
    late_ms=st.integers(-2, 2),
    granted=st.frozensets(st.sampled_from(["presence", "personal_offers", "inbox", "web_push"])),
    off=st.frozensets(st.sampled_from(["inbox", "web_push"])),
    seen=st.booleans(),
    gone=st.booleans(),
    quiet_until=st.none() | st.integers(NOON_MS - 4, NOON_MS + 4),
)
def test_only_a_live_consented_and_timely_coupon_is_delivered(state, late_ms, granted, off, seen, gone, quiet_until):
    now_ms = NOON_MS + late_ms
    decided = verdict(PENDING | {"coupon_state": state}, Facts(granted, off, seen, gone, quiet_until), now_ms)
    held = quiet_until is not None
    may = state == "issued" and late_ms < 0 and granted >= BOTH and "inbox" not in off and not seen and not gone
    assert (decided.state == "accepted") == (may and not held)
    assert (decided.state == "accepted") == (decided.reason == "")
    assert (decided.state == "queued") == (may and held and quiet_until < NOON_MS)


# -- open pages ---------------------------------------------------------------------------------------


def delivered(member):
    about = {"coupon": "c", "offer": "coffee", "journey": "j", "instance": "i", "step": "coffee", "rung": 0}
    return CouponDelivered(id="e", at_ms=NOON_MS, member=member, visit="v", channel="inbox", **about)


def issued(member):
    about = {"coupon": "c", "offer": "coffee", "journey": "j", "instance": "i", "step": "coffee", "rung": 0}
    return CouponIssued(id="e", at_ms=NOON_MS, member=member, visit="v", expires_ms=NOON_MS, **about)


def heard(*events) -> bool:
    """Whether the open page of member 1 is woken by events that another thread tells."""

    async def listen() -> bool:
        inbox = Inbox()
        with inbox.listening(1) as changed:
            await asyncio.to_thread(inbox.hear, events)
            await asyncio.sleep(0)
            return changed.is_set()

    return asyncio.run(listen())


def test_an_open_page_is_woken_by_another_thread():
    assert heard(delivered(1))


def test_a_page_sleeps_on_while_others_get_coupons():
    assert not heard(delivered(2))


def test_a_coupon_that_is_not_there_yet_wakes_nobody():
    assert not heard(issued(1))


def test_a_closed_page_is_forgotten():
    async def open_and_close() -> tuple[int, int]:
        inbox = Inbox()
        with inbox.listening(1), inbox.listening(1):
            both = inbox.open_pages
        inbox.changed(1)
        return both, inbox.open_pages

    assert asyncio.run(open_and_close()) == (2, 0)
