"""`sojourn book`: versions of the rule book on a terminal, through the same module as the API."""

from __future__ import annotations

import getpass
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import sqlalchemy as sa
import typer
from pydantic import BaseModel
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from engine.ledger import Ledger
from engine.loading import book_in_force, the_ledger
from engine.plainly import CannotStart
from engine.settings import Settings
from engine.start import book_text, read_plan, settings
from rules import changes
from rules.book import Mall
from rules.editing import Edit, NotEditable, edited
from rules.lint import Checked
from rules.moving import MOVE, STOP, Fate
from rules.reading import version_of
from rules.schema import schema
from rules.source import unreadable
from rules.versions import NotSo, Outcome, Preview, Publication, Versions

T = TypeVar("T")
commands = typer.Typer(
    add_completion=False,
    rich_markup_mode="rich",
    no_args_is_help=True,
    help="Versions of the rule book: draft, preview, publish, roll back. [bold]sojourn check[/bold] looks a file over.",
)

Book = Annotated[str, typer.Argument(help="A file, or the name of a version as `list` shows it")]
Note = Annotated[str, typer.Option(help="Why, in a few words; it stays with the version")]
By = Annotated[str, typer.Option(help="Who does it (default: who is logged in here)", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead")]
Data = Annotated[
    Path | None, typer.Option("--data", help="The engine's data folder (default: .sojourn)", show_default=False)
]
Move = Annotated[
    list[str] | None, typer.Option(help="Members in this journey go on under the new version", show_default=False)
]
Stop = Annotated[
    list[str] | None, typer.Option(help="Their run of this journey ends; coupons stay good", show_default=False)
]
Rename = Annotated[
    list[str] | None,
    typer.Option(help="With --move, a step with another name, as in day-out/coffee=espresso", show_default=False),
]


class Desk:
    """The ledger's versions, opened for one command."""

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        self.settings, self.plan = settings, read_plan(settings.zones_path)
        self.mall = Mall.of(self.plan)
        self.versions = Versions(ledger, self.mall, two_people=settings.two_people)
        self.ledger, self.now_ms = ledger, settings.pace.now()

    def read(self, act: Callable[[sa.Connection], T]) -> T:
        with self.ledger.read() as tx:
            return act(tx)

    def write(self, act: Callable[[sa.Connection], T]) -> T:
        with self.ledger.write() as tx:
            return act(tx)

    def text(self, tx: sa.Connection, named: str) -> str:
        """Of a file or of a version, by its name."""
        return book_text(Path(named)) if _is_file(named) else self.versions.text(tx, named)

    def keep(self, tx: sa.Connection, named: str, by: str, note: str) -> str:
        """The version of a name, or of a file, which is kept as a draft then."""
        if not _is_file(named):
            return named
        text = self.text(tx, named)
        return self.versions.draft(tx, text, author=by, note=note, parent=None, now_ms=self.now_ms)


@contextmanager
def desk(data: Path | None) -> Iterator[Desk]:
    """Raises CannotStart, also for what cannot be done."""
    chosen = settings(data_folder=data)
    ledger = the_ledger(chosen)
    try:
        yield Desk(chosen, ledger)
    except NotSo as problem:
        raise CannotStart(str(problem)) from None
    finally:
        ledger.close()


@commands.command("list")
def list_(as_json: AsJson = False, data: Data = None) -> None:
    """Every version, the newest first: who made it, why, below it each time it was put in force, by whom and why."""
    with desk(data) as at:
        found, puts = at.read(lambda tx: (at.versions.all(tx), at.versions.publications(tx)))
        calendar = book_in_force(at.settings, at.plan, at.ledger).calendar
    if as_json:
        print(_json(found))
        return
    for one in found:
        said = "waits for a second person" if one.waits else "" if one.published else "draft"
        said = "in force" if puts and puts[-1].version == one.version else said
        print(f"{one.version}  {calendar.moment_text(one.made_ms)}  {one.author:20}  {said:8}  {one.note}".rstrip())
        for put in (put for put in puts if put.version == one.version):
            print(f"  publication {put.number}  {calendar.moment_text(put.at_ms)}  {_people(put)}  {put.note}".rstrip())


@commands.command()
def show(
    version: Annotated[str | None, typer.Argument(help="Default: the one in force", show_default=False)] = None,
    data: Data = None,
) -> None:
    """Print the text of a version."""
    with desk(data) as at:
        print(at.read(lambda tx: at.versions.text(tx, version or _in_force(at, tx))), end="")


@commands.command()
def draft(book: Book, note: Note = "", by: By = "", as_json: AsJson = False, data: Data = None) -> None:
    """Keep a file as a version that is not yet in force, and say what is wrong with it. Its name ends the answer."""
    with desk(data) as at:
        version = at.write(lambda tx: at.keep(tx, book, by or _login(), note))
        checked = at.versions.check(at.read(lambda tx: at.versions.text(tx, version)))
    print(json.dumps({"version": version} | as_found(checked)) if as_json else _kept(version, checked, book))


@commands.command()
def diff(
    new: Book,
    against: Annotated[str | None, typer.Option(help="Default: the version in force", show_default=False)] = None,
    data: Data = None,
) -> None:
    """What differs between two versions, line by line."""
    with desk(data) as at:
        found = at.read(lambda tx: changes.diff(at.text(tx, against or _in_force(at, tx)), at.text(tx, new)))
    print(found or "Nothing differs.")


@commands.command()
def preview(
    book: Book, move: Move = None, stop: Stop = None, rename: Rename = None, as_json: AsJson = False, data: Data = None
) -> None:
    """What publishing would change, whom it would concern, and whether a second person must agree."""
    with desk(data) as at:
        seen = at.read(lambda tx: at.versions.preview(tx, at.text(tx, book), fates(move, stop, rename)))
    print(seen.model_dump_json() if as_json else as_text(seen, book))


@commands.command()
def publish(
    book: Book, note: Note = "", by: By = "", move: Move = None, stop: Stop = None, rename: Rename = None,
    on_top_of: Annotated[int | None, typer.Option(help="Only if this publication is still in force")] = None,
    as_json: AsJson = False, data: Data = None,
) -> None:  # fmt: skip
    """Put a version in force; one that may spend more waits until a second person publishes it too.

    A running engine takes it up by itself.
    """
    with desk(data) as at:
        who = by or _login()
        done = at.write(
            lambda tx: at.versions.publish(
                tx, at.keep(tx, book, who, note), author=who, note=note, fates=fates(move, stop, rename),
                on_top_of=on_top_of, now_ms=at.now_ms,
            )
        )  # fmt: skip
    print(done.model_dump_json() if as_json else _outcome(done, book))


@commands.command()
def rollback(
    note: Note = "", by: By = "", move: Move = None, stop: Stop = None, rename: Rename = None, as_json: AsJson = False,
    data: Data = None,
) -> None:  # fmt: skip
    """Put the version in force that was so before the present one. To go further back, publish that version by name."""
    with desk(data) as at:
        done = at.write(
            lambda tx: at.versions.roll_back(
                tx, author=by or _login(), note=note, fates=fates(move, stop, rename), now_ms=at.now_ms
            )
        )
    print(done.model_dump_json() if as_json else _outcome(done, ""))


@commands.command()
def withdraw(
    version: Annotated[str, typer.Argument(help="A version that waits for a second person")], by: By = "",
    data: Data = None,
) -> None:  # fmt: skip
    """Take a version back that waits for a second person; it stays a draft."""
    with desk(data) as at:
        at.write(lambda tx: at.versions.withdraw(tx, version, author=by or _login(), now_ms=at.now_ms))
    print(f"{version} waits for nobody any more.")


@commands.command()
def edit(
    book: Book,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="A value, as in offers/coffee/cost=250, in YAML", show_default=False),
    ] = None,
    remove: Annotated[
        list[str] | None, typer.Option(help="A key or an item, as in limits/quiet", show_default=False)
    ] = None,
    insert: Annotated[
        list[str] | None,
        typer.Option(help="An item before another, as in journeys/day-out/steps/1={id: tea, ...}", show_default=False),
    ] = None,
    move: Annotated[
        list[str] | None,
        typer.Option(help="An item to another place, as in journeys/day-out/steps/3=1", show_default=False),
    ] = None,
    note: Note = "", by: By = "", as_json: AsJson = False, data: Data = None,
) -> None:  # fmt: skip
    """Edit single values as a form does: comments and layout stay. The outcome is a draft of its own.

    A path leads from the top to the value; items of a list are counted from 0, so the first step is steps/0.
    """
    edits = [
        *(_edit("set", one) for one in set_ or []),
        *(_edit("insert", one) for one in insert or []),
        *(_edit("move", one) for one in move or []),
        *(Edit(act="remove", path=one) for one in remove or []),
    ]
    if not edits:
        raise CannotStart("nothing to edit: say what with --set, --remove, --insert or --move")
    with desk(data) as at:
        text = at.read(lambda tx: at.text(tx, book))
        try:
            after = edited(text, edits)
        except NotEditable as problem:
            raise CannotStart(str(problem)) from None
        parent, who = version_of(text), by or _login()
        version = at.write(
            lambda tx: at.versions.draft(tx, after, author=who, note=note, parent=parent, now_ms=at.now_ms)
        )
        checked = at.versions.check(after)
    found = {"version": version} | as_found(checked)
    print(json.dumps(found) if as_json else _kept(version, checked, version))


