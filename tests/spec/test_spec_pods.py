"""Specification 9.2, number 54: jobs on EKS."""

from __future__ import annotations

from typing import Any

from tests.spec.scenarios import each_job, managed, queue, scenario, submit


def pod_of(cpu: str) -> dict[str, Any]:
    """A pod in a cluster whose nodes have 2 vCPUs; one is there from the beginning."""
    place = managed("pods", 100, "c5.large")
    place["computeResources"] |= {"allocationStrategy": "BEST_FIT_PROGRESSIVE", "minvCpus": 2}
    place |= {"containerOrchestrationType": "EKS", "eksConfiguration": {"eksClusterArn": "arn"}}
    resources = {"limits": {"cpu": cpu, "memory": "1024Mi"}}
    definition = {
        "jobDefinitionName": "pod",
        "eksProperties": {"podProperties": {"containers": [{"image": "app:1", "resources": resources}]}},
    }
    return scenario(
        submit("a", "60s", definition="pod"),
        environments=[place],
        definitions=[definition],
        jobQueues=[{**queue("q", "pods"), "jobQueueType": "EKS"}],
    )


def test_spec_54_a_node_keeps_some_of_its_cpu_for_itself(run):
    result = run(pod_of("1.75"))
    assert each_job(result, "state") == {"a-0": "SUCCEEDED"}
    assert len(result.instances) == 1


def test_spec_54_a_pod_that_asks_for_all_of_a_node_is_never_placed(run):
    result = run(pod_of("2"))
    assert each_job(result, "state") == {"a-0": "RUNNABLE"}
    assert result.summary["outcome"] == "stalled"
    assert each_job(result, "status_reason")["a-0"].startswith("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT")
