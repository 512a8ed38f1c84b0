"""HTTP for whoever brings members: shops make links, newcomers join by them, members see who is credited.

Annotations are evaluated here, not left as text: FastAPI could not find the dependencies that each router makes.
"""

from collections.abc import Callable
from datetime import date
from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, Field

from engine.access import Access
from engine.clock import Pace
from engine.events import id_of
from engine.identity import PURPOSES, Identity, Newcomer
from engine.ledger import Ledger
from engine.live import LiveAway, LiveState
from engine.problems import Problem
from rules.api import refusals
from rules.arrivals import Arrival, arrivals
from rules.credit import Credit, as_csv, credit_of
from rules.inbox import Inbox
from rules.invitations import CREDIT_MS, Invitation, Invitations, credited
from rules.times import DAY_MS, Calendar
from rules.wallet import ShopPlace, Wallets

log = structlog.get_logger()

# A desk with a queue enrols a few in a minute; who fills the ledger with nobodies would be faster.
MOST_JOINED, JOINED_WITHIN_MS = 30, 60_000
LINK = r"^[a-z2-7]{24}$"
# Begins with a letter or digit, so that no spreadsheet takes a clerk for a formula.
CLERK = r"^$|^\w[\w .·-]*$"
# Neither database nor page wants control characters.
NAME = r"^[^\x00-\x20\x7f][^\x00-\x1f\x7f]*$"
MONTH = r"^20[0-9]{2}-(0[1-9]|1[0-2])$"
BIRTHDAY = r"^(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"


class NewInvitation(BaseModel):
    clerk: str = Field("", max_length=48, pattern=CLERK, description="Whose link it is; empty for the shop itself")


class Link(Invitation):
    """A link that this shop invites by."""

    url: str = Field(description="What its QR code says: opens the wallet page, which says who invites")


class Invited(BaseModel):
    """Who invites, as the wallet page tells a newcomer."""

    shop: ShopPlace
    clerk: str = Field(description="Empty for the shop itself")
    credit_days: int = Field(description="For so long the first to bring a member is credited")
    purposes: list[str] = Field(description="What a newcomer is asked about, each by itself")


class Joining(BaseModel):
    """A newcomer, and what they agree to; what is not named is not agreed to."""

    name: str = Field(min_length=1, max_length=64, pattern=NAME)
    language: str = Field("en", pattern=r"^(en|zh-Hans)$")
    birthday: str | None = Field(None, pattern=BIRTHDAY, description="MM-DD")
    consents: list[str] = Field(default_factory=list, max_length=len(PURPOSES), description=", ".join(PURPOSES))


class JoinedBy(BaseModel):
    """A new member. The key opens their wallet and is theirs alone."""

    member: int
    login: str = Field(description="Their name on the mall's Wi-Fi")
    wallet_key: str


class Brought(BaseModel):
    """A link that an enrolled member follows."""

    invitation: str = Field(pattern=LINK)


class Called(BaseModel):
    called: str = Field(max_length=40, pattern=r"^$|" + NAME, description="Empty for nothing")


def routes(
    *, ledger: Ledger, invitations: Invitations, wallets: Wallets, identity: Identity, inbox: Inbox, live: LiveState,
    access: Access, pace: Pace, calendar: Callable[[], Calendar], k: int, consents_changed: Callable[[], None],
) -> APIRouter:  # fmt: skip
    router = APIRouter()
    _shop_routes(router, ledger, invitations, identity, access, pace)
    _credit_routes(router, ledger, access, pace, calendar, k)
    _newcomer_routes(router, ledger, invitations, wallets, identity, live, access, pace, consents_changed)
    _member_routes(router, ledger, invitations, inbox, access, pace)
    return router


