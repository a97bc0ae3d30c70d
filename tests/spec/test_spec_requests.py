"""Specification 9.2, numbers 12 and 13: CancelJob, and what it leaves alone."""

from __future__ import annotations

from batchsim.cli.requests import in_vain
from batchsim.core.plan import EnvironmentPlan, Need
from batchsim.core.states import FAILED, RUNNING, SUCCEEDED
from tests.harness import Checked, PlanBuilder, machine
from tests.spec.scenarios import ESSENTIAL_CONTAINER_EXITED, each_job, lab, scenario, submit


def two_jobs_for_one_slot() -> Checked:
    builder = PlanBuilder([machine(1)], [EnvironmentPlan("e", (0,))])
    for _ in range(2):
        builder.job(0, 1, Need(1, 1, 0), attempts=10)
    core = Checked(builder.plan())
    core.tell("instance_joined", 0, 0, 0)
    for job in range(2):
        core.tell("job_submitted", 0, job)
    assert core.decide(0) == ["Start(job=0, instance=0)"]
    core.tell("attempt_started", 0, 0)
    return core


def test_spec_12_a_running_job_is_not_cancelled(run):
    result = run(scenario(submit("a", "60s"), {"at": "10s", "cancel": "a", "reason": "too late"}))
    assert each_job(result, "state") == {"a-0": "SUCCEEDED"}
    assert each_job(result, "end_s") == {"a-0": 60}
    assert each_job(result, "is_cancelled") == {"a-0": False}
    assert each_job(result, "status_reason") == {"a-0": ESSENTIAL_CONTAINER_EXITED}


def test_spec_12_cancelling_a_running_job_leaves_no_trace_in_the_scheduler():
    core = two_jobs_for_one_slot()
    core.tell("job_cancelled", 5, 0, "too late")
    assert core.decide(5) == []
    assert core.state[0] == RUNNING
    assert core.requested == {}
    assert core.tell("attempt_exited", 9, 0, 0) == SUCCEEDED
    assert core.status_reason == {}


def test_spec_13_a_runnable_job_is_cancelled_at_once_and_never_retried(run):
    jobs = [submit(name, "60s", retryStrategy={"attempts": 10}) for name in "abc"]
    cancel = {"at": "30s", "cancel": "b-0", "reason": "not needed"}
    result = run(scenario(*jobs, cancel, environments=[lab(1)]))
    assert each_job(result, "state") == {"a-0": "SUCCEEDED", "b-0": "FAILED", "c-0": "SUCCEEDED"}
    assert each_job(result, "end_s") == {"a-0": 60, "b-0": 30, "c-0": 120}
    assert each_job(result, "start_s") == {"a-0": 0, "b-0": None, "c-0": 60}
    assert each_job(result, "attempts") == {"a-0": 1, "b-0": 0, "c-0": 1}
    assert each_job(result, "is_cancelled") == {"a-0": False, "b-0": True, "c-0": False}
    assert each_job(result, "status_reason")["b-0"] == "not needed"


def test_spec_13_the_scheduler_marks_a_cancelled_job():
    core = two_jobs_for_one_slot()
    core.tell("job_cancelled", 5, 1, "not needed")
    assert core.decide(5) == ["Fail(job=1, status_reason='not needed')"]
    assert core.state[1] == FAILED
    assert core.requested == {1: "cancelled"}
    assert core.status_reason == {1: "not needed"}


def test_a_pending_job_that_was_cancelled_fails_when_its_dependencies_have_completed(run):
    """[spec 1.8], the row of PENDING."""
    first, second = submit("a", "60s"), submit("b", "60s", dependsOn=[{"group": "a"}])
    result = run(scenario(first, second, {"at": "10s", "cancel": "b-0", "reason": "not needed"}))
    assert each_job(result, "state") == {"a-0": "SUCCEEDED", "b-0": "FAILED"}
    assert each_job(result, "end_s") == {"a-0": 60, "b-0": 60}
    assert each_job(result, "is_cancelled") == {"a-0": False, "b-0": True}
    assert each_job(result, "status_reason")["b-0"] == "not needed"


def test_a_running_job_that_is_terminated_ends_and_is_not_retried(run):
    """[spec 1.8], the row of RUNNING."""
    job = submit("a", "100s", onSigterm="ignore", retryStrategy={"attempts": 10})
    result = run(scenario(job, {"at": "10s", "terminate": "a-0", "reason": "too dear"}))
    assert each_job(result, "state") == {"a-0": "FAILED"}
    assert each_job(result, "end_s") == {"a-0": 40}
    assert each_job(result, "attempts") == {"a-0": 1}
    assert each_job(result, "exit_code") == {"a-0": 137}
    assert each_job(result, "is_terminated") == {"a-0": True}
    assert each_job(result, "status_reason") == {"a-0": "too dear"}


def test_spec_1_8_a_cancelled_job_is_pending_until_its_dependencies_have_ended(run):
    data = scenario(
        submit("a", "3h"),
        submit("b", "1h", dependsOn=[{"group": "a"}]),
        {"at": "1h", "cancel": "b"},
        environments=[lab(1)],
    )
    early = run(data | {"horizon": "2h"})
    assert each_job(early, "state") == {"a-0": "RUNNING", "b-0": "PENDING"}
    assert list(in_vain(early)) == []
    assert each_job(run(data), "state") == {"a-0": "SUCCEEDED", "b-0": "FAILED"}
