"""How programs start and stop: what is in the way is one clear line, and nothing stays behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.e2e.conftest import sojourn


def refusal(*arguments: str, data: Path) -> str:
    """The one line a command ends with."""
    refused = sojourn(*arguments, data=data)
    assert refused.returncode == 2 and "Traceback" not in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1, refused.stderr
    return refused.stderr


def test_a_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        assert f"port {port}" in refusal("demo", "--no-browser", "--port", port, data=tmp_path)


def test_a_data_folder_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("a file, where a folder should be")
    assert "cannot write to the data folder" in refusal("demo", "--no-browser", data=taken / "data")


def test_a_missing_map_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOJOURN_ZONES_PATH", str(tmp_path / "zones.geojson"))
    assert "no map at" in refusal("demo", "--no-browser", data=tmp_path)


def test_fresh_refuses_to_delete_a_folder_that_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    assert "is not a data folder" in refusal("demo", "--fresh", "--no-browser", data=tmp_path)
    assert (tmp_path / "thesis.txt").exists()


def test_ctrl_c_stops_everything_it_started(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "engine", "demo", "--no-browser", "--port", "0", "--data", str(tmp_path)]
    demo = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=os.environ | {"COLUMNS": "200"})
    assert demo.stdout is not None
    while "Ctrl-C" not in (line := demo.stdout.readline()):
        assert line, "the demo ended before it greeted"
    demo.send_signal(signal.SIGINT)
    demo.communicate(timeout=30)
    processes = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert (demo.returncode, str(tmp_path) in processes) == (0, False)
