"""A census as people read it in a terminal, and as programs do."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table

from sensors.census import Census
from sensors.frames import Kind


def subtype_name(subtype: int) -> str:
    """`qos null`, or `reserved` where the standard names none."""
    return Kind(subtype).name.lower().replace("_", " ") if subtype in Kind.__members__.values() else "reserved"


def as_table(census: Census, title: str) -> RenderableType:
    """Counts by kind of frame with their signal range, then what the capture as a whole is like."""
    kinds = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    kinds.add_column("frame", no_wrap=True)
    kinds.add_column("subtype")
    for heading in ("frames", "with dBm", "weakest", "strongest"):
        kinds.add_column(heading, justify="right")
    for subtype, heard in census.heard.items():
        signals = (str(heard.with_signal), _or_dash(heard.weakest_dbm), _or_dash(heard.strongest_dbm))
        kinds.add_row(subtype_name(subtype), f"0x{subtype:04x}", str(heard.frames), *signals)
    kinds.add_section()
    signals = (str(census.with_signal), _or_dash(census.weakest_dbm), _or_dash(census.strongest_dbm))
    kinds.add_row("all readable", "", str(sum(heard.frames for heard in census.heard.values())), *signals)
    whole = Table.grid(padding=(0, 2))
    for name, fact in (
        ("packets", str(census.frames)),
        *((f"undecodable, {reason}", str(count)) for reason, count in census.undecodable.items()),
        ("distinct transmitters", str(census.transmitters)),
        ("access points", str(census.access_points)),
        ("probing stations", str(census.probers)),
        ("of these with a private address", str(census.probers_with_private_address)),
        ("retries", str(census.retries)),
        ("stored shorter than sent", str(census.sliced)),
        ("reading ended early", census.ended or "no"),
    ):
        whole.add_row(name, fact)
    return Group(kinds, whole)


def _or_dash(dbm: int | None) -> str:
    return "–" if dbm is None else str(dbm)


def as_json(census: Census) -> dict[str, Any]:
    """The same as plain values; subtypes are keyed by four hex digits, `0x0028`."""
    heard = {f"0x{subtype:04x}": asdict(heard) for subtype, heard in census.heard.items()}
    whole = {"with_signal": census.with_signal, "weakest_dbm": census.weakest_dbm}
    return asdict(census) | {"heard": heard, **whole, "strongest_dbm": census.strongest_dbm}
