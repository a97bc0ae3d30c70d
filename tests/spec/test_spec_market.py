"""What EC2 has to offer: shortages by zone and hour, account quotas, recorded Spot capacity and prices."""

from __future__ import annotations

import json
from typing import Any

import pytest

import batchsim
from batchsim.errors import CatalogError, InputError
from batchsim.scenario.market import quota_family
from batchsim.studies.check import check
from tests.spec.scenarios import HOST_RULES, each_attempt, each_job, scenario, submit
from tests.studies.scenarios import definition, managed

HOUR = 3600


def cloud(max_vcpus: int, *types: str, **resources: Any) -> dict[str, Any]:
    environment = managed("cloud", max_vcpus, *(types or ("c6i.large",)))
    environment["computeResources"] |= resources
    return environment


def spot(max_vcpus: int, *types: str, **resources: Any) -> dict[str, Any]:
    return cloud(max_vcpus, *types, type="SPOT", allocationStrategy="SPOT_CAPACITY_OPTIMIZED", **resources)


def world(*workload: dict[str, Any], environment: dict[str, Any], **assumptions: Any) -> dict[str, Any]:
    """Refused types are left alone for ten minutes."""
    return scenario(
        *workload,
        environments=[environment],
        definitions=[definition("pair", 2, 100)],
        assumptions={"launchCooloff": "10min", **assumptions},
    )


def nodes_definition(nodes: int) -> dict[str, Any]:
    """`nodes` nodes of 1 vCPU."""
    container = definition("nodes", 1, 100)["containerProperties"]
    properties = {
        "numNodes": nodes,
        "mainNode": 0,
        "nodeRangeProperties": [{"targetNodes": "0:", "container": container}],
    }
    return {"jobDefinitionName": "nodes", "type": "multinode", "nodeProperties": properties}


def instances(result: Any, *columns: str) -> list[tuple[Any, ...]]:
    frame = result.instances
    return list(zip(*(frame[name].astype(str) for name in columns), strict=True))


@pytest.fixture
def beside(tmp_path):
    """Writes a file beside the scenario; gives its name."""

    def write(name: str, text: str) -> str:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return name

    return write


# --- shortages ------------------------------------------------------------------------------------


def test_there_is_no_capacity_at_certain_hours_of_the_day(run):
    night_only = [0.0] * 8 + [1.0] * 12 + [0.0] * 4
    result = run(
        world(
            submit("job", "1min"),
            environment=cloud(8),
            capacityShortages=[{"hourly": night_only, "startHour": 18}],
        )
    )
    assert each_job(result, "start_s") == {"job-0": 2 * HOUR}
    reasons = instances(result, "end_reason")
    assert reasons[:-1] == [("InsufficientInstanceCapacity",)] * 12


def test_a_zone_without_capacity_leaves_the_others(run):
    result = run(
        world(
            submit("job", "1min", count=40, definition="pair"),
            environment=cloud(80),
            availabilityZones=["us-east-1a", "us-east-1b", "us-east-1c"],
            capacityShortages=[{"zones": ["us-east-1a", "us-east-1b"], "hourly": [1] * 12 + [0] * 12}],
        )
    )
    assert instances(result, "zone") == [("us-east-1c",)] * 40


def test_instances_spread_over_zones(run):
    result = run(
        world(
            submit("job", "1min", count=60, definition="pair"),
            environment=cloud(120),
            availabilityZones=["a", "b", "c"],
        )
    )
    counts = result.instances["zone"].value_counts()
    assert sorted(counts.index) == ["a", "b", "c"]
    assert counts.min() > 10


def test_a_shortage_of_one_type_leads_to_the_next(run):
    result = run(
        world(
            submit("job", "1min"),
            environment=cloud(8, "c6i.large", "m6i.large"),
            capacityShortages=[{"instanceTypes": ["c6i"], "hourly": [1] * 12 + [0] * 12}],
        )
    )
    assert instances(result, "instance_type", "end_reason")[0] == (
        "c6i.large",
        "InsufficientInstanceCapacity",
    )
    assert instances(result, "instance_type")[1] == ("m6i.large",)


def test_a_shortage_of_an_unknown_type_is_refused(run):
    with pytest.raises(CatalogError, match=r"capacityShortages\.0\.instanceTypes\.0.*c6x.*did you mean"):
        run(
            world(
                submit("job", "1min"),
                environment=cloud(8),
                capacityShortages=[{"instanceTypes": ["c6x.large"], "probability": 0.5}],
            )
        )


def test_a_recorded_shortage_ends_when_the_record_says_so(run, beside):
    trace = beside("short.csv", "at_s,probability\n0,1\n1500,0\n")
    result = run(world(submit("job", "1min"), environment=cloud(8), capacityShortages=[{"trace": trace}]))
    assert each_job(result, "start_s") == {"job-0": 1800}


