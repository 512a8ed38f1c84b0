"""Members keep their row while others come and go; by member, the table reads as if it were sorted."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.roster import CELLS, Roster

ROW = np.dtype([("member", np.int64), ("mark", np.int64)])
FLOOR = 3 * CELLS
STEPS = st.lists(st.tuples(st.booleans(), st.sets(st.integers(1, 200), min_size=1, max_size=40)), max_size=12)


def admitted(roster: Roster, members: set[int]) -> None:
    rows = roster.admit(np.array(sorted(members), np.int64))
    roster.table["mark"][rows] = sorted(members)
    # In one corner of a tile, and somewhere in another that depends on the member; nothing in the rest.
    roster.beliefs[rows, 0] = sorted(members)
    roster.beliefs[rows, CELLS + np.array(sorted(members), np.int64) % (FLOOR - CELLS)] = 1


@given(STEPS)
def test_whatever_comes_and_goes_each_member_finds_what_was_written_of_them(steps):
    roster, here = Roster(ROW, FLOOR), set()
    for comes, members in steps:
        if comes:
            admitted(roster, members - here)
            here |= members
        elif here & members:
            roster.drop(roster.find(np.array(sorted(here & members, reverse=True), np.int64))[0])
            here -= members
        everyone = np.arange(1, 201)
        rows, known = roster.find(everyone)
        assert everyone[known].tolist() == roster.in_order()["mark"].tolist() == sorted(here)
        assert roster.table["mark"][rows[known]].tolist() == sorted(here)
        assert roster.beliefs[rows[known], 0].tolist() == sorted(here)
        assert len(roster) == len(here)


def test_a_row_stays_where_it_is_while_others_come_and_go():
    roster = Roster(ROW, FLOOR)
    admitted(roster, {50})
    (row,), _ = roster.find(np.array([50]))
    admitted(roster, set(range(1, 50)))
    roster.drop(roster.find(np.arange(1, 20))[0])
    assert roster.find(np.array([50]))[0].tolist() == [row]


def test_a_row_that_was_left_holds_nothing_of_whoever_had_it():
    roster = Roster(ROW, FLOOR)
    admitted(roster, {7})
    rows, _ = roster.find(np.array([7]))
    roster.drop(rows)
    assert roster.table[rows].tolist() == [(0, 0)]
    assert not roster.beliefs[rows].any()
    assert roster.admit(np.array([9])).tolist() == rows.tolist()


@given(st.sets(st.integers(1, 200), min_size=1))
def test_what_was_kept_in_order_is_taken_up_again(members):
    before, after = Roster(ROW, FLOOR), Roster(ROW, FLOOR)
    admitted(before, members)
    held = before.held()
    after.fill(before.in_order(), held)
    assert after.in_order().tolist() == before.in_order().tolist()
    assert np.array_equal(after.beliefs, before.beliefs[before.rows])
    assert len(held.what) == 2 * len(members)
    admitted(after, {201})
    assert after.in_order()["member"].tolist() == [*sorted(members), 201]
