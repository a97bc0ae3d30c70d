"""Fargate: sizes, launches, what a task pulls, and what it costs."""

from __future__ import annotations

import copy
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchsim.catalog.fargate import cheapest_size, is_task_size, task_prices
from batchsim.catalog.prices import regions
from batchsim.cli.summary import prices
from batchsim.core.feasibility import no_capacity
from batchsim.core.plan import EnvironmentPlan, Need
from batchsim.drivers.fargate import Tasks
from batchsim.drivers.simulated import simulate
from batchsim.errors import ScenarioError
from batchsim.results import Recorder
from batchsim.results.audit import audit_frames
from batchsim.studies.check import check
from tests.harness import PlanBuilder, machine
from tests.heap_driver import heap_simulate
from tests.spec.scenarios import lab, scenario, submit
from tests.studies.scenarios import definition, managed, queue


def fargate(max_vcpus: int, kind: str = "FARGATE", **resources: Any) -> dict[str, Any]:
    return {
        "computeEnvironmentName": kind.lower(),
        "type": "MANAGED",
        "computeResources": {"type": kind, "maxvCpus": max_vcpus, **resources},
    }


def task(vcpus: float, memory_mib: int, **more: Any) -> dict[str, Any]:
    return definition("task", vcpus, memory_mib) | {"platformCapabilities": ["FARGATE"], **more}


def on_fargate(*workload: dict[str, Any], size: tuple[float, int] = (1, 2048), **more: Any) -> dict[str, Any]:
    places = more.pop("environments", [fargate(5000)])
    data = scenario(*workload, environments=places, definitions=[task(*size)], **more)
    data["jobDefinitions"] = [each for each in data["jobDefinitions"] if each["jobDefinitionName"] == "task"]
    return data


def job(runtime: str, name: str = "job", **more: Any) -> dict[str, Any]:
    return submit(name, runtime, definition="task", **more)


SIZES = {
    0.25: (512, 1024, 2048),
    0.5: range(1024, 4096 + 1, 1024),
    1: range(2048, 8192 + 1, 1024),
    2: range(4096, 16_384 + 1, 1024),
    4: range(8192, 30_720 + 1, 1024),
    8: range(16_384, 61_440 + 1, 4096),
    16: range(32_768, 122_880 + 1, 8192),
}
"""[spec 4.1] MiB by vCPUs."""
PAIRS = [(vcpus, memory) for vcpus, memories in SIZES.items() for memory in memories]


def test_spec_50_every_valid_pair_runs(run):
    data = on_fargate(environments=[fargate(5000)])
    data["jobDefinitions"] = [
        task(*pair) | {"jobDefinitionName": f"d{number}"} for number, pair in enumerate(PAIRS)
    ]
    data["workload"] = [submit(f"j{number}", "1h", definition=f"d{number}") for number in range(len(PAIRS))]
    result = run(data)
    assert list(result.jobs["start_s"]) == [0] * len(PAIRS)
    names = [f"fargate.{vcpus:g}x{memory}" for vcpus, memory in PAIRS]
    assert list(result.jobs["instance_type"].astype(str)) == names
    usd = [round(vcpus * 0.04048 + memory / 1024 * 0.004445, 6) for vcpus, memory in PAIRS]
    assert list(result.instances["cost_usd"]) == pytest.approx(usd, abs=1e-6)


@pytest.mark.parametrize("vcpus", SIZES)
@pytest.mark.parametrize("end", [0, -1])
@pytest.mark.parametrize("step", [-1, 1])
def test_spec_50_a_mib_beside_the_ends_of_each_row_is_refused(run, vcpus, end, step):
    size = vcpus, SIZES[vcpus][end] + step
    with pytest.raises(ScenarioError, match=f"Fargate has no tasks of {vcpus} vCPU and {size[1]} MiB"):
        run(on_fargate(job("1min"), size=size))


def test_spec_50_no_other_pair_is_valid():
    quarters = sorted({*range(1, 20), 31, 32, 33, 63, 64, 65, 128})
    memories = sorted({memory + step for _, memory in PAIRS for step in (-4096, -512, -1, 0, 1, 512, 4096)})
    valid = {(vcpus * 4, memory) for vcpus, memory in PAIRS}
    assert {pair for pair in product(quarters, memories) if is_task_size(*pair)} == valid


