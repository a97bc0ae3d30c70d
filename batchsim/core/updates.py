"""What users say of environments and queues while jobs run: UpdateComputeEnvironment, UpdateJobQueue.

A scaling update changes what decisions look at, and nothing else: lowering maxvCpus or disabling ends no job
and no instance, and jobs start on instances above maxvCpus as on others [spec 3.2]. An infrastructure update
also makes all instances that are there RETIRING: they take no more jobs, and each goes when its last job has
ended, or with its jobs when these have had their time [spec 3.8, UG: infrastructure-updates]. New jobs wait
for new instances.

One thing changes without users: an environment of EKS sets nothing aside for DaemonSets any more once its
first node is there.
"""

from __future__ import annotations

from dataclasses import replace
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from batchsim.core.commands import EVICT
from batchsim.core.fleet import BOOTING, READY, RETIRING
from batchsim.core.grid import NEVER
from batchsim.core.plan import NO_NEED, QueueUpdate
from batchsim.core.queues import places_of
from batchsim.core.registration import Registration, retire
from batchsim.core.tasks import TaskFleet
from batchsim.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsim.core.assembly import Parts
    from batchsim.core.commands import Command
    from batchsim.core.fleet import Instance
    from batchsim.core.plan import EnvironmentPlan, EnvironmentUpdate, Plan


class Updates:
    """The updates of a run; to be told of each.

    replaced   the instances that have been made to retire, by index
    registration   those that never come
    """

    __slots__ = (
        "_deadlines",
        "_instances",
        "_parts",
        "_plan",
        "_unseen",
        "registration",
        "replaced",
    )

    def __init__(self, plan: Plan, parts: Parts, instances: Sequence[Instance]) -> None:
        """`plan` is `changeable`."""
        self._plan = plan
        self._parts = parts
        self._instances = instances
        self._deadlines: list[tuple[int, int, list[Instance]]] = []
        self.replaced: set[int] = set()
        self.registration = Registration(plan, parts, instances, self.replaced)
        self._unseen = {index for index, each in enumerate(plan.environments) if sets_aside(each)}

    @property
    def any(self) -> bool:
        """Whether `ring` may ever have something to do."""
        return bool(self._plan.updates) or self.registration.any

    def apply(self, now: int, number: int) -> None:
        """Raises ContractError if there is no `plan.updates[number]`."""
        plan, parts = self._plan, self._parts
        if not 0 <= number < len(plan.updates):
            raise ContractError(f"the plan has no update {number}")
        update = plan.updates[number]
        environments, queues = plan.environments, plan.queues
        assert isinstance(environments, list)
        assert isinstance(queues, list)
        if isinstance(update, QueueUpdate):
            queues[update.queue] = update.after
        else:
            environments[update.environment] = after = self._as_known(update.environment, update.after)
            self._environment(now, number, update, after)
        parts.capacity.replan(now)
        parts.dispatch.replan(places_of(plan, parts.fleets, parts.capacity.scalers))

    def node_ready(self, now: int, index: int) -> int:
        """An environment's instance is READY; gives when to scale for what that allows, or NEVER."""
        self.registration.ready(index)
        if index not in self._unseen:
            return NEVER
        self._unseen.remove(index)
        environments = self._plan.environments
        assert isinstance(environments, list)
        environments[index] = self._as_known(index, environments[index])
        self._parts.capacity.node_seen(index, environments[index])
        return self._parts.capacity.want_growth(now)

    def ring(self, now: int, commands: list[Command]) -> None:
        """Jobs on instances that are replaced have had their time; instances have not come in time."""
        self.registration.ring(now)
        while self._deadlines and self._deadlines[0][0] <= now:
            _, _, instances = heappop(self._deadlines)
            commands += [(EVICT, each.index) for each in instances if each.state == RETIRING and each.jobs]

    def due_us(self) -> int:
        """When `ring` has something to do next; NEVER if there is nothing."""
        return min(self._deadline_us(), self.registration.due_us())

    def _deadline_us(self) -> int:
        deadlines = self._deadlines
        while deadlines:
            due, _, instances = deadlines[0]
            while instances and not (instances[-1].state == RETIRING and instances[-1].jobs):
                instances.pop()
            if instances:
                return due
            heappop(deadlines)
        return NEVER

    def _as_known(self, index: int, plan: EnvironmentPlan) -> EnvironmentPlan:
        """The environment as launches look at it: DaemonSets are estimated only until a node shows them."""
        return plan if index in self._unseen or not sets_aside(plan) else replace(plan, aside=NO_NEED)

    def _environment(self, now: int, number: int, update: EnvironmentUpdate, after: EnvironmentPlan) -> None:
        index = update.environment
        scaler, fleet = self._parts.capacity.scalers[index], self._parts.fleets[index]
        if isinstance(fleet, TaskFleet):
            fleet.replan(after)
        if scaler is not None:
            scaler.replan(after)
            if update.replaces:
                self._replace(now, number, update)

    def _replace(self, now: int, number: int, update: EnvironmentUpdate) -> None:
        parts, index = self._parts, update.environment
        retiring = []
        for instance in self._instances:
            if instance.environment != index or instance.state not in {BOOTING, READY}:
                continue
            retire(parts, now, instance)
            retiring.append(instance)
            self.replaced.add(instance.index)
        if retiring:
            heappush(self._deadlines, (now + update.timeout_us, number, retiring))


def sets_aside(environment: EnvironmentPlan) -> bool:
    """Whether its launches leave room for DaemonSets that nobody has seen yet [spec 1.12]."""
    return environment.aside != NO_NEED


def changeable(plan: Plan) -> Plan:
    """The plan for a scheduler of its own, whose environments and queues will not stay what they are."""
    changes = any(sets_aside(each) or each.invalid_after_us > 0 for each in plan.environments)
    if not plan.updates and not changes:
        return plan
    return replace(plan, environments=list(plan.environments), queues=list(plan.queues))
