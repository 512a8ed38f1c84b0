"""What the simulated members do about their coupons: open, finish what they are at, walk to the shop, queue, and pay.

Nothing here talks to a till: who stands at one is told to the caller, who does.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

import numpy as np

from sensors.crowd import Crowd, Step
from sensors.habits import MINUTE_MS
from sensors.response import Chance, Ignored, Intent, rate_of, respond
from sensors.venue import Zone

# After paying, a while longer at the table or the counter.
AFTER_TILL_MS = 6 * MINUTE_MS


class Told(NamedTuple):
    """A coupon that reached a member's phone.

    step   names the journey's step that it came from: a further coupon of the same step is a better rung
    shops  keys of the shops where it may be spent
    """

    coupon: str
    offer: str
    step: str
    shops: tuple[str, ...]
    issued_ms: int
    expires_ms: int


class AtTill(NamedTuple):
    """A member stands at the till of *shop* and shows the coupon."""

    member: int
    coupon: str
    shop: str


class Due(NamedTuple):
    """What happens now: members whose screen lights up over a coupon, and those who pay."""

    opened: list[int]
    at_till: list[AtTill]


class Stage(Enum):
    UNOPENED = auto()
    SEATED = auto()
    ON_THE_WAY = auto()
    IN_THE_QUEUE = auto()


@dataclass
class _Errand:
    """One member's business with one coupon. next_ms is when the stage may end; shops shrink to the one chosen."""

    told: Told
    shops: list[Zone]
    tempted: bool
    queue_ms: int
    next_ms: int
    stage: Stage = Stage.UNOPENED


class Errands:
    """One errand for each member at most: a further coupon takes the last one's place. All chance from *seed*.

    birthdays  members whose birthday it is
    """

    def __init__(self, crowd: Crowd, seed: int, *, birthdays: Collection[int] = ()) -> None:
        self._crowd, self._birthdays = crowd, frozenset(birthdays)
        self._chance: Chance = np.random.default_rng([seed, 0xC0]).random
        self._zone_of = {zone.shop: zone for zone in crowd.zones if zone.shop}
        self._errands: dict[int, _Errand] = {}
        self._rungs: dict[tuple[int, str], int] = {}

    def told(self, member: int, told: Told, now_ms: int) -> Intent | Ignored:
        """A coupon reached a member; -> what will come of it, for the record. Acts follow from `due`."""
        if not self._crowd.is_present(member):
            return Ignored("not in the mall")
        shops = [self._zone_of[shop] for shop in told.shops if shop in self._zone_of]
        if not shops:
            return Ignored("no such shop here")
        self._errands.pop(member, None)
        rung = self._rungs.get((member, told.step), 0)
        self._rungs[member, told.step] = rung + 1
        kind, birthday = self._nearest(member, shops).kind, member in self._birthdays
        answer = respond(kind, rung=rung, birthday=birthday, told_ms=now_ms, chance=self._chance)
        match answer:
            case Intent(open_ms, queue_ms):
                self._errands[member] = _Errand(told, shops, True, queue_ms, open_ms)
            case Ignored(open_ms=int(open_ms)):
                self._errands[member] = _Errand(told, shops, False, 0, open_ms)
        return answer

    def follow(self, step: Step) -> None:
        """Who leaves the mall leaves every errand behind, and counts rungs afresh next time."""
        if step.left.size:
            gone = frozenset(step.left.tolist())
            self._errands = {member: errand for member, errand in self._errands.items() if member not in gone}
            self._rungs = {key: rungs for key, rungs in self._rungs.items() if key[0] not in gone}

    def due(self, now_ms: int) -> Due:
        """Take every errand as far as it has come by now. Call it after each step of the crowd."""
        due = Due([], [])
        self._errands = {
            member: errand for member, errand in self._errands.items() if self._goes_on(member, errand, now_ms, due)
        }
        return due

    def _goes_on(self, member: int, errand: _Errand, now_ms: int, due: Due) -> bool:
        """At most one stage further; what happened is added to *due*. -> False when the errand is over."""
        if now_ms >= errand.told.expires_ms:
            return False
        if now_ms < errand.next_ms:
            return True
        shop = errand.shops[0]
        match errand.stage:
            case Stage.UNOPENED:
                due.opened.append(member)
                return errand.tempted and self._decide(member, errand, now_ms)
            case Stage.SEATED:
                self._crowd.send(member, shop.key, at_least_ms=errand.queue_ms + AFTER_TILL_MS)
                errand.stage = Stage.ON_THE_WAY
            case Stage.ON_THE_WAY if self._is_in(member, shop):
                errand.stage, errand.next_ms = Stage.IN_THE_QUEUE, now_ms + errand.queue_ms
            case Stage.IN_THE_QUEUE if self._is_in(member, shop):
                due.at_till.append(AtTill(member, errand.told.coupon, str(shop.shop)))
                self._crowd.linger(member, int(rate_of(shop.kind).lingers_min * MINUTE_MS))
                return False
        return True

    def _decide(self, member: int, errand: _Errand, now_ms: int) -> bool:
        """Which shop, and when to go: who has sat down rises in time for the coupon, who has not goes at once."""
        shop = self._nearest(member, errand.shops)
        latest_ms = errand.told.expires_ms - errand.queue_ms - self._crowd.walk_ms(member, shop.key)
        if latest_ms < now_ms:
            return False  # too far to make it in time
        rises_ms = now_ms if self._is_in(member, shop) else self._crowd.sits_until_ms(member)
        errand.shops, errand.stage, errand.next_ms = [shop], Stage.SEATED, min(rises_ms, latest_ms)
        return True

    def _nearest(self, member: int, shops: list[Zone]) -> Zone:
        return min(shops, key=lambda zone: self._crowd.walk_ms(member, zone.key))

    def _is_in(self, member: int, zone: Zone) -> bool:
        under = self._crowd.zone_under(member)
        return under >= 0 and self._crowd.zones[under].key == zone.key
