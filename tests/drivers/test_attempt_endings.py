"""How attempts end in a simulated world: scripts, start failures, SIGTERM."""

from __future__ import annotations

import pytest

from batchsim.core.plan import EnvironmentPlan, ExitRule, Need, Policy
from batchsim.core.states import FAILED, SUCCEEDED
from batchsim.drivers.world import PULL_ERROR, Outcome
from batchsim.workload import JobsEvent
from tests.harness import PlanBuilder, machine

NO_IMAGE = f"{PULL_ERROR}: no such image"
NOT_STARTED = "Task failed to start"
TIMED_OUT = "Job attempt duration exceeded timeout"


def one_job(runtime: int = 10, policy: Policy | None = None, **more: object) -> PlanBuilder:
    """A job on a machine of its own."""
    builder = PlanBuilder([machine(1)], [EnvironmentPlan("e", (0,))], policy=policy)
    builder.machines_of(0, 0)
    builder.job(0, runtime, Need(1, 1, 0), **more)
    return builder


def test_spec_13_exits_1_1_0_with_three_attempts_succeed_on_the_third():
    record = one_job(attempts=3).run(outcomes=[Outcome(script=((1, ""), (1, ""), (0, "")))])
    assert list(record.e_exit_code) == [1, 1]
    assert list(record.e_ended_us) == [10, 20]
    assert (record.ended_us[0], record.exit_code[0], record.attempts[0]) == (30, 0, 3)
    assert record.state[0] == SUCCEEDED


def test_the_last_pair_of_a_script_repeats():
    record = one_job(attempts=4).run(outcomes=[Outcome(script=((2, "first"), (3, "then")))])
    assert [*record.e_exit_code, record.exit_code[0]] == [2, 3, 3, 3]
    assert record.e_reason == {0: "first", 1: "then", 2: "then"}
    assert record.reason == {0: "then"}
    assert (record.status_reason, record.e_status_reason) == ({}, {})


def test_container_reasons_decide_on_retries():
    rules = (ExitRule(None, "OutOfMemoryError*", None, retry=False),)
    script = ((137, ""), (137, "OutOfMemoryError: Container killed due to memory usage"))
    record = one_job(attempts=9, rules=rules).run(outcomes=[Outcome(script=script)])
    assert (record.attempts[0], record.state[0], record.ended_us[0]) == (2, FAILED, 20)
    assert record.reason[0].startswith("OutOfMemoryError")


def test_an_attempt_that_cannot_start_ends_when_its_image_would_have_been_there():
    failing = Outcome(start_failure_rate=1.0, start_failure_reason=NO_IMAGE)
    record = one_job(attempts=2).run(
        outcomes=[failing], images=[(0,)], pull_us=[5], dispatch_us=1, container_start_us=2
    )
    assert (record.e_placed_us[0], record.e_starting_us[0], record.e_ended_us[0]) == (0, 1, 6)
    assert (record.placed_us[0], record.starting_us[0], record.ended_us[0]) == (6, 7, 12)
    assert (record.e_started_us[0], record.started_us[0]) == (-1, -1)
    assert (record.e_exit_code[0], record.exit_code[0]) == (-1, -1)
    assert (record.e_status_reason, record.status_reason) == ({0: NOT_STARTED}, {0: NOT_STARTED})
    assert (record.e_reason, record.reason) == ({0: NO_IMAGE}, {0: NO_IMAGE})
    assert (record.state[0], record.attempts[0]) == (FAILED, 2)


def test_an_attempt_that_cannot_start_ends_at_once_where_nothing_takes_time():
    record = one_job().run(outcomes=[Outcome(start_failure_rate=1.0)])
    assert (record.placed_us[0], record.ended_us[0], record.started_us[0]) == (0, 0, -1)


def test_which_attempts_fail_to_start_is_drawn_for_job_and_attempt():
    def failures(policy: Policy) -> list[tuple[int, int]]:
        builder = PlanBuilder([machine(1)], [EnvironmentPlan("e", (0,))], policy=policy)
        builder.machines_of(0, 0)
        for _ in range(40):
            builder.job(0, 1, Need(1, 1, 0), attempts=10)
        record = builder.run(outcomes=[Outcome(start_failure_rate=0.4)], seed=3)
        assert set(record.state) == {SUCCEEDED}
        assert set(record.e_status_reason.values()) == {NOT_STARTED}
        return sorted(zip(record.e_job, record.e_attempt, strict=True))

    found = failures(Policy())
    assert found == failures(Policy(backfill="greedy", submit_evaluation_us=5))
    assert 10 < len(found) < 50


