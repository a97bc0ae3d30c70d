"""Specification 9.2, numbers 1, 5-7 and 10: what follows from the code and reason that an attempt leaves."""

from __future__ import annotations

import pytest

from tests.spec.scenarios import each_attempt, each_job, lab, scenario, submit

OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"


def test_spec_01_every_attempt_is_recorded_under_its_number(run):
    result = run(scenario(submit("a", "60s", exitCodes=[1, 1, 0], retryStrategy={"attempts": 3})))
    assert each_job(result, "state") == {"a-0": "SUCCEEDED"}
    assert each_job(result, "attempts") == {"a-0": 3}
    assert each_attempt(result, "attempt") == [1, 2, 3]  # what AWS_BATCH_JOB_ATTEMPT was
    assert each_attempt(result, "exit_code") == [1, 1, 0]
    assert each_attempt(result, "started_s") == [0, 60, 120]


def test_spec_05_a_failure_that_no_rule_matches_is_retried(run):
    retry = {"attempts": 3, "evaluateOnExit": [{"onExitCode": "40*", "action": "EXIT"}]}
    result = run(scenario(submit("a", "60s", exitCodes=[41, 41, 0], retryStrategy=retry)))
    assert each_job(result, "state") == {"a-0": "SUCCEEDED"}
    assert each_attempt(result, "exit_code") == [41, 41, 0]


@pytest.mark.parametrize(("code", "attempts"), [(40, 1), (41, 3)])
def test_spec_05_a_rule_with_a_star_matches_what_begins_so(run, code, attempts):
    retry = {"attempts": 3, "evaluateOnExit": [{"onExitCode": "40*", "action": "EXIT"}]}
    result = run(scenario(submit("a", "60s", exitCodes=[code], retryStrategy=retry)))
    assert each_job(result, "state") == {"a-0": "FAILED"}
    assert each_attempt(result, "exit_code") == [code] * attempts


@pytest.mark.parametrize(
    ("reasons", "state", "attempts"), [([], "SUCCEEDED", 2), ([OUT_OF_MEMORY], "FAILED", 1)]
)
def test_spec_06_all_conditions_of_a_rule_must_match(run, reasons, state, attempts):
    rules = [{"onExitCode": "1", "onReason": "OutOfMemory*", "action": "EXIT"}]
    retry = {"attempts": 3, "evaluateOnExit": rules}
    result = run(scenario(submit("a", "60s", exitCodes=[1, 0], reasons=reasons, retryStrategy=retry)))
    assert each_job(result, "state") == {"a-0": state}
    assert each_job(result, "attempts") == {"a-0": attempts}
    assert each_attempt(result, "reason")[0] == (reasons[0] if reasons else None)


def test_spec_07_retry_goes_to_the_front(run):
    jobs = [
        submit("a", "60s", exitCodes=[1, 0], retryStrategy={"attempts": 2}),
        submit("b", "60s"),
        submit("c", "60s"),
    ]
    result = run(scenario(*jobs, environments=[lab(1)]))
    by_start = result.attempts.sort_values("started_s")
    assert by_start["job"].tolist() == ["a-0", "a-0", "b-0", "c-0"]
    assert by_start["started_s"].tolist() == [0, 60, 120, 180]


def test_spec_10_each_attempt_has_the_whole_timeout(run):
    limits = {"timeout": {"attemptDurationSeconds": 60}, "retryStrategy": {"attempts": 2}}
    result = run(scenario(submit("a", "59s", exitCodes=[1, 0], **limits)))
    assert each_job(result, "state") == {"a-0": "SUCCEEDED"}
    assert each_attempt(result, "started_s") == [0, 59]
    assert each_attempt(result, "ended_s") == [59, 118]
