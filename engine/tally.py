"""What came of a demo, counted from the ledger with plain SQL: its tables are the witness, not our counters."""

from __future__ import annotations

import sqlalchemy as sa

# One number each; :since is the sequence number the ledger had when the demo began.
COUNTS = {
    "members_seen": "SELECT COUNT(DISTINCT member) FROM event WHERE kind = 'visit.started' AND seq > :since",
    "visits": "SELECT COUNT(*) FROM event WHERE kind = 'visit.started' AND seq > :since",
    "zone_events": "SELECT COUNT(*) FROM event WHERE kind IN ('zone.entered', 'zone.left') AND seq > :since",
    "decisions": "SELECT COUNT(*) FROM decision WHERE at_ms >= :since_ms",
    "coupons_issued": "SELECT COUNT(*) FROM coupon WHERE issued_ms >= :since_ms",
    "coupons_delivered": "SELECT COUNT(DISTINCT coupon) FROM outbox WHERE delivered_ms >= :since_ms",
    "coupons_redeemed": "SELECT COUNT(*) FROM coupon WHERE state = 'redeemed' AND redeemed_ms >= :since_ms",
    "coupons_superseded": "SELECT COUNT(*) FROM event WHERE kind = 'coupon.superseded' AND seq > :since",
}
# Everything that must not be: the same step given twice to one visit, a coupon spent twice, two live at once.
DOUBLED = (
    "SELECT COALESCE(SUM(n - 1), 0) FROM (SELECT COUNT(*) AS n FROM coupon"
    " GROUP BY member, visit, journey, step, rung HAVING COUNT(*) > 1) AS twice",
    "SELECT COALESCE(SUM(n - 1), 0) FROM (SELECT COUNT(*) AS n FROM redemption WHERE restored_ms IS NULL"
    " GROUP BY coupon HAVING COUNT(*) > 1) AS twice",
    "SELECT COALESCE(SUM(n - 1), 0) FROM (SELECT COUNT(*) AS n FROM coupon WHERE state = 'issued'"
    " GROUP BY member HAVING COUNT(*) > 1) AS twice",
)
LATENCIES = (
    "SELECT delivered_real_ms - heard_real_ms FROM outbox"
    " WHERE channel = 'inbox' AND delivered_real_ms IS NOT NULL AND delivered_ms >= :since_ms ORDER BY 1"
)


def tally(database: sa.Engine, *, since: int, since_ms: int) -> dict[str, int]:
    """Counts since event number *since* and paced instant *since_ms*; latencies in real ms, absent where none."""
    bound = {"since": since, "since_ms": since_ms}
    with database.connect() as tx:

        def one(statement: str) -> int:
            return int(tx.execute(sa.text(statement), bound if ":since" in statement else {}).scalar_one())

        counts = {name: one(statement) for name, statement in COUNTS.items()}
        counts["coupons_doubled"] = sum(one(statement) for statement in DOUBLED)
        latencies: list[int] = list(tx.execute(sa.text(LATENCIES), {"since_ms": since_ms}).scalars())
    if latencies:
        counts["latency_ms_p50"] = latencies[len(latencies) // 2]
        counts["latency_ms_p99"] = latencies[min(len(latencies) - 1, len(latencies) * 99 // 100)]
    return counts
