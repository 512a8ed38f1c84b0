"""One member as the ledger shows them at an instant gone by: standing, consents, runs and what was decided.

Rebuilt from events, not remembered: any member and any instant can be asked about, however little changed then.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

import msgspec
import sqlalchemy as sa

from engine import tables as engine_tables
from engine.events import Moment, VisitEnded
from engine.ledger import Ledger
from rules import tables
from rules.book import LONGEST_WINDOW_MS
from rules.instance import Instance
from rules.standing import Exposure, Memory, Profile, Standing
from rules.switches import Switch, as_it_stood, off_of
from rules.when import Line

_instance = msgspec.json.Decoder(Instance).decode
_EXPOSURE_COLUMNS = [tables.exposure.c[name] for name in Exposure.__struct_fields__]


class Said(NamedTuple):
    """The last word on a consent by then."""

    granted: bool
    at_ms: int


class Decided(NamedTuple):
    """A decision as it was kept; no lines once its trace is forgotten."""

    at_ms: int
    journey: str
    version: str
    instance: str
    step: str
    rung: int
    offer: str | None
    verdict: str
    reason: str
    cause: str
    propensity: float | None
    lines: list[Line]


class Past(NamedTuple):
    """events: those of the visit that went on, or of the absence, oldest first.

    left_ms: when the visit before ended, if there is none
    """

    at_ms: int
    standing: Standing
    consents: Mapping[str, Said]
    events: list[Moment]
    left_ms: int | None
    runs: Mapping[str, Instance]  # as they are now, of this visit, by journey; those begun by then
    decided: list[Decided]  # of this visit by then, oldest first
    version: str | None  # the book in force
    off: Mapping[tuple[str, str], Switch]  # what was switched off


def member_of(tx: sa.Connection, named: str) -> int | None:
    """The id of a member named by id or by login."""
    m = engine_tables.member.c
    by = [m.login == named] + ([m.id == int(named)] if named.isdecimal() and len(named) < 16 else [])
    found: int | None = tx.execute(sa.select(m.id).where(sa.or_(*by)).order_by(m.login != named)).scalar()
    return found


def is_member(tx: sa.Connection, member: int) -> bool:
    m = engine_tables.member.c
    return tx.execute(sa.select(m.id).where(m.id == member)).first() is not None


def look_back(ledger: Ledger, tx: sa.Connection, member: int, at_ms: int) -> Past:
    """Everything that a question about *member* at *at_ms* can rest on."""
    memory, left_ms = Memory(), None
    visit: str | None = None  # or the absence
    events: list[Moment] = []
    for record in ledger.of_member(tx, member, until_ms=at_ms):
        event = record.event
        memory = memory.after(event)
        if isinstance(event, VisitEnded):
            left_ms = event.at_ms
        now = memory.visit or memory.absence
        if (now.key if now else None) != visit:
            visit, events = now.key if now else None, []
        if event.visit == visit:
            events.append(event)
    started_ms, runs = _runs(tx, member, visit, at_ms)
    consents, off = _consents(tx, member, at_ms), as_it_stood(tx, at_ms)
    standing = Standing(
        member,
        _profile(tx, member, at_ms),
        frozenset(purpose for purpose, said in consents.items() if said.granted),
        msgspec.structs.replace(memory, started_ms=started_ms),
        _exposures(tx, member, at_ms),
        memory.purchases,
        off=off_of(off.values(), at_ms),
    )
    decided = _decided(tx, member, visit, at_ms) if visit else []
    return Past(at_ms, standing, consents, events, left_ms, runs, decided, _in_force(tx, at_ms), off)


def decision_of(tx: sa.Connection, member: int, coupon: str) -> Decided | None:
    """The decision that gave *member* that coupon."""
    c, d = tables.coupon.c, tables.decision.c
    same = (c.instance == d.instance, c.step == d.step, c.rung == d.rung, d.verdict == "issued")
    chosen = sa.select(tables.decision).join(tables.coupon, sa.and_(*same))
    row = tx.execute(chosen.where(c.id == coupon, c.member == member, d.member == member)).mappings().first()
    return None if row is None else _of(row)


def _profile(tx: sa.Connection, member: int, at_ms: int) -> Profile:
    """What was known of the member then: what is known now, with every later import undone, the newest first."""
    m, a, f = engine_tables.member.c, tables.attribute.c, tables.former.c
    row = tx.execute(sa.select(m.birthday, m.language, m.home_km).where(m.id == member)).mappings().first()
    if row is None:
        return Profile()
    profile = dict(row)
    attributes = {name: value for name, value in tx.execute(sa.select(a.name, a.value).where(a.member == member))}
    later = sa.select(f.name, f.is_attribute, f.value).where(f.member == member, f.until_ms > at_ms)
    for name, is_attribute, value in tx.execute(later.order_by(f.seq.desc())):
        (attributes if is_attribute else profile)[name] = value
    return Profile(**profile, attributes={name: value for name, value in attributes.items() if value is not None})


def _consents(tx: sa.Connection, member: int, at_ms: int) -> dict[str, Said]:
    c = engine_tables.consent.c
    rows = tx.execute(
        sa.select(c.purpose, c.granted, c.at_ms).where(c.member == member, c.at_ms <= at_ms).order_by(c.seq)
    )
    said: dict[str, Said] = {}
    for purpose, granted, said_ms in rows:
        before = said.get(purpose)
        # Said again is not said anew: what is asked is since when it holds.
        said[purpose] = before if before and before.granted == granted else Said(granted, said_ms)
    return said


def _runs(tx: sa.Connection, member: int, visit: str | None, at_ms: int) -> tuple[dict[str, int], dict[str, Instance]]:
    """journey -> when its last run began; and the runs of *visit*."""
    started_ms: dict[str, int] = {}
    runs: dict[str, Instance] = {}
    rows = tx.execute(sa.select(tables.instance.c.facts).where(tables.instance.c.member == member))
    for run in sorted((_instance(facts) for (facts,) in rows), key=lambda run: run.started_ms):
        if run.started_ms <= at_ms:
            started_ms[run.journey] = run.started_ms
            if run.visit == visit:
                runs[run.journey] = run
    return started_ms, runs


def _exposures(tx: sa.Connection, member: int, at_ms: int) -> tuple[Exposure, ...]:
    """What was out or had ended by then; what ended later was still out."""
    e = tables.exposure.c
    rows = tx.execute(
        sa.select(*_EXPOSURE_COLUMNS)
        .where(e.member == member, e.at_ms <= at_ms, e.at_ms > at_ms - LONGEST_WINDOW_MS)
        .order_by(e.at_ms)
    )
    out = []
    for row in rows:
        exposure = Exposure(*row)
        if exposure.ended_ms is not None and exposure.ended_ms > at_ms:
            exposure = msgspec.structs.replace(exposure, ended_ms=None, outcome="")
        out.append(exposure)
    return tuple(out)


def _decided(tx: sa.Connection, member: int, visit: str, at_ms: int) -> list[Decided]:
    d = tables.decision.c
    rows = tx.execute(
        sa.select(tables.decision).where(d.member == member, d.visit == visit, d.at_ms <= at_ms).order_by(d.seq)
    )
    return [_of(row) for row in rows.mappings()]


def _of(row: sa.RowMapping) -> Decided:
    facts = {name: row[name] for name in Decided._fields if name != "lines"}
    return Decided(**facts, lines=[Line(*line) for line in json.loads(row["trace"] or "[]")])


def _in_force(tx: sa.Connection, at_ms: int) -> str | None:
    p = tables.publication.c
    newest = sa.select(p.version).where(p.at_ms <= at_ms).order_by(p.number.desc()).limit(1)
    version: str | None = tx.execute(newest).scalar()
    return version
