"""The order of the jobs that wait in one queue.

Retried jobs come first, among themselves by submission; the others follow in the order in which they
became RUNNABLE [spec 1.5, 2.3]. The two kinds of queue differ in who may pass a head that finds no
place: nobody (`StrictQueue`, what AWS documents), or every job that fits (`GreedyQueue`, the what-if
`assumptions.backfill: greedy`).

A pass asks `first(open_needs)`, then `take` when the job was placed or `skip` when it was not, until
`first` answers NOBODY or `skip` says that nobody may pass. Both kinds count what waits by need, which
is all that scaling looks at.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left, insort
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final

from batchsim.core.columns import JOB_BITS, JOB_MASK

if TYPE_CHECKING:
    from collections.abc import Sequence

NOBODY: Final = -1
ANYBODY: Final = -2
_FEW: Final = 64  # so many may have been taken before the others move up


class Order(ABC):
    """What the scheduler needs of a queue's order.

    waiting   how many jobs of each need wait
    size      how many jobs wait
    """

    __slots__ = ("size", "waiting")

    def __init__(self) -> None:
        self.waiting: dict[int, int] = {}
        self.size = 0

    @abstractmethod
    def add(self, job: int, *, retried: bool = False) -> None:
        """The job became RUNNABLE."""

    @abstractmethod
    def first(self, open_needs: int) -> int:
        """The job to be placed next, or NOBODY; `open_needs` are those that may find a place."""

    @abstractmethod
    def take(self, job: int) -> None:
        """`job`, just answered by `first`, was placed and leaves the queue."""

    @abstractmethod
    def remove(self, job: int) -> None:
        """A waiting job, wherever it stands, leaves the queue without being placed."""

    @abstractmethod
    def skip(self, job: int) -> bool:
        """`job`, just answered by `first`, found no place; tells whether others may be tried."""

    @abstractmethod
    def end_pass(self) -> None:
        """The pass is over; what was skipped may be asked for again."""

    @abstractmethod
    def blocking_need(self) -> int:
        """The need of the job that nobody may pass; ANYBODY if all may, NOBODY if nobody waits."""

    @abstractmethod
    def jobs(self) -> list[int]:
        """All waiting jobs in dispatch order; for people, not for decisions."""


class StrictQueue(Order):
    """First come, first served: a head that finds no place blocks everybody behind it."""

    __slots__ = ("_front", "_gone", "_line", "_need_of", "_taken")

    def __init__(self, need_of: Sequence[int]) -> None:
        super().__init__()
        self._need_of = need_of
        self._front: list[int] = []  # retried jobs, the head last, so that it can be popped
        self._line: list[int] = []  # the first `_taken` are there no more
        self._taken = 0
        self._gone: set[int] = set()  # who was removed from further back than the head

    def add(self, job: int, *, retried: bool = False) -> None:
        if retried:
            insort(self._front, job, key=_descending)
        else:
            self._line.append(job)
        need = self._need_of[job]
        self.waiting[need] = self.waiting.get(need, 0) + 1
        self.size += 1

    def add_among(self, job: int, runnable_us: Sequence[int], since_us: int) -> None:
        """As `add`, in a further round at the instant of a pass: those who became RUNNABLE after `since_us`,
        when the pass before it was, stand in order of submission [spec 2.3].
        """
        line = self._line
        place = len(line)
        while place > self._taken and line[place - 1] > job and runnable_us[line[place - 1]] > since_us:
            place -= 1
        self.add(job)
        line.insert(place, line.pop())

    def first(self, open_needs: int) -> int:  # noqa: ARG002 - the head decides, whatever is open
        if self._front:
            return self._front[-1]
        return self._line[self._taken] if self._taken < len(self._line) else NOBODY

    def take(self, job: int) -> None:
        if self._front:
            self._front.pop()
        else:
            self._step()
        _count_down(self.waiting, self._need_of[job])
        self.size -= 1
        if self._gone:
            self._skip_the_gone()

    def remove(self, job: int) -> None:
        _count_down(self.waiting, self._need_of[job])
        self.size -= 1
        self._gone.add(job)
        self._skip_the_gone()

    def skip(self, job: int) -> bool:  # noqa: ARG002 - it is the head, and nobody passes the head
        return False

    def end_pass(self) -> None:
        """Nothing was skipped."""

    def blocking_need(self) -> int:
        head = self.first(0)
        return NOBODY if head == NOBODY else self._need_of[head]

    def jobs(self) -> list[int]:
        return [job for job in self._front[::-1] + self._line[self._taken :] if job not in self._gone]

    def _step(self) -> None:
        """The first of the line leaves it."""
        self._taken += 1
        if self._taken == len(self._line):
            self._line.clear()
            self._taken = 0
        elif self._taken >= _FEW and 2 * self._taken >= len(self._line):
            del self._line[: self._taken]
            self._taken = 0

    def _skip_the_gone(self) -> None:
        """Who is first must not be gone."""
        gone = self._gone
        while self._front and self._front[-1] in gone:
            gone.discard(self._front.pop())
        if not self._front:
            while self._taken < len(self._line) and self._line[self._taken] in gone:
                gone.discard(self._line[self._taken])
                self._step()


class GreedyQueue(Order):
    """The first job that fits, in order; a job that does not fit is passed by those behind it.

    Jobs of equal need wait in one heap; the heads of all heaps stand in one sorted list. A pass walks
    that list, so its cost grows with the number of distinct needs, not with the backlog.
    """

    __slots__ = ("_arrivals", "_gone", "_groups", "_heads", "_need_of", "_skipped")

    def __init__(self, need_of: Sequence[int]) -> None:
        super().__init__()
        self._need_of = need_of
        self._groups: dict[int, list[int]] = {}
        self._heads: list[int] = []
        self._arrivals = len(need_of)  # ranks of retried jobs, which are job numbers, stay below
        self._skipped = 0
        self._gone: set[int] = set()  # who was removed from further back than the head of a group

    def add(self, job: int, *, retried: bool = False) -> None:
        if retried:
            rank = job
        else:
            rank = self._arrivals
            self._arrivals += 1
        need = self._need_of[job]
        group = self._groups.setdefault(need, [])
        before = group[0] if group else -1
        heappush(group, rank << JOB_BITS | job)
        if group[0] != before:
            if before >= 0:
                del self._heads[bisect_left(self._heads, before)]
            insort(self._heads, group[0])
        self.waiting[need] = self.waiting.get(need, 0) + 1
        self.size += 1

    def first(self, open_needs: int) -> int:
        candidates = open_needs & ~self._skipped
        need_of = self._need_of
        for head in self._heads:
            job = head & JOB_MASK
            if candidates >> need_of[job] & 1:
                return job
        return NOBODY

    def take(self, job: int) -> None:
        need = self._need_of[job]
        group = self._groups[need]
        del self._heads[bisect_left(self._heads, heappop(group))]
        while self._gone and group and group[0] & JOB_MASK in self._gone:
            self._gone.discard(heappop(group) & JOB_MASK)
        if group:
            insort(self._heads, group[0])
        _count_down(self.waiting, need)
        self.size -= 1

    def remove(self, job: int) -> None:
        need = self._need_of[job]
        if self._groups[need][0] & JOB_MASK == job:
            self.take(job)
        else:
            self._gone.add(job)
            _count_down(self.waiting, need)
            self.size -= 1

    def skip(self, job: int) -> bool:
        self._skipped |= 1 << self._need_of[job]
        return True

    def end_pass(self) -> None:
        self._skipped = 0

    def blocking_need(self) -> int:
        return ANYBODY if self.size else NOBODY

    def jobs(self) -> list[int]:
        entries = sorted(entry for group in self._groups.values() for entry in group)
        return [job for job in (entry & JOB_MASK for entry in entries) if job not in self._gone]


def _count_down(waiting: dict[int, int], need: int) -> None:
    left = waiting[need] - 1
    if left:
        waiting[need] = left
    else:
        del waiting[need]


def _descending(job: int) -> int:
    return -job
