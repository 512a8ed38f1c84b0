"""`sojourn invitation` and `sojourn credit`: who brings members, on a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date
from pathlib import Path
from secrets import token_bytes
from typing import Annotated

import typer

from engine.ledger import Ledger
from engine.loading import book_in_force, the_ledger, the_shop
from engine.plainly import CannotStart
from engine.settings import Settings
from engine.start import read_plan, settings
from rules.credit import as_csv, credit_of
from rules.invitations import Invitations

commands = typer.Typer(
    add_completion=False,
    rich_markup_mode="rich",
    no_args_is_help=True,
    help="Links by which shops and their clerks bring members; a shop makes its own at its till.",
)
crediting = typer.Typer(add_completion=False)

Shop = Annotated[str, typer.Argument(help="The shop's key")]
OfShop = Annotated[str | None, typer.Option(help="Only this shop's", show_default=False)]
Data = Annotated[
    Path | None, typer.Option("--data", help="The engine's data folder (default: .sojourn)", show_default=False)
]


@contextmanager
def _opened(chosen: Settings) -> Iterator[tuple[Ledger, Invitations]]:
    kinds = {key: zone.kind for key, zone in read_plan(chosen.zones_path).shops().items()}
    with closing(the_ledger(chosen)) as ledger:
        yield ledger, Invitations(ledger, kinds, token_bytes)


@commands.command()
def make(
    shop: Shop,
    clerk: Annotated[str, typer.Option(help="Whose it is; left out, the shop's own")] = "",
    data: Data = None,
) -> None:
    """Print a new link; put the engine's own address before it."""
    chosen = settings(data_folder=data)
    the_shop(chosen, shop)
    with _opened(chosen) as (ledger, invitations), ledger.write() as tx:
        print(f"/wallet#invited={invitations.make(tx, shop, clerk, chosen.pace.now()).id}")


@commands.command("list")
def list_(shop: OfShop = None, data: Data = None) -> None:
    """Every link as a line of JSON, the newest first, revoked ones last."""
    chosen = settings(data_folder=data)
    if shop is not None:
        the_shop(chosen, shop)
    with _opened(chosen) as (ledger, invitations), ledger.read() as tx:
        for one in invitations.all(tx, shop):
            print(json.dumps(one.model_dump(), ensure_ascii=False))


@commands.command()
def revoke(
    link: Annotated[str, typer.Argument(help="Its id, as `list` shows it")],
    data: Data = None,
) -> None:
    """Nobody joins by this link any more; members who did stay credited."""
    chosen = settings(data_folder=data)
    with _opened(chosen) as (ledger, invitations), ledger.write() as tx:
        if not invitations.revoke(tx, link, chosen.pace.now()):
            raise CannotStart(f"no live link {link!r}: `sojourn invitation list` shows which there are")
    print(f"Nobody joins by {link} any more.")


@crediting.command()
def credit(
    month: Annotated[str | None, typer.Option(help="Local, as in 2026-11 (default: this month)")] = None,
    shop: OfShop = None,
    data: Data = None,
) -> None:
    """Print what came of the members that shops and clerks brought in a month, as CSV.

    A line for fewer members than the setting k has no figures.
    """
    chosen = settings(data_folder=data)
    try:
        day = date.fromisoformat(f"{month}-01") if month else None
    except ValueError:
        raise CannotStart(f"--month {month}: write it like 2026-11") from None
    if shop is not None:
        the_shop(chosen, shop)
    with _opened(chosen) as (ledger, _):
        calendar = book_in_force(chosen, read_plan(chosen.zones_path), ledger).calendar
        with ledger.read() as tx:
            told = credit_of(tx, day or calendar.day(chosen.pace.now()), calendar, chosen.k, shop)
        print(as_csv(told), end="")
