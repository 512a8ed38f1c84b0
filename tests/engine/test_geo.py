"""Local metres and WGS84 agree, there and back."""

from __future__ import annotations

from math import cos, radians, sin, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.geo import Anchor

anchors = st.builds(Anchor, st.floats(-180, 180), st.floats(-60, 60), st.floats(-180, 180))
within_500_m = st.tuples(st.floats(-350, 350), st.floats(-350, 350))


def geocentric(lon: float, lat: float) -> np.ndarray:
    """WGS84 degrees on the ellipsoid to geocentric metres, by the textbook."""
    lon, lat = radians(lon), radians(lat)
    eccentricity_2 = 1 - (6_356_752.314245 / 6_378_137.0) ** 2
    prime_vertical_m = 6_378_137.0 / sqrt(1 - eccentricity_2 * sin(lat) ** 2)
    flat = np.array([cos(lat) * cos(lon), cos(lat) * sin(lon), (1 - eccentricity_2) * sin(lat)])
    return np.asarray(prime_vertical_m * flat)


def east_and_north(origin: Anchor, lon: float, lat: float) -> np.ndarray:
    """Metres east and north of the anchor, on the plane that touches the ellipsoid there."""
    apart = geocentric(lon, lat) - geocentric(origin.lon, origin.lat)
    lon_0, lat_0 = radians(origin.lon), radians(origin.lat)
    east = np.array([-sin(lon_0), cos(lon_0), 0.0])
    north = np.array([-sin(lat_0) * cos(lon_0), -sin(lat_0) * sin(lon_0), cos(lat_0)])
    return np.array([apart @ east, apart @ north])


@given(anchors, within_500_m)
def test_metres_survive_the_way_to_the_earth_and_back(anchor, place):
    xy_m = np.array([place])
    there_and_back_m = anchor.to_metres(anchor.to_degrees(xy_m))
    assert np.abs(there_and_back_m - xy_m).max() < 0.001


@given(st.floats(0, 500), st.floats(0, 360))
def test_a_mall_in_shanghai_is_laid_out_to_2_cm(away_m, direction_deg):
    anchor = Anchor(121.4702, 31.2214, 0.0)
    xy_m = away_m * np.array([sin(radians(direction_deg)), cos(radians(direction_deg))])
    (degrees,) = anchor.to_degrees(xy_m[None])
    assert np.hypot(*(east_and_north(anchor, *degrees) - xy_m)) < 0.02


@pytest.mark.parametrize(
    ("bearing_deg", "east_north"), [(0, (0, 100)), (90, (100, 0)), (180, (0, -100)), (30, (50, 86.6025))]
)
def test_the_plan_s_y_axis_looks_along_the_bearing(bearing_deg, east_north):
    anchor = Anchor(121.4702, 31.2214, bearing_deg)
    (degrees,) = anchor.to_degrees(np.array([[0.0, 100.0]]))
    assert east_and_north(anchor, *degrees) == pytest.approx(east_north, abs=0.01)


def test_x_points_to_the_right_of_y():
    (degrees,) = Anchor(121.4702, 31.2214, 0.0).to_degrees(np.array([[100.0, 0.0]]))
    assert degrees[0] > 121.4702
