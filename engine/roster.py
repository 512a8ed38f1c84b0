"""A table of members who come and go: each keeps one row from admission to leaving, so that nothing of it is moved.

Sorted rows would be found without an index, but with some kilobytes remembered of each member, moving all of them at
every arrival costs more than all that is done with them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engine.cells import TILE

# Room is made for so many more at a time as there are members, by this share: little is wasted, and seldom is it made.
SPARE, LEAST_ROOM = 0.25, 64

Members = npt.NDArray[np.int64]
Rows = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]
Table = npt.NDArray[np.void]
Beliefs = npt.NDArray[np.uint8]
CELLS = TILE * TILE


class Held(NamedTuple):
    """Beliefs without the tiles in which nothing is believed: most of a mall is out of the question for anyone.

    where  (members, tiles) whether anything is    what  (so many tiles, CELLS) their bytes, one after the other
    """

    where: Mask
    what: Beliefs


class Roster:
    """table  columns by row; rows of nobody have member 0    rows  those of the members, by rising member

    beliefs  (rows, cells) a byte for each cell of the floor: apart from the table, which is read far more often
    """

    def __init__(self, row_type: np.dtype[np.void], cells: int) -> None:
        self.table: Table = np.zeros(0, row_type)
        self.beliefs: Beliefs = np.zeros((0, cells), np.uint8)
        self._member: Members = np.zeros(0, np.int64)  # rising
        self.rows: Rows = np.zeros(0, np.intp)
        self._free: Rows = np.zeros(0, np.intp)  # rising

    def __len__(self) -> int:
        return len(self.rows)

    def find(self, member: Members) -> tuple[Rows, Mask]:
        """The row of each of these members, and whether they have one; where not, the row is anybody's."""
        if not len(self):
            return np.zeros(len(member), np.intp), np.zeros(len(member), np.bool_)
        at = np.minimum(np.searchsorted(self._member, member), len(self) - 1)
        return self.rows[at], self._member[at] == member

    def admit(self, member: Members) -> Rows:
        """New rows for these members (rising, none of whom has one), all zero but for the member."""
        missing = len(member) - len(self._free)
        if missing > 0:
            room = max(missing, int(SPARE * len(self)), LEAST_ROOM)
            made = np.zeros(room, self.table.dtype)
            self._free = np.append(self._free, np.arange(len(self.table), len(self.table) + room))
            self.table = np.concatenate((self.table, made))
            self.beliefs = np.concatenate((self.beliefs, np.zeros((room, self.beliefs.shape[1]), np.uint8)))
        rows, self._free = self._free[: len(member)], self._free[len(member) :]
        self.table["member"][rows] = member
        at = np.searchsorted(self._member, member)
        self._member, self.rows = np.insert(self._member, at, member), np.insert(self.rows, at, rows)
        return rows

    def drop(self, rows: Rows) -> None:
        """Let go of the members in these rows."""
        at = np.searchsorted(self._member, np.sort(self.table["member"][rows]))
        self._member, self.rows = np.delete(self._member, at), np.delete(self.rows, at)
        self._free = np.sort(np.append(self._free, rows))
        self.table[rows] = np.zeros((), self.table.dtype)
        self.beliefs[rows] = 0

    def in_order(self) -> Table:
        """A copy of the members' rows, by rising member."""
        found: Table = self.table[self.rows]
        return found

    def held(self) -> Held:
        """The beliefs of these rows."""
        tiles = _tiles(self.beliefs)
        # Eight cells at once, and then eight times eight: in a tenth of the time of any().
        some = (tiles.view(np.uint64) != 0).view(np.uint64)[..., 0] != 0
        where = some[self.rows]
        member, tile = np.nonzero(where)
        return Held(where, tiles[self.rows[member], tile])

    def fill(self, table: Table, held: Held) -> None:
        """Take up what in_order and held gave."""
        self.beliefs = np.zeros((len(table), self.beliefs.shape[1]), np.uint8)
        _tiles(self.beliefs)[held.where] = held.what
        self.table, self._member, self.rows = table, table["member"].copy(), np.arange(len(table))
        self._free = np.zeros(0, np.intp)


def _tiles(beliefs: Beliefs) -> Beliefs:
    """The same memory by tiles: (rows, tiles, CELLS)."""
    rows, cells = beliefs.shape
    return beliefs.reshape(rows, cells // CELLS, CELLS)
