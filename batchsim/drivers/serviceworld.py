"""The world of service jobs: what really happens to them, as opposed to what their scheduler knows.

Each value belongs to a job and one of its attempts, or one of the times it is scheduled, so that two
policies that run the same scenario see the same world.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsim.workload.distributions import quantile
from batchsim.workload.streams import uniform

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsim.workload import JobsEvent, ServiceClass
    from batchsim.workload.distributions import Drawable
    from batchsim.workload.streams import Stream

SAGEMAKER_SAYS = "Received status from SageMaker: "  # [UG: service-job-retries]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceWorld:
    """What the driver of a simulated run of service jobs must know; columns have one value a job.

    runtime_us  time in RUNNING of each attempt; one that was preempted is begun anew
    pending     time in SCHEDULED until SageMaker has the instances or says that it has none
    download    time in STARTING
    stop_us     time until an attempt in RUNNING that is told to stop has ended; other attempts end at once
    requests    in order of time
    goes_on     jobs that are not part of this world would be submitted at the horizon or later
    """

    submit_us: Sequence[int]
    runtime_us: Sequence[int]
    class_of: Sequence[int]
    classes: Sequence[ServiceClass]
    pending: Drawable = 0
    download: Drawable = 0
    stop_us: int = 0
    requests: Sequence[JobsEvent] = ()
    goes_on: bool = False
    seed: int = 0
    replication: int = 0

    def failure(self, job: int, attempt: int) -> str | None:
        """The status reason of an attempt that runs to its end and fails; None: it succeeds.

        Attempts count from 1; one that was preempted or refused is followed by one of the same number.
        """
        kind = self.classes[self.class_of[job]]
        code, reason = 0, ""
        if kind.exit_codes:
            position = min(attempt, len(kind.exit_codes)) - 1
            code, reason = kind.exit_codes[position], kind.reasons[position]
        elif kind.failure_rate and self._draw("service_failures", job, attempt) < kind.failure_rate:
            code = kind.failure_exit_code
        if not code:
            return None
        return SAGEMAKER_SAYS + (reason or f"AlgorithmError: , exit code: {code}")

    def is_refused(self, job: int, time: int) -> bool:
        """Whether SageMaker has no capacity the first, second, ... time that the job is scheduled."""
        kind = self.classes[self.class_of[job]]
        if time <= kind.refused_first:
            return True
        return bool(kind.refusal_rate) and self._draw("refusals", job, time) < kind.refusal_rate

    def pending_us(self, job: int, time: int) -> int:
        return quantile(self.pending, self._draw("training_pending", job, time))

    def download_us(self, job: int, time: int) -> int:
        return quantile(self.download, self._draw("training_download", job, time))

    def _draw(self, stream: Stream, job: int, k: int) -> float:
        return uniform(self.seed, self.replication, stream, job, k)
