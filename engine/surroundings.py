"""What the engine leans on: which of it is away, and a line in the log whenever that changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import structlog

log = structlog.get_logger()


class Surroundings:
    """parts  by name, whether each is there; looking may take as long as its own patience"""

    def __init__(self, parts: Mapping[str, Callable[[], bool]]) -> None:
        self._parts = parts
        self._missed: frozenset[str] = frozenset()

    def away(self) -> list[str]:
        """The names of those that do not answer."""
        return [name for name, there in self._parts.items() if not there()]

    def why_not_ready(self) -> str | None:
        return ", ".join(f"the {name} is away" for name in self.away()) or None

    def watch(self) -> None:
        """Log what has gone, and what has come back, since the last look. One thread calls this."""
        away = frozenset(self.away())
        for name in sorted(away - self._missed):
            log.warning("away", what=name)
        for name in sorted(self._missed - away):
            log.info("there-again", what=name)
        self._missed = away
