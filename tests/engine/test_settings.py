"""Settings: read from a file and the environment, refused with the name of the knob."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.__main__ import settings
from engine.clock import Pace
from engine.plainly import CannotStart
from engine.settings import Settings


def test_the_environment_overrides_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sojourn.toml").write_text("port = 9000\nk = 7\n")
    monkeypatch.setenv("SOJOURN_SETTINGS", str(tmp_path / "sojourn.toml"))
    monkeypatch.setenv("SOJOURN_PORT", "9001")
    chosen = Settings()
    assert (chosen.port, chosen.k) == (9001, 7)


def test_the_clock_is_three_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOJOURN_PACE", "[10, 20, 2.0]")
    assert Settings().pace == Pace(10, 20, 2.0)


def test_the_ledger_is_in_the_data_folder_unless_named(tmp_path: Path) -> None:
    assert Settings(data_folder=tmp_path).ledger == f"sqlite:///{tmp_path}/ledger.sqlite"


@pytest.mark.parametrize(
    ("name", "value"), [("SOJOURN_K", "1"), ("SOJOURN_PORT", "port"), ("SOJOURN_PACE", "[0, 0, 9000]")]
)
def test_a_knob_out_of_bounds_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(CannotStart, match=name):
        settings()


def test_a_knob_nobody_knows_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sojourn.toml").write_text("prot = 9000\n")
    monkeypatch.setenv("SOJOURN_SETTINGS", str(tmp_path / "sojourn.toml"))
    with pytest.raises(CannotStart, match="PROT"):
        settings()
