"""How two versions of the book differ: value by value, and in what may be spent. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, Field

from rules.book import Book
from rules.reading import version_of
from rules.source import Source, SourceError


class Change(BaseModel):
    """One value that differs; steps and other lists of mappings are told apart by their id."""

    path: str = Field(description='Such as "journeys/day-out/steps/coffee/wait"')
    before: Any = Field(description="null where there was nothing")
    after: Any = Field(description="null where there is nothing any more")


def changes(old: str, new: str) -> list[Change]:
    """What differs between two texts, apart from comments and layout; nothing where one of them is no YAML."""
    try:
        before, after = Source(old, "old").tree, Source(new, "new").tree
    except SourceError:
        return []
    return list(_changes("", _plain(before), _plain(after)))


def diff(old: str, new: str) -> str:
    """Two texts line by line, as a unified diff."""
    names = version_of(old), version_of(new)
    return "\n".join(difflib.unified_diff(old.splitlines(), new.splitlines(), *names, lineterm=""))


def raises(old: Book, new: Book) -> list[str]:
    """Each way in which *new* may spend more than *old*, for a second person to agree to."""
    more: list[str] = []
    gone = {f"journey {key}" for key in old.journeys if key not in new.journeys}  # and spends nothing
    budgets = _budgets(new)
    for what, was in _budgets(old).items():
        is_ = budgets.get(what)
        if what in gone:
            continue
        if is_ is None:
            more.append(f"no budget for {what} any more, {was} before")
        elif is_ > was:
            more.append(f"budget for {what} {was} to {is_}")
    was_set_aside, is_set_aside = old.limits.expected_redemption, new.limits.expected_redemption
    if is_set_aside < was_set_aside:
        more.append(f"expected redemption {was_set_aside:g} to {is_set_aside:g}")
    for key, offer in new.offers.items():
        if key in old.offers and offer.cost > old.offers[key].cost:
            more.append(f"cost of {key} {old.offers[key].cost} to {offer.cost}")
    return more


def _budgets(book: Book) -> dict[str, int]:
    """What each is for -> minor units."""
    found = {"a day": book.limits.budget_day, "a visit": book.limits.budget_visit}
    found |= {f"shop {shop}": most for shop, most in book.limits.budget_shops.items()}
    found |= {f"journey {journey.key}": journey.budget_day for journey in book.journeys.values()}
    return {what: most for what, most in found.items() if most is not None}


def _changes(path: str, before: Any, after: Any) -> Iterator[Change]:
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key in [*before, *(key for key in after if key not in before)]:
            yield from _changes(f"{path}/{key}" if path else str(key), before.get(key), after.get(key))
        kept = [key for key in before if key in after]
        if _SEQUENCE in before and kept != [key for key in after if key in before]:
            yield Change(path=path, before=_ids(before), after=_ids(after))
        return
    yield Change(path=path, before=_shown(before), after=_shown(after))


_SEQUENCE = "\0sequence"


def _plain(value: Any) -> Any:
    """Plain values; a list of mappings with ids becomes a mapping by id, so that a moved step is not a changed one."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if not isinstance(value, list):
        return value
    ids = [item.get("id") if isinstance(item, dict) else None for item in value]
    if value and all(isinstance(key, str) for key in ids) and len(set(ids)) == len(ids):
        return {_SEQUENCE: True} | {key: _plain(item) for key, item in zip(ids, value, strict=True)}
    return [_plain(item) for item in value]


def _shown(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _shown(item) for key, item in value.items() if key != _SEQUENCE}
    return value


def _ids(steps: dict[str, Any]) -> list[str]:
    return [key for key in steps if key != _SEQUENCE]