def test_a_shortage_of_spot_does_not_concern_on_demand(run):
    of_spot = [{"type": "SPOT", "hourly": [1] * 12 + [0] * 12}]
    on_demand = run(world(submit("job", "1min"), environment=cloud(8), capacityShortages=of_spot))
    assert each_job(on_demand, "start_s") == {"job-0": 0}
    spots = run(world(submit("job", "1min"), environment=spot(8), capacityShortages=of_spot))
    assert each_job(spots, "start_s") == {"job-0": 12 * HOUR}


# --- placement groups -----------------------------------------------------------------------------


ZONES = ["a", "b", "c"]


def test_instances_of_a_cluster_placement_group_are_in_one_zone(run):
    result = run(
        world(
            submit("job", "1min", count=60, definition="pair"),
            submit("later", "1min", count=60, definition="pair", at="1h"),
            environment=cloud(120, placementGroup="close"),
            availabilityZones=ZONES,
        )
    )
    first, later = result.instances["zone"][:60], result.instances["zone"][60:]
    assert (first.nunique(), later.nunique()) == (1, 1)  # it was empty meanwhile
    assert result.summary["outcome"] == "finished"


def test_a_group_that_has_instances_does_not_go_to_another_zone_for_want_of_capacity(run, beside):
    trace = beside("short.csv", "at_s,probability\n0,0\n600,1\n")
    workload = [submit("job", "2h", definition="pair"), submit("later", "1h", definition="pair", at="20min")]

    def starts(**group: str) -> list[float]:
        data = world(
            *workload,
            environment=cloud(120, **group),
            availabilityZones=ZONES,
            capacityShortages=[{"zones": ["a", "b", "c"], "trace": trace}],
        )
        open_zone = run(data).instances["zone"].iloc[0]
        data["assumptions"]["capacityShortages"][0]["zones"] = [open_zone]
        return list(each_job(run(data), "start_s").values())

    assert starts() == [0, 20 * 60]
    assert starts(placementGroup="close") == [0, 2 * HOUR]


def test_two_environments_share_a_group_of_one_name(run):
    other = cloud(120, placementGroup="close")
    other["computeEnvironmentName"] = "other"
    data = world(
        submit("job", "1h", count=8, definition="pair"),
        environment=cloud(4, placementGroup="close"),
        availabilityZones=ZONES,
    )
    data["computeEnvironments"].append(other)
    data["jobQueues"][0]["computeEnvironmentOrder"].append({"order": 2, "computeEnvironment": "other"})
    frame = run(data).instances
    assert frame["environment"].nunique() == 2
    assert frame["zone"].nunique() == 1


def test_a_placement_group_may_have_no_room(run):
    def refused(**group: str) -> int:
        result = run(
            world(
                submit("job", "1h", count=200, definition="pair"),
                environment=cloud(1000, **group),
                placementGroupShortage=0.5,
            )
        )
        assert result.summary["outcome"] == "finished"
        return (result.instances["end_reason"] == "InsufficientInstanceCapacity").sum()

    assert refused() == 0
    assert refused(placementGroup="") == 0
    assert refused(placementGroup="close") > 50


def test_another_placement_group_replaces_the_instances(run):
    result = run(
        world(
            submit("job", "1h", count=2, definition="pair"),
            {"at": "10min", "update": {"computeEnvironment": "cloud", "placementGroup": "close"}},
            environment=cloud(8),
        )
    )
    assert set(result.instances["end_reason"].dropna()) == {"replaced: infrastructure update"}
    assert result.updates["updating_until_s"].tolist() == [40 * 60]


# --- account quotas -------------------------------------------------------------------------------


def test_launches_beyond_the_quota_of_a_family_are_refused(run):
    result = run(
        world(
            submit("job", "1h", count=4, definition="pair"),
            environment=cloud(64, "c6i.large", "m6i.large"),
            accountQuotas={"onDemand": {"Standard": 5}},
        )
    )
    assert sorted(each_job(result, "start_s").values()) == [0, 0, HOUR, HOUR]
    refused = [reason for (reason,) in instances(result, "end_reason") if reason == "VcpuLimitExceeded"]
    assert len(refused) == 2  # nothing goes until the jobs end
    assert result.instances["cost_usd"][result.instances["end_reason"] == "VcpuLimitExceeded"].sum() == 0


def test_spot_has_a_quota_of_its_own(run):
    result = run(
        world(
            submit("job", "1h", count=2, definition="pair"),
            environment=spot(64),
            accountQuotas={"onDemand": {"Standard": 0}, "spot": {"Standard": 2}},
        )
    )
    assert sorted(each_job(result, "start_s").values()) == [0, HOUR]
    assert ("MaxSpotInstanceCountExceeded",) in instances(result, "end_reason")


