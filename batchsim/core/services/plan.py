"""What the scheduler of service jobs is told before a run begins: plain values, indexed by position.

A *unit* is what a capacity limit counts: all instances (NUM_INSTANCES), or those of one instance type. It
is an index into the limits of its service environment. Time is microseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsim.core.plan import ExitRule, TimeLimit
    from batchsim.core.shares import FairSharePolicy

RESERVE: Final = "RESERVE"
LEND: Final = "LEND"
LEND_AND_BORROW: Final = "LEND_AND_BORROW"
UNLIMITED: Final = -1
NO_UNIT: Final = -1


@dataclass(frozen=True, slots=True)
class ServiceEnvironmentPlan:
    """A service environment: at most `limits[unit]` instances of each unit at once [API: CapacityLimit]."""

    name: str
    limits: tuple[int, ...]
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class QuotaSharePlan:
    """A virtual queue in a service queue, with capacity of its own [spec 2.5].

    limits          by unit of the queue's service environment; 0 where the share has no limit for it
    strategy        RESERVE, LEND or LEND_AND_BORROW
    borrow_percent  of its own limits, how much more LEND_AND_BORROW may use; UNLIMITED is AWS's default
    in_share        whether its jobs of higher priority preempt those of lower priority
    """

    name: str
    limits: tuple[int, ...]
    strategy: str = RESERVE
    borrow_percent: int = UNLIMITED
    in_share: bool = False

    @property
    def lends(self) -> bool:
        return self.strategy != RESERVE


@dataclass(frozen=True, slots=True)
class ServiceQueuePlan:
    """A job queue of type SAGEMAKER_TRAINING, of one service environment.

    It is FIFO unless it has a fair-share policy or quota shares. A service environment that has a queue with
    quota shares has no other queue [UG: service_limits].
    """

    name: str
    priority: int
    environment: int
    fair_share: FairSharePolicy | None = None
    quota_shares: tuple[QuotaSharePlan, ...] = ()
    time_limits: tuple[TimeLimit, ...] = ()


@dataclass(frozen=True, slots=True)
class ServiceClassPlan:
    """What equal service jobs share.

    unit, instances   what a job counts for; NO_UNIT: no limit of the environment is for its instance type
    rules             `evaluateOnExit`; only `on_status_reason` is given [API: ServiceJobEvaluateOnExit]
    timeout_us        on an attempt's time in RUNNING; 0: no time limit
    share             in a fair-share queue: index into `ServicePlan.shares`
    quota_share       in a queue with quota shares: index into them
    priority          `schedulingPriority`, 0..9999; a FIFO queue does not look at it
    preemptions       after so many the next one makes the job FAILED; UNLIMITED: it is always queued again
    """

    queue: int
    unit: int
    instances: int
    attempts: int = 1
    rules: tuple[ExitRule, ...] = ()
    timeout_us: int = 0
    share: int = -1
    quota_share: int = -1
    priority: int = 0
    preemptions: int = UNLIMITED


@dataclass(frozen=True, slots=True)
class ServicePlan:
    """Everything static. `class_of[job]` is the index of the job's class; jobs are numbered in order of
    submission.

    shares                  share identifiers of fair-share queues, by index
    scheduling_interval_us  passes happen at multiples of it; 0: at each instant   [spec 5.3]
    submit_evaluation_us    SUBMITTED lasts this long                             [spec 5.3]
    """

    environments: Sequence[ServiceEnvironmentPlan]
    queues: Sequence[ServiceQueuePlan]
    classes: Sequence[ServiceClassPlan]
    class_of: Sequence[int]
    shares: Sequence[str] = ()
    scheduling_interval_us: int = 0
    submit_evaluation_us: int = 0
