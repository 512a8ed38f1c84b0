"""`sojourn switch`: what stops at once, on a terminal, through the same board as the API."""

from __future__ import annotations

import getpass
import json
from collections.abc import Callable
from contextlib import closing

import sqlalchemy as sa

from engine.ledger import Ledger
from engine.loading import book_in_force, the_ledger
from engine.plainly import CannotStart
from engine.settings import Settings
from engine.start import read_plan
from rules.off import KINDS, MALL
from rules.parcel import CHANNELS
from rules.switches_api import Board, NoSuchSwitch, SwitchState, Turn
from rules.times import Calendar, NotTime


def switch(
    settings: Settings, kind: str | None, name: str | None, *, off: bool | None, until: str | None, because: str,
    by: str, as_json: bool,
) -> str:  # fmt: skip
    """Turn a switch, or say how it stands; what to print. Raises CannotStart."""
    if kind is not None and kind not in KINDS:
        raise CannotStart(f"{kind!r} is nothing to switch: choose one of {', '.join(KINDS)}")
    name = MALL if kind == MALL and name is None else name
    if off is not None and (kind is None or name is None):
        raise CannotStart("say what to switch, as in: sojourn switch shop cafe-luna --off")
    if until is not None and not off:
        raise CannotStart("--until goes with --off")
    plan = read_plan(settings.zones_path)
    with closing(the_ledger(settings)) as ledger:
        book = book_in_force(settings, plan, ledger)
        board = Board(ledger, lambda: book, plan.shops(), CHANNELS)
        now_ms = settings.pace.now()
        if off is not None and kind is not None and name is not None:
            to = Turn(is_on=not off, until=until, reason=because)
            actor = by or f"command line:{getpass.getuser()}"
            _write(ledger, lambda tx: board.turn(tx, kind, name, to, actor, now_ms))
        with ledger.read() as tx:
            found = [one for one in board.all(tx, now_ms) if kind in (None, one.kind) and name in (None, one.name)]
    if name is not None and not found:
        raise CannotStart(f"there is no {kind} {name!r}: sojourn switch {kind} says which there are")
    if as_json:
        return json.dumps([one.model_dump() for one in found], ensure_ascii=False)
    if kind is None:
        found = [one for one in found if not one.is_on]
    return "\n".join(_text(one, book.calendar) for one in found) or "Nothing is switched off."


def _write(ledger: Ledger, act: Callable[[sa.Connection], SwitchState]) -> None:
    try:
        with ledger.write() as tx:
            act(tx)
    except (NoSuchSwitch, NotTime) as problem:
        raise CannotStart(str(problem)) from None


def _text(one: SwitchState, calendar: Calendar) -> str:
    said = "; ".join(filter(None, (one.reason, one.actor)))
    what = MALL if one.kind == MALL else f"{one.kind} {one.name}"
    return f"{what}: {'on' if one.is_on else 'off'}{calendar.until_text(one.until_ms)}" + (f" ({said})" if said else "")
