"""Service jobs in FIFO and fair-share queues: the specification's scenarios, and the rules one by one."""

from __future__ import annotations

import pytest

from batchsim.core.plan import ExitRule, TimeLimit
from batchsim.core.services.commands import FAIL, SCHEDULE
from batchsim.core.services.plan import NO_UNIT, ServiceClassPlan, ServiceEnvironmentPlan, ServiceQueuePlan
from batchsim.core.services.reasons import (
    BEHIND,
    DISABLED,
    MAX_RESOURCE,
    NO_CAPACITY,
    NO_ROOM,
    RESERVED,
    TIMED_OUT,
    TOO_MANY_SHARES,
)
from batchsim.core.services.scheduler import ServiceScheduler
from batchsim.core.services.states import FAILED, RUNNABLE, RUNNING, SCHEDULED, SUBMITTED, SUCCEEDED
from batchsim.core.shares import FairSharePolicy
from batchsim.errors import ContractError
from tests.service_worlds import SECOND, ServiceBuilder, quota

ONE = (ServiceEnvironmentPlan("training", (1,)),)
TWO = (ServiceEnvironmentPlan("training", (2,)),)


def waiting_for(core, job):
    return core.waiting_reasons()[job]


def started(builder: ServiceBuilder, jobs: int):
    """A scheduler whose jobs are submitted at 0; those that find room are RUNNING."""
    core = builder.checked()
    core.submit(0, jobs)
    core.run(0, *core.scheduled(0))
    return core


# ------------------------------------------------------------------------- the specification's scenarios


def test_spec_60_the_sixth_job_waits_and_a_capacity_failure_uses_no_attempt():
    builder = ServiceBuilder()
    for _ in range(6):
        builder.job(10)
    core = builder.checked()
    core.submit(0, 6)
    assert core.scheduled(0) == [0, 1, 2, 3, 4]
    assert (core.state[5], waiting_for(core, 5)) == (RUNNABLE, NO_ROOM)

    assert core.tell("capacity_refused", 5 * SECOND, 2) == RUNNABLE
    assert (core.attempt[2], core.capacity_retries[2]) == (0, 1)
    assert core.scheduled(5 * SECOND) == [2]
    assert (core.attempt[2], core.state[2], core.state[5]) == (1, SCHEDULED, RUNNABLE)

    core.run(9 * SECOND, 0)
    core.end(9 * SECOND, 0)
    assert core.scheduled(9 * SECOND) == [5]


# ----------------------------------------------------------------------------------- order and retries


def test_the_head_blocks_those_who_would_fit():
    builder = ServiceBuilder(TWO)
    for instances in (1, 2, 1):
        builder.job(instances)
    core = started(builder, 3)
    assert [core.state[job] for job in range(3)] == [RUNNING, RUNNABLE, RUNNABLE]
    assert (waiting_for(core, 1), waiting_for(core, 2)) == (NO_ROOM, BEHIND)


def test_a_retried_job_goes_to_the_front_and_uses_an_attempt():
    builder = ServiceBuilder(ONE)
    builder.job(attempts=2)
    builder.job()
    core = started(builder, 2)
    assert core.exit(1, 0) == RUNNABLE
    assert core.scheduled(1) == [0]
    core.run(1, 0)
    assert core.exit(2, 0, "Received status from SageMaker: AlgorithmError") == FAILED
    assert core.status_reason[0] == "Received status from SageMaker: AlgorithmError"
    assert core.attempt[0] == 2
    assert core.scheduled(2) == [1]


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("Received status from SageMaker: InternalServerError: try again", RUNNABLE),
        ("Received status from SageMaker: ValidationException: no", FAILED),
        ("Received status from SageMaker: AlgorithmError: exit code 1", RUNNABLE),
    ],
)
def test_rules_match_the_words_of_sagemaker(text, state):
    said = "Received status from SageMaker: "
    rules = (
        ExitRule(f"{said}InternalServerError*", None, None, retry=True),
        ExitRule(f"{said}ValidationException*", None, None, retry=False),
    )
    builder = ServiceBuilder(ONE)
    builder.job(attempts=5, rules=rules)
    core = started(builder, 1)
    assert core.exit(1, 0, text) == state


