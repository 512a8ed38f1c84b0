"""What tests of sensors share: allow-lists, frames in the air, and a real broker."""

from __future__ import annotations

import contextlib
import signal
import struct
import subprocess
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from sensors.frames import Kind
from sensors.wire import AllowList, Epoch, digest
from tests.servers import free_port, installed

HOUR_MS = 3_600_000
SITE = "demo"
ACCESS_POINT = bytes.fromhex("02aaaaaaaaaa")


def _epoch_of(number: int, members: dict[bytes, int], *, from_ms: int = 0, until_ms: int = 24 * HOUR_MS) -> Epoch:
    key = bytes([number]) * 32
    digests = b"".join(digest(key, SITE, address) for address in members)
    return Epoch(number, from_ms, until_ms, key, digests, list(members.values()))


def _list_of(*epochs: Epoch, version: int = 1, site: str = SITE) -> AllowList:
    return AllowList(site, version, 0, list(epochs))


def _in_the_air(
    address: bytes,
    *,
    kind: int = Kind.QOS_NULL,
    dbm: int | None = -60,
    sequence: int = 0,
    retry: bool = False,
    direction: int = 0x01,
    channel: int = 6,
    bssid: bytes = ACCESS_POINT,
) -> bytes:
    signal = b"" if dbm is None else struct.pack("<b", dbm)
    present = 1 << 3 | (0 if dbm is None else 1 << 5)
    radio = struct.pack("<BBHIHH", 0, 0, 12 + len(signal), present, 2407 + 5 * channel, 0) + signal
    bits = (direction if kind >= Kind.DATA else 0) | (0x08 if retry else 0)
    control = bytes(((kind & 0xF) << 4 | (kind >> 4) << 2, bits, 0, 0))
    return radio + control + bssid + address + bssid + struct.pack("<H", sequence << 4) + b"\0\0"


@pytest.fixture(scope="session")
def epoch_of() -> Callable[..., Epoch]:
    """(number, {address: handle}) -> one epoch, valid for the first 24 hours of 1970 unless said otherwise."""
    return _epoch_of


@pytest.fixture(scope="session")
def list_of() -> Callable[..., AllowList]:
    """(*epochs, version) -> an allow-list of site `demo`."""
    return _list_of


@pytest.fixture(scope="session")
def in_the_air() -> Callable[..., bytes]:
    """(address, ...) -> a frame as a capturing radio delivers it. direction: 1 to the access point, 2 from it."""
    return _in_the_air


# -- a broker -------------------------------------------------------------------------------------

CONFIG = """
listener {port} 127.0.0.1
allow_anonymous true
user root
persistence true
persistence_location {folder}/
autosave_interval 0
log_dest stderr
log_type information
# The ear may be slower to come back than the sensor; the broker shall keep everything for it.
max_queued_messages 0
"""


class Mosquitto:
    """A real broker on a port of its own, that can be frozen, killed and started again."""

    def __init__(self, program: str, folder: Path) -> None:
        self.port = free_port()
        self.url = f"mqtt://127.0.0.1:{self.port}"
        self._config = folder / "mosquitto.conf"
        self._config.write_text(CONFIG.format(port=self.port, folder=folder))
        self._program = program
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            [self._program, "-c", str(self._config)], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )
        self._await("running")

    def _await(self, told: str) -> None:
        while told not in (line := self._process.stderr.readline()):
            assert line, f"mosquitto ended before it said {told!r}"

    def save(self) -> None:
        """Sessions of now survive a kill."""
        self._process.send_signal(signal.SIGUSR1)
        self._await("Saving")

    def freeze(self) -> None:
        """It still holds its connections, but reads and answers nothing."""
        self._process.send_signal(signal.SIGSTOP)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._process.stderr.close()

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            self._process.wait()
            self._process.stderr.close()


@pytest.fixture
def mosquitto(tmp_path) -> Iterator[Mosquitto]:
    folder = tmp_path / "broker"
    folder.mkdir()
    broker = Mosquitto(installed("mosquitto", "/usr/sbin"), folder)
    broker.start()
    yield broker
    broker.stop()


class Ear:
    """Hears everything on a site, with a session that outlives the broker, and can be waited on."""

    def __init__(self, url: str, site: str = SITE) -> None:
        self.heard: list[MQTTMessage] = []
        self.on: defaultdict[str, list[bytes]] = defaultdict(list)  # payloads by topic, in order
        self._changed = threading.Condition()
        self._ready = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=f"ear-{site}", protocol=MQTTv5)
        self._client.on_message = self._on_message
        self._client.on_connect = lambda client, *_: client.subscribe(f"sojourn/{site}/#", qos=1)
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.reconnect_delay_set(0.05, 0.2)
        ask = Properties(PacketTypes.CONNECT)
        ask.SessionExpiryInterval = 3600
        parts = urlsplit(url)
        self._port = parts.port or 1883
        if parts.username:
            self._client.username_pw_set(parts.username, parts.password)
        self._client.connect("127.0.0.1", self._port, clean_start=False, properties=ask)
        self._client.loop_start()
        assert self._ready.wait(10)

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        with self._changed:
            self.heard.append(message)
            self.on[message.topic].append(message.payload)
            self._changed.notify_all()

    def wait_until(self, holds: Callable[[], bool], timeout_s: float = 20) -> None:
        with self._changed:
            assert self._changed.wait_for(holds, timeout_s), f"{len(self.heard)} heard, not yet what was waited for"

    def publish(self, topic: str, payload: bytes) -> None:
        """Retained, as the engine publishes the allow-list."""
        self._client.publish(topic, payload, qos=1, retain=True).wait_for_publish(10)

    def take_over(self, client_id: str) -> None:
        """Connect under another's name: the broker throws the other out as if it had died."""
        impostor, there = Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=MQTTv5), threading.Event()
        impostor.on_connect = lambda *_: there.set()
        impostor.connect("127.0.0.1", self._port)
        impostor.loop_start()
        assert there.wait(10)
        impostor.disconnect()
        impostor.loop_stop()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def ear(mosquitto) -> Iterator[Ear]:
    with contextlib.closing(Ear(mosquitto.url)) as ear:
        mosquitto.save()
        ear.publish("saved", b"it answers again, so it has saved")
        yield ear


@pytest.fixture
def ear_at() -> Iterator[Callable[[str, str], Ear]]:
    """Opens an ear on any broker, for a site of its own."""
    with contextlib.ExitStack() as stack:
        yield lambda url, site: stack.enter_context(contextlib.closing(Ear(url, site)))
