"""Accuracy does not get worse unnoticed, nor better unrecorded; and the figures that were promised are reached.

Each scenario is walked in a small size, with the seeds that `make accuracy` used, and compared with what that wrote.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.accuracy.report import BESIDES, GATED, gated, read
from tests.accuracy.scenarios import LAYOUTS, SIMULATED, SMALL, recorded, simulated
from tests.accuracy.targets import MISSED, SHARES_RIGHT, TARGETS, Target

GATE = 0.05
UPDATE = "make accuracy ARGS=--small"


def quiet(_: str) -> None:
    """Shows no progress."""


def held(name: str, found: dict[str, float]) -> None:
    before = read()["small"][name]
    assert list(found) == list(before)
    for figure, value in found.items():
        gain = value / before[figure] - 1 if figure in SHARES_RIGHT else 1 - value / before[figure]
        assert gain >= -GATE, f"{name}: {figure} was {before[figure]} and is {value:.4f}, worse by {-gain:.0%}"
        assert gain <= GATE, f"{name}: {figure} was {before[figure]} and is {value:.4f}. Record it: {UPDATE}"


@pytest.mark.parametrize("name", SIMULATED)
def test_a_made_up_mall_is_known_as_well_as_recorded(name: str) -> None:
    held(name, gated(simulated(SIMULATED[name], SMALL, quiet)))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_real_mall_is_known_as_well_as_recorded(layout: int, shared: Path) -> None:
    for name, figures in recorded(shared / "mall-site1", layout, SMALL, quiet):
        held(name, gated(figures))


@pytest.mark.parametrize(
    "target",
    [
        pytest.param(each, marks=[pytest.mark.xfail(reason=why, strict=True)] if why else [])
        for each in TARGETS
        for why in [MISSED.get((each.scenario, each.figure))]
    ],
    ids=lambda target: f"{target.scenario}-{target.figure}",
)
def test_what_was_promised_is_reached(target: Target) -> None:
    figure = read()[target.scenario][target.figure]
    assert figure >= target.must if target.figure in SHARES_RIGHT else figure <= target.must


def test_the_report_compares_every_scenario_with_the_baselines() -> None:
    report = read()
    scenarios = {name: each for name, each in report.items() if name not in BESIDES}
    methods = {name: set(each["baselines"]) for name, each in scenarios.items()}
    plain = {"weighted_centroid", "nearest_sensor"}
    assert methods == {name: plain | {"wknn"} if name.endswith("surveyed") else plain for name in scenarios}
    assert {figure for each in scenarios.values() for figure in each} >= set(GATED)
