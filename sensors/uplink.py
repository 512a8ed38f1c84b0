"""Carries what agents gather to the broker, in order, and loses nothing while it is away.

A post is in memory until the broker acknowledges it. When the broker goes away, or answers so slowly that too many
wait, posts go to the spool on disk, and every later one behind them, until the spool has been published. So each
sensor's batches arrive in order; after a broken connection some arrive twice, under the same (boot, seq).
A heartbeat says that all before it has been sent: it never overtakes a batch, and only the last one is kept.
"""

from __future__ import annotations

import contextlib
import itertools
import secrets
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec.structs import replace

from sensors import wire
from sensors.link import PORTS, Link
from sensors.spool import MOST_BYTES, Post, Spool
from sensors.wire import AllowList, Association, Batch, Health, Malformed, Noise

log = structlog.get_logger()

PACKED, SEALED = "application/msgpack", "application/octet-stream"
# What may wait in memory for a slow broker, and would be lost with the process. It is a quarter of a second
# of the busiest mall; beyond it the disk is the safer place.
MOST_HELD = 1_000
FIRST_RETRY_S, LONGEST_RETRY_S = 0.2, 5.0
TURN_S = 1.0
# At the end, how long to wait for acknowledgements; what has none by then stays in the spool.
FAREWELL_S = 5.0


