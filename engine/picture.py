"""What pages may see of who is where: counts and heat, never fewer than k members, never a position."""

from __future__ import annotations

import base64
from collections.abc import Collection

import numpy as np
from pydantic import BaseModel, Field

from engine import grid
from engine.plan import Ints, Plan
from engine.presence import Whereabouts

# Which of the two it is is not told: where one count alone is withheld, that would give the others away.
UNTOLD = "fewer than k, or where a number under k could be had by subtraction"


class SensorsSeen(BaseModel):
    live: int = Field(description="Sensors heard of within 30 s of event time")
    silent: list[str] = Field(description="Keys of the others: around them, no data is not nobody")


class LevelHeat(BaseModel):
    level: str
    columns: int
    rows: int
    cells: str = Field(description="Base64 of one byte a cell, row 0 in the south, in steps of unit_members")
    members: int | None = Field(description=f"Members on the level; null where {UNTOLD}")


class ZoneCount(BaseModel):
    zone: str
    members: int | None = Field(description=f"Members in the zone now; null where {UNTOLD}")
    median_dwell_ms: int | None = Field(description="Median of how long they have been in it; null where members is")


class Frame(BaseModel):
    """One picture of the mall, whole: any frame can be dropped, and a reconnect needs no replay."""

    at_ms: int = Field(description="Event time that the picture shows")
    clock_ms: int = Field(description="What the mall's clock read when it was drawn")
    sent_real_ms: int = Field(description="Wall time when it was drawn")
    speed: float = Field(description="How many times faster than real the mall's clock runs")
    timezone: str
    k: int
    cell_m: float
    unit_members: float = Field(description="Members per cell that one byte step means")
    present: int | None = Field(description="Members in the mall now; null where fewer than k")
    sensors: SensorsSeen
    levels: list[LevelHeat]
    zones: list[ZoneCount]


def draw(
    plan: Plan,
    where: Whereabouts,
    *,
    at_ms: int,
    clock_ms: int,
    real_ms: int,
    speed: float,
    timezone: str,
    k: int,
    silent: Collection[str],
) -> Frame:
    """The picture of *where* at event time at_ms."""
    heat = grid.occupancy(plan, where.level.astype(np.int64), np.column_stack((where.x_m, where.y_m)), k=k)
    per_level = np.bincount(where.level, minlength=len(plan.levels))
    inside = where.zone >= 0
    per_zone = np.bincount(where.zone[inside], minlength=len(plan.zones))
    in_levels = grid.counts(per_level, k)
    in_zones = _zone_counts(plan, where, per_zone, k)
    dwell_ms = at_ms - where.since_ms
    return Frame(
        at_ms=at_ms,
        clock_ms=clock_ms,
        sent_real_ms=real_ms,
        speed=speed,
        timezone=timezone,
        k=k,
        cell_m=grid.CELL_M,
        unit_members=grid.UNIT_MEMBERS,
        present=len(where.member) if len(where.member) >= k else None,
        sensors=SensorsSeen(live=len(plan.sensors) - len(silent), silent=sorted(silent)),
        levels=[
            LevelHeat(
                level=level.key,
                columns=heat.shape[2],
                rows=heat.shape[1],
                cells=base64.b64encode(heat[i].tobytes()).decode(),
                members=in_levels[i],
            )
            for i, level in enumerate(plan.levels)
        ],
        zones=[
            ZoneCount(
                zone=zone.key,
                members=in_zones[i],
                median_dwell_ms=int(np.median(dwell_ms[where.zone == i])) if in_zones[i] is not None else None,
            )
            for i, zone in enumerate(plan.zones)
        ],
    )


def _zone_counts(plan: Plan, where: Whereabouts, per_zone: Ints, k: int) -> list[int | None]:
    """Level by level: pages see each level's count too, and could subtract within it."""
    told: list[int | None] = [None] * len(plan.zones)
    for level in range(len(plan.levels)):
        zones = np.flatnonzero(plan.zone_level == level)
        in_none = int(((where.level == level) & (where.zone < 0)).sum())
        for zone, members in zip(zones, grid.counts(per_zone[zones], k, elsewhere=in_none), strict=True):
            told[zone] = members
    return told
