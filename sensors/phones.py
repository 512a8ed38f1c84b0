"""The phones in the crowd's pockets: which address they use, when they sleep, and when they send.

Most are joined to the mall's Wi-Fi with one address that stays; the others only probe. Every probe of every phone comes
from an address that is thrown away after it. A screen that lights up talks every few seconds; asleep, a phone says
nothing for one to five minutes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sensors.airframes import SSID
from sensors.crowd import Step
from sensors.frames import Kind
from sensors.profiles import login_of
from sensors.venue import Bools, Floats, Ints
from sensors.walkers import NEVER
from sensors.wire import Association

# Others with a login for the mall's Wi-Fi and no membership, as a share of all others.
OTHERS_JOINED = 0.45
UNIVERSAL = 0.08  # of the joined: private addresses switched off
OFFSET_SPREAD_DB = 5.0
AWAKE_GAP_MS = (1_500, 4_500)
# Shortest, mean beyond that, longest silence: phones that are joined and asleep speak every one to five minutes.
ASLEEP_MS, ASLEEP_MORE_MS, ASLEEP_MOST_MS = 60_000, 45_000, 300_000
SCREEN_ON_MS = (15_000, 60_000)
# Of the times that a sleeping phone speaks: the screen was lit, rather than a keepalive alone.
WOKEN_BY_HAND = 0.6
ARRIVAL_SCREEN_MS = 90_000
OPENED_SCREEN_MS = 40_000
JOINED_PROBE_MEAN_MS, UNJOINED_PROBE_MEAN_MS = 240_000, 50_000
IS_DATA = 0.7  # of what is sent awake; the rest are nulls
LOGIN_SOURCE = "crowd"

_LOCAL = np.uint64(0x02 << 40)
_ADDRESS_BITS = 46


class Emissions(NamedTuple):
    """Frames sent, in order of time; columns of equal length.

    kind      frames.Kind
    address   the transmitter's 48 bits
    power_db  how much stronger than the average phone this one sends
    """

    person: Ints
    at_ms: Ints
    kind: Ints
    address: NDArray[np.uint64]
    sequence: Ints
    power_db: Floats


class Addresses:
    """Private addresses, none of them twice: a counter scattered over 46 bits by an odd multiplier."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._taken = 0
        self._times = np.uint64(rng.integers(1 << 44, 1 << 45) * 2 + 1)
        self._plus = np.uint64(rng.integers(1 << _ADDRESS_BITS))

    def take(self, count: int) -> NDArray[np.uint64]:
        """(count,) unicast, locally administered."""
        number = np.arange(self._taken, self._taken + count, dtype=np.uint64)
        self._taken += count
        scattered = (number * self._times + self._plus) & np.uint64((1 << _ADDRESS_BITS) - 1)
        # The two lowest bits of the first octet say what sort of address it is; the rest go around them.
        low = scattered & np.uint64((1 << 40) - 1)
        return (scattered >> np.uint64(40) << np.uint64(42)) | _LOCAL | low


def octets(address: int) -> bytes:
    return int(address).to_bytes(6, "big")