def _shop_routes(
    router: APIRouter, ledger: Ledger, invitations: Invitations, identity: Identity, access: Access, pace: Pace
) -> None:
    Shop = Annotated[str, Depends(access.shop)]

    def link(one: Invitation, request: Request) -> Link:
        # Behind the # it stays in the browser, as the code of a coupon does.
        return Link(url=f"{str(request.base_url).rstrip('/')}/wallet#invited={one.id}", **one.model_dump())

    @router.get("/v1/invitations", tags=["invitations"], responses=refusals(401, 403), summary="A shop's own links")
    def all_(shop: Shop, request: Request) -> list[Link]:
        with ledger.read() as tx:
            return [link(one, request) for one in invitations.all(tx, shop)]

    @router.post(
        "/v1/invitations",
        tags=["invitations"],
        status_code=201,
        responses=refusals(401, 403, 409),
        summary="A new link, of the shop or of one of its clerks",
    )
    def make(wish: NewInvitation, shop: Shop, request: Request) -> Link:
        with ledger.write() as tx:
            return link(invitations.make(tx, shop, wish.clerk, pace.now()), request)

    @router.delete(
        "/v1/invitations/{invitation}",
        tags=["invitations"],
        status_code=204,
        responses=refusals(401, 403, 404),
        summary="Nobody joins by this link any more; members who did stay credited",
    )
    def revoke(invitation: Annotated[str, Path(pattern=LINK)], shop: Shop) -> None:
        with ledger.write() as tx:
            if not invitations.revoke(tx, invitation, pace.now(), shop):
                raise Problem("not-found", 404, "No such invitation", "This shop has no live link of that id.")

    @router.get(
        "/v1/arrivals",
        tags=["invitations"],
        responses=refusals(401, 403),
        summary="Members this shop brought who have just come in, as far as they allow it to be told. Never where",
    )
    def came(shop: Shop) -> list[Arrival]:
        with ledger.read() as tx:
            return arrivals(tx, identity, shop, pace.now())


def _credit_routes(
    router: APIRouter, ledger: Ledger, access: Access, pace: Pace, calendar: Callable[[], Calendar], k: int
) -> None:
    Shop = Annotated[str, Depends(access.shop)]
    operator = Depends(access.operator)
    Month = Annotated[str | None, Query(pattern=MONTH, description="Local, as in 2026-11; default this one")]

    def read(month: str | None, shop: str | None = None) -> Credit:
        day = date.fromisoformat(f"{month}-01") if month else calendar().day(pace.now())
        with ledger.read() as tx:
            return credit_of(tx, day, calendar(), k, shop)

    def spreadsheet(credit: Credit) -> Response:
        name = f'attachment; filename="credit-{credit.month}.csv"'
        return Response(as_csv(credit), media_type="text/csv", headers={"Content-Disposition": name})

    @router.get(
        "/v1/credit", tags=["invitations"], responses=refusals(401, 403),
        summary="What came of the members this shop brought, by clerk and month",
    )  # fmt: skip
    def own(shop: Shop, month: Month = None) -> Credit:
        return read(month, shop)

    @router.get(
        "/v1/credit.csv", tags=["invitations"], response_class=PlainTextResponse, responses=refusals(401, 403),
        summary="The same for a spreadsheet",
    )  # fmt: skip
    def own_csv(shop: Shop, month: Month = None) -> Response:
        return spreadsheet(read(month, shop))

    @router.get(
        "/v1/shops/credit", tags=["invitations"], dependencies=[operator], responses=refusals(401, 403),
        summary="What came of the members that all shops brought",
    )  # fmt: skip
    def every(month: Month = None) -> Credit:
        return read(month)

    @router.get(
        "/v1/shops/credit.csv", tags=["invitations"], dependencies=[operator], response_class=PlainTextResponse,
        responses=refusals(401, 403), summary="The same for a spreadsheet",
    )  # fmt: skip
    def every_csv(month: Month = None) -> Response:
        return spreadsheet(read(month))


