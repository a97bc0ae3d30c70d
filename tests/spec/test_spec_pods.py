"""Specification 1.12 and 9.2, number 54: jobs on EKS."""

from __future__ import annotations

from typing import Any

import pytest

from batchsim.results.audit import audit_frames
from tests.spec.scenarios import each_job, managed, queue, scenario, submit


def pod(name: str, cpu: str, memory: str = "1024Mi") -> dict[str, Any]:
    resources = {"limits": {"cpu": cpu, "memory": memory}}
    return {
        "jobDefinitionName": name,
        "eksProperties": {"podProperties": {"containers": [{"image": "app:1", "resources": resources}]}},
    }


def in_pods(*entries: dict[str, Any], pods: list[dict[str, Any]], types: tuple[str, ...], least: int = 0):
    place = managed("pods", 100, *types)
    place["computeResources"] |= {"allocationStrategy": "BEST_FIT_PROGRESSIVE", "minvCpus": least}
    place |= {"containerOrchestrationType": "EKS", "eksConfiguration": {"eksClusterArn": "arn"}}
    return scenario(
        *entries,
        environments=[place],
        definitions=pods,
        jobQueues=[{**queue("q", "pods"), "jobQueueType": "EKS"}],
    )


def pod_of(cpu: str, least: int = 2, *types: str) -> dict[str, Any]:
    """A pod in a cluster whose nodes have 2 vCPUs; one is there from the beginning."""
    one = submit("a", "60s", definition="pod")
    return in_pods(one, pods=[pod("pod", cpu)], types=types or ("c5.large",), least=least)


def test_spec_54_a_node_keeps_some_of_its_cpu_for_itself(run):
    result = run(pod_of("1.75"))
    assert each_job(result, "state") == {"a-0": "SUCCEEDED"}
    assert len(result.instances) == 1


def test_spec_54_a_pod_that_asks_for_all_of_a_node_is_never_placed(run):
    result = run(pod_of("2"))
    assert each_job(result, "state") == {"a-0": "RUNNABLE"}
    assert result.summary["outcome"] == "stalled"
    assert each_job(result, "status_reason")["a-0"].startswith("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT")


@pytest.mark.parametrize(("cpu", "node"), [("1.25", "c5.large"), ("1.5", "c5.xlarge"), ("1.75", "c5.xlarge")])
def test_spec_1_12_before_the_first_node_half_a_vcpu_is_set_aside_for_daemon_sets(run, cpu, node):
    result = run(pod_of(cpu, 0, "c5.large", "c5.xlarge"))
    assert each_job(result, "state") == {"a-0": "SUCCEEDED"}
    assert list(result.instances["instance_type"]) == [node]


@pytest.mark.parametrize(("memory", "node"), [("3596Mi", "c5.large"), ("3597Mi", "c5.xlarge")])
def test_spec_1_12_before_the_first_node_500_mib_are_set_aside_for_daemon_sets(run, memory, node):
    """Of the 4096 MiB that a c5.large has in an ideal world."""
    a = submit("a", "60s", definition="pod")
    result = run(in_pods(a, pods=[pod("pod", "1", memory)], types=("c5.large", "c5.xlarge")))
    assert list(result.instances["instance_type"]) == [node]


def test_spec_1_12_a_pod_that_fits_only_a_node_without_daemon_sets_is_not_launched_for(run):
    result = run(pod_of("1.75", 0))
    assert len(result.instances) == 0
    assert result.summary["outcome"] == "stalled"
    assert each_job(result, "status_reason")["a-0"].startswith("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT")


def test_spec_1_12_once_a_node_is_there_nothing_is_set_aside_any_more(run):
    first = submit("a", "600s", definition="small")
    later = submit("b", "60s", definition="large", at="300s")
    pods = [pod("small", "1"), pod("large", "1.75")]
    result = run(in_pods(first, later, pods=pods, types=("c5.large",)))
    assert each_job(result, "state") == {"a-0": "SUCCEEDED", "b-0": "SUCCEEDED"}
    assert each_job(result, "end_s")["b-0"] == 360
    assert list(result.instances["instance_type"]) == ["c5.large", "c5.large"]


