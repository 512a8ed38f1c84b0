"""What nobody may ask about any more is forgotten: traces after thirty days, a few hundred at a time, and with them
what was known of members before they told otherwise.

A trace holds where a member was and when. What settlement and the reading of outcomes need stays, without it.
"""

from __future__ import annotations

import sqlalchemy as sa

from engine.ledger import Ledger
from rules.tables import RUNNING, TRACED, decision, former, instance, waiting
from rules.times import DAY_MS

TRACES_KEPT_MS = 30 * DAY_MS
# Of these outcomes are counted for as long as the ledger stands.
STAYS = ("issued", "ghost", "chance")
# One transaction takes at most this many, so that a till that waits for the writer does not notice.
AT_ONCE = 500


def forget_traces(ledger: Ledger, now_ms: int) -> int:
    """Delete decisions older than traces are kept, or strip those that stay; how many that were."""
    due = sa.select(decision.c.seq).where(TRACED, decision.c.at_ms < now_ms - TRACES_KEPT_MS)
    due = due.order_by(decision.c.at_ms).limit(AT_ONCE)
    with ledger.write() as tx:
        tx.execute(sa.delete(former).where(former.c.until_ms < now_ms - TRACES_KEPT_MS))
        # Whoever was erased while they queued is asked for nothing more.
        running = sa.exists().where(instance.c.id == waiting.c.instance, RUNNING)
        tx.execute(sa.delete(waiting).where(~running))
    forgotten = 0
    while True:
        with ledger.write() as tx:
            numbers = tx.execute(due).scalars().all()
            mine = decision.c.seq.in_(numbers)
            tx.execute(sa.delete(decision).where(mine, decision.c.verdict.not_in(STAYS)))
            tx.execute(sa.update(decision).where(mine, decision.c.verdict.in_(STAYS)).values(trace=""))
        forgotten += len(numbers)
        if len(numbers) < AT_ONCE:
            return forgotten
