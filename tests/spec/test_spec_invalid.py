"""Environments that are INVALID, or become so since none of their instances registers [spec 2.6, 3.5]."""

from __future__ import annotations

import json
from typing import Any

import pytest

import batchsim
from batchsim.core.feasibility import INVALID
from batchsim.studies.check import check
from tests.spec.scenarios import each_job, lab, scenario, submit
from tests.spec.test_spec_capacity import cloud
from tests.spec.test_spec_fargate import fargate, job, on_fargate
from tests.studies.test_check_features import as_overrides

NEVER = {"neverRegisters": ["cloud"], "invalidAfter": "1h"}


def lonely(*more: dict[str, Any], **sections: Any) -> dict[str, Any]:
    """Jobs for an environment whose instances never register."""
    assumptions = NEVER | sections.pop("assumptions", {})
    places = sections.pop("environments", [cloud(8, "c6i.large")])
    return scenario(
        submit("job", "10min", count=3), *more, environments=places, assumptions=assumptions, **sections
    )


def load(data: dict[str, Any], *overrides: str) -> batchsim.Scenario:
    return batchsim.parse_scenario(json.dumps(data), overrides=overrides)


def test_an_environment_where_no_instance_registers_becomes_invalid_and_is_scaled_down(run):
    result = run(lonely())
    assert result.manifest["outcome"] == "stalled"
    assert set(each_job(result, "status_reason").values()) == {INVALID}
    rows = result.instances
    assert rows["ended_s"].tolist() == [3600] * 2
    assert set(rows["end_reason"]) == {"given up: never registered"}
    assert rows["ready_s"].isna().all()
    assert result.summary["cost_usd"] == pytest.approx(2 * 0.085), "it is paid for all the same"


def test_without_any_delay_it_is_invalid_as_soon_as_it_has_launched(run):
    data = lonely(assumptions={"invalidAfter": 0}, environments=[cloud(8, "c6i.large"), lab(2)])
    assert set(each_job(run(data), "environment").values()) == {"lab"}
    (finding,) = check(load(lonely(assumptions={"invalidAfter": 0}))).findings
    assert finding.reason == INVALID


def test_invalid_from_the_beginning_nothing_is_launched(run):
    place = cloud(8, "c6i.large", minvCpus=4) | {"status": "INVALID"}
    result = run(scenario(submit("job", "1min"), environments=[place]))
    assert len(result.instances) == 0
    assert each_job(result, "status_reason") == {"job-0": INVALID}


def test_jobs_go_on_to_the_next_environment_once_the_first_is_invalid(run):
    result = run(lonely(environments=[cloud(8, "c6i.large"), lab(2)]))
    assert each_job(result, "environment") == {f"job-{n}": "lab" for n in range(3)}
    assert each_job(result, "start_s") == {"job-0": 3600, "job-1": 3600, "job-2": 4200}


def test_an_environment_that_is_invalid_at_first_is_passed(run):
    places = [cloud(8, "c6i.large") | {"status": "INVALID"}, lab(2)]
    result = run(scenario(submit("job", "1min"), environments=places))
    assert each_job(result, "start_s") == {"job-0": 0}


def test_an_update_mends_an_environment(run):
    place = cloud(8, "c6i.large") | {"status": "INVALID"}
    mended = {"at": "1h", "update": {"computeEnvironment": "cloud", "state": "ENABLED"}}
    result = run(scenario(submit("job", "1min"), mended, environments=[place]))
    assert each_job(result, "start_s") == {"job-0": 3600}


def test_after_an_update_it_tries_again_and_is_invalid_again(run):
    again = {"at": "3h", "update": {"computeEnvironment": "cloud", "state": "ENABLED"}}
    result = run(lonely(again))
    assert result.instances["requested_s"].tolist() == [0, 0, 3 * 3600, 3 * 3600]
    assert result.instances["ended_s"].tolist() == [3600, 3600, 4 * 3600, 4 * 3600]


def test_the_time_counts_from_the_first_launch(run):
    late = scenario(submit("job", "10min", at="2h"), environments=[cloud(8, "c6i.large")], assumptions=NEVER)
    assert run(late).instances["ended_s"].tolist() == [3 * 3600]


def test_check_says_so_and_what_to_mend():
    (finding,) = check(load(lonely())).findings
    assert finding.reason == INVALID
    change = next(each for each in finding.changes if each.overrides)
    assert "mend cloud" in change.text
    assert check(load(lonely(), *as_overrides(change.overrides))).can_all_start
    data = scenario(submit("job", "1min"), environments=[cloud(8, "c6i.large") | {"status": "INVALID"}])
    (finding,) = check(load(data)).findings
    assert check(load(data, *as_overrides(finding.changes[-1].overrides))).can_all_start


def test_only_what_launches_instances_can_be_said_never_to_register(problems_of):
    places = [cloud(8, "c6i.large"), lab(2)]
    (said,) = problems_of(lonely(assumptions={"neverRegisters": ["lab"]}, environments=places))
    assert "the name of a compute environment that launches instances" in said
    (said,) = problems_of(on_fargate(job("1h"), environments=[fargate(4)], assumptions=NEVER))
    assert "assumptions.neverRegisters" in said


def test_the_audit_reads_such_runs(run):
    for data in (lonely(), lonely(environments=[cloud(8, "c6i.large", minvCpus=4), lab(2)])):
        assert run(data).audit() == []
