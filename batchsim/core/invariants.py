"""Every law of the scheduler's state, checked in full: O(state), for tests and for `--check`.

The laws' numbers are those of the audit, which checks the same things from the outside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsim.core.columns import UNBORN
from batchsim.core.fleet import BOOTING, GONE, READY, RETIRING, Instance
from batchsim.core.managedinstances import SharedFleet
from batchsim.core.states import FAILED, PENDING, RUNNABLE, RUNNING, STARTING, SUBMITTED, SUCCEEDED
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
    _quotas_of_tasks_are_kept(core)


def _require(law: str, holds: bool, what: str) -> None:  # noqa: FBT001 - it reads as a sentence
    if not holds:
        raise ContractError(f"law {law}: {what}")


def _attempts_are_bounded(core: Scheduler) -> None:
    if not core.plan.policy.start_failures_count:
        return
    for job, attempts in enumerate(core.attempt):
        allowed = core.plan.classes[core.plan.class_of[job]].attempts
        _require("L5", attempts <= allowed, f"job {job} began {attempts} of {allowed} attempts")


def _instances_add_up(core: Scheduler) -> None:
    for instance in core.instances:
        said = (instance.free_vcpus, instance.free_memory, instance.free_gpus)
        free = _free(core, instance)
        _require("L3", min(free) >= 0, f"instance {instance.index} holds more than it has")
        if instance.state == READY or (instance.state == RETIRING and instance.jobs):
            _require("L3", free == said, f"instance {instance.index} says {said} are free, but {free} are")
            left = instance.gpus_left.bit_count()
            _require("L3", left == free[2] or free == (0, 0, 0), f"instance {instance.index} lost a GPU")
        else:
            _require("L4", not instance.jobs, f"instance {instance.index} is not READY and holds jobs")


def _free(core: Scheduler, instance: Instance) -> tuple[int, int, int]:
    """What must be free on an instance; nothing while a node of a multi-node job has it for itself."""
    plan = core.plan
    machine = plan.types[instance.type]
    needs = [plan.classes[plan.class_of[job]].need for job in instance.jobs]
    if plan.gangs and any(plan.gangs[need] is not None for need in needs):
        _require("L4", len(needs) == 1, f"instance {instance.index} is shared with a multi-node job")
        return 0, 0, 0
    return (
        machine.usable_vcpus - sum(plan.needs[need].vcpus for need in needs),
        machine.memory_mib - sum(plan.needs[need].memory_mib for need in needs),
        machine.gpus - sum(plan.needs[need].gpus for need in needs),
    )


def _jobs_hold_what_they_should(core: Scheduler) -> None:
    plan = core.plan
    places: dict[int, list[int]] = {}
    for instance in core.instances:
        for job in instance.jobs:
            places.setdefault(job, []).append(instance.index)
    for job, state in enumerate(core.state):
        holds = state in {STARTING, RUNNING}
        _require("L4", holds == (job in places), f"job {job} is in state {state} and holds {places.get(job)}")
        if holds:
            gang = plan.gangs[plan.classes[plan.class_of[job]].need] if plan.gangs else None
            most = 1 if gang is None else len(gang.nodes)
            _require("L4", len(places[job]) <= most, f"job {job} holds the instances {places[job]}")
            _require("L4", core.instance_of[job] in places[job], f"job {job} is not where it should be")


def _every_job_is_counted_once(core: Scheduler) -> None:
    waiting = core.waiting_jobs()
    _require("L6", len(waiting) == len(set(waiting)), "a job waits twice")
    for job in waiting:
        _require("L6", core.state[job] == RUNNABLE, f"job {job} waits but is in state {core.state[job]}")
    _require("L6", core.state.count(RUNNABLE) == len(waiting), "a RUNNABLE job waits nowhere")
    known = {UNBORN, SUBMITTED, PENDING, RUNNABLE, STARTING, RUNNING, SUCCEEDED, FAILED}
    _require("L2", set(core.state) <= known, "a job is in a state that does not exist")


def _environments_keep_their_bounds(core: Scheduler) -> None:
    for index, scaler in enumerate(core.capacity.scalers):
        if scaler is None:
            continue
        there = [
            instance
            for instance in core.instances
            if instance.environment == index and instance.state != GONE
        ]
        provisioned = sum(instance.vcpus for instance in there)
        largest = max((instance.vcpus for instance in there), default=0)
        _require("L7", provisioned == scaler.provisioned, f"environment {index} miscounts its vCPUs")
        retiring = sum(instance.vcpus for instance in there if instance.state == RETIRING)
        _require("L7", retiring == scaler.retiring, f"environment {index} miscounts what it replaces")
        for type_index, booting in scaler.booting.items():
            truth = sum(each.state == BOOTING and each.type == type_index for each in there)
            _require("L7", booting == truth, f"environment {index} miscounts what boots")
        if isinstance(fleet := core.fleets[index], SharedFleet):
            _jobs_are_within(core, fleet, there, scaler.highest_max)
            continue
        bound = max(scaler.highest_max - 1, 0) + largest
        _require("L7", provisioned <= bound, f"environment {index} has {provisioned} vCPUs")


def _quotas_of_tasks_are_kept(core: Scheduler) -> None:
    for quota in core.plan.quotas:
        used = sum(
            each.vcpus
            for each in core.instances
            if each.type in quota.rows
            and each.state != GONE
            and core.plan.environments[each.environment].per_job
        )
        _require("L7", used <= quota.vcpus, f"tasks use {used} vCPUs of the quota {quota.name}")


def _jobs_are_within(core: Scheduler, fleet: SharedFleet, there: list[Instance], most: int) -> None:
    plan = core.plan
    used = 0
    for instance in there:
        for job in instance.jobs:
            need = plan.classes[plan.class_of[job]].need
            used += plan.needs[need].vcpus
            kind = plan.types[instance.type].kind
            _require("L7", kind == plan.kind_of(need), f"job {job} is on a machine of another kind")
    _require("L7", used == fleet.used_vcpus, "the vCPUs of jobs on Managed Instances are miscounted")
    _require("L7", used <= most, f"jobs on Managed Instances have {used} vCPUs")
