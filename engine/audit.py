"""An auditor on the broker: sees what any subscriber could see, and trusts nobody's counters.

It shares no code with the consent filter: what it knows of members it reads from the ledger's tables with SQL, and
what is on the wire it takes from the broker, as a stranger with the site's sensor key would.
"""

from __future__ import annotations

from collections import Counter

import sqlalchemy as sa
from paho.mqtt.client import MQTTMessage
from paho.mqtt.subscribeoptions import SubscribeOptions

from engine.broker import client
from sensors import wire

# Handles of devices bound to somebody who has, or had at the time, consented to presence.
MEMBERS_HANDLES = """
SELECT handle.epoch, handle.handle
  FROM handle
  JOIN binding ON binding.id = handle.binding
 WHERE EXISTS (SELECT 1 FROM consent
                WHERE consent.member = binding.member AND consent.purpose = 'presence' AND consent.granted)
"""


class Audit:
    """Counts what is published on one site, from the moment it is made."""

    def __init__(self, broker_url: str, site: str) -> None:
        self._topic = f"sojourn/{site}/obs/#"
        self._heard: Counter[tuple[int, int]] = Counter()
        self.unreadable = 0
        self._client = client(broker_url, f"sojourn-{site}-audit")
        self._client.on_message = self._on_message
        self._client.on_connect = self._on_connect
        self._client.connect_async(self._client.host, self._client.port)
        self._client.loop_start()

    @property
    def observations(self) -> int:
        """Rows seen on the wire."""
        return self._heard.total()

    def of_non_members(self, database: sa.Engine) -> int:
        """Rows whose handle belongs to no member who consented; 0 is the only good answer."""
        with database.connect() as tx:
            known = {(epoch, handle) for epoch, handle in tx.execute(sa.text(MEMBERS_HANDLES))}
        return self.unreadable + sum(rows for who, rows in self._heard.items() if who not in known)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, *_: object) -> None:
        self._client.subscribe(self._topic, options=SubscribeOptions(qos=0))

    def _on_message(self, _client: object, _data: object, message: MQTTMessage) -> None:
        try:
            batch = wire.read_batch(bytes(message.payload))
            self._heard.update((batch.epoch, handle) for handle in batch.columns().handle.tolist())
        except wire.Malformed:
            self.unreadable += 1
