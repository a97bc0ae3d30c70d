"""The smallest change of compute environments that lets a job start which never could.

A compute environment is enabled, gets one more instance type, a higher maxvCpus, or a larger machine; and the
account gets a higher quota.
Changes for several jobs can be made one after the other: each starts from the `Draft` the last one left.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from batchsim.catalog import InstanceQuery, rank_instances
from batchsim.core.feasibility import launchable
from batchsim.core.plan import EnvironmentPlan, MachineType, Need, Plan, Quota
from batchsim.drivers.machines import MachineTypes
from batchsim.studies.changes import (
    Amounts,
    Asked,
    Change,
    amount,
    describe_need,
    enabled,
    override_path,
    reduction,
)
from batchsim.studies.money import fee_part
from batchsim.studies.quotas import given_quota, kept_in_full, quota_name, quota_path
from batchsim.units import UUSD_PER_USD, format_duration, parse_size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchsim.catalog import Architecture
    from batchsim.scenario import ComputeResources, Scenario
    from batchsim.studies.phases import Phase

_MACHINE_FIELDS = ("vcpus", "memory", "gpus")
_MARKETS = {"onDemand": "On-Demand", "spot": "Spot"}


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
    """One environment with a few changes; `added` is what it could not offer before, and `raised` names a
    quota, with by how much it is higher.
    """

    environment: EnvironmentPlan
    listed: tuple[Any, ...]
    added: MachineType | None = None
    raised: tuple[str, int] = ("", 0)
    texts: tuple[str, ...] = ()
    overrides: Mapping[str, str] | None = None

    def then(self, text: str, overrides: Mapping[str, str], **changes: Any) -> _Offer:
        both = {**(self.overrides or {}), **overrides}
        return replace(self, texts=(*self.texts, text), overrides=both, **changes)

    def effort(self) -> tuple[int, int]:
        """Things to change, and the micro-USD per hour of an added instance type."""
        return len(self.overrides or {}), self.added.uusd_per_hour if self.added else 0


class Offers:
    """Finds changes of the environments of a scenario, as they are in a phase of its run."""

    def __init__(self, scenario: Scenario, phase: Phase) -> None:
        plan = phase.plan
        self._scenario = scenario
        self._environments = phase.environments
        self._said = phase.said
        self._parts = plan.vcpu_parts
        self._types = MachineTypes(scenario, plan.vcpu_parts)
        self._catalog = self._types.catalog
        written = scenario.to_dict().get("computeEnvironments", [])
        listed = [
            self._named(each.computeResources)
            if each.computeResources
            else written[index].get("instances", ())
            for index, each in enumerate(phase.environments)
        ]
        self.start = Draft(plan, tuple(map(tuple, listed)), {})

    @property
    def price_date(self) -> str:
        return self._catalog.price_date()

    def offer_more(self, draft: Draft, asked: Asked) -> tuple[Change, Draft]:
        """Change one environment of the queue so that it holds what is asked; the change, and the draft then.

        Of the changes possible in each environment: the one that changes the fewest things, then the one
        that adds the cheapest instance type, then the environment that the queue tries first. Where none
        can help, the change is advice and the draft stays as it is.
        """
        environments = draft.plan.queues[asked.queue].environments
        offers = {
            index: self._with_quota(draft, index, offer, asked)
            for index in environments
            if (offer := self._offer(draft, index, asked)) is not None
        }
        if not offers:
            suited = any(draft.plan.environments[index].gangs for index in environments)
            return Change(self._advice(draft.plan, asked, suited=suited)), draft
        best = min(offers, key=lambda index: offers[index].effort())
        changed = self._adopt(draft, best, offers[best])
        assert asked.never_starts(changed.plan) is None
        return Change(" and ".join(offers[best].texts), offers[best].overrides or {}), changed

    def _advice(self, plan: Plan, asked: Asked, *, suited: bool) -> str:
        if asked.gang is not None and not suited:
            return (
                "submit them to a queue with a MANAGED environment of type EC2, which takes multi-node jobs"
            )
        if asked.gang is not None and asked.gang.types:
            names = ", ".join(dict.fromkeys(plan.types[index].name for index in asked.gang.types))
            return f"name another instance type than {names} for the nodes, or have it in an environment"
        need = describe_need(Amounts.of(asked.need, self._parts))
        if all(environment.per_job for environment in enabled(plan, asked.queue)):
            return f"no Fargate task holds {need}: submit them to a queue with an environment of type EC2"
        kind = self._shared_kind(plan, asked)
        text = f"no {kind}instance type in {self._scenario.region} holds {need}"
        return f"{text}: split the work into smaller jobs"

    def _offer(self, draft: Draft, index: int, asked: Asked) -> _Offer | None:
        environment = draft.plan.environments[index]
        if asked.gang is not None and not environment.gangs:
            return None
        offer = _Offer(environment, draft.listed[index])
        if environment.invalid:
            offer = offer.then(
                f"mend {environment.name}, which is INVALID{self._when(index, 'status')}",
                self._mended(index),
                environment=replace(environment, enabled=True, invalid=False, invalid_after_us=-1),
            )
        elif not environment.enabled:
            offer = offer.then(
                f"enable {environment.name}{self._when(index, 'state')}",
                {self._path(index, "state"): "ENABLED"},
                environment=replace(environment, enabled=True),
            )
        holding = [draft.plan.types[each] for each in asked.fits(draft.plan, environment)]
        if not environment.managed:
            return offer if holding else self._with_machine(offer, index, asked.need)
        if not holding:
            if environment.per_job or (asked.gang is not None and asked.gang.types):
                return None  # the sizes of tasks are what they are, and the nodes name their type
            found = self._cheapest(
                index,
                self._architecture(draft.plan, environment, asked.kind),
                asked.need.with_room(environment.aside),
            )
            if found is None:
                return None
            found = replace(found, kind=asked.kind)
            offer, holding = self._with_type(offer, index, found), [found]
        least = asked.need.vcpus
        if asked.gang is not None or not environment.overshoots:
            least = min(kind.vcpus for kind in holding) * asked.nodes
        return self._with_max_vcpus(offer, index, least)

    def _with_quota(self, draft: Draft, index: int, offer: _Offer, asked: Asked) -> _Offer:
        """The quota of the type that lacks the least of it raised, if all that hold the job lack some."""
        plan = self._adopt(draft, index, offer).plan
        environment = plan.environments[index]
        rows = launchable(plan, environment, asked.need, asked.gang) if environment.managed else []
        if not rows or any(plan.may_run(row, asked.nodes) for row in rows):
            return offer
        vcpus = {row: plan.types[row].vcpus * asked.nodes for row in rows}
        lacks, name, least = min(
            (vcpus[row] - quota.vcpus, quota.name, vcpus[row])
            for row in rows
            for quota in plan.quotas
            if row in quota.rows
        )
        path = quota_path(name)
        now = int(draft.overrides.get(path, given_quota(self._scenario, name)))
        others = kept_in_full(plan, index, name)
        then = max(now + self._whole(lacks), self._whole(least + others))
        kind, _, family = name.partition(".")
        of = f"{family} {'tasks' if environment.per_job else 'instances'}"
        return offer.then(
            f"raise the account's {_MARKETS[kind]} quota of {of} from {now} to {then} vCPUs",
            {path: str(then)},
            raised=(name, (then - now) * self._parts),
        )

    def _with_type(self, offer: _Offer, index: int, kind: MachineType) -> _Offer:
        listed = (*offer.listed, kind.name)
        spot = " Spot" if self._is_spot(index) else ""
        fee = " with ECS's fee" if fee_part(self._scenario, self._environments[index]) else ""
        price = f"{kind.uusd_per_hour / UUSD_PER_USD:.6g} USD/h{spot}{fee}"
        return offer.then(
            f"add {kind.name} ({price}) to {offer.environment.name}{self._when(index, 'instanceTypes')}",
            {self._path(index, *self._where_types(index)): f"[{', '.join(listed)}]"},
            listed=listed,
            added=kind,
        )

    def _shared_kind(self, plan: Plan, asked: Asked) -> str:
        """The architecture that jobs ask for where several are allowed; else ""."""
        shared = any(each.shared for each in enabled(plan, asked.queue))
        return f"{plan.architectures[asked.kind].upper()} " if shared else ""

    def _architecture(self, plan: Plan, environment: EnvironmentPlan, kind: int) -> Architecture:
        """Of what a job gets in an environment, which has one of its own where instances are not `shared`."""
        if environment.shared:
            return cast("Architecture", plan.architectures[kind])
        return self._catalog.get(plan.types[environment.types[0]].name).architecture

    def _cheapest(self, index: int, architecture: Architecture, need: Need) -> MachineType | None:
        """Of the types of an architecture that hold `need`: virtual and current ones first.

        For a Spot environment it is the Spot price that counts, of types that are sold so and below its bid.
        """
        query = InstanceQuery(
            self._whole(need.vcpus),
            need.memory_mib,
            need.gpus,
            architecture=architecture,
            memory_model=self._scenario.assumptions.memoryModel,
        )
        ranked = rank_instances(self._catalog, query)
        # A node of EKS keeps more for itself than an ECS instance, of which the ranking is.
        fitting = [
            (kind, machine)
            for kind in (row.instance_type for row in ranked)
            if (machine := self._machine(kind.name, index)).holds(need)
        ]
        resources = self._environments[index].computeResources
        if resources is not None and resources.on_spot:
            bid = (resources.bidPercentage or 100) / 100
            fitting = [
                each for each in fitting if each[0].spot and self._types.spot_factor(each[0].name) < bid
            ]
            fitting.sort(key=lambda each: each[1].uusd_per_hour)
        usual = (
            machine
            for kind, machine in fitting
            if kind.current_generation and kind.batch_allowed == "yes" and not kind.bare_metal
        )
        return next(usual, fitting[0][1] if fitting else None)

    def _machine(self, name: str, index: int) -> MachineType:
        """An instance type as an environment would have it, at the price it would pay, with ECS's fee."""
        environment = self._environments[index]
        of_catalog = self._types.of_spot if self._is_spot(index) else self._types.from_catalog
        row = of_catalog(name, platform=environment.platform)
        machine = self._types.rows[row]
        fee = round(self._catalog.price_uusd(name) * fee_part(self._scenario, environment))
        return replace(machine, uusd_per_hour=machine.uusd_per_hour + fee)

    def _with_max_vcpus(self, offer: _Offer, index: int, least: int) -> _Offer:
        environment = offer.environment
        if environment.max_vcpus >= least:
            return offer
        now, then = self._whole(environment.max_vcpus), self._whole(least)
        return offer.then(
            f"raise maxvCpus of {environment.name} from {now} to {then}{self._when(index, 'maxvCpus')}",
            {self._path(index, "computeResources", "maxvCpus"): str(then)},
            environment=replace(environment, max_vcpus=then * self._parts),
        )

    def _whole(self, vcpus: int) -> int:
        """The plan's parts of vCPUs as whole ones, rounded up."""
        return -(-vcpus // self._parts)

    def _with_machine(self, offer: _Offer, index: int, need: Need) -> _Offer:
        """One of the machines that the scenario describes made larger, or a further one where none stays."""
        need = need._replace(vcpus=self._whole(need.vcpus))
        sizes = {
            number: Need(machine["vcpus"], parse_size(machine["memory"]), machine.get("gpus", 0))
            for number, machine in enumerate(offer.listed)
            if "instanceType" not in machine and machine.get("leavesAfter") is None
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
        return offer.then(text, overrides, listed=listed, added=self._described(name, need))

    def _described(self, name: str, size: Need) -> MachineType:
        return MachineType(f"{name}+", size.vcpus * self._parts, size.memory_mib, size.gpus, 0)

    def _adopt(self, draft: Draft, index: int, offer: _Offer) -> Draft:
        plan, environment = draft.plan, offer.environment
        types, quotas = [*plan.types], [*plan.quotas]
        if offer.added is not None:
            # All as one entry of the list, and of the same band: enough to tell whether a job can ever start.
            environment = replace(environment, types=(*environment.types, len(types)), entries=(), bands=())
            if environment.managed:
                quotas = self._with_row(quotas, len(types), environment, offer.added.name, index)
            types.append(offer.added)
        name, vcpus = offer.raised
        quotas = [replace(each, vcpus=each.vcpus + vcpus * (each.name == name)) for each in quotas]
        environments = [*plan.environments]
        environments[index] = environment
        listed = list(draft.listed)
        listed[index] = offer.listed
        return Draft(
            replace(plan, types=types, environments=environments, quotas=quotas),
            tuple(listed),
            {**draft.overrides, **(offer.overrides or {})},
        )

    def _with_row(
        self, quotas: list[Quota], row: int, environment: EnvironmentPlan, instance_type: str, index: int
    ) -> list[Quota]:
        """A further type of an environment counts in its family's quota, if there is one."""
        name = quota_name(instance_type, spot=self._is_spot(index))
        mine = [each for each in quotas if each.name == name]
        own = [each for each in mine if not each.rows.isdisjoint(environment.types)] or mine
        return [replace(each, rows=each.rows | {row}) if own and each is own[0] else each for each in quotas]

    def _is_spot(self, index: int) -> bool:
        resources = self._environments[index].computeResources
        return resources is not None and resources.on_spot

    def _mended(self, index: int) -> dict[str, str]:
        """The environment without what makes it INVALID."""
        environment = self._environments[index]
        if environment.status == "INVALID":
            return {self._path(index, "status"): "VALID"}
        name = environment.computeEnvironmentName
        left = [each for each in self._scenario.assumptions.neverRegisters if each != name]
        return {"assumptions.neverRegisters": f"[{', '.join(left)}]"}

    def _named(self, resources: ComputeResources) -> tuple[str, ...]:
        """The names of an environment's instance types, or those that stand for none."""
        provider = resources.managedInstancesProvider
        if provider is None:
            return resources.instanceTypes
        return provider.allowed_types or self._catalog.default_patterns()

    def _where_types(self, index: int) -> tuple[str, ...]:
        """Where an environment says its instance types."""
        resources = self._environments[index].computeResources
        if resources is not None and resources.managedInstancesProvider is not None:
            template = ("managedInstancesProvider", "instanceLaunchTemplate")
            return ("computeResources", *template, "instanceRequirements", "allowedInstanceTypes")
        return ("computeResources", "instanceTypes")

    def _when(self, environment: int, field: str) -> str:
        """In which update, if an update says it."""
        said = self._said.get((environment, field))
        return "" if said is None else f" in the update at {format_duration(said[1])}"

    def _path(self, environment: int, *inside: str | int) -> str:
        said = self._said.get((environment, str(inside[-1])))
        if said is not None:
            return override_path(self._scenario, ("workload", said[0], "update", inside[-1]))
        return override_path(self._scenario, ("computeEnvironments", environment, *inside))


def _fields(need: Need) -> dict[str, Any]:
    """A machine that holds `need`, as a scenario describes it."""
    return {"vcpus": need.vcpus, "memory": f"{need.memory_mib}MiB", "gpus": need.gpus}
