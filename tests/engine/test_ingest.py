"""What the engine makes of messages, good and bad, that come through a real broker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from random import Random
from time import monotonic

import msgspec
import numpy as np
import psutil
import pytest
from paho.mqtt.client import Client

from engine.batches import STRANGER, Border
from engine.broker import Subscriber, client
from engine.clock import Pace
from engine.covering import kept_radio
from engine.events import PresenceEvent
from engine.identity import Identity
from engine.ingest import SNAPSHOT, Ingest
from engine.keys import Keys
from engine.ledger import open_ledger
from engine.presence import Presence
from engine.radio import Radio
from engine.tuning import Tuning
from sensors.wire import Fixes, Health, association_topic, fixes_topic, health_topic, observations_topic, pack
from tests.servers import sqlite_ledger_url

NOON_MS, BOOT, WAIT_S, PATIENCE_S = 1_790_000_000_000, 9, 20.0, 60.0
CONTROLLER = "controller"
MEGABYTE = 1024 * 1024
_sites = count(1)


class Engine:
    """Ingest on a broker, and somebody who may publish whatever they like."""

    def __init__(self, start: Callable[[], Ingest], publisher: Client, site: str) -> None:
        """start  what begins where the last one stopped"""
        self.restarted, self.ingest, self._publisher, self.site = start, start(), publisher, site

    def publish(self, topic: str, payload: bytes) -> None:
        self._publisher.publish(topic, payload, qos=1)

    def heartbeat(self, sensor: str, at_ms: int, *, topic_of: str | None = None) -> None:
        self.publish(health_topic(self.site, topic_of or sensor), pack(Health(sensor, BOOT, at_ms, "online")))

    def turn(self, after_ms: int) -> None:
        """Our own clock reads so much past noon now."""
        self.ingest._pace = Pace(0, NOON_MS + after_ms, 0.0)

    def beat(self, *sensors: str, off_ms: dict[str, int] | None = None, times: int = 4) -> None:
        """Heartbeats every ten seconds, of clocks that read *off_ms* more than ours."""
        for after_ms in range(0, times * 10_000, 10_000):
            self.turn(after_ms)
            for sensor in sensors:
                self.heartbeat(sensor, NOON_MS + after_ms + (off_ms or {}).get(sensor, 0))
            self.take(len(sensors))

    def take(self, messages: int) -> None:
        """Rounds until so many messages have been taken."""
        deadline_s = monotonic() + PATIENCE_S
        while messages > 0:
            assert monotonic() < deadline_s, f"{messages} messages did not come"
            messages -= self.ingest.round(1.0)


@pytest.fixture
def engine(plan, broker_url: str, tmp_path: Path) -> Iterator[Engine]:
    plan = replace(plan, site=f"ingested{next(_sites)}")
    keys, ledger = Keys(b"m" * 32), open_ledger(sqlite_ledger_url(tmp_path / "ledger.sqlite"), PresenceEvent)
    subscriber = Subscriber(broker_url, plan.site)
    assert subscriber.wait_connected(WAIT_S)
    publisher = client(broker_url, f"{plan.site}-publisher")
    publisher.connect(publisher.host, publisher.port)
    publisher.loop_start()

    def start() -> Ingest:
        ingest = Ingest(
            plan=plan,
            presence=Presence(plan, Tuning()),
            border=Border(plan.sensor_index, [CONTROLLER]),
            identity=Identity(ledger, keys, plan.site, Random(1).randbytes),
            ledger=ledger,
            subscriber=subscriber,
            keys=keys,
            pace=Pace(0, NOON_MS, 0.0),  # the clock stands still
            controllers=[CONTROLLER],
        )
        ingest.start()
        return ingest

    yield Engine(start, publisher, plan.site)
    publisher.disconnect()
    publisher.loop_stop()
    subscriber.close()
    ledger.close()


def test_time_moves_by_the_heartbeats_of_the_plans_sensors(engine: Engine) -> None:
    engine.heartbeat("s-cafe-L1", NOON_MS - 5_000)
    engine.take(1)
    assert engine.ingest.reached_ms == NOON_MS - 5_000


def test_a_heartbeat_of_a_sensor_that_is_not_on_the_plan_moves_no_time(engine: Engine) -> None:
    engine.heartbeat("forged", NOON_MS)
    engine.heartbeat("s-cafe-L1", NOON_MS - 5_000)
    engine.take(2)
    assert engine.ingest.reached_ms == NOON_MS - 5_000


def test_a_heartbeat_in_another_sensors_name_is_refused(engine: Engine) -> None:
    engine.heartbeat("s-cafe-L1", NOON_MS, topic_of="s-books-L1")
    engine.take(1)
    assert (engine.ingest.reached_ms, engine.ingest.refused) == (0, Counter({"another-sensor": 1}))


def flood(engine: Engine, payloads: int, chance: Random) -> None:
    """So many malformed payloads, on every kind of topic, of sensors that are there and of ever new ones."""
    for number in range(payloads):
        topic = chance.choice(
            (
                observations_topic(engine.site, "s-cafe-L1"),
                observations_topic(engine.site, f"nobody{number}"),
                health_topic(engine.site, f"nobody{number}"),
                association_topic(engine.site, "radius"),
            )
        )
        json = b'{"sensor":"s-cafe-L1","boot":%d}' % number
        engine.publish(topic, chance.choice((chance.randbytes(chance.randrange(1, 80)), json, b"\x91" * 3_000)))
    engine.take(payloads)


def test_a_flood_of_malformed_messages_is_counted_and_costs_no_memory(engine: Engine) -> None:
    chance = Random(1)
    flood(engine, 2_000, chance)  # what is reserved once is reserved now
    before = psutil.Process().memory_info().rss
    flood(engine, 8_000, chance)
    grown = psutil.Process().memory_info().rss - before
    border, ingest = engine.ingest.border.refused, engine.ingest.refused
    assert (border.total() + ingest.total(), grown < 16 * MEGABYTE) == (10_000, True)
    assert {sensor for sensor, _ in border} == {"s-cafe-L1", STRANGER}
    engine.heartbeat("s-cafe-L1", NOON_MS)
    engine.take(1)
    assert engine.ingest.reached_ms == NOON_MS


def test_what_closes_no_second_is_kept_and_acknowledged_with_what_does(engine: Engine) -> None:
    kept = []
    for after_ms in (0, 500, 1_000):
        engine.heartbeat("s-cafe-L1", NOON_MS - 5_000 + after_ms)
        engine.take(1)
        with engine.ingest._ledger.read() as tx:
            kept.append((engine.ingest._ledger.kept(tx, SNAPSHOT), len(engine.ingest._unkept)))
    assert [unkept for _, unkept in kept] == [0, 1, 0]
    assert kept[0][0] == kept[1][0] != kept[2][0]


def test_the_last_round_keeps_what_was_read_though_nothing_has_come_of_it(engine: Engine) -> None:
    for after_ms in (0, 500):
        engine.heartbeat("s-cafe-L1", NOON_MS - 5_000 + after_ms)
        engine.take(1)
    engine.ingest.round(0.0, last=True)
    assert engine.restarted().reached_ms == NOON_MS - 4_500


def test_a_controllers_heartbeat_moves_time_and_is_no_sensors_sign_of_life(engine: Engine) -> None:
    engine.heartbeat(CONTROLLER, NOON_MS - 5_000)
    engine.take(1)
    assert engine.ingest.reached_ms == NOON_MS - 5_000
    assert len(engine.ingest.silent()) == 12


def test_fixes_come_through_the_broker_and_only_from_controllers_we_know(engine: Engine) -> None:
    for sender in (CONTROLLER, "stranger"):
        empty = Fixes(sender, BOOT, 1, 1, NOON_MS, [])
        engine.publish(fixes_topic(engine.site, sender), pack(empty))
    engine.publish(fixes_topic(engine.site, CONTROLLER), b"{}")
    engine.take(3)
    assert engine.ingest.border.refused == {(STRANGER, "unknown-controller"): 1, (CONTROLLER, "not-fixes"): 1}


def test_what_sensors_hear_of_each_other_comes_with_their_heartbeats(engine: Engine, plan) -> None:
    hears = {"s-books-L1": -70, "s-nowhere": -50}
    beat = Health("s-cafe-L1", BOOT, NOON_MS - 5_000, "online", hears=hears)
    engine.publish(health_topic(engine.site, "s-cafe-L1"), pack(beat))
    engine.heartbeat("s-books-L1", NOON_MS)
    engine.take(2)
    pairs = engine.ingest.presence.links.keep().pairs
    row = plan.sensor_index
    assert [column.tolist() for column in pairs] == [[row["s-cafe-L1"]], [row["s-books-L1"]], [1], [-70]]


# -- clocks ---------------------------------------------------------------------------------------

THREE_MINUTES_MS = 180_000
FOUR = ("s-cafe-L1", "s-books-L1", "s-grill-L1", "s-shoes-L1")


@pytest.mark.parametrize("off_ms", [THREE_MINUTES_MS, -THREE_MINUTES_MS])
def test_a_sensor_whose_clock_is_minutes_wrong_is_named_and_moves_nobodys_time(engine: Engine, off_ms: int) -> None:
    engine.beat(*FOUR, off_ms={"s-cafe-L1": off_ms})
    assert engine.ingest.clocks.wrong == {"s-cafe-L1": -off_ms}
    assert engine.ingest.reached_ms == NOON_MS + 30_000


def test_what_a_wrong_clock_tells_is_put_right(engine: Engine) -> None:
    engine.beat(*FOUR, off_ms={"s-cafe-L1": -THREE_MINUTES_MS})
    engine.turn(40_000)
    engine.heartbeat("s-cafe-L1", NOON_MS + 40_000 - THREE_MINUTES_MS)
    engine.take(1)
    assert engine.ingest.reached_ms == NOON_MS + 40_000
    assert "s-cafe-L1" not in engine.ingest.silent()


def test_a_restarted_engine_still_knows_whose_clock_is_wrong(engine: Engine) -> None:
    engine.beat(*FOUR, off_ms={"s-cafe-L1": -THREE_MINUTES_MS})
    again = engine.restarted()
    assert again.clocks.wrong == engine.ingest.clocks.wrong != {}
    assert again.reached_ms == engine.ingest.reached_ms


def test_a_clock_set_right_is_believed_with_its_next_heartbeat(engine: Engine) -> None:
    engine.beat(*FOUR, off_ms={"s-cafe-L1": -THREE_MINUTES_MS})
    engine.turn(40_000)
    engine.heartbeat("s-cafe-L1", NOON_MS + 40_000)
    engine.take(1)
    assert engine.ingest.clocks.wrong == {}


def test_what_another_version_kept_is_begun_anew(engine: Engine, plan) -> None:
    engine.beat(*FOUR)
    ledger = engine.ingest._ledger
    for kept in (b"\xc1", msgspec.msgpack.encode({"presence": b"", "border": b"", "clocks": b"", "reached_ms": 7})):
        with ledger.write() as tx:
            ledger.keep(tx, SNAPSHOT, kept, NOON_MS)
        assert engine.restarted().reached_ms == 0
        assert np.array_equal(kept_radio(plan, ledger).mean_dbm, Radio.of(plan).mean_dbm)


# -- signs of life --------------------------------------------------------------------------------


def test_whoever_was_not_heard_of_for_half_a_minute_is_silent(engine: Engine) -> None:
    assert len(engine.ingest.silent()) == 12, "before anything is heard, nobody is known to live"
    engine.heartbeat("s-cafe-L1", NOON_MS - 40_000)
    engine.heartbeat("s-books-L1", NOON_MS - 20_000)
    engine.heartbeat("s-grill-L1", NOON_MS)
    engine.take(3)
    silent = set(engine.ingest.silent())
    assert (silent & {*FOUR}, len(silent)) == ({"s-cafe-L1", "s-shoes-L1"}, 10)


def test_signs_of_life_are_known_after_a_restart(engine: Engine) -> None:
    engine.beat(*FOUR)
    assert engine.restarted().silent() == engine.ingest.silent()


def test_a_refusing_sensor_gives_no_sign_of_life(engine: Engine) -> None:
    refusing = Health("s-cafe-L1", BOOT, NOON_MS, "refusing", why="no-allow-list")
    engine.publish(health_topic(engine.site, "s-cafe-L1"), pack(refusing))
    engine.take(1)
    assert "s-cafe-L1" in engine.ingest.silent()
