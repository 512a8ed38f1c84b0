"""What the figures must be, and what they aim to be; what the same method gave where it was first tried."""

from __future__ import annotations

from typing import NamedTuple


class Target(NamedTuple):
    """One figure of one scenario. Of most figures less is better; of SHARES_RIGHT more is."""

    scenario: str
    figure: str
    must: float
    aim: float


SHARES_RIGHT = {"located", "level", "zone_30m", "zone_15m", "stays_found", "nearest_unit"}

# Musts that are not reached yet, with what is known of why; the test run says when one is.
MISSED = {
    ("base", "enter_p90_s"): "the slowest stop within 4 m of a border: p stays near 0.6, and standing shows too late",
    ("mall_site1_24", "level"): "one or two sensors hear each scan, and two of five readings come from other levels; "
    "whole walks are on a wrong one, and levels that change less often do not help",
}

TARGETS = (
    Target("base", "median_m", 5.5, 4.5),
    Target("base", "p90_m", 11.0, 9.0),
    Target("base", "level", 0.995, 0.999),
    Target("base", "zone_30m", 0.83, 0.88),
    Target("base", "zone_15m", 0.63, 0.72),
    Target("base", "false_entries_per_device_hour", 2.2, 1.0),
    Target("base", "enter_p50_s", 10.0, 8.0),
    Target("base", "enter_p90_s", 20.0, 15.0),
    Target("dense", "median_m", 4.2, 3.5),
    Target("dense", "p90_m", 8.2, 7.0),
    Target("harsh", "level", 0.985, 0.995),
    Target("surveyed", "median_m", 3.3, 2.8),
    Target("surveyed", "p90_m", 8.2, 6.5),
    Target("surveyed", "wrong_triggers_60s", 0.045, 0.02),
    Target("dead_sensors", "p90_growth", 0.30, 0.15),
    Target("mall_site1_24", "median_m", 11.0, 9.0),
    Target("mall_site1_24", "p90_m", 27.0, 22.0),
    Target("mall_site1_24", "level", 0.88, 0.92),
    Target("mall_site1_24_surveyed", "median_m", 6.7, 5.5),
    Target("mall_site1_24_surveyed", "p90_m", 22.0, 14.0),
    Target("mall_site1_24_surveyed", "level", 0.95, 0.98),
    Target("mall_site1_48_surveyed", "median_m", 5.5, 4.5),
    Target("mall_site1_48_surveyed", "p90_m", 15.0, 11.0),
    Target("mall_site1_48_surveyed", "level", 0.975, 0.99),
)

# Of the recorded mall: median and p90 in metres, share on the right level; no smoothing over time in any of them.
REFERENCES = {
    "mall_site1_12": {"weighted centroid of each scan alone": (14.8, 35.6, 0.722)},
    "mall_site1_24": {
        "weighted centroid of each scan alone": (12.1, 28.2, 0.813),
        "a rough grid prototype": (11.4, 28.7, 0.87),
    },
    "mall_site1_24_surveyed": {"a rough grid prototype": (6.7, 26.5, 0.95)},
    "mall_site1_48": {"weighted centroid of each scan alone": (10.3, 23.3, 0.90)},
    "mall_site1_48_surveyed": {
        "a rough grid prototype": (5.6, 16.0, 0.977),
        "nearest fingerprints with all 3,900 transmitters": (5.5, 13.7, 0.974),
    },
}


def better(figure: str, one: float, other: float) -> bool:
    """Whether *one* is no worse than *other*."""
    return one >= other if figure in SHARES_RIGHT else one <= other