def test_a_run_in_which_no_type_fits_a_quota_stalls_and_says_so(run, load):
    data = world(
        submit("job", "1min", count=3, definition="four"),
        environment=cloud(64, "c6i.xlarge", "m6i.xlarge"),
        accountQuotas={"onDemand": {"Standard": 2}},
    )
    data["jobDefinitions"].append(definition("four", 4, 100))
    result = run(data)
    refused = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity requested for"
    reason = f"{refused} instance type [c6i.xlarge]"
    assert result.summary["outcome"] == "stalled"
    assert list(each_job(result, "status_reason").values()) == [reason, reason, reason]
    (finding,) = check(load(data)).findings
    assert finding.reason == reason
    assert finding.shortfall == (
        "cloud would launch the smallest instance of 4 vCPUs (c6i.xlarge), and the quota onDemand.Standard"
        " leaves 2"
    )
    assert [(change.text, change.overrides) for change in finding.changes] == [
        (
            "raise the account's On-Demand quota of Standard instances from 2 to 4 vCPUs",
            {"assumptions.accountQuotas.onDemand.Standard": "4"},
        )
    ]
    data["assumptions"]["accountQuotas"] = {"onDemand": {"Standard": 4}}
    assert check(load(data)).can_all_start
    assert run(data).summary["outcome"] == "finished"


def test_a_smaller_type_is_launched_where_the_preferred_one_exceeds_the_quota(run, load):
    data = world(
        submit("job", "1min", count=16, definition="pair"),
        environment=cloud(256, "c6i", "m6i"),
        accountQuotas={"onDemand": {"Standard": 9}},
        capacityReaction="40s",
    )
    result = run(data)
    assert check(load(data)).can_all_start
    assert result.summary["outcome"] == "finished"
    there = result.instances[result.instances["running_s"].notna()]
    assert set(there["instance_type"]) == {"c6i.2xlarge"}
    assert instances(result, "instance_type", "end_reason")[0] == ("c6i.8xlarge", "VcpuLimitExceeded")
    assert there["requested_s"].min() == 40


def test_a_quota_that_the_minvcpus_of_another_environment_use_up_stalls_the_run(run, load):
    other = cloud(8, "c6i.large", minvCpus=4)
    other["computeEnvironmentName"] = "other"
    data = world(
        submit("job", "1min", definition="pair"),
        environment=cloud(64, "c6i.large", "m6i.large"),
        accountQuotas={"onDemand": {"Standard": 5}},
    )
    data["computeEnvironments"].append(other)
    result = run(data)
    assert result.summary["outcome"] == "stalled"
    (reason,) = each_job(result, "status_reason").values()
    assert reason.endswith("requested for instance type [c6i.large]")
    (finding,) = check(load(data)).findings
    assert finding.reason == reason
    assert finding.shortfall.endswith("the quota onDemand.Standard leaves 1")
    (change,) = finding.changes
    assert change.text.endswith("from 5 to 6 vCPUs")
    # As soon as the other environment wants less, the job starts.
    data["workload"].append({"at": "1h", "update": {"computeEnvironment": "other", "minvCpus": 2}})
    assert each_job(run(data), "start_s") == {"job-0": HOUR}
    data["workload"].pop()
    data["assumptions"]["accountQuotas"] = {"onDemand": {"Standard": 6}}
    assert run(data).summary["outcome"] == "finished"


@pytest.mark.parametrize(("vcpus", "kept"), [(1, 0), (5, 4)])
def test_a_time_limit_cancels_heads_that_a_quota_keeps_waiting(run, vcpus, kept):
    other = cloud(8, "c6i.large", minvCpus=kept)
    other["computeEnvironmentName"] = "other"
    data = world(
        submit("job", "1min", count=2, definition="pair"),
        environment=cloud(64, "c6i.large", "m6i.large"),
        accountQuotas={"onDemand": {"Standard": vcpus}},
    )
    data["computeEnvironments"].append(other)
    reason = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"
    limit = {"reason": reason, "state": "RUNNABLE", "maxTimeSeconds": 600, "action": "CANCEL"}
    data["jobQueues"][0]["jobStateTimeLimitActions"] = [limit]
    result = run(data)
    assert result.summary["outcome"] == "finished"
    assert each_job(result, "end_s") == {"job-0": 600, "job-1": 1200}
    assert set(each_job(result, "status_reason").values()) == {
        f"Canceled by JobStateTimeLimit action due to reason: {reason}"
    }


def test_a_quota_below_minvcpus_does_not_keep_a_run_from_its_end(run):
    result = run(
        world(
            submit("job", "1min", definition="pair"),
            environment=cloud(64, minvCpus=8),
            accountQuotas={"onDemand": {"Standard": 4}},
        )
    )
    assert (result.summary["outcome"], result.summary["ended_at_s"]) == ("finished", 60)


def test_spot_capacity_that_never_comes_back_ends_the_run(run, beside):
    record = beside("pool.json", json.dumps({"metadata": {"gap_seconds": 600}, "data": [1, 0, 0]}))
    result = run(
        world(
            submit("job", "20min", count=2, definition="pair"),
            environment=spot(64),
            spotAvailability=[{"trace": record}],
        )
    )
    assert result.summary["outcome"] == "stalled"
    assert sorted(each_job(result, "state").values()) == ["FAILED", "RUNNABLE"]


