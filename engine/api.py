"""The engine's part of the HTTP API: the plan, the live picture, members, and whether all is well."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
import sqlalchemy as sa
from fastapi import APIRouter, Depends, Header, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from engine import tables
from engine.access import Access
from engine.clock import Clock
from engine.feed import FeedLine
from engine.identity import PURPOSES, Identity, Newcomer
from engine.ledger import Ledger
from engine.picture import Frame
from engine.plan import Plan
from engine.problems import Problem
from engine.stream import Stream

Label = dict[str, str]
Ring = list[tuple[float, float]]
# Both databases number rows up to here, and choke on more.
MOST_ROWS = 2**63 - 1
After = Annotated[int, Field(ge=0, le=MOST_ROWS, description="The number that the last answer ended with")]


class LevelShape(BaseModel):
    key: str
    ordinal: int
    name: Label
    short_name: Label
    outline: list[Ring]


class ZoneShape(BaseModel):
    key: str
    level: str
    name: Label
    kind: str
    shop: str | None
    no_marketing: bool
    polygon: list[Ring] = Field(description="Rings in metres: the outer one, then holes")


class SensorPlace(BaseModel):
    key: str
    level: str
    x_m: float
    y_m: float


class WayPlace(BaseModel):
    key: str
    kind: str
    levels: list[str]
    x_m: float
    y_m: float


class PlanShape(BaseModel):
    """The mall in local metres: x right, y up, from the plan's lower-left corner."""

    site: str
    width_m: float
    height_m: float
    levels: list[LevelShape]
    zones: list[ZoneShape]
    sensors: list[SensorPlace]
    ways: list[WayPlace]


class LiveSchema(BaseModel):
    """What the events of GET /v1/live carry; this endpoint exists so that types can be generated."""

    frame: Frame | None
    feed: list[FeedLine]


class NewMember(BaseModel):
    login: str = Field(min_length=1, max_length=128, description="As the network login reports it")
    name: str = Field(min_length=1, max_length=128)
    birthday: str | None = Field(None, pattern=r"^(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$", description="MM-DD")
    language: str = Field("en", pattern=r"^(en|zh-Hans)$")
    home_km: float | None = Field(None, ge=0, le=20_000, allow_inf_nan=False)
    consents: list[str] = Field(default_factory=list, max_length=len(PURPOSES), description=", ".join(PURPOSES))


class Joined(BaseModel):
    id: int
    login: str
    wallet_key: str = Field(description="Opens the member's wallet at /wallet#key=...; hand it to nobody else")


class MemberRow(BaseModel):
    id: int
    login: str
    name: str
    language: str


class EventPage(BaseModel):
    seq: int = Field(description="Pass it as *after* to go on from here")
    events: list[dict[str, Any]]


class Health(BaseModel):
    status: str


def rings(polygon: Any) -> list[Ring]:
    return [[(round(x, 2), round(y, 2)) for x, y in ring.coords] for ring in (polygon.exterior, *polygon.interiors)]


def shape(plan: Plan) -> PlanShape:
    return PlanShape(
        site=plan.site,
        width_m=plan.width_m,
        height_m=plan.height_m,
        levels=[
            LevelShape(key=v.key, ordinal=v.ordinal, name=v.name, short_name=v.short_name, outline=rings(v.outline))
            for v in plan.levels
        ],
        zones=[
            ZoneShape(
                key=z.key,
                level=z.level,
                name=z.name,
                kind=z.kind,
                shop=z.shop,
                no_marketing=z.no_marketing,
                polygon=rings(z.polygon),
            )
            for z in plan.zones
        ],
        sensors=[SensorPlace(key=s.key, level=s.level, x_m=s.x_m, y_m=s.y_m) for s in plan.sensors],
        ways=[WayPlace(key=w.key, kind=w.kind, levels=list(w.levels), x_m=w.x_m, y_m=w.y_m) for w in plan.ways],
    )


