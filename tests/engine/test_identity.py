"""Who may be published: consents, bindings, epochs and the list."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from engine.events import PresenceEvent
from engine.identity import DAY_MS, HOUR_MS, BadAddress, Identity, Newcomer, UnknownMember, address_octets
from engine.keys import Keys
from engine.ledger import Ledger, open_ledger
from sensors import wire
from tests.servers import sqlite_ledger_url

NOON_MS = 20_000 * DAY_MS + 12 * HOUR_MS
PHONE = "d2:00:00:00:00:01"  # locally administered, as nearly every opted-in phone's is
HARDWARE = "3c:00:00:00:00:01"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = open_ledger(sqlite_ledger_url(tmp_path / "ledger.sqlite"), PresenceEvent)
    yield opened
    opened.close()


@pytest.fixture
def identity(ledger: Ledger) -> Identity:
    return Identity(ledger, Keys(b"m" * 32), "demo", Random(1).randbytes)


def join(ledger: Ledger, identity: Identity, *logins: str, consents: tuple[str, ...] = ("presence",)) -> list[int]:
    with ledger.write() as tx:
        return identity.join(tx, [Newcomer(login, login, consents=consents) for login in logins], 1, place="test")


def associate(
    ledger: Ledger, identity: Identity, login: str, address: str = PHONE, at_ms: int = NOON_MS, secured: bool = False
) -> int | None:
    with ledger.write() as tx:
        return identity.associate(tx, wire.Association(login, address, "Mall", at_ms, "radius", secured))


def listed(ledger: Ledger, identity: Identity, now_ms: int = NOON_MS) -> set[int]:
    with ledger.write() as tx:
        return set(identity.allow_list(tx, now_ms)[1].values())


def test_a_member_who_logs_in_is_on_the_list(ledger: Ledger, identity: Identity) -> None:
    [ana] = join(ledger, identity, "ana")
    associate(ledger, identity, "ana")
    assert listed(ledger, identity) == {ana}


def test_a_login_of_nobody_who_opted_in_binds_nothing(ledger: Ledger, identity: Identity) -> None:
    assert (associate(ledger, identity, "stranger"), listed(ledger, identity)) == (None, set())


def test_a_member_without_consent_to_presence_is_not_on_the_list(ledger: Ledger, identity: Identity) -> None:
    join(ledger, identity, "ana", consents=("personal_offers", "inbox"))
    associate(ledger, identity, "ana")
    assert listed(ledger, identity) == set()


def test_withdrawing_takes_a_member_off_the_list(ledger: Ledger, identity: Identity) -> None:
    [ana] = join(ledger, identity, "ana")
    associate(ledger, identity, "ana")
    with ledger.write() as tx:
        identity.consent(tx, ana, "presence", False, NOON_MS, language="en", place="wallet")
    assert listed(ledger, identity) == set()


def test_granting_again_puts_a_member_back(ledger: Ledger, identity: Identity) -> None:
    [ana] = join(ledger, identity, "ana")
    associate(ledger, identity, "ana")
    with ledger.write() as tx:
        for granted in (False, True):
            identity.consent(tx, ana, "presence", granted, NOON_MS, language="en", place="wallet")
    assert listed(ledger, identity) == {ana}


def test_a_consent_of_nobody_is_refused(ledger: Ledger, identity: Identity) -> None:
    with pytest.raises(UnknownMember), ledger.write() as tx:
        identity.consent(tx, 99, "presence", True, 1, language="en", place="wallet")


def test_joining_twice_keeps_the_member(ledger: Ledger, identity: Identity) -> None:
    assert join(ledger, identity, "ana", "ben") == join(ledger, identity, "ana", "ben")


def test_an_address_bound_to_another_member_is_the_firsts_no_longer(ledger: Ledger, identity: Identity) -> None:
    _, ben = join(ledger, identity, "ana", "ben")
    associate(ledger, identity, "ana")
    associate(ledger, identity, "ben", at_ms=NOON_MS + 1)
    assert listed(ledger, identity) == {ben}


@pytest.mark.parametrize(
    ("address", "secured", "days"), [(PHONE, False, 16), (PHONE, True, 45), (HARDWARE, False, 180)]
)
def test_a_binding_expires_when_its_address_may_have_changed(
    ledger: Ledger, identity: Identity, address: str, secured: bool, days: int
) -> None:
    [ana] = join(ledger, identity, "ana")
    associate(ledger, identity, "ana", address, secured=secured)
    before, after = NOON_MS + days * DAY_MS - 1, NOON_MS + days * DAY_MS
    assert (listed(ledger, identity, before), listed(ledger, identity, after)) == ({ana}, set())


def test_logging_in_again_renews_a_binding(ledger: Ledger, identity: Identity) -> None:
    [ana] = join(ledger, identity, "ana")
    for day in (0, 10):
        associate(ledger, identity, "ana", at_ms=NOON_MS + day * DAY_MS)
    assert listed(ledger, identity, NOON_MS + 20 * DAY_MS) == {ana}


def test_a_member_has_at_most_ten_devices(ledger: Ledger, identity: Identity) -> None:
    join(ledger, identity, "ana")
    for number in range(12):
        associate(ledger, identity, "ana", f"d2:00:00:00:01:{number:02x}", at_ms=NOON_MS + number)
    with ledger.write() as tx:
        assert len(identity.allow_list(tx, NOON_MS + 60)[0].epochs[0].handles) == 10


def test_the_list_finds_a_member_by_the_digest_of_the_address(ledger: Ledger, identity: Identity) -> None:
    [ana] = join(ledger, identity, "ana")
    associate(ledger, identity, "ana")
    with ledger.write() as tx:
        allow, member_of = identity.allow_list(tx, NOON_MS)
    [epoch] = allow.epochs
    assert epoch.digests == wire.digest(epoch.key, "demo", address_octets(PHONE))
    assert member_of == {(epoch.number, epoch.handles[0]): ana}


def test_handles_stay_within_an_epoch_and_change_with_it(ledger: Ledger, identity: Identity) -> None:
    join(ledger, identity, "ana")
    associate(ledger, identity, "ana")
    with ledger.write() as tx:
        seen = [identity.allow_list(tx, NOON_MS + after)[0].epochs[0].handles for after in (0, HOUR_MS, DAY_MS)]
    assert seen[0] == seen[1] != seen[2]


def test_two_epochs_overlap_for_an_hour(ledger: Ledger, identity: Identity) -> None:
    midnight = NOON_MS + 12 * HOUR_MS
    with ledger.write() as tx:
        valid = [
            len(identity.allow_list(tx, instant)[0].epochs)
            for instant in (midnight - HOUR_MS - 1, midnight - HOUR_MS, midnight - 1, midnight)
        ]
    assert valid == [1, 2, 2, 1]


def test_the_next_turn_is_when_the_valid_epochs_change(identity: Identity) -> None:
    midnight = NOON_MS + 12 * HOUR_MS
    assert identity.next_turn_ms(NOON_MS) == midnight - HOUR_MS
    assert identity.next_turn_ms(midnight - HOUR_MS) == midnight


def test_list_versions_rise(ledger: Ledger, identity: Identity) -> None:
    with ledger.write() as tx:
        versions = [identity.allow_list(tx, NOON_MS)[0].list_version for _ in range(3)]
    assert versions == sorted(set(versions))


def test_no_address_is_readable_at_rest(ledger: Ledger, identity: Identity, tmp_path: Path) -> None:
    join(ledger, identity, "ana")
    associate(ledger, identity, "ana")
    ledger.close()
    kept = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert address_octets(PHONE) not in kept and PHONE.encode() not in kept


@pytest.mark.parametrize(
    "written", ["aa:bb:cc:dd:ee:ff", "AA-BB-CC-DD-EE-FF", "aabb.ccdd.eeff", "AABBCCDDEEFF", "aabbcc-ddeeff"]
)
def test_addresses_are_read_in_every_notation(written: str) -> None:
    assert address_octets(written) == bytes.fromhex("aabbccddeeff")


@pytest.mark.parametrize("written", ["", "aa:bb", "not an address", "00:00:00:00:00:00", "aa:bb:cc:dd:ee:ff:00", "é"])
def test_what_is_no_address_is_refused(written: str) -> None:
    with pytest.raises(BadAddress):
        address_octets(written)
