from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from batchsim.scenario import Scenario

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def scenario_of(tmp_path: Path) -> Callable[..., Scenario]:
    """A scenario with one queue `q`, the definitions `small` and `large`, and the given workload entries."""

    def make(*workload: dict[str, Any], **more: Any) -> Scenario:
        environment = {
            "computeEnvironmentName": "cluster",
            "type": "UNMANAGED",
            "instances": [{"vcpus": 100, "memory": "1TiB", "usdPerHour": 0}],
        }
        order = [{"order": 1, "computeEnvironment": "cluster"}]
        small = {"image": "small:1", "vcpus": 1, "memory": 512}
        large = {
            "image": "large:1",
            "resourceRequirements": [
                {"type": "VCPU", "value": "8"},
                {"type": "MEMORY", "value": "16000"},
                {"type": "GPU", "value": "1"},
            ],
        }
        rules = [{"onStatusReason": "Host EC2*", "action": "RETRY"}, {"onExitCode": "1", "action": "exit"}]
        scenario = Scenario.model_validate(
            {
                "batchsim": 1,
                "computeEnvironments": [environment],
                "jobQueues": [{"jobQueueName": "q", "priority": 1, "computeEnvironmentOrder": order}],
                "jobDefinitions": [
                    {"jobDefinitionName": "small", "containerProperties": small},
                    {
                        "jobDefinitionName": "large",
                        "containerProperties": large,
                        "retryStrategy": {"attempts": 3, "evaluateOnExit": rules},
                        "timeout": {"attemptDurationSeconds": 600},
                    },
                ],
                "workload": [{"jobQueue": "q", **entry} for entry in workload],
                **more,
            }
        )
        scenario._base_dir = tmp_path
        return scenario

    return make


CONTAINER = [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "100"}]
NODE = {"image": "mpi:1", "resourceRequirements": CONTAINER}
DEFINITIONS = [
    {
        "jobDefinitionName": "one",
        "containerProperties": {"image": "one:1", "resourceRequirements": CONTAINER},
    },
    {
        "jobDefinitionName": "task",
        "ecsProperties": {
            "taskProperties": [
                {
                    "containers": [
                        {"name": "app", "image": "app:1", "resourceRequirements": CONTAINER},
                        {
                            "name": "log",
                            "image": "log:1",
                            "essential": False,
                            "resourceRequirements": CONTAINER,
                        },
                    ]
                }
            ]
        },
    },
    {
        "jobDefinitionName": "mpi",
        "type": "multinode",
        "nodeProperties": {
            "numNodes": 3,
            "mainNode": 0,
            "nodeRangeProperties": [{"targetNodes": "0:", "container": NODE}],
        },
    },
]


@pytest.fixture
def all_built(monkeypatch) -> None:
    """As if the simulator honoured every feature that has a model."""
    monkeypatch.setattr("batchsim.scenario.unbuilt.UNBUILT", {})


@pytest.fixture
def jobs_of(all_built, tmp_path: Path) -> Callable[..., Scenario]:
    """An ideal scenario of everything about jobs: queue `q` is FIFO, `fair` shares, `kube` takes pods.

    There are the definitions `one`, `task` (containers app and log), `mpi` (3 nodes), and the given ones.
    """

    def make(*workload: dict[str, Any], definitions: tuple[Any, ...] = (), **more: Any) -> Scenario:
        machines = {"type": "UNMANAGED", "instances": [{"vcpus": 100, "memory": "1TiB"}]}
        pods = {
            "type": "MANAGED",
            "containerOrchestrationType": "EKS",
            "eksConfiguration": {"eksClusterArn": "arn", "kubernetesNamespace": "batch"},
            "computeResources": {
                "type": "EC2",
                "maxvCpus": 64,
                "instanceTypes": ["c5"],
                "allocationStrategy": "BEST_FIT_PROGRESSIVE",
            },
        }
        scenario = Scenario.model_validate(
            {
                "batchsim": 1,
                "computeEnvironments": [
                    {"computeEnvironmentName": "lab", **machines},
                    {"computeEnvironmentName": "pods", **pods},
                ],
                "schedulingPolicies": [{"name": "labs", "fairsharePolicy": {}}],
                "consumableResources": [
                    {"consumableResourceName": "licences", "totalQuantity": 10},
                    {"consumableResourceName": "credits", "totalQuantity": 5},
                ],
                "jobQueues": [
                    {
                        "jobQueueName": name,
                        "computeEnvironmentOrder": [{"order": 1, "computeEnvironment": environment}],
                        **options,
                    }
                    for name, environment, options in (
                        ("q", "lab", {}),
                        ("fair", "lab", {"schedulingPolicyArn": "labs"}),
                        ("kube", "pods", {"jobQueueType": "EKS"}),
                    )
                ],
                "jobDefinitions": [*DEFINITIONS, *definitions],
                "assumptions": {"preset": "ideal"},
                "workload": [
                    each
                    if "at" in each
                    else {
                        "jobQueue": "q",
                        **({} if "trace" in each else {"arrivals": {"atOnce": {}}}),
                        **each,
                    }
                    for each in workload
                ],
                **more,
            }
        )
        scenario._base_dir = tmp_path
        return scenario

    return make
