"""The workloads that the benchmarks run, as plain columns: the same jobs for batchsim and for every rival.

A shape is made from a seed alone, so that a child process can make its own instead of being sent it.

    steady           one-vCPU jobs, Poisson, 90 % of the slots of a fixed fleet busy
    burst            one-vCPU jobs, all submitted at once
    fleet            mixed needs on 10,000 instances, 70 % of their vCPUs busy once the fleet has filled
    managed_steady   three queues, mixed needs, an environment of at most 4,096 vCPUs that scales
    managed_burst    the same jobs, all submitted at once
    managed_spot     the jobs of `managed_steady` on Spot instances, one in ten of which is lost an hour
    shares           the jobs of `steady`, over 200 share identifiers of a queue with a fair-share policy
    workflow         the jobs of `burst` as one DAG: layers of 1,000 that fan out and in, every tenth gathered
    arrays           the jobs of `burst` as arrays of 10,000 children, in chains of ten, child by child
    backlogged       one-vCPU jobs in whole seconds that arrive faster than they are served

`PLAIN` says which shape has the very same jobs without fair shares or dependencies.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from batchsim.scenario import Dependency
from batchsim.workload.edges import Rows, build_edges

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from batchsim.workload.edges import Edges

US_PER_S = 1_000_000
MEAN_RUNTIME_S = 600.0
SLOTS_PER_INSTANCE = 4
MEMORY_PER_SLOT_MIB = 2048
MAX_VCPUS = 4096

# The share of the vCPUs that is asked for once the fleet is full. One-vCPU jobs waste nothing; mixed needs
# leave odd corners free, and a higher share would let the queues grow without end.
STEADY_LOAD, MIXED_LOAD, BACKLOG_LOAD = 0.9, 0.7, 1.25


class InstanceKind(NamedTuple):
    """An instance type of a shape; `memory_mib` is what jobs can use.

    `instances` says how many a fixed fleet has, and is 0 where an environment scales.
    """

    name: str
    vcpus: int
    memory_mib: int
    usd_per_hour: float
    instances: int = 0


# EC2 on-demand in us-east-1, July 2026; two sizes or three of a compute, a general and a memory family.
MANAGED_KINDS = (
    InstanceKind("c6i.xlarge", 4, 7_748, 0.170),
    InstanceKind("c6i.4xlarge", 16, 31_522, 0.680),
    InstanceKind("m6i.xlarge", 4, 15_674, 0.192),
    InstanceKind("m6i.4xlarge", 16, 63_226, 0.768),
    InstanceKind("m6i.8xlarge", 32, 126_724, 1.536),
    InstanceKind("r6i.xlarge", 4, 31_526, 0.252),
    InstanceKind("r6i.4xlarge", 16, 126_730, 1.008),
    InstanceKind("r6i.8xlarge", 32, 253_636, 2.016),
)
QUEUE_PRIORITIES = (10, 5, 1)
_QUEUE_SHARES = (0.2, 0.3, 0.5)
_VCPU_SHARES = {1: 0.25, 2: 0.22, 3: 0.10, 4: 0.18, 6: 0.08, 8: 0.10, 12: 0.04, 16: 0.03}
_MIB_PER_VCPU_SHARES = {1700: 0.4, 3400: 0.35, 7000: 0.25}

# Far more than in the worst pools of the Spot Advisor, of which a fifth or more is lost in a month.
LOSSES_PER_HOUR, SHARED_LOSSES = 0.1, 0.5

SHARES = 200
LAYER, LAYERS_UNTIL_GATHERED, MOST_PARENTS = 1_000, 10, 4
CHILDREN, ARRAYS_IN_CHAIN = 10_000, 10


@dataclass(frozen=True, slots=True)
class Shape:
    """Jobs as columns of one length, by time of submission, and what they run on.

    submit_us, runtime_us   int64 microseconds; a runtime is at least 1
    vcpus, memory_mib, gpus, queue   int64; `queue` counts in `queue_priorities`
    kinds       instance types; each with its number where the fleet is fixed
    max_vcpus   0 where the fleet is fixed, else where the environment stops growing
    losses_per_h   how often an instance is lost; above 0 they are Spot instances, and jobs are tried again
    share       int64 share identifiers, 0..SHARES-1, where the queue has a fair-share policy; else None
    edges       who waits for whom; None: nobody
    children    where all jobs are children of arrays, one array after another: how many each has; else 0
    """

    submit_us: NDArray[np.int64]
    runtime_us: NDArray[np.int64]
    vcpus: NDArray[np.int64]
    memory_mib: NDArray[np.int64]
    gpus: NDArray[np.int64]
    queue: NDArray[np.int64]
    queue_priorities: tuple[int, ...]
    kinds: tuple[InstanceKind, ...]
    max_vcpus: int = 0
    losses_per_h: float = 0.0
    share: NDArray[np.int64] | None = None
    edges: Edges | None = None
    children: int = 0

    def __len__(self) -> int:
        return len(self.submit_us)

    @property
    def slots(self) -> int:
        """One-vCPU jobs that a fixed fleet runs at once."""
        return sum(kind.instances * kind.vcpus for kind in self.kinds)


def steady(jobs: int, seed: int = 1, slots: int = 400) -> Shape:
    return _slot_jobs(jobs, seed, slots, STEADY_LOAD)


def burst(jobs: int, seed: int = 1, slots: int = 400) -> Shape:
    return _at_once(_slot_jobs(jobs, seed, slots, STEADY_LOAD))


def fleet(jobs: int, seed: int = 1, instances: int = 10_000) -> Shape:
    kinds = tuple(
        kind for kind in MANAGED_KINDS if kind.name in {"c6i.4xlarge", "m6i.4xlarge", "r6i.4xlarge"}
    )
    counts = [instances // 3 + (number < instances % 3) for number in range(3)]
    fixed = tuple(kind._replace(instances=count) for kind, count in zip(kinds, counts, strict=True))
    return replace(_mixed_jobs(jobs, seed, instances * kinds[0].vcpus), kinds=fixed)


def managed_steady(jobs: int, seed: int = 1) -> Shape:
    return replace(_mixed_jobs(jobs, seed, MAX_VCPUS), kinds=MANAGED_KINDS, max_vcpus=MAX_VCPUS)


def managed_burst(jobs: int, seed: int = 1) -> Shape:
    return _at_once(managed_steady(jobs, seed))


def managed_spot(jobs: int, seed: int = 1) -> Shape:
    return replace(managed_steady(jobs, seed), losses_per_h=LOSSES_PER_HOUR)


def shares(jobs: int, seed: int = 1) -> Shape:
    drawn = np.random.default_rng([seed, SHARES]).integers(SHARES, size=jobs)
    return replace(steady(jobs, seed), share=drawn)


def workflow(jobs: int, seed: int = 1) -> Shape:
    """Each task waits for one to four of the layer before; the first of every tenth layer waits for all of it
    and is waited for by all others of its own layer.
    """
    rng = np.random.default_rng([seed, LAYER])
    task = np.arange(LAYER, jobs)
    layer, place = np.divmod(task, LAYER)
    gathered = layer % LAYERS_UNTIL_GATHERED == 0
    parents = np.where(gathered, 0, rng.integers(1, MOST_PARENTS + 1, len(task)))
    children = np.repeat(task, parents)
    # Parents that follow each other, from a random one on, so that no edge is there twice.
    first = np.repeat(rng.integers(LAYER, size=len(task)), parents)
    nth = np.arange(len(children)) - np.repeat(np.cumsum(parents) - parents, parents)
    before = (children // LAYER - 1) * LAYER + (first + nth) % LAYER
    gatherers = task[gathered & (place == 0)]
    others = task[gathered & (place > 0)]
    sources = [before, (gatherers[:, None] - LAYER + np.arange(LAYER)).ravel(), others - others % LAYER]
    targets = [children, np.repeat(gatherers, LAYER), others]
    own = (np.concatenate(sources), np.concatenate(targets))
    return replace(burst(jobs, seed), edges=build_edges({"tasks": Rows(np.arange(jobs), own=own)}, jobs))


def arrays(jobs: int, seed: int = 1) -> Shape:
    """With fewer than 100,000 jobs, ten arrays with fewer children."""
    children = min(CHILDREN, jobs // ARRAYS_IN_CHAIN)
    rows = np.arange(jobs).reshape(-1, 1, children)
    groups = {
        f"a{number}": Rows(
            each,
            [Dependency(type="N_TO_N", group=f"a{number - 1}")] if number % ARRAYS_IN_CHAIN else [],
        )
        for number, each in enumerate(rows)
    }
    return replace(burst(jobs, seed), edges=build_edges(groups, jobs), children=children)


def backlogged(jobs: int = 10_000, seed: int = 1, slots: int = 1024) -> Shape:
    shape = _slot_jobs(jobs, seed, slots, BACKLOG_LOAD)
    whole_s = {name: -(-getattr(shape, name) // US_PER_S) * US_PER_S for name in ("submit_us", "runtime_us")}
    return replace(shape, **whole_s)


SHAPES: dict[str, Callable[[int], Shape]] = {
    "steady": steady,
    "burst": burst,
    "fleet": fleet,
    "managed_steady": managed_steady,
    "managed_burst": managed_burst,
    "managed_spot": managed_spot,
    "shares": shares,
    "workflow": workflow,
    "arrays": arrays,
}
PLAIN = {"shares": "steady", "workflow": "burst", "arrays": "burst"}


def write_swf(shape: Shape, path: Path) -> None:
    """Write the jobs as a Standard Workload Format log; times must be whole seconds."""
    table = np.column_stack([shape.submit_us // US_PER_S, shape.runtime_us // US_PER_S, shape.vcpus])
    assert np.array_equal(table[:, :2] * US_PER_S, np.column_stack([shape.submit_us, shape.runtime_us]))
    with path.open("w") as file:
        file.write(f"; Version: 2.2\n; MaxProcs: {shape.slots}\n; Note: made by benchmarks/shapes.py\n")
        for number, (submit, run, vcpus) in enumerate(table.tolist(), start=1):
            file.write(f"{number} {submit} -1 {run} {vcpus} -1 -1 {vcpus} {run} -1 1 1 1 1 1 1 -1 -1\n")


def _slot_jobs(jobs: int, seed: int, slots: int, load: float) -> Shape:
    rng = np.random.default_rng(seed)
    assert slots % SLOTS_PER_INSTANCE == 0
    kind = InstanceKind(
        "slots",
        SLOTS_PER_INSTANCE,
        SLOTS_PER_INSTANCE * MEMORY_PER_SLOT_MIB,
        0.0,
        slots // SLOTS_PER_INSTANCE,
    )
    ones = np.ones(jobs, dtype=np.int64)
    return Shape(
        submit_us=_poisson_us(rng, jobs, load * slots / MEAN_RUNTIME_S),
        runtime_us=_runtimes_us(rng, jobs),
        vcpus=ones,
        memory_mib=MEMORY_PER_SLOT_MIB * ones,
        gpus=0 * ones,
        queue=0 * ones,
        queue_priorities=(1,),
        kinds=(kind,),
    )


def _mixed_jobs(jobs: int, seed: int, capacity_vcpus: int) -> Shape:
    rng = np.random.default_rng(seed)
    needs = np.array(list(itertools.product(_VCPU_SHARES, _MIB_PER_VCPU_SHARES)), dtype=np.int64)
    shares = np.outer(list(_VCPU_SHARES.values()), list(_MIB_PER_VCPU_SHARES.values())).ravel()
    vcpus, mib_per_vcpu = needs[rng.choice(len(needs), jobs, p=shares)].T
    mean_vcpus = sum(vcpus * share for vcpus, share in _VCPU_SHARES.items())
    return Shape(
        submit_us=_poisson_us(rng, jobs, MIXED_LOAD * capacity_vcpus / mean_vcpus / MEAN_RUNTIME_S),
        runtime_us=_runtimes_us(rng, jobs),
        vcpus=vcpus,
        memory_mib=vcpus * mib_per_vcpu,
        gpus=np.zeros(jobs, dtype=np.int64),
        queue=rng.choice(len(QUEUE_PRIORITIES), jobs, p=_QUEUE_SHARES).astype(np.int64),
        queue_priorities=QUEUE_PRIORITIES,
        kinds=(),
    )


def _poisson_us(rng: np.random.Generator, jobs: int, rate_per_s: float) -> NDArray[np.int64]:
    return np.cumsum(rng.exponential(US_PER_S / rate_per_s, jobs)).astype(np.int64)


def _runtimes_us(rng: np.random.Generator, jobs: int) -> NDArray[np.int64]:
    return np.maximum(1, rng.exponential(US_PER_S * MEAN_RUNTIME_S, jobs)).astype(np.int64)


def _at_once(shape: Shape) -> Shape:
    return replace(shape, submit_us=np.zeros_like(shape.submit_us))
