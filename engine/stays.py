"""The zone machine: when a member is believed to be in a zone, and when no longer.

    OUTSIDE -> CANDIDATE -> INSIDE -> LEAVING -> OUTSIDE
                              \\-> SILENT -> INSIDE | OUTSIDE

A window is one vote about a member: the most probable zone, its probability, that of the zone of the present stay,
and whether the phone stands. Whoever stands is bent by the same walls window after window, so their votes repeat one
error and have to be surer; whoever has just walked is heard anew. A zone is entered by as few windows as it takes: one
that is nearly certain, or two of three that agree, as in Wald, "Sequential Tests of Statistical Hypotheses" (1945). But
the first window of somebody, or after a long silence, enters nothing alone: who is heard once has not come in.

`advance` says what a window does to one stay; it is the specification. `advance_all` says the same of columns; a
property test holds them together. A stay ended by silence is ended with `end`, by whoever watches the time.

Back in the same zone within merge_ms and nowhere else in between, the stay goes on: it is entered again with the
instant it first began, its dwell continues, and no mark is told twice. A mark is told when the zone was probable all
along, on average: whoever stands on its border is in it for long, perhaps, but nobody should act on that.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.plan import NOWHERE
from engine.tuning import AGREEING, WINDOWS, Tuning

NEVER_MS = -1


class Phase(IntEnum):
    OUTSIDE = 0
    CANDIDATE = 1
    INSIDE = 2
    LEAVING = 3
    SILENT = 4


class Window(NamedTuple):
    """One vote: *zone* is the most probable one and *p* its probability, *p_here* that of the present stay's zone, and
    *still* that the phone stands."""

    at_ms: int
    zone: int
    p: float
    p_here: float
    still: float = 0.0


class Stay(NamedTuple):
    """Where one member is believed to be. Zones are rows of plan.zones, NOWHERE for none; NEVER_MS for no instant."""

    zone: int = NOWHERE
    since_ms: int = NEVER_MS
    here_ms: int = NEVER_MS  # the last evidence in the zone; dwell is counted up to it
    away_ms: int = NEVER_MS  # the first window since then that spoke against it
    marks: int = 0  # dwell marks told
    p_mean: float = 0.0  # the zone's probability, averaged over tuning.mean_ms before
    window_ms: int = NEVER_MS
    votes: tuple[int, ...] = (NOWHERE,) * WINDOWS  # newest last
    vote_ms: tuple[int, ...] = (NEVER_MS,) * WINDOWS
    left_zone: int = NOWHERE  # the stay before, which this one may turn out to continue
    left_since_ms: int = NEVER_MS
    left_here_ms: int = NEVER_MS
    left_marks: int = 0


class Left(NamedTuple):
    zone: int
    since_ms: int
    here_ms: int


class Entered(NamedTuple):
    zone: int
    since_ms: int
    confidence: float


class Dwelt(NamedTuple):
    zone: int
    since_ms: int
    first: int  # the marks first, first + 1 .. past - 1 of tuning.dwell_marks_ms were passed
    past: int


Change = Left | Entered | Dwelt


def phase(stay: Stay, now_ms: int, tuning: Tuning) -> Phase:
    """Which state of the machine a stay is in at *now_ms*. Derived, so that it cannot disagree with the rest."""
    if stay.zone != NOWHERE:
        if now_ms - stay.window_ms >= tuning.hold_ms:
            return Phase.SILENT
        return Phase.INSIDE if stay.away_ms == NEVER_MS else Phase.LEAVING
    return Phase.CANDIDATE if any(vote != NOWHERE for vote in stay.votes) else Phase.OUTSIDE


def end(stay: Stay) -> Stay:
    """Silence or the member's own wish has ended the stay: nothing of it is left to be continued."""
    return Stay(window_ms=stay.window_ms)


