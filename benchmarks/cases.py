"""What is measured: functions that make their own jobs, run one simulator on them, and say what that took.

Each is to be called in a process of its own (see `measure`). CPU time counts from the jobs as numpy columns
to the simulator's answer: for batchsim to the result's frames and summary, for the others to a list of
starts, and for all of them but the log's also to where every start is known. Making the columns and importing
are not counted; memory counts everything.

The graph and the arrays of a shape are columns, too. batchsim runs the fixed fleets with AWS's delays off,
since the yardstick has none, and the managed shapes with AWS's cadence: a pass each second, a scaling
decision each 30 s, 90 s to boot, 120 s of idleness.
"""

from __future__ import annotations

import tempfile
import time
from array import array
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from batchsim import run
from batchsim.core.dependencies import Graph
from batchsim.core.plan import ClassPlan, EnvironmentPlan, MachineType, Need, Plan, Policy, QueuePlan
from batchsim.core.shares import FairSharePolicy
from batchsim.core.waits import REASON_NAMES
from batchsim.drivers.simulated import simulate
from batchsim.drivers.spot import Interruptions
from batchsim.drivers.world import Boot, Machines, Outcome, World
from batchsim.results.build import build_result
from batchsim.results.context import EnvironmentRow, InstanceTypeRow, RunContext
from batchsim.results.recording import Recorder
from batchsim.scenario import parse_scenario
from batchsim.workload.table import Arrays
from benchmarks import shapes
from benchmarks.measure import peak_mib
from benchmarks.rivals.accasim_shim import run_accasim
from benchmarks.rivals.heap_fcfs import heap_fcfs
from benchmarks.rivals.kiefer_wolfowitz import kiefer_wolfowitz
from benchmarks.rivals.textbook_simpy import (
    Delays,
    identical_slots,
    managed_dispatcher,
    managed_filter_store,
    managed_resource,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from batchsim.workload.edges import Edges
    from benchmarks.shapes import Shape

DELAYS = Delays()
PASS_INTERVAL_US = shapes.US_PER_S
BACKLOG_SLOTS = 1024
MOST_ATTEMPTS = 10
SPOT_NOTICE_US = 120 * shapes.US_PER_S


class Cost(NamedTuple):
    """What a run took: `starts_cpu_s` until it was known when each job starts, of `cpu_s` for all of it.

    mean_wait_s   over all its jobs, in seconds
    """

    jobs: int
    cpu_s: float
    starts_cpu_s: float
    peak_mib: float
    mean_wait_s: float

    @property
    def us_per_job(self) -> float:
        return self.cpu_s / self.jobs * 1e6


def batchsim(shape_name: str, jobs: int) -> Cost:
    return _batchsim(shapes.SHAPES[shape_name](jobs))


def batchsim_fleet(jobs: int, instances: int) -> Cost:
    return _batchsim(shapes.fleet(jobs, instances=instances))


def slots_rival(rival: Callable[[list[int], list[int], int], list[int]], shape_name: str, jobs: int) -> Cost:
    """A simulator of identical slots."""
    shape = shapes.SHAPES[shape_name](jobs)
    began = time.process_time()
    starts = rival(shape.submit_us.tolist(), shape.runtime_us.tolist(), shape.slots)
    return _cost(shape, time.process_time() - began, starts)


def managed_rival(rival: Callable[[Shape], object], shape_name: str, jobs: int) -> Cost:
    """A simulator of a managed environment."""
    shape = shapes.SHAPES[shape_name](jobs)
    began = time.process_time()
    outcome = rival(shape)
    return _cost(shape, time.process_time() - began, outcome.starts)  # type: ignore[attr-defined]


def accasim(python: str, jobs: int) -> Cost:
    """AccaSim in the interpreter `python`, on a log that asks for more than its slots can serve."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log.swf")
        shapes.write_swf(shapes.backlogged(jobs, slots=BACKLOG_SLOTS), log)
        outcome = run_accasim(python, log, BACKLOG_SLOTS)
    return Cost(outcome.jobs, outcome.cpu_s, outcome.cpu_s, outcome.peak_mib, outcome.mean_wait_s)


def batchsim_log(jobs: int) -> Cost:
    """The same log in batchsim, scenario, log and all, as `batchsim.run` does it."""
    with tempfile.TemporaryDirectory() as folder:
        shapes.write_swf(shapes.backlogged(jobs, slots=BACKLOG_SLOTS), Path(folder, "log.swf"))
        began = time.process_time()
        result = run(parse_scenario(_LOG_SCENARIO, base=Path(folder)))
        cpu_s = time.process_time() - began
    return Cost(len(result.jobs), cpu_s, cpu_s, peak_mib(), result.summary["waiting_mean_s"])


_LOG_SCENARIO = f"""
batchsim: 1
computeEnvironments:
  - computeEnvironmentName: slots
    type: UNMANAGED
    instances: [{{vcpus: {BACKLOG_SLOTS}, memory: 4TiB, usdPerHour: 0}}]
jobQueues:
  - {{jobQueueName: q, computeEnvironmentOrder: [{{order: 1, computeEnvironment: slots}}]}}
workload:
  - {{name: log, jobQueue: q, trace: {{format: swf, path: log.swf}}}}
assumptions: {{preset: ideal}}
"""

SLOT_RIVALS = {
    "heapq loop": partial(slots_rival, heap_fcfs),
    "recursion": partial(slots_rival, kiefer_wolfowitz),
    "SimPy PriorityResource": partial(slots_rival, identical_slots),
}
MANAGED_RIVALS = {
    "SimPy dispatcher": partial(managed_rival, managed_dispatcher),
    "SimPy Resource": partial(managed_rival, managed_resource),
    "SimPy FilterStore": partial(managed_rival, managed_filter_store),
}


def _batchsim(shape: Shape) -> Cost:
    began = time.process_time()
    plan, world, context = prepare(shape)
    recorder = Recorder(len(shape))
    simulate(plan, world, recorder)
    starts_cpu_s = time.process_time() - began
    result = build_result(recorder, context)
    cpu_s = time.process_time() - began
    assert result.summary["outcome"] == "finished"
    return Cost(len(shape), cpu_s, starts_cpu_s, peak_mib(), result.summary["waiting_mean_s"])


def _cost(shape: Shape, cpu_s: float, starts: list[int]) -> Cost:
    mean_wait_s = float(np.mean(np.array(starts) - shape.submit_us)) / shapes.US_PER_S
    return Cost(len(shape), cpu_s, cpu_s, peak_mib(), mean_wait_s)


# --- from a shape to what the driver and the result need ----------------------------------------------------


class JobRow(NamedTuple):
    """What the results want to know of a job class."""

    group: str
    queue: str
    job_definition: str | None
    vcpus: int
    memory_mib: int
    gpus: int
    attempts: int
    share: str | None = None
    priority: int = 0
    nodes: None = None

    @property
    def vcpu_quarters(self) -> int:
        return 4 * self.vcpus


def prepare(shape: Shape) -> tuple[Plan, World, RunContext]:
    """What `prepare` and `describe` make of a scenario, made of a shape."""
    share = 0 * shape.queue if shape.share is None else shape.share
    distinct, class_of = _intern(np.stack([shape.queue, share, shape.vcpus, shape.memory_mib, shape.gpus]))
    policy = None if shape.share is None else FairSharePolicy()
    needs: dict[Need, int] = {}
    classes = [
        ClassPlan(
            queue,
            needs.setdefault(Need(*need), len(needs)),
            attempts=MOST_ATTEMPTS if shape.losses_per_h else 1,
            share=share if policy else -1,
        )
        for queue, share, *need in distinct
    ]
    managed = bool(shape.max_vcpus)
    plan = Plan(
        types=[
            MachineType(kind.name, kind.vcpus, kind.memory_mib, 0, round(kind.usd_per_hour * 1e6))
            for kind in shape.kinds
        ],
        environments=[_environment(shape)],
        queues=[
            QueuePlan(f"q{index}", priority, (0,), fair_share=policy)
            for index, priority in enumerate(shape.queue_priorities)
        ],
        needs=list(needs),
        classes=classes,
        class_of=array("i", class_of.tobytes()),
        policy=_cadence() if managed else Policy(),
        shares=[f"share{number}" for number in range(shapes.SHARES)] if policy else (),
        graph=_graph(shape.edges),
    )
    world = World(
        submit_us=array("q", shape.submit_us.tobytes()),
        runtime_us=array("q", shape.runtime_us.tobytes()),
        class_of=plan.class_of,
        outcomes=[Outcome()] * len(classes),
        images=[()] * len(classes),
        pull_us=[0] * len(classes),
        boot=Boot(0, 0, DELAYS.boot_us),
        machines=[Machines(0, row, kind.instances, "") for row, kind in enumerate(shape.kinds)],
        interruptions=_interruptions(shape),
    )
    return plan, world, _context(shape, plan, class_of)


def _environment(shape: Shape) -> EnvironmentPlan:
    types = tuple(range(len(shape.kinds)))
    plain = EnvironmentPlan("ce", types, managed=bool(shape.max_vcpus), max_vcpus=shape.max_vcpus)
    if not shape.losses_per_h:
        return plain
    return replace(plain, strategy="SPOT_PRICE_CAPACITY_OPTIMIZED", bands=tuple(-(row % 3) for row in types))


def _interruptions(shape: Shape) -> Interruptions | None:
    """Half of them take all instances of a type."""
    if not shape.losses_per_h:
        return None
    rate = shape.losses_per_h / 3600 / shapes.US_PER_S
    rows = range(len(shape.kinds))
    return Interruptions(
        dict.fromkeys(rows, rate), {row: row for row in rows}, shapes.SHARED_LOSSES, SPOT_NOTICE_US
    )


def _cadence() -> Policy:
    return Policy(
        scheduling_interval_us=PASS_INTERVAL_US,
        scaling_interval_us=DELAYS.scaling_us,
        idle_scale_in_us=DELAYS.idle_us,
    )


def _graph(edges: Edges | None) -> Graph:
    if edges is None:
        return Graph()
    return Graph(
        len(edges.waits_for) - len(edges.patient),
        edges.successor_start.tolist(),
        edges.successors.tolist(),
        edges.waits_for.tolist(),
        edges.patient.tolist(),
    )


def _intern(
    columns: np.ndarray[tuple[int, int], np.dtype[np.int64]],
) -> tuple[list[list[int]], np.ndarray[tuple[int], np.dtype[np.int32]]]:
    """The distinct rows, and for each job the number of its row."""
    packed = np.zeros(columns.shape[1], dtype=np.int64)
    for column in columns:
        packed = packed * (int(column.max()) + 1) + column
    class_of, distinct = pd.factorize(packed)
    first = np.zeros(len(distinct), dtype=np.int64)
    first[class_of[::-1]] = np.arange(len(packed))[::-1]
    return columns[:, first].T.tolist(), class_of.astype(np.int32)


def _context(shape: Shape, plan: Plan, class_of: np.ndarray[tuple[int], np.dtype[np.int32]]) -> RunContext:
    classes = [
        JobRow(
            f"jobs{number}",
            f"q{each.queue}",
            None,
            *plan.needs[each.need],
            each.attempts,
            None if each.share < 0 else plan.shares[each.share],
        )
        for number, each in enumerate(plan.classes)
    ]
    children = np.arange(len(shape), dtype=np.int32) % max(shape.children, 1)
    return RunContext(
        name="benchmark",
        region="us-east-1",
        scenario={},
        digest="",
        assumptions={},
        submit_us=shape.submit_us,
        job_class=class_of,
        ordinal=np.arange(len(shape)),
        classes=classes,
        queues=[queue.name for queue in plan.queues],
        wait_reasons=REASON_NAMES,
        environments=[
            EnvironmentRow(each.name, each.managed, each.min_vcpus, each.max_vcpus)
            for each in plan.environments
        ],
        instance_types=[
            InstanceTypeRow(
                each.name,
                each.vcpus,
                each.memory_mib,
                each.gpus,
                each.uusd_per_hour,
                "spot" if shape.losses_per_h else "ec2",
            )
            for each in plan.types
        ],
        arrays=Arrays.of(children) if shape.children else None,
        edges=shape.edges,
        version="benchmark",
    )
