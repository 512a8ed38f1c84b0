"""What is known of one member at one moment, and how each event changes it. Pure; rules.recall loads and stores it.

Everything about the visit comes from the events alone, so the same events give the same standing.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from engine.events import (
    ConsentChanged,
    Moment,
    VisitEnded,
    VisitResumed,
    VisitSilent,
    VisitStarted,
    ZoneDwelt,
    ZoneEntered,
    ZoneLeft,
)
from rules.absence import Absence, absence_after
from rules.events import (
    BecameResident,
    BecameVisitor,
    CouponExpired,
    CouponMoment,
    CouponRedeemed,
    CouponRestored,
    CouponSuperseded,
    CouponVoided,
    MoneySpent,
)
from rules.off import NOTHING, Off
from rules.times import DAY_MS

OFFERS_CONSENT, PRESENCE_CONSENT = "personal_offers", "presence"
# Enough for "ten visits within ninety days"; a member who comes daily needs no longer memory to be a regular.
MOST_VISITS_REMEMBERED = 100
# How long each visit lasted is kept for a week, and a day to be sure: it tells who works here.
LENGTHS_WINDOW_MS = 8 * DAY_MS
# More than three a day for as long as may be asked about.
MOST_PURCHASES_REMEMBERED = 300
# Money spent longer ago is not loaded for a decision, so no condition may ask for it.
SPENDING_WINDOW_MS = 90 * DAY_MS

CONSENT_WITHDRAWN = "consent-withdrawn"
REDEEMED, VOID, EXPIRED, SUPERSEDED = "redeemed", "void", "expired", "superseded"
# Taken back because no shop that redeems it is open within its time; of a coupon, the reason of its void.
CLOSED = "closed"


class Profile(NamedTuple):
    """What the member told when joining. birthday is MM-DD; home_km the way home; attributes what the mall knows."""

    birthday: str | None = None
    language: str = "en"
    home_km: float | None = None
    attributes: Mapping[str, str | float] = MappingProxyType({})


class Purchase(NamedTuple):
    """Money spent in a shop, as its till or a receipt told; whether with a coupon or not."""

    at_ms: int
    shop: str
    amount_minor: int


class Spent(NamedTuple):
    """A purchase as it is remembered. key: its receipt or, where one was redeemed with it, its coupon."""

    key: str
    at_ms: int
    shop: str
    amount_minor: int


class Exposure(msgspec.Struct, frozen=True, gc=False):
    """An offer the member was given or, held out (ghost), would have been: what limits count and chains wait for."""

    id: str
    member: int
    visit: str
    journey: str
    instance: str
    step: str
    rung: int
    offer: str
    coupon: str | None  # None for a ghost
    ghost: bool
    visit_bound: bool
    at_ms: int
    expires_ms: int
    ended_ms: int | None = None
    outcome: str = ""  # redeemed, void, expired, superseded, closed; "" while it is out
    propensity: float = 1.0  # with what probability it was to be sent
    drawn: bool = True  # False: chance said not to send it

    @property
    def upgrade(self) -> bool:
        return self.rung > 0

    def live(self, now_ms: int) -> bool:
        return self.ended_ms is None and now_ms < self.expires_ms


class Visit(msgspec.Struct, frozen=True):
    """The visit that goes on. silent_ms is the last evidence while nothing is heard, None while the member is."""

    key: str
    started_ms: int
    silent_ms: int | None = None
    inside: dict[str, int] = {}  # zone -> since when
    dwelt_ms: dict[str, int] = {}  # zone -> length of the stays that ended; a zone entered before is in here

    @property
    def present(self) -> bool:
        return self.silent_ms is None

    def entered(self, zones: frozenset[str]) -> bool:
        return not zones.isdisjoint(self.dwelt_ms)

    def stayed_ms(self, zones: frozenset[str], now_ms: int) -> int:
        """Time in these zones so far; a stay that goes on counts up to the last evidence."""
        until_ms = now_ms if self.silent_ms is None else min(now_ms, self.silent_ms)
        ended = sum(length_ms for zone, length_ms in self.dwelt_ms.items() if zone in zones)
        return ended + sum(max(0, until_ms - since_ms) for zone, since_ms in self.inside.items() if zone in zones)

    def after(self, event: Moment) -> Visit:
        match event:
            case ZoneEntered(zone=zone, at_ms=at_ms):
                return msgspec.structs.replace(
                    self,
                    silent_ms=None,
                    inside=self.inside | {zone: at_ms},
                    dwelt_ms={zone: 0} | self.dwelt_ms,
                )
            case ZoneLeft(zone=zone, dwell_ms=dwell_ms):
                rest = {key: since_ms for key, since_ms in self.inside.items() if key != zone}
                total = {zone: self.dwelt_ms.get(zone, 0) + dwell_ms}
                return msgspec.structs.replace(self, inside=rest, dwelt_ms=self.dwelt_ms | total)
            case VisitSilent(last_ms=last_ms):
                return msgspec.structs.replace(self, silent_ms=last_ms)
            case VisitResumed() | ZoneDwelt() if self.silent_ms is not None:
                return msgspec.structs.replace(self, silent_ms=None)
        return self


class Memory(msgspec.Struct, frozen=True):
    """What is kept of a member between events and restarts."""

    visit: Visit | None = None
    absence: Absence | None = None  # since the last visit; None during one, and where it cannot be known
    visits_ms: tuple[int, ...] = ()  # when each visit started, oldest first, this one included
    started_ms: dict[str, int] = {}  # journey -> when its last instance started
    dwelt_ms: dict[str, int] = {}  # zone -> time spent there in the visits that ended
    spent: tuple[Spent, ...] = ()  # within the time that may be asked about, oldest first
    lasted_ms: dict[int, int] = {}  # start of a visit that ended lately -> its length
    resident: bool = False  # as it was last told, see rules.residents

    @property
    def purchases(self) -> tuple[Purchase, ...]:
        return tuple(Purchase(*spent[1:]) for spent in self.spent)

    def after(self, event: Moment) -> Memory:
        match event:
            case MoneySpent(shop=shop, amount_minor=amount_minor):
                key = event.coupon or f"{shop}\0{event.receipt}"
                return self._having_spent(Spent(key, event.at_ms, shop, amount_minor))
            case CouponRedeemed(shop=shop, amount_minor=int(amount_minor)):
                # The receipt of the same purchase may have been told before.
                if all(spent.key != event.coupon for spent in self.spent):
                    return self._having_spent(Spent(event.coupon, event.at_ms, shop, amount_minor))
                return self
            case ConsentChanged(purpose=purpose, granted=False) if purpose == PRESENCE_CONSENT and self.absence:
                # Whoever is not looked for may come and go: nobody knows how long they have been away.
                return msgspec.structs.replace(self, absence=None)
            case CouponRestored():
                rest = tuple(spent for spent in self.spent if spent.key != event.coupon)
                return self if len(rest) == len(self.spent) else msgspec.structs.replace(self, spent=rest)
        if isinstance(event, BecameResident | BecameVisitor):
            return msgspec.structs.replace(self, resident=isinstance(event, BecameResident))
        if isinstance(event, VisitStarted):
            if self.visit is not None and self.visit.key == event.visit:
                return self
            return msgspec.structs.replace(
                self,
                visit=Visit(event.visit, event.at_ms),
                absence=None,
                visits_ms=(*self.visits_ms, event.at_ms)[-MOST_VISITS_REMEMBERED:],
            )
        if self.visit is None or self.visit.key != event.visit:
            return self  # late news of an earlier visit
        if isinstance(event, VisitEnded):
            total = {zone: self.dwelt_ms.get(zone, 0) + dwelt_ms for zone, dwelt_ms in self.visit.dwelt_ms.items()}
            absence = None if event.cause == CONSENT_WITHDRAWN else absence_after(event.visit, event.at_ms)
            lasted_ms = self.lasted_ms | {self.visit.started_ms: event.dwell_ms}
            return msgspec.structs.replace(
                self,
                visit=None,
                absence=absence,
                dwelt_ms=self.dwelt_ms | total,
                lasted_ms={at: ms for at, ms in lasted_ms.items() if at + ms > event.at_ms - LENGTHS_WINDOW_MS},
            )
        visit = self.visit.after(event)
        return self if visit is self.visit else msgspec.structs.replace(self, visit=visit)

    def _having_spent(self, new: Spent) -> Memory:
        newest_ms = max(new.at_ms, *(spent.at_ms for spent in self.spent[-1:]), 0)
        others = (spent for spent in self.spent if spent.key != new.key)
        kept = sorted((*others, new), key=lambda spent: (spent.at_ms, spent.key))
        kept = [spent for spent in kept if spent.at_ms > newest_ms - SPENDING_WINDOW_MS][-MOST_PURCHASES_REMEMBERED:]
        return msgspec.structs.replace(self, spent=tuple(kept))


class Standing(NamedTuple):
    """All that a decision about one member may rest on.

    exposures  of the last 30 days at least, oldest first
    purchases  those the memory keeps, oldest first
    room       how many more of an offer its capacity lets go now; an offer without capacity is not in it
    off        what is switched off now
    """

    member: int
    profile: Profile = Profile()
    consents: frozenset[str] = frozenset()
    memory: Memory = Memory()
    exposures: tuple[Exposure, ...] = ()
    purchases: tuple[Purchase, ...] = ()
    room: Mapping[str, int] = MappingProxyType({})
    off: Off = NOTHING

    @property
    def visit(self) -> Visit | None:
        return self.memory.visit

    @property
    def place(self) -> str | None:
        """The key of the visit, or else of the absence, that instances belong to now."""
        now = self.memory.visit or self.memory.absence
        return now.key if now else None

    @property
    def present(self) -> bool:
        return self.visit is not None and self.visit.present

    def after(self, event: Moment) -> Standing:
        """The standing once *event* is known."""
        memory = self.memory.after(event)
        if memory is not self.memory:
            self = self._replace(memory=memory, purchases=memory.purchases)
        if isinstance(event, CouponMoment):
            return self._replace(exposures=tuple(_after(exposure, event) for exposure in self.exposures))
        return self

    def exposed(self, exposure: Exposure) -> Standing:
        return self._replace(exposures=(*self.exposures, exposure))

    def ended(self, exposure_id: str, at_ms: int, outcome: str) -> Standing:
        """With that exposure no longer out."""
        return self._replace(
            exposures=tuple(
                msgspec.structs.replace(exposure, ended_ms=at_ms, outcome=outcome)
                if exposure.id == exposure_id
                else exposure
                for exposure in self.exposures
            )
        )

    def begun(self, journey: str, at_ms: int) -> Standing:
        started_ms = self.memory.started_ms | {journey: at_ms}
        return self._replace(memory=msgspec.structs.replace(self.memory, started_ms=started_ms))

    def exposure(self, exposure_id: str) -> Exposure | None:
        return next((exposure for exposure in self.exposures if exposure.id == exposure_id), None)

    def of_step(self, instance: str, step: str) -> list[Exposure]:
        return [one for one in self.exposures if one.instance == instance and one.step == step]

    def live(self, now_ms: int) -> list[Exposure]:
        return [exposure for exposure in self.exposures if exposure.live(now_ms)]

    def redeemed(self, offers: frozenset[str]) -> bool:
        """Whether one of *offers* was redeemed of those given in this visit."""
        return self.visit is not None and any(
            exposure.outcome == REDEEMED and exposure.offer in offers and exposure.visit == self.visit.key
            for exposure in self.exposures
        )


def _after(exposure: Exposure, event: CouponMoment) -> Exposure:
    if exposure.coupon != event.coupon:
        return exposure
    match event:
        case CouponRedeemed():
            outcome = REDEEMED
        case CouponSuperseded():
            outcome = SUPERSEDED
        case CouponVoided(reason=reason):
            outcome = CLOSED if reason == CLOSED else VOID
        case CouponExpired():
            outcome = EXPIRED
        case CouponRestored(state="issued"):
            return msgspec.structs.replace(exposure, ended_ms=None, outcome="")
        case CouponRestored():
            outcome = VOID
        case _:
            return exposure
    return msgspec.structs.replace(exposure, ended_ms=event.at_ms, outcome=outcome)
