"""Killed at any statement, a ledger is as it was before the act or as it is after it; and doing it again ends the same.

Processes are real and die by SIGKILL, before the first statement, between any two, before the commit, and after it.
"""

from __future__ import annotations

from collections import Counter
from itertools import count

import pytest
import sqlalchemy as sa

from rules.budgets import Charge
from rules.coupons import Coupons
from rules.life import LIFE, Act, State
from rules.tables import budget, coupon, coupon_event, decision, exposure, instance, outbox, redemption
from tests import dying
from tests.dying import ACTS, die_in, give_from_processes, join, open_site

TOLD = {Act.ISSUE: "coupon.issued", Act.REDEEM: "coupon.redeemed", Act.EXPIRE: "coupon.expired"}


def rows(tx, table):
    return [row._mapping for row in tx.execute(sa.select(table))]


def check_consistent(ledger) -> None:
    """Money, lives, redemptions, deliveries and events of the whole ledger agree with each other."""
    with ledger.read() as tx:
        coupons = {row["id"]: row for row in rows(tx, coupon)}
        lives: dict[str, list[str]] = {key: [] for key in coupons}
        for line in sorted(rows(tx, coupon_event), key=lambda row: row["seq"]):
            lives[line["coupon"]].append(line["act"])
        redemptions, parcels, budgets = rows(tx, redemption), rows(tx, outbox), rows(tx, budget)
        kinds = Counter(recorded.event.__struct_config__.tag for recorded in ledger.since(tx, 0, 10_000))
    for key, acts in lives.items():
        state = None
        for act in acts:
            state = LIFE[state, Act(act)]
        assert state == coupons[key]["state"]
    assert {row["coupon"] for row in parcels} == set(coupons)
    stands = [row for row in redemptions if row["restored_ms"] is None]
    assert sorted(row["coupon"] for row in stands) == sorted(
        key for key, row in coupons.items() if row["state"] == State.REDEEMED
    )
    for row in budgets:
        drawing = [one for one in coupons.values() if [row["scope"], row["span"]] in one["budgets"]]
        held = sum(one["reserve"] for one in drawing if one["state"] == State.ISSUED)
        spent = sum(one["cost"] for one in drawing if one["state"] == State.REDEEMED)
        assert (row["reserved"], row["spent"]) == (held, spent)
    done = Counter(act for acts in lives.values() for act in acts)
    assert {act: kinds[kind] for act, kind in TOLD.items()} == {act: done[act] for act in TOLD}


def story_of(ledger, member: int) -> dict[str, list[tuple[object, ...]]]:
    """All that the ledger holds of one member, without what differs from member to member."""
    with ledger.read() as tx:
        own = [row for row in rows(tx, coupon) if row["member"] == member]
        ids = {row["id"] for row in own}
        lines = [row for row in rows(tx, coupon_event) if row["coupon"] in ids]
        spent = [row for row in rows(tx, redemption) if row["coupon"] in ids]
        money = [row for row in rows(tx, budget) if row["span"] == f"visit-{member}"]
        of_member = {
            table.name: [row for row in rows(tx, table) if row["member"] == member]
            for table in (outbox, instance, exposure, decision)
        }
        told = [recorded.event for recorded in ledger.of_member(tx, member)]
    columns = {
        "outbox": ("channel", "state"),
        "instance": ("journey", "phase", "step", "rung"),
        "exposure": ("offer", "rung", "outcome"),
        "decision": ("step", "verdict"),
    }
    story = {name: sorted(tuple(row[c] for c in columns[name]) for row in kept) for name, kept in of_member.items()}
    return story | {
        "coupon": sorted((row["rung"], row["state"], row["uses"], row["superseded_by"] is None) for row in own),
        "lines": sorted((row["act"], row["actor"], row["at_ms"]) for row in lines),
        "redemption": sorted((row["shop"], row["restored_ms"]) for row in spent),
        "money": sorted((row["reserved"], row["spent"]) for row in money),
        "told": sorted((event.__struct_config__.tag, event.at_ms) for event in told),
    }


@pytest.mark.parametrize("act", ACTS)
def test_a_kill_between_any_two_statements_leaves_nothing_half_done(ledger, ledger_url, act):
    site = open_site(ledger)
    before, do = ACTS[act]

    def arrange(member: int) -> None:
        join(site, member)
        if before is not None:
            before(site, member)

    arrange(1)
    as_it_was = story_of(ledger, 1)
    answer = do(site, 1)
    as_it_should_be = story_of(ledger, 1)
    assert as_it_was != as_it_should_be
    for nth in count(1):
        member = nth + 1
        arrange(member)
        died = die_in(ledger_url, act, member, nth)
        check_consistent(ledger)
        assert story_of(ledger, member) == (as_it_was if died else as_it_should_be), f"before statement {nth}"
        again = do(site, member)
        check_consistent(ledger)
        assert story_of(ledger, member) == as_it_should_be, f"repeated after statement {nth}"
        assert type(again) is type(answer)
        if isinstance(answer, tuple):
            assert (again[0], set(again[1])) == (answer[0], set(answer[1]))
        if not died:
            break
    assert nth > 5, "this act is more than a statement or two"


def test_fifty_workers_of_five_processes_issue_against_money_for_ten(ledger, ledger_url):
    groups = [range(first, first + 10) for first in range(1, 51, 10)]
    give_from_processes(ledger_url, groups, Charge("day", "2026-11-21", 600))
    check_consistent(ledger)
    with ledger.read() as tx:
        assert len(rows(tx, coupon)) == 10 and rows(tx, budget)[0]["reserved"] == 600


def test_what_a_killed_writer_held_is_free_at_once(ledger, ledger_url):
    site = open_site(ledger)
    join(site, 1)
    dying.issued(site, 1)
    assert die_in(ledger_url, "redeem", 1, 5)
    with ledger.write() as tx:
        assert Coupons(ledger, site.codes).void(tx, dying.new(1).id, dying.NOON_MS, "journey", "x", heard_real_ms=1)