def test_spec_1_12_a_pod_that_waits_for_the_first_node_to_show_is_launched_for_then(run):
    small = submit("a", "600s", definition="small")
    large = submit("b", "60s", definition="large")
    pods = [pod("small", "1"), pod("large", "1.75")]
    result = run(in_pods(small, large, pods=pods, types=("c5.large",)))
    assert each_job(result, "state") == {"a-0": "SUCCEEDED", "b-0": "SUCCEEDED"}
    assert each_job(result, "end_s") == {"a-0": 600, "b-0": 60}


# --- what a cluster costs -------------------------------------------------------------------------


def for_an_hour(**assumptions: float) -> dict[str, Any]:
    data = in_pods(submit("a", "1h", definition="pod"), pods=[pod("pod", "1")], types=("c6i.large",))
    data["assumptions"] |= assumptions
    return data


def usd(result) -> tuple[float, float]:
    """Of clusters, and of all."""
    return result.summary["cluster_usd"], result.summary["cost_usd"]


def test_a_cluster_is_paid_beside_its_nodes_in_a_row_of_its_own(run):
    result = run(for_an_hour())
    assert usd(result) == (0.1, 0.185)
    rows = result.costs.astype(object).where(result.costs.notna(), None)
    assert rows[["queue", "cluster_usd", "cost_usd"]].to_numpy().tolist() == [
        ["q", 0, 0.085],
        [None, 0.1, 0.1],
    ]
    for by in ("job", "queue", "tag:team", "environment", "billing", "instance_type", "instance"):
        assert result.costs_by(by)["cost_usd"].sum() == pytest.approx(0.185, abs=1e-9)
    assert "EKS clusters" not in result.manifest["not_in_the_bill"]
    assert result.audit() == []


def test_clusters_and_unused_commitments_are_two_rows_that_nobody_bears(run):
    data = for_an_hour() | {"commitments": {"savingsPlan": {"commitment": 2, "discount": 0.3}}}
    result = run(data)
    assert result.audit() == []
    assert result.costs["queue"].isna().sum() == 2
    assert usd(result) == (0.1, 2.1)
    for by in ("environment", ["instance_type", "billing"], "queue"):
        told = result.costs_by(by)
        assert told["cost_usd"].sum() == pytest.approx(2.1, abs=1e-9)
        (nobody,) = told[told[[by] if isinstance(by, str) else by].isna().any(axis=1)]["cost_usd"]
        assert nobody == pytest.approx(2.1 - 0.7 * 0.085, abs=1e-9)


def test_a_cluster_is_paid_while_it_has_no_node(run):
    data = for_an_hour()
    data["workload"][0] = submit("a", "1h", at="1h", definition="pod")
    assert usd(run(data)) == (0.2, 0.285)


def test_environments_that_share_a_cluster_pay_for_it_once(run):
    data = for_an_hour()
    place = data["computeEnvironments"][0]
    same = {**place, "computeEnvironmentName": "same"}
    other = {**same, "computeEnvironmentName": "other", "eksConfiguration": {"eksClusterArn": "arn2"}}
    data["computeEnvironments"] += [same, other]
    result = run(data)
    assert usd(result) == (0.2, 0.285)
    assert result.audit() == []


@pytest.mark.parametrize(("price", "clusters"), [(0.6, 0.6), (0, 0)])
def test_the_price_of_a_cluster_is_an_assumption(run, price, clusters):
    result = run(for_an_hour(eksClusterPrice=price))
    assert usd(result) == (clusters, pytest.approx(0.085 + clusters))
    assert ("EKS clusters" in result.manifest["not_in_the_bill"]) == (price == 0)
    assert result.audit() == []


def test_the_audit_catches_another_price_of_clusters(run):
    result = run(for_an_hour())
    frames = {name: each.copy() for name, each in result.frames.items()}
    frames["costs"].loc[len(frames["costs"]) - 1, ["cluster_usd", "cost_usd"]] = 0.2
    assert "L23" in {each.law for each in audit_frames(frames, result.summary, result.manifest)}
    dearer = result.summary | {"cluster_usd": 0.2, "cost_usd": 0.285}
    assert "L23" in {each.law for each in audit_frames(result.frames, dearer, result.manifest)}
    assumed = {**result.manifest, "assumptions": {**result.manifest["assumptions"], "eksClusterPrice": 0.6}}
    assert "L23" in {each.law for each in audit_frames(result.frames, result.summary, assumed)}
