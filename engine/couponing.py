"""`sojourn coupon`: helping a member with their coupons, on a terminal, through the same desk as the API."""

from __future__ import annotations

import getpass
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from secrets import token_bytes
from typing import Annotated, NamedTuple

import sqlalchemy as sa
import typer

from engine.keys import Keys
from engine.loading import book_in_force, subject_of, the_ledger
from engine.plainly import CannotStart
from engine.start import data_folder, read_plan, settings
from rules.codes import Codes
from rules.coupons_api import CouponStory, Helpdesk
from rules.times import Calendar

commands = typer.Typer(
    add_completion=False,
    rich_markup_mode="rich",
    no_args_is_help=True,
    help="A member's coupons: what became of each, and taking one back. Every look is on record.",
)

Which = Annotated[str, typer.Argument(metavar="COUPON", help="Its id, as `list` shows it")]
By = Annotated[str, typer.Option(help="Who does it (default: who is logged in here)", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead")]
Data = Annotated[
    Path | None, typer.Option("--data", help="The engine's data folder (default: .sojourn)", show_default=False)
]


class AtDesk(NamedTuple):
    tx: sa.Connection
    desk: Helpdesk
    calendar: Calendar
    actor: str
    now_ms: int


@contextmanager
def _at_desk(data: Path | None, by: str) -> Iterator[AtDesk]:
    chosen = settings(data_folder=data)
    with closing(the_ledger(chosen)) as ledger:
        calendar = book_in_force(chosen, read_plan(chosen.zones_path), ledger).calendar
        keys = Keys.read_or_make(data_folder(chosen), token_bytes)
        desk, actor = Helpdesk(ledger, Codes(keys.codes, keys.code_digests)), by or f"command line:{getpass.getuser()}"
        with ledger.read() as tx:
            # A ledger may run on a clock of its own, ahead of this one's.
            now_ms = max(ledger.last_at_ms(tx), chosen.pace.now())
        with ledger.write() as tx:
            yield AtDesk(tx, desk, calendar, actor, now_ms)


@commands.command("list")
def list_(
    member: Annotated[str, typer.Argument(help="Id or login")], by: By = "", as_json: AsJson = False, data: Data = None
) -> None:
    """A member's coupons, the newest first. Of a code only the last four characters are shown."""
    named = int(subject_of(settings(data_folder=data), "member", member))
    with _at_desk(data, by) as (tx, desk, calendar, actor, now_ms):
        found = desk.all(tx, named, actor, now_ms)
    if as_json:
        print(json.dumps([one.model_dump() for one in found], ensure_ascii=False))
        return
    for one in found:
        print(f"{calendar.local(one.issued_ms):%Y-%m-%d %H:%M}  {one.id}  …{one.code_tail}  {one.state:8}  {one.offer}")
    if not found:
        print("No coupon was ever given to this member.")


@commands.command()
def show(coupon: Which, by: By = "", as_json: AsJson = False, data: Data = None) -> None:
    """What became of one coupon, line by line."""
    with _at_desk(data, by) as at:
        _print(_there(coupon, at.desk.one(at.tx, coupon, at.actor, at.now_ms)), at.calendar, as_json=as_json)


@commands.command()
def void(
    coupon: Which,
    because: Annotated[str, typer.Option(help="Why, for whoever asks later", show_default=False)],
    by: By = "",
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Take a live coupon back. What is redeemed is undone at the till instead."""
    if not because.strip():
        raise CannotStart("--because: say why, it stays on record")
    with _at_desk(data, by) as at:
        taken = at.desk.take_back(at.tx, coupon, because, at.actor, at.now_ms)
        found = _there(coupon, at.desk.one(at.tx, coupon, at.actor, at.now_ms))
    if not taken:
        raise CannotStart(f"this coupon is {found.state} already: only one that is issued can be taken back")
    _print(found, at.calendar, as_json=as_json)


def _there(named: str, found: CouponStory | None) -> CouponStory:
    if found is None:
        raise CannotStart(f"no coupon {named!r}: `sojourn coupon list MEMBER` shows which there are")
    return found


def _print(one: CouponStory, calendar: Calendar, *, as_json: bool) -> None:
    if as_json:
        print(one.model_dump_json())
        return
    print(f"{one.id}  …{one.code_tail}  {one.state}  {one.offer} at {', '.join(one.shops)}, member {one.member}")
    for line in one.lines:
        print(f"  {calendar.local(line.at_ms):%Y-%m-%d %H:%M:%S}  {line.act:8}  {line.actor}: {line.reason}")
