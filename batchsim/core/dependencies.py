"""Who waits for whom: counting down predecessors, without a scan.

Nodes are jobs and barriers. A barrier stands for many jobs at once (an array job's parent, or a group of
the workload that another group depends on), so that n jobs that depend on m jobs cost n + m edges. A node
is released when all its predecessors have succeeded, and doomed when one of them has failed; a barrier of
an array job is doomed only when all its children have ended, because the parent is not FAILED before
[spec 1.9, 1.10].
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Graph:
    """The edges in compressed rows: the successors of node `i` are
    `successors[successor_start[i] : successor_start[i + 1]]`.

    Nodes 0..jobs-1 are jobs, the others barriers. `waits_for[i]` counts the predecessors of node `i`;
    `patient[b]` tells that barrier `b` waits for all its predecessors to end before it is doomed. An
    empty graph, the default, means that no job depends on another.
    """

    jobs: int = 0
    successor_start: Sequence[int] = field(default=(), repr=False)
    successors: Sequence[int] = field(default=(), repr=False)
    waits_for: Sequence[int] = field(default=(), repr=False)
    patient: Sequence[bool] = field(default=(), repr=False)


class Ended(NamedTuple):
    """Consequences of a job's end: jobs that wait for nobody any more, and jobs that have to fail."""

    released: list[int]
    doomed: list[int]


class Dependencies:
    """The state of the graph in one run. `left[i]` predecessors of node `i` have yet to end."""

    __slots__ = ("_doomed", "_graph", "left")

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self.left = list(graph.waits_for)
        self._doomed = bytearray(len(self.left))

    def waiting(self, job: int) -> bool:
        """Whether a predecessor of the job has yet to succeed."""
        return bool(self.left) and self.left[job] > 0

    def doomed(self, job: int) -> bool:
        """Whether a predecessor of the job has failed."""
        return bool(self._doomed) and bool(self._doomed[job])

    def job_ended(self, job: int, *, succeeded: bool) -> Ended:
        """Tell that `job` is SUCCEEDED or FAILED; each job must be told once, doomed ones when they fail.

        Both lists are ascending; a job is in at most one of them, and only once in a run.
        """
        graph = self._graph
        released: list[int] = []
        doomed: list[int] = []
        ended = [(job, succeeded)] if self.left else []
        while ended:
            node, good = ended.pop()
            for successor in graph.successors[graph.successor_start[node] : graph.successor_start[node + 1]]:
                self.left[successor] -= 1
                fate = self._fate(successor, good=good)
                if fate is None:
                    continue
                if successor >= graph.jobs:
                    ended.append((successor, fate))
                elif fate:
                    released.append(successor)
                else:
                    doomed.append(successor)
        return Ended(sorted(released), sorted(doomed))

    def _fate(self, node: int, *, good: bool) -> bool | None:
        """What a predecessor's end means for `node`: True released, False doomed now, None neither."""
        known = self._doomed[node]
        if not good:
            self._doomed[node] = 1
        if node >= self._graph.jobs and self._graph.patient[node - self._graph.jobs]:
            return None if self.left[node] else not self._doomed[node]
        if not good:
            return None if known else False
        return True if not self.left[node] and not known else None
