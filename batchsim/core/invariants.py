"""Every law of the scheduler's state, checked in full: O(state), for tests and for `--check`.

The laws' numbers are those of the audit, which checks the same things from the outside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsim.core.fleet import BOOTING, READY
from batchsim.core.scheduler import UNBORN
from batchsim.core.states import FAILED, RUNNABLE, RUNNING, STARTING, SUBMITTED, SUCCEEDED
from batchsim.errors import ContractError

if TYPE_CHECKING:
    from batchsim.core.scheduler import Scheduler


def check(core: Scheduler) -> None:
    """Raise ContractError, naming the law, unless all laws hold."""
    _attempts_are_bounded(core)
    _instances_add_up(core)
    _jobs_hold_what_they_should(core)
    _every_job_is_counted_once(core)
    _environments_keep_their_bounds(core)


def _require(law: str, holds: bool, what: str) -> None:  # noqa: FBT001 - it reads as a sentence
    if not holds:
        raise ContractError(f"law {law}: {what}")


def _attempts_are_bounded(core: Scheduler) -> None:
    for job, attempts in enumerate(core.attempt):
        allowed = core.plan.classes[core.plan.class_of[job]].attempts
        _require("L5", attempts <= allowed, f"job {job} began {attempts} of {allowed} attempts")


def _instances_add_up(core: Scheduler) -> None:
    plan = core.plan
    for instance in core.instances:
        machine = plan.types[instance.type]
        held = [plan.needs[plan.classes[plan.class_of[job]].need] for job in instance.jobs]
        free = (
            machine.vcpus - sum(need.vcpus for need in held),
            machine.memory_mib - sum(need.memory_mib for need in held),
            machine.gpus - sum(need.gpus for need in held),
        )
        said = (instance.free_vcpus, instance.free_memory, instance.free_gpus)
        _require("L3", min(free) >= 0, f"instance {instance.index} holds more than it has")
        if instance.state == READY:
            _require("L3", free == said, f"instance {instance.index} says {said} are free, but {free} are")
        else:
            _require("L4", not instance.jobs, f"instance {instance.index} is not READY and holds jobs")


def _jobs_hold_what_they_should(core: Scheduler) -> None:
    places: dict[int, int] = {}
    for instance in core.instances:
        for job in instance.jobs:
            _require("L4", job not in places, f"job {job} holds two instances")
            places[job] = instance.index
    for job, state in enumerate(core.state):
        holds = state in {STARTING, RUNNING}
        _require("L4", holds == (job in places), f"job {job} is in state {state} and holds {places.get(job)}")
        if holds:
            _require("L4", core.instance_of[job] == places[job], f"job {job} is not where it should be")


def _every_job_is_counted_once(core: Scheduler) -> None:
    waiting = core.waiting_jobs()
    _require("L6", len(waiting) == len(set(waiting)), "a job waits twice")
    for job in waiting:
        _require("L6", core.state[job] == RUNNABLE, f"job {job} waits but is in state {core.state[job]}")
    _require("L6", core.state.count(RUNNABLE) == len(waiting), "a RUNNABLE job waits nowhere")
    known = {UNBORN, SUBMITTED, RUNNABLE, STARTING, RUNNING, SUCCEEDED, FAILED}
    _require("L2", set(core.state) <= known, "a job is in a state that does not exist")


def _environments_keep_their_bounds(core: Scheduler) -> None:
    for index, scaler in enumerate(core.capacity.scalers):
        if scaler is None:
            continue
        environment = core.plan.environments[index]
        there = [
            instance
            for instance in core.instances
            if instance.environment == index and instance.state in {BOOTING, READY}
        ]
        provisioned = sum(instance.vcpus for instance in there)
        largest = max((instance.vcpus for instance in there), default=0)
        _require("L7", provisioned == scaler.provisioned, f"environment {index} miscounts its vCPUs")
        bound = max(environment.max_vcpus - 1, 0) + largest
        _require("L7", provisioned <= bound, f"environment {index} has {provisioned} vCPUs")
        for type_index, booting in scaler.booting.items():
            truth = sum(each.state == BOOTING and each.type == type_index for each in there)
            _require("L7", booting == truth, f"environment {index} miscounts what boots")
