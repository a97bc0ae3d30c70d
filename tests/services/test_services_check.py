"""`batchsim check` of service jobs: which can never run, why, and what mends it."""

from __future__ import annotations

import pytest

from batchsim.studies.check import check
from batchsim.studies.checkservices import check_services
from tests.services.scenarios import TYPE, divided, jobs, share, training


def mended(load, data, overrides):
    """The scenario after `--set` overrides."""
    import json

    from batchsim.scenario import parse_scenario

    return parse_scenario(
        json.dumps(data), overrides=[f"{path}={value}" for path, value in overrides.items()]
    )


def test_jobs_that_fit_can_run(load):
    (finding,) = check_services(load(training(jobs("a", 7, instances=50))))
    assert (finding.group, finding.jobs, finding.instances, finding.reason) == ("a", 7, 50, None)
    assert finding.changes == ()


CASES = {
    "more than the environment": (
        training(jobs("a", 2, instances=51)),
        "SERVICE_ENVIRONMENT_MAX_RESOURCE",
        50,
    ),
    "a type without a limit": (
        divided(
            [share("s", 4)], jobs("a", quotaShareName="s", resourceConfig={"instanceType": "ml.g6.xlarge"})
        ),
        "SERVICE_ENVIRONMENT_MAX_RESOURCE",
        0,
    ),
    "more than the share reserves": (
        divided([share("s", 4), share("t", 4, "LEND")], jobs("a", instances=5, quotaShareName="s")),
        "exceed quota share capacity limits.",
        4,
    ),
    "more than it may borrow": (
        divided(
            [share("s", 2, "LEND_AND_BORROW", sharing={"borrowLimit": 100}), share("t", 8, "LEND")],
            jobs("a", instances=5, quotaShareName="s"),
        ),
        "capacity limits and borrow limits.",
        4,
    ),
    "more than is lent": (
        divided(
            [
                share("s", 4, "LEND_AND_BORROW", sharing={"borrowLimit": 200}),
                share("t", 4, "LEND"),
                share("u", 9),
            ],
            jobs("a", instances=10, quotaShareName="s"),
        ),
        "all configured borrowable capacity.",
        8,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_change_alone_mends_it(load, case):
    data, words, most = CASES[case]
    (finding,) = check_services(load(data))
    assert finding.reason is not None
    assert words in finding.reason
    assert len(finding.changes) == (2 if most else 1)
    for change in finding.changes:
        (again,) = check_services(mended(load, data, change.overrides))
        assert again.reason is None, change
    if most:
        assert finding.changes[0].overrides == {"workload.a.resourceConfig.instanceCount": str(most)}
        assert f"can have is {most}" in finding.shortfall


def test_the_limit_of_a_borrowing_share_is_raised_no_more_than_needed(load):
    data, _, _ = CASES["more than it may borrow"]
    (finding,) = check_services(load(data))
    assert finding.changes[1].overrides == {"quotaShares.0.capacityLimits.0.maxCapacity": "3"}


def test_a_disabled_environment_is_to_be_enabled(load):
    data = training(jobs("a"))
    data["serviceEnvironments"][0]["state"] = "DISABLED"
    (finding,) = check_services(load(data))
    assert finding.reason == "The service environment of the job queue is DISABLED."
    (change,) = finding.changes
    assert check_services(mended(load, data, change.overrides))[0].reason is None


def test_jobs_of_several_shares_are_one_finding(load):
    policies = [{"name": "fair", "fairsharePolicy": {}}]
    data = training(jobs("a", 30, shareIdentifier={"A": 1, "B": 1}), schedulingPolicies=policies)
    data["jobQueues"][0]["schedulingPolicyArn"] = "fair"
    (finding,) = check_services(load(data))
    assert (finding.jobs, finding.instance_type) == (30, TYPE)


def test_a_check_tells_of_both_kinds_of_jobs(load):
    report = check(load(training(jobs("a"), jobs("b", instances=99))))
    assert report.findings == ()
    assert [finding.group for finding in report.services_never] == ["b"]
