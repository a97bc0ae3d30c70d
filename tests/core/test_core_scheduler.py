"""What the scheduler commands, event by event; every law is checked after every call."""

from __future__ import annotations

import pytest

from batchsim.core import invariants
from batchsim.core.plan import EnvironmentPlan, ExitRule, Need, Policy, QueuePlan
from batchsim.core.states import FAILED, RUNNABLE, RUNNING, STARTING, SUBMITTED, SUCCEEDED
from batchsim.errors import ContractError
from tests.harness import SECOND, Checked, PlanBuilder, machine, managed

ONE = Need(1, 100, 0)


def one_machine(vcpus: int = 2, **more: object) -> PlanBuilder:
    return PlanBuilder([machine(vcpus)], [EnvironmentPlan("e", (0,))], **more)


def ready(builder: PlanBuilder) -> Checked:
    core = Checked(builder.plan())
    core.tell("instance_joined", 0, 0, 0)
    return core


def test_runnable_job_starts_on_the_free_instance():
    builder = one_machine()
    builder.job(0, 1, ONE)
    core = ready(builder)
    core.tell("job_submitted", 0, 0)
    assert core.decide(0) == ["Start(job=0, instance=0)"]
    assert core.state[0] == STARTING
    core.tell("attempt_started", 5, 0)
    assert core.state[0] == RUNNING
    assert core.tell("attempt_exited", 9, 0, 0) == SUCCEEDED
    assert core.decide(9) == []
    assert core.next_wakeup() is None


def test_head_of_line_blocks_those_who_would_fit():
    builder = one_machine(4)
    for vcpus in (2, 4, 1):
        builder.job(0, 1, Need(vcpus, 4, 0))
    core = ready(builder)
    for job in range(3):
        core.tell("job_submitted", 0, job)
    assert core.decide(0) == ["Start(job=0, instance=0)"]
    core.tell("attempt_started", 0, 0)
    core.tell("attempt_exited", 7, 0, 0)
    assert core.decide(7) == ["Start(job=1, instance=0)"]


def test_greedy_backfill_lets_those_who_fit_pass():
    builder = one_machine(4, policy=Policy(backfill="greedy"))
    for vcpus in (2, 4, 1, 1, 1):
        builder.job(0, 1, Need(vcpus, 4, 0))
    core = ready(builder)
    for job in range(5):
        core.tell("job_submitted", 0, job)
    assert core.decide(0) == [f"Start(job={job}, instance=0)" for job in (0, 2, 3)]


def test_retried_jobs_go_to_the_front_in_order_of_submission():
    builder = one_machine(2)
    for _ in range(4):
        builder.job(0, 1, ONE, attempts=2)
    core = ready(builder)
    for job in range(4):
        core.tell("job_submitted", 0, job)
    core.decide(0)
    for job in (0, 1):
        core.tell("attempt_started", 0, job)
    assert core.tell("attempt_exited", 5, 1, 1) == RUNNABLE
    assert core.tell("attempt_exited", 5, 0, 1) == RUNNABLE
    assert core.decide(5) == ["Start(job=0, instance=0)", "Start(job=1, instance=0)"]
    for job in (0, 1):
        core.tell("attempt_started", 7, job)
        assert core.tell("attempt_exited", 7, job, 1) == FAILED
    assert core.decide(7) == ["Start(job=2, instance=0)", "Start(job=3, instance=0)"]


HOST_RULES = (ExitRule("Host EC2*", None, None, retry=True), ExitRule(None, "*", None, retry=False))


def test_lost_host_is_retried_by_rule_and_another_failure_is_not():
    builder = PlanBuilder([machine(2)], [EnvironmentPlan("e", (0,))])
    builder.job(0, 1, ONE, attempts=5, rules=HOST_RULES)
    core = ready(builder)
    core.tell("job_submitted", 0, 0)
    for loss in (1, 2):
        index = loss - 1
        assert core.decide(loss * 10) == [f"Start(job=0, instance={index})"]
        core.tell("attempt_started", loss * 10, 0)
        lost = core.tell("instance_lost", loss * 10 + 5, index, "Host EC2 (instance i-1) terminated.")
        assert lost == [0]
        assert core.state[0] == RUNNABLE
        core.tell("instance_joined", loss * 10 + 5, 0, 0)
    assert core.decide(30) == ["Start(job=0, instance=2)"]
    core.tell("attempt_started", 30, 0)
    assert core.tell("attempt_exited", 35, 0, 3) == FAILED
    assert core.attempt[0] == 3


