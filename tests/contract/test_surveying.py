"""Walking a survey beside an engine: over a real broker, with a phone whose handle only the ledger knows."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from random import Random

import pytest
import sqlalchemy as sa
from paho.mqtt.client import Client

import rules.tables
from engine.__main__ import main
from engine.broker import client
from engine.clock import system_clock
from engine.events import PresenceEvent
from engine.identity import Identity, Newcomer
from engine.keys import Keys
from engine.ledger import open_ledger
from engine.loading import survey_lines
from engine.plan import Plan
from engine.surveying import CannotStand, place_of
from sensors.wire import Association, Batch, observations_topic, pack
from tests.conftest import ROOT
from tests.servers import free_port, sqlite_ledger_url

ANA, ANAS_WATCH, EVE = "d2:00:00:00:00:01", "d2:00:00:00:00:02", "d2:00:00:00:00:03"
EVERY_S, SPOOLED_MS = 0.05, 600_000
PLAN = Plan.read(ROOT / "zones.geojson")


class Air:
    """Sensors that hear devices all the time, and publish it as sensors do."""

    def __init__(self, publisher: Client, handles: dict[str, int], epoch: int) -> None:
        self._publisher, self._handles, self._epoch = publisher, handles, epoch
        self.hears: list[tuple[str, str, int]] = []  # sensor, device, dBm
        self.heard: list[tuple[str, str, int]] = []  # ten minutes ago, and was spooled
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._publish)
        self._thread.start()

    def close(self) -> None:
        self._over.set()
        self._thread.join()

    def _publish(self) -> None:
        for seq in count(1):
            spooled = [(*each, SPOOLED_MS) for each in self.heard]
            for sensor, device, dbm, ago_ms in [*spooled, *((*each, 0) for each in self.hears)]:
                at_ms = system_clock() - ago_ms
                batch = Batch(sensor, 1, seq, self._epoch, at_ms, [self._handles[device]], [0], [dbm], [6])
                self._publisher.publish(observations_topic(PLAN.site, sensor), pack(batch), qos=1)
            if self._over.wait(EVERY_S):
                return


class Walk:
    """Somebody at the engine's machine who types places, and whoever they ask the sensors about."""

    def __init__(self, air: Air, patch: pytest.MonkeyPatch, screen: pytest.CaptureFixture[str], folder: Path) -> None:
        self.air, self._patch, self._screen, self.folder = air, patch, screen, folder
        self.file = folder / "survey.csv"

    def says(self, *places: str, login: str = "ana") -> tuple[int, str, str]:
        """How the program ended, and what it said on its two outputs."""
        self._patch.setattr(sys, "stdin", io.StringIO("\n".join(places)))
        command = ["survey", login, "--into", str(self.file), "--seconds", "1", "--data", str(self.folder)]
        self._patch.setattr(sys, "argv", ["sojourn", *command])
        with pytest.raises(SystemExit) as ended:
            main()
        said = self._screen.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    def refused(self, *places: str, login: str = "ana") -> str:
        code, _, err = self.says(*places, login=login)
        assert (code, len(err.splitlines())) == (2, 1), err
        return err


@pytest.fixture
def walk(
    embedded_broker_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    own_log: None,
) -> Iterator[Walk]:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("SOJOURN_BROKER_URL", embedded_broker_url)
    monkeypatch.setattr("engine.surveying.GATHERED_S", EVERY_S)
    ledger = open_ledger(sqlite_ledger_url(tmp_path / "ledger.sqlite"), PresenceEvent)
    identity, now_ms = Identity(ledger, Keys(b"m" * 32), PLAN.site, Random(1).randbytes), system_clock()
    with ledger.write() as tx:
        newcomers = [Newcomer(login, login, consents=("presence",)) for login in ("ana", "eve")]
        identity.join(tx, newcomers, now_ms, place="test")
        for login, address in (("ana", ANA), ("ana", ANAS_WATCH), ("eve", EVE)):
            identity.associate(tx, Association(login, address, "Mall", now_ms, "radius"))
        allow, _ = identity.allow_list(tx, now_ms)
    ledger.close()
    handles = dict(zip((ANA, ANAS_WATCH, EVE), allow.epochs[0].handles, strict=True))
    publisher = client(embedded_broker_url, "survey-sensors")
    publisher.connect(publisher.host, publisher.port)
    publisher.loop_start()
    air = Air(publisher, handles, allow.epochs[0].number)
    yield Walk(air, monkeypatch, capsys, tmp_path)
    air.close()
    publisher.disconnect()
    publisher.loop_stop()


def points(walk: Walk) -> dict[str, set[tuple[str, str, str]]]:
    """By point, what was written of it: level, sensor, dBm."""
    found: dict[str, set[tuple[str, str, str]]] = {}
    for line in survey_lines(walk.file):
        told = line.fields
        found.setdefault(told["point"], set()).add((told["level"], told["sensor"], told["dbm"]))
    return found


