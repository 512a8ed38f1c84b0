"""Every benchmark still runs, small; its report keeps the names others read; and what is a ratio keeps its bounds."""

from __future__ import annotations

import math

import pytest

from tests.speed import report
from tests.speed.benchmark import RATIO, Benchmark, every_benchmark

SMALL = 0.01
BENCHMARKS = every_benchmark()


@pytest.mark.parametrize("benchmark", BENCHMARKS, ids=lambda benchmark: benchmark.name)
def test_each_benchmark_yields_its_figures_and_its_ratios_are_within_bounds(benchmark: Benchmark) -> None:
    measured = report.repeated(benchmark, SMALL, runs=1)
    assert {name for name, one in measured.items() if not (math.isfinite(one.value) and one.value >= 0)} == set()
    ratios = {name: one.value for name, one in measured.items() if one.unit == RATIO}
    assert {name: value for name, value in ratios.items() if not benchmark.figures[name].meets(value)} == {}


def test_no_two_benchmarks_yield_a_figure_of_one_name() -> None:
    names = [name for benchmark in BENCHMARKS for name in benchmark.figures]
    assert sorted(names) == sorted(set(names))


def test_the_report_has_every_figure_in_its_unit_and_no_other() -> None:
    figures = {name: figure.unit for benchmark in BENCHMARKS for name, figure in benchmark.figures.items()}
    assert {name: one.unit for name, one in report.read().items()} == figures


@pytest.mark.parametrize("benchmark", BENCHMARKS, ids=lambda benchmark: benchmark.name)
def test_each_benchmark_says_what_it_measures(benchmark: Benchmark) -> None:
    assert benchmark.sentence.endswith(".")
