"""Messages come back as they went, and whatever else comes is Malformed, with a reason that can be counted."""

from __future__ import annotations

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sensors import wire
from sensors.wire import AllowList, Association, Batch, Health, Malformed

KEY, OTHER_KEY = bytes(range(32)), bytes(32)
SIGNER, THIEF = (Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32) for seed in (1, 2))
TOPIC = wire.association_topic("demo", "radius")
ANA = Association("ana", "02:00:00:00:00:01", "Mall", 7, "radius", secured=True)

names = st.from_regex(r"[A-Za-z0-9._:-]{1,64}", fullmatch=True)
counts = st.integers(0, 2**53 - 1)
rows = st.lists(
    st.tuples(st.integers(1, 2**53 - 1), st.integers(0, 60_000), st.integers(-127, 20), st.integers(0, 255)),
    max_size=30,
)


@st.composite
def batches(draw) -> Batch:
    columns = [list(column) for column in zip(*draw(rows), strict=True)] or [[], [], [], []]
    return Batch(draw(names), draw(counts), draw(counts), draw(counts), draw(counts), *columns)


healths = st.builds(
    Health,
    sensor=names,
    boot=counts,
    at_ms=counts,
    status=st.sampled_from(["online", "offline", "refusing"]),
    why=st.text(max_size=40),
    **dict.fromkeys(
        ["frames", "published", "dropped_by_consent", "undecodable", "without_signal", "spooled", "spool_lost"], counts
    ),
    version=st.just(wire.VERSION),
)


def noise(size: int) -> bytes:
    return bytes(size)


def reason(read, *arguments) -> str:
    with pytest.raises(Malformed) as problem:
        read(*arguments)
    return problem.value.reason


# -- there and back -------------------------------------------------------------------------------


@given(batches())
def test_a_batch_reads_the_same_from_messagepack_and_from_json(batch):
    assert wire.read_batch(wire.pack(batch)) == wire.packed(batch)
    assert wire.read_batch(msgspec.json.encode(batch)) == batch
    assert wire.read_batch(msgspec.json.encode(wire.packed(batch))) == wire.packed(batch)


@given(batches())
def test_the_rows_of_a_batch_are_the_same_packed_and_as_lists(batch):
    rows = [batch.handle, batch.dt_ms, batch.rssi_dbm, batch.channel]
    assert [column.tolist() for column in batch.columns()] == rows
    assert [column.tolist() for column in wire.packed(batch).columns()] == rows


def test_columns_packed_and_as_lists_may_stand_in_one_batch():
    batch = wire.read_batch(msgspec.msgpack.encode(GOOD | {"rssi_dbm": b"\xc4"}))
    assert batch.columns().rssi_dbm.tolist() == [-60]


@given(healths)
def test_a_heartbeat_reads_the_same_from_messagepack_and_from_json(health):
    assert wire.read_health(wire.pack(health)) == health
    assert wire.read_health(msgspec.json.encode(health)) == health


def test_json_may_begin_with_white_space():
    health = Health("s1", 1, 2, "online")
    assert wire.read_health(b"\n\t " + msgspec.json.encode(health)) == health


def test_every_sensor_has_one_topic_among_the_shards():
    topics = {wire.observations_topic("demo", f"s{number}") for number in range(200)}
    assert len(topics) == 200
    assert {topic.split("/")[3] for topic in topics} == {str(shard) for shard in range(wire.SHARDS)}


# -- batches and heartbeats that are none ---------------------------------------------------------

