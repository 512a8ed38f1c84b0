"""The demo as a newcomer runs it, at sixty times speed, counted."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
# A minute promises no more than this; two thirds of it must hold the same.
SECONDS = 40
Counts = dict[str, int]


def sojourn(*arguments: str, data: Path, timeout_s: float = 180) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "engine", *arguments, "--data", str(data)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout_s, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def counts(folder: Path) -> Counts:
    """The JSON line of a demo."""
    played = sojourn(
        "demo", "--for", f"{SECONDS}s", "--speed", "60", "--no-browser", "--json", "--port", "0", data=folder
    )
    assert played.returncode == 0, played.stderr
    told: Counts = json.loads(played.stdout.splitlines()[-1])
    return told


def test_it_sees_at_least_a_hundred_members(counts: Counts) -> None:
    assert counts["members_seen"] >= 100


def test_it_tells_of_at_least_a_hundred_zone_events(counts: Counts) -> None:
    assert counts["zone_events"] >= 100


def test_it_issues_at_least_fifty_coupons(counts: Counts) -> None:
    assert counts["coupons_issued"] >= 50


def test_at_least_ten_are_redeemed_at_tills(counts: Counts) -> None:
    assert counts["coupons_redeemed"] >= 10


def test_some_are_superseded_by_better_ones(counts: Counts) -> None:
    assert counts["coupons_superseded"] >= 1


def test_no_observation_of_a_non_member_is_on_the_wire(counts: Counts) -> None:
    assert counts["non_member_observations_published"] == 0 < counts["observations"]


def test_the_auditor_heard_all_that_sensors_published(counts: Counts) -> None:
    assert (counts["observations_not_audited"], counts["messages_unreadable"]) == (0, 0)


def test_no_coupon_is_doubled(counts: Counts) -> None:
    assert counts["coupons_doubled"] == 0


def test_every_decision_is_stored(counts: Counts) -> None:
    assert counts["decisions"] >= counts["coupons_issued"]


def test_it_says_how_long_coupons_took_and_how_far_it_fell_behind(counts: Counts) -> None:
    assert counts["latency_ms_p50"] <= counts["latency_ms_p99"] and counts["lag_ms_max"] >= 0


@pytest.fixture(scope="module")
def again(counts: Counts, folder: Path) -> Counts:
    """The JSON line of a second demo in the same folder."""
    played = sojourn("demo", "--for", "1s", "--speed", "60", "--no-browser", "--json", "--port", "0", data=folder)
    told: Counts = json.loads(played.stdout)
    return told


def test_a_second_start_keeps_the_data_and_is_the_next_morning(counts: Counts, again: Counts, folder: Path) -> None:
    assert again["coupons_issued"] < counts["coupons_issued"]
    assert (folder / "ledger.sqlite").stat().st_size > 100_000


def test_a_second_start_is_quick(again: Counts) -> None:
    # Under 5 s on two idle cores; here others work, too.
    assert again["start_ms"] < 15_000


def test_nothing_it_logs_or_keeps_names_an_address_or_a_code(counts: Counts, folder: Path) -> None:
    logs = b"".join(file.read_bytes() for file in folder.glob("*.log"))
    for line in logs.splitlines():
        assert b":" not in line or not any(len(word) == 17 and word.count(b":") == 5 for word in line.split())


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


def test_the_secrets_are_their_owners_alone(counts: Counts, folder: Path) -> None:
    assert stat.S_IMODE((folder / "master.key").stat().st_mode) == 0o600


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
