"""The yardstick: first come, first served on identical slots with nothing but `heapq` and lists.

It is a discrete-event simulation, not a recursion: a clock moves from instant to instant, at each of which
completions come first, then arrivals, then one pass that starts waiting jobs. Arrivals need no heap because
they are sorted.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_NEVER = 1 << 62


def heap_fcfs(submit: Sequence[int], runtime: Sequence[int], slots: int) -> list[int]:
    """Starts of jobs given by submission. Pass lists: elements of numpy arrays are several times slower."""
    jobs = len(submit)
    starts = [0] * jobs
    exits: list[tuple[int, int]] = []
    waiting: deque[int] = deque()
    free, arrived = slots, 0
    while exits or arrived < jobs:
        now = submit[arrived] if arrived < jobs else _NEVER
        if exits and exits[0][0] < now:
            now = exits[0][0]
        while exits and exits[0][0] == now:
            heappop(exits)
            free += 1
        while arrived < jobs and submit[arrived] == now:
            waiting.append(arrived)
            arrived += 1
        while free and waiting:
            job = waiting.popleft()
            starts[job] = now
            free -= 1
            heappush(exits, (now + runtime[job], job))
    return starts
