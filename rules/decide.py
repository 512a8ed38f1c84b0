"""Arbitration: whether an offer that a journey is ready to give may be given to this member now.

Values in, reasons out. Every limit is asked in a fixed order and leaves a line in the trace; the first that
refuses decides, and says when it is worth asking again.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from rules.book import Book, Cap, Limits, Offer
from rules.residents import residence
from rules.standing import CLOSED, OFFERS_CONSENT, REDEEMED, Exposure, Standing
from rules.times import SECOND_MS, length_text
from rules.when import Line

# An event heard longer ago than this may be history: it still changes what is known, but gives nothing by itself.
LATE_MS = 60 * SECOND_MS
# After late news the question is asked again when the rest of the backlog is known too.
ASK_AGAIN_MS = 15 * SECOND_MS
# What ends the pause between offers: who has used one may have the next, and so may who lost one to a closed shop.
CLEARING = ((REDEEMED, "redeemed"), (CLOSED, "taken back"))


class Proposal(NamedTuple):
    """An offer a step is ready to give. supersedes: the exposure it takes the place of."""

    visit: str
    journey: str
    step: str
    rung: int
    offer: Offer
    supersedes: str | None
    for_the_unseen: bool
    chance: float = 1.0  # with what probability it is sent
    draw: str = ""  # what the draw rests on: the same cause draws the same
    away: bool = False  # it is for who is not here, and for nobody else


class Allow(msgspec.Struct, frozen=True, gc=False):
    """Give it; to a held-out member only as if (ghost), and not at all where chance says so (not drawn)."""

    ghost: bool
    lines: list[Line]
    drawn: bool = True


class Withhold(msgspec.Struct, frozen=True, gc=False):
    """Not now. again_ms: when time alone may change that, None when only an event can.

    spent   no time and no event of this visit will change it
    """

    because: str
    again_ms: int | None
    spent: bool
    lines: list[Line]


class _Check(msgspec.Struct, frozen=True, gc=False):
    because: str
    line: Line
    again_ms: int | None = None
    spent: bool = False


def arbitrate(proposal: Proposal, standing: Standing, book: Book, now_ms: int, *, late: bool) -> Allow | Withhold:
    """Ask every limit in turn; late: what brought this up may be history."""
    lines: list[Line] = []
    for check in _checks(proposal, standing, book, now_ms, late):
        lines.append(check.line)
        if not check.line.held:
            return Withhold(check.because, check.again_ms, check.spent, lines)
    ghost = held_out(standing.member, book.limits)
    if book.limits.holdout_percent:
        lines.append(Line("limits/holdout", not ghost, "held out" if ghost else "not held out"))
    drawn = proposal.chance >= 1
    if not drawn:
        drawn, line = draw(proposal.draw, proposal.chance, book.limits.holdout_salt)
        lines.append(line)
    return Allow(ghost, lines, drawn)


def draw(cause: str, chance: float, salt: str) -> tuple[bool, Line]:
    """Whether chance lets it be sent. A hash of the cause, so that asking again draws the same, and a log of it."""
    number = int.from_bytes(blake2b(f"{salt}\0chance\0{cause}".encode(), digest_size=6).digest()) / 2**48
    return number < chance, Line("chance", number < chance, f"{number:.4f} under {chance:g}")


def held_out(member: int, limits: Limits) -> bool:
    """Whether *member* is of the random few who are never sent anything; the same for ever under one salt."""
    if not limits.holdout_percent:
        return False
    digest = blake2b(f"{limits.holdout_salt}\0{member}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) % 100 < limits.holdout_percent


def _checks(proposal: Proposal, standing: Standing, book: Book, now_ms: int, late: bool) -> Iterator[_Check]:
    consents = OFFERS_CONSENT in standing.consents
    yield _Check("no-consent", Line("consent", consents, "granted" if consents else f"no {OFFERS_CONSENT}"))
    resident, seen = residence(standing, book.calendar, now_ms)
    yield _Check("resident", Line("resident", not resident, seen), spent=True)
    yield _Check("late", Line("news", not late, "late" if late else "fresh"), now_ms + ASK_AGAIN_MS)
    if proposal.away:
        absence = standing.memory.absence
        seen = f"away for {length_text(now_ms - absence.since_ms)}" if absence else "not away"
        yield _Check("not-away", Line("absence", absence is not None, seen))
    else:
        here = standing.present or proposal.for_the_unseen
        yield _Check("not-present", Line("presence", here, "heard" if standing.present else "silent"))
    if book.limits.quiet is not None:
        opening = book.calendar.opening(book.limits.quiet, now_ms)
        seen = f"{book.calendar.clock_text(now_ms)}, quiet {book.limits.quiet}"
        yield _Check("quiet-hours", Line("limits/quiet", not opening.is_open, seen), opening.changes_ms)
    others = [exposure for exposure in standing.live(now_ms) if exposure.id != proposal.supersedes]
    seen = ", ".join(exposure.offer for exposure in others) or "none"
    frees_ms = max((exposure.expires_ms for exposure in others), default=None)
    yield _Check("live-offer", Line("live", not others, seen), frees_ms)
    for cap in book.limits.member:
        yield _cap_check(cap, proposal, standing.exposures, now_ms)
    if proposal.rung:
        upgrades = tuple(exposure for exposure in standing.exposures if exposure.upgrade)
        for cap in book.limits.upgrades:
            yield _cap_check(cap, proposal, upgrades, now_ms)


def _cap_check(cap: Cap, proposal: Proposal, exposures: tuple[Exposure, ...], now_ms: int) -> _Check:
    if cap.is_gap:
        return _gap_check(cap, exposures, now_ms)
    if cap.per == "time":
        counted = [exposure for exposure in exposures if exposure.at_ms > now_ms - cap.window_ms]
        written = length_text(cap.window_ms)
    else:
        counted = [exposure for exposure in exposures if exposure.visit == proposal.visit]
        if cap.per == "step":
            place = (proposal.journey, proposal.step)
            counted = [exposure for exposure in counted if (exposure.journey, exposure.step) == place]
        written = cap.per
    line = Line(cap.path, len(counted) < cap.most, f"{len(counted)} of {cap.most} per {written}")
    if cap.per != "time" or line.held:
        return _Check("cap", line, None, spent=not line.held)
    # The window has room again when the oldest of the last `most` leaves it.
    return _Check("cap", line, counted[-cap.most].at_ms + cap.window_ms)


def _gap_check(gap: Cap, exposures: tuple[Exposure, ...], now_ms: int) -> _Check:
    if not exposures:
        return _Check("gap", Line(gap.path, True, "first offer"))
    last = exposures[-1]
    since = f"last {length_text(now_ms - last.at_ms)} ago of {length_text(gap.window_ms)}"
    since_last = {
        exposure.outcome for exposure in exposures if exposure.ended_ms is not None and exposure.ended_ms >= last.at_ms
    }
    for outcome, seen in CLEARING:
        if outcome in since_last:
            return _Check("gap", Line(gap.path, True, f"{since}, {seen} since"))
    ends_ms = last.at_ms + gap.window_ms
    return _Check("gap", Line(gap.path, now_ms >= ends_ms, since), ends_ms)
