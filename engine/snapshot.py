"""Presence as bytes, and back: also onto a plan in which zones, levels or sensors came, went or moved in order."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Annotated, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from engine import fixes, links, liveness
from engine.cells import Cells
from engine.motion import NOBODY
from engine.plan import NOWHERE, Plan
from engine.position import UNPLACED
from engine.radio import Propagation
from engine.readings import Readings, from_columns
from engine.roster import CELLS, Held
from engine.stays import end_all

VERSION = 6

Table = npt.NDArray[np.void]
Ints = npt.NDArray[np.int64]


class Unusable(ValueError):
    """These bytes are no snapshot of presence, or one of another version of it."""


class Kept(NamedTuple):
    """All that presence knows. Rows of *table* are presence's own."""

    newest_ms: int
    late: int
    pending: Readings
    fixes: fixes.Fixes  # those that wait for their second
    table: Table
    beliefs: Held  # of the rows of table, see engine.position
    liveness: liveness.Kept
    links: links.Kept
    survey: bytes = b""  # the mark of the one in force: loudness was told by a radio bent to it


class _Fit(msgspec.Struct):
    """What was fitted; the rest of a snapshot is not looked at."""

    sensors: list[str]
    fitted: (
        Annotated[list[float], msgspec.Meta(min_length=5)] | None
    )  # the numbers of a Propagation, then each sensor's


class _Written(msgspec.Struct, forbid_unknown_fields=True):
    version: int
    levels: list[str]
    zones: list[str]
    sensors: list[str]
    newest_ms: int
    late: int
    pending: list[bytes]
    fixes: list[bytes]
    cells: bytes  # digest of where they lie: places are forgotten when the floor was redrawn
    held: bytes  # a bit for each row of the table and tile of the floor: whether its bytes follow
    beliefs: bytes
    told_of_sensors: bool
    signs: list[
        bytes
    ]  # sensor and instant of those whose second is open, newest of each sensor, last deaf of each zone
    waiting: bytes  # what sensors heard of each other in seconds still open, 4 numbers a row
    pairs: bytes  # and in those before, likewise
    due_ms: int
    fitted: Annotated[list[float], msgspec.Meta(min_length=5)] | None
    fitted_ms: int
    fields: str  # of the table: a snapshot of other columns must not be misread
    table: bytes
    survey: bytes = b""


def pack(kept: Kept, plan: Plan, cells: Cells) -> bytes:
    return msgspec.msgpack.encode(
        _Written(
            version=VERSION,
            levels=list(plan.level_index),
            zones=list(plan.zone_index),
            sensors=list(plan.sensor_index),
            newest_ms=kept.newest_ms,
            late=kept.late,
            pending=kept.pending.columns(),
            fixes=kept.fixes.columns(),
            cells=_digest(cells),
            held=np.packbits(kept.beliefs.where).tobytes(),
            beliefs=kept.beliefs.what.tobytes(),
            told_of_sensors=kept.liveness.told,
            signs=[column.tobytes() for column in kept.liveness[1:]],
            waiting=np.stack(kept.links.waiting).tobytes(),
            pairs=np.stack(kept.links.pairs).tobytes(),
            due_ms=kept.links.due_ms,
            fitted=_numbers(kept.links.fitted),
            fitted_ms=kept.links.fitted_ms,
            fields=_fields(kept.table.dtype),
            table=kept.table.tobytes(),
            survey=kept.survey,
        )
    )


def unpack(blob: bytes, plan: Plan, cells: Cells, row_type: np.dtype[np.void]) -> Kept:
    """The inverse of pack, with every level, zone and sensor found again by its key. Raises Unusable.

    row_type  of presence's table on *plan*. What the plan no longer has is let go of: stays in such zones end
    untold, members on such levels are unplaced until heard again.
    """
    try:
        written = msgspec.msgpack.decode(blob, type=_Written)
        if written.version != VERSION:
            raise Unusable(f"a snapshot of version {written.version}, not {VERSION}")
        if written.fields != _fields(row_type):
            raise Unusable("a snapshot with other columns")
        table = np.frombuffer(written.table, row_type).copy()
        beliefs = _beliefs(written, cells, table)
        pending, fixed = from_columns(written.pending), fixes.from_columns(written.fixes)
        signs = _signs(written)
        heard_of = _links(written)
    except (msgspec.DecodeError, ValueError) as problem:
        raise problem if isinstance(problem, Unusable) else Unusable(f"not a snapshot: {problem}") from problem
    sensor = _found_again(written.sensors, plan.sensor_index)
    _carry_over(table, written, sensor, plan)
    level = _found_again(written.levels, plan.level_index).astype(np.int16)
    fixed = fixed._replace(level=level[fixed.level])
    heard, liveness_now = _heard_by(pending, sensor), _signs_of(signs, written, sensor, plan)
    links_now = links.moved(heard_of, sensor, len(plan.sensors))
    return Kept(written.newest_ms, written.late, heard, fixed, table, beliefs, liveness_now, links_now, written.survey)


def fitted(blob: bytes, plan: Plan) -> Propagation | None:
    """The radio model that was fitted when the snapshot was made, if one was. Raises Unusable."""
    try:
        written = msgspec.msgpack.decode(blob, type=_Fit)
    except msgspec.DecodeError as problem:
        raise Unusable(f"not a snapshot: {problem}") from problem
    kept = links.Kept(links.heard(), links.Pairs(*links.heard()), 0, _propagation(written.fitted), 0)
    return links.moved(kept, _found_again(written.sensors, plan.sensor_index), len(plan.sensors)).fitted


