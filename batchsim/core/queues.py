"""The queues of a plan made ready for passes: where their jobs may go, and in which order they wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from batchsim.core.easy import EasyQueue
from batchsim.core.fairshare import FairShareQueue
from batchsim.core.fleet import Fleet
from batchsim.core.ordering import GreedyQueue, Order, StrictQueue
from batchsim.core.shares import Stake
from batchsim.core.tasks import TaskFleet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsim.core.columns import Columns
    from batchsim.core.expected import ExpectedEnds
    from batchsim.core.plan import Plan
    from batchsim.core.scaling import Scaler


class Place(NamedTuple):
    """One enabled environment of a queue; `scaler` is None where no instances for many jobs are launched."""

    environment: int
    fleet: Fleet | TaskFleet
    scaler: Scaler | None


AnyFleet = Fleet | TaskFleet
Places = list[Place]
Where = tuple[int, AnyFleet, "Scaler | None"]
"""A place as a plain tuple, which is quicker to unpack."""


def places_of(plan: Plan, fleets: Sequence[AnyFleet], scalers: Sequence[Scaler | None]) -> list[Places]:
    """For each queue its enabled environments, in their order [spec 2.6]."""
    return [
        [
            Place(index, fleets[index], scalers[index])
            for index in queue.environments
            if plan.environments[index].enabled
        ]
        for queue in plan.queues
    ]


def barred_places(plan: Plan, places: Sequence[Places]) -> dict[tuple[int, int], Places]:
    """By queue and need, where jobs may go that are larger than maxvCpus of some environment ever was.

    They wait for ever if no other environment takes them [spec 1.17], even while an instance that exceeds
    maxvCpus would have room for one. Those that became larger when maxvCpus was lowered are placed on the
    instances that are still there, as any job is.
    """
    barred: dict[tuple[int, int], Places] = {}
    for each in plan.classes:
        vcpus = plan.needs[each.need].vcpus
        left = [
            place for place in places[each.queue] if place.scaler is None or vcpus <= place.scaler.highest_max
        ]
        if len(left) < len(places[each.queue]):
            barred[each.queue, each.need] = left
    return barred


def orders_of(
    plan: Plan, columns: Columns, places: Sequence[Places], ends: ExpectedEnds | None
) -> list[Order]:
    """The order of each queue: fair share if it has a policy, else what `backfill` says.

    `ends` are the expected ends that EASY backfilling rests on; None with any other policy.
    """
    return [_order(plan, columns, queue, places[queue], ends) for queue in range(len(plan.queues))]


def shares_of(orders: Sequence[Order]) -> list[FairShareQueue | None]:
    """For each queue its order if that is fair share."""
    return [order if isinstance(order, FairShareQueue) else None for order in orders]


def reservable_vcpus(plan: Plan, queue: int) -> int:
    """What `computeReservation` is a part of: maxvCpus, or unmanagedvCpus, of all enabled environments.

    [spec 2.4], [API: CreateComputeEnvironmentRequest.unmanagedvCpus]
    """
    environments = [plan.environments[index] for index in plan.queues[queue].environments]
    return sum(
        each.max_vcpus if each.managed else each.unmanaged_vcpus for each in environments if each.enabled
    )


def _order(plan: Plan, columns: Columns, queue: int, places: Places, ends: ExpectedEnds | None) -> Order:
    policy = plan.queues[queue].fair_share
    if policy is not None:
        stakes = [
            Stake(each.need, each.share, held_vcpus(plan, each.need), each.priority) for each in plan.classes
        ]
        return FairShareQueue(policy, plan.shares, stakes, plan.class_of, columns.runnable_us)
    if ends is not None:
        return EasyQueue(plan, (columns.need, plan.estimate_us), ends, places)
    return GreedyQueue(columns.need) if plan.policy.backfill == "greedy" else StrictQueue(columns.need)


def held_vcpus(plan: Plan, need: int) -> int:
    """What a job of that need holds, on all its nodes together."""
    gang = plan.gangs[need] if plan.gangs else None
    if gang is None:
        return plan.needs[need].vcpus
    return sum(plan.needs[node].vcpus for node in gang.nodes)
