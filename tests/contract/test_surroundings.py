"""An engine whose surroundings are away says so: on /readyz, and in its log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from structlog.testing import capture_logs

from engine.serve import build
from engine.settings import Settings
from engine.surroundings import Surroundings
from tests.servers import free_port

WAIT_S = 20.0


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def readiness(settings: Settings, stack: ExitStack) -> tuple[int, str]:
    """What /readyz answers once the broker had its time to let us in."""
    engine, app = build(settings, stack)
    engine.subscriber.wait_connected(WAIT_S if "127.0.0.1:1/" not in settings.broker_url else 0.0)
    answer = TestClient(app).get("/readyz")
    return answer.status_code, answer.json()["status"]


def test_it_is_ready_with_all_of_them(broker_url: str, live_url: str, tmp_path: Path, stack: ExitStack) -> None:
    settings = Settings(data_folder=tmp_path, broker_url=broker_url, live_url=live_url)
    assert readiness(settings, stack) == (200, "ready")


def test_it_is_not_ready_without_its_live_state(broker_url: str, tmp_path: Path, stack: ExitStack) -> None:
    settings = Settings(data_folder=tmp_path, broker_url=broker_url, live_url=f"redis://127.0.0.1:{free_port()}/0")
    assert readiness(settings, stack) == (503, "the live state is away")


def test_it_is_not_ready_without_its_broker(live_url: str, tmp_path: Path, stack: ExitStack) -> None:
    settings = Settings(data_folder=tmp_path, broker_url="mqtt://127.0.0.1:1/", live_url=live_url)
    assert readiness(settings, stack) == (503, "the broker is away")


def test_it_is_not_ready_without_its_ledger(broker_url: str, live_url: str, tmp_path: Path, stack: ExitStack) -> None:
    settings = Settings(data_folder=tmp_path, broker_url=broker_url, live_url=live_url)
    engine, app = build(settings, stack)
    engine.subscriber.wait_connected(WAIT_S)
    engine.ledger.close()
    (tmp_path / "ledger.sqlite").write_text("no database any more " * 100)
    assert TestClient(app).get("/readyz").json()["status"] == "the ledger is away"


def test_what_goes_and_comes_is_logged_once() -> None:
    there = {"broker": True, "ledger": True}
    around = Surroundings({name: lambda name=name: there[name] for name in there})
    with capture_logs() as logs:
        around.watch()
        there["broker"] = False
        around.watch()
        around.watch()
        there["broker"] = True
        around.watch()
    assert [(line["event"], line["what"]) for line in logs] == [("away", "broker"), ("there-again", "broker")]
