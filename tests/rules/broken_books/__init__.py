"""A good book, a mall it belongs to, and many ways to get it wrong."""

from __future__ import annotations

from pathlib import Path

from ruamel.yaml import YAML

from rules.book import Mall

FOLDER = Path(__file__).parent
GOOD = (FOLDER / "good.yaml").read_text(encoding="utf-8")
CASES = YAML(typ="safe").load((FOLDER / "cases.yaml").read_text(encoding="utf-8"))
MALL = Mall(
    zones={
        "cafe-luna": frozenset({"cafe-luna"}),
        "clinic": frozenset({"clinic"}),
        "denim-works": frozenset({"denim-works"}),
        "stride": frozenset({"stride"}),
        "fashion": frozenset({"denim-works", "stride"}),
        "health": frozenset({"clinic"}),
    },
    no_marketing=frozenset({"clinic"}),
    shops=frozenset({"cafe-luna", "noodle-hut", "denim-works", "pharmacy"}),
    categories={"fashion": frozenset({"denim-works"})},
    quiet_shops=frozenset({"pharmacy"}),
)


def broken(case: dict[str, str]) -> str:
    """The good book with one passage, which stands there once, turned into another."""
    assert GOOD.count(case["old"]) == 1, f"{case['old']!r} must be there once"
    return GOOD.replace(case["old"], case["new"])
