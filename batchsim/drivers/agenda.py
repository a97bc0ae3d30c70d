"""What the wall-clock driver will do, and in which order it tells what happens at one instant."""

from __future__ import annotations

from enum import IntEnum
from heapq import heappop, heappush
from typing import TYPE_CHECKING, NamedTuple

from batchsim.core.grid import NEVER
from batchsim.drivers.gateway import NOBODY, Key

if TYPE_CHECKING:
    from batchsim.drivers.reports import Report


class Kind(IntEnum):
    """What is done to containers comes first, so that what comes of it at once is told at that instant.

    Child nodes are not the scheduler's business; the rest is in the order of the seam.
    """

    BEGIN = 0
    KILL = 1
    NODE_STARTED = 2
    NODE_ENDED = 3
    ENDED = 4
    LOST = 5
    READY = 6
    LAUNCH_FAILED = 7
    JOINED = 8
    STARTED = 9
    SUBMIT = 10
    REQUEST = 11
    WAKE = 12


class Entry(NamedTuple):
    """Something that is to be done or told; sorted by instant, kind, number, and then as it came."""

    at_us: int
    kind: Kind
    number: int
    order: int
    key: Key = NOBODY
    instance: int = -1
    report: Report | None = None


class Agenda:
    """Entries in order of time."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._order = 0

    @property
    def due_us(self) -> int:
        """When the next entry is; NEVER if there is none."""
        return self._entries[0].at_us if self._entries else NEVER

    def add(self, at_us: int, kind: Kind, number: int = 0, key: Key = NOBODY, instance: int = -1) -> None:
        """NEVER is no instant."""
        if at_us != NEVER:
            heappush(self._entries, Entry(at_us, kind, number, self._next(), key, instance))

    def told(self, now: int, kind: Kind, number: int, report: Report) -> Entry:
        """An entry for what a report says, which is due now."""
        return Entry(now, kind, number, self._next(), report.key, -1, report)

    def acts(self, now: int) -> list[Entry]:
        """Take out what is to be done to containers by now."""
        entries = []
        while self._entries and self._entries[0].at_us <= now and self._entries[0].kind <= Kind.KILL:
            entries.append(heappop(self._entries))
        return entries

    def happened(self, now: int) -> list[Entry]:
        """Take out everything by now."""
        entries = []
        while self._entries and self._entries[0].at_us <= now:
            entries.append(heappop(self._entries))
        return entries

    def _next(self) -> int:
        self._order += 1
        return self._order