def test_a_start_that_fails_uses_an_attempt():
    builder = ServiceBuilder(ONE)
    builder.job(attempts=2)
    core = builder.checked()
    core.submit(0)
    core.decide(0)
    core.tell("training_starting", 1, 0)
    assert core.exit(2, 0) == RUNNABLE
    assert core.scheduled(2) == [0]
    assert core.attempt[0] == 2


def test_several_that_come_back_stand_in_front_by_submission():
    builder = ServiceBuilder(TWO)
    for _ in range(4):
        builder.job(attempts=2)
    core = started(builder, 4)
    core.exit(1, 1)
    core.exit(1, 0)
    assert core.scheduled(1) == [0, 1]


def test_queues_that_share_an_environment_are_served_by_priority_and_take_turns():
    queues = [ServiceQueuePlan(name, priority, 0) for name, priority in (("a", 1), ("b", 1), ("high", 9))]
    builder = ServiceBuilder(ONE, queues)
    for queue in (0, 1, 0, 1, 2):
        builder.job(queue=queue)
    core = builder.checked()
    core.submit(0, 5)
    order = []
    for now in range(5):
        (job,) = core.scheduled(now)
        order.append(job)
        core.run(now, job)
        core.end(now + 1, job)
    assert order == [4, 1, 0, 3, 2]


def test_a_low_queue_takes_what_the_head_of_a_high_one_cannot_use():
    queues = [ServiceQueuePlan("low", 1, 0), ServiceQueuePlan("high", 9, 0)]
    builder = ServiceBuilder(TWO, queues)
    builder.job(1, queue=0)
    builder.job(2, queue=1)
    builder.job(1, queue=0)
    core = builder.checked()
    core.submit(0)
    assert core.scheduled(0) == [0]
    core.submit(1, 2)
    assert core.scheduled(1) == [2]


def test_jobs_are_evaluated_and_served_on_the_grid():
    builder = ServiceBuilder(ONE, submit_evaluation_us=3, scheduling_interval_us=10)
    builder.job()
    core = builder.checked()
    core.submit(9)
    assert (core.state[0], core.next_wakeup()) == (SUBMITTED, 20)
    assert core.scheduled(12) == []
    assert core.scheduled(20) == [0]
    assert core.next_wakeup() is None


def test_an_environment_that_is_disabled_takes_nothing():
    builder = ServiceBuilder([ServiceEnvironmentPlan("training", (5,), enabled=False)])
    builder.job()
    core = started(builder, 1)
    assert waiting_for(core, 0) == DISABLED
    assert core.next_wakeup() is None


def test_an_environment_with_quota_shares_has_one_queue():
    queues = [ServiceQueuePlan("a", 1, 0, quota_shares=(quota("s", 1),)), ServiceQueuePlan("b", 1, 0)]
    builder = ServiceBuilder(ONE, queues)
    with pytest.raises(ContractError, match="has one queue"):
        builder.checked()


# ------------------------------------------------------------------------------------------- fair share


def fair(builder: ServiceBuilder, share: int, instances: int = 1) -> None:
    kind = ServiceClassPlan(0, 0, instances, share=share)
    builder.class_of.append(builder.classes.setdefault(kind, len(builder.classes)))


def test_fair_shares_divide_instances():
    policy = FairSharePolicy(weights=(("A", 1250), ("B", 10_000)))
    queue = ServiceQueuePlan("q", 1, 0, fair_share=policy)
    builder = ServiceBuilder([ServiceEnvironmentPlan("training", (90,))], [queue], shares=("A", "B"))
    for index in range(400):
        fair(builder, index % 2)
    core = started(builder, 400)
    running = [
        builder.plan().classes[builder.class_of[job]].share
        for job in range(400)
        if core.state[job] == RUNNING
    ]
    assert (running.count(0), running.count(1)) == (80, 10)


