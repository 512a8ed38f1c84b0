"""What is switched off for now, and what that means for a journey, an offer and a coupon. Pure; rules.switches keeps
it.

Off is an answer about giving: whatever is out may still be redeemed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

MALL, JOURNEY, OFFER, SHOP, CHANNEL = "mall", "journey", "offer", "shop", "channel"
KINDS = (MALL, JOURNEY, OFFER, SHOP, CHANNEL)

# (kind, name) -> the instant until which it is off, None until somebody switches it on. Of what is on there is nothing.
Off = Mapping[tuple[str, str], int | None]
NOTHING: Off = MappingProxyType({})


class Halt(NamedTuple):
    """Why something is not given now. until_ms: when time alone ends that."""

    because: str  # switched-off:<mall or journey>, taken-out:<offer>, closed:<shops>
    path: str
    until_ms: int | None


def journey_halt(off: Off, journey: str) -> Halt | None:
    """What holds a journey where it is."""
    for which in ((MALL, MALL), (JOURNEY, journey)):
        if which in off:
            return _halt("switched-off", which, off[which])
    return None


def offer_halt(off: Off, offer: str, shops: Iterable[str]) -> Halt | None:
    """Why an offer is passed over: it was taken out, or every shop that would redeem it is closed."""
    if (OFFER, offer) in off:
        return _halt("taken-out", (OFFER, offer), off[OFFER, offer])
    named = sorted(shops)
    if not all_closed(off, named):
        return None
    return _halt("closed", (SHOP, ",".join(named)), _opens_ms(off, named))


def worthless(off: Off, shops: Iterable[str], expires_ms: int) -> bool:
    """Whether a coupon is good at no shop that is open again before its time is over."""
    named = list(shops)
    if not all_closed(off, named):
        return False
    opens_ms = _opens_ms(off, named)
    return opens_ms is None or opens_ms >= expires_ms


def all_closed(off: Off, shops: Iterable[str]) -> bool:
    return all((SHOP, shop) in off for shop in shops)


def _opens_ms(off: Off, shops: Iterable[str]) -> int | None:
    """When the first of these closed shops is known to open."""
    return min((at_ms for shop in shops if (at_ms := off[SHOP, shop]) is not None), default=None)


def _halt(because: str, which: tuple[str, str], until_ms: int | None) -> Halt:
    kind, name = which
    return Halt(f"{because}:{name}", f"switches/{kind}/{name}", until_ms)
