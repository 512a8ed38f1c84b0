"""From the broker to the ledger: messages become events, and are acknowledged once these are kept.

Keeping costs a copy of all that presence knows. A round by which no second closed, as most are, has nothing to tell
yet: what it read is kept with the round that closes one, and acknowledged then; were we to die before, it would come
again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from secrets import token_bytes

import msgspec
import numpy as np
import sqlalchemy as sa
import structlog

from engine.batches import Border, Handles, Placed
from engine.broker import Message, Subscriber
from engine.clock import Pace, system_clock
from engine.clocks import STEADY_MS, TOLERANCE_MS, Clocks
from engine.events import PresenceEvent
from engine.fixes import on_plan
from engine.identity import BadAddress, Identity
from engine.keys import Keys
from engine.lanes import Lanes
from engine.ledger import Ledger
from engine.links import heard as heard_links
from engine.liveness import NEVER_MS, SILENT_MS
from engine.plan import Plan
from engine.presence import Presence, Whereabouts
from engine.readings import TICK_MS, Readings, joined
from engine.snapshot import Unusable
from sensors import wire

log = structlog.get_logger()

SNAPSHOT = "presence"
# A sensor counts as silent after SILENT_MS of event time, but for operators never sooner than it may take in real time
# for a heartbeat to get here.
SILENT_REAL_MS = 5_000
# What a message may take to get here, and for how long many may take as long, in real time: with a faster clock, that
# much event time.
TRAVELS_REAL_MS, STEADY_REAL_MS = 1_000, 5_000
# What was read is kept after so long in any case, and where so many messages of a lane wait to be acknowledged: half of
# what rumqttd sends ahead.
UNKEPT_REAL_MS, MOST_UNKEPT = 1_000, 50
# A heartbeat further ahead than this comes from a clock that is wrong: time must not run ahead with it.
AHEAD_MS = 60_000


class Snapshot(msgspec.Struct):
    """Everything that must agree with the acknowledged messages."""

    presence: bytes
    border: bytes
    clocks: bytes
    reached_ms: int


class Ingest:
    """Owns presence; every method runs on one thread."""

    def __init__(
        self,
        *,
        plan: Plan,
        presence: Presence,
        border: Border,
        identity: Identity,
        ledger: Ledger,
        subscriber: Subscriber,
        keys: Keys,
        pace: Pace,
        controllers: Iterable[str] = (),
    ) -> None:
        self.presence, self.border = presence, border
        self._plan, self._identity = plan, identity
        self._ledger, self._subscriber, self._keys, self._pace = ledger, subscriber, keys, pace
        self._lanes, self._controllers = Lanes(), frozenset(controllers)
        self.clocks = Clocks(
            tolerance_ms=max(TOLERANCE_MS, int(TRAVELS_REAL_MS * pace.speed)),
            steady_ms=max(STEADY_MS, int(STEADY_REAL_MS * pace.speed)),
        )
        self._handles, self._members = Handles({}), frozenset[int]()
        self._list_is_stale = True
        self._turn_ms = 0
        self._signs: list[tuple[int, int]] = []  # of life in this round: row of a sensor, and when
        self._links: list[tuple[int, int, int, int]] = []  # in this round, as links.Heard has them
        self._placed: list[Placed] = []  # what controllers told in this round
        self._unkept: list[Message] = []  # read, and neither kept nor acknowledged yet
        self.reached_ms = 0  # event time, as far as sensors have told
        self.refused: Counter[str] = Counter()  # malformed associations and heartbeats, by reason
        self.observations = self.fixes = 0
        self.lag_ms_max = 0  # paced: from the newest observation of a batch to its round

    def start(self) -> None:
        """Take up where the last process stopped; where that was another version of Sojourn, begin anew."""
        with self._ledger.read() as tx:
            blob = self._ledger.kept(tx, SNAPSHOT)
        if blob is None:
            return
        try:
            kept = msgspec.msgpack.decode(blob, type=Snapshot)
            self.presence.restore(kept.presence)
        except (msgspec.DecodeError, Unusable) as problem:
            log.warning("presence begins anew: what was kept is of another version", why=str(problem))
            return
        self.border.load(kept.border)
        self.clocks.load(kept.clocks)
        self.reached_ms = kept.reached_ms

    def consents_changed(self) -> None:
        """Have the next round publish a new list, and forget members who are no longer on it. Any thread may call."""
        self._list_is_stale = True

    def round(self, timeout_s: float, *, last: bool = False) -> int:
        """Wait at most *timeout_s* for messages, and carry out in one transaction what they mean; how many they were.

        last  keep what was read even if nothing has come of it yet, for there will be no other round
        """
        arrived, now_ms = self._subscriber.take(timeout_s), self._pace.now()
        self._lanes.add(arrived, system_clock(), no_later_than_ms=now_ms + AHEAD_MS, right=self._right)
        messages = self._lanes.ready(system_clock(), away=self._subscriber.away)
        new_list = self._list_is_stale or now_ms >= self._turn_ms
        if not messages and not new_list and not self._unkept:
            return 0
        readings: list[Readings] = []
        associations: list[wire.Association] = []
        for message in messages:
            self._read(message, now_ms, readings, associations)
        self._unkept += messages
        events: list[PresenceEvent] = []
        closed_ms = self.presence.reached_ms
        signs, self._signs = self._signs, []
        if signs:
            self.presence.hear_of(*zip(*signs, strict=True))
        links, self._links = self._links, []
        if links:
            self.presence.hear_links(heard_links(*zip(*links, strict=True)))
        placed, self._placed = self._placed, []
        if readings:
            # The oldest news of this round, whichever sensor brought it.
            oldest_ms = min(int(heard.t_ms.max()) for heard in readings)
            self.lag_ms_max = max(self.lag_ms_max, now_ms - oldest_ms)
            self.observations += sum(heard.size for heard in readings)
        if readings or placed:
            events += self._absorb(joined(readings).by_time(), placed)
        events += self.presence.expire(self.reached_ms)
        certain = events or associations or new_list or self.presence.reached_ms > closed_ms
        if not (certain or last or self._unkept_for_long(system_clock())):
            return len(messages)
        # Others wait while we write: what can be done before is done before.
        snapshot = self._snapshot()
        allow: wire.AllowList | None = None
        with self._ledger.write() as tx:
            for association in associations:
                try:
                    known = self._identity.associate(tx, association)
                    self._list_is_stale |= known is not None
                except BadAddress:
                    self.refused["bad-address"] += 1
            if self._list_is_stale or now_ms >= self._turn_ms:
                allow, forgotten = self._renew_list(tx, now_ms)
                if forgotten:
                    events += forgotten
                    snapshot = self._snapshot()
            heard_real_ms = max((m.arrived_real_ms for m in messages), default=system_clock())
            self._ledger.append(tx, events, heard_real_ms=heard_real_ms)
            if self._unkept or events:
                self._ledger.keep(tx, SNAPSHOT, msgspec.msgpack.encode(snapshot), now_ms)
        self._subscriber.acknowledge(self._unkept)
        self._unkept = []
        if allow is not None:
            sealed = wire.seal_allow_list(allow, self._keys.site, self._keys.signer, token_bytes)
            self._subscriber.publish_retained(wire.allow_topic(self._plan.site), sealed)
        return len(messages)

    def _unkept_for_long(self, now_real_ms: int) -> bool:
        oldest_real_ms = self._unkept[0].arrived_real_ms if self._unkept else now_real_ms
        of_lane = Counter(message.lane for message in self._unkept)
        return now_real_ms - oldest_real_ms >= UNKEPT_REAL_MS or max(of_lane.values(), default=0) >= MOST_UNKEPT

    def _snapshot(self) -> Snapshot:
        return Snapshot(self.presence.snapshot(), self.border.dump(), self.clocks.dump(), self.reached_ms)

    def _absorb(self, heard: Readings, placed: list[Placed]) -> list[PresenceEvent]:
        """Lanes come one after the other; in order of time, none is late for another's sake, nor for a controller's."""
        events: list[PresenceEvent] = []
        if placed:
            anchor, levels = self._plan.anchor, self._plan.level_index
            first, *others = (on_plan(*each, anchor, levels) for each in placed)
            told = first.and_also(others).by_time()
            self.fixes += told.size
            for second in np.unique(told.t_ms // TICK_MS).tolist():
                earlier = heard.t_ms < (second + 1) * TICK_MS
                events += self.presence.absorb(heard.at(earlier))
                events += self.presence.place(told.at(told.t_ms // TICK_MS == second))
                heard = heard.at(~earlier)
        return events + self.presence.absorb(heard)

    def _renew_list(self, tx: sa.Connection, now_ms: int) -> tuple[wire.AllowList, list[PresenceEvent]]:
        """The list that is right now, and the ends of the visits of those who are no longer on it."""
        self._list_is_stale = False
        before = self._members
        allow, member_of = self._identity.allow_list(tx, now_ms)
        allow = msgspec.structs.replace(allow, beacons={s.bssid: s.key for s in self._plan.sensors if s.bssid})
        self._handles, self._members = Handles(member_of), frozenset(member_of.values())
        self._turn_ms = self._identity.next_turn_ms(now_ms)
        gone = sorted(before - self._members)
        return allow, [event for member in gone for event in self.presence.forget(member, now_ms)]

    def where(self) -> Whereabouts:
        return self.presence.where()

    def silent(self) -> Collection[str]:
        """Sensors of the plan that nothing was heard of lately, in event time."""
        since_ms = self.reached_ms - max(SILENT_MS, int(SILENT_REAL_MS * self._pace.speed))
        newest_ms = self.presence.liveness.newest_ms().tolist()
        pairs = zip(self._plan.sensors, newest_ms, strict=True)
        return [sensor.key for sensor, at_ms in pairs if at_ms == NEVER_MS or at_ms < since_ms]

    def _read(
        self, message: Message, now_ms: int, readings: list[Readings], associations: list[wire.Association]
    ) -> None:
        """Sort one message; what is not what its topic promises is counted, and dropped here."""
        _, _, kind, *_ = message.topic.split("/", 3)
        try:
            if kind == "obs":
                sensor = _sensor_of(message)
                off_ms = self.clocks.right(sensor, 0)
                heard = self.border.take(message.topic, message.payload, now_ms, self._handles, off_ms=off_ms)
                if heard is not None:
                    readings.append(heard)
                    self._hear_of(sensor, int(heard.t_ms.max()))
            elif kind == "fix":
                placed = self.border.take_fixes(message.topic, message.payload, now_ms, self._handles)
                if placed is not None:
                    self._placed.append(placed)
            elif kind == "health":
                self._note(_sensor_of(message), wire.read_health(message.payload), now_ms, message.retained)
            elif kind == "bind":
                associations.append(wire.open_association(message.payload, self._keys.site, message.topic))
        except wire.Malformed as problem:
            self.refused[problem.reason] += 1

    def _right(self, message: Message, at_ms: int) -> int:
        """What the time is when *message* says *at_ms*; when it came tells whether its sensor's clock is right."""
        sensor = _sensor_of(message)
        # A retained heartbeat is as old as it likes.
        if not message.retained and sensor in self._plan.sensor_index:
            self.clocks.note(sensor, at_ms, self._pace.at(message.arrived_real_ms))
        return self.clocks.right(sensor, at_ms)

    def _note(self, sensor: str, health: wire.Health, now_ms: int, retained: bool) -> None:
        # A broker may let a sensor publish under its own name only; no payload must speak for another.
        if health.sensor != sensor:
            raise wire.Malformed("another-sensor")
        # Uplinks that several sensors share have names of their own; time moves by the plan's sensors and the settings'
        # controllers alone, whoever else may reach the broker.
        if sensor not in self._plan.sensor_index and sensor not in self._controllers:
            return
        at_ms = self.clocks.right(sensor, health.at_ms)
        if at_ms > now_ms + AHEAD_MS:
            self.refused["clock-ahead"] += 1
            return
        if health.status != "online":
            return
        if sensor in self._plan.sensor_index:
            self._hear_of(sensor, min(at_ms, now_ms))
            if not retained:  # a retained heartbeat was told before
                self._hear_links(sensor, health.hears, min(at_ms, now_ms))
        # While a sensor still holds back what it heard, silence proves nothing: time waits for it. And a clock that is
        # slightly ahead is taken at our own time, as the border does with what it heard.
        if health.spooled == 0:
            self.reached_ms = max(self.reached_ms, min(at_ms, now_ms))

    def _hear_links(self, sensor: str, hears: Mapping[str, int], at_ms: int) -> None:
        row = self._plan.sensor_index
        self._links += [(at_ms, row[sensor], row[other], dbm) for other, dbm in hears.items() if other in row]

    def _hear_of(self, sensor: str, at_ms: int) -> None:
        self._signs.append((self._plan.sensor_index[sensor], at_ms))


def _sensor_of(message: Message) -> str:
    return message.topic.rpartition("/")[2]
