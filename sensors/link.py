"""One connection to the MQTT broker, from its beginning to its end, turned by hand.

The owner calls `turn` in a loop of its own thread, and every callback comes from there: so no lock is needed, and
nothing is published behind the owner's back. A link that has broken is thrown away and another one opened; what was
not acknowledged on it is the owner's to publish again, in order.
"""

from __future__ import annotations

import selectors
import socket
import ssl
from collections.abc import Callable
from functools import cache
from typing import Any
from urllib.parse import unquote, urlsplit

from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from sensors.spool import Post

KEEPALIVE_S = 15
CONNECT_WITHIN_S = 5.0
# How long the broker keeps our subscription, and what came for it, while we are away.
SESSION_EXPIRY_S = 3_600
# Enough to keep a broker 20 ms away busy with 10,000 posts a second; a broker may allow less.
MOST_UNACKNOWLEDGED = 200
PORTS = {"mqtt": 1883, "mqtts": 8883}


class Link:
    """A connection that is being made, is up, or is over.

    up      accepted by the broker: posts may be published
    over    broken or refused; *why* says so
    window  how many posts may be unacknowledged at a time; as many as *unacknowledged* are
    """

    def __init__(
        self,
        url: str,
        client_id: str,
        *,
        first: bool,
        will: Post,
        subscribe: str,
        on_message: Callable[[bytes], None],
        on_acknowledged: Callable[[int, bool], None],
        wake: socket.socket,
    ) -> None:
        """Start connecting. Raises OSError if nobody answers.

        first   ask for retained messages anew; later the broker remembers what we have missed
        wake    readable when `turn` shall return
        on_acknowledged  gets a message's id, and whether the broker took it
        """
        parts = urlsplit(url)
        self.up, self.why, self.window, self.unacknowledged = False, "", MOST_UNACKNOWLEDGED, 0
        self._subscribe, self._on_message, self._on_acknowledged, self._wake = (
            subscribe,
            on_message,
            on_acknowledged,
            wake,
        )
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=MQTTv5)
        # Our window is the limit, and paho must keep nothing back: it would come out of order.
        self._client.max_inflight_messages_set(0)
        self._client.connect_timeout = CONNECT_WITHIN_S
        if parts.scheme == "mqtts":
            self._client.tls_set_context(ssl.create_default_context())
        if parts.username is not None:
            self._client.username_pw_set(
                unquote(parts.username), None if not parts.password else unquote(parts.password)
            )
        told_of_will = _properties(will.content_type, PacketTypes.WILLMESSAGE)
        self._client.will_set(will.topic, will.payload, qos=1, retain=True, properties=told_of_will)
        self._client.on_connect = self._connected
        self._client.on_disconnect = self._disconnected
        self._client.on_publish = self._published
        self._client.on_message = self._message
        ask = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        ask.SessionExpiryInterval = SESSION_EXPIRY_S
        host, port = parts.hostname or "127.0.0.1", parts.port or PORTS[parts.scheme]
        self._client.connect(host, port, KEEPALIVE_S, clean_start=first, properties=ask)
        self._selector = selectors.DefaultSelector()
        self._selector.register(wake, selectors.EVENT_READ)

    @property
    def over(self) -> bool:
        return self._client.socket() is None

    def publish(self, post: Post, *, retain: bool = False) -> int:
        """Hand to the broker at QoS 1; returns the message's id on this link."""
        told = self._client.publish(post.topic, post.payload, 1, retain, _properties(post.content_type))
        self.unacknowledged += 1
        return told.mid

    def turn(self, timeout_s: float) -> None:
        """Read and write what can be now; wait for it, or for *wake*, up to *timeout_s*."""
        sock = self._client.socket()
        if sock is None:
            return
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._client.want_write() else 0)
        self._selector.register(sock, events)
        ready = {key.fileobj: mask for key, mask in self._selector.select(timeout_s)}
        self._selector.unregister(sock)
        if ready.get(sock, 0) & selectors.EVENT_READ:
            self._client.loop_read()
            # What TLS has decrypted already no longer shows on the socket.
            while isinstance(sock, ssl.SSLSocket) and not self.over and sock.pending():
                self._client.loop_read()
        if ready.get(sock, 0) & selectors.EVENT_WRITE:
            self._client.loop_write()
        self._client.loop_misc()

    def close(self) -> None:
        """Say goodbye, if there is somebody to say it to: the broker then sends no last will."""
        if not self.over:
            self._client.disconnect()
            self._client.loop_write()
        self._selector.close()

    def _connected(self, _client: Client, _data: Any, _flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self.why = str(reason)
            return
        self.up = True
        self.window = min(MOST_UNACKNOWLEDGED, getattr(properties, "ReceiveMaximum", MOST_UNACKNOWLEDGED))
        self._client.subscribe(self._subscribe, options=SubscribeOptions(qos=1))

    def _disconnected(self, _client: Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self.up = False
        self.why = self.why or str(reason)

    def _published(self, _client: Client, _data: Any, mid: int, reason: Any, _properties: Any) -> None:
        self.unacknowledged -= 1
        self._on_acknowledged(mid, not reason.is_failure)

    def _message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        self._on_message(bytes(message.payload))


class _PackedOnce(Properties):
    """paho packs the same properties anew for each message, which costs more than sending it."""

    def pack(self) -> bytes:
        packed = self.__dict__.get("packed")
        if packed is None:
            packed = self.__dict__["packed"] = super().pack()  # type: ignore[no-untyped-call]
        return bytes(packed)


@cache
def _properties(content_type: str, packet: int = PacketTypes.PUBLISH) -> Properties:
    properties = _PackedOnce(packet)  # type: ignore[no-untyped-call]
    properties.ContentType = content_type
    return properties
