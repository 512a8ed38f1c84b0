"""Where a mall stands on the Earth: WGS84 at the edge, local metres everywhere inside."""

from __future__ import annotations

from math import cos, radians, sin, sqrt
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

# WGS84: semi-major axis and first eccentricity squared.
_EQUATOR_M = 6_378_137.0
_ECCENTRICITY_2 = 6.694_379_990_141_317e-3


class Anchor(NamedTuple):
    """The plan's lower-left corner on the Earth, and how the plan is turned there.

    lon, lat     WGS84 degrees of the local origin
    bearing_deg  compass bearing of the plan's y axis: 0 looks north, 90 looks east

    The Earth is taken as flat around the anchor, with its two radii of curvature there. That is off by about
    1 cm at 500 m, where the round figures of 111 km a degree would be off by over a metre.
    """

    lon: float
    lat: float
    bearing_deg: float

    def _turn(self) -> Floats:
        """(2, 2): east and north of one metre along x (first row) and along y (second)."""
        turn = radians(self.bearing_deg)
        return np.array([[cos(turn), -sin(turn)], [sin(turn), cos(turn)]])

    def _metres_per_degree(self) -> Floats:
        """(2,): metres in a degree of longitude and of latitude, at the anchor."""
        lat = radians(self.lat)
        bulge = 1 - _ECCENTRICITY_2 * sin(lat) ** 2
        prime_vertical_m = _EQUATOR_M / sqrt(bulge)
        meridian_m = _EQUATOR_M * (1 - _ECCENTRICITY_2) / bulge**1.5
        return np.array([radians(1) * prime_vertical_m * cos(lat), radians(1) * meridian_m])

    def to_metres(self, lon_lat: Floats) -> Floats:
        """(N, 2) WGS84 degrees to (N, 2) local metres: x right, y up."""
        east_north = (lon_lat - np.array([self.lon, self.lat])) * self._metres_per_degree()
        return np.asarray(east_north @ self._turn().T, np.float64)

    def to_degrees(self, xy_m: Floats) -> Floats:
        """(N, 2) local metres to (N, 2) WGS84 degrees, longitude first. The inverse of to_metres."""
        east_north = xy_m @ self._turn()
        return np.asarray(east_north / self._metres_per_degree() + np.array([self.lon, self.lat]), np.float64)
