"""What the mall knows of members, over HTTP: the lines of `sojourn import members`, from another program.

Annotations are evaluated here, not left as text: FastAPI could not find the dependencies that each router makes.
"""

from typing import Annotated

from fastapi import APIRouter, Body, Depends
from pydantic import BaseModel, Field

from engine.access import Access
from engine.clock import Pace
from engine.ledger import Ledger
from rules.api import NO_NUL, refusals
from rules.attributes import LOGIN, LONGEST, MOST_ATTRIBUTES, PROFILE, import_members
from rules.lines import Line, Report

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
Cell = Annotated[str, Field(max_length=LONGEST, pattern=NO_NUL)]


class MemberLine(BaseModel):
    """What is told of one member; nobody becomes a member by it, as only they can opt in."""

    login: str = Field(min_length=1, max_length=128, pattern=NO_NUL)
    told: dict[Name, Cell] = Field(
        min_length=1,
        max_length=MOST_ATTRIBUTES + len(PROFILE),
        description="birthday (11-24), language, home_km, or attributes of the mall's own, all as text. An empty one "
        "tells nothing, - clears what was known",
    )


def routes(ledger: Ledger, access: Access, pace: Pace) -> APIRouter:
    router = APIRouter()

    @router.post(
        "/v1/members/attributes",
        tags=["members"],
        dependencies=[Depends(access.operator)],
        responses=refusals(401, 403),
        summary="Tell what the mall knows of members, for segments; the same again changes nothing",
    )
    def tell(
        members: Annotated[list[MemberLine], Body(min_length=1, max_length=1_000)], dry_run: bool = False
    ) -> Report:
        lines = [Line(number, {**one.told, LOGIN: one.login}) for number, one in enumerate(members, 1)]
        return import_members(ledger, lines, pace.now(), dry_run=dry_run)

    return router
