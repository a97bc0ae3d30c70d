"""The world of a run: what really happens, as opposed to what the scheduler knows.

Run times, start-up delays, failures, what users do meanwhile. Nothing here depends on a decision's moment:
each value belongs to a job, an attempt or an instance, so that two policies that run the same scenario see
the same world.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction
from statistics import NormalDist
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from batchsim.catalog.limits import NODES_PER_JOB
from batchsim.core.grid import NEVER
from batchsim.drivers.ec2 import Capacity
from batchsim.errors import at_path
from batchsim.workload import JobsEvent
from batchsim.workload.distributions import quantile
from batchsim.workload.streams import uniform
from batchsim.workload.table import SIGTERM_EXIT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batchsim.drivers.fargate import Tasks
    from batchsim.drivers.spot import Interruptions
    from batchsim.workload.distributions import Drawable
    from batchsim.workload.ragged import Ragged
    from batchsim.workload.streams import Stream

SIGKILL_EXIT: Final = 137  # 128 + 9
PULL_ERROR: Final = "CannotPullContainerError"
UNIT_SPEED: Final = 1_000_000
_NORMAL: Final = NormalDist()


@dataclass(frozen=True, slots=True)
class Machines:
    """Equal machines of an unmanaged environment, there from `joins_us` until `leaves_us` [spec 6]."""

    environment: int
    type: int
    count: int
    name: str
    joins_us: int = 0
    leaves_us: int = NEVER


@dataclass(frozen=True, slots=True)
class Boot:
    """How long a launched instance takes, each part drawn for the instance [spec 5.3]."""

    reaction: Drawable
    launch: Drawable
    registration: Drawable

    def draw_reaction(self, seed: int, replication: int, instance: int) -> int:
        """Decision to launch request, in microseconds, of one instance."""
        return _drawn("capacityReaction", self.reaction, "capacity", (seed, replication, instance))

    def draw(self, seed: int, replication: int, instance: int) -> tuple[int, int]:
        """(decision to running, running to registered), in microseconds, of one instance."""
        requested = self.draw_reaction(seed, replication, instance)
        of = seed, replication, instance
        launched = _drawn("instanceLaunch", self.launch, "boot", of)
        return requested + launched, _drawn("instanceRegistration", self.registration, "registration", of)


def _drawn(assumption: str, distribution: Drawable, stream: Stream, of: tuple[int, int, int]) -> int:
    """One value for (seed, replication, instance)."""
    if isinstance(distribution, int):  # as most are, and each instance asks four times
        return distribution
    seed, replication, instance = of
    with at_path(f"assumptions.{assumption}"):
        return quantile(distribution, uniform(seed, replication, stream, instance))


class Outcome(NamedTuple):
    """How attempts of a job class end when nobody stops them, and how when somebody does.

    script          exit code and container reason of attempt 1, 2, ...; the last pair repeats
    failure_rate    without a script: the probability of `failure_exit_code`; otherwise the code is 0
    start_failure_rate, start_failure_reason   the probability that an attempt fails before RUNNING, and the
                    container reason it then has [spec 1.6]
    sigterm_exit, sigterm_after_us   what a container leaves so long after SIGTERM, unless it has ended by
                    then or is killed before; None: it ignores SIGTERM
    """

    script: tuple[tuple[int, str], ...] = ()
    failure_rate: float = 0.0
    failure_exit_code: int = 1
    start_failure_rate: float = 0.0
    start_failure_reason: str = PULL_ERROR
    sigterm_exit: int = SIGTERM_EXIT
    sigterm_after_us: int | None = 0

    @property
    def always_succeeds(self) -> bool:
        return not (self.script or self.failure_rate or self.start_failure_rate)


class Measured(NamedTuple):
    """What an attempt of a real run took, from STARTING on, and how it ended.

    runtime_us   -1: it never ran, and ended after `startup_us`
    """

    startup_us: int
    runtime_us: int
    exit_code: int | None
    status_reason: str
    reason: str


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """What image pulls have of it, in bytes a second, or in any other unit.

    of_pull    at which `World.pull_us` are told
    networks   by row of the plan's types: what all pulls of an instance have together; absent: any
    shared     whether `of_pull`, too, is for all pulls of an instance together
    registry   what all pulls of the run have together; 0: any
    of_types   as `of_pull`, by row of the plan's types, of those where it is another
    """

    of_pull: int = 1
    networks: Mapping[int, int] = field(default_factory=dict)
    shared: bool = False
    registry: int = 0
    of_types: Mapping[int, int] = field(default_factory=dict)

    def rate(self, row: int) -> int:
        """At which `World.pull_us` are told of pulls to instances of a type."""
        return self.of_types.get(row, self.of_pull)

    def width(self, row: int) -> Fraction | None:
        """How many pulls an instance of a type can have at full rate; None: any number."""
        room = self._room(row)
        return None if room is None else Fraction(room, self.rate(row))

    def limit(self, row: int, pulls: int) -> int:
        """What each of so many pulls to an instance of a type can have, whatever the registry gives."""
        room = self._room(row)
        return self.rate(row) if room is None else max(1, min(self.rate(row), room // pulls))

    def _room(self, row: int) -> int | None:
        network = self.networks.get(row)
        if not self.shared:
            return network
        return self.rate(row) if network is None else min(network, self.rate(row))


class ResourceUpdate(NamedTuple):
    """UpdateConsumableResource of a resource of the plan [spec 1.15]."""

    at_us: int
    resource: int
    operation: Literal["SET", "ADD", "REMOVE"]
    quantity: int


class PlanUpdate(NamedTuple):
    """UpdateComputeEnvironment or UpdateJobQueue: a row of the plan's `updates`."""

    at_us: int
    update: int


