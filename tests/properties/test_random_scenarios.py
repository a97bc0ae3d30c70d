"""Whatever a scenario asks for, its run ends, and its result keeps every law that the audit knows."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import batchsim
from batchsim.errors import InputError
from tests.spec.scenarios import scenario, submit
from tests.spec.test_spec_capacity import cloud
from tests.spec.test_spec_fargate import fargate, task
from tests.spec.test_spec_managed_instances import ecs
from tests.spec.test_spec_managed_instances import task as shared
from tests.studies.scenarios import definition, queue, unmanaged

TYPES = ["c6i.large", "c6i.xlarge", "c6i.2xlarge", "m6i.large", "m6i.4xlarge", "r6i.xlarge"]
STRATEGIES = {
    "EC2": ["BEST_FIT", "BEST_FIT_PROGRESSIVE", "BEST_FIT_PROGRESSIVE_ORDERED"],
    "SPOT": [
        "BEST_FIT",
        "BEST_FIT_PROGRESSIVE",
        "SPOT_CAPACITY_OPTIMIZED",
        "SPOT_PRICE_CAPACITY_OPTIMIZED",
        "SPOT_CAPACITY_OPTIMIZED_PRIORITIZED",
    ],
}
NODES = {
    "jobDefinitionName": "nodes",
    "type": "multinode",
    "nodeProperties": {
        "numNodes": 2,
        "mainNode": 0,
        "nodeRangeProperties": [
            {"targetNodes": "0:", "container": definition("", 1, 100)["containerProperties"]}
        ],
    },
}
DEFINITIONS = [definition("small", 1, 100), definition("pair", 2, 3000), definition("four", 4, 100)]
DEFINITIONS += [definition("memory", 1, 6000), NODES]
ON_EC2 = ["small", "pair", "four", "memory", "nodes"]
UPDATES = st.sampled_from(
    [
        *({"maxvCpus": vcpus} for vcpus in (4, 8, 16, 40)),
        *({"minvCpus": vcpus} for vcpus in (0, 2, 4)),
        *({"desiredvCpus": vcpus} for vcpus in (2, 4)),
        {"state": "DISABLED"},
        {"state": "ENABLED"},
        {"updateToLatestImageVersion": True},
        {"instanceTypes": ["c6i.large", "m6i.4xlarge"]},
    ]
)
ECS_TYPES = ["c6i.large", "c6i.2xlarge", "m6i.*", "c6g.medium", "c6g.xlarge", "m6g.*"]
ON_ECS = [
    shared("any", 1),
    shared("arm", 1, architecture="ARM64"),
    shared("arm2", 2, 3000, architecture="ARM64"),
    shared("x86", 2, architecture="X86_64"),
    shared("wide", 4, 9000, architecture="X86_64"),
]
ARM = task(1, 2048) | {"jobDefinitionName": "arm-task"}
ARM["containerProperties"] = ARM["containerProperties"] | {"runtimePlatform": {"cpuArchitecture": "ARM64"}}
INSTANTS = st.sampled_from(["0s", "5s", "60s", "400s", "3000s"])
QUOTAS = st.dictionaries(st.sampled_from(["Standard", "Fargate"]), st.sampled_from([2, 4, 10, 20]))


@st.composite
def environments(draw: st.DrawFn) -> list[dict[str, Any]]:
    kind = draw(st.sampled_from(["EC2", "SPOT"]))
    most = draw(st.sampled_from([2, 5, 8, 10, 24, 64]))
    least = draw(st.sampled_from([0, 0, 0, min(4, most)]))
    resources = {
        "type": kind,
        "allocationStrategy": draw(st.sampled_from(STRATEGIES[kind])),
        "minvCpus": least,
        "desiredvCpus": draw(st.integers(least, most)),
        "scalingPolicy": {"minScaleDownDelayMinutes": draw(st.sampled_from([0, 0, 20]))},
    }
    types = draw(st.lists(st.sampled_from(TYPES), min_size=1, max_size=4, unique=True))
    policy = {"updatePolicy": {"jobExecutionTimeoutMinutes": draw(st.sampled_from([1, 5, 30]))}}
    names = draw(st.sampled_from([["one"], ["one", "two"]]))
    return [cloud(most, *types, **resources) | policy | {"computeEnvironmentName": name} for name in names]


@st.composite
def workloads(draw: st.DrawFn, queue_name: str, definitions: list[str]) -> list[dict[str, Any]]:
    return [
        submit(
            f"{queue_name}{number}",
            f"{draw(st.sampled_from([0, 1, 5, 30, 90, 600, 3700]))}s",
            at=draw(INSTANTS),
            count=draw(st.integers(1, 20)),
            queue=queue_name,
            definition=draw(st.sampled_from(definitions)),
            retryStrategy={"attempts": draw(st.integers(1, 4))},
            **({"exitCodes": [1, 0]} if draw(st.booleans()) else {}),
            **({"timeout": {"attemptDurationSeconds": 60}} if draw(st.booleans()) else {}),
            **({"dependsOn": [{"group": f"{queue_name}0"}]} if number and draw(st.booleans()) else {}),
        )
        for number in range(draw(st.integers(1, 4)))
    ]


@st.composite
def assumptions(draw: st.DrawFn) -> dict[str, Any]:
    found = {
        "preset": draw(st.sampled_from(["ideal", "aws", "measured"])),
        "launchCooloff": draw(st.sampled_from(["1s", "180s"])),
        "insufficientCapacity": draw(st.sampled_from([0, 0, 0.2, 0.7, 1])),
        "spotInterruptions": draw(st.sampled_from([0, "1/h", "20/h"])),
        "accountQuotas": {"onDemand": draw(QUOTAS), "spot": draw(QUOTAS)},
        "fargateTaskLifetime": draw(st.sampled_from([0, "90s", "1000s"])),
        "backfill": draw(st.sampled_from(["none", "greedy", "easy"])),
    }
    if draw(st.booleans()):
        found["containerStart"] = "90s"
    if draw(st.booleans()):
        found["spotPrices"] = [{"trace": "prices.csv"}]
    if draw(st.booleans()):
        found["spotAvailability"] = [{"trace": "slots.csv"}]
    if draw(st.booleans()):
        found |= {"scalingInterval": 0, "schedulingInterval": draw(st.sampled_from([0, 7]))}
    return found | ({"idleScaleIn": draw(st.sampled_from(["0s", "1s"]))} if draw(st.booleans()) else {})


def _on_fargate(draw: st.DrawFn, data: dict[str, Any]) -> None:
    most = st.sampled_from([2, 4, 9])
    data["computeEnvironments"] += [fargate(draw(most)), fargate(draw(most), "FARGATE_SPOT")]
    data["jobQueues"].append(queue("f", "fargate_spot", "fargate"))
    data["jobDefinitions"] += [task(1, 2048), task(0.5, 1024) | {"jobDefinitionName": "half"}, ARM]
    data["workload"] += draw(workloads("f", ["task", "half", "arm-task"]))
    if draw(st.booleans()):
        data["workload"].append({"at": "100s", "update": {"computeEnvironment": "fargate", "maxvCpus": 1}})


def _on_managed_instances(draw: st.DrawFn, data: dict[str, Any]) -> None:
    """Jobs of both architectures share two environments of ECS."""
    names = ["usual", "spot"]
    for name, market in zip(names, ["ON_DEMAND", "SPOT"], strict=True):
        types = draw(st.lists(st.sampled_from(ECS_TYPES), min_size=2, max_size=5, unique=True))
        after = draw(st.sampled_from([-1, 0, 60, 3600]))
        more = {"infrastructureOptimization": {"scaleInAfter": after}}
        most = draw(st.sampled_from([1, 2, 3, 5, 8, 20]))
        data["computeEnvironments"].append(ecs(most, *types, name=name, market=market, **more))
    data["jobQueues"].append(queue("m", *names[: draw(st.integers(1, 2))]))
    data["jobDefinitions"] += ON_ECS
    data["workload"] += draw(workloads("m", [each["jobDefinitionName"] for each in ON_ECS]))
    for at in draw(st.lists(INSTANTS, max_size=2)):
        change = draw(
            st.sampled_from([{"maxvCpus": 1}, {"maxvCpus": 6}, {"state": "DISABLED"}, {"state": "ENABLED"}])
        )
        data["workload"].append(
            {"at": at, "update": {"computeEnvironment": draw(st.sampled_from(names)), **change}}
        )


@st.composite
def scenarios(draw: st.DrawFn) -> dict[str, Any]:
    assumed = draw(assumptions())
    places = draw(environments())
    on_ec2 = [name for name in ON_EC2 if name != "nodes" or assumed["backfill"] != "easy"]
    workload = draw(workloads("q", on_ec2))
    for at in draw(st.lists(INSTANTS, max_size=3)):
        name = draw(st.sampled_from(places))["computeEnvironmentName"]
        workload.append({"at": at, "update": {"computeEnvironment": name, **draw(UPDATES)}})
    if draw(st.booleans()):
        names = [each["computeEnvironmentName"] for each in places]
        order = draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
        steps = [{"order": n, "computeEnvironment": name} for n, name in enumerate(order)]
        workload.append({"at": draw(INSTANTS), "update": {"jobQueue": "q", "computeEnvironmentOrder": steps}})
    data = scenario(
        *workload, environments=places, definitions=DEFINITIONS, assumptions=assumed, horizon="6h"
    )
    if draw(st.booleans()):
        _on_fargate(draw, data)
    if assumed["backfill"] != "easy" and draw(st.booleans()):
        _on_managed_instances(draw, data)
    if draw(st.booleans()):
        data["computeEnvironments"].append(unmanaged("own", *draw(st.lists(machines(), max_size=3))))
        data["jobQueues"][0]["computeEnvironmentOrder"].append({"order": 9, "computeEnvironment": "own"})
    data["workload"] += _requests(draw, data["workload"])
    return data


def _requests(draw: st.DrawFn, workload: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """To end jobs, some of which have ended, or are not there yet."""
    names = [each["name"] for each in workload if "name" in each]
    return [
        {"at": at, draw(st.sampled_from(["cancel", "terminate"])): draw(st.sampled_from(names))}
        for at in draw(st.lists(INSTANTS, max_size=3))
    ]


@st.composite
def machines(draw: st.DrawFn) -> dict[str, Any]:
    """Some join after the beginning, and some leave."""
    joins = draw(st.sampled_from([0, 0, 50, 3000]))
    leaves = draw(st.sampled_from([None, None, 60, 1000, 4000]))
    more = {"leavesAfter": joins + leaves} if leaves else {}
    return {"vcpus": 4, "memory": "8GiB", "count": draw(st.integers(1, 2)), "joinsAfter": joins, **more}


@pytest.fixture(scope="module")
def market(tmp_path_factory):
    """A folder with the records that the scenarios name."""
    folder = tmp_path_factory.mktemp("market")
    prices = [(0, 0.02), (500, 0.5), (700, 0.01), (4000, 0.03)]
    rows = [f"{at},{name},{usd}" for name in ("c6i.large", "c6i.xlarge", "c6g.medium") for at, usd in prices]
    (folder / "prices.csv").write_text("\n".join(["at_s,instance_type,usd_per_hour", *rows]))
    (folder / "slots.csv").write_text("at_s,instances\n0,5\n300,1\n900,0\n1500,4\n")
    return folder


@given(scenarios(), st.integers(0, 9))
def test_a_run_keeps_every_law(market, data, seed):
    try:
        result = batchsim.run(batchsim.parse_scenario(json.dumps(data), base=market), seed=seed)
    except InputError:
        assume(False)  # updates that contradict each other
        raise
    assert [str(violation) for violation in result.audit()] == []
