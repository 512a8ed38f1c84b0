"""Listening in on the broker: hears what any subscriber could hear, acknowledges nothing and keeps nothing waiting."""

from __future__ import annotations

import threading
from collections.abc import Callable

from paho.mqtt.client import MQTTMessage
from paho.mqtt.subscribeoptions import SubscribeOptions

from engine.broker import client
from engine.embedded import NotStarted

# How long to wait for the broker.
PATIENCE_S = 5.0


class Ear:
    """One subscription, from when it is made until it is closed; it comes back by itself after a broken connection."""

    def __init__(self, broker_url: str, session: str, topic: str, take: Callable[[str, bytes], object]) -> None:
        """
        session  tells this ear from every other
        take     gets the topic and payload of each message, in the ear's own thread

        Raises NotStarted if the broker lets nobody subscribe within PATIENCE_S.
        """
        self._topic, self._take = topic, take
        subscribed = threading.Event()
        self._client = client(broker_url, session)
        self._client.on_message = self._on_message
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.connect_async(self._client.host, self._client.port)
        self._client.loop_start()
        if not subscribed.wait(PATIENCE_S):
            self.close()
            raise NotStarted(f"the broker at {self._client.host} port {self._client.port} does not answer: is it up?")

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, *_: object) -> None:
        self._client.subscribe(self._topic, options=SubscribeOptions(qos=0))

    def _on_message(self, _client: object, _data: object, message: MQTTMessage) -> None:
        self._take(message.topic, bytes(message.payload))
