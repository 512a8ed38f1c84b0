"""`sojourn survey`: somebody walks the mall with a member's phone, and says where they stand."""

from __future__ import annotations

import getpass
import re
import sys
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from os import getpid
from pathlib import Path
from statistics import median
from typing import Annotated, NamedTuple

import numpy as np
import sqlalchemy as sa
import typer

from engine import survey_file, tables
from engine.broker import beside_engine
from engine.ear import Ear
from engine.events import PresenceEvent
from engine.ledger import Ledger, open_ledger
from engine.loading import subject_of, survey_lines
from engine.plainly import CannotStart
from engine.plan import Plan
from engine.settings import Settings
from engine.start import read_plan, settings
from engine.survey_file import DEGREES, Place
from rules.events import CouponEvent
from rules.tables import lookup
from sensors import wire

# A phone in use is heard about every five seconds, and bodies shade: one turn each way the operator may face.
TURNS = 4
# What comes sooner was gathered by sensors before the operator stood there.
GATHERED_S = wire.GATHER_MS / 1_000
SILENT = "silent"

Device = int  # row of the member's binding
Turn = dict[str, float]  # by sensor, how loud it heard the phone

command = typer.Typer(add_completion=False)


class Signal(NamedTuple):
    """One row of a batch."""

    device: Device
    sensor: str
    at_ms: int
    dbm: int


class CannotStand(Exception):
    """Nothing can be recorded of this place; says why, and the way out."""


class Listener:
    """Hears on the broker what sensors publish of one member's devices, and nothing of anybody else's."""

    def __init__(self, ledger: Ledger, member: int, plan: Plan, speed: float = 1.0) -> None:
        """speed  of the mall's clock"""
        self._ledger, self._member, self._plan, self._speed = ledger, member, plan, speed
        self._whose: Mapping[tuple[int, int], Device] = {}
        self._rows: list[Signal] = []

    def take(self, topic: str, payload: bytes) -> None:
        sensor = topic.rpartition("/")[2]
        if not self._whose or sensor not in self._plan.sensor_index:
            return
        try:
            batch = wire.read_batch(payload)
            handles, dt_ms, rssi_dbm, _ = batch.columns()
        except wire.Malformed:
            return  # the engine counts it
        if batch.sensor != sensor:
            return  # nobody speaks for another
        for handle, after_ms, dbm in zip(handles.tolist(), dt_ms.tolist(), rssi_dbm.tolist(), strict=True):
            device = self._whose.get((batch.epoch, handle))
            if device is not None:
                self._rows.append(Signal(device, sensor, batch.t0_ms + after_ms, dbm))

    def listen(self, seconds: float) -> list[Turn]:
        """For each of TURNS turns, the median of what each sensor heard; without the turns in which none did.

        Raises CannotStand where two devices of the member are heard.
        """
        self._whose = self._handles()
        threading.Event().wait(GATHERED_S)
        turns, devices = [], set[Device]()
        for _ in range(TURNS):
            self._rows = []
            threading.Event().wait(seconds / TURNS)
            rows = _of_late(self._rows, seconds / TURNS * 1_000 * self._speed)
            devices |= {row.device for row in rows}
            turns.append(_medians(rows))
        self._whose = {}
        if len(devices) > 1:
            raise CannotStand(f"{len(devices)} devices of this member are heard: switch off Wi-Fi on all but one")
        return [turn for turn in turns if turn]

    def _handles(self) -> Mapping[tuple[int, int], Device]:
        """Asked at each place: handles change each night, and a phone may have come to the Wi-Fi a moment ago."""
        h, b = tables.handle.c, tables.binding.c
        mine = sa.select(h.epoch, h.handle, b.id).join(tables.binding, b.id == h.binding)
        with self._ledger.read() as tx:
            rows = tx.execute(mine.where(b.member == self._member, b.ended_ms.is_(None))).all()
        return {(epoch, handle): device for epoch, handle, device in rows}


def _of_late(rows: Sequence[Signal], span_ms: float) -> list[Signal]:
    """Without what a sensor had in its spool: by its own clock, for others may be wrong."""
    newest_ms = defaultdict[str, int](int)
    for row in rows:
        newest_ms[row.sensor] = max(newest_ms[row.sensor], row.at_ms)
    return [row for row in rows if newest_ms[row.sensor] - row.at_ms <= span_ms]


