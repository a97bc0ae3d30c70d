"""From a scenario and its workload to the world in which a driver runs them."""

from __future__ import annotations

import math
from array import array
from typing import TYPE_CHECKING, Final

import numpy as np

from batchsim.drivers.fargate import Tasks, launch_interval_us
from batchsim.drivers.market import build_capacity
from batchsim.drivers.speeds import speeds
from batchsim.drivers.spot import Interruptions, interruption_rate, pool_number
from batchsim.drivers.world import PULL_ERROR, Bandwidth, Boot, Outcome, PlanUpdate, ResourceUpdate, World
from batchsim.scenario import applied_updates
from batchsim.units import US_PER_S
from batchsim.workload import JobsEvent, UpdateOf
from batchsim.workload.distributions import load_distribution

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsim.drivers.machines import MachineTypes
    from batchsim.drivers.world import Machines, Request
    from batchsim.scenario import Assumptions, Scenario
    from batchsim.workload.table import JobClass, Workload

_DRAINS_AFTER_US: Final = 14 * 24 * 3600 * US_PER_S  # [UG: ecs-managed-instances-instance-draining]
# Container reasons [spec 1.6]; the words after the colon are ours.
_START_FAILURES: Final = {
    PULL_ERROR: f"{PULL_ERROR}: the image could not be pulled",
    "DockerTimeoutError": "DockerTimeoutError: Could not transition to started; timed out",
}

_BYTES_PER_MB: Final = 1_000_000


def build_world(
    scenario: Scenario,
    workload: Workload,
    types: MachineTypes,
    machines: Sequence[Machines],
    draw: tuple[int, int],
) -> World:
    """What really happens in `scenario`; `draw` is the seed and the replication."""
    assumptions = scenario.assumptions
    classes = workload.classes
    rates = {"ECS_FARGATE": assumptions.fargatePullRate}
    pull_us = [
        round(each.image_bytes / rate) if (rate := rates.get(each.platform, assumptions.imagePullRate)) else 0
        for each in classes
    ]
    images = _Images()
    return World(
        submit_us=array("q", workload.submit_us.tobytes()),
        runtime_us=array("q", workload.runtime_us.tobytes()),
        class_of=array("i", workload.job_class.astype(np.int32).tobytes()),
        outcomes=[_outcome(each) for each in classes],
        images=[images.of_class(each) if pull else () for each, pull in zip(classes, pull_us, strict=True)],
        node_images=[
            images.of_nodes(each, pull=pull > 0) for each, pull in zip(classes, pull_us, strict=True)
        ]
        if any(each.nodes for each in classes)
        else (),
        pull_us=pull_us,
        pull_spread=_pull_spread(assumptions, classes),
        bandwidth=_bandwidth(assumptions, types),
        startup_us=() if workload.startup_us is None else workload.startup_us.tolist(),
        node_us=workload.node_us,
        requests=_requests(scenario, workload),
        dispatch_us=assumptions.dispatchDelay,
        container_start_us=load_distribution(
            assumptions.containerStart, scenario.base_dir, "assumptions.containerStart"
        ),
        stop_grace_us=assumptions.stopGrace,
        boot=Boot(
            *(
                load_distribution(getattr(assumptions, name), scenario.base_dir, f"assumptions.{name}")
                for name in ("capacityReaction", "instanceLaunch", "instanceRegistration")
            )
        ),
        interruptions=_interruptions(assumptions, types),
        capacity=build_capacity(scenario, types),
        spot_notice_us=assumptions.spotNotice,
        tasks=_tasks(scenario),
        never_registers=_never_registers(scenario),
        drains_after_us={
            index: _DRAINS_AFTER_US
            for index, each in enumerate(scenario.computeEnvironments)
            if each.platform == "ECS_MANAGED_INSTANCES"
        },
        speeds=speeds(assumptions, types),
        machines=machines,
        seed=draw[0],
        replication=draw[1],
    )


def _bandwidth(assumptions: Assumptions, types: MachineTypes) -> Bandwidth:
    """Of rates that are 0 nothing is pulled, or there is no limit."""
    of_pull, of_task, registry = (
        math.ceil(rate * _BYTES_PER_MB)
        for rate in (assumptions.imagePullRate, assumptions.fargatePullRate, assumptions.registryBandwidth)
    )
    return Bandwidth(
        max(of_pull, 1),
        types.networks(assumptions.imagePullNetwork) if of_pull else {},
        assumptions.imagePullSharing == "instance",
        registry,
        dict.fromkeys(types.launched("fargate"), max(of_task, 1)),
    )


