"""Posts that wait for the broker, on disk, in order; the oldest give way when there are too many."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

MEBIBYTE = 1024 * 1024
# An hour of a large mall: 60 sensors with a batch of 1 KB each a second.
MOST_BYTES = 200 * MEBIBYTE
# Handles live for one epoch of 24 h and an hour of overlap; what is older means nothing to the engine.
OLDEST_MS = 25 * 3_600_000
# Pages and indexes come on top of the payloads; a topic and its numbers take about this much.
_ROW_BYTES = 100

_SCHEMA = """
CREATE TABLE IF NOT EXISTS post (
    number INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    topic TEXT NOT NULL,
    content_type TEXT NOT NULL,
    payload BLOB NOT NULL
)
"""


class Post(NamedTuple):
    """Something to be published. at_ms is the event time it tells of; content_type is MQTT 5's."""

    at_ms: int
    topic: str
    content_type: str
    payload: bytes


class Spool:
    """A file of numbered posts. Used by one thread.

    lost  posts that gave way since the spool was opened
    """

    def __init__(self, path: Path, *, most_bytes: int = MOST_BYTES, oldest_ms: int = OLDEST_MS) -> None:
        """Raises OSError if *path* cannot be written, or is some other kind of file."""
        self._most_bytes, self._oldest_ms = most_bytes, oldest_ms
        self.lost = 0
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            # Survives the end of the process at any instant; a power cut may cost the last moments.
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute(_SCHEMA)
            count, size, last = self._db.execute(
                "SELECT count(*), coalesce(sum(length(payload)), 0), coalesce(max(number), 0) FROM post"
            ).fetchone()
        except sqlite3.Error as problem:
            raise OSError(f"cannot keep a spool in {path}: {problem}") from problem
        self._count: int = count
        self._bytes: int = size + count * _ROW_BYTES
        self.last_number: int = last

    def __len__(self) -> int:
        return self._count

    def keep(self, posts: Iterable[tuple[int, Post]]) -> None:
        """Add numbered posts. Numbers say the order, also among those that are here already."""
        rows = [(number, *post) for number, post in posts]
        if not rows:
            return
        with self._db:
            self._db.execute("BEGIN")
            self._db.executemany("INSERT INTO post VALUES (?, ?, ?, ?, ?)", rows)
            self._count += len(rows)
            self._bytes += sum(len(payload) + _ROW_BYTES for *_, payload in rows)
            self.last_number = max(self.last_number, max(number for number, *_ in rows))
            self._give_way(max(at_ms for _, at_ms, *_ in rows) - self._oldest_ms)

    def after(self, number: int, most: int) -> list[tuple[int, Post]]:
        """At most *most* posts with higher numbers, in order."""
        rows = self._db.execute(
            "SELECT number, at_ms, topic, content_type, payload FROM post WHERE number > ? ORDER BY number LIMIT ?",
            (number, most),
        )
        return [(found, Post(*post)) for found, *post in rows]

    def remove(self, numbers: Iterable[int]) -> None:
        """Forget posts that have arrived. Numbers that are not here are nobody's loss."""
        with self._db:
            self._db.execute("BEGIN")
            for number in numbers:
                self._delete(number)

    def close(self) -> None:
        self._db.close()

    def _give_way(self, oldest_ms: int) -> None:
        while self._count:
            number, at_ms = self._db.execute("SELECT number, at_ms FROM post ORDER BY number LIMIT 1").fetchone()
            if self._bytes <= self._most_bytes and at_ms >= oldest_ms:
                break
            self._delete(number)
            self.lost += 1

    def _delete(self, number: int) -> None:
        row = self._db.execute("DELETE FROM post WHERE number = ? RETURNING length(payload)", (number,)).fetchone()
        if row is not None:
            self._count -= 1
            self._bytes -= row[0] + _ROW_BYTES
