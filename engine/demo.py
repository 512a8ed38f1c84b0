"""The demo: everything embedded, a crowd that walks the mall, and the count of what came of it.

The engine and the crowd are processes of their own, beside a broker and a live state of their own, as they would be
in a mall; this one starts them, shows how it goes, audits the wire, and stops them.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
import webbrowser
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from functools import partial
from pathlib import Path
from secrets import token_bytes
from time import monotonic
from typing import Any
from zoneinfo import ZoneInfo

import httpx2
from rich.console import Console
from rich.live import Live
from rich.table import Table

from engine.audit import Audit, auditing, vouch
from engine.broker import open_broker
from engine.clock import Pace, system_clock
from engine.embedded import START_S, NotStarted, beside
from engine.keys import Keys, Role, access_key
from engine.ledger import Ledger, open_database, open_ledger
from engine.live import open_live
from engine.loading import read_the_book
from engine.plainly import CannotStart
from engine.settings import Settings
from engine.start import data_folder, listening, read_plan
from engine.tally import tally
from sensors.wire import HEARTBEAT_MS

SETTLE_S, PATIENCE_S = 0.2, 5.0
OPENS = time(10, 0)  # local: coffee is still served, and lunch is an hour away
SHOP_IN_LINKS = "cafe-luna"


@dataclass(frozen=True)
class Mall:
    """A demo that runs."""

    settings: Settings
    http: httpx2.Client
    url: str
    broker_url: str
    key: Callable[[Role, str | int], str]  # whoever's access key
    site: str
    timezone: str
    opens_ms: int
    since: int  # the ledger's last event before it opened
    audit: Audit  # hears the broker since before the first sensor
    serve: Callable[[], AbstractContextManager[None]]  # starts the engine's process
    stop_crowd: Callable[[], None]

    def link(self, page: str, role: Role, subject: str | int) -> str:
        return f"{self.url}/{page}#key={self.key(role, subject)}"

    def ask(self, path: str) -> Any:
        """What the API answers an operator."""
        key = {"Authorization": f"Bearer {self.key('operator', self.site)}"}
        return self.http.get(path, headers=key).json()

    def first_with_a_coupon(self) -> int | None:
        """The first member whom a coupon reached in this demo, if there is one yet."""
        events = self.ask(f"/v1/events?kind=coupon.delivered&after={self.since}&limit=1")["events"]
        return int(events[0]["member"]) if events else None

    def crowd_counts(self) -> dict[str, int]:
        """What the crowd's process has counted so far."""
        try:
            counts: dict[str, int] = json.loads((self.settings.data_folder / "crowd.json").read_text())
        except FileNotFoundError:
            return {}
        return counts

    def await_crowd(self) -> None:
        """Until the first of the crowd is heard. Raises NotStarted."""
        deadline_s = monotonic() + START_S
        while not self.crowd_counts():
            if monotonic() > deadline_s:
                log = self.settings.data_folder / "crowd.log"
                raise NotStarted(f"the crowd did not come within {START_S:.0f} s; see {log}")
            threading.Event().wait(0.05)

    def settle(self) -> dict[str, int]:
        """The status once the engine has taken in all that the stopped crowd told, or has not moved for PATIENCE_S."""
        end_ms = self.crowd_counts()["clock_ms"] - 2 * HEARTBEAT_MS
        status, moved_s = self.ask("/v1/status"), monotonic()
        while status["reached_ms"] < end_ms and monotonic() - moved_s < PATIENCE_S:
            threading.Event().wait(SETTLE_S)
            before, status = status, self.ask("/v1/status")
            if status["reached_ms"] > before["reached_ms"]:
                moved_s = monotonic()
        return dict(status)


def next_morning(ledger: Ledger, timezone: str, now_real_ms: int) -> int:
    """When the mall opens: today, or the day after the last one the ledger knows."""
    zone = ZoneInfo(timezone)
    with ledger.read() as tx:
        last_ms = ledger.last_at_ms(tx)
    day = datetime.fromtimestamp((last_ms or now_real_ms) / 1_000, zone).date()
    opens = datetime.combine(day, OPENS, zone)
    return int((opens + timedelta(days=1 if last_ms else 0)).timestamp() * 1_000)