@given(st.integers(1, 64), st.integers(1, 122_880))
def test_spec_50_the_help_names_the_cheapest_valid_pair_that_holds_a_request(quarters, memory):
    found = cheapest_size(quarters, memory, task_prices()["us-east-1", "x86_64"])
    assert found is not None
    holding = [pair for pair in PAIRS if pair[0] * 4 >= quarters and pair[1] >= memory]
    usd = {pair: pair[0] * 0.04048 + pair[1] / 1024 * 0.004445 for pair in holding}
    assert usd[found[0] / 4, found[1]] == min(usd.values())


@pytest.mark.parametrize(
    ("size", "way_out"),
    [
        ((1, 1024), "1 vCPU and 2048 MiB"),
        ((8, 18_432), "8 vCPU and 20480 MiB"),
        ((1, 9000), "2 vCPU and 9216 MiB"),
        ((3, 100), "4 vCPU and 8192 MiB"),
        ((17, 100), "use EC2"),
        ((0.25, 4096), "0.5 vCPU and 4096 MiB"),
        ((0.75, 1024), "1 vCPU and 2048 MiB"),
    ],
)
def test_spec_50_an_invalid_pair_is_refused_with_the_cheapest_valid_one(run, size, way_out):
    with pytest.raises(ScenarioError, match=f"Fargate has no tasks of {size[0]} vCPU .*{way_out}"):
        run(on_fargate(job("1min"), size=size))


def test_the_cheapest_size_may_have_fewer_of_what_is_not_asked_for():
    price = task_prices()["us-east-1", "x86_64"]
    assert cheapest_size(4, 8192, price) == (4, 8192)
    assert cheapest_size(1, 3000, price) == (2, 3072)
    assert cheapest_size(64, 122_881, price) is None


def test_spec_51_a_thousand_tasks_are_launched_within_45_seconds(run):
    limits = {"fargateLaunchRate": "20/s", "fargateLaunchBurst": 100}
    result = run(on_fargate(job("2min", count=1000), assumptions=limits))
    starts = result.jobs["start_s"]
    assert (starts == 0).sum() == 100
    assert starts.max() == 45


SIX = {"launchCooloff": "3min", "accountQuotas": {"onDemand": {"Fargate": 6}}}
"""What new accounts have [spec 4.3]."""


def test_spec_4_3_all_environments_together_run_no_more_vcpus_than_the_quota(run):
    places = [fargate(4) | {"computeEnvironmentName": "a"}, fargate(100) | {"computeEnvironmentName": "b"}]
    result = run(on_fargate(job("1h", count=10), environments=places, assumptions=SIX))
    assert list(result.jobs["start_s"]) == [0] * 6 + [3600] * 4
    assert list(result.jobs["environment"].astype(str))[:6] == ["a"] * 4 + ["b"] * 2
    life = result.explain("job-6")
    assert life["reason"][0] == "the account's quota of Fargate vCPUs does not allow it"


def test_spec_4_3_a_quota_of_fargate_refuses_no_launch_and_needs_no_cooloff(run, problems_of):
    quota = {"preset": "ideal", "accountQuotas": {"onDemand": {"Fargate": 6}}}
    result = run(on_fargate(job("1h", count=10), environments=[fargate(100)], assumptions=quota))
    assert list(result.jobs["start_s"]) == [0] * 6 + [3600] * 4
    quota["accountQuotas"]["spot"] = {"Standard": 4}
    (said,) = problems_of(on_fargate(job("1h"), assumptions=quota))
    assert "accountQuotas may refuse launches" in said


def test_spec_4_3_fargate_spot_has_a_quota_of_its_own(run):
    places = [fargate(100), fargate(100, "FARGATE_SPOT")]
    result = run(on_fargate(job("1h", count=10), environments=places, assumptions=SIX))
    assert list(result.jobs["start_s"]) == [0] * 10
    assert result.jobs["environment"].value_counts().to_dict() == {"fargate": 6, "fargate_spot": 4}


