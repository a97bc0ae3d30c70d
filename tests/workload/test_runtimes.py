"""When a job of several containers or nodes ends, against timelines worked out by hand or step by step."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchsim.errors import ScenarioError
from batchsim.scenario import EcsProperties, EksProperties
from batchsim.workload import build_workload, runtimes

S = 1_000_000
ONE = {"name": "w", "jobDefinition": "d", "runtime": "10s", "count": 1}
NEEDS = [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "100"}]


def task(*containers):
    return {
        "jobDefinitionName": "d",
        "ecsProperties": {
            "taskProperties": [
                {
                    "containers": [
                        {
                            "name": name,
                            "image": "i",
                            "resourceRequirements": NEEDS,
                            "essential": essential,
                            "dependsOn": [{"containerName": n, "condition": c} for n, c in waits.items()],
                        }
                        for name, essential, waits in containers
                    ]
                }
            ]
        },
    }


def times(jobs_of, given_definition, **entry):
    workload = build_workload(jobs_of({**ONE, **entry}, definitions=(given_definition,)))
    startup = 0 if workload.startup_us is None else int(workload.startup_us[0])
    return startup // S, int(workload.runtime_us[0]) // S


CASES = {
    "all alike": ([("a", True, {}), ("b", False, {})], {}, (0, 10)),
    "the first essential one ends the job": ([("a", True, {}), ("b", True, {})], {"b": "4s"}, (0, 4)),
    "others do not": ([("a", True, {}), ("b", False, {})], {"b": "4s"}, (0, 10)),
    "they are stopped with it": ([("a", True, {}), ("b", False, {})], {"b": "1h"}, (0, 10)),
    "preparation is start-up": (
        [("init", False, {}), ("a", True, {"init": "SUCCESS"})],
        {"init": "30s"},
        (30, 10),
    ),
    "so is a chain": (
        [("i", False, {}), ("j", False, {"i": "COMPLETE"}), ("a", True, {"j": "SUCCESS", "i": "START"})],
        {"i": "3s", "j": "4s"},
        (7, 10),
    ),
    "START does not wait for an end": ([("a", True, {}), ("b", False, {"a": "START"})], {}, (0, 10)),
    "an early start runs during start-up": (
        [("init", False, {}), ("a", True, {}), ("b", False, {"init": "COMPLETE"})],
        {"init": "4s"},
        (4, 6),
    ),
    "it may end before the job is RUNNING": (
        [("init", False, {}), ("a", True, {}), ("b", False, {"init": "COMPLETE"})],
        {"init": "1m"},
        (10, 0),
    ),
}


@pytest.mark.parametrize(("containers", "own", "expected"), CASES.values(), ids=CASES.keys())
def test_containers_decide_when_a_task_is_running_and_when_it_ends(jobs_of, containers, own, expected):
    assert times(jobs_of, task(*containers), containerRuntimes=own) == expected


@st.composite
def tasks(draw):
    """Containers that wait for earlier ones, and their running times."""
    names = "abcdef"[: draw(st.integers(1, 6))]
    essential = {name: draw(st.booleans()) for name in names}
    essential[draw(st.sampled_from(names))] = True
    containers = []
    for index, name in enumerate(names):
        waits = {}
        for other in names[:index]:
            conditions = [None, "START"] if essential[other] else [None, "START", "COMPLETE", "SUCCESS"]
            condition = draw(st.sampled_from(conditions))
            if condition:
                waits[other] = condition
        containers.append((name, essential[name], waits))
    return containers, {name: draw(st.integers(0, 6)) for name in names}


@given(tasks())
def test_a_task_second_by_second(drawn):
    containers, run_s = drawn
    begun: dict[str, int] = {}
    now = 0
    running_at = None
    while True:
        for name, _, waits in containers:  # each waits for earlier ones only, so one round is enough
            ready = all(
                other in begun and (condition == "START" or begun[other] + run_s[other] <= now)
                for other, condition in waits.items()
            )
            if ready:
                begun.setdefault(name, now)
        if len(begun) == len(containers) and running_at is None:
            running_at = now
        if any(
            essential and name in begun and begun[name] + run_s[name] <= now
            for name, essential, _ in containers
        ):
            break
        now += 1
    expected = (now if running_at is None else running_at, now)
    properties = EcsProperties.model_validate(task(*containers)["ecsProperties"])
    run_of = {name: np.array([run]) for name, run in run_s.items()}.get
    startup, runtime = runtimes._task(properties, run_of, np.array([99]))
    assert (int(startup[0]), int(startup[0] + runtime[0])) == expected


def pod(*names, init=()):
    def container(name):
        return {"name": name, "image": "i", "resources": {"limits": {"cpu": "1", "memory": "256Mi"}}}

    parts = {"containers": [*map(container, names)], "initContainers": [*map(container, init)]}
    return {"jobDefinitionName": "d", "eksProperties": {"podProperties": parts}}


def test_a_pod_ends_with_its_last_container(jobs_of):
    assert times(jobs_of, pod("a", "b", init=["i"]), jobQueue="kube") == (0, 10)
    assert times(jobs_of, pod("a", "b"), jobQueue="kube", containerRuntimes={"b": "4s"}) == (0, 10)
    assert times(jobs_of, pod("a", "b"), jobQueue="kube", containerRuntimes={"a": "4s", "b": "1m"}) == (0, 60)


def test_init_containers_run_one_after_the_other_before_a_pod_is_running():
    """A scenario cannot give them a running time yet, and without one they take none."""
    properties = EksProperties.model_validate(pod("a", init=["i", "j", "k"])["eksProperties"])
    run_of = {"i": np.array([3, 0]), "k": np.array([4, 5])}.get
    startup, runtime = runtimes._pod(properties, run_of, np.array([10, 20]))
    assert (startup.tolist(), runtime.tolist()) == ([7, 5], [10, 20])


def test_containers_draw_apart(jobs_of):
    drawn = {"exponential": {"mean": "5m"}}
    waiting = task(("b", False, {}), ("a", True, {"b": "COMPLETE"}))
    entry = {**ONE, "count": 200, "containerRuntimes": {"a": drawn, "b": drawn}}
    workload = build_workload(jobs_of(entry, definitions=(waiting,)))
    assert abs(np.corrcoef(workload.startup_us, workload.runtime_us)[0, 1]) < 0.3


def test_a_container_draws_for_itself(jobs_of):
    drawn = {"exponential": {"mean": "5m"}}
    entry = {**ONE, "count": 50, "runtime": drawn}
    alone = build_workload(jobs_of(entry, definitions=(task(("a", True, {}), ("b", False, {})),)))
    waiting = task(("b", False, {}), ("a", True, {"b": "COMPLETE"}))
    both = build_workload(jobs_of({**entry, "containerRuntimes": {"b": drawn}}, definitions=(waiting,)))
    assert both.runtime_us.tolist() == alone.runtime_us.tolist()
    assert len(set(both.startup_us.tolist())) == 50
    assert alone.startup_us is None
    assert abs(np.corrcoef(both.startup_us, both.runtime_us)[0, 1]) < 0.5
    named = {"b": drawn, "a": "1s"}
    constant = build_workload(jobs_of({**entry, "containerRuntimes": named}, definitions=(waiting,)))
    assert constant.startup_us.tolist() == both.startup_us.tolist()


def test_start_up_is_kept_beside_jobs_that_have_none(jobs_of):
    waiting = task(("b", False, {}), ("a", True, {"b": "COMPLETE"}))
    plain = {**ONE, "name": "p", "jobDefinition": "one", "arrivals": {"times": ["1s", "3s"]}, "count": None}
    mine = {**ONE, "arrivals": {"times": ["2s", "4s"]}, "count": None}
    workload = build_workload(jobs_of(plain, mine, definitions=(waiting,)))
    assert (workload.startup_us // S).tolist() == [0, 10, 0, 10]


# ------------------------------------------------------------------------------------------------------ nodes


def mpi(nodes, main):
    container = {"image": "i", "resourceRequirements": NEEDS}
    return {
        "jobDefinitionName": "d",
        "type": "multinode",
        "nodeProperties": {
            "numNodes": nodes,
            "mainNode": main,
            "nodeRangeProperties": [{"targetNodes": "0:", "container": container}],
        },
    }


def test_scenario_21_the_main_node_decides(jobs_of):
    entry = {**ONE, "runtime": "100s", "nodeRuntimes": {"1": "50s", "2:": "1h"}}
    workload = build_workload(jobs_of(entry, definitions=(mpi(4, 0),)))
    assert workload.runtime_us.tolist() == [100 * S]
    assert (workload.node_us.row(0) // S).tolist() == [100, 50, 3600, 3600]
    by_node = build_workload(jobs_of(entry, definitions=(mpi(4, 1),)))
    assert by_node.runtime_us.tolist() == [50 * S]


def test_the_inner_range_of_runtimes_wins_in_whatever_order_they_are_written(jobs_of):
    ranges = {"0:": "1s", "1:3": "2s", "2": "3s", "2:3": "4s"}
    for given_ranges in (ranges, dict(reversed(ranges.items()))):
        entry = {**ONE, "nodeRuntimes": given_ranges}
        workload = build_workload(jobs_of(entry, definitions=(mpi(5, 4),)))
        assert (workload.node_us.row(0) // S).tolist() == [1, 2, 3, 4, 1]
        assert workload.runtime_us.tolist() == [S]


def test_each_node_draws_for_itself_and_the_others_run_as_the_job(jobs_of):
    drawn = {"exponential": {"mean": "5m"}}
    entry = {**ONE, "count": 30, "runtime": drawn, "nodeRuntimes": {"1:2": drawn}}
    workload = build_workload(jobs_of(entry, definitions=(mpi(4, 0),)))
    rows = np.array([workload.node_us.row(job).tolist() for job in range(30)])
    assert rows[:, 0].tolist() == rows[:, 3].tolist() == workload.runtime_us.tolist()
    assert len(set(rows[:, :3].ravel().tolist())) == 90
    fewer = build_workload(jobs_of({**entry, "count": 10}, definitions=(mpi(4, 0),)))
    assert fewer.node_us.values.tolist() == workload.node_us.values[:40].tolist()


def test_rows_of_nodes_follow_their_jobs(jobs_of):
    plain = {**ONE, "name": "p", "jobDefinition": "one", "arrivals": {"times": ["1s", "3s"]}, "count": None}
    mine = {**ONE, "arrivals": {"times": ["4s", "2s"]}, "count": None, "nodeRuntimes": {"1": "7s"}}
    others = {**mine, "name": "o", "jobDefinition": "mpi", "arrivals": {"times": ["2500ms"]}}
    workload = build_workload(jobs_of(plain, mine, others, definitions=(mpi(2, 0),)))
    assert [(workload.node_us.row(job) // S).tolist() for job in range(5)] == [
        [],
        [10, 7],
        [10, 7, 10],
        [],
        [10, 7],
    ]
    part = workload.before(3 * S)
    assert len(part.node_us) == len(part) == 3
    assert (part.node_us.values // S).tolist() == [10, 7, 10, 7, 10]


def test_too_many_nodes_are_refused(jobs_of, monkeypatch):
    entry = {**ONE, "count": 5, "nodeRuntimes": {"1": "7s"}}
    monkeypatch.setattr(runtimes, "MAX_JOBS", 19)
    with pytest.raises(
        ScenarioError, match=r"workload\.w\.nodeRuntimes: expected at most 19 nodes .* found 20"
    ):
        build_workload(jobs_of(entry, definitions=(mpi(4, 0),)))


def test_problems_and_files_of_parts_are_told(jobs_of, tmp_path):
    wild = {"nodeRuntimes": {"1": {"exponential": {"mean": "104000d"}}}}
    with pytest.raises(ScenarioError, match=r"workload\.w\.nodeRuntimes\.1: a random duration"):
        build_workload(jobs_of({**ONE, "count": 99, **wild}, definitions=(mpi(4, 0),)))
    (tmp_path / "s.csv").write_text("1\n2\n")
    known = {"containerRuntimes": {"a": {"empirical": {"path": "s.csv"}}}}
    workload = build_workload(jobs_of({**ONE, **known}, definitions=(task(("a", True, {})),)))
    assert list(workload.notes["w"]["runtime_files"]) == ["s.csv"]