def _numbers(fitted: Propagation | None) -> list[float] | None:
    if fitted is None:
        return None
    louder_db = [] if fitted.sensor_db is None else fitted.sensor_db.tolist()
    return [*map(float, fitted[:5]), *louder_db]


def _propagation(numbers: list[float] | None) -> Propagation | None:
    if numbers is None:
        return None
    at_1_m_dbm, exponent, floor_db, detour_m, spread_db, *louder_db = numbers
    return Propagation(at_1_m_dbm, exponent, floor_db, detour_m, spread_db, np.array(louder_db))


def _links(written: _Written) -> links.Kept:
    """As written, with the rows of the old plan. Raises ValueError."""
    waiting, pairs = (
        links.heard(*np.frombuffer(rows, np.int64).reshape(4, -1)) for rows in (written.waiting, written.pairs)
    )
    sensors = len(written.sensors)
    if any(((rows < 0) | (rows >= sensors)).any() for rows in (*waiting[1:3], *pairs[:2])):
        raise ValueError("links of sensors that it does not have")
    model = _propagation(written.fitted)
    return links.Kept(waiting, links.Pairs(*pairs), written.due_ms, model, written.fitted_ms)


def _fields(row_type: np.dtype[np.void]) -> str:
    return str(row_type.descr)


def _digest(cells: Cells) -> bytes:
    return blake2b(b"".join(column.tobytes() for column in (cells.level, cells.x_m, cells.y_m))).digest()


def _beliefs(written: _Written, cells: Cells, table: Table) -> Held:
    """As written; where the floor is another, nobody is placed any more until heard again. Raises ValueError."""
    shape = len(table), len(cells) // CELLS
    if written.cells != _digest(cells):
        table["track"]["level"] = UNPLACED
        return Held(np.zeros(shape, np.bool_), np.zeros((0, CELLS), np.uint8))
    bits = np.frombuffer(written.held, np.uint8)
    where = np.unpackbits(bits, count=shape[0] * shape[1]).reshape(shape).astype(np.bool_)
    what = np.frombuffer(written.beliefs, np.uint8).reshape(-1, CELLS)
    if len(bits) != -(-where.size // 8) or len(what) != where.sum():
        raise ValueError("beliefs that are not of its members")
    return Held(where, what)


def _found_again(keys: Sequence[str], index: dict[str, int]) -> Ints:
    """Old row -> new row, -1 for what is gone; one more entry at the end, so that -1 stays -1."""
    return np.array([*(index.get(key, -1) for key in keys), -1], np.int64)


def _signs(written: _Written) -> liveness.Kept:
    """As written, with the rows of the old plan. Raises ValueError."""
    types = (np.int32, np.int64, np.int64, np.int64)
    columns = [np.frombuffer(column, kind).copy() for column, kind in zip(written.signs, types, strict=True)]
    signs = liveness.Kept(written.told_of_sensors, *columns)
    if list(map(len, signs[2:])) != [len(signs.sensor), len(written.sensors), len(written.zones)]:
        raise ValueError("signs of life that are not of its sensors and zones")
    return signs


def _signs_of(signs: liveness.Kept, written: _Written, sensor: Ints, plan: Plan) -> liveness.Kept:
    open_sensor = sensor[signs.sensor].astype(np.int32)
    known = open_sensor >= 0
    last_ms = _moved(signs.last_ms, sensor, len(plan.sensors))
    deaf_ms = _moved(signs.deaf_ms, _found_again(written.zones, plan.zone_index), len(plan.zones))
    return liveness.Kept(signs.told, open_sensor[known], signs.at_ms[known], last_ms, deaf_ms)


def _moved(old: Ints, row: Ints, rows: int) -> Ints:
    """Instants in their new rows, NEVER_MS where there was none."""
    moved = np.full(rows, liveness.NEVER_MS, np.int64)
    stays = row[:-1] >= 0
    moved[row[:-1][stays]] = old[stays]
    return moved


def _heard_by(heard: Readings, sensor: Ints) -> Readings:
    moved = heard._replace(sensor=sensor[heard.sensor].astype(np.int32))
    return moved.at(moved.sensor >= 0)


def _carry_over(table: Table, written: _Written, sensor: Ints, plan: Plan) -> None:
    """Give stays and tracks the rows that their zones, levels and sensors have now."""
    zone = _found_again(written.zones, plan.zone_index)
    stay, before = table["stay"], table["stay"]["zone"].copy()
    for name in ("zone", "votes", "left_zone"):
        stay[name] = zone[stay[name]]
    end_all(stay, np.flatnonzero((stay["zone"] == NOWHERE) & (before != NOWHERE)))
    level = _found_again(written.levels, plan.level_index)
    table["track"]["level"] = level[table["track"]["level"]]
    by = sensor[table["track"]["spell"]["sensor"]]
    # A spell is of all its sensors: where one is gone, the next sighting begins another.
    gone = (by == NOBODY).sum(axis=1) > (table["track"]["spell"]["sensor"] == NOBODY).sum(axis=1)
    table["track"]["spell"]["sensor"] = np.where(gone[:, None], NOBODY, by)
