"""`sojourn settlement`: a day's redemptions on a terminal, by shop or by funder."""

from __future__ import annotations

from contextlib import closing
from datetime import date

import sqlalchemy as sa

from engine.loading import book_in_force, the_ledger, the_shop
from engine.plainly import CannotStart, nearest
from engine.settings import Settings
from engine.start import read_plan
from rules.book import THE_MALL, Book
from rules.settlement import as_csv, settle_funder, settle_shop
from rules.tables import coupon


def settle(settings: Settings, *, shop: str | None, funder: str | None, day: str | None) -> str:
    """The CSV of one local day, today if None. Raises CannotStart."""
    try:
        local = date.fromisoformat(day) if day else None
    except ValueError:
        raise CannotStart(f"--day {day}: write it like 2026-11-21") from None
    with closing(the_ledger(settings)) as ledger:
        book = book_in_force(settings, read_plan(settings.zones_path), ledger)
        with ledger.read() as tx:
            if shop is not None and funder is None:
                return as_csv(
                    settle_shop(tx, the_shop(settings, shop), local, book.calendar, settings.pace), book.calendar
                )
            if funder is not None and shop is None:
                _check_funder(tx, funder, book)
                return as_csv(settle_funder(tx, funder, local, book.calendar, settings.pace), book.calendar)
    raise CannotStart("name either --shop or --funder")


def _check_funder(tx: sa.Connection, named: str, book: Book) -> None:
    """Raises CannotStart for one who never paid for anything: an empty day would look like nothing to pay."""
    known = {THE_MALL, *(offer.funder for offer in book.offers.values())}
    if named not in known:
        known |= set(tx.execute(sa.select(coupon.c.funder).distinct()).scalars())
    if named not in known:
        raise CannotStart(f"no funder {named!r} in the book, now or before; {nearest(named, known)}")
