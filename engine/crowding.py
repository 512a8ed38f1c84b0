"""The crowd's process: walks it by the paced clock, lets the mall's sensors hear it, and spends its coupons.

Its phones learn of coupons, and its tills redeem them, through the API alone; its frames reach the engine through
the same parser, consent filter and uplink as a live sensor's.
"""

from __future__ import annotations

import contextlib
import json
import queue
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from secrets import token_bytes
from zoneinfo import ZoneInfo

import httpx2
import structlog

from engine import paho_tables
from engine.clock import Pace, system_clock
from engine.keys import Keys, Role, SensorKeys, access_key
from engine.plan import Plan
from engine.settings import Settings
from engine.start import data_folder, read_plan
from sensors.agent import Agent
from sensors.air import Air
from sensors.consent import ConsentFilter
from sensors.crowd import Crowd, Step
from sensors.errands import AtTill, Errands, Told
from sensors.phones import Phones
from sensors.profiles import profiles
from sensors.uplink import Uplink
from sensors.wire import GATHER_MS, HEARTBEAT_MS

log = structlog.get_logger()

HEARTBEAT_TICKS = HEARTBEAT_MS // GATHER_MS  # a tick is what one gathering takes
COUNTS_EVERY_REAL_MS = 500
# Real time between two looks for new coupons: stands for the push service that a phone would have.
LOOK_EVERY_S = 0.5
NEWCOMERS_AT_ONCE = 500
KNOCK_EVERY_S = 0.1


@dataclass
class Tills:
    """The HTTP side, on a thread of its own: tells the crowd of coupons, and redeems what it brings to a till."""

    url: str
    key: Callable[[Role, str | int], str]  # whoever's access key
    site: str
    members: dict[int, int]  # member id -> index in the crowd
    wallet_keys: dict[int, str]
    told: queue.SimpleQueue[tuple[int, Told]] = field(default_factory=queue.SimpleQueue)
    wanted: queue.SimpleQueue[AtTill] = field(default_factory=queue.SimpleQueue)
    waiting: list[AtTill] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    codes: dict[str, str] = field(default_factory=dict)  # coupon -> code, as the member's wallet shows it

    def work(self, stopping: threading.Event) -> None:
        with httpx2.Client(base_url=self.url, timeout=10) as http:
            after = self._newest(http)
            while not stopping.wait(LOOK_EVERY_S):
                with contextlib.suppress(httpx2.TransportError):  # the engine restarts; what was missed comes again
                    after = self._look(http, after)
                    self._redeem(http)

    def _operator(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key('operator', self.site)}"}

    def _newest(self, http: httpx2.Client) -> int:
        newest: int = http.get("/v1/events/last", headers=self._operator()).json()["seq"]
        return newest

    def _look(self, http: httpx2.Client, after: int) -> int:
        query: dict[str, str | int] = {"after": after, "kind": "coupon.delivered"}
        page = http.get("/v1/events", params=query, headers=self._operator()).json()
        for event in page["events"]:
            index = self.members.get(event["member"])
            if index is not None:
                self._open_wallet(http, index, event["member"], event["coupon"])
        seq: int = page["seq"]
        return seq

    def _open_wallet(self, http: httpx2.Client, index: int, member: int, coupon: str) -> None:
        if coupon in self.codes:
            return  # news that comes again after a lost connection is no second coupon
        key = {"Authorization": f"Bearer {self.wallet_keys[member]}"}
        for one in http.get("/v1/wallet", headers=key).json()["coupons"]:
            if one["id"] == coupon and one["state"] == "issued":
                self.codes[coupon] = one["code"]
                shops = tuple(shop["key"] for shop in one["shops"])
                step = f"{one['journey']}/{one['step']}"
                told = Told(coupon, one["offer"], step, shops, one["issued_ms"], one["expires_ms"])
                self.told.put((index, told))

    def _redeem(self, http: httpx2.Client) -> None:
        while self.waiting or not self.wanted.empty():
            if not self.waiting:
                self.waiting.append(self.wanted.get())
            at_till = self.waiting[0]  # stays there until answered: a till tries again, with the same key
            answer = http.post(
                "/v1/redemptions",
                json={"code": self.codes[at_till.coupon]},
                headers={
                    "Authorization": f"Bearer {self.key('shop', at_till.shop)}",
                    "Idempotency-Key": at_till.coupon,
                },
            )
            if answer.status_code >= 500:
                return
            del self.waiting[0]
            ok = answer.status_code == 200
            self.outcomes["redeemed" if ok else answer.json()["type"].rpartition("/")[2]] += 1


def enrol(
    url: str,
    key: Callable[[Role, str | int], str],
    site: str,
    people: list[dict[str, object]],
    stopping: threading.Event,
) -> list[tuple[int, str]]:
    """(member id, wallet key) of each, in order; who is a member already stays one. Knocks until the engine is up."""
    joined: list[tuple[int, str]] = []
    headers = {"Authorization": f"Bearer {key('operator', site)}"}
    with httpx2.Client(base_url=url, timeout=60, headers=headers) as http:
        while len(joined) < len(people) and not stopping.is_set():
            try:
                answer = http.post("/v1/members", json=people[len(joined) : len(joined) + NEWCOMERS_AT_ONCE])
            except httpx2.ConnectError:
                stopping.wait(KNOCK_EVERY_S)
                continue
            answer.raise_for_status()
            joined += [(one["id"], one["wallet_key"]) for one in answer.json()]
    return joined


