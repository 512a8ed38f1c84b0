"""Properties with shared tables are the properties they were."""

from __future__ import annotations

import subprocess
import sys

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from engine import paho_tables

PACK = """
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
p = Properties(PacketTypes.PUBLISH)
p.ContentType, p.TopicAlias, p.UserProperty = "application/json", 3, ("a", "b")
print(p.pack().hex())
"""


@pytest.fixture
def shared() -> None:
    paho_tables.share()


def test_they_pack_as_untouched_ones_do(shared: None) -> None:
    ours = Properties(PacketTypes.PUBLISH)
    ours.ContentType, ours.TopicAlias, ours.UserProperty = "application/json", 3, ("a", "b")
    untouched = subprocess.run([sys.executable, "-c", PACK], capture_output=True, text=True, check=True)
    assert ours.pack().hex() == untouched.stdout.strip()


def test_two_packets_share_no_values(shared: None) -> None:
    one, other = Properties(PacketTypes.PUBLISH), Properties(PacketTypes.PUBLISH)
    one.ContentType = "application/json"
    assert other.isEmpty()


def test_what_a_packet_may_not_carry_is_still_refused(shared: None) -> None:
    with pytest.raises(Exception, match="SessionExpiryInterval"):
        Properties(PacketTypes.PUBLISH).SessionExpiryInterval = 1


def test_a_messages_properties_are_passed_over_to_the_byte(shared: None) -> None:
    written = Properties(PacketTypes.PUBLISH)
    written.ContentType = "application/json"
    packed = written.pack()
    assert Properties(PacketTypes.PUBLISH).unpack(packed + b"payload")[1] == len(packed)


def test_whoever_asks_for_a_messages_property_gets_it(shared: None) -> None:
    written, read = Properties(PacketTypes.PUBLISH), Properties(PacketTypes.PUBLISH)
    written.ContentType = "application/json"
    read.unpack(written.pack() + b"payload")
    assert (read.ContentType, hasattr(read, "TopicAlias")) == ("application/json", False)


def test_a_brokers_answer_is_still_read(shared: None) -> None:
    answer = Properties(PacketTypes.CONNACK)
    answer.ReceiveMaximum = 100
    read = Properties(PacketTypes.CONNACK)
    read.unpack(answer.pack())
    assert read.ReceiveMaximum == 100