def test_spec_4_3_a_task_above_the_quota_never_starts_and_check_says_what_to_raise(run, load):
    data = on_fargate(job("1h"), size=(8, 16_384), assumptions=SIX)
    assert run(data).summary["outcome"] == "stalled"
    (finding,) = check(load(data)).findings
    assert finding.reason == no_capacity("fargate.8x16384")
    assert finding.shortfall == (
        "fargate would launch the smallest task of 8 vCPUs (fargate.8x16384), and the quota onDemand.Fargate"
        " leaves 6"
    )
    assert [(change.text, change.overrides) for change in finding.changes][-1] == (
        "raise the account's On-Demand quota of Fargate tasks from 6 to 8 vCPUs",
        {"assumptions.accountQuotas.onDemand.Fargate": "8"},
    )
    data["assumptions"] = {**data["assumptions"], "accountQuotas": {"onDemand": {"Fargate": 8}}}
    assert check(load(data)).can_all_start
    assert run(data).summary["outcome"] == "finished"


def test_spec_4_3_quarters_of_vcpus_count_as_such(run):
    quota = SIX | {"accountQuotas": {"onDemand": {"Fargate": 1}}}
    result = run(on_fargate(job("1h", count=6), size=(0.25, 512), assumptions=quota))
    assert list(result.jobs["start_s"]) == [0] * 4 + [3600] * 2


def test_on_demand_and_spot_have_a_bucket_each(run):
    limits = {"fargateLaunchRate": "1/s", "fargateLaunchBurst": 1}
    places = [fargate(2), fargate(100, "FARGATE_SPOT")]
    result = run(on_fargate(job("2min", count=5), environments=places, assumptions=limits))
    assert sorted(result.jobs["start_s"]) == [0, 0, 1, 1, 2]


def test_spec_52_a_task_is_billed_from_its_pull_to_its_stop(run):
    pull = {"imageSize": "1200MB", "fargatePullRate": 60, "fargateProvisioning": "25s"}
    result = run(on_fargate(job("70s"), size=(4, 8192), assumptions=pull))
    (machine,) = result.instances.to_dict("records")
    assert [machine[name] for name in ("requested_s", "running_s", "ended_s")] == [0, 25, 115]
    assert (machine["billed_s"], machine["billing"], machine["cost_usd"]) == (90, "fargate", 0.004937)


def test_spec_52_a_quarter_vcpu_for_20_seconds_is_billed_for_60(run):
    result = run(on_fargate(job("20s"), size=(0.25, 512)))
    (machine,) = result.instances.to_dict("records")
    assert (machine["instance_type"], machine["vcpus"], machine["billed_s"]) == ("fargate.0.25x512", 0.25, 60)
    assert machine["cost_usd"] == round(0.000205708, 6) == result.summary["cost_usd"]
    assert list(result.jobs["vcpus"]) == [0.25]
    assert result.summary["environments"]["fargate"]["peak_vcpus"] == 0.25


def test_spec_52_a_short_task_is_billed_for_a_minute(run):
    result = run(on_fargate(job("20s")))
    (machine,) = result.instances.to_dict("records")
    assert machine["billed_s"] == 60
    assert machine["cost_usd"] == round(60 / 3600 * (0.04048 + 2 * 0.004445), 6)


def test_tasks_and_instances_share_a_registry(run):
    """50 MB/s each, until the smaller image is there; then the task has the 60 that it can use."""
    pulls = {"imagePullRate": 100, "fargatePullRate": 60, "registryBandwidth": 100}
    data = scenario(
        submit("own", "1h", imageSize="400MB"),
        job("1h", queue="tasks", imageSize="500MB"),
        environments=[lab(1)],
        definitions=[task(1, 2048)],
        assumptions=pulls,
    )
    data["computeEnvironments"].append(fargate(4))
    data["jobQueues"].append(queue("tasks", "fargate"))
    assert run(data).attempts["pulled_s"].tolist() == [8, 9.666667]


def test_an_hour_of_two_vcpus_costs_what_the_price_list_says(run):
    assert run(on_fargate(job("1h"), size=(2, 4096))).summary["cost_usd"] == 0.09874
    spot = on_fargate(job("1h"), size=(2, 4096), environments=[fargate(4, "FARGATE_SPOT")])
    assert run(spot).summary["cost_usd"] == pytest.approx(0.3 * 0.09874, abs=1e-6)
    assert task_prices()["us-east-1", "arm64"].uusd_per_hour(8, 4096) == 79_000


def test_spec_4_4_the_prices_of_us_east_1():
    x86, arm = (task_prices()["us-east-1", architecture] for architecture in ("x86_64", "arm64"))
    assert (x86.vcpu_hour, x86.gb_hour, x86.storage_gb_hour) == (0.04048, 0.004445, 0.000111)
    assert (arm.vcpu_hour, arm.gb_hour, arm.storage_gb_hour) == (0.03238, 0.00356, 0.000111)


