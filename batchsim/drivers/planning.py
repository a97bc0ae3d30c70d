"""From a scenario and its workload to what a driver needs: the scheduler's plan, and the world.

    prepare(scenario, workload)  ->  Setup(plan, world, ...)

This is the only place where names become indices.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from batchsim.catalog import Catalog
from batchsim.core.plan import (
    ClassPlan,
    EnvironmentPlan,
    ExitRule,
    MachineType,
    Need,
    Plan,
    Policy,
    QueuePlan,
)
from batchsim.drivers.world import Boot, Machines, World
from batchsim.errors import at_path
from batchsim.units import format_size, usd_to_uusd
from batchsim.workload.distributions import load_distribution

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsim.scenario import Assumptions, ComputeEnvironment, Machine, Scenario
    from batchsim.workload.table import JobClass, Workload


@dataclass(frozen=True, slots=True)
class Setup:
    """A run ready to be driven; `price_date` is "" when no price came from the catalogue."""

    plan: Plan
    world: World
    price_date: str


class _Types:
    """Machine types, interned: two environments that use the same type share a row."""

    def __init__(self, scenario: Scenario) -> None:
        csv = None if scenario.catalog is None else scenario.base_dir / scenario.catalog
        with at_path("catalog"):
            self.catalog = Catalog.load(scenario.region, csv)
        self.rows: dict[MachineType, int] = {}
        self.priced = False
        self._memory_model = scenario.assumptions.memoryModel

    def intern(self, row: MachineType) -> int:
        return self.rows.setdefault(row, len(self.rows))

    def from_catalog(self, name: str, usd_per_hour: float | None = None) -> int:
        found = self.catalog.get(name)
        if usd_per_hour is None:
            self.priced = True
            price = self.catalog.price_uusd(name)
        else:
            price = usd_to_uusd(usd_per_hour)
        memory = self.catalog.usable_memory_mib(name, self._memory_model)
        return self.intern(MachineType(name, found.vcpus, memory, found.gpus, price))

    def machine(self, machine: Machine) -> int:
        """A user's machine; the memory of one that the scenario describes itself is taken as usable."""
        if machine.instanceType is not None:
            return self.from_catalog(machine.instanceType, machine.usdPerHour)
        assert machine.vcpus is not None
        assert machine.memory is not None
        name = machine.name or f"{machine.vcpus}vcpu-{format_size(machine.memory).replace(' ', '')}"
        price = usd_to_uusd(machine.usdPerHour or 0)
        return self.intern(MachineType(name, machine.vcpus, machine.memory, machine.gpus, price))


def prepare(scenario: Scenario, workload: Workload, seed: int = 0, replication: int = 0) -> Setup:
    """What a driver needs to run `workload` in `scenario`.

    Jobs that would be submitted at or after the scenario's horizon must have been cut off before.
    Raises CatalogError for instance types and prices that are not known.
    """
    with scenario.placing_errors():
        return _prepared(scenario, workload, (seed, replication))


def _prepared(scenario: Scenario, workload: Workload, draw: tuple[int, int]) -> Setup:
    types = _Types(scenario)
    environments, machines = _environments(scenario, types)
    names = {environment.name: index for index, environment in enumerate(environments)}
    queues = [
        QueuePlan(queue.jobQueueName, queue.priority, tuple(names[name] for name in queue.environments()))
        for queue in scenario.jobQueues
    ]
    needs, classes = _classes(workload.classes, {queue.name: index for index, queue in enumerate(queues)})
    plan = Plan(
        types=list(types.rows),
        environments=environments,
        queues=queues,
        needs=needs,
        classes=classes,
        class_of=array("i", workload.job_class.astype(np.int32).tobytes()),
        policy=_policy(scenario.assumptions),
    )
    world = _world(scenario, workload, machines, draw)
    return Setup(plan, world, types.catalog.price_date() if types.priced else "")


