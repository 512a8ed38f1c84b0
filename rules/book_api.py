"""The rule book over HTTP, for operators: read, check, edit, draft, preview, publish, roll back.

Who did what is on record: every draft and publication keeps its author, time and note. Annotations are evaluated
here, not left as text: FastAPI could not find the dependencies that each router makes.
"""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import sqlalchemy as sa
import structlog
from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, Field

from engine.access import Access
from engine.clock import Pace
from engine.ledger import Ledger
from engine.problems import Problem
from rules import changes
from rules.api import NO_NUL, refusals
from rules.book import Mall
from rules.brought import Brought, brought
from rules.changes import Change
from rules.editing import Edit, NotEditable, edited
from rules.lint import Checked
from rules.moving import Fate
from rules.schema import schema
from rules.source import MOST_CHARACTERS
from rules.versions import NotSo, Outcome, Preview, Publication, Version, Versions

log = structlog.get_logger()
T = TypeVar("T")

STATUS = {"no-such-version": 404, "has-errors": 422, "needs-second": 403}  # every other kind is a conflict: 409
Text = Annotated[str, Field(max_length=MOST_CHARACTERS, pattern=NO_NUL, description="The whole book, as YAML")]
Note = Annotated[
    str, Field(max_length=500, pattern=NO_NUL, description="Why, in a few words; it stays with the version")
]
Fates = Annotated[
    dict[str, Fate],
    Field(max_length=200, description="What becomes of members in the middle of a journey; finish_old unless said"),
]
VersionPath = Annotated[str, Path(pattern="^[0-9a-f]{12}$", description="The name of a version")]


class Finding(BaseModel):
    """One thing wrong with a book, or hardly meant."""

    line: int
    column: int
    path: str
    severity: str = Field(description="error: cannot be published; warning: may be meant")
    says: str


class Findings(BaseModel):
    readable: bool = Field(description="Whether it can be read at all")
    findings: list[Finding]


class Written(BaseModel):
    text: Text


class Drafted(Written):
    note: Note = ""
    parent: str | None = Field(None, pattern="^[0-9a-f]{12}$", description="The version it was made from")


class Edits(BaseModel):
    edits: list[Edit] = Field(min_length=1, max_length=100)
    note: Note = ""


class Draft(Findings):
    version: str


class InForce(BaseModel):
    publication: Publication
    text: str


class Full(BaseModel):
    version: Version
    text: str


class Difference(BaseModel):
    changes: list[Change]
    diff: str = Field(description="The same as a unified diff of the texts")


class Asked(BaseModel):
    fates: Fates = {}


class Publish(Asked):
    note: Note = ""
    on_top_of: int | None = Field(None, ge=0, le=2**31 - 1, description="The publication that was previewed against")


def routes(*, ledger: Ledger, mall: Mall, two_people: bool, access: Access, pace: Pace, k: int) -> APIRouter:
    """two_people  whether a version that may spend more waits for a second person

    k  fewer members than this give no figures
    """
    router = APIRouter(prefix="/v1/book", tags=["book"])
    versions = Versions(ledger, mall, two_people=two_people)
    _reading_routes(router, ledger, versions, mall, access)
    _writing_routes(router, ledger, versions, access, pace)

    @router.get(
        "/brought", dependencies=[Depends(access.operator)], responses=refusals(401, 403),
        summary="How many came in while a journey for members who are away ran, beside those held out",
    )  # fmt: skip
    def came() -> list[Brought]:
        with ledger.read() as tx:
            return brought(tx, k)

    return router


def _reading_routes(router: APIRouter, ledger: Ledger, versions: Versions, mall: Mall, access: Access) -> None:
    signed_in = [Depends(access.operator)]

    def read(act: Callable[[sa.Connection], T]) -> T:
        with ledger.read() as tx:
            return _told(lambda: act(tx))

    @router.get("", dependencies=signed_in, responses=refusals(401, 403, 404), summary="The book in force")
    def in_force() -> InForce:
        def act(tx: sa.Connection) -> InForce:
            publication = versions.in_force(tx)
            if publication is None:
                raise NotSo("no-such-version", "no book was ever published")
            return InForce(publication=publication, text=versions.text(tx, publication.version))

        return read(act)

    @router.get(
        "/schema", dependencies=signed_in, responses=refusals(401, 403), summary="The JSON Schema of this mall's book"
    )
    def book_schema() -> dict[str, Any]:
        return schema(mall)

    @router.get(
        "/versions", dependencies=signed_in, responses=refusals(401, 403), summary="Every version, the newest first"
    )
    def every() -> list[Version]:
        return read(versions.all)

    @router.get(
        "/publications",
        dependencies=signed_in,
        responses=refusals(401, 403),
        summary="What was in force from when, by whom and why; the oldest first",
    )
    def publications() -> list[Publication]:
        return read(versions.publications)

    @router.get(
        "/versions/{version}",
        dependencies=signed_in,
        responses=refusals(401, 403, 404),
        summary="One version with its text",
    )
    def one(version: VersionPath) -> Full:
        def act(tx: sa.Connection) -> Full:
            text = versions.text(tx, version)
            return Full(version=next(each for each in versions.all(tx) if each.version == version), text=text)

        return read(act)

    @router.get(
        "/versions/{version}/diff",
        dependencies=signed_in,
        responses=refusals(401, 403, 404),
        summary="What differs from another version",
    )
    def diff(
        version: VersionPath,
        against: Annotated[str | None, Query(pattern="^[0-9a-f]{12}$", description="Default: the one in force")] = None,
    ) -> Difference:
        def act(tx: sa.Connection) -> Difference:
            force = versions.in_force(tx)
            other = against or (force.version if force else version)
            before, after = versions.text(tx, other), versions.text(tx, version)
            readable = versions.check(before).book is not None and versions.check(after).book is not None
            listed = changes.changes(before, after) if readable else []
            return Difference(changes=listed, diff=changes.diff(before, after))

        return read(act)

    @router.post(
        "/check",
        dependencies=signed_in,
        responses=refusals(401, 403),
        summary="Look a text over: everything wrong with it, by line and column. Keeps nothing",
    )
    def check(written: Written) -> Findings:
        return findings(versions.check(written.text))

    @router.post(
        "/versions/{version}/preview",
        dependencies=signed_in,
        responses=refusals(401, 403, 404, 409),
        summary="What publishing would change, whom it would concern, and whether a second person must agree",
    )
    def preview(version: VersionPath, asked: Asked) -> Preview:
        return read(lambda tx: versions.preview(tx, versions.text(tx, version), asked.fates))