@pytest.mark.parametrize(
    ("image_mb", "runtime", "billed"),
    [(0, "60s", 60), (0, "60.1s", 61), (30, "59.4s", 60), (90, "59.4s", 61), (90, "2h", 7202)],
)
def test_spec_4_4_pull_and_run_together_are_rounded_up_to_seconds(run, image_mb, runtime, billed):
    pull = {"imageSize": f"{image_mb}MB", "fargatePullRate": 60}
    result = run(on_fargate(job(runtime), size=(4, 8192), assumptions=pull))
    assert list(result.instances["billed_s"]) == [billed]
    usd = billed / 3600 * (4 * 0.04048 + 8 * 0.004445)
    assert result.summary["cost_usd"] == pytest.approx(usd, abs=1e-6)


def on_arm(data: dict[str, Any], **more: Any) -> dict[str, Any]:
    platform = {"cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX"}
    data["jobDefinitions"][0]["containerProperties"] |= {"runtimePlatform": platform, **more}
    return data


def test_spec_4_4_an_hour_of_two_vcpus_on_arm(run):
    result = run(on_arm(on_fargate(job("1h"), size=(2, 4096))))
    (machine,) = result.instances.to_dict("records")
    assert (machine["instance_type"], machine["cost_usd"]) == ("fargate-arm.2x4096", 0.079)


def test_spec_4_4_storage_above_20_gib_is_paid_for(run):
    storage = {"ephemeralStorage": {"sizeInGiB": 100}}
    data = on_fargate(job("1h"), size=(2, 4096))
    data["jobDefinitions"][0]["containerProperties"] |= storage
    (machine,) = run(data).instances.to_dict("records")
    assert machine["instance_type"] == "fargate.2x4096x100"
    assert machine["cost_usd"] == 0.09874 + 80 * 0.000111
    data["computeEnvironments"][0]["computeResources"]["type"] = "FARGATE_SPOT"
    spot = run(data).instances["cost_usd"][0]
    assert spot == pytest.approx(0.3 * 0.09874 + 80 * 0.000111, abs=1e-6)


def test_jobs_of_one_size_get_tasks_of_the_kind_that_each_asks_for(run):
    data = on_fargate(job("1h"), size=(2, 4096))
    arm = task(2, 4096) | {"jobDefinitionName": "arm"}
    arm["containerProperties"] |= {
        "runtimePlatform": {"cpuArchitecture": "ARM64"},
        "ephemeralStorage": {"sizeInGiB": 30},
    }
    data["jobDefinitions"].append(arm)
    data["workload"].append(submit("arm", "1h", definition="arm"))
    result = run(data)
    types = result.jobs.set_index("group")["instance_type"].to_dict()
    assert types == {"job": "fargate.2x4096", "arm": "fargate-arm.2x4096x30"}
    assert result.summary["cost_usd"] == pytest.approx(0.09874 + 0.079 + 10 * 0.000111, abs=1e-9)


def test_spec_4_2_tasks_on_arm_run_on_fargate_spot_at_its_part_of_their_price(run):
    result = run(on_arm(on_fargate(job("1h"), size=(2, 4096), environments=[fargate(4, "FARGATE_SPOT")])))
    (machine,) = result.instances.to_dict("records")
    assert (machine["instance_type"], machine["cost_usd"]) == ("fargate-spot-arm.2x4096", 0.0237)


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ({"fargate": 0.5}, 7200),
        ({"fargate": 0.5, "fargate-spot": 2}, 1800),
        ({"fargate": 0.5, "fargate-spot": 2, "fargate-arm": 4}, 900),
        ({"fargate-arm": 4, "fargate-spot-arm": 8}, 450),
    ],
)
def test_the_architecture_of_a_task_counts_for_its_speed_more_than_that_it_is_spot(run, given, seconds):
    places = [fargate(4, "FARGATE_SPOT")]
    result = run(on_arm(on_fargate(job("1h"), environments=places, assumptions={"speedFactors": given})))
    assert list(result.jobs["execution_s"]) == [seconds]


