"""The command line: `sojourn demo`, `serve`, `sensor`, `replay`, `check`, ..."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import structlog
import typer
from rich.console import Console
from typer.core import TyperGroup
from typer.main import get_command

from engine.plainly import CannotStart, SaidPlainly
from engine.start import book_text, data_folder, read_plan, settings

# Read when they are asked for: a sensor shall not wait for the libraries of a ledger.
LATER = {
    "book": ("engine.booking", "commands"),
    "coupon": ("engine.couponing", "commands"),
    "credit": ("engine.inviting", "crediting"),
    "invitation": ("engine.inviting", "commands"),
    "survey": ("engine.surveying", "command"),
}


class Commands(TyperGroup):
    """Those that are written below, and those of other modules."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*super().list_commands(ctx), *LATER]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in LATER:
            return super().get_command(ctx, cmd_name)
        module, attribute = LATER[cmd_name]
        command = get_command(getattr(import_module(module), attribute))
        command.name = cmd_name
        return command


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Sojourn: presence of members who opted in, coupons that follow their visit, and why. "
    "Start with [bold]sojourn demo[/bold].",
    rich_markup_mode="rich",
)
out = Console()

DataFolder = Annotated[
    Path | None,
    typer.Option("--data", help="Where secrets and the ledger live (default: .sojourn)", show_default=False),
]
Port = Annotated[
    int | None, typer.Option(help="Port to serve on; 0 takes a free one (default: 8420)", show_default=False)
]
Layout = Annotated[int, typer.Option(help="Sensors a level, as laid out in sensor_layouts.csv: 12, 24 or 48")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead")]


@app.command()
def demo(
    speed: Annotated[
        float, typer.Option(help="How many times faster than real the mall's clock runs", min=0.1, max=600)
    ] = 30,
    for_: Annotated[str | None, typer.Option("--for", help="End by itself after so long, as in 60s or 5m")] = None,
    members: Annotated[int, typer.Option(help="Members in the crowd", min=1, max=20_000)] = 400,
    others: Annotated[int, typer.Option(help="Others, who must stay unseen", min=0, max=50_000)] = 1_200,
    seed: Annotated[int, typer.Option(help="The same seed gives the same crowd")] = 7,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget the data of earlier demos")] = False,
    browser: Annotated[bool, typer.Option(help="Open the live page")] = True,
    as_json: AsJson = False,
    port: Port = None,
    data: DataFolder = None,
) -> None:
    """Watch a mall come alive: broker, engine, pages and a seeded crowd, all on this machine.

    The crowd walks zones.geojson, its phones are heard as real 802.11 frames, members get coupons by
    rules/book.yaml and spend them at tills through the API. Ctrl-C stops it; the data stays.
    """
    from engine.demo import Demo

    chosen = settings(port=port, data_folder=data)
    Demo(chosen, speed=speed, members=members, others=others, seed=seed).play(
        out, for_ms=_length_ms(for_), fresh=fresh, browser=browser, as_json=as_json
    )


@app.command()
def serve(port: Port = None, data: DataFolder = None) -> None:
    """Run the engine: presence, rules, API and pages.

    Everything else is a setting; see README.md. A sensor needs sensor.key from the data folder; one that speaks to the
    embedded broker also its broker.port and broker.key: --broker mqtt://sojourn:KEY@127.0.0.1:PORT.
    """
    from engine.serve import run

    asyncio.run(run(settings(port=port, data_folder=data)))


@app.command()
def sensor(
    pcap: Annotated[
        Path | None, typer.Option(help="A capture file (pcap or pcapng, also gzipped)", show_default=False)
    ] = None,
    interface: Annotated[str | None, typer.Option(help="An interface in monitor mode", show_default=False)] = None,
    name: Annotated[str, typer.Option(help="This sensor's key in zones.geojson")] = "sensor",
    site: Annotated[str, typer.Option(help="The mall's site key")] = "demo",
    broker: Annotated[str, typer.Option(help="The broker, as in mqtt://host:1883")] = "mqtt://127.0.0.1:1883",
    keys: Annotated[Path, typer.Option(help="sensor.key, copied from the engine's data folder")] = Path("sensor.key"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Publish nothing: count what is in the capture")] = False,
    as_json: AsJson = False,
) -> None:
    """Hear devices: a live interface, or a capture file.

    Only devices on the engine's signed allow-list are ever published; everything else is dropped in memory.
    """
    from engine import sensing

    if (pcap is None) == (interface is None):
        raise CannotStart("name either --pcap FILE or --interface NAME")
    if pcap is not None and not pcap.is_file():
        raise CannotStart(f"no capture at {pcap}")
    if dry_run:
        if pcap is None:
            raise CannotStart("--dry-run counts a capture: name it with --pcap FILE")
        sensing.count(pcap, out, as_json=as_json)
    else:
        sensing.publish(pcap=pcap, interface=interface, name=name, site=site, broker=broker, keys=keys)


@app.command()
def crowd(
    url: Annotated[str, typer.Option(help="The engine's API")] = "http://127.0.0.1:8420",
    members: Annotated[int, typer.Option(help="Members in the crowd")] = 400,
    others: Annotated[int, typer.Option(help="Others, who must stay unseen")] = 1_200,
    seed: Annotated[int, typer.Option(help="The same seed gives the same crowd")] = 7,
    timezone: Annotated[str, typer.Option(help="The mall's, as in the rule book")] = "Asia/Shanghai",
) -> None:
    """Walk a seeded crowd past simulated sensors (what the demo does beside the engine).

    Needs an engine that serves, and its data folder: the crowd enrols its members and holds their phones.
    """
    from engine.crowding import walk

    walk(settings(), url=url, members=members, others=others, seed=seed, timezone=timezone)


@app.command()
def replay(
    folder: Annotated[Path, typer.Argument(help="A folder of recorded scans, as described in its SOURCE.md")],
    layout: Layout = 24,
    survey: Annotated[bool, typer.Option(help="Take the scans that are not scored as a survey of the mall.")] = False,
    as_json: AsJson = False,
) -> None:
    """Feed a real mall's recorded scans through the engine, and say where people were."""
    from engine import replay as recorded

    if not (folder / "scans.csv.xz").is_file():
        raise CannotStart(f"no scans.csv.xz in {folder}: name a folder of recorded scans")
    result = recorded.replay(folder, layout, surveyed=survey)
    if as_json:
        print(json.dumps(recorded.summary(result)))
    else:
        recorded.show(result, out)


@app.command()
def check(
    book: Annotated[
        Path | None, typer.Argument(help="A rule book (default: the one in the settings)", show_default=False)
    ] = None,
    as_json: AsJson = False,
    data: DataFolder = None,
) -> None:
    """Check the map and the rule book: what is wrong, where, and the way out. Ends with 1 where there is an error.

    Without BOOK, also every zone with how well the sensors can tell it from its neighbours: the share of sightings in
    it that are expected to name it, the worst zones first. It goes by the radio model that the engine fitted, and by
    the survey if the settings name one, of which it says what it is worth.
    """
    from engine import booking, covering
    from engine.loading import read_survey
    from rules import lint
    from rules.book import Mall

    chosen = settings(book_path=book, data_folder=data)
    plan = read_plan(chosen.zones_path)
    name = str(chosen.book_path)
    checked = lint.check(book_text(chosen.book_path), Mall.of(plan), name=name)
    survey = read_survey(chosen, plan)
    covered = covering.checked(plan, covering.read_radio(chosen, plan), survey) if book is None else covering.UNASKED
    if as_json:
        print(json.dumps({"book": name, **booking.as_found(checked), **covered.found}, ensure_ascii=False))
    else:
        for line in [*booking.told(checked, name), *covered.lines]:
            print(line)
        if checked.book is not None and not checked.errors:
            out.print(
                f"{chosen.zones_path}: {len(plan.levels)} levels, {len(plan.zones)} zones, "
                f"{len(plan.sensors)} sensors. "
                f"{name}: {len(checked.book.offers)} offers, {len(checked.book.journeys)} journeys. "
                + (f"Warnings: {len(checked.warnings)}." if checked.warnings else "All is well."),
                highlight=False,
                soft_wrap=True,
            )
    if checked.errors:
        raise typer.Exit(1)


@app.command()
def explain(
    member: Annotated[str, typer.Argument(help="The member's id or login")],
    at: Annotated[str | None, typer.Option(help="Local hour, as in 12:10 (default: now)", show_default=False)] = None,
    day: Annotated[
        str | None, typer.Option(help="Local day, as in 2026-11-24 (default: the ledger's last)", show_default=False)
    ] = None,
    step: Annotated[
        str | None, typer.Option(help="Only this step, as in lunch (default: where the member was)", show_default=False)
    ] = None,
    language: Annotated[str, typer.Option(help="en or zh-Hans")] = "en",
    as_json: AsJson = False,
    data: DataFolder = None,
) -> None:
    """Say why a member got something at an instant, or why not. Every look is kept on record.

    + stands before what held and - before what did not; steps are those of the book in force.
    """
    from engine.explaining import explain as answer

    answer(settings(data_folder=data), member, at=at, day=day, step=step, language=language, as_json=as_json)


imports = typer.Typer(no_args_is_help=True, help="Take in what other programs of the mall know, from CSV files.")
app.add_typer(imports, name="import")
CsvFile = Annotated[Path, typer.Argument(help="CSV, UTF-8, with the names of the columns in its first line")]
Dry = Annotated[bool, typer.Option("--dry-run", help="Change nothing: say what would be")]


@imports.command("members")
def import_members(file: CsvFile, dry_run: Dry = False, as_json: AsJson = False, data: DataFolder = None) -> None:
    """What the mall knows of members: login, then birthday, language, home_km or attributes of your own.

    Good lines are taken, bad ones named with the way out. An empty cell tells nothing, - clears what was known.
    The same file again changes nothing.
    """
    from engine import importing

    if not importing.members(settings(data_folder=data), file, out, dry_run=dry_run, as_json=as_json):
        raise typer.Exit(1)


@imports.command("receipts")
def import_receipts(file: CsvFile, dry_run: Dry = False, as_json: AsJson = False, data: DataFolder = None) -> None:
    """What was bought: shop, receipt, at, amount_minor, and member or coupon.

    So that spending is known of members who redeem nothing, too. A receipt counts once a shop, however often it is
    told. Nothing is kept of buyers who are no members.
    """
    from engine import importing

    if not importing.receipts(settings(data_folder=data), file, out, dry_run=dry_run, as_json=as_json):
        raise typer.Exit(1)


@app.command()
def key(
    role: Annotated[str, typer.Argument(help="operator, shop or member")],
    subject: Annotated[str, typer.Argument(help="An operator's own name, a shop's key, or a member's id or login")],
    data: DataFolder = None,
) -> None:
    """Print an access key; whoever has it may do what its role may."""
    from secrets import token_bytes

    from engine.keys import ROLES, Keys, access_key
    from engine.loading import subject_of

    for known in ROLES:
        if role == known:
            chosen = settings(data_folder=data)
            whose = subject_of(chosen, known, subject)
            print(access_key(Keys.read_or_make(data_folder(chosen), token_bytes).access, known, whose))
            return
    raise CannotStart(f"{role!r} is no role: choose one of {', '.join(ROLES)}")


@app.command()
def settlement(
    shop: Annotated[str | None, typer.Option(help="What this shop gave", show_default=False)] = None,
    funder: Annotated[str | None, typer.Option(help="What this funder pays, at all shops", show_default=False)] = None,
    day: Annotated[str | None, typer.Option(help="Local day, as in 2026-11-21 (default: today)")] = None,
    data: DataFolder = None,
) -> None:
    """Print a day's redemptions as CSV, by shop or by funder."""
    from engine.settling import settle

    print(settle(settings(data_folder=data), shop=shop, funder=funder, day=day), end="")


@app.command()
def switch(
    kind: Annotated[
        str | None, typer.Argument(help="mall, journey, offer, shop or channel", show_default=False)
    ] = None,
    name: Annotated[str | None, typer.Argument(help="Which one; the mall needs none", show_default=False)] = None,
    off: Annotated[bool | None, typer.Option("--off/--on", help="Switch it; without, say how it stands")] = None,
    until: Annotated[
        str | None, typer.Option(help="tomorrow, 18:00, 2026-11-24 18:00 or 2h (default: until --on)")
    ] = None,
    because: Annotated[str, typer.Option(help="Why, for whoever asks later")] = "",
    by: Annotated[str, typer.Option(help="Who does it (default: who is logged in here)", show_default=False)] = "",
    as_json: AsJson = False,
    data: DataFolder = None,
) -> None:
    """Stop at once, and go on: the mall, a journey, an offer, a shop that closes early, a channel.

    What is out stays redeemable. Without a name, say all that is off.
    """
    from engine.switching import switch as turn

    chosen = settings(data_folder=data)
    print(turn(chosen, kind, name, off=off, until=until, because=because, by=by, as_json=as_json))


@app.command()
def openapi() -> None:
    """Print the API's OpenAPI document, from which the pages' types are generated."""
    from engine.serve import document

    print(json.dumps(document(), indent=1, ensure_ascii=False))


@app.command("compile", hidden=True)
def compile_loops() -> None:
    """Compile the inner loops of presence, once for a version of them; else the first start does."""
    from engine.position import Locator
    from engine.radio import Radio
    from engine.tuning import Tuning

    plan = read_plan(settings().zones_path)
    Locator(plan, Radio.of(plan), Tuning())


@app.command(hidden=True)
def migration(says: Annotated[str, typer.Argument(help="What changed, as a sentence")]) -> None:
    """Draft a migration from what the declared tables have and the migrated ones have not."""
    from tempfile import TemporaryDirectory

    import rules.tables  # noqa: F401  (a table that is not declared would be dropped)
    from engine import schema
    from engine.ledger import open_database

    with TemporaryDirectory() as folder:
        database = open_database(f"sqlite:///{folder}/ledger.sqlite")
        schema.upgrade(database)
        out.print(f"Read and mend {schema.draft(database, says)}")


def _length_ms(text: str | None) -> int | None:
    from rules.times import NotTime, length_ms

    try:
        return None if text is None else length_ms(text)
    except NotTime as problem:
        raise CannotStart(f"--for {text}: {problem}") from None


def main() -> None:
    """Run the command line; what a person can put right ends as one line."""
    # Standard error, so that a command's own output stays clean.
    structlog.configure(
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )
    try:
        app()
    except SaidPlainly as problem:
        print(f"sojourn: {problem}", file=sys.stderr)
        sys.exit(problem.exit_code)


if __name__ == "__main__":
    main()
