"""Switches over HTTP: operators stop what must stop, and a shop says at its till that it closes early.

Annotations are evaluated here, not left as text: FastAPI could not find the dependencies that each router makes.
"""

from collections.abc import Callable, Collection
from typing import Annotated, Literal

import sqlalchemy as sa
import structlog
from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, Field

from engine.access import Access
from engine.clock import Clock
from engine.ledger import Ledger
from engine.problems import Problem
from rules.api import NO_NUL, refusals
from rules.book import Book
from rules.off import KINDS, MALL, SHOP
from rules.switches import Switch, Switches
from rules.times import NotTime, until_ms

log = structlog.get_logger()

MOST_TURNS = 200
Kind = Annotated[Literal["mall", "journey", "offer", "shop", "channel"], Path(description="What it stops")]
Name = Annotated[
    str, Path(min_length=1, max_length=64, pattern=NO_NUL, description="Which one; of the mall itself: mall")
]
Until = Annotated[
    str | None,
    Field(
        max_length=40,
        pattern=NO_NUL,
        description="Off until then: tomorrow, 18:00, 2026-11-24 18:00, or for so long: 2h. Left out: until it is "
        "switched on again. All hours are the mall's",
    ),
]
Reason = Annotated[str, Field(max_length=200, pattern=NO_NUL, description="Why; it stays on record")]


class Turn(BaseModel):
    is_on: bool
    until: Until = None
    reason: Reason = ""


class SwitchState(BaseModel):
    """One switch as it stands now, or, in a history, as it was turned."""

    kind: str
    name: str
    is_on: bool
    until_ms: int | None = Field(description="Off until then; null: until it is switched on again")
    reason: str
    actor: str = Field(description="operator:kim, shop:cafe-luna, command line:kim, engine")
    at_ms: int | None = Field(description="When it was last turned; null if never")


class OpeningState(BaseModel):
    """Whether offers for this shop are given now."""

    shop: str
    is_open: bool
    until_ms: int | None = Field(description="Closed until then; null: until it opens again")
    reason: str


class Open(BaseModel):
    is_open: bool
    until: Until = None
    reason: Reason = ""


class NoSuchSwitch(ValueError):
    """Nothing of that name can be switched."""


class Board:
    """Every switch of one mall: what there is to switch, and the turning itself, for the API and the command line."""

    def __init__(
        self, ledger: Ledger, book: Callable[[], Book], shops: Collection[str], channels: Collection[str]
    ) -> None:
        """book  tells which one is in force"""
        self.switches = Switches(ledger)
        self._book, self._shops, self._channels = book, shops, channels

    def all(self, tx: sa.Connection, now_ms: int) -> list[SwitchState]:
        """What there is to switch, and whatever else was ever turned."""
        turned = self.switches.turned(tx)
        every = {(kind, name) for kind in KINDS for name in self._names(kind)} | set(turned)
        ordered = sorted(every, key=lambda which: (KINDS.index(which[0]), which[1]))
        return [_state(turned.get(which, Switch(*which)), now_ms) for which in ordered]

    def turn(self, tx: sa.Connection, kind: str, name: str, to: Turn, actor: str, now_ms: int) -> SwitchState:
        """Raises NoSuchSwitch and NotTime."""
        if not to.is_on and name not in self._names(kind):
            known = ", ".join(sorted(self._names(kind)))
            raise NoSuchSwitch(f"there is no {kind} '{name}' to switch off: there is {known}")
        calendar = self._book().calendar
        ends_ms = None if to.is_on or to.until is None else until_ms(to.until, calendar, now_ms)
        done = self.switches.turn(tx, Switch(kind, name, to.is_on, ends_ms, to.reason, actor, now_ms))
        return _state(done, now_ms)

    def _names(self, kind: str) -> Collection[str]:
        match kind:
            case "mall":
                return (MALL,)
            case "journey":
                return self._book().journeys
            case "offer":
                return self._book().offers
            case "shop":
                return self._shops
            case _:
                return self._channels


def routes(ledger: Ledger, board: Board, access: Access, clock: Clock) -> APIRouter:
    router = APIRouter()
    Operator = Annotated[str, Depends(access.operator)]
    Shop = Annotated[str, Depends(access.shop)]

    def turn(kind: str, name: str, to: Turn, actor: str) -> SwitchState:
        try:
            with ledger.write() as tx:
                done = board.turn(tx, kind, name, to, actor, clock())
        except NoSuchSwitch as problem:
            raise Problem("no-such-switch", 404, "No such switch", f"{problem}.") from None
        except NotTime as problem:
            raise Problem("no-such-instant", 422, "No such instant", f"{problem}.") from None
        log.info("a switch was turned", kind=kind, name=name, is_on=to.is_on, by=actor, reason=to.reason)
        return done

    @router.get(
        "/v1/switches", tags=["switches"], dependencies=[Depends(access.operator)], responses=refusals(401, 403),
        summary="Everything that can be switched off, and how it stands",
    )  # fmt: skip
    def every() -> list[SwitchState]:
        with ledger.read() as tx:
            return board.all(tx, clock())

    @router.get(
        "/v1/switches/{kind}/{name}/turns", tags=["switches"], dependencies=[Depends(access.operator)],
        responses=refusals(401, 403), summary="Who turned it, when and why; the newest first",
    )  # fmt: skip
    def turns(kind: Kind, name: Name) -> list[SwitchState]:
        with ledger.read() as tx:
            return [SwitchState(**one._asdict()) for one in board.switches.history(tx, kind, name, MOST_TURNS)]

    @router.put(
        "/v1/switches/{kind}/{name}", tags=["switches"], responses=refusals(401, 403, 404),
        summary="Switch it off or on, at once. What is out stays redeemable; runs of journeys pause and go on",
    )  # fmt: skip
    def put(kind: Kind, name: Name, to: Turn, operator: Operator) -> SwitchState:
        return turn(kind, name, to, f"operator:{operator}")

    @router.get(
        "/v1/opening", tags=["till"], responses=refusals(401, 403), summary="Whether offers for this shop are given now"
    )
    def opening(shop: Shop) -> OpeningState:
        with ledger.read() as tx:
            return _opening(_state(board.switches.of(tx, SHOP, shop), clock()))

    @router.put(
        "/v1/opening", tags=["till"], responses=refusals(401, 403, 404),
        summary="Close early, or open again: members are sent here no more, and who was is given something else. "
        "Whoever stands at the till is still served",
    )  # fmt: skip
    def close_or_open(to: Open, shop: Shop) -> OpeningState:
        turned = Turn(is_on=to.is_open, until=to.until, reason=to.reason)
        return _opening(turn(SHOP, shop, turned, f"shop:{shop}"))

    return router


def _state(one: Switch, now_ms: int) -> SwitchState:
    is_on = one.on_at(now_ms)
    return SwitchState(**one._asdict() | {"is_on": is_on, "until_ms": None if is_on else one.until_ms})


def _opening(state: SwitchState) -> OpeningState:
    return OpeningState(shop=state.name, is_open=state.is_on, until_ms=state.until_ms, reason=state.reason)