def _medians(rows: Iterable[Signal]) -> Turn:
    dbm = defaultdict[str, list[int]](list)
    for row in rows:
        dbm[row.sensor].append(row.dbm)
    return {sensor: median(signals) for sensor, signals in dbm.items()}


def place_of(written: str, plan: Plan) -> Place:
    """Where a line says that somebody stands. Raises CannotStand.

    LEVEL LON LAT, in degrees; or the key of a zone, of a shop, or of a way that is on one level, as entrances are; a
    level before the key of one that is on several.
    """
    words = re.split(r"[,\s]+", written.strip())
    match words:
        case [level, lon, lat] if level in plan.level_index:
            try:
                place = survey_file.at_degrees(plan, level, float(lon), float(lat))
            except ValueError:
                raise CannotStand(f"{lon} {lat} are no degrees; write them like {_example(plan)}") from None
        case [key]:
            place = _middle_of(key, plan)
        case [level, key] if level in plan.level_index:
            place = _at_way(key, plan, level)
        case _:
            raise CannotStand(f"{written!r} is no place; write it like {_example(plan)}, or a zone, shop or entrance")
    if survey_file.stands_outside(place, plan):
        where = f"({place.x_m:.1f}, {place.y_m:.1f}) m"
        raise CannotStand(f"{where} is outside of {place.level}'s floor; write lon before lat, in degrees")
    return place


def _middle_of(key: str, plan: Plan) -> Place:
    zones = {zone.key: zone for zone in plan.zones} | plan.shops()
    if key not in zones:
        return _at_way(key, plan)
    middle = zones[key].polygon.representative_point()
    return Place(zones[key].level, middle.x, middle.y)


def _at_way(key: str, plan: Plan, level: str | None = None) -> Place:
    for way in plan.ways:
        if way.key == key:
            on = [level] if level else list(way.levels)
            if len(on) != 1 or on[0] not in way.levels:
                raise CannotStand(f"{key} is on {', '.join(way.levels)}: write the level before it")
            return Place(on[0], way.x_m, way.y_m)
    raise CannotStand(f"no zone, shop or entrance {key!r} on the map; write it like {_example(plan)}")


def _example(plan: Plan) -> str:
    level = plan.levels[0]
    middle = level.outline.representative_point()
    ((lon, lat),) = plan.anchor.to_degrees(np.array([[middle.x, middle.y]])).tolist()
    return f"'{level.key} {lon:.{DEGREES}f} {lat:.{DEGREES}f}'"


class Recording:
    """A survey's file as it grows."""

    def __init__(self, file: Path, plan: Plan) -> None:
        """Raises CannotStart where the file is there and is none that can be gone on with."""
        self.file, self._plan, self._numbers = file, plan, set[str]()
        try:
            survey_file.begin(file)
            lines = survey_lines(file)
            first = file.read_text(encoding="utf-8-sig").partition("\n")[0].strip()
        except OSError as problem:
            raise CannotStart(f"cannot write {file} ({problem.strerror}): name another file with --into") from None
        if first != survey_file.HEADER:
            raise CannotStart(f"{file.name}:1: the columns must be {survey_file.HEADER} to go on; name another file")
        _, faults = survey_file.read(lines, plan, file.name)
        if faults:
            raise CannotStart(faults[0])
        self._numbers = {line.fields["point"] for line in lines}

    @property
    def points(self) -> int:
        return len(self._numbers)

    def add(self, place: Place, turns: list[Turn]) -> None:
        number = 1 + max((int(name) for name in self._numbers if name.isdecimal()), default=0)
        survey_file.append(self.file, self._plan, number, place, turns)
        self._numbers.add(str(number))


