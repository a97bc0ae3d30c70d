"""WfFormat: what is read, and what is refused."""

from __future__ import annotations

import gzip
import json

import pytest

from batchsim.errors import TraceError
from batchsim.workload.wfformat import read_wfformat


def document(tasks: dict[str, list[str]], **runs: dict[str, object]) -> dict[str, object]:
    return {
        "schemaVersion": "1.5",
        "workflow": {
            "specification": {"tasks": [{"id": name, "parents": above} for name, above in tasks.items()]},
            "execution": {
                "tasks": [{"id": name, "runtimeInSeconds": 1.5, **runs.get(name, {})} for name in tasks]
            },
        },
    }


def write(tmp_path, content) -> object:
    path = tmp_path / "workflow.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_tasks_become_rows_in_the_order_of_the_specification(tmp_path):
    given = document(
        {"b": ["a"], "a": [], "c": ["a", "b", "a"]}, c={"coreCount": 2, "memoryInBytes": 1_500_000}
    )
    found = read_wfformat(write(tmp_path, given))
    assert found.ids == ["b", "a", "c"]
    assert found.parents == [[1], [], [0, 1]]
    assert found.runtime_us.tolist() == [1_500_000] * 3
    assert found.cores.tolist() == [1, 1, 2]
    assert found.memory_mib.tolist() == [-1, -1, 2]
    assert found.notes == {
        "source": "wfformat",
        "tasks": 3,
        "edges": 3,
        "most_parents": 2,
        "cores_assumed": 2,
    }


def test_gzip_is_read_too(tmp_path):
    path = tmp_path / "workflow.json.gz"
    path.write_bytes(gzip.compress(json.dumps(document({"a": []})).encode()))
    assert read_wfformat(path).ids == ["a"]


REFUSED = {
    "not JSON": ("{", "a WfFormat workflow"),
    "too deep": ("[" * 100_000, "a WfFormat workflow"),
    "another format": ({"jobs": []}, "an object workflow"),
    "no tasks": (document({}), "expected tasks, found none"),
    "unknown parent": (document({"a": ["z"]}), "tasks.0.parents: expected ids of tasks, found 'z'"),
    "a circle": (document({"a": ["b"], "b": ["a"]}), "a waits for itself"),
    "no runtime": (document({"a": []}, a={"runtimeInSeconds": None}), "task a: expected runtimeInSeconds"),
    "negative runtime": (document({"a": []}, a={"runtimeInSeconds": -1}), "found -1"),
    "no cores": (document({"a": []}, a={"coreCount": 0}), "coreCount from 1 to 10,000"),
}


@pytest.mark.parametrize(("content", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_used_is_one_clear_line(tmp_path, content, said):
    with pytest.raises(TraceError) as caught:
        read_wfformat(write(tmp_path, content))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_one_clear_line(tmp_path):
    with pytest.raises(TraceError, match="expected a file, found nothing of that name"):
        read_wfformat(tmp_path / "none.json")


WORKFLOWS = {
    "helloworld-forkjoin-10-chameleon.json": (10, 16, 8, 1_028_704_000),
    "blast-chameleon-small-001.json": (43, 120, 40, 382_912_720),
    "nextflow-rnaseq-dirt02-001.json": (197, 451, 92, 2_580_360_000),
    "1000genome-chameleon-8ch-100k-001.json": (208, 304, 10, 16_617_042_000),
}


@pytest.mark.parametrize(("name", "expected"), WORKFLOWS.items())
def test_published_workflows(traces, name, expected):
    found = read_wfformat(traces / "dag" / name)
    notes = found.notes
    assert (notes["tasks"], notes["edges"], notes["most_parents"], int(found.runtime_us.sum())) == expected