def test_quarter_vcpus_are_counted_against_the_maximum(run):
    result = run(on_fargate(job("1min", count=5), size=(0.25, 512), environments=[fargate(1)]))
    assert list(result.jobs["start_s"]) == [0, 0, 0, 0, 60]
    mixed = on_fargate(job("1min", count=3), size=(0.5, 1024), environments=[fargate(2)])
    mixed["jobDefinitions"].append(task(1, 2048) | {"jobDefinitionName": "whole"})
    mixed["workload"].append(submit("whole", "1min", definition="whole"))
    result = run(mixed)
    assert list(result.jobs["start_s"]) == [0, 0, 0, 60]
    assert result.timeseries.query("kind == 'environment'")["provisioned_vcpus"].max() == 1.5


def test_a_submission_may_ask_for_another_part_of_a_vcpu(run):
    other = {"resourceRequirements": [{"type": "VCPU", "value": "0.5"}, {"type": "MEMORY", "value": "1024"}]}
    result = run(on_fargate(job("1min", containerOverrides=other)))
    assert list(result.instances["instance_type"]) == ["fargate.0.5x1024"]


def test_parts_of_vcpus_and_storage_are_for_fargate_only(problems_of):
    parts = scenario(submit("job", "1min"), definitions=[definition("tool", 0.5, 1024)])
    assert "0.5 vCPU is for Fargate only" in problems_of(parts)[0]
    other = {"resourceRequirements": [{"type": "VCPU", "value": "0.5"}]}
    assert "round it up" in problems_of(scenario(submit("job", "1min", containerOverrides=other)))[0]
    storage = definition("tool", 1, 1024)
    storage["containerProperties"]["ephemeralStorage"] = {"sizeInGiB": 50}
    told = problems_of(scenario(submit("job", "1min"), definitions=[storage]))[0]
    assert "ephemeralStorage is for Fargate tasks only" in told


def test_the_date_of_prices_is_that_of_the_lists_they_came_from(run):
    tasks = on_fargate(job("1min"))
    result = run(tasks)
    assert result.manifest["price_date"] == "2026-03"
    assert prices(result.manifest) == "USD (us-east-1, Fargate prices of 2026-03)"
    assert run({**tasks, "region": "eu-central-1"}).manifest["price_date"] == "2026-07-27"
    tasks["computeEnvironments"].append(managed("ec2", 64, "c6i"))
    told = prices(run(tasks).manifest)
    assert told == "USD (us-east-1, On-Demand and Fargate prices of 2026-07-20, of Fargate 2026-03)"


def test_every_task_pulls_its_image(run):
    pull = {"imageSize": "600MB", "fargatePullRate": 60}
    result = run(on_fargate(job("1min", count=2), environments=[fargate(1)], assumptions=pull))
    assert list(result.jobs["start_s"]) == [10, 80]


def test_the_vcpus_of_jobs_count_and_are_never_exceeded(run):
    result = run(on_fargate(job("1min", count=3), size=(2, 4096), environments=[fargate(5)]))
    assert list(result.jobs["start_s"]) == [0, 0, 60]


def test_a_spot_task_that_is_taken_back_says_so(run):
    often = {"spotInterruptions": "60/h", "spotNotice": "0s"}
    place = fargate(4, "FARGATE_SPOT")
    result = run(on_fargate(job("10h"), environments=[place], assumptions=often))
    (row,) = result.jobs.to_dict("records")
    assert (row["state"], row["status_reason"]) == ("FAILED", "Your Spot Task was interrupted.")
    (machine,) = result.instances.to_dict("records")
    assert machine["end_reason"] == "interrupted: Fargate Spot"
    assert machine["billed_s"] >= 60


