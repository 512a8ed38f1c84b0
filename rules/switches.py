"""Switches that stop giving at once: of the mall, a journey, an offer, a shop, a channel. Every turn is kept, with who
turned it, why and until when; whatever decides follows these rows (rules.promote), so a turn needs no restart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import sqlalchemy as sa

from engine.ledger import Ledger
from rules.off import Off
from rules.tables import switch, switch_event

_NAMES = tuple(column.name for column in switch.c)
_columns = [switch.c[name] for name in _NAMES]
_told = [switch_event.c[name] for name in _NAMES]


class Switch(NamedTuple):
    """The last turn of one switch. until_ms: off until then; None until somebody switches it on."""

    kind: str
    name: str
    is_on: bool = True
    until_ms: int | None = None
    reason: str = ""
    actor: str = ""
    at_ms: int | None = None  # None if it was never turned

    def on_at(self, at_ms: int) -> bool:
        return self.is_on or (self.until_ms is not None and at_ms >= self.until_ms)


class Turned(NamedTuple):
    """One turn, as it was numbered."""

    seq: int
    switch: Switch


class Switches:
    """The switches of one ledger; every method works inside the transaction it is given."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def turn(self, tx: sa.Connection, to: Switch) -> Switch:
        """From now on it is so. The same word again changes nothing but who said it last."""
        row = to._asdict()
        insert = self._ledger.insert(switch).values(row)
        fresh = {name: insert.excluded[name] for name in _NAMES if name not in ("kind", "name")}
        tx.execute(insert.on_conflict_do_update(index_elements=["kind", "name"], set_=fresh))
        tx.execute(sa.insert(switch_event).values(row))
        return to

    def turned(self, tx: sa.Connection) -> dict[tuple[str, str], Switch]:
        """Every switch that was ever turned, as it stands."""
        return {(one.kind, one.name): one for one in self._of(tx, sa.select(*_columns))}

    def off(self, tx: sa.Connection, now_ms: int) -> Off:
        return off_of(self._of(tx, sa.select(*_columns).where(~switch.c.is_on)), now_ms)

    def of(self, tx: sa.Connection, kind: str, name: str) -> Switch:
        mine = sa.select(*_columns).where(switch.c.kind == kind, switch.c.name == name)
        return next(iter(self._of(tx, mine)), Switch(kind, name))

    def history(self, tx: sa.Connection, kind: str, name: str, limit: int) -> list[Switch]:
        """Its turns, the newest first."""
        e = switch_event.c
        mine = sa.select(*_told).where(e.kind == kind, e.name == name).order_by(e.seq.desc()).limit(limit)
        return self._of(tx, mine)

    def beyond(self, tx: sa.Connection, seq: int) -> list[Turned]:
        """The turns numbered above *seq*, oldest first."""
        e = switch_event.c
        rows = tx.execute(sa.select(e.seq, *_told).where(e.seq > seq).order_by(e.seq))
        return [Turned(number, Switch(*rest)) for number, *rest in rows]

    def last(self, tx: sa.Connection) -> int:
        return tx.execute(sa.select(sa.func.max(switch_event.c.seq))).scalar() or 0

    @staticmethod
    def _of(tx: sa.Connection, chosen: sa.Select[Any]) -> list[Switch]:
        return [Switch(*row) for row in tx.execute(chosen)]


def as_it_stood(tx: sa.Connection, at_ms: int) -> Mapping[tuple[str, str], Switch]:
    """Every switch that was off at an instant gone by."""
    e = switch_event.c
    newest = sa.select(sa.func.max(e.seq)).where(e.at_ms <= at_ms).group_by(e.kind, e.name)
    rows = (Switch(*row) for row in tx.execute(sa.select(*_told).where(e.seq.in_(newest))))
    return {(one.kind, one.name): one for one in rows if not one.on_at(at_ms)}


def off_of(switches: Iterable[Switch], at_ms: int) -> Off:
    return {(one.kind, one.name): one.until_ms for one in switches if not one.on_at(at_ms)}
