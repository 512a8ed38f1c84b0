"""The pages are built when they changed, and only then; what people type reaches the program as they typed it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import hatch_build
from tests.conftest import ROOT


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose pages were built just now."""
    pages = tmp_path / "dashboards"
    (pages / "src").mkdir(parents=True)
    (pages / "dist").mkdir()
    (pages / "package.json").write_text("{}")
    (pages / "src" / "live.ts").write_text("1")
    (pages / "dist" / hatch_build.STAMP).write_text(hatch_build.digest(pages))
    return tmp_path


def test_pages_as_they_were_are_not_built_again(checkout: Path) -> None:
    assert not hatch_build.stale(checkout)


def test_a_changed_page_is_built(checkout: Path) -> None:
    (checkout / "dashboards" / "src" / "live.ts").write_text("2")
    assert hatch_build.stale(checkout)


def test_a_renamed_page_is_built(checkout: Path) -> None:
    source = checkout / "dashboards" / "src"
    (source / "live.ts").rename(source / "mall.ts")
    assert hatch_build.stale(checkout)


def test_what_the_build_makes_does_not_count_as_a_change(checkout: Path) -> None:
    (checkout / "dashboards" / "dist" / "live.js").write_text("built")
    (checkout / "dashboards" / "node_modules").mkdir()
    (checkout / "dashboards" / "node_modules" / "package.js").write_text("theirs")
    assert not hatch_build.stale(checkout)


def test_pages_can_be_left_out(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (checkout / "dashboards" / "src" / "live.ts").write_text("2")
    monkeypatch.setenv("SOJOURN_SKIP_PAGES", "1")
    assert not hatch_build.stale(checkout)


def test_a_checkout_without_pages_has_none_to_build(tmp_path: Path) -> None:
    hatch_build.build(tmp_path)
    assert not hatch_build.stale(tmp_path)


@pytest.mark.parametrize(
    ("goal", "argument", "command"),
    [("demo", "--for 60s --json", "sojourn demo"), ("test", '-k "coupon or till"', "-m pytest")],
)
def test_make_passes_arguments_on_as_they_are_written(goal: str, argument: str, command: str) -> None:
    shown = subprocess.run(
        ["make", "--dry-run", goal, f"ARGS={argument}"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    started = [line for line in shown.stdout.splitlines() if command in line]
    assert started and all(argument in line for line in started)


def test_whatever_pip_installs_is_locked_and_so_is_what_builds_it() -> None:
    shown = subprocess.run(
        ["make", "--dry-run", "--always-make", "setup"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    installs = [line.partition(" install ")[2] for line in shown.stdout.splitlines() if " -m pip " in line]
    assert len(installs) == 4  # what builds, what is locked, Sojourn itself, and Node where there is none
    assert [line for line in installs if "--require-hashes" not in line and "--no-deps" not in line] == []
    # Isolated, pip fetches a builder that no hash names.
    assert [line for line in installs if "--no-build-isolation" not in line and "--only-binary :all:" not in line] == []