@pytest.mark.parametrize("kind", ["FARGATE", "FARGATE_SPOT"])
def test_spec_4_2_a_task_may_be_lost_after_14_days_and_its_job_be_tried_again(run, kind):
    slow = {"fargateProvisioning": "30s", "fargateTaskLifetime": "14d"}
    data = on_fargate(
        job("340h", retryStrategy={"attempts": 2}), environments=[fargate(4, kind)], assumptions=slow
    )
    result = run(data)
    day = 86_400
    tries = result.attempts[["placed_s", "ended_s", "status_reason"]].to_numpy().tolist()
    assert tries == [
        [30, 30 + 14 * day, "Task terminated: Fargate keeps no task for longer"],
        [60 + 14 * day, 60 + 28 * day, "Task terminated: Fargate keeps no task for longer"],
    ]
    assert result.jobs["state"].tolist() == ["FAILED"]
    assert set(result.instances["end_reason"]) == {"expired: Fargate"}
    assert result.instances["billed_s"].tolist() == [14 * day] * 2
    assert result.instances["lost_usd"].sum() == pytest.approx(result.summary["cost_usd"])
    for said in ("13d", "15d", "0s"):
        manifest = copy.deepcopy(result.manifest)
        manifest["assumptions"]["fargateTaskLifetime"] = said
        assert "L18" in {each.law for each in audit_frames(result.frames, result.summary, manifest)}
    in_time = on_fargate(job("336h"), environments=[fargate(4, kind)], assumptions=slow)
    assert run(in_time).jobs["state"].tolist() == ["SUCCEEDED"]
    data["assumptions"]["fargateTaskLifetime"] = 0
    assert run(data).jobs["state"].tolist() == ["SUCCEEDED"]


def test_tasks_are_provisioned_in_any_order_and_the_horizon_may_come_before(run):
    slow = {"preset": "aws", "fargateProvisioning": {"uniform": {"low": "1s", "high": "10min"}}}
    result = run(on_fargate(job("5min", count=300), assumptions=slow, horizon="7min"))
    states = result.jobs["state"].astype(str).value_counts()
    assert states["RUNNABLE"] > 10
    assert states["RUNNING"] > 10


def test_a_job_that_is_terminated_while_its_task_is_provisioned_ends_with_it(run):
    slow = {"fargateProvisioning": "5min"}
    stop = {"at": "1min", "terminate": "job", "reason": "enough"}
    result = run(on_fargate(job("5min"), stop, assumptions=slow))
    (row,) = result.jobs.to_dict("records")
    assert (row["state"], row["end_s"], row["status_reason"]) == ("FAILED", 300, "enough")


@pytest.mark.parametrize(
    "field",
    [
        {"minvCpus": 1},
        {"desiredvCpus": 1},
        {"instanceTypes": ["c6i"]},
        {"allocationStrategy": "BEST_FIT_PROGRESSIVE"},
        {"bidPercentage": 50},
        {"instanceRole": "role"},
        {"placementGroup": "group"},
    ],
)
def test_fields_that_fargate_does_not_have(problems_of, field):
    (problem,) = problems_of(on_fargate(job("1min"), environments=[fargate(64, **field)]))
    assert f"{next(iter(field))} does not belong to Fargate" in problem


@pytest.mark.parametrize(("field", "most"), [("subnets", 16), ("securityGroupIds", 5)])
def test_spec_4_2_a_fargate_environment_has_so_many_subnets_and_security_groups(problems_of, field, most):
    def refused(count: int) -> list[str]:
        names = [f"{field}-{number}" for number in range(count)]
        return problems_of(on_fargate(job("1min"), environments=[fargate(64, **{field: names})]))

    assert refused(most) == []
    assert f"{field}: expected at most {most} of them on Fargate" in refused(most + 1)[0]


def test_spec_4_2_fargate_runs_no_multi_node_jobs(problems_of):
    data = on_fargate(job("1min"))
    (container,) = (each.pop("containerProperties") for each in data["jobDefinitions"])
    nodes = {
        "numNodes": 2,
        "mainNode": 0,
        "nodeRangeProperties": [{"targetNodes": "0:", "container": container}],
    }
    data["jobDefinitions"][0] |= {"type": "multinode", "nodeProperties": nodes}
    assert "Fargate runs no multi-node jobs" in problems_of(data)[0]


