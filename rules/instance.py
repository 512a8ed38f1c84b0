"""Where one member stands in one run of a journey, what is noted of it, and the few moves it can make. Pure."""

from __future__ import annotations

import msgspec

from rules.book import Journey
from rules.when import Line

SEEKING, WAITING, FINISHED = "seeking", "waiting", "finished"


class Instance(msgspec.Struct, frozen=True):
    """Where a member stands in a journey, under the version of the book it began with.

    visit: the key of the visit it runs in or, of a journey for who is away, of the absence.

    seeking: the step's conditions are being watched; waiting: an offer is out and its wait runs.
    """

    id: str
    journey: str
    version: str
    member: int
    visit: str
    started_ms: int
    step: str
    since_ms: int  # when the step's turn came
    phase: str = SEEKING
    arm: int = 0
    rung: int = -1
    out: str | None = None  # the exposure that is waited for
    wait_until_ms: int | None = None
    ready_ms: int | None = None  # when the conditions began to hold; the jitter counts from here
    wakes_ms: int | None = None  # its deadline: when time alone may move it
    said: str = ""  # the last "no", so that it is not noted again and again
    short_of: str = ""  # the room or money that was missing at the last look
    short_since_ms: int | None = None  # since when some was, in this step: the longest waiting is asked first
    outcome: str = ""  # how it finished

    @property
    def queued(self) -> tuple[str, int | None] | None:
        """What it waits for in the queue of those who were refused, and since when."""
        return (self.short_of, self.short_since_ms) if self.short_of else None


class Note(msgspec.Struct, frozen=True, gc=False):
    """A yes or no worth keeping, with everything that was looked at."""

    verdict: str  # started, not-started, waits, withheld, issued, ghost, skipped, moved-on, finished
    because: str
    step: str
    rung: int
    offer: str | None
    lines: list[Line]
    propensity: float | None = None  # of what was decided to be sent: how probable that was


def onward(here: Instance, journey: Journey, target: str | None, because: str, now_ms: int) -> Instance:
    """At *target*, or else the step listed next, or else finished."""
    following = target or journey.after(here.step)
    return finished(here, because) if following is None else at_step(here, following, now_ms)


def at_step(here: Instance, step: str, now_ms: int) -> Instance:
    return Instance(
        here.id, here.journey, here.version, here.member, here.visit, here.started_ms, step, since_ms=now_ms
    )


def finished(here: Instance, because: str) -> Instance:
    return msgspec.structs.replace(
        here, phase=FINISHED, wait_until_ms=None, wakes_ms=None, short_of="", outcome=because
    )


def noted(here: Instance, note: Note) -> tuple[Instance, Note | None]:
    """The note only if it is not what was said last: a "no" that goes on is one no."""
    key = f"{note.verdict} {note.step} {note.rung} {note.because}"
    return (here, None) if key == here.said else (msgspec.structs.replace(here, said=key), note)


def short(here: Instance, of: str, now_ms: int) -> Instance:
    since_ms = now_ms if here.short_since_ms is None else here.short_since_ms
    return msgspec.structs.replace(here, short_of=of, short_since_ms=since_ms)
