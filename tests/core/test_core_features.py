"""What jobs ask for beside room: dependencies, requests, consumables, GPUs, nodes, shares, time limits."""

from __future__ import annotations

from dataclasses import replace

import pytest

from batchsim.core import waits
from batchsim.core.consumables import ConsumablePlan
from batchsim.core.dependencies import Graph
from batchsim.core.plan import EnvironmentPlan, Gang, Need, Policy, QueuePlan, TimeLimit
from batchsim.core.shares import FairSharePolicy
from batchsim.core.states import FAILED, PENDING, RUNNABLE, RUNNING, STARTING, SUCCEEDED
from batchsim.errors import ContractError
from tests.harness import SECOND, Checked, PlanBuilder, machine, managed

ONE = Need(1, 4, 0)


def pool(vcpus: int, jobs: int, need: Need = ONE, gpus: int = 0, **more: object) -> PlanBuilder:
    """A queue on one machine, with jobs of equal need."""
    builder = PlanBuilder([machine(vcpus, gpus=gpus)], [EnvironmentPlan("e", (0,))])
    for _ in range(jobs):
        builder.job(0, 1, need, **more)
    return builder


def begun(plan, jobs: int | None = None) -> Checked:
    """A scheduler with its machine there and all jobs submitted at 0."""
    core = Checked(plan)
    core.tell("instance_joined", 0, 0, 0)
    for job in range(len(plan.class_of) if jobs is None else jobs):
        core.tell("job_submitted", 0, job)
    return core


def end(core: Checked, now: int, job: int, code: int | None = 0, *reasons: str) -> None:
    if core.state[job] == STARTING and code == 0:
        core.tell("attempt_started", now, job)
    core.tell("attempt_exited", now, job, code, *reasons)


def chain(jobs: int) -> Graph:
    starts = [*range(jobs), jobs - 1]
    return Graph(jobs, starts, list(range(1, jobs)), [0] + [1] * (jobs - 1))


# ------------------------------------------------------------------------------------------- dependencies


def test_a_job_is_pending_until_what_it_waits_for_has_succeeded():
    core = begun(replace(pool(9, 3).plan(), graph=chain(3)))
    assert core.decide(0) == ["Start(job=0, instance=0)"]
    assert list(core.state[1:]) == [PENDING, PENDING]
    end(core, 5, 0)
    assert core.decide(5) == ["Start(job=1, instance=0)"]
    assert core.state[2] == PENDING
    assert core.runnable_us[1] == 5


def test_spec_14_a_failure_fails_all_who_wait_from_pending():
    core = begun(replace(pool(9, 3).plan(), graph=chain(3)))
    core.decide(0)
    end(core, 5, 0, 1)
    assert core.decide(5) == [
        "Fail(job=1, status_reason='Dependent Job failed')",
        "Fail(job=2, status_reason='Dependent Job failed')",
    ]
    assert list(core.state) == [FAILED] * 3


def test_who_is_submitted_after_its_predecessor_failed_fails_then_and_only_then_those_behind():
    core = begun(replace(pool(9, 3).plan(), graph=chain(3)), jobs=1)
    core.tell("job_submitted", 0, 2)
    core.decide(0)
    end(core, 5, 0, 1)
    assert core.decide(5) == []
    assert core.state[2] == PENDING
    core.tell("job_submitted", 7, 1)
    assert [line.split(",")[0] for line in core.decide(7)] == ["Fail(job=1", "Fail(job=2"]


# ----------------------------------------------------------------------------------------------- requests


def test_spec_13_a_runnable_job_that_is_cancelled_is_failed_at_once_and_lets_the_next_advance():
    builder = pool(4, 1, Need(3, 4, 0))
    builder.job(0, 1, Need(3, 4, 0), attempts=10)
    builder.job(0, 1, ONE)
    core = begun(builder.plan())
    assert core.decide(0) == ["Start(job=0, instance=0)"]
    core.tell("job_cancelled", 4, 1, "not needed")
    assert core.decide(4) == ["Fail(job=1, status_reason='not needed')", "Start(job=2, instance=0)"]
    assert core.requested == {1: "cancelled"}


