"""The rules' API over a fresh ledger and a real live state, for tests that ask it as wallets and tills do."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_bytes

import httpx2
import pytest
import redis
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient

from engine import zones_file
from engine.access import Access
from engine.app import create_app
from engine.clock import Pace, system_clock
from engine.events import PresenceEvent
from engine.identity import Identity, Newcomer
from engine.keys import Keys
from engine.ledger import open_ledger
from engine.live import LiveState, open_live
from rules import api, channels_api, invitations_api, switches_api
from rules.book import Mall
from rules.channels import Channels
from rules.codes import Codes
from rules.coupons import Coupons
from rules.delivery import Delivery
from rules.events import CouponEvent
from rules.giving import New
from rules.inbox import Inbox
from rules.invitations import Invitations
from rules.outbox import Outbox
from rules.push import Push
from rules.reading import parse_book
from rules.redemption import Till
from rules.sending import Senders
from rules.wallet import ShopPlace, Wallets
from tests.conftest import ROOT
from tests.servers import sqlite_ledger_url

NOON_MS = 1_795_233_600_000
MALL = Mall.of(zones_file.read(ROOT / "zones.geojson"))
SHOPS = {
    "cafe-luna": ShopPlace(
        key="cafe-luna", name={"en": "Café Luna", "zh-Hans": "月光咖啡"}, level={"en": "L1", "zh-Hans": "1F"}
    )
}
PATIENCE_S = 30


class Site:
    """The rules' API over a fresh ledger, noon at first sight, and one member Ana with all consents."""

    def __init__(self, folder: Path, live: LiveState, ledger_url: str = "") -> None:
        url = ledger_url or sqlite_ledger_url(folder / "ledger.sqlite")
        self.ledger = open_ledger(url, PresenceEvent | CouponEvent)
        self.codes, self.access, self.inbox = Codes(b"k" * 32, b"p" * 32), Access(b"s" * 32), Inbox()
        self.identity = Identity(self.ledger, Keys(b"m" * 32), "demo", bytes)
        self.coupons = Coupons(self.ledger, self.codes)
        self.channels = Channels(self.ledger, b"c" * 32, token_bytes)
        self.outbox = Outbox(self.ledger, self.coupons, self.identity, self.channels)
        self.consents_changed = 0
        pace = Pace(system_clock(), NOON_MS, 1.0)
        with self.ledger.write() as tx:
            ana = Newcomer("ana", "Ana", consents=("presence", "personal_offers", "inbox"))
            (self.ana,) = self.identity.join(tx, [ana], NOON_MS, place="form")
        people = {
            "ledger": self.ledger, "inbox": self.inbox, "identity": self.identity, "live": live, "access": self.access,
            "wallets": Wallets(self.codes, self.identity, SHOPS, pace, lambda: self.book.timezone, self.channels.open),
            "pace": pace, "calendar": lambda: self.book.calendar, "consents_changed": self._note,
        }  # fmt: skip
        self.invitations = Invitations(self.ledger, {"cafe-luna": "cafe"}, token_bytes)
        routers = [
            api.routes(till=Till(self.ledger, self.codes, lambda: self.book.calendar), **people),
            invitations_api.routes(invitations=self.invitations, k=2, **people),
        ]
        self.push = Push(Keys(b"m" * 32).push, "mailto:it@mall.test", pace, ("https://push.mall.test",))
        senders = Senders(self.outbox, {}, pace.now, system_clock)
        delivery = Delivery(self.channels, self.outbox, self.push, senders)
        ways = channels_api.routes(self.ledger, delivery, self.access, pace.now)
        self.book = parse_book((ROOT / "rules" / "book.yaml").read_text(encoding="utf-8"), MALL)
        board = switches_api.Board(self.ledger, lambda: self.book, SHOPS, self.channels.open)
        switches = switches_api.routes(self.ledger, board, self.access, pace.now)
        self.app = create_app([*routers, ways, switches], folder / "no-pages")

    def _note(self) -> None:
        self.consents_changed += 1

    def as_(self, role: str, subject: object) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.access.key(role, subject)}"}

    @property
    def as_ana(self) -> dict[str, str]:
        return self.as_("member", self.ana)

    @property
    def as_cafe(self) -> dict[str, str]:
        return self.as_("shop", "cafe-luna")

    def deliver(self, new: New) -> str:
        """Give a coupon, carry it to the inbox, wake open pages; its code."""
        with self.ledger.write() as tx:
            given = self.coupons.issue(tx, new)
            assert given is not None
        self.outbox.round(NOON_MS, 1)
        with self.ledger.read() as tx:
            self.inbox.hear(recorded.event for recorded in self.ledger.since(tx, 0, 1_000))
        return self.codes.of(given)


@pytest.fixture(scope="module")
def live_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[redis.Redis]:
    with open_live("embedded://", tmp_path_factory.mktemp("live")) as client:
        yield client


@pytest.fixture
def site(tmp_path: Path, live_client: redis.Redis) -> Iterator[Site]:
    live_client.flushall()
    site = Site(tmp_path, LiveState(live_client, "demo"))
    yield site
    site.ledger.close()


@pytest.fixture
def each_site(tmp_path: Path, live_client: redis.Redis, ledger_url: str) -> Iterator[Site]:
    """The same on one ledger after the other."""
    live_client.flushall()
    site = Site(tmp_path, LiveState(live_client, "demo"), ledger_url)
    yield site
    site.ledger.close()


@pytest.fixture
def http(site: Site) -> Iterator[TestClient]:
    with TestClient(site.app, base_url="http://mall.test") as client:
        yield client


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """A real server on a free port: only over a real connection does a stream end when its page closes."""
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        port.listen(128)  # who comes before the server is up waits for it
        config = uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [port]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{port.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture
def browser(site: Site) -> Iterator[httpx2.Client]:
    unlimited = httpx2.Limits(max_connections=None)
    with served(site.app) as url, httpx2.Client(base_url=url, timeout=PATIENCE_S, limits=unlimited) as client:
        yield client