def test_a_fair_share_policy_reserves_instances():
    queue = ServiceQueuePlan("q", 1, 0, fair_share=FairSharePolicy(reservation_percent=50))
    builder = ServiceBuilder([ServiceEnvironmentPlan("training", (8,))], [queue], shares=("A", "B"))
    for _ in range(6):
        fair(builder, 0)
    fair(builder, 1)
    core = started(builder, 6)
    assert [core.state[job] for job in range(6)] == [RUNNING] * 4 + [RUNNABLE] * 2
    assert waiting_for(core, 4) == RESERVED
    core.submit(1)
    assert core.scheduled(1) == [6, 4]


def test_a_submission_that_makes_one_share_too_many_active_is_refused():
    names = tuple(f"s{index}" for index in range(501))
    queue = ServiceQueuePlan("q", 1, 0, fair_share=FairSharePolicy())
    builder = ServiceBuilder(ONE, [queue], shares=names)
    for index in range(501):
        fair(builder, index)
    fair(builder, 0)
    core = ServiceScheduler(builder.plan())
    for job in range(502):
        core.job_submitted(0, job)
    assert core.decide(0) == [(FAIL, 500, TOO_MANY_SHARES), (SCHEDULE, 0)]
    assert (core.state[500], core.status_reason[500], core.state[501]) == (FAILED, TOO_MANY_SHARES, RUNNABLE)


def test_a_fair_share_queue_looks_again_when_another_share_may_come_first():
    policy = FairSharePolicy(share_decay_us=600 * SECOND)
    queue = ServiceQueuePlan("q", 1, 0, fair_share=policy)
    builder = ServiceBuilder([ServiceEnvironmentPlan("training", (4,))], [queue], shares=("A", "B"))
    fair(builder, 1, instances=4)
    fair(builder, 0, instances=1)
    fair(builder, 0, instances=4)
    fair(builder, 1, instances=1)
    core = builder.checked()
    core.submit(0)
    core.run(0, *core.scheduled(0))
    core.submit(0, 3)
    core.end(300 * SECOND, 0)  # share B has used four instances for 300 s
    core.run(300 * SECOND, *core.scheduled(300 * SECOND))
    assert [core.state[job] for job in range(1, 4)] == [RUNNING, RUNNABLE, RUNNABLE]
    while core.state[3] == RUNNABLE:
        now = core.next_wakeup()
        assert now is not None
        assert core.scheduled(now) in ([], [3])
    assert 300 * SECOND < now < 900 * SECOND


# ------------------------------------------------------------------------------- requests and time limits


@pytest.mark.parametrize(
    ("event", "word"), [("job_cancelled", "cancelled"), ("job_terminated", "terminated")]
)
def test_a_waiting_job_fails_at_once_on_request(event, word):
    builder = ServiceBuilder(ONE)
    for _ in range(3):
        builder.job(attempts=10)
    core = started(builder, 3)
    core.tell(event, 5, 1, "not needed")
    assert core.decide(5) == ["Fail(job=1, status_reason='not needed')"]
    assert (core.state[1], core.status_reason[1], core.requested[1]) == (FAILED, "not needed", word)
    core.end(6, 0)
    assert core.scheduled(6) == [2]


def test_a_submitted_job_fails_at_once_on_request():
    builder = ServiceBuilder(ONE, submit_evaluation_us=10)
    builder.job()
    core = builder.checked()
    core.submit(0)
    core.tell("job_terminated", 5, 0, "no")
    assert core.decide(5) == ["Fail(job=0, status_reason='no')"]
    assert core.decide(10) == []
    assert core.state[0] == FAILED