def advance(stay: Stay, window: Window, tuning: Tuning) -> tuple[Stay, list[Change]]:
    """What one window does to one stay, and what is to be told of it: leaving comes before entering.

    One stray window at a shop front must not end a visit to it, nor begin one next door, unless it leaves no doubt.
    """
    at_ms, zone, p, p_here, still = window
    changes: list[Change] = []
    since_last_ms = at_ms - stay.window_ms
    followed = stay.window_ms != NEVER_MS and since_last_ms < tuning.hold_ms
    if not followed:
        # Votes from before a long silence say nothing about now.
        stay = stay._replace(votes=(NOWHERE,) * WINDOWS, vote_ms=(NEVER_MS,) * WINDOWS)
    vote = zone if p >= tuning.enter_p + tuning.standing_p * still else NOWHERE
    votes, vote_ms = (*stay.votes[1:], vote), (*stay.vote_ms[1:], at_ms)
    stay = stay._replace(window_ms=at_ms, votes=votes, vote_ms=vote_ms)
    agreed = vote != NOWHERE and ((followed and p >= tuning.sure_p) or votes.count(vote) >= AGREEING)

    if stay.zone != NOWHERE:
        stay = stay._replace(
            p_mean=stay.p_mean + (p_here - stay.p_mean) * since_last_ms / (since_last_ms + tuning.mean_ms)
        )
        if p_here >= tuning.leave_p:
            stay = stay._replace(away_ms=NEVER_MS)
            if vote in (stay.zone, NOWHERE):
                stay = stay._replace(here_ms=at_ms)
        elif stay.away_ms == NEVER_MS:
            stay = stay._replace(away_ms=at_ms)
        taken_over = agreed and vote != stay.zone
        gone = stay.away_ms != NEVER_MS and at_ms - stay.away_ms >= tuning.leave_ms
        if taken_over or gone:
            changes.append(Left(stay.zone, stay.since_ms, stay.here_ms))
            left = (stay.zone, stay.since_ms, stay.here_ms, stay.marks)
            stay = Stay(NOWHERE, NEVER_MS, NEVER_MS, NEVER_MS, 0, 0.0, at_ms, votes, vote_ms, *left)

    if stay.zone == NOWHERE and agreed:
        since_ms, marks = max(vote_ms[votes.index(vote)], stay.left_here_ms), 0
        if vote == stay.left_zone and since_ms - stay.left_here_ms <= tuning.merge_ms:
            since_ms, marks = stay.left_since_ms, stay.left_marks
        stay = Stay(vote, since_ms, at_ms, NEVER_MS, marks, p, at_ms, votes, vote_ms)
        changes.append(Entered(vote, since_ms, p))

    if stay.zone != NOWHERE and stay.away_ms == NEVER_MS and stay.p_mean >= tuning.dwell_p:
        passed = sum(mark <= at_ms - stay.since_ms for mark in tuning.dwell_marks_ms)
        if passed > stay.marks:
            changes.append(Dwelt(stay.zone, stay.since_ms, stay.marks, passed))
            stay = stay._replace(marks=passed)
    return stay, changes


# -- the same in columns --------------------------------------------------------------------------

# One row per member, named as in Stay.
STAY = np.dtype([
    ("zone", np.int16), ("since_ms", np.int64), ("here_ms", np.int64), ("away_ms", np.int64), ("marks", np.uint8),
    ("p_mean", np.float64), ("window_ms", np.int64), ("votes", np.int16, (WINDOWS,)), ("vote_ms", np.int64, (WINDOWS,)),
    ("left_zone", np.int16), ("left_since_ms", np.int64), ("left_here_ms", np.int64), ("left_marks", np.uint8),
])  # fmt: skip

Stays = npt.NDArray[np.void]
Times = npt.NDArray[np.int64]
Zones = npt.NDArray[np.signedinteger[Any]]
Chances = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def outside(rows: int) -> Stays:
    """That many members who are in no zone."""
    return np.full(rows, np.array(tuple(Stay()), STAY))


class Changes(NamedTuple):
    """What a window changed, row by row of the stays given: masks, and the stays as they were told.

    left, entered   (n,) who left, who entered;   gone  (n,) the stays that were left
    marks_from, marks_to  (n,) the dwell marks passed, none where equal
    """

    left: Mask
    gone: Stays
    entered: Mask
    marks_from: npt.NDArray[np.uint8]
    marks_to: npt.NDArray[np.uint8]

    @property
    def any(self) -> Mask:
        """Which rows have anything to tell."""
        return self.left | self.entered | (self.marks_to > self.marks_from)


