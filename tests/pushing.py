"""A push service of our own: it lets browsers subscribe, decrypts what is sent to them, and checks who sent it.

It speaks HTTP on a free port, as the real ones do but for TLS, and can be told to refuse, to be busy or to hang.
"""

from __future__ import annotations

import base64
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import http_ece
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from rules.parcel import Address


def unpadded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def padded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Browser:
    """One subscription, with the keys only the browser has."""

    def __init__(self, url: str, name: str) -> None:
        self._key, self._auth = ec.generate_private_key(ec.SECP256R1()), os.urandom(16)
        self.endpoint = f"{url}/push/{name}"
        point = self._key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self.keys = {"p256dh": unpadded(point), "auth": unpadded(self._auth)}

    @property
    def address(self) -> Address:
        return Address(self.endpoint, "https://mall.test", **self.keys)

    def open(self, body: bytes) -> dict[str, Any]:
        opened = http_ece.decrypt(body, private_key=self._key, auth_secret=self._auth, version="aes128gcm")
        return dict(json.loads(opened))


class Heard(NamedTuple):
    """One message as the service got it."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def claims(self) -> dict[str, Any]:
        """What the VAPID token claims. Raises InvalidSignature unless the key beside it has signed it."""
        scheme, _, rest = self.headers["authorization"].partition(" ")
        assert scheme == "vapid"
        parts = dict(part.strip().split("=", 1) for part in rest.split(","))
        signed, _, signature = parts["t"].rpartition(".")
        raw = padded(signature)
        proof = utils.encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), padded(parts["k"]))
        key.verify(proof, signed.encode(), ec.ECDSA(SHA256()))
        return dict(json.loads(padded(signed.split(".")[1]))) | {"key": parts["k"]}


class Service:
    """answers: what to say to the next messages, (status, headers); 201 when there is none left."""

    def __init__(self, url: str) -> None:
        self.url, self.heard = url, list[Heard]()
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.open = threading.Event()  # while it is not set, nobody gets an answer
        self.open.set()
        self.asked = threading.Semaphore(0)

    def browser(self, name: str) -> Browser:
        return Browser(self.url, name)


@contextmanager
def push_service() -> Iterator[Service]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            service.heard.append(Heard(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            service.asked.release()
            service.open.wait(30)
            status, headers = service.answers.pop(0) if service.answers else (201, {})
            self.send_response(status)
            for name, value in ({"Content-Length": "0"} | headers).items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing: what matters is in Service.heard."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        service = Service(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield service
        finally:
            service.open.set()
            server.shutdown()
            thread.join()