def test_what_sensors_hear_of_the_phone_is_written_by_place(walk: Walk) -> None:
    walk.air.hears = [("s101", ANA, -48), ("s205", ANA, -80), ("s102", EVE, -40)]
    code, said, _ = walk.says("cafe-luna", "L2 lift-north")
    assert (code, said.splitlines()[1]) == (0, "2 sensors, loudest s101 at -48 dBm; 2 points so far")
    both = {("s101", "-48"), ("s205", "-80")}
    assert points(walk) == {"1": {("L1", *one) for one in both}, "2": {("L2", *one) for one in both}}


def test_a_second_walk_goes_on_with_the_file(walk: Walk) -> None:
    walk.air.hears = [("s101", ANA, -48)]
    for _ in range(2):
        walk.says("entrance-south")
    assert sorted(points(walk)) == ["1", "2"]


def test_nothing_of_the_phone_or_its_member_is_written(walk: Walk) -> None:
    walk.air.hears = [("s101", ANA, -48)]
    walk.says("entrance-south")
    cells = {cell for line in walk.file.read_text().splitlines()[1:] for cell in line.split(",")}
    assert cells == {"1", "L1", "121.4708364", "31.2213566", "s101", "-48"}


def test_each_walk_is_on_record(walk: Walk) -> None:
    walk.says("nowhere")
    with open_ledger(f"sqlite:///{walk.folder}/ledger.sqlite", PresenceEvent).read() as tx:
        assert tx.execute(sa.select(rules.tables.lookup.c.member, rules.tables.lookup.c.about)).all() == [(1, "survey")]


def test_what_a_sensor_had_in_its_spool_is_of_no_place(walk: Walk) -> None:
    walk.air.heard, walk.air.hears = [("s101", ANA, -80)] * 3, [("s101", ANA, -48)]
    walk.says("entrance-south")
    assert points(walk)["1"] == {("L1", "s101", "-48")}


def test_a_phone_that_is_not_heard_is_no_point(walk: Walk) -> None:
    walk.air.hears = [("s102", EVE, -40)]
    assert "the phone was not heard for 1 s: wake it" in walk.refused("entrance-south")
    assert not points(walk)


def test_where_no_sensor_reaches_an_operator_may_say_so(walk: Walk) -> None:
    assert walk.says("entrance-south silent")[1].startswith("no sensors; 1 point so far")
    assert points(walk) == {"1": {("L1", "", "")}}


def test_two_devices_of_a_member_are_not_taken_for_one(walk: Walk) -> None:
    walk.air.hears = [("s101", ANA, -48), ("s205", ANAS_WATCH, -60)]
    assert "2 devices of this member are heard" in walk.refused("entrance-south")
    assert not points(walk)


def test_whoever_is_no_member_has_no_phone(walk: Walk) -> None:
    assert "no member 'bob'" in walk.refused(login="bob")


def test_a_broker_that_is_not_there_is_one_clear_line(walk: Walk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOJOURN_BROKER_URL", f"mqtt://127.0.0.1:{free_port()}")
    monkeypatch.setattr("engine.ear.PATIENCE_S", 0.2)
    assert "does not answer: is it up?" in walk.refused()


def test_an_engine_that_never_ran_has_no_broker_of_its_own(walk: Walk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOJOURN_BROKER_URL", "embedded://")
    assert "no broker of an engine in" in walk.refused()


def test_a_file_that_is_no_survey_is_not_added_to(walk: Walk) -> None:
    walk.file.write_text("login,birthday\nana,01-02\n")
    assert "survey.csv:1: no column 'point'" in walk.refused("entrance-south")
    assert walk.file.read_text() == "login,birthday\nana,01-02\n"


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("L1 0 0", "is outside of L1's floor; write lon before lat"),
        ("L1 east 31.2", "are no degrees; write them like 'L1 121."),
        ("L9 121.4 31.2", "is no place; write it like 'L1 121."),
        ("cafe-lune", "no zone, shop or entrance 'cafe-lune' on the map"),
        ("lift-north", "lift-north is on L1, L2, L3: write the level before it"),
    ],
)
def test_a_place_that_cannot_be_stood_at_says_how_to_write_one(written: str, says: str) -> None:
    with pytest.raises(CannotStand, match=says.replace("(", r"\(")):
        place_of(written, PLAN)


@pytest.mark.parametrize("written", ["L2 lift-north", "L1 121.4709635 31.2215710", "L1, 121.4709635, 31.2215710"])
def test_a_place_is_a_level_with_degrees_or_a_way(written: str) -> None:
    assert place_of(written, PLAN).level == written[:2]
