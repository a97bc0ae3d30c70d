"""Nobody is forgotten: whatever a job waits for, it is looked at again when that has changed."""

from __future__ import annotations

import pytest

from batchsim.core import waits
from batchsim.core.commands import LAUNCH
from batchsim.core.consumables import ConsumablePlan, Consumables
from batchsim.core.feasibility import MAX_RESOURCE, never_starts
from batchsim.core.plan import EnvironmentPlan, Need, Policy, QueuePlan, TimeLimit
from batchsim.core.shares import FairSharePolicy
from batchsim.core.states import FAILED, RUNNABLE, STARTING
from batchsim.drivers.ec2 import Capacity
from batchsim.drivers.world import Boot
from tests.harness import Checked, PlanBuilder, machine, managed

ONE = Need(1, 1, 0)
NO_CAPACITY = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"


def submitted(builder: PlanBuilder) -> Checked:
    """A scheduler that has been told of all jobs."""
    core = Checked(builder.plan())
    for job in range(len(builder.submit_us)):
        core.tell("job_submitted", 0, job)
    return core


# ------------------------------------------------------------------------------------------- fair shares


def fair(**policy: object) -> list[QueuePlan]:
    return [QueuePlan("q", 1, (0,), fair_share=FairSharePolicy(share_decay_us=10, **policy))]


def test_a_share_that_becomes_active_frees_its_part_of_the_reservation_at_once():
    """Its job is PENDING for the job that the reservation keeps waiting; else both would wait for ever."""
    own = EnvironmentPlan("own", (0,), unmanaged_vcpus=8)
    builder = PlanBuilder([machine(8)], [own], fair(reservation_percent=50), shares="ab")
    first = builder.job(0, 5, Need(6, 1, 0), share=0)
    second = builder.job(3, 5, ONE, share=1, after=[first])
    core = Checked(builder.plan())
    core.tell("instance_joined", 0, 0, 0)
    core.tell("job_submitted", 0, first)
    assert core.decide(0) == []
    core.tell("job_submitted", 3, second)
    assert core.decide(3) == [f"Start(job={first}, instance=0)"]


def test_nothing_is_launched_for_nodes_that_the_reservation_keeps_waiting_together():
    places = [managed([0], 8, gangs=True)]
    builder = PlanBuilder([machine(4)], places, fair(reservation_percent=50), shares="a")
    builder.nodes_job(0, 5, [Need(3, 1, 0)] * 2, share=0)
    core = submitted(builder)
    assert core.decide(0) == []
    assert list(core.waits.reason) == [waits.RESERVATION]


# ------------------------------------------------------------------------- several compute environments


@pytest.mark.parametrize(
    "first",
    [
        managed([0], 8, min_vcpus=8, enabled=False),
        managed([0], 3, min_vcpus=1),
    ],
    ids=["DISABLED", "maxvCpus below the job"],
)
def test_room_where_a_job_may_not_go_is_no_reason_not_to_launch_elsewhere(first):
    builder = PlanBuilder([machine(8)], [first, managed([0], 8)], [QueuePlan("q", 1, (0, 1))])
    builder.job(5, 5, Need(4, 1, 0))
    core = Checked(builder.plan())
    assert core.decide(0) == ["Launch(instance=0, environment=0, type=0)"]
    core.tell("instance_ready", 1, 0)
    core.decide(1)
    core.tell("job_submitted", 5, 0)
    assert core.decide(5) == ["Launch(instance=1, environment=1, type=0)"]


def test_a_type_above_max_vcpus_is_none_where_that_is_never_exceeded():
    """BEST_FIT with On-Demand [spec 3.2]; whoever waits behind such a job gets no instances in vain."""
    place = managed([0, 1], 4, strategy="BEST_FIT", overshoots=False)
    builder = PlanBuilder([machine(2, 8, usd=0.1), machine(8, 100, usd=0.8)], [place])
    builder.job(0, 5, Need(1, 50, 0))
    builder.job(0, 5, ONE)
    core = submitted(builder)
    assert core.decide(0) == []
    assert never_starts(builder.plan(), 0, 0) == MAX_RESOURCE
    assert core.waiting_reasons()[0] == MAX_RESOURCE