def routes(
    *,
    plan: Plan,
    ledger: Ledger,
    identity: Identity,
    stream: Stream,
    access: Access,
    clock: Clock,
    consents_changed: Callable[[], None],
    ready: Callable[[], str | None],
) -> APIRouter:
    """ready  says why the engine is not ready, or nothing"""
    router = APIRouter()
    operator = Depends(access.operator)
    drawn = shape(plan)

    @router.get("/v1/plan", tags=["live"], dependencies=[operator], summary="Levels, zones, sensors and ways")
    def read_plan() -> PlanShape:
        return drawn

    @router.get(
        "/v1/live",
        tags=["live"],
        dependencies=[operator],
        response_class=StreamingResponse,
        summary="The live picture and the feed, as server-sent events frame and feed",
    )
    async def live(last_event_id: Annotated[str | None, Header()] = None) -> StreamingResponse:
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        return StreamingResponse(stream.read(last_event_id), media_type="text/event-stream", headers=headers)

    @router.get("/v1/live/now", tags=["live"], dependencies=[operator], summary="The same as one answer")
    def now() -> LiveSchema:
        frame, feed = stream.now()
        return LiveSchema(
            frame=Frame.model_validate_json(frame) if frame else None,
            feed=[FeedLine.model_validate_json(line) for line in feed],
        )

    @router.get("/v1/members", tags=["members"], dependencies=[operator], summary="Members, by id")
    def members(after: After = 0, limit: Annotated[int, Field(ge=1, le=1_000)] = 100) -> list[MemberRow]:
        m = tables.member.c
        with ledger.read() as tx:
            rows = tx.execute(
                sa.select(m.id, m.login, m.name, m.language).where(m.id > after).order_by(m.id).limit(limit)
            )
            return [MemberRow(id=i, login=login, name=name, language=lang) for i, login, name, lang in rows]

    @router.post("/v1/members", tags=["members"], dependencies=[operator], status_code=201, summary="Enrol members")
    def join(newcomers: Annotated[list[NewMember], Field(min_length=1, max_length=1_000)]) -> list[Joined]:
        unknown = sorted({purpose for one in newcomers for purpose in one.consents} - set(PURPOSES))
        if unknown:
            raise Problem(
                "unknown-purpose", 422, "No such purpose", f"{unknown[0]!r} is none of {', '.join(PURPOSES)}."
            )
        people = [Newcomer(**one.model_dump(exclude={"consents"}), consents=tuple(one.consents)) for one in newcomers]
        with ledger.write() as tx:
            ids = identity.join(tx, people, clock(), place="operator")
        consents_changed()
        return [
            Joined(id=id, login=one.login, wallet_key=access.key("member", id))
            for id, one in zip(ids, newcomers, strict=True)
        ]

    @router.get("/v1/events", tags=["events"], dependencies=[operator], summary="Events as the ledger numbered them")
    def events(
        kind: Annotated[str, Field(pattern=r"^[a-z.]+$", description="As in coupon.delivered")],
        after: After = 0,
        limit: Annotated[int, Field(ge=1, le=1_000)] = 500,
    ) -> EventPage:
        """For other programs of the mall, as a data warehouse. Ask again with the seq of the last answer."""
        with ledger.read() as tx:
            found = ledger.of_kind(tx, kind, after, limit)
            seq = found[-1].seq if len(found) == limit else max(after, ledger.last_seq(tx))
        return EventPage(seq=seq, events=[msgspec.to_builtins(one.event) for one in found])

    @router.get("/v1/events/last", tags=["events"], dependencies=[operator], summary="The number of the newest event")
    def last_event() -> EventPage:
        with ledger.read() as tx:
            return EventPage(seq=ledger.last_seq(tx), events=[])

    @router.get("/healthz", tags=["health"], summary="The process answers")
    def healthy() -> Health:
        return Health(status="ok")

    @router.get("/readyz", tags=["health"], summary="Broker, live state and ledger are there")
    def is_ready(response: Response) -> Health:
        why = ready()
        if why:
            response.status_code = 503
        return Health(status=why or "ready")

    return router
