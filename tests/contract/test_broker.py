"""What the engine needs of a broker, on the one from the wheel and on Mosquitto."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from queue import Queue
from threading import Event
from time import monotonic

import pytest
from paho.mqtt.client import Client
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from engine.broker import AHEAD, LANES, Message, Subscriber, client
from sensors.wire import MOST_PAYLOAD_BYTES, SHARDS, allow_topic, health_topic, observations_topic

WAIT_S = 20.0
# Takes messages, acknowledges some, and dies without a word.
CRASHES = """
import os, sys
from engine.broker import Subscriber
url, site, take, acknowledge = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
engine, taken = Subscriber(url, site), []
while len(taken) < take:
    taken += engine.take(1.0)
engine.acknowledge(taken[:acknowledge])
os.kill(os.getpid(), 9)
"""
_sites = count(1)


@pytest.fixture
def site() -> str:
    """A mall of its own for each test: brokers live through the whole run."""
    return f"site{next(_sites)}"


@pytest.fixture
def closing() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def engine(broker_url: str, site: str, closing: ExitStack) -> Callable[[], Subscriber]:
    """Starts the engine's side, again and again."""

    def start() -> Subscriber:
        subscriber = Subscriber(broker_url, site)
        closing.callback(subscriber.close)
        assert subscriber.wait_connected(WAIT_S)
        return subscriber

    return start


@pytest.fixture
def sensor(broker_url: str, site: str, closing: ExitStack) -> Client:
    """A connected publisher."""
    return connected(broker_url, f"{site}-sensor", closing)


def connected(url: str, session: str, closing: ExitStack, *, will: str | None = None) -> Client:
    """A client that started clean; what it subscribes to arrives in its user data, a Queue."""
    made, ready = client(url, session), Event()
    made.user_data_set(Queue())
    made.on_connect = lambda *_: ready.set()
    made.on_message = lambda _client, queue, message: queue.put(message)
    if will is not None:
        made.will_set(will, b"gone", qos=1, retain=True)
    expiry = Properties(PacketTypes.CONNECT)
    expiry.SessionExpiryInterval = 0
    made.connect(made.host, made.port, clean_start=True, properties=expiry)
    made.loop_start()
    closing.callback(made.loop_stop)
    closing.callback(made.disconnect)
    assert ready.wait(WAIT_S)
    return made


def say(sensor: Client, topic: str, *payloads: bytes, retain: bool = False) -> None:
    """Publish, and return when the broker has taken the responsibility."""
    for published in [sensor.publish(topic, payload, qos=1, retain=retain) for payload in payloads]:
        published.wait_for_publish(WAIT_S)


def hear(subscriber: Subscriber, number: int) -> list[Message]:
    """Take until *number* messages came; whatever comes at the same moment as the last is there, too."""
    heard: list[Message] = []
    deadline_s = monotonic() + WAIT_S
    while len(heard) < number and monotonic() < deadline_s:
        heard += subscriber.take(0.2)
    return heard


def numbered(messages: int) -> list[bytes]:
    return [b"%d" % number for number in range(messages)]


def payloads(messages: list[Message]) -> list[bytes]:
    return [message.payload for message in messages]


def test_what_a_sensor_says_arrives_as_it_was_said(engine, sensor, site):
    subscriber = engine()
    say(sensor, observations_topic(site, "s1"), b"batch")
    (message,) = hear(subscriber, 1)
    assert (message.topic, message.payload, message.retained) == (observations_topic(site, "s1"), b"batch", False)


def test_every_shard_and_every_kind_of_topic_is_heard(engine, sensor, site):
    subscriber = engine()
    topics = [f"sojourn/{site}/obs/{shard}/s" for shard in range(SHARDS)]
    topics += [f"sojourn/{site}/bind/radius", health_topic(site, "s")]
    for topic in topics:
        say(sensor, topic, b"x")
    assert sorted(message.topic for message in hear(subscriber, len(topics))) == sorted(topics)


def test_another_site_is_not_heard(engine, sensor, site):
    subscriber = engine()
    say(sensor, observations_topic("elsewhere", "s1"), b"theirs")
    say(sensor, observations_topic(site, "s1"), b"ours")
    assert payloads(hear(subscriber, 1)) == [b"ours"]


def test_one_sensor_is_heard_in_order(engine, sensor, site):
    subscriber = engine()
    say(sensor, observations_topic(site, "s1"), *numbered(90))
    assert payloads(hear(subscriber, 90)) == numbered(90)