GOOD = {
    "sensor": "s1",
    "boot": 1,
    "seq": 1,
    "epoch": 1,
    "t0_ms": 0,
    "handle": [1],
    "dt_ms": [0],
    "rssi_dbm": [-60],
    "channel": [6],
}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"handle": [1, 2]}, "ragged-columns"),
        ({"version": 2}, "unknown-version"),
        ({"sensor": ""}, "not-a-batch"),
        ({"sensor": "s1/../x"}, "not-a-batch"),
        ({"sensor": "s" * 65}, "not-a-batch"),
        ({"seq": -1}, "not-a-batch"),
        ({"boot": 1.5}, "not-a-batch"),
        ({"t0_ms": 2**53}, "not-a-batch"),
        ({"t0_ms": float("1e400")}, "not-a-batch"),
        ({"handle": [0]}, "not-a-batch"),
        ({"dt_ms": [60_001]}, "not-a-batch"),
        ({"rssi_dbm": [21]}, "not-a-batch"),
        ({"rssi_dbm": [None]}, "not-a-batch"),
        ({"channel": ["6"]}, "not-a-batch"),
        ({"handle": bytes(8)}, "not-a-batch"),
        ({"handle": (2**53).to_bytes(8, "little")}, "not-a-batch"),
        ({"handle": b"\xff" * 8}, "not-a-batch"),
        ({"handle": b"\1" * 7}, "ragged-columns"),
        ({"handle": b"\1" + bytes(15)}, "not-a-batch"),
        ({"channel": b"\6\6"}, "ragged-columns"),
        ({"dt_ms": (60_001).to_bytes(2, "little")}, "not-a-batch"),
        ({"rssi_dbm": b"\x15"}, "not-a-batch"),
        ({"rssi_dbm": b"\x80"}, "not-a-batch"),
        ({"address": "02:00:00:00:00:01"}, "not-a-batch"),
    ],
)
def test_a_batch_that_breaks_the_contract_says_how(change, why):
    assert reason(lambda payload: wire.read_batch(payload).columns(), msgspec.msgpack.encode(GOOD | change)) == why


@pytest.mark.parametrize("read", [wire.read_batch, wire.read_health])
@pytest.mark.parametrize("payload", [b"", b"{", b"\xc1", b"{" * 100_000, b'{"sensor": "\xff"}'])
def test_bytes_that_are_no_message_are_not_decodable(read, payload):
    assert reason(read, payload) == "not-decodable"


@pytest.mark.parametrize("read", [wire.read_batch, wire.read_health])
def test_a_payload_beyond_the_limit_is_not_even_read(read):
    assert reason(read, bytes(wire.MOST_PAYLOAD_BYTES + 1)) == "too-large"


def test_a_heartbeat_of_another_status_is_refused():
    told = {"sensor": "s1", "boot": 1, "at_ms": 2, "status": "fine"}
    assert reason(wire.read_health, msgspec.json.encode(told)) == "not-a-heartbeat"


def test_a_batch_is_no_heartbeat():
    assert reason(wire.read_health, msgspec.msgpack.encode(GOOD)) == "not-a-heartbeat"


# -- seals ----------------------------------------------------------------------------------------


def test_an_association_opens_with_the_key_and_the_topic_it_was_sealed_for():
    sealed = wire.seal_association(ANA, KEY, TOPIC, noise)
    assert wire.open_association(sealed, KEY, TOPIC) == ANA
    assert reason(wire.open_association, sealed, OTHER_KEY, TOPIC) == "not-sealed-by-us"
    assert reason(wire.open_association, sealed, KEY, wire.association_topic("demo", "meraki")) == "not-sealed-by-us"


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_bit_anywhere_breaks_the_seal(at, change):
    sealed = bytearray(wire.seal_association(ANA, KEY, TOPIC, noise))
    sealed[at % len(sealed)] ^= change
    assert reason(wire.open_association, bytes(sealed), KEY, TOPIC) == "not-sealed-by-us"


def test_two_seals_of_the_same_association_differ_by_their_noise():
    seals = {wire.seal_association(ANA, KEY, TOPIC, lambda size, n=n: bytes([n]) * size) for n in range(3)}
    assert len(seals) == 3


def sealed_list(allow: AllowList, *, key: bytes = KEY, signer: Ed25519PrivateKey = SIGNER) -> bytes:
    return wire.seal_allow_list(allow, key, signer, noise)


def test_an_allow_list_opens_for_its_site_and_verifies(list_of, epoch_of):
    allow = list_of(epoch_of(1, {b"\x02\0\0\0\0\1": 41}), version=5)
    assert wire.open_allow_list(sealed_list(allow), KEY, SIGNER.public_key(), "demo") == allow


def test_a_stolen_sensor_key_cannot_forge_a_list(list_of, epoch_of):
    forged = sealed_list(list_of(epoch_of(1, {})), signer=THIEF)
    assert reason(wire.open_allow_list, forged, KEY, SIGNER.public_key(), "demo") == "not-signed-by-the-engine"


