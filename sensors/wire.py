"""What travels between sensors and the engine: topics, messages, and how they are sealed.

Everything here is values and pure functions of values; the few that need chance (a nonce) take
it as an argument. Instants are whole milliseconds since the Unix epoch, UTC.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

VERSION = 1
# How often a sensor of ours publishes what it heard, and how often it tells the time when it hears nobody.
GATHER_MS, HEARTBEAT_MS = 1_000, 10_000
# A batch is at most one second of one sensor; no honest second comes near this.
MOST_PAYLOAD_BYTES = 256 * 1024
# JSON readers keep integers exact only below 2**53, and handles travel as JSON too.
HANDLE_BITS = 53
DIGEST_BYTES = 12
NONCE_BYTES = 12
SIGNATURE_BYTES = 64

Noise = Callable[[int], bytes]  # secrets.token_bytes; a seeded source in tests

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._:-]+$")]
Instant = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
Count = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
Handle = Annotated[int, msgspec.Meta(ge=1, lt=2**HANDLE_BITS)]
Offset = Annotated[int, msgspec.Meta(ge=0, le=60_000)]
Signal = Annotated[int, msgspec.Meta(ge=-127, le=20)]
Channel = Annotated[int, msgspec.Meta(ge=0, le=255)]
Metres = Annotated[float, msgspec.Meta(ge=-10_000, le=10_000)]
Radius = Annotated[float, msgspec.Meta(gt=0, le=1_000)]
Degrees = Annotated[float, msgspec.Meta(ge=-180, le=180)]


def _packed(kind: str, of: str) -> msgspec.Meta:
    return msgspec.Meta(
        description=f"The same packed: {of} each, without padding", extra_json_schema={"x-packed": kind}
    )


# A column may come packed, as our own agents send it: a tenth of the work for whoever reads it.
PackedHandles = Annotated[bytes, _packed("<u8", "8 octets, unsigned, little-endian")]
PackedOffsets = Annotated[bytes, _packed("<u2", "2 octets, unsigned, little-endian")]
PackedSignals = Annotated[bytes, _packed("<i1", "1 octet, two's complement")]
PackedChannels = Annotated[bytes, _packed("<u1", "1 octet")]


class Columns(NamedTuple):
    """The rows of a batch, as columns of equal length, each value within its bounds."""

    handle: npt.NDArray[np.int64]
    dt_ms: npt.NDArray[np.int64]
    rssi_dbm: npt.NDArray[np.int64]
    channel: npt.NDArray[np.int64]


class Batch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one sensor heard of members in about one second, as columns of equal length.

    boot and seq name the batch: seq rises by one within a boot, so repeats and gaps show.
    t0_ms + dt_ms[i] is when row i was heard; rssi_dbm[i] its signal; channel[i] the Wi-Fi channel.
    Each column is a list, or packed: in JSON, base64 of the octets.
    """

    sensor: Name
    boot: Count
    seq: Count
    epoch: Count
    t0_ms: Instant
    handle: list[Handle] | PackedHandles
    dt_ms: list[Offset] | PackedOffsets
    rssi_dbm: list[Signal] | PackedSignals
    channel: list[Channel] | PackedChannels
    version: int = VERSION

    def columns(self) -> Columns:
        """The rows, however they came. Raises Malformed."""
        found = Columns(*(_column(name, getattr(self, name)) for name in _BOUNDS))
        if len({len(column) for column in found}) != 1:
            raise Malformed("ragged-columns")
        return found


