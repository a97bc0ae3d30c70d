"""Jobs run faster on a faster instance type, in simulations and as stand-ins."""

from __future__ import annotations

import json

import pytest

import batchsim
from batchsim.core.plan import Need
from batchsim.drivers.gateway import Key
from batchsim.drivers.jobspecs import JobContainers, JobOptions
from batchsim.drivers.planning import prepare
from batchsim.errors import CatalogError, ScenarioError
from batchsim.workload import build_workload
from tests.harness import PlanBuilder, machine
from tests.studies.scenarios import definition, jobs, managed, unmanaged, world


def scenario_of(environment, speeds, *, runtime="100s", **assumptions):
    data = world(
        [environment],
        [jobs("j", "q0", "d", 3, runtime={"constant": runtime})],
        definition("d", 2, 1000),
    )
    data["assumptions"] = {"preset": "ideal", "speedFactors": speeds, **assumptions}
    return batchsim.parse_scenario(json.dumps(data))


@pytest.mark.parametrize(
    ("speeds", "seconds"),
    [
        ({}, 100),
        ({"c6i": 1.25}, 80),
        ({"c6i.large": 0.5}, 200),
        ({"c6i": 1.25, "c6i.large": 4}, 25),
        ({"m6i": 4}, 100),
        ({"c6i": 3}, 33.333333),
    ],
)
def test_a_running_time_is_divided_by_the_factor_of_the_type_or_else_the_family(speeds, seconds):
    result = batchsim.run(scenario_of(managed("ec2", 64, "c6i.large"), speeds))
    assert result.jobs["execution_s"].tolist() == [seconds] * 3
    assert result.audit() == []


def test_each_job_runs_at_the_speed_of_where_it_is_placed():
    lab = unmanaged("lab", {"name": "Old", "vcpus": 2, "memory": "4GiB"}, {"instanceType": "c7i.large"})
    result = batchsim.run(scenario_of(lab, {"Old": 0.5, "c7i": 2}))
    taken = dict(zip(result.jobs["job"], result.jobs["execution_s"], strict=True))
    assert taken == {"j-0": 200, "j-1": 50, "j-2": 50}


def test_fargate_is_a_family_of_its_own_and_covers_fargate_spot():
    for kind in ("FARGATE", "FARGATE_SPOT"):
        tasks = {
            "computeEnvironmentName": "tasks",
            "type": "MANAGED",
            "computeResources": {"type": kind, "maxvCpus": 16},
        }
        data = world([tasks], [jobs("j", "q0", "d")], definition("d", 2, 4096))
        data["jobDefinitions"][0]["platformCapabilities"] = ["FARGATE"]
        data["assumptions"] = {"preset": "ideal", "speedFactors": {"fargate": 0.8}}
        assert batchsim.run(batchsim.parse_scenario(json.dumps(data))).jobs["execution_s"].tolist() == [75]


def test_a_time_limit_counts_real_seconds():
    scenario = scenario_of(managed("ec2", 64, "c6i.large"), {"c6i": 0.5})
    data = scenario.to_dict()
    data["jobDefinitions"][0]["timeout"] = {"attemptDurationSeconds": 150}
    jobs_frame = batchsim.run(batchsim.parse_scenario(json.dumps(data))).jobs
    assert jobs_frame["execution_s"].tolist() == [150] * 3
    assert set(jobs_frame["state"]) == {"FAILED"}


def test_the_nodes_of_a_job_run_at_the_speed_of_their_instances():
    builder = PlanBuilder([machine(2), machine(2)], [], [])
    builder.nodes_job(0, 9, [Need(2, 1, 0)] * 2)
    speedy = builder.world(speeds={1: 3_000_000})
    assert [speedy.lasts_us(us, 1) for us in (0, 1, 2, 9, 10)] == [0, 0, 1, 3, 3]
    assert [speedy.lasts_us(us, 0) for us in (0, 1, 9)] == [0, 1, 9]


@pytest.mark.parametrize(
    ("name", "hint"), [("c6x", "c6a"), ("c6i.lage", "c6i has large"), ("Fargate", "own")]
)
def test_a_name_that_nothing_has_is_a_mistake(name, hint):
    with pytest.raises(CatalogError) as refused:
        batchsim.run(scenario_of(managed("ec2", 64, "c6i.large"), {name: 2}))
    assert f"assumptions.speedFactors.{name}" in str(refused.value)
    assert hint in str(refused.value)
    assert refused.value.line is not None


@pytest.mark.parametrize("factor", [0, -1, 0.001, 101, "fast", True])
def test_a_factor_is_a_number_from_a_hundredth_to_a_hundred(factor):
    with pytest.raises(ScenarioError, match=r"speedFactors\.c6i"):
        scenario_of(managed("ec2", 64, "c6i.large"), {"c6i": factor})


def test_easy_backfilling_expects_what_jobs_take_on_the_slowest_type_that_is_listed():
    types = managed("ec2", 64, "c6i.large", "c7i.large")
    for speeds, expected in (
        ({"c6i": 2, "c7i": 2}, 50),
        ({"c7i": 2}, 100),
        ({"c6i": 0.5, "m6i": 0.1}, 200),
    ):
        scenario = scenario_of(types, speeds, backfill="easy")
        plan = prepare(scenario, build_workload(scenario)).plan
        assert list(plan.estimate_us) == [expected * 10**6] * 3


def test_a_stand_in_sleeps_as_long_as_its_instance_is_slow():
    scenario = scenario_of(managed("ec2", 64, "c6i.large", "c7i.large"), {"c7i": 2})
    workload = build_workload(scenario)
    setup = prepare(scenario, workload)
    containers = JobContainers(scenario, workload, setup, JobOptions(run="r", stand_in="busybox:1"))
    containers.type_of = [0, 1].__getitem__
    assert [setup.plan.types[row].name for row in (0, 1)] == ["c6i.large", "c7i.large"]
    assert [float(containers(Key(0, 1, 0), instance).command[0]) for instance in (0, 1)] == [100, 50]
