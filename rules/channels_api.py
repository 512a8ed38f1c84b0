"""HTTP for the ways to a member: members choose and subscribe.

Annotations are evaluated here, not left as text: FastAPI could not find the dependencies that each router makes.
"""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Request
from pydantic import BaseModel, Field

from engine.access import Access
from engine.clock import Clock
from engine.ledger import Ledger
from engine.problems import Problem
from rules.api import refusals
from rules.delivery import Delivery
from rules.parcel import CHANNELS, MESSAGES, WEB_PUSH, Address
from rules.push import NoService

Name = Literal["inbox", "web_push", "messages"]
ID = r"^[0-9a-f]{24}$"


class PushKeys(BaseModel):
    p256dh: str = Field(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9_=-]+$")
    auth: str = Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_=-]+$")


class PushSubscription(BaseModel):
    """What PushSubscription.toJSON() gives, and for messages an address alone."""

    channel: Literal["web_push", "messages"] = "web_push"
    endpoint: str = Field(min_length=1, max_length=1_000, description="A push endpoint, or a telephone number")
    keys: PushKeys | None = Field(None, description="The browser's; needed for web_push")


class Subscribed(BaseModel):
    id: str


class Order(BaseModel):
    order: list[Name] = Field(max_length=len(CHANNELS), description="Channels left out come last")


class Known(BaseModel):
    """An address that the member gave for messages."""

    id: str
    address: str = Field(description="As it was given: a telephone number, or whatever this mall sends to")


class Ways(BaseModel):
    """How this member can be reached."""

    order: list[str] = Field(description="In the order in which they are tried")
    reachable: list[str] = Field(description="Those with an address of this member; the inbox needs none")
    addresses: list[Known] = Field(description="Where messages go; those of browsers are not told")
    push_key: str = Field(description="For PushManager.subscribe(applicationServerKey)")


class Shown(BaseModel):
    coupon: str = Field(pattern=ID)
    channel: Name


def routes(ledger: Ledger, delivery: Delivery, access: Access, clock: Clock) -> APIRouter:
    channels, outbox, push = delivery.channels, delivery.outbox, delivery.push
    router = APIRouter()
    Member = Annotated[int, Depends(access.member)]

    def ways(member: int) -> Ways:
        with ledger.read() as tx:
            reachable = channels.reachable(tx, member)
            order = list(channels.order(tx, member))
            known = [Known(id=one.id, address=one.address.endpoint) for one in channels.reaches(tx, member, MESSAGES)]
        reached = [name for name in order if name in reachable]
        return Ways(order=order, reachable=reached, addresses=known, push_key=push.public_key)

    @router.get("/v1/wallet/channels", tags=["wallet"], responses=refusals(401, 403), summary="How I can be reached")
    def read(member: Member) -> Ways:
        return ways(member)

    @router.put(
        "/v1/wallet/channels", tags=["wallet"], responses=refusals(401, 403), summary="Which channel to try first"
    )
    def prefer(wish: Order, member: Member) -> Ways:
        with ledger.write() as tx:
            channels.prefer(tx, member, wish.order)
        return ways(member)

    @router.post(
        "/v1/wallet/subscriptions",
        tags=["wallet"],
        status_code=201,
        responses=refusals(401, 403, 409),
        summary="Reach me here too; consent to the channel is a decision of its own",
    )
    def subscribe(wish: PushSubscription, member: Member, request: Request) -> Subscribed:
        if wish.channel not in channels.open:
            raise Problem("no-such-channel", 409, "Not at this mall", f"There are {', '.join(channels.open)}.")
        keys = wish.keys.model_dump() if wish.keys else {}
        address = Address(wish.endpoint, str(request.base_url).rstrip("/"), **keys)
        if wish.channel == WEB_PUSH:
            try:
                push.check(address)
            except NoService as problem:
                raise Problem("no-push-service", 422, "Not a push subscription", str(problem)) from None
        with ledger.write() as tx:
            return Subscribed(id=channels.subscribe(tx, member, wish.channel, address, clock()))

    @router.delete(
        "/v1/wallet/subscriptions/{subscription}",
        tags=["wallet"],
        status_code=204,
        responses=refusals(401, 403, 404),
        summary="Do not reach me here any more",
    )
    def unsubscribe(subscription: Annotated[str, Path(pattern=ID)], member: Member) -> None:
        with ledger.write() as tx:
            if not channels.unsubscribe(tx, member, subscription):
                raise Problem("not-found", 404, "No such subscription", "It is gone already, or never was.")

    @router.post(
        "/v1/wallet/shown",
        tags=["wallet"],
        status_code=204,
        responses=refusals(401, 403),
        summary="I have seen this coupon; then no other channel needs to be tried",
    )
    def shown(what: Shown, member: Member) -> None:
        with ledger.write() as tx:
            outbox.shown(tx, member, what.coupon, what.channel, clock())

    return router
