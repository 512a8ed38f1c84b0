"""Loads what is known of members for a decision, and stores what has changed: a few queries for a whole batch."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from engine import tables as engine_tables
from engine.events import Moment
from engine.ledger import Ledger
from rules import tables
from rules.book import LONGEST_WINDOW_MS
from rules.instance import Instance
from rules.standing import Exposure, Memory, Profile, Standing
from rules.times import SECOND_MS
from rules.when import Line

# SQLite binds at most 32,766 values a statement; the widest row here has 16.
ROWS_PER_STATEMENT = 500
# The deadline of a member's absence; those of instances have hexadecimal ids.
AWAY_ROW = "away:"
SPREAD_S = 3_600

_memory = msgspec.json.Decoder(Memory).decode
_instance = msgspec.json.Decoder(Instance).decode
_INSTANCE_COLUMNS = ("id", "journey", "version", "member", "visit", "phase", "step", "rung", "outcome")
_EXPOSURE_COLUMNS = [tables.exposure.c[name] for name in Exposure.__struct_fields__]


@dataclass
class Known:
    """One member while a batch is worked through: the standing and the instances that run."""

    standing: Standing
    runs: dict[str, Instance] = field(default_factory=dict)


class Decision(NamedTuple):
    """One yes or no about one member, kept so that "why?" and "why not?" have an answer."""

    id: str
    at_ms: int
    member: int
    visit: str
    journey: str
    version: str
    instance: str
    step: str
    rung: int
    offer: str | None
    verdict: str
    reason: str
    cause: str
    trace: list[Line]
    propensity: float | None = None


class Due(NamedTuple):
    """A deadline that has come."""

    member: int
    instance: str
    due_ms: int


class Waiter(NamedTuple):
    """Somebody who was refused for want of room or money."""

    since_ms: int
    instance: str
    member: int


class Recall:
    """What is known of members in one ledger, loaded and stored inside the transactions it is given."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def load(self, tx: sa.Connection, members: Iterable[int], now_ms: int) -> dict[int, Known]:
        """Every one of *members*; of somebody erased or never seen, only that nothing is known."""
        wanted = sorted(set(members))
        known = {member: Known(standing) for member, standing in self._standings(tx, wanted, now_ms).items()}
        for member, facts in tx.execute(
            sa.select(tables.instance.c.member, tables.instance.c.facts).where(
                tables.instance.c.member.in_(wanted), tables.RUNNING
            )
        ):
            run = _instance(facts)
            known[member].runs[run.id] = run
        return known

    def _standings(self, tx: sa.Connection, wanted: list[int], now_ms: int) -> dict[int, Standing]:
        attributes: dict[int, dict[str, str | float]] = {}
        a = tables.attribute.c
        for member, name, value in tx.execute(sa.select(a.member, a.name, a.value).where(a.member.in_(wanted))):
            attributes.setdefault(member, {})[name] = value
        profile, consent = engine_tables.member.c, engine_tables.consent.c
        profiles = {
            member: Profile(birthday, language, home_km, MappingProxyType(attributes.get(member, {})))
            for member, birthday, language, home_km in tx.execute(
                sa.select(profile.id, profile.birthday, profile.language, profile.home_km).where(profile.id.in_(wanted))
            )
        }
        consents: dict[int, set[str]] = {member: set() for member in wanted}
        for member, purpose, granted in tx.execute(
            sa.select(consent.member, consent.purpose, consent.granted)
            .where(consent.member.in_(wanted))
            .order_by(consent.seq)
        ):
            (consents[member].add if granted else consents[member].discard)(purpose)
        memories = {
            member: _memory(memory)
            for member, memory in tx.execute(
                sa.select(tables.standing.c.member, tables.standing.c.memory).where(
                    tables.standing.c.member.in_(wanted)
                )
            )
        }
        exposures: dict[int, list[Exposure]] = {member: [] for member in wanted}
        for row in tx.execute(
            sa.select(*_EXPOSURE_COLUMNS)
            .where(tables.exposure.c.member.in_(wanted), tables.exposure.c.at_ms > now_ms - LONGEST_WINDOW_MS)
            .order_by(tables.exposure.c.at_ms)
        ):
            exposure = Exposure(*row)
            exposures[exposure.member].append(exposure)
        return {
            member: Standing(
                member,
                profiles.get(member, Profile()),
                frozenset(consents[member]),
                memory := memories.get(member, Memory()),
                tuple(exposures[member]),
                memory.purchases,
            )
            for member in wanted
        }

    def tell(self, tx: sa.Connection, event: Moment, heard_real_ms: int) -> None:
        """Say in the ledger what was found out about a member."""
        self._ledger.append(tx, [event], heard_real_ms=heard_real_ms)

    def store(
        self, tx: sa.Connection, before: Mapping[int, Known], after: Mapping[int, Known], now_ms: int,
        woken: Collection[str] = (),
    ) -> None:  # fmt: skip
        """Write what differs between the two. woken: instances whose deadline has come, and is replaced in any case."""
        memories = [
            {"member": member, "memory": msgspec.json.encode(known.standing.memory).decode()}
            for member, known in after.items()
            if known.standing.memory is not before[member].standing.memory
        ]
        self._put(tx, tables.standing, ["member"], memories)
        runs = [
            run
            for member, known in after.items()
            for run in known.runs.values()
            if run is not before[member].runs.get(run.id) or run.id in woken
        ]
        self._put(tx, tables.instance, ["id"], [_instance_row(run, now_ms) for run in runs])
        self._store_deadlines(tx, before, runs, woken)
        self._store_waiting(tx, before, runs)
        exposures = [
            msgspec.structs.asdict(exposure)
            for member, known in after.items()
            for exposure in _changed(before[member].standing.exposures, known.standing.exposures)
        ]
        self._put(tx, tables.exposure, ["id"], exposures)

    def decide(self, tx: sa.Connection, decisions: Sequence[Decision]) -> None:
        """Keep decisions; one that is kept already stays as it is."""
        rows = [decision._asdict() | {"trace": msgspec.json.encode(decision.trace).decode()} for decision in decisions]
        insert = self._ledger.insert(tables.decision).on_conflict_do_nothing(index_elements=["id"])
        for start in range(0, len(rows), ROWS_PER_STATEMENT):
            tx.execute(insert, rows[start : start + ROWS_PER_STATEMENT])

    def running_in(self, tx: sa.Connection, journeys: Iterable[str]) -> list[int]:
        """Members who are in the middle of one of *journeys*."""
        i = tables.instance.c
        wanted = sa.select(i.member).distinct().where(tables.RUNNING, i.journey.in_(sorted(journeys)))
        return list(tx.execute(wanted.order_by(i.member)).scalars())

    def due(self, tx: sa.Connection, now_ms: int, limit: int) -> dict[int, list[Due]]:
        """Deadlines that have come, by member, the longest overdue first."""
        deadline = tables.deadline.c
        rows = tx.execute(
            sa.select(deadline.member, deadline.instance, deadline.due_ms)
            .where(deadline.due_ms <= now_ms)
            .order_by(deadline.due_ms, deadline.instance)
            .limit(limit)
        )
        dues: dict[int, list[Due]] = {}
        for row in rows:
            dues.setdefault(row.member, []).append(Due(*row))
        return dues

    def wake(self, tx: sa.Connection, said: str, now_ms: int) -> None:
        """Everybody whose last "no" has *said* in it is asked again now."""
        i = tables.instance.c
        held = sa.select(i.id, i.member, sa.literal(now_ms, sa.BigInteger))
        held = held.where(tables.RUNNING, i.facts.contains('"said":"withheld '), i.facts.contains(said))
        insert = self._ledger.insert(tables.deadline).from_select(["instance", "member", "due_ms"], held)
        tx.execute(insert.on_conflict_do_update(index_elements=["instance"], set_={"due_ms": insert.excluded.due_ms}))

    def anyone_waits(self, tx: sa.Connection) -> bool:
        return tx.execute(sa.select(tables.waiting.c.instance).limit(1)).first() is not None

    def next_waiting(self, tx: sa.Connection, short_of: str, after: Waiter | None) -> Waiter | None:
        """Who waits the longest for room or money of one kind, of those behind *after*."""
        w = tables.waiting.c
        queue = sa.select(w.since_ms, w.instance, w.member).where(w.short_of == short_of)
        if after is not None:
            behind = sa.and_(w.since_ms == after.since_ms, w.instance > after.instance)
            queue = queue.where(sa.or_(w.since_ms > after.since_ms, behind))
        row = tx.execute(queue.order_by(w.since_ms, w.instance).limit(1)).first()
        return None if row is None else Waiter(*row)

    def set_away(self, tx: sa.Connection, away: Mapping[int, int | None]) -> None:
        """When each member's absence is to be looked at next; None if not again."""
        self._delete(tx, tables.deadline, {_away_row(member) for member, due_ms in away.items() if due_ms is None})
        rows = [
            {"instance": _away_row(member), "member": member, "due_ms": due_ms}
            for member, due_ms in away.items()
            if due_ms is not None
        ]
        self._put(tx, tables.deadline, ["instance"], rows)

    def look_at_every_absence(self, tx: sa.Connection, now_ms: int) -> None:
        """Another book may want members woken up who left long ago: all are looked at, a few at a time.

        Spread over an hour, so that the deadlines of those who are here do not wait behind a million absences.
        """
        d, member = tables.deadline.c, tables.standing.c.member
        name = sa.literal(AWAY_ROW) + sa.cast(member, sa.String)
        due_ms = sa.literal(now_ms, sa.BigInteger) + member % SPREAD_S * SECOND_MS
        everyone = sa.select(name, member, due_ms).where(sa.true())
        insert = self._ledger.insert(tables.deadline).from_select([d.instance, d.member, d.due_ms], everyone)
        tx.execute(insert.on_conflict_do_update(index_elements=["instance"], set_={"due_ms": insert.excluded.due_ms}))

    def _store_deadlines(
        self, tx: sa.Connection, before: Mapping[int, Known], runs: Sequence[Instance], woken: Collection[str]
    ) -> None:
        moved = [run for run in runs if run.id in woken or run.wakes_ms != _of(before, run, "wakes_ms", None)]
        # Of a run that is no more, its deadline must go too.
        gone = {run.id for run in moved if run.wakes_ms is None} | (set(woken) - {run.id for run in moved})
        self._delete(tx, tables.deadline, gone)
        set_ = [
            {"instance": run.id, "member": run.member, "due_ms": run.wakes_ms}
            for run in moved
            if run.wakes_ms is not None
        ]
        self._put(tx, tables.deadline, ["instance"], set_)

    def _store_waiting(self, tx: sa.Connection, before: Mapping[int, Known], runs: Sequence[Instance]) -> None:
        moved = [run for run in runs if run.queued != _of(before, run, "queued", None)]
        self._delete(tx, tables.waiting, {run.id for run in moved if not run.short_of})
        rows = [
            {"instance": run.id, "member": run.member, "short_of": run.short_of, "since_ms": run.short_since_ms}
            for run in moved
            if run.short_of
        ]
        self._put(tx, tables.waiting, ["instance"], rows)

    @staticmethod
    def _delete(tx: sa.Connection, table: sa.Table, instances: Iterable[str]) -> None:
        gone = sorted(instances)
        for start in range(0, len(gone), ROWS_PER_STATEMENT):
            tx.execute(sa.delete(table).where(table.c.instance.in_(gone[start : start + ROWS_PER_STATEMENT])))

    def _put(self, tx: sa.Connection, table: sa.Table, keys: list[str], rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows, or replace those with the same keys."""
        if not rows:
            return
        statement = self._ledger.insert(table)
        rest = {column.name: statement.excluded[column.name] for column in table.c if column.name not in keys}
        for start in range(0, len(rows), ROWS_PER_STATEMENT):
            batch = list(rows[start : start + ROWS_PER_STATEMENT])
            tx.execute(statement.on_conflict_do_update(index_elements=keys, set_=rest), batch)


def _of(before: Mapping[int, Known], run: Instance, name: str, new: Any) -> Any:
    """What an instance had of *name* before, *new* if it was not there."""
    old = before[run.member].runs.get(run.id)
    return getattr(old, name) if old else new


def _away_row(member: int) -> str:
    return f"{AWAY_ROW}{member}"


def _instance_row(run: Instance, now_ms: int) -> dict[str, Any]:
    row = {name: getattr(run, name) for name in _INSTANCE_COLUMNS}
    return row | {"facts": msgspec.json.encode(run).decode(), "updated_ms": now_ms}


def _changed(before: Sequence[Exposure], after: Sequence[Exposure]) -> list[Exposure]:
    old = {exposure.id: exposure for exposure in before}
    return [exposure for exposure in after if exposure is not old.get(exposure.id)]
