"""The scenarios: made-up malls and a recorded one, through Presence as it is, and through the baselines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from engine.events import PresenceEvent
from engine.plan import Plan
from engine.position import Sightings
from engine.presence import Presence
from engine.radio import Radio, fit
from engine.readings import Readings
from engine.recorded import Recording, read
from engine.replay import learnt, walked
from engine.survey import Survey, bend
from engine.surveyed import surveyed
from engine.tuning import Tuning
from tests.accuracy.air import Fading
from tests.accuracy.baselines import WITHOUT_SURVEY, fingerprints, sendings, wknn
from tests.accuracy.measures import Answers, answered, doubt, dwelling, placing, pooled, reliability, zone_right, zoning
from tests.accuracy.simulator import START_MS, Conditions, World, simulate

LAYOUTS, SURVEYED_LAYOUTS = (12, 24, 48), (24, 48)
DEAD_AFTER_S = 120.0
SEED = 20_261_124


class Size(NamedTuple):
    worlds: int
    people: int
    seconds: int
    one_visitor_of: int  # of the recorded mall's
    compared: bool  # with the baselines


# Shadowing differs more from mall to mall than from hour to hour, so several malls beat a longer walk in one.
FULL = Size(worlds=6, people=40, seconds=1_800, one_visitor_of=1, compared=True)
SMALL = Size(worlds=1, people=12, seconds=900, one_visitor_of=5, compared=False)

Step = Callable[[str], None]
Report = dict[str, Any]
Beats = tuple[Any, Any]  # rows of sensors that were live, and when


class Scenario(NamedTuple):
    conditions: Conditions
    surveyed: bool = False


BASE = Conditions()
SIMULATED = {
    "base": Scenario(BASE),
    "dense": Scenario(Conditions(m2_per_sensor=225.0)),
    "harsh": Scenario(Conditions(fading=Fading(shadowing_db=7.0, floor_loss_db=10.0, atrium=True))),
    "surveyed": Scenario(BASE, surveyed=True),
    "dead_sensors": Scenario(BASE._replace(dead_after_s=DEAD_AFTER_S)),
}


def simulated(scenario: Scenario, size: Size, step: Step) -> Report:
    """All figures of one made-up mall."""
    coarse, fine, stays = [], [], []
    others: dict[str, list[tuple[Answers, Answers]]] = {}
    for world in _worlds(scenario, size, step):
        step("presence, zones of 30 m")
        radio = _radio(world, scenario)
        seen, events = _through(world.plan, world.heard, radio, world.beats)
        coarse.append(_answered(world, world.plan, seen, scenario))
        stays.append(dwelling(world.plan, events, world.walks, world.truth, START_MS))
        step("presence, zones of 15 m")
        fine.append(_answered(world, world.fine, _through(world.fine, world.heard, radio, world.beats)[0], scenario))
        step("baselines")
        for name, method in _baselines(world.plan, world.survey if scenario.surveyed else None, size).items():
            place = method(world.heard)
            small = place._replace(zone=_zone(world.fine, place))
            pair = _answered(world, world.plan, place, scenario), _answered(world, world.fine, small, scenario)
            others.setdefault(name, []).append(pair)
    return {
        **_figures(coarse, fine),
        **doubt(pooled(coarse)),
        **zoning(stays),
        "reliability_30m": reliability(pooled(coarse)),
        "reliability_15m": reliability(pooled(fine)),
        "baselines": {name: _figures(*zip(*pairs, strict=True)) for name, pairs in others.items()},
    }


def _worlds(scenario: Scenario, size: Size, step: Step) -> Iterator[World]:
    for number in range(size.worlds):
        step(f"mall {number + 1} of {size.worlds}")
        yield simulate(SEED + number, scenario.conditions, people=size.people, seconds=size.seconds)


def _answered(world: World, plan: Plan, seen: Sightings, scenario: Scenario) -> Answers:
    """Where sensors die, what came before is not asked about; nor is it in the scenario to compare with."""
    dead_after_s = scenario.conditions.dead_after_s
    from_s = dead_after_s if np.isfinite(dead_after_s) else 0.0
    wanted = world.truth.t_ms >= START_MS + from_s * 1_000
    return answered(seen, world.truth, wanted, plan.zones_at(world.truth.level, world.truth.xy_m))


def _figures(coarse: list[Answers], fine: list[Answers]) -> Report:
    found = pooled(coarse)
    return {**placing(found), "zone_30m": zone_right(found), "zone_15m": zone_right(pooled(fine))}


def recorded(folder: Path, layout: int, size: Size, step: Step) -> Iterator[tuple[str, Report]]:
    """All figures of the recorded mall with one layout, first without a survey, then with one; each with its name."""
    step(f"reading {folder.name}")
    recording = read(folder, str(layout))
    name = f"mall_{recording.plan.site}_{layout}"
    asked = recording.truth.test & (recording.truth.visitor % size.one_visitor_of == 0)
    heard = recording.heard.at(np.isin(recording.heard.device, recording.truth.visitor[asked]))
    step("learning how loud each sensor hears")
    radio = learnt(recording, Tuning(), surveyed=False)
    yield name, _recorded(recording, heard, asked, radio, None, size, step)
    if layout in SURVEYED_LAYOUTS:
        survey = walked(recording)
        yield f"{name}_surveyed", _recorded(recording, heard, asked, bend(radio, survey), survey, size, step)


def _recorded(
    recording: Recording, heard: Readings, asked: Any, radio: Radio, survey: Survey | None, size: Size, step: Step
) -> Report:  # fmt: skip
    step("presence")
    seen, _ = _through(recording.plan, heard, radio, None)
    truth = recording.truth
    found = answered(seen, truth, asked, truth.unit)
    # People were recorded in corridors, so the right zone is the unit nearest to them.
    report = {**placing(found), **doubt(found), "nearest_unit": zone_right(found), "baselines": {}}
    step("baselines")
    for name, method in _baselines(recording.plan, survey, size).items():
        report["baselines"][name] = placing(answered(method(heard), truth, asked, truth.unit))
    return report


def _radio(world: World, scenario: Scenario) -> Radio:
    """Fitted to what the sensors hear of each other, as in any mall, and bent to the survey where there is one."""
    return surveyed(Radio.of(world.plan, fit(world.plan, world.links)), world.survey if scenario.surveyed else None)


def _through(plan: Plan, heard: Readings, radio: Radio, beats: Beats | None) -> tuple[Sightings, list[PresenceEvent]]:
    """The readings' way through the engine, until everyone's visit is over. A recording tells of no heartbeats."""
    tuning = Tuning()
    presence = Presence(plan, tuning, radio)
    if beats is not None:
        presence.hear_of(*beats)
    events = presence.absorb(heard)
    seen = presence.sightings()
    events += presence.expire(int(heard.t_ms[-1]) + tuning.lateness_ms + tuning.close_ms + 1_000)
    return Sightings(*map(np.concatenate, zip(seen, presence.sightings(), strict=True))), events


def _baselines(plan: Plan, survey: Survey | None, size: Size) -> dict[str, Callable[[Readings], Sightings]]:
    if not size.compared:
        return {}
    methods = {name: lambda heard, one=one: one(plan, sendings(plan, heard)) for name, one in WITHOUT_SURVEY.items()}
    if survey is not None:
        known = fingerprints(plan, survey)
        methods["wknn"] = lambda heard: wknn(plan, sendings(plan, heard), known)
    return methods


def _zone(plan: Plan, seen: Sightings) -> Any:
    xy_m = np.column_stack((seen.x_m, seen.y_m)).astype(np.float64)
    return plan.zones_at(seen.level.astype(np.int64), xy_m).astype(np.int16)