def _environments(scenario: Scenario, types: _Types) -> tuple[list[EnvironmentPlan], list[Machines]]:
    plans: list[EnvironmentPlan] = []
    machines: list[Machines] = []
    for index, environment in enumerate(scenario.computeEnvironments):
        if environment.computeResources is not None:
            plans.append(_managed(environment, types, scenario.path_of(environment)))
            continue
        rows = []
        for position, machine in enumerate(environment.instances):
            with at_path(f"{scenario.path_of(environment)}.instances.{position}.instanceType"):
                rows.append(types.machine(machine))
        plans.append(
            EnvironmentPlan(
                environment.computeEnvironmentName,
                tuple(dict.fromkeys(rows)),
                enabled=environment.state == "ENABLED",
            )
        )
        machines += [
            Machines(index, row, machine.count, machine.name or "")
            for row, machine in zip(rows, environment.instances, strict=True)
        ]
    return plans, machines


def _managed(environment: ComputeEnvironment, types: _Types, path: str) -> EnvironmentPlan:
    resources = environment.computeResources
    assert resources is not None
    name = environment.computeEnvironmentName
    found = types.catalog.resolve(resources.instanceTypes, f"{path}.computeResources.instanceTypes")
    return EnvironmentPlan(
        name,
        tuple(types.from_catalog(instance_type.name) for instance_type in found),
        managed=True,
        enabled=environment.state == "ENABLED",
        min_vcpus=resources.minvCpus,
        max_vcpus=resources.maxvCpus,
        desired_vcpus=resources.desiredvCpus or 0,
    )


def _classes(job_classes: Sequence[JobClass], queues: dict[str, int]) -> tuple[list[Need], list[ClassPlan]]:
    needs: dict[Need, int] = {}
    classes = [
        ClassPlan(
            queue=queues[each.queue],
            need=needs.setdefault(Need(each.vcpus, each.memory_mib, each.gpus), len(needs)),
            attempts=each.attempts,
            rules=tuple(ExitRule(*rule) for rule in each.rules),
            timeout_us=each.timeout_us or 0,
        )
        for each in job_classes
    ]
    return list(needs), classes


def _policy(assumptions: Assumptions) -> Policy:
    return Policy(
        scheduling_interval_us=assumptions.schedulingInterval,
        scaling_interval_us=assumptions.scalingInterval,
        submit_evaluation_us=assumptions.submitEvaluation,
        idle_scale_in_us=assumptions.idleScaleIn,
        backfill=assumptions.backfill,
        size_tiebreak=assumptions.sizeTiebreak,
    )


def _world(
    scenario: Scenario, workload: Workload, machines: Sequence[Machines], draw: tuple[int, int]
) -> World:
    assumptions = scenario.assumptions
    rate = assumptions.imagePullRate
    pull_us = [round(each.image_bytes / rate) if rate else 0 for each in workload.classes]
    images: dict[tuple[str, int], int] = {}
    for each in workload.classes:
        images.setdefault((each.image or each.group, each.image_bytes), len(images))
    return World(
        submit_us=workload.submit_us.tolist(),
        runtime_us=workload.runtime_us.tolist(),
        class_of=array("i", workload.job_class.astype(np.int32).tobytes()),
        failure_rate=[each.failure_rate for each in workload.classes],
        failure_exit_code=[each.failure_exit_code for each in workload.classes],
        image=[
            images[each.image or each.group, each.image_bytes] if pull else -1
            for each, pull in zip(workload.classes, pull_us, strict=True)
        ],
        pull_us=pull_us,
        dispatch_us=assumptions.dispatchDelay,
        container_start_us=assumptions.containerStart,
        boot=Boot(
            *(
                load_distribution(getattr(assumptions, name), scenario.base_dir, f"assumptions.{name}")
                for name in ("capacityReaction", "instanceLaunch", "instanceRegistration")
            )
        ),
        machines=machines,
        seed=draw[0],
        replication=draw[1],
    )