def test_cancel_does_nothing_to_a_job_that_is_scheduled():
    builder = ServiceBuilder(ONE)
    builder.job()
    core = builder.checked()
    core.submit(0)
    core.decide(0)
    core.tell("job_cancelled", 1, 0, "no")
    assert core.decide(1) == []
    assert (core.state[0], core.requested) == (SCHEDULED, {})


def test_terminate_stops_a_job_that_runs_and_it_is_never_retried():
    builder = ServiceBuilder(ONE)
    builder.job(attempts=10)
    core = started(builder, 1)
    core.tell("job_terminated", 5, 0, "enough")
    core.tell("job_terminated", 5, 0, "again")
    assert core.decide(5) == ["Stop(job=0, status_reason='enough')"]
    assert core.state[0] == RUNNING
    assert core.exit(7, 0) == FAILED
    assert (core.status_reason[0], core.requested[0]) == ("enough", "terminated")


def test_a_job_that_ended_is_not_stopped():
    builder = ServiceBuilder(ONE)
    builder.job()
    core = started(builder, 1)
    core.tell("job_terminated", 5, 0, "enough")
    assert core.exit(5, 0) == FAILED
    assert core.decide(5) == []
    assert core.status_reason[0] == "enough"


def test_a_job_that_succeeds_before_it_is_stopped_is_a_success():
    builder = ServiceBuilder(ONE)
    builder.job()
    core = started(builder, 1)
    core.tell("job_terminated", 5, 0, "enough")
    core.decide(5)
    core.end(5, 0)
    assert (core.state[0], core.status_reason) == (SUCCEEDED, {})


def test_what_has_ended_stays_as_it_is():
    builder = ServiceBuilder(ONE)
    builder.job()
    core = started(builder, 1)
    core.end(5, 0)
    for event in ("job_cancelled", "job_terminated"):
        core.tell(event, 6, 0, "late")
    assert core.decide(6) == []
    assert (core.state[0], core.requested) == (SUCCEEDED, {})


def test_a_time_limit_counts_from_running_and_is_not_followed_by_a_retry():
    builder = ServiceBuilder(ONE)
    builder.job(attempts=3, timeout_us=60)
    core = builder.checked()
    core.submit(0)
    core.decide(0)
    core.tell("training_starting", 100, 0)
    core.tell("training_started", 200, 0)
    assert core.next_wakeup() == 260
    assert core.decide(259) == []
    assert core.decide(260) == [f"Stop(job=0, status_reason={TIMED_OUT!r})"]
    assert core.exit(270, 0) == FAILED
    assert core.status_reason[0] == TIMED_OUT
    assert core.decide(270) == []
    assert core.next_wakeup() is None


def test_a_time_limit_of_an_earlier_attempt_is_forgotten():
    builder = ServiceBuilder(ONE)
    builder.job(attempts=2, timeout_us=60)
    core = started(builder, 1)
    core.exit(50, 0)
    core.run(50, *core.scheduled(50))
    assert core.decide(60) == []
    assert core.next_wakeup() == 110


# ------------------------------------------------------------------------------ jobs that can never run


@pytest.mark.parametrize(("instances", "unit"), [(11, 0), (1, NO_UNIT)])
def test_a_job_that_never_fits_holds_up_its_queue(instances, unit):
    builder = ServiceBuilder([ServiceEnvironmentPlan("training", (10,))])
    builder.job(instances, unit=unit)
    builder.job()
    core = started(builder, 2)
    assert core.waiting_reasons() == {0: MAX_RESOURCE, 1: BEHIND}
    assert core.next_wakeup() is None


