"""What the scheduler is told before a run begins: plain values, indexed by position.

A driver builds one `Plan` from a scenario. Indices are used everywhere else: queue 0 is
`plan.queues[0]`, and so on. vCPUs are integers in units of `1 / plan.vcpu_parts` vCPU, so that
quarter vCPUs need no floats; memory is MiB; time is microseconds; money is micro-USD.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from batchsim.core.dependencies import Graph

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

    from batchsim.core.consumables import Asks, ConsumablePlan
    from batchsim.core.shares import FairSharePolicy


class Need(NamedTuple):
    """What one job asks of one instance."""

    vcpus: int
    memory_mib: int
    gpus: int

    def with_room(self, aside: Need) -> Need:
        """What an instance must have to hold this beside what is set aside."""
        return Need(self.vcpus + aside.vcpus, self.memory_mib + aside.memory_mib, self.gpus + aside.gpus)


NO_NEED: Final = Need(0, 0, 0)


class ExitRule(NamedTuple):
    """One `evaluateOnExit` rule; None means that the condition was not given [spec 1.4]."""

    on_status_reason: str | None
    on_reason: str | None
    on_exit_code: str | None
    retry: bool


class Gang(NamedTuple):
    """What a multi-node job asks for beside its need, which each of its instances must hold [spec 1.11].

    nodes   the need of each node, in node order: an instance of its own, shared with nobody
    main    the node that decides when the job ends, and how
    types   of which one type all instances must be; () for any one type
    """

    nodes: tuple[int, ...]
    main: int = 0
    types: tuple[int, ...] = ()


class TimeLimit(NamedTuple):
    """One of a queue's `jobStateTimeLimitActions`: the head is cancelled when it has been blocked for
    `reason`, such as "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT", for `max_us` [spec 1.17].
    """

    reason: str
    max_us: int


@dataclass(frozen=True, slots=True)
class MachineType:
    """What instances of one type are. `memory_mib` is what a job can really use.

    vcpus            counted against maxvCpus, and what the price is divided by
    reserved_vcpus   those of them that a node keeps for itself, so that no job can hold them [spec 1.12]
    kind             where `per_job` or `shared`: only jobs whose need is of that kind get it
    """

    name: str
    vcpus: int
    memory_mib: int
    gpus: int
    uusd_per_hour: int
    reserved_vcpus: int = 0
    kind: int = 0

    @property
    def usable_vcpus(self) -> int:
        """What jobs can hold."""
        return self.vcpus - self.reserved_vcpus

    def holds(self, need: Need) -> bool:
        return (
            need.vcpus <= self.usable_vcpus and need.memory_mib <= self.memory_mib and need.gpus <= self.gpus
        )


@dataclass(frozen=True, slots=True)
class Quota:
    """So many vCPUs, counted as those of types, may be in instances of these types [spec 3.10].

    rows   the types: of all environments together
    spot   whether EC2 refuses more in the words for Spot instances
    name   what users call it
    """

    rows: frozenset[int]
    vcpus: int
    spot: bool = False
    name: str = ""


@dataclass(frozen=True, slots=True)
class EnvironmentPlan:
    """A compute environment.

    types        indices into `Plan.types`: what may be launched (managed, in the user's order) or what
                 the user's machines are (unmanaged)
    managed      whether the scheduler launches and terminates instances
    min_vcpus, max_vcpus, desired_vcpus   zero for unmanaged environments, which have no bounds
    unmanaged_vcpus   what an unmanaged environment counts for in a fair-share reservation [spec 2.4]
    gangs        whether multi-node jobs may run here: managed, EC2, On-Demand [spec 1.11]
    strategy     one of `allocation.STRATEGIES` [spec 3.4]
    bands        for each of `types` how much capacity its pool has, more is better; () if all are alike
    entries      for each of `types` the position of the user's list that it stems from; () if all are one
    per_job      whether each job gets a machine of its own, of the smallest of `types` that holds it, so that
                 jobs' vCPUs are counted against maxvCpus: FARGATE, FARGATE_SPOT [spec 3.2, 4]
    overshoots   whether the last launch may end above maxvCpus: all but BEST_FIT with On-Demand [spec 3.2]
    scale_down_delay_us   how long an instance that has run a job is kept idle; 0: as others [spec 3.8]
    aside        what launches leave free for DaemonSets until the first instance is READY [spec 1.12]
    shared       whether jobs' vCPUs are counted against maxvCpus though they share instances, of all kinds:
                 ECS_MANAGED_INSTANCES [spec 3.2, 3.9]; then there is no minvCpus, and no strategy
    fees         by type what an hour costs beside its price, micro-USD, where that decides on types: `shared`
    idle_us      how long an idle instance is kept; -1: as the policy says; NEVER: for ever
    invalid      whether it is INVALID, and not `enabled` for that reason; then nothing is launched [spec 3.5]
    invalid_after_us   how long after a launch it becomes so if none of its instances has ever been READY,
                 at least 1; -1: it never does
    """

    name: str
    types: tuple[int, ...]
    managed: bool = False
    enabled: bool = True
    min_vcpus: int = 0
    max_vcpus: int = 0
    desired_vcpus: int = 0
    unmanaged_vcpus: int = 0
    gangs: bool = False
    strategy: str = "BEST_FIT_PROGRESSIVE"
    bands: tuple[int, ...] = ()
    entries: tuple[int, ...] = ()
    per_job: bool = False
    overshoots: bool = True
    scale_down_delay_us: int = 0
    aside: Need = NO_NEED
    shared: bool = False
    fees: Mapping[int, int] = field(default_factory=dict)
    idle_us: int = -1
    invalid: bool = False
    invalid_after_us: int = -1

    def only(self, rows: Container[int]) -> EnvironmentPlan:
        """The environment without all other types."""
        kept = [n for n, each in enumerate(self.types) if each in rows]
        types, bands, entries = (
            tuple(column[n] for n in kept) if column else ()
            for column in (self.types, self.bands, self.entries)
        )
        return replace(self, types=types, bands=bands, entries=entries)

    def offers(self, machine: MachineType) -> Need:
        """The largest job for which an instance of the type is launched, or that fits on a user's machine."""
        most = (machine.usable_vcpus, machine.memory_mib, machine.gpus)
        return Need(*(max(has - aside, 0) for has, aside in zip(most, self.aside, strict=True)))


@dataclass(frozen=True, slots=True)
class QueuePlan:
    """A job queue; `environments` are indices in ascending `order`, `fair_share` None means FIFO."""

    name: str
    priority: int
    environments: tuple[int, ...]
    enabled: bool = True
    fair_share: FairSharePolicy | None = None
    time_limits: tuple[TimeLimit, ...] = ()


@dataclass(frozen=True, slots=True)
class EnvironmentUpdate:
    """UpdateComputeEnvironment: what an environment is from then on [spec 3.2, 3.8].

    after        `desired_vcpus` of it is what the user asks for; 0: nothing
    replaces     whether all its instances make way for new ones: an infrastructure update
    timeout_us   how long the jobs on them may go on then
    """

    environment: int
    after: EnvironmentPlan
    replaces: bool = False
    timeout_us: int = 0


@dataclass(frozen=True, slots=True)
class QueueUpdate:
    """UpdateJobQueue: its priority, state or environments from then on; all else must be as before."""

    queue: int
    after: QueuePlan


@dataclass(frozen=True, slots=True)
class ClassPlan:
    """What equal jobs share. `timeout_us` 0 means that there is no time limit.

    share, priority   of jobs in fair-share queues: index into `Plan.shares`; priority inside it, 0..9999
    """

    queue: int
    need: int
    attempts: int = 1
    rules: tuple[ExitRule, ...] = ()
    timeout_us: int = 0
    share: int = -1
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Policy:
    """The named assumptions that decisions rest on; a scenario's `assumptions` block sets them.

    scheduling_interval_us  passes happen at multiples of it; 0: at each instant      [spec 5.3]
    scaling_interval_us     scaling decisions happen at multiples of it; 0: likewise   [spec 5.3]
    submit_evaluation_us    SUBMITTED lasts this long                                 [spec 5.3]
    idle_scale_in_us        an instance idle for this long may be terminated          [spec 3.8]
    launch_cooloff_us       a type that could not be launched is left alone for this long
    backfill                "none": the head blocks its queue; "greedy": jobs that fit pass it [spec 2.3];
                            "easy": those that do not delay it, by `Plan.estimate_us`
    size_tiebreak           "largest_not_exceeding_demand" or "smallest_fitting"      [spec 3.4]
    start_failures_count    an attempt that fails before RUNNING is one of `attempts`  [spec 1.3]
    """

    scheduling_interval_us: int = 0
    scaling_interval_us: int = 0
    submit_evaluation_us: int = 0
    idle_scale_in_us: int = 0
    launch_cooloff_us: int = 0
    backfill: str = "none"
    size_tiebreak: str = "largest_not_exceeding_demand"
    start_failures_count: bool = True

    @property
    def on_one_grid(self) -> bool:
        """Whether each scaling decision falls on a pass, so that none comes between an event and its pass."""
        passes, scaling = self.scheduling_interval_us, self.scaling_interval_us
        return not passes or (scaling > 0 and scaling % passes == 0)


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything static. `class_of[job]` is the index of the job's class; jobs are numbered in order
    of submission, so a smaller number means an earlier (or equal) submission.

    Two needs may be equal in amounts and differ in what else they ask for:

    asks          for each need the consumable resources it locks; empty where no need asks for any
    kinds         for each need the kind of machine it gets where `per_job` or `shared`; empty: all 0. Of
                  tasks there are the same sizes of each kind, so that only prices depend on it
    architectures for each kind of machine its CPU architecture, for those who explain; () where all are 0
    gangs         for each need the nodes of a multi-node job, or None; empty where no job has several nodes
    consumables   what `asks` refer to
    shares        share identifiers, by index
    graph         who waits for whom
    estimate_us   for each job how long it is expected to run; for `backfill: easy` only
    updates       what users may say of environments and queues during the run
    quotas        what the account may run; each type is in one at most. The scheduler looks at them only to
                  tell who can never start: what they leave now is for EC2 to say
    """

    types: Sequence[MachineType]
    environments: Sequence[EnvironmentPlan]
    queues: Sequence[QueuePlan]
    needs: Sequence[Need]
    classes: Sequence[ClassPlan]
    class_of: Sequence[int]
    policy: Policy = field(default_factory=Policy)
    vcpu_parts: int = 1
    asks: Sequence[Asks] = ()
    kinds: Sequence[int] = ()
    architectures: Sequence[str] = ()
    gangs: Sequence[Gang | None] = ()
    consumables: Sequence[ConsumablePlan] = ()
    shares: Sequence[str] = ()
    graph: Graph = field(default_factory=Graph)
    estimate_us: Sequence[int] = ()
    updates: Sequence[EnvironmentUpdate | QueueUpdate] = ()
    quotas: Sequence[Quota] = ()

    def kind_of(self, need: int) -> int:
        """The kind of machine that jobs of a need get, where there are several."""
        return self.kinds[need] if self.kinds else 0

    def of_kind(self, environment: EnvironmentPlan, kind: int) -> EnvironmentPlan:
        """An environment, if `shared` without the types that are not of the kind that some jobs get."""
        if not environment.shared:
            return environment
        mine = [each for each in environment.types if self.types[each].kind == kind]
        return environment if len(mine) == len(environment.types) else environment.only(mine)

    def may_run(self, type_index: int, instances: int) -> bool:
        """Whether the account's quotas allow so many instances of a type at once, if there are no others."""
        vcpus = self.types[type_index].vcpus * instances
        return all(vcpus <= quota.vcpus for quota in self.quotas if type_index in quota.rows)

    def environment_updates(self, environment: int) -> list[EnvironmentUpdate]:
        """Those of `updates` that are of an environment."""
        return [
            each
            for each in self.updates
            if isinstance(each, EnvironmentUpdate) and each.environment == environment
        ]
