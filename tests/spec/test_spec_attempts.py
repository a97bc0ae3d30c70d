"""Specification 9.2, numbers 2-4, 8 and 11: attempts that fail, lose their host, or take too long."""

from __future__ import annotations

import pytest

from batchsim.core.plan import ExitRule, Need
from batchsim.core.states import FAILED, RUNNABLE
from tests.harness import Checked, PlanBuilder, machine, managed
from tests.spec.scenarios import (
    ESSENTIAL_CONTAINER_EXITED,
    HOST_RULES,
    TIMED_OUT,
    each_attempt,
    each_job,
    scenario,
    submit,
)


def test_spec_02_a_job_has_one_attempt_unless_it_says_more(run):
    result = run(scenario(submit("a", "60s", failure={"rate": 1})))
    assert each_job(result, "state") == {"a-0": "FAILED"}
    assert each_job(result, "attempts") == {"a-0": 1}
    assert each_attempt(result, "exit_code") == [1]
    assert each_job(result, "end_s") == {"a-0": 60}
    assert each_job(result, "status_reason") == {"a-0": ESSENTIAL_CONTAINER_EXITED}


def test_spec_03_a_lost_host_is_retried_by_rule_and_a_failure_of_its_own_is_not():
    """No scenario can lose a host yet, so the scheduler is told."""
    rules = (ExitRule("Host EC2*", None, None, retry=True), ExitRule(None, "*", None, retry=False))
    builder = PlanBuilder([machine(1)], [managed([0], max_vcpus=1)])
    builder.job(0, 1, Need(1, 1, 0), attempts=5, rules=rules)
    core = Checked(builder.plan())
    core.tell("job_submitted", 0, 0)
    for attempt in (1, 2, 3):
        now, instance = 100 * attempt, attempt - 1
        assert core.decide(now) == [f"Launch(instance={instance}, environment=0, type=0)"]
        core.tell("instance_ready", now, instance)
        assert core.decide(now) == [f"Start(job=0, instance={instance})"]
        core.tell("attempt_started", now, 0)
        assert core.attempt[0] == attempt
        if attempt < 3:
            reason = f"Host EC2 (instance i-{instance}) terminated."
            assert core.tell("instance_lost", now + 50, instance, reason) == [0]
            assert core.state[0] == RUNNABLE
    assert core.tell("attempt_exited", 350, 0, 3) == FAILED
    assert core.attempt[0] == 3
    assert core.status_reason == {}  # of all reasons but "Essential container in task exited"


def test_spec_04_the_catch_all_rule_ends_a_job_at_its_first_failure(run):
    result = run(scenario(submit("a", "60s", failure={"rate": 1}, retryStrategy=HOST_RULES)))
    assert each_job(result, "state") == {"a-0": "FAILED"}
    assert each_job(result, "attempts") == {"a-0": 1}
    assert each_job(result, "attempts_allowed") == {"a-0": 5}
    assert each_job(result, "end_s") == {"a-0": 60}


@pytest.mark.parametrize(
    ("runtime", "state", "end", "reason"),
    [("50s", "SUCCEEDED", 350, ESSENTIAL_CONTAINER_EXITED), ("100s", "FAILED", 360, TIMED_OUT)],
)
def test_spec_08_the_pull_does_not_count_for_the_timeout(run, runtime, state, end, reason):
    job = submit("a", runtime, imageSize="300MB", timeout={"attemptDurationSeconds": 60})
    result = run(scenario(job, assumptions={"imagePullRate": 1}))
    assert each_attempt(result, "starting_s") == [0]
    assert each_job(result, "start_s") == {"a-0": 300}
    assert each_job(result, "end_s") == {"a-0": end}
    assert each_job(result, "state") == {"a-0": state}
    assert each_job(result, "status_reason") == {"a-0": reason}


def test_spec_11_a_timeout_below_60_s_is_rejected(problems_of):
    def limited(seconds):
        return scenario(submit("a", "1s", timeout={"attemptDurationSeconds": seconds}))

    (line,) = problems_of(limited(59))
    assert "workload.a.timeout.attemptDurationSeconds: expected a value of at least 60, found 59" in line
    assert problems_of(limited(60)) == []
