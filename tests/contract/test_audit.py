"""The auditor, who must neither go blind nor take anybody's word for who consented."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from random import Random

import msgspec
import pytest
from paho.mqtt.client import Client

from engine.audit import WITHDRAWAL_MS, Audit, AuditFailed, auditing, consented, vouch
from engine.broker import client
from engine.embedded import NotStarted
from engine.events import PresenceEvent
from engine.identity import DAY_MS, HOUR_MS, Identity, Newcomer
from engine.keys import Keys
from engine.ledger import Ledger, open_ledger
from sensors.wire import Association, Batch, observations_topic, pack
from tests.servers import free_port

BOOT, NOON_MS = 9, 20_000 * DAY_MS + 12 * HOUR_MS
_sites = count(1)


class Heard:
    """An auditor, a sensor it hears, and a ledger that knows one member."""

    def __init__(self, audit: Audit, sensor: Client, site: str, ledger: Ledger) -> None:
        self.audit, self.ledger, self._site, self._sensor = audit, ledger, site, sensor
        self._seq = count(1)
        self._identity = Identity(ledger, Keys(b"m" * 32), site, Random(1).randbytes)
        with ledger.write() as tx:
            newcomer = Newcomer("ana", "Ana", consents=("presence",))
            [self._ana] = self._identity.join(tx, [newcomer], NOON_MS, place="test")
            phone = Association("ana", "d2:00:00:00:00:01", "Mall", NOON_MS, "radius")
            self._identity.associate(tx, phone)
            allow, _ = self._identity.allow_list(tx, NOON_MS)
        self._epoch, [self.handle] = allow.epochs[0].number, allow.epochs[0].handles

    def say(self, payload: bytes) -> None:
        self._sensor.publish(observations_topic(self._site, "s1"), payload, qos=1).wait_for_publish(20)

    def batch(self, handle: int, at_ms: int = NOON_MS) -> Batch:
        return Batch("s1", BOOT, next(self._seq), self._epoch, at_ms, [handle], [0], [-60], [6])

    def withdraw(self, at_ms: int) -> None:
        with self.ledger.write() as tx:
            self._identity.consent(tx, self._ana, "presence", False, at_ms, language="en", place="test")

    def non_members(self, published: int) -> int:
        """Of as many observations as were published."""
        assert self.audit.missed(BOOT, published) == 0
        return self.audit.of_non_members(self.ledger.database)


@pytest.fixture
def heard(broker_url: str, ledger_url: str) -> Iterator[Heard]:
    site = f"audited{next(_sites)}"
    ledger = open_ledger(ledger_url, PresenceEvent)
    sensor = client(broker_url, f"{site}-sensor")
    sensor.connect(sensor.host, sensor.port)
    sensor.loop_start()
    with auditing(broker_url, site) as audit:
        yield Heard(audit, sensor, site, ledger)
    sensor.disconnect()
    sensor.loop_stop()
    ledger.close()


def test_a_members_observation_is_a_members(heard: Heard) -> None:
    heard.say(pack(heard.batch(heard.handle)))
    assert heard.non_members(1) == 0


@pytest.mark.parametrize("encode", [pack, msgspec.json.encode])
def test_a_strangers_observation_is_found_in_either_encoding(heard: Heard, encode: Callable[[Batch], bytes]) -> None:
    heard.say(encode(heard.batch(heard.handle + 1)))
    assert heard.non_members(1) == 1


def test_a_members_observation_in_json_is_a_members(heard: Heard) -> None:
    heard.say(msgspec.json.encode(heard.batch(heard.handle)))
    assert heard.non_members(1) == 0


# Not UTF-8, nothing, too deep, another type, columns of unequal length, a handle that is no number.
MALFORMED = [
    b"\x81\xa6sensor\xa1\xff",
    b"",
    b"\x91" * 5_000,
    b"{" * 5_000,
    b'{"sensor": "\xff"}',
    b"[1]",
    msgspec.json.encode({"sensor": "s1", "boot": 9, "seq": 1, "epoch": 1, "t0_ms": 1, "handle": [1], "dt_ms": []}),
    msgspec.msgpack.encode({"sensor": "s1", "boot": 9, "seq": 1, "epoch": 1, "t0_ms": 1, "handle": [[]], "dt_ms": [0]}),
]


def test_malformed_messages_are_counted_and_the_auditor_hears_on(heard: Heard) -> None:
    for payload in MALFORMED:
        heard.say(payload)
    heard.say(pack(heard.batch(heard.handle + 1)))
    assert (heard.non_members(1), heard.audit.unreadable) == (1, len(MALFORMED))


def test_what_was_published_and_not_heard_is_missed(heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.audit.PATIENCE_S", 0.2)
    heard.say(pack(heard.batch(heard.handle)))
    assert heard.audit.missed(BOOT, 3) == 2


def test_a_repeat_does_not_stand_in_for_what_did_not_come(heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.audit.PATIENCE_S", 0.2)
    again = pack(heard.batch(heard.handle))
    heard.say(again)
    heard.say(again)
    assert heard.audit.missed(BOOT, 2) == 1


def test_a_member_who_withdrew_is_no_member_once_sensors_must_know(heard: Heard) -> None:
    heard.withdraw(NOON_MS + 1_000)
    heard.say(pack(heard.batch(heard.handle, NOON_MS + WITHDRAWAL_MS)))
    heard.say(pack(heard.batch(heard.handle, NOON_MS + 2 * WITHDRAWAL_MS)))
    assert heard.non_members(2) == 1


def test_who_consents_later_was_no_member_before(heard: Heard) -> None:
    heard.say(pack(heard.batch(heard.handle, NOON_MS - HOUR_MS)))
    assert heard.non_members(1) == 1


@pytest.mark.parametrize(
    ("said", "stood"),
    [
        ([], False),
        ([(1, True)], True),
        ([(1, True), (5, False)], False),
        ([(1, True), (15, False)], True),
        ([(1, True), (5, False), (15, True)], True),
        ([(20, True)], False),
    ],
)
def test_consent_stood_if_it_did_at_any_instant_of_the_span(said: list[tuple[int, bool]], stood: bool) -> None:
    assert consented(said, 10, 20) is stood


@pytest.mark.parametrize("fault", ["observations_not_audited", "non_member_observations_published"])
def test_an_audit_that_found_something_fails(fault: str) -> None:
    clean = {"observations_not_audited": 0, "non_member_observations_published": 0}
    vouch(clean)
    with pytest.raises(AuditFailed):
        vouch(clean | {fault: 1})


def test_a_broker_that_is_not_there_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.ear.PATIENCE_S", 0.2)
    with pytest.raises(NotStarted, match="does not answer"):
        Audit(f"mqtt://127.0.0.1:{free_port()}", "demo")
