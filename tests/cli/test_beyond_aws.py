"""`batchsim check` names the jobs that wait for more jobs than AWS Batch allows, and that is all."""

from __future__ import annotations

import json

import pytest

from batchsim.studies.beyond_aws import ManyDependencies, in_words
from tests.studies.scenarios import definition, jobs, unmanaged, world


@pytest.fixture
def wide(write, tmp_path, monkeypatch) -> str:
    """Tasks with 20, 21 and 22 parents; a group that waits for 21 jobs, and one for 20 arrays."""
    monkeypatch.setattr("batchsim.scenario.unbuilt.UNBUILT", {})
    many = [f"t{number}" for number in range(21)]
    parents = {**{name: [] for name in many}, "twenty": many[1:], "more": many, "most": [*many, "twenty"]}
    flow = {
        "specification": {"tasks": [{"id": name, "parents": above} for name, above in parents.items()]},
        "execution": {"tasks": [{"id": name, "runtimeInSeconds": 1} for name in parents]},
    }
    (tmp_path / "w.json").write_text(json.dumps({"workflow": flow}))
    return write(
        world(
            [unmanaged("lab", {"vcpus": 4, "memory": "8GiB"})],
            [
                {"name": "flow", "jobQueue": "q0", "trace": {"format": "wfformat", "path": "w.json"}},
                jobs("many", "q0", "d", 21),
                jobs("arrays", "q0", "d", 20, array={"size": 50}),
                jobs("after-many", "q0", "d", 3, dependsOn=[{"group": "many"}]),
                jobs("after-arrays", "q0", "d", 3, dependsOn=[{"group": "arrays"}]),
            ],
            definition("d", 1, 100),
        )
    )


def test_check_notes_who_waits_for_more_jobs_than_aws_allows(invoke, wide):
    done = invoke("check", wide)
    assert done.exit_code == 0
    assert done.stderr == (
        "note: 2 tasks of flow wait for more than 20 others, the most that AWS Batch allows:"
        " more (21), most (22).\n"
        "note: each job of after-many waits for 21 jobs (dependsOn), and one of AWS Batch for at most 20:"
        " an array counts as one.\n"
    )
    told = json.loads(invoke("check", wide, "--format", "json").stdout)
    assert told["can_all_start"] is True
    assert told["beyond_aws_dependencies"] == [
        {"workload": "flow", "task": "more", "dependencies": 21},
        {"workload": "flow", "task": "most", "dependencies": 22},
        {"workload": "after-many", "task": None, "dependencies": 21},
    ]


def test_nothing_is_noted_of_twenty_and_fewer(invoke, wide):
    done = invoke("check", wide, "--set", "workload.many.count=20")
    assert "after-many" not in done.stderr


def test_of_many_tasks_the_first_are_named():
    from batchsim.studies.beyond_aws import ManyDependencies, in_words

    (sentence,) = in_words(tuple(ManyDependencies("w", f"t{number}", 21) for number in range(1200)))
    assert sentence == (
        "1,200 tasks of w wait for more than 20 others, the most that AWS Batch allows:"
        " t0 (21), t1 (21), t2 (21), t3 (21), t4 (21) and 1,195 more."
    )


def test_a_single_task_waits_and_several_wait():
    many = [ManyDependencies("flow", f"t{number}", 30) for number in range(2)]
    (one,), (two,) = in_words((many[0],)), in_words(tuple(many))
    assert one.startswith("1 task of flow waits for more than 20 others")
    assert two.startswith("2 tasks of flow wait for more than 20 others")
