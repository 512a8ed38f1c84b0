"""The MQTT broker: whose it is, and the engine's side of the conversation.

`embedded://` starts a broker from a wheel (iotcore, which is rumqttd) on loopback; `mqtt://` and `mqtts://`
name one that runs already. What was found out about rumqttd 0.20 shapes both sides:

- MQTT 5 is spoken on a listener of its own that only its configuration file can open; wills, retained
  messages and sessions that outlive a connection work, in memory: they last as long as the broker.
- At most 100 messages are unacknowledged per connection, whatever the client offers, and an acknowledgement
  out of order ends the connection. So a Subscriber holds several connections, and answers in order: with rounds
  of 20 ms, one connection drained 1,700 messages a second and four drained 4,200 (two busy cores).
- It keeps messages per subscription, SEGMENTS of SEGMENT_BYTES, read or unread: about 100 MB in all when full.
  A session that stays away for longer than that lasts loses the oldest (20,000 messages of 1 KB in one shard).
- With 100 messages unacknowledged it confirms nothing else, not even a subscription, until some are.
- A session that subscribes again is not sent the retained messages again, as it should be. A client that
  needs them on each start (a sensor: the allow-list) must start clean.
"""

from __future__ import annotations

import socket
import ssl
import struct
import sys
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from secrets import token_urlsafe
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from engine import paho_tables
from engine.clock import system_clock
from engine.embedded import NotStarted, beside
from sensors.wire import SHARDS

# Sessions of one Subscriber: one for each shard of observations, one for the rest. A broker keeps the order of what one
# subscription brings; rumqttd keeps it of nothing more, and sends a hundred of one and then a hundred of the next.
LANES = SHARDS + 1
# What a broker may send us ahead of our acknowledgements, per lane. It bounds the messages waiting here.
AHEAD = 1_000
# How long a broker that persists sessions keeps ours while the engine is away.
SESSION_EXPIRY_S = 3_600
KEEPALIVE_S = 30
# 512 KiB leaves room around wire.MOST_PAYLOAD_BYTES for what other clients of the mall may send.
MOST_PACKET_BYTES = 512 * 1024
SEGMENT_BYTES = 1024 * 1024
SEGMENTS = 10

USER = "sojourn"

PUBACK = struct.Struct("!BBH")  # type and flags, length of the rest, the message's number

RUMQTTD = """\
id = 0
[router]
id = 0
max_connections = 1000
max_outgoing_packet_count = 200
max_segment_size = {segment_bytes}
max_segment_count = {segments}
[v5.1]
name = "sojourn"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1
[v5.1.connections]
connection_timeout_ms = 5000
max_payload_size = {most_packet_bytes}
max_inflight_count = 1000
dynamic_filters = true
[v5.1.connections.auth]
{user} = "{password}"
"""
# rumqttd reports each packet as an error of its tracing; only silence leaves a log worth reading.
SERVE = """\
import logging, sys
from iotcore import IotCoreBroker
logging.getLogger("rumqttd").setLevel(logging.CRITICAL)
IotCoreBroker(config_path=sys.argv[1]).run_forever()
"""


@contextmanager
def embedded(_url: str, folder: Path) -> Iterator[str]:
    """A broker of our own. Its port and password are kept in *folder*, so that sensors find it again after a restart.

    Whoever else is on this machine may not publish in a sensor's name.
    """
    remembered = folder / "broker.port"
    port = _free_port(int(remembered.read_text()) if remembered.exists() else 0)
    remembered.write_text(str(port))
    password = _password(folder / "broker.key")
    config = folder / "broker.toml"
    config.touch(0o600)
    config.write_text(
        RUMQTTD.format(
            port=port, segment_bytes=SEGMENT_BYTES, segments=SEGMENTS, most_packet_bytes=MOST_PACKET_BYTES,
            user=USER, password=password,
        )
    )  # fmt: skip
    command = [sys.executable, "-I", "-c", SERVE, str(config)]
    with beside(command, log=folder / "broker.log", answers=lambda: _listens(port)):
        yield _at(port, password)


@contextmanager
def running(url: str, _folder: Path) -> Iterator[str]:
    """A broker somebody else runs."""
    yield url


Opener = Callable[[str, Path], AbstractContextManager[str]]
BROKERS: Mapping[str, Opener] = {"embedded": embedded, "mqtt": running, "mqtts": running}


