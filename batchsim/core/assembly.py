"""The parts of a scheduler, put together for one plan; each is explained in its own module."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsim.core.attempts import Attempts
from batchsim.core.capacity import Capacity
from batchsim.core.claims import Claims
from batchsim.core.columns import Columns
from batchsim.core.consumables import Consumables
from batchsim.core.dispatch import Dispatch
from batchsim.core.expected import ExpectedEnds
from batchsim.core.fleet import Fleet, Instance
from batchsim.core.gangs import Gangs
from batchsim.core.managedinstances import SharedFleet
from batchsim.core.needs import Needs
from batchsim.core.queues import AnyFleet, orders_of, places_of, shares_of
from batchsim.core.tasks import TaskFleet, task_quotas
from batchsim.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Callable

    from batchsim.core.plan import Plan


@dataclass(frozen=True, slots=True)
class Parts:
    """`claims` is None where jobs ask for nothing but room on one instance."""

    columns: Columns
    fleets: list[AnyFleet]
    capacity: Capacity
    claims: Claims | None
    attempts: Attempts
    dispatch: Dispatch


def assemble(plan: Plan, instances: list[Instance], new_instance: Callable[[int, int], Instance]) -> Parts:
    """`instances` is the list, empty yet, to which `new_instance(environment, type)` appends."""
    columns = Columns(plan)
    needs = Needs(plan.needs)
    has_gangs = any(plan.gangs)
    quotas = task_quotas(plan)
    fleets: list[AnyFleet] = []
    for index, environment in enumerate(plan.environments):
        types = _all_types(plan, index)
        if environment.per_job:
            fleets.append(TaskFleet(index, environment, plan, new_instance, quotas))
        elif environment.shared:
            fleets.append(SharedFleet(needs, instances, plan, index, types))
        else:
            machines = [plan.types[each] for each in types]
            fleets.append(Fleet(needs, instances, machines, tells_empties=has_gangs))
    consumables = Consumables(plan.consumables)
    capacity = Capacity(plan, fleets, new_instance, consumables)
    ends = None
    if plan.policy.backfill == "easy":
        if has_gangs or plan.asks:
            raise ContractError("EASY backfilling reserves room on one instance, and nothing else")
        ends = ExpectedEnds(needs, plan.estimate_us, instances, len(plan.environments))
    places = places_of(plan, fleets, capacity.scalers)
    orders = orders_of(plan, columns, places, ends)
    shares = shares_of(orders)
    claims = None
    if has_gangs or ends or plan.asks or any(shares) or any(need.gpus for need in plan.needs):
        claims = Claims(plan, columns.queue, consumables, shares, ends)
    gangs = Gangs(plan, fleets, instances) if has_gangs else None
    attempts = Attempts(plan, columns, fleets, instances, claims=claims, gangs=gangs)
    dispatch = Dispatch(
        plan, columns, places, orders, capacity=capacity, attempts=attempts, claims=claims, gangs=gangs
    )
    return Parts(columns, fleets, capacity, claims, attempts, dispatch)


def _all_types(plan: Plan, index: int) -> list[int]:
    """The types that instances of an environment can have, whatever users say of it during the run."""
    environments = [plan.environments[index], *(each.after for each in plan.environment_updates(index))]
    return [type_index for each in environments for type_index in each.types]