def test_jobs_of_fargate_and_of_ec2_have_queues_of_their_own(problems_of):
    mixed = scenario(submit("job", "1min"), environments=[fargate(64)])
    assert "this one is for ECS, and q runs ECS_FARGATE jobs" in problems_of(mixed)[0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"resourceRequirements": [("VCPU", "1"), ("MEMORY", "2048"), ("GPU", "1")]}, "Fargate has no GPUs"),
        ({"privileged": True}, "privileged: expected false on Fargate"),
        ({"ulimits": [{"name": "nofile"}]}, "ulimits: Fargate has no ulimits"),
        (
            {"logConfiguration": {"logDriver": "syslog"}},
            "logDriver: expected awslogs, splunk or awsfirelens on Fargate, found 'syslog'",
        ),
        ({"vcpus": 1}, "vcpus: expected resourceRequirements in its place on Fargate, found 1"),
        (
            {"runtimePlatform": {"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE"}},
            "only Linux tasks are modelled: expected LINUX or nothing, found 'WINDOWS_SERVER_2022_CORE'",
        ),
        ({"runtimePlatform": {"cpuArchitecture": "arm64"}}, "expected X86_64 or ARM64 or nothing"),
        ({"ephemeralStorage": {"sizeInGiB": 20}}, "ephemeralStorage.sizeInGiB"),
        ({"ephemeralStorage": {"sizeInGiB": 201}}, "ephemeralStorage.sizeInGiB"),
    ],
)
def test_what_a_job_definition_for_fargate_cannot_have(problems_of, change, said):
    data = on_fargate(job("1min"))
    if "resourceRequirements" in change:
        change = {
            "resourceRequirements": [{"type": k, "value": v} for k, v in change["resourceRequirements"]]
        }
    data["jobDefinitions"][0]["containerProperties"] |= change
    assert said in problems_of(data)[0]


def test_the_containers_of_one_task_have_no_other_settings_than_a_single_one(problems_of):
    data = on_fargate(job("1min"))
    container = data["jobDefinitions"][0].pop("containerProperties")
    data["jobDefinitions"][0]["ecsProperties"] = {"taskProperties": [{"containers": [container]}]}
    assert problems_of(data) == []
    container["ulimits"] = [{"name": "nofile"}]
    assert "taskProperties.0.containers.0.ulimits: Fargate has no ulimits" in problems_of(data)[0]


@pytest.mark.parametrize("region", regions())
def test_every_region_with_a_price_list_has_fargate_prices_of_both_architectures(region):
    x86, arm = (task_prices()[region, architecture] for architecture in ("x86_64", "arm64"))
    assert arm.vcpu_hour / x86.vcpu_hour == pytest.approx(0.8, rel=2e-3)
    assert arm.gb_hour / x86.gb_hour == pytest.approx(0.8, rel=2e-3)
    assert arm.storage_gb_hour == x86.storage_gb_hour


def test_the_jobs_of_a_trace_get_the_smallest_task_that_holds_them(run, tmp_path):
    (tmp_path / "log.swf").write_text(
        "1 0 -1 60 3 -1 -1 3 60 -1 1 1 1 1 1 1 -1 -1\n2 0 -1 60 1 -1 -1 1 60 -1 1 1 1 1 1 1 -1 -1\n"
    )
    entry = {"name": "log", "jobQueue": "q", "trace": {"path": "log.swf", "format": "swf"}}
    result = run(on_fargate(entry))
    sizes = sorted(result.instances["instance_type"].astype(str))
    assert sizes == ["fargate.1x2048", "fargate.4x8192"]
    assert result.manifest["workload"]["log"]["jobs_rounded_up_to_fargate_sizes"] == 2


def test_explain_tells_provisioning_apart_from_waiting_for_the_scheduler(run):
    slow = {"fargateProvisioning": "20s", "schedulingInterval": "1s"}
    result = run(on_fargate(job("1min", count=2), assumptions=slow))
    for number in (0, 1):
        life = result.explain(f"job-{number}")
        waits = life[life["state"] == "RUNNABLE"]
        instance = result.instances["instance"][number]
        assert waits["reason"].tolist()[-1] == f"its task {instance} is provisioned"
        assert (waits["to_s"] - waits["from_s"]).tolist()[-1] == 20
        assert waits["head"].isna().all()


@pytest.mark.parametrize("runtime_us", [0, 10])
def test_a_task_that_is_too_old_at_the_instant_of_its_start_does_not_start(runtime_us):
    place = EnvironmentPlan("f", (0,), managed=True, max_vcpus=4, per_job=True)
    told = []
    for drive in (simulate, heap_simulate):
        builder = PlanBuilder([machine(1, 2048)], [place])
        builder.job(0, runtime_us, Need(1, 1000, 0))
        recorder = Recorder(1)
        world = builder.world(tasks=Tasks({0: "usual"}, 0, 0, 1, 3), container_start_us=3)
        drive(builder.plan(), world, recorder, horizon_us=None)
        told.append((list(recorder.started_us), recorder.status_reason[0]))
    assert told == [([-1], "Task terminated: Fargate keeps no task for longer")] * 2
