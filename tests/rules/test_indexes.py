"""What is asked many times a second is found by an index, and not by looking at everything."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from engine.events import PresenceEvent
from engine.ledger import open_ledger
from rules import coupons, redemption, tables
from rules.events import CouponEvent
from tests.servers import sqlite_ledger_url

HOT = {
    "the live coupon of a member": (coupons.HELD, "coupon_one_live_per_member"),
    "coupons whose time ran out": (coupons.EXPIRE_DUE, "coupon_live_by_expiry"),
    "a member's coupon that ran out": (coupons.EXPIRE_OF, "coupon_one_live_per_member"),
    "a code at a till": (redemption.SPEND, "sqlite_autoindex_coupon"),
    "parcels that are due": (
        sa.select(tables.outbox.c.id).where(tables.QUEUED, tables.outbox.c.not_before_ms <= 1),
        "outbox_due",
    ),
    "deadlines that are due": (sa.select(tables.deadline.c.instance).where(tables.deadline.c.due_ms <= 1), "due_ms"),
    "a shop's day": (
        sa.select(tables.redemption.c.id).where(tables.redemption.c.shop == "s", tables.redemption.c.at_ms >= 1),
        "redemption_by_shop",
    ),
    "a funder's day": (
        sa.select(tables.redemption.c.id).where(tables.redemption.c.funder == "f"),
        "redemption_by_funder",
    ),
}


@pytest.mark.parametrize("what", HOT)
def test_it_is_found_by_an_index(tmp_path, what):
    statement, index = HOT[what]
    ledger = open_ledger(sqlite_ledger_url(tmp_path / "ledger.sqlite"), PresenceEvent | CouponEvent)
    compiled = statement.compile(dialect=sqlite.dialect())
    values = tuple(compiled.params[name] or 1 for name in compiled.positiontup or ())
    with ledger.read() as tx:
        plan = [row[3] for row in tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}", values)]
    ledger.close()
    assert any(index in line for line in plan), plan
    assert not any(line.startswith("SCAN") and "USING" not in line for line in plan), plan
