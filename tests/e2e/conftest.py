"""Whole programs, and what their ledger holds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import sqlalchemy as sa

from engine.demo import Mall
from engine.ledger import open_ledger
from tests.conftest import ROOT

PATIENCE_S = 120


def sojourn(*arguments: str, data: Path, timeout_s: float = 180) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "engine", *arguments, "--data", str(data)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout_s, check=False)


def count(database: sa.Engine, statement: str) -> int:
    with database.connect() as tx:
        return int(tx.execute(sa.text(statement)).scalar_one())


def wait_for_events(mall: Mall, more: int) -> None:
    """Until the ledger holds *more* events than now."""
    ledger = open_ledger(mall.settings.ledger, object)
    with ledger.read() as tx:
        last = ledger.last_seq(tx)
    # Another process writes, so each wait is a look at the database.
    assert any(ledger.wait_beyond(last + more, 0.1) for _ in range(PATIENCE_S * 10)), "the engine stands still"
    ledger.close()
