"""Parts of small scenarios, as the data of their files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


def managed(name: str, max_vcpus: int, *types: str, state: str = "ENABLED") -> dict[str, Any]:
    resources = {
        "type": "EC2",
        "allocationStrategy": "BEST_FIT_PROGRESSIVE",
        "maxvCpus": max_vcpus,
        "instanceTypes": list(types),
    }
    return {
        "computeEnvironmentName": name,
        "type": "MANAGED",
        "state": state,
        "computeResources": resources,
    }


def unmanaged(name: str, *machines: dict[str, Any]) -> dict[str, Any]:
    return {"computeEnvironmentName": name, "type": "UNMANAGED", "instances": list(machines)}


def queue(name: str, *environments: str) -> dict[str, Any]:
    order = [{"order": i, "computeEnvironment": each} for i, each in enumerate(environments)]
    return {"jobQueueName": name, "computeEnvironmentOrder": order}


def definition(name: str, vcpus: float, memory_mib: int, gpus: int = 0) -> dict[str, Any]:
    needs = [("VCPU", vcpus), ("MEMORY", memory_mib), *([("GPU", gpus)] if gpus else [])]
    requirements = [{"type": kind, "value": str(value)} for kind, value in needs]
    return {
        "jobDefinitionName": name,
        "type": "container",
        "containerProperties": {"image": "tool:1", "resourceRequirements": requirements},
    }


def jobs(name: str, queue_name: str, job_definition: str, count: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "jobQueue": queue_name,
        "jobDefinition": job_definition,
        "count": count,
        "arrivals": {"atOnce": {}},
        "runtime": {"constant": "60s"},
        **more,
    }


def world(
    environments: Sequence[dict[str, Any]], workload: Sequence[dict[str, Any]], *definitions: dict[str, Any]
) -> dict[str, Any]:
    """A scenario whose queues q0, q1, ... have one environment each."""
    return {
        "batchsim": 1,
        "name": "small",
        "computeEnvironments": list(environments),
        "jobQueues": [queue(f"q{i}", each["computeEnvironmentName"]) for i, each in enumerate(environments)],
        "jobDefinitions": list(definitions),
        "workload": list(workload),
    }