def _newcomer_routes(
    router: APIRouter, ledger: Ledger, invitations: Invitations, wallets: Wallets, identity: Identity, live: LiveState,
    access: Access, pace: Pace, consents_changed: Callable[[], None],
) -> None:  # fmt: skip
    Which = Annotated[str, Path(pattern=LINK)]
    Key = Annotated[
        str,
        Header(
            alias="Idempotency-Key", min_length=32, max_length=128, pattern=r"^[\x21-\x7e]+$",
            description="Drawn by the page and shown to nobody: the same key joins once, and gives the same wallet",
        ),
    ]  # fmt: skip

    @router.get(
        "/v1/invited/{invitation}", tags=["invitations"], responses=refusals(404, 410),
        summary="Who invites; needs no key",
    )  # fmt: skip
    def invited(invitation: Which) -> Invited:
        with ledger.read() as tx:
            one = invitations.good(tx, invitation)
        purposes = [purpose for purpose in PURPOSES if purpose not in wallets.not_here]
        return Invited(
            shop=wallets.place(one.shop), clerk=one.clerk, credit_days=CREDIT_MS // DAY_MS, purposes=purposes
        )

    @router.post(
        "/v1/invited/{invitation}/members",
        tags=["invitations"],
        status_code=201,
        responses=refusals(404, 410, 429),
        summary="Join by an invitation: a member, their consents and the credit at once; needs no key",
    )
    def join(invitation: Which, newcomer: Joining, key: Key) -> JoinedBy:
        unknown = sorted(set(newcomer.consents) - set(PURPOSES))
        if unknown:
            raise Problem("unknown-purpose", 422, "No such purpose", f"There are {', '.join(PURPOSES)}.")
        _slowly(live, invitation)
        # Nobody may choose a login here: it could be another's, and their devices would be followed as one's own.
        login = f"wallet-{id_of('login', invitation, key)}"
        who = Newcomer(login, consents=tuple(newcomer.consents), **newcomer.model_dump(exclude={"consents"}))
        with ledger.write() as tx:
            invitations.good(tx, invitation)
            now_ms = pace.now()
            (member,) = identity.join(tx, [who], now_ms, place="invitation")
            invitations.credit(tx, member, invitation, now_ms)
        consents_changed()
        return JoinedBy(member=member, login=login, wallet_key=access.key("member", member))


def _member_routes(
    router: APIRouter, ledger: Ledger, invitations: Invitations, inbox: Inbox, access: Access, pace: Pace
) -> None:
    Member = Annotated[int, Depends(access.member)]

    @router.put(
        "/v1/wallet/brought-by", tags=["wallet"], status_code=204, responses=refusals(401, 403, 404, 409, 410),
        summary="Credit whoever's link this is, unless whoever brought me before still is",
    )  # fmt: skip
    def brought_by(by: Brought, member: Member) -> None:
        now_ms = pace.now()
        with ledger.write() as tx:
            invitations.good(tx, by.invitation)
            new = invitations.credit(tx, member, by.invitation, now_ms)
            stands = credited(tx, member, now_ms)
        if not new and stands is not None and stands.invitation != by.invitation:
            raise Problem(
                "credited-already", 409, "Another shop brought you", "The first to bring a member stays credited.",
                shop=stands.shop, until_ms=stands.until_ms,
            )  # fmt: skip
        inbox.changed(member)

    @router.put(
        "/v1/wallet/called", tags=["wallet"], status_code=204, responses=refusals(401, 403, 404),
        summary="What the shop that brought me may call me; only told with my consent to greeting",
    )  # fmt: skip
    def called(name: Called, member: Member) -> None:
        with ledger.write() as tx:
            if not invitations.call(tx, member, name.called, pace.now()):
                raise Problem("not-found", 404, "Nobody to be called by", "No shop is credited with you now.")
        inbox.changed(member)


def _slowly(live: LiveState, invitation: str) -> None:
    """Raises Problem where too many join by one link."""
    try:
        wait_ms = live.allow(f"join:{invitation}", MOST_JOINED, JOINED_WITHIN_MS)
    except LiveAway as problem:
        log.warning("live state is away, newcomers are not slowed down", problem=str(problem))
        return
    if wait_ms:
        wait_s = -(-wait_ms // 1_000)
        detail = f"Wait {wait_s} s, then try again."
        raise Problem("too-many-requests", 429, "Too many requests", detail, headers={"Retry-After": str(wait_s)})
