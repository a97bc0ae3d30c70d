"""What the check says of nodes, pods, consumable resources, shares and dependencies."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchsim.core.feasibility import MAX_RESOURCE, RESOURCE_REQUIREMENT
from batchsim.scenario import parse_scenario
from batchsim.studies.changes import Amounts
from batchsim.studies.check import CheckReport, Host, check
from batchsim.studies.held_up import HeldUp
from batchsim.studies.run import run
from tests.studies.scenarios import definition, jobs, managed, queue, unmanaged, world

if TYPE_CHECKING:
    from collections.abc import Mapping

SMALL, LARGE = definition("small", 1, 1000), definition("large", 64, 1000)


def as_overrides(changes: Mapping[str, str]) -> list[str]:
    return [f"{path}={value}" for path, value in changes.items()]


def texts(report: CheckReport) -> list[str]:
    return [change.text for finding in report.never for change in finding.changes]


# --- multi-node jobs ----------------------------------------------------------------------------


def mpi(name: str, *nodes: tuple[int, int], instance_type: str | None = None) -> dict[str, Any]:
    """A definition with a node for each (vCPUs, MiB)."""
    named = {"instanceTypes": [instance_type]} if instance_type else {}
    ranges = [
        {
            "targetNodes": f"{index}:{index}",
            **named,
            "container": {"image": "mpi:1", "vcpus": vcpus, "memory": memory},
        }
        for index, (vcpus, memory) in enumerate(nodes)
    ]
    properties = {"numNodes": len(nodes), "mainNode": 0, "nodeRangeProperties": ranges}
    return {"jobDefinitionName": name, "type": "multinode", "nodeProperties": properties}


def test_a_multi_node_job_starts_where_one_type_holds_each_node(load):
    data = world(
        [managed("m", 64, "c6i.xlarge", "c6i.2xlarge", "c6i.8xlarge")],
        [jobs("j", "q0", "mpi")],
        mpi("mpi", (2, 1000), (8, 4000), (4, 2000)),
    )
    (finding,) = check(load(data)).findings
    assert (finding.nodes, finding.least, finding.most) == (3, (2, 1000, 0), (8, 4000, 0))
    assert finding.hosts == (Host("m", 1, 3),), "an xlarge is too small, three 8xlarge are above maxvCpus"


def test_only_managed_ec2_environments_take_multi_node_jobs(load):
    data = world([unmanaged("lab", {"vcpus": 64, "memory": "1TiB"})], [jobs("j", "q0", "mpi")])
    data["jobDefinitions"] = [mpi("mpi", (2, 1000), (2, 1000))]
    report = check(load(data))
    assert report.never[0].shortfall == (
        "no compute environment of the queue takes multi-node jobs: only MANAGED ones of type EC2 do"
    )
    assert texts(report) == [
        "submit them to a queue with a MANAGED environment of type EC2, which takes multi-node jobs"
    ]


def test_all_nodes_together_must_stay_below_max_vcpus(load):
    data = world(
        [managed("m", 32, "c6i.2xlarge", "c6i.4xlarge")],
        [jobs("j", "q0", "mpi")],
        mpi("mpi", *[(8, 1000)] * 5),
    )
    report = check(load(data))
    (finding,) = report.never
    assert finding.reason == MAX_RESOURCE
    assert finding.shortfall == (
        "starts on 5 instances at once; 5 instances of c6i.2xlarge have 40 vCPUs, maxvCpus of m is 32"
    )
    assert texts(report) == ["use at most 4 nodes", "raise maxvCpus of m from 32 to 40"]
    assert check(load(data, *as_overrides(finding.changes[1].overrides))).never == ()
    assert check(load(data, *as_overrides(report.mend_all))).never == ()


def test_nodes_that_no_type_holds_get_one_for_all_of_them(load):
    data = world([managed("m", 8, "c6i.large")], [jobs("j", "q0", "mpi")], mpi("mpi", (2, 1000), (16, 1000)))
    (finding,) = check(load(data)).never
    assert finding.reason == RESOURCE_REQUIREMENT
    assert finding.shortfall.startswith("a node asks for up to 16 vCPUs; the most that one instance offers")
    (change,) = finding.changes
    assert change.text == "add c6a.4xlarge (0.612 USD/h) to m and raise maxvCpus of m from 8 to 32"
    assert check(load(data, *as_overrides(change.overrides))).never == ()


def test_nodes_that_name_a_type_which_is_not_there(load):
    data = world(
        [managed("m", 64, "c6i.xlarge")],
        [jobs("j", "q0", "mpi")],
        mpi("mpi", (2, 1000), (2, 1000), instance_type="c5.xlarge"),
    )
    report = check(load(data))
    assert report.never[0].reason == RESOURCE_REQUIREMENT
    assert texts(report) == [
        "name another instance type than c5.xlarge for the nodes, or have it in an environment"
    ]


# --- pods and several containers ----------------------------------------------------------------


def kube(*types: str) -> dict[str, Any]:
    cluster = {"eksClusterArn": "arn:aws:eks:us-east-1:123456789012:cluster/k", "kubernetesNamespace": "n"}
    return {
        **managed("kube", 64, *types),
        "containerOrchestrationType": "EKS",
        "eksConfiguration": cluster,
    }


def pod(*cpus: str) -> dict[str, Any]:
    containers = [
        {"name": f"c{index}", "image": "i:1", "resources": {"limits": {"cpu": cpu, "memory": "100Mi"}}}
        for index, cpu in enumerate(cpus)
    ]
    return {
        "jobDefinitionName": "pod",
        "containerOrchestrationType": "EKS",
        "eksProperties": {"podProperties": {"containers": containers}},
    }


def with_pods(types: list[str], *cpus: str, others: bool = True) -> dict[str, Any]:
    entries = [jobs("pods", "k", "pod"), *([jobs("task", "q1", "four")] if others else [])]
    data = world(
        [kube(*types), managed("m", 2, "c6i.xlarge")], entries, pod(*cpus), definition("four", 4, 100)
    )
    data["jobQueues"][0] = {**queue("k", "kube"), "jobQueueType": "EKS"}
    return data


def test_beside_pods_the_vcpus_of_tasks_are_told_as_they_are_asked_for(load):
    """Quarters of vCPUs are counted as soon as there are pods."""
    pods, task = check(load(with_pods(["c6i.xlarge"], "1.5", "0.25"))).findings
    assert (pods.least, pods.reason) == (Amounts(1.75, 200, 0), None)
    assert task.least == Amounts(4, 100, 0)
    assert task.shortfall == "asks for 4 vCPUs; maxvCpus of m is 2"
    assert [change.text for change in task.changes] == [
        "ask for at most 2 vCPUs",
        "raise maxvCpus of m from 2 to 4",
    ]
    assert set(task.changes[1].overrides.values()) == {"4"}


@pytest.mark.parametrize(("least", "most"), [(0, "1.25"), (2, "1.75")])
def test_a_pod_is_offered_a_node_that_holds_it_after_what_the_node_keeps(load, least, most):
    """Of 4 vCPUs a node keeps 0.08: a quarter of one, in quarters; and half a one until there is a node."""
    data = with_pods(["c6i.large"], "3", "1", others=False)
    data["computeEnvironments"][0]["computeResources"]["minvCpus"] = least
    report = check(load(data))
    assert report.never[0].shortfall.startswith(
        f"asks for 4 vCPUs; the most that one instance offers is {most}"
    )
    assert texts(report) == [f"ask for at most {most} vCPUs", "add c6a.2xlarge (0.306 USD/h) to kube"]
    less, more = report.never[0].changes
    assert less.overrides == {}, "two containers ask for it together"
    assert check(load(data, *as_overrides(more.overrides))).never == ()


def test_containers_of_one_task_are_asked_for_less_without_saying_which(load):
    containers = [{"name": each, "image": "i:1", "resourceRequirements": []} for each in "ab"]
    for each in containers:
        each["resourceRequirements"] = [{"type": "VCPU", "value": "2"}, {"type": "MEMORY", "value": "99"}]
    pair = {"jobDefinitionName": "pair", "ecsProperties": {"taskProperties": [{"containers": containers}]}}
    data = world([managed("m", 64, "c6i.large")], [jobs("j", "q0", "pair")], pair)
    less, _ = check(load(data)).never[0].changes
    assert (less.text, less.overrides) == ("ask for at most 2 vCPUs", {})


def test_children_of_an_array_are_called_by_their_names(load):
    data = world([managed("m", 64, "c6i.large")], [jobs("j", "q0", "large", array={"size": 3})], LARGE)
    assert check(load(data)).never[0].example == "j-0:0"


# --- consumable resources -----------------------------------------------------------------------


def asking(name: str, number: int, resource: str, quantity: int, **more: Any) -> dict[str, Any]:
    asks = {"consumableResourceList": [{"consumableResource": resource, "quantity": quantity}]}
    return jobs(name, "q0", "small", number, consumableResourcePropertiesOverride=asks, **more)


def laboratory(*entries: dict[str, Any], total: int = 5, kind: str = "REPLENISHABLE") -> dict[str, Any]:
    data = world([unmanaged("lab", {"vcpus": 8, "memory": "16GiB"})], entries, SMALL)
    resource = {"consumableResourceName": "licence", "totalQuantity": total, "resourceType": kind}
    return {**data, "consumableResources": [resource]}


def test_more_than_there_ever_is_of_a_resource_is_never_had(load):
    data = laboratory(asking("few", 3, "licence", 2), asking("many", 4, "licence", 8))
    report = check(load(data))
    (finding,) = report.never
    assert finding.group == "many"
    assert finding.reason == "Less of the consumable resource licence is available than the job asks for."
    assert finding.shortfall == "asks for 8 of licence; the most there ever is, is 5"
    assert texts(report) == ["raise totalQuantity of licence from 5 to 8"]
    assert report.mend_all == {}, "no environment can mend it"
    (supply,) = report.supplies
    assert (supply.most, supply.jobs, supply.never, supply.at_once) == (5, 7, 4, 2)
    assert check(load(data, *as_overrides(finding.changes[0].overrides))).can_all_start


@pytest.mark.parametrize(
    ("updates", "most"),
    [
        ([("ADD", 3)], 8),
        ([("REMOVE", 4), ("ADD", 7)], 8),
        ([("REMOVE", 99), ("ADD", 7)], 7),
        ([("SET", 9), ("SET", 1)], 9),
        ([("SET", 1), ("ADD", 2)], 5),
    ],
)
def test_updates_count_for_what_there_ever_is(load, updates, most):
    events = [
        {"at": f"{hour + 1}h", "updateConsumableResource": "licence", "operation": what, "quantity": number}
        for hour, (what, number) in enumerate(updates)
    ]
    report = check(load(laboratory(asking("many", 1, "licence", 8), *events)))
    assert report.supplies[0].most == most
    assert report.can_all_start == (most >= 8)


def test_what_is_used_up_may_not_suffice_for_all(load):
    data = laboratory(
        asking("some", 3, "licence", 2), asking("more", 2, "licence", 3), total=9, kind="NON_REPLENISHABLE"
    )
    report = check(load(data))
    assert report.never == ()
    assert not report.can_all_start
    (supply,) = report.supplies
    assert (supply.most, supply.left_over) == (9, 1)
    assert supply.change is not None
    assert supply.change.text == "raise totalQuantity of licence from 9 to 12"
    assert run(load(data)).summary["outcome"] == "stalled"
    enough = load(data, *as_overrides(supply.change.overrides))
    assert check(enough).can_all_start
    assert run(enough).summary["outcome"] == "finished"


@settings(max_examples=25)
@given(
    st.integers(1, 12),
    st.sampled_from(["REPLENISHABLE", "NON_REPLENISHABLE"]),
    st.lists(st.tuples(st.integers(1, 3), st.integers(1, 6)), min_size=1, max_size=3),
)
def test_the_simulation_agrees_with_the_check_about_resources(total, kind, asked):
    entries = [
        asking(f"j{index}", number, "licence", quantity) for index, (number, quantity) in enumerate(asked)
    ]
    scenario = parse_scenario(json.dumps(laboratory(*entries, total=total, kind=kind)))
    assert run(scenario).summary["outcome"] == ("finished" if check(scenario).can_all_start else "stalled")


# --- who is held up -----------------------------------------------------------------------------


def limit(reason: str, seconds: int) -> dict[str, Any]:
    return {"reason": reason, "state": "RUNNABLE", "maxTimeSeconds": seconds, "action": "CANCEL"}


@pytest.mark.parametrize(
    ("limits", "after"),
    [
        ([limit("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT", 900)], 900),
        ([limit("MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE", 900)], None),
        ([], None),
    ],
)
def test_a_time_limit_of_the_queue_lets_the_others_go_on(load, limits, after):
    data = world(
        [managed("m", 64, "c6i.large")], [jobs("never", "q0", "large"), jobs("after", "q0", "small", 4)]
    )
    data["jobDefinitions"] = [SMALL, LARGE]
    data["jobQueues"][0]["jobStateTimeLimitActions"] = limits
    assert check(load(data)).held_up == {"q0": HeldUp(4, is_fair=False, cancelled_s=after)}


def test_a_fair_share_queue_does_not_skip_whatever_backfill_says(load):
    data = world(
        [managed("m", 64, "c6i.large")],
        [
            jobs("never", "q0", "large", shareIdentifier="a"),
            jobs("after", "q0", "small", 4, shareIdentifier="b"),
        ],
        SMALL,
        LARGE,
    )
    data["schedulingPolicies"] = [{"name": "fair"}]
    data["jobQueues"][0]["schedulingPolicyArn"] = "fair"
    report = check(load(data, "assumptions.backfill=greedy"))
    assert report.held_up == {"q0": HeldUp(4, is_fair=True, cancelled_s=None)}


def test_jobs_that_depend_on_one_that_never_starts_are_counted(load):
    data = world(
        [managed("m", 64, "c6i.large")],
        [
            jobs("never", "q0", "large", array={"size": 3}),
            jobs("each", "q0", "small", array={"size": 3}, dependsOn=[{"group": "never", "type": "N_TO_N"}]),
            jobs("last", "q0", "small", 2, dependsOn=[{"group": "each"}, {"group": "free"}]),
            jobs("free", "q0", "small", 5),
        ],
        SMALL,
        LARGE,
    )
    assert check(load(data)).stranded == {"each": 3, "last": 2}
    assert check(load(data, "workload.last.dependsOn=[{group: free}]")).stranded == {"each": 3}
    assert check(load(data, "workload.never.jobDefinition=small")).stranded == {}
