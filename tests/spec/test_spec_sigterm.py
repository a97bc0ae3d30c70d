"""Specification 9.2, number 9: what happens to an attempt at its timeout."""

from __future__ import annotations

import pytest

from tests.spec.scenarios import TIMED_OUT, each_attempt, each_job, scenario, submit

LIMITS = {"timeout": {"attemptDurationSeconds": 60}, "retryStrategy": {"attempts": 3}}


@pytest.mark.parametrize(
    ("on_sigterm", "end", "exit_code"),
    [("ignore", 90, 137), ("exit", 60, 143), ({"exit": 0, "after": "5s"}, 65, 0)],
)
def test_spec_09_a_timed_out_job_is_killed_after_the_grace_and_not_retried(run, on_sigterm, end, exit_code):
    result = run(scenario(submit("a", "100s", onSigterm=on_sigterm, **LIMITS)))
    assert each_job(result, "state") == {"a-0": "FAILED"}
    assert each_job(result, "start_s") == {"a-0": 0}
    assert each_job(result, "end_s") == {"a-0": end}
    assert each_job(result, "attempts") == {"a-0": 1}
    assert each_job(result, "exit_code") == {"a-0": exit_code}
    assert each_job(result, "status_reason") == {"a-0": TIMED_OUT}
    assert each_attempt(result, "status_reason") == [TIMED_OUT]
