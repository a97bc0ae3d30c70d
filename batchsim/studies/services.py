"""The service jobs of a run: simulated beside the others, with which they share only the clock."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from batchsim.drivers.serviceplanning import prepare_services
from batchsim.drivers.services import simulate_services
from batchsim.results.servicerecord import ServiceContext
from batchsim.workload import build_services

if TYPE_CHECKING:
    from batchsim.results import Result
    from batchsim.results.servicerecord import ServiceRecorder
    from batchsim.scenario import Scenario


def run_services(
    scenario: Scenario, seed: int = 0, replication: int = 0
) -> tuple[ServiceRecorder, ServiceContext] | None:
    """Simulate the service jobs of `scenario` once; None if it has no service queue."""
    queues = [queue.jobQueueName for queue in scenario.jobQueues if queue.is_service]
    if not queues:
        return None
    drawn = build_services(scenario, seed, replication)
    workload = drawn if scenario.horizon is None else drawn.before(scenario.horizon)
    plan, world = prepare_services(scenario, workload, seed, replication)
    left_out = len(drawn) - len(workload)
    recorder = simulate_services(plan, replace(world, goes_on=left_out > 0), horizon_us=scenario.horizon)
    context = ServiceContext(
        submit_us=workload.submit_us,
        job_class=workload.job_class,
        ordinal=workload.ordinal,
        classes=workload.classes,
        queues={queue.name: [share.name for share in queue.quota_shares] for queue in plan.queues},
        not_submitted=left_out,
        notes=workload.notes,
    )
    return recorder, context


def add_services(result: Result, services: tuple[ServiceRecorder, ServiceContext] | None) -> Result:
    """The same result with what happened to the service jobs, if there is a service queue."""
    if services is None:
        return result
    from batchsim.results.services import (  # noqa: PLC0415 - pandas is slow
        service_attempts_frame,
        service_frame,
        summarize_services,
    )

    result.service_jobs = service_frame(*services)
    result.service_attempts = service_attempts_frame(*services)
    result.summary["services"] = summarize_services(*services)
    result.manifest["workload"] |= services[1].notes
    return result
