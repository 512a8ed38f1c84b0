"""The heat is true to the crowd and to nobody in it."""

from __future__ import annotations

from collections import defaultdict
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import assume, given
from hypothesis import strategies as st

from engine import grid
from engine.plan import Level, Plan

MALL = Plan.read(Path(__file__).parents[2] / "zones.geojson")
K = 5
TILE_M = grid.CELL_M * grid.TILES[0][0]


def bare(width_m, height_m, levels):
    """A mall of nothing but floor."""
    floor = shapely.box(0, 0, width_m, height_m)
    storeys = tuple(Level(f"L{n}", n, {}, {}, floor) for n in range(levels))
    return Plan("bare", storeys, (), (), (), width_m=width_m, height_m=height_m)


HALL, TOWER = bare(48, 48, levels=1), bare(138, 72, levels=3)

places = st.tuples(st.integers(0, 2), st.floats(0, 131.9), st.floats(0, 71.9))
groups = st.tuples(places, st.integers(1, 12)).map(lambda group: [group[0]] * group[1])
crowds = st.lists(groups, max_size=25).map(lambda found: list(chain.from_iterable(found)))


def columns(crowd):
    level = np.array([level for level, _, _ in crowd], np.int64)
    return level, np.array([(x_m, y_m) for _, x_m, y_m in crowd], np.float64).reshape(-1, 2)


def pooled(crowd, plan=MALL, k=K):
    return grid.pooled(plan, *columns(crowd), k=k)


def heat(crowd, plan=MALL):
    return grid.occupancy(plan, *columns(crowd), k=K)


def pools_by_hand(crowd, k):
    """The rule for one level of bare floor, said once with words: [(members, tile's shape or None, tile)]."""
    waiting = [(x_m // grid.CELL_M, y_m // grid.CELL_M) for _, x_m, y_m in crowd]
    pools = []
    for rows, columns in grid.TILES:
        tiles = defaultdict(list)
        for column, row in waiting:
            tiles[row // rows, column // columns].append((column, row))
        pools += [(len(members), (rows, columns), tile) for tile, members in sorted(tiles.items()) if len(members) >= k]
        waiting = [cell for members in tiles.values() if len(members) < k for cell in members]
    rest = len(waiting)
    if 0 < rest < k and pools:
        largest = max(pools, key=lambda pool: pool[0])
        smallest = min(pools, key=lambda pool: pool[0])
        if largest[0] - (k - rest) >= k:
            pools[pools.index(largest)] = (largest[0] - (k - rest), *largest[1:])
            rest = k
        else:
            pools.remove(smallest)
            rest += smallest[0]
    return pools + ([(rest, None, None)] if rest >= k else [])


@given(crowds, st.integers(1, 8))
def test_the_array_obeys_the_rule_said_by_hand(crowd, k):
    crowd = [(0, min(x_m, 47.9), min(y_m, 47.9)) for _, x_m, y_m in crowd]
    drawn = np.zeros((24, 24))
    for members, shape, tile in pools_by_hand(crowd, k):
        if shape is None:
            drawn += members / drawn.size
        else:
            row, column = int(tile[0] * shape[0]), int(tile[1] * shape[1])
            drawn[row : row + shape[0], column : column + shape[1]] += members / (shape[0] * shape[1])
    assert pooled(crowd, HALL, k)[0] == pytest.approx(drawn)


@given(crowds)
def test_where_somebody_stands_within_a_tile_changes_nothing(crowd):
    moved = [(level, x_m // TILE_M * TILE_M + 1, y_m // TILE_M * TILE_M + 5) for level, x_m, y_m in crowd]
    assert np.array_equal(heat(crowd, TOWER), heat(moved, TOWER))


@given(st.integers(K, 40), st.lists(st.tuples(places, places), min_size=1, max_size=K - 1))
def test_a_member_apart_from_the_crowd_can_be_anywhere(size, wanderers):
    in_the_court = [(0, 60.0, 36.0)] * size
    here, there = ([(0, x_m % 50, y_m) for _, x_m, y_m in at] for at in zip(*wanderers, strict=True))
    assert np.array_equal(heat(in_the_court + here), heat(in_the_court + there))


def test_one_more_who_is_apart_barely_dims_the_crowd():
    crowd = [(0, 60.0, 36.0)] * 40
    assert heat([*crowd, (0, 10.0, 10.0)]).max() > 0.85 * heat(crowd).max()


@given(st.lists(places, max_size=K - 1))
def test_fewer_than_k_members_leave_no_trace(crowd):
    assert not heat(crowd).any()


@given(crowds)
def test_a_level_is_drawn_whole_or_not_at_all(crowd):
    there = np.bincount(columns(crowd)[0], minlength=3)
    assert pooled(crowd).sum(axis=(1, 2)) == pytest.approx(np.where(there >= K, there, 0))


def test_a_crowd_in_one_shop_is_drawn_there():
    drawn = heat([(2, 95.0, 60.0)] * 30)
    level, row, column = np.unravel_index(drawn.argmax(), drawn.shape)
    assert (level, abs(column * 2 - 95) < 8, abs(row * 2 - 60) < 8) == (2, True, True)


@given(crowds)
def test_the_blur_loses_nobody(crowd):
    assume(heat(crowd).max() < 255)  # what a byte cannot say any more is lost, and meant to be
    told = pooled(crowd).sum()
    half_a_step_a_cell = 0.5 * grid.UNIT_MEMBERS * pooled(crowd).size
    shown = heat(crowd).sum() * grid.UNIT_MEMBERS
    assert shown == pytest.approx(told, abs=half_a_step_a_cell)


def test_nobody_is_drawn_in_the_void():
    assert heat([(1, 60.0, 26.0)] * 300)[1, 18, 30] == 0


def test_more_than_a_byte_can_say_stays_at_the_top():
    assert heat([(0, 60.0, 36.0)] * 5000).max() == 255


def test_an_empty_mall_is_empty_levels():
    drawn = heat([])
    assert (drawn.shape, drawn.dtype, int(drawn.sum())) == ((3, 36, 66), np.uint8, 0)


# -- counts ---------------------------------------------------------------------------------------


def test_parts_with_fewer_than_k_members_are_not_told():
    assert grid.counts(np.array([12, 4, 0, 3, 7]), K) == [12, None, None, None, 7]


def test_one_small_part_cannot_be_had_by_subtracting_the_others():
    assert grid.counts(np.array([12, 4, 7]), K) == [12, None, None]


@given(st.lists(st.integers(0, 20), max_size=8), st.integers(0, 20), st.integers(1, 9))
def test_what_is_not_told_adds_up_to_nobody_or_to_k_members(members, elsewhere, k):
    parts = np.array(members, np.int64)
    whole = int(parts.sum()) + elsewhere
    told = grid.counts(parts, k, elsewhere=elsewhere)
    untold = whole - sum(n for n in told if n is not None)
    assert untold == 0 or untold >= min(k, whole)


@given(st.lists(st.integers(0, 20), max_size=8), st.integers(1, 9))
def test_what_is_told_is_true_and_at_least_k(members, k):
    told = grid.counts(np.array(members, np.int64), k)
    assert all(n is None or (n == there and n >= k) for n, there in zip(told, members, strict=True))