def test_spec_12_cancelling_a_running_job_has_no_effect_and_terminating_it_stops_it_for_good():
    core = begun(pool(9, 2, attempts=3).plan())
    core.decide(0)
    core.tell("attempt_started", 1, 0)
    core.tell("job_cancelled", 2, 0, "no")
    assert core.decide(2) == []
    for job in (0, 1):
        core.tell("job_terminated", 3, job, "enough")
        core.tell("job_terminated", 3, job, "again")
    assert core.decide(3) == [f"Stop(job={job}, status_reason='enough')" for job in (0, 1)]
    end(core, 4, 0, 143)
    end(core, 4, 1, None)
    assert list(core.state) == [FAILED, FAILED]
    assert core.status_reason == {0: "enough", 1: "enough"}
    assert core.requested == {0: "terminated", 1: "terminated"}
    core.tell("job_cancelled", 9, 0, "late")
    assert core.decide(9) == []


def test_a_pending_job_that_is_cancelled_fails_when_all_it_waits_for_has_ended():
    for code, reason in ((0, "not needed"), (1, "Dependent Job failed")):
        core = begun(replace(pool(9, 2).plan(), graph=chain(2)))
        core.decide(0)
        core.tell("job_cancelled", 1, 1, "not needed")
        assert core.decide(1) == []
        assert core.state[1] == PENDING
        end(core, 2, 0, code)
        assert core.decide(2) == [f"Fail(job=1, status_reason={reason!r})"]


def test_jobs_are_withdrawn_wherever_they_wait():
    for backfill in ("none", "greedy"):
        builder = pool(1, 5)
        builder.policy = Policy(scheduling_interval_us=10, backfill=backfill)
        core = begun(builder.plan(), jobs=4)
        assert core.decide(0) == ["Start(job=0, instance=0)"]
        core.tell("job_cancelled", 1, 2, "x")  # in the middle of its queue
        assert core.decide(1) == ["Fail(job=2, status_reason='x')"]
        core.tell("job_submitted", 2, 4)
        core.tell("job_cancelled", 3, 4, "x")  # no pass has seen it yet
        core.tell("job_cancelled", 3, 1, "x")  # the head
        assert len(core.decide(3)) == 2
        end(core, 5, 0)
        assert core.decide(10) == ["Start(job=3, instance=0)"]
        assert core.waiting_jobs() == []


def test_a_request_for_a_job_that_was_never_submitted_is_a_bug():
    core = begun(pool(1, 1).plan(), jobs=0)
    with pytest.raises(ContractError, match="job 0 was cancelled; it is not submitted"):
        core.tell("job_cancelled", 0, 0, "x")


# -------------------------------------------------------------------------------------------- consumables


def test_spec_25_jobs_wait_for_a_consumable_resource_and_give_it_back():
    plan = replace(pool(9, 5).plan(), asks=(((0, 3),),), consumables=[ConsumablePlan("licence", 10)])
    core = begun(plan)
    assert core.decide(0) == [f"Start(job={job}, instance=0)" for job in (0, 1, 2)]
    assert list(core.waits.reason) == [waits.CONSUMABLE]
    for job in (0, 1, 2):
        end(core, 60, job)
    assert core.decide(60) == [f"Start(job={job}, instance=0)" for job in (3, 4)]


def test_spec_26_what_cannot_be_replenished_is_used_up():
    once = [ConsumablePlan("sample", 5, replenishable=False)]
    core = begun(replace(pool(9, 4).plan(), asks=(((0, 2),),), consumables=once))
    assert len(core.decide(0)) == 2
    for job in (0, 1):
        end(core, 60, job)
    assert core.decide(60) == []
    assert next(iter(core.waiting_reasons().values())).startswith("Less of the consumable resource sample")
    core.tell("consumable_updated", 70, 0, "ADD", 1)
    assert core.decide(70) == ["Start(job=2, instance=0)"]


# --------------------------------------------------------------------------------------------------- GPUs


def test_spec_45_gpus_are_pinned_by_number_and_never_shared():
    core = begun(pool(9, 4, Need(1, 4, 2), gpus=4).plan())
    assert len(core.decide(0)) == 2
    assert core.gpus_of == {0: 0b0011, 1: 0b1100}
    end(core, 5, 0)
    assert core.decide(5) == ["Start(job=2, instance=0)"]
    assert core.gpus_of[2] == 0b0011


# ------------------------------------------------------------------------------------- multi-node jobs


