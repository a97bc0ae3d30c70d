"""What a run of service jobs leaves behind, and what its result must know besides: plain columns."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    from batchsim.results.recording import Outcome

ATTEMPT_OUTCOMES = ("SUCCEEDED", "FAILED", "PREEMPTED", "REFUSED")
SERVICE_STATE_NAMES = ("SUBMITTED", "RUNNABLE", "SCHEDULED", "STARTING", "RUNNING", "SUCCEEDED", "FAILED")


class ServiceClassLike(Protocol):
    """What equal service jobs share. The workload's own classes fit."""

    @property
    def group(self) -> str: ...
    @property
    def queue(self) -> str: ...
    @property
    def quota_share(self) -> str | None: ...
    @property
    def share(self) -> str | None: ...
    @property
    def priority(self) -> int: ...
    @property
    def instance_type(self) -> str: ...
    @property
    def instances(self) -> int: ...
    @property
    def attempts(self) -> int:
        """Attempts allowed, 1 to 10."""


class ServiceRecorder:
    """The columns of one run, preallocated for `jobs` jobs; instants are microseconds, -1 for "never".

    scheduled_us, started_us   the first instants in SCHEDULED and in RUNNING
    ended_us                   the job became SUCCEEDED or FAILED
    state                      index into SERVICE_STATE_NAMES
    attempts, capacity_retries, preemptions   the first without the other two
    status_reason              why a job is FAILED, or why it still waits; SageMaker's words for SUCCEEDED

    Columns called a_... have a row each time that a job is SCHEDULED: `a_job`; `a_attempt`, the number, of
    which one PREEMPTED or REFUSED uses none up; its instants; `a_outcome`, an index into ATTEMPT_OUTCOMES, or
    -1; and `a_status_reason` by row.
    """

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self.scheduled_us, self.started_us, self.ended_us = (array("q", [-1]) * jobs for _ in range(3))
        self.state = bytearray(jobs)
        self.attempts = array("q", [0]) * jobs
        self.capacity_retries = array("q", [0]) * jobs
        self.preemptions = array("q", [0]) * jobs
        self.status_reason: dict[int, str] = {}
        self.ended_at_us = -1
        self.outcome: Outcome | None = None
        self.a_job, self.a_attempt = array("q"), array("q")
        self.a_scheduled_us, self.a_starting_us = array("q"), array("q")
        self.a_started_us, self.a_ended_us = array("q"), array("q")
        self.a_outcome = array("b")
        self.a_status_reason: dict[int, str] = {}

    def add_attempt(self, job: int, attempt: int, now: int) -> int:
        """The row of an attempt that is SCHEDULED now."""
        self.a_job.append(job)
        self.a_attempt.append(attempt)
        self.a_scheduled_us.append(now)
        for column in (self.a_starting_us, self.a_started_us, self.a_ended_us, self.a_outcome):
            column.append(-1)
        return len(self.a_job) - 1

    def end_attempt(self, row: int, now: int, outcome: str, status_reason: str) -> None:
        """The attempt ended; `outcome` is one of ATTEMPT_OUTCOMES."""
        self.a_ended_us[row] = now
        self.a_outcome[row] = ATTEMPT_OUTCOMES.index(outcome)
        self.a_status_reason[row] = status_reason


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceContext:
    """The world of one run of service jobs.

    submit_us, job_class, ordinal   one value a job, `submit_us` nondecreasing; a job is named
                                    `group-ordinal` and `job_class` is its row in `classes`
    queues        names of all service queues, each with those of its quota shares
    not_submitted jobs left out because they would be submitted beyond the horizon
    """

    submit_us: npt.NDArray[np.int64]
    job_class: npt.NDArray[np.int32]
    ordinal: npt.NDArray[np.int64]
    classes: Sequence[ServiceClassLike]
    queues: Mapping[str, Sequence[str]]
    not_submitted: int = 0
    notes: Mapping[str, object]