class Walk:
    """The crowd and the sensors that hear it, one paced second at a time."""

    def __init__(self, plan: Plan, *, members: int, others: int, seed: int, pace: Pace, hour: int) -> None:
        self.crowd = Crowd(plan, seed, members=members, others=others, opens_ms=pace.started_ms, opening_hour=hour)
        self.phones = Phones(members, others, seed)
        self.air = Air(plan, members + others, seed)
        self.boot = pace.anchor_ms
        self.consent = ConsentFilter(plan.site)
        self.agents = [
            Agent(sensor.key, self.consent, boot=self.boot, bssids=frozenset(self.air.bssids))
            for sensor in plan.sensors
        ]
        self.frames = 0
        self.published = 0
        self._ticks = 0

    def tick(self, now_ms: int, uplink: Uplink) -> Step:
        """Everybody moves on to *now_ms*; the sensors publish what they heard on the way."""
        step = self.crowd.step(now_ms)
        for association in self.phones.follow(step):
            uplink.associate(association)
        agents = self.agents
        for sensor, raw, at_ms in self.air.hear(self.phones.due(now_ms), self.crowd.bodies):
            agents[sensor].hear(raw, at_ms)
            self.frames += 1
        for sensor, raw, at_ms in self.air.beacons(now_ms - GATHER_MS, now_ms):
            agents[sensor].hear(raw, at_ms)
            self.frames += 1
        self._ticks += 1
        for index, agent in enumerate(agents):
            batch = agent.gather(now_ms)
            if batch is not None:
                self.published += len(batch.handle)
                uplink.send(batch)
            if (self._ticks + index) % HEARTBEAT_TICKS == 0:
                uplink.report(agent.health(now_ms))
        return step


def walk(settings: Settings, *, url: str, members: int, others: int, seed: int, timezone: str) -> None:
    """Until a signal says stop."""
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    paho_tables.share()
    folder, plan, pace = data_folder(settings), read_plan(settings.zones_path), settings.pace
    keys = Keys.read_or_make(folder, token_bytes)
    sensor_keys = SensorKeys.read(folder / "sensor.key")
    key = partial(access_key, keys.access)
    opens = datetime.fromtimestamp(pace.started_ms / 1_000, ZoneInfo(timezone))
    people = profiles(members, seed, f"{opens:%m-%d}")
    consents = ["presence", "personal_offers", "inbox"]
    walked = Walk(plan, members=members, others=others, seed=seed, pace=pace, hour=opens.hour)
    joined = enrol(url, key, plan.site, [one._asdict() | {"consents": consents} for one in people], stopping)
    tills = Tills(url, key, plan.site, {id: index for index, (id, _) in enumerate(joined)}, dict(joined))
    birthdays = {index for index, one in enumerate(people) if one.birthday == f"{opens:%m-%d}"}
    errands = Errands(walked.crowd, seed, birthdays=birthdays)
    with _uplink(settings, plan, sensor_keys, walked, folder) as uplink:
        worker = threading.Thread(target=tills.work, args=(stopping,), name="tills")
        worker.start()
        _run(walked, uplink, errands, tills, pace, folder, stopping)
        worker.join()
    _write_counts(folder, walked, tills, pace, 0)


@contextlib.contextmanager
def _uplink(settings: Settings, plan: Plan, keys: SensorKeys, walked: Walk, folder: Path) -> Iterator[Uplink]:
    uplink = Uplink(
        settings.broker_url,
        plan.site,
        "crowd",
        folder / "spool",
        site_key=keys.site_key,
        verifier=keys.verifier,
        on_allow=lambda allow: walked.consent.take(allow, settings.pace.now()),
    )
    uplink.start()
    try:
        yield uplink
    finally:
        uplink.close()


def _run(
    walked: Walk,
    uplink: Uplink,
    errands: Errands,
    tills: Tills,
    pace: Pace,
    folder: Path,
    stopping: threading.Event,
) -> None:
    next_ms = pace.now() // GATHER_MS * GATHER_MS
    written_real_ms = behind_ms = 0
    while not stopping.is_set():
        next_ms += GATHER_MS
        wait_s = (pace.system_at(next_ms) - system_clock()) / 1_000
        if wait_s > 0 and stopping.wait(wait_s):
            break
        behind_ms = max(behind_ms, int(-wait_s * 1_000))
        errands.follow(walked.tick(next_ms, uplink))
        with contextlib.suppress(queue.Empty):
            while True:
                errands.told(*tills.told.get_nowait(), next_ms)
        due = errands.due(next_ms)
        for member in due.opened:
            walked.phones.wake(member, next_ms)
        for at_till in due.at_till:
            tills.wanted.put(at_till)
        if system_clock() - written_real_ms >= COUNTS_EVERY_REAL_MS:
            written_real_ms = system_clock()
            _write_counts(folder, walked, tills, pace, behind_ms)


def _write_counts(folder: Path, walked: Walk, tills: Tills, pace: Pace, behind_ms: int) -> None:
    counts = {
        "clock_ms": pace.now(),
        "boot": walked.boot,
        "frames": walked.frames,
        "observations": walked.published,
        "present": int(walked.crowd.present().size),
        "behind_ms": behind_ms,
        **{f"till_{outcome}": n for outcome, n in tills.outcomes.items()},
    }
    draft = folder / "crowd.json.new"
    draft.write_text(json.dumps(counts))
    draft.replace(folder / "crowd.json")