def test_a_quota_must_cover_all_nodes_of_a_job(run, load):
    data = world(
        submit("job", "1min", definition="nodes"),
        environment=cloud(64, "c6i.xlarge"),
        accountQuotas={"onDemand": {"Standard": 10}},
    )
    data["jobDefinitions"].append(nodes_definition(3))
    assert run(data).summary["outcome"] == "stalled"
    (finding,) = check(load(data)).findings
    assert finding.shortfall == (
        "cloud would launch 3 instances of 12 vCPUs (c6i.xlarge), and the quota onDemand.Standard leaves 10"
    )
    assert [change.text for change in finding.changes] == [
        "use at most 2 nodes",
        "raise the account's On-Demand quota of Standard instances from 10 to 12 vCPUs",
    ]


def test_nodes_that_another_environment_leaves_too_little_for_do_not_come_and_go_for_ever(run):
    other = cloud(8, "c6i.large", minvCpus=4)
    other["computeEnvironmentName"] = "other"
    data = world(
        submit("job", "1min", definition="nodes"),
        environment=cloud(64, "c6i.xlarge"),
        accountQuotas={"onDemand": {"Standard": 14}},
    )
    data["computeEnvironments"].append(other)
    data["jobDefinitions"].append(nodes_definition(3))
    result = run(data)
    assert result.summary["outcome"] == "stalled"
    assert each_job(result, "status_reason")["job-0"].endswith("instance type [c6i.xlarge]")


@pytest.mark.parametrize(
    ("name", "family", "of_spot"),
    [
        ("c6i.large", "Standard", "Standard"),
        ("m7g.medium", "Standard", "Standard"),
        ("t3.micro", "Standard", "Standard"),
        ("im4gn.large", "Standard", "Standard"),
        ("is4gen.large", "Standard", "Standard"),
        ("i3en.large", "Standard", "Standard"),
        ("z1d.large", "Standard", "Standard"),
        ("d3.xlarge", "Standard", "Standard"),
        ("g4dn.xlarge", "G and VT", "G and VT"),
        ("vt1.3xlarge", "G and VT", "G and VT"),
        ("p4d.24xlarge", "P", "P"),
        ("p5.48xlarge", "P", "P5"),
        ("inf2.xlarge", "Inf", "Inf"),
        ("trn1.2xlarge", "Trn", "Trn"),
        ("dl1.24xlarge", "DL", "DL"),
        ("f1.2xlarge", "F", "F"),
        ("x2idn.16xlarge", "X", "X"),
        ("hpc7a.12xlarge", "HPC", "HPC"),
        ("u-6tb1.56xlarge", "High Memory", "High Memory"),
        ("u7i-12tb.224xlarge", "High Memory", "High Memory"),
    ],
)
def test_the_family_by_whose_quota_a_type_is_limited(name, family, of_spot):
    assert quota_family(name, spot=False) == family
    assert quota_family(name, spot=True) == of_spot


# --- recorded Spot capacity -----------------------------------------------------------------------


def test_instances_come_and_go_as_recorded(run, beside):
    record = beside("pool.json", json.dumps({"metadata": {"gap_seconds": 600}, "data": [2, 2, 1, 1, 2]}))
    result = run(
        world(
            submit("job", "40min", count=3, definition="pair", retryStrategy=HOST_RULES),
            environment=spot(64),
            spotAvailability=[{"trace": record}],
        )
    )
    # Two run at once; the second is told at 20 min, and its job waits until there are two again at 40 min.
    lost = result.instances[result.instances["end_reason"] == "interrupted: Spot"]
    assert lost["ended_s"].tolist() == [1200 + 120]
    assert sorted(each_job(result, "end_s").values()) == [2400, 4800, 4800]


def test_each_recorded_instance_may_stand_for_several_and_the_run_may_begin_later(run, beside):
    record = beside("pool.csv", "at_s,instances\n0,0\n3600,1\n")
    result = run(
        world(
            submit("job", "1min", count=30, definition="pair"),
            environment=spot(64),
            spotAvailability=[{"trace": record, "scale": 10, "start": "1h"}],
        )
    )
    assert sorted(each_job(result, "start_s").values()) == [0] * 10 + [60] * 10 + [120] * 10
    assert result.instances["running_s"].notna().sum() == 10


def test_a_record_of_nodes_that_are_added_and_removed(run, beside):
    record = beside("pool.csv", "0,add,node1\n0,add,node2\n600000,remove,node1\n600000,remove,node2\n")
    result = run(
        world(
            submit("job", "20min", count=3, definition="pair"),
            environment=spot(64),
            spotAvailability=[{"trace": record}],
        )
        | {"horizon": "1h"}
    )
    assert each_attempt(result, "status_reason")[0].startswith("Host EC2")
    assert sorted(each_job(result, "state").values()) == ["FAILED", "FAILED", "RUNNABLE"]