def _pull_spread(assumptions: Assumptions, classes: Sequence[JobClass]) -> Sequence[float]:
    spreads = {"ECS_FARGATE": assumptions.fargatePullSpread}
    each = [spreads.get(job_class.platform, assumptions.imagePullSpread) for job_class in classes]
    return each if any(each) else ()


def _interruptions(assumptions: Assumptions, types: MachineTypes) -> Interruptions | None:
    spot = [row for row, billing in enumerate(types.billings) if billing == "spot"]
    spot += types.spot_tasks
    names = [machine.name for machine in types.rows]
    rates = {row: interruption_rate(assumptions, types.catalog.spot(names[row])) for row in spot}
    if not any(rates.values()):
        return None
    return Interruptions(
        {row: rate for row, rate in rates.items() if rate},
        {row: pool_number(names[row]) for row in spot},
        assumptions.spotCorrelation,
        assumptions.spotNotice,
        frozenset(types.spot_tasks),
    )


def _never_registers(scenario: Scenario) -> frozenset[int]:
    names = scenario.assumptions.neverRegisters
    return frozenset(
        index
        for index, each in enumerate(scenario.computeEnvironments)
        if each.computeEnvironmentName in names
    )


def _tasks(scenario: Scenario) -> Tasks | None:
    kinds = {
        index: each.computeResources.type
        for index, each in enumerate(scenario.computeEnvironments)
        if each.computeResources is not None and each.computeResources.is_fargate
    }
    if not kinds:
        return None
    assumptions = scenario.assumptions
    path = "assumptions.fargateProvisioning"
    return Tasks(
        kinds,
        load_distribution(assumptions.fargateProvisioning, scenario.base_dir, path),
        launch_interval_us(assumptions.fargateLaunchRate),
        assumptions.fargateLaunchBurst,
        assumptions.fargateTaskLifetime,
    )


class _Images:
    """Images by number: equal names of equal size are one; without names each workload entry has its own."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, int], int] = {}

    def of_class(self, job_class: JobClass) -> tuple[int, ...]:
        """Those of the job; of a multi-node job, of its main node."""
        if job_class.nodes is not None:
            return self.of_nodes(job_class, pull=True)[job_class.nodes.main]
        return self._of(job_class, (job_class.image, *job_class.more_images))

    def of_nodes(self, job_class: JobClass, *, pull: bool) -> tuple[tuple[int, ...], ...]:
        """Those of each node; none where nothing is pulled."""
        nodes = job_class.nodes
        if nodes is None:
            return ()
        groups = [self._of(job_class, group.images) if pull else () for group in nodes.groups]
        return tuple(groups[index] for index in nodes.group_of)

    def _of(self, job_class: JobClass, names: Sequence[str]) -> tuple[int, ...]:
        return tuple(
            self._numbers.setdefault((name or job_class.group, job_class.image_bytes), len(self._numbers))
            for name in names
        )


def _outcome(job_class: JobClass) -> Outcome:
    return Outcome(
        script=tuple(zip(job_class.exit_codes, job_class.reasons, strict=True)),
        failure_rate=job_class.failure_rate,
        failure_exit_code=job_class.failure_exit_code,
        start_failure_rate=job_class.start_failure_rate,
        start_failure_reason=_START_FAILURES.get(
            job_class.start_failure_reason, job_class.start_failure_reason
        ),
        sigterm_exit=job_class.sigterm_exit,
        sigterm_after_us=job_class.sigterm_after_us,
    )


def _requests(scenario: Scenario, workload: Workload) -> list[Request]:
    """The events of the workload, without updates of resources where no job asks for any."""
    resources = [each.consumableResourceName for each in scenario.consumableResources]
    rows = {each.item: row for row, each in enumerate(applied_updates(scenario))}
    asked = any(each.consumables for each in workload.classes)
    requests: list[Request] = []
    for each in workload.events:
        if isinstance(each, JobsEvent):
            requests.append(each)
        elif isinstance(each, UpdateOf):
            requests.append(PlanUpdate(each.at_us, rows[each.item]))
        elif asked:
            row = resources.index(each.resource)
            requests.append(ResourceUpdate(each.at_us, row, each.operation, each.quantity))
    return requests
