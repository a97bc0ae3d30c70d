"""L7 of the audit: what it says of launches above maxvCpus or a quota, and of scale-in below minvCpus."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

import batchsim
from batchsim.catalog.instance_types import builtin_types
from batchsim.results.audit import audit_frames
from batchsim.results.audit.bounds import family_of
from batchsim.scenario.market import quota_family
from tests.spec.scenarios import scenario, submit
from tests.spec.test_spec_capacity import cloud
from tests.spec.test_spec_fargate import fargate, on_fargate
from tests.spec.test_spec_fargate import job as task
from tests.spec.test_spec_spot import spot

COOL = {"launchCooloff": "10min"}
RAISED = {"at": "10min", "update": {"computeEnvironment": "cloud", "maxvCpus": 16}}
WORLDS = {
    # 16 vCPUs from the start, 8 of them by the last launch, at a maximum of 10
    "instances": scenario(submit("job", "1h", count=16), environments=[cloud(10, "c6i.2xlarge")]),
    # 8 vCPUs for an hour, then 8 again
    "in turn": scenario(submit("job", "1h", count=16), environments=[cloud(8, "c6i.2xlarge")]),
    "raised": scenario(
        submit("job", "1h", count=16), RAISED, environments=[cloud(8, "c6i.2xlarge", minvCpus=8)]
    ),
    "spot": scenario(submit("job", "1h", count=8), environments=[spot(8, "c6i.large")], assumptions=COOL),
    "tasks": on_fargate(task("1h", count=4), environments=[fargate(4)], assumptions=COOL),
    "tasks on spot": on_fargate(
        task("1h", count=4), environments=[fargate(4, "FARGATE_SPOT")], assumptions=COOL
    ),
}
RESOURCES = ("scenario", "computeEnvironments", 0, "computeResources")


@pytest.fixture(scope="module")
def results() -> dict[str, batchsim.Result]:
    return {name: batchsim.run(batchsim.parse_scenario(json.dumps(data))) for name, data in WORLDS.items()}


def told(result: batchsim.Result, *path: Any, frames: Any = None) -> list[str]:
    """What L7 says once a value of the manifest is another one: the path to it, and the value."""
    manifest = copy.deepcopy(result.manifest)
    if path:
        *parents, key, value = path
        inside = manifest
        for parent in parents:
            inside = inside[parent]
        inside[key] = value
    found = audit_frames(frames or result.frames, result.summary, manifest)
    return [each.message for each in found if each.law == "L7"]


@pytest.mark.parametrize("name", WORLDS)
def test_runs_keep_the_law(results, name):
    assert results[name].audit() == []


ABOVE, BELOW = "launched above maxvCpus", "given back below minvCpus"


@pytest.mark.parametrize(
    ("name", "path", "said"),
    [
        ("instances", (*RESOURCES, "maxvCpus", 8), [ABOVE]),
        ("instances", (*RESOURCES, "maxvCpus", 9), []),
        ("instances", (*RESOURCES, "allocationStrategy", "BEST_FIT"), [ABOVE]),
        ("instances", (*RESOURCES, "minvCpus", 1), [BELOW]),
        ("raised", ("scenario", "workload", 1, "update", "maxvCpus", 8), [ABOVE]),
        ("raised", ("scenario", "workload", 1, "at", "2h"), [ABOVE]),
        ("raised", (*RESOURCES, "minvCpus", 9), [BELOW]),
        ("raised", (*RESOURCES, "minvCpus", 8), []),
        ("tasks", (*RESOURCES, "maxvCpus", 3), ["a task above maxvCpus"]),
    ],
)
def test_other_bounds_than_those_of_the_run_are_noticed(results, name, path, said):
    assert told(results[name], *path) == said


@pytest.mark.parametrize(
    ("name", "quota", "vcpus", "broken"),
    [
        ("instances", "onDemand.Standard", 15, True),
        ("instances", "onDemand.Standard", 16, False),
        ("instances", "onDemand.G and VT", 0, False),
        ("instances", "spot.Standard", 0, False),
        ("in turn", "onDemand.Standard", 8, False),
        ("spot", "spot.Standard", 7, True),
        ("spot", "spot.Standard", 8, False),
        ("spot", "onDemand.Standard", 0, False),
        ("tasks", "onDemand.Fargate", 3, True),
        ("tasks", "onDemand.Fargate", 4, False),
        ("tasks", "spot.Fargate", 0, False),
        ("tasks on spot", "spot.Fargate", 3, True),
        ("tasks on spot", "onDemand.Fargate", 0, False),
    ],
)
def test_a_quota_that_the_run_exceeds_is_noticed(results, name, quota, vcpus, broken):
    market, family = quota.split(".")
    found = told(results[name], "assumptions", "accountQuotas", {market: {family: vcpus}})
    assert found == [f"beyond the quota {quota}"] * broken


def test_a_launch_that_was_decided_earlier_exceeds_the_maximum_of_then(results):
    frames = {name: frame.copy() for name, frame in results["raised"].frames.items()}
    second = list(frames["instances"]["requested_s"]).index(600.0)
    frames["instances"].loc[second, "requested_s"] = 300.0
    assert told(results["raised"], frames=frames) == [ABOVE]


@pytest.mark.parametrize("market", ["onDemand", "spot"])
def test_the_family_of_every_type_is_that_of_the_quotas(market):
    names = builtin_types()
    ours = {name: quota_family(name, spot=market == "spot") for name in names}
    assert {name: family_of(name, market) for name in names} == ours
