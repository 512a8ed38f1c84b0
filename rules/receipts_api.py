"""Receipts over HTTP: a shop tells of its own, an operator of any shop's.

Annotations are evaluated here, not left as text: FastAPI could not find the dependencies that each router makes.
"""

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Request
from pydantic import BaseModel, Field

from engine.access import Access
from engine.clock import Pace, system_clock
from engine.problems import not_allowed
from rules.api import refusals
from rules.lines import Line, Report
from rules.receipts import MOST_MINOR, Receipts


class ReceiptLine(BaseModel):
    """One receipt. A buyer who is no member may be left out; nothing is kept of them."""

    shop: str = Field("", max_length=64, description="May be left out by the shop itself")
    receipt: str = Field(max_length=64, description="The till's own number; counts once a shop")
    at: str = Field(max_length=40, description="2026-11-24 12:10 on the mall's clocks, or with an offset")
    amount_minor: int = Field(ge=-MOST_MINOR, le=MOST_MINOR, description="Minor units; below zero for money given back")
    member: str = Field("", max_length=128, description="The member's number or login")
    coupon: str = Field("", max_length=64, description="Code of a coupon redeemed with it")


def routes(*, receipts: Receipts, access: Access, pace: Pace) -> APIRouter:
    router = APIRouter()

    def teller(request: Request) -> str | None:
        """The shop that may tell of itself only, None for an operator."""
        caller = access.of(request)
        if caller.role not in ("shop", "operator"):
            raise not_allowed("a shop or an operator")
        return caller.subject if caller.role == "shop" else None

    @router.post(
        "/v1/receipts",
        tags=["till"],
        responses=refusals(401, 403),
        summary="Tell what was bought; the same receipt again changes nothing",
    )
    def take(
        told: Annotated[list[ReceiptLine], Body(min_length=1, max_length=1_000)],
        only: Annotated[str | None, Depends(teller)],
        dry_run: bool = False,
    ) -> Report:
        lines = [
            Line(number, {name: str(value) for name, value in one.model_dump().items()})
            for number, one in enumerate(told, 1)
        ]
        return receipts.take(lines, pace.now(), heard_real_ms=system_clock(), only=only, dry_run=dry_run)

    return router
