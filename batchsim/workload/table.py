"""The workload as columns: one row a job, integers only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class ExitRule(NamedTuple):
    """One `evaluateOnExit` rule: the patterns that are given must all match [spec 1.4]."""

    on_status_reason: str | None
    on_reason: str | None
    on_exit_code: str | None
    retry: bool


@dataclass(frozen=True, slots=True)
class JobClass:
    """What jobs have in common: equal jobs share one class.

    vcpus, memory_mib, gpus   the reservation of one attempt
    attempts                  1..10, the first one included
    timeout_us                limit on one attempt's running time; None for no limit
    image, image_bytes        what an instance has to pull once; "" when the workload names no image
    failure_rate              probability that an attempt ends with `failure_exit_code`, in 0..1
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


@dataclass(slots=True)
class Workload:
    """Columns of length n, in order of submission; ties by workload entry, then by draw or trace row.

    classes       the job classes, by workload entry; a mix lists each of its members, drawn or not
    job_class     int32[n], index into `classes`
    submit_us     int64[n], nondecreasing
    runtime_us    int64[n] >= 0, of the first attempt
    requested_us  int64[n], what the user estimated; -1 when unknown
    ordinal       int64[n], number within the workload entry: 0, 1, ... or the trace's job number
    notes         by workload entry: source, rows read and dropped, memory assumed; for the manifest
    """

    classes: list[JobClass]
    job_class: NDArray[np.int32]
    submit_us: NDArray[np.int64]
    runtime_us: NDArray[np.int64]
    requested_us: NDArray[np.int64]
    ordinal: NDArray[np.int64]
    notes: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.submit_us)

    def job_names(self) -> list[str]:
        """`<workload entry>-<ordinal>` for each job, unique within the workload."""
        groups = [job_class.group for job_class in self.classes]
        return [
            f"{groups[index]}-{ordinal}"
            for index, ordinal in zip(self.job_class.tolist(), self.ordinal.tolist(), strict=True)
        ]
