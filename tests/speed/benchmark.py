"""The register of benchmarks: what each measures, and what is asked of its figures.

A benchmark is a function in a file `bench_*.py` of this folder. Its docstring is the sentence of what it measures. It
is given the share of its full size to run at, prepares what it needs, measures once, and returns its figures by name:

    @benchmark(lookups_per_s=Figure("lookups/s", at_least=1e6), ratio_vs_dict=Figure("ratio", at_least=5))
    def looking_up_handles(share: float) -> dict[str, float]:
        \"\"\"Handles of 50,000 members become members, many at once, and one by one in a dict.\"\"\"

`make speed` runs it several times at full size and keeps the medians; the test run runs it once, small, and holds the
bounds on ratios. Two things that are compared are measured in the same run, so that a busy machine slows both.
Other bounds are only shown: what a machine can do in a second is the machine's, not ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from time import process_time
from typing import NamedTuple

RATIO = "ratio"
FOLDER = Path(__file__).parent


class Figure(NamedTuple):
    """One measured number: its unit, and the bound that is asked of it, if any."""

    unit: str
    at_least: float | None = None
    at_most: float | None = None

    def meets(self, value: float) -> bool:
        low, high = self.at_least, self.at_most
        return (low is None or value >= low) and (high is None or value <= high)

    @property
    def bound(self) -> str:
        parts = [f"≥ {self.at_least:,g}"] if self.at_least is not None else []
        return " ".join(parts + ([f"≤ {self.at_most:,g}"] if self.at_most is not None else []))


class Benchmark(NamedTuple):
    measure: Callable[[float], Mapping[str, float]]
    figures: Mapping[str, Figure]
    runs: int

    @property
    def name(self) -> str:
        return self.measure.__name__

    @property
    def sentence(self) -> str:
        return " ".join((self.measure.__doc__ or "").split())

    def matches(self, words: str) -> bool:
        """Whether *words* is part of its name, of its file's or of one of its figures'."""
        module = self.measure.__module__.rpartition(".")[2]
        return any(words in name for name in (self.name, module, *self.figures))


REGISTER: list[Benchmark] = []


def benchmark(*, runs: int = 5, **figures: Figure) -> Callable[[Callable[[float], Mapping[str, float]]], Benchmark]:
    """Enter a function into the register, with the figures it yields and how often it is repeated."""

    def enter(measure: Callable[[float], Mapping[str, float]]) -> Benchmark:
        REGISTER.append(Benchmark(measure, figures, runs))
        return REGISTER[-1]

    return enter


def every_benchmark() -> list[Benchmark]:
    for file in sorted(FOLDER.glob("bench_*.py")):
        import_module(f"tests.speed.{file.stem}")
    return REGISTER


@contextmanager
def processor() -> Iterator[Callable[[], float]]:
    """Seconds of processor time that the block took (so far, when asked within it).

    Not the clock on the wall: the question is what one core carries, and others may be using the machine.
    """
    start, end = process_time(), None

    def seconds() -> float:
        return (process_time() if end is None else end) - start

    try:
        yield seconds
    finally:
        end = process_time()
