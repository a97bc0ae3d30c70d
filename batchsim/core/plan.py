"""What the scheduler is told before a run begins: plain values, indexed by position.

A driver builds one `Plan` from a scenario. Indices are used everywhere else: queue 0 is
`plan.queues[0]`, and so on. vCPUs are integers in units of `1 / plan.vcpu_parts` vCPU, so that
quarter vCPUs need no floats; memory is MiB; time is microseconds; money is micro-USD.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


class Need(NamedTuple):
    """What one job asks of one instance."""

    vcpus: int
    memory_mib: int
    gpus: int


class ExitRule(NamedTuple):
    """One `evaluateOnExit` rule; None means that the condition was not given [spec 1.4]."""

    on_status_reason: str | None
    on_reason: str | None
    on_exit_code: str | None
    retry: bool


@dataclass(frozen=True, slots=True)
class MachineType:
    """What instances of one type offer to jobs. `memory_mib` is what a job can really use."""

    name: str
    vcpus: int
    memory_mib: int
    gpus: int
    uusd_per_hour: int

    def holds(self, need: Need) -> bool:
        return need.vcpus <= self.vcpus and need.memory_mib <= self.memory_mib and need.gpus <= self.gpus


@dataclass(frozen=True, slots=True)
class EnvironmentPlan:
    """A compute environment.

    types        indices into `Plan.types`: what may be launched (managed, in the user's order) or what
                 the user's machines are (unmanaged)
    managed      whether the scheduler launches and terminates instances
    min_vcpus, max_vcpus, desired_vcpus   zero for unmanaged environments, which have no bounds
    """

    name: str
    types: tuple[int, ...]
    managed: bool = False
    enabled: bool = True
    min_vcpus: int = 0
    max_vcpus: int = 0
    desired_vcpus: int = 0


@dataclass(frozen=True, slots=True)
class QueuePlan:
    """A job queue; `environments` are indices in ascending `order`."""

    name: str
    priority: int
    environments: tuple[int, ...]
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class ClassPlan:
    """What equal jobs share. `timeout_us` 0 means that there is no time limit."""

    queue: int
    need: int
    attempts: int = 1
    rules: tuple[ExitRule, ...] = ()
    timeout_us: int = 0


@dataclass(frozen=True, slots=True)
class Policy:
    """The named assumptions that decisions rest on; a scenario's `assumptions` block sets them.

    scheduling_interval_us  passes happen at multiples of it; 0: at each instant      [spec 5.3]
    scaling_interval_us     scaling decisions happen at multiples of it; 0: likewise   [spec 5.3]
    submit_evaluation_us    SUBMITTED lasts this long                                 [spec 5.3]
    idle_scale_in_us        an instance idle for this long may be terminated          [spec 3.8]
    launch_cooloff_us       a type that could not be launched is left alone for this long
    backfill                "none": the head blocks its queue; "greedy": jobs that fit pass it [spec 2.3]
    size_tiebreak           "largest_not_exceeding_demand" or "smallest_fitting"      [spec 3.4]
    """

    scheduling_interval_us: int = 0
    scaling_interval_us: int = 0
    submit_evaluation_us: int = 0
    idle_scale_in_us: int = 0
    launch_cooloff_us: int = 0
    backfill: str = "none"
    size_tiebreak: str = "largest_not_exceeding_demand"


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything static. `class_of[job]` is the index of the job's class; jobs are numbered in order
    of submission, so a smaller number means an earlier (or equal) submission.
    """

    types: Sequence[MachineType]
    environments: Sequence[EnvironmentPlan]
    queues: Sequence[QueuePlan]
    needs: Sequence[Need]
    classes: Sequence[ClassPlan]
    class_of: Sequence[int]
    policy: Policy = field(default_factory=Policy)
    vcpu_parts: int = 1
