"""The uplink against a real broker: nothing is lost, order is kept, and silence is explained."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sensors import uplink as uplink_module
from sensors import wire
from sensors.spool import Spool
from sensors.uplink import Uplink
from sensors.wire import AllowList, Association, Batch, Health

SITE_KEY, SIGNER = bytes(range(32)), Ed25519PrivateKey.from_private_bytes(bytes(32))


def noise(size: int) -> bytes:
    return bytes(size)


def batch(seq: int, sensor: str = "s1") -> Batch:
    return Batch(sensor, 1, seq, 1, 1_000 * seq, [41], [0], [-60], [6])


def health(at_ms: int = 5_000, sensor: str = "s1", why: str = "") -> Health:
    return Health(sensor=sensor, boot=1, at_ms=at_ms, status="refusing" if why else "online", why=why)


class Taken:
    """The allow-lists an uplink handed on."""

    def __init__(self) -> None:
        self.lists: list[AllowList] = []
        self.one = threading.Event()

    def __call__(self, allow: AllowList) -> None:
        self.lists.append(allow)
        self.one.set()


@pytest.fixture
def taken() -> Taken:
    return Taken()


@pytest.fixture
def spool(tmp_path) -> Path:
    return tmp_path / "spool"


Opener = Callable[..., contextlib.AbstractContextManager[Uplink]]


@pytest.fixture
def uplink_to(spool, taken) -> Opener:
    """Opens an uplink to a URL for the length of a block."""

    @contextlib.contextmanager
    def opened(url: str, name: str = "s1", site: str = "demo", **options: int) -> Iterator[Uplink]:
        uplink = Uplink(
            url, site, name, spool, site_key=SITE_KEY, verifier=SIGNER.public_key(), on_allow=taken, **options
        )
        uplink.start()
        with contextlib.closing(uplink):
            yield uplink

    return opened


def seqs(ear, sensor: str = "s1") -> list[int]:
    """Of the batches heard, in the order they came."""
    return [wire.read_batch(payload).seq for payload in list(ear.on[wire.observations_topic("demo", sensor)])]


def has_come(ear, last: Batch) -> Callable[[], bool]:
    payload, come = wire.pack(last), ear.on[wire.observations_topic("demo", last.sensor)]
    return lambda: come[-1:] == [payload]


def first_times(seen: list[int]) -> list[int]:
    return list(dict.fromkeys(seen))


def healths(ear, sensor: str = "s1") -> list[Health]:
    return [wire.read_health(payload) for payload in list(ear.on[wire.health_topic("demo", sensor)])]


# -- batches --------------------------------------------------------------------------------------


def test_batches_arrive_in_order_and_as_they_were(mosquitto, ear, uplink_to):
    with uplink_to(mosquitto.url) as uplink:
        for seq in range(1, 301):
            uplink.send(batch(seq))
        ear.wait_until(has_come(ear, batch(300)))
    heard = [wire.read_batch(payload) for payload in ear.on[wire.observations_topic("demo", "s1")]]
    assert heard == [wire.packed(batch(seq)) for seq in range(1, 301)]


def test_a_batch_says_what_it_is_packed_in(mosquitto, ear, uplink_to):
    with uplink_to(mosquitto.url) as uplink:
        uplink.send(batch(1))
        ear.wait_until(has_come(ear, batch(1)))
    (message,) = [message for message in ear.heard if message.topic.startswith("sojourn/demo/obs")]
    assert (message.properties.ContentType, message.qos, message.retain) == ("application/msgpack", 1, False)


def test_what_was_sent_before_the_broker_was_there_arrives(mosquitto, ear, uplink_to):
    mosquitto.stop()
    with uplink_to(mosquitto.url) as uplink:
        for seq in range(1, 51):
            uplink.send(batch(seq))
        mosquitto.start()
        ear.wait_until(has_come(ear, batch(50)))
    assert seqs(ear) == list(range(1, 51))


def test_a_broker_killed_in_the_middle_loses_nothing_and_order_is_kept(mosquitto, ear, uplink_to):
    with uplink_to(mosquitto.url) as uplink:
        for seq in range(1, 101):
            uplink.send(batch(seq))
        ear.wait_until(has_come(ear, batch(100)))
        mosquitto.freeze()  # these leave, and nobody answers
        for seq in range(101, 151):
            uplink.send(batch(seq))
        mosquitto.kill()
        for seq in range(151, 401):
            uplink.send(batch(seq))
        mosquitto.start()
        for seq in range(401, 451):
            uplink.send(batch(seq))
        ear.wait_until(has_come(ear, batch(450)))
    # Repeats have the (boot, seq) of what they repeat, and do not change the order of first arrivals.
    assert first_times(seqs(ear)) == list(range(1, 451))


def test_each_sensors_order_is_kept_though_several_share_the_uplink(mosquitto, ear, uplink_to):
    with uplink_to(mosquitto.url, name="crowd") as uplink:
        for seq in range(1, 31):
            for sensor in ("s1", "s2", "s3"):
                uplink.send(batch(seq, sensor))
        for sensor in ("s1", "s2", "s3"):
            ear.wait_until(has_come(ear, batch(30, sensor)))
    assert [seqs(ear, sensor) for sensor in ("s1", "s2", "s3")] == [list(range(1, 31))] * 3


def test_what_the_last_process_could_not_send_goes_first(mosquitto, ear, uplink_to):
    mosquitto.stop()
    with uplink_to(mosquitto.url) as uplink:
        for seq in range(1, 11):
            uplink.send(batch(seq))
    mosquitto.start()
    with uplink_to(mosquitto.url) as uplink:
        uplink.send(batch(11))
        ear.wait_until(has_come(ear, batch(11)))
    assert seqs(ear) == list(range(1, 12))


def test_a_frozen_broker_fills_the_disk_and_not_the_memory(mosquitto, ear, uplink_to, spool):
    many = uplink_module.MOST_HELD + 500
    with uplink_to(mosquitto.url) as uplink:
        assert uplink.connected.wait(10)
        mosquitto.freeze()
        for seq in range(1, many + 1):
            uplink.send(batch(seq))
        mosquitto.kill()
        mosquitto.start()
        ear.wait_until(has_come(ear, batch(many)))
    assert first_times(seqs(ear)) == list(range(1, many + 1))
    assert len(Spool(spool)) == 0


def test_a_full_spool_gives_up_the_oldest_and_says_how_many(mosquitto, ear, uplink_to):
    mosquitto.stop()
    with uplink_to(mosquitto.url, most_spool_bytes=10_000) as uplink:
        for seq in range(1, 201):
            uplink.send(batch(seq))
        mosquitto.start()
        ear.wait_until(has_come(ear, batch(200)))
        ear.wait_until(lambda: any(told.spool_lost and not told.spooled for told in healths(ear)))
    kept = seqs(ear)
    assert kept == list(range(201 - len(kept), 201))
    assert healths(ear)[-1].spool_lost == 200 - len(kept)


def test_an_association_travels_sealed(mosquitto, ear, uplink_to):
    association = Association("ana", "02:00:00:00:00:01", "Mall", 7, "radius")
    with uplink_to(mosquitto.url) as uplink:
        uplink.associate(association)
        ear.wait_until(lambda: ear.on["sojourn/demo/bind/radius"])
    (sealed,) = ear.on["sojourn/demo/bind/radius"]
    assert b"02:00" not in sealed and b"ana" not in sealed
    assert wire.open_association(sealed, SITE_KEY, "sojourn/demo/bind/radius") == association


# -- health ---------------------------------------------------------------------------------------


def test_a_heartbeat_is_retained_and_does_not_overtake_the_batches_before_it(mosquitto, ear, uplink_to):
    mosquitto.stop()
    with uplink_to(mosquitto.url) as uplink:
        for seq in range(1, 101):
            uplink.send(batch(seq))
        uplink.report(health(at_ms=100_500))
        mosquitto.start()
        ear.wait_until(lambda: any(told.at_ms == 100_500 and told.status == "online" for told in healths(ear)))
    topics = [message.topic for message in ear.heard]
    last_batch = len(topics) - 1 - topics[::-1].index(wire.observations_topic("demo", "s1"))
    payloads = [message.payload for message in ear.heard]
    told = [wire.read_health(payload).at_ms for payload in payloads[:last_batch] if b"status" in payload]
    assert 100_500 not in told


def test_only_the_last_heartbeat_is_kept_for_an_absent_broker(mosquitto, ear, uplink_to):
    mosquitto.stop()
    with uplink_to(mosquitto.url) as uplink:
        for second in range(1, 60):
            uplink.report(health(at_ms=1_000 * second))
        mosquitto.start()
        ear.wait_until(lambda: any(told.at_ms == 59_000 for told in healths(ear)))
    assert {told.at_ms for told in healths(ear)} == {59_000}


def test_a_clean_stop_says_offline_for_each_sensor(mosquitto, ear, uplink_to):
    with uplink_to(mosquitto.url, name="crowd") as uplink:
        assert uplink.connected.wait(10)
        uplink.report(health(sensor="s1"))
        uplink.report(health(sensor="s2"))
    ear.wait_until(lambda: all(healths(ear, name) for name in ("s1", "s2", "crowd")))
    ear.wait_until(lambda: all(healths(ear, name)[-1].status == "offline" for name in ("s1", "s2", "crowd")))
    assert {healths(ear, name)[-1].why for name in ("s1", "s2", "crowd")} == {"stopped"}


def test_a_connection_that_breaks_is_offline_by_the_last_will_until_it_is_back(mosquitto, ear, uplink_to):
    with uplink_to(mosquitto.url) as uplink:
        uplink.report(health())
        ear.wait_until(lambda: healths(ear)[-1:] == [health()])
        ear.take_over("sojourn-demo-s1")
        ear.wait_until(lambda: "connection-lost" in [told.why for told in healths(ear)])
        ear.wait_until(lambda: healths(ear)[-1] == health())


# -- the allow-list -------------------------------------------------------------------------------


def sealed(list_of, epoch_of, version: int = 1, *, signer: Ed25519PrivateKey = SIGNER) -> bytes:
    allow = list_of(epoch_of(1, {b"\x02\0\0\0\0\1": 41}), version=version)
    return wire.seal_allow_list(allow, SITE_KEY, signer, noise)


def test_a_retained_list_is_handed_on_at_the_start(mosquitto, ear, uplink_to, taken, list_of, epoch_of):
    ear.publish(wire.allow_topic("demo"), sealed(list_of, epoch_of, 7))
    with uplink_to(mosquitto.url):
        assert taken.one.wait(10)
    assert [allow.list_version for allow in taken.lists] == [7]


def test_a_newer_list_is_handed_on_while_connected(mosquitto, ear, uplink_to, taken, list_of, epoch_of):
    with uplink_to(mosquitto.url) as uplink:
        assert uplink.connected.wait(10)
        ear.publish(wire.allow_topic("demo"), sealed(list_of, epoch_of, 8))
        assert taken.one.wait(10)
    assert [allow.list_version for allow in taken.lists] == [8]


def test_a_forged_list_is_refused_and_the_heartbeat_says_so(mosquitto, ear, uplink_to, taken, list_of, epoch_of):
    thief = Ed25519PrivateKey.from_private_bytes(bytes([9] * 32))
    ear.publish(wire.allow_topic("demo"), sealed(list_of, epoch_of, signer=thief))
    with uplink_to(mosquitto.url) as uplink:
        uplink.report(health())
        ear.wait_until(lambda: any("not-signed-by-the-engine" in told.why for told in healths(ear)))
    assert taken.lists == []


def test_after_a_forged_list_a_good_one_is_taken_and_the_trouble_is_over(
    mosquitto, ear, uplink_to, taken, list_of, epoch_of
):
    with uplink_to(mosquitto.url) as uplink:
        ear.publish(wire.allow_topic("demo"), b"rubbish")
        ear.wait_until(lambda: any("not-sealed-by-us" in told.why for told in healths(ear)))
        ear.publish(wire.allow_topic("demo"), sealed(list_of, epoch_of, 9))
        assert taken.one.wait(10)
        uplink.report(health(at_ms=77_000))
        ear.wait_until(lambda: any(told.at_ms == 77_000 and not told.why for told in healths(ear)))


# -- on each broker that is supported -------------------------------------------------------------


def test_lists_come_down_and_batches_go_up(broker_url, ear_at, uplink_to, taken, list_of, epoch_of):
    ear = ear_at(broker_url, "uplink-site")
    allow = list_of(epoch_of(1, {}), version=3, site="uplink-site")
    ear.publish(wire.allow_topic("uplink-site"), wire.seal_allow_list(allow, SITE_KEY, SIGNER, noise))
    topic = wire.observations_topic("uplink-site", "s1")
    for start in (1, 501):  # a second start gets the retained list again
        taken.one.clear()
        with uplink_to(broker_url, site="uplink-site") as uplink:
            assert taken.one.wait(20)
            for seq in range(start, start + 500):
                uplink.send(batch(seq))
            ear.wait_until(lambda last=start + 499: ear.on[topic][-1:] == [wire.pack(batch(last))])
    assert [wire.read_batch(payload).seq for payload in ear.on[topic]] == list(range(1, 1_001))
    assert [allow.list_version for allow in taken.lists] == [3, 3]


# -- mistakes -------------------------------------------------------------------------------------


def test_a_spool_that_cannot_be_kept_is_said_at_once(tmp_path):
    with pytest.raises(OSError, match="cannot keep a spool"):
        Uplink(
            "mqtt://127.0.0.1:1",
            "demo",
            "s1",
            tmp_path / "nowhere" / "spool",
            site_key=SITE_KEY,
            verifier=SIGNER.public_key(),
            on_allow=print,
        )


def test_another_kind_of_url_is_said_at_once(tmp_path):
    with pytest.raises(ValueError, match=r"must start with mqtt:// or mqtts://"):
        Uplink(
            "kafka://127.0.0.1:1",
            "demo",
            "s1",
            tmp_path / "spool",
            site_key=SITE_KEY,
            verifier=SIGNER.public_key(),
            on_allow=print,
        )
