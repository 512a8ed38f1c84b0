"""Where somebody is heading, by how their place has moved."""

from __future__ import annotations

import numpy as np
import pytest

from engine.cells import WALK_M_S
from engine.heading import HEADING, drift, turn

EVERY_S = 5.0


@pytest.fixture
def headed():
    """headed(moves to the east in metres, EVERY_S apart, lost at the last) -> how far east they drift by then."""

    def after(*moves_m: float, lost: bool = False, for_s: float = EVERY_S) -> float:
        heading = np.zeros(1, HEADING)
        for number, east_m in enumerate(moves_m, 1):
            known = np.array([lost and number == len(moves_m)])
            turn(heading, np.array([EVERY_S], np.float32), np.array([east_m]), np.zeros(1), known)
        east_m, north_m = drift(heading, np.array([for_s], np.float32))
        assert north_m[0] == 0
        return float(east_m[0])

    return after


def test_whoever_walks_is_expected_further_on_but_not_all_the_way(headed):
    assert 0 < headed(5.0) < headed(5.0, 5.0) < headed(*[5.0] * 10) < 5.0


def test_nobody_is_expected_further_on_than_a_brisk_walk_leads(headed):
    assert headed(100.0) < WALK_M_S * EVERY_S


def test_whoever_stands_is_soon_expected_to_stay(headed):
    assert headed(*[5.0] * 10, 0.0, 0.0, 0.0) < headed(*[5.0] * 10) / 5


def test_whoever_turned_back_is_expected_back(headed):
    assert headed(*[5.0] * 4, *[-5.0] * 4) < 0


def test_a_walk_does_not_lead_straight_for_ever(headed):
    assert headed(*[5.0] * 10, for_s=3_600) < 10 * WALK_M_S


def test_whose_place_was_lost_heads_nowhere(headed):
    assert headed(*[5.0] * 4, lost=True) == 0
