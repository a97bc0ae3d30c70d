"""What of a scenario the scheduler is told, and what the world."""

from __future__ import annotations

import pytest

from batchsim.core.consumables import ConsumablePlan
from batchsim.core.plan import Gang, Need, TimeLimit
from batchsim.core.shares import FairSharePolicy
from batchsim.drivers.world import ResourceUpdate
from batchsim.errors import CatalogError, ScenarioError

BASE = """
batchsim: 1
computeEnvironments:
  - {computeEnvironmentName: lab, type: UNMANAGED, unmanagedvCpus: 12, instances: [{vcpus: 8, memory: 32GiB}]}
  - computeEnvironmentName: cloud
    type: MANAGED
    computeResources:
      type: EC2
      allocationStrategy: BEST_FIT_PROGRESSIVE
      maxvCpus: 64
      instanceTypes: [m5.large, c5.xlarge]
schedulingPolicies:
  - name: fair
    fairsharePolicy:
      shareDecaySeconds: 60
      computeReservation: 25
      shareDistribution: [{shareIdentifier: a, weightFactor: 0.125}, {shareIdentifier: "b*"}]
consumableResources:
  - {consumableResourceName: licences, totalQuantity: 10}
  - {consumableResourceName: credits, totalQuantity: 5, resourceType: NON_REPLENISHABLE}
jobQueues:
  - {jobQueueName: q, computeEnvironmentOrder: [{order: 1, computeEnvironment: lab}]}
  - jobQueueName: shared
    schedulingPolicyArn: fair
    computeEnvironmentOrder: [{order: 1, computeEnvironment: lab}]
    jobStateTimeLimitActions:
      - reason: MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT
        state: RUNNABLE
        maxTimeSeconds: 600
        action: CANCEL
  - {jobQueueName: wide, computeEnvironmentOrder: [{order: 1, computeEnvironment: cloud}]}
jobDefinitions:
  - jobDefinitionName: one
    containerProperties: &one
      {image: one, resourceRequirements: [{type: VCPU, value: "1"}, {type: MEMORY, value: "100"}]}
  - jobDefinitionName: licensed
    containerProperties: *one
    consumableResourceProperties:
      consumableResourceList:
        - {consumableResource: credits, quantity: 2}
        - {consumableResource: licences, quantity: 3}
  - jobDefinitionName: mpi
    type: multinode
    nodeProperties:
      numNodes: 4
      mainNode: 2
      nodeRangeProperties:
        - {targetNodes: "0:", container: *one}
        - targetNodes: "2:2"
          container: {image: main, instanceType: c5.xlarge, vcpus: 2, memory: 50}
          consumableResourceProperties:
            {consumableResourceList: [{consumableResource: licences, quantity: 1}]}
workload:
"""


def scenario(*entries: tuple[str, ...]) -> str:
    """Entries are (queue, job definition) or also more of them."""
    return BASE + "".join(
        f"  - {{name: e{number}, jobQueue: {queue}, jobDefinition: {definition},"
        f" arrivals: {{atOnce: {{}}}}, {', '.join(more) or 'count: 1'}, runtime: 10s}}\n"
        for number, (queue, definition, *more) in enumerate(entries)
    )


def test_needs_are_told_apart_by_amounts_resources_and_nodes(prepared):
    plan = prepared(scenario(("q", "one"), ("q", "licensed"), ("q", "one"), ("wide", "mpi"))).plan
    one, two = Need(1, 100, 0), Need(2, 50, 0)
    assert plan.needs == [one, one, two, Need(2, 100, 0)]
    assert plan.asks == [(), ((0, 3), (1, 2)), (), ((0, 1),)]
    c5 = next(row for row, each in enumerate(plan.types) if each.name == "c5.xlarge")
    assert plan.gangs == [None, None, None, Gang(nodes=(0, 0, 2, 0), main=2, types=(c5,))]
    assert [each.need for each in plan.classes] == [0, 1, 0, 3]


def test_columns_that_nobody_needs_are_empty(prepared):
    plan = prepared(scenario(("q", "one"))).plan
    assert (plan.asks, plan.gangs, plan.shares, plan.estimate_us, plan.graph.jobs) == ((), (), [], [], 0)
    assert plan.vcpu_parts == 1


def test_nodes_of_a_type_that_no_environment_has_have_nowhere_to_go(prepared):
    text = scenario(("wide", "mpi")).replace("[m5.large, c5.xlarge]", "[m5.large]")
    plan = prepared(text).plan
    (wanted,) = plan.gangs[-1].types
    assert plan.types[wanted].name == "c5.xlarge"
    assert all(wanted not in each.types for each in plan.environments)


