"""What every test may ask for, and what a skip means."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent
# Where everything must be present a skip hides a fault.
NO_SKIP = os.environ.get("CI") == "true"

# How long an example takes says how busy the machine is, and nothing about the code.
settings.register_profile("sojourn", deadline=None)
settings.load_profile("sojourn")

pytest_plugins = ["tests.servers", "tests.promoting", "tests.tilling"]


def absent(what: str) -> NoReturn:
    """Skip, saying what is missing."""
    pytest.skip(what)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if NO_SKIP and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome, report.longrepr = "failed", f"{_why(report)}, and CI=true allows no skip"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if NO_SKIP and report.skipped:
        report.outcome, report.longrepr = "failed", f"{_why(report)}, and CI=true allows no skip"
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole programs come last and are marked."""
    for item in items:
        if "e2e" in item.path.parts:
            item.add_marker("e2e")
    items.sort(key=lambda item: "e2e" in item.path.parts)


def _why(report: pytest.TestReport | pytest.CollectReport) -> str:
    return str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else str(report.longrepr)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of recorded real inputs beside the checkout."""
    folder = Path(os.environ.get("SOJOURN_SHARED", ROOT.parent / "shared")) / "data"
    if not folder.is_dir():
        absent(f"no recorded inputs in {folder} (set SOJOURN_SHARED to the folder that holds data/)")
    return folder
