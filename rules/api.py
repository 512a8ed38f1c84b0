"""The rules' part of the HTTP API: the member's wallet and the shop's till.

Annotations are evaluated here, not left as text: FastAPI could not find the dependencies that each router makes.
"""

from collections.abc import AsyncIterator, Callable
from datetime import date
from typing import Annotated, Any

import sqlalchemy as sa
import structlog
from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from engine import problems
from engine.access import Access
from engine.clock import Pace, system_clock
from engine.identity import PURPOSES, Identity, UnknownMember
from engine.ledger import Ledger
from engine.live import LiveAway, LiveState
from engine.problems import Problem
from rules import idempotency
from rules.inbox import Inbox
from rules.redemption import Qualifications, Spent, Ticket, Till, Undone
from rules.settlement import FunderSettlement, Settlement, as_csv, settle_funder, settle_shop
from rules.times import Calendar
from rules.wallet import ConsentState, Wallet, Wallets

log = structlog.get_logger()

# A busy till asks a few times a minute; somebody guessing codes would ask as fast as it is answered.
MOST_ASKED, ASKED_WITHIN_MS = 30, 10_000
MOST_MINOR = 10**12
# Starts with a letter or digit, so that no spreadsheet takes a receipt for a formula.
REFERENCE = r"^[A-Za-z0-9][A-Za-z0-9 ._:/#-]*$"
FUNDER = r"^[A-Za-z0-9][A-Za-z0-9._+-]*$"
NO_NUL = r"^[^\x00]*$"  # what PostgreSQL cannot keep
IDEMPOTENCY_KEY = r"^[\x21-\x7e]+$"


class Refusal(BaseModel):
    """A problem document of RFC 9457; further members say what is known."""

    type: str = Field(description="Stable: /problems/not-found, /problems/expired, ...")
    title: str
    status: int
    detail: str


class Decision(BaseModel):
    """What a member decides about one purpose."""

    granted: bool


class Asked(BaseModel):
    """A code, as scanned or typed."""

    code: str = Field(max_length=64, description="Case, spaces and hyphens do not matter; O is 0, I and L are 1")


class Purchase(Asked):
    """A code, and what is known of what it shall be spent on."""

    amount_minor: int | None = Field(None, ge=0, le=MOST_MINOR, description="What the customer pays, in minor units")
    holder: int | None = Field(
        None, ge=1, le=MOST_MINOR, description="The member the till serves, where it knows: another's code is refused"
    )


class Sale(Purchase):
    """A code, and what it is spent on."""

    receipt: str | None = Field(None, max_length=64, pattern=REFERENCE, description="The till's own number")
    till: str = Field("", max_length=64, pattern=r"^$|" + REFERENCE, description="Which till of the shop")


def routes(
    *,
    ledger: Ledger,
    wallets: Wallets,
    till: Till,
    inbox: Inbox,
    identity: Identity,
    live: LiveState,
    access: Access,
    pace: Pace,
    calendar: Callable[[], Calendar],
    consents_changed: Callable[[], None],
) -> APIRouter:
    """consents_changed  is called after a member granted or withdrew a consent"""
    router = APIRouter()
    _wallet_routes(router, ledger, wallets, inbox, identity, access, pace, consents_changed)
    _till_routes(router, ledger, till, live, access, pace)
    _settlement_routes(router, ledger, access, pace, calendar)
    return router