def test_a_type_of_nodes_that_does_not_exist_is_a_mistake_of_the_scenario(prepared):
    text = scenario(("wide", "mpi")).replace("instanceType: c5.xlarge", "instanceType: c5.xlarg")
    with pytest.raises(CatalogError, match=r"workload.e0: 'c5\.xlarg' is not an instance type"):
        prepared(text)


def test_environments_say_whether_they_take_many_nodes_and_what_they_count_for(prepared):
    lab, cloud = prepared(scenario(("q", "one"))).plan.environments
    assert (lab.gangs, lab.unmanaged_vcpus) == (False, 12)
    assert (cloud.gangs, cloud.unmanaged_vcpus) == (True, 0)


def test_shares_weights_and_time_limits(prepared):
    plan = prepared(
        scenario(
            ("q", "one"),
            ("shared", "one", "count: 1, shareIdentifier: b1"),
            ("shared", "one", "count: 1, shareIdentifier: a, schedulingPriorityOverride: 7"),
        ),
        "assumptions.fairShareModel=cdk",
        "assumptions.wildcardSplit=false",
    ).plan
    assert plan.shares == ["b1", "a"]
    assert [(each.share, each.priority) for each in plan.classes] == [(-1, 0), (0, 0), (1, 7)]
    fifo, shared, _ = plan.queues
    assert fifo.fair_share is None
    assert shared.fair_share == FairSharePolicy(60_000_000, 25, (("a", 1250), ("b*", 10_000)), "cdk", False)
    assert shared.time_limits == (TimeLimit("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT", 600_000_000),)


def test_consumable_resources_and_what_is_done_to_them(prepared):
    event = "  - {at: 5s, updateConsumableResource: credits, operation: REMOVE, quantity: 2}\n"
    setup = prepared(scenario(("q", "licensed")) + event)
    assert setup.plan.consumables == [ConsumablePlan("licences", 10), ConsumablePlan("credits", 5, False)]
    assert setup.world.requests == [ResourceUpdate(5_000_000, 1, "REMOVE", 2)]
    assert prepared(scenario(("q", "one")) + event).world.requests == []  # nobody asks for it


def test_dependencies_become_a_graph(prepared):
    text = scenario(("q", "one", "count: 2"), ("q", "one", "count: 1, dependsOn: [{group: e0}]"))
    graph = prepared(text).plan.graph
    assert graph.jobs == 3
    assert graph.waits_for == [0, 0, 1, 2]  # the last node is the barrier
    assert (graph.successor_start, graph.successors, graph.patient) == ([0, 1, 2, 2, 3], [3, 3, 2], [False])


def test_the_policy_says_whether_start_failures_count(prepared):
    text = scenario(("q", "one"))
    assert prepared(text).plan.policy.start_failures_count
    assert not prepared(
        text, "assumptions.startFailureConsumesAttempt=false"
    ).plan.policy.start_failures_count


def test_estimates_are_real_times_or_what_users_stated_if_that_is_more(prepared, tmp_path):
    log = tmp_path / "log.swf"
    rows = [(1, 100, 500), (2, 100, 50), (3, 100, -1)]
    log.write_text(
        "".join(f"{job} 0 0 {runs} 1 -1 -1 1 {stated} -1 1 1 1 1 1 -1 -1 -1\n" for job, runs, stated in rows)
    )
    text = (
        BASE.replace("    schedulingPolicyArn: fair\n", "")
        + f"  - {{name: t, jobQueue: q, trace: {{format: swf, path: {log}}}}}\n"
    )
    exact = prepared(text, "assumptions.backfill=easy").plan
    assert exact.estimate_us == [100_000_000] * 3
    stated = prepared(text, "assumptions.backfill=easy", "assumptions.estimate=requested").plan
    assert stated.estimate_us == [500_000_000, 100_000_000, 100_000_000]


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        (("wide", "mpi"), "workload entry e0 has multi-node jobs"),
        (("q", "licensed"), "workload entry e0 uses consumable resources"),
        (("q", "one"), "job queue shared has a fair-share policy"),
    ],
)
def test_easy_backfilling_is_refused_with_what_it_does_not_know(prepared, entry, found):
    text = scenario(entry)
    if found.startswith("workload"):
        text = text.replace("    schedulingPolicyArn: fair\n", "")
    with pytest.raises(ScenarioError) as error:
        prepared(text + "assumptions: {backfill: easy}\n")
    assert f"but {found}; use none or greedy" in str(error.value)
    assert error.value.path == "assumptions.backfill"
    assert error.value.line == len(text.splitlines()) + 1


