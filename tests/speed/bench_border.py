"""How fast bytes from the broker become readings in closed seconds."""

from __future__ import annotations

from engine.batches import Border
from engine.readings import Alignment, joined
from engine.tuning import Tuning
from tests.speed.benchmark import Figure, benchmark, processor
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
    assert (rows, alignment.late, border.refused.total()) == (crowd.rows, 0, 0)
    return {"observations_decoded_per_s": rows / seconds()}