@contextmanager
def open_mall(settings: Settings, *, speed: float, members: int, others: int, seed: int) -> Iterator[Mall]:
    """A whole mall for the length of a block. Raises CannotStart or embedded.NotStarted."""
    folder = data_folder(settings)
    plan = read_plan(settings.zones_path)
    book = read_the_book(settings, plan)
    with listening(settings.host, settings.port) as free:
        port: int = free.getsockname()[1]
    keys = Keys.read_or_make(folder, token_bytes)
    (folder / "crowd.json").unlink(missing_ok=True)
    with ExitStack() as stack:
        broker_url = stack.enter_context(open_broker(settings.broker_url, folder))
        audit = stack.enter_context(auditing(broker_url, plan.site))
        client = stack.enter_context(open_live(settings.live_url, folder))
        socket = client.connection_pool.connection_kwargs.get("path")
        ledger = open_ledger(settings.ledger, object)
        now_real_ms = system_clock()
        opens_ms = next_morning(ledger, book.calendar.timezone, now_real_ms)
        with ledger.read() as tx:
            since = ledger.last_seq(tx)
        ledger.close()
        url = f"http://{settings.host}:{port}"
        # One for all questions: each client of its own reads every certificate there is.
        http = stack.enter_context(httpx2.Client(base_url=url, timeout=10))
        environment = os.environ | {
            "SOJOURN_DATA_FOLDER": str(folder),
            "SOJOURN_ZONES_PATH": str(settings.zones_path),
            "SOJOURN_BOOK_PATH": str(settings.book_path),
            "SOJOURN_BROKER_URL": broker_url,
            "SOJOURN_LIVE_URL": f"unix://{Path(socket).absolute()}" if socket else settings.live_url,
            "SOJOURN_LEDGER_URL": settings.ledger,
            "SOJOURN_HOST": settings.host,
            "SOJOURN_PORT": str(port),
            "SOJOURN_PACE": json.dumps(Pace(now_real_ms, opens_ms, speed)),
        }

        def program(*arguments: str, answers: Callable[[], bool]) -> AbstractContextManager[None]:
            command = [sys.executable, "-m", "engine", *arguments]
            return beside(
                command,
                log=folder / f"{arguments[0]}.log",
                answers=answers,
                environment=environment,
                name=f"sojourn {arguments[0]}",
            )

        def serve() -> AbstractContextManager[None]:
            return program("serve", answers=lambda: _is_ready(http))

        # The crowd gets ready while the engine does, and knocks until it is let in.
        crowd = stack.enter_context(ExitStack())
        sizes = ["--members", str(members), "--others", str(others), "--seed", str(seed)]
        where = ["--url", url, "--timezone", book.calendar.timezone]
        crowd.enter_context(program("crowd", *sizes, *where, answers=lambda: True))
        stack.enter_context(serve())
        yield Mall(
            settings=settings,
            http=http,
            url=url,
            broker_url=broker_url,
            key=partial(access_key, keys.access),
            site=plan.site,
            timezone=book.calendar.timezone,
            opens_ms=opens_ms,
            since=since,
            audit=audit,
            serve=serve,
            stop_crowd=crowd.close,
        )


def start_over(settings: Settings) -> None:
    """Forget everything the data folder holds; refuses a folder that is not ours."""
    folder = settings.data_folder
    if folder.exists() and any(folder.iterdir()) and not (folder / "master.key").exists():
        raise CannotStart(f"{folder} is not a data folder of Sojourn: --fresh would delete it; name another one")
    shutil.rmtree(folder, ignore_errors=True)


def _is_ready(http: httpx2.Client) -> bool:
    try:
        return http.get("/readyz", timeout=1).status_code == 200
    except httpx2.TransportError:
        return False


