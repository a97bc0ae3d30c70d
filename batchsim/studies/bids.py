"""Bids that are at no time above the recorded Spot price of a type: it can never be launched.

The driver compares both at each launch. Prices of the catalogue do not move, so that planning leaves out what
is too dear by them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from batchsim.core.feasibility import launchable, never_starts, no_capacity
from batchsim.drivers.machines import MachineTypes
from batchsim.studies.changes import Change, enabled, override_path
from batchsim.units import UUSD_PER_USD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchsim.core.plan import Plan
    from batchsim.scenario import Scenario
    from batchsim.studies.changes import Asked
    from batchsim.studies.phases import Phase
    from batchsim.workload.steps import Steps

_PERCENT = 100


class _Offer(NamedTuple):
    """The lowest recorded price of a type from an instant on, its On-Demand price, and the bid: micro-USD."""

    lowest: int
    on_demand: int
    bid: int

    @property
    def too_dear(self) -> bool:
        return self.bid <= self.lowest

    @property
    def percent(self) -> int:
        """The least bidPercentage that is above the lowest price; above 100 if none is."""
        return -(-_PERCENT * (self.lowest + 1) // self.on_demand)


class Bids:
    """What bids rule out, by phases of a run; nothing where no Spot prices are recorded."""

    def __init__(self, scenario: Scenario, vcpu_parts: int) -> None:
        self._scenario = scenario
        self._types = MachineTypes(scenario, vcpu_parts) if scenario.assumptions.spotPrices else None

    def never_starts(self, phase: Phase, queue: int, need: int) -> str | None:
        """The status reason of a job that could start in this phase, but for the bids; None if it can."""
        affordable = self._affordable(phase)
        if affordable is phase.plan or never_starts(affordable, queue, need) is None:
            return None
        return status_reason(phase.plan, queue, need)

    def in_words(self, phase: Phase, asked: Asked) -> str:
        """By how much the bids are too low."""
        told = []
        for index in phase.plan.queues[asked.queue].environments:
            for offer, name in self._too_dear(phase, index, asked)[:1]:
                who = phase.plan.environments[index].name
                bid, lowest = offer.bid / UUSD_PER_USD, offer.lowest / UUSD_PER_USD
                told.append(
                    f"{who} bids {bid:g} USD/h for {name}, and its recorded price is never below {lowest:g}"
                )
        return "; ".join(told)

    def raised(self, phase: Phase, asked: Asked) -> Change:
        """The bid that has to be raised least, with the lowest percentage that helps."""
        found = [
            (offer.percent, index, name)
            for index in phase.plan.queues[asked.queue].environments
            for offer, name in self._too_dear(phase, index, asked)
        ]
        percent, index, name = min(found)
        where = phase.plan.environments[index].name
        if percent > _PERCENT:
            return Change(f"use On-Demand in {where}: the recorded prices are never below those of On-Demand")
        said = phase.said.get((index, "bidPercentage"))
        path = (
            ("computeEnvironments", index, "computeResources", "bidPercentage")
            if said is None
            else ("workload", said[0], "update", "bidPercentage")
        )
        return Change(
            f"raise bidPercentage of {where} to {percent}, so that {name} may be launched",
            {override_path(self._scenario, path): str(percent)},
        )

    def _affordable(self, phase: Phase) -> Plan:
        """The plan without the types that are too dear throughout."""
        if self._types is None:
            return phase.plan
        plan, environments = phase.plan, []
        for index, environment in enumerate(plan.environments):
            dear = {row for row, offer in self._offers(phase, index) if offer.too_dear}
            environments.append(environment.only({*environment.types} - dear) if dear else environment)
        changed = any(new is not old for new, old in zip(environments, plan.environments, strict=True))
        return replace(plan, environments=tuple(environments)) if changed else plan

    def _too_dear(self, phase: Phase, index: int, asked: Asked) -> list[tuple[_Offer, str]]:
        """The offers of types that would hold the job, the cheapest first, with the type's name."""
        plan, environment = phase.plan, phase.plan.environments[index]
        fitting = asked.fits(plan, environment) if environment.enabled else ()
        found = [(offer, plan.types[row].name) for row, offer in self._offers(phase, index) if row in fitting]
        return sorted((each for each in found if each[0].too_dear), key=lambda each: each[0].percent)

    def _offers(self, phase: Phase, index: int) -> Iterator[tuple[int, _Offer]]:
        """By row of the plan, of the types whose price is recorded in all zones of the scenario."""
        resources = phase.environments[index].computeResources
        if self._types is None or resources is None or not resources.on_spot:
            return
        percent = resources.bidPercentage or _PERCENT
        for row in phase.plan.environments[index].types:
            name = phase.plan.types[row].name
            zones = [
                self._steps(name, zone) for zone in self._scenario.assumptions.availabilityZones or ("",)
            ]
            lowest = [_lowest(each, phase.at_us) for each in zones if each is not None]
            if len(lowest) == len(zones):
                on_demand = self._types.catalog.price_uusd(name)
                yield row, _Offer(min(lowest), on_demand, on_demand * percent // _PERCENT)

    def _steps(self, name: str, zone: str) -> Steps | None:
        assert self._types is not None
        return self._types.spot_prices.get((name, zone)) or self._types.spot_prices.get((name, ""))


def status_reason(plan: Plan, queue: int, need: int) -> str | None:
    """AWS's words for a job whose launches EC2 refuses; None where none would be made for it."""
    gang = plan.gangs[need] if plan.gangs else None
    for environment in enabled(plan, queue):
        for row in launchable(plan, environment, plan.needs[need], gang):
            return no_capacity(plan.types[row].name)
    return None


def _lowest(steps: Steps, since_us: int) -> int:
    return round(min([steps.at(since_us), *(value for _, value in steps.after(since_us))]))