def end_all(stays: Stays, rows: npt.NDArray[np.intp]) -> None:
    """What `end` says, of the *rows* of *stays*, in place."""
    ended = outside(len(rows))
    ended["window_ms"] = stays["window_ms"][rows]
    stays[rows] = ended


def advance_all(
    stays: Stays, at_ms: Times, zone: Zones, p: Chances, p_here: Chances, still: Chances, tuning: Tuning
) -> Changes:
    """What `advance` says, of one window each for *stays* (n,), in place."""
    since_last_ms = at_ms - stays["window_ms"]
    followed = (stays["window_ms"] != NEVER_MS) & (since_last_ms < tuning.hold_ms)
    stays["votes"][~followed], stays["vote_ms"][~followed] = NOWHERE, NEVER_MS
    vote = np.where(p >= tuning.enter_p + tuning.standing_p * still, zone, NOWHERE).astype(np.int16)
    votes = np.concatenate((stays["votes"][:, 1:], vote[:, None]), axis=1)
    vote_ms = np.concatenate((stays["vote_ms"][:, 1:], at_ms[:, None]), axis=1)
    stays["votes"], stays["vote_ms"], stays["window_ms"] = votes, vote_ms, at_ms
    for_it = votes == vote[:, None]
    agreed = (vote != NOWHERE) & (followed & (p >= tuning.sure_p) | (for_it.sum(axis=1) >= AGREEING))

    inside = stays["zone"] != NOWHERE
    mean = stays["p_mean"]
    stays["p_mean"] = np.where(inside, mean + (p_here - mean) * since_last_ms / (since_last_ms + tuning.mean_ms), mean)
    near = inside & (p_here >= tuning.leave_p)
    here = near & ((vote == stays["zone"]) | (vote == NOWHERE))
    stays["away_ms"][near] = NEVER_MS
    stays["here_ms"][here] = at_ms[here]
    turned = inside & ~near & (stays["away_ms"] == NEVER_MS)
    stays["away_ms"][turned] = at_ms[turned]
    away = inside & (stays["away_ms"] != NEVER_MS) & (at_ms - stays["away_ms"] >= tuning.leave_ms)
    left = away | (inside & agreed & (vote != stays["zone"]))
    gone = stays.copy()
    if left.any():
        stays["left_zone"][left], stays["left_marks"][left] = gone["zone"][left], gone["marks"][left]
        stays["left_since_ms"][left], stays["left_here_ms"][left] = gone["since_ms"][left], gone["here_ms"][left]
        stays["zone"][left], stays["marks"][left], stays["p_mean"][left] = NOWHERE, 0, 0
        for when in ("since_ms", "here_ms", "away_ms"):
            stays[when][left] = NEVER_MS

    entered = agreed & (stays["zone"] == NOWHERE)
    if entered.any():
        first_ms = vote_ms[np.arange(len(vote)), for_it.argmax(axis=1)]
        since_ms = np.maximum(first_ms, stays["left_here_ms"])
        merged = (vote == stays["left_zone"]) & (since_ms - stays["left_here_ms"] <= tuning.merge_ms)
        since_ms = np.where(merged, stays["left_since_ms"], since_ms)
        marks = np.where(merged, stays["left_marks"], 0)
        stays["zone"][entered], stays["since_ms"][entered] = vote[entered], since_ms[entered]
        stays["here_ms"][entered], stays["marks"][entered] = at_ms[entered], marks[entered]
        stays["p_mean"][entered] = p[entered]
        stays["left_zone"][entered], stays["left_marks"][entered] = NOWHERE, 0
        stays["left_since_ms"][entered] = stays["left_here_ms"][entered] = NEVER_MS

    there = (stays["zone"] != NOWHERE) & (stays["away_ms"] == NEVER_MS) & (stays["p_mean"] >= tuning.dwell_p)
    marks_from = stays["marks"].copy()
    passed = np.searchsorted(np.array(tuning.dwell_marks_ms), at_ms - stays["since_ms"], side="right")
    stays["marks"] = np.where(there, np.maximum(passed, marks_from), marks_from)
    return Changes(left, gone, entered, marks_from, stays["marks"].copy())
