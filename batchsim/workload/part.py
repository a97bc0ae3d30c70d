"""The jobs of one workload entry, before all entries are put in order of submission."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from batchsim.workload.ragged import Ragged
    from batchsim.workload.table import JobClass

Streams = partial[np.random.Generator]
"""`generator` with the seed and the replication filled in."""


@dataclass(frozen=True, slots=True)
class Part:
    """Columns in draw or trace order, as in `Workload`; `job_class` is an index into `classes`.

    array_size   children of each array, which are consecutive rows; None: the jobs are no arrays
    waits        rows as (parents, children): the dependencies of a trace
    """

    classes: list[JobClass]
    job_class: NDArray[np.int64]
    submit_us: NDArray[np.int64]
    runtime_us: NDArray[np.int64]
    requested_us: NDArray[np.int64]
    ordinal: NDArray[np.int64]
    notes: dict[str, Any]
    array_size: int | None = None
    startup_us: NDArray[np.int64] | None = None
    node_us: Ragged | None = None
    waits: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None

    def __len__(self) -> int:
        return len(self.submit_us)