def open_broker(url: str, folder: Path) -> AbstractContextManager[str]:
    """For the length of a block, the URL (mqtt:// or mqtts://) at which sensors and the engine reach the broker.

    Raises embedded.NotStarted, also for a scheme that is not in BROKERS.
    """
    scheme = urlsplit(url).scheme
    if scheme not in BROKERS:
        raise NotStarted(f"broker_url {url!r} must start with one of {', '.join(f'{known}://' for known in BROKERS)}")
    return BROKERS[scheme](url, folder)


def beside_engine(url: str, folder: Path) -> str:
    """The URL at which the broker of an engine that runs with this one and this data folder is reached.

    Raises embedded.NotStarted where none ever ran.
    """
    if urlsplit(url).scheme != "embedded":
        return url
    try:
        return _at(int((folder / "broker.port").read_text()), (folder / "broker.key").read_text())
    except OSError:
        raise NotStarted(f"no broker of an engine in {folder}: start it first, or name its data folder") from None


def _at(port: int, password: str) -> str:
    return f"mqtt://{USER}:{password}@127.0.0.1:{port}"


def _password(file: Path) -> str:
    if not file.exists():
        file.touch(0o600)
        file.write_text(token_urlsafe())
    return file.read_text()


def _free_port(wanted: int) -> int:
    """*wanted* if nobody listens there, else one the system gives."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            # As the broker does; without it a port would count as taken for a minute after a restart.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise NotStarted("no free port on 127.0.0.1 for the broker")


def _listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=0.5):
            return True
    except OSError:
        return False


class Message(NamedTuple):
    """One message, waiting to be acknowledged.

    mid               its number within its lane's connection; None if it asks for no acknowledgement
    lane, connection  where it came from: it can be acknowledged only on the connection that brought it
    """

    topic: str
    payload: bytes
    mid: int | None
    retained: bool
    arrived_real_ms: int
    lane: int
    connection: int


class Subscriber:
    """Everything sensors tell the engine, at least once: what is not acknowledged comes again.

    A message counts as done only by `acknowledge`; after a crash of the engine, or of a connection, a broker
    that keeps sessions sends the rest again. Repeats are the caller's to see through.

    Connections are made and renewed in the background. Memory is bounded: a broker sends at most AHEAD messages
    per lane ahead of their acknowledgement, and where that does not count (QoS 0) we stop reading from the socket.
    """

    def __init__(self, url: str, site: str, *, name: str = "engine") -> None:
        """url is mqtt:// or mqtts://; *name* tells one engine's sessions from another's on the same site."""
        self._waiting: deque[Message] = deque()
        self._some, self._room = threading.Event(), threading.Event()
        self._closing = False
        self._retained: dict[str, bytes] = {}
        topics = [[f"sojourn/{site}/{kind}/{shard}/#" for kind in ("obs", "fix")] for shard in range(SHARDS)]
        topics.append([f"sojourn/{site}/bind/#", f"sojourn/{site}/health/#"])
        self._lanes = [
            _Lane(self, index, url, f"sojourn-{site}-{name}-{index}", heard) for index, heard in enumerate(topics)
        ]
        for lane in self._lanes:
            lane.start()

    @property
    def connected(self) -> bool:
        return not self.away

    @property
    def away(self) -> frozenset[int]:
        """The lanes that have no connection now; what waits for them at the broker is still to come."""
        return frozenset(lane.index for lane in self._lanes if not lane.subscribed.is_set())

    def wait_connected(self, timeout_s: float) -> bool:
        """True once every lane is subscribed; False if that took longer than *timeout_s*."""
        return all(lane.subscribed.wait(timeout_s) for lane in self._lanes)

    def take(self, timeout_s: float, most: int = LANES * AHEAD) -> list[Message]:
        """The messages that wait, at most *most*, in each lane's order; waits up to *timeout_s* for a first one."""
        self._some.wait(timeout_s)
        self._some.clear()
        # Only this thread takes out, so what is counted here is still there; what comes meanwhile sets the bell again.
        taken = [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
        if self._waiting or self._closing:
            self._some.set()
        self._room.set()
        return taken

    def acknowledge(self, messages: Sequence[Message]) -> None:
        """Tell the broker that these need not come again. Give them in the order they were taken."""
        of_lane: defaultdict[int, list[Message]] = defaultdict(list)
        for message in messages:
            of_lane[message.lane].append(message)
        for lane, its in of_lane.items():
            self._lanes[lane].acknowledge(its)

    def publish_retained(self, topic: str, payload: bytes) -> None:
        """Publish at QoS 1 and have the broker keep it for those who come later, also after its own restart.

        Away from the broker, the last payload of a topic is kept here and published when it is back.
        """
        self._retained[topic] = payload
        self._lanes[0].publish(topic, payload)

    def close(self) -> None:
        self._closing = True
        self._some.set()
        self._room.set()
        for lane in self._lanes:
            lane.close()

    def _arrived(self, message: Message) -> None:
        # Without a lock: every lane's thread comes through here for every message, and appending is one step.
        while len(self._waiting) >= LANES * AHEAD and not self._closing:
            self._room.clear()
            self._room.wait(1.0)
        self._waiting.append(message)
        if not self._some.is_set():
            self._some.set()

    def _subscribed(self, lane: _Lane) -> None:
        # Now, not on connection: by now the client has repeated what was under way when the last connection
        # broke, so an older list cannot overtake the newest. A broker that was restarted gets its list back.
        if lane.index == 0:
            for topic, payload in list(self._retained.items()):
                lane.publish(topic, payload)


class _Lane:
    """One session with the broker: some of the topics, and its own order of acknowledgements."""

    def __init__(self, owner: Subscriber, index: int, url: str, session: str, topics: Sequence[str]) -> None:
        self.index, self.subscribed = index, threading.Event()
        self._owner, self._topics = owner, topics
        self._connection = 0
        self._same_connection = threading.Lock()
        self._client = client(url, session, manual_ack=True)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message

    def start(self) -> None:
        ask = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        ask.SessionExpiryInterval, ask.ReceiveMaximum = SESSION_EXPIRY_S, AHEAD
        ask.MaximumPacketSize = MOST_PACKET_BYTES
        self._client.connect_async(self._client.host, self._client.port, KEEPALIVE_S, clean_start=False, properties=ask)
        self._client.loop_start()

    def publish(self, topic: str, payload: bytes) -> None:
        if self._client.is_connected():
            self._client.publish(topic, payload, qos=1, retain=True)

    def acknowledge(self, messages: Sequence[Message]) -> None:
        with self._same_connection:
            # A number of an earlier connection means another message on this one, or none.
            mids = [m.mid for m in messages if m.mid is not None and m.connection == self._connection]
            if mids:
                # All in one write. Client.ack wakes paho's thread and sends for each, which was a quarter of the
                # time of ingest at 2,500 messages a second.
                together = b"".join(PUBACK.pack(PacketTypes.PUBACK << 4, 2, mid) for mid in mids)
                self._client._packet_queue(PacketTypes.PUBACK << 4, together, mids[-1], 1)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, _client: Client, _data: Any, flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            return
        # Asked for on every connection: another version of us may have asked for less, and asking twice is harmless.
        self._client.subscribe([(topic, SubscribeOptions(qos=1)) for topic in self._topics])
        # rumqttd confirms only after what has waited for us: 100 messages, and then our acknowledgements.
        if flags.session_present:
            self.subscribed.set()

    def _on_subscribe(self, *_: Any) -> None:
        self.subscribed.set()
        self._owner._subscribed(self)

    def _on_disconnect(self, *_: Any) -> None:
        self.subscribed.clear()
        with self._same_connection:
            self._connection += 1

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        mid = message.mid if message.qos else None
        self._owner._arrived(
            Message(
                message.topic, bytes(message.payload), mid, message.retain, system_clock(), self.index, self._connection
            )
        )


def client(url: str, session: str, *, manual_ack: bool = False) -> Client:
    """An MQTT 5 client for *url*, with its credentials and TLS; it connects when asked to, and again by itself."""
    paho_tables.share()
    parts = urlsplit(url)
    made = Client(CallbackAPIVersion.VERSION2, client_id=session, protocol=MQTTv5, manual_ack=manual_ack)
    if parts.scheme == "mqtts":
        made.tls_set_context(ssl.create_default_context())
    if parts.username is not None:
        made.username_pw_set(unquote(parts.username), None if parts.password is None else unquote(parts.password))
    made.host, made.port = parts.hostname or "127.0.0.1", parts.port or (8883 if parts.scheme == "mqtts" else 1883)
    made.reconnect_delay_set(min_delay=1, max_delay=5)
    return made
