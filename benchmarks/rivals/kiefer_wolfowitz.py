"""The least that any program can do for the starts of first come, first served on identical slots.

No clock, no events and no queue: the jobs are taken in order, and each starts on the slot that is free
first. Nothing that has priorities, sizes or a fleet that scales can be computed like this; it stands in the
tables so that nobody takes the event loop for the fastest way to these numbers.
"""

from __future__ import annotations

from heapq import heapreplace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def kiefer_wolfowitz(submit: Sequence[int], runtime: Sequence[int], slots: int) -> list[int]:
    """Starts of jobs given by submission."""
    free_at = [0] * slots
    starts = []
    for at, runs in zip(submit, runtime, strict=True):
        start = max(at, free_at[0])
        starts.append(start)
        heapreplace(free_at, start + runs)
    return starts