# ----------------------------------------------------------------------------------------- multi-node jobs


def test_nodes_behind_the_head_do_not_take_what_maxvcpus_leaves_for_it():
    types = [machine(4, 8, usd=0.4), machine(8, 100, usd=0.8)]
    builder = PlanBuilder(types, [managed([0, 1], 8, gangs=True)])
    builder.job(0, 5, Need(1, 50, 0))
    builder.nodes_job(0, 5, [Need(3, 1, 0)] * 2)
    assert submitted(builder).decide(0) == ["Launch(instance=0, environment=0, type=1)"]


def test_instances_that_boot_one_after_another_are_kept_for_nodes_also_where_others_may_pass():
    builder = PlanBuilder([machine(4)], [managed([0], 8, gangs=True)], policy=Policy(backfill="greedy"))
    builder.nodes_job(0, 5, [ONE] * 2)
    core = submitted(builder)
    core.decide(0)
    core.tell("instance_ready", 1, 0)
    assert core.decide(1) == []
    core.tell("instance_ready", 9, 1)
    assert core.decide(9) == ["StartNodes(job=0, instances=(0, 1))"]


def test_nothing_is_kept_for_nodes_that_lack_a_licence():
    queues = [QueuePlan("nodes", 2, (0,)), QueuePlan("other", 1, (0,))]
    builder = PlanBuilder(
        [machine(2, 8, usd=0.1), machine(4, 100, usd=0.4)],
        [managed([0, 1], 2, gangs=True, min_vcpus=0, desired_vcpus=2)],
        queues,
        consumables=[ConsumablePlan("licences", 0)],
    )
    builder.nodes_job(1, 5, [ONE], asks=((0, 1),))
    builder.job(1, 5, Need(1, 50, 0), queue=1)
    core = Checked(builder.plan())
    assert core.decide(0) == ["Launch(instance=0, environment=0, type=0)"]
    for job in range(2):
        core.tell("job_submitted", 1, job)
    core.decide(1)
    core.tell("instance_ready", 2, 0)
    assert core.decide(2) == ["Terminate(instance=0)", "Launch(instance=1, environment=0, type=1)"]


def test_nodes_wait_where_capacity_is_insufficient_and_launch_nothing_elsewhere():
    """[spec 1.11]: all nodes run in one environment, and an insufficient one blocks the queue."""
    places = [managed([0], 8, gangs=True), managed([0], 8, gangs=True)]
    limit = TimeLimit(NO_CAPACITY, 600)
    queues = [QueuePlan("q", 1, (0, 1), time_limits=(limit,))]
    builder = PlanBuilder([machine(4)], places, queues, Policy(launch_cooloff_us=100))
    builder.nodes_job(0, 5, [ONE] * 2)
    core = submitted(builder)
    core.decide(0)
    for instance in (0, 1):
        core.tell("launch_failed", 5, instance)
    assert core.decide(5) == []
    assert core.waits.reason[-1] == waits.NO_CAPACITY
    assert core.decide(105) == [f"Launch(instance={each}, environment=0, type=0)" for each in (2, 3)]


# -------------------------------------------------------------------------------------- what is freed


def test_a_lost_machine_of_one_job_makes_room_under_maxvcpus_for_the_next():
    place = EnvironmentPlan("fargate", (0,), managed=True, max_vcpus=2, per_job=True)
    builder = PlanBuilder([machine(2)], [place])
    for _ in range(2):
        builder.job(0, 5, Need(2, 1, 0))
    core = submitted(builder)
    core.decide(0)
    assert core.tell("instance_lost", 3, 0, "Your Spot Task was interrupted.") == [0]
    assert core.decide(3) == ["Launch(instance=1, environment=0, type=0)", "Start(job=1, instance=1)"]


