"""Specification 9.2, numbers 27 and 28: jobStateTimeLimitActions."""

from __future__ import annotations

from typing import Any

import pytest

from tests.spec.scenarios import definition, each_job, managed, queue, scenario, submit

REASON = "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"


def limited(seconds: int) -> dict[str, Any]:
    """A job of 4 vCPUs, and one of 1 vCPU behind it, where instances have 2 vCPUs."""
    action = {"reason": REASON, "state": "RUNNABLE", "maxTimeSeconds": seconds, "action": "CANCEL"}
    return scenario(
        submit("wide", "60s", definition="vcpus4"),
        submit("next", "60s"),
        environments=[managed("cloud", 100, "c6i.large")],
        definitions=[definition("vcpus4", 4, 100)],
        jobQueues=[{**queue("q", "cloud"), "jobStateTimeLimitActions": [action]}],
    )


def test_spec_27_a_head_that_no_instance_can_hold_is_cancelled_and_the_next_job_is_head(run):
    result = run(limited(600))
    assert each_job(result, "state") == {"wide-0": "FAILED", "next-0": "SUCCEEDED"}
    assert each_job(result, "end_s")["wide-0"] == 600
    assert each_job(result, "attempts")["wide-0"] == 0
    assert each_job(result, "status_reason")["wide-0"] == (
        "Canceled by JobStateTimeLimit action due to reason: MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"
    )
    assert each_job(result, "start_s")["next-0"] == 600


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (599, "expected a value of at least 600, found 599"),
        (600, None),
        (86_400, None),
        (86_401, "expected a value of at most 86400, found 86401"),
    ],
)
def test_spec_28_a_time_limit_lies_between_10_minutes_and_a_day(problems_of, seconds, expected):
    lines = problems_of(limited(seconds))
    if expected is None:
        assert lines == []
    else:
        (line,) = lines
        assert f"jobStateTimeLimitActions.0.maxTimeSeconds: {expected}" in line
