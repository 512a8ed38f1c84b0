"""All of delivery, opened at once: the channels a mall has, what is sent on them, and by whom."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from secrets import SystemRandom, token_bytes

from engine.clock import Pace, system_clock
from engine.identity import Identity
from engine.keys import Keys
from engine.ledger import Ledger
from rules.book import Book
from rules.channels import Channels
from rules.coupons import Coupons
from rules.outbox import Outbox, Quiet
from rules.parcel import CHANNELS, INBOX, MESSAGES, WEB_PUSH
from rules.push import Push
from rules.sending import Post, Senders


@dataclass(frozen=True)
class Delivery:
    channels: Channels
    outbox: Outbox
    push: Push
    senders: Senders


def open_delivery(
    stack: ExitStack, *, ledger: Ledger, coupons: Coupons, identity: Identity, keys: Keys, book: Callable[[], Book],
    pace: Pace, push_contact: str, push_services: Iterable[str], messages_url: str,
) -> Delivery:  # fmt: skip
    """*stack* closes it; book tells which one holds now. Raises NoTemplate for a messages_url nobody understands."""
    push = Push(keys.push, push_contact, pace, push_services)
    posts: dict[str, Post] = {WEB_PUSH: push}
    if messages_url:
        from rules.messages import Messages  # slow to import, and few use it

        posts[MESSAGES] = Messages(messages_url)
    here = tuple(name for name in CHANNELS if name == INBOX or name in posts)
    channels = Channels(ledger, keys.subscriptions, token_bytes, here)
    chance = SystemRandom().random
    outbox = Outbox(ledger, coupons, identity, channels, quiet=quiet(book), chance=chance, speed=pace.speed)
    senders = Senders(outbox, posts, pace.now, system_clock)
    stack.callback(senders.close)
    return Delivery(channels, outbox, push, senders)


def quiet(book: Callable[[], Book]) -> Quiet:
    """When the quiet hours that an instant lies in end, as the book says."""

    def until_ms(now_ms: int) -> int | None:
        now = book()
        if now.limits.quiet is None:
            return None
        opening = now.calendar.opening(now.limits.quiet, now_ms)
        return opening.changes_ms if opening.is_open else None

    return until_ms
