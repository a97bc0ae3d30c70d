"""Small published cases of first come, first served, from a scenario file to the result's frames."""

from __future__ import annotations

import pytest

from tests.oracles.published import JOBS, replay, small_cases, swf_of

FCFS_CASES = [*(f"basic.{number}" for number in range(12)), "extreme.1", "fcfs.0", "fcfs.1", "fcfs.2"]


def test_these_are_all_cases_of_fcfs(traces):
    assert sorted(FCFS_CASES) == sorted(
        name for name, case in small_cases(traces).items() if "fcfs" in case.policies
    )


@pytest.mark.parametrize("name", FCFS_CASES)
def test_every_job_ends_when_the_case_says(traces, tmp_path, name):
    jobs = small_cases(traces)[name].jobs
    (tmp_path / "case.swf").write_text(swf_of(jobs), encoding="utf-8")
    result = replay(tmp_path, {"format": "swf", "path": "case.swf"}, 100)
    ends = dict(zip(result.jobs["job"], result.jobs["end_s"], strict=True))
    assert ends == {f"{JOBS}-{number}": job.expected_end for number, job in enumerate(jobs)}
    assert result.audit() == []
