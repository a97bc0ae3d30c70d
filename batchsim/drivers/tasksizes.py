"""Whether Fargate has the tasks that jobs ask for [spec 4]."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsim.catalog.fargate import cheapest_size, is_task_size
from batchsim.errors import ScenarioError
from batchsim.scenario import TraceJobs
from batchsim.workload.table import QUARTERS

if TYPE_CHECKING:
    from batchsim.drivers.machines import MachineTypes
    from batchsim.scenario import Scenario
    from batchsim.workload import Workload
    from batchsim.workload.table import JobClass


def check_tasks(scenario: Scenario, workload: Workload, types: MachineTypes) -> None:
    """Raises ScenarioError, with what to ask for instead, and CatalogError where no price is known."""
    traces = {entry.name for _, entry in scenario.submissions() if isinstance(entry, TraceJobs)}
    for each in workload.classes:
        asked = each.platform == "ECS_FARGATE" and each.group not in traces
        if asked and not is_task_size(each.vcpu_quarters, each.memory_mib):
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
