"""Specification 9.2, numbers 14-17: jobs that wait for jobs."""

from __future__ import annotations

import pytest

from tests.spec.edits import let_exit
from tests.spec.scenarios import DEPENDENT_JOB_FAILED, each_array, each_job, scenario, submit


def test_spec_14_a_failed_dependency_fails_all_who_wait_for_it_and_for_them(run):
    chain = [
        submit("a", "60s", failure={"rate": 1}),
        submit("b", "60s", dependsOn=[{"group": "a"}]),
        submit("c", "60s", dependsOn=[{"group": "b"}]),
    ]
    result = run(scenario(*chain))
    assert set(each_job(result, "state").values()) == {"FAILED"}
    assert each_job(result, "runnable_s") == {"a-0": 0, "b-0": None, "c-0": None}
    assert each_job(result, "end_s") == {"a-0": 60, "b-0": 60, "c-0": 60}
    assert each_job(result, "attempts") == {"a-0": 1, "b-0": 0, "c-0": 0}
    reasons = each_job(result, "status_reason")
    assert (reasons["b-0"], reasons["c-0"]) == (DEPENDENT_JOB_FAILED,) * 2


def test_spec_15_a_job_has_at_most_20_dependencies(problems_of):
    def waiting_for(count):
        others = [submit(f"d{number}", "1s") for number in range(count)]
        dependencies = [{"group": other["name"]} for other in others]
        return scenario(*others, submit("a", "1s", dependsOn=dependencies))

    assert problems_of(waiting_for(20)) == []
    (line,) = problems_of(waiting_for(21))
    assert "workload.a.dependsOn: expected at most 20 entries" in line


def test_spec_16_a_child_fails_the_child_that_waits_for_it_and_no_other(run):
    three = {"size": 3}
    result = run(
        scenario(
            submit("a", "60s", array=three),
            submit("b", "60s", array=three, dependsOn=[{"group": "a", "type": "N_TO_N"}]),
            submit("after", "60s", dependsOn=[{"group": "b"}]),
        ),
        edit=lambda workload: let_exit(workload, "a-0:1", 1),
    )
    states, ends = each_job(result, "state"), each_job(result, "end_s")
    assert [states[f"b-0:{index}"] for index in range(3)] == ["SUCCEEDED", "FAILED", "SUCCEEDED"]
    assert [ends[f"b-0:{index}"] for index in range(3)] == [120, 60, 120]
    assert each_job(result, "status_reason")["b-0:1"] == DEPENDENT_JOB_FAILED
    assert each_array(result, "state", "end_s") == {"a-0": ("FAILED", 60), "b-0": ("FAILED", 120)}
    assert (states["after-0"], ends["after-0"]) == ("FAILED", 120)


@pytest.mark.parametrize(("dependencies", "makespan"), [([{"type": "SEQUENTIAL"}], 240), ([], 60)])
def test_spec_17_the_children_of_a_sequential_array_run_one_after_the_other(run, dependencies, makespan):
    result = run(scenario(submit("a", "60s", array={"size": 4}, dependsOn=dependencies)))
    assert result.summary["makespan_s"] == makespan
    assert set(each_job(result, "state").values()) == {"SUCCEEDED"}
    if dependencies:
        assert list(each_job(result, "start_s").values()) == [0, 60, 120, 180]


def test_what_is_submitted_after_the_failure_of_what_it_waits_for_fails_in_the_pass_that_evaluates_it(run):
    late = submit("late", "60s", at="100.5s", dependsOn=[{"group": "first"}])
    result = run(
        scenario(
            submit("first", "60s", exitCodes=[1]),
            late,
            assumptions={"submitEvaluation": "1s", "schedulingInterval": "1s"},
        )
    )
    assert each_job(result, "end_s")["late-0"] == 102


@pytest.mark.parametrize(("lasts", "runnable"), [("29.2s", 31.1), ("30.05s", 31.1), ("30.5s", 31.5)])
def test_a_job_is_runnable_once_it_was_evaluated_and_what_it_waits_for_has_succeeded(run, lasts, runnable):
    result = run(
        scenario(
            submit("first", lasts),
            submit("next", "60s", at="30.1s", dependsOn=[{"group": "first"}]),
            assumptions={"submitEvaluation": "1s", "schedulingInterval": "1s"},
        )
    )
    assert each_job(result, "runnable_s")["next-0"] == runnable
    assert each_job(result, "start_s")["next-0"] == 32
