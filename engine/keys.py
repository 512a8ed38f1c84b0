"""The site's secrets: one master secret in a file only its owner can read, every other key derived from it."""

from __future__ import annotations

import base64
import hmac
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from engine.plainly import SaidPlainly

MASTER_BYTES = 32
P256_ORDER = 0xFFFFFFFF_00000000_FFFFFFFF_FFFFFFFF_BCE6FAAD_A7179E84_F3B9CAC2_FC632551
SIGNATURE_BYTES = 15  # 120 bits, 24 characters
Role = Literal["operator", "shop", "member"]
ROLES: tuple[Role, ...] = ("operator", "shop", "member")


def access_key(secret: bytes, role: Role, subject: str | int) -> str:
    """The key of *subject* in *role*, `role.subject.signature`: whoever can sign can check, and nothing is stored."""
    claim = f"{role}.{subject}"
    signature = hmac.digest(secret, claim.encode(), "sha256")[:SIGNATURE_BYTES]
    return f"{claim}.{base64.b32encode(signature).decode().lower()}"


class UnusableKeys(SaidPlainly):
    """A file of keys that is missing or damaged; the message says which, and the way out."""


@dataclass(frozen=True)
class SensorKeys:
    """What a sensor of the site must hold: how to open the allow-list, and whose signature to believe."""

    site_key: bytes
    verifier: Ed25519PublicKey

    @classmethod
    def read(cls, path: Path) -> SensorKeys:
        """Raises UnusableKeys."""
        try:
            body = json.loads(path.read_text())
            return cls(
                base64.b64decode(body["site_key"], validate=True),
                Ed25519PublicKey.from_public_bytes(base64.b64decode(body["verifier"], validate=True)),
            )
        except OSError as problem:
            raise UnusableKeys(
                f"no sensor keys in {path} ({problem.strerror}): copy sensor.key from the engine's data folder"
            ) from None
        except (KeyError, TypeError, ValueError) as problem:
            raise UnusableKeys(
                f"{path} is not a sensor key file: copy sensor.key from the engine's data folder"
            ) from problem

    def write(self, path: Path) -> None:
        raw = self.verifier.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        body = {"site_key": base64.b64encode(self.site_key).decode(), "verifier": base64.b64encode(raw).decode()}
        _write_private(path, json.dumps(body).encode() + b"\n")


class Keys:
    """Every key of one site, by purpose; losing the master secret is losing all of them, so back it up."""

    def __init__(self, master: bytes) -> None:
        def derive(purpose: str) -> bytes:
            return HKDF(hashes.SHA256(), 32, salt=None, info=b"sojourn/" + purpose.encode()).derive(master)

        self.addresses = derive("addresses at rest")
        self.address_digests = derive("address digests")
        self.codes = derive("coupon codes")
        self.code_digests = derive("coupon code digests")
        self.access = derive("access keys")
        self.site = derive("site sensor key")
        self.subscriptions = derive("subscriptions at rest")
        # Any whole number from 1 to below the curve's order is a key; 256 bits of it are as good as even.
        self.push = ec.derive_private_key(int.from_bytes(derive("web push")) % (P256_ORDER - 1) + 1, ec.SECP256R1())
        self.signer = Ed25519PrivateKey.from_private_bytes(derive("allow-list signature"))

    @classmethod
    def read_or_make(cls, folder: Path, noise: Callable[[int], bytes]) -> Keys:
        """The keys of the data folder; made at first start, with sensor.key beside them for the sensors.

        Raises UnusableKeys.
        """
        path = folder / "master.key"
        if not path.exists():
            _write_private(path, noise(MASTER_BYTES).hex().encode() + b"\n")
        try:
            master = bytes.fromhex(path.read_text().strip())
        except OSError as problem:
            raise UnusableKeys(f"cannot read {path} ({problem.strerror}): make it yours to read") from None
        except ValueError:
            master = b""
        if len(master) != MASTER_BYTES:
            raise UnusableKeys(f"{path} is damaged: restore it from a backup, or start over with an empty data folder")
        keys = cls(master)
        sensor_keys = folder / "sensor.key"
        if not sensor_keys.exists():
            keys.for_sensors().write(sensor_keys)
        return keys

    def for_sensors(self) -> SensorKeys:
        return SensorKeys(self.site, self.signer.public_key())


def _write_private(path: Path, content: bytes) -> None:
    """Appears whole or not at all, and is its owner's alone from the first byte."""
    draft = path.with_name(path.name + ".new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    draft.replace(path)
