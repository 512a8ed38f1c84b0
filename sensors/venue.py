"""What the simulated crowd must know of a mall. The engine's Plan has this shape; nothing here imports it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from shapely import Polygon

Ints = NDArray[np.signedinteger[Any]]
Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]


class Level(Protocol):
    @property
    def key(self) -> str: ...
    @property
    def outline(self) -> Polygon:
        """Where one can walk at all, local metres."""


class Zone(Protocol):
    @property
    def key(self) -> str: ...
    @property
    def level(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def shop(self) -> str | None: ...
    @property
    def no_marketing(self) -> bool: ...
    @property
    def polygon(self) -> Polygon: ...


class Way(Protocol):
    @property
    def key(self) -> str: ...
    @property
    def kind(self) -> str:
        """stairs, lift, escalator, or entrance (the street)."""

    @property
    def levels(self) -> Sequence[str]: ...
    @property
    def x_m(self) -> float: ...
    @property
    def y_m(self) -> float: ...


class Sensor(Protocol):
    @property
    def key(self) -> str: ...
    @property
    def level(self) -> str: ...
    @property
    def x_m(self) -> float: ...
    @property
    def y_m(self) -> float: ...


class Venue(Protocol):
    """Levels by ordinal, lowest first; everything in one frame of local metres."""

    @property
    def levels(self) -> Sequence[Level]: ...
    @property
    def zones(self) -> Sequence[Zone]: ...
    @property
    def sensors(self) -> Sequence[Sensor]: ...
    @property
    def ways(self) -> Sequence[Way]: ...