def test_what_was_not_acknowledged_before_a_crash_comes_again(broker_url, engine, sensor, site):
    engine().close()
    say(sensor, observations_topic(site, "s1"), *numbered(80))
    subprocess.run([sys.executable, "-c", CRASHES, broker_url, site, "80", "30"], check=False)
    subscriber, heard = engine(), []
    while b"79" not in heard:
        heard += payloads(hear(subscriber, 1))
    # Acknowledgements may have died on their way, so more than the rest may come; never less.
    assert heard[-50:] == numbered(80)[30:]


def test_what_was_acknowledged_does_not_come_again(engine, sensor, site):
    subscriber = engine()
    say(sensor, observations_topic(site, "s1"), b"done")
    subscriber.acknowledge(hear(subscriber, 1))
    subscriber.close()
    again = engine()
    say(sensor, observations_topic(site, "s1"), b"new")
    assert payloads(hear(again, 1)) == [b"new"]


def test_what_is_said_while_the_engine_is_away_is_kept_for_it(engine, sensor, site):
    engine().close()
    say(sensor, observations_topic(site, "s1"), *numbered(5_000))
    subscriber, heard = engine(), []
    while len(heard) < 5_000 and (messages := hear(subscriber, 1)):
        subscriber.acknowledge(messages)
        heard += messages
    assert payloads(heard) == numbered(5_000)


def test_several_hundred_messages_may_wait_for_one_commit(engine, sensor, site):
    subscriber = engine()
    for shard in range(SHARDS):
        say(sensor, f"sojourn/{site}/obs/{shard}/s", *numbered(50))
    assert len(hear(subscriber, 400)) == 400


def test_nothing_is_dropped_while_the_engine_is_slower_than_its_sensors(engine, sensor, site):
    subscriber, heard = engine(), []
    many = 2 * LANES * AHEAD
    sent = [sensor.publish(observations_topic(site, f"s{n % 50}"), b"%d" % n, qos=1) for n in range(many)]
    sent[-1].wait_for_publish(WAIT_S)
    while len(heard) < many and (messages := subscriber.take(WAIT_S, 100)):
        subscriber.acknowledge(messages)
        heard += messages
    assert Counter(payloads(heard)) == Counter(numbered(many))


def test_the_largest_batch_passes(engine, sensor, site):
    subscriber, large = engine(), os.urandom(MOST_PAYLOAD_BYTES)
    say(sensor, observations_topic(site, "s1"), large)
    assert payloads(hear(subscriber, 1)) == [large]


def test_a_sensor_that_comes_later_gets_the_list_that_was_published_last(broker_url, closing, engine, site):
    subscriber = engine()
    subscriber.publish_retained(allow_topic(site), b"first")
    subscriber.publish_retained(allow_topic(site), b"second")
    watcher = connected(broker_url, f"{site}-watcher", closing)
    watcher.subscribe(allow_topic(site), qos=1)
    assert watcher.user_data_get().get(timeout=WAIT_S).payload in (b"first", b"second")
    late = connected(broker_url, f"{site}-late", closing)
    late.subscribe(allow_topic(site), qos=1)
    assert late.user_data_get().get(timeout=WAIT_S).payload == b"second"


def test_a_sensor_that_starts_again_gets_the_list_again(broker_url, closing, engine, site):
    engine().publish_retained(allow_topic(site), b"list")
    for _ in range(2):
        with ExitStack() as life:
            again = connected(broker_url, f"{site}-restarted", life)
            again.subscribe(allow_topic(site), qos=1)
            assert again.user_data_get().get(timeout=WAIT_S).payload == b"list"


def test_the_last_will_of_a_sensor_that_vanishes_is_heard(broker_url, closing, engine, site):
    subscriber = engine()
    vanishing = connected(broker_url, f"{site}-vanishing", closing, will=health_topic(site, "s1"))
    vanishing.socket().shutdown(socket.SHUT_RDWR)
    assert payloads(hear(subscriber, 1)) == [b"gone"]


def test_a_sensor_that_leaves_in_order_has_no_last_will(broker_url, closing, engine, sensor, site):
    subscriber = engine()
    leaving = connected(broker_url, f"{site}-leaving", closing, will=health_topic(site, "s1"))
    leaving.disconnect()
    leaving.loop_stop()
    say(sensor, health_topic(site, "s2"), b"here")
    assert payloads(hear(subscriber, 1)) == [b"here"]


def test_a_message_that_needs_no_acknowledgement_can_be_acknowledged(engine, sensor, site):
    subscriber = engine()
    sensor.publish(observations_topic(site, "s1"), b"careless", qos=0)
    subscriber.acknowledge(hear(subscriber, 1))
    say(sensor, observations_topic(site, "s1"), b"careful")
    assert payloads(hear(subscriber, 1)) == [b"careful"]
