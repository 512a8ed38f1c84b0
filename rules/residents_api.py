"""Who is kept out of marketing as staff or a fixed device, for operators.

Annotations are evaluated here, not left as text: FastAPI could not find the dependencies that each router makes.
"""

from typing import Annotated

import msgspec
import sqlalchemy as sa
from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from engine.access import Access
from engine.clock import Clock
from engine.ledger import Ledger
from engine.tables import event
from rules.api import refusals
from rules.events import BecameResident, BecameVisitor
from rules.sayings import seen
from rules.tables import lookup

_read = msgspec.json.Decoder(BecameResident | BecameVisitor).decode
KINDS = [kind.__struct_config__.tag for kind in (BecameResident, BecameVisitor)]


class Resident(BaseModel):
    member: int
    since_ms: int
    because: dict[str, str] = Field(description="What was seen, by language")


def residents(tx: sa.Connection) -> list[Resident]:
    """Those whose last word is that they are, by member."""
    newest = sa.select(sa.func.max(event.c.seq)).where(event.c.kind.in_(KINDS)).group_by(event.c.member)
    bodies = tx.execute(sa.select(event.c.body).where(event.c.seq.in_(newest)).order_by(event.c.member)).scalars()
    told = [one for one in map(_read, bodies) if isinstance(one, BecameResident)]
    return [Resident(member=one.member, since_ms=one.at_ms, because=dict(seen(one.because))) for one in told]


def routes(ledger: Ledger, access: Access, clock: Clock) -> APIRouter:
    router = APIRouter(tags=["members"])

    @router.get(
        "/v1/residents",
        responses=refusals(401, 403),
        summary="Who is kept out of offers, as staff are. Every look is on record",
    )
    def read_residents(operator: Annotated[str, Depends(access.operator)]) -> list[Resident]:
        """Staff and fixed devices: here for 12 hours at a time, or for 8 hours on 4 of 7 days. It is taken back by
        itself when that is so no longer. The imported attribute `resident`, yes or no, has the last word."""
        with ledger.read() as tx:
            found = residents(tx)
        if found:
            looks = {"at_ms": clock(), "actor": f"operator:{operator}", "about": "residents"}
            with ledger.write() as tx:
                tx.execute(sa.insert(lookup), [looks | {"member": one.member} for one in found])
        return found

    return router
