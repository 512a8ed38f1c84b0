"""A ledger and coupons to press the rules with."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from engine.access import Access
from engine.events import PresenceEvent
from engine.ledger import Ledger, open_ledger
from rules.codes import Codes
from rules.coupons import Coupons
from rules.events import CouponEvent
from rules.giving import New
from tests.promoting import Story

NOON_MS = 1_795_233_600_000  # 2026-11-21 12:00 in Shanghai
MINUTE_MS = 60_000


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    opened = open_ledger(ledger_url, PresenceEvent | CouponEvent)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def codes() -> Codes:
    return Codes(b"k" * 32, b"p" * 32)


@pytest.fixture
def coupons(ledger: Ledger, codes: Codes) -> Coupons:
    return Coupons(ledger, codes)


@pytest.fixture
def mall(open_story: Callable[..., Story]) -> Story:
    """Ana came at nine, and got a coffee at four past; it is ten past. Whoever wants another mall makes it."""
    mall = open_story(opens="09:00")
    mall.arrives("ana")
    mall.at("09:10")
    return mall


@pytest.fixture(scope="session")
def access() -> Access:
    return Access(b"s" * 32)


@pytest.fixture(scope="session")
def a_coffee() -> Callable[..., New]:
    """A coffee coupon for member 1, given at noon, good for 40 minutes; the test says what is different."""

    def make(**different: object) -> New:
        member = different.get("member", 1)
        usual = {
            "member": member,
            "visit": f"visit-{member}",
            "journey": "day-out",
            "instance": f"run-{member}",
            "step": "coffee",
            "rung": 0,
            "offer": "coffee",
            "shops": ("cafe-luna",),
            "cost": 60,
            "issued_ms": NOON_MS,
            "expires_ms": NOON_MS + 40 * MINUTE_MS,
            "cause": "dwelt",
            "heard_real_ms": 5,
            "title": {"en": "Coffee 10 % off", "zh-Hans": "咖啡九折"},
            "why": {"en": "You have been here for 12 minutes.", "zh-Hans": "您已到店 12 分钟。"},
        }
        return New(**(usual | different))

    return make
