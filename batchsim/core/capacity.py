"""When and for whom the managed environments scale: the demand of all queues, spread over environments.

The jobs that wait in a queue are the demand of its first environment in `computeEnvironmentOrder`;
what that one can neither hold nor grow for spills to the next [spec 2.6, 3.5]. All waiting jobs
count, not only the head, so that a deep queue grows the fleet in one decision.

A decision is due at the next multiple of the scaling interval after anything that may call for one:
a pass that left jobs waiting, an instance idle for long enough, a failed launch to be tried again.
Nothing is due when nothing has changed, so that a run with nothing left to do ends.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from batchsim.core.commands import LAUNCH, TERMINATE, Command
from batchsim.core.easy import EasyQueue
from batchsim.core.fairshare import FairShareQueue
from batchsim.core.feasibility import (
    DISABLED,
    INVALID,
    MAX_RESOURCE,
    OTHER_ARCHITECTURE,
    RESOURCE_REQUIREMENT,
    never_starts,
    no_capacity,
)
from batchsim.core.fleet import GONE, READY, Fleet, Instance
from batchsim.core.grid import NEVER, next_multiple
from batchsim.core.managedinstances import SharedFleet, SharedScaler
from batchsim.core.ordering import ANYBODY, NOBODY
from batchsim.core.queues import AnyFleet, held_vcpus, reservable_vcpus
from batchsim.core.scaling import Scaler
from batchsim.core.tasks import TaskFleet
from batchsim.core.waits import (
    ALL_DISABLED,
    ALL_INVALID,
    AT_MAX,
    BUSY,
    DECISION,
    GATHERING,
    LAUNCHING,
    NO_CAPACITY,
    NOT_THERE,
    NOTHING,
    OTHER_KIND,
    OVER_MAX,
    TASK_QUOTA,
    TOO_LARGE,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from batchsim.core.consumables import Consumables
    from batchsim.core.ordering import Order
    from batchsim.core.plan import EnvironmentPlan, Plan
    from batchsim.core.waits import Reason

# Any other reason is that the quotas are too low.
_HOPELESS = {
    None: NOTHING,
    RESOURCE_REQUIREMENT: TOO_LARGE,
    OTHER_ARCHITECTURE: OTHER_KIND,
    MAX_RESOURCE: OVER_MAX,
    DISABLED: ALL_DISABLED,
    INVALID: ALL_INVALID,
}


class Capacity:
    """The scalers of all managed environments; `scalers[e]` is None for an unmanaged one.

    changes   how often something happened by which what heads wait for may be something else
    joining   instances of environments in `unseen`, none of which has been READY, and when they are given up
    """

    __slots__ = (
        "_consumables",
        "_fleets",
        "_grow_due",
        "_held_vcpus",
        "_hopeless",
        "_idle_due",
        "_interval",
        "_managed",
        "_most_environments",
        "_new_instance",
        "_plan",
        "_quoted_tasks",
        "_reasons",
        "_reservable",
        "changes",
        "joining",
        "scalers",
        "unseen",
    )

    def __init__(
        self,
        plan: Plan,
        fleets: Sequence[AnyFleet],
        new_instance: Callable[[int, int], Instance],
        consumables: Consumables,
    ) -> None:
        self._plan = plan
        self._consumables = consumables
        self._held_vcpus = [held_vcpus(plan, need) for need in range(len(plan.needs))]
        self._fleets = fleets
        self._new_instance = new_instance
        self._interval = plan.policy.scaling_interval_us
        self.changes = 0
        self._hopeless: dict[tuple[int, int], int] = {}
        self._reasons: dict[tuple[int, int], Reason] = {}
        self._quoted_tasks = bool(plan.quotas) and any(each.per_job for each in plan.environments)
        self._reservable = [reservable_vcpus(plan, queue) for queue in range(len(plan.queues))]
        self._most_environments = max((len(queue.environments) for queue in plan.queues), default=0)
        self.scalers = [
            _scaler(plan, environment, fleets[index]) for index, environment in enumerate(plan.environments)
        ]
        self.joining: deque[tuple[int, Instance]] = deque()
        self.unseen: set[int] = set()
        self._managed = [(index, scaler) for index, scaler in enumerate(self.scalers) if scaler is not None]
        # minvCpus and desiredvCpus are there from the beginning.
        self._grow_due = 0 if self._managed else NEVER
        self._idle_due = NEVER  # no instance has been idle for long enough before that

    def due_us(self, now: int) -> int:
        """The instant at which `decide` must be asked next; NEVER if nothing calls for it.

        It may be too early, but never is when it has come.
        """
        if self._idle_due <= now:
            self._idle_due = self._next_idle_due()
        return min(self._idle_due, self._grow_due)

    def became_idle(self, now: int, instance: Instance, *, ran: bool) -> int:
        """An instance has no job any more, or yet; gives when to decide whether it is given back."""
        scaler = self.scalers[instance.environment]
        if scaler is None:
            return NEVER
        due = next_multiple(scaler.became_idle(now, instance, ran=ran), self._interval)
        self._idle_due = min(self._idle_due, due)
        return due

    def want_growth(self, now: int) -> int:
        """Jobs wait, or capacity was lost: decide at the next opportunity, which it gives."""
        if self._managed and self._grow_due >= now + self._interval:
            self._grow_due = min(self._grow_due, next_multiple(now, self._interval))
        return self._grow_due

    def decide(self, now: int, queues: Sequence[int], orders: Sequence[Order]) -> list[Command]:
        """Terminations of idle instances, then launches for what waits in `queues` (in order of priority).

        In that order because what is given back makes room under maxvCpus.
        """
        commands: list[Command] = []
        if self._plan.gangs:
            self._keep_for_gangs(now, queues, orders)
        for index, scaler in self._managed:
            for instance in scaler.scale_in(now):
                if instance.state == READY:
                    self._fleets[index].remove(instance)
                instance.state = GONE
                self.gone(now, instance)
                commands.append((TERMINATE, instance.index))
        if commands or self._grow_due <= now:
            self._grow_due = NEVER
            self._keep_minimum(now, commands)
            if any(scaler.below_max() for _, scaler in self._managed):
                self._meet_demand(now, self._demand(now, queues, orders), commands)
        if commands:
            self.changed()
        self._idle_due = self._next_idle_due()
        return commands

    def gone(self, now: int, instance: Instance) -> None:
        """An instance is there no more: what EC2 has refused for want of it may be tried again."""
        for index, scaler in self._managed:
            self._retry_from(now, scaler.refusals.lift(instance if index == instance.environment else None))
        self.changed()

    def _next_idle_due(self) -> int:
        due = NEVER
        for _, scaler in self._managed:
            idle = scaler.next_idle_us()
            if idle >= 0:
                due = min(due, next_multiple(idle, self._interval))
        return due

    def replan(self, now: int) -> None:
        """The plan's environments or queues are not what they were."""
        for _, scaler in self._managed:
            self._retry_from(now, scaler.refusals.lift())
        plan = self._plan
        self._hopeless.clear()
        self.changed()
        self._reservable = [reservable_vcpus(plan, queue) for queue in range(len(plan.queues))]
        self._most_environments = max((len(queue.environments) for queue in plan.queues), default=0)

    def node_seen(self, index: int, environment: EnvironmentPlan) -> None:
        """An environment has its first instance, and sets nothing aside any more."""
        scaler = self.scalers[index]
        assert scaler is not None
        scaler.replan(replace(environment, desired_vcpus=scaler.desired))
        self._hopeless.clear()

    def changed(self) -> None:
        """Instances came, went or became ready, or the plan changed: heads may wait for something else."""
        self.changes += 1
        self._reasons.clear()

    def why(self, now: int, queue: int, need: int) -> Reason:
        """What the blocked head of a queue waits for, for want of room."""
        reason = self._reasons.get((queue, need))
        if reason is None or (self._quoted_tasks and reason[0] in {AT_MAX, TASK_QUOTA}):
            reason = self._reasons[queue, need] = self._reason(now, queue, need)
        return reason

    def refusal(self, now: int, queue: int, need: int) -> str | None:
        """The status reason of jobs that wait while EC2 refuses all that could serve them, if it does so."""
        refused = [scaler.refused(now, need) for scaler in self._serving(queue, need)]
        return no_capacity(self._plan.types[refused[0]].name) if refused and min(refused) >= 0 else None

    def _keep_minimum(self, now: int, commands: list[Command]) -> None:
        for index, scaler in self._managed:
            launches, lacking = scaler.keep_minimum(now)
            self._launch(now, index, launches, commands)
            if lacking:
                self._try_again(now, scaler)

    def _reason(self, now: int, queue: int, need: int) -> Reason:
        hopeless = self._never_starts(queue, need)
        if hopeless:
            return hopeless, need
        gang = self._plan.gangs[need] if self._plan.gangs else None
        suited = self._serving(queue, need)
        if any(scaler.launching(need) for scaler in suited):
            return LAUNCHING, -1
        if gang is not None:
            return (NO_CAPACITY if suited and suited[0].gang_cools(now, need) else GATHERING), -1
        if any(scaler.can_grow(now, need) for scaler in suited):
            return DECISION, -1
        if suited and all(scaler.all_cooling(now, need) for scaler in suited):
            return NO_CAPACITY, -1
        tasks = self._tasks_of(queue)
        lacks_quota = any(fleet.lacks_quota(need) for fleet in tasks)
        if suited or tasks:
            reason = TASK_QUOTA if lacks_quota else AT_MAX
        else:
            reason = BUSY if self._is_there(queue, need) else NOT_THERE
        return reason, -1

    def _is_there(self, queue: int, need: int) -> bool:
        """Whether any machine is there that could hold a job, were it empty."""
        plan = self._plan
        fleets = [
            self._fleets[index]
            for index in plan.queues[queue].environments
            if plan.environments[index].enabled
        ]
        return any(
            count and plan.types[row].holds(plan.needs[need])
            for fleet in fleets
            if isinstance(fleet, Fleet)
            for row, count in fleet.there.items()
        )

    def _tasks_of(self, queue: int) -> list[TaskFleet]:
        """The enabled environments of a queue where each job gets a machine of its own."""
        plan = self._plan
        fleets = [
            self._fleets[index]
            for index in plan.queues[queue].environments
            if plan.environments[index].enabled
        ]
        return [fleet for fleet in fleets if isinstance(fleet, TaskFleet)]

    def _keep_for_gangs(self, now: int, queues: Sequence[int], orders: Sequence[Order]) -> None:
        """Multi-node jobs that are next, and lack nothing but instances that boot."""
        for _, scaler in self._managed:
            scaler.kept.clear()
        for queue in queues:
            order = orders[queue]
            head = order.blocking_need()
            left = self._left_by_reservation(now, queue, order)
            for need in order.waiting if head == ANYBODY else (head,):
                if need < 0 or self._plan.gangs[need] is None or not self._possible(need, 1):
                    continue
                if self._held_vcpus[need] <= left:
                    for scaler in self._serving(queue, need):
                        scaler.keep_for(need)

    def _demand(self, now: int, queues: Sequence[int], orders: Sequence[Order]) -> list[list[int]]:
        """What waits, as [queue, need, jobs]: first the head of each queue, then all the others.

        The heads come first because nobody behind a head can start before it: capacity for the others
        alone would come and go for ever. For the same reason a queue has no demand if its head can never
        start or lacks something beside room, and nobody but the head has if that cannot be met now. What a
        fair-share reservation keeps from a queue is not demanded either, and nothing for more jobs than can
        have the consumable resources that they ask for.
        """
        heads: list[list[int]] = []
        others: list[list[int]] = []
        for queue in queues:
            order = orders[queue]
            head = order.blocking_need()
            if head == NOBODY or (head != ANYBODY and self._never_starts(queue, head)):
                continue
            left = self._left_by_reservation(now, queue, order)
            if head != ANYBODY:
                left -= self._held_vcpus[head]
                if left < 0 or not self._possible(head, 1):
                    continue
                heads.append([queue, head, 1])
                if not self._can_be_met(now, queue, head):
                    continue
            first = head
            if isinstance(order, EasyQueue):  # what is given back for the head must not go to others
                first = order.head_need()
                heads.append([queue, first, 1])
            for need, waiting in order.waiting.items():
                jobs = self._possible(need, waiting - (need == first))
                vcpus = self._held_vcpus[need]
                if jobs * vcpus > left:
                    jobs = left // vcpus
                if jobs:
                    left -= jobs * vcpus
                    others.append([queue, need, jobs])
        return heads + others

    def _possible(self, need: int, jobs: int) -> int:
        """For how many of so many jobs of `need` there are consumable resources."""
        asks = self._plan.asks[need] if self._plan.asks else ()
        return min(jobs, self._consumables.possible(asks)) if asks else jobs

    def _can_be_met(self, now: int, queue: int, need: int) -> bool:
        """Whether something is launching for the head of a queue, or may be now."""
        gang = self._plan.gangs[need] if self._plan.gangs else None
        return any(
            scaler.may_gather(now, need)
            if gang is not None
            else scaler.launching(need) or scaler.can_grow(now, need)
            for scaler in self._serving(queue, need)
        )

    def _serving(self, queue: int, need: int) -> list[Scaler]:
        """The managed environments of a queue in which jobs of `need` can run, in order."""
        gang = self._plan.gangs[need] if self._plan.gangs else None
        return [
            scaler
            for index in self._plan.queues[queue].environments
            if (scaler := self.scalers[index]) is not None and scaler.serves(need, gang)
        ]

    def _left_by_reservation(self, now: int, queue: int, order: Order) -> int:
        total = self._reservable[queue]
        if not isinstance(order, FairShareQueue) or not total:
            return NEVER
        return max(order.usable_vcpus(now, total) - order.vcpus_in_flight, 0)

    def _never_starts(self, queue: int, need: int) -> int:
        """Why no job of `need` can ever start in the queue, or NOTHING."""
        known = self._hopeless.get((queue, need))
        if known is None:
            by_quota = TASK_QUOTA if self._tasks_of(queue) else NO_CAPACITY
            known = _HOPELESS.get(never_starts(self._plan, queue, need), by_quota)
            self._hopeless[queue, need] = known
        return known

    def _meet_demand(self, now: int, demand: list[list[int]], commands: list[Command]) -> None:
        if not demand:
            return
        for _, scaler in self._managed:
            scaler.begin()
        for position in range(self._most_environments):
            wanted: dict[int, list[list[int]]] = {}
            for entry in demand:
                environments = self._plan.queues[entry[0]].environments
                if entry[2] and position < len(environments):
                    wanted.setdefault(environments[position], []).append(entry)
            for index in sorted(wanted):
                self._meet(now, index, wanted[index], commands)

    def _meet(self, now: int, index: int, wanted: list[list[int]], commands: list[Command]) -> None:
        """Launch in one environment for what waits, in order; what it cannot meet remains in the entries."""
        scaler = self.scalers[index]
        if scaler is None:
            return
        if isinstance(scaler, SharedScaler):
            served = [entry for entry in wanted if scaler.serves(entry[1], None)]
            self._launch(now, index, scaler.meet(now, served), commands)
            self._try_again(now, scaler)
            return
        unmet: list[list[int]] = []
        for entry in wanted:
            _, need, jobs = entry
            gang = self._plan.gangs[need] if self._plan.gangs else None
            if not scaler.serves(need, gang):
                continue
            if gang is None:
                entry[2] = scaler.absorb(need, jobs)
                if entry[2]:
                    unmet.append(entry)
                continue
            self._grow(now, index, unmet, commands)  # those before it have first claim on what is left
            unmet = []
            launches, entry[2] = scaler.gather(now, need, jobs)
            self._launch(now, index, launches, commands)
            if scaler.gang_cools(now, need):
                entry[2] = 0  # it waits here all the same [spec 1.11]
        self._grow(now, index, unmet, commands)
        self._try_again(now, scaler)

    def _grow(self, now: int, index: int, unmet: list[list[int]], commands: list[Command]) -> None:
        scaler = self.scalers[index]
        assert scaler is not None
        launches, remaining = scaler.grow(now, [(entry[1], entry[2]) for entry in unmet])
        for entry, left in zip(unmet, remaining, strict=True):
            entry[2] = left
        self._launch(now, index, launches, commands)

    def _try_again(self, now: int, scaler: Scaler) -> None:
        """Types that could not be launched are tried again after a while."""
        self._retry_from(now, scaler.refusals.next_us(now))

    def _retry_from(self, now: int, instant: int) -> None:
        """-1: there is nothing to try again."""
        if instant >= 0:
            self._grow_due = min(self._grow_due, next_multiple(max(instant, now), self._interval))

    def _launch(self, now: int, index: int, launches: Sequence[int], commands: list[Command]) -> None:
        for type_index in launches:
            instance = self._new_instance(index, type_index)
            commands.append((LAUNCH, instance.index, index, type_index))
            if index in self.unseen:  # in all of them it takes as long
                self.joining.append((now + self._plan.environments[index].invalid_after_us, instance))


def _scaler(plan: Plan, environment: EnvironmentPlan, fleet: AnyFleet) -> Scaler | None:
    if not environment.managed:
        return None
    if isinstance(fleet, SharedFleet):
        return SharedScaler(plan, environment, fleet)
    return Scaler(plan, environment, fleet) if isinstance(fleet, Fleet) else None