def test_jobs_that_would_try_to_start_for_ever_are_refused(prepared):
    text = scenario(("q", "one", "count: 1, startFailures: {rate: 0.9}"))
    assert prepared(text).world.outcomes[0].start_failure_rate == 0.9
    with pytest.raises(ScenarioError, match=r"expected startFailures.rate up to 0.8, found 0.9"):
        prepared(text, "assumptions.startFailureConsumesAttempt=false")


def test_the_world_has_scripts_start_failures_and_reactions(prepared):
    more = (
        'count: 1, exitCodes: [1, 0], reasons: ["OutOfMemoryError: too little"]'
        ", startFailures: {rate: 0.1}, onSigterm: {exit: 3, after: 5s}"
    )
    world = prepared(scenario(("q", "one", more)), seed=4, replication=2).world
    (outcome,) = world.outcomes
    assert outcome.script == ((1, "OutOfMemoryError: too little"), (0, ""))
    assert outcome.start_failure_reason == "CannotPullContainerError: the image could not be pulled"
    assert (outcome.sigterm_exit, outcome.sigterm_after_us) == (3, 5_000_000)
    assert (world.stop_grace_us, world.seed, world.replication) == (30_000_000, 4, 2)


def test_equal_images_are_one_and_each_node_has_its_own(prepared):
    world = prepared(scenario(("q", "one"), ("wide", "mpi"), ("q", "licensed"))).world
    assert world.images == [(0,), (1,), (0,)]
    assert world.node_images == [(), ((0,), (0,), (1,), (0,)), ()]
    ideal = prepared(scenario(("wide", "mpi")), "assumptions.imagePullRate=0").world
    assert (ideal.images, ideal.node_images) == ([()], [((), (), (), ())])


EKS = """
batchsim: 1
computeEnvironments:
  - computeEnvironmentName: pods
    type: MANAGED
    eksConfiguration: {eksClusterArn: arn}
    computeResources:
      type: EC2
      allocationStrategy: BEST_FIT_PROGRESSIVE
      minvCpus: 2
      maxvCpus: 16
      instanceTypes: [m5.large]
  - {computeEnvironmentName: lab, type: UNMANAGED, instances: [{instanceType: m5.large}]}
jobQueues:
  - {jobQueueName: kube, computeEnvironmentOrder: [{order: 1, computeEnvironment: pods}]}
  - {jobQueueName: q, computeEnvironmentOrder: [{order: 1, computeEnvironment: lab}]}
jobDefinitions:
  - jobDefinitionName: pod
    eksProperties:
      podProperties: {containers: [{image: p, resources: {requests: {cpu: "0.75", memory: 100Mi}}}]}
  - jobDefinitionName: one
    containerProperties:
      {image: one, resourceRequirements: [{type: VCPU, value: "1"}, {type: MEMORY, value: "100"}]}
workload:
  - {name: a, jobQueue: kube, jobDefinition: pod, arrivals: {atOnce: {}}, count: 1, runtime: 1s}
  - {name: b, jobQueue: q, jobDefinition: one, arrivals: {atOnce: {}}, count: 1, runtime: 1s}
"""


def test_spec_112_with_eks_all_vcpus_are_quarters_and_a_node_keeps_some(prepared):
    plan = prepared(EKS).plan
    assert plan.vcpu_parts == 4
    assert plan.needs == [Need(3, 100, 0), Need(4, 100, 0)]
    node, instance = plan.types
    assert (node.vcpus, node.usable_vcpus, instance.vcpus, instance.usable_vcpus) == (8, 7, 8, 8)
    assert (plan.environments[0].min_vcpus, plan.environments[0].max_vcpus) == (8, 64)
    assert node.memory_mib == 7690 - 11 * 29 - 255 - 100
    assert instance.memory_mib == 7690 - 32


def test_the_memory_of_a_node_depends_on_its_pods_and_on_the_memory_model(prepared):
    assert prepared(EKS, "assumptions.eksMaxPods=110").plan.types[0].memory_mib == 7690 - 11 * 110 - 355
    assert prepared(EKS, "assumptions.preset=ideal").plan.types[0].memory_mib == 8192
