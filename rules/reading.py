"""Reads the rule book: YAML text in, a Book or every fault with its line and column out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from hashlib import blake2b

from engine.plainly import nearest
from rules.absence import AWAY, LEAST_AWAY_MS, MOST_AWAY_MS
from rules.book import (
    AT_ONCE,
    LONGEST_WINDOW_MS,
    THE_MALL,
    Arm,
    Book,
    Cap,
    Join,
    Journey,
    Limits,
    Mall,
    Offer,
    Redeem,
    Rung,
    Start,
    Step,
    Texts,
)
from rules.segments import NOBODY, Segment, read_segment
from rules.shape import (
    ARM,
    BOOK,
    BUDGET,
    FINISH,
    HOLDOUT,
    JOURNEY,
    LADDER,
    LANGUAGES,
    LIMITS,
    OFFER,
    REDEEM,
    START,
    START_EVENTS,
    STEP,
    STOP,
    STOP_EVENTS,
)
from rules.source import Fields, Node, Source, Spoilt
from rules.times import MINUTE_MS, Calendar, length_ms
from rules.words import NO_ZONES, Terms, read_conditions

SCHEMA = 1


def parse_book(text: str, mall: Mall, *, name: str = "book.yaml") -> Book:
    """The book in *text*. Raises SourceError, which tells every fault by line and column."""
    return book_of(Source(text, name), mall)


def version_of(text: str) -> str:
    """The name of a text among all versions: the same text is the same version."""
    return blake2b(text.encode(), digest_size=6).hexdigest()


def book_of(source: Source, mall: Mall) -> Book:
    """The book of a parsed document. Raises SourceError."""
    try:
        book = _Reader(mall).book(source.root, source.text)
    except Spoilt:
        book = None
    source.settle()
    assert book is not None  # a spoilt book has faults, and faults have been raised
    return book


_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,47}")
_CAP = re.compile(r"(\d+) per (step|visit|\S+)")
_GENERAL_WHY: Texts = {"en": "Because you are here now.", "zh-Hans": "因为您此刻正在商场。"}


def _length(node: Node) -> int:
    return node.length_ms(least_ms=1)


def _once(node: Node) -> int | None:
    # An instance belongs to a visit, so once per visit is what happens anyway.
    return None if node.value == "visit" else node.length_ms(least_ms=1, instead="visit")


def _after(node: Node) -> int:
    after_ms = node.length_ms()
    if not LEAST_AWAY_MS <= after_ms <= MOST_AWAY_MS:
        raise node.fault(f"'{node.value}' is outside 1d to 365d, which is how long somebody may be away")
    return after_ms


def _cost(node: Node) -> int:
    if isinstance(node.value, float):
        raise node.fault(f"money is counted in minor units; write {round(node.value * 100)} for {node.value:.2f}")
    return node.whole(like="1250 for 12.50")


def _schema(node: Node) -> int:
    if node.value != SCHEMA:
        raise node.fault(f"this program reads books of schema {SCHEMA}; write schema: {SCHEMA}")
    return SCHEMA


def _texts(node: Node) -> Texts:
    """Text in every language, or the same one for all."""
    if isinstance(node.value, str | bool | int | float):
        return dict.fromkeys(LANGUAGES, node.text())
    fields = node.fields(required=LANGUAGES)
    return {language: fields.take(language, Node.text, "") for language in fields}


def _check_key(key: str, node: Node) -> str:
    if not _KEY.fullmatch(key):
        raise node.fault(f"'{key}' is no key; use letters, digits and . _ + - only, at most 48")
    return key


class _Reader:
    """Reads one book, part by part: later parts refer to what earlier ones named."""

    def __init__(self, mall: Mall) -> None:
        self._mall = mall
        self._calendar = Calendar("UTC")
        self._offers: dict[str, Offer] = {}
        self._segments: dict[str, Segment] = {}

    def book(self, root: Node, text: str) -> Book:
        fields = root.part(BOOK)
        fields.take("schema", _schema, SCHEMA)
        self._calendar = fields.take("timezone", self._timezone, self._calendar)
        self._offers = fields.take("offers", lambda node: node.each_entry(self._offer), {})
        mall = self._mall
        kinds = {name: mall.zones.get(name, NO_ZONES) for name in mall.categories}
        self._segments = fields.take(
            "segments",
            lambda node: node.each_entry(lambda _, one: read_segment(one, mall.shops, mall.categories, kinds)),
            {},
        )
        # What is broken is told where it stands; whoever refers to it is not blamed a second time.
        written = fields["segments"].value if "segments" in fields else {}
        broken = dict.fromkeys(written, NOBODY) if isinstance(written, dict) else {}
        offers = fields["offers"].entries() if "offers" in fields else {}
        self._terms = Terms(
            self._calendar,
            mall.zones,
            mall.no_marketing,
            frozenset(offers),
            broken | self._segments,
            mall.shops,
            mall.categories,
            frozenset(key for key, node in offers.items() if isinstance(node.value, dict) and "capacity" in node.value),
        )
        limits = fields.take("limits", self._limits, Limits())
        journeys: dict[str, Journey] = fields.take("journeys", lambda node: node.each_entry(self._journey), {})
        if "journeys" in fields:
            self._check_joins(fields["journeys"], journeys)
        ranked = sorted(journeys.values(), key=lambda journey: (-journey.priority, journey.key))
        return Book(version_of(text), text, self._calendar, self._offers, limits, {each.key: each for each in ranked})

    def _timezone(self, node: Node) -> Calendar:
        name = node.text("Asia/Shanghai")
        try:
            return Calendar(name)
        except (OSError, LookupError, ValueError):
            raise node.fault(f"no time zone '{name}'; write one like Asia/Shanghai") from None

    def _offer(self, key: str, node: Node) -> Offer:
        _check_key(key, node)
        fields = node.part(OFFER)
        return Offer(
            key,
            fields.take("title", _texts, {}),
            fields.take("shops", self._shops, ()),
            fields.take("cost", _cost, 0),
            fields.take("valid", _length, 0),
            terms=fields.take("terms", _texts, None),
            capacity=fields.take("capacity", _capacity, None),
            chance=fields.take("chance", _chance, 1.0),
            visit_bound=fields.take("visit_bound", Node.truth, False),
            funder=fields.take("funder", lambda one: _check_key(one.text(), one), THE_MALL),
            redeem=fields.take("redeem", self._redeem, AT_ONCE),
        )

    @staticmethod
    def _redeem(node: Node) -> Redeem:
        fields = node.part(REDEEM)
        return Redeem(
            fields.take("after", _length, 0),
            fields.take("hours", Node.hours, None),
            fields.take("spend", _cost, 0),
        )

    def _shops(self, node: Node) -> tuple[str, ...]:
        shops = node.each(lambda one: one.one_of(self._mall.shops, "shop"))
        if not node.items():
            raise node.fault("an offer needs at least one shop that redeems it")
        return shops

    def _limits(self, node: Node) -> Limits:
        fields = node.part(LIMITS)
        budget = fields.take("budget", lambda one: one.part(BUDGET), Fields({}))
        holdout = fields.take("holdout", lambda one: one.part(HOLDOUT), Fields({}))
        return Limits(
            fields.take("quiet", Node.hours, None),
            fields.take("member", lambda one: one.each(_cap("visit")), ()),
            fields.take("upgrades", lambda one: one.each(_cap("step", "visit")), ()),
            budget.take("day", _cost, None),
            budget.take("visit", _cost, None),
            budget.take("shops", lambda one: one.each_entry(self._shop_budget), {}),
            budget.take("expected_redemption", _chance, 1.0),
            fields.take("capacity", lambda one: one.each_entry(self._shop_capacity), {}),
            holdout.take("percent", lambda one: one.whole(0, 50), 0),
            holdout.take("salt", Node.text, ""),
        )

    def _shop_budget(self, shop: str, node: Node) -> int:
        self._check_shop(shop, node)
        return _cost(node)

    def _shop_capacity(self, shop: str, node: Node) -> Cap:
        self._check_shop(shop, node)
        capacity = _capacity(node)
        if capacity.per != "now":
            raise node.fault("a shop has room for so many coupons at once; write it like '4 now'")
        return capacity

    def _check_shop(self, shop: str, node: Node) -> None:
        if shop not in self._mall.shops:
            raise node.fault(f"no shop '{shop}' on the plan; {nearest(shop, self._mall.shops)}")

    def _journey(self, key: str, node: Node) -> Journey:
        _check_key(key, node)
        fields = node.part(JOURNEY)
        start = fields.take("start", self._start, Start(""))
        fields.take("stop", lambda one: self._stop(one, start.event == AWAY), None)
        steps = fields.take("steps", lambda one: one.each(self._step), ())
        if "steps" in fields:
            self._check_order(fields["steps"], steps)
        return Journey(
            key,
            node.path,
            fields.take("priority", lambda one: one.whole(0, 1000), 0),
            start,
            steps,
            fields.take("finish", self._finish, None),
            fields.take("budget", _cost, None),
        )

    def _start(self, node: Node) -> Start:
        fields = node.part(START)
        event = fields.take("event", lambda one: one.one_of(START_EVENTS, "event"), "")
        after_ms = fields.take("after", _after, None)
        if "after" in fields and event != AWAY:
            fields["after"].fault(f"only {AWAY} has a length; take this out, or ask for present in a step")
        if "after" not in fields and event == AWAY:
            node.fault("'after' is missing: for how long has the member not been seen? write after: 30d")
        return Start(
            event,
            fields.take("when", lambda one: read_conditions(one, self._terms), ()),
            fields.take("once", _once, None),
            after_ms,
        )

    def _stop(self, node: Node, away: bool) -> None:
        event = node.part(STOP).take("event", lambda one: one.one_of(STOP_EVENTS, "event"), "")
        wanted = "visit.started" if away else "visit.ended"
        if event and event != wanted:
            between = "between two visits" if away else "in a visit"
            node.entries()["event"].fault(f"this journey runs {between}; it stops at {wanted}, which is so anyway")

    def _finish(self, node: Node) -> Join | None:
        join = node.part(FINISH)
        return Join(join.take("join", Node.text, ""), join.take("step", Node.text, ""))

    def _step(self, node: Node) -> Step:
        fields = node.part(STEP)
        if ("choose" in fields) == any(key in fields for key in LADDER):
            node.fault("a step has either try and wait, or choose with several of them")
        arms = fields.take("choose", self._choose, ()) if "choose" in fields else (Arm((), self._rungs(node, fields)),)
        skip_after_ms = fields.take("skip_after", _length, None)
        optional = fields.take("optional", Node.truth, False)
        if optional and "skip_after" not in fields:
            fields["optional"].fault("an optional step without patience blocks the chain; add skip_after: 30m")
        return Step(
            key=fields.take("id", lambda one: _check_key(one.text(), one), ""),
            path=node.path,
            when=fields.take("when", lambda one: read_conditions(one, self._terms), ()),
            arms=arms,
            why=fields.take("why", _texts, _GENERAL_WHY),
            upgrade_if=fields.take("upgrade_if", lambda one: read_conditions(one, self._terms), ()),
            skip_after_ms=skip_after_ms,
            optional=optional,
            jitter_ms=fields.take("jitter", _length, 0),
            chance=fields.take("chance", _chance, 1.0),
            redeemed=fields.take("redeemed", Node.text, None),
            exhausted=fields.take("exhausted", Node.text, None),
        )

    def _choose(self, node: Node) -> tuple[Arm, ...]:
        arms = node.each(self._arm)
        # By what is written: a ladder that is broken in itself is told as that alone.
        asks = [bool(one.value.get("when")) if isinstance(one.value, dict) else None for one in node.items()]
        for place in (place for place, asked in zip(node.items()[:-1], asks, strict=False) if asked is False):
            place.fault("what follows a ladder without when is never reached; put this one last")
        if asks and asks[-1]:
            node.fault("choose has no default; end it with a ladder without when")
        return arms

    def _arm(self, node: Node) -> Arm:
        fields = node.part(ARM)
        when = fields.take("when", lambda one: read_conditions(one, self._terms), ())
        return Arm(when, self._rungs(node, fields))

    def _rungs(self, node: Node, fields: Fields) -> tuple[Rung, ...]:
        for key in ("try", "wait"):
            if key not in fields:
                raise node.fault(f"'{key}' is missing")
        keys = fields["try"].each(lambda one: one.one_of(self._terms.offers, "offer"))
        waits = fields["wait"].each_or_one(_length)
        if not fields["try"].items():
            fields["try"].fault("a step needs at least one offer to try")
        if len(waits) == len(fields["wait"].one_or_more()) and len(waits) not in (1, len(keys)):
            fields["wait"].fault(f"{len(waits)} waits for {len(keys)} offers; give one for all, or one for each")
        waits = waits * len(keys) if len(waits) == 1 else waits
        # An offer whose own text is broken is named there; the step is not blamed a second time.
        return tuple(
            Rung(self._offers[key], wait_ms) for key, wait_ms in zip(keys, waits, strict=False) if key in self._offers
        )

    def _check_order(self, node: Node, steps: tuple[Step, ...]) -> None:
        places = {place.path: place for place in node.items()}
        if not places:
            node.fault("a journey needs at least one step")
        rows = {step.key: row for row, step in reversed(list(enumerate(steps)))}
        for row, step in enumerate(steps):
            keys = places[step.path].entries()
            if rows[step.key] != row:
                keys["id"].fault(f"there is a step '{step.key}' already; give each its own id")
            for key, target in (("redeemed", step.redeemed), ("exhausted", step.exhausted)):
                if not target:
                    continue
                if target not in rows:
                    keys[key].fault(f"no step '{target}' to go on with; {nearest(target, rows)}")
                elif rows[target] <= row:
                    keys[key].fault(f"'{target}' is not further down; a chain only leads forward")

    def _check_joins(self, node: Node, journeys: Mapping[str, Journey]) -> None:
        for key, place in node.entries().items():
            join = journeys[key].join if key in journeys else None
            if join is None or not join.journey or not join.step:
                continue
            finish = place.entries()["finish"].entries()
            if join.journey not in node.entries() or join.journey == key:
                others = set(journeys) - {key}
                finish["join"].fault(f"no other journey '{join.journey}' to join; {nearest(join.journey, others)}")
            elif join.journey in journeys and join.step not in journeys[join.journey].index:
                steps = journeys[join.journey].index
                finish["step"].fault(f"'{join.journey}' has no step '{join.step}'; {nearest(join.step, steps)}")


def _chance(node: Node) -> float:
    if isinstance(node.value, bool) or not isinstance(node.value, int | float) or not 0 < node.value <= 1:
        raise node.fault(f"'{node.value}' is no probability; write a number above 0 and up to 1, such as 0.9")
    return float(node.value)


def _capacity(node: Node) -> Cap:
    """Reads "4 now", "30 per day" or "20 per 15m"."""
    match = re.fullmatch(r"([0-9]+) (now|per day)", node.text("'4 now', '30 per day' or '20 per 15m'"))
    if match is None:
        return _cap()(node)
    if int(match[1]) < 1:
        raise node.fault("room for none at all is no capacity; leave the offer out instead")
    return Cap(int(match[1]), match[2].removeprefix("per "), 0, node.path)


def _cap(*spans: str) -> Callable[[Node], Cap]:
    """A reader of "7 per visit" and the like; *spans* are those that make sense besides a time."""

    def read(node: Node) -> Cap:
        like = "'7 per visit' or '20 per 30d'" if spans else "'4 now', '30 per day' or '20 per 15m'"
        match = _CAP.fullmatch(node.text(like))
        if match is None or (match[2] in ("step", "visit", "day") and match[2] not in spans):
            raise node.fault(f"'{node.text()}' is no limit; write it like {like}")
        most, per = int(match[1]), match[2]
        if per in spans:
            return Cap(most, per, 0, node.path)
        window_ms = node.through(lambda _: length_ms(per))
        if not MINUTE_MS <= window_ms <= LONGEST_WINDOW_MS:
            raise node.fault(f"'{per}' is outside 1m to 30d, which is how far limits look back")
        if most < 1:
            raise node.fault("none at all is no limit over time; leave the offers out instead")
        return Cap(most, "time", window_ms, node.path)

    return read
