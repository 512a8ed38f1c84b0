"""A mall that runs, and a browser to look at it through."""

from __future__ import annotations

import itertools
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from secrets import token_bytes

import httpx2
import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, Playwright, Request, sync_playwright

from engine.clock import system_clock
from engine.demo import Mall, open_mall
from engine.events import PresenceEvent
from engine.keys import Keys
from engine.ledger import open_ledger
from engine.serve import PAGES_FOLDER
from engine.settings import Settings
from rules.book import Redeem
from rules.codes import Codes
from rules.coupons import Coupons
from rules.events import CouponEvent
from rules.giving import New
from rules.recall import Decision, Recall
from rules.tables import LIVE, coupon, publication
from rules.when import Line
from tests.conftest import absent
from tests.e2e.conftest import PATIENCE_S

SHOP = "cafe-luna"
# Ten virtual minutes to undo are two real ones here, longer than any test takes.
SPEED = 5
ENOUGH = 15
NOTHING = r"(?!)"
HOUR_MS = 3_600_000
CONSENTS = ("presence", "personal_offers", "inbox")


@dataclass(frozen=True)
class Given:
    """A coupon that was given to the member of the wallet."""

    id: str
    code: str


@dataclass(frozen=True)
class Site:
    """A running mall: where its pages are, who may see them, and a way to hand the member a coupon."""

    url: str
    operator_key: str
    member_key: str
    shop_key: str
    give: Callable[..., Given]


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if not (PAGES_FOLDER / "live.html").exists():
        absent("the pages are not built (make setup)")
    settings = Settings(data_folder=tmp_path_factory.mktemp("site"), port=0)
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        # A channel that nobody uses unless a test gives it an address.
        patch.setenv("SOJOURN_MESSAGES_URL", "json://127.0.0.1:9/{address}")
        mall = stack.enter_context(open_mall(settings, speed=SPEED, members=1_200, others=50, seed=11))
        operator_key = mall.key("operator", mall.site)
        asking = httpx2.Client(base_url=mall.url, headers={"Authorization": f"Bearer {operator_key}"}, timeout=10)
        with asking:
            newcomer = {"login": "looking@pages", "name": "Ana", "consents": list(CONSENTS)}
            [joined] = asking.post("/v1/members", json=[newcomer]).raise_for_status().json()
            wait_for_a_picture(asking)
        yield Site(
            url=mall.url,
            operator_key=operator_key,
            member_key=joined["wallet_key"],
            shop_key=mall.key("shop", SHOP),
            give=giver(mall, joined["id"], stack),
        )


def wait_for_a_picture(asking: httpx2.Client) -> None:
    """Until a level has so many members that it is shown now and after some have walked on."""
    with asking.stream("GET", "/v1/live", timeout=PATIENCE_S) as stream:
        for _ in stream.iter_lines():
            frame = asking.get("/v1/live/now").json()["frame"]
            if frame and any((level["members"] or 0) >= ENOUGH for level in frame["levels"]):
                return
    pytest.fail("the mall stays empty")


def giver(mall: Mall, member: int, stack: ExitStack) -> Callable[..., Given]:
    """Gives the member a coupon as a journey would; the running engine delivers it."""
    keys = Keys.read_or_make(mall.settings.data_folder, token_bytes)
    ledger = open_ledger(mall.settings.ledger, PresenceEvent | CouponEvent)
    stack.callback(ledger.close)
    codes = Codes(keys.codes, keys.code_digests)
    coupons, recall, runs = Coupons(ledger, codes), Recall(ledger), itertools.count()

    def give(spend_minor: int = 0) -> Given:
        now_ms = mall.ask("/v1/status")["clock_ms"]
        with ledger.write() as tx:
            run = f"looking-{next(runs)}"
            version = tx.execute(sa.select(publication.c.version)).scalars().first()
            why = Decision(
                id=f"why-{run}", at_ms=now_ms, member=member, visit="looking", journey="day-out", version=str(version),
                instance=run, step="coffee", rung=0, offer="coffee", verdict="issued", reason="ready", cause="looking",
                trace=[Line("journeys/day-out/steps/0/when/1", True, "12m30s of 4m"), Line("news", True, "fresh")],
            )  # fmt: skip
            recall.decide(tx, [why])
            # A member holds one live coupon at a time: the next takes its place.
            held = tx.execute(sa.select(coupon.c.id).where(coupon.c.member == member, LIVE)).scalar()
            id = coupons.issue(
                tx,
                New(
                    member=member, visit="looking", journey="day-out", instance=run, step="coffee",
                    rung=0, offer="coffee", shops=(SHOP,), cost=60, issued_ms=now_ms, expires_ms=now_ms + 8 * HOUR_MS,
                    cause="looking", heard_real_ms=system_clock(), supersedes=held,
                    redeem=Redeem(spend_minor=spend_minor),
                    title={"en": "Coffee 10 % off", "zh-Hans": "咖啡九折"},
                    why={"en": "You have been here for 12 minutes.", "zh-Hans": "您已到店 12 分钟。"},
                ),
            )  # fmt: skip
        assert id is not None
        return Given(id, codes.of(id))

    return give


