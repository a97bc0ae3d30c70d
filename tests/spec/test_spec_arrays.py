"""Specification 9.2, numbers 18 and 19: array jobs."""

from __future__ import annotations

import pytest

from tests.spec.edits import let_exit, let_run
from tests.spec.scenarios import (
    ARRAY_CHILD_FAILED,
    DEPENDENT_JOB_FAILED,
    each_array,
    each_job,
    scenario,
    submit,
)


@pytest.mark.parametrize(("size", "accepted"), [(1, False), (2, True), (10_000, True), (10_001, False)])
def test_spec_18_an_array_has_2_to_10_000_children(problems_of, size, accepted):
    lines = problems_of(scenario(submit("a", "1s", array={"size": size})))
    if accepted:
        assert lines == []
    else:
        (line,) = lines
        assert f"workload.a.array.size: expected 2 to 10,000 children, found {size}" in line


def test_spec_18_the_largest_array_runs(run):
    result = run(scenario(submit("a", "1s", array={"size": 10_000})))
    names = list(each_job(result, "job"))
    assert (len(names), names[0], names[-1]) == (10_000, "a-0:0", "a-0:9999")
    assert result.summary["makespan_s"] == 10  # in a lab of 1,000 vCPUs


def four_children(workload):
    """Child 0, 1, 2, 3 runs for 10, 20, 30, 40 s, and child 1 exits 1."""
    let_run(workload, {f"a-0:{index}": 10 * (index + 1) for index in range(4)})
    let_exit(workload, "a-0:1", 1)


def test_spec_19_an_array_with_a_failed_child_fails_when_all_its_children_have_ended(run):
    waiting = submit("after", "60s", dependsOn=[{"group": "a"}])
    result = run(scenario(submit("a", "1s", array={"size": 4}), waiting), edit=four_children)
    states, ends = each_job(result, "state"), each_job(result, "end_s")
    assert [ends[f"a-0:{index}"] for index in range(4)] == [10, 20, 30, 40]
    assert [states[f"a-0:{index}"] for index in range(4)] == ["SUCCEEDED", "FAILED", *["SUCCEEDED"] * 2]
    assert each_array(result, "state", "end_s", "status_reason") == {
        "a-0": ("FAILED", 40, ARRAY_CHILD_FAILED)
    }
    assert each_array(result, "succeeded", "failed", "size") == {"a-0": (3, 1, 4)}
    assert (states["after-0"], ends["after-0"]) == ("FAILED", 40)
    assert each_job(result, "status_reason")["after-0"] == DEPENDENT_JOB_FAILED


def test_spec_19_an_array_with_a_failed_child_is_pending_until_then(run):
    result = run(scenario(submit("a", "1s", array={"size": 4}), horizon="39s"), edit=four_children)
    assert each_array(result, "state", "succeeded", "failed", "running") == {"a-0": ("PENDING", 2, 1, 1)}
