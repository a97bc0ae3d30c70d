"""Who waits for whom: the edges between jobs, in the form the scheduler counts down.

Nodes are the jobs, by row, and after them barriers, each of which stands for many jobs at once. So a group
of n jobs that waits for a group of m costs n + m edges [spec 1.9]:

    a group waits for a group   all jobs of the one -> a barrier -> all jobs of the other
    ... for a group of arrays   children -> a patient barrier for each array -> a barrier -> ...
    N_TO_N                      child i -> child i; with several arrays on both sides, by a barrier for each i
    SEQUENTIAL                  child i -> child i + 1 of the same array
    a trace's own               parent -> child

A patient barrier is an array's parent: it fails only when all its children have ended [spec 1.10]. What
waits for a group of which no job is ever submitted waits for nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from batchsim.scenario import Dependency

_Pairs = tuple["NDArray[np.int64]", "NDArray[np.int64]"]


@dataclass(frozen=True, slots=True)
class Edges:
    """The successors of node `i` are `successors[successor_start[i] : successor_start[i + 1]]`, ascending.

    With n jobs and m barriers: successor_start int64[n + m + 1]; successors int32; waits_for int32[n + m],
    the predecessors of each node; patient bool[m], whether a barrier waits for all of them to end before it
    fails.
    """

    successor_start: NDArray[np.int64]
    successors: NDArray[np.int32]
    waits_for: NDArray[np.int32]
    patient: NDArray[np.bool_]

    def pairs(self) -> _Pairs:
        """Each edge's source and target."""
        sources = np.repeat(np.arange(len(self.waits_for)), np.diff(self.successor_start))
        return sources, self.successors.astype(np.int64)

    def before(self, job: int, jobs: int) -> Edges:
        """The edges without the jobs from `job` on; those left count them among their predecessors still."""
        sources, targets = self.pairs()
        cut = jobs - job
        left = np.ones(len(self.waits_for), np.bool_)
        left[job:jobs] = False
        both = left[sources] & left[targets]
        moved = np.arange(len(left)) - np.where(np.arange(len(left)) < job, 0, cut)
        start, successors = _compressed(moved[sources[both]], moved[targets[both]], len(left) - cut)
        return Edges(start, successors, self.waits_for[left], self.patient)


class Rows(NamedTuple):
    """The jobs of a workload entry and what they wait for.

    rows        int64[jobs] in the order of the entry, or int64[arrays, size]
    depends_on  on groups, or on each other
    own         rows as (parents, children), from a trace
    """

    rows: NDArray[np.int64]
    depends_on: Sequence[Dependency] = ()
    own: _Pairs | None = None


def build_edges(groups: dict[str, Rows], jobs: int) -> Edges | None:
    """The edges among `jobs` jobs of the given groups; None if nobody waits."""
    builder = _Builder(groups, jobs)
    for group in groups.values():
        builder.add(group)
    return builder.edges()


class _Builder:
    """Collects edges; barriers are numbered as they are needed."""

    def __init__(self, groups: dict[str, Rows], jobs: int) -> None:
        self._groups = groups
        self._jobs = jobs
        self._pairs: list[_Pairs] = []
        self._patient: list[NDArray[np.bool_]] = []
        self._nodes = jobs
        self._barrier_of: dict[str, int] = {}

    def add(self, group: Rows) -> None:
        """What the jobs of a group wait for."""
        if not group.rows.size:
            return
        if group.own is not None:
            self._pairs.append(group.own)
        for dependency in group.depends_on:
            if dependency.type == "SEQUENTIAL":
                self._pairs.append((group.rows[:, :-1].ravel(), group.rows[:, 1:].ravel()))
            elif dependency.type == "N_TO_N":
                self._n_to_n(self._groups[dependency.group or ""].rows, group.rows)
            elif self._groups[dependency.group or ""].rows.size:
                self._fan_out(self._barrier(dependency.group or ""), group.rows.ravel())

    def edges(self) -> Edges | None:
        nothing = np.zeros(0, np.int64)
        sources = np.concatenate([nothing, *(pair[0] for pair in self._pairs)])
        targets = np.concatenate([nothing, *(pair[1] for pair in self._pairs)])
        if not sources.size:
            return None
        start, successors = _compressed(sources, targets, self._nodes)
        waits_for = np.bincount(targets, minlength=self._nodes).astype(np.int32)
        return Edges(start, successors, waits_for, np.concatenate([np.zeros(0, np.bool_), *self._patient]))

    def _n_to_n(self, before: NDArray[np.int64], after: NDArray[np.int64]) -> None:
        if not before.size:
            return
        if len(before) == 1 or len(after) == 1:
            first, second = np.broadcast_arrays(before, after)
            self._pairs.append((first.ravel(), second.ravel()))
            return
        barriers = self._new_barriers(before.shape[1], patient=False)
        self._pairs.append((before.ravel(), np.tile(barriers, len(before))))
        self._pairs.append((np.tile(barriers, len(after)), after.ravel()))

    def _barrier(self, name: str) -> int:
        """The node that stands for all jobs of a group."""
        if name not in self._barrier_of:
            members = self._groups[name].rows
            if members.ndim > 1:
                parents = self._new_barriers(len(members), patient=True)
                self._pairs.append((members.ravel(), np.repeat(parents, members.shape[1])))
                members = parents
            barrier = int(self._new_barriers(1, patient=False)[0])
            self._pairs.append((members, np.full(len(members), barrier)))
            self._barrier_of[name] = barrier
        return self._barrier_of[name]

    def _fan_out(self, source: int, targets: NDArray[np.int64]) -> None:
        self._pairs.append((np.full(len(targets), source), targets))

    def _new_barriers(self, count: int, *, patient: bool) -> NDArray[np.int64]:
        self._patient.append(np.full(count, patient))
        self._nodes += count
        return np.arange(self._nodes - count, self._nodes)


def _compressed(
    sources: NDArray[np.int64], targets: NDArray[np.int64], nodes: int
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """successor_start and successors."""
    keys = np.sort(sources * nodes + targets)
    start = np.zeros(nodes + 1, np.int64)
    np.cumsum(np.bincount(sources, minlength=nodes), out=start[1:])
    return start, (keys % max(nodes, 1)).astype(np.int32)