def _writing_routes(router: APIRouter, ledger: Ledger, versions: Versions, access: Access, pace: Pace) -> None:
    Operator = Annotated[str, Depends(access.operator)]

    def write(act: Callable[[sa.Connection], T]) -> T:
        with ledger.write() as tx:
            return _told(lambda: act(tx))

    def drafted(operator: str, text: str, note: str, parent: str | None) -> Draft:
        version = write(
            lambda tx: versions.draft(
                tx, text, author=f"operator:{operator}", note=note, parent=parent, now_ms=pace.now()
            )
        )
        log.info("a book was drafted", version=version, by=operator)
        return Draft(version=version, **findings(versions.check(text)).model_dump())

    @router.post("/drafts", responses=refusals(401, 403), summary="Keep a text as a version, not yet in force")
    def draft(operator: Operator, body: Drafted) -> Draft:
        return drafted(operator, body.text, body.note, body.parent)

    @router.post(
        "/versions/{version}/edits",
        responses=refusals(401, 403, 404, 409),
        summary="Edit values of a version as a form does; the outcome is a version of its own, comments kept",
    )
    def edit(operator: Operator, version: VersionPath, body: Edits) -> Draft:
        with ledger.read() as tx:
            text = _told(lambda: versions.text(tx, version))
        try:
            text = edited(text, body.edits)
        except NotEditable as problem:
            raise Problem("not-editable", 409, "This edit cannot be made", f"{problem}.") from None
        return drafted(operator, text, body.note, version)

    @router.post(
        "/versions/{version}/publish",
        responses=refusals(401, 403, 404, 409),
        summary="Put a version in force; one that may spend more waits for a second person, who calls this too",
    )
    def publish(operator: Operator, version: VersionPath, body: Publish) -> Outcome:
        done = write(
            lambda tx: versions.publish(
                tx, version, author=f"operator:{operator}", note=body.note, fates=body.fates,
                on_top_of=body.on_top_of, now_ms=pace.now(),
            )
        )  # fmt: skip
        _note(done, version, operator)
        return done

    @router.post(
        "/versions/{version}/withdraw",
        status_code=204,
        responses=refusals(401, 403, 404, 409),
        summary="Take a version back that waits for a second person; it stays a draft",
    )
    def withdraw(operator: Operator, version: VersionPath) -> None:
        write(lambda tx: versions.withdraw(tx, version, author=f"operator:{operator}", now_ms=pace.now()))
        log.info("a proposal was withdrawn", version=version, by=operator)

    @router.post(
        "/rollback",
        responses=refusals(401, 403, 404, 409),
        summary="Put the version in force that was so before the present one",
    )
    def roll_back(operator: Operator, body: Publish) -> Outcome:
        done = write(
            lambda tx: versions.roll_back(
                tx, author=f"operator:{operator}", note=body.note, fates=body.fates, now_ms=pace.now()
            )
        )
        _note(done, done.publication.version if done.publication else "", operator)
        return done


def findings(checked: Checked) -> Findings:
    listed = [Finding.model_validate(fault._asdict()) for fault in checked.faults]
    return Findings(readable=checked.book is not None, findings=listed)


def _note(done: Outcome, version: str, by: str) -> None:
    if done.publication is None:
        log.info("a book waits for a second person", version=version, by=by, raises=done.raises)
    else:
        log.info("a book was published", version=version, by=by, number=done.publication.number)


def _told(act: Callable[[], T]) -> T:
    try:
        return act()
    except NotSo as problem:
        status = STATUS.get(problem.kind, 409)
        raise Problem(problem.kind, status, "This cannot be done", f"{problem}.") from None
