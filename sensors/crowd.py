"""A seeded crowd: people who come to a mall, choose where to go, stay there, choose again, and go home.

Everybody is a row in a few numpy columns; Python looks at one person only when that person has something to decide.
All chance comes from one generator, so the same seed, the same instants and the same messages give the same walk.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np

from sensors.habits import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    SATED,
    SATED_MS,
    SEEN_BEFORE,
    appetites,
    draw_day,
    draw_stay_ms,
    habit_of,
)
from sensors.venue import Ints, Venue
from sensors.walkers import LEVEL_M, NEVER, NOBODYS_ZONE, Bodies, Walkers
from sensors.walkways import Walkways

# A zone this much farther away is half as attractive.
STROLL_M = 60.0
# Between one shelf and the next.
BROWSE_MS = (60_000, 180_000)
# Nobody sits down three minutes before leaving.
LAST_STAY_MS = 3 * MINUTE_MS
# Who was due while nobody watched (a demo that starts at noon) comes within about this, rather than all at once.
OVERDUE_MS = 8 * MINUTE_MS


class Doing(IntEnum):
    AWAY = 0
    WALKING = 1
    STAYING = 2
    LEAVING = 3


class Step(NamedTuple):
    """Who came in, who went out, and who walked, as indices of people."""

    now_ms: int
    arrived: Ints
    left: Ints
    moved: Ints


class Crowd:
    """People 0..members-1 are members, the others follow.

    opens_ms      the instant the mall opens on the first day; it opens again every 24 h
    opening_hour  what the clock on the wall shows then, so that coffee is for mornings
    doing         what each does, as Doing
    zone          (people,) the zone each means to be in or is in, an index into zones; -1 none
    leaves_ms     when each means to go home

    Raises VenueError where the venue cannot be walked.
    """

    def __init__(
        self, venue: Venue, seed: int, *, members: int = 400, others: int = 1_200, opens_ms: int, opening_hour: int = 10
    ) -> None:
        self.members, self.people = members, members + others
        self.zones = tuple(venue.zones)
        self._ways = Walkways(venue)
        self._rng = np.random.default_rng(seed)
        self._walkers = Walkers(self._ways, self.people, self._rng)
        self._zone_index = {zone.key: index for index, zone in enumerate(self.zones)}
        self._habits = [habit_of(zone) for zone in self.zones]
        self._fills = np.array([habit.fills for habit in self._habits])
        self._appetites = appetites(self.zones)
        front = [spots[0] for spots in self._ways.spots]
        self._zone_level = self._ways.goal_level[front].astype(np.int32)
        self._zone_m = self._ways.centres_m[self._ways.goal_cell[front]]
        self._opens_ms, self._opening_hour = opens_ms, opening_hour
        self._day, self._now_ms = -1, -1

        n = self.people
        self.doing = np.full(n, Doing.AWAY, np.int8)
        self.zone = np.full(n, NOBODYS_ZONE, np.int16)
        self.leaves_ms = np.full(n, NEVER)
        self._arrives_ms = np.full(n, NEVER)
        self._until_ms = np.full(n, NEVER)  # of standing at this spot
        self._stay_ms = np.zeros(n, np.int64)  # still to be spent in the zone, at other spots
        self._ate_ms = np.full(n, -SATED_MS)
        self._visited = np.zeros((n, len(self.zones)), bool)

    # -- asking -----------------------------------------------------------------------------------

    @property
    def bodies(self) -> Bodies:
        return self._walkers.bodies

    def present(self) -> Ints:
        return np.flatnonzero(self.doing != Doing.AWAY)

    def is_present(self, person: int) -> bool:
        return bool(self.doing[person] != Doing.AWAY)

    def riding(self) -> Ints:
        """Who is between levels; they still count as on the one they come from."""
        return np.flatnonzero(self._walkers.lands_ms != NEVER)

    def zone_under(self, person: int) -> int:
        """The zone somebody stands in, as an index into zones; -1 none or away."""
        return self._walkers.zone_under(person)

    def walk_ms(self, person: int, zone: str) -> int:
        """About how long somebody present would walk to a zone."""
        return self._walkers.walk_ms(person, self._ways.spots[self._zone_index[zone]][0])

    def sits_until_ms(self, person: int) -> int:
        """When somebody who has sat down (to eat, to a film) would rise; now for everybody else."""
        seated = self.doing[person] == Doing.STAYING and not self._habits[self.zone[person]].browses
        return int(self._until_ms[person]) if seated else self._now_ms

    # -- telling ----------------------------------------------------------------------------------

    def send(self, person: int, zone: str, *, at_least_ms: int = 0) -> None:
        """Change somebody's mind: go to *zone* now, and stay there by habit but not shorter than *at_least_ms*.

        They leave the mall no sooner than that takes. Who is away is not reached.
        """
        if self.is_present(person):
            index = self._zone_index[zone]
            stay_ms = max(draw_stay_ms(self._habits[index], self._rng), at_least_ms)
            back_ms = self._now_ms + self.walk_ms(person, zone) + stay_ms + LAST_STAY_MS
            self.leaves_ms[person] = max(int(self.leaves_ms[person]), back_ms)
            self._visit(person, index, stay_ms)

    def linger(self, person: int, longer_ms: int) -> None:
        """Somebody found a reason to leave the mall later."""
        if self.is_present(person):
            self.leaves_ms[person] += longer_ms

    def step(self, now_ms: int) -> Step:
        """Live until *now_ms*, which must not go back. Meant for steps of about a second."""
        dt_ms = now_ms - self._now_ms if self._now_ms >= 0 else 0
        self._now_ms = now_ms
        moved, reached = self._walkers.step(now_ms, dt_ms)
        left = [person for person in reached if self.doing[person] == Doing.LEAVING]
        for person in left:
            self.doing[person] = Doing.AWAY
            self._walkers.vanish(person)
        for person in reached:
            if self.doing[person] == Doing.WALKING:
                self._stand(person)
        for person in np.flatnonzero((self.doing == Doing.STAYING) & (self._until_ms <= now_ms)).tolist():
            self._go_on(person)
        return Step(now_ms, self._admit(), np.array(left, np.int64), moved)

    # -- days -------------------------------------------------------------------------------------

    def _admit(self) -> Ints:
        day = (self._now_ms - self._opens_ms) // DAY_MS
        if day > self._day:
            self._plan(day)
        due = np.flatnonzero((self._arrives_ms <= self._now_ms) & (self.doing == Doing.AWAY))
        self._arrives_ms[due] = NEVER
        self._visited[due] = False
        for person in due.tolist():
            self._walkers.appear(person, self._one_of(self._ways.entrances))
            self._choose(person)
        return due

    def _plan(self, day: int) -> None:
        opened_ms = self._opens_ms + day * DAY_MS
        arrives, leaves = draw_day((self.members, self.people - self.members), self._rng)
        spread_ms = self._rng.exponential(OVERDUE_MS, self.people).astype(np.int64)
        arrives_ms, leaves_ms = opened_ms + arrives, opened_ms + leaves
        arrives_ms = np.where(arrives_ms < self._now_ms, self._now_ms + spread_ms, arrives_ms)
        comes = (arrives >= 0) & (leaves_ms > arrives_ms + LAST_STAY_MS)
        self._day = day
        self._arrives_ms = np.where(comes, arrives_ms, NEVER)
        self.leaves_ms = np.where(self.doing == Doing.AWAY, leaves_ms, self.leaves_ms)

    # -- deciding ---------------------------------------------------------------------------------

    def _choose(self, person: int) -> None:
        """Where to go next: by the hour's appetites, distance, hunger, and what was seen already."""
        now_ms, (level, xy_m, _) = self._now_ms, self.bodies
        if self.leaves_ms[person] <= now_ms + LAST_STAY_MS:
            return self._leave(person)
        hour = (self._opening_hour + (now_ms - self._opens_ms) // HOUR_MS) % 24
        far_m = np.hypot(*(self._zone_m - xy_m[person]).T) + LEVEL_M * np.abs(self._zone_level - level[person])
        wanted = self._appetites[hour] * np.exp2(-far_m / STROLL_M)
        wanted[self._visited[person]] *= SEEN_BEFORE
        if now_ms - self._ate_ms[person] < SATED_MS:
            wanted[self._fills] *= SATED
        sums = np.cumsum(wanted)
        zone = int(np.searchsorted(sums, self._rng.random() * sums[-1], side="right"))
        self._visit(
            person, zone, min(draw_stay_ms(self._habits[zone], self._rng), int(self.leaves_ms[person]) - now_ms)
        )

    def _visit(self, person: int, zone: int, stay_ms: int) -> None:
        self.doing[person], self.zone[person], self._stay_ms[person] = Doing.WALKING, zone, stay_ms
        self._walkers.head_for(person, self._one_of(self._ways.spots[zone]))

    def _leave(self, person: int) -> None:
        level, doors = self.bodies.level[person], self._ways.entrances
        near = [door for door in doors if self._ways.goal_level[door] == level] or doors
        self.doing[person], self.zone[person] = Doing.LEAVING, NOBODYS_ZONE
        self._walkers.head_for(person, self._one_of(near))

    def _stand(self, person: int) -> None:
        zone, stay_ms = int(self.zone[person]), int(self._stay_ms[person])
        here_ms = min(int(self._rng.integers(*BROWSE_MS)), stay_ms) if self._habits[zone].browses else stay_ms
        self.doing[person], self._until_ms[person] = Doing.STAYING, self._now_ms + here_ms
        self._stay_ms[person] = stay_ms - here_ms
        self.bodies.heading[person] = self._rng.uniform(-np.pi, np.pi)
        self._visited[person, zone] = True
        if self._fills[zone]:
            self._ate_ms[person] = self._now_ms

    def _go_on(self, person: int) -> None:
        if self._stay_ms[person] > 0:
            self._visit(person, int(self.zone[person]), int(self._stay_ms[person]))
        else:
            self._choose(person)

    def _one_of(self, goals: list[int]) -> int:
        return goals[self._rng.integers(len(goals))]
