"""What journeys for members who are away brought: how many came in while one ran, beside those who were held out."""

from __future__ import annotations

import sqlalchemy as sa
from pydantic import BaseModel, Field

from rules.absence import MARK
from rules.tables import exposure, instance

CAME_BACK = "came back"


class Arm(BaseModel):
    """Runs in which an offer was decided. Both are null where fewer than k members stand behind them."""

    runs: int | None
    came_back: int | None = Field(description="Of these, how many ended because the member came in")


class Brought(BaseModel):
    """One journey. Members are held out by chance, so the two parts may be compared."""

    journey: str
    sent: Arm
    held_out: Arm


def brought(tx: sa.Connection, k: int) -> list[Brought]:
    """Every journey for members who are away that anybody was ever in, by name; runs that still run are among them."""
    i, e = instance.c, exposure.c
    rows = tx.execute(
        sa.select(
            i.journey,
            e.ghost,
            sa.func.count(i.member.distinct()),
            sa.func.count(),
            sa.func.sum(sa.case((i.outcome == CAME_BACK, 1), else_=0)),
        )
        # Its first offer says whether it was sent; what chance left out is neither.
        .join(exposure, sa.and_(e.instance == i.id, e.rung == 0, e.drawn))
        .where(i.visit.like(f"{MARK}%"))
        .group_by(i.journey, e.ghost)
    )
    arms = {
        (journey, ghost): Arm(runs=runs, came_back=int(back)) if members >= k else _NOTHING
        for journey, ghost, members, runs, back in rows
    }
    return [
        Brought(journey=key, sent=arms.get((key, False), _NOTHING), held_out=arms.get((key, True), _NOTHING))
        for key in sorted({key for key, _ in arms})
    ]


_NOTHING = Arm(runs=None, came_back=None)