@pytest.mark.parametrize(
    "name",
    [
        "availability-1node-aws-2023-02-15_us-west-2a_v100x1.json",
        "preemption-4node-aws-2023-08-03_us-west-2c_v100x1.json",
        "bamboo_g4dn-trace.csv",
    ],
)
def test_real_records_can_be_run(run, traces, name):
    result = run(
        world(
            submit("job", "30min", count=20, definition="pair", retryStrategy={"attempts": 10}),
            environment=spot(8),
            spotAvailability=[{"trace": str(traces / "spot" / name)}],
            spotInterruptions=0,
        )
        | {"horizon": "3d"}
    )
    states = list(each_job(result, "state").values())
    assert states.count("SUCCEEDED") > 5
    assert (result.instances["end_reason"] == "InsufficientInstanceCapacity").any()


CERTAIN = {
    "by all types": {"insufficientCapacity": 1},
    "by family": {"insufficientCapacity": {"c6i": 1}},
    "as a rule": {"capacityShortages": [{"probability": 1}]},
    "by the hour": {"capacityShortages": [{"hourly": [1] * 24}]},
    "by hours that cover the day together": {
        "capacityShortages": [{"hourly": [1] * 12 + [0] * 12}, {"hourly": [0] * 12 + [1] * 12}]
    },
}


@pytest.mark.parametrize("certain", CERTAIN)
@pytest.mark.parametrize("cooloff", ["10min", "1s"])
def test_a_certain_shortage_ends_the_run_with_awss_reason_and_check_foretells_it(load, certain, cooloff):
    data = world(
        submit("job", "1h", count=3, definition="pair"), environment=cloud(8, "c6i.large"), **CERTAIN[certain]
    )
    data["assumptions"]["launchCooloff"] = cooloff
    loaded = load(data)
    result = batchsim.run(loaded)
    assert result.summary["outcome"] == "stalled"
    assert result.audit() == []
    reason = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity requested for"
    assert result.jobs["status_reason"].iloc[0] == f"{reason} instance type [c6i.large]"
    (finding,) = check(loaded).never
    assert finding.reason == f"{reason} instance type [c6i.large]"
    (assumption,) = CERTAIN[certain]
    said = f"assumptions.{assumption}"
    assert finding.shortfall == f"EC2 never has capacity for c6i.large, by {said}"
    assert finding.changes[0].text == f"list a type in cloud that EC2 has, or change {said}"


def test_a_certain_shortage_without_a_cooloff_ends_the_run_too(load):
    data = world(submit("job", "1h"), environment=cloud(8), insufficientCapacity=1, launchCooloff=0)
    assert batchsim.run(load(data)).summary["outcome"] == "stalled"


def test_a_type_that_ec2_never_has_gives_way_to_the_others(load):
    environment = cloud(8, "c6i.large", "m6i.large")
    data = world(submit("job", "1h"), environment=environment, insufficientCapacity={"c6i": 1})
    loaded = load(data)
    result = batchsim.run(loaded)
    assert result.summary["outcome"] == "finished"
    ran = result.instances[result.instances["running_s"].notna()]
    assert set(ran["instance_type"]) == {"m6i.large"}
    assert check(loaded).can_all_start


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("c6i.larg", "assumptions.insufficientCapacity.c6i.larg: 'c6i.larg' is not an instance type"),
        ("c66", "did you mean c6i"),
    ],
)
def test_a_shortage_of_a_type_that_is_none_is_one_clear_line(load, name, says):
    data = world(submit("job", "1h"), environment=cloud(8, "c6i.large"), insufficientCapacity={name: 1})
    with pytest.raises(InputError) as caught:
        batchsim.run(load(data))
    assert says in caught.value.one_line()


def test_a_shortage_of_a_type_that_no_environment_has_is_of_no_effect(run):
    data = world(submit("job", "1h"), environment=cloud(8, "c6i.large"), insufficientCapacity={"m5": 1})
    assert run(data).summary["outcome"] == "finished"


def test_check_tells_of_spot_pools_that_are_empty_throughout(load, beside):
    trace = beside("slots.csv", "at_s,instances\n0,0\n")
    data = world(submit("job", "1h"), environment=spot(8), spotAvailability=[{"trace": trace}])
    (finding,) = check(load(data)).never
    assert finding.shortfall == "EC2 never has capacity for c6i.large, by assumptions.spotAvailability"


# --- recorded Spot prices -------------------------------------------------------------------------

PRICES = "instance_type,usd_per_hour,at_s\nc6i.large,0.03,0\nc6i.large,0.06,1800\nc6i.large,0.02,5400\n"


def test_the_cost_integrates_a_price_that_moves(run, beside):
    result = run(
        world(
            submit("job", "1h", definition="pair"),
            environment=spot(2),
            spotPrices=[{"trace": beside("prices.csv", PRICES)}],
        )
    )
    assert result.instances["billed_s"].tolist() == [3600]
    assert result.summary["cost_usd"] == pytest.approx(0.5 * 0.03 + 0.5 * 0.06, abs=1e-6)
    assert result.instances["usd_per_hour"].tolist() == [0.045]


