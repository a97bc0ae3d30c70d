"""Who has the least score at an instant, when every score falls, each at a pace of its own.

Scores are compared exactly, but seldom computed. A score is convex and does not rise by itself; so a line
that starts at its last known value, and falls at least as fast as the score did then, stays below it until
something happens to the runner. Runners whose paces have the same number of bits share a *lane*, and in a
lane all lines fall equally fast: by the power of two above. Their order therefore never changes, and the
lowest line of a lane is always its first. Only these fronts are looked at. If the lowest of them is not known
to be exact, that runner is measured, and placed anew, farther back as a rule; if it is, that runner leads.

A line falls at most twice as fast as the score did when it was measured, so that a measurement leaves the
runner at about half of its distance from the leader until the next. As long as scores differ in the way that
serving the least one makes them differ, a leader is found by some three measurements among any number.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import Any, Final, Generic, Protocol, TypeVar

from batchsim.core.grid import NEVER

NEVER_PLACED: Final = -1  # an instant


class Runner(Protocol):
    """Whoever takes part in a race; the attributes belong to the race.

    exact_at  the instant at which the line met the score
    entry     (the line at instant 0, two ranks among equal scores, the runner, its lane); None: not placed
    """

    exact_at: int
    entry: tuple[int, int, int, Any, int] | None

    def measure(self, now: int) -> tuple[int, int, int, int]:
        """The score, by how much it falls in a microsecond (>= 0), and the ranks, the last one unique."""


R = TypeVar("R", bound=Runner)


class Race(Generic[R]):
    """Runners in order of their scores; of equal ones those with lower ranks are first.

    Instants never decrease. When something has happened to a runner, so that its score or its ranks changed
    other than by the passing of time, `place` must be called for it before anything is asked.
    """

    __slots__ = ("_lanes",)

    def __init__(self) -> None:
        self._lanes: dict[int, list[tuple[int, int, int, R, int]]] = {}

    def __bool__(self) -> bool:
        return bool(self._lanes)

    def place(self, runner: R, now: int) -> None:
        """Measure the runner, which need not be in the race yet."""
        score, pace, rank, number = runner.measure(now)
        lane = pace.bit_length()
        if runner.entry is not None:
            self.remove(runner)
        runner.exact_at = now
        runner.entry = entry = (score + (now << lane) if lane else score, rank, number, runner, lane)
        line = self._lanes.get(lane)
        if line is None:
            self._lanes[lane] = [entry]
        else:
            insort(line, entry)

    def remove(self, runner: R) -> None:
        """The runner leaves; it must be in the race."""
        entry = runner.entry
        assert entry is not None
        line = self._lanes[entry[4]]
        if len(line) == 1:
            del self._lanes[entry[4]]
        else:
            del line[0 if line[0] is entry else bisect_left(line, entry)]
        runner.entry = None

    def leader(self, now: int) -> R:
        """The runner with the least score; there must be one."""
        while True:
            front: tuple[int, int, int, R, int] | None = None
            least = 0
            for lane, line in self._lanes.items():
                entry = line[0]
                score = entry[0] - (now << lane) if lane else entry[0]
                if front is None or score < least or (score == least and entry[1:3] < front[1:3]):
                    least, front = score, entry
            assert front is not None
            runner = front[3]
            if runner.exact_at == now:
                return runner
            self.place(runner, now)

    def undisputed_until(self, now: int, leader: R) -> int:
        """An instant before which nobody overtakes `leader`, which leads at `now`, unless something happens.

        Far from tight: by then the leader's own score may have fallen too. NEVER if nobody can.
        """
        assert leader.entry is not None
        least = leader.entry[0] - (now << leader.entry[4] if leader.entry[4] else 0)
        first = NEVER
        for lane, line in self._lanes.items():
            position = 1 if line[0][3] is leader else 0
            if lane and position < len(line):
                first = min(first, -((least - line[position][0]) >> lane))
        return first

    def fastest(self) -> int:
        """A pace that no score of the race exceeds from now on."""
        return (1 << max(self._lanes)) - 1
