"""A waiting line that can be asked for the first job that will not take too long."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

from batchsim.core.grid import NEVER
from batchsim.core.ordering import NOBODY

_SHORTEST: Final = 16


class Line:
    """Jobs of one need in queue order; finds the first whose estimate is no longer than a given time.

    `_entries` ascend. `_shortest` is a tree of minima over the estimates of those who wait, its root at 1
    and the leaf of slot s at `_span + s`; NEVER stands for nobody. Each step costs the depth of the tree.
    """

    __slots__ = ("_entries", "_late", "_shortest", "_span")

    def __init__(self) -> None:
        self._entries: list[int] = []
        self._late: list[tuple[int, int]] = []  # not in the tree yet: others came before whom they precede
        self._span = _SHORTEST
        self._shortest = [NEVER] * (2 * self._span)

    def add(self, entry: int, estimate_us: int) -> None:
        if self._entries and entry <= self._entries[-1]:
            self._late.append((entry, estimate_us))
            return
        if len(self._entries) == self._span:
            self._rebuild()
        node = self._span + len(self._entries)
        self._entries.append(entry)
        while node and self._shortest[node] > estimate_us:
            self._shortest[node] = estimate_us
            node >>= 1

    def remove(self, entry: int) -> None:
        if self._late:
            self._rebuild()
        shortest = self._shortest
        node = self._span + bisect_left(self._entries, entry)
        low = NEVER
        while node and shortest[node] != low:
            shortest[node] = low
            low = min(low, shortest[node ^ 1])
            node >>= 1

    def first_within(self, longest_us: int) -> int:
        """The entry of the first job whose estimate is at most `longest_us`, or NOBODY."""
        if self._late:
            self._rebuild()
        shortest = self._shortest
        if shortest[1] > longest_us:
            return NOBODY
        node = 1
        while node < self._span:
            node <<= 1
            if shortest[node] > longest_us:
                node += 1
        return self._entries[node - self._span]

    def _rebuild(self) -> None:
        """Room for as many again as wait."""
        leaves = self._shortest[self._span :]
        waiting = [(entry, leaf) for entry, leaf in zip(self._entries, leaves, strict=False) if leaf < NEVER]
        if self._late:
            waiting = sorted(waiting + self._late)
            self._late.clear()
        self._span = _SHORTEST
        while self._span < 2 * len(waiting):
            self._span *= 2
        self._entries = [entry for entry, _ in waiting]
        tree = [NEVER] * self._span
        tree += [estimate for _, estimate in waiting]
        tree += [NEVER] * (self._span - len(waiting))
        for node in range(self._span - 1, 0, -1):
            tree[node] = min(tree[2 * node], tree[2 * node + 1])
        self._shortest = tree
