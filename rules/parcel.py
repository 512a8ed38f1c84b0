"""What is sent to a member, and what may come of it; pure. Retries wait 1, 4, 16 and 60 s and never pass the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import msgspec

from engine.events import id_of

INBOX, WEB_PUSH, MESSAGES = "inbox", "web_push", "messages"
# In the order in which they are tried for who has not chosen another.
CHANNELS = (INBOX, WEB_PUSH, MESSAGES)
PAUSES_MS = (1_000, 4_000, 16_000, 60_000)
# A pause is this much longer or shorter by chance, so that all who failed together do not come back together.
JITTER = 0.2
SAYS = {
    "en": "It is in your wallet. Show it at the till before it runs out.",
    "zh-Hans": "已放入您的卡包，请在过期前到店出示。",
}


class NoTemplate(ValueError):
    """Not a URL that apprise understands, with a place for the member's address."""


class Address(msgspec.Struct, frozen=True):
    """Where to reach a member. web_push: endpoint and the browser's two keys; messages: an address alone.

    origin  the wallet's own, as in https://mall.example, for the link in the message
    """

    endpoint: str
    origin: str
    p256dh: str = ""
    auth: str = ""


class Reach(NamedTuple):
    """One subscription, opened."""

    id: str
    address: Address


class Parcel(NamedTuple):
    """A coupon on its way to one member on one channel. Nothing in it says where the member is.

    attempt     which try this is, from 1; whoever reports its outcome must name it
    expires_ms  when nobody should see it any more, paced
    topic       a later message of the same visit takes the place of one that still waits
    """

    id: str
    coupon: str
    channel: str
    attempt: int
    lease_ms: int
    expires_ms: int
    topic: str
    title: Mapping[str, str]
    language: str
    reaches: tuple[Reach, ...]

    @property
    def words(self) -> tuple[str, str]:
        """Title and body in the member's language."""
        return self.title.get(self.language) or next(iter(self.title.values())), SAYS.get(self.language, SAYS["en"])


class Outcome(NamedTuple):
    """accepted: on its way, not yet shown. later: try again. failed: not this one. stop: nothing more on this channel.

    after_ms  how long the other side wants to be left alone, in real ms
    gone      ids of subscriptions that lead nowhere any more
    """

    kind: Literal["accepted", "later", "failed", "stop"]
    reason: str = ""
    after_ms: int = 0
    gone: tuple[str, ...] = ()


def topic_of(visit: str) -> str:
    """At most 32 characters of base64url, as RFC 8030 wants, and nothing that could be read."""
    return id_of("topic", visit)


def next_try_ms(parcel: Parcel, outcome: Outcome, now_ms: int, chance: float, speed: float = 1.0) -> int | None:
    """When to try again, in paced ms; None if that would be too late or often enough.

    chance  evenly between 0 and 1
    """
    if parcel.attempt > len(PAUSES_MS):
        return None
    pause_ms = PAUSES_MS[parcel.attempt - 1] * (1 + JITTER * (2 * chance - 1))
    at_ms = now_ms + int(max(pause_ms, outcome.after_ms) * speed)
    return at_ms if at_ms < parcel.expires_ms else None