def record(listener: Listener, recording: Recording, written: str, plan: Plan, seconds: float) -> str:
    """Listen at one place and write what was heard; what to say of it. Raises CannotStand.

    written  the place, and `silent` behind it where it is known that no sensor can hear the phone
    """
    words = written.split()
    silent = words[-1:] == [SILENT]
    place = place_of(" ".join(words[:-1] if silent else words), plan)
    turns = listener.listen(seconds)
    if not turns and not silent:
        raise CannotStand(
            f"the phone was not heard for {seconds:g} s: wake it, and see that it is on the mall's Wi-Fi and its "
            f"member consents to presence; where no sensor reaches, write {SILENT} behind the place"
        )
    recording.add(place, turns)
    return f"{_said(turns)}; {_many(recording.points, 'point')} so far"


def _said(turns: list[Turn]) -> str:
    dbm = defaultdict[str, list[float]](list)
    for turn in turns:
        for sensor, signal in turn.items():
            dbm[sensor].append(signal)
    if not dbm:
        return "no sensors"
    loudest = max(dbm, key=lambda sensor: median(dbm[sensor]))
    return f"{_many(len(dbm), 'sensor')}, loudest {loudest} at {median(dbm[loudest]):.0f} dBm"


def _many(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


@command.command()
def survey(
    login: Annotated[str, typer.Argument(help="The member whose phone you carry, by login or id")],
    into: Annotated[Path, typer.Option(help="The survey's file; what is in it stays, and points are added")] = Path(
        "survey.csv"
    ),
    seconds: Annotated[float, typer.Option(help="How long to listen at each place", min=1, max=600)] = 20,
    by: Annotated[str, typer.Option(help="Who walks (default: who is logged in here)", show_default=False)] = "",
    data: Annotated[
        Path | None, typer.Option("--data", help="The engine's data folder (default: .sojourn)", show_default=False)
    ] = None,
) -> None:
    """Walk the mall with a phone, say where you stand, and record what sensors hear of it there.

    Run it on the engine's machine, beside it. The phone must be on the mall's
    Wi-Fi, its login a member who consents to presence, and its screen on: open
    any page, so that it is heard.

    At each place write where you stand: a level, degrees east, degrees north,
    as in [bold]L1 121.4901234 31.2301234[/bold], or the key of a zone, a shop or an
    entrance if you stand in the middle of it. Stay while it listens, and turn a
    quarter after each quarter of the time: bodies shade. An empty line or Ctrl-D
    ends it; start again to go on.

    Points 5 m apart are best, and 12 m apart still better than none; [bold]sojourn
    check[/bold] says what is missing. Then name the file in the setting survey_path,
    and start the engine anew.

    Nothing leaves this machine. Only places and signals are written: no address,
    no handle, no member. As it tells where one member is, each walk is on record.

    A program may write the places to standard input, one a line; the first that
    cannot be recorded ends it.
    """
    chosen = settings(data_folder=data)
    plan = read_plan(chosen.zones_path)
    member, recording = int(subject_of(chosen, "member", login)), Recording(into, plan)
    broker_url = beside_engine(chosen.broker_url, chosen.data_folder)
    with closing(open_ledger(chosen.ledger, PresenceEvent | CouponEvent)) as ledger:
        listener = Listener(ledger, member, plan, chosen.pace.speed)
        session, topic = f"sojourn-{plan.site}-survey-{getpid()}", f"sojourn/{plan.site}/obs/#"
        with closing(Ear(broker_url, session, topic, listener.take)):
            _on_record(ledger, chosen, member, by or f"command line:{getpass.getuser()}")
            for written in _written():
                try:
                    print(record(listener, recording, written, plan, seconds), flush=True)
                except CannotStand as problem:
                    if not sys.stdin.isatty():
                        raise CannotStart(str(problem)) from None
                    print(problem, flush=True)
    print(
        f"{_many(recording.points, 'point')} in {into}: name it in the setting survey_path, and start the engine anew"
    )


def _on_record(ledger: Ledger, chosen: Settings, member: int, actor: str) -> None:
    with ledger.write() as tx:
        now_ms = max(ledger.last_at_ms(tx), chosen.pace.now())
        tx.execute(sa.insert(lookup).values(at_ms=now_ms, actor=actor, member=member, about="survey"))


def _written() -> Iterator[str]:
    """Places as they are typed, until an empty line or the end."""
    while True:
        try:
            written = input("where? " if sys.stdin.isatty() else "").strip()
        except EOFError:
            return
        if not written:
            return
        yield written
