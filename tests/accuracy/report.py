"""The report: figures as JSON for programs, and as tables beside what they must be for people."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from tests.accuracy.targets import REFERENCES, SHARES_RIGHT, TARGETS, better

HERE = Path(__file__).parent
Report = dict[str, Any]

DIGITS = 4
GATED = ("located", "level", "median_m", "p90_m", "zone_30m", "zone_15m")
BESIDES = {"about", "small"}  # what the report holds besides scenarios
SHARES = SHARES_RIGHT | {"wrong_triggers_60s", "within_radius", "p90_growth"}
COLUMNS = {
    "located": "located", "level": "level", "median_m": "median m", "p90_m": "p90 m", "zone_30m": "zone 30 m",
    "zone_15m": "zone 15 m", "level_flips_per_minute": "level flips/min",
}  # fmt: skip
ZONE_COLUMNS = {
    "wrong_triggers_60s": "wrong 60 s triggers", "triggers": "triggers",
    "false_entries_per_device_hour": "false entries/device-hour", "stays_found": "stays found",
    "enter_p50_s": "enter p50 s", "enter_p90_s": "enter p90 s", "enter_p90_s_with_sleepers": "p90 s with sleepers",
}  # fmt: skip
FOREWORD = """\
# Accuracy

Written by `make accuracy`; the test run holds the figures. Measured on {machine}, in {took}.

Made-up malls: three levels of 120 m by 60 m, a sensor on 400 m² (dense: 225 m²); {worlds} malls of {people} people for
{minutes} minutes each; a phone that is awake sends every 5 s. The recorded mall: one phone, access points for sensors,
and only the scans kept apart for testing are asked about. Errors are along the floor, whatever the level. A level is
right or wrong for every sending, located or not.

**What the simulator does not show**: crowds that shadow, walls, floors that reflect, sensors that hang elsewhere than
on the plan, clocks that disagree, and people who walk as people do. Its path loss is one law everywhere. It is kinder
than a mall, and says which of two ways is better rather than how good either will be. The recorded mall says that, for
a surveyor who never stood for long and sensors whose places are estimates.
"""
ENTERING = """\
A trigger is wrong if less than 30 of the last 60 seconds were spent in its zone; an entry is false if the member was
in the zone at no moment from 10 s before it began until it was confirmed. Entering is timed from the true entry of
stays of two minutes or more to its confirmation, in event time, for phones awake as their owner walks in: a quarter of
all phones sleep for 1 to 5 minutes at a time, and nobody who is not heard can be located. In all other figures they are
included.
"""


def machine() -> str:
    return (
        f"{os.cpu_count()} cores ({platform.machine()}), of which one is used, "
        f"Python {platform.python_version()}, NumPy {np.__version__}"
    )


def gated(figures: Report) -> dict[str, float]:
    """What the test run compares of a scenario's small size: figures over thousands of sendings. Of triggers and
    entries there are so few that one more or less would pass any gate."""
    return {name: figures[name] for name in GATED if name in figures}


def rounded(value: Any) -> Any:
    match value:
        case dict():
            return {key: rounded(each) for key, each in value.items()}
        case list():
            return [rounded(each) for each in value]
        case float():
            return round(value, DIGITS)
        case _:
            return value


def read(folder: Path = HERE) -> Report:
    report: Report = msgspec.json.decode((folder / "report.json").read_bytes())
    return report


def write(report: Report, folder: Path = HERE) -> None:
    """Write report.json and report.md."""
    packed = msgspec.json.format(msgspec.json.encode(rounded(report)), indent=1)
    (folder / "report.json").write_bytes(packed + b"\n")
    (folder / "report.md").write_text("\n".join(_page(report)) + "\n")


def _page(report: Report) -> Iterator[str]:
    scenarios = {name: each for name, each in report.items() if name not in BESIDES}
    made_up = {name: each for name, each in scenarios.items() if "reliability_30m" in each}
    real = {name: each for name, each in scenarios.items() if name not in made_up}
    yield FOREWORD.format(**report["about"])
    yield from _targets(scenarios)
    yield "## Positions in made-up malls\n"
    yield from _methods(made_up)
    yield "## Zones in made-up malls\n"
    yield ENTERING
    yield from _table(
        ["scenario", *ZONE_COLUMNS.values()],
        ([name, *(_shown(figure, each[figure]) for figure in ZONE_COLUMNS)] for name, each in made_up.items()),
    )
    yield "## The recorded mall\n"
    yield from _methods(real)
    yield from _table(
        ["scenario", "reference", "level", "median m", "p90 m"],
        (
            [name, reference, f"{level:.1%}", f"{median_m}", f"{p90_m}"]
            for name, found in REFERENCES.items()
            if name in real
            for reference, (median_m, p90_m, level) in found.items()
        ),
    )
    yield "## How far to believe what is said\n"
    yield "The mean probability said of the most probable zone → the share that was right (of so many sendings).\n"
    for zones in ("30m", "15m"):
        yield from _reliability(made_up, zones)
    yield "The radius that claims to hold 90 % holds this much:\n"
    yield from _table(
        ["scenario", "within"], ([name, f"{each['within_radius']:.0%}"] for name, each in scenarios.items())
    )


def _targets(scenarios: Report) -> Iterator[str]:
    yield "## What must be, and what is aimed at\n"
    rows = []
    for target in TARGETS:
        found = scenarios.get(target.scenario, {}).get(target.figure)
        if found is None:
            continue
        verdict = "aim" if better(target.figure, found, target.aim) else "must"
        verdict = verdict if better(target.figure, found, target.must) else "**missed**"
        shown = [_shown(target.figure, value) for value in (found, target.must, target.aim)]
        rows.append([target.scenario, target.figure, *shown, verdict])
    yield from _table(["scenario", "figure", "found", "must", "aim", "reached"], rows)


def _methods(scenarios: Report) -> Iterator[str]:
    columns = {key: title for key, title in COLUMNS.items() if any(key in each for each in scenarios.values())}
    rows = []
    for name, each in scenarios.items():
        for method, figures in {"**presence**": each, **each["baselines"]}.items():
            rows.append([name, method.replace("_", " "), *(_shown(key, figures.get(key)) for key in columns)])
    yield from _table(["scenario", "method", *columns.values()], rows)


def _reliability(made_up: Report, zones: str) -> Iterator[str]:
    found = {name: {row["from"]: row for row in each[f"reliability_{zones}"]} for name, each in made_up.items()}
    rows = []
    for at in sorted({at for tenths in found.values() for at in tenths}):
        cells = [f"{row['said']:.2f} → {row['right']:.2f} ({row['n']})" if (row := tenths.get(at)) else ""
                 for tenths in found.values()]  # fmt: skip
        rows.append([f"{at:.1f} to {at + 0.1:.1f}", *cells])
    yield from _table([f"zones of {zones.removesuffix('m')} m: said", *found], rows)


def _shown(figure: str, value: float | None) -> str:
    if value is None:
        return ""
    if figure in SHARES:
        return f"{value:.1%}"
    return f"{value}" if isinstance(value, int) else f"{value:.2f}"


def _table(head: list[str], rows: Any) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(row) + " |"
    yield ""