class Phones:
    """One phone each; people 0..members-1 are members, whose phones log in. All chance from *seed*."""

    def __init__(self, members: int, others: int, seed: int) -> None:
        self._rng = rng = np.random.default_rng([seed, 0x50])
        self._members, n = members, members + others
        self._addresses = Addresses(rng)
        self.address = self._addresses.take(n)
        self.joined: Bools = (np.arange(n) < members) | (rng.random(n) < OTHERS_JOINED)
        universal = self.joined & (rng.random(n) < UNIVERSAL)
        self.address[universal] &= ~_LOCAL
        self.power_db: Floats = rng.normal(0.0, OFFSET_SPREAD_DB, n)
        self._sequence = rng.integers(0, 4_096, n)
        self._next_ms = np.full(n, NEVER)  # on the network
        self._probe_ms = np.full(n, NEVER)
        self._screen_until_ms = np.zeros(n, np.int64)
        self._joining = np.zeros(n, np.int8)  # frames of the handshake still to send

    def follow(self, step: Step) -> list[Association]:
        """Switch on the phones of who came and off those of who left; -> the logins of members who came."""
        came, left = step.arrived, step.left
        self._next_ms[left] = self._probe_ms[left] = NEVER
        joined = came[self.joined[came]]
        self._joining[joined] = 2
        self._next_ms[joined] = step.now_ms + self._rng.integers(100, 1_000, joined.size)
        self._screen_until_ms[joined] = step.now_ms + ARRIVAL_SCREEN_MS
        self._probe_ms[came] = step.now_ms + self._rng.integers(0, 5_000, came.size)
        return [
            Association(
                login=login_of(int(member)),
                address=octets(self.address[member]).hex(":"),
                ssid=SSID,
                at_ms=step.now_ms,
                source=LOGIN_SOURCE,
                secured=True,
            )
            for member in came[came < self._members]
        ]

    def wake(self, person: int, now_ms: int) -> None:
        """Somebody looks at the phone, as when a coupon came."""
        if self._next_ms[person] != NEVER:
            self._screen_until_ms[person] = max(int(self._screen_until_ms[person]), now_ms + OPENED_SCREEN_MS)
            self._next_ms[person] = min(int(self._next_ms[person]), now_ms + int(self._rng.integers(*AWAKE_GAP_MS)))

    def due(self, now_ms: int) -> Emissions:
        """Everything sent since the last call, up to *now_ms*."""
        sent = [self._probe(np.zeros(0, np.int64))]
        while (who := np.flatnonzero(self._next_ms <= now_ms)).size:
            sent.append(self._speak(who))
        while (who := np.flatnonzero(self._probe_ms <= now_ms)).size:
            sent.append(self._probe(who))
        columns = [np.concatenate(column) for column in zip(*sent, strict=True)]
        order = np.argsort(columns[1], kind="stable")
        return Emissions(*(column[order] for column in columns))

    def _probe(self, who: Ints) -> Emissions:
        """One probe from each, from an address that nobody uses again."""
        at_ms, count = self._probe_ms[who], who.size
        mean_ms = np.where(self.joined[who], JOINED_PROBE_MEAN_MS, UNJOINED_PROBE_MEAN_MS)
        self._probe_ms[who] = at_ms + 1 + self._rng.exponential(mean_ms).astype(np.int64)
        kind, sequence = np.full(count, Kind.PROBE_REQUEST), self._rng.integers(0, 4_096, count)
        return Emissions(who, at_ms, kind, self._addresses.take(count), sequence, self.power_db[who])

    def _speak(self, who: Ints) -> Emissions:
        """One frame from each, and when each speaks next."""
        rng, at_ms = self._rng, self._next_ms[who]
        asleep = (at_ms > self._screen_until_ms[who]) & (self._joining[who] == 0)
        lit = asleep & (rng.random(who.size) < WOKEN_BY_HAND)
        self._screen_until_ms[who[lit]] = at_ms[lit] + rng.integers(*SCREEN_ON_MS, lit.sum())
        next_ms = at_ms + rng.integers(*AWAKE_GAP_MS, who.size)
        joining = self._joining[who]
        next_ms = np.where(joining > 0, at_ms + rng.integers(20, 200, who.size), next_ms)
        dozes = (next_ms > self._screen_until_ms[who]) & (joining == 0)
        silence_ms = ASLEEP_MS + rng.exponential(ASLEEP_MORE_MS, who.size).astype(np.int64)
        next_ms = np.where(dozes, at_ms + np.minimum(silence_ms, ASLEEP_MOST_MS), next_ms)
        kind = np.where(rng.random(who.size) < IS_DATA, Kind.QOS_DATA, Kind.QOS_NULL)
        kind = np.where(asleep & ~lit, Kind.QOS_NULL, kind)
        kind = np.where(dozes & ~asleep, Kind.NULL, kind)
        kind = np.select([joining == 2, joining == 1], [Kind.AUTH, Kind.ASSOC_REQUEST], kind)
        self._joining[who] = np.maximum(joining - 1, 0)
        self._next_ms[who] = next_ms
        self._sequence[who] = (self._sequence[who] + 1) & 0xFFF
        return Emissions(who, at_ms, kind, self.address[who], self._sequence[who], self.power_db[who])
