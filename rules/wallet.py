"""What a member sees: the coupons that arrived, why they came, and what the member allowed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Literal

import sqlalchemy as sa
from pydantic import BaseModel, Field

from engine import tables
from engine.clock import Pace
from engine.identity import Consent, Identity
from rules.arrivals import GREETING
from rules.codes import Codes
from rules.events import Row
from rules.invitations import Credited, credited
from rules.life import Act, State
from rules.outbox import ACCEPTED, SHOWN
from rules.parcel import CHANNELS
from rules.standing import CLOSED
from rules.tables import coupon, coupon_event, outbox

# The page shows what is live and what lately was; all of it is in the export of a member's data.
MOST_SHOWN = 50

Label = dict[str, str]


class ConsentState(BaseModel):
    """The last word on one purpose."""

    purpose: str
    granted: bool
    at_ms: int | None = Field(description="When that was said; null if never asked")


class ShopPlace(BaseModel):
    """Where a coupon can be spent."""

    key: str
    name: Label
    level: Label | None = Field(description="Short name of its level; null for a shop outside the mall")


class HeldCoupon(BaseModel):
    """A coupon in a member's wallet."""

    id: str
    offer: str
    title: Label
    terms: Label | None
    shops: list[ShopPlace]
    code: str = Field(description="XXXX-XXXX-XXXX-C")
    url: str = Field(description="What its QR code says: opens the till with the code filled in")
    state: Literal["issued", "redeemed", "void", "expired", "superseded"]
    closed: bool = Field(description="Taken back because the shops that redeem it closed early")
    issued_ms: int
    expires_ms: int
    redeemed_ms: int | None
    step: str
    journey: str
    why: Label = Field(description="Why the member got it, in plain words")


class BroughtBy(BaseModel):
    """The shop that brought the member, and for how long that counts."""

    shop: ShopPlace
    clerk: str = Field(description="Empty for the shop itself")
    from_ms: int
    until_ms: int
    called: str = Field(description="What the member lets that shop call them; empty for nothing")


class Wallet(BaseModel):
    """Everything a member's page shows, at one instant."""

    member: int
    name: str
    login: str = Field(description="The member's name on the mall's Wi-Fi")
    brought_by: BroughtBy | None
    consents: list[ConsentState]
    coupons: list[HeldCoupon] = Field(description="Newest first")
    at_ms: int
    speed: float = Field(description="How fast the mall's clock runs; 1 outside of demos")
    timezone: str


class Wallets:
    """Reads wallets out of the ledger."""

    def __init__(
        self,
        codes: Codes,
        identity: Identity,
        shops: Mapping[str, ShopPlace],
        pace: Pace,
        timezone: Callable[[], str],
        channels: Collection[str],
    ) -> None:
        """channels  those of this mall: a member is asked about no others"""
        self.not_here = set(CHANNELS) - set(channels)
        self._codes, self._identity, self._shops, self._pace, self._timezone = codes, identity, shops, pace, timezone

    def read(self, tx: sa.Connection, member: int, origin: str) -> Wallet | None:
        """The wallet of *member*, with links to *origin*; None if there is no such member (any more)."""
        m = tables.member.c
        known = tx.execute(sa.select(m.name, m.login).where(m.id == member)).first()
        if known is None:
            return None
        now_ms = self._pace.now()
        credit = credited(tx, member, now_ms)
        arrived = sa.exists().where(outbox.c.coupon == coupon.c.id, outbox.c.state.in_((ACCEPTED, SHOWN)))
        newest = sa.select(coupon).where(coupon.c.member == member, arrived)
        rows = tx.execute(newest.order_by(coupon.c.issued_ms.desc(), coupon.c.id).limit(MOST_SHOWN)).mappings().all()
        line = coupon_event.c
        closings = sa.select(line.coupon).where(line.act == Act.VOID, line.reason == CLOSED)
        closed = set(tx.execute(closings.where(line.coupon.in_([row["id"] for row in rows]))).scalars())
        return Wallet(
            member=member,
            name=known.name,
            login=known.login,
            brought_by=self._brought_by(credit),
            consents=[ConsentState(**consent._asdict()) for consent in self._consents(tx, member, credit)],
            coupons=[self._held(row, now_ms, origin, closed=row["id"] in closed) for row in rows],
            at_ms=now_ms,
            speed=self._pace.speed,
            timezone=self._timezone(),
        )

    def _consents(self, tx: sa.Connection, member: int, credit: Credited | None) -> list[Consent]:
        """Nobody is asked about a channel that is not here, or about a shop that brought nobody."""
        out = self.not_here if credit else self.not_here | {GREETING}
        return [one for one in self._identity.consents(tx, member) if one.purpose not in out]

    def _brought_by(self, credit: Credited | None) -> BroughtBy | None:
        if credit is None:
            return None
        copied = ("clerk", "from_ms", "until_ms", "called")
        return BroughtBy(shop=self.place(credit.shop), **{name: getattr(credit, name) for name in copied})

    def place(self, shop: str) -> ShopPlace:
        """A shop as members know it; one that left the plan by its key."""
        return self._shops.get(shop) or ShopPlace(key=shop, name={"en": shop}, level=None)

    def _held(self, row: Row, now_ms: int, origin: str, *, closed: bool) -> HeldCoupon:
        code = self._codes.of(row["id"], row["code_turn"])
        copied = ("id", "offer", "title", "terms", "issued_ms", "expires_ms", "redeemed_ms", "step", "journey", "why")
        return HeldCoupon(
            **{name: row[name] for name in copied},
            shops=[self.place(key) for key in row["shops"]],
            code=code,
            # Behind the # it stays in the browser: no server and no proxy writes it into a log.
            url=f"{origin}/till#code={code}",
            state=_shown(row, now_ms),
            closed=closed,
        )


def _shown(row: Row, now_ms: int) -> Literal["issued", "redeemed", "void", "expired", "superseded"]:
    """The state in a member's words: a coupon is over when its time is, swept up or not."""
    match State(row["state"]):
        case State.ISSUED:
            return "issued" if now_ms < row["expires_ms"] else "expired"
        case State.REDEEMED:
            return "redeemed"
        case State.EXPIRED:
            return "expired"
        case State.VOID:
            return "void" if row["superseded_by"] is None else "superseded"
