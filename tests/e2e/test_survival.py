"""What a killed engine and a lost broker may not cost: coupons, redemptions, visits, observations."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from getpass import getuser
from pathlib import Path
from random import Random

import psutil
import pytest
import sqlalchemy as sa

from engine.demo import Mall, open_mall
from engine.embedded import beside
from engine.ledger import open_database, open_ledger
from engine.settings import Settings
from engine.tally import tally
from tests.servers import MOSQUITTO, free_port, installed, listens

Survivor = tuple[Mall, sa.Engine]
SPEED = 20
# How often the engine is killed on each ledger: what differs between the two is the ledger's own promise alone.
KILLS = {"sqlite": 10, "postgresql": 3}
PATIENCE_S = 60


def count(database: sa.Engine, statement: str) -> int:
    with database.connect() as tx:
        return int(tx.execute(sa.text(statement)).scalar_one())


def coupons_of_old_news(database: sa.Engine) -> int:
    """Coupons whose cause was known for more than a minute when they were given."""
    causes = "SELECT coupon.issued_ms, event.at_ms, event.body FROM coupon JOIN event ON event.id = coupon.cause"
    with database.connect() as tx:
        rows = tx.execute(sa.text(causes)).all()
    # A zone is entered at the first evidence, and known to be when that was confirmed.
    return sum(issued - json.loads(body).get("confirmed_ms", at_ms) > 60_000 for issued, at_ms, body in rows)


def wait_for_events(mall: Mall, more: int) -> None:
    """Until the ledger holds *more* events than now."""
    ledger = open_ledger(mall.settings.ledger, object)
    with ledger.read() as tx:
        last = ledger.last_seq(tx)
    # Another process writes, so each wait is a look at the database.
    assert any(ledger.wait_beyond(last + more, 0.1) for _ in range(PATIENCE_S * 10)), "the engine stands still"
    ledger.close()


def kill_engine(mall: Mall) -> None:
    """kill -9, in the midst of whatever it does."""
    folder = str(mall.settings.data_folder)
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or []
        if line[1:] == ["-m", "engine", "serve"] and process.environ().get("SOJOURN_DATA_FOLDER") == folder:
            process.send_signal(signal.SIGKILL)
            process.wait(10)


@pytest.fixture(scope="module", params=KILLS)
def survivor(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Survivor]:
    """A mall whose engine was killed at random moments, and which then came to rest."""
    settings = Settings(data_folder=tmp_path_factory.mktemp("survivor"), port=0)
    if request.param == "postgresql":
        server = str(request.getfixturevalue("postgres_url"))
        with sa.create_engine(server.replace("postgresql", "postgresql+psycopg", 1)).connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").execute(sa.text("CREATE DATABASE survivor"))
        settings = settings.model_copy(update={"ledger_url": server.removesuffix("postgres") + "survivor"})
    chance = Random(1)
    with ExitStack() as stack:
        mall = stack.enter_context(open_mall(settings, speed=SPEED, members=250, others=100, seed=3))
        for _ in range(KILLS[request.param]):
            wait_for_events(mall, chance.randrange(5, 60))
            kill_engine(mall)
            stack.enter_context(mall.serve())
        wait_for_events(mall, 20)
        mall.stop_crowd()
        mall.settle()
        database = open_database(settings.ledger)
        yield mall, database
        database.dispose()


def test_no_coupon_is_doubled(survivor: Survivor) -> None:
    _, database = survivor
    counts = tally(database, since=0, since_ms=0)
    assert (counts["coupons_doubled"], counts["coupons_issued"] > 0) == (0, True)


def test_every_redemption_a_till_was_told_of_is_kept(survivor: Survivor) -> None:
    mall, database = survivor
    kept = count(database, "SELECT COUNT(*) FROM redemption WHERE restored_ms IS NULL")
    assert kept == mall.crowd_counts().get("till_redeemed", 0)


def test_no_visit_is_split_by_a_restart(survivor: Survivor) -> None:
    _, database = survivor
    visits = "SELECT COUNT(*) FROM event WHERE kind = 'visit.started'"
    members = "SELECT COUNT(DISTINCT member) FROM event WHERE kind = 'visit.started'"
    assert count(database, visits) == count(database, members) > 0


def test_every_issued_coupon_reached_its_member_or_ended(survivor: Survivor) -> None:
    _, database = survivor
    stuck = "SELECT COUNT(*) FROM outbox JOIN coupon ON coupon.id = outbox.coupon WHERE outbox.state = 'leased'"
    assert count(database, stuck) == 0


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
