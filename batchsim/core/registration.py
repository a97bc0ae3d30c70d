"""Environments none of whose instances ever joins the cluster become INVALID, after a while [spec 3.5].

Then AWS Batch scales them down and places no jobs in them. [UG-2023: troubleshooting]
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from batchsim.core.fleet import BOOTING, READY
from batchsim.core.grid import NEVER
from batchsim.core.queues import places_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsim.core.assembly import Parts
    from batchsim.core.fleet import Instance
    from batchsim.core.plan import EnvironmentPlan, Plan


class Registration:
    """Which environments have not had a READY instance yet, of those of which that is watched.

    any      whether one is watched
    failed   the instances that have been given up, by index
    """

    __slots__ = ("_instances", "_parts", "_plan", "_retired", "any", "failed")

    def __init__(self, plan: Plan, parts: Parts, instances: Sequence[Instance], retired: set[int]) -> None:
        """`retired` is told of those that are given up, too: they may yet register, and nobody cares."""
        self._plan = plan
        self._parts = parts
        self._instances = instances
        self._retired = retired
        parts.capacity.unseen = {
            index for index, each in enumerate(plan.environments) if each.invalid_after_us > 0
        }
        self.any = bool(parts.capacity.unseen)
        self.failed: set[int] = set()

    def ready(self, index: int) -> None:
        """An instance of the environment is READY."""
        self._parts.capacity.unseen.discard(index)

    def ring(self, now: int) -> None:
        """Some launches may be too long ago."""
        while self.due_us() <= now:
            _, instance = self._parts.capacity.joining.popleft()
            self._give_up(now, instance.environment)

    def due_us(self) -> int:
        """When an environment becomes INVALID next; NEVER if none will."""
        capacity = self._parts.capacity
        joining = capacity.joining
        while joining and (
            joining[0][1].state != BOOTING or joining[0][1].environment not in capacity.unseen
        ):
            joining.popleft()
        return joining[0][0] if joining else NEVER

    def _give_up(self, now: int, index: int) -> None:
        plan, parts = self._plan, self._parts
        environments = plan.environments
        assert isinstance(environments, list)
        scaler = parts.capacity.scalers[index]
        assert scaler is not None  # only managed environments launch
        environments[index] = invalid(environments[index])
        scaler.replan(environments[index])
        for instance in self._instances:
            if instance.environment == index and instance.state == BOOTING:
                retire(parts, now, instance)
                self.failed.add(instance.index)
                self._retired.add(instance.index)
        parts.capacity.replan(now)
        parts.dispatch.replan(places_of(plan, parts.fleets, parts.capacity.scalers))
        parts.capacity.want_growth(now)


def retire(parts: Parts, now: int, instance: Instance) -> None:
    """An instance that was launched, BOOTING or READY, takes no more jobs, and goes when it has none."""
    if instance.state == READY:
        parts.fleets[instance.environment].remove(instance)
    scaler = parts.capacity.scalers[instance.environment]
    assert scaler is not None  # only managed environments launch
    scaler.retire(now, instance)
    if parts.claims is not None:
        parts.claims.retired(instance)


def invalid(environment: EnvironmentPlan) -> EnvironmentPlan:
    """The environment once it is INVALID."""
    return replace(environment, enabled=False, invalid=True, min_vcpus=0, desired_vcpus=0)