def test_instance_lost_while_starting_ends_the_attempt_at_that_instant():
    builder = one_machine()
    builder.job(0, 1, ONE)
    core = ready(builder)
    core.tell("job_submitted", 0, 0)
    core.decide(0)
    assert core.tell("instance_lost", 3, 0, "Host EC2 (instance i-0) terminated.") == [0]
    assert core.state[0] == FAILED
    assert core.status_reason[0] == "Host EC2 (instance i-0) terminated."


def test_timeout_stops_the_attempt_and_is_never_retried():
    builder = one_machine()
    builder.job(0, 1, ONE, attempts=3, timeout_us=60 * SECOND)
    core = ready(builder)
    core.tell("job_submitted", 0, 0)
    core.decide(0)
    core.tell("attempt_started", 5 * SECOND, 0)
    assert core.next_wakeup() == 65 * SECOND
    assert core.decide(64 * SECOND) == []
    assert core.decide(65 * SECOND) == ["Stop(job=0, status_reason='Job attempt duration exceeded timeout')"]
    assert core.tell("attempt_exited", 95 * SECOND, 0, 137) == FAILED
    assert core.status_reason[0] == "Job attempt duration exceeded timeout"
    assert core.attempt[0] == 1


def test_a_container_that_exits_0_on_sigterm_still_timed_out():
    builder = one_machine()
    builder.job(0, 1, ONE, timeout_us=SECOND)
    core = ready(builder)
    core.tell("job_submitted", 0, 0)
    core.decide(0)
    core.tell("attempt_started", 0, 0)
    core.decide(SECOND)
    assert core.tell("attempt_exited", SECOND + 1, 0, 0) == FAILED


def test_an_exit_at_the_instant_of_the_timeout_is_in_time():
    builder = one_machine()
    builder.job(0, 1, ONE, timeout_us=SECOND)
    core = ready(builder)
    core.tell("job_submitted", 0, 0)
    core.decide(0)
    core.tell("attempt_started", 0, 0)
    assert core.tell("attempt_exited", SECOND, 0, 0) == SUCCEEDED
    assert core.decide(SECOND) == []


def test_timeout_clock_restarts_with_each_attempt():
    builder = one_machine()
    builder.job(0, 1, ONE, attempts=2, timeout_us=60 * SECOND)
    core = ready(builder)
    core.tell("job_submitted", 0, 0)
    core.decide(0)
    core.tell("attempt_started", 0, 0)
    core.tell("attempt_exited", 59 * SECOND, 0, 1)
    core.decide(59 * SECOND)
    core.tell("attempt_started", 59 * SECOND, 0)
    assert core.decide(60 * SECOND) == []
    assert core.tell("attempt_exited", 118 * SECOND, 0, 0) == SUCCEEDED


def test_higher_priority_queue_is_served_first_and_does_not_reserve():
    queues = [QueuePlan("low", 1, (0,)), QueuePlan("high", 10, (0,))]
    builder = PlanBuilder([machine(4)], [EnvironmentPlan("e", (0,))], queues)
    for _ in range(3):
        builder.job(0, 1, ONE, queue=0)
    builder.job(0, 1, Need(3, 4, 0), queue=1)
    builder.job(0, 1, Need(3, 4, 0), queue=1)
    core = ready(builder)
    for job in range(5):
        core.tell("job_submitted", 0, job)
    assert core.decide(0) == ["Start(job=3, instance=0)", "Start(job=0, instance=0)"]


def test_equal_priorities_take_turns():
    queues = [QueuePlan("a", 1, (0,)), QueuePlan("b", 1, (0,))]
    builder = PlanBuilder([machine(1)], [EnvironmentPlan("e", (0,))], queues)
    for queue in (0, 0, 1, 1):
        builder.job(0, 1, ONE, queue=queue)
    core = ready(builder)
    for job in range(4):
        core.tell("job_submitted", 0, job)
    started = []
    for now in range(4):
        (command,) = core.decide(now)
        job = int(command.split("=")[1].split(",")[0])
        started.append(job)
        core.tell("attempt_started", now, job)
        core.tell("attempt_exited", now + 1, job, 0)
    assert started == [0, 2, 1, 3]


