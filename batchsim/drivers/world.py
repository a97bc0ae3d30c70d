"""The world of a run: what really happens, as opposed to what the scheduler knows.

Run times, start-up delays, failures. Nothing here depends on a decision's moment: each value belongs
to a job, an attempt or an instance, so that two policies that run the same scenario see the same world.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsim.workload.distributions import quantile
from batchsim.workload.streams import uniform

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsim.workload.distributions import Drawable


@dataclass(frozen=True, slots=True)
class Machines:
    """Equal machines of an unmanaged environment that are there from the beginning."""

    environment: int
    type: int
    count: int
    name: str


@dataclass(frozen=True, slots=True)
class Boot:
    """How long a launched instance takes, each part drawn for the instance [spec 5.3]."""

    reaction: Drawable
    launch: Drawable
    registration: Drawable

    def draw(self, seed: int, replication: int, instance: int) -> tuple[int, int]:
        """(request to running, running to registered), in microseconds, of one instance."""
        requested = quantile(self.reaction, uniform(seed, replication, "capacity", instance))
        launched = quantile(self.launch, uniform(seed, replication, "boot", instance))
        registered = quantile(self.registration, uniform(seed, replication, "registration", instance))
        return requested + launched, registered


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What the driver of a simulated run must know; columns have one value a job.

    submit_us       nondecreasing
    runtime_us      running time of the first attempt; later attempts take as long [no data say otherwise]
    class_of        index of the job's class; the following have one value a class
    failure_rate, failure_exit_code   an attempt ends with that code with that probability
    image           images of equal number are pulled once per instance; -1: nothing to pull
    pull_us         time to pull it
    dispatch_us     decision to STARTING
    container_start_us   image present to RUNNING
    goes_on         jobs that are not part of this world would be submitted at the horizon or later
    """

    submit_us: Sequence[int]
    runtime_us: Sequence[int]
    class_of: Sequence[int]
    failure_rate: Sequence[float]
    failure_exit_code: Sequence[int]
    image: Sequence[int]
    pull_us: Sequence[int]
    dispatch_us: int = 0
    container_start_us: int = 0
    boot: Boot
    machines: Sequence[Machines] = ()
    goes_on: bool = False
    seed: int = 0
    replication: int = 0

    def exit_code(self, job: int, attempt: int) -> int:
        """Of an attempt that runs to its end; attempts count from 1."""
        job_class = self.class_of[job]
        rate = self.failure_rate[job_class]
        if rate and uniform(self.seed, self.replication, "failures", job, attempt) < rate:
            return self.failure_exit_code[job_class]
        return 0
