"""ECS Managed Instances drain when they are old: they take no more jobs, and those on them fail [spec 3.9].

AWS says that the tasks fail when the instance drains, not that it waits for them: so they end at once, and
the instance with them. [UG: ecs-managed-instances-instance-draining]
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsim.core.columns import UNBORN
from batchsim.core.commands import EVICT, Command
from batchsim.core.fleet import BOOTING, READY, Instance
from batchsim.core.grid import NEVER
from batchsim.core.managedinstances import SharedFleet

if TYPE_CHECKING:
    from batchsim.core.assembly import Parts
    from batchsim.core.plan import Plan


class Draining:
    """The instances of a run by when they drain.

    any       whether there can be some
    drained   those that did, by index
    """

    __slots__ = ("_fleets", "_parts", "any", "drained")

    def __init__(self, plan: Plan, parts: Parts) -> None:
        self._parts = parts
        self._fleets = [fleet for fleet in parts.fleets if isinstance(fleet, SharedFleet)]
        self.any = any(environment.drain_us for environment in plan.environments)
        self.drained: set[int] = set()

    def ring(self, now: int, commands: list[Command]) -> None:
        """Some instances may have come of age."""
        capacity = self._parts.capacity
        while self.due_us() <= now:
            _, instance = capacity.aging.popleft()
            if instance.state == READY:
                retire(self._parts, now, instance)
                self.drained.add(instance.index)
                if instance.jobs:
                    commands.append((EVICT, instance.index))
                capacity.want_growth(now)

    def due_us(self) -> int:
        """When the next one drains; NEVER if none will, or if there are no more jobs for which it matters."""
        parts = self._parts
        aging = parts.capacity.aging
        while aging and aging[0][1].state not in (BOOTING, READY):
            aging.popleft()
        if not aging:
            return NEVER
        goes_on = (
            parts.columns.state[-1] == UNBORN  # jobs are numbered as they come
            or parts.dispatch.queued
            or any(fleet.used_vcpus for fleet in self._fleets)
        )
        return aging[0][0] if goes_on else NEVER


def retire(parts: Parts, now: int, instance: Instance) -> None:
    """An instance that was launched, BOOTING or READY, takes no more jobs, and goes when it has none."""
    if instance.state == READY:
        parts.fleets[instance.environment].remove(instance)
    scaler = parts.capacity.scalers[instance.environment]
    assert scaler is not None  # only managed environments launch
    scaler.retire(now, instance)
    if parts.claims is not None:
        parts.claims.retired(instance)
