"""Specification 9.2, numbers 20-24: multi-node parallel jobs."""

from __future__ import annotations

from typing import Any

import pytest

from batchsim.core.plan import ClassPlan, Gang, Need, Plan, QueuePlan
from batchsim.core.states import RUNNABLE
from batchsim.workload import build_workload
from tests.harness import Checked, machine
from tests.harness import managed as managed_plan
from tests.spec.scenarios import each_attempt, each_job, lab, managed, scenario, submit

TYPE = "c5.xlarge"  # 4 vCPUs


def node_range(nodes: str, vcpus: int = 1) -> dict[str, Any]:
    requirements = [{"type": "VCPU", "value": str(vcpus)}, {"type": "MEMORY", "value": "1000"}]
    return {"targetNodes": nodes, "container": {"image": "mpi:1", "resourceRequirements": requirements}}


def mpi(nodes: int, *ranges: dict[str, Any], main: int = 0) -> dict[str, Any]:
    properties = {
        "numNodes": nodes,
        "mainNode": main,
        "nodeRangeProperties": list(ranges) or [node_range("0:")],
    }
    return {"jobDefinitionName": "mpi", "type": "multinode", "nodeProperties": properties}


def cluster(max_vcpus: int, *workload: dict[str, Any], definition: dict[str, Any]) -> dict[str, Any]:
    return scenario(*workload, environments=[managed("cloud", max_vcpus, TYPE)], definitions=[definition])


def three_nodes(*, on_demand: bool = True, attempts: int = 1) -> Checked:
    """The scheduler has one job of three nodes, whose instances have 4 vCPUs each."""
    plan = Plan(
        types=[machine(4)],
        environments=[managed_plan([0], max_vcpus=12, gangs=on_demand)],
        queues=[QueuePlan("q", 1, (0,))],
        needs=[Need(1, 1, 0), Need(1, 1, 0)],
        gangs=[None, Gang(nodes=(0, 0, 0), main=0)],
        classes=[ClassPlan(0, 1, attempts=attempts)],
        class_of=[0],
    )
    core = Checked(plan)
    core.tell("job_submitted", 0, 0)
    return core


def test_spec_20_a_multi_node_job_waits_where_its_instances_would_exceed_the_maximum(run):
    result = run(cluster(12, submit("a", "60s", definition="mpi"), definition=mpi(4)))
    assert result.summary["outcome"] == "stalled"
    assert each_job(result, "state") == {"a-0": "RUNNABLE"}
    assert len(result.instances) == 0


def test_spec_20_a_multi_node_job_starts_with_an_instance_for_each_node(run):
    result = run(cluster(16, submit("a", "60s", definition="mpi"), definition=mpi(4)))
    assert each_job(result, "state") == {"a-0": "SUCCEEDED"}
    assert each_job(result, "start_s") == {"a-0": 0}
    assert result.instances["requested_s"].tolist() == [0] * 4
    assert result.instances["ended_s"].tolist() == [60] * 4


def test_spec_21_the_main_node_ends_the_job_and_keeps_its_instances_until_then(run):
    nodes = submit("a", "1s", definition="mpi", nodeRuntimes={"0": "100s", "1": "50s", "2": "1h"})
    result = run(cluster(12, nodes, submit("late", "10s", at="60s"), definition=mpi(3)))
    assert each_job(result, "state") == {"a-0": "SUCCEEDED", "late-0": "SUCCEEDED"}
    assert each_job(result, "end_s")["a-0"] == 100
    assert each_job(result, "attempts")["a-0"] == 1
    # Node 1 has ended at 50 s, but its instance is nobody else's until the job ends.
    assert each_job(result, "start_s")["late-0"] == 100
    assert sorted(result.instances["ended_s"]) == [100, 100, 110]


def test_spec_21_a_child_node_that_is_lost_changes_nothing():
    """A scenario can end a child node early, but not fail it; the scheduler is told of a lost instance."""
    core = three_nodes(attempts=2)
    assert len(core.decide(0)) == 3
    for instance in range(3):
        core.tell("instance_ready", 0, instance)
    (command,) = core.decide(0)
    assert command.startswith("StartNodes(job=0, ")
    core.tell("attempt_started", 0, 0)
    assert core.tell("instance_lost", 50, 1, "Host EC2 (instance i-1) terminated.") == []
    assert core.tell("instance_lost", 60, 0, "Host EC2 (instance i-0) terminated.") == [0]
    assert core.state[0] == RUNNABLE


def test_spec_22_another_attempt_runs_all_nodes_again(run):
    job = submit("a", "60s", definition="mpi", exitCodes=[1, 0], retryStrategy={"attempts": 2})
    result = run(cluster(12, job, definition=mpi(3)))
    assert each_job(result, "state") == {"a-0": "SUCCEEDED"}
    assert each_attempt(result, "started_s") == [0, 60]
    # Idle instances are given back at once here, so one that the second attempt lacked would end at 60 s.
    assert result.instances["ended_s"].tolist() == [120] * 3


def test_spec_23_the_inner_range_says_what_its_nodes_need(run, load):
    job = submit("a", "60s", definition="mpi")
    data = cluster(44, job, definition=mpi(11, node_range("0:10"), node_range("4:5", vcpus=4)))
    (nodes,) = (each.nodes for each in build_workload(load(data)).classes)
    asked = [nodes.groups[group].vcpus for group in nodes.group_of]
    assert asked == [1, 1, 1, 1, 4, 4, 1, 1, 1, 1, 1]
    result = run(data)
    assert each_job(result, "state") == {"a-0": "SUCCEEDED"}
    assert len(result.instances) == 11


def test_spec_23_the_number_of_nodes_may_be_overridden_with_an_open_range(run):
    job = submit("a", "60s", definition="mpi", nodeOverrides={"numNodes": 3})
    result = run(cluster(24, job, definition=mpi(6, node_range("0:0"), node_range("1:"))))
    assert each_job(result, "state") == {"a-0": "SUCCEEDED"}
    assert len(result.instances) == 3


def test_spec_23_the_main_node_must_be_among_the_overridden_number(problems_of):
    job = submit("a", "60s", definition="mpi", nodeOverrides={"numNodes": 3})
    definition = mpi(6, node_range("0:0"), node_range("1:"), main=5)
    (line,) = problems_of(cluster(24, job, definition=definition))
    assert "workload.a.nodeOverrides.numNodes: " in line


def test_spec_24_a_multi_node_job_is_never_placed_outside_on_demand_environments(run):
    """A scenario has no SPOT environment yet; an unmanaged one takes no multi-node jobs either."""
    result = run(
        scenario(submit("a", "60s", definition="mpi"), environments=[lab(100)], definitions=[mpi(3)])
    )
    assert result.summary["outcome"] == "stalled"
    assert each_job(result, "state") == {"a-0": "RUNNABLE"}


@pytest.mark.parametrize("on_demand", [False, True])
def test_spec_24_the_scheduler_launches_for_multi_node_jobs_on_demand_only(on_demand):
    core = three_nodes(on_demand=on_demand)
    assert len(core.decide(0)) == (3 if on_demand else 0)
    assert core.state[0] == RUNNABLE
