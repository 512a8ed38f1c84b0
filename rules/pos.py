"""An example of how a till talks to Sojourn: the standard library only, to be copied into a point-of-sale system.

    python pos.py --url https://mall.example --key KEY validate CODE
    python pos.py --url https://mall.example --key KEY redeem CODE --amount 2400 --receipt R-17
    python pos.py --url https://mall.example --key KEY undo REDEMPTION

What matters is in Pos.ask: the same Idempotency-Key goes with every repeat of one sale, so a till that got no answer
asks again and the coupon counts once. rules/POS.md says the rest.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

PATIENCE_S = 5.0
# A till that is offline for longer keeps the request, key and all, and sends it when it is back: good for 7 days.
PAUSES_S = (0.5, 1.0, 2.0, 4.0)


class Answer(NamedTuple):
    """ok: green screen. Otherwise body is a problem document; its type says why, its detail says it to a person."""

    ok: bool
    status: int
    body: dict[str, Any]


class NoAnswer(Exception):
    """The server was not reached. The sale may or may not have counted: ask again with the same key."""


class Pos:
    """One till of one shop."""

    def __init__(self, url: str, key: str, *, till: str = "", wait: Callable[[float], None] = time.sleep) -> None:
        self._url, self._key, self._till, self._wait = url.rstrip("/"), key, till, wait

    def validate(self, code: str, amount_minor: int | None = None) -> Answer:
        """Is it good here and now? Changes nothing. The discount to show is in body["title"]."""
        return self.ask("/v1/validations", {"code": code, "amount_minor": amount_minor})

    def redeem(
        self, code: str, *, amount_minor: int | None = None, receipt: str | None = None, sale: str | None = None
    ) -> Answer:
        """Spend it. *sale* names this sale and no other; keep it with the sale until there was an answer."""
        body = {"code": code, "amount_minor": amount_minor, "receipt": receipt, "till": self._till}
        return self.ask("/v1/redemptions", body, sale or str(uuid.uuid4()))

    def undo(self, redemption: str) -> Answer:
        """Within ten minutes, as when the sale is cancelled."""
        return self.ask(f"/v1/redemptions/{redemption}/restore", {}, f"undo-{redemption}")

    def ask(self, path: str, body: dict[str, Any], sale: str | None = None) -> Answer:
        """Ask until there is an answer, a yes or a no. Raises NoAnswer when patience is over."""
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        if sale is not None:
            headers["Idempotency-Key"] = sale
        request = urllib.request.Request(self._url + path, json.dumps(body).encode(), headers)
        for pause_s in (*PAUSES_S, None):
            try:
                with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
                    return Answer(True, answer.status, json.load(answer))
            except urllib.error.HTTPError as refusal:
                with refusal:
                    told_s = refusal.headers.get("Retry-After")
                    if refusal.code < 500 and refusal.code != 429:
                        return Answer(False, refusal.code, json.load(refusal))
                    why = f"{refusal.code} {refusal.reason}"
            except OSError as problem:
                told_s, why = None, str(problem)
            if pause_s is None:
                break
            self._wait(float(told_s) if told_s else pause_s)
        raise NoAnswer(f"no answer from {self._url} ({why}): ask again with the same key")


def main() -> int:
    parser = argparse.ArgumentParser(description="Validate, redeem and undo coupons at a till.")
    parser.add_argument("--url", required=True, help="where Sojourn answers")
    parser.add_argument("--key", required=True, help="the shop's key, from `sojourn key shop SHOP`")
    parser.add_argument("--till", default="", help="which till of the shop")
    acts = parser.add_subparsers(dest="act", required=True)
    for act in ("validate", "redeem"):
        one = acts.add_parser(act)
        one.add_argument("code")
        one.add_argument("--amount", type=int, help="what the customer pays, in minor units")
        if act == "redeem":
            one.add_argument("--receipt", help="the till's own number")
            one.add_argument("--sale", help="name of this sale: the same one for every repeat")
    acts.add_parser("undo").add_argument("redemption")
    given = parser.parse_args()
    pos = Pos(given.url, given.key, till=given.till)
    try:
        if given.act == "validate":
            answer = pos.validate(given.code, given.amount)
        elif given.act == "redeem":
            answer = pos.redeem(given.code, amount_minor=given.amount, receipt=given.receipt, sale=given.sale)
        else:
            answer = pos.undo(given.redemption)
    except NoAnswer as problem:
        print(problem, file=sys.stderr)
        return 2
    print(json.dumps(answer.body, ensure_ascii=False))
    return 0 if answer.ok else 1


if __name__ == "__main__":
    sys.exit(main())