@pytest.fixture(scope="package")
def driver() -> Iterator[Playwright]:
    with sync_playwright() as playwright:
        yield playwright


@contextmanager
def a_browser(driver: Playwright, *more: str) -> Iterator[Browser]:
    """more  further arguments to chromium"""
    program = shutil.which("chromium")
    if program is None:
        absent("no chromium to look at pages with (apt install chromium fonts-noto-cjk)")
    # Nothing that the browser does by itself may look like a request of the page.
    quiet = ("background-networking", "component-update", "sync", "quic", "gpu")
    arguments = ["--no-sandbox", "--no-first-run", *(f"--disable-{what}" for what in quiet), *more]
    browser = driver.chromium.launch(executable_path=program, args=arguments)
    try:
        yield browser
    finally:
        browser.close()


@pytest.fixture(scope="package")
def chromium(driver: Playwright) -> Iterator[Browser]:
    with a_browser(driver) as browser:
        yield browser


LOOKS = {"viewport": {"width": 1280, "height": 900}, "locale": "en-GB"}


@pytest.fixture(scope="package")
def tab(chromium: Browser) -> Page:
    """A page for whatever leaves nothing behind; each new one costs a second of the processor."""
    return chromium.new_context(**LOOKS).new_page()


Browse = Callable[..., Page]


@pytest.fixture
def browse(chromium: Browser, tab: Page) -> Iterator[Browse]:
    """Opens an address as if for the first time; afterwards the console must be clean and no request gone elsewhere.

    may_log  a pattern of what a browser logs by itself where the test provokes it, as the status of a refusal
    own  in a browser of its own: for who listens at the page, bends its clock or network, or grants it something
    """
    faults: list[str] = []
    with ExitStack() as stack:
        free = [tab]

        def open_page(address: str, *, may_log: str = NOTHING, theme: str = "light", own: bool = False) -> Page:
            if own or not free:
                context = chromium.new_context(**LOOKS)
                stack.callback(context.close)
                page = context.new_page()
            else:
                page = free.pop()
                stack.callback(forget, page)
            page.emulate_media(color_scheme=theme)
            stack.enter_context(watched(page, httpx2.URL(address), may_log, faults))
            page.goto(address)
            return page

        yield open_page
    assert faults == []


@contextmanager
def watched(page: Page, home: httpx2.URL, may_log: str, faults: list[str]) -> Iterator[None]:
    """Notes what a page complains of, and what it asks elsewhere."""

    def note_console(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not re.search(may_log, message.text):
            faults.append(f"console: {message.text}")

    def note_error(problem: Error) -> None:
        faults.append(f"page: {problem}")

    def note_request(request: Request) -> None:
        at = httpx2.URL(request.url)
        if at.scheme not in ("data", "blob") and (at.host, at.port) != (home.host, home.port):
            faults.append(f"request to {request.url}")

    notes = {"console": note_console, "pageerror": note_error, "request": note_request}
    for event, note in notes.items():
        page.on(event, note)
    yield
    for event, note in notes.items():
        page.remove_listener(event, note)


def forget(page: Page) -> None:
    """Leave where it was, and everything it was told there."""
    origin = page.evaluate("location.origin")
    page.goto("about:blank")
    devtools = page.context.new_cdp_session(page)
    devtools.send("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": "all"})
    devtools.detach()
    page.emulate_media(reduced_motion="no-preference")
    page.set_viewport_size(LOOKS["viewport"])
