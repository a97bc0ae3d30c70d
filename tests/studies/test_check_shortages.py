"""What the check says where EC2 never has some of the types, by the assumptions."""

from __future__ import annotations

import pytest

from batchsim.studies.check import Host, check
from batchsim.studies.run import run
from tests.studies.scenarios import definition, jobs, managed, world

STRATEGY = "computeEnvironments.m.computeResources.allocationStrategy"


def without_c6i(*workload):
    """The cheaper one of two types that hold the jobs is short for certain."""
    needs = definition("four", 4, 4000), definition("large", 4, 12000)
    data = world([managed("m", 16, "m6i.xlarge", "c6i.xlarge")], workload, *needs)
    data["assumptions"] = {"insufficientCapacity": {"c6i": 1}}
    return data


def test_best_fit_takes_no_other_type_than_the_cheapest(load):
    scenario = load(without_c6i(jobs("j", "q0", "four", 3)), f"{STRATEGY}=BEST_FIT")
    (finding,) = check(scenario).never
    assert finding.reason.startswith("CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY")
    assert finding.shortfall == (
        "EC2 never has capacity for c6i.xlarge, by assumptions.insufficientCapacity;"
        " BEST_FIT takes no other type in m"
    )
    assert [each.text for each in finding.changes] == [
        "use BEST_FIT_PROGRESSIVE in m, or change assumptions.insufficientCapacity"
    ]
    result = run(scenario)
    assert (result.summary["outcome"], result.jobs["attempts"].sum()) == ("stalled", 0)


def test_types_that_ec2_never_has_are_not_counted(load):
    scenario = load(without_c6i(jobs("j", "q0", "four", 3)))
    (finding,) = check(scenario).findings
    assert finding.hosts == (Host("m", 1, 2),)
    assert run(scenario).summary["outcome"] == "finished"


@pytest.mark.parametrize("strategy", ["BEST_FIT", "BEST_FIT_PROGRESSIVE"])
def test_jobs_whose_type_ec2_never_has_find_room_on_the_instances_of_others(load, strategy):
    entries = jobs("j", "q0", "four", 3, arrivals={"atOnce": {"at": "30s"}}), jobs("large", "q0", "large", 3)
    scenario = load(without_c6i(*entries), f"{STRATEGY}={strategy}")
    report = check(scenario)
    assert report.can_all_start
    assert [each.hosts for each in report.findings] == [(Host("m", 1, 2),)] * 2
    assert run(scenario).summary["outcome"] == "finished"
