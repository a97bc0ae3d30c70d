"""One run: a scenario and a seed give a Result."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from batchsim import __version__
from batchsim.catalog.fargate import is_task_size
from batchsim.core.plan import QueueUpdate
from batchsim.core.waits import CONSUMABLE, REASON_NAMES
from batchsim.drivers.planning import Setup, prepare
from batchsim.drivers.simulated import simulate
from batchsim.results.context import EnvironmentRow, InstanceTypeRow, RunContext, UpdateRow
from batchsim.results.recording import Recorder
from batchsim.scenario import Scenario, applied_updates
from batchsim.scenario.updates import UpdateEvent
from batchsim.studies.money import cluster_uusd_per_hour, commitment_rows, fee_part, volume_uusd_per_hour
from batchsim.studies.services import add_services, run_services
from batchsim.workload import Workload, build_workload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from batchsim.core.plan import Plan
    from batchsim.results import Result
    from batchsim.results.context import IdleCost


_ROUNDED_UP = "jobs_rounded_up_to_fargate_sizes"


def run(
    scenario: Scenario,
    *,
    seed: int = 0,
    replication: int = 0,
    report: Callable[[int, int, int], None] | None = None,
    idle_cost: IdleCost = "proportional",
) -> Result:
    """Simulate `scenario` once.

    `idle_cost` says who bears what no job costs directly: see `batchsim.results.bill`.
    The same scenario, seed and replication give the same result to the byte. `report(now_us,
    jobs_ended, jobs)` is called now and then. Raises InputError when the scenario's files or instance types
    cannot be used.
    """
    from batchsim.results import build_result  # noqa: PLC0415 - pandas is slow to import

    if not isinstance(scenario, Scenario):
        raise TypeError(f"expected a Scenario, as load_scenario(path) gives; found {scenario!r:.60}")
    drawn = build_workload(scenario, seed, replication)
    workload = cut_at_horizon(drawn, scenario.horizon)
    setup = prepare(scenario, workload, seed, replication)
    jobs = len(workload)
    recorder = Recorder(jobs)
    told = None if report is None else lambda now_us, ended: report(now_us, ended, jobs)
    world = replace(setup.world, goes_on=len(drawn) > jobs)
    with scenario.placing_errors():
        simulate(setup.plan, world, recorder, horizon_us=scenario.horizon, report=told)
        services = run_services(scenario, seed, replication)
    context = describe(scenario, workload, setup, len(drawn) - jobs)
    result = build_result(recorder, replace(context, idle_cost=idle_cost))
    return add_services(result, services)


def cut_at_horizon(workload: Workload, horizon_us: int | None) -> Workload:
    """What is submitted and done before the horizon; the run does not see the rest."""
    if horizon_us is None:
        return workload
    return workload.before(horizon_us)


def describe(scenario: Scenario, workload: Workload, setup: Setup, not_submitted: int = 0) -> RunContext:
    """What the result must know about the run; `not_submitted` jobs come after its horizon."""
    plan, parts = setup.plan, setup.plan.vcpu_parts
    return RunContext(
        name=scenario.name,
        region=scenario.region,
        scenario=scenario.to_dict(),
        digest=scenario.digest(),
        assumptions=scenario.assumptions.resolved().model_dump(mode="json", exclude_none=True),
        submit_us=workload.submit_us,
        job_class=workload.job_class,
        ordinal=workload.ordinal,
        classes=workload.classes,
        arrays=workload.arrays,
        edges=workload.edges,
        queues=[queue.name for queue in plan.queues],
        environments=[
            EnvironmentRow(
                each.name,
                each.managed,
                each.min_vcpus // parts,
                each.max_vcpus // parts,
                volume_uusd_per_hour(scenario, written),
                fee_part(scenario, written),
            )
            for each, written in zip(plan.environments, scenario.computeEnvironments, strict=True)
        ],
        instance_types=[
            InstanceTypeRow(
                each.name,
                each.vcpus / parts,
                each.memory_mib,
                each.gpus,
                each.uusd_per_hour,
                billing,
                on_demand,
                architecture,
            )
            for each, billing, on_demand, architecture in zip(
                plan.types, setup.billings, setup.on_demand_uusd, setup.architectures, strict=True
            )
        ],
        zones=scenario.assumptions.availabilityZones,
        version=__version__,
        seed=setup.world.seed,
        replication=setup.world.replication,
        price_date=setup.price_date,
        wait_reasons=REASON_NAMES,
        wait_details={CONSUMABLE: [each.name for each in plan.consumables]},
        horizon_us=scenario.horizon,
        not_submitted=not_submitted,
        notes=_notes(workload),
        not_modelled=scenario.not_modelled(),
        commitments=commitment_rows(scenario, setup),
        cluster_uusd_per_hour=cluster_uusd_per_hour(scenario),
        updates=list(_update_rows(scenario, plan)),
        price_notes=setup.price_notes,
    )


def _update_rows(scenario: Scenario, plan: Plan) -> Iterator[UpdateRow]:
    for applied, planned in zip(applied_updates(scenario), plan.updates, strict=True):
        event = scenario.workload[applied.item]
        assert isinstance(event, UpdateEvent)
        change = event.update.new_settings()
        if isinstance(planned, QueueUpdate):
            yield UpdateRow(applied.at_us, -1, planned.queue, "queue", change)
        else:
            kind = "infrastructure" if applied.replaces else "scaling"
            limit = planned.after.max_vcpus // plan.vcpu_parts if planned.after.managed else -1
            desired = event.update.desiredvCpus
            asked = -1 if desired is None else desired
            yield UpdateRow(applied.at_us, planned.environment, -1, kind, change, limit, asked)


def _notes(workload: Workload) -> dict[str, Any]:
    """The workload's notes by entry, with how many jobs got a larger Fargate task than they ask for."""
    counts = np.bincount(workload.job_class, minlength=len(workload.classes)).tolist()
    notes = dict(workload.notes)
    for each, jobs in zip(workload.classes, counts, strict=True):
        if each.platform == "ECS_FARGATE" and not is_task_size(each.vcpu_quarters, each.memory_mib) and jobs:
            already = notes.get(each.group, {})
            more = already.get(_ROUNDED_UP, 0) + jobs
            notes[each.group] = {**already, _ROUNDED_UP: more}
    return notes