def test_what_is_used_up_never_leaves_a_debt():
    resources = Consumables([ConsumablePlan("credits", 3, replenishable=False)])
    resources.lock(((0, 2),))
    resources.update(0, "SET", 0)
    resources.unlock(((0, 2),))
    resources.update(0, "ADD", 2)
    assert resources.missing(((0, 2),)) == -1


def test_a_time_limit_of_an_attempt_that_is_over_wakes_nobody():
    builder = PlanBuilder([machine(2)], [EnvironmentPlan("own", (0,))])
    builder.job(0, 5, Need(2, 1, 0), timeout_us=100)
    builder.job(0, 5, Need(2, 1, 0))
    core = submitted(builder)
    core.tell("instance_joined", 0, 0, 0)
    core.decide(0)
    core.tell("attempt_started", 0, 0)
    assert core.next_wakeup() == 100
    core.tell("attempt_exited", 5, 0, 0)
    assert core.decide(5) == ["Start(job=1, instance=0)"]
    assert core.next_wakeup() is None


# ------------------------------------------------------------------------------------- launches that fail


def test_minvcpus_are_launched_again_after_a_launch_that_failed():
    policy = Policy(launch_cooloff_us=10)
    core = Checked(PlanBuilder([machine(2)], [managed([0], 4, min_vcpus=2)], policy=policy).plan())
    core.decide(0)
    core.tell("launch_failed", 3, 0)
    assert core.decide(3) == []
    assert core.next_wakeup() == 13
    assert core.decide(13) == ["Launch(instance=1, environment=0, type=0)"]


def test_a_head_has_lacked_capacity_since_the_first_of_its_launches_that_failed():
    """Trying again does not begin a new wait, and while it is tried nobody is cancelled [spec 1.17]."""
    queues = [QueuePlan("q", 1, (0,), time_limits=(TimeLimit(NO_CAPACITY, 20),))]
    builder = PlanBuilder([machine(2)], [managed([0], 4)], queues, Policy(launch_cooloff_us=8))
    builder.job(0, 5, ONE)
    core = submitted(builder)
    log = []
    for now in (0, 2, 10, 12, 20, 22, 23):
        log += [(now, *command[:2]) for command in core.commands(now)]
        booting = [each.index for each in core.instances if each.state == 0]
        if now in {2, 12, 23}:
            for index in booting:
                core.tell("launch_failed", now, index)
            log += [(now, *command[:2]) for command in core.commands(now)]
    assert [(now, index) for now, kind, index in log if kind == LAUNCH] == [(0, 0), (10, 1), (20, 2)]
    assert core.state[0] == FAILED
    assert log[-1][0] == 23
    reasons = [waits.LAUNCHING, waits.NO_CAPACITY] * 3
    assert list(core.waits.reason) == [waits.DECISION, *reasons, waits.NOTHING]


# --------------------------------------------------------------------------------- what heads wait for


def test_a_head_waits_for_its_instances_as_soon_as_they_are_launched():
    builder = PlanBuilder([machine(8)], [managed([0], 8)], policy=Policy(scaling_interval_us=4))
    builder.job(1, 5, ONE)
    core = Checked(builder.plan())
    core.decide(0)
    core.tell("job_submitted", 1, 0)
    core.decide(1)
    core.decide(4)
    log = core.waits
    assert list(zip(log.at_us, log.reason, strict=True)) == [(1, waits.DECISION), (4, waits.LAUNCHING)]


