"""Segments: named sets of members, computed from what they told, what the mall knows, and what they have done."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import NamedTuple

from rules.habits import Categories, Count, Counter, read_favourite, read_redemptions, read_spend, read_visits
from rules.shape import SEGMENT
from rules.source import Node
from rules.standing import Standing

# What a member does during a visit can change these; everything else is known when they come.
IN_VISIT = frozenset({"redemptions", "spend"})


class Segment(NamedTuple):
    """belongs: whether a member does, and the reason in a few words. settled: for the rest of the visit."""

    belongs: Counter
    settled: bool


NOBODY = Segment(lambda _, __: Count(False, "nobody"), settled=True)


def read_segment(node: Node, shops: frozenset[str], sold: Categories, zones: Categories) -> Segment:
    """A named set of members; who belongs fits every line. sold: category -> shops; zones: category -> zones."""
    fields = node.part(SEGMENT)
    if not fields:
        raise node.fault(f"a segment needs at least one of {', '.join(SEGMENT.optional)}")
    readers: dict[str, Callable[[Node], Counter]] = {
        "home_km": _home_km,
        "language": _language,
        "attributes": _attributes,
        "visits": read_visits,
        "redemptions": read_redemptions,
        "spend": lambda value: read_spend(value, shops, sold),
        "favourite": lambda value: read_favourite(value, zones),
    }
    lines = [line for key in fields if (line := fields.take(key, readers[key], None)) is not None]

    def belongs(standing: Standing, now_ms: int) -> Count:
        for line in lines:
            count = line(standing, now_ms)
            if not count.held:
                return count
        return Count(True, "belongs")

    return Segment(belongs, settled=IN_VISIT.isdisjoint(fields))


def _home_km(node: Node) -> Counter:
    if isinstance(node.value, int | float):
        raise node.fault(f'how does {node.value} compare? write it like ">= {node.value}"')
    compare = node.through(_comparison)

    def belongs(standing: Standing, _: int) -> Count:
        home_km = standing.profile.home_km
        if home_km is None:
            return Count(False, "lives at no known distance")
        return Count(compare(home_km), f"lives {home_km:g} km away")

    return belongs


def _language(node: Node) -> Counter:
    language = node.text()
    return lambda standing, _: Count(standing.profile.language == language, f"reads {standing.profile.language}")


def _attributes(node: Node) -> Counter:
    wanted = node.each_entry(_attribute)
    if not node.entries():
        raise node.fault("name an attribute and its value, for instance {tier: gold}")

    def belongs(standing: Standing, _: int) -> Count:
        told = standing.profile.attributes
        for name, fits in wanted.items():
            if name not in told:
                return Count(False, f"{name} not known")
            if not fits(told[name]):
                return Count(False, f"{name} is {told[name]}")
        return Count(True, "belongs")

    return belongs


def _attribute(name: str, node: Node) -> Callable[[str | float], bool]:
    if isinstance(node.value, int | float) and not isinstance(node.value, bool):
        number = float(node.value)
        return lambda told: told == number
    if isinstance(node.value, str) and node.value.lstrip().startswith((">", "<")):
        compare = node.through(_comparison)
        return lambda told: not isinstance(told, str) and compare(told)
    known = frozenset(node.each_or_one(Node.text))
    return lambda told: told in known


_COMPARISON = re.compile(r"\s*(>=|<=|>|<)\s*([0-9]+(?:\.[0-9]+)?)\s*")
_OPERATORS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}


def _comparison(text: str) -> Callable[[float], bool]:
    match = _COMPARISON.fullmatch(text)
    if match is None:
        raise ValueError(f"'{text}' is no comparison; write it like \">= 20\"")
    compare, bound = _OPERATORS[match[1]], float(match[2])
    return lambda value: bool(compare(value, bound))
