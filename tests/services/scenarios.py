"""Data of small scenarios of service jobs."""

from __future__ import annotations

from typing import Any

TYPE = "ml.g5.xlarge"


def training(*workload: dict[str, Any], limit: int = 50, **more: Any) -> dict[str, Any]:
    """A FIFO queue `q` on an environment of so many instances; no delays unless `assumptions` say so."""
    return {
        "batchsim": 1,
        "name": "training",
        "serviceEnvironments": [{"serviceEnvironmentName": "e", "capacityLimits": [{"maxCapacity": limit}]}],
        "jobQueues": [queue("q")],
        "assumptions": {"preset": "ideal"},
        "workload": list(workload),
        **more,
    }


def queue(name: str, environment: str = "e", **more: Any) -> dict[str, Any]:
    return {
        "jobQueueName": name,
        "jobQueueType": "SAGEMAKER_TRAINING",
        "serviceEnvironmentOrder": [{"order": 1, "serviceEnvironment": environment}],
        **more,
    }


def jobs(name: str, count: int = 1, instances: int = 1, runtime: str = "60s", **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "jobQueue": "q",
        "count": count,
        "arrivals": {"atOnce": {}},
        "resourceConfig": {"instanceType": TYPE, "instanceCount": instances},
        "runtime": runtime,
        **more,
    }


def share(name: str, limit: int, strategy: str = "RESERVE", **more: Any) -> dict[str, Any]:
    return {
        "quotaShareName": name,
        "jobQueue": "q",
        "capacityLimits": [{"maxCapacity": limit, "capacityUnit": TYPE}],
        "resourceSharingConfiguration": {"strategy": strategy, **more.pop("sharing", {})},
        **more,
    }


def divided(shares: list[dict[str, Any]], *workload: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A queue `q` of quota shares whose limits add up to those of its environment."""
    total = sum(each["capacityLimits"][0]["maxCapacity"] for each in shares)
    limits = [{"maxCapacity": total, "capacityUnit": TYPE}]
    return training(
        *workload,
        serviceEnvironments=[{"serviceEnvironmentName": "e", "capacityLimits": limits}],
        schedulingPolicies=[{"name": "quotas", "quotaSharePolicy": {}}],
        jobQueues=[queue("q", schedulingPolicyArn="quotas", **more.pop("queue", {}))],
        quotaShares=shares,
        **more,
    )
