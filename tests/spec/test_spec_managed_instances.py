"""ECS Managed Instances: what counts against maxvCpus, architectures, draining, and the fee [spec 3.9]."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

import batchsim
from batchsim.cli.explain import explain
from batchsim.cli.prices import prices
from batchsim.cli.summary import print_summary
from batchsim.core.feasibility import MAX_RESOURCE, OTHER_ARCHITECTURE, RESOURCE_REQUIREMENT
from batchsim.errors import CatalogError, ScenarioError
from batchsim.results.audit import audit_frames
from batchsim.studies.check import check
from tests.spec.scenarios import each_attempt, each_job, lab, queue, scenario, submit
from tests.spec.test_spec_capacity import cloud
from tests.spec.test_spec_fargate import fargate, on_fargate
from tests.spec.test_spec_fargate import job as task_job
from tests.spec.test_spec_spot import OFTEN, interrupted_at, spot
from tests.studies.scenarios import definition
from tests.studies.test_check_features import as_overrides

if TYPE_CHECKING:
    from collections.abc import Sequence

DRAINED = "Task stopped during instance draining"


def ecs(
    max_vcpus: int, *types: str, name: str = "mi", market: str = "ON_DEMAND", **more: Any
) -> dict[str, Any]:
    """An environment; `more` are parts of its managedInstancesProvider."""
    template: dict[str, Any] = {"capacityOptionType": market}
    if types:
        template["instanceRequirements"] = {"allowedInstanceTypes": list(types)}
    provider = {"instanceLaunchTemplate": template | more.pop("template", {}), **more}
    resources = {
        "type": "ECS_MANAGED_INSTANCES",
        "maxvCpus": max_vcpus,
        "managedInstancesProvider": provider,
    }
    return {"computeEnvironmentName": name, "type": "MANAGED", "computeResources": resources}


def task(
    name: str, vcpus: float, memory_mib: int = 100, gpus: int = 0, architecture: str | None = None
) -> dict[str, Any]:
    needs = [("VCPU", vcpus), ("MEMORY", memory_mib), *([("GPU", gpus)] if gpus else [])]
    container = {
        "image": "tool:1",
        "resourceRequirements": [{"type": kind, "value": str(value)} for kind, value in needs],
    }
    system = {"runtimePlatform": {"cpuArchitecture": architecture}} if architecture else {}
    return {
        "jobDefinitionName": name,
        "platformCapabilities": ["MANAGED_INSTANCES"],
        "ecsProperties": {"taskProperties": [{"containers": [container], **system}]},
    }


def world(
    *workload: dict[str, Any],
    environments: Sequence[dict[str, Any]],
    more: Sequence[Any] = (),
    **sections: Any,
) -> dict[str, Any]:
    """Definition `one` asks for 1 vCPU; `x86` and `arm` say an architecture, and ask for one, too."""
    definitions = [
        task("one", 1),
        task("x86", 1, architecture="X86_64"),
        task("arm", 1, architecture="ARM64"),
        *more,
    ]
    return scenario(*workload, environments=environments, **sections) | {"jobDefinitions": definitions}


def load(data: dict[str, Any], *overrides: str) -> batchsim.Scenario:
    return batchsim.parse_scenario(json.dumps(data), overrides=overrides)


# --- what counts against maxvCpus ---------------------------------------------------------------


def test_the_vcpus_of_jobs_are_counted_not_those_of_instances(run):
    result = run(world(submit("job", "1h", count=6), environments=[ecs(4, "c6i.2xlarge")]))
    assert list(each_job(result, "start_s").values()) == [0, 0, 0, 0, 3600, 3600]
    assert result.instances["vcpus"].tolist() == [8], "twice maxvCpus, and half of it is never used"


def test_instances_are_launched_for_no_more_jobs_than_may_run(run):
    result = run(world(submit("job", "1h", count=9), environments=[ecs(4, "c6i.large")]))
    assert len(result.instances) == 2
    assert max(each_job(result, "end_s").values()) == 3 * 3600


def test_what_maxvcpus_keeps_out_goes_to_the_next_environment(run):
    places = [ecs(2, "c6i.large", name="first"), ecs(8, "c6i.large", name="second", market="SPOT")]
    result = run(world(submit("job", "1h", count=5), environments=places))
    assert [*each_job(result, "environment").values()].count("first") == 2
    assert set(each_job(result, "start_s").values()) == {0}


def test_a_job_beyond_maxvcpus_never_starts(run):
    data = world(
        submit("job", "1h", definition="wide"), environments=[ecs(4, "c6i.2xlarge")], more=[task("wide", 5)]
    )
    result = run(data)
    assert result.manifest["outcome"] == "stalled"
    assert each_job(result, "status_reason")["job-0"] == MAX_RESOURCE


def test_lowering_maxvcpus_ends_nothing_and_holds_for_later_jobs(run):
    lower = {"at": "10min", "update": {"computeEnvironment": "mi", "maxvCpus": 2}}
    data = world(
        submit("early", "1h", count=4),
        lower,
        submit("late", "1h", at="20min", count=2),
        environments=[ecs(4, "c6i.xlarge")],
    )
    starts = each_job(run(data), "start_s")
    assert [starts[f"early-{n}"] for n in range(4)] == [0] * 4
    assert [starts[f"late-{n}"] for n in range(2)] == [3600, 3600]


def test_jobs_may_ask_for_any_vcpus_and_memory_and_for_gpus(run):
    data = world(
        submit("small", "1h", definition="small", count=2),
        submit("gpu", "1h", definition="gpu"),
        environments=[ecs(8, "c6i.large", "g5.xlarge")],
        more=[task("small", 0.5, 1500), task("gpu", 4, 15_000, gpus=1)],
    )
    kinds = each_job(run(data), "instance_type")
    assert kinds == {"small-0": "c6i.large", "small-1": "c6i.large", "gpu-0": "g5.xlarge"}


@pytest.mark.parametrize("market", ["ON_DEMAND", "SPOT"])
@pytest.mark.parametrize(("jobs", "vcpus"), [(1, 1), (2, 2), (3, 3), (9, 3)])  # no more than 3 may run
def test_no_instance_is_larger_than_what_may_run(run, market, jobs, vcpus):
    data = world(
        submit("a", "1h", definition="arm", count=jobs),
        environments=[ecs(3, "m6i.*", "m6g.*", market=market)],
    )
    instances = run(data).instances
    first = instances[instances["requested_s"] == 0]
    assert first["vcpus"].sum() == vcpus


def test_where_every_type_is_larger_than_what_waits_the_cheapest_is_launched(run):
    places = [ecs(8, "m6g.16xlarge", "r6g.2xlarge", "c6i.large", "c6g.2xlarge", "m6g.2xlarge")]
    result = run(world(submit("a", "1h", definition="arm"), environments=places))
    assert result.instances["instance_type"].tolist() == ["c6g.2xlarge"]


def test_a_cheaper_vcpu_does_not_pay_for_those_that_nobody_may_use(run):
    places = [ecs(8, "c6g.16xlarge", "m6g.medium")]
    result = run(world(submit("a", "1h", definition="arm", count=2), environments=places))
    assert result.instances["instance_type"].tolist() == ["m6g.medium"] * 2


# --- architectures ------------------------------------------------------------------------------


def test_each_job_gets_an_instance_of_its_own_architecture(run):
    data = world(
        submit("x", "1h", definition="x86", count=3),
        submit("a", "1h", definition="arm", count=3),
        environments=[ecs(16, "c6i.2xlarge", "c7g.2xlarge")],
    )
    result = run(data)
    kinds = each_job(result, "instance_type")
    assert {kinds[f"x-{n}"] for n in range(3)} == {"c6i.2xlarge"}
    assert {kinds[f"a-{n}"] for n in range(3)} == {"c7g.2xlarge"}
    assert len(result.instances) == 2
    assert set(each_job(result, "start_s").values()) == {0}


def test_a_job_of_an_architecture_that_is_not_allowed_never_starts(run):
    data = world(submit("a", "1h", definition="arm"), environments=[ecs(16, "c6i.*")])
    result = run(data)
    assert each_job(result, "status_reason")["a-0"] == OTHER_ARCHITECTURE
    assert result.frames["waits"]["reason"].tolist()[0] == "no instance type has its architecture"
    (finding,) = check(load(data)).findings
    assert finding.reason == OTHER_ARCHITECTURE
    assert finding.shortfall == "needs ARM64; mi allows only X86_64 types"
    (change,) = finding.changes
    assert change.text.startswith("add c6g.medium")
    assert check(load(data, *as_overrides(change.overrides))).can_all_start


def test_a_time_limit_on_resources_ends_the_wait_for_an_architecture(run):
    limits = [
        {"reason": "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT", "state": "RUNNABLE", "action": "CANCEL"}
        | {"maxTimeSeconds": 600}
    ]
    data = world(submit("a", "1h", definition="arm"), environments=[ecs(16, "c6i.*")])
    data["jobQueues"] = [queue("q", "mi") | {"jobStateTimeLimitActions": limits}]
    result = run(data)
    assert (each_job(result, "state")["a-0"], each_job(result, "end_s")["a-0"]) == ("FAILED", 600)


def test_check_compares_a_job_with_types_of_its_own_architecture():
    data = world(
        submit("a", "1h", definition="wide"),
        environments=[ecs(16, "c6g.large", "c6i.2xlarge")],
        more=[task("wide", 4, architecture="ARM64")],
    )
    (finding,) = check(load(data)).findings
    assert finding.reason == RESOURCE_REQUIREMENT
    most = "the most that one ARM64 instance offers is 2 vCPUs (c6g.large)"
    assert finding.shortfall == f"asks for 4 vCPUs; {most}"


def test_without_types_both_architectures_of_the_default_families_are_there(run):
    data = world(
        submit("x", "1h", definition="x86"), submit("a", "1h", definition="arm"), environments=[ecs(16)]
    )
    kinds = each_job(run(data), "instance_type")
    assert kinds["x-0"].startswith("c6i.")
    assert kinds["a-0"].startswith("c6g.")


def test_check_adds_a_type_to_those_that_are_not_said():
    data = world(
        submit("a", "1h", definition="large"),
        environments=[ecs(200)],
        more=[task("large", 8, 900_000, architecture="ARM64")],
    )
    (finding,) = check(load(data)).findings
    (change,) = [each for each in finding.changes if "add" in each.text]
    ((path, types),) = change.overrides.items()
    assert path.endswith("allowedInstanceTypes")
    families = ("m6i", "c6i", "r6i", "c7i", "m6g", "c6g", "r6g", "c7g")
    assert types.startswith(f"[{', '.join(f'{family}.*' for family in families)}, ")
    assert check(load(data, *as_overrides(change.overrides))).can_all_start


# --- instances ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("after", "ended"), [(0, 3600), (300, 3900), (None, 3720), (-1, None)])
def test_idle_instances_go_when_scale_in_after_says_so(run, after, ended):
    more = {} if after is None else {"infrastructureOptimization": {"scaleInAfter": after}}
    data = world(
        submit("job", "1h"),
        submit("last", "1h", at="10h", definition="arm"),
        environments=[ecs(4, "c6i.large", "c6g.large", **more)],
        assumptions={"idleScaleIn": "2min"},
    )
    first = run(data).instances.iloc[0]
    assert first["ended_s"] == ended or (ended is None and first["ended_s"] != first["ended_s"])


def test_instances_drain_at_day_14_and_their_jobs_fail_and_may_be_retried(run):
    day = 24 * 3600
    data = world(
        submit("job", "20h", at="13d 12h", retryStrategy={"attempts": 2}),
        submit("first", "13d 12h"),
        environments=[ecs(1, "c6i.large")],
    )
    result = run(data)
    assert each_attempt(result, "ended_s", "job-0") == [14 * day, 14 * day + 20 * 3600]
    assert each_attempt(result, "status_reason", "job-0")[0] == DRAINED
    assert result.instances["end_reason"].tolist()[0] == "drained: too old"
    assert result.instances["ended_s"].tolist()[0] == 14 * day


def test_a_job_without_retries_fails_with_its_instance(run):
    result = run(world(submit("job", "15d"), environments=[ecs(1, "c6i.large")]))
    assert each_job(result, "status_reason")["job-0"] == DRAINED
    assert result.summary["states"]["FAILED"] == 1
    assert result.summary["cost_parts_usd"]["lost"] == pytest.approx(14 * 24 * (0.085 + 0.0102) / 2)


def test_an_instance_that_waits_for_nobody_does_not_make_the_run_longer(run):
    never = {"infrastructureOptimization": {"scaleInAfter": -1}}
    result = run(world(submit("job", "1h"), environments=[ecs(1, "c6i.large", **never)]))
    assert result.manifest["ended_at_s"] == 3600


# --- money --------------------------------------------------------------------------------------


def uusd(result: batchsim.Result, key: str) -> int:
    return round(result.summary[key] * 1e6)


def test_the_fee_is_a_part_of_the_on_demand_price(run):
    result = run(world(submit("job", "1h"), environments=[ecs(1, "c6i.large")]))
    assert (uusd(result, "fee_usd"), uusd(result, "cost_usd")) == (10_200, 85_000 + 10_200)
    free = {"managedInstancesFee": 0}
    result = run(world(submit("job", "1h"), environments=[ecs(1, "c6i.large")], assumptions=free))
    assert uusd(result, "cost_usd") == 85_000


def test_on_spot_the_fee_is_that_of_on_demand(run):
    data = world(submit("job", "1h"), environments=[ecs(1, "c6i.large", market="SPOT")])
    result = run(data)
    price = round(result.instances["usd_per_hour"].iloc[0] * 1e6)
    assert price < 85_000
    assert result.instances["billing"].tolist() == ["spot"]
    assert uusd(result, "cost_usd") == price + 10_200


def test_the_management_of_a_free_spot_instance_is_not_free(run, monkeypatch):
    interrupted_at(30, monkeypatch)
    data = world(submit("job", "2h"), environments=[ecs(1, "c6i.large", market="SPOT")], assumptions=OFTEN)
    result = run(data)
    assert uusd(result, "cost_usd") == uusd(result, "fee_usd") == 5100


def test_a_volume_has_the_size_that_the_launch_template_says(run):
    storage = {"storageConfiguration": {"storageSizeGiB": 73}}
    result = run(world(submit("job", "1h"), environments=[ecs(1, "c6i.large", template=storage)]))
    assert uusd(result, "volume_usd") == 8000


def test_a_savings_plan_does_not_take_anything_off_the_fee(run):
    saving = {"savingsPlan": {"commitment": 1.0, "discount": 0.5}}
    result = run(world(submit("job", "1h"), environments=[ecs(1, "c6i.large")], commitments=saving))
    assert uusd(result, "fee_usd") == 10_200
    assert uusd(result, "cost_usd") == 1_000_000 + 10_200


def test_the_bill_says_that_maxvcpus_may_keep_jobs_from_what_is_free(run, capsys):
    def printed(result: batchsim.Result) -> str:
        print_summary(result, "", wide=True)
        return str(capsys.readouterr().out)

    result = run(world(submit("job", "1h", count=6), environments=[ecs(4, "c6i.2xlarge")]))
    assert result.summary["cost_parts_usd"]["fragmentation"] > 0
    assert "is beyond maxvCpus" in printed(result)
    usual = scenario(submit("job", "1h"), environments=[cloud(8, "c6i.large")])
    assert "is beyond maxvCpus" not in printed(run(usual))


def test_that_tasks_are_not_moved_is_told(run, capsys, tmp_path):
    result = run(world(submit("job", "1h"), environments=[ecs(4, "c6i.2xlarge")]))
    said = "used little is not modelled"
    assert any(said in each for each in result.manifest["not_modelled"])
    result.write(tmp_path / "out")
    explain(str(tmp_path / "out"), "job-0")
    assert said in capsys.readouterr().err


def test_prices_say_the_market_and_the_fee(run):
    def said(market: str, **more: Any) -> str:
        data = world(submit("job", "1h"), environments=[ecs(1, "c6i.large", market=market)], **more)
        return prices(run(data).manifest)

    fee = "; ECS's fee on Managed Instances included)"
    date = run(world(submit("job", "1h"), environments=[ecs(1, "c6i.large")])).manifest["price_date"]
    assert said("ON_DEMAND") == f"USD (us-east-1, On-Demand prices of {date}{fee}"
    assert said("SPOT") == f"USD (us-east-1, Spot prices of {date}{fee}"
    free = said("SPOT", assumptions={"managedInstancesFee": 0})
    assert free == f"USD (us-east-1, Spot prices of {date})"


@pytest.mark.parametrize("market", ["ON_DEMAND", "SPOT"])
@pytest.mark.parametrize("fee", [0, 0.12])
def test_the_price_that_check_tells_is_what_an_hour_costs(market, fee):
    data = world(
        submit("a", "1h", definition="arm"),
        environments=[ecs(8, "c6i.large", market=market)],
        assumptions={"managedInstancesFee": fee},
    )
    (finding,) = check(load(data)).findings
    (change,) = finding.changes
    told = re.search(r"\((\S+) USD/h( Spot)?( with ECS's fee)?\)", change.text)
    assert told is not None
    assert (told[2] is not None, told[3] is not None) == (market == "SPOT", fee > 0)
    mended = batchsim.run(load(data, *as_overrides(change.overrides)))
    assert mended.summary["cost_usd"] == pytest.approx(float(told[1]), abs=2e-6)


def test_roles_that_aws_requires_may_be_given_and_left_out(run):
    role = "arn:aws:iam::123456789012:role/mine"
    job = task("job", 1)
    instance = {"ec2InstanceProfileArn": role}
    places = [ecs(2, "c6i.large"), ecs(2, "c6i.large", template=instance, infrastructureRoleArn=role)]
    job_of_fargate = on_fargate(task_job("1h"), environments=[fargate(2)])
    plain = world(submit("job", "1h", definition="job"), environments=places[:1], more=[job])
    roles = {"executionRoleArn": role, "taskRoleArn": role}
    tasks = [each | roles for each in job["ecsProperties"]["taskProperties"]]
    said = job | {"ecsProperties": {"taskProperties": tasks}}
    given = world(submit("job", "1h", definition="job"), environments=places[1:], more=[said])
    assert run(given).summary == run(plain).summary
    container = job_of_fargate["jobDefinitions"][0]["containerProperties"]
    usual = run(job_of_fargate).summary
    container |= {"executionRoleArn": role, "jobRoleArn": role}
    assert run(job_of_fargate).summary == usual
    market = scenario(submit("job", "1h"), environments=[spot(2, "c6i.large")])
    usual = run(market).summary
    market["computeEnvironments"][0]["computeResources"] |= {"spotIamFleetRole": role, "instanceRole": role}
    assert run(market).summary == usual


# --- what is refused ----------------------------------------------------------------------------


def test_what_does_not_belong_to_managed_instances_is_refused(problems_of):
    place = ecs(4, "c6i.large")

    def said(**more: Any) -> list[str]:
        return problems_of(
            world(
                submit("job", "1h"),
                environments=[place | {"computeResources": place["computeResources"] | more}],
            )
        )

    assert "minvCpus does not belong to ECS Managed Instances" in said(minvCpus=1)[0]
    assert "allocationStrategy does not belong to ECS Managed" in said(allocationStrategy="BEST_FIT")[0]
    assert "managedInstancesProvider" in said(managedInstancesProvider=None)[0]
    assert "it does not belong to type EC2" in said(type="EC2")[0]
    (wrong,) = problems_of(
        world(submit("job", "1h"), environments=[ecs(4, infrastructureOptimization={"scaleInAfter": 3601})])
    )
    assert "scaleInAfter" in wrong


def test_definitions_are_of_ecs_properties_and_of_one_task(problems_of):
    data = world(submit("job", "1h"), environments=[ecs(4, "c6i.large")])
    container = {
        "image": "i",
        "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "9"}],
    }
    plain = {
        "jobDefinitionName": "one",
        "platformCapabilities": ["MANAGED_INSTANCES"],
        "containerProperties": container,
    }
    (said,) = problems_of(data | {"jobDefinitions": [plain]})
    assert "ECS Managed Instances run no containerProperties" in said
    (said,) = problems_of(data | {"jobDefinitions": [task("one", 1) | {"platformCapabilities": ["EC2"]}]})
    assert "q runs ECS_MANAGED_INSTANCES jobs" in said


def test_queues_are_of_managed_instances_alone_and_spot_comes_last(problems_of):
    spot, usual = ecs(4, name="spot", market="SPOT"), ecs(4, name="usual")
    (said,) = problems_of(world(submit("job", "1h"), environments=[spot, usual]))
    assert "ON_DEMAND before those with SPOT" in said
    data = world(submit("job", "1h"), environments=[usual])
    ec2 = {
        "computeEnvironmentName": "ec2",
        "type": "MANAGED",
        "computeResources": {"type": "EC2", "maxvCpus": 4},
    }
    (said,) = problems_of(
        data | {"computeEnvironments": [usual, ec2], "jobQueues": [queue("q", "usual", "ec2")]}
    )
    assert "all environments of a queue are of one platform" in said


def test_updates_are_of_maxvcpus_and_state(problems_of):
    update = {"at": "1h", "update": {"computeEnvironment": "mi", "instanceTypes": ["c6i.large"]}}
    (said,) = problems_of(world(submit("job", "1h"), update, environments=[ecs(4, "c6i.large")]))
    assert "instanceTypes is not updated in ECS Managed Instances" in said


def test_types_that_are_not_sold_on_spot_are_refused_in_their_place(run):
    with pytest.raises(ScenarioError) as raised:
        run(world(submit("job", "1h"), environments=[ecs(4, "u-6tb1.112xlarge", market="SPOT")]))
    said = str(raised.value)
    assert "instanceRequirements.allowedInstanceTypes" in said
    assert "none of these types is sold as a Spot instance" in said
    assert "capacityOptionType: ON_DEMAND" in said


def test_check_sees_that_recorded_spot_prices_are_never_below_on_demand(tmp_path):
    dear = "instance_type,usd_per_hour,at_s\nc6i.large,0.085,0\n"
    (tmp_path / "dear.csv").write_text(dear, encoding="utf-8")
    data = world(
        submit("job", "1h"),
        environments=[ecs(4, "c6i.large", market="SPOT")],
        assumptions={"spotPrices": [{"trace": str(tmp_path / "dear.csv")}], "launchCooloff": "3min"},
    )
    (finding,) = check(load(data)).findings
    assert finding.reason is not None
    assert finding.reason.startswith("CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY")
    assert finding.changes[0].text.startswith("use On-Demand in mi")


def test_a_pattern_that_is_like_no_type_is_refused_in_its_place(run):
    with pytest.raises(CatalogError) as raised:
        run(world(submit("job", "1h"), environments=[ecs(4, "c6i.*", "z99.*")]))
    assert "allowedInstanceTypes.1" in str(raised.value)
    assert "no instance type is like z99.*" in str(raised.value)


# --- check and the audit ------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ["X86_64", "ARM64"])
def test_check_says_which_type_to_allow_and_that_helps(architecture):
    data = world(
        submit("job", "1h", definition="large"),
        environments=[ecs(4, "c6i.large", "c6g.large")],
        more=[task("large", 4, 30_000, architecture=architecture)],
    )
    (finding,) = check(load(data)).findings
    assert finding.reason == RESOURCE_REQUIREMENT
    change = next(each for each in finding.changes if each.overrides and "add" in each.text)
    assert any(path.endswith("allowedInstanceTypes") for path in change.overrides)
    assert check(load(data, *as_overrides(change.overrides))).can_all_start


def test_the_audit_catches_jobs_above_maxvcpus_and_other_fees(run):
    result = run(world(submit("job", "1h", count=6), environments=[ecs(4, "c6i.2xlarge")]))
    assert result.audit() == []
    frames = {name: each.copy() for name, each in result.frames.items()}
    frames["instances"].loc[0, "fee_usd"] += 0.001
    assert "L13" in {each.law for each in audit_frames(frames, result.summary, result.manifest)}
    manifest = json.loads(json.dumps(result.manifest))
    manifest["scenario"]["computeEnvironments"][0]["computeResources"]["maxvCpus"] = 3
    found = audit_frames(result.frames, result.summary, manifest)
    assert ["a job above maxvCpus" in each.message for each in found if each.law == "L7"] == [True]


# --- what maxvCpus allows, in the order of the demand -------------------------------------------

IDLE_FOR_EVER = {"infrastructureOptimization": {"scaleInAfter": -1}}


def test_the_head_has_first_claim_on_what_maxvcpus_allows(run):
    data = world(
        submit("before", "1h", definition="x86"),
        submit("head", "1h", at="2h", definition="wide"),
        submit("behind", "1h", at="2h", definition="x86", count=2),
        environments=[ecs(2, "c6i.large", "c6g.large", **IDLE_FOR_EVER)],
        more=[task("wide", 2, architecture="ARM64")],
    )
    starts = each_job(run(data), "start_s")
    assert starts["head-0"] == 7200
    assert starts["behind-0"] == starts["behind-1"] == 3 * 3600


def test_what_cannot_be_launched_takes_nothing_from_what_can(run, tmp_path):
    (tmp_path / "never.csv").write_text("at_s,probability\n0,1\n", encoding="utf-8")
    short = [{"instanceTypes": ["c6i"], "trace": str(tmp_path / "never.csv")}]
    data = world(
        submit("x", "1h", definition="x86", count=4),
        submit("a", "1h", definition="arm", count=2),
        environments=[ecs(4, "c6i.large", "c6g.large")],
        assumptions={"backfill": "greedy", "capacityShortages": short, "launchCooloff": "3min"},
    )
    states = each_job(run(data), "state")
    assert [states[f"a-{n}"] for n in range(2)] == ["SUCCEEDED"] * 2
    assert [states[f"x-{n}"] for n in range(4)] == ["RUNNABLE"] * 4


def test_jobs_that_an_environment_will_never_admit_take_what_another_has(run):
    places = [ecs(2, "c6i.large", name="first"), ecs(8, "c6i.xlarge", name="second")]
    result = run(
        world(submit("job", "1h", count=6), environments=places, assumptions={"instanceRegistration": "60s"})
    )
    assert set(each_job(result, "start_s").values()) == {60}
    assert len(result.instances) == 2


def test_storage_of_fargate_tasks_is_not_asked_of_instances(run):
    large = on_fargate(task_job("1h"))
    definition_of_task = next(each for each in large["jobDefinitions"] if "FARGATE" in str(each))
    container = definition_of_task["containerProperties"] | {"ephemeralStorage": {"sizeInGiB": 100}}
    stored = definition_of_task | {"jobDefinitionName": "stored", "containerProperties": container}
    data = world(
        submit("task", "1h", definition="stored", queue="f"),
        submit("job", "1h"),
        environments=[ecs(4, "c6i.large"), fargate(4)],
        more=[stored],
    )
    name = data["computeEnvironments"][1]["computeEnvironmentName"]
    data["jobQueues"] = [queue("q", "mi"), queue("f", name)]
    assert each_job(run(data), "state") == {"task-0": "SUCCEEDED", "job-0": "SUCCEEDED"}


def test_an_idle_instance_drains_while_jobs_elsewhere_go_on(run):
    data = world(
        submit("first", "1h"),
        submit("long", "15d", queue="beside", definition="two"),
        submit("last", "1h", dependsOn=[{"group": "long"}]),
        environments=[ecs(4, "c6i.large", **IDLE_FOR_EVER), lab(2)],
        more=[definition("two", 1, 100)],
    )
    data["jobQueues"] = [queue("q", "mi"), queue("beside", "lab")]
    result = run(data)
    assert each_job(result, "start_s")["last-0"] == 15 * 24 * 3600
    ended = result.instances[result.instances["environment"] == "mi"]["ended_s"].tolist()
    assert ended[0] == 14 * 24 * 3600


def test_a_job_that_can_never_start_keeps_no_idle_instance_paid(run):
    data = world(
        submit("job", "1h"),
        submit("big", "1h", at="10min", definition="big"),
        environments=[ecs(4, "c6i.large", **IDLE_FOR_EVER)],
        more=[task("big", 3)],
    )
    result = run(data)
    assert (result.manifest["outcome"], result.manifest["ended_at_s"]) == ("stalled", 3600)


def test_easy_backfilling_is_refused(run):
    data = world(submit("job", "1h"), environments=[ecs(4, "c6i.large")], assumptions={"backfill": "easy"})
    with pytest.raises(ScenarioError, match="compute environment mi is of ECS Managed Instances"):
        run(data)


@pytest.mark.parametrize("jobs", [1, 6, 16, 64])
@pytest.mark.parametrize(
    ("name", "types", "usd"), [("gpu", ["g4dn.*"], 0.589120), ("wide", ["c6i.*", "r6i.*"], 0.282240)]
)
def test_more_jobs_bound_by_gpus_or_memory_cost_no_more_each(run, jobs, name, types, usd):
    more = [task("gpu", 1, 1000, gpus=1), task("wide", 1, 30_000)]
    result = run(
        world(submit("a", "1h", definition=name, count=jobs), environments=[ecs(256, *types)], more=more)
    )
    assert result.summary["cost_usd"] <= jobs * usd + 1e-9


def test_what_is_cheapest_on_the_spot_market_counts_the_fee(run):
    data = world(submit("a", "1h"), environments=[ecs(8, "i7ie.large", "m5zn.large", market="SPOT")])
    chosen = run(data)
    alone = [
        run(world(submit("a", "1h"), environments=[ecs(8, each, market="SPOT")])).summary["cost_usd"]
        for each in ("i7ie.large", "m5zn.large")
    ]
    assert chosen.summary["cost_usd"] == min(alone) < max(alone)


def test_the_fee_of_spot_instances_whose_price_moves_is_audited_by_the_on_demand_price(run, tmp_path):
    rows = "at_s,instance_type,usd_per_hour\n0,c6i.large,0.03\n3600,c6i.large,90\n3900,c6i.large,0.03\n"
    trace = tmp_path / "prices.csv"
    trace.write_text(rows)
    job = submit("a", "2h", retryStrategy={"attempts": 3})
    assumed = {"spotPrices": [{"trace": str(trace)}], "launchCooloff": "180s"}
    result = run(world(job, environments=[ecs(8, "c6i.large", market="SPOT")], assumptions=assumed))
    assert result.instances["fee_usd"].sum() > 0
    frames = {**result.frames, "instances": result.instances.assign(fee_usd=result.instances["fee_usd"] * 2)}
    assert any(each.law == "L13" for each in audit_frames(frames, result.summary, result.manifest))