def _edit(act: Literal["set", "insert", "move"], written: str) -> Edit:
    """An option as an edit. Raises CannotStart."""
    path, equals, value = written.partition("=")
    above, _, place = path.rpartition("/")
    try:
        read = YAML(typ="safe", pure=True).load(value) if equals else None
        if equals and act == "set":
            return Edit(act=act, path=path, value=read)
        if equals and act == "insert" and place.isdecimal():
            return Edit(act=act, path=above, value=read, index=int(place))
        if act == "move" and value.isdecimal():
            return Edit(act=act, path=path, index=int(value))
    except YAMLError as problem:
        raise CannotStart(f"--{act} {written}: {unreadable(problem).says}") from None
    except ValueError:
        raise CannotStart(f"--{act} {written}: that is no place, or too long a path; see --help") from None
    like = {"set": "offers/coffee/cost=250", "insert": "journeys/day-out/steps/1={id: tea, ...}"}
    like["move"] = "journeys/day-out/steps/3=1"
    raise CannotStart(f"--{act} {written}: write it like --{act} '{like[act]}', see sojourn book edit --help")


@commands.command("schema")
def schema_() -> None:
    """Print the JSON Schema of this mall's book; an editor completes and underlines by it."""
    mall = Mall.of(read_plan(settings().zones_path))
    print(json.dumps(schema(mall), indent=1, ensure_ascii=False))


