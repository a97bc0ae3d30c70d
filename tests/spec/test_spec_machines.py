"""Machines of unmanaged environments that join and leave during a run [spec 6]."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.spec.scenarios import each_job, scenario, submit
from tests.studies.scenarios import definition, managed, unmanaged

HOUR = 3600
TWO = definition("two", 2, 100)


def machine(**more: Any) -> dict[str, Any]:
    return {"vcpus": 2, "memory": "16GiB", "usdPerHour": 1, **more}


def test_spec_6_a_machine_takes_jobs_from_when_it_joins_until_it_leaves_and_is_paid_as_long(run):
    lab = unmanaged(
        "lab", machine(name="old", leavesAfter="30m"), machine(name="day", joinsAfter="1h", leavesAfter="3h")
    )
    jobs = submit("job", "40m", count=4, definition="two", retryStrategy={"attempts": 2})
    late = submit("late", "40m", at="165m", definition="two")
    result = run(scenario(jobs, late, environments=[lab], definitions=[TWO]))
    rows = result.instances.set_index("instance")
    assert rows[["requested_s", "ready_s", "ended_s"]].to_numpy().tolist() == [
        [0, 0, 1800],
        [3600, 3600, 10800],
    ]
    assert set(rows["end_reason"]) == {"left: machine of the user"}
    assert rows["cost_usd"].tolist() == [0.5, 2.0]
    assert rows["lost_usd"].tolist() == [0.5, 0.0]
    assert result.summary["outcome"] == "stalled"
    tries = result.attempts[["job", "instance", "placed_s", "ended_s"]].to_numpy().tolist()
    assert tries == [
        ["job-0", "old", 0, 1800],
        ["job-0", "day", 3600, 6000],
        ["job-1", "day", 6000, 8400],
        ["job-2", "day", 8400, 10800],
    ]
    reasons = result.attempts["status_reason"].tolist()
    assert reasons[0] == "Host EC2 (instance i-00000000000000000) terminated."


def test_spec_6_a_machine_of_the_user_has_no_least_time_that_is_billed(run):
    lab = unmanaged("lab", machine(leavesAfter="5s"), machine(leavesAfter="3500ms"), machine())
    result = run(scenario(submit("job", "1h", count=6), environments=[lab]))
    assert result.instances["billed_s"].tolist() == [5, 4, HOUR]
    assert result.instances["cost_usd"].tolist() == [0.001389, 0.001111, 1]
    assert result.audit() == []


def test_spec_6_a_job_that_waits_for_a_machine_to_join_is_not_stalled_and_is_told_so(run):
    lab = unmanaged("lab", machine(vcpus=1), machine(joinsAfter="40h"))
    data = scenario(submit("job", "1h", definition="two"), environments=[lab], definitions=[TWO])
    result = run(data)
    assert result.summary["outcome"] == "finished"
    assert each_job(result, "start_s") == {"job-0": 40 * HOUR}
    assert "no machine that is there could hold it" in result.explain("job-0").to_string()
    assert run(data | {"horizon": "30h"}).summary["outcome"] == "horizon"


def test_spec_6_nobody_waits_for_machines_that_join_or_leave_when_all_jobs_have_ended(run):
    lab = unmanaged("lab", machine(leavesAfter="20h"), machine(joinsAfter="10h"))
    result = run(scenario(submit("job", "1h"), environments=[lab]))
    assert result.summary["ended_at_s"] == HOUR
    assert result.instances["ended_s"].isna().tolist() == [True]


def test_spec_6_a_machine_leaves_after_it_has_joined(problems_of):
    lab = unmanaged("lab", machine(joinsAfter="2h", leavesAfter="2h"))
    (said,) = problems_of(scenario(submit("job", "1h"), environments=[lab]))
    assert "computeEnvironments.lab.instances.0.leavesAfter" in said
    assert "more than joinsAfter = 2h" in said


@pytest.mark.parametrize(
    "cell", [("requested_s", 2, 3000.0), ("ended_s", 0, 1900.0), ("ended_s", 2, np.nan)], ids=str
)
def test_spec_6_the_audit_misses_machines_that_come_or_go_at_another_time(run, cell):
    lab = unmanaged(
        "lab", machine(leavesAfter="30m"), machine(joinsAfter="1h", leavesAfter="150m"), machine()
    )
    result = run(scenario(submit("job", "1h", at="2h", count=4), environments=[lab]))
    assert result.audit() == []
    name, row, value = cell
    result.frames["instances"].loc[row, name] = value
    assert "L18" in {violation.law for violation in result.audit()}


@pytest.mark.parametrize(
    "request_", [{"cancel": "job"}, {"update": {"computeEnvironment": "lab", "state": "DISABLED"}}]
)
def test_what_is_asked_for_after_the_last_job_makes_no_run_longer(run, request_):
    lab = unmanaged("lab", machine(leavesAfter="5h"), machine())
    result = run(scenario(submit("job", "1h"), {"at": "10h", **request_}, environments=[lab]))
    assert result.summary["makespan_s"] == HOUR
    assert result.summary["cost_usd"] == 2


def test_nobody_waits_for_a_machine_on_which_no_job_that_is_left_fits(run):
    lab = unmanaged("lab", machine(vcpus=1), machine(vcpus=1, joinsAfter="100h"))
    result = run(scenario(submit("job", "1h", definition="two"), environments=[lab], definitions=[TWO]))
    assert result.summary["outcome"] == "stalled"
    assert result.manifest["ended_at_s"] == 0


def test_a_machine_may_leave_after_the_last_job_while_others_are_idle_still(run):
    lab = unmanaged("lab", machine(leavesAfter="61m"))
    cloud = managed("cloud", 2, "c6i.large")
    jobs = submit("job", "1h", definition="two", count=2)
    data = scenario(jobs, environments=[lab, cloud], definitions=[TWO], assumptions={"idleScaleIn": "2min"})
    result = run(data)
    assert result.summary["outcome"] == "finished"
    assert result.instances["ended_s"].dropna().tolist() == [3660, 3720]


@pytest.mark.parametrize("action", ["cancel", "terminate"])
def test_a_request_may_come_at_the_instant_at_which_the_machine_leaves(run, action):
    lab = unmanaged("lab", machine(leavesAfter=60))
    job = submit("job", "1h", definition="two", retryStrategy={"attempts": 2})
    result = run(scenario(job, {"at": "60s", action: "job"}, environments=[lab], definitions=[TWO]))
    assert result.jobs[["state", "end_s", "attempts"]].to_numpy().tolist() == [["FAILED", 60, 1]]
    assert result.jobs["instance"].isna().all()
