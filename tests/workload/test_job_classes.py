"""What a class says: overrides, shares, consumables, nodes, containers, pods, scripted outcomes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from batchsim.errors import ScenarioError
from batchsim.workload import NodeGroup, build_workload

S = 1_000_000
ONE = {"name": "w", "jobDefinition": "one", "runtime": "1s", "count": 1}
NEEDS = {"VCPU": "1", "MEMORY": "100"}


def needs(**amounts):
    return [{"type": kind, "value": value} for kind, value in amounts.items()]


def definition(name, **fields):
    container = {"image": f"{name}:1", "resourceRequirements": needs(**NEEDS)}
    return {"jobDefinitionName": name, "containerProperties": container, **fields}


def only_class(scenario):
    (found,) = build_workload(scenario).classes
    return found


def test_a_plain_job_says_nothing_more(jobs_of):
    plain = only_class(jobs_of(ONE))
    assert (plain.platform, plain.share, plain.priority, plain.consumables) == ("ECS", None, 0, ())
    assert (plain.nodes, plain.more_images, plain.exit_codes, plain.reasons) == (None, (), (), ())
    assert (plain.start_failure_rate, plain.start_failure_reason) == (0.0, "")
    assert (plain.sigterm_exit, plain.sigterm_after_us) == (143, 0)
    assert (plain.vcpus, plain.vcpu_quarters) == (1, 4)


def test_the_latest_active_revision_counts_unless_one_is_named(jobs_of):
    revisions = (
        definition("d", revision=1, schedulingPriority=1),
        definition("d", revision=3, schedulingPriority=3),
        definition("d", revision=4, schedulingPriority=4, status="INACTIVE"),
    )
    latest = jobs_of({**ONE, "jobDefinition": "d"}, definitions=revisions)
    assert only_class(latest).priority == 3
    first = jobs_of({**ONE, "jobDefinition": "d:1"}, definitions=revisions)
    assert only_class(first).priority == 1


@pytest.mark.parametrize(("override", "priority"), [({}, 7), ({"schedulingPriorityOverride": 0}, 0)])
def test_the_override_of_a_priority_wins(jobs_of, override, priority):
    scenario = jobs_of(
        {**ONE, "jobDefinition": "d", **override}, definitions=(definition("d", schedulingPriority=7),)
    )
    assert only_class(scenario).priority == priority


def test_old_style_overrides_leave_resource_requirements_alone(jobs_of):
    overrides = {"vcpus": 8, "memory": 9000, "resourceRequirements": needs(VCPU="2")}
    found = only_class(jobs_of({**ONE, "containerOverrides": overrides}))
    assert (found.vcpus, found.memory_mib, found.vcpu_quarters) == (2, 100, 8)


def test_consumables_are_overridden_one_by_one(jobs_of):
    def properties(**quantities):
        return {
            "consumableResourceList": [
                {"consumableResource": name, "quantity": quantity} for name, quantity in quantities.items()
            ]
        }

    mine = definition("d", consumableResourceProperties=properties(licences=3, credits=1))
    entry = {**ONE, "jobDefinition": "d"}
    assert only_class(jobs_of(entry, definitions=(mine,))).consumables == (("licences", 3), ("credits", 1))
    changed = {**entry, "consumableResourcePropertiesOverride": properties(credits=2)}
    assert only_class(jobs_of(changed, definitions=(mine,))).consumables == (("licences", 3), ("credits", 2))


def test_scripted_outcomes(jobs_of):
    entry = {
        **ONE,
        "exitCodes": [1, 137, 0],
        "reasons": ["", "OutOfMemoryError: killed"],
        "startFailures": {"rate": 0.25, "reason": "DockerTimeoutError"},
        "onSigterm": {"exit": 0, "after": "5s"},
    }
    found = only_class(jobs_of(entry))
    assert found.exit_codes == (1, 137, 0)
    assert found.reasons == ("", "OutOfMemoryError: killed", "")
    assert (found.start_failure_rate, found.start_failure_reason) == (0.25, "DockerTimeoutError")
    assert (found.sigterm_exit, found.sigterm_after_us) == (0, 5 * S)
    assert only_class(jobs_of({**ONE, "onSigterm": "ignore"})).sigterm_after_us is None
    assert only_class(jobs_of({**ONE, "exitCodes": [3]})).reasons == ("",)


def test_an_item_of_a_mix_cannot_fail_by_chance_where_exit_codes_are_scripted(jobs_of):
    mix = [{"weight": 1, "jobDefinition": "one", "failure": {"rate": 0.5}}]
    entry = {**ONE, "exitCodes": [1, 0], "mix": mix, "jobDefinition": None}
    with pytest.raises(ScenarioError, match=r"workload\.w\.mix\.0\.failure: the exitCodes already say"):
        build_workload(jobs_of(entry))


# ------------------------------------------------------------------------------------------------- shares


def shares_of(workload):
    names = [each.share for each in workload.classes]
    return [names[each] for each in workload.job_class.tolist()]


def test_one_share_is_everybodys(jobs_of):
    entry = {**ONE, "jobQueue": "fair", "count": 5, "shareIdentifier": "bio"}
    assert shares_of(build_workload(jobs_of(entry))) == ["bio"] * 5


def test_each_call_draws_its_share_by_weight(jobs_of):
    entry = {**ONE, "jobQueue": "fair", "count": 60_000, "shareIdentifier": {"c": 1, "a": 3, "b": 2}}
    drawn = np.array(shares_of(build_workload(jobs_of(entry), 5)))
    counts = [int((drawn == name).sum()) for name in "abc"]
    assert stats.chisquare(counts, [30_000, 20_000, 10_000]).pvalue > 1e-4


def test_the_order_in_which_shares_are_written_does_not_matter(jobs_of):
    entry = {**ONE, "jobQueue": "fair", "count": 500}
    one, other = (
        jobs_of({**entry, "shareIdentifier": given}) for given in ({"a": 3, "b": 1}, {"b": 1, "a": 3})
    )
    assert one.digest() == other.digest()
    assert shares_of(build_workload(one)) == shares_of(build_workload(other))


def test_shares_move_no_other_draw_and_children_have_the_share_of_their_array(jobs_of):
    entry = {
        **ONE,
        "count": 300,
        "runtime": {"exponential": {"mean": "5m"}},
        "arrivals": {"poisson": {"rate": "1/s"}},
        "array": {"size": 3},
    }
    alone = build_workload(jobs_of(entry))
    shared = build_workload(jobs_of({**entry, "jobQueue": "fair", "shareIdentifier": {"a": 1, "b": 1}}))
    assert shared.runtime_us.tolist() == alone.runtime_us.tolist()
    assert shared.submit_us.tolist() == alone.submit_us.tolist()
    drawn = np.array(shares_of(shared)).reshape(-1, 3)
    assert (drawn == drawn[:, :1]).all()
    assert len(set(drawn[:, 0].tolist())) == 2


def test_a_mix_is_divided_by_the_shares_that_were_drawn(jobs_of):
    mix = [{"weight": 1, "jobDefinition": name} for name in ("one", "task")]
    rare = {"weight": 1e-9, "jobDefinition": "one", "imageSize": "1GB"}
    entry = {**ONE, "jobQueue": "fair", "count": 200, "mix": [*mix, rare], "jobDefinition": None}
    plain = build_workload(jobs_of(entry | {"jobQueue": "q"}), 1)
    workload = build_workload(jobs_of({**entry, "shareIdentifier": {"a": 1, "b": 1, "z": 1e-9}}), 1)
    told = [(each.job_definition, each.share, each.image_bytes > 0) for each in workload.classes]
    assert told == [
        ("one", "a", False),
        ("one", "b", False),
        ("task", "a", False),
        ("task", "b", False),
        ("one", "a", True),
    ]
    assert set(workload.job_class.tolist()) == {0, 1, 2, 3}
    undivided = [
        replace(workload.classes[each], share=None, queue="q") for each in workload.job_class.tolist()
    ]
    assert undivided == [plain.classes[each] for each in plain.job_class.tolist()]


def test_jobs_of_a_log_draw_shares_too(jobs_of, tmp_path):
    rows = [
        f"{number} {number} -1 60 {1 + number % 2} -1 -1 -1 -1 -1 1 1 1 -1 -1 -1 -1 -1"
        for number in range(99)
    ]
    (tmp_path / "log.swf").write_text("\n".join(rows))
    log = {"name": "log", "jobQueue": "fair", "trace": {"format": "swf", "path": "log.swf"}}
    workload = build_workload(
        jobs_of({**log, "shareIdentifier": {"a": 1, "b": 1}, "schedulingPriorityOverride": 9})
    )
    assert {(each.vcpus, each.share) for each in workload.classes} == {(1, "a"), (1, "b"), (2, "a"), (2, "b")}
    assert {each.priority for each in workload.classes} == {9}
    vcpus = [workload.classes[each].vcpus for each in workload.job_class.tolist()]
    assert vcpus == [1 + number % 2 for number in range(99)]


# ----------------------------------------------------------------------------------------- several containers


def test_a_task_asks_for_the_sum_of_its_containers(jobs_of):
    task = {**ONE, "jobDefinition": "task"}
    found = only_class(jobs_of(task))
    assert (found.vcpus, found.memory_mib, found.vcpu_quarters) == (2, 200, 8)
    assert (found.image, found.more_images) == ("app:1", ("log:1",))
    change = {"taskProperties": [{"containers": [{"name": "log", "resourceRequirements": needs(VCPU="3")}]}]}
    assert only_class(jobs_of({**task, "ecsPropertiesOverride": change})).vcpus == 4


def pod(cpu, side=None, init=None):
    def container(name, cpu):
        return {
            "name": name,
            "image": f"{name}:1",
            "resources": {"requests": {"cpu": cpu}, "limits": {"cpu": "16", "memory": "256Mi"}},
        }

    return {
        "jobDefinitionName": "pod",
        "eksProperties": {
            "podProperties": {
                "containers": [container("main", cpu)] + ([container("side", side)] if side else []),
                "initContainers": [container("fetch", init)] if init else [],
            }
        },
    }


@pytest.mark.parametrize(
    ("given", "amounts", "images"),
    [
        (pod("1.75"), (2, 7, 256), ("main:1",)),
        (pod("0.25"), (1, 1, 256), ("main:1",)),
        (pod("1.75", "0.5"), (3, 9, 512), ("main:1", "side:1")),
        (pod("1", None, "3.5"), (4, 14, 256), ("fetch:1", "main:1")),
    ],
)
def test_scenario_54_pods_ask_for_quarters_of_a_vcpu(jobs_of, given, amounts, images):
    found = only_class(jobs_of({**ONE, "jobQueue": "kube", "jobDefinition": "pod"}, definitions=(given,)))
    assert (found.vcpus, found.vcpu_quarters, found.memory_mib) == amounts
    assert (found.image, *found.more_images) == images
    assert found.platform == "EKS"


# ------------------------------------------------------------------------------------------------------ nodes


def mpi(nodes, main, *ranges):
    return {
        "jobDefinitionName": "d",
        "type": "multinode",
        "nodeProperties": {
            "numNodes": nodes,
            "mainNode": main,
            "nodeRangeProperties": [
                {
                    "targetNodes": target,
                    "container": {"image": target, "resourceRequirements": needs(VCPU=vcpus, MEMORY="100")},
                    "consumableResourceProperties": {
                        "consumableResourceList": [{"consumableResource": "licences", "quantity": 2}]
                    },
                }
                for target, vcpus in ranges
            ],
        },
    }


def test_scenario_23_the_inner_range_wins(jobs_of):
    found = only_class(
        jobs_of({**ONE, "jobDefinition": "d"}, definitions=(mpi(11, 5, ("0:10", "2"), ("4:5", "8")),))
    )
    assert found.nodes.groups == (
        NodeGroup(9, 2, 100, 0, 8, ("0:10",)),
        NodeGroup(2, 8, 100, 0, 32, ("4:5",)),
    )
    assert found.nodes.group_of == (0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0)
    assert (found.nodes.main, found.nodes.instance_type) == (5, None)
    assert (found.vcpus, found.memory_mib, found.vcpu_quarters) == (9 * 2 + 2 * 8, 1100, 136)
    assert (found.image, found.more_images) == ("4:5", ())
    assert found.consumables == (("licences", 22),)


def test_scenario_23_fewer_nodes_by_an_override(jobs_of):
    change = {
        "numNodes": 3,
        "nodePropertyOverrides": [
            {
                "targetNodes": "1:",
                "containerOverrides": {"resourceRequirements": needs(MEMORY="6000")},
                "instanceTypes": ["c5.xlarge"],
            }
        ],
    }
    scenario = jobs_of(
        {**ONE, "jobDefinition": "d", "nodeOverrides": change},
        definitions=(mpi(8, 0, ("0:0", "1"), ("1:", "4")),),
    )
    nodes = only_class(scenario).nodes
    assert [(each.nodes, each.vcpus, each.memory_mib) for each in nodes.groups] == [(1, 1, 100), (2, 4, 6000)]
    assert nodes.group_of == (0, 1, 1)
    assert nodes.instance_type == "c5.xlarge"


def test_a_log_takes_of_a_definition_only_retries_timeout_and_images(jobs_of, tmp_path):
    (tmp_path / "log.swf").write_text("5 1 -1 60 4 -1 -1 -1 120 -1 1 1 1 -1 -1 -1 -1 -1\n")
    log = {"name": "log", "trace": {"format": "swf", "path": "log.swf"}}
    timeout = {"attemptDurationSeconds": 60}
    mine = definition("d", timeout=timeout, schedulingPriority=5)
    found = only_class(jobs_of({**log, "jobDefinition": "d"}, definitions=(mine,)))
    assert (found.vcpus, found.memory_mib, found.image, found.timeout_us) == (4, 16, "d:1", 60 * S)
    assert (found.priority, found.consumables, found.platform) == (0, (), "ECS")
    on_pods = only_class(jobs_of({**log, "jobQueue": "kube"}))
    assert (on_pods.platform, on_pods.image) == ("EKS", "log")
