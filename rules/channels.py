"""The ways to a member: which there are, which are switched off, what order a member wants, and where to reach them.

A channel is a purpose of consent of its own. Addresses (a browser's push endpoint, a telephone number) are sealed at
rest and never logged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec
import sqlalchemy as sa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from engine.events import id_of
from engine.ledger import Ledger
from rules.off import CHANNEL
from rules.parcel import INBOX, WEB_PUSH, Address, Reach
from rules.switches import Switches
from rules.tables import preference, subscription

NONCE_BYTES = 12
# Several phones and browsers; a program that subscribes for ever is none of them.
MOST_SUBSCRIPTIONS = 10


_address = msgspec.json.Decoder(Address).decode


class Channels:
    """What one ledger knows of channels; every method works inside the transaction it is given.

    secret  seals addresses
    noise   secrets.token_bytes, or a seeded source in tests
    open    the channels this site has; a member is asked for no others
    """

    def __init__(
        self, ledger: Ledger, secret: bytes, noise: Callable[[int], bytes], open: tuple[str, ...] = (INBOX, WEB_PUSH)
    ) -> None:
        self._ledger, self._seal, self._noise, self.open = ledger, AESGCM(secret), noise, open
        self.switches = Switches(ledger)

    def off(self, tx: sa.Connection, now_ms: int) -> set[str]:
        """Those that are switched off. What is queued for one meanwhile is dropped."""
        return {name for kind, name in self.switches.off(tx, now_ms) if kind == CHANNEL}

    # -- members ----------------------------------------------------------------------------------

    def order(self, tx: sa.Connection, member: int) -> tuple[str, ...]:
        """The site's channels in the order this member wants; those left out of it come last."""
        wish = tx.execute(sa.select(preference.c.channels).where(preference.c.member == member)).scalar() or ()
        first = [name for name in wish if name in self.open]
        return (*first, *(name for name in self.open if name not in first))

    def prefer(self, tx: sa.Connection, member: int, order: Iterable[str]) -> None:
        insert = self._ledger.insert(preference).values(member=member, channels=list(order))
        fresh = {"channels": insert.excluded.channels}
        tx.execute(insert.on_conflict_do_update(index_elements=["member"], set_=fresh))

    def subscribe(self, tx: sa.Connection, member: int, name: str, address: Address, at_ms: int) -> str:
        """Remember an address of *member*; the same one again is the same subscription. Its id."""
        id = id_of("subscription", member, name, address.endpoint)
        nonce = self._noise(NONCE_BYTES)
        sealed = nonce + self._seal.encrypt(nonce, msgspec.json.encode(address), id.encode())
        row = {"id": id, "member": member, "channel": name, "sealed": sealed, "created_ms": at_ms}
        insert = self._ledger.insert(subscription).values(row)
        fresh = {"sealed": insert.excluded.sealed, "created_ms": insert.excluded.created_ms}
        tx.execute(insert.on_conflict_do_update(index_elements=["id"], set_=fresh))
        s = subscription.c
        newest = sa.select(s.id).where(s.member == member).order_by(s.created_ms.desc(), s.id).limit(MOST_SUBSCRIPTIONS)
        tx.execute(sa.delete(subscription).where(s.member == member, s.id.not_in(newest)))
        return id

    def unsubscribe(self, tx: sa.Connection, member: int, id: str) -> bool:
        mine = sa.delete(subscription).where(subscription.c.id == id, subscription.c.member == member)
        return tx.execute(mine).rowcount > 0

    def forget(self, tx: sa.Connection, ids: Iterable[str]) -> None:
        """Drop subscriptions that lead nowhere any more."""
        tx.execute(sa.delete(subscription).where(subscription.c.id.in_(list(ids))))

    def reachable(self, tx: sa.Connection, member: int) -> set[str]:
        """The channels on which this member has an address; the inbox needs none."""
        mine = sa.select(subscription.c.channel).where(subscription.c.member == member)
        return {INBOX, *tx.execute(mine).scalars()}

    def reaches(self, tx: sa.Connection, member: int, name: str) -> tuple[Reach, ...]:
        s = subscription.c
        rows = tx.execute(sa.select(s.id, s.sealed).where(s.member == member, s.channel == name).order_by(s.id))
        return tuple(Reach(id, self._open(id, sealed)) for id, sealed in rows)

    def _open(self, id: str, sealed: bytes) -> Address:
        return _address(self._seal.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], id.encode()))