class Fix(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a controller places one device: in local metres of the plan, or in WGS84 degrees.

    radius_m  holds the device nine times of ten        level  its key in the plan; left out where it is not known
    """

    handle: Handle
    at_ms: Instant
    radius_m: Radius
    level: Name | None = None
    x_m: Metres | None = None
    y_m: Metres | None = None
    lon: Degrees | None = None
    lat: Degrees | None = None

    def __post_init__(self) -> None:
        local, earth = (self.x_m, self.y_m), (self.lon, self.lat)
        if sorted((local.count(None), earth.count(None))) != [0, 2]:
            raise ValueError("either x_m and y_m, or lon and lat")


class Fixes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a controller computed: it hears devices by access points of its own, and hands on handles alone.

    sensor, boot and seq name the message as they do a batch; at_ms is when it was computed, and no fix is later.
    """

    sensor: Name
    boot: Count
    seq: Count
    epoch: Count
    at_ms: Instant
    fixes: list[Fix]
    version: int = VERSION

    def __post_init__(self) -> None:
        if any(fix.at_ms > self.at_ms for fix in self.fixes):
            raise ValueError("a fix later than its message")


class Health(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A sensor's heartbeat: event time moves by it, also where nobody is heard.

    status  offline by last will or clean stop; refusing: publishes nothing, and *why* says why
    hears   other sensors of the site, by the beacons beside them since the last heartbeat, and how loud
    """

    sensor: Name
    boot: Count
    at_ms: Instant
    status: Literal["online", "offline", "refusing"]
    why: Annotated[str, msgspec.Meta(max_length=200)] = ""
    frames: Count = 0
    published: Count = 0
    dropped_by_consent: Count = 0
    undecodable: Count = 0
    without_signal: Count = 0
    spooled: Count = 0
    spool_lost: Count = 0
    list_version: Count = 0
    hears: Annotated[dict[Name, Signal], msgspec.Meta(max_length=1_024)] = {}
    version: int = VERSION


class Association(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A login on the mall's Wi-Fi: this address belongs to this login. Only ever travels sealed."""

    login: str
    address: str
    ssid: str
    at_ms: Instant
    source: str
    secured: bool = False
    version: int = VERSION


class Epoch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One epoch of the allow-list: digests (packed, DIGEST_BYTES each) and their handles, in order."""

    number: Count
    from_ms: Instant
    until_ms: Instant
    key: bytes
    digests: bytes
    handles: list[Handle]


class AllowList(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose devices may be published, for the epochs that overlap now. Signed, then sealed.

    beacons  the sensor beside which each of the mall's access points hangs, by the six octets of its address
    """

    site: Name
    list_version: Count
    issued_ms: Instant
    epochs: list[Epoch]
    beacons: dict[bytes, Name] = {}
    version: int = VERSION


class Malformed(Exception):
    """A payload that is not what its topic promises; *reason* is one of a small, countable set."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


# -- columns --------------------------------------------------------------------------------------


class _Bounds(NamedTuple):
    kind: np.dtype[Any]
    least: int
    most: int


# As the types above say it, for packed columns.
_BOUNDS = {
    "handle": _Bounds(np.dtype("<u8"), 1, 2**HANDLE_BITS - 1),
    "dt_ms": _Bounds(np.dtype("<u2"), 0, 60_000),
    "rssi_dbm": _Bounds(np.dtype("<i1"), -127, 20),
    "channel": _Bounds(np.dtype("<u1"), 0, 255),
}


def _column(name: str, values: list[int] | bytes) -> npt.NDArray[np.int64]:
    if isinstance(values, list):
        return np.array(values, np.int64)  # checked when it was decoded
    kind, least, most = _BOUNDS[name]
    if len(values) % kind.itemsize:
        raise Malformed("ragged-columns")
    column = np.frombuffer(values, kind)
    # A bound that the octets cannot break need not be looked for.
    limits = np.iinfo(kind)
    if len(column) and ((least > limits.min and column.min() < least) or (most < limits.max and column.max() > most)):
        raise Malformed("not-a-batch")
    return column.astype(np.int64)


def packed(batch: Batch) -> Batch:
    """The same batch with every column packed."""
    lists = {name: getattr(batch, name) for name in _BOUNDS if isinstance(getattr(batch, name), list)}
    return msgspec.structs.replace(
        batch, **{name: np.array(values, _BOUNDS[name].kind).tobytes() for name, values in lists.items()}
    )


# -- topics ---------------------------------------------------------------------------------------

SHARDS = 8


def shard_of(sensor: str) -> int:
    """Which of SHARDS topics a sensor publishes to; stable, so that a consumer can own a part."""
    return hashlib.blake2b(sensor.encode(), digest_size=2).digest()[0] % SHARDS


def observations_topic(site: str, sensor: str) -> str:
    return f"sojourn/{site}/obs/{shard_of(sensor)}/{sensor}"


def fixes_topic(site: str, controller: str) -> str:
    return f"sojourn/{site}/fix/{shard_of(controller)}/{controller}"


def association_topic(site: str, source: str) -> str:
    return f"sojourn/{site}/bind/{source}"


def health_topic(site: str, sensor: str) -> str:
    return f"sojourn/{site}/health/{sensor}"


def allow_topic(site: str) -> str:
    return f"sojourn/{site}/allow"


# -- messages to bytes and back -------------------------------------------------------------------

_pack = msgspec.msgpack.Encoder().encode
_batch_from_msgpack = msgspec.msgpack.Decoder(Batch).decode
_batch_from_json = msgspec.json.Decoder(Batch).decode
_health_from_msgpack = msgspec.msgpack.Decoder(Health).decode
_health_from_json = msgspec.json.Decoder(Health).decode
_fixes_from_msgpack = msgspec.msgpack.Decoder(Fixes).decode
_fixes_from_json = msgspec.json.Decoder(Fixes).decode
_association_from_msgpack = msgspec.msgpack.Decoder(Association).decode
_allow_from_msgpack = msgspec.msgpack.Decoder(AllowList).decode


def pack(message: Batch | Fixes | Health) -> bytes:
    """MessagePack, as our own agents publish: the columns of a batch packed."""
    return _pack(packed(message) if isinstance(message, Batch) else message)


def _looks_like_json(payload: bytes) -> bool:
    # A MessagePack map never starts with "{" (0x7b is a small integer there) nor with white space.
    return payload[:1] in (b"{", b" ", b"\n", b"\r", b"\t")


def read_batch(payload: bytes) -> Batch:
    """Decode a batch from MessagePack or JSON, told apart by the first byte. Raises Malformed.

    Its packed columns are looked into by Batch.columns.
    """
    return _read(payload, _batch_from_json, _batch_from_msgpack, "not-a-batch")


def read_fixes(payload: bytes) -> Fixes:
    """Decode what a controller computed from MessagePack or JSON. Raises Malformed."""
    return _read(payload, _fixes_from_json, _fixes_from_msgpack, "not-fixes")


def read_health(payload: bytes) -> Health:
    """Decode a heartbeat from MessagePack or JSON. Raises Malformed."""
    return _read(payload, _health_from_json, _health_from_msgpack, "not-a-heartbeat")


Read = TypeVar("Read", Batch, Fixes, Health)


def _read(payload: bytes, json: Callable[[bytes], Read], msgpack: Callable[[bytes], Read], unlike: str) -> Read:
    _check_size(payload)
    try:
        message = json(payload) if _looks_like_json(payload) else msgpack(payload)
    except msgspec.ValidationError as problem:
        raise Malformed(unlike) from problem
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise Malformed("not-decodable") from problem
    if message.version != VERSION:
        raise Malformed("unknown-version")
    return message


def _check_size(payload: bytes) -> None:
    if len(payload) > MOST_PAYLOAD_BYTES:
        raise Malformed("too-large")


# -- sealing --------------------------------------------------------------------------------------


def _seal(plain: bytes, key: bytes, topic: str, noise: Noise) -> bytes:
    nonce = noise(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, topic.encode())


def _unseal(sealed: bytes, key: bytes, topic: str) -> bytes:
    _check_size(sealed)
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], topic.encode())
    except (InvalidTag, ValueError) as problem:
        raise Malformed("not-sealed-by-us") from problem


def seal_association(association: Association, key: bytes, topic: str, noise: Noise) -> bytes:
    """AES-256-GCM under the site's sensor key, bound to its topic: addresses never travel in clear."""
    return _seal(_pack(association), key, topic, noise)


def open_association(sealed: bytes, key: bytes, topic: str) -> Association:
    """The inverse of seal_association. Raises Malformed."""
    plain = _unseal(sealed, key, topic)
    try:
        association = _association_from_msgpack(plain)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise Malformed("not-an-association") from problem
    if association.version != VERSION:
        raise Malformed("unknown-version")
    return association


def seal_allow_list(allow: AllowList, key: bytes, signer: Ed25519PrivateKey, noise: Noise) -> bytes:
    """Signed by the engine (a stolen sensor key cannot forge a list), then sealed for the sensors."""
    plain = _pack(allow)
    return _seal(signer.sign(plain) + plain, key, allow_topic(allow.site), noise)


def open_allow_list(sealed: bytes, key: bytes, verifier: Ed25519PublicKey, site: str) -> AllowList:
    """The inverse of seal_allow_list. Raises Malformed if it is not ours, not for *site*, or not signed."""
    signed = _unseal(sealed, key, allow_topic(site))
    signature, plain = signed[:SIGNATURE_BYTES], signed[SIGNATURE_BYTES:]
    try:
        verifier.verify(signature, plain)
        allow = _allow_from_msgpack(plain)
    except InvalidSignature as problem:
        raise Malformed("not-signed-by-the-engine") from problem
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise Malformed("not-an-allow-list") from problem
    if allow.version != VERSION:
        raise Malformed("unknown-version")
    if any(len(epoch.digests) != DIGEST_BYTES * len(epoch.handles) for epoch in allow.epochs):
        raise Malformed("ragged-columns")
    if allow.site != site:
        raise Malformed("for-another-site")
    return allow


def digest(epoch_key: bytes, site: str, address: bytes) -> bytes:
    """HMAC-SHA-256 of site and address under the epoch's key, shortened: what the list is keyed by.

    address  the six octets of a transmitter address
    """
    return hmac.digest(epoch_key, site.encode() + b"\0" + address, "sha256")[:DIGEST_BYTES]
