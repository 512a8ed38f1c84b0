"""What is heard while the broker is away: kept by the sensors, taken in late, and no reason for a coupon."""

from __future__ import annotations

import json
from contextlib import ExitStack
from getpass import getuser
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa

from engine.demo import open_mall
from engine.embedded import beside
from engine.ledger import open_database
from engine.settings import Settings
from tests.e2e.conftest import count, wait_for_events
from tests.servers import MOSQUITTO, free_port, installed, listens

SPEED = 20


def coupons_of_old_news(database: sa.Engine) -> int:
    """Coupons whose cause was known for more than a minute when they were given."""
    causes = "SELECT coupon.issued_ms, event.at_ms, event.body FROM coupon JOIN event ON event.id = coupon.cause"
    with database.connect() as tx:
        rows = tx.execute(sa.text(causes)).all()
    # A zone is entered at the first evidence, and known to be when that was confirmed.
    return sum(issued - json.loads(body).get("confirmed_ms", at_ms) > 60_000 for issued, at_ms, body in rows)


@pytest.fixture
def mosquitto(tmp_path: Path) -> tuple[str, list[str], int]:
    """(url, command, port) of a broker that a test may stop and start again."""
    server, port = installed("mosquitto", "/usr/sbin"), free_port()
    config = tmp_path / "mosquitto.conf"
    # What it had acknowledged before it stopped is its own to keep; without persistence it would not.
    kept = f"persistence true\npersistence_location {tmp_path}/\nuser {getuser()}\n"
    config.write_text(MOSQUITTO.format(port=port).replace("persistence false\n", kept))
    return f"mqtt://127.0.0.1:{port}", [server, "-c", str(config)], port


def test_what_was_heard_while_the_broker_was_away_arrives_and_fires_no_late_coupon(
    mosquitto: tuple[str, list[str], int], tmp_path: Path
) -> None:
    url, command, port = mosquitto
    broker = {"log": tmp_path / "mosquitto.log", "answers": lambda: listens(port)}
    settings = Settings(data_folder=tmp_path / "data", port=0, broker_url=url)
    with ExitStack() as stack:
        running = stack.enter_context(ExitStack())
        running.enter_context(beside(command, **broker))
        mall = stack.enter_context(open_mall(settings, speed=SPEED, members=200, others=50, seed=5))
        wait_for_events(mall, 30)
        running.close()
        away_ms = mall.crowd_counts()["clock_ms"]
        # Three minutes of the mall's time, past the hold after which a silent member's stay would freeze.
        while mall.crowd_counts()["clock_ms"] < away_ms + 180_000:
            psutil.cpu_percent(0.2)
        back_ms = mall.crowd_counts()["clock_ms"]
        stack.enter_context(beside(command, **broker))
        wait_for_events(mall, 30)
        mall.stop_crowd()
        status = mall.settle()
        database = open_database(settings.ledger)
        late = coupons_of_old_news(database)
        heard = count(
            database, f"SELECT COUNT(*) FROM event WHERE kind LIKE 'zone.%' AND at_ms BETWEEN {away_ms} AND {back_ms}"
        )
        database.dispose()
    assert (status["missing_batches"], status["late_observations"], late) == (0, 0, 0)
    assert heard > 0, "what happened meanwhile is not in the ledger"
