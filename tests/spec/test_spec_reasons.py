"""Specification 3.10: why a job stays RUNNABLE, in the words of its status and of `explain`."""

from __future__ import annotations

from typing import Any

import pytest

from batchsim.core.feasibility import DISABLED, INVALID, MAX_RESOURCE, RESOURCE_REQUIREMENT, no_capacity
from batchsim.errors import InputError
from tests.spec.scenarios import each_job, queue, scenario, submit
from tests.spec.test_spec_capacity import cloud
from tests.spec.test_spec_spot import spot
from tests.studies.scenarios import definition

WIDE = [definition("pair", 2, 100), definition("eight", 8, 100), definition("gpu", 1, 100, gpus=1)]
COOL = {"launchCooloff": "10min"}


def told(result: Any, job: str) -> list[tuple[float, float, str, str | None]]:
    """The parts of a job's time in RUNNABLE: from, to, why, and behind which head."""
    life = result.explain(job)
    life = life[life["state"] == "RUNNABLE"].astype(object).where(life.notna(), None)
    return list(zip(life["from_s"], life["to_s"], life["reason"], life["head"], strict=True))


def waiting(result: Any, job: str) -> tuple[str, str]:
    """Why a job of a run that stalled waits: its status reason, and what `explain` says of its last wait."""
    assert result.summary["outcome"] == "stalled"
    return each_job(result, "status_reason")[job], told(result, job)[-1][2]


def after_a_minute(data: dict[str, Any]) -> dict[str, Any]:
    """The scenario with a job beside it that runs for a minute, so that the run does not end at once."""
    data["computeEnvironments"].append(cloud(64, "m6i.large") | {"computeEnvironmentName": "beside"})
    data["jobQueues"].append(queue("beside", "beside"))
    data["workload"].append(submit("beside", "1min", queue="beside"))
    return data


def test_spec_3_10_1_a_disabled_queue_takes_no_jobs_and_a_disabled_environment_starts_none(run):
    data = scenario(submit("job", "1min"), environments=[cloud(8, "c6i.large", state="DISABLED")])
    assert waiting(run(after_a_minute(data)), "job-0") == (DISABLED, "every compute environment is DISABLED")
    data["computeEnvironments"][0]["state"] = "ENABLED"
    data["jobQueues"][0]["state"] = "DISABLED"
    data["workload"].append({"at": "1h", "update": {"jobQueue": "q", "state": "ENABLED"}})
    (reason, _) = each_job(run(data), "status_reason").values()
    assert reason == "SubmitJob was refused: the job queue is DISABLED."


def test_spec_3_10_1_an_environment_that_is_invalid_starts_none(run):
    place = cloud(8, "c6i.large") | {"status": "INVALID"}
    data = after_a_minute(scenario(submit("job", "1min"), environments=[place]))
    assert waiting(run(data), "job-0") == (INVALID, "the compute environments are INVALID")


def test_spec_3_10_2_an_earlier_job_blocks_the_head_of_a_fifo_queue(run):
    jobs = submit("first", "100s"), submit("wide", "60s", definition="pair"), submit("job", "60s")
    result = run(scenario(*jobs, environments=[cloud(2, "c6i.large")], definitions=WIDE))
    at_max = "the compute environments are at maxvCpus"
    assert told(result, "wide-0") == [(0, 100, at_max, None)]
    assert told(result, "job-0") == [(0, 100, at_max, "wide-0"), (100, 160, at_max, None)]


def test_spec_3_10_2_fair_share_keeps_vcpus_for_shares_that_may_come(run):
    policy = {"name": "fair", "fairsharePolicy": {"computeReservation": 50}}
    data = scenario(
        submit("job", "60s", count=3, shareIdentifier="a"),
        environments=[cloud(4, "c6i.large")],
        schedulingPolicies=[policy],
    )
    data["jobQueues"][0]["schedulingPolicyArn"] = "fair"
    reason = "the fair-share reservation keeps what is left"
    assert told(run(data), "job-2") == [(0, 60, reason, None)]


