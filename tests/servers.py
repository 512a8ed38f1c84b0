"""Servers for tests: started once per run on free ports, in folders of their own, and stopped at its end.

A test asks for broker_url, live_url or ledger_url and runs once on each backend that is installed.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from itertools import count
from pathlib import Path

import psycopg
import psycopg.sql
import pytest
import redis

import rules.tables  # noqa: F401  (declares the tables of its room)
from engine import schema
from engine.broker import open_broker
from engine.embedded import beside
from engine.ledger import open_database
from engine.live import answers, open_live
from engine.tables import metadata
from tests.conftest import absent

MOSQUITTO = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence false
# Its default of 20 would have the engine wait for each small commit.
max_inflight_messages 1000
max_queued_messages 100000
"""
_numbers = count(1)


@pytest.fixture(scope="session")
def embedded_broker_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with open_broker("embedded://", tmp_path_factory.mktemp("broker")) as url:
        yield url


@pytest.fixture(scope="session")
def mosquitto_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = installed("mosquitto", "/usr/sbin")
    folder, port = tmp_path_factory.mktemp("mosquitto"), free_port()
    config = folder / "mosquitto.conf"
    config.write_text(MOSQUITTO.format(port=port))
    with beside([server, "-c", str(config)], log=folder / "log", answers=lambda: listens(port)):
        yield f"mqtt://127.0.0.1:{port}"


@pytest.fixture(scope="session")
def valkey_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("live")
    with open_live("embedded://", folder) as client:
        yield f"unix://{client.get_connection_kwargs()['path']}"


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = installed("redis-server")
    folder, port = tmp_path_factory.mktemp("redis"), free_port()
    url = f"redis://127.0.0.1:{port}/0"
    command = [server, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(folder)]
    with (
        redis.Redis.from_url(url) as client,
        beside(command, log=folder / "log", answers=lambda: answers(client)),
    ):
        yield url


@contextmanager
def postgres(*, durable: bool = False) -> Iterator[str]:
    """A whole PostgreSQL server. Unless it must be durable it does without fsync: no test cuts the power."""
    initdb = installed("initdb", *sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True))
    # Not pytest's folder: PostgreSQL refuses to run as root, and nobody else may enter that one.
    folder, port = Path(tempfile.mkdtemp(prefix="sojourn-postgres-")), free_port()
    data, as_postgres = str(folder / "data"), []
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
        as_postgres = [installed("setpriv"), "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    url = f"postgresql://sojourn@127.0.0.1:{port}/postgres"
    make = [*as_postgres, initdb, "-D", data, "-U", "sojourn", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"]
    serve = [*as_postgres, str(Path(initdb).with_name("postgres")), "-D", data]
    serve += [*([] if durable else ["-F"]), "-h", "127.0.0.1", "-p", str(port), "-k", str(folder)]
    try:
        subprocess.run(make, check=True, capture_output=True, cwd=folder)
        with beside(serve, log=folder / "log", answers=lambda: _lets_in(url)):
            yield url
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A server for the run; its database `postgres` is nobody's, tests make their own (empty_url does)."""
    with postgres() as url:
        yield url


@pytest.fixture(scope="session")
def postgres_ledger_url(postgres_url: str) -> str:
    """One ledger of the newest schema for the run; ledger_url empties it for each test."""
    url = _new_database(postgres_url, "ledger")
    migrate(url)
    return url


def migrate(url: str) -> None:
    database = open_database(url)
    schema.upgrade(database)
    database.dispose()


@cache
def _migrated() -> bytes:
    """The file of an empty SQLite ledger: to migrate one anew for each test costs more than most tests."""
    with tempfile.TemporaryDirectory() as folder:
        migrate(f"sqlite:///{folder}/ledger.sqlite")
        return Path(folder, "ledger.sqlite").read_bytes()


def sqlite_ledger_url(file: Path) -> str:
    """An empty ledger of the newest schema in *file*."""
    file.write_bytes(_migrated())
    return f"sqlite:///{file}"


def _new_database(server: str, name: str, *, like: str = "template1") -> str:
    names = psycopg.sql.Identifier(name), psycopg.sql.Identifier(like)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(psycopg.sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*names))
    return server.removesuffix("postgres") + name


@cache
def _migrated_database(server: str) -> str:
    """The name of an empty ledger that nobody is connected to, so that PostgreSQL copies it."""
    migrate(_new_database(server, "empty_ledger"))
    return "empty_ledger"


@contextmanager
def own_ledger_url(server: str) -> Iterator[str]:
    """An empty ledger of the newest schema, for a test that needs several; gone with the block."""
    name = f"own{next(_numbers)}"
    yield _new_database(server, name, like=_migrated_database(server))
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(psycopg.sql.SQL("DROP DATABASE {} WITH (FORCE)").format(psycopg.sql.Identifier(name)))


def _empty(url: str) -> None:
    """Delete all rows, number anew, and be alone: a process that was killed may have left a session behind."""
    tables = [f'DELETE FROM "{table.name}"' for table in reversed(metadata.sorted_tables)]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        connection.execute("; ".join(tables))
        connection.execute("SELECT setval(format('%I.%I', schemaname, sequencename), 1, false) FROM pg_sequences")


def _lets_in(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


@pytest.fixture(params=["embedded", "mosquitto"])
def broker_url(request: pytest.FixtureRequest) -> str:
    """One MQTT broker after the other."""
    name = {"embedded": "embedded_broker_url", "mosquitto": "mosquitto_url"}[request.param]
    return str(request.getfixturevalue(name))


@pytest.fixture(params=["valkey", "redis"])
def live_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """One live state after the other, empty; whoever leaves a key there that never expires, fails."""
    url = str(request.getfixturevalue(f"{request.param}_url"))
    with redis.Redis.from_url(url) as client:
        client.flushdb()
        yield url
        eternal = [key for key in client.scan_iter() if client.pttl(key) == -1]
    assert eternal == [], "keys that never expire"


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """One ledger after the other: the newest schema, and nothing in it."""
    if request.param == "sqlite":
        return sqlite_ledger_url(tmp_path / "ledger.sqlite")
    url = str(request.getfixturevalue("postgres_ledger_url"))
    _empty(url)
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """One database after the other that has no tables yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.sqlite'}"
    return _new_database(str(request.getfixturevalue("postgres_url")), f"empty{next(_numbers)}")


def installed(name: str, *elsewhere: str) -> str:
    """The path of a program; skips the test where it is not installed."""
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), *elsewhere]))
    return found or absent(f"{name} is not installed")


# Below those that the system gives to whoever connects: such a one may be taken again before the server listens.
SERVED = range(10_000, 32_768)


def free_port() -> int:
    while True:
        port = secrets.choice(SERVED)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
