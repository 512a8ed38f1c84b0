"""What was measured, kept in report.json by name, with the machine it was measured on beside it."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable
from pathlib import Path
from statistics import median

import msgspec
import numpy as np
from rich.console import Console
from rich.table import Table

from tests.speed.benchmark import FOLDER, Benchmark

REPORT, MACHINE = FOLDER / "report.json", FOLDER / "machine.json"


class Measured(msgspec.Struct, frozen=True):
    """The median of so many runs, and the lowest and highest among them."""

    value: float
    unit: str
    runs: int
    low: float
    high: float


Report = dict[str, Measured]


def repeated(benchmark: Benchmark, share: float, runs: int) -> Report:
    """Run it so often. Raises LookupError if it does not yield just the figures it promised."""
    found: dict[str, list[float]] = {name: [] for name in benchmark.figures}
    for _ in range(runs):
        figures = benchmark.measure(share)
        if set(figures) != set(found):
            raise LookupError(f"{benchmark.name} yielded {sorted(figures)}, and promised {sorted(found)}")
        for name, value in figures.items():
            found[name].append(float(value))
    return {
        name: Measured(_short(median(values)), figure.unit, runs, _short(min(values)), _short(max(values)))
        for (name, figure), values in zip(benchmark.figures.items(), found.values(), strict=True)
    }


def _short(value: float) -> float:
    """Four digits say all that such a measurement can."""
    return float(f"{value:.4g}")


def read() -> Report:
    return msgspec.json.decode(REPORT.read_bytes(), type=Report) if REPORT.exists() else {}


def merge(measured: Report, names: Iterable[str]) -> None:
    """Write *measured* over what the report says of the same names; of others only *names* are kept."""
    whole = {name: one for name, one in {**read(), **measured}.items() if name in set(names)}
    REPORT.write_text(_json(whole))
    MACHINE.write_text(_json(machine()))


def _json(values: object) -> str:
    return json.dumps(msgspec.to_builtins(values), indent=2, sort_keys=True) + "\n"


def machine() -> dict[str, str | int]:
    """What the figures were measured on."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count() or 0,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def show(benchmark: Benchmark, measured: Report, console: Console) -> None:
    """One table for each benchmark, under the sentence that says what it measures."""
    table = Table(title=benchmark.sentence, title_justify="left", title_style="", min_width=80)
    for heading in ("figure", "median", "lowest to highest", "unit", "asked for"):
        table.add_column(heading, justify="left" if heading in ("figure", "unit") else "right")
    for name, one in measured.items():
        figure = benchmark.figures[name]
        style = "" if figure.meets(one.value) else "bold red"
        table.add_row(name, f"{one.value:,g}", f"{one.low:,g} to {one.high:,g}", one.unit, figure.bound, style=style)
    console.print(table)
