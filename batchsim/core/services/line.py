"""The jobs that wait in a FIFO queue or in a quota share."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final

from batchsim.core.columns import JOB_BITS, JOB_MASK
from batchsim.core.ordering import NOBODY

if TYPE_CHECKING:
    from collections.abc import Callable

_TOP_PRIORITY: Final = 9_999


class Line:
    """By descending priority; of equal ones, those that come back by number, then the others as they came.

    `priority_of` gives a job's priority; without it all are equal.
    """

    __slots__ = ("_arrivals", "_entries", "_gone", "_priority_of", "size")

    def __init__(self, jobs: int, priority_of: Callable[[int], int] | None = None) -> None:
        self.size = 0
        self._priority_of = priority_of
        self._arrivals = jobs  # ranks of those that come back, which are job numbers, stay below
        self._entries: list[int] = []
        self._gone: set[int] = set()  # they left the line from within, but stand in `_entries` yet

    def add(self, job: int, *, retried: bool = False) -> None:
        if retried:
            rank = job
        else:
            rank = self._arrivals
            self._arrivals += 1
        above = _TOP_PRIORITY - self._priority_of(job) if self._priority_of is not None else 0
        heappush(self._entries, (above << JOB_BITS | rank) << JOB_BITS | job)
        self.size += 1

    def first(self, open_needs: int = 0) -> int:  # noqa: ARG002 - the head decides, whatever is open
        """The head, or NOBODY."""
        entries, gone = self._entries, self._gone
        while gone and entries and entries[0] & JOB_MASK in gone:
            gone.discard(heappop(entries) & JOB_MASK)
        return entries[0] & JOB_MASK if entries else NOBODY

    def take(self, job: int) -> None:  # noqa: ARG002 - it is the head
        """The head, just answered by `first`, leaves the line."""
        heappop(self._entries)
        self.size -= 1

    def remove(self, job: int) -> None:
        """A waiting job leaves for ever, wherever it stands."""
        self._gone.add(job)
        self.size -= 1

    def jobs(self) -> list[int]:
        """All waiting jobs in order; for people, not for decisions."""
        jobs = (entry & JOB_MASK for entry in sorted(self._entries))
        return [job for job in jobs if job not in self._gone]
