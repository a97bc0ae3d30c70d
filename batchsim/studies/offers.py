"""The smallest change of compute environments that lets a job start which never could.

A compute environment is enabled, gets one more instance type, a higher maxvCpus, or a larger machine.
Changes for several jobs can be made one after the other: each starts from the `Draft` the last one left.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from batchsim.catalog import Catalog, InstanceQuery, RankedInstance, rank_instances
from batchsim.core.feasibility import never_starts
from batchsim.core.plan import EnvironmentPlan, MachineType, Need, Plan
from batchsim.studies.changes import Change, amount, describe_need, override_path, reduction
from batchsim.units import UUSD_PER_USD, parse_size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchsim.scenario import Scenario

_MACHINE_FIELDS = ("vcpus", "memory", "gpus")


@dataclass(frozen=True, slots=True)
class Draft:
    """A scenario as changed so far.

    plan       what the scheduler would be told
    listed     for each environment its `instanceTypes`, or its machines as plain data
    overrides  what changes the scenario into this, in the order to be applied
    """

    plan: Plan
    listed: tuple[tuple[Any, ...], ...]
    overrides: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Offer:
    """One environment with a few changes; `added` is what it could not offer before."""

    environment: EnvironmentPlan
    listed: tuple[Any, ...]
    added: MachineType | None = None
    texts: tuple[str, ...] = ()
    overrides: Mapping[str, str] | None = None

    def then(self, text: str, overrides: Mapping[str, str], **changes: Any) -> _Offer:
        both = {**(self.overrides or {}), **overrides}
        return replace(self, texts=(*self.texts, text), overrides=both, **changes)

    def effort(self) -> tuple[int, int]:
        """Things to change, and the micro-USD per hour of an added instance type."""
        return len(self.overrides or {}), self.added.uusd_per_hour if self.added else 0


class Offers:
    """Finds changes of the environments of one scenario, of which `plan` has been made."""

    def __init__(self, scenario: Scenario, plan: Plan) -> None:
        self._scenario = scenario
        csv = None if scenario.catalog is None else scenario.base_dir / scenario.catalog
        self._catalog = Catalog.load(scenario.region, csv)
        written = scenario.to_dict().get("computeEnvironments", [])
        listed = [
            each.computeResources.instanceTypes
            if each.computeResources
            else written[index].get("instances", ())
            for index, each in enumerate(scenario.computeEnvironments)
        ]
        self.start = Draft(plan, tuple(map(tuple, listed)), {})

    @property
    def price_date(self) -> str:
        return self._catalog.price_date()

    def offer_more(self, draft: Draft, queue: int, need: Need) -> tuple[Change, Draft]:
        """Change one environment of the queue so that it holds `need`; the change, and what has become.

        Of the changes possible in each environment: the one that changes the fewest things, then the one
        that adds the cheapest instance type, then the environment that the queue tries first. Where none
        can help, the change is advice and the draft stays as it is.
        """
        offers = {
            index: offer
            for index in draft.plan.queues[queue].environments
            if (offer := self._offer(draft, index, need)) is not None
        }
        if not offers:
            text = f"no instance type in {self._scenario.region} holds {describe_need(need)}"
            return Change(f"{text}: split the work into smaller jobs"), draft
        best = min(offers, key=lambda index: offers[index].effort())
        changed = _adopt(draft, best, offers[best])
        assert never_starts(replace(changed.plan, needs=[need]), queue, 0) is None
        return Change(" and ".join(offers[best].texts), offers[best].overrides or {}), changed

    def _offer(self, draft: Draft, index: int, need: Need) -> _Offer | None:
        environment = draft.plan.environments[index]
        offer = _Offer(environment, draft.listed[index])
        if not environment.enabled:
            offer = offer.then(
                f"enable {environment.name}",
                {self._path(index, "state"): "ENABLED"},
                environment=replace(environment, enabled=True),
            )
        holds = any(draft.plan.types[each].holds(need) for each in environment.types)
        if not environment.managed:
            return offer if holds else self._with_machine(offer, index, need)
        if holds:
            return self._with_max_vcpus(offer, index, need)
        if environment.per_job:
            return None  # the sizes of tasks are what they are
        like = draft.plan.types[environment.types[0]].name
        found = self._cheapest(like, need)
        if found is None:
            return None
        return self._with_max_vcpus(self._with_type(offer, index, found), index, need)

    def _with_type(self, offer: _Offer, index: int, found: RankedInstance) -> _Offer:
        kind, name = found.instance_type, offer.environment.name
        listed = (*offer.listed, kind.name)
        price = f"{found.uusd_per_hour / UUSD_PER_USD:.6g} USD/h"
        return offer.then(
            f"add {kind.name} ({price}) to {name}",
            {self._path(index, "computeResources", "instanceTypes"): f"[{', '.join(listed)}]"},
            listed=listed,
            added=MachineType(kind.name, kind.vcpus, found.usable_memory_mib, kind.gpus, found.uusd_per_hour),
        )

    def _cheapest(self, like: str, need: Need) -> RankedInstance | None:
        """Of the types with the architecture of `like` that hold `need`: virtual and current ones first."""
        query = InstanceQuery(
            need.vcpus,
            need.memory_mib,
            need.gpus,
            architecture=self._catalog.get(like).architecture,
            memory_model=self._scenario.assumptions.memoryModel,
        )
        ranked = rank_instances(self._catalog, query)
        usual = (
            row
            for row in ranked
            if row.instance_type.current_generation
            and row.instance_type.batch_allowed == "yes"
            and not row.instance_type.bare_metal
        )
        return next(usual, ranked[0] if ranked else None)

    def _with_max_vcpus(self, offer: _Offer, index: int, need: Need) -> _Offer:
        environment = offer.environment
        if environment.max_vcpus >= need.vcpus:
            return offer
        return offer.then(
            f"raise maxvCpus of {environment.name} from {environment.max_vcpus} to {need.vcpus}",
            {self._path(index, "computeResources", "maxvCpus"): str(need.vcpus)},
            environment=replace(environment, max_vcpus=need.vcpus),
        )

    def _with_machine(self, offer: _Offer, index: int, need: Need) -> _Offer:
        """One of the machines that the scenario describes made larger, or a further one where it has none."""
        sizes = {
            number: Need(machine["vcpus"], parse_size(machine["memory"]), machine.get("gpus", 0))
            for number, machine in enumerate(offer.listed)
            if "instanceType" not in machine
        }
        name = offer.environment.name
        if not sizes:
            fields = _fields(need)
            listed = (*offer.listed, fields)
            text = f"add a machine with {describe_need(need)} to {name}"
            overrides = {self._path(index, "instances"): json.dumps(listed)}
        else:
            number = min(sizes, key=lambda each: reduction(need, Need(*map(min, need, sizes[each]))))
            raised = [axis for axis in range(3) if need[axis] > sizes[number][axis]]
            fields = {key: _fields(need)[key] for key in (_MACHINE_FIELDS[axis] for axis in raised)}
            listed = tuple(
                {**machine, **fields} if each == number else machine
                for each, machine in enumerate(offer.listed)
            )
            whose = listed[number].get("name") or (f"machine {number}" if len(listed) > 1 else "the machine")
            asked = " and ".join(amount(axis, need[axis]) for axis in raised)
            text = f"give {whose} of {name} {asked}"
            overrides = {self._path(index, "instances", number, key): str(fields[key]) for key in fields}
            need = Need(*map(max, need, sizes[number]))
        return offer.then(text, overrides, listed=listed, added=MachineType(f"{name}+", *need, 0))

    def _path(self, environment: int, *inside: str | int) -> str:
        return override_path(self._scenario, ("computeEnvironments", environment, *inside))


def _fields(need: Need) -> dict[str, Any]:
    """A machine that holds `need`, as a scenario describes it."""
    return {"vcpus": need.vcpus, "memory": f"{need.memory_mib}MiB", "gpus": need.gpus}


def _adopt(draft: Draft, index: int, offer: _Offer) -> Draft:
    plan, environment = draft.plan, offer.environment
    types = [*plan.types]
    if offer.added is not None:
        environment = replace(environment, types=(*environment.types, len(types)))
        types.append(offer.added)
    environments = [*plan.environments]
    environments[index] = environment
    listed = list(draft.listed)
    listed[index] = offer.listed
    return Draft(
        replace(plan, types=types, environments=environments),
        tuple(listed),
        {**draft.overrides, **(offer.overrides or {})},
    )