def test_a_pass_for_newcomers_notes_that_an_instance_has_gone():
    """The head needs eight vCPUs; once one of the two instances is lost, a launch for it is allowed."""
    builder = PlanBuilder(
        [machine(4), machine(8)],
        [managed([0, 1], max_vcpus=8, min_vcpus=8)],
        policy=Policy(scaling_interval_us=30, size_tiebreak="smallest_fitting"),
    )
    builder.job(0, 99, Need(4, 1, 0))
    builder.job(1, 5, Need(8, 1, 0))
    builder.job(3, 5, Need(4, 1, 0))
    core = Checked(builder.plan())
    for command in core.commands(0):
        core.tell("instance_ready", 0, command[1])
    core.tell("job_submitted", 0, 0)
    assert core.decide(0) == ["Start(job=0, instance=0)"]
    core.tell("job_submitted", 1, 1)
    core.decide(1)
    core.tell("instance_lost", 2, 1, "lost")
    core.decide(2)
    core.tell("job_submitted", 3, 2)
    core.decide(3)
    log = core.waits
    assert list(zip(log.at_us, log.reason, strict=True)) == [(1, waits.AT_MAX), (3, waits.DECISION)]


def test_a_head_lacks_capacity_no_more_once_its_environment_is_invalid():
    """Its time limit, which is for lack of capacity, must not be reached by what it waited for before."""
    place = managed([0, 1], 16, 2, desired_vcpus=2, invalid_after_us=100)
    limit = TimeLimit(NO_CAPACITY, 150)
    policy = Policy(scaling_interval_us=200, launch_cooloff_us=10_000)
    types = [machine(2, 8, usd=0.1), machine(8, 64, usd=1)]
    builder = PlanBuilder(types, [place], [QueuePlan("q", 1, (0,), time_limits=(limit,))], policy)
    builder.job(0, 1, Need(8, 1, 0))
    for at in (10, 20, 30, 110):
        builder.job(at, 1, Need(2, 1, 0))
    record = builder.run(
        1000, never_registers={0}, boot=Boot(0, 1, 10_000), capacity=Capacity({0: 0.0, 1: 1.0})
    )
    assert (record.w_at_us[-1], record.w_reason[-1]) == (110, waits.ALL_INVALID)
    assert record.state[0] == RUNNABLE


def test_where_others_may_pass_a_head_is_known_although_no_pass_tries_it():
    builder = PlanBuilder([machine(2)], [EnvironmentPlan("own", (0,))], policy=Policy(backfill="greedy"))
    for _ in range(3):
        builder.job(0, 5, Need(2, 1, 0))
    core = Checked(builder.plan())
    core.tell("instance_joined", 0, 0, 0)
    core.tell("job_submitted", 0, 0)
    core.decide(0)
    for job in (1, 2):
        core.tell("job_submitted", 1, job)
    core.decide(1)
    assert core.waits.head == [1]
    core.tell("attempt_exited", 3, 0, 1)
    assert core.decide(3) == ["Start(job=1, instance=0)"]
    assert core.waits.head == [2]


def test_a_time_limit_does_not_cancel_who_has_started_meanwhile():
    """A queue in which others may pass had a head that waited for capacity, and then found room."""
    queues = [
        QueuePlan("q", 1, (0, 1), time_limits=(TimeLimit(NO_CAPACITY, 20),)),
        QueuePlan("r", 2, (1,)),
    ]
    places = [managed([0], 4), EnvironmentPlan("own", (1,))]
    types = [machine(4), machine(2)]
    builder = PlanBuilder(types, places, queues, Policy(backfill="greedy", launch_cooloff_us=1000))
    builder.job(0, 99, Need(2, 1, 0), queue=1)
    builder.job(0, 99, Need(2, 1, 0))
    builder.job(0, 99, Need(2, 1, 0))
    core = submitted(builder)
    core.tell("instance_joined", 0, 1, 1)
    assert "Launch(instance=1, environment=0, type=0)" in core.decide(0)
    core.tell("launch_failed", 1, 1)
    core.decide(1)
    assert (core.waits.head[0], core.waits.reason[-1]) == (1, waits.NO_CAPACITY)
    core.tell("attempt_exited", 5, 0, 1)
    assert core.decide(5) == ["Start(job=1, instance=0)"]
    core.decide(21)
    assert core.state[1] == STARTING
    assert core.state[2] == RUNNABLE