def test_passes_happen_on_the_grid_of_the_scheduling_interval():
    builder = one_machine(policy=Policy(scheduling_interval_us=SECOND, submit_evaluation_us=SECOND))
    builder.job(0, 1, ONE)
    core = ready(builder)
    core.tell("job_submitted", SECOND // 4, 0)
    assert core.state[0] == SUBMITTED
    assert core.next_wakeup() == 2 * SECOND
    assert core.decide(SECOND) == []
    assert core.decide(2 * SECOND) == ["Start(job=0, instance=0)"]
    assert core.runnable_us[0] == SECOND + SECOND // 4


def test_gpus_are_kept_for_those_who_need_them():
    types = [machine(8, gpus=1), machine(16)]
    builder = PlanBuilder(types, [EnvironmentPlan("e", (0, 1))])
    builder.job(0, 1, ONE)
    builder.job(0, 1, Need(1, 4, 1))
    builder.job(0, 1, Need(1, 4, 1))
    core = Checked(builder.plan())
    core.tell("instance_joined", 0, 0, 0)
    core.tell("instance_joined", 0, 0, 1)
    for job in range(3):
        core.tell("job_submitted", 0, job)
    assert core.decide(0) == ["Start(job=0, instance=1)", "Start(job=1, instance=0)"]


def test_jobs_wait_for_an_environment_that_can_grow_before_they_go_to_the_next():
    types = [machine(2)]
    environments = [managed([0], max_vcpus=4), EnvironmentPlan("own", (0,))]
    builder = PlanBuilder(types, environments, [QueuePlan("q", 1, (0, 1))])
    for _ in range(5):
        builder.job(0, 1, Need(2, 4, 0))
    core = Checked(builder.plan())
    core.tell("instance_joined", 0, 1, 0)
    for job in range(5):
        core.tell("job_submitted", 0, job)
    assert core.decide(0) == [
        "Launch(instance=1, environment=0, type=0)",
        "Launch(instance=2, environment=0, type=0)",
        "Start(job=0, instance=0)",  # only now, because environment 0 has reached its maximum
    ]
    core.tell("instance_ready", 5, 1)
    core.tell("instance_ready", 5, 2)
    assert core.decide(5) == ["Start(job=1, instance=1)", "Start(job=2, instance=2)"]


ILLEGAL = {
    "submitted twice": ("job_submitted", 9, 0),
    "started though not placed": ("attempt_started", 9, 1),
    "exited though not placed": ("attempt_exited", 9, 1, 0),
    "succeeded while STARTING": ("attempt_exited", 9, 0, 0),
    "ready though not launched": ("instance_ready", 9, 0),
    "failed to launch though ready": ("launch_failed", 9, 0),
    "time went back": ("attempt_started", 3, 0),
}


@pytest.mark.parametrize("call", ILLEGAL.values(), ids=ILLEGAL.keys())
def test_an_impossible_event_is_refused_and_changes_nothing(call):
    builder = one_machine()
    builder.job(0, 1, ONE)
    builder.job(0, 1, ONE)
    core = ready(builder)
    core.tell("job_submitted", 4, 0)
    core.decide(4)
    before = (
        core.now,
        bytes(core.state),
        list(core.instance_of),
        core.instances[0].free_vcpus,
        core.next_wakeup(),
    )
    name, *arguments = call
    with pytest.raises(ContractError):
        getattr(core.core, name)(*arguments)
    after = (
        core.now,
        bytes(core.state),
        list(core.instance_of),
        core.instances[0].free_vcpus,
        core.next_wakeup(),
    )
    assert before == after
    invariants.check(core.core)


def test_a_machine_cannot_join_a_managed_environment_unasked():
    builder = PlanBuilder([machine(2)], [managed([0], 4)])
    core = Checked(builder.plan())
    with pytest.raises(ContractError, match="managed"):
        core.core.instance_joined(0, 0, 0)


def test_a_lost_instance_cannot_be_lost_again():
    core = ready(one_machine())
    core.tell("instance_lost", 1, 0, "gone")
    with pytest.raises(ContractError, match="gone already"):
        core.core.instance_lost(2, 0, "gone")
