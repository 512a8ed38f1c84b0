"""Why and why not, over HTTP: to operators about any member, on record; to a member about their own coupons.

Annotations are evaluated here, not left as text: FastAPI could not find the dependencies that each router makes.
"""

from collections.abc import Callable
from datetime import date
from typing import Annotated

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Path, Query

from engine.access import Access
from engine.clock import Pace
from engine.ledger import Ledger
from engine.problems import Problem
from rules import explain
from rules.api import refusals
from rules.book import Book
from rules.explain import Explanation, Reasons
from rules.past import decision_of, is_member, look_back
from rules.shelf import Shelf
from rules.tables import lookup
from rules.times import MINUTE_MS, Calendar, NotTime, minute_of


class NotYet(ValueError):
    """An instant that is still to come."""


def instant(calendar: Calendar, hour: str | None, day: date | None, now_ms: int) -> int:
    """The last ms of a local minute, or now. Raises NotTime for no hour, NotYet for one to come.

    Who asks about 12:10 means what was decided within that minute, too.
    """
    if hour is None:
        return now_ms if day is None else min(now_ms, calendar.instant_ms(day, 24 * 60) - 1)
    from_ms = calendar.instant_ms(day or calendar.day(now_ms), minute_of(hour))
    if from_ms > now_ms:
        raise NotYet(f"{calendar.local(from_ms):%Y-%m-%d %H:%M} is still to come")
    return min(now_ms, from_ms + MINUTE_MS - 1)


def explained(
    ledger: Ledger, shelf: Shelf, book: Book, member: int, at_ms: int, step: str | None, *, actor: str, now_ms: int
) -> Explanation:
    """The answers about one member, and on record that *actor* asked."""
    with ledger.write() as tx:
        about = f"explain {book.calendar.local(at_ms):%Y-%m-%d %H:%M}"
        tx.execute(sa.insert(lookup).values(at_ms=now_ms, actor=actor, member=member, about=about))
    with ledger.read() as tx:
        past = look_back(ledger, tx, member, at_ms)
        return explain.explain(past, book, lambda version: shelf.readable(tx, version), step=step)


def routes(*, ledger: Ledger, shelf: Shelf, book: Callable[[], Book], access: Access, pace: Pace) -> APIRouter:
    router = APIRouter()

    @router.get(
        "/v1/members/{member}/explain",
        tags=["members"],
        responses=refusals(401, 403, 404),
        summary="Why, and why not: what was decided about a member at an instant. Every look is on record",
    )
    def explain_member(
        operator: Annotated[str, Depends(access.operator)],
        member: Annotated[int, Path(ge=1, le=2**53)],
        at: Annotated[str | None, Query(pattern=r"^\d{1,2}:\d{2}$", description="Local, as in 12:10; now")] = None,
        day: Annotated[date | None, Query(ge=date(2000, 1, 1), le=date(2999, 12, 31), description="Today")] = None,
        step: Annotated[str | None, Query(max_length=48, description="Only this step of each journey")] = None,
    ) -> Explanation:
        now_ms = pace.now()
        try:
            at_ms = instant(book().calendar, at, day, now_ms)
        except (NotTime, NotYet) as problem:
            raise Problem("no-such-instant", 422, "No such instant", f"{problem}.") from None
        with ledger.read() as tx:
            if not is_member(tx, member):
                raise Problem("not-found", 404, "No such member", "This member is not with us (any more).")
        return explained(ledger, shelf, book(), member, at_ms, step, actor=f"operator:{operator}", now_ms=now_ms)

    @router.get(
        "/v1/wallet/coupons/{coupon}/why",
        tags=["wallet"],
        responses=refusals(401, 403, 404),
        summary="Why did I get this? What was so of me when it was given",
    )
    def why(
        member: Annotated[int, Depends(access.member)],
        coupon: Annotated[str, Path(max_length=64, pattern="^[0-9a-f]+$")],
    ) -> Reasons:
        with ledger.read() as tx:
            decided = decision_of(tx, member, coupon)
            version = shelf.readable(tx, decided.version) if decided else None
        if decided is None:
            raise Problem("not-found", 404, "No such coupon", "This coupon is not one of yours.")
        return explain.why(decided, version or book())

    return router
