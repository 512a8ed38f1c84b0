"""What a killed engine may not cost: coupons, redemptions, visits."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from random import Random

import psutil
import pytest
import sqlalchemy as sa

from engine.demo import Mall, open_mall
from engine.ledger import open_database
from engine.settings import Settings
from engine.tally import tally
from tests.e2e.conftest import count, wait_for_events

Survivor = tuple[Mall, sa.Engine]
SPEED = 20
# How often the engine is killed on each ledger: ten random moments, of which the most are those of the embedded one.
KILLS = {"sqlite": 7, "postgresql": 3}


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