def _wallet_routes(
    router: APIRouter, ledger: Ledger, wallets: Wallets, inbox: Inbox, identity: Identity, access: Access,
    pace: Pace, consents_changed: Callable[[], None],
) -> None:  # fmt: skip
    Member = Annotated[int, Depends(access.member)]

    def read(member: int, request: Request) -> Wallet:
        with ledger.read() as tx:
            wallet = wallets.read(tx, member, str(request.base_url).rstrip("/"))
        if wallet is None:
            raise _gone()
        return wallet

    @router.get("/v1/wallet", tags=["wallet"], responses=refusals(401, 403, 404), summary="A member's own wallet")
    def wallet(member: Member, request: Request) -> Wallet:
        return read(member, request)

    @router.get(
        "/v1/wallet/stream",
        tags=["wallet"],
        response_class=EventSourceResponse,
        responses=refusals(401, 403),
        summary="The wallet as server-sent events `wallet`, each with the body of GET /v1/wallet",
    )
    async def stream(member: Member, request: Request) -> AsyncIterator[ServerSentEvent]:
        with inbox.listening(member) as changed:
            while True:
                changed.clear()
                try:
                    body = await run_in_threadpool(read, member, request)
                except Problem:
                    return  # the member was erased: there is nothing more to come
                yield ServerSentEvent(event="wallet", raw_data=body.model_dump_json())
                await changed.wait()

    @router.put(
        "/v1/wallet/consents/{purpose}",
        tags=["wallet"],
        responses=refusals(401, 403, 404),
        summary="Grant or withdraw a consent; withdrawing is as easy as granting",
    )
    def consent(purpose: str, decided: Decision, member: Member, request: Request) -> ConsentState:
        if purpose not in PURPOSES:
            raise Problem("not-found", 404, "No such purpose", f"There are {', '.join(PURPOSES)}.")
        language = request.headers.get("accept-language", "en")[:16]
        now_ms = pace.now()
        try:
            with ledger.write() as tx:
                identity.consent(tx, member, purpose, decided.granted, now_ms, language=language, place="wallet")
        except UnknownMember:
            raise _gone() from None
        consents_changed()
        inbox.changed(member)
        return ConsentState(purpose=purpose, granted=decided.granted, at_ms=now_ms)


