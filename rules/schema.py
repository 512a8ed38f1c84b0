"""The JSON Schema of the rule book, for editors: they complete keys and underline mistakes while one writes.

Made of the very shapes and words the reader reads by. What needs the whole book to be known (offers, steps, money)
stays with `sojourn book check`.
"""

from __future__ import annotations

from typing import Any

from rules.book import Mall
from rules.shape import BOOK, LADDER, STEP, TEXT, Schema
from rules.words import VOCABULARY

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema(mall: Mall | None = None) -> dict[str, Any]:
    """The schema; with a mall, its zones, shops and categories are the only ones an editor offers."""
    return {
        "$schema": DIALECT,
        "title": "Sojourn rule book",
        **BOOK.schema(),
        "$defs": {
            "zone": _names(mall and mall.zones),
            "shop": _names(mall and mall.shops),
            "category": _names(mall and mall.categories),
            "condition": _condition(),
            "step": _step(),
        },
    }


def _names(known: object) -> Schema:
    return {"enum": sorted(known)} if isinstance(known, dict | frozenset) else TEXT


def _condition() -> Schema:
    return {
        "type": "object",
        "description": "One row of when: one word and its value",
        "properties": {word: read.shape for word, read in VOCABULARY.items()},
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }


def _step() -> Schema:
    ladder = list(LADDER)
    return {
        **STEP.schema(),
        "oneOf": [
            {"required": ladder, "not": {"required": ["choose"]}},
            {"required": ["choose"], "not": {"anyOf": [{"required": [key]} for key in ladder]}},
        ],
    }
