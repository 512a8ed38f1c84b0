"""First part of the tutorial: a phone sends a frame, a sensor hears it, and what of that may leave the sensor.

Frames here are real 802.11 bytes, built by scapy; the allow-list is the signed and sealed one that the engine sends.
"""

from __future__ import annotations

from secrets import token_bytes

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from scapy.layers.dot11 import Dot11, Dot11QoS, RadioTap

from sensors import frames, wire
from sensors.agent import Agent
from sensors.consent import ConsentFilter

NOON_MS = 1_790_000_000_000
MEMBER, STRANGER = "d2:00:00:00:00:01", "d2:00:00:00:00:02"
TO_ACCESS_POINT = 0x01
ACCESS_POINT = "06:aa:aa:aa:aa:aa"
HANDLE = 4_711
EPOCH_KEY, SITE_KEY = b"e" * 32, b"s" * 32


def frame(address: str, *, dbm: int = -61) -> bytes:
    """A phone keeps its connection alive: a QoS null frame towards its access point, as a radio hands it over."""
    heard = RadioTap(present="Channel+dBm_AntSignal", ChannelFrequency=2437, ChannelFlags=0xA0, dBm_AntSignal=dbm)
    header = Dot11(type=2, subtype=12, FCfield=TO_ACCESS_POINT, addr1=ACCESS_POINT, addr2=address, addr3=ACCESS_POINT)
    return bytes(heard / header / Dot11QoS())


def octets(address: str) -> bytes:
    return bytes.fromhex(address.replace(":", ""))


@pytest.fixture
def consent() -> ConsentFilter:
    """Knows one member, by an allow-list that came sealed over the wire."""
    digest = wire.digest(EPOCH_KEY, "demo", octets(MEMBER))
    epoch = wire.Epoch(1, NOON_MS - 3_600_000, NOON_MS + 3_600_000, EPOCH_KEY, digest, [HANDLE])
    engine = Ed25519PrivateKey.generate()
    sealed = wire.seal_allow_list(wire.AllowList("demo", 1, NOON_MS, [epoch]), SITE_KEY, engine, token_bytes)
    filter = ConsentFilter("demo")
    filter.take(wire.open_allow_list(sealed, SITE_KEY, engine.public_key(), "demo"), NOON_MS)
    return filter


def gathered(consent: ConsentFilter, *heard: bytes) -> wire.Batch | None:
    """What one sensor would publish of a second in which it heard these."""
    sensor = Agent("s101", consent, boot=1)
    for raw in heard:
        sensor.hear(raw, NOON_MS)
    return sensor.gather(NOON_MS + 1_000)


def test_a_frame_says_who_sent_it_and_how_loud_it_was() -> None:
    heard = frames.read(frame(MEMBER, dbm=-61), frames.RADIOTAP)
    assert (heard.transmitter, heard.rssi_dbm) == (octets(MEMBER), -61)


def test_a_member_becomes_an_observation_under_a_throw_away_name(consent: ConsentFilter) -> None:
    batch = gathered(consent, frame(MEMBER, dbm=-61))
    assert batch is not None
    assert (batch.handle, batch.rssi_dbm, batch.channel) == ([HANDLE], [-61], [6])


def test_whoever_did_not_opt_in_is_dropped_on_the_spot(consent: ConsentFilter) -> None:
    assert gathered(consent, frame(STRANGER)) is None


def test_a_sensor_without_a_list_publishes_nobody_and_says_why() -> None:
    sensor = Agent("s101", ConsentFilter("demo"), boot=1)
    sensor.hear(frame(MEMBER), NOON_MS)
    assert sensor.gather(NOON_MS + 1_000) is None
    assert sensor.health(NOON_MS).status == "refusing"


def test_many_frames_of_one_second_are_one_observation(consent: ConsentFilter) -> None:
    batch = gathered(consent, *[frame(MEMBER, dbm=dbm) for dbm in (-64, -61, -60)])
    assert batch is not None and len(batch.handle) == 1


def test_no_address_travels(consent: ConsentFilter) -> None:
    batch = gathered(consent, frame(MEMBER), frame(STRANGER))
    assert batch is not None
    packed = wire.pack(batch)
    assert octets(MEMBER) not in packed and octets(STRANGER) not in packed


def test_a_batch_reads_the_same_as_messagepack_and_as_json(consent: ConsentFilter) -> None:
    batch = gathered(consent, frame(MEMBER))
    assert batch is not None
    assert wire.read_batch(msgspec.json.encode(batch)) == batch
    assert wire.read_batch(wire.pack(batch)) == wire.packed(batch)