def test_an_instance_goes_when_the_price_reaches_the_bid_and_comes_back_below_it(run, beside):
    result = run(
        world(
            submit("job", "1h", definition="pair", retryStrategy=HOST_RULES),
            environment=spot(2, bidPercentage=50),  # of 0.085
            spotPrices=[{"trace": beside("prices.csv", PRICES)}],
        )
    )
    first, *refused, last = instances(result, "ended_s", "end_reason")
    assert first == ("1920.0", "interrupted: Spot")
    assert {reason for _, reason in refused} == {"SpotMaxPriceTooLow"}
    assert each_job(result, "end_s")["job-0"] == pytest.approx(5400 + HOUR, abs=700)
    assert last[1] != "SpotMaxPriceTooLow"


def test_prices_of_zones_and_dates_are_those_of_the_scenario(run, beside):
    rows = [
        "instance_type,region,zone,date,usd_per_hour",
        "c6i.large,us-east-1,use1-az1,2024-06-01,0.01",
        "c6i.large,us-east-1,use1-az1,2024-06-08,0.03",
        "c6i.large,us-east-1,use1-az2,2024-06-01,0.02",
        "c6i.large,eu-west-1,euw1-az1,2024-06-01,0.09",
    ]
    result = run(
        world(
            submit("job", "1h", count=30, definition="pair"),
            environment=spot(60),
            availabilityZones=["use1-az1", "use1-az2"],
            spotPrices=[{"trace": beside("prices.csv", "\n".join(rows)), "begin": "2024-06-09"}],
        )
    )
    assert set(instances(result, "zone", "usd_per_hour")) == {("use1-az1", "0.03"), ("use1-az2", "0.02")}


def history(*rows: tuple[str, str, str], product: str = "Linux/UNIX") -> list[dict[str, str]]:
    """Rows as `aws ec2 describe-spot-price-history` prints them: (time, zone, price) of c6i.large."""
    return [
        {
            "AvailabilityZone": zone,
            "InstanceType": "c6i.large",
            "ProductDescription": product,
            "SpotPrice": price,
            "Timestamp": at,
        }
        for at, zone, price in rows
    ]


A, B = "us-east-1a", "us-east-1b"
LINUX = history(  # the newest first, as AWS gives them
    ("2024-06-10T09:30:00+00:00", A, "0.060000"),
    ("2024-06-10T08:00:00+00:00", A, "0.030000"),
    ("2024-06-10T09:00:00.000Z", A, "0.040000"),
    ("2024-06-10T08:30:00+00:00", "us-west-2a", "0.500000"),
)


@pytest.mark.parametrize(
    ("begin", "expected"),
    [
        ({}, 0.03),  # 08:00, the earliest
        ({"begin": "2024-06-10T09:00:00Z"}, (0.04 + 0.06) / 2),
        ({"begin": "2024-06-10T10:00:00+01:00"}, (0.04 + 0.06) / 2),
        ({"begin": "2024-06-11"}, 0.06),
        ({"begin": "2024-06-09"}, 0.03),
    ],
)
def test_the_price_history_as_aws_prints_it_is_read(run, beside, begin, expected):
    windows = history(("2024-06-10T07:00:00+00:00", A, "0.2"), product="Windows")
    text = json.dumps({"SpotPriceHistory": [*LINUX, *windows, LINUX[0]], "NextToken": ""})
    result = run(
        world(
            submit("job", "1h", definition="pair"),
            environment=spot(2),
            availabilityZones=[A],
            spotPrices=[{"trace": beside("prices.json", text), **begin}],
        )
    )
    assert result.instances["usd_per_hour"].tolist() == [pytest.approx(expected, abs=2e-6)]
    (notes,) = result.manifest["spot_prices"]["traces"]
    assert (notes["rows_read"], notes["prices"]) == (6, 3)
    dropped = {why: rows for why, rows in notes["dropped"].items() if rows}
    assert dropped == {"not Linux/UNIX": 1, "other regions": 1, "told twice": 1}


def of_type(name: str, *rows: tuple[str, str, str]) -> list[dict[str, str]]:
    return [each | {"InstanceType": name} for each in history(*rows)]


def priced(beside, *records, zones=(A,), types=("c6i.large",), **more):
    """A job of an hour on Spot, with records of (file, entries, what is said of them)."""
    prices = [
        {"trace": beside(name, entries if isinstance(entries, str) else json.dumps(entries)), **said}
        for name, entries, said in records
    ]
    return world(
        submit("job", "1h", definition="pair"),
        environment=spot(2, *types),
        availabilityZones=list(zones),
        spotPrices=prices,
        **more,
    )


def test_a_zone_that_the_record_of_a_type_lacks_is_an_error(load, beside):
    data = priced(beside, ("p.json", history(("2024-06-10", A, "0.03")), {}), zones=[A, B])
    with pytest.raises(InputError) as caught:
        batchsim.run(load(data))
    assert "no price of c6i.large in us-east-1b is recorded, though" in caught.value.one_line()
    assert f"limit assumptions.availabilityZones to {A}" in caught.value.one_line()


def test_a_price_without_a_zone_is_of_all_zones(run, beside):
    result = run(priced(beside, ("p.csv", PRICES, {}), zones=[A, B]))
    assert result.instances["usd_per_hour"].tolist() == [0.045]


