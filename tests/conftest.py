"""What every test may ask for, and what a skip means."""

from __future__ import annotations

import gc
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
import structlog
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

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


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Where only those are asked for that want the machine to themselves, no other file need be read."""
    is_other = collection_path.suffix == ".py" and "mark.alone" not in collection_path.read_text("utf-8")
    return True if config.option.markexpr == "alone" and is_other else None


# What takes longest begins first, so that nobody waits for it at the end; what starts a mall of its own, not at once.
FIRST = ("e2e/test_broker_away", "e2e/pages", "accuracy", "rules/test_crashes", "rules/test_histories", "e2e")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def turn(item: pytest.Item) -> tuple[bool, int]:
        place = item.path.relative_to(ROOT / "tests").as_posix()
        early = [number for number, name in enumerate(FIRST) if place.startswith(name)]
        return item.get_closest_marker("alone") is not None, early[0] if early else len(FIRST)

    items.sort(key=turn)


class Together(LoadScopeScheduling):
    """Gives whole files to a process, for their tests share what is costly; pages, which look at one mall, to one."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "pages" if "e2e/pages/" in file else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Together:
    return Together(config, log)


def pytest_collection_finish() -> None:
    # What was imported stays; to look through it again and again for garbage took a tenth of the time.
    gc.collect()
    gc.freeze()


def _why(report: pytest.TestReport | pytest.CollectReport) -> str:
    return str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else str(report.longrepr)


@pytest.fixture
def own_log() -> Iterator[None]:
    """For whoever calls the command line's main, which has the log write to the screen of this test."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of recorded real inputs beside the checkout."""
    folder = Path(os.environ.get("SOJOURN_SHARED", ROOT.parent / "shared")) / "data"
    if not folder.is_dir():
        absent(f"no recorded inputs in {folder} (set SOJOURN_SHARED to the folder that holds data/)")
    return folder
