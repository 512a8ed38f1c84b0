"""Traces are kept for thirty days, on each database; what outcomes are counted of stays without its trace."""

from __future__ import annotations

import sqlalchemy as sa

from rules.forgetting import AT_ONCE, TRACES_KEPT_MS, forget_traces
from rules.tables import decision

NOW_MS = 1_800_000_000_000


def keep(ledger, count, *, age_ms, verdict):
    usual = {"member": 1, "visit": "v", "journey": "j", "version": "b", "instance": "i", "step": "s", "rung": -1}
    usual |= {"offer": None, "reason": "r", "cause": "c", "trace": '[["consent", true, "granted"]]'}
    rows = [
        usual | {"id": f"{verdict}{age_ms}-{n}", "at_ms": NOW_MS - age_ms, "verdict": verdict} for n in range(count)
    ]
    with ledger.write() as tx:
        tx.execute(sa.insert(decision), rows)


def kept(ledger):
    with ledger.read() as tx:
        rows = tx.execute(sa.select(decision.c.verdict, decision.c.trace).order_by(decision.c.seq))
        return [(verdict, bool(trace)) for verdict, trace in rows]


def test_an_old_no_is_forgotten_and_a_young_one_is_not(ledger):
    keep(ledger, 1, age_ms=TRACES_KEPT_MS + 1, verdict="waits")
    keep(ledger, 1, age_ms=TRACES_KEPT_MS, verdict="withheld")
    assert forget_traces(ledger, NOW_MS) == 1
    assert kept(ledger) == [("withheld", True)]


def test_what_was_given_stays_without_its_trace(ledger):
    for verdict in ("issued", "ghost"):
        keep(ledger, 1, age_ms=TRACES_KEPT_MS + 1, verdict=verdict)
    forget_traces(ledger, NOW_MS)
    assert kept(ledger) == [("issued", False), ("ghost", False)]


def test_more_than_one_batch_is_worked_off_and_nothing_twice(ledger):
    keep(ledger, AT_ONCE + 3, age_ms=TRACES_KEPT_MS + 1, verdict="issued")
    assert forget_traces(ledger, NOW_MS) == AT_ONCE + 3
    assert forget_traces(ledger, NOW_MS) == 0


def test_looking_for_what_is_old_uses_an_index_that_holds_nothing_else(ledger):
    old = f"SELECT seq FROM decision WHERE trace != '' AND at_ms < {NOW_MS} ORDER BY at_ms LIMIT 500"
    with ledger.read() as tx:
        if not ledger.sqlite:
            for short_cut in ("seqscan", "sort"):  # an empty table is scanned and sorted, however it is indexed
                tx.execute(sa.text(f"SET LOCAL enable_{short_cut} = off"))
        plan = tx.execute(sa.text(("EXPLAIN QUERY PLAN " if ledger.sqlite else "EXPLAIN ") + old)).all()
    assert "decision_traced_by_age" in str(plan)