def test_a_time_limit_action_ends_the_head_that_never_fits():
    limit = TimeLimit("MISCONFIGURATION:SERVICE_ENVIRONMENT_MAX_RESOURCE", 600 * SECOND)
    builder = ServiceBuilder(
        [ServiceEnvironmentPlan("training", (10,))], [ServiceQueuePlan("q", 1, 0, time_limits=(limit,))]
    )
    for instances in (5, 11, 11, 1):
        builder.job(instances)
    core = started(builder, 4)
    assert core.next_wakeup() == 600 * SECOND  # job 1 became the head at once
    text = (
        "Terminated by JobStateTimeLimit action due to reason:"
        " MISCONFIGURATION:SERVICE_ENVIRONMENT_MAX_RESOURCE"
    )
    assert core.decide(600 * SECOND) == [f"Fail(job=1, status_reason={text!r})"]
    assert core.status_reason[1] == text
    assert core.next_wakeup() == 1200 * SECOND
    assert core.decide(1200 * SECOND) == [f"Fail(job=2, status_reason={text!r})", "Schedule(job=3)"]
    assert core.next_wakeup() is None


def test_a_time_limit_action_for_another_reason_does_nothing():
    limit = TimeLimit("MISCONFIGURATION:QUOTA_MANAGEMENT_LIMIT_EXCEEDED", 600 * SECOND)
    builder = ServiceBuilder(ONE, [ServiceQueuePlan("q", 1, 0, time_limits=(limit,))])
    builder.job(2)
    core = started(builder, 1)
    assert core.next_wakeup() is None


def test_a_terminated_head_leaves_no_time_limit_behind():
    limit = TimeLimit("MISCONFIGURATION:SERVICE_ENVIRONMENT_MAX_RESOURCE", 600 * SECOND)
    builder = ServiceBuilder(
        ONE, [ServiceQueuePlan("q", 1, 0, time_limits=(limit,))], scheduling_interval_us=7_000 * SECOND
    )
    builder.job(2)
    builder.job(1)
    core = builder.checked()
    core.submit(0, 2)
    core.decide(0)
    core.tell("job_terminated", 600 * SECOND, 0, "no")
    assert core.decide(600 * SECOND) == ["Fail(job=0, status_reason='no')"]
    assert core.status_reason[0] == "no"
    assert core.scheduled(7_000 * SECOND) == [1]


def test_want_of_capacity_adds_up_over_refusals():
    limit = TimeLimit("CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY", 600 * SECOND)
    builder = ServiceBuilder(ONE, [ServiceQueuePlan("q", 1, 0, time_limits=(limit,))])
    builder.job()
    builder.job()
    core = builder.checked()
    core.submit(0, 2)
    assert core.scheduled(0) == [0]
    core.tell("capacity_refused", 250 * SECOND, 0)
    assert waiting_for(core, 0) == NO_CAPACITY
    assert core.scheduled(250 * SECOND) == [0]
    core.tell("capacity_refused", 599 * SECOND, 0)
    assert core.scheduled(599 * SECOND) == [0]
    core.tell("capacity_refused", 600 * SECOND, 0)
    text = "Terminated by JobStateTimeLimit action due to reason: CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"
    assert core.decide(600 * SECOND) == [f"Fail(job=0, status_reason={text!r})", "Schedule(job=1)"]
    assert (core.attempt[0], core.capacity_retries[0]) == (0, 3)


def test_without_a_time_limit_capacity_is_asked_for_again_and_again():
    builder = ServiceBuilder(ONE)
    builder.job()
    core = builder.checked()
    core.submit(0)
    for now in range(0, 300 * SECOND, SECOND):
        assert core.scheduled(now) == [0]
        core.tell("capacity_refused", now + SECOND, 0)
    assert (core.attempt[0], core.capacity_retries[0]) == (0, 300)


def test_a_refusal_ends_a_job_that_was_told_to_stop():
    builder = ServiceBuilder(ONE)
    builder.job(attempts=5)
    core = builder.checked()
    core.submit(0)
    core.decide(0)
    core.tell("job_terminated", 1, 0, "enough")
    core.decide(1)
    assert core.tell("capacity_refused", 2, 0) == FAILED
    assert core.status_reason[0] == "enough"
