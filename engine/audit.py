"""An auditor on the broker: sees what any subscriber could see, and trusts nobody's counters.

It shares no code with the consent filter: what it knows of members it reads from the ledger's tables with SQL, and
what is on the wire it takes from the broker by the wire contract, as a stranger with the site's sensor key would.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

import sqlalchemy as sa

from engine.ear import Ear
from engine.plainly import SaidPlainly
from sensors import wire

# Whose each handle is, with every word of theirs on presence, oldest first.
WORDS_ON_PRESENCE = """
SELECT handle.epoch, handle.handle, consent.at_ms, consent.granted
  FROM handle
  JOIN binding ON binding.id = handle.binding
  JOIN consent ON consent.member = binding.member AND consent.purpose = 'presence'
 ORDER BY consent.seq
"""
# How long after a withdrawal sensors may still publish, by design; whatever comes later is a fault.
WITHDRAWAL_MS = 60_000
# Rows are counted by handle and spans of so long, as one counter for each would not fit a day into memory.
SPAN_MS = 10_000
# How long to wait for more of those that must still be under way.
PATIENCE_S, LOOK_S = 5.0, 0.05

Said = list[tuple[int, bool]]  # (at_ms, granted), oldest first


class AuditFailed(SaidPlainly):
    """The audit found what must not be, or cannot vouch for what it says."""

    exit_code = 1


class Audit:
    """Counts what is published on one site, from the moment it is subscribed.

    unreadable  messages that are no batch: counted, and nobody's observations
    """

    def __init__(self, broker_url: str, site: str) -> None:
        """Raises NotStarted, see Ear."""
        self._rows: Counter[tuple[int, int, int]] = Counter()  # by epoch, handle and span of time
        self._of_boot: Counter[int] = Counter()
        self._highest: dict[tuple[str, int], int] = {}  # by sensor and boot: number of the newest batch
        self.unreadable = 0
        self._ear = Ear(broker_url, f"sojourn-{site}-audit", f"sojourn/{site}/obs/#", self._on_message)

    @property
    def observations(self) -> int:
        """Rows seen on the wire."""
        return self._of_boot.total()

    def of_non_members(self, database: sa.Engine) -> int:
        """Rows whose handle is of nobody who consented to presence at the time; 0 is the only good answer."""
        said: defaultdict[tuple[int, int], Said] = defaultdict(list)
        with database.connect() as tx:
            for epoch, handle, at_ms, granted in tx.execute(sa.text(WORDS_ON_PRESENCE)):
                said[epoch, handle].append((at_ms, bool(granted)))
        return sum(
            rows
            for (epoch, handle, span), rows in list(self._rows.items())  # a stranger may still publish
            if not consented(said[epoch, handle], span * SPAN_MS - WITHDRAWAL_MS, (span + 1) * SPAN_MS)
        )

    def missed(self, boot: int, published: int) -> int:
        """How many of the *published* observations of the sensors that began at *boot* were never heard.

        Waits for those that are still under way. 0 is the only good answer: else the other counts prove nothing.
        """
        missing, moved_s = published - self._of_boot[boot], monotonic()
        while missing > 0 and monotonic() - moved_s < PATIENCE_S:
            threading.Event().wait(LOOK_S)
            before, missing = missing, published - self._of_boot[boot]
            if missing < before:
                moved_s = monotonic()
        return max(missing, 0)

    def close(self) -> None:
        self._ear.close()

    def _on_message(self, _topic: str, payload: bytes) -> None:
        try:
            batch = wire.read_batch(payload)
            handles, dt_ms, *_ = batch.columns()
        except wire.Malformed:
            self.unreadable += 1
            return
        spans = (batch.t0_ms + dt_ms) // SPAN_MS
        self._rows.update((batch.epoch, *row) for row in zip(handles.tolist(), spans.tolist(), strict=True))
        # A batch that comes again, as QoS 1 allows, must not stand in for one that did not come.
        if batch.seq > self._highest.get((batch.sensor, batch.boot), -1):
            self._highest[batch.sensor, batch.boot] = batch.seq
            self._of_boot[batch.boot] += len(handles)


@contextmanager
def auditing(broker_url: str, site: str) -> Iterator[Audit]:
    """An audit for the length of a block. Raises NotStarted."""
    audit = Audit(broker_url, site)
    try:
        yield audit
    finally:
        audit.close()


def consented(said: Said, from_ms: int, until_ms: int) -> bool:
    """Whether consent stood at any instant of a span, by the words that were said, oldest first."""
    standing = False
    for at_ms, granted in said:
        if at_ms >= until_ms:
            break
        if granted and at_ms >= from_ms:
            return True
        if at_ms < from_ms:
            standing = granted
    return standing


def vouch(counts: dict[str, int]) -> None:
    """Raises AuditFailed if what was counted is nothing to be proud of."""
    if missed := counts["observations_not_audited"]:
        raise AuditFailed(f"the auditor did not hear {missed:,} of the observations that sensors published")
    if strangers := counts["non_member_observations_published"]:
        raise AuditFailed(f"{strangers:,} observations of non-members were published")
