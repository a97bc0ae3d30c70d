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