def test_a_type_without_a_record_keeps_the_price_of_the_catalogue_and_is_named(run, beside):
    entries = of_type("m6i.large", ("2024-06-10", A, "0.05"))
    recorded = run(priced(beside, ("p.json", entries, {})))
    assert recorded.manifest["spot_prices"]["unrecorded_types"] == ["c6i.large"]
    (notes,) = recorded.manifest["spot_prices"]["traces"]
    assert (notes["prices"], notes["other_types"]) == (0, ["m6i.large"])
    assert notes["dropped"]["types of no Spot environment"] == 1
    assert recorded.summary["cost_usd"] == run(priced(beside)).summary["cost_usd"]


def test_a_run_begins_when_each_pool_has_a_price(run, beside):
    late = [
        *history(("2024-06-08T11:13:04Z", A, "0.01"), ("2024-06-10T00:00:00Z", A, "0.03")),
        *history(("2024-06-09T20:00:00Z", B, "0.01"), ("2024-06-10T00:00:00Z", B, "0.03")),
        *of_type("m6i.large", ("2024-06-11T00:00:00Z", A, "0.03")),  # of no environment
    ]
    result = run(priced(beside, ("p.json", late, {}), zones=[A, B]))
    (notes,) = result.manifest["spot_prices"]["traces"]
    assert (notes["begins_at"], notes["begin_is_said"]) == ("2024-06-09T20:00:00Z", False)
    assert (notes["ended_at"], notes["late_pools"]) == (None, 0)
    assert result.instances["usd_per_hour"].tolist() == [0.01]


NOON = ("2024-06-10T12:00:00Z", A, "0.08")
EARLY = history(("2024-06-10T00:00:00Z", A, "0.01"), ("2024-06-10T06:30:00Z", A, "0.03"), NOON)
LATER = of_type("m6i.large", ("2024-06-10T06:00:00Z", A, "0.08"), NOON)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (({}, {}), "2024-06-10T06:00:00Z"),
        (({}, {"begin": "2024-06-10T11:30:00Z"}), "2024-06-10T11:30:00Z"),
    ],
)
def test_records_in_several_files_are_of_one_time(run, beside, said, expected):
    types = "c6i.large", "m6i.large"
    together = {} if not any(said) else {"begin": expected}
    one = run(priced(beside, ("both.json", [*EARLY, *LATER], together), types=types))
    files = ("a.json", EARLY, said[0]), ("b.json", LATER, said[1])
    two = run(priced(beside, *files, types=types))
    assert {each["begins_at"] for each in two.manifest["spot_prices"]["traces"]} == {expected}
    assert instances(two, "instance_type", "usd_per_hour") == instances(one, "instance_type", "usd_per_hour")


def test_a_record_that_ended_before_the_run_or_begins_within_it_is_told(run, beside):
    def notes(begin):
        (told,) = run(priced(beside, ("p.json", LINUX, {"begin": begin}))).manifest["spot_prices"]["traces"]
        return told["ended_at"], told["late_pools"]

    assert notes("2024-06-11") == ("2024-06-10T09:30:00Z", 0)
    assert notes("2024-06-10T09:30Z") == (None, 0)
    assert notes("2024-06-10T07:59Z") == (None, 1)


def test_a_date_in_a_csv_may_have_a_time(run, beside):
    rows = "instance_type,usd_per_hour,date\nc6i.large,0.01,2024-06-10T09:00\nc6i.large,0.03,{}\n"
    begin = {"begin": "2024-06-11T08:30Z"}
    for at in ("2024-06-11T09:00", "2024-06-11 11:00:00+02:00"):
        result = run(priced(beside, ("p.csv", rows.format(at), begin), preset="ideal"))
        assert result.instances["usd_per_hour"].tolist() == [0.02]


