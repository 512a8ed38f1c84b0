"""A till may ask twice: the same key and body get the same answer, and nothing happens twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any, NamedTuple

import sqlalchemy as sa

from engine.ledger import Ledger
from engine.problems import Problem
from rules.tables import idempotency

# Tills go offline, over a weekend too, and then send again what they could not.
KEPT_MS = 7 * 24 * 3_600_000


class Answer(NamedTuple):
    status: int
    body: dict[str, Any]
    replayed: bool = False


class Request(NamedTuple):
    """What was asked, by whom, under which key; without a key nothing is remembered."""

    shop: str
    route: str
    key: str | None
    body: Mapping[str, Any]

    @property
    def body_digest(self) -> str:
        return blake2b(json.dumps(self.body, sort_keys=True).encode(), digest_size=16).hexdigest()


def once(ledger: Ledger, request: Request, at_ms: int, act: Callable[[sa.Connection], dict[str, Any]]) -> Answer:
    """What *act* answers in a transaction of its own, or what it answered before under the same key.

    A Problem that *act* raises is an answer too: it undoes what *act* did, is remembered, and comes back as its
    body. Raises Problem idempotency-mismatch when the key was used for something else.
    """
    with ledger.write() as tx:
        known = None if request.key is None else _recall(tx, request, at_ms)
        if known is not None:
            return known
        try:
            with tx.begin_nested():
                answer = Answer(200, act(tx))
        except Problem as problem:
            answer = Answer(problem.status, problem.body())
        if request.key is not None:
            _remember(ledger, tx, request, answer, at_ms)
        return answer


def forget_old(tx: sa.Connection, now_ms: int) -> int:
    """Drop the answers nobody may ask for any more; how many those were."""
    return tx.execute(sa.delete(idempotency).where(idempotency.c.at_ms <= now_ms - KEPT_MS)).rowcount


def _recall(tx: sa.Connection, request: Request, at_ms: int) -> Answer | None:
    c = idempotency.c
    row = tx.execute(
        sa.select(c.body_digest, c.status, c.answer).where(
            c.shop == request.shop, c.route == request.route, c.key == request.key, c.at_ms > at_ms - KEPT_MS
        )
    ).first()
    if row is None:
        return None
    if row.body_digest != request.body_digest:
        raise Problem(
            "idempotency-mismatch", 409, "This key was used for another request",
            "Send a new Idempotency-Key with a new request, and the old body with the old key.",
        )  # fmt: skip
    return Answer(row.status, row.answer, replayed=True)


def _remember(ledger: Ledger, tx: sa.Connection, request: Request, answer: Answer, at_ms: int) -> None:
    row = ledger.insert(idempotency).values(
        shop=request.shop, route=request.route, key=request.key, body_digest=request.body_digest,
        status=answer.status, answer=answer.body, at_ms=at_ms,
    )  # fmt: skip
    fresh = {name: row.excluded[name] for name in ("body_digest", "status", "answer", "at_ms")}
    tx.execute(row.on_conflict_do_update(index_elements=["shop", "route", "key"], set_=fresh))
