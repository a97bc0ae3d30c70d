"""Reader of WfCommons' WfFormat 1.5: an executed workflow, task by task.

`workflow.specification.tasks[]` gives `id` and `parents`, `workflow.execution.tasks[]` gives
`runtimeInSeconds` and, where known, `coreCount` and `memoryInBytes`. One task is one job. Rows keep the
order of the specification, which is the order of submission; parents may come after their children.
The logged makespan holds queueing and start-up of another system and is not a target.
"""

from __future__ import annotations

import gzip
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from batchsim.errors import TraceError
from batchsim.units import BYTES_PER_MIB, MAX_TIME_US, US_PER_S
from batchsim.workload.textblocks import GZIP_ERRORS, damaged, require_file

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

MAX_FILE_BYTES: Final = 512 * BYTES_PER_MIB
MAX_CORES: Final = 10**4


@dataclass(frozen=True, slots=True)
class Workflow:
    """Tasks in the order of the specification.

    ids          n names, unique
    runtime_us   int64[n] >= 0
    cores        int32[n] >= 1; 1 where the file does not say
    memory_mib   int64[n]; -1 where the file does not say
    parents      for each task the rows of its parents, ascending and without repetition
    notes        counts for the manifest: tasks, edges, most_parents, cores_assumed
    """

    ids: list[str]
    runtime_us: NDArray[np.int64]
    cores: NDArray[np.int32]
    memory_mib: NDArray[np.int64]
    parents: list[list[int]]
    notes: dict[str, Any]


def read_wfformat(path: Path) -> Workflow:
    """The workflow in a WfFormat file, plain or gzip.

    Raises TraceError for a file that is not WfFormat, a task without runtime, an unknown parent, or
    parents that go round in a circle.
    """
    workflow = _dict(_load(path), "workflow", path)
    specification = _dict(workflow, "specification", path)
    tasks = _list(specification, "tasks", path, "workflow.specification")
    runs = _by_id(_list(_dict(workflow, "execution", path), "tasks", path, "workflow.execution"), path)
    ids = [_text_id(task, path, f"workflow.specification.tasks.{row}") for row, task in enumerate(tasks)]
    row_of = {name: row for row, name in enumerate(ids)}
    if len(row_of) < len(ids):
        twice = next(name for row, name in enumerate(ids) if row_of[name] != row)
        raise TraceError(file=str(path), expected="each task id once", found=f"{twice} twice")
    if not ids:
        raise TraceError(file=str(path), path="workflow.specification.tasks", expected="tasks", found="none")
    parents = [_parents(task, row_of, path, row) for row, task in enumerate(tasks)]
    _require_order(parents, ids, path)
    runtime_us = np.array([_runtime_us(runs.get(name), name, path) for name in ids], np.int64)
    cores = [_cores(runs[name], name, path) for name in ids]
    memory = [runs[name].get("memoryInBytes") for name in ids]
    notes = {
        "source": "wfformat",
        "tasks": len(ids),
        "edges": sum(map(len, parents)),
        "most_parents": max(map(len, parents)),
        "cores_assumed": sum("coreCount" not in runs[name] for name in ids),
    }
    return Workflow(
        ids,
        runtime_us,
        np.array(cores, np.int32),
        np.array([_memory_mib(value) for value in memory], np.int64),
        parents,
        notes,
    )


def _load(path: Path) -> dict[str, Any]:
    require_file(path)
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
        if raw[:2] == b"\x1f\x8b":
            with gzip.open(path, "rb") as packed:
                raw = packed.read(MAX_FILE_BYTES + 1)
    except GZIP_ERRORS as error:
        raise damaged(path) from error
    except OSError as error:
        raise TraceError(f"cannot be read: {error.strerror or error}", file=str(path)) from error
    if len(raw) > MAX_FILE_BYTES:
        raise TraceError(file=str(path), expected="at most 512 MiB", found="more")
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise TraceError(
            file=str(path), expected="a WfFormat workflow, a JSON object", found="something else"
        )
    return document


def _dict(parent: dict[str, Any], key: str, path: Path) -> dict[str, Any]:
    value = parent.get(key)
    if not isinstance(value, dict):
        raise TraceError(file=str(path), expected=f"an object {key}, as WfFormat 1.5 has", found=_kind(value))
    return value


def _list(parent: dict[str, Any], key: str, path: Path, place: str) -> list[dict[str, Any]]:
    value = parent.get(key)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise TraceError(
            file=str(path), path=f"{place}.{key}", expected="a list of tasks", found=_kind(value)
        )
    return value


def _by_id(runs: list[dict[str, Any]], path: Path) -> dict[str, dict[str, Any]]:
    return {_text_id(run, path, f"workflow.execution.tasks.{row}"): run for row, run in enumerate(runs)}


def _text_id(task: dict[str, Any], path: Path, place: str) -> str:
    name = task.get("id")
    if not isinstance(name, str) or not name:
        raise TraceError(file=str(path), path=f"{place}.id", expected="a name", found=_kind(name))
    return name


def _parents(task: dict[str, Any], row_of: dict[str, int], path: Path, row: int) -> list[int]:
    place = f"workflow.specification.tasks.{row}.parents"
    named = task.get("parents", [])
    if not isinstance(named, list):
        raise TraceError(file=str(path), path=place, expected="a list of task ids", found=_kind(named))
    rows = set()
    for name in named:
        if not isinstance(name, str) or name not in row_of:
            raise TraceError(file=str(path), path=place, expected="ids of tasks", found=repr(name)[:80])
        rows.add(row_of[name])
    return sorted(rows)


def _require_order(parents: list[list[int]], ids: list[str], path: Path) -> None:
    """Refuse a circle, by taking away tasks without open parents until none is left."""
    children: list[list[int]] = [[] for _ in parents]
    for row, above in enumerate(parents):
        for parent in above:
            children[parent].append(row)
    left = [len(above) for above in parents]
    free = [row for row, count in enumerate(left) if not count]
    seen = 0
    while free:
        seen += 1
        for child in children[free.pop()]:
            left[child] -= 1
            if not left[child]:
                free.append(child)
    if seen < len(parents):
        stuck = ids[next(row for row, count in enumerate(left) if count)]
        raise TraceError(file=str(path), expected="tasks without a circle", found=f"{stuck} waits for itself")


def _runtime_us(run: dict[str, Any] | None, name: str, path: Path) -> int:
    value = None if run is None else run.get("runtimeInSeconds")
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not 0 <= value < MAX_TIME_US / US_PER_S
    ):
        raise TraceError(
            f"task {name}", file=str(path), expected="runtimeInSeconds of 0 or more", found=_kind(value)
        )
    return round(value * US_PER_S)


def _cores(run: dict[str, Any], name: str, path: Path) -> int:
    value = run.get("coreCount", 1)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= MAX_CORES:
        raise TraceError(
            f"task {name}", file=str(path), expected="coreCount from 1 to 10,000", found=_kind(value)
        )
    return math.ceil(value)


def _memory_mib(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 2**53:
        return -1
    return -(-int(value) // BYTES_PER_MIB)


def _kind(value: Any) -> str:
    if value is None:
        return "nothing"
    return repr(value) if isinstance(value, int | float | str) else type(value).__name__
