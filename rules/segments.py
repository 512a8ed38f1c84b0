"""Segments: named sets of members, computed from what they told about themselves."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable

from rules.source import Node
from rules.standing import Profile

# Whether a member belongs, and the reason in a few words.
Segment = Callable[[Profile], tuple[bool, str]]


def read_segment(node: Node) -> Segment:
    """A named set of members by their profile, such as {home_km: ">= 20", language: zh-Hans}."""
    fields = node.fields(optional=("home_km", "language"))
    if not fields:
        raise node.fault("a segment needs at least one of home_km, language")
    compare = fields.take("home_km", lambda value: value.through(_comparison), None)
    language = fields.take("language", Node.text, None)

    def belongs(profile: Profile) -> tuple[bool, str]:
        if compare is not None and profile.home_km is None:
            return False, "lives at no known distance"
        if compare is not None and profile.home_km is not None and not compare(profile.home_km):
            return False, f"lives {profile.home_km:g} km away"
        if language is not None and profile.language != language:
            return False, f"reads {profile.language}"
        return True, "belongs"

    return belongs


_COMPARISON = re.compile(r"\s*(>=|<=|>|<)\s*(\d+(?:\.\d+)?)\s*")
_OPERATORS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}


def _comparison(text: str) -> Callable[[float], bool]:
    match = _COMPARISON.fullmatch(text)
    if match is None:
        raise ValueError(f"'{text}' is no comparison; write it like \">= 20\"")
    compare, bound = _OPERATORS[match[1]], float(match[2])
    return lambda value: bool(compare(value, bound))
