"""How long the jobs of a generated entry run: drawn, then decided by their containers or nodes.

containers on ECS  A container starts when those it depends on have started (START) or ended (COMPLETE,
                   SUCCESS). The job is RUNNING when all have started, and ends when the first essential one
                   ends [spec 1.13]; if that is before all have started, it has run for no time.
a pod              Init containers run one after the other before the job is RUNNING; it ends with the last
                   of its containers [spec 1.12].
nodes              The job ends with its main node [spec 1.11].

A container or a node without a distribution of its own runs as long as the entry's `runtime` says for the
job. An init container takes no time unless it has one.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from batchsim.errors import ScenarioError, at_path
from batchsim.scenario import MAX_JOBS, EcsProperties, effective_definition
from batchsim.scenario.noderanges import range_of_each_node
from batchsim.workload.distributions import Samples, load_distribution, sample
from batchsim.workload.ragged import Ragged

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from batchsim.scenario import (
        Distribution,
        EksProperties,
        GeneratedJobs,
        NodeProperties,
        Scenario,
    )
    from batchsim.workload.distributions import Drawable
    from batchsim.workload.part import Streams

    _Times = NDArray[np.int64]
    _RunOf = Callable[[str | None], _Times | None]


class Runs(NamedTuple):
    """Columns of `Workload`, and the digests of the files that durations come from, by path."""

    runtime_us: NDArray[np.int64]
    startup_us: NDArray[np.int64] | None
    node_us: Ragged | None
    files: dict[str, str]


def draw_runs(scenario: Scenario, entry: GeneratedJobs, kind: NDArray[np.int64], streams: Streams) -> Runs:
    """The times of jobs, given for each the item of the mix that it is (0 without a mix).

    Every distribution has a generator of its own, so a change of one moves no draw of another. Raises
    ScenarioError for durations beyond 285 years and for too many nodes, TraceError for a sample file.
    """
    draws = _Draws(scenario, entry, streams)
    runtime_us = _runtimes(draws, entry, kind)
    definitions = [scenario.definition(reference) for reference in entry.definitions()]
    startup_us = node_us = None
    if any(each.kind in ("ecs", "eks") for each in definitions):
        parts = [each.ecsProperties or each.eksProperties for each in definitions]
        startup_us = _containers(draws, entry, parts, kind, runtime_us)
    if entry.nodeRuntimes:
        nodes = [effective_definition(each, entry).nodeProperties for each in definitions]
        node_us = _nodes(draws, entry, [each for each in nodes if each], kind, runtime_us)
    return Runs(runtime_us, startup_us, node_us, draws.files)


class _Draws:
    """Draws columns for an entry, and remembers the files they come from."""

    def __init__(self, scenario: Scenario, entry: GeneratedJobs, streams: Streams) -> None:
        self.streams = streams
        self.files: dict[str, str] = {}
        self.path = scenario.path_of(entry)
        self._base_dir = scenario.base_dir

    def load(self, distribution: Distribution, field: str) -> Drawable:
        known = load_distribution(distribution, self._base_dir, f"{self.path}.{field}")
        if isinstance(known, Samples):
            self.files[distribution.chosen.path] = known.sha256
        return known

    def column(self, known: Drawable, rng: np.random.Generator, n: int, field: str) -> NDArray[np.int64]:
        with at_path(f"{self.path}.{field}"):
            return sample(known, rng, n)


def _runtimes(draws: _Draws, entry: GeneratedJobs, kind: NDArray[np.int64]) -> NDArray[np.int64]:
    """The entry's own runtime is drawn for every job, each mix item's for its own jobs."""
    runtime_us = np.zeros(len(kind), np.int64)
    if entry.runtime is not None:
        known = draws.load(entry.runtime, "runtime")
        runtime_us = draws.column(known, draws.streams("runtimes", entry.name), len(kind), "runtime")
    for index, item in enumerate(entry.mix or ()):
        if item.runtime is not None:
            field = f"mix.{index}.runtime"
            known = draws.load(item.runtime, field)
            mine = kind == index
            rng = draws.streams("runtimes", entry.name, index + 1)
            runtime_us[mine] = draws.column(known, rng, int(mine.sum()), field)
    return runtime_us


def _containers(
    draws: _Draws,
    entry: GeneratedJobs,
    parts: list[EcsProperties | EksProperties | None],
    kind: NDArray[np.int64],
    runtime_us: NDArray[np.int64],
) -> NDArray[np.int64] | None:
    """Sets `runtime_us` to what the containers make of it; the time in STARTING, None if nowhere any."""
    own: dict[str | None, _Times] = {}
    for name, distribution in entry.containerRuntimes.items():
        field = f"containerRuntimes.{name}"
        known = draws.load(distribution, field)
        rng = draws.streams("containers", entry.name, zlib.crc32(name.encode()))
        own[name] = draws.column(known, rng, len(kind), field)
    startup_us = np.zeros(len(kind), np.int64)
    for index, part in enumerate(parts):
        mine = np.flatnonzero(kind == index)
        run_of = {name: times[mine] for name, times in own.items()}.get
        if isinstance(part, EcsProperties):
            startup_us[mine], runtime_us[mine] = _task(part, run_of, runtime_us[mine])
        elif part is not None:
            startup_us[mine], runtime_us[mine] = _pod(part, run_of, runtime_us[mine])
    return startup_us if startup_us.any() else None


def _task(properties: EcsProperties, run_of: _RunOf, usual_us: _Times) -> tuple[_Times, _Times]:
    """Time until RUNNING and time RUNNING of the containers of a task."""
    containers = {each.name: each for each in properties.task.containers}
    begins: dict[str | None, _Times] = {}

    def run(name: str | None) -> _Times:
        own = run_of(name)
        return usual_us if own is None else own

    def begin(name: str | None) -> _Times:
        """Containers do not wait in a circle, so this ends."""
        if name not in begins:
            at = np.zeros(len(usual_us), np.int64)
            for each in containers[name].dependsOn:
                other = each.containerName
                at = np.maximum(at, begin(other) + (0 if each.condition == "START" else run(other)))
            begins[name] = at
        return begins[name]

    started = np.max([begin(name) for name in containers], axis=0)
    ended = np.min([begin(name) + run(name) for name, each in containers.items() if each.essential], axis=0)
    startup_us = np.minimum(started, ended)
    return startup_us, ended - startup_us


def _pod(properties: EksProperties, run_of: _RunOf, usual_us: _Times) -> tuple[_Times, _Times]:
    """Time until RUNNING and time RUNNING of the containers of a pod."""
    pod = properties.podProperties
    startup_us = np.zeros(len(usual_us), np.int64)
    for each in pod.initContainers:
        own = run_of(each.name)
        if own is not None:
            startup_us += own
    runs = [run_of(each.name) for each in pod.containers]
    return startup_us, np.max([usual_us if own is None else own for own in runs], axis=0)


def _nodes(
    draws: _Draws,
    entry: GeneratedJobs,
    nodes: list[NodeProperties],
    kind: NDArray[np.int64],
    runtime_us: NDArray[np.int64],
) -> Ragged:
    """Sets `runtime_us` to that of the main node; the running times of all nodes of each job."""
    counts = np.array([each.numNodes for each in nodes], np.int64)[kind]
    if int(counts.sum()) > MAX_JOBS:
        raise ScenarioError(
            path=f"{draws.path}.nodeRuntimes",
            expected=f"at most {MAX_JOBS:,} nodes of all jobs",
            found=f"{int(counts.sum()):,}",
            hint="lower count or numNodes, or remove nodeRuntimes",
        )
    ranges = entry.node_runtimes().values()
    found = Ragged.of(counts, np.repeat(runtime_us, counts))
    fields = [f"nodeRuntimes.{text}" for text in entry.nodeRuntimes]
    known = [draws.load(each, field) for each, field in zip(entry.nodeRuntimes.values(), fields, strict=True)]
    for index, properties in enumerate(nodes):
        mine = np.flatnonzero(kind == index)
        for node, owner in enumerate(range_of_each_node(ranges, properties.numNodes)):
            if owner >= 0:
                rng = draws.streams("nodes", entry.name, node)
                column = draws.column(known[owner], rng, len(kind), fields[owner])
                found.values[found.start[mine] + node] = column[mine]
        runtime_us[mine] = found.values[found.start[mine] + properties.mainNode]
    return found
