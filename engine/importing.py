"""`sojourn import members FILE` and `sojourn import receipts FILE`: what other programs of the mall know."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from secrets import token_bytes

from rich.console import Console

from engine.clock import system_clock
from engine.keys import Keys
from engine.ledger import Ledger
from engine.loading import book_in_force, the_ledger
from engine.plainly import CannotStart
from engine.settings import Settings
from engine.start import data_folder, read_plan
from rules.attributes import LOGIN, check_columns, import_members
from rules.codes import Codes
from rules.lines import NotAFile, Report, read_csv
from rules.receipts import COLUMNS, Receipts

MOST_SHOWN = 50


def members(settings: Settings, file: Path, out: Console, *, dry_run: bool, as_json: bool) -> bool:
    """Whether every line was good. Raises CannotStart."""

    def take(ledger: Ledger) -> Report:
        columns, lines = read_csv(file, required=(LOGIN,))
        check_columns(columns, file.name)
        return import_members(ledger, lines, settings.pace.now(), dry_run=dry_run)

    return _import(settings, file, take, out, dry_run=dry_run, as_json=as_json)


def receipts(settings: Settings, file: Path, out: Console, *, dry_run: bool, as_json: bool) -> bool:
    """Whether every line was good. Raises CannotStart."""
    plan = read_plan(settings.zones_path)

    def take(ledger: Ledger) -> Report:
        columns, lines = read_csv(file, required=COLUMNS)
        if not {"member", "coupon"} & set(columns):
            raise NotAFile(f"{file.name}:1: no column 'member' or 'coupon'; one of them says whose receipt it is")
        keys = Keys.read_or_make(data_folder(settings), token_bytes)
        calendar = book_in_force(settings, plan, ledger).calendar
        taking = Receipts(ledger, Codes(keys.codes, keys.code_digests), plan.shops(), lambda: calendar)
        with ledger.read() as tx:
            now_ms = max(ledger.last_at_ms(tx), settings.pace.now())
        return taking.take(lines, now_ms, heard_real_ms=system_clock(), dry_run=dry_run)

    return _import(settings, file, take, out, dry_run=dry_run, as_json=as_json)


def _import(
    settings: Settings, file: Path, take: Callable[[Ledger], Report], out: Console, *, dry_run: bool, as_json: bool
) -> bool:
    with closing(the_ledger(settings)) as ledger:
        try:
            report = take(ledger)
        except OSError as problem:
            raise CannotStart(f"cannot read {file} ({problem.strerror}): name a CSV file") from None
        except NotAFile as problem:
            raise CannotStart(str(problem)) from None
    if as_json:
        print(report.model_dump_json(indent=1))
    else:
        _show(report, file.name, out, dry_run=dry_run)
    return not report.refused


def _show(report: Report, name: str, out: Console, *, dry_run: bool) -> None:
    for refused in report.refused[:MOST_SHOWN]:
        out.print(f"{name}:{refused.line}: {refused.says}", highlight=False, markup=False, soft_wrap=True)
    if len(report.refused) > MOST_SHOWN:
        out.print(f"... and {len(report.refused) - MOST_SHOWN} more; --json lists all", highlight=False, markup=False)
    would = "would be " if dry_run else ""
    strangers = f", {report.strangers} of no members" if report.strangers else ""
    counts = f"{report.changed} {would}taken, {report.unchanged} known before{strangers}, {len(report.refused)} refused"
    out.print(f"{name}: {counts}.", highlight=False, markup=False)