def test_a_beginning_is_written_as_it_was_read(load, beside):
    for begin in ("2024-06-10", "2024-06-10T09:00:00Z"):
        prices = {"trace": beside("prices.json", json.dumps(LINUX)), "begin": begin}
        loaded = load(world(submit("job", "1h"), environment=spot(2), spotPrices=[prices]))
        assert loaded.to_dict()["assumptions"]["spotPrices"][0]["begin"] == begin


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"Prices": []}, "expected a list under SpotPriceHistory"),
        (
            history(("2024-06-10T09:00:00Z", B, "dear")),
            "SpotPriceHistory.0.SpotPrice: expected a number of 0",
        ),
        (history(("2024-06-10", B, "9" * 20)), "a number of 0 or more, 1,000,000 at most"),
        (history(("soon", B, "1")), "SpotPriceHistory.0.Timestamp: expected a time such as 2024-06-10T"),
        (history(("0001-01-01T00:00:00+10:00", B, "1")), "expected a time such as 2024-06-10T"),
        ([{"InstanceType": "c6i.large"}], "SpotPriceHistory.0.Timestamp: expected a text"),
        (["c6i.large"], "SpotPriceHistory.0: expected an object"),
        (history(("2024-06-10", B, "1"), product="Windows"), "at least one price of us-east-1 of Linux/UNIX"),
        (
            [*LINUX, {**LINUX[0], "SpotPrice": "1"}],
            "c6i.large has two prices in us-east-1a at 2024-06-10T09:30",
        ),
        (
            history(("2024-06-10", B, "1")),
            "expected zones of the price trace, found us-east-1a; it has us-east-1b",
        ),
    ],
)
def test_a_price_history_that_is_none_is_one_clear_line(load, beside, content, says):
    prices = [{"trace": beside("prices.json", json.dumps(content))}]
    data = world(submit("job", "1min"), environment=spot(8), availabilityZones=[A], spotPrices=prices)
    with pytest.raises(InputError) as caught:
        batchsim.run(load(data))
    assert says in caught.value.one_line()


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("assumptions", "says"),
    [
        ({"capacityShortages": [{}]}, "there is none of them: expected exactly one of probability"),
        ({"capacityShortages": [{"probability": 1.01}]}, "at most 1, found 1.01"),
        ({"capacityShortages": [{"hourly": [0.5] * 23}]}, "hourly"),
        ({"accountQuotas": {"onDemand": {"C": 4}}}, "'Standard'"),
        ({"accountQuotas": {"onDemand": {"P5": 4}}}, "On-Demand P5 instances are of the family P"),
        (
            {"accountQuotas": {"spot": {"Standard": 4}}, "launchCooloff": 0},
            "expected a launchCooloff above",
        ),
        ({"spotPrices": [{"trace": "p.csv", "begin": "June"}]}, "expected a date such as 2024-06-10"),
        *(
            ({"spotPrices": [{"trace": "p.csv", "begin": begin}]}, "expected a date such as 2024-06-10")
            for begin in ("0001-01-01T00:00:00+10:00", "9999-12-31T23:59:59-12:00")
        ),
    ],
)
def test_what_cannot_be_is_one_clear_line(problems_of, assumptions, says):
    (line,) = problems_of(world(submit("job", "1min"), environment=spot(8), **assumptions))
    assert says in line


@pytest.mark.parametrize(
    ("assumptions", "text", "says"),
    [
        (
            {"capacityShortages": [{"trace": "t"}]},
            "at_s,chance\n0,1\n",
            "a column 'probability'",
        ),
        ({"capacityShortages": [{"trace": "t"}]}, "at_s,probability\n0,2\n", "a probability up to 1"),
        ({"capacityShortages": [{"trace": "t"}]}, "at_s,probability\n5,0\n5,1\n", "instants that ascend"),
        (
            {"capacityShortages": [{"zones": ["x"], "probability": 0.1}]},
            "",
            "one of assumptions.avail",
        ),
        ({"spotAvailability": [{"trace": "t"}]}, '{"data": []}', "JSON with metadata.gap_seconds and data"),
        ({"spotAvailability": [{"trace": "none"}]}, "", "expected a file"),
        ({"spotPrices": [{"trace": "t"}]}, "instance_type,usd_per_hour,date\na,1,2024-01-01\n", "dates"),
        (
            {"spotPrices": [{"trace": "t"}]},
            "instance_type,usd_per_hour,date\na,1,June\n",
            "or a date such as",
        ),
        ({"spotPrices": [{"trace": "t"}]}, "instance_type,usd_per_hour,at_s\na,1e9,0\n", "1,000,000 at most"),
        (
            {"spotPrices": [{"trace": "t", "begin": "2024-06-10"}]},
            "instance_type,usd_per_hour,at_s\na,1,0\n",
            "spotPrices.0.begin: the trace counts from the beginning of the run (at_s); remove begin",
        ),
        (
            {"spotPrices": [{"trace": "t"}]},
            "instance_type,usd_per_hour,at_s,region\na,1,0,eu-west-1\n",
            "at least one price of us-east-1",
        ),
        (
            {"spotPrices": [{"trace": "t"}]},
            "instance_type,usd_per_hour,at_s,zone\na,1,0,z\n",
            "zones of the price trace",
        ),
    ],
)
def test_a_file_that_does_not_fit_is_one_clear_line(load, beside, assumptions, text, says):
    beside("t", text)
    data = world(submit("job", "1min"), environment=spot(8), **assumptions)
    with pytest.raises(InputError) as caught:
        batchsim.run(load(data))
    assert says in caught.value.one_line()


@pytest.mark.parametrize(("kept", "starts"), [(2, True), (0, False)])
def test_a_shortage_that_begins_later_counts_where_nothing_is_there_before_the_first_job(
    load, tmp_path, kept, starts
):
    shortage = tmp_path / "shortage.csv"
    shortage.write_text("at_s,probability\n0,0\n3600,1\n")
    place = cloud(8, "c6i.large")
    place["computeResources"]["minvCpus"] = kept
    data = world(submit("job", "1h", definition="pair", at="3h"), environment=place)
    data["assumptions"] |= {"capacityShortages": [{"trace": str(shortage)}], "launchCooloff": "180s"}
    loaded = load(data)
    assert (batchsim.run(loaded).summary["outcome"] == "finished") is starts
    assert (not check(loaded).never) is starts
