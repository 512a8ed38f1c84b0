"""A till may ask twice: the same key and body get the same answer, and nothing happens twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any, NamedTuple

import sqlalchemy as sa

from engine.hot import nested
from engine.ledger import Ledger
from engine.problems import Problem
from rules.tables import idempotency

# Tills go offline, over a weekend too, and then send again what they could not.
KEPT_MS = 7 * 24 * 3_600_000
COLUMNS = ("shop", "route", "key", "body_digest", "status", "answer", "at_ms")
RECALL = sa.select(idempotency.c.body_digest, idempotency.c.status, idempotency.c.answer).where(
    *(idempotency.c[name] == sa.bindparam(name) for name in COLUMNS[:3]),
    idempotency.c.at_ms > sa.bindparam("since_ms", type_=sa.BigInteger),
)


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


class Answers:
    """What tills were answered, and under which keys."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._recall = ledger.hot(RECALL)
        row = ledger.insert(idempotency)
        fresh = {name: row.excluded[name] for name in COLUMNS[3:]}
        self._remember = ledger.hot(row.on_conflict_do_update(index_elements=COLUMNS[:3], set_=fresh), COLUMNS)

    def once(self, request: Request, at_ms: int, act: Callable[[sa.Connection], dict[str, Any]]) -> Answer:
        """What *act* answers in a transaction of its own, or what it answered before under the same key.

        A Problem that *act* raises is an answer too: it undoes what *act* did, is remembered, and comes back as its
        body. Raises Problem idempotency-mismatch when the key was used for something else.
        """
        asked = {"shop": request.shop, "route": request.route, "key": request.key}
        digest = request.body_digest
        with self._ledger.write() as tx:
            known = [] if request.key is None else self._recall(tx, asked | {"since_ms": at_ms - KEPT_MS})
            if known:
                return _again(known[0], digest)
            try:
                with nested(tx):
                    answer = Answer(200, act(tx))
            except Problem as problem:
                answer = Answer(problem.status, problem.body())
            if request.key is not None:
                given = {"body_digest": digest, "status": answer.status, "answer": answer.body, "at_ms": at_ms}
                self._remember(tx, asked | given)
            return answer


def forget_old(tx: sa.Connection, now_ms: int) -> int:
    """Drop the answers nobody may ask for any more; how many those were."""
    return tx.execute(sa.delete(idempotency).where(idempotency.c.at_ms <= now_ms - KEPT_MS)).rowcount


def _again(known: Mapping[str, Any], body_digest: str) -> Answer:
    if known["body_digest"] != body_digest:
        raise Problem(
            "idempotency-mismatch", 409, "This key was used for another request",
            "Send a new Idempotency-Key with a new request, and the old body with the old key.",
        )  # fmt: skip
    return Answer(known["status"], known["answer"], replayed=True)