class Demo:
    """One play: starts the mall, shows how it goes, counts what came of it."""

    def __init__(self, settings: Settings, *, speed: float, members: int, others: int, seed: int) -> None:
        self._settings, self._speed, self._members, self._others, self._seed = settings, speed, members, others, seed

    def play(self, out: Console, *, for_ms: int | None, fresh: bool, browser: bool, as_json: bool) -> None:
        """Until Ctrl-C, or for *for_ms* real ms. Raises CannotStart, NotStarted or, after the counts, AuditFailed."""
        if fresh:
            start_over(self._settings)
        stopping = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stopping.set())
        began_ms = system_clock()
        crowd = {"members": self._members, "others": self._others, "seed": self._seed}
        with ExitStack() as stack:
            say = out.status("Opening the mall ...") if not as_json else nullcontext()
            with say:
                mall = stack.enter_context(open_mall(self._settings, speed=self._speed, **crowd))
            if not as_json:
                self._greet(out, mall)
            mall.await_crowd()
            start_ms = system_clock() - began_ms
            if browser and not as_json:
                webbrowser.open(mall.link("live", "operator", mall.site))
            self._watch(out, mall, stopping, for_ms, quiet=as_json)
            mall.stop_crowd()
            counts = {"start_ms": start_ms, **self._count(mall)}
        if as_json:
            print(json.dumps(counts))
        else:
            out.print(_table(counts))
            out.print(
                f"The data stays in {self._settings.data_folder}; the next start is the next morning.", style="dim"
            )
        vouch(counts)

    def _greet(self, out: Console, mall: Mall) -> None:
        out.rule(f"Sojourn at {self._speed:g} times speed")
        for page, whose, link in (
            ("Live", "for marketers", mall.link("live", "operator", mall.site)),
            ("Till", f"of {SHOP_IN_LINKS}", mall.link("till", "shop", SHOP_IN_LINKS)),
        ):
            _say_link(out, page, whose, link)
        out.print("These keys are the demo's own; further ones by `sojourn key`. Ctrl-C stops it.", style="dim")

    def _watch(self, out: Console, mall: Mall, stopping: threading.Event, for_ms: int | None, *, quiet: bool) -> None:
        begun, waiting_for_coupon = system_clock(), not quiet
        with nullcontext() if quiet else Live(console=out, refresh_per_second=2, transient=True) as screen:
            while not stopping.is_set():
                left_ms = 1_000 if for_ms is None else begun + for_ms - system_clock()
                if left_ms <= 0:
                    break
                if screen is not None:
                    screen.update(_line(mall))
                if waiting_for_coupon and (member := mall.first_with_a_coupon()) is not None:
                    waiting_for_coupon = False
                    whose = f"of member {member}"
                    _say_link(out, "Wallet", whose, mall.link("wallet", "member", member))
                stopping.wait(min(left_ms, 1_000) / 1_000)

    def _count(self, mall: Mall) -> dict[str, int]:
        status = mall.settle()
        walked = mall.crowd_counts()
        database = open_database(self._settings.ledger)
        try:
            counts = {
                "frames": walked.get("frames", 0),
                "observations_not_audited": mall.audit.missed(walked.get("boot", 0), walked.get("observations", 0)),
                "observations": mall.audit.observations,
                "non_member_observations_published": mall.audit.of_non_members(database),
                "messages_unreadable": mall.audit.unreadable,
                **tally(database, since=mall.since, since_ms=mall.opens_ms),
                "lag_ms_max": status["lag_ms_max"],
            }
        finally:
            database.dispose()
        return counts


def _say_link(out: Console, page: str, whose: str, link: str) -> None:
    # Whole, however narrow the terminal: a link that was cut opens nothing.
    out.print(f"{page:8}{whose:16}{link}", soft_wrap=True, highlight=False)


def _line(mall: Mall) -> str:
    walked = mall.crowd_counts()
    at = datetime.fromtimestamp(walked.get("clock_ms", mall.opens_ms) / 1_000, ZoneInfo(mall.timezone))
    return (
        f"{at:%H:%M} in the mall · {walked.get('present', 0)} people in it · {walked.get('frames', 0):,} frames heard, "
        f"{walked.get('observations', 0):,} observations of members · {walked.get('till_redeemed', 0)} coupons spent"
    )


def _table(counts: Mapping[str, int]) -> Table:
    table = Table(title="What came of it", show_header=False)
    for name, value in counts.items():
        table.add_row(name.replace("_", " "), f"{value:,}")
    return table