@pytest.mark.parametrize(
    ("asked", "place", "status", "said"),
    [
        ("eight", cloud(64, "c6i.large"), RESOURCE_REQUIREMENT, "no instance type is large enough"),
        ("gpu", cloud(64, "c6i.large"), RESOURCE_REQUIREMENT, "no instance type is large enough"),
        ("eight", cloud(4, "c6i.2xlarge"), MAX_RESOURCE, "maxvCpus is below what it asks for"),
    ],
)
def test_spec_3_10_3_and_4_what_no_environment_can_hold_says_so(run, asked, place, status, said):
    data = scenario(submit("job", "1min", definition=asked), environments=[place], definitions=WIDE)
    assert waiting(run(after_a_minute(data)), "job-0") == (status, said)


def test_spec_3_10_5_an_environment_at_its_maximum_is_busy(run):
    result = run(scenario(submit("job", "60s", count=3), environments=[cloud(2, "c6i.large")]))
    assert told(result, "job-2") == [(0, 60, "the compute environments are at maxvCpus", None)]


CAPACITY_ENDS = "capacityShortages", "at_s,probability\n0,1\n1500,0\n"
PRICE_FALLS = "spotPrices", "instance_type,usd_per_hour,at_s\nc6i.large,0.09,0\nc6i.large,0.02,1500\n"


@pytest.mark.parametrize(
    ("place", "trace", "said"),
    [
        (cloud(2, "c6i.large"), CAPACITY_ENDS, "insufficient capacity"),
        (spot(2, "c6i.large"), PRICE_FALLS, "the Spot price is not below the bid"),
    ],
)
def test_spec_3_10_6_and_7_no_capacity_is_told_from_a_price_above_the_bid(run, tmp_path, place, trace, said):
    assumption, text = trace
    (tmp_path / "trace.csv").write_text(text)
    refused = {assumption: [{"trace": "trace.csv"}]}
    result = run(scenario(submit("job", "1min"), environments=[place], assumptions=COOL | refused))
    # Tried again every ten minutes.
    assert told(result, "job-0") == [(0, 1800, f"instances could not be launched: {said}", None)]


@pytest.mark.parametrize(
    ("place", "quotas", "said"),
    [
        (cloud(8, "c6i.large"), "onDemand", "the account's On-Demand quota is used up"),
        (spot(8, "c6i.large"), "spot", "the account's Spot quota is used up"),
    ],
)
def test_spec_3_10_6_a_quota_of_the_account_is_named(run, place, quotas, said):
    data = scenario(
        submit("job", "1h", count=3),
        environments=[place],
        assumptions=COOL | {"accountQuotas": {quotas: {"Standard": 2}}},
    )
    assert told(run(data), "job-2") == [(0, 3600, f"instances could not be launched: {said}", None)]


def test_spec_3_10_6_a_job_that_no_quota_lets_start_has_awss_reason(run):
    quotas = {"accountQuotas": {"onDemand": {"Standard": 1}}}
    result = run(
        scenario(submit("job", "1h"), environments=[cloud(8, "c6i.large")], assumptions=COOL | quotas)
    )
    assert result.summary["outcome"] == "stalled"
    assert each_job(result, "status_reason") == {"job-0": no_capacity("c6i.large")}


def test_spec_3_10_7_a_type_whose_price_is_never_below_the_bid_is_refused_at_once(run):
    with pytest.raises(InputError, match="no Spot price of these types is below 1% of On-Demand"):
        run(scenario(submit("job", "1h"), environments=[spot(2, "c6i.large", bidPercentage=1)]))


def test_spec_3_10_8_a_consumable_resource_that_is_used_up_is_named(run):
    licence = {"consumableResourceList": [{"consumableResource": "seat", "quantity": 1}]}
    result = run(
        scenario(
            submit("job", "60s", count=2, consumableResourcePropertiesOverride=licence),
            environments=[cloud(8, "c6i.large")],
            consumableResources=[{"consumableResourceName": "seat", "totalQuantity": 1}],
        )
    )
    reason = "too little of a consumable resource is available (seat)"
    assert told(result, "job-1") == [(0, 60, reason, None)]


def test_spec_3_10_9_launching_instances_are_told_from_the_decision_to_launch_them(run):
    slow = {"scalingInterval": "30s", "instanceLaunch": "20s", "instanceRegistration": "60s"}
    result = run(
        scenario(submit("job", "60s", at="5s"), environments=[cloud(2, "c6i.large")], assumptions=slow)
    )
    assert told(result, "job-0") == [
        (5, 30, "the next scaling decision is awaited", None),
        (30, 110, "instances are launching", None),
    ]
