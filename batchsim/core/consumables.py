"""Consumable resources: account-level counters that jobs lock, such as licences [spec 1.15].

They are checked when a job reaches the head of its queue, locked at STARTING and unlocked when the
attempt ends; what is NON_REPLENISHABLE is used up instead. Lowering a total below what is in use takes
nothing away from running jobs: nothing is available until enough of them have ended.
[UG: resource-aware-scheduling]
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsim.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Sequence

# What one job asks for: (index of the resource, quantity), each resource once.
Asks = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class ConsumablePlan:
    """A consumable resource with its quantity at the beginning of the run."""

    name: str
    total: int
    replenishable: bool = True


class Consumables:
    """The counters of a run: `total[r]` and `in_use[r]`; available is what lies between them, or 0."""

    __slots__ = ("_replenishable", "in_use", "total")

    def __init__(self, plans: Sequence[ConsumablePlan]) -> None:
        self.total = [plan.total for plan in plans]
        self.in_use = [0] * len(plans)
        self._replenishable = [plan.replenishable for plan in plans]

    def missing(self, asks: Asks) -> int:
        """The first resource of which less is available than asked for, or -1."""
        for resource, quantity in asks:
            if self.total[resource] - self.in_use[resource] < quantity:
                return resource
        return -1

    def possible(self, asks: Asks) -> int:
        """How many jobs that ask for this could lock it now; `asks` must not be empty."""
        return max(min((self.total[each] - self.in_use[each]) // quantity for each, quantity in asks), 0)

    def lock(self, asks: Asks) -> None:
        """An attempt takes what it asks for; it must not be missing."""
        for resource, quantity in asks:
            self.in_use[resource] += quantity
            assert self.in_use[resource] <= self.total[resource]

    def unlock(self, asks: Asks) -> None:
        """An attempt has ended: give back what can be given back, use up the rest."""
        for resource, quantity in asks:
            self.in_use[resource] -= quantity
            assert self.in_use[resource] >= 0
            if not self._replenishable[resource]:
                self.total[resource] = max(self.total[resource] - quantity, 0)

    def update(self, resource: int, operation: str, quantity: int) -> None:
        """UpdateConsumableResource: SET, ADD or REMOVE; a total never falls below 0."""
        if operation == "SET":
            total = quantity
        elif operation == "ADD":
            total = self.total[resource] + quantity
        elif operation == "REMOVE":
            total = self.total[resource] - quantity
        else:
            raise ContractError(f"a consumable resource cannot be updated by {operation}")
        self.total[resource] = max(total, 0)
