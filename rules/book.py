"""The rule book: which offers there are, how they chain into journeys, and the limits over all of them.

Frozen values with compiled conditions; rules.reading makes them from YAML. The text travels with the book, so that a
running instance can keep the version it began under.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from engine.plan import Plan
from rules.absence import AWAY
from rules.times import DAY_MS, Calendar, Hours
from rules.when import Condition

# Limits look this far back; exposures older than this are not loaded for a decision.
LONGEST_WINDOW_MS = 30 * DAY_MS

Texts = Mapping[str, str]  # language -> text


@dataclass(frozen=True)
class Mall:
    """What a book may refer to. zones: a zone's key, kind or tag -> the keys of the zones meant."""

    zones: Mapping[str, frozenset[str]]
    no_marketing: frozenset[str]
    shops: frozenset[str]
    # A zone's kind or tag -> the shops that trade in such zones.
    categories: Mapping[str, frozenset[str]] = field(default_factory=dict)
    # Shops in zones without marketing: nothing may be given for them either.
    quiet_shops: frozenset[str] = frozenset()

    @classmethod
    def of(cls, plan: Plan) -> Mall:
        named: dict[str, set[str]] = {}
        categories: dict[str, set[str]] = {}
        for zone in plan.zones:
            for name in (zone.kind, *zone.tags):
                named.setdefault(name, set()).add(zone.key)
                if zone.shop is not None:
                    categories.setdefault(name, set()).add(zone.shop)
        named |= {zone.key: {zone.key} for zone in plan.zones}  # a key means that zone, whatever it is also a tag of
        return cls(
            {name: frozenset(keys) for name, keys in named.items()},
            frozenset(zone.key for zone in plan.zones if zone.no_marketing),
            frozenset(plan.shops()),
            {name: frozenset(shops) for name, shops in categories.items()},
            frozenset(key for key, zone in plan.shops().items() if zone.no_marketing),
        )


class Redeem(NamedTuple):
    """What a till asks of a coupon besides its code: how long after it was given it begins to be good, within which
    hours of the mall's day, and from which amount (minor units) on."""

    after_ms: int = 0
    hours: Hours | None = None
    spend_minor: int = 0


AT_ONCE = Redeem()
# Who pays for an offer that does not say: it draws on the mall's own budgets.
THE_MALL = "mall"


class Cap(NamedTuple):
    """At most *most* per step, per visit or per rolling time of window_ms; a capacity also live now, or per day."""

    most: int
    per: str  # "step", "visit" or "time"; of a capacity "time", "day" or "now"
    window_ms: int
    path: str

    @property
    def is_gap(self) -> bool:
        """One per some time is a pause between offers; a redemption clears it."""
        return self.per == "time" and self.most == 1


@dataclass(frozen=True)
class Offer:
    """What may be given. cost (minor units) is what a redemption costs its funder, and feeds every budget.

    capacity  at most so many coupons of it, to all members together: live now, of a day, or within a rolling time
    chance    with what probability it is sent once it is decided; below 1 it measures what sending changes
    """

    key: str
    title: Texts
    shops: tuple[str, ...]
    cost: int
    valid_ms: int
    terms: Texts | None = None
    capacity: Cap | None = None
    chance: float = 1.0
    visit_bound: bool = False  # void when the visit ends, however long it would still be valid
    funder: str = THE_MALL  # a shop, a brand, the mall: whoever the settlement is sent to
    redeem: Redeem = AT_ONCE


@dataclass(frozen=True)
class Limits:
    """What holds over all journeys. Budgets are minor units, None for no such budget.

    budget_shops         shop -> what its coupons may cost in a day
    expected_redemption  the part of a coupon's cost that is set aside when it is given. Below 1 it bets that not
                         everybody redeems, and a budget can be overspent if they do
    capacity             shop -> how many live coupons may be good there
    """

    quiet: Hours | None = None
    member: tuple[Cap, ...] = ()
    upgrades: tuple[Cap, ...] = ()
    budget_day: int | None = None
    budget_visit: int | None = None
    budget_shops: Mapping[str, int] = field(default_factory=dict)
    expected_redemption: float = 1.0
    capacity: Mapping[str, Cap] = field(default_factory=dict)
    holdout_percent: int = 0
    holdout_salt: str = ""


class Rung(NamedTuple):
    """One offer of a step's ladder, and how long it is waited for before the next one."""

    offer: Offer
    wait_ms: int


class Arm(NamedTuple):
    """One way a step can go; the default arm has no conditions."""

    when: tuple[Condition, ...]
    rungs: tuple[Rung, ...]


@dataclass(frozen=True)
class Step:
    """One link of a chain.

    upgrade_if  what must hold for a better offer than the one that is out
    chance      with what probability its first offer is sent; left out, the step waits as if it had been
    optional    gives way as soon as the step listed next is ready
    redeemed, exhausted  the step to go on with, where it is not the next in the list
    """

    key: str
    path: str
    when: tuple[Condition, ...]
    arms: tuple[Arm, ...]
    why: Texts
    upgrade_if: tuple[Condition, ...] = ()
    skip_after_ms: int | None = None
    optional: bool = False
    jitter_ms: int = 0
    chance: float = 1.0
    redeemed: str | None = None
    exhausted: str | None = None
    # Whether the step asks for members who are not heard; any other gives nothing to who may have left.
    for_the_unseen: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "for_the_unseen", any(condition.word == "unseen" for condition in self.when))


@dataclass(frozen=True)
class Start:
    """Which event begins an instance, and what must hold then.

    once_ms   not again within that time
    after_ms  of `member.away`: for how long the member has not been seen
    """

    event: str
    when: tuple[Condition, ...] = ()
    once_ms: int | None = None
    after_ms: int | None = None


class Join(NamedTuple):
    """Where a member goes on when a journey has run its course."""

    journey: str
    step: str


@dataclass(frozen=True)
class Journey:
    key: str
    path: str
    priority: int
    start: Start
    steps: tuple[Step, ...]
    join: Join | None = None
    budget_day: int | None = None  # minor units
    index: Mapping[str, int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "index", {step.key: row for row, step in enumerate(self.steps)})

    @property
    def away(self) -> bool:
        """Whether it runs between two visits, and not in one."""
        return self.start.event == AWAY

    def step(self, key: str) -> Step:
        return self.steps[self.index[key]]

    def after(self, key: str) -> str | None:
        """The step listed next, None after the last."""
        row = self.index[key] + 1
        return self.steps[row].key if row < len(self.steps) else None


@dataclass(frozen=True)
class Book:
    """One version of the rules. journeys are in order of priority, highest first."""

    version: str
    text: str
    calendar: Calendar
    offers: Mapping[str, Offer]
    limits: Limits
    journeys: Mapping[str, Journey]

    @property
    def away_ms(self) -> frozenset[int]:
        """The lengths of absence at which a journey of it begins."""
        return frozenset(each.start.after_ms for each in self.journeys.values() if each.start.after_ms is not None)

    @property
    def timezone(self) -> str:
        return self.calendar.timezone