def fates(move: list[str] | None, stop: list[str] | None, rename: list[str] | None) -> dict[str, Fate]:
    """The options as fates by journey. Raises CannotStart."""
    renamed: dict[str, dict[str, str]] = {}
    for one in rename or []:
        journey, _, steps = one.partition("/")
        old, _, new = steps.partition("=")
        if not (journey and old and new) or journey not in (move or []):
            raise CannotStart(f"--rename {one}: write it like day-out/coffee=espresso, with --move day-out")
        renamed.setdefault(journey, {})[old] = new
    both = set(move or []) & set(stop or [])
    if both:
        raise CannotStart(f"--move and --stop {min(both)}: choose one of them")
    moved = {journey: Fate(fate=MOVE, steps=renamed.get(journey, {})) for journey in move or []}
    return moved | {journey: Fate(fate=STOP) for journey in stop or []}


def told(checked: Checked, name: str) -> list[str]:
    return [fault.text(name) for fault in checked.faults]


def _is_file(named: str) -> bool:
    """Whether it names a file, and no version. Raises CannotStart for a file that is not there."""
    path = Path(named)
    if not path.is_file() and (path.suffix or len(path.parts) > 1):
        raise CannotStart(f"no file {named}: name a file, or a version as `sojourn book list` shows it")
    return path.is_file()


def _kept(version: str, checked: Checked, name: str) -> str:
    """What is wrong with a draft, and how it goes on; the version is the last word, for whoever cuts it out."""
    way = "To be mended before it can be published" if checked.errors else "Kept; see what it would do by: book preview"
    return "\n".join([*told(checked, name), f"{way} {version}"])


def _people(put: Publication) -> str:
    return f"{put.author} and {put.second}" if put.second else put.author


def as_found(checked: Checked) -> dict[str, Any]:
    return {"readable": checked.book is not None, "findings": [fault._asdict() for fault in checked.faults]}


def as_text(seen: Preview, named: str) -> str:
    lines = [f"{change.path}: {_short(change.before)} -> {_short(change.after)}" for change in seen.changes]
    lines = lines or ["Nothing differs but comments or layout."]
    for one in seen.concerned:
        gone = "".join(f"; {count} in {step}, which is gone" for step, count in one.removed.items())
        ends = f"; {one.ending} end" if one.ending else ""
        lines.append(
            f"{one.journey}: {one.running} on their way, {one.holding} hold an offer{gone}: {one.fate.fate}{ends}"
        )
    lines += [f"May spend more: {more}" for more in seen.raises]
    if seen.needs_second:
        lines.append("A second person must publish it too.")
    lines.append(f"Publish it with: sojourn book publish {named} --on-top-of {seen.on_top_of}")
    return "\n".join(lines)


def _outcome(done: Outcome, version: str) -> str:
    if done.publication is None:
        more = "; ".join(done.raises)
        return f"{version} may spend more ({more}), so it waits: a second person must publish it too."
    return f"{done.publication.version} is in force, as publication {done.publication.number}."


def _short(value: Any) -> str:
    written = "nothing" if value is None else json.dumps(value, ensure_ascii=False, default=str)
    return written if len(written) < 80 else written[:77] + "..."


def _in_force(at: Desk, tx: sa.Connection) -> str:
    force = at.versions.in_force(tx)
    if force is None:
        raise CannotStart("no book was ever published: start the engine once, or publish a file")
    return force.version


def _login() -> str:
    return f"command line:{getpass.getuser()}"


def _json(found: list[Any]) -> str:
    return json.dumps([one.model_dump() if isinstance(one, BaseModel) else one for one in found])
