"""`make speed`: run the benchmarks at full size, print their figures, and merge them into report.json."""

from __future__ import annotations

from typing import Annotated

import pytest
import typer
from rich.console import Console

from tests.speed import report
from tests.speed.benchmark import every_benchmark


def speed(
    k: Annotated[str, typer.Option("-k", help="Only benchmarks with this in their name, file or figures")] = "",
    runs: Annotated[int, typer.Option(help="So many runs of each, whatever it asks for", min=0)] = 0,
    share: Annotated[float, typer.Option(help="Share of the full size; below 1 the report is not written")] = 1.0,
) -> None:
    """Measure how fast Sojourn is, and write tests/speed/report.json."""
    console = Console(width=None if Console().is_terminal else 120, highlight=False)
    known = every_benchmark()
    chosen = [benchmark for benchmark in known if benchmark.matches(k)]
    if not chosen:
        raise typer.BadParameter(f"no benchmark, file or figure has {k!r} in its name", param_hint="-k")
    names = [name for benchmark in known for name in benchmark.figures]
    for benchmark in chosen:
        try:
            measured = report.repeated(benchmark, share, runs or benchmark.runs)
        except pytest.skip.Exception as absent:
            console.print(f"[bold]Left out:[/] {benchmark.sentence}\n  {absent.msg}")
            continue
        if share >= 1:
            report.merge(measured, names)  # at once, so that an interrupted run keeps what it has
        report.show(benchmark, measured, console)
    machine = report.machine()
    console.print(", ".join(f"{name} {value}" for name, value in machine.items()))


typer.run(speed)