def _till_routes(router: APIRouter, ledger: Ledger, till: Till, live: LiveState, access: Access, pace: Pace) -> None:
    Key = Annotated[
        str | None,
        Header(
            alias="Idempotency-Key", min_length=1, max_length=128, pattern=IDEMPOTENCY_KEY,
            description="The same key and body get the same answer for 7 days",
        ),
    ]  # fmt: skip

    def allowed(shop: Annotated[str, Depends(access.shop)]) -> str:
        """The shop, if it has not asked too often."""
        try:
            wait_ms = live.allow(f"till:{shop}", MOST_ASKED, ASKED_WITHIN_MS)
        except LiveAway as problem:
            # A guesser needs years even unhindered, a shop with a queue needs its till now.
            log.warning("live state is away, tills are not slowed down", problem=str(problem))
            return shop
        if wait_ms:
            wait_s = -(-wait_ms // 1_000)
            raise Problem(
                "too-many-requests", 429, "Too many requests", f"Wait {wait_s} s, then ask again.",
                headers={"Retry-After": str(wait_s)},
            )  # fmt: skip
        return shop

    Shop = Annotated[str, Depends(allowed)]

    answers = idempotency.Answers(ledger)

    def answer(request: idempotency.Request, act: Callable[[sa.Connection], BaseModel], now_ms: int) -> Response:
        given = answers.once(request, now_ms, lambda tx: act(tx).model_dump(mode="json"))
        headers = {"Idempotent-Replayed": "true"} if given.replayed else {}
        media_type = problems.MEDIA_TYPE if given.status >= 400 else None
        return JSONResponse(given.body, given.status, headers=headers, media_type=media_type)

    @router.post(
        "/v1/qualifications",
        tags=["till"],
        responses=refusals(401, 403, 404, 429),
        summary="What could whoever was given this code use here? The code itself may be spent, replaced or over",
    )
    def qualify(asked: Asked, shop: Shop) -> Qualifications:
        with ledger.read() as tx:
            return till.qualify(tx, shop, asked.code, pace.now())

    @router.post(
        "/v1/validations",
        tags=["till"],
        responses=refusals(401, 403, 404, 409, 410, 429),
        summary="Is this code good here and now? Changes nothing",
    )
    def validate(asked: Purchase, shop: Shop) -> Ticket:
        with ledger.read() as tx:
            details = asked.model_dump(exclude={"code"})
            return till.validate(tx, shop, asked.code, pace.now(), **details)

    @router.post(
        "/v1/redemptions",
        tags=["till"],
        response_model=Spent,
        responses=refusals(401, 403, 404, 409, 410, 429),
        summary="Redeem a coupon, at most once",
    )
    def redeem(sale: Sale, shop: Shop, key: Key = None) -> Response:
        now_ms, heard_real_ms = pace.now(), system_clock()
        details = sale.model_dump(exclude={"code"})

        def act(tx: sa.Connection) -> Spent:
            return till.redeem(tx, shop, sale.code, now_ms, heard_real_ms=heard_real_ms, **details)

        return answer(idempotency.Request(shop, "redemptions", key, sale.model_dump()), act, now_ms)

    @router.post(
        "/v1/redemptions/{redemption}/restore",
        tags=["till"],
        response_model=Undone,
        responses=refusals(401, 403, 404, 409, 429),
        summary="Undo a redemption of the last ten minutes",
    )
    def restore(
        redemption: Annotated[str, Path(max_length=64, pattern="^[0-9a-f]+$")], shop: Shop, key: Key = None
    ) -> Response:
        now_ms, heard_real_ms = pace.now(), system_clock()

        def act(tx: sa.Connection) -> Undone:
            return till.restore(tx, shop, redemption, now_ms, heard_real_ms=heard_real_ms)

        return answer(idempotency.Request(shop, "restore", key, {"redemption": redemption}), act, now_ms)


def _settlement_routes(
    router: APIRouter, ledger: Ledger, access: Access, pace: Pace, calendar: Callable[[], Calendar]
) -> None:
    Shop = Annotated[str, Depends(access.shop)]
    # Within what both databases and the calendar can add a day to.
    Day = Annotated[date | None, Query(ge=date(2000, 1, 1), le=date(2999, 12, 31), description="Local; default today")]

    Funder = Annotated[str, Path(max_length=48, pattern=FUNDER, description="As the book says")]

    def read(shop: str, day: date | None) -> Settlement:
        with ledger.read() as tx:
            return settle_shop(tx, shop, day, calendar(), pace)

    def read_funder(funder: str, day: date | None) -> FunderSettlement:
        with ledger.read() as tx:
            return settle_funder(tx, funder, day, calendar(), pace)

    def spreadsheet(settled: Settlement | FunderSettlement) -> Response:
        name = f'attachment; filename="settlement-{settled.day}.csv"'
        return Response(as_csv(settled, calendar()), media_type="text/csv", headers={"Content-Disposition": name})

    @router.get("/v1/settlement", tags=["till"], responses=refusals(401, 403), summary="A shop's day of redemptions")
    def settlement(shop: Shop, day: Day = None) -> Settlement:
        return read(shop, day)

    @router.get(
        "/v1/settlement.csv",
        tags=["till"],
        response_class=PlainTextResponse,
        responses=refusals(401, 403),
        summary="The same for a spreadsheet",
    )
    def settlement_csv(shop: Shop, day: Day = None) -> Response:
        return spreadsheet(read(shop, day))

    @router.get(
        "/v1/funders/{funder}/settlement",
        tags=["settlement"],
        dependencies=[Depends(access.operator)],
        responses=refusals(401, 403),
        summary="What one funder pays for a day, at all shops",
    )
    def funder_settlement(funder: Funder, day: Day = None) -> FunderSettlement:
        return read_funder(funder, day)

    @router.get(
        "/v1/funders/{funder}/settlement.csv",
        tags=["settlement"],
        dependencies=[Depends(access.operator)],
        response_class=PlainTextResponse,
        responses=refusals(401, 403),
        summary="The same for a spreadsheet",
    )
    def funder_settlement_csv(funder: Funder, day: Day = None) -> Response:
        return spreadsheet(read_funder(funder, day))


def _gone() -> Problem:
    return Problem("not-found", 404, "No such member", "This member is not with us (any more).")


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problem documents a route may answer with, for its OpenAPI description."""
    body = {problems.MEDIA_TYPE: {"schema": Refusal.model_json_schema()}}
    return {status: {"content": body, "description": "Refused"} for status in (*statuses, 422)}
