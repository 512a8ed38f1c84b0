"""How fast bytes from the broker become readings in closed seconds."""

from __future__ import annotations

import msgspec

from engine.batches import Border
from engine.readings import Alignment, joined
from engine.tuning import Tuning
from sensors import wire
from tests.speed.benchmark import RATIO, Figure, benchmark, processor
from tests.speed.crowd import NOON_MS, demo_mall, heard

SECONDS = 20


@benchmark(observations_decoded_per_s=Figure("observations/s", at_least=1_000_000))
def the_border_and_alignment(share: float) -> dict[str, float]:
    """Batches of 50,000 members, as sensors send them, are decoded, checked, given their members, and aligned."""
    crowd = heard(demo_mall(), max(int(50_000 * share), 100), SECONDS)
    border, alignment, rows = Border(crowd.plan.sensor_index), Alignment(Tuning().lateness_ms), 0
    with processor() as seconds:
        for number, arrived in enumerate(crowd.seconds):
            now_ms = NOON_MS + (number + 1) * 1_000
            taken = [border.take(topic, payload, now_ms, crowd.handles) for topic, payload in arrived]
            alignment.add(joined([part for part in taken if part is not None]).by_time())
            rows += sum(part.size for _, part in alignment.closed())
        alignment.reach(NOON_MS + (SECONDS + 10) * 1_000)
        rows += sum(part.size for _, part in alignment.closed())
    assert (rows, alignment.late, border.refused.total()) == (sum(crowd.rows), 0, 0)
    return {"observations_decoded_per_s": rows / seconds()}


@benchmark(ratio_packed_vs_listed=Figure(RATIO, at_least=1.3))
def columns_packed_and_as_lists(share: float) -> dict[str, float]:
    """Batches of hundreds of rows through the border, as lists of numbers and, as ours are sent, packed."""
    # Never smaller: for each of a few rows, what is done once for a batch would be most of the work.
    crowd = heard(demo_mall(), 50_000, seconds=4)
    packed = [one for arrived in crowd.seconds for one in arrived]
    listed = [(topic, msgspec.msgpack.encode(_listed(payload))) for topic, payload in packed]
    took_s = []
    for deliveries in (packed, listed):
        border = Border(crowd.plan.sensor_index)
        with processor() as seconds:
            for topic, payload in deliveries:
                border.take(topic, payload, NOON_MS + 60_000, crowd.handles)
        assert not border.refused
        took_s.append(seconds())
    return {"ratio_packed_vs_listed": took_s[1] / took_s[0]}


def _listed(payload: bytes) -> wire.Batch:
    batch = wire.read_batch(payload)
    return msgspec.structs.replace(batch, **{k: v.tolist() for k, v in batch.columns()._asdict().items()})
