"""Environments where each job has a machine of its own."""

from __future__ import annotations

from dataclasses import replace

from batchsim.core.plan import EnvironmentPlan, Need, Plan, Policy, QueuePlan, Quota
from batchsim.core.states import RUNNABLE, SUCCEEDED
from batchsim.core.waits import AT_MAX, NOTHING, TASK_QUOTA
from tests.harness import Checked, PlanBuilder, machine

SIZES = [machine(1, 2048, name="1-2"), machine(2, 4096, name="2-4"), machine(4, 8192, name="4-8")]


def fargate(max_vcpus: int, *needs: Need, **more: object) -> Checked:
    environment = EnvironmentPlan("f", (0, 1, 2), managed=True, max_vcpus=max_vcpus, per_job=True)
    builder = PlanBuilder(SIZES, [environment])
    for need in needs:
        builder.job(0, 1, need, **more)
    core = Checked(builder.plan())
    for job in range(len(needs)):
        core.tell("job_submitted", 0, job)
    return core


def test_each_job_gets_the_smallest_machine_that_holds_it_and_takes_it_along():
    core = fargate(10, Need(1, 2048, 0), Need(2, 3000, 0))
    assert core.decide(0) == [
        "Launch(instance=0, environment=0, type=0)",
        "Start(job=0, instance=0)",
        "Launch(instance=1, environment=0, type=1)",
        "Start(job=1, instance=1)",
    ]
    core.tell("attempt_started", 0, 0)
    core.tell("attempt_exited", 5, 0, 0)
    assert core.state[0] == SUCCEEDED
    assert core.fleets[0].used_vcpus == 2
    assert core.decide(5) == []


def test_a_job_gets_a_machine_of_its_kind():
    sizes = [*SIZES, *(replace(size, kind=1) for size in SIZES)]
    environment = EnvironmentPlan("f", tuple(range(6)), managed=True, max_vcpus=10, per_job=True)
    builder = PlanBuilder(sizes, [environment])
    for kind in (1, 0):
        builder.job(0, 1, Need(2, 3000, 0), kind=kind)
    core = Checked(builder.plan())
    for job in (0, 1):
        core.tell("job_submitted", 0, job)
    assert core.decide(0)[::2] == [
        "Launch(instance=0, environment=0, type=4)",
        "Launch(instance=1, environment=0, type=1)",
    ]


def test_the_vcpus_of_jobs_never_exceed_the_maximum():
    core = fargate(3, *[Need(2, 4096, 0)] * 3)
    assert len(core.decide(0)) == 2
    assert list(core.waits.reason) == [AT_MAX]
    core.tell("attempt_started", 0, 0)
    core.tell("attempt_exited", 9, 0, 0)
    assert core.decide(9)[-1] == "Start(job=1, instance=1)"


def test_a_machine_that_is_lost_frees_its_vcpus_and_its_job_is_retried_on_another():
    core = fargate(2, Need(2, 4096, 0), attempts=2)
    core.decide(0)
    assert core.tell("instance_lost", 4, 0, "Your Spot Task was interrupted.") == [0]
    assert core.state[0] == RUNNABLE
    assert core.decide(4)[-1] == "Start(job=0, instance=1)"


def test_jobs_too_large_for_fargate_spill_nowhere_and_say_why():
    core = fargate(64, Need(8, 16384, 0))
    assert core.decide(0) == []
    assert "JOB_RESOURCE_REQUIREMENT" in core.waiting_reasons()[0]


def test_jobs_spill_to_the_next_environment_when_the_first_is_at_its_maximum():
    first, second = (
        EnvironmentPlan(name, (0, 1, 2), managed=True, max_vcpus=size, per_job=True)
        for name, size in (("spot", 2), ("on-demand", 8))
    )
    builder = PlanBuilder(SIZES, [first, second], [QueuePlan("q", 1, (0, 1))])
    for _ in range(3):
        builder.job(0, 1, Need(1, 2048, 0))
    core = Checked(builder.plan())
    for job in range(3):
        core.tell("job_submitted", 0, job)
    core.decide(0)
    assert [instance.environment for instance in core.instances] == [0, 0, 1]


def test_a_quota_counts_the_machines_of_all_environments_and_is_told_from_the_maximum():
    """Of 4 vCPUs, machines of 2 for jobs of 1.5 GiB a vCPU; the second environment has room for one more."""
    places = [
        EnvironmentPlan(name, (0, 1, 2), managed=True, max_vcpus=size, per_job=True)
        for name, size in (("a", 2), ("b", 8))
    ]
    queues = [QueuePlan("p", 1, (0,)), QueuePlan("q", 1, (1,))]
    builder = PlanBuilder(SIZES, places, queues)
    builder.quotas = [Quota(frozenset({0, 1, 2}), 4, name="onDemand.Fargate")]
    for queue in (0, 1, 1):
        builder.job(0, 1, Need(1, 3000, 0), queue)
    core = Checked(builder.plan())
    for job in range(3):
        core.tell("job_submitted", 0, job)
    assert core.decide(0)[1::2] == ["Start(job=0, instance=0)", "Start(job=1, instance=1)"]
    assert list(core.waits.reason) == [TASK_QUOTA]
    core.tell("attempt_started", 0, 0)
    core.tell("attempt_exited", 5, 0, 0)
    assert core.decide(5)[1] == "Start(job=2, instance=2)"
    assert list(core.waits.reason) == [TASK_QUOTA, NOTHING]
    core.tell("instance_lost", 6, 1, "Your Spot Task was interrupted.")
    assert core.fleets[1].lacks_quota(0) is False


def test_a_job_whose_machine_no_quota_ever_allows_never_starts():
    core = Checked(quoted(1, Need(1, 3000, 0)))
    core.tell("job_submitted", 0, 0)
    assert core.decide(0) == []
    assert list(core.waits.reason) == [TASK_QUOTA]
    assert core.waiting_reasons()[0].startswith("CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY")
    core = Checked(quoted(2, Need(1, 3000, 0)))
    core.tell("job_submitted", 0, 0)
    assert core.decide(0)[1:] == ["Start(job=0, instance=0)"]


def quoted(vcpus: int, need: Need) -> Plan:
    builder = PlanBuilder(SIZES, [EnvironmentPlan("f", (0, 1, 2), managed=True, max_vcpus=8, per_job=True)])
    builder.quotas = [Quota(frozenset({0, 1, 2}), vcpus)]
    builder.job(0, 1, need)
    return builder.plan()


def test_under_easy_no_job_waits_for_the_machine_of_another():
    """Those for whom there is room may pass; a machine goes with its job, however small the head is."""
    builder = PlanBuilder(
        SIZES,
        [EnvironmentPlan("f", (0, 1, 2), managed=True, max_vcpus=3, per_job=True)],
        policy=Policy(backfill="easy"),
    )
    for vcpus in (2, 2, 2, 1):
        builder.job(0, 10, Need(vcpus, 2048, 0))
    core = Checked(builder.plan())
    for job in range(4):
        core.tell("job_submitted", 0, job)
    assert core.decide(0)[1::2] == ["Start(job=0, instance=0)", "Start(job=3, instance=1)"]
    core.tell("attempt_started", 0, 0)
    core.tell("attempt_exited", 10, 0, 0)
    assert core.decide(10)[1::2] == ["Start(job=1, instance=2)"]