class Uplink:
    """One connection to the broker and its spool; several agents may share it. Safe to call from any thread."""

    def __init__(
        self,
        broker_url: str,
        site: str,
        name: str,
        spool: Path,
        *,
        site_key: bytes,
        verifier: Ed25519PublicKey,
        on_allow: Callable[[AllowList], object],
        noise: Noise = secrets.token_bytes,
        most_spool_bytes: int = MOST_BYTES,
    ) -> None:
        """Raises OSError if the spool cannot be kept, ValueError if the URL is of another kind.

        broker_url  mqtt://[user:password@]host[:port] or mqtts://...
        name        whose last will it is: the sensor's key, or a name of its own if several agents share the uplink
        spool       a file; it is made if it is not there, and what it holds is sent first
        on_allow    gets each allow-list that opens and verifies, in the uplink's own thread
        """
        if urlsplit(broker_url).scheme not in PORTS:
            raise ValueError(f"broker_url {broker_url!r} must start with mqtt:// or mqtts://")
        self.connected = threading.Event()
        self._url, self._site, self._name, self._key, self._verifier = broker_url, site, name, site_key, verifier
        self._on_allow, self._noise = on_allow, noise
        self._spool = Spool(spool, most_bytes=most_spool_bytes)
        self._inbox: deque[Post | Health] = deque()
        self._bell, self._wake = socket.socketpair()
        for end in (self._bell, self._wake):
            end.setblocking(False)
        self._rung = False
        self._ear = selectors.DefaultSelector()
        self._ear.register(self._wake, selectors.EVENT_READ)
        self._closing = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"uplink-{name}")
        # From here on it is the thread's alone.
        self._numbers = itertools.count(self._spool.last_number + 1)
        self._held: dict[int, Post] = {}  # not acknowledged and not in the spool, by number
        self._waiting: deque[int] = deque()  # those of them that are not published yet
        self._unacknowledged: dict[int, int] = {}  # message id on this link -> number
        self._arrived: list[int] = []  # acknowledged since the spool was last told
        self._published_to = 0  # the highest number published on this link
        self._latest = {name: Health(sensor=name, boot=0, at_ms=0, status="online")}
        self._unreported: set[str] = set()
        self._last_ms = 0
        self._refused_by_broker = 0
        self._list_trouble = ""
        self._ever_up = False
        self._retry_s = FIRST_RETRY_S

    # -- from any thread --------------------------------------------------------------------------

    def start(self) -> None:
        """Connect, and again whenever the connection breaks, in a thread of its own."""
        self._thread.start()

    def send(self, batch: Batch) -> None:
        topic = wire.observations_topic(self._site, batch.sensor)
        self._hand_over(Post(batch.t0_ms, topic, PACKED, wire.pack(batch)))

    def associate(self, association: Association) -> None:
        """Tell the engine, sealed, whose device this is."""
        topic = wire.association_topic(self._site, association.source)
        sealed = wire.seal_association(association, self._key, topic, self._noise)
        self._hand_over(Post(association.at_ms, topic, SEALED, sealed))

    def report(self, health: Health) -> None:
        self._hand_over(health)

    def close(self) -> None:
        """Say offline and stop. What was not acknowledged is in the spool for the next start."""
        self._closing.set()
        self._ring()
        if self._thread.is_alive():
            self._thread.join()
        self._take(None)
        self._spool.close()
        self._ear.close()
        self._bell.close()
        self._wake.close()

    def _hand_over(self, item: Post | Health) -> None:
        if self._failure is not None:
            raise RuntimeError("the uplink has stopped") from self._failure
        self._inbox.append(item)
        self._ring()

    def _ring(self) -> None:
        if not self._rung:
            self._rung = True
            self._bell.send(b"\0")

    # -- in the uplink's own thread ---------------------------------------------------------------

    def _run(self) -> None:
        try:
            told = ""
            while not self._closing.is_set():
                why = self._visit_broker()
                if self._closing.is_set():
                    break
                if self._retry_s == FIRST_RETRY_S or why != told:
                    log.warning("broker-away", uplink=self._name, why=why, spooled=len(self._spool))
                told = why
                self._stay_away(self._retry_s)
                self._retry_s = min(2 * self._retry_s, LONGEST_RETRY_S)
        except BaseException as failure:
            self._failure = failure
            raise

    def _visit_broker(self) -> str:
        """One connection from its beginning to its end; returns why it could not be made, or why it broke."""
        try:
            link = Link(
                self._url,
                f"sojourn-{self._site}-{self._name}",
                first=not self._ever_up,
                will=self._health_post(self._name, offline="connection-lost"),
                subscribe=wire.allow_topic(self._site),
                on_message=self._read_allow_list,
                on_acknowledged=self._acknowledged,
                wake=self._wake,
            )
        except OSError as problem:
            return str(problem)
        try:
            while not (link.over or self._closing.is_set()):
                self._step(link, TURN_S)
            if link.up:
                self._farewell(link)
        finally:
            self.connected.clear()
            link.close()
            self._settle()
        return link.why

    def _step(self, link: Link, timeout_s: float) -> None:
        if link.up and not self.connected.is_set():
            self._ever_up, self._retry_s = True, FIRST_RETRY_S
            self._unreported.update(self._latest)
            self.connected.set()
            log.info("broker-there", uplink=self._name, spooled=len(self._spool))
        self._take(link)
        if link.up:
            self._publish(link)
        link.turn(timeout_s)
        self._answer_bell()

    def _stay_away(self, length_s: float) -> None:
        until_s = time.monotonic() + length_s
        while (left_s := until_s - time.monotonic()) > 0 and not self._closing.is_set():
            self._take(None)
            self._ear.select(left_s)
            self._answer_bell()

    def _farewell(self, link: Link) -> None:
        until_s = time.monotonic() + FAREWELL_S
        while self._inbox or self._unacknowledged or self._unpublished():
            if link.over or (left_s := until_s - time.monotonic()) <= 0:
                return
            self._step(link, left_s)
        for sensor in self._latest:
            link.publish(self._health_post(sensor, offline="stopped"), retain=True)
        while link.unacknowledged and not link.over and (left_s := until_s - time.monotonic()) > 0:
            link.turn(left_s)

    def _answer_bell(self) -> None:
        # Silence first, then look into the inbox: who rings in between is heard the next time.
        with contextlib.suppress(BlockingIOError):
            self._wake.recv(64)
        self._rung = False

    def _take(self, link: Link | None) -> None:
        """Number what came in, and hold it in memory or on disk."""
        to_disk: list[tuple[int, Post]] = []
        while self._inbox:
            item = self._inbox.popleft()
            self._last_ms = max(self._last_ms, item.at_ms)
            if isinstance(item, Health):
                self._latest[item.sensor] = item
                self._unreported.add(item.sensor)
                continue
            number = next(self._numbers)
            up = link is not None and link.up
            if up and not to_disk and not self._unpublished_on_disk() and len(self._held) < MOST_HELD:
                self._held[number] = item
                self._waiting.append(number)
            else:
                to_disk.append((number, item))
        self._spool.keep(to_disk)

    def _unpublished_on_disk(self) -> bool:
        return len(self._spool) > 0 and self._spool.last_number > self._published_to

    def _unpublished(self) -> bool:
        return bool(self._waiting) or self._unpublished_on_disk()

    def _publish(self, link: Link) -> None:
        """Publish in the order of the numbers, as many as the broker may have unacknowledged; heartbeats last."""
        self._forget_arrived()

        def room() -> int:
            return link.window - link.unacknowledged

        while self._waiting and room() > 0:
            self._emit(link, number := self._waiting.popleft(), self._held[number])
        if not self._waiting and self._unpublished_on_disk() and room() > 0:
            for number, post in self._spool.after(self._published_to, room()):
                self._emit(link, number, post)
        while self._unreported and not self._unpublished() and room() > 0:
            link.publish(self._health_post(self._unreported.pop()), retain=True)

    def _emit(self, link: Link, number: int, post: Post) -> None:
        self._unacknowledged[link.publish(post)] = number
        self._published_to = number

    def _acknowledged(self, mid: int, taken: bool) -> None:
        number = self._unacknowledged.pop(mid, 0)
        if not taken:
            # It would be refused again: not ours to publish, or beyond the broker's quota.
            self._refused_by_broker += 1
        if number:
            self._arrived.append(number)

    def _forget_arrived(self) -> None:
        on_disk = [number for number in self._arrived if self._held.pop(number, None) is None]
        self._arrived.clear()
        if on_disk:
            self._spool.remove(on_disk)
            if not len(self._spool):
                self._unreported.add(self._name)

    def _settle(self) -> None:
        """The link is gone: what it did not deliver goes to disk, before all that is newer."""
        self._forget_arrived()
        self._spool.keep(self._held.items())
        self._held.clear()
        self._waiting.clear()
        self._unacknowledged.clear()
        self._published_to = 0

    def _read_allow_list(self, payload: bytes) -> None:
        try:
            allow = wire.open_allow_list(payload, self._key, self._verifier, self._site)
        except Malformed as problem:
            self._list_trouble = problem.reason
            self._unreported.update(self._latest)
            log.warning("allow-list-refused", uplink=self._name, why=problem.reason)
            return
        self._list_trouble = ""
        self._on_allow(allow)

    def _health_post(self, sensor: str, *, offline: str = "") -> Post:
        health = self._latest[sensor]
        if offline:
            health = replace(health, status="offline", why=offline)
        elif self._list_trouble and not health.why:
            health = replace(health, why=f"list-refused: {self._list_trouble}")
        if sensor == self._name:
            lost = self._spool.lost + self._refused_by_broker
            at_ms = max(health.at_ms, self._last_ms)
            health = replace(health, spooled=len(self._spool), spool_lost=lost, at_ms=at_ms)
        return Post(health.at_ms, wire.health_topic(self._site, sensor), PACKED, wire.pack(health))
