"""The sensors' side of the broker benchmark, a process of its own: sends one prepared part for each line it reads.

    python -m tests.speed.publisher URL SITE FOLDER

FOLDER holds part-0, part-1, ...: each a MessagePack list of batches as they travel. What is sent goes through the real
uplink, spool and all; a line is written back when its part has been handed over.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sensors import wire
from sensors.uplink import Uplink


def publish(url: str, site: str, folder: Path) -> None:
    uplink = Uplink(
        url,
        site,
        "crowd",
        folder / "spool",
        site_key=bytes(32),
        verifier=Ed25519PrivateKey.generate().public_key(),
        on_allow=lambda _: None,
    )
    uplink.start()
    uplink.connected.wait()
    for number, _ in enumerate(sys.stdin):
        for payload in msgspec.msgpack.decode((folder / f"part-{number}").read_bytes(), type=list[bytes]):
            uplink.send(wire.read_batch(payload))
        print(number, flush=True)
    uplink.close()


if __name__ == "__main__":
    publish(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
