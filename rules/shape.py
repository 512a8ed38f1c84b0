"""The shape of the book: which keys each part has and what may stand there. The reader and the JSON Schema share it.

A schema here is a fragment of JSON Schema; names of the mall's own (zones, shops, categories) are references that
rules.schema fills in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from rules.absence import AWAY

Schema = Mapping[str, Any]

LANGUAGES = ("en", "zh-Hans")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_GROUPS = {"weekdays": frozenset(DAYS[:5]), "weekend": frozenset(DAYS[5:])}
START_EVENTS = ("visit.started", "zone.entered", "coupon.redeemed", AWAY)
STOP_EVENTS = ("visit.ended", "visit.started")
MOST_MINOR = 2**53 - 1


def whole(least: int = 0, most: int = MOST_MINOR) -> Schema:
    return {"type": "integer", "minimum": least, "maximum": most}


def one_of(*known: str) -> Schema:
    return {"enum": list(known)}


def ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def listed(schema: Schema, least: int = 0) -> Schema:
    return {"type": "array", "items": schema, "minItems": least}


def one_or_more(schema: Schema) -> Schema:
    return {"anyOf": [schema, listed(schema, 1)]}


TEXT: Schema = {"type": "string", "pattern": r"\S"}
KEY: Schema = {"type": "string", "pattern": r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,47}$"}
LENGTH: Schema = {
    "type": "string",
    "pattern": r"^\s*(?=[0-9])([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?\s*$",
    "description": "A length of time, such as 90s, 20m, 1h30m or 30d",
}
HOURS: Schema = {
    "type": "string",
    "pattern": r"^\s*[0-9]{1,2}:[0-9]{2}\s*-\s*[0-9]{1,2}:[0-9]{2}\s*$",
    "description": 'Local hours, such as "09:00-11:00"; "21:30-08:30" goes over midnight',
}
COMPARISON: Schema = {
    "type": "string",
    "pattern": r"^\s*(>=|<=|>|<)\s*[0-9]+(\.[0-9]+)?\s*$",
    "description": 'A comparison, such as ">= 20"',
}
TRUTH: Schema = {"type": "boolean"}
TEXTS: Schema = {
    "anyOf": [
        TEXT,
        {
            "type": "object",
            "properties": dict.fromkeys(LANGUAGES, TEXT),
            "required": list(LANGUAGES),
            "additionalProperties": False,
        },
    ],
    "description": "Text in every language, or one text for all of them",
}
ROWS = listed(ref("condition"))


LENGTH_OF_TIME = "([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?"


def cap(*spans: str) -> Schema:
    over = "|".join((*spans, LENGTH_OF_TIME))
    return {"type": "string", "pattern": f"^[0-9]+ per ({over})$"}


class Part(NamedTuple):
    """One mapping of the book with keys of ours: those it must have, and those it may have."""

    says: str
    required: Mapping[str, Schema]
    optional: Mapping[str, Schema]

    def schema(self) -> dict[str, Any]:
        return {
            "type": "object",
            "description": self.says,
            "properties": {**self.required, **self.optional},
            "required": list(self.required),
            "additionalProperties": False,
        }


def part(says: str, required: Mapping[str, Schema] | None = None, **optional: Schema) -> Part:
    return Part(says, required or {}, optional)


def named(schema: Schema) -> Schema:
    """A mapping whose keys the operator chooses."""
    return {"type": "object", "additionalProperties": schema}


CHANCE: Schema = {"type": "number", "exclusiveMinimum": 0, "maximum": 1}
CAPACITY_NOW: Schema = {"type": "string", "pattern": "^[0-9]+ now$"}
CAPACITY_OF: Schema = {"type": "string", "pattern": f"^[0-9]+ (now|per (day|{LENGTH_OF_TIME}))$"}
REDEEM = part(
    "What a till asks besides the code: a time after it was given, hours, a least amount to pay in minor units",
    after=LENGTH,
    hours=HOURS,
    spend=whole(),
)
OFFER = part(
    "What may be given; cost is what one redemption costs, in minor units",
    {"title": TEXTS, "shops": listed(ref("shop"), 1), "cost": whole(), "valid": LENGTH},
    terms=TEXTS,
    capacity=CAPACITY_OF,
    chance=CHANCE,
    visit_bound=TRUTH,
    funder=TEXT,
    redeem=REDEEM.schema(),
)
BUDGET = part(
    "Money set aside for coupons, in minor units",
    day=whole(),
    visit=whole(),
    shops={"type": "object", "additionalProperties": whole(), "description": "Of a shop's coupons, for a day"},
    expected_redemption=CHANCE,
)
HOLDOUT = part("Members who are never sent anything, by chance", {"percent": whole(0, 50), "salt": TEXT})
LIMITS = part(
    "What holds over all journeys",
    quiet=HOURS,
    member=listed(cap("visit")),
    upgrades=listed(cap("step", "visit")),
    budget=BUDGET.schema(),
    capacity=named(CAPACITY_NOW),
    holdout=HOLDOUT.schema(),
)
START = part(
    "The event that begins a journey, and what must hold then",
    {"event": one_of(*START_EVENTS)},
    after=LENGTH,
    when=ROWS,
    once={"anyOf": [one_of("visit"), LENGTH]},
)
# How long is said of an absence, and of nothing else.
START_SHAPE: Schema = {
    **START.schema(),
    "if": {"properties": {"event": {"const": AWAY}}},
    "then": {"required": ["after"]},
    "else": {"not": {"required": ["after"]}},
}
STOP = part("The event that ends a journey", {"event": one_of(*STOP_EVENTS)})
FINISH = part("Where a member goes on when the journey has run its course", {"join": TEXT, "step": TEXT})
LADDER: Mapping[str, Schema] = {"try": listed(TEXT, 1), "wait": one_or_more(LENGTH)}
ARM = part("One way a step can go", LADDER, when=ROWS)
STEP = part(
    "One link of the chain",
    {"id": KEY},
    when=ROWS,
    **LADDER,
    choose=listed(ARM.schema(), 1),
    upgrade_if=ROWS,
    why=TEXTS,
    optional=TRUTH,
    skip_after=LENGTH,
    jitter=LENGTH,
    chance=CHANCE,
    redeemed=TEXT,
    exhausted=TEXT,
)
JOURNEY = part(
    "A chain of steps",
    {"priority": whole(0, 1000), "start": START_SHAPE, "steps": listed(ref("step"), 1)},
    stop=STOP.schema(),
    finish=FINISH.schema(),
    budget=whole(),
)
COUNTED = part(
    "How often, within a time",
    {"within": LENGTH},
    at_least=whole(1, 100),
    at_most=whole(0, 99),
)
SPENT = part(
    "Money spent, in minor units",
    {"at_least": whole(1), "within": {"anyOf": [one_of("visit"), LENGTH]}},
    shop=one_or_more(ref("shop")),
    category=one_or_more(ref("category")),
)
SEGMENT = part(
    "A named set of members; who belongs fits every line of it",
    home_km=COMPARISON,
    language=TEXT,
    attributes=named({"anyOf": [TEXT, {"type": "number"}, listed(TEXT, 1)]}),
    visits=COUNTED.schema(),
    redemptions=COUNTED.schema(),
    spend=SPENT.schema(),
    favourite=one_or_more(ref("category")),
)
STAYED = part("Time in zones in this visit", {"zone": one_or_more(ref("zone")), "for": LENGTH})
CAPACITY = part("Room an offer's own capacity has left", {"offer": TEXT, "at_least": whole(1)})
BOOK = part(
    "The rule book of a mall",
    {"schema": {"const": 1}, "timezone": TEXT, "offers": named(OFFER.schema()), "journeys": named(JOURNEY.schema())},
    limits=LIMITS.schema(),
    segments=named(SEGMENT.schema()),
)
