"""What is heard while the broker is away: kept by the sensors, taken in late, and no reason for a coupon."""

from __future__ import annotations

import json
from contextlib import ExitStack
from getpass import getuser
from itertools import islice
from pathlib import Path

import httpx2
import pytest
import sqlalchemy as sa

from engine.demo import Mall, open_mall
from engine.embedded import beside
from engine.ledger import open_database
from engine.settings import Settings
from tests.e2e.conftest import PATIENCE_S, count, wait_for_events
from tests.servers import MOSQUITTO, free_port, installed, listens

SPEED = 10
# A picture a second, broker or not: a real minute, and ten of the mall's, past the hold after which a silent
# member's stay would freeze.
AWAY_REAL_S = 60


def coupons_of_old_news(database: sa.Engine) -> int:
    """Coupons whose cause was known for more than a minute when they were given."""
    causes = "SELECT coupon.issued_ms, event.at_ms, event.body FROM coupon JOIN event ON event.id = coupon.cause"
    with database.connect() as tx:
        rows = tx.execute(sa.text(causes)).all()
    # A zone is entered at the first evidence, and known to be when that was confirmed.
    return sum(issued - json.loads(body).get("confirmed_ms", at_ms) > 60_000 for issued, at_ms, body in rows)


def wait_for_pictures(mall: Mall, pictures: int) -> None:
    """Until the engine has sent so many new pictures of the mall."""
    key = {"Authorization": f"Bearer {mall.key('operator', mall.site)}"}
    with httpx2.stream("GET", f"{mall.url}/v1/live", headers=key, timeout=PATIENCE_S) as stream:
        frames = (line for line in stream.iter_lines() if line == "event: frame")
        assert len(list(islice(frames, pictures))) == pictures, "the stream ended"


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
        wait_for_pictures(mall, AWAY_REAL_S)
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
