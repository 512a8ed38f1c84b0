"""How well the sensors can tell each zone from its neighbours, before anybody has walked there.

Made-up phones stand in each zone and are heard as the radio model says, and the locator that presence uses says where
they are. What the model cannot tell of one place (walls, goods, the make of the phone) is drawn once for each phone and
stays while it stands: it does not average out, as it does not in a mall. The share of sightings that name the right
zone is what to expect of it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import shapely

from engine.cells import Floats, Ints
from engine.plan import NOWHERE, Plan
from engine.position import Locator, unplaced
from engine.radio import CAUGHT, FAINTEST_DBM, PHONE_SPREAD_DB, Radio
from engine.readings import readings
from engine.tuning import Tuning
from engine.walking import CELLS
from engine.zones import zone_shares

# Phones in each zone: an expected hit rate of 60 % is within 7 points then, two times of three.
PHONES = 32
# Each is heard so often, as a phone in use; first the locator has to find it, then its answers count.
SIGHTINGS, SETTLING, EVERY_MS = 9, 3, 5_000
# A square zone among others whose side is four times the median error is hit by seven of ten sightings. Asked of the
# hit rate itself, the rule holds for corridors and corners, too: a zone at an outer wall has fewer to be taken for.
ENOUGH = 0.7
UNHEARD_M = 1_000.0  # the error where nobody is heard at all


class Cover(NamedTuple):
    """What to expect of one zone.

    hit           share of sightings in it that name it    median_m  of their errors along the floor
    short_side_m  of the narrowest rectangle around it     rival     the zone named most often in its stead, if any is
    lost          share that names the rival               near_m    the place in it furthest from all its level's
                                                                     sensors, where another would help most
    """

    zone: str
    hit: float
    median_m: float
    short_side_m: float
    rival: str | None
    lost: float
    near_m: tuple[float, float]

    @property
    def supported(self) -> bool:
        """Whether the sensors can tell it from what is around it, most of the time."""
        return self.hit >= ENOUGH


def cover(plan: Plan, radio: Radio, tuning: Tuning, draw: np.random.Generator) -> list[Cover]:
    """Each zone of *plan*, in its order. The same state of *draw* gives the same answer."""
    cell, zone = _stand(plan, radio, draw)
    named, off_m = _sighted(plan, radio, tuning, cell, draw)
    stands = [zone == row for row in range(len(plan.zones))]
    return [_of(plan, radio, row, cell[here], named[here], off_m[here]) for row, here in enumerate(stands)]


def _stand(plan: Plan, radio: Radio, draw: np.random.Generator) -> tuple[Ints, Ints]:
    """(phones,) the cell that each stands in, and the zone: PHONES a zone, evenly over its floor."""
    cells, of = [], []
    shares = zone_shares(plan, radio.cells)
    covers = np.zeros((len(plan.zones), len(radio.cells)))
    tile = np.repeat(np.arange(len(shares.first) - 1), np.diff(shares.first))
    covers.reshape(len(plan.zones), -1, CELLS)[shares.zone, tile] = shares.share
    for zone, share in enumerate(covers * radio.cells.walkable):
        if not share.any():  # smaller than what lies between two points of a cell
            middle = plan.zones[zone].polygon.representative_point()
            away_m = np.hypot(radio.cells.x_m - middle.x, radio.cells.y_m - middle.y)
            on_level = radio.cells.walkable & (radio.cells.level == plan.zone_level[zone])
            share[np.where(on_level, away_m, np.inf).argmin()] = 1.0
        cells.append(draw.choice(len(share), PHONES, p=share / share.sum()))
        of.append(np.full(PHONES, zone))
    return np.concatenate(cells), np.concatenate(of)


def _sighted(plan: Plan, radio: Radio, tuning: Tuning, cell: Ints, draw: np.random.Generator) -> tuple[Ints, Floats]:
    """(phones, answers): the zone that the locator names, and how far off it is, for phones in these cells."""
    locator, phones, sensors = Locator(plan, radio, tuning), len(cell), len(plan.sensors)
    lasting_db = np.sqrt(np.maximum(radio.spread_db[:, cell].T ** 2 - PHONE_SPREAD_DB**2, 0.0))
    usual_dbm = radio.mean_dbm[:, cell].T + draw.normal(0, 1, (phones, sensors)) * lasting_db
    usual_dbm += draw.normal(0, tuning.phone_db, (phones, 1))
    tracks, beliefs = unplaced(phones), np.zeros((phones, len(radio.cells)), np.uint8)
    live, nowhere = np.ones(sensors, np.bool_), np.full(phones, NOWHERE, np.int16)
    named, off_m = np.full((phones, SIGHTINGS), NOWHERE), np.full((phones, SIGHTINGS), np.nan)
    for turn in range(SIGHTINGS):
        dbm = np.rint(usual_dbm + draw.normal(0, PHONE_SPREAD_DB, usual_dbm.shape))
        heard = (dbm >= FAINTEST_DBM) & (draw.random(dbm.shape) < CAUGHT)
        who = np.flatnonzero(heard.any(axis=1))
        if not len(who):
            continue
        phone, sensor = np.nonzero(heard[who])
        at_ms = np.full(len(who), turn * EVERY_MS)
        told = readings(at_ms[phone], phone, sensor, dbm[who][phone, sensor])
        track = tracks[who]
        chances = locator.locate(track, beliefs, who, at_ms, told, phone, live, nowhere[who])
        tracks[who] = track
        named[who, turn] = chances.zone
        off_m[who, turn] = np.hypot(
            track["x_m"] - radio.cells.x_m[cell[who]], track["y_m"] - radio.cells.y_m[cell[who]]
        )
    return named[:, SETTLING:], off_m[:, SETTLING:]


def _of(plan: Plan, radio: Radio, zone: int, cell: Ints, named: Ints, off_m: Floats) -> Cover:
    located = ~np.isnan(off_m)
    sightings = max(int(np.count_nonzero(located)), 1)
    others = named[located & (named != zone) & (named != NOWHERE)]
    rival = int(np.bincount(others).argmax()) if len(others) else NOWHERE
    there = np.unique(cell)
    anchors_m = plan.anchors_m[plan.sensor_level == plan.zone_level[zone]]
    away_m = np.hypot(anchors_m[:, :1] - radio.cells.x_m[there], anchors_m[:, 1:] - radio.cells.y_m[there])
    near = there[away_m.min(axis=0, initial=np.inf).argmax()]
    return Cover(
        zone=plan.zones[zone].key,
        hit=float(np.count_nonzero(named[located] == zone) / sightings),
        median_m=float(np.median(off_m[located])) if located.any() else UNHEARD_M,
        short_side_m=_short_side_m(plan.zones[zone].polygon),
        rival=None if rival == NOWHERE else plan.zones[rival].key,
        lost=float(np.count_nonzero(others == rival) / sightings),
        near_m=(float(radio.cells.x_m[near]), float(radio.cells.y_m[near])),
    )


def _short_side_m(polygon: shapely.Polygon) -> float:
    corners = np.array(shapely.minimum_rotated_rectangle(polygon).exterior.coords)
    return float(np.hypot(*np.diff(corners[:3], axis=0).T).min())
