"""Batches may come twice and in any order within the lateness: the events are the same."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.batches import Border, Handles
from engine.events import PresenceEvent
from engine.plan import Plan
from engine.presence import Presence
from engine.readings import joined
from engine.tuning import Tuning
from sensors import wire

NOON_MS = 1_790_000_000_000
ANA, BEN = 7, 3
HANDLES = Handles({(1, 101): ANA, (1, 102): BEN})
HANDLE = {ANA: 101, BEN: 102}
SECONDS = 60
Delivery = tuple[int, str, bytes]  # when it arrives, topic, payload


@pytest.fixture(scope="session")
def sent(plan: Plan, hear) -> list[tuple[int, str, bytes]]:
    """A minute of two members in the café and the grill, as each sensor gathers it: the second, topic and payload."""
    batches = []
    for second in range(SECONDS):
        at_ms = NOON_MS + second * 1_000
        heard = joined([hear(ANA, "cafe-L1", at_ms + 300)] + [hear(BEN, "grill-L1", at_ms + 700)] * (second % 5 == 0))
        for row in np.unique(heard.sensor).tolist():
            mine = heard.at(heard.sensor == row)
            handle, dt_ms = [HANDLE[member] for member in mine.device.tolist()], (mine.t_ms - at_ms).tolist()
            rssi_dbm = np.rint(mine.rssi_dbm).astype(int).tolist()
            sensor = plan.sensors[row].key
            one = wire.Batch(sensor, 1, second, 1, at_ms, handle, dt_ms, rssi_dbm, [6] * len(handle))
            batches.append((second, wire.observations_topic("test", sensor), wire.pack(one)))
    return batches


def events(plan: Plan, deliveries: Iterable[tuple[str, bytes]]) -> list[PresenceEvent]:
    """Each delivery on its own, as the worst of brokers would."""
    border, presence, told = Border(plan.sensor_index), Presence(plan, Tuning()), []
    now_ms = NOON_MS + 10**6
    for topic, payload in deliveries:
        heard = border.take(topic, payload, now_ms, HANDLES)
        if heard is not None:
            told += presence.absorb(heard)
    assert presence.late == 0
    return told + presence.expire(NOON_MS + 10**8)


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_any_order_within_the_lateness_and_any_duplication_give_the_same_events(plan, sent, data):
    # A batch's readings lie within its second, so one of less than a second later may overtake it without loss.
    slack = data.draw(st.lists(st.floats(0, 1), min_size=len(sent), max_size=len(sent)))
    twice = data.draw(st.lists(st.integers(0, len(sent) - 1), max_size=40))
    shuffled = sorted(
        (second + late, topic, payload) for (second, topic, payload), late in zip(sent, slack, strict=True)
    )
    again = sorted((sent[row][0] + 1 + 2 * slack[row], *sent[row][1:]) for row in twice)
    deliveries = sorted([*shuffled, *again], key=lambda one: one[0])
    assert events(plan, (one[1:] for one in deliveries)) == events(plan, (one[1:] for one in sent))
