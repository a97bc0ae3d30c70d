"""L24 architectures: of Fargate tasks and Managed Instances, and of all instances of an environment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from batchsim.results.audit.facts import instances_of, kind_of, said_updates
from batchsim.results.audit.violation import Violation, rows_where

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchsim.results.audit.facts import Facts

_CHOSEN_BY_JOBS = ("FARGATE", "FARGATE_SPOT", "ECS_MANAGED_INSTANCES")
_NUMBERS = {"x86_64": 1, "arm64": 2}
_USUAL = "x86_64"


def architectures(facts: Facts) -> list[Violation]:
    """L24: a job gets the architecture of its runtimePlatform where both may be had [spec 3.9, 4.2].

    Elsewhere its image decides, and all types of an environment are of one architecture [spec 3.3]; those
    whose types users update may change it.
    """
    kinds = {
        each["computeEnvironmentName"]: each["computeResources"]["type"]
        for each in facts.manifest["scenario"].get("computeEnvironments", ())
        if each.get("computeResources")
    }
    updated = {
        update.get("computeEnvironment")
        for _, update in said_updates(facts.manifest["scenario"])
        if "instanceTypes" in update
    }
    frame = facts.frames["instances"]
    environment = frame["environment"].astype("str").to_numpy()
    known = facts.manifest["architectures"]
    has = np.array([_NUMBERS.get(known.get(name, ""), 0) for name in frame["instance_type"]], np.int8)
    found: list[Violation] = []
    for name, kind in kinds.items():
        here = np.flatnonzero(environment == name)
        if kind not in _CHOSEN_BY_JOBS and name not in updated and len(here):
            others = has[here] != has[here[0]]
            said = f"of another architecture than others of {name}"
            found += rows_where(others, "L24", "instances", said, here)
    chosen = instances_of(facts, lambda each: kind_of(each) in _CHOSEN_BY_JOBS)
    holds = facts.holds
    mine = np.flatnonzero((holds.instance >= 0) & (holds.job >= 0))
    mine = mine[chosen[holds.instance[mine]]]
    other = _needed(facts)[holds.job[mine]] != has[holds.instance[mine]]
    said = "on another architecture than its job needs"
    return found + rows_where(other, "L24", "attempts", said, holds.row[mine])


def _needed(facts: Facts) -> Any:
    """What each job needs by its definition, if it may choose."""
    column = facts.frames["jobs"]["job_definition"]
    told = [_of_definition(facts.manifest["scenario"], name) for name in column.cat.categories]
    return np.array([_NUMBERS.get(each, -1) for each in (*told, _USUAL)], np.int8)[
        column.cat.codes.to_numpy()
    ]


def _of_definition(scenario: Mapping[str, Any], reference: str) -> str:
    """Of the latest active revision of a definition, or of the one that is named."""
    name, _, revision = reference.partition(":")
    found: list[Mapping[str, Any]] = [
        each
        for each in scenario.get("jobDefinitions", ())
        if each["jobDefinitionName"] == name
        and each.get("status", "ACTIVE") == "ACTIVE"
        and (not revision or each.get("revision", 1) == int(revision))
    ]
    definition = max(found, key=lambda each: each.get("revision", 1), default={})
    tasks = (definition.get("ecsProperties") or {}).get("taskProperties") or [{}]
    task = definition.get("containerProperties") or tasks[0]
    system = task.get("runtimePlatform") or {}
    return str(system.get("cpuArchitecture") or _USUAL).lower()