def test_attempts_that_fail_to_start_may_cost_nothing():
    builder = one_job(policy=Policy(start_failures_count=False))
    records = [builder.run(outcomes=[Outcome(start_failure_rate=0.6)], seed=seed) for seed in range(5)]
    for record in records:
        assert record.state[0] == SUCCEEDED
        assert list(record.e_attempt) == list(range(1, record.attempts[0]))
    assert any(record.e_job for record in records)


def test_a_pull_that_fails_leaves_no_image_and_a_container_that_does_not_start_does():
    for reason, then in ((NO_IMAGE, 10), ("DockerTimeoutError: timed out", 5)):
        builder = one_job(runtime=1)
        builder.job(0, 1, Need(1, 1, 0), attempts=2)
        fails = Outcome(start_failure_rate=1.0, start_failure_reason=reason)
        record = builder.run(outcomes=[fails, Outcome()], images=[(0,), (0,)], pull_us=[5, 5])
        assert list(record.ended_us) == [5, then + 1]
        assert record.started_us[1] == then


SIGTERM = [
    (Outcome(), 4, 143),
    (Outcome(sigterm_exit=7, sigterm_after_us=2), 6, 7),
    (Outcome(sigterm_exit=7, sigterm_after_us=3), 7, 7),  # in the instant of SIGKILL
    (Outcome(sigterm_exit=7, sigterm_after_us=5), 7, 137),
    (Outcome(sigterm_after_us=None), 7, 137),
]


@pytest.mark.parametrize(("outcome", "ended", "code"), SIGTERM)
def test_spec_17_a_container_leaves_after_sigterm_or_is_killed_after_the_grace(outcome, ended, code):
    record = one_job(timeout_us=4, attempts=3).run(outcomes=[outcome], stop_grace_us=3)
    assert (record.ended_us[0], record.exit_code[0], record.attempts[0]) == (ended, code, 1)
    assert (record.state[0], record.status_reason[0]) == (FAILED, TIMED_OUT)


@pytest.mark.parametrize("runtime", [5, 6])
def test_a_container_that_would_end_anyway_before_it_leaves_ends_by_itself(runtime):
    slow = Outcome(script=((9, "own"),), sigterm_exit=7, sigterm_after_us=2)
    record = one_job(runtime, timeout_us=4).run(outcomes=[slow], stop_grace_us=3)
    assert (record.ended_us[0], record.exit_code[0], record.reason[0]) == (runtime, 9, "own")


def test_a_container_that_makes_exit_0_of_sigterm_is_failed_all_the_same():
    record = one_job(timeout_us=4).run(outcomes=[Outcome(sigterm_exit=0)])
    assert (record.exit_code[0], record.state[0]) == (0, FAILED)


@pytest.mark.parametrize(("at", "starting"), [(1, -1), (3, 2)])
def test_an_attempt_that_is_terminated_before_running_ends_at_once(at, starting):
    record = one_job(attempts=3).run(
        dispatch_us=2,
        images=[(0,)],
        pull_us=[5],
        outcomes=[Outcome(sigterm_after_us=None)],
        stop_grace_us=9,
        requests=[JobsEvent(at, "terminate", (range(1),), "enough")],
    )
    assert (record.placed_us[0], record.starting_us[0], record.started_us[0]) == (0, starting, -1)
    assert (record.ended_us[0], record.exit_code[0], record.state[0]) == (at, -1, FAILED)
    assert (record.status_reason, record.requested) == ({0: "enough"}, {0: "terminated"})


def test_the_host_is_free_only_when_the_container_is_gone():
    builder = one_job(100, timeout_us=4)
    builder.job(0, 1, Need(1, 1, 0))
    record = builder.run(outcomes=[Outcome(sigterm_after_us=None), Outcome()], stop_grace_us=30)
    assert (record.ended_us[0], record.started_us[1]) == (34, 34)
