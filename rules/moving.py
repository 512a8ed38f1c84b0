"""What becomes of members who are in the middle of a journey when another version of the book is published. Pure.

finish_old  they go on under the version they began with
move        they go on under the new one, from the step they are in
stop        their run ends; a coupon they hold stays good
"""

from __future__ import annotations

from typing import Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from rules import journey
from rules.book import Book
from rules.instance import WAITING, Instance, Note

FINISH_OLD, MOVE, STOP = "finish_old", "move", "stop"


class Fate(BaseModel):
    """What happens to the members who are in one journey."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fate: Literal["finish_old", "move", "stop"] = "finish_old"
    steps: dict[str, str] = Field({}, description="With move: steps that were renamed, old id to new id")


def moved(run: Instance, fate: Fate, old: Book, new: Book, now_ms: int) -> tuple[Instance, Note | None]:
    """The instance under *new*, or as it is; old is the book it runs by."""
    if fate.fate == FINISH_OLD or run.version == new.version:
        return run, None
    if fate.fate == STOP or run.journey not in new.journeys:
        return journey.stopped(run, "book changed")
    there = landing(run.step, run.journey, fate, old, new)
    if there is None:
        return journey.stopped(run, "step removed")
    note = Note("moved-on", f"book changed to {new.version}", run.step, run.rung, None, [])
    if there != fate.steps.get(run.step, run.step):
        # What they wait for is no more: on to what was listed after it. A coupon that is out stays good.
        fresh = Instance(
            run.id, run.journey, new.version, run.member, run.visit, run.started_ms, there, since_ms=now_ms,
            wakes_ms=now_ms,
        )  # fmt: skip
        return fresh, note
    after = msgspec.structs.replace(run, version=new.version, step=there, wakes_ms=now_ms, said="")
    return (_rewaited(after, run, old, new, now_ms) if run.phase == WAITING else after), note


def landing(step: str, key: str, fate: Fate, old: Book, new: Book) -> str | None:
    """The step of *new* where somebody in *step* goes on; None if nothing of what is left to them is in it."""
    there = new.journeys[key].index
    before = old.journeys[key]
    candidate: str | None = step
    while candidate is not None:
        renamed = fate.steps.get(candidate, candidate)
        if renamed in there:
            return renamed
        candidate = before.after(candidate)
    return None


def _rewaited(after: Instance, run: Instance, old: Book, new: Book, now_ms: int) -> Instance:
    """With the wait of the new version, counted from when the offer was given."""
    arms = new.journeys[run.journey].step(after.step).arms
    arm = min(run.arm, len(arms) - 1)
    rung = min(run.rung, len(arms[arm].rungs) - 1)
    was_ms = old.journeys[run.journey].step(run.step).arms[run.arm].rungs[run.rung].wait_ms
    given_ms = (run.wait_until_ms or now_ms) - was_ms
    until_ms = given_ms + arms[arm].rungs[rung].wait_ms
    # Looked at now if the new wait is over already, and then at once.
    return msgspec.structs.replace(after, arm=arm, rung=rung, wait_until_ms=until_ms, wakes_ms=max(until_ms, now_ms))
