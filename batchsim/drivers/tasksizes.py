"""Whether Fargate has the tasks that jobs ask for [spec 4]."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsim.catalog.fargate import cheapest_size, is_task_size
from batchsim.errors import ScenarioError
from batchsim.scenario import JobQueue, TraceJobs, applied_updates
from batchsim.workload.table import QUARTERS

if TYPE_CHECKING:
    from batchsim.drivers.machines import MachineTypes
    from batchsim.scenario import ComputeEnvironment, Scenario
    from batchsim.workload import Workload
    from batchsim.workload.table import JobClass


def check_tasks(scenario: Scenario, workload: Workload, types: MachineTypes) -> None:
    """Raises ScenarioError, with what to ask for instead, and CatalogError where no price is known."""
    traces = {entry.name for _, entry in scenario.submissions() if isinstance(entry, TraceJobs)}
    on_spot = _queues_with_spot(scenario)
    for each in workload.classes:
        if each.platform != "ECS_FARGATE":
            continue
        if each.task.architecture == "arm64" and each.queue in on_spot:
            raise ScenarioError(
                "Fargate Spot has no tasks on ARM64",
                path=f"workload.{each.group}",
                hint="use X86_64, or a queue without FARGATE_SPOT environments",
            )
        if each.group not in traces and not is_task_size(each.vcpu_quarters, each.memory_mib):
            raise _no_such_size(each, types)


def _no_such_size(each: JobClass, types: MachineTypes) -> ScenarioError:
    """Jobs of a trace get the smallest that holds them; others must name one [spec 4.1]."""
    size = cheapest_size(each.vcpu_quarters, each.memory_mib, types.task_price(each.task.architecture))
    return ScenarioError(
        f"Fargate has no tasks of {each.vcpu_quarters / QUARTERS:g} vCPU and {each.memory_mib} MiB",
        path=f"workload.{each.group}",
        hint="use EC2"
        if size is None
        else f"the cheapest size that holds them is {size[0] / QUARTERS:g} vCPU and {size[1]} MiB",
    )


def _queues_with_spot(scenario: Scenario) -> set[str]:
    """The queues that have an environment of type FARGATE_SPOT at any time."""
    updated = [each.after for each in applied_updates(scenario)]
    places: list[ComputeEnvironment] = [
        *scenario.computeEnvironments,
        *(each for each in updated if not isinstance(each, JobQueue)),
    ]
    queues = [*scenario.jobQueues, *(each for each in updated if isinstance(each, JobQueue))]
    spot = {
        each.computeEnvironmentName
        for each in places
        if each.computeResources is not None and each.computeResources.type == "FARGATE_SPOT"
    }
    return {each.jobQueueName for each in queues if spot & {*each.environments()}}
