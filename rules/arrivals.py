"""A member of yours has just come in: told to the shop that brought them, if they allowed it, and no more than that.

Never where they are: that they came, when, and what they let the shop call them.
"""

from __future__ import annotations

import sqlalchemy as sa
from pydantic import BaseModel, Field

from engine.events import VisitEnded, VisitStarted
from engine.identity import PRESENCE, Identity
from engine.tables import event
from rules.tables import credit, invitation
from rules.times import MINUTE_MS

GREETING = "greeting"
# Who came in longer ago has not just come in.
JUST_MS = 20 * MINUTE_MS
# Visits looked at, the newest first: more than begin in a mall within JUST_MS.
MOST_VISITS = 5_000
# More than a shop could greet.
MOST_TOLD = 20


class Arrival(BaseModel):
    """A member of this shop's who has just come into the mall."""

    came_ms: int = Field(description="To the minute")
    called: str = Field(description="What they let the shop call them; empty for nothing")
    clerk: str = Field(description="Who brought them; empty for the shop itself")


def arrivals(tx: sa.Connection, identity: Identity, shop: str, now_ms: int) -> list[Arrival]:
    """The newest first. Who withdrew the consent, or has left, is not told of any more."""
    e, c = event.c, credit.c
    newest = sa.select(e.member, e.visit, e.at_ms).where(e.kind == VisitStarted.__struct_config__.tag)
    came = newest.order_by(e.seq.desc()).limit(MOST_VISITS).subquery().c
    left = event.alias()
    rows = tx.execute(
        sa.select(came.member, came.at_ms, c.called, invitation.c.clerk)
        .join(credit, sa.and_(c.member == came.member, c.from_ms <= now_ms, c.until_ms > now_ms))
        .join(invitation, invitation.c.id == c.invitation)
        .where(
            invitation.c.shop == shop,
            came.at_ms > now_ms - JUST_MS,
            ~sa.exists().where(
                left.c.member == came.member,
                left.c.at_ms >= came.at_ms,
                left.c.visit == came.visit,
                left.c.kind == VisitEnded.__struct_config__.tag,
            ),
        )
        .order_by(came.at_ms.desc(), came.member)
    ).all()
    consents = identity.consents_of_each(tx, {row.member for row in rows})
    told = [
        Arrival(came_ms=row.at_ms // MINUTE_MS * MINUTE_MS, called=row.called, clerk=row.clerk)
        for row in rows
        if {PRESENCE, GREETING} <= consents[row.member]
    ]
    return told[:MOST_TOLD]