def gang(max_vcpus: int, nodes: int = 4, jobs: int = 1, **policy: int) -> PlanBuilder:
    """Jobs of several nodes on 4-vCPU instances."""
    builder = PlanBuilder([machine(4, usd=1)], [managed([0], max_vcpus, gangs=True)], policy=Policy(**policy))
    for _ in range(jobs):
        builder.job(0, 1, Need(2, 4, 0), attempts=2)
    plan = replace(builder.plan(), gangs=(Gang((0,) * nodes, main=1),))
    builder.plan = lambda: plan
    return builder


def test_spec_20_all_nodes_or_none():
    plan = gang(12).plan()
    core = Checked(plan)
    core.tell("job_submitted", 0, 0)
    assert core.decide(0) == []
    assert "COMPUTE_ENVIRONMENT_MAX_RESOURCE" in core.waiting_reasons()[0]
    core = Checked(gang(16).plan())
    core.tell("job_submitted", 0, 0)
    assert core.decide(0) == [f"Launch(instance={i}, environment=0, type=0)" for i in range(4)]
    for instance in range(3):
        core.tell("instance_ready", instance, instance)
        assert core.decide(instance) == []
    assert list(core.waits.reason)[-1] == waits.LAUNCHING
    core.tell("instance_ready", 9, 3)
    assert core.decide(9) == ["StartNodes(job=0, instances=(0, 1, 2, 3))"]
    assert core.instance_of[0] == 1


def ready_gang(**more: int) -> Checked:
    core = Checked(gang(16, nodes=3, **more).plan())
    core.tell("job_submitted", 0, 0)
    core.decide(0)
    for instance in range(3):
        core.tell("instance_ready", 0, instance)
    assert core.decide(0) == ["StartNodes(job=0, instances=(0, 1, 2))"]
    core.tell("attempt_started", 0, 0)
    return core


def test_spec_21_a_node_that_is_lost_changes_nothing_and_the_main_node_ends_the_job():
    core = ready_gang(idle_scale_in_us=50)
    assert core.tell("instance_lost", 3, 2, "Host EC2 (instance i-2) terminated.") == []
    assert core.state[0] == RUNNING
    core.decide(3)
    end(core, 7, 0)
    assert core.state[0] == SUCCEEDED
    core.decide(7)
    assert core.decide(57) == ["Terminate(instance=0)", "Terminate(instance=1)"]


def test_spec_22_a_main_node_that_fails_or_is_lost_means_all_nodes_again():
    core = ready_gang(idle_scale_in_us=50)
    end(core, 5, 0, 1)
    assert core.decide(5) == ["StartNodes(job=0, instances=(0, 1, 2))"]
    core = ready_gang(idle_scale_in_us=50)
    assert core.tell("instance_lost", 5, 1, "Host EC2 (instance i-1) terminated.") == [0]
    assert core.state[0] == RUNNABLE
    assert core.decide(5) == ["Launch(instance=3, environment=0, type=0)"]
    core.tell("instance_ready", 70, 3)
    assert core.decide(70) == ["StartNodes(job=0, instances=(0, 2, 3))"], "the idle ones were kept meanwhile"


def test_two_gangs_never_hold_parts_of_what_each_other_needs():
    core = Checked(gang(20, nodes=3, jobs=2, idle_scale_in_us=50).plan())
    for job in (0, 1):
        core.tell("job_submitted", 0, job)
    assert len(core.decide(0)) == 3, "five would fit, but not six"
    for instance in range(3):
        core.tell("instance_ready", 1, instance)
    assert core.decide(1) == ["StartNodes(job=0, instances=(0, 1, 2))"]
    core.tell("attempt_started", 1, 0)
    end(core, 9, 0)
    assert core.decide(9) == ["StartNodes(job=1, instances=(0, 1, 2))"]


def test_nobody_shares_an_instance_with_a_node():
    builder = gang(16, nodes=3)
    plan = builder.plan()
    plan = replace(
        plan,
        needs=[*plan.needs, ONE],
        gangs=(*plan.gangs, None),
        classes=[*plan.classes, replace(plan.classes[0], need=1)],
        class_of=[0, 1],
    )
    core = Checked(plan)
    core.tell("job_submitted", 0, 0)
    core.decide(0)
    for instance in range(3):
        core.tell("instance_ready", 0, instance)
    core.decide(0)
    core.tell("job_submitted", 1, 1)
    assert core.decide(1) == ["Launch(instance=3, environment=0, type=0)"]


