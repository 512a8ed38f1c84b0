"""Who opted in, to what, and which devices are whose; and the list that tells sensors whom they may publish.

Addresses are sealed at rest and never logged; a device is known elsewhere only by its handle of the epoch.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import sqlalchemy as sa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from engine import tables
from engine.clock import system_clock
from engine.events import ConsentChanged, id_of
from engine.keys import Keys
from engine.ledger import Ledger
from sensors import wire

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
# The next epoch's handles are valid an hour before the change, so that sensors and engine need not change at once.
OVERLAP_MS = HOUR_MS
# Phones renew private addresses about every 2 weeks on open networks, 6 weeks on others: a binding that was not seen
# for longer may be somebody else's by now. Universal addresses belong to the hardware.
EXPIRY_MS = {("private", False): 16 * DAY_MS, ("private", True): 45 * DAY_MS, ("universal", False): 180 * DAY_MS}
MOST_BINDINGS = 10
PRIVATE_BIT = 0x02

PRESENCE = "presence"
# greeting: the shop that brought the member may be told that they have come in.
PURPOSES = (PRESENCE, "personal_offers", "inbox", "web_push", "messages", "greeting")


class BadAddress(ValueError):
    """Not a device address in any of the notations controllers use."""


class UnknownMember(LookupError):
    """No member of that id; who erased or mistyped it must act."""

    def __init__(self, member: int) -> None:
        super().__init__(f"there is no member {member}")
        self.member = member


class Consent(NamedTuple):
    purpose: str
    granted: bool
    at_ms: int | None  # None: never asked


@dataclass(frozen=True)
class Newcomer:
    """Somebody who opts in."""

    login: str
    name: str
    birthday: str | None = None  # MM-DD
    language: str = "en"
    home_km: float | None = None
    consents: tuple[str, ...] = ()


def address_octets(written: str) -> bytes:
    """Six octets from aa:bb:.., AA-BB-.., aabb.ccdd.eeff, aabbccddeeff or aabbcc-ddeeff. Raises BadAddress."""
    digits = written.translate({ord(mark): None for mark in ":-."})
    try:
        octets = bytes.fromhex(digits)
    except ValueError:
        octets = b""
    if len(octets) != 6 or octets == b"\0" * 6:
        raise BadAddress("not a device address")  # the address itself is not for the log
    return octets


class Identity:
    """Members, consents and bindings in the ledger; epochs and their handles.

    noise  secrets.token_bytes, or a seeded source in tests
    turn_ms  when in the UTC day epochs change; pick an hour when the mall is closed
    """

    def __init__(
        self, ledger: Ledger, keys: Keys, site: str, noise: Callable[[int], bytes], *, turn_ms: int = 0
    ) -> None:
        self._ledger, self._keys, self._site, self._noise, self._turn_ms = ledger, keys, site, noise, turn_ms
        self._list_version = 0

    # -- members and consents ---------------------------------------------------------------------

    def join(self, tx: sa.Connection, newcomers: Iterable[Newcomer], at_ms: int, *, place: str) -> list[int]:
        """Their member ids, in order; somebody who is a member already keeps the id and the consents."""
        ids = []
        for newcomer in newcomers:
            row = {
                "login": newcomer.login,
                "name": newcomer.name,
                "birthday": newcomer.birthday,
                "language": newcomer.language,
                "home_km": newcomer.home_km,
                "created_ms": at_ms,
            }
            insert = self._ledger.insert(tables.member).values(row).on_conflict_do_nothing(index_elements=["login"])
            new = tx.execute(insert.returning(tables.member.c.id)).scalar()
            if new is not None:
                for purpose in newcomer.consents:
                    said = Consent(purpose, True, at_ms)
                    self._note(tx, new, said, language=newcomer.language, place=place)
                ids.append(new)
            else:
                known = sa.select(tables.member.c.id).where(tables.member.c.login == newcomer.login)
                ids.append(tx.execute(known).scalar_one())
        return ids

    def consent(
        self,
        tx: sa.Connection,
        member: int,
        purpose: str,
        granted: bool,
        at_ms: int,
        *,
        language: str,
        place: str,
        text_version: str = "1",
    ) -> None:
        """Append what a member decided, and tell whoever follows the ledger. Raises UnknownMember."""
        if tx.execute(sa.select(tables.member.c.id).where(tables.member.c.id == member)).scalar() is None:
            raise UnknownMember(member)
        said = Consent(purpose, granted, at_ms)
        number = self._note(tx, member, said, language=language, place=place, text_version=text_version)
        event = ConsentChanged(
            id=id_of("consent.changed", number), at_ms=at_ms, member=member, visit="", purpose=purpose, granted=granted
        )
        self._ledger.append(tx, [event], heard_real_ms=system_clock())

    @staticmethod
    def _note(
        tx: sa.Connection, member: int, said: Consent, *, language: str, place: str, text_version: str = "1"
    ) -> int:
        """One more line of what a member decided; its number."""
        row = {"member": member, **said._asdict(), "text_version": text_version, "language": language, "place": place}
        return int(tx.execute(sa.insert(tables.consent).values(row).returning(tables.consent.c.seq)).scalar_one())

    def consents(self, tx: sa.Connection, member: int) -> list[Consent]:
        """The last word on each purpose, for one member."""
        c = tables.consent.c
        rows = tx.execute(sa.select(c.purpose, c.granted, c.at_ms).where(c.member == member).order_by(c.seq))
        last = {purpose: Consent(purpose, granted, at_ms) for purpose, granted, at_ms in rows}
        return [last.get(purpose, Consent(purpose, False, None)) for purpose in PURPOSES]

    def consents_of_each(self, tx: sa.Connection, members: Iterable[int]) -> dict[int, set[str]]:
        """The purposes that each has granted, in one query."""
        wanted = list(members)
        granted: dict[int, set[str]] = {member: set() for member in wanted}
        c = tables.consent.c
        rows = tx.execute(sa.select(c.member, c.purpose, c.granted).where(c.member.in_(wanted)).order_by(c.seq))
        for member, purpose, yes in rows:
            (granted[member].add if yes else granted[member].discard)(purpose)
        return granted

    # -- bindings ---------------------------------------------------------------------------------

    def associate(self, tx: sa.Connection, association: wire.Association) -> int | None:
        """Bind the device of a login to its member; None when nobody with that login opted in.

        An address that was another member's is that member's no longer. Raises BadAddress.
        """
        octets = address_octets(association.address)
        member: int | None = tx.execute(
            sa.select(tables.member.c.id).where(tables.member.c.login == association.login)
        ).scalar()
        if member is None:
            return None
        nature = "private" if octets[0] & PRIVATE_BIT else "universal"
        lasts_ms = EXPIRY_MS[nature, association.secured and nature == "private"]
        digest = hmac.digest(self._keys.address_digests, octets, "sha256")[:16]
        b = tables.binding.c
        live = sa.and_(b.address_digest == digest, b.ended_ms.is_(None))
        fresh = {"associated_ms": association.at_ms, "expires_ms": association.at_ms + lasts_ms}
        # A login reported late must not make the binding older than a newer one has made it.
        newer = sa.and_(live, b.member == member)
        known = (
            tx.execute(
                sa.update(tables.binding).where(newer, b.associated_ms <= association.at_ms).values(fresh)
            ).rowcount
            or tx.execute(sa.select(b.id).where(newer)).scalar()
        )
        if known:
            return member
        tx.execute(sa.update(tables.binding).where(live).values(ended_ms=association.at_ms))
        nonce = self._noise(wire.NONCE_BYTES)
        tx.execute(
            sa.insert(tables.binding).values(
                member=member,
                address_sealed=nonce + AESGCM(self._keys.addresses).encrypt(nonce, octets, None),
                address_digest=digest,
                ssid=association.ssid,
                source=association.source,
                bound_ms=association.at_ms,
                **fresh,
            )
        )
        kept = sa.select(b.id).where(b.member == member, b.ended_ms.is_(None))
        newest = kept.order_by(b.associated_ms.desc(), b.id.desc()).limit(MOST_BINDINGS)
        surplus = sa.and_(b.member == member, b.ended_ms.is_(None), b.id.not_in(newest))
        tx.execute(sa.update(tables.binding).where(surplus).values(ended_ms=association.at_ms))
        return member

    # -- epochs and the allow-list ----------------------------------------------------------------

    def allow_list(self, tx: sa.Connection, now_ms: int) -> tuple[wire.AllowList, Mapping[tuple[int, int], int]]:
        """The list that is right at *now_ms*, and whose each (epoch, handle) is.

        On the list: devices bound and not expired, of members who consent to presence.
        """
        devices = self._devices(tx, now_ms)
        epochs: list[wire.Epoch] = []
        member_of: dict[tuple[int, int], int] = {}
        for number in self._numbers(now_ms):
            from_ms, until_ms, key = self._epoch(tx, number)
            handles = self._handles(tx, number, [binding for binding, _, _ in devices])
            digests = b"".join(wire.digest(key, self._site, octets) for _, _, octets in devices)
            epochs.append(wire.Epoch(number, from_ms, until_ms, key, digests, [handles[b] for b, _, _ in devices]))
            member_of |= {(number, handles[binding]): member for binding, member, _ in devices}
        # Rising also across restarts, without a counter to lose.
        self._list_version = max(self._list_version + 1, now_ms)
        return wire.AllowList(self._site, self._list_version, now_ms, epochs), member_of

    def next_turn_ms(self, now_ms: int) -> int:
        """When the set of valid epochs changes next."""
        return min(
            instant
            for number in range(self._number(now_ms), self._number(now_ms) + 3)
            for instant in self._span(number)
            if instant > now_ms
        )

    def _number(self, now_ms: int) -> int:
        return (now_ms - self._turn_ms) // DAY_MS

    def _span(self, number: int) -> tuple[int, int]:
        start_ms = number * DAY_MS + self._turn_ms
        return start_ms - OVERLAP_MS, start_ms + DAY_MS

    def _numbers(self, now_ms: int) -> list[int]:
        number = self._number(now_ms)
        return [n for n in (number, number + 1) if self._span(n)[0] <= now_ms < self._span(n)[1]]

    def _epoch(self, tx: sa.Connection, number: int) -> tuple[int, int, bytes]:
        """Its span and its key, drawn when the epoch is first needed; whoever draws second uses the first's."""
        from_ms, until_ms = self._span(number)
        nonce = self._noise(wire.NONCE_BYTES)
        sealed = nonce + AESGCM(self._keys.addresses).encrypt(nonce, self._noise(32), b"epoch")
        drawn = self._ledger.insert(tables.epoch).values(
            number=number, from_ms=from_ms, until_ms=until_ms, key_sealed=sealed
        )
        tx.execute(drawn.on_conflict_do_nothing(index_elements=["number"]))
        kept = tx.execute(sa.select(tables.epoch.c.key_sealed).where(tables.epoch.c.number == number)).scalar_one()
        return from_ms, until_ms, AESGCM(self._keys.addresses).decrypt(kept[:12], kept[12:], b"epoch")

    def _devices(self, tx: sa.Connection, now_ms: int) -> list[tuple[int, int, bytes]]:
        """(binding, member, address) of all who may be published."""
        c, b = tables.consent.c, tables.binding.c
        last = sa.select(sa.func.max(c.seq)).where(c.purpose == PRESENCE).group_by(c.member).scalar_subquery()
        consenting = sa.select(c.member).where(c.seq.in_(last), c.granted)
        rows = tx.execute(
            sa.select(b.id, b.member, b.address_sealed)
            .where(b.ended_ms.is_(None), b.expires_ms > now_ms, b.member.in_(consenting))
            .order_by(b.id)
        )
        opener = AESGCM(self._keys.addresses)
        return [(binding, member, opener.decrypt(sealed[:12], sealed[12:], None)) for binding, member, sealed in rows]

    def _handles(self, tx: sa.Connection, epoch: int, bindings: list[int]) -> dict[int, int]:
        """binding -> handle in the epoch; random, so that a recorded night of traffic names nobody the next day."""
        h = tables.handle.c
        rows = tx.execute(sa.select(h.binding, h.handle).where(h.epoch == epoch))
        known: dict[int, int] = {binding: handle for binding, handle in rows}
        taken = set(known.values())
        new = []
        for binding in bindings:
            if binding not in known:
                handle = 0
                while handle == 0 or handle in taken:
                    handle = int.from_bytes(self._noise(7)) >> (56 - wire.HANDLE_BITS)
                taken.add(handle)
                known[binding] = handle
                new.append({"epoch": epoch, "handle": handle, "binding": binding})
        if new:
            tx.execute(sa.insert(tables.handle), new)
        return known
