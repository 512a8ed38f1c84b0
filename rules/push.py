"""Web Push: a coupon announced on a phone whose wallet page is closed.

RFC 8030 (TTL, Topic), 8291 (encryption) and 8292 (VAPID), by pywebpush; the payload is Declarative Web Push, so that
phones show it even where no service worker runs. It says what, never where.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

import requests
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from py_vapid import Vapid02
from pywebpush import WebPusher, WebPushException

from engine.clock import Pace
from rules.parcel import Address, Outcome, Parcel, Reach

PATIENCE_S = 10.0
# VAPID allows a day; a shorter life costs a signature.
CLAIM_S = 12 * 3_600
DECLARATIVE = 8030
UNKNOWN, KEY_REFUSED, TOO_MANY = (404, 410), (401, 403), 429


class NoService(ValueError):
    """Not the address of a push service that this site sends to."""


class Push:
    """Sends parcels to push services; its instances are Posts, called by several threads."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, contact: str, pace: Pace, services: Iterable[str]) -> None:
        """contact   a mailto: or https: address, for a push service that has something to tell us
        services  hosts that members' pages may name: we send to them from inside the mall's network, and to no others;
                  one written with scheme and port is taken as it is
        """
        self._vapid, self._contact, self._pace = Vapid02(private_key=key), contact, pace
        self._services = tuple(services)
        point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self.public_key = base64.urlsafe_b64encode(point).rstrip(b"=").decode()

    def check(self, address: Address) -> None:
        """Raises NoService for an address we would not send to, or keys nothing can be encrypted for."""
        try:
            parts = urlsplit(address.endpoint)
            # A service named with its scheme and port is a local one, taken as it is.
            known = f"{parts.scheme}://{parts.netloc}" in self._services or (
                parts.scheme == "https"
                and parts.port in (None, 443)
                and any(parts.hostname == one or (parts.hostname or "").endswith(f".{one}") for one in self._services)
            )
            if not known or parts.username is not None:
                raise NoService("this is not the address of a push service")
            self._pusher(address).encode(b"{}")
        except NoService:
            raise
        except (ValueError, IndexError, WebPushException):  # IndexError: pywebpush, of an empty key
            raise NoService("this is no push subscription, as PushSubscription.toJSON() gives it") from None

    def __call__(self, parcel: Parcel, now_ms: int) -> Outcome:
        """Send to every browser of the member; accepted if one accepted."""
        outcomes = [self._send(parcel, reach, now_ms) for reach in parcel.reaches]
        gone = tuple(id for outcome in outcomes for id in outcome.gone)
        for kind in ("stop", "accepted", "later"):
            for outcome in outcomes:
                if outcome.kind == kind:
                    after_ms = max(one.after_ms for one in outcomes)
                    return outcome._replace(gone=gone, after_ms=after_ms)
        return Outcome("failed", outcomes[0].reason if outcomes else "no-address", gone=gone)

    def _send(self, parcel: Parcel, reach: Reach, now_ms: int) -> Outcome:
        ttl_s = max(0, int((parcel.expires_ms - now_ms) / self._pace.speed / 1_000))
        try:
            answer = self._pusher(reach.address).send(
                self.payload(parcel, reach.address),
                self._headers(parcel, reach.address) | {"TTL": str(ttl_s)},
                ttl=ttl_s,
                timeout=PATIENCE_S,
            )
        except requests.RequestException as problem:
            return Outcome("later", type(problem).__name__)
        return told(answer, reach.id)

    @staticmethod
    def payload(parcel: Parcel, address: Address) -> bytes:
        title, body = parcel.words
        notification = {
            "title": title,
            "body": body,
            "lang": parcel.language,
            "tag": parcel.topic,
            "navigate": f"{address.origin}/wallet",
            "data": {"coupon": parcel.coupon},
        }
        message = {"web_push": DECLARATIVE, "notification": notification, "mutable": True}
        return json.dumps(message, ensure_ascii=False).encode()

    def _headers(self, parcel: Parcel, address: Address) -> dict[str, str]:
        parts = urlsplit(address.endpoint)
        claims: dict[str, Any] = {"sub": self._contact, "aud": f"{parts.scheme}://{parts.netloc}"}
        claims["exp"] = self._pace.system_at(self._pace.now()) // 1_000 + CLAIM_S
        signed: dict[str, str] = self._vapid.sign(claims)
        return signed | {"Topic": parcel.topic, "Urgency": "high"}

    @staticmethod
    def _pusher(address: Address) -> WebPusher:
        session = requests.Session()
        session.max_redirects = 0  # a push service does not send us elsewhere, and nobody else may
        keys = {"p256dh": address.p256dh, "auth": address.auth}
        return WebPusher({"endpoint": address.endpoint, "keys": keys}, requests_session=session)


def told(answer: requests.Response, reach: str) -> Outcome:
    """What a push service's answer means for the subscription *reach* and the channel."""
    status = answer.status_code
    if status < 300:
        return Outcome("accepted")
    if status in UNKNOWN:
        return Outcome("failed", "unsubscribed", gone=(reach,))
    if status in KEY_REFUSED:
        return Outcome("stop", f"the push service refuses our key ({status})")
    if status == TOO_MANY or status >= 500:
        wait = answer.headers.get("Retry-After", "")
        return Outcome("later", f"http-{status}", after_ms=int(wait) * 1_000 if wait.isdigit() else 0)
    return Outcome("failed", f"http-{status}")