def test_a_list_sealed_with_another_key_does_not_open(list_of, epoch_of):
    sealed = sealed_list(list_of(epoch_of(1, {})), key=OTHER_KEY)
    assert reason(wire.open_allow_list, sealed, KEY, SIGNER.public_key(), "demo") == "not-sealed-by-us"


def test_another_sites_list_does_not_open_here(list_of):
    sealed = sealed_list(list_of(site="other"))
    assert reason(wire.open_allow_list, sealed, KEY, SIGNER.public_key(), "demo") == "not-sealed-by-us"


def test_a_signed_list_in_the_wrong_envelope_is_for_another_site(list_of):
    plain = msgspec.msgpack.encode(list_of(site="other"))
    sealed = wire._seal(SIGNER.sign(plain) + plain, KEY, wire.allow_topic("demo"), noise)
    assert reason(wire.open_allow_list, sealed, KEY, SIGNER.public_key(), "demo") == "for-another-site"


@pytest.mark.parametrize("plain", [b"", b"\x80", b"\xc1", b'{"site": "demo"}'])
def test_signed_bytes_that_are_no_list_say_so(plain):
    sealed = wire._seal(SIGNER.sign(plain) + plain, KEY, wire.allow_topic("demo"), noise)
    assert reason(wire.open_allow_list, sealed, KEY, SIGNER.public_key(), "demo") == "not-an-allow-list"


def test_a_list_of_a_version_we_do_not_know_is_refused(list_of):
    sealed = sealed_list(msgspec.structs.replace(list_of(), version=2))
    assert reason(wire.open_allow_list, sealed, KEY, SIGNER.public_key(), "demo") == "unknown-version"


def test_a_list_with_more_digests_than_handles_is_refused(list_of, epoch_of):
    lame = msgspec.structs.replace(epoch_of(1, {b"\x02\0\0\0\0\1": 41}), handles=[41, 42])
    assert (
        reason(wire.open_allow_list, sealed_list(list_of(lame)), KEY, SIGNER.public_key(), "demo") == "ragged-columns"
    )


def test_sealed_bytes_that_are_no_association_say_so():
    sealed = wire._seal(b"\x80", KEY, TOPIC, noise)
    assert reason(wire.open_association, sealed, KEY, TOPIC) == "not-an-association"


def test_an_association_of_a_version_we_do_not_know_is_refused():
    sealed = wire.seal_association(msgspec.structs.replace(ANA, version=2), KEY, TOPIC, noise)
    assert reason(wire.open_association, sealed, KEY, TOPIC) == "unknown-version"


# -- whatever comes -------------------------------------------------------------------------------

anything = st.one_of(
    st.binary(max_size=200),
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=5) | st.binary(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=8,
    ).map(msgspec.msgpack.encode),
    st.dictionaries(st.sampled_from(sorted(GOOD)), st.integers() | st.lists(st.integers(-5, 300), max_size=3)).map(
        lambda changed: msgspec.json.encode(GOOD | changed)
    ),
)


@settings(max_examples=500, deadline=None)
@given(anything)
@example(b"\xd9\x04\xff\xff\xff\xff")
@example(b'{"sensor": "\\ud800"}')
def test_any_bytes_are_a_message_or_malformed(payload):
    for read in (wire.read_batch, wire.read_health):
        try:
            read(payload)
        except Malformed as problem:
            assert problem.reason


@settings(max_examples=200, deadline=None)
@given(anything)
def test_any_sealed_bytes_are_a_message_or_malformed(plain):
    sealed = wire._seal(plain, KEY, TOPIC, noise)
    signed = wire._seal(SIGNER.sign(plain) + plain, KEY, wire.allow_topic("demo"), noise)
    for opens in (
        lambda: wire.open_association(sealed, KEY, TOPIC),
        lambda: wire.open_association(plain, KEY, TOPIC),
        lambda: wire.open_allow_list(signed, KEY, SIGNER.public_key(), "demo"),
        lambda: wire.open_allow_list(plain, KEY, SIGNER.public_key(), "demo"),
    ):
        try:
            opens()
        except Malformed as problem:
            assert problem.reason
