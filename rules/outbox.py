"""From a coupon given to a coupon seen: what is queued is checked once more, delivered, and told to open pages.

The inbox is the wallet page, so delivering there is the same transaction as deciding to: nothing can be sent twice, and
a crash before the commit leaves the row queued. Other channels are somebody else's servers: a row is leased, handed to
rules.sending and reported back, and a lease that nobody reported on is tried again. A late coupon is worse than none,
so rows expire.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import NamedTuple

import sqlalchemy as sa

from engine.events import id_of
from engine.identity import Identity
from engine.ledger import Ledger
from engine.tables import event, member
from rules.channels import Channels
from rules.coupons import Coupons
from rules.events import CouponDelivered, CouponIssued, CouponMoment, CouponSuppressed, Row, moment
from rules.life import State
from rules.off import CHANNEL
from rules.parcel import INBOX, Outcome, Parcel, next_try_ms, topic_of
from rules.switches import Switch
from rules.tables import QUEUED, coupon, outbox
from rules.times import MINUTE_MS, SECOND_MS

OFFERS = "personal_offers"
# One transaction carries at most this many: a till that waits for it should not notice.
ROWS_PER_ROUND = 200
# How long a channel has to have the coupon shown before the next one is tried: a phone in a pocket takes that long.
SHOWN_WITHIN_MS = 20 * SECOND_MS
# Longer than a sender may take; what is not reported by then is sent again, under the same topic.
LEASE_MS = MINUTE_MS
QUEUED_STATE, LEASED, ACCEPTED, SHOWN, EXPIRED = "queued", "leased", "accepted", "shown", "expired"
HOPEFUL = (QUEUED_STATE, LEASED, ACCEPTED, SHOWN)

# How long quiet hours last from this instant on: when they end, or None if it is not quiet.
Quiet = Callable[[int], int | None]


class Verdict(NamedTuple):
    """What becomes of an outbox row; reason is empty where it is sent. until_ms: it is held that long."""

    state: str
    reason: str
    until_ms: int = 0


class Facts(NamedTuple):
    """What is true now of a queued coupon and its member.

    granted      the purposes the member consents to; a channel is a purpose of its own
    off          channels that are switched off
    seen         the coupon was shown on another channel
    gone         the visit it was given in is over
    quiet_until  when quiet hours end; None if it is not quiet
    """

    granted: frozenset[str]
    off: frozenset[str] = frozenset()
    seen: bool = False
    gone: bool = False
    quiet_until: int | None = None


def verdict(row: Row, facts: Facts, now_ms: int) -> Verdict:
    """Whether a queued coupon may still be sent: what was true when it was decided may not be true any more.

    row  of the outbox, with `coupon_state` beside it
    """
    if row["coupon_state"] != State.ISSUED:
        return Verdict("suppressed:not-live", "not-live")
    if now_ms >= row["expires_ms"]:
        return Verdict(EXPIRED, "too-late")
    if row["channel"] in facts.off:
        return Verdict("suppressed:switched-off", "switched-off")
    for purpose in (OFFERS, row["channel"]):
        if purpose not in facts.granted:
            return Verdict("suppressed:no-consent", f"no-consent:{purpose}")
    if facts.gone:
        return Verdict("suppressed:gone", "gone")
    if facts.seen:
        return Verdict("suppressed:seen", "seen")
    if facts.quiet_until is not None:
        if facts.quiet_until >= row["expires_ms"]:
            return Verdict("suppressed:quiet", "quiet")
        return Verdict(QUEUED_STATE, "quiet", facts.quiet_until)
    return Verdict(ACCEPTED, "")


def _issued_id(row: Row) -> str:
    """The id of the event that told of the coupon of an outbox row."""
    return id_of(CouponIssued.__struct_config__.tag, row["coupon"])


class Outbox:
    """Carries queued coupons to the members' inboxes, and leases what other channels shall carry.

    quiet     as the book says now
    chance    evenly between 0 and 1
    """

    def __init__(
        self,
        ledger: Ledger,
        coupons: Coupons,
        identity: Identity,
        channels: Channels,
        *,
        quiet: Quiet = lambda _: None,
        chance: Callable[[], float] = lambda: 0.5,
        speed: float = 1.0,
    ) -> None:
        self._ledger, self._coupons, self._identity, self._channels = ledger, coupons, identity, channels
        self._quiet, self._chance, self._speed = quiet, chance, speed

    def round(self, now_ms: int, real_ms: int, room: int = 0) -> tuple[int, list[Parcel]]:
        """Decide on everything that is due at *now_ms*: how many rows that were, and what senders shall send now.

        real_ms  the wall clock's now
        room     how many parcels the senders can take; other rows of their channels stay queued
        """
        with self._ledger.read() as tx:
            # Mostly nothing is due, and then nobody should have to wait for a writer.
            if not self._due(tx, now_ms, room, 1):
                return 0, []
        parcels: list[Parcel] = []
        with self._ledger.write() as tx:
            due = self._due(tx, now_ms, room, ROWS_PER_ROUND)
            facts = self._facts(tx, due, now_ms)
            for heard_real_ms, rows in groupby(due, key=lambda row: int(row["heard_real_ms"])):
                events: list[CouponMoment] = []
                for row in rows:
                    decided = verdict(row, facts[row["id"]], now_ms)
                    if decided.state == ACCEPTED and row["channel"] != INBOX:
                        parcels += self._lease(tx, row, now_ms)
                    elif decided.state == QUEUED_STATE:
                        self._change(tx, row["id"], not_before_ms=decided.until_ms)
                    else:
                        events += self._carry(tx, row, decided, facts[row["id"]].granted, now_ms, real_ms)
                self._ledger.append(tx, events, heard_real_ms=heard_real_ms)
        return len(due), parcels

    def report(self, parcel: Parcel, outcome: Outcome, now_ms: int, real_ms: int) -> str:
        """Write down what came of a parcel, if its lease still holds; the state its row has then."""
        with self._ledger.write() as tx:
            row = self._leased(tx, parcel)
            if row is None:
                return "not-leased"
            self._channels.forget(tx, outcome.gone)
            if outcome.kind == "stop":
                stop = Switch(CHANNEL, parcel.channel, False, None, outcome.reason, "engine", now_ms)
                self._channels.switches.turn(tx, stop)
            decided = self._after(parcel, outcome, now_ms)
            if decided.state == QUEUED_STATE:
                self._change(tx, parcel.id, state=QUEUED_STATE, not_before_ms=decided.until_ms)
            else:
                events = self._carry(tx, row, decided, frozenset(), now_ms, real_ms)
                self._ledger.append(tx, events, heard_real_ms=row["heard_real_ms"])
            return decided.state

    def shown(self, tx: sa.Connection, member: int, coupon_id: str, channel: str, now_ms: int) -> bool:
        """The member has seen the coupon on *channel*; False if it was not sent there, or had been seen.

        In the wallet the code is on the screen with it, so there it was opened, too.
        """
        o = outbox.c
        sent = sa.and_(o.coupon == coupon_id, o.member == member, o.channel == channel, o.state == ACCEPTED)
        seen = sa.update(outbox).where(sent).values(state=SHOWN, shown_ms=now_ms).returning(o.heard_real_ms)
        heard_real_ms = tx.execute(seen).scalar()
        if heard_real_ms is not None and channel == INBOX:
            self._coupons.open(tx, coupon_id, now_ms, heard_real_ms=heard_real_ms)
        return heard_real_ms is not None

    def _after(self, parcel: Parcel, outcome: Outcome, now_ms: int) -> Verdict:
        """What a row becomes by the outcome of its parcel."""
        if outcome.kind == "accepted":
            return Verdict(ACCEPTED, "")
        if outcome.kind == "stop":
            return Verdict("suppressed:switched-off", "switched-off")
        again_ms = None
        if outcome.kind == "later":
            again_ms = next_try_ms(parcel, outcome, now_ms, self._chance(), self._speed)
        if again_ms is not None:
            return Verdict(QUEUED_STATE, outcome.reason, again_ms)
        return Verdict(f"failed:{outcome.reason}", f"failed:{outcome.reason}")

    def _due(self, tx: sa.Connection, now_ms: int, room: int, most: int) -> list[Row]:
        """Rows that are due, of other channels at most as many as there is room for."""
        about = [coupon.c[name] for name in ("visit", "offer", "journey", "title")]
        joined = outbox.join(coupon, coupon.c.id == outbox.c.coupon)
        due = sa.select(outbox, *about, coupon.c.state.label("coupon_state")).select_from(joined)
        due = due.where(QUEUED, outbox.c.not_before_ms <= now_ms).order_by(outbox.c.heard_real_ms, outbox.c.id)
        inbox = tx.execute(due.where(outbox.c.channel == INBOX).limit(most)).mappings().all()
        if room <= 0:
            return [dict(row) for row in inbox]
        others = tx.execute(due.where(outbox.c.channel != INBOX).limit(min(room, most))).mappings().all()
        return sorted((dict(row) for row in (*inbox, *others)), key=lambda row: (row["heard_real_ms"], row["id"]))

    def _facts(self, tx: sa.Connection, due: list[Row], now_ms: int) -> dict[str, Facts]:
        """By outbox row."""
        consents = self._identity.consents_of_each(tx, {row["member"] for row in due})
        off, quiet_until = frozenset(self._channels.off(tx, now_ms)), self._quiet(now_ms)
        coupons = {row["coupon"] for row in due}
        # An offer may be for somebody who had left before: it is the visit that ended since then that counts.
        issued, ended = event.alias(), event.alias()
        since = sa.and_(ended.c.member == issued.c.member, ended.c.visit == issued.c.visit, ended.c.seq > issued.c.seq)
        left = sa.select(issued.c.id).join(ended, sa.and_(since, ended.c.kind == "visit.ended"))
        left = left.where(issued.c.id.in_([_issued_id(row) for row in due]))
        gone = set(tx.execute(left).scalars())
        shown = sa.select(outbox.c.coupon).where(outbox.c.coupon.in_(coupons), outbox.c.shown_ms.is_not(None))
        seen = set(tx.execute(shown).scalars())
        return {
            row["id"]: Facts(
                frozenset(consents[row["member"]]), off, row["coupon"] in seen, _issued_id(row) in gone, quiet_until
            )
            for row in due
        }

    def _carry(
        self, tx: sa.Connection, row: Row, decided: Verdict, granted: frozenset[str], now_ms: int, real_ms: int
    ) -> list[CouponMoment]:
        """Give a row its last state but shown, and what follows from that."""
        change: dict[str, object] = {"state": decided.state}
        if decided.state == ACCEPTED:
            change |= {"delivered_ms": now_ms, "delivered_real_ms": real_ms}
        self._change(tx, row["id"], **change)
        channel, about = row["channel"], {**row, "id": row["coupon"]}
        if channel == INBOX and row["coupon_state"] == State.ISSUED:
            self._queue_others(tx, row, granted, now_ms, decided.state == ACCEPTED)
        if decided.state == ACCEPTED:
            return [moment(CouponDelivered, about, now_ms, channel, channel=channel)]
        if not self._may_still_arrive(tx, row["coupon"]):
            # It would only keep its budget from others, and its member from the next offer.
            why, heard_real_ms = f"not delivered: {decided.reason}", row["heard_real_ms"]
            self._coupons.void(tx, row["coupon"], now_ms, "outbox", why, heard_real_ms=heard_real_ms)
        return [moment(CouponSuppressed, about, now_ms, channel, channel=channel, reason=decided.reason)]

    def _queue_others(self, tx: sa.Connection, row: Row, granted: frozenset[str], now_ms: int, accepted: bool) -> None:
        """The member's other channels: at once those wanted before the inbox, each of the rest if nothing was shown."""
        if len(self._channels.open) == 1:
            return
        member_id: int = row["member"]
        possible = self._channels.reachable(tx, member_id) & granted
        order = [name for name in self._channels.order(tx, member_id) if name in possible]
        before = order[: order.index(INBOX)] if accepted else [name for name in order if name != INBOX]
        after = [name for name in order if name not in (*before, INBOX)]
        for turn, name in (*enumerate(before), *enumerate(after, 1)):
            copied = {key: row[key] for key in ("member", "coupon", "instance", "step", "rung", "heard_real_ms")}
            again = {"channel": name, "state": QUEUED_STATE, "expires_ms": row["expires_ms"], "attempts": 0}
            again["not_before_ms"] = now_ms + turn * SHOWN_WITHIN_MS
            again["id"] = id_of("outbox", row["instance"], row["step"], row["rung"], name)
            tx.execute(sa.insert(outbox), copied | again)

    def _lease(self, tx: sa.Connection, row: Row, now_ms: int) -> list[Parcel]:
        lease_ms = now_ms + int(LEASE_MS * self._speed)
        self._change(tx, row["id"], state=LEASED, attempts=row["attempts"] + 1, not_before_ms=lease_ms)
        language = tx.execute(sa.select(member.c.language).where(member.c.id == row["member"])).scalar()
        return [
            Parcel(
                id=row["id"], coupon=row["coupon"], channel=row["channel"], attempt=row["attempts"] + 1,
                lease_ms=lease_ms, expires_ms=row["expires_ms"], topic=topic_of(row["visit"]), title=row["title"],
                language=language or "en", reaches=self._channels.reaches(tx, row["member"], row["channel"]),
            )
        ]  # fmt: skip

    @staticmethod
    def _leased(tx: sa.Connection, parcel: Parcel) -> Row | None:
        about = [coupon.c[name] for name in ("visit", "offer", "journey", "title")]
        joined = outbox.join(coupon, coupon.c.id == outbox.c.coupon)
        held = sa.select(outbox, *about, coupon.c.state.label("coupon_state")).select_from(joined)
        mine = held.where(outbox.c.id == parcel.id, outbox.c.state == LEASED, outbox.c.attempts == parcel.attempt)
        return tx.execute(mine).mappings().first()

    @staticmethod
    def _change(tx: sa.Connection, row_id: str, **change: object) -> None:
        tx.execute(sa.update(outbox).where(outbox.c.id == row_id, QUEUED).values(change))

    @staticmethod
    def _may_still_arrive(tx: sa.Connection, coupon_id: str) -> bool:
        hopeful = outbox.c.state.in_(HOPEFUL)
        return tx.execute(sa.select(outbox.c.id).where(outbox.c.coupon == coupon_id, hopeful)).first() is not None
