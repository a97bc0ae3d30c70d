"""The workload as columns: one row a job, integers only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from batchsim.scenario import Platform
    from batchsim.workload.edges import Edges
    from batchsim.workload.events import Event
    from batchsim.workload.ragged import Ragged

QUARTERS = 4
"""Parts of a vCPU: EKS and Fargate count in quarters [spec 1.12, 4.1]."""
SIGTERM_EXIT = 143


class ExitRule(NamedTuple):
    """One `evaluateOnExit` rule: the patterns that are given must all match [spec 1.4]."""

    on_status_reason: str | None
    on_reason: str | None
    on_exit_code: str | None
    retry: bool


class TaskKind(NamedTuple):
    """What else a task is, beside its size: on Fargate, and on ECS Managed Instances [spec 3.9, 4.2].

    architecture   x86_64 or arm64
    storage_gib    ephemeral storage, 20 where nothing is said
    """

    architecture: str = "x86_64"
    storage_gib: int = 20


USUAL_TASK = TaskKind()


class NodeGroup(NamedTuple):
    """The nodes of a multi-node job, so many, that one node range is left with; amounts are of each."""

    nodes: int
    vcpus: int
    memory_mib: int
    gpus: int
    vcpu_quarters: int
    images: tuple[str, ...]


class Nodes(NamedTuple):
    """The nodes of a multi-node job, ranges and overrides resolved [spec 1.11].

    groups         by node range, in the order of the job definition; all have a node
    group_of       for node 0, 1, ... its group
    main           the node that decides when the job ends, and how
    instance_type  of all nodes; None: any one type
    """

    groups: tuple[NodeGroup, ...]
    group_of: tuple[int, ...]
    main: int
    instance_type: str | None


@dataclass(frozen=True, slots=True)
class JobClass:
    """What jobs have in common: equal jobs share one class.

    vcpus, memory_mib, gpus   the reservation of one attempt: of all its containers, of all its nodes
    attempts                  1..10, the first one included
    timeout_us                limit on one attempt's running time; None for no limit
    image, image_bytes        what an instance has to pull once; "" when the workload names no image
    failure_rate              probability that an attempt ends with `failure_exit_code`, in 0..1
    vcpu_quarters             the exact vCPUs, 4 a vCPU; `vcpus` is rounded up where a job asks for parts
    platform                  where the jobs run
    task                      of Fargate jobs: the kind of their tasks
    share, priority           share identifier; priority inside the share [spec 2.4]
    consumables               (resource, quantity) of one attempt, each resource once [spec 1.15]
    nodes                     of multi-node jobs
    more_images               of jobs of several containers, beside `image`, and of as many bytes each; a
                              multi-node job's images are in its node groups, `image` is the main node's
    exit_codes, reasons       scripted: attempt 1, 2, ... leaves this code and container reason ("" for
                              none), the last pair repeats; () and (): attempts end by `failure_rate`
    start_failure_rate        probability that an attempt fails before RUNNING, for `start_failure_reason`
    sigterm_exit              what a container leaves `sigterm_after_us` after SIGTERM, if it has not ended
                              by then; None: it ignores SIGTERM
    """

    group: str
    queue: str
    job_definition: str | None
    vcpus: int
    memory_mib: int
    gpus: int
    attempts: int
    rules: tuple[ExitRule, ...]
    timeout_us: int | None
    image: str
    image_bytes: int
    failure_rate: float
    failure_exit_code: int
    vcpu_quarters: int = 0  # as many as `vcpus` say
    platform: Platform = "ECS"
    task: TaskKind = USUAL_TASK
    share: str | None = None
    priority: int = 0
    consumables: tuple[tuple[str, int], ...] = ()
    nodes: Nodes | None = None
    more_images: tuple[str, ...] = ()
    exit_codes: tuple[int, ...] = ()
    reasons: tuple[str, ...] = ()
    start_failure_rate: float = 0.0
    start_failure_reason: str = ""
    sigterm_exit: int = SIGTERM_EXIT
    sigterm_after_us: int | None = 0

    def __post_init__(self) -> None:
        if not self.vcpu_quarters:
            object.__setattr__(self, "vcpu_quarters", QUARTERS * self.vcpus)


def task_kinds(classes: Sequence[JobClass]) -> tuple[TaskKind, ...]:
    """The kinds of tasks that jobs ask for, as they first come; the usual one where there are no jobs."""
    return tuple(dict.fromkeys(each.task for each in classes)) or (USUAL_TASK,)


@dataclass(frozen=True, slots=True)
class Arrays:
    """The array jobs, in order of submission; the children of one are consecutive rows, by index.

    array   int32[n], for each job the array it is a child of; -1: none
    index   int32[n], its index in the array; -1: none
    first   int64[a], the row of each array's child 0
    size    int64[a], children of each array
    """

    array: NDArray[np.int32]
    index: NDArray[np.int32]
    first: NDArray[np.int64]
    size: NDArray[np.int64]

    @classmethod
    def of(cls, index: NDArray[np.int32]) -> Arrays:
        """The arrays whose children have these indices in order of submission."""
        inside = index >= 0
        heads = index == 0
        array = np.where(inside, np.cumsum(heads, dtype=np.int32) - np.int32(1), np.int32(-1))
        first = np.flatnonzero(heads)
        return cls(array, index, first, np.bincount(array[inside], minlength=len(first)))

    def before(self, job: int) -> Arrays:
        """The arrays of the first `job` jobs, of which none is split."""
        kept = int(np.searchsorted(self.first, job))
        return Arrays(self.array[:job], self.index[:job], self.first[:kept], self.size[:kept])


@dataclass(slots=True)
class Workload:
    """Columns of length n, in order of submission; ties by workload entry, then by draw or trace row.

    classes       the job classes, by workload entry; a mix lists each of its members, drawn or not, and
                  of each those shares that were drawn
    job_class     int32[n], index into `classes`
    submit_us     int64[n], nondecreasing
    runtime_us    int64[n] >= 0, of the first attempt, from RUNNING to the end of the job: of the main node,
                  or until the containers decide the job
    requested_us  int64[n], what the user estimated; -1 when unknown
    ordinal       int64[n], number within the workload entry: 0, 1, ... or the trace's job number; the
                  children of an array share one
    notes         by workload entry: source, rows read and dropped, memory assumed; for the manifest

    What most workloads do not have is None, or empty:

    arrays        which jobs are children of arrays
    edges         who waits for whom
    startup_us    int64[n], time in STARTING until each container has started: init containers, and
                  containers that wait for others
    node_us       for each job the running time of each of its nodes; an empty row: all take `runtime_us`
    events        what is done to jobs and resources during the run, in order of time
    """

    classes: list[JobClass]
    job_class: NDArray[np.int32]
    submit_us: NDArray[np.int64]
    runtime_us: NDArray[np.int64]
    requested_us: NDArray[np.int64]
    ordinal: NDArray[np.int64]
    notes: dict[str, Any] = field(default_factory=dict)
    arrays: Arrays | None = None
    edges: Edges | None = None
    startup_us: NDArray[np.int64] | None = None
    node_us: Ragged | None = None
    events: tuple[Event, ...] = ()

    def __len__(self) -> int:
        return len(self.submit_us)

    def job_names(self) -> list[str]:
        """`<workload entry>-<ordinal>` for each job, unique within the workload.

        A child of an array is `<workload entry>-<ordinal>:<index>`.
        """
        groups = [job_class.group for job_class in self.classes]
        names = [
            f"{groups[index]}-{ordinal}"
            for index, ordinal in zip(self.job_class.tolist(), self.ordinal.tolist(), strict=True)
        ]
        if self.arrays is None:
            return names
        indices = self.arrays.index.tolist()
        return [name if i < 0 else f"{name}:{i}" for name, i in zip(names, indices, strict=True)]

    def job_name(self, job: int) -> str:
        """The name of one job, as `job_names` has it."""
        name = f"{self.classes[self.job_class[job]].group}-{self.ordinal[job]}"
        index = -1 if self.arrays is None else self.arrays.index[job]
        return name if index < 0 else f"{name}:{index}"

    def before(self, instant_us: int) -> Workload:
        """What is submitted or done before an instant.

        A job that waits for one that is submitted later waits for ever.
        """
        n = int(np.searchsorted(self.submit_us, instant_us))
        return Workload(
            self.classes,
            self.job_class[:n],
            self.submit_us[:n],
            self.runtime_us[:n],
            self.requested_us[:n],
            self.ordinal[:n],
            self.notes,
            None if self.arrays is None else self.arrays.before(n),
            None if self.edges is None else self.edges.before(n, len(self)),
            None if self.startup_us is None else self.startup_us[:n],
            None if self.node_us is None else self.node_us.first(n),
            tuple(event for event in self.events if event.at_us < instant_us),
        )