# ------------------------------------------------------------------------------------- time limits on heads


def test_spec_27_a_head_that_can_never_start_is_cancelled_and_the_next_becomes_head():
    limit = TimeLimit("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT", 600 * SECOND)
    queue = QueuePlan("q", 1, (0,), time_limits=(limit,))
    builder = PlanBuilder([machine(2, usd=1)], [managed([0], 64)], [queue], Policy(idle_scale_in_us=1))
    builder.job(0, 1, Need(4, 4, 0))
    builder.job(0, 1, ONE)
    core = Checked(builder.plan())
    for job in (0, 1):
        core.tell("job_submitted", SECOND, job)
    assert core.decide(SECOND) == []
    assert core.next_wakeup() == 601 * SECOND
    reason = "Canceled by JobStateTimeLimit action due to reason: MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"
    assert core.decide(601 * SECOND) == [
        f"Fail(job=0, status_reason={reason!r})",
        "Launch(instance=0, environment=0, type=0)",
    ]


# ------------------------------------------------------------------------------------------- fair share


def shares(vcpus: int, *jobs: tuple[int, int, int], **policy: object) -> Checked:
    """(share, vCPUs, priority) of each job, all submitted at 0."""
    queue = QueuePlan("q", 1, (0,), fair_share=FairSharePolicy(**policy))
    environment = EnvironmentPlan("e", (0,), unmanaged_vcpus=vcpus)
    builder = PlanBuilder([machine(vcpus)], [environment], [queue])
    for share, size, priority in jobs:
        builder.job(0, 1, Need(size, 4, 0), share=share, priority=priority)
    return begun(replace(builder.plan(), shares=["A", "B"]))


def started(core: Checked, now: int = 0) -> list[int]:
    return [int(line.split("=")[1].split(",")[0]) for line in core.decide(now)]


def test_spec_32_equal_weights_give_equal_vcpus():
    core = shares(256, *[(0, 32, 0)] * 9, *[(1, 64, 0)] * 9)
    running = started(core)
    assert sum(job < 9 for job in running) == 4
    assert sum(job >= 9 for job in running) == 2


def test_spec_34_a_reservation_is_not_given_out_until_another_share_is_active():
    builder_jobs = [(0, 1, 0)] * 300
    core = shares(256, *builder_jobs, (1, 1, 0), reservation_percent=50)
    assert len(started(core)) == 192
    core = shares(256, *builder_jobs, reservation_percent=50)
    assert len(started(core)) == 128
    assert list(core.waits.reason) == [waits.RESERVATION]
    assert core.waiting_reasons()[128].startswith("The fair-share reservation")


def test_spec_36_priority_counts_inside_a_share_only():
    assert started(shares(1, (0, 1, 1), (0, 1, 100))) == [1]
    core = shares(2, (0, 1, 100), (0, 1, 100), (1, 1, 1))
    assert started(core) == [0, 2]


def test_spec_37_a_501st_active_share_is_refused():
    queue = QueuePlan("q", 1, (0,), fair_share=FairSharePolicy())
    builder = PlanBuilder([machine(1)], [EnvironmentPlan("e", (0,))], [queue])
    for share in range(501):
        builder.job(0, 1, ONE, share=share)
    core = Checked(replace(builder.plan(), shares=[f"s{share}" for share in range(501)]))
    for job in range(501):
        core.core.job_submitted(0, job)
    assert core.decide(0)[0].startswith("Fail(job=500, status_reason='SubmitJob was refused")
    assert core.state[500] == FAILED


def test_nothing_is_launched_behind_a_gang_for_which_there_is_no_room():
    """It would idle, be given back, and be launched again."""
    plan = gang(16, nodes=4).plan()
    plan = replace(
        plan,
        needs=[plan.needs[0], Need(4, 4, 0)],
        gangs=(plan.gangs[0], Gang((1, 1))),
        classes=[plan.classes[0], replace(plan.classes[0], need=1)],
        class_of=[1, 0, 1],
    )
    core = Checked(plan)
    core.tell("job_submitted", 0, 0)
    assert len(core.decide(0)) == 2
    for instance in (0, 1):
        core.tell("instance_ready", 0, instance)
    assert core.decide(0) == ["StartNodes(job=0, instances=(0, 1))"]
    for job in (1, 2):
        core.tell("job_submitted", 1, job)
    assert core.decide(1) == []