Request = JobsEvent | ResourceUpdate | PlanUpdate


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What the driver of a simulated run must know.

    submit_us       for each job, nondecreasing
    runtime_us      for each job: running time of the first attempt; later attempts take as long [no data say
                    otherwise]; of a multi-node job that of its main node
    class_of        for each job its class; the following have one value a class
    outcomes        how attempts end
    images          what an instance must have; images of equal number are pulled once per instance
    node_images     for each node of a multi-node job likewise; () for other jobs, or where there are none

    What most worlds do not have is empty:

    startup_us      for each job: time in STARTING, with its images there, for init containers and for
                    containers that wait for others [spec 1.12, 1.13]
    node_us         for each job the running times of its nodes; an empty row: all take `runtime_us`
    requests        what users do to jobs, resources, environments and queues, in order of time
    interruptions   when EC2 takes back Spot instances; None where there are none
    capacity        what EC2 has to launch
    spot_notice_us  from being told to being lost, of instances that recorded capacity or prices take back
    tasks           how Fargate tasks come; None where no environment has any
    speeds          by row of the plan's types, in millionths: how many times as fast jobs run there as
                    `runtime_us` and `node_us` say; types at whose speed they do are absent
    measured        (job, attempt) -> what it took in a real run, in place of all that is said here about
                    how it starts, how long it runs and how it ends

    pull_us         for each class: time to pull any of its images; all of an attempt are pulled at once
    pull_spread     for each class: how far pull times scatter, the standard deviation of their logarithm; ()
                    if all take `pull_us`
    bandwidth       what pulls share, so that they slow each other; `pull_us` is for one that is alone
    dispatch_us     decision to STARTING
    container_start_us   image present to RUNNING, drawn for each attempt and each child node
    stop_grace_us   SIGTERM to SIGKILL [spec 1.7]
    goes_on         jobs that are not part of this world would be submitted at the horizon or later
    """

    submit_us: Sequence[int]
    runtime_us: Sequence[int]
    class_of: Sequence[int]
    outcomes: Sequence[Outcome]
    images: Sequence[tuple[int, ...]]
    pull_us: Sequence[int]
    node_images: Sequence[tuple[tuple[int, ...], ...]] = ()
    startup_us: Sequence[int] = ()
    node_us: Ragged | None = None
    requests: Sequence[Request] = ()
    speeds: Mapping[int, int] = field(default_factory=dict)
    measured: Mapping[tuple[int, int], Measured] = field(default_factory=dict)
    pull_spread: Sequence[float] = ()
    bandwidth: Bandwidth = field(default_factory=Bandwidth)
    dispatch_us: int = 0
    container_start_us: Drawable = 0
    stop_grace_us: int = 0
    boot: Boot
    interruptions: Interruptions | None = None
    tasks: Tasks | None = None
    never_registers: frozenset[int] = frozenset()
    drains_after_us: Mapping[int, int] = field(default_factory=dict)
    capacity: Capacity = field(default_factory=Capacity)
    spot_notice_us: int = 0
    machines: Sequence[Machines] = ()
    goes_on: bool = False
    seed: int = 0
    replication: int = 0

    def exit_of(self, job: int, attempt: int) -> tuple[int, str]:
        """Exit code and container reason of an attempt that runs to its end; attempts count from 1."""
        outcome = self.outcomes[self.class_of[job]]
        if outcome.script:
            return outcome.script[min(attempt, len(outcome.script)) - 1]
        rate = outcome.failure_rate
        if rate and uniform(self.seed, self.replication, "failures", job, attempt) < rate:
            return outcome.failure_exit_code, ""
        return 0, ""

    def start_failure(self, job: int, attempt: int) -> str:
        """Why an attempt fails before RUNNING; "" if it does not."""
        outcome = self.outcomes[self.class_of[job]]
        rate = outcome.start_failure_rate
        if rate and uniform(self.seed, self.replication, "start_failures", job, attempt) < rate:
            return outcome.start_failure_reason
        return ""

    def reaction(self, job: int) -> tuple[int, int]:
        """To SIGTERM: after how long the container is gone at the latest, and with which exit code."""
        outcome = self.outcomes[self.class_of[job]]
        after_us = outcome.sigterm_after_us
        if after_us is None or after_us > self.stop_grace_us:
            return self.stop_grace_us, SIGKILL_EXIT
        return after_us, outcome.sigterm_exit

    def pull_time(self, job_class: int, instance: int, image: int) -> int:
        """How long an image takes to come to an instance with all the bandwidth."""
        us, spread = self.pull_us[job_class], self.pull_spread[job_class] if self.pull_spread else 0.0
        if not spread:
            return us
        u = uniform(self.seed, self.replication, "pulls", instance, image)
        return round(us * math.exp(spread * _NORMAL.inv_cdf(u)))

    def container_start(self, job: int, attempt: int, node: int = -1) -> int:
        """Image present to RUNNING, of an attempt or of one of its child nodes."""
        if isinstance(self.container_start_us, int):
            return self.container_start_us
        draw = attempt * (NODES_PER_JOB + 1) + node + 1
        with at_path("assumptions.containerStart"):
            u = uniform(self.seed, self.replication, "container_starts", job, draw)
            return quantile(self.container_start_us, u)

    def lasts_us(self, running_us: int, type_index: int) -> int:
        """What a running time takes on an instance of a type, to the nearest microsecond."""
        speed = self.speeds.get(type_index)
        return running_us if speed is None else (running_us * UNIT_SPEED + speed // 2) // speed

    def time_of_node(self, job: int, node: int) -> int:
        """The running time of a node of a multi-node job, at usual speed."""
        if self.node_us is not None:
            start = int(self.node_us.start[job])
            if start < self.node_us.start[job + 1]:
                return int(self.node_us.values[start + node])
        return self.runtime_us[job]
