"""How fast, and in how much memory, what is heard becomes events."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator
from itertools import islice
from time import perf_counter

import numpy as np
import shapely

from engine.batches import Border
from engine.plan import NOWHERE, Plan
from engine.presence import Presence
from engine.readings import Readings, joined
from engine.stays import NEVER_MS, Stay, Window, advance, advance_all, outside
from engine.tuning import Tuning
from tests.speed.benchmark import RATIO, Figure, benchmark, processor
from tests.speed.crowd import EVERY_S, NOON_MS, Heard, block, demo_mall, heard

# Everyone is heard four times before anything is measured: visits are open, memory is full, and zones are entered. All
# begin at once, so in the third time all enter a zone within five seconds, as in no mall.
WARM, MEASURED = 20, 15


def decoded(crowd: Heard) -> Iterator[Readings]:
    """The crowd second by second, through the border."""
    border = Border(crowd.plan.sensor_index)
    for number, arrived in enumerate(crowd.seconds):
        now_ms = NOON_MS + (number + 1) * 1_000
        taken = [border.take(topic, payload, now_ms, crowd.handles) for topic, payload in arrived]
        yield joined([part for part in taken if part is not None]).by_time()


def settled(plan: Plan, members: int) -> tuple[Presence, Iterator[Readings]]:
    """Presence once everybody is known, and what is heard next."""
    presence, stream = Presence(plan, Tuning()), decoded(heard(plan, members, WARM + MEASURED))
    for readings in islice(stream, WARM):
        presence.absorb(readings)
    return presence, stream


def updates(plan: Plan, members: int, seconds: int = MEASURED) -> int:
    """Members heard in so many seconds of those that are measured; in each second each counts once."""
    return sum(heard(plan, members, WARM + MEASURED).updates[WARM : WARM + seconds])


@benchmark(
    runs=3,
    device_updates_per_s=Figure("device updates/s", at_least=10_000),
    window_p99_ms_50k=Figure("ms", at_most=250),
    window_p99_wall_ms_50k=Figure("ms on the wall"),
    decoding_share=Figure("share of the time"),
)
def the_whole_path(share: float) -> dict[str, float]:
    """Batches of 50,000 members heard every 5 s become events: decode, align, locate, zones, stays; demo mall."""
    members = max(int(50_000 * share), 100)
    presence, stream = settled(demo_mall(), members)
    took_s, wall_s = [], []
    with processor() as seconds:
        for readings in stream:
            began_s, began_wall_s = seconds(), perf_counter()
            presence.absorb(readings)
            took_s.append(seconds() - began_s)
            wall_s.append(perf_counter() - began_wall_s)
    return {
        "device_updates_per_s": updates(demo_mall(), members) / seconds(),
        "window_p99_ms_50k": 1_000 * float(np.percentile(took_s, 99)),
        "window_p99_wall_ms_50k": 1_000 * float(np.percentile(wall_s, 99)),
        "decoding_share": 1 - sum(took_s) / seconds(),
    }


@benchmark(runs=3, bytes_per_device=Figure("bytes", at_most=12 * 1024), peak_bytes_per_device=Figure("bytes"))
def the_memory_of_presence(share: float) -> dict[str, float]:
    """What presence holds of 50,000 members once everybody is known, between two seconds, and at most within one."""
    members = max(int(50_000 * share), 100)
    # Tables of the plan are as large for one member as for all of them, and are not counted.
    seconds = list(decoded(heard(demo_mall(), members, WARM + MEASURED)))[:WARM]
    presence = Presence(demo_mall(), Tuning())
    presence.absorb(seconds[0].at(slice(0, 0)))
    gc.collect()
    tracemalloc.start()
    try:
        for readings in seconds:
            presence.absorb(readings)
        gc.collect()
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return {"bytes_per_device": held / members, "peak_bytes_per_device": peak / members}


@benchmark(snapshot_restore_50k_s=Figure("s", at_most=2), snapshot_bytes_per_device=Figure("bytes"))
def a_snapshot_and_back(share: float) -> dict[str, float]:
    """The state of 50,000 members becomes bytes, and a new presence goes on from them."""
    members = max(int(50_000 * share), 100)
    presence, _ = settled(demo_mall(), members)
    again = Presence(demo_mall(), Tuning())
    with processor() as seconds:
        blob = presence.snapshot()
        again.restore(blob)
    assert again.snapshot() == blob
    return {"snapshot_restore_50k_s": seconds(), "snapshot_bytes_per_device": len(blob) / members}


@benchmark(ratio_vs_scalar=Figure(RATIO, at_least=5))
def stays_in_columns(share: float) -> dict[str, float]:
    """The zone machine on windows of many members at once, against its scalar specification one by one."""
    members, tuning, chance = max(int(50_000 * share), 2_000), Tuning(), np.random.default_rng(1)
    stays, one = outside(members), [Stay()] * members
    home, columns_s, scalar_s = chance.integers(0, 58, members), 0.0, 0.0
    for number in range(1, 21):
        zone = np.where(chance.random(members) < 0.8, home, chance.integers(NOWHERE, 58, members)).astype(np.int16)
        p, at_ms = chance.random(members), np.full(members, number * 5_000)
        p_here = np.where(zone == stays["zone"], p, np.minimum(1 - p, 0.3))
        still = chance.random(members)
        with processor() as seconds:
            advance_all(stays, at_ms, zone, p, p_here, still, tuning)
        columns_s += seconds()
        windows = list(map(Window, at_ms.tolist(), zone.tolist(), p.tolist(), p_here.tolist(), still.tolist()))
        with processor() as seconds:
            one = [advance(stay, window, tuning)[0] for stay, window in zip(one, windows, strict=True)]
        scalar_s += seconds()
    assert [stay.zone for stay in one] == stays["zone"].tolist() and NEVER_MS not in stays["window_ms"]
    return {"ratio_vs_scalar": scalar_s / columns_s}


@benchmark(ratio_vs_shapely_per_point=Figure(RATIO, at_least=3))
def zones_of_many_places(share: float) -> dict[str, float]:
    """The zones of many places at once, against one query of a tree of polygons for each place."""
    plan, chance = demo_mall(), np.random.default_rng(2)
    places = max(int(50_000 * share), 1_000)
    xy_m = chance.random((places, 2)) * (132, 72)
    level = chance.integers(0, len(plan.levels), places)
    plan.zones_at(level[:1], xy_m[:1])  # prepares its polygons once
    with processor() as together_s:
        found = plan.zones_at(level, xy_m)
    trees = [shapely.STRtree([zone.polygon for zone in plan.zones if zone.level == floor.key]) for floor in plan.levels]
    with processor() as each_s:
        hits = [
            trees[floor].query(shapely.Point(x_m, y_m), predicate="intersects")
            for floor, (x_m, y_m) in zip(level.tolist(), xy_m.tolist(), strict=True)
        ]
    assert [len(hit) > 0 for hit in hits] == (found != NOWHERE).tolist()
    return {"ratio_vs_shapely_per_point": each_s() / together_s()}


DEVICES, SENSORS, LEVELS = (1_000, 10_000, 50_000, 100_000), (10, 60, 200), (1, 2, 3, 4, 5, 6)


def _microseconds(plan: Plan, members: int, share: float) -> float:
    members = max(int(members * share), 100)
    presence, stream = settled(plan, members)
    with processor() as seconds:
        for readings in islice(stream, EVERY_S):
            presence.absorb(readings)
    return 1e6 * seconds() / updates(plan, members, EVERY_S)


@benchmark(runs=3, **{f"us_per_update_{devices // 1_000}k_devices": Figure("µs") for devices in DEVICES})
def growth_with_devices(share: float) -> dict[str, float]:
    """Processor time of one device update (without decoding) in the demo mall, by the number of members in it."""
    return {f"us_per_update_{n // 1_000}k_devices": _microseconds(demo_mall(), n, share) for n in DEVICES}


@benchmark(runs=3, **{f"us_per_update_{sensors}_sensors": Figure("µs") for sensors in SENSORS})
def growth_with_sensors(share: float) -> dict[str, float]:
    """Processor time of one device update of 10,000 members on three levels of 120 m by 60 m, by sensors."""
    return {f"us_per_update_{n}_sensors": _microseconds(block(3, n), 10_000, share) for n in SENSORS}


@benchmark(runs=3, **{f"us_per_update_{levels}_levels": Figure("µs") for levels in LEVELS})
def growth_with_levels(share: float) -> dict[str, float]:
    """Processor time of one device update of 10,000 members, by levels of 120 m by 60 m with 20 sensors each."""
    return {f"us_per_update_{n}_levels": _microseconds(block(n, 20 * n), 10_000, share) for n in LEVELS}
