"""What operators are told of the sensors' coverage, on a terminal and over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from engine import coverage
from engine.access import Access
from engine.coverage import Cover
from engine.ingest import SNAPSHOT, Snapshot
from engine.ledger import Ledger, open_ledger
from engine.loading import has_ledger
from engine.plan import Plan
from engine.radio import Radio
from engine.settings import Settings
from engine.snapshot import Unusable, fitted
from engine.survey_worth import DOUBTFUL_M, FAR_M, Worth, worth
from engine.surveyed import Walked, surveyed
from engine.tuning import Tuning

# The phones of a check are drawn alike each time, so that two checks differ by what was changed between them.
SEED = 1


class ZoneCover(BaseModel):
    zone: str
    hit: float = Field(description="Share of sightings of somebody in it that are expected to name it")
    median_m: float = Field(description="Expected median error of places in it, along the floor")
    short_side_m: float = Field(description="Of the narrowest rectangle around it")
    supported: bool = Field(description=f"Whether hit is {coverage.ENOUGH} or more")
    rival: str | None = Field(description="The zone that it is most often taken for")
    lost: float = Field(description="Share of sightings that name the rival")
    near_m: tuple[float, float] = Field(description="In it, furthest from all sensors of its level")
    advice: dict[str, str] = Field(description="What to do where it is not supported, by language; else empty")


class Coverage(BaseModel):
    zones: list[ZoneCover]


def covered(plan: Plan, radio: Radio, tuning: Tuning) -> Coverage:
    """What to expect of each zone with this radio. Takes some seconds."""
    found = coverage.cover(plan, radio, tuning, np.random.default_rng(SEED))
    return Coverage(zones=[_told(plan, one) for one in found])


def read_radio(settings: Settings, plan: Plan) -> Radio:
    """As the engine of these settings fitted it; the usual one where no engine ran yet. Raises NoLedger."""
    if not has_ledger(settings):
        return Radio.of(plan)
    ledger = open_ledger(settings.ledger, object)
    try:
        return kept_radio(plan, ledger)
    finally:
        ledger.close()


def kept_radio(plan: Plan, ledger: Ledger) -> Radio:
    """The radio that the engine of this ledger went by last; the usual one where it has fitted none."""
    with ledger.read() as tx:
        blob = ledger.kept(tx, SNAPSHOT)
    try:
        found = None if blob is None else fitted(msgspec.msgpack.decode(blob, type=Snapshot).presence, plan)
    except (msgspec.DecodeError, Unusable):
        found = None  # kept by another version: the engine would begin anew, too
    return Radio.of(plan) if found is None else Radio.of(plan, found)


def _told(plan: Plan, one: Cover) -> ZoneCover:
    advice = {} if one.supported else _advice(plan, one)
    rounded = {name: round(getattr(one, name), digits) for name, digits in ROUNDED.items()}
    x_m, y_m = one.near_m
    place = (round(x_m, 1), round(y_m, 1))
    return ZoneCover(zone=one.zone, rival=one.rival, supported=one.supported, near_m=place, advice=advice, **rounded)


ROUNDED = {"hit": 3, "median_m": 1, "short_side_m": 1, "lost": 3}


def _advice(plan: Plan, one: Cover) -> dict[str, str]:
    level = plan.zones[plan.zone_index[one.zone]].level
    x_m, y_m = one.near_m
    hit, lost, wide_m, off_m = f"{one.hit:.0%}", f"{one.lost:.0%}", f"{one.short_side_m:.0f}", f"{one.median_m:.0f}"
    english = f"expected hit {hit} ({wide_m} m wide, places off by {off_m} m)"
    english += f": add a sensor near ({x_m:.0f}, {y_m:.0f}) m on {level}"
    chinese = f"预计命中率 {hit}（宽 {wide_m} 米，定位误差 {off_m} 米）"
    chinese += f"：在 {level} 的 ({x_m:.0f}, {y_m:.0f}) 米附近加装传感器"
    if one.rival is not None:
        rival = plan.zones[plan.zone_index[one.rival]].name
        english += f", or merge it with {one.rival}, for which it is taken {lost} of the time"
        chinese += f"，或与“{rival.get('zh-Hans', one.rival)}”（{one.rival}）合并：有 {lost} 的时间会被误认为它"
    return {"en": english, "zh-Hans": chinese}


def lines(found: Coverage) -> list[str]:
    """For a terminal, the worst first."""
    wide = max((len(one.zone) for one in found.zones), default=0)
    order = sorted(found.zones, key=lambda one: (one.hit, one.zone))
    return [f"{one.hit:4.0%}  {one.zone:{wide}}  {one.advice.get('en', '')}".rstrip() for one in order]


class Checked(NamedTuple):
    """What a check found: as plain values, and in lines for a terminal."""

    found: Mapping[str, object]
    lines: Sequence[str]


UNASKED = Checked({}, [])


def checked(plan: Plan, radio: Radio, survey: Walked | None) -> Checked:
    """The coverage, and what a survey is worth if there is one. radio  not bent to it"""
    found = covered(plan, surveyed(radio, survey), Tuning())
    if survey is None:
        return Checked(found.model_dump(), lines(found))
    known = worth(plan, radio, survey, Tuning())
    plain = known._asdict() | {"floors": [floor._asdict() for floor in known.floors]}
    return Checked(found.model_dump() | {"survey": plain}, [*lines(found), *worth_lines(known)])


def worth_lines(known: Worth) -> list[str]:
    """For a terminal."""
    levels = "; ".join(
        f"{floor.level} {floor.points}, {floor.far:.0%} of the floor further than {FAR_M:.0f} m from any"
        for floor in known.floors
    )
    off = f"{known.off_m:.1f} m by the others, {known.unsurveyed_off_m:.1f} m without a survey"
    told = [f"Survey of {known.points} points: {levels}.", f"Points left out are off by {off} (median)."]
    if known.unsurveyed_off_m > DOUBTFUL_M:
        told.append("That is far more than walls do: see whether the survey's places are right, and their levels.")
    elif known.off_m >= known.unsurveyed_off_m:
        told.append("So the survey helps nobody yet: walk more points.")
    return told


def routes(plan: Plan, radio: Callable[[], Radio], tuning: Tuning, access: Access) -> APIRouter:
    """radio  the one that presence goes by now"""
    router = APIRouter(tags=["health"], dependencies=[Depends(access.operator)])
    asking = threading.Lock()
    known: list[tuple[Radio, Coverage]] = []  # the last answer, which holds as long as the radio does

    @router.get("/v1/coverage", summary="How well the sensors can tell each zone from its neighbours")
    def read_coverage() -> Coverage:
        """By the sensors' geometry and the radio model: see zones that no sensor can support before rules lean on
        them. Made anew when the radio model was fitted again, which takes some seconds."""
        with asking:
            now = radio()
            if not known or known[0][0] is not now:
                known[:] = [(now, covered(plan, now, tuning))]
            return known[0][1]

    return router
