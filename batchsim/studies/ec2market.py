"""What EC2 refuses for certain by the assumptions: types that it never has, and bids that are too low.

Planning knows neither: it says what could run if EC2 had it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from batchsim.core.allocation import gang_types, tiers_of
from batchsim.core.feasibility import never_starts
from batchsim.core.plan import Need
from batchsim.studies.bids import Bids, status_reason
from batchsim.studies.changes import Change, enabled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchsim.core.plan import EnvironmentPlan, Plan
    from batchsim.drivers.ec2 import Capacity
    from batchsim.scenario import Scenario
    from batchsim.studies.changes import Asked
    from batchsim.studies.phases import Phase


class Ec2Market:
    """What EC2 rules out, by phases of a run.

    capacity   of the scenario, for the rows of its plan
    first_us   when the first instance may be asked for
    """

    def __init__(self, scenario: Scenario, vcpu_parts: int, capacity: Capacity, first_us: int) -> None:
        self._bids = Bids(scenario, vcpu_parts)
        self._capacity = capacity
        self._first_us = first_us
        self._known: dict[tuple[int, str], Phase] = {}

    def never_starts(self, phase: Phase, queue: int, need: int) -> str | None:
        """The status reason of a job that could start in this phase, but for the market; None if it can."""
        there = self.what_is_there(phase)
        if there is not phase and never_starts(there.plan, queue, need) is not None:
            return status_reason(phase.plan, queue, need)
        return self._bids.never_starts(there, queue, need)

    def in_words(self, phase: Phase, asked: Asked) -> str:
        """What EC2 never has, or by how much the bids are too low."""
        there = self.what_is_there(phase)
        if asked.never_starts(there.plan) is None:
            return self._bids.in_words(there, asked)
        names = dict.fromkeys(name for _, name, _ in self._missing(phase, asked))
        told = f"EC2 never has capacity for {', '.join(names)}, by {self._said(phase, asked)}"
        only = next(self._passed_over(phase, asked), "")
        return f"{told}; BEST_FIT takes no other type in {only}" if only else told

    def mended(self, phase: Phase, asked: Asked) -> Change:
        """The smallest change that lets these jobs start; of what EC2 never has, only in words."""
        there = self.what_is_there(phase)
        if asked.never_starts(there.plan) is None:
            return self._bids.raised(there, asked)
        only = next(self._passed_over(phase, asked), "")
        if only:
            return Change(f"use BEST_FIT_PROGRESSIVE in {only}, or change {self._said(phase, asked)}")
        where = next(name for name, _, _ in self._missing(phase, asked))
        return Change(f"list a type in {where} that EC2 has, or change {self._said(phase, asked)}")

    def what_is_there(self, phase: Phase) -> Phase:
        """The phase with those types of each managed environment of which EC2 has instances for its jobs.

        With BEST_FIT and a type that EC2 never has, only those that the environment launches for some job:
        it takes the cheapest that holds one and no other [spec 3.4]. Then others may find room there, too.
        """
        key = phase.at_us, phase.updates
        if key not in self._known:
            there = self._there(phase)
            environments = tuple(
                after.only({*after.types} & _best_fits(phase.plan, index))
                if after is not before and before.strategy == "BEST_FIT"
                else after
                for index, (before, after) in enumerate(
                    zip(phase.plan.environments, there.plan.environments, strict=True)
                )
            )
            if there is not phase:
                there = replace(there, plan=replace(there.plan, environments=environments))
            self._known[key] = there
        return self._known[key]

    def _passed_over(self, phase: Phase, asked: Asked) -> Iterator[str]:
        """Environments with a type for the job that EC2 has, but that BEST_FIT takes for none."""
        there = self._there(phase).plan
        for environment in enabled(there, asked.queue):
            if environment.strategy == "BEST_FIT" and asked.fits(there, environment):
                yield environment.name

    def _there(self, phase: Phase) -> Phase:
        """The phase without what EC2 never has; of a type that it had once, instances may be left."""
        environments = []
        for environment in phase.plan.environments:
            rows = {row for row in environment.types if self._never_has(environment, row)}
            environments.append(environment.only({*environment.types} - rows) if rows else environment)
        pairs = zip(environments, phase.plan.environments, strict=True)
        if all(one is other for one, other in pairs):
            return phase
        return replace(phase, plan=replace(phase.plan, environments=tuple(environments)))

    def _never_has(self, environment: EnvironmentPlan, row: int) -> bool:
        return environment.managed and self._capacity.never_has(row, self._first_us)

    def _missing(self, phase: Phase, asked: Asked) -> Iterator[tuple[str, str, int]]:
        """The types that would hold the job and that EC2 never has: environment, name and row."""
        plan = phase.plan
        for environment in enabled(plan, asked.queue):
            for row in asked.fits(plan, environment):
                if self._never_has(environment, row):
                    yield environment.name, plan.types[row].name, row

    def _said(self, phase: Phase, asked: Asked) -> str:
        """By which assumptions."""
        capacity = self._capacity
        found = dict[str, None]()
        for _, _, row in self._missing(phase, asked):
            pools = [(row, zone) for zone in range(capacity.zones)]
            if capacity.shortage_of.get(row, 0) >= 1:
                found["assumptions.insufficientCapacity"] = None
                continue
            if any(capacity.is_short_for_good(pool, self._first_us) for pool in pools):
                found["assumptions.capacityShortages"] = None
            if any(capacity.has_no_slots(pool, self._first_us) for pool in pools):
                found["assumptions.spotAvailability"] = None
        return " and ".join(found)


def _best_fits(plan: Plan, index: int) -> set[int]:
    """The types that an environment with BEST_FIT launches, for jobs of its queues or for its minvCpus."""
    environment = plan.environments[index]
    rows = sorted({each.need for each in plan.classes if index in plan.queues[each.queue].environments})
    gangs = [plan.gangs[row] if plan.gangs else None for row in rows]
    needs = {plan.needs[row] for row, gang in zip(rows, gangs, strict=True) if gang is None}
    if environment.min_vcpus or environment.desired_vcpus:
        needs.add(Need(0, 0, 0))
    found = {row for need in needs for tier in tiers_of(plan.types, environment, need) for row in tier}
    for need, gang in zip(rows, gangs, strict=True):
        if gang is not None:
            found.update(gang_types(plan.types, environment, plan.needs[need], gang))
    return found
