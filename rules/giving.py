"""What is written when a coupon is given: one statement decides, and all else follows it or is not written either."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import NamedTuple

import sqlalchemy as sa

from engine.events import id_of
from engine.hot import ALWAYS, Chain, Following, constant, inserting
from engine.ledger import Ledger
from rules.book import AT_ONCE, THE_MALL, Redeem
from rules.budgets import Charge, charged, fits, reserving
from rules.capacity import Room, asked, taken
from rules.codes import Codes, tail
from rules.events import CouponIssued, moment
from rules.life import Act, after
from rules.tables import coupon, coupon_event, outbox

# All else of a coupon comes later, or is the same for each that begins.
FIRST = {"state": constant(after(None, Act.ISSUE)), "uses": constant(0)}
LATER = ("opened_ms", "redeemed_ms", "ended_ms", "superseded_by")
GIVEN = tuple(column for column in coupon.c if column.name not in (*LATER, *FIRST))
# What follows: columns and the names of their values.
NOTE = {"coupon": "id", "act": constant(Act.ISSUE), "at_ms": "issued_ms", "actor": "actor", "reason": "cause"}
PARCEL = {
    **{name: name for name in ("member", "instance", "step", "rung", "heard_real_ms")},
    "id": "parcel", "coupon": "id", "channel": constant("inbox"), "not_before_ms": "issued_ms",
    "expires_ms": "parcel_expires_ms", "state": constant("queued"),
}  # fmt: skip


@dataclass(frozen=True)
class New:
    """A coupon to be given. Amounts are minor units.

    cause          id of the event or deadline it answers
    heard_real_ms  when the engine heard what led to it; the latency of its delivery counts from here
    reserve        what to set aside of each budget; None is the full cost. Below the cost it bets that
                   not everybody redeems: say so in the book
    rooms          the capacities it takes up
    supersedes     the coupon it takes the place of: both happen or neither
    wait_ms        how long it is waited for before a better one takes its place: later it need not arrive any more
    funder         who pays the cost
    redeem         what a till asks besides the code
    """

    member: int
    visit: str
    journey: str
    instance: str
    step: str
    rung: int
    offer: str
    shops: tuple[str, ...]
    cost: int
    issued_ms: int
    expires_ms: int
    cause: str
    heard_real_ms: int
    title: Mapping[str, str]
    why: Mapping[str, str]
    terms: Mapping[str, str] | None = None
    reserve: int | None = None
    budgets: tuple[Charge, ...] = ()
    rooms: tuple[Room, ...] = ()
    supersedes: str | None = None
    actor: str = "journey"
    wait_ms: int | None = None
    funder: str = THE_MALL
    redeem: Redeem = AT_ONCE

    @cached_property
    def id(self) -> str:
        """The same step and rung of the same instance is the same coupon."""
        return id_of("coupon", self.instance, self.step, self.rung)

    @property
    def reserved(self) -> int:
        return self.cost if self.reserve is None else self.reserve

    @property
    def shape(self) -> Shape:
        return Shape(len(self.budgets), tuple([(room.scope, room.is_of_live) for room in self.rooms]))

    def values(self, codes: Codes, turn: int) -> dict[str, object]:
        """What Giving writes; its code is the *turn*th that it could have."""
        code, redeem = codes.of(self.id, turn), self.redeem
        found: dict[str, object] = {
            **vars(self),
            "title": dict(self.title),
            "terms": None if self.terms is None else dict(self.terms),
            "why": dict(self.why),
            "starts_ms": self.issued_ms + redeem.after_ms,
            "from_minute": redeem.hours and redeem.hours.from_minute,
            "until_minute": redeem.hours and redeem.hours.until_minute,
            "spend_minor": redeem.spend_minor,
            "reserve": self.reserved,
            "budgets": [(charge.scope, charge.span) for charge in self.budgets],
            "code_turn": turn,
            "code_digest": codes.digest(code),
            "code_tail": tail(code),
            "parcel": id_of("outbox", self.instance, self.step, self.rung, "inbox"),
            "parcel_expires_ms": min(self.expires_ms, self.issued_ms + (self.wait_ms or self.expires_ms)),
            **charged(self.budgets),
        }
        for n, room in enumerate(self.rooms):
            found |= {f"most_{n}": room.most, **asked(room, n)}
        return found


class Shape(NamedTuple):
    """What the statements of one coupon and another differ in: how many charges it has, and which kinds of rooms."""

    charges: int
    rooms: tuple[tuple[str, bool], ...]


class Giving:
    """Writes coupons into one ledger; the statements of each shape are built once."""

    def __init__(self, ledger: Ledger, codes: Codes) -> None:
        self._ledger, self._codes = ledger, codes
        self._chains: dict[Shape, Chain] = {}

    def __call__(self, tx: sa.Connection, new: New, turn: int) -> bool:
        """Write the coupon with its money, first line, outbox row and event, or nothing; whether it was written.

        Not written: its member holds another, it was given before, its code is another's, or room or money is short.
        """
        shape = new.shape
        chain = self._chains.get(shape) or self._chains.setdefault(shape, self._chain(shape))
        values = new.values(self._codes, turn)
        event = moment(CouponIssued, values, new.issued_ms, expires_ms=new.expires_ms)
        values |= self._ledger.told(event, new.heard_real_ms)
        given, *more = chain(tx, values)
        if not given:
            return False
        numbers, *reserved = more
        if sum(map(len, reserved)) < len(new.budgets):
            raise RuntimeError(f"money for coupon {new.id} was there and was not: two write to this ledger at once")
        self._ledger.numbered(tx, partial(list, numbers))
        return True

    def _chain(self, shape: Shape) -> Chain:
        wanted = [ALWAYS, *map(fits, range(shape.charges))]
        for n, kind in enumerate(shape.rooms):
            wanted.append(taken(*kind, n).scalar_subquery() < sa.bindparam(f"most_{n}", type_=sa.Integer))
        row = {column.name: sa.bindparam(column.name, type_=column.type) for column in GIVEN} | FIRST
        decides = self._ledger.insert(coupon).from_select(list(row), sa.select(*row.values()).where(*wanted))
        follow: list[Following] = [
            partial(inserting, coupon_event, NOTE),
            partial(inserting, outbox, PARCEL),
            self._ledger.appending,
        ]
        if shape.charges:
            follow.append(partial(reserving, self._ledger, shape.charges))
        return Chain(self._ledger.database.dialect, decides.on_conflict_do_nothing().returning(coupon.c.id), follow)
