"""What every driver does in the same way: the beginning, instances, ends of attempts, requests, the end.

A driver owns time and the world; this is the rest of its duty. All of it writes the record.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final

import numpy as np

from batchsim.core.columns import UNBORN
from batchsim.core.fleet import BOOTING, GONE
from batchsim.core.grid import NEVER
from batchsim.core.scheduler import ESSENTIAL_CONTAINER_EXITED
from batchsim.core.states import FAILED, RUNNABLE, RUNNING, STARTING, SUCCEEDED
from batchsim.drivers.ec2 import write_prices
from batchsim.drivers.world import PlanUpdate, ResourceUpdate
from batchsim.results.cost import INTERRUPTED
from batchsim.results.recording import instance_id

if TYPE_CHECKING:
    from batchsim.core.scheduler import Scheduler
    from batchsim.drivers.attempts import Ending
    from batchsim.drivers.ec2 import Ec2
    from batchsim.drivers.fargate import TokenBuckets
    from batchsim.drivers.world import Machines, Request, World
    from batchsim.results.recording import Outcome, Recorder


REPLACED: Final = "replaced: infrastructure update"
DRAINED: Final = "drained: too old"
NOT_REGISTERED: Final = "given up: never registered"
EXPIRED: Final = "expired: Fargate"
LEFT: Final = "left: machine of the user"

TASK_DRAINED: Final = "Task stopped during instance draining"  # [spec 1.6]
TASK_EXPIRED: Final = (
    "Task terminated: Fargate keeps no task for longer"  # ours: AWS does not publish its own
)
TASK_INTERRUPTED: Final = "Your Spot Task was interrupted."  # [spec 1.6, 4.2]


def join_machines(core: Scheduler, recorder: Recorder, world: World, now: int, row: int) -> range:
    """Those of `world.machines[row]` register with their environment; gives their instances.

    None does when all jobs have ended, or when nothing else is to come for those that are left: nobody would
    know.
    """
    machines, first = world.machines[row], len(core.instances)
    if now and not world.goes_on and (_all_ended(core) or not goes_on(core, world, now)):
        return range(0)
    for number in range(machines.count):
        name = f"{machines.name}-{number + 1}" if machines.name and machines.count > 1 else machines.name
        index = recorder.add_instance(machines.environment, machines.type, now, name)
        joined = core.instance_joined(now, machines.environment, machines.type)
        assert joined == index
        recorder.i_running_us[index] = recorder.i_ready_us[index] = now
    return range(first, len(core.instances))


def register(core: Scheduler, now: int, instance: int) -> None:
    """An instance that was launched is ready, unless it was lost before."""
    if core.instances[instance].state == BOOTING:
        core.instance_ready(now, instance)


def fail_launch(core: Scheduler, recorder: Recorder, ec2: Ec2, now: int, instance: int) -> None:
    """EC2 refuses an instance that was asked for, and is still wanted; the reason is written already."""
    if core.instances[instance].state != BOOTING:
        return
    environment = recorder.i_environment[instance]
    core.launch_failed(now, instance, ec2.closed(now, environment, core.plan.environments[environment].types))
    recorder.i_ended_us[instance] = now


def lose(
    core: Scheduler, recorder: Recorder, world: World, now: int, instance: int
) -> list[tuple[int, bool]] | None:
    """EC2 takes an instance back, or a machine of the user leaves; gives the jobs whose attempts ended, and
    whether each job did.

    None, and nothing is done, if it is gone already, or if nothing else is to come in this run.
    """
    if core.instances[instance].state == GONE or not goes_on(core, world, now):
        return None
    if not core.plan.environments[recorder.i_environment[instance]].managed:
        return lose_host(core, recorder, now, instance, (LEFT, host_terminated(instance)))
    if _drains(recorder, world, now, instance):
        return lose_host(core, recorder, now, instance, (DRAINED, TASK_DRAINED))
    if task_expires_at(world, recorder, instance) == now:
        return lose_host(core, recorder, now, instance, (EXPIRED, TASK_EXPIRED))
    if world.interruptions is not None and core.instances[instance].type in world.interruptions.tasks:
        return lose_host(core, recorder, now, instance, ("interrupted: Fargate Spot", TASK_INTERRUPTED))
    return lose_host(core, recorder, now, instance, (INTERRUPTED, host_terminated(instance)))


def _drains(recorder: Recorder, world: World, now: int, instance: int) -> bool:
    """Whether an ECS Managed Instance is too old, whose tasks fail then [spec 3.9]."""
    after = world.drains_after_us.get(recorder.i_environment[instance], -1)
    return after >= 0 and now == recorder.i_running_us[instance] + after


def host_terminated(instance: int) -> str:
    """The status reason of attempts that end with their instance [spec 1.6]."""
    return f"Host EC2 (instance {instance_id(instance)}) terminated."


def lose_host(
    core: Scheduler, recorder: Recorder, now: int, instance: int, why: tuple[str, str]
) -> list[tuple[int, bool]]:
    """As `lose`, whatever has taken it; `why` is that in the record of the instance, and of its attempts."""
    recorder.i_end_reason[instance], text = why
    recorder.i_ended_us[instance] = now
    starting = {job for job in core.instances[instance].jobs if core.state[job] == STARTING}
    ended = []
    for job in core.instance_lost(now, instance, text):
        recorder.ended_us[job] = now
        if job in starting:
            recorder.started_us[job] = -1
        ended.append((job, _write_end(core, recorder, job, text, core.attempt[job])))
    return ended


def provision(world: World, buckets: TokenBuckets, recorder: Recorder, now: int, instance: int) -> int:
    """When the images of a task are pulled, from which on it is billed: then it is there [spec 4.3]."""
    assert world.tasks is not None
    launched = buckets.launch_at(now, recorder.i_environment[instance])
    there = launched + world.tasks.provision_us(world.seed, world.replication, instance)
    recorder.i_running_us[instance] = recorder.i_ready_us[instance] = there
    return there


def task_lost_at(world: World, recorder: Recorder, instance: int) -> int:
    """When a Fargate Spot task is taken back; NEVER for anything else."""
    row = recorder.i_type[instance]
    if world.interruptions is None or row not in world.interruptions.tasks:
        return NEVER
    running = recorder.i_running_us[instance]
    return world.interruptions.lost_at(world.seed, world.replication, instance, row, running)


def task_expires_at(world: World, recorder: Recorder, instance: int) -> int:
    """When a Fargate task has lived for too long; NEVER for anything else, and where none ever has."""
    tasks = world.tasks
    if tasks is None or not tasks.lifetime_us or recorder.i_environment[instance] not in tasks.bucket_of:
        return NEVER
    return recorder.i_running_us[instance] + tasks.lifetime_us


def give_back(core: Scheduler, recorder: Recorder, now: int, instance: int) -> None:
    """Obey TERMINATE."""
    recorder.i_ended_us[instance] = now
    recorder.i_end_reason[instance] = _why_retired(core, instance) or "scaled in: idle"


def evict(core: Scheduler, recorder: Recorder, now: int, instance: int) -> list[tuple[int, bool]] | None:
    """What EVICT asked for, in the next round; as `lose`.

    AWS says that the jobs are terminated and may be retried, which jobs that TerminateJob has ended may not;
    so it is taken to be the instance that is terminated.
    """
    if core.instances[instance].state == GONE:
        return None
    return lose_host(core, recorder, now, instance, (REPLACED, host_terminated(instance)))


def _why_retired(core: Scheduler, instance: int) -> str:
    if instance in core.updates.registration.failed:
        return NOT_REGISTERED
    return REPLACED if instance in core.updates.replaced else ""


def end_attempt(core: Scheduler, recorder: Recorder, now: int, job: int, ending: Ending) -> bool:
    """Tell and write down how an attempt ended, at `recorder.ended_us[job]`; gives whether the job did."""
    attempt = core.attempt[job]
    exit_code, status_reason, reason = ending
    core.attempt_exited(now, job, exit_code, status_reason, reason)
    recorder.exit_code[job] = -1 if exit_code is None else exit_code
    if reason:
        recorder.reason[job] = reason
    instance = recorder.instance[job]
    if core.instances[instance].state == GONE and recorder.i_ended_us[instance] < 0:
        recorder.i_ended_us[instance] = recorder.ended_us[job]
        recorder.i_end_reason[instance] = "task stopped"
    return _write_end(core, recorder, job, status_reason, attempt)


def _write_end(core: Scheduler, recorder: Recorder, job: int, status_reason: str, attempt: int) -> bool:
    """Why an attempt has ended; gives whether the job has ended with it."""
    if status_reason != ESSENTIAL_CONTAINER_EXITED:
        recorder.status_reason[job] = status_reason
    if core.state[job] != RUNNABLE:
        return True
    recorder.attempts[job] = attempt
    recorder.keep_attempt(job)
    return False


def tell_request(core: Scheduler, request: Request, now: int, submitted: int) -> None:
    """What a user does, to those of the first `submitted` jobs that it is about."""
    if isinstance(request, PlanUpdate):
        core.plan_updated(now, request.update)
        return
    if isinstance(request, ResourceUpdate):
        core.consumable_updated(now, request.resource, request.operation, request.quantity)
        return
    tell = core.job_cancelled if request.action == "cancel" else core.job_terminated
    for rows in request.rows:
        for job in range(rows.start, min(rows.stop, submitted)):
            tell(now, job, request.reason)


def conclude(
    core: Scheduler, recorder: Recorder, world: World, horizon_us: int | None
) -> tuple[int, Outcome]:
    """Take over what the scheduler has kept, and write prices; gives when the run ended, and how."""
    ended_us, outcome = _conclude(core, recorder, world, horizon_us)
    if world.capacity.prices:
        write_prices(world.capacity, recorder, ended_us)
    return ended_us, outcome


def _conclude(
    core: Scheduler, recorder: Recorder, world: World, horizon_us: int | None
) -> tuple[int, Outcome]:
    """Finished when every job has ended; else at the horizon, if anything would happen there or later; else
    stalled, with a reason for each job that waits.
    """
    recorder.runnable_us = core.runnable_us
    recorder.state = core.state
    recorder.attempts = array("b", core.attempt)
    recorder.status_reason.update(core.status_reason)
    recorder.requested = core.requested
    for name in ("queue", "at_us", "reason", "detail"):
        setattr(recorder, f"w_{name}", getattr(core.waits, name))
    all_ended = _all_ended(core)
    ended_us = _last_happening_us(recorder, world)
    if horizon_us is not None:
        if world.goes_on or (not all_ended and goes_on(core, world, horizon_us)):
            if world.tasks is not None:
                _undo_tasks(recorder, horizon_us)
            return horizon_us, "horizon"
        ended_us = min(ended_us, horizon_us)
    if all_ended:
        return ended_us, "finished"
    recorder.status_reason.update(core.waiting_reasons())
    return ended_us, "stalled"


def _undo_tasks(recorder: Recorder, horizon_us: int) -> None:
    """Jobs whose tasks would be provisioned at the horizon or later are RUNNABLE still."""
    for job, placed in enumerate(recorder.placed_us):
        if placed >= horizon_us:
            recorder.placed_us[job] = recorder.instance[job] = -1
            recorder.attempts[job] -= 1


def _all_ended(core: Scheduler) -> bool:
    return core.state.count(SUCCEEDED) + core.state.count(FAILED) == len(core.state)


def goes_on(core: Scheduler, world: World, now: int) -> bool:
    """Whether anything is to happen at an instant or later, other than that instances are lost.

    What users ask for, and machines of theirs that join, are nothing to a run whose jobs have all ended; a
    machine on which none of the others could run is nothing to these.
    """
    return (
        world.goes_on
        or any(state in core.state for state in (UNBORN, STARTING, RUNNING))
        or core.due_us != NEVER
        or any(instance.state == BOOTING for instance in core.instances)
        or (any(request.at_us >= now for request in world.requests) and not _all_ended(core))
        or any(each.joins_us >= now and _could_use(core, each) for each in world.machines)
    )


def _could_use(core: Scheduler, machines: Machines) -> bool:
    """Whether a job that has not ended would fit on an empty machine of an environment that its queue has, or
    may get by an update.
    """
    plan = core.plan
    has = [bool(plan.updates) or machines.environment in queue.environments for queue in plan.queues]
    fits = bytes(
        has[each.queue] and plan.types[machines.type].holds(plan.needs[each.need]) for each in plan.classes
    )
    return any(
        fits[kind]
        for kind, state in zip(plan.class_of, core.state, strict=True)
        if state not in {SUCCEEDED, FAILED}
    )


def _last_happening_us(recorder: Recorder, world: World) -> int:
    """The end of a run that was not cut off; later wake-ups, for time limits of the past, are nothing."""
    columns = (
        recorder.runnable_us,
        recorder.ended_us,
        recorder.e_ended_us,
        recorder.i_ready_us,
        recorder.i_ended_us,
    )
    latest = [int(np.frombuffer(column, np.int64).max()) for column in columns if column]
    return max([0, *latest, *world.submit_us[-1:]])
