"""Many tills at once, over real connections: a coupon is spent once, and whoever asks again is told the same."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx2
import pytest
import sqlalchemy as sa

from rules.tables import coupon, redemption
from tests.tilling import PATIENCE_S, served

TILLS = [f"shop-{number}" for number in range(50)]


@pytest.fixture
def tills(each_site):
    """Fifty tills of fifty shops, each with a connection of its own: ask(till, code, **headers)."""
    with ExitStack() as stack:
        url = stack.enter_context(served(each_site.app))
        clients = {
            till: stack.enter_context(
                httpx2.Client(base_url=url, timeout=PATIENCE_S, headers=each_site.as_("shop", till))
            )
            for till in TILLS
        }

        def ask(till, path, body, **headers):
            return clients[till].post(path, json=body, headers=headers)

        yield ask


def at_once(act, each):
    with ThreadPoolExecutor(len(each)) as pool:
        return list(pool.map(act, each))


def spent(site) -> tuple[str, int]:
    with site.ledger.read() as tx:
        state = tx.execute(sa.select(coupon.c.state)).scalar_one()
        standing = sa.select(sa.func.count()).where(redemption.c.restored_ms.is_(None))
        return state, tx.execute(standing).scalar_one()


def test_fifty_tills_redeem_one_code_and_one_wins(each_site, tills, a_coffee):
    code = each_site.deliver(a_coffee(member=each_site.ana, shops=tuple(TILLS)))
    answers = at_once(lambda till: tills(till, "/v1/redemptions", {"code": code}), TILLS)
    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 49}
    assert {a.json()["type"] for a in answers if a.status_code == 409} == {"/problems/already-redeemed"}
    assert spent(each_site) == ("redeemed", 1)


def test_a_till_that_sends_a_request_twenty_times_at_once_redeems_once(each_site, tills, a_coffee):
    code = each_site.deliver(a_coffee(member=each_site.ana, shops=tuple(TILLS)))
    key = {"Idempotency-Key": "r-1"}
    answers = at_once(lambda _: tills(TILLS[0], "/v1/redemptions", {"code": code}, **key), range(20))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1
    assert spent(each_site) == ("redeemed", 1)


def test_a_redemption_is_undone_once_however_many_ask(each_site, tills, a_coffee):
    code = each_site.deliver(a_coffee(member=each_site.ana, shops=tuple(TILLS)))
    undo = f"/v1/redemptions/{tills(TILLS[0], '/v1/redemptions', {'code': code}).json()['redemption']}/restore"
    answers = at_once(lambda _: tills(TILLS[0], undo, {}), range(20))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 19}
    assert spent(each_site) == ("issued", 0)
