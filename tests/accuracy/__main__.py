"""`make accuracy`: measure everything, and write report.md and report.json."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from tests.accuracy.report import HERE, gated, machine, read, write
from tests.accuracy.scenarios import FULL, LAYOUTS, SIMULATED, SMALL, Report, Size, Step, recorded, simulated
from tests.conftest import ROOT

SHARED = Path(os.environ.get("SOJOURN_SHARED", ROOT.parent / "shared")) / "data"


def main(
    mall: Annotated[Path, typer.Option(help="Folder of a recorded mall.")] = SHARED / "mall-site1",
    into: Annotated[Path, typer.Option(help="Folder to write report.md and report.json to.")] = HERE,
    small: Annotated[bool, typer.Option(help="Only the small size that the test run holds; the rest is kept.")] = False,
) -> None:
    """Measure how well presence knows where people are, and write a report."""
    console, started = Console(), time.monotonic()
    if not mall.is_dir():
        console.print(f"No recorded mall in {mall}, so it is left out. --mall FOLDER says where one is.")
    report = read(into) if small else measured(FULL, mall, console)
    report["small"] = {name: gated(figures) for name, figures in measured(SMALL, mall, console).items()}
    if not small:
        report["about"] = {
            "worlds": FULL.worlds, "people": FULL.people, "minutes": FULL.seconds // 60, "machine": machine(),
            "took": f"{(time.monotonic() - started) / 60:.0f} minutes",
        }  # fmt: skip
    write(report, into)
    console.print(f"Wrote {into / 'report.md'} and report.json")


def measured(size: Size, mall: Path, console: Console) -> Report:
    """Every scenario in one size."""
    report: Report = {}
    with Progress(console=console) as progress:
        task = progress.add_task("", total=len(SIMULATED) + len(LAYOUTS))

        def step_of(name: str) -> Step:
            return lambda doing: progress.update(task, description=f"{name}: {doing}")

        for name, scenario in SIMULATED.items():
            report[name] = simulated(scenario, size, step_of(name))
            progress.advance(task)
        for layout in LAYOUTS if mall.is_dir() else ():
            report.update(recorded(mall, layout, size, step_of(f"{mall.name}, {layout} sensors a level")))
            progress.advance(task)
    # Nearly the same sendings: all but those of the first minutes, when no sensor had died.
    report["dead_sensors"]["p90_growth"] = report["dead_sensors"]["p90_m"] / report["base"]["p90_m"] - 1
    return report


if __name__ == "__main__":
    typer.run(main)
