"""L24 of the audit: what it says of attempts and instances of another architecture."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

import batchsim
from batchsim.results.audit import audit_frames
from tests.spec.scenarios import scenario, submit
from tests.spec.test_spec_capacity import cloud
from tests.spec.test_spec_fargate import fargate, on_fargate
from tests.spec.test_spec_fargate import job as task_of_fargate
from tests.spec.test_spec_managed_instances import ecs, world

WORLDS = {
    "managed instances": world(
        submit("a", "1h", definition="arm"),
        submit("x", "1h", definition="one"),
        environments=[ecs(4, "c6i.large", "c6g.large")],
    ),
    "tasks": on_fargate(task_of_fargate("1h", count=2), environments=[fargate(4)]),
    "instances": scenario(submit("job", "1h", count=4), environments=[cloud(8, "c6i.large")]),
}
OTHER = "on another architecture than its job needs"


@pytest.fixture(scope="module")
def results() -> dict[str, batchsim.Result]:
    return {name: batchsim.run(batchsim.parse_scenario(json.dumps(data))) for name, data in WORLDS.items()}


def told(result: batchsim.Result, frames: dict[str, Any], manifest: dict[str, Any]) -> list[tuple[Any, ...]]:
    found = audit_frames(frames, result.summary, manifest)
    return [(each.frame, each.message, each.rows) for each in found if each.law == "L24"]


@pytest.mark.parametrize("name", WORLDS)
def test_runs_keep_the_law(results, name):
    assert results[name].audit() == []
    assert set(results[name].manifest["architectures"].values()) <= {"x86_64", "arm64"}
    assert len(results[name].manifest["architectures"]) == results[name].instances["instance_type"].nunique()


def test_a_job_that_is_moved_to_the_other_architecture_is_seen(results):
    result = results["managed instances"]
    frames = {name: each.copy() for name, each in result.frames.items()}
    attempts = frames["attempts"]
    assert attempts["instance_type"].tolist() == ["c6g.large", "c6i.large"]
    for name in ("instance", "instance_type"):
        attempts[name] = result.attempts[name].iloc[::-1].reset_index(drop=True)
    assert told(result, frames, result.manifest) == [("attempts", OTHER, (0, 1))]


@pytest.mark.parametrize(
    ("name", "definition", "part"),
    [("managed instances", "one", "ecsProperties"), ("tasks", None, "containerProperties")],
)
def test_a_job_that_needs_another_architecture_than_it_got_is_seen(results, name, definition, part):
    result = results[name]
    manifest = copy.deepcopy(result.manifest)
    chosen = next(
        each
        for each in manifest["scenario"]["jobDefinitions"]
        if part in each and definition in (None, each["jobDefinitionName"])
    )
    task = chosen[part]["taskProperties"][0] if part == "ecsProperties" else chosen[part]
    task["runtimePlatform"] = {"cpuArchitecture": "ARM64"}
    rows = (1,) if name == "managed instances" else (0, 1)
    assert told(result, result.frames, manifest) == [("attempts", OTHER, rows)]


def test_an_environment_of_two_architectures_is_seen(results):
    result = results["instances"]
    frames = {name: each.copy() for name, each in result.frames.items()}
    types = frames["instances"]["instance_type"].cat.add_categories("c6g.large")
    types.iloc[1] = "c6g.large"
    frames["instances"]["instance_type"] = types
    manifest = result.manifest | {"architectures": {"c6i.large": "x86_64", "c6g.large": "arm64"}}
    said = "of another architecture than others of cloud"
    assert told(result, frames, manifest) == [("instances", said, (1,))]


def test_a_type_whose_architecture_is_not_told_fits_no_job_that_may_choose(results):
    result = results["tasks"]
    assert told(result, result.frames, result.manifest | {"architectures": {}}) == [
        ("attempts", OTHER, (0, 1))
    ]
