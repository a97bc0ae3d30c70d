"""Whether consumable resources suffice for the jobs that ask for them [spec 1.15].

The most there ever is of a resource follows from its `totalQuantity` and from the updates of the workload.
A job that asks for more never starts. What is NON_REPLENISHABLE is used up, too: then not all jobs may start,
and which of them depends on the order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from batchsim.studies.changes import Change, override_path
from batchsim.workload.events import ResourceEvent

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from batchsim.core.plan import Plan
    from batchsim.scenario import Scenario
    from batchsim.workload import Workload


class Supply(NamedTuple):
    """A consumable resource that some jobs ask for.

    most             the most there ever is at one time; of what is used up, in all
    replenishable    False: used up
    jobs             how many ask for it
    least, greatest  what one of them asks for
    never            how many of them ask for more than there ever is
    left_over        of what is used up: how many of the others it does not suffice for, at least; retries
                     need more
    change           with which it would suffice for all of them; None where it does
    """

    resource: str
    most: int
    replenishable: bool
    jobs: int
    least: int
    greatest: int
    never: int
    left_over: int = 0
    change: Change | None = None

    @property
    def at_once(self) -> int:
        """How many of the most modest jobs it suffices for: at one time, or in all."""
        return min(self.jobs, self.most // self.least)


def largest_totals(plan: Plan, workload: Workload) -> list[int]:
    """By resource, the most that a job can ever find there; what jobs use up aside."""
    return [max(_totals(resource.total, _updates(workload, resource.name))) for resource in plan.consumables]


def supplies(
    scenario: Scenario, plan: Plan, workload: Workload, can_start: Sequence[bool]
) -> tuple[Supply, ...]:
    """The resources that jobs ask for, in the order of the scenario; `can_start` is of the classes."""
    number = np.bincount(workload.job_class, minlength=len(workload.classes)).tolist()
    found = []
    for index, most in enumerate(largest_totals(plan, workload)):
        asked = [
            (quantity, number[each], can_start[each])
            for each, planned in enumerate(plan.classes)
            for named, quantity in (plan.asks[planned.need] if plan.asks else ())
            if named == index and number[each]
        ]
        if asked:
            resource = plan.consumables[index]
            amounts = [quantity for quantity, _, _ in asked]
            supply = Supply(
                resource=resource.name,
                most=most,
                replenishable=resource.replenishable,
                jobs=sum(jobs for _, jobs, _ in asked),
                least=min(amounts),
                greatest=max(amounts),
                never=sum(jobs for quantity, jobs, _ in asked if quantity > most),
            )
            if not resource.replenishable:
                waiting = sorted((quantity, jobs) for quantity, jobs, can in asked if can)
                supply = _used_up(supply, resource.total, waiting, workload)
                if supply.left_over:
                    needed = sum(quantity * jobs for quantity, jobs in waiting) - supply.most + resource.total
                    supply = supply._replace(change=more_of(scenario, resource.name, needed))
            found.append(supply)
    return tuple(found)


def _used_up(supply: Supply, total: int, asked: Sequence[tuple[int, int]], workload: Workload) -> Supply:
    """For how many it suffices if the most modest come first; `asked` are (quantity, jobs), ascending."""
    updates = _updates(workload, supply.resource)
    left = most = total + sum(each.quantity for each in updates if each.operation != "REMOVE")
    left_over = 0
    for quantity, jobs in asked:
        fitting = min(jobs, left // quantity)
        left -= fitting * quantity
        left_over += jobs - fitting
    return supply._replace(most=most, left_over=left_over)


def more_of(scenario: Scenario, resource: str, quantity: int) -> Change:
    """Raise the total quantity of a consumable resource."""
    index, given = next(
        (index, each)
        for index, each in enumerate(scenario.consumableResources)
        if each.consumableResourceName == resource
    )
    return Change(
        f"raise totalQuantity of {resource} from {given.totalQuantity} to {quantity}",
        {override_path(scenario, ("consumableResources", index, "totalQuantity")): str(quantity)},
    )


def _updates(workload: Workload, name: str) -> list[ResourceEvent]:
    return [each for each in workload.events if isinstance(each, ResourceEvent) and each.resource == name]


def _totals(total: int, updates: Iterable[ResourceEvent]) -> list[int]:
    """The total at the beginning and after each update."""
    totals = [total]
    for each in updates:
        before = totals[-1]
        after = {"SET": 0, "ADD": before, "REMOVE": before}[each.operation]
        totals.append(max(0, after - each.quantity if each.operation == "REMOVE" else after + each.quantity))
    return totals
