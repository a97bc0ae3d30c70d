"""Small worlds for the tests of results: one told by hand, and a tick-by-tick FIFO generator.

The generator is slow and obvious: at each tick it looks at everything. It writes a Recorder the way a
driver does, so whatever it gives is a good result by construction.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from batchsim.results import EnvironmentRow, InstanceTypeRow, Recorder, Result, RunContext, build_result
from batchsim.results.recording import FAILED, PENDING, SUCCEEDED
from batchsim.scenario import Dependency
from batchsim.workload.edges import Rows, build_edges
from batchsim.workload.table import Arrays

S = 1_000_000


class NodeGroup(NamedTuple):
    vcpu_quarters: int
    memory_mib: int = 100
    gpus: int = 0


class Nodes(NamedTuple):
    groups: tuple[NodeGroup, ...]
    group_of: tuple[int, ...]
    main: int = 0


class JobClass(NamedTuple):
    group: str
    queue: str
    vcpus: int = 1
    memory_mib: int = 100
    gpus: int = 0
    attempts: int = 1
    job_definition: str | None = None
    quarters: int = 0  # of a vCPU, beside `vcpus`
    share: str | None = None
    priority: int = 0
    nodes: Nodes | None = None

    @property
    def vcpu_quarters(self) -> int:
        return 4 * self.vcpus + self.quarters


def context_of(classes: list[JobClass], jobs: list[tuple[int, int]], **more: Any) -> RunContext:
    """A context of jobs (submit in us, class), with one environment and one type unless told otherwise."""
    ordinals, seen = [], {}
    for _, row in jobs:
        group = classes[row].group
        ordinals.append(seen.setdefault(group, 0))
        seen[group] += 1
    scenario = more.get("scenario", {"batchsim": 1, "name": "small", "workload": _entries(classes)})
    settings: dict[str, Any] = {
        "name": "small",
        "region": "us-east-1",
        "scenario": scenario,
        "digest": digest_of(scenario),
        "assumptions": {"preset": "ideal", "backfill": "none"},
        "submit_us": np.array([submit for submit, _ in jobs], dtype=np.int64),
        "job_class": np.array([row for _, row in jobs], dtype=np.int32),
        "ordinal": np.array(ordinals, dtype=np.int64),
        "classes": classes,
        "queues": list(dict.fromkeys(row.queue for row in classes)),
        "environments": [EnvironmentRow("lab", managed=True)],
        "instance_types": [InstanceTypeRow("box", 4, 1000, 1, 3_600_000)],
        "version": "0.1.0",
    }
    return RunContext(**(settings | more))


def digest_of(scenario: dict[str, Any]) -> str:
    """SHA-256 of a scenario as a manifest holds it."""
    return hashlib.sha256(json.dumps(scenario, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _entries(classes: list[JobClass]) -> list[dict[str, Any]]:
    attempts = {row.group: {each.attempts for each in classes if each.group == row.group} for row in classes}
    return [
        {"name": group, "retryStrategy": {"attempts": min(allowed)}}
        for group, allowed in attempts.items()
        if len(allowed) == 1
    ]


def told_by_hand() -> tuple[Recorder, RunContext]:
    """Eight jobs, three instances, every kind of ending; the run stops at its horizon of 200 s.

    Instances   0  cloud small   billed 10 s .. 100 s (lost), ready at 40 s
                1  lab big       the whole run, a machine named "box-7"
                2  cloud small   requested at 60 s, gave up at 80 s, never ran
    Jobs        0  align  two attempts on 0: exit 1, then exit 0
                1  train  on 1, exit 0
                2  align  on 0 while it is lost, before its container ran; its retry waits
                3  train  on 1, RUNNING at the end
                4  train  RUNNABLE behind 3
                5  index  on 1, killed by its timeout
                6  align  SUBMITTED
                7  align  would have come after the end
    """
    align = JobClass("align", "bulk", 2, 1000, 0, 2, "align-def")
    train = JobClass("train", "gpu", 3, 8000, 1)
    index = JobClass("index", "own", 1, 100)
    submits = (1 * S, 5_500_000, 20 * S, 120 * S, 130 * S, 140 * S, 199_500_000, 250 * S)
    rows = (0, 1, 0, 1, 1, 2, 0, 0)
    context = context_of(
        [align, train, index],
        list(zip(submits, rows, strict=True)),
        queues=["gpu", "bulk", "own", "empty"],
        environments=[EnvironmentRow("cloud", True, 0, 16), EnvironmentRow("lab", False)],
        instance_types=[
            InstanceTypeRow("small", 2, 4000, 0, 100_000),
            InstanceTypeRow("big", 4, 16_000, 1, 3_600_000),
            InstanceTypeRow("unused", 96, 1, 0, 1),
        ],
        horizon_us=200 * S,
        assumptions={
            "preset": "ideal",
            "submitEvaluation": "1s",
            "dispatchDelay": "1s",
            "containerStart": {"constant": "2s"},
            "backfill": "none",
        },
        scenario={
            "batchsim": 1,
            "name": "small",
            "jobDefinitions": [{"jobDefinitionName": "align-def", "containerProperties": {}}],
            "workload": _entries([align, train, index]),
        },
        seed=7,
        price_date="2026-01-31",
        notes={"align": {"source": "generated"}},
        not_modelled=["tags"],
    )
    recorder = Recorder(8)
    for environment, kind, requested, running, ready, ended, reason, name in (
        (0, 0, 0, 10 * S, 40 * S, 100 * S, "lost", ""),
        (1, 1, 0, 0, 0, -1, "", "box-7"),
        (0, 0, 60 * S, 90 * S, 120 * S, 80 * S, "gave up", ""),
    ):
        row = recorder.add_instance(environment, kind, requested, name)
        recorder.i_running_us[row], recorder.i_ready_us[row] = running, ready
        recorder.i_ended_us[row] = ended
        if reason:
            recorder.i_end_reason[row] = reason
    for job, submit in enumerate(submits[:6]):
        recorder.runnable_us[job] = submit + S
    write_attempt(recorder, 0, 0, 40 * S, 41 * S, 45 * S, 75 * S, 1, 43 * S)
    recorder.keep_attempt(0)
    write_attempt(recorder, 0, 0, 75 * S, 76 * S, 78 * S, 98 * S, 0, 76 * S)
    recorder.state[0] = SUCCEEDED
    write_attempt(recorder, 1, 1, 7 * S, 8 * S, 10_250_000, 110_250_000, 0)
    recorder.state[1] = SUCCEEDED
    recorder.gpus[1] = recorder.gpus[3] = 0b1
    write_attempt(recorder, 2, 0, 98 * S, 99 * S, 103 * S, 100 * S, -1, 99 * S)
    recorder.status_reason[2] = "Host EC2 (instance i-00000000000000000) terminated."
    recorder.keep_attempt(2)
    write_attempt(recorder, 3, 1, 121 * S, 122 * S, 130 * S, -1, -1)
    write_attempt(recorder, 5, 1, 142 * S, 143 * S, 145 * S, 175 * S, 137)
    recorder.state[5] = FAILED
    recorder.status_reason[5] = "Job attempt duration exceeded timeout"
    recorder.reason[5] = "=killed"
    recorder.finish(200 * S, "horizon")
    return recorder, context


def told_of_everything() -> tuple[Recorder, RunContext]:
    """Fifteen jobs of every kind; the run stops at its horizon of 120 s. See `EVERYTHING` for its jobs.

    Instances   0 to 2  cloud  8 vCPUs, 2 GPUs; for the nodes of mpi-0
                3       eks    8 vCPUs, 2 GPUs; for pods, in parts of a vCPU
                4       lab    8 vCPUs
    """
    every = [row.job_class for row in EVERYTHING]
    arrays = Arrays.of(np.array([row.index for row in EVERYTHING], dtype=np.int32))
    groups = {
        "part": Rows(np.array([[3, 4, 5]])),
        "join": Rows(np.array([6]), [Dependency(group="part")]),
        "last": Rows(np.array([7]), [Dependency(group="join")]),
        "frail": Rows(np.array([[8, 9]])),
        "after": Rows(np.array([10]), [Dependency(group="frail"), Dependency(group="part")]),
        "slow": Rows(np.array([13])),
        "late": Rows(np.array([14]), [Dependency(group="slow")]),
    }
    classes = list(dict.fromkeys(every))
    fair = {"name": "fair", "fairsharePolicy": {"shareDecaySeconds": 60}}
    context = context_of(
        classes,
        [(row.submit * S, classes.index(row.job_class)) for row in EVERYTHING],
        ordinal=np.array([row.ordinal for row in EVERYTHING], dtype=np.int64),
        environments=[
            EnvironmentRow("cloud", True, 0, 64),
            EnvironmentRow("eks", True, 0, 64),
            EnvironmentRow("lab", False),
        ],
        instance_types=[InstanceTypeRow("gpu", 8, 8000, 2, 3_600_000), InstanceTypeRow("cpu", 8, 8000, 0, 0)],
        assumptions={"submitEvaluation": "1s", "dispatchDelay": "1s", "backfill": "none"},
        scenario={
            "batchsim": 1,
            "name": "small",
            "jobQueues": [{"jobQueueName": "pods", "schedulingPolicyArn": "fair"}],
            "schedulingPolicies": [fair],
            "workload": [
                {
                    "name": row.group,
                    "retryStrategy": {"attempts": row.attempts},
                    **({"shareIdentifier": {row.share: 1.0}} if row.share else {}),
                    "schedulingPriorityOverride": row.priority,
                }
                for row in classes
            ],
        },
        horizon_us=120 * S,
        arrays=arrays,
        edges=build_edges(groups, len(EVERYTHING)),
    )
    return _record_of_everything(), context


class Row(NamedTuple):
    """A job of `told_of_everything`; its last attempt as instance, placed, started, ended, exit code."""

    job_class: JobClass
    ordinal: int
    submit: int
    runnable: int
    attempt: tuple[int, int, int, int, int] | None
    index: int = -1
    ended: int = -1
    reason: str = ""
    requested: str = ""
    gpus: int = 0


_NODES = Nodes((NodeGroup(8, 1000, 2), NodeGroup(5, 500, 1)), (1, 0, 1), 1)
_MPI = JobClass("mpi", "gang", 4, 2000, 4, 2, quarters=2, nodes=_NODES)
_POD = JobClass("pod", "pods", 0, 100, 1, quarters=1, share="red", priority=3)
_BIG = JobClass("big", "pods", 0, 100, 1, quarters=3, share="blue")
_PART, _JOIN, _LAST, _FRAIL, _AFTER, _SLOW, _LATE = (
    JobClass(name, "bulk") for name in ("part", "join", "last", "frail", "after", "slow", "late")
)
EVERYTHING = (
    Row(_MPI, 0, 0, 1, (1, 28, 30, 60, 0), gpus=0b11),
    Row(_POD, 0, 0, 1, (3, 5, 7, 57, 0), gpus=0b01),
    Row(_BIG, 0, 0, 1, (3, 5, 7, 107, 0), gpus=0b10),
    Row(_PART, 0, 10, 11, (4, 11, 13, 33, 0), 0),
    Row(_PART, 0, 10, 11, (4, 11, 13, 43, 0), 1),
    Row(_PART, 0, 10, 11, (4, 11, 13, 53, 0), 2),
    Row(_JOIN, 0, 10, 53, (4, 53, 55, 75, 0)),
    Row(_LAST, 0, 10, 75, (4, 75, 77, 97, 0)),
    Row(_FRAIL, 0, 20, 21, (4, 21, 23, 30, 7), 0),
    Row(_FRAIL, 0, 20, 21, (4, 21, 23, 80, 0), 1),
    Row(_AFTER, 0, 20, -1, None, ended=80, reason="Dependent Job failed"),
    Row(_POD, 1, 50, 51, None, ended=56, reason="not needed", requested="cancelled"),
    Row(_BIG, 1, 50, 51, (3, 57, 59, 90, 143), reason="stop it", requested="terminated", gpus=0b01),
    Row(_SLOW, 0, 60, 61, (4, 61, 63, -1, -1)),
    Row(_LATE, 0, 60, -1, None),
)


def _record_of_everything() -> Recorder:
    recorder = Recorder(len(EVERYTHING))
    for environment, kind in ((0, 0), (0, 0), (0, 0), (1, 0), (2, 1)):
        row = recorder.add_instance(environment, kind, 0)
        recorder.i_running_us[row], recorder.i_ready_us[row] = 1 * S, 5 * S
    # node, attempt, instance, placed, starting, started, ended, exit code; the main node is 1
    for number, children in enumerate(
        (
            ((0, 0, 8, 9, 10, 20, 0), (2, 2, 8, 9, 10, 28, 143)),
            ((0, 0, 30, 31, 33, 60, 143), (2, 2, 30, 31, 33, 55, 1)),
        ),
        1,
    ):
        for node, instance, *instants, code in children:
            row = recorder.add_node(0, number, node, instance, instants[0] * S)
            recorder.n_starting_us[row], recorder.n_started_us[row], recorder.n_ended_us[row] = (
                each * S for each in instants[1:]
            )
            recorder.n_exit_code[row] = code
    write_attempt(recorder, 0, 1, 5 * S, 6 * S, 8 * S, 28 * S, 1)
    recorder.gpus[0] = 0b11
    recorder.keep_attempt(0)
    for job, told in enumerate(EVERYTHING):
        recorder.runnable_us[job] = told.runnable * S if told.runnable >= 0 else -1
        ended = told.ended
        if told.attempt is not None:
            instance, placed, started, ended, code = told.attempt
            end_us = ended * S if ended >= 0 else -1
            write_attempt(recorder, job, instance, placed * S, (placed + 1) * S, started * S, end_us, code)
            recorder.state[job] = {-1: 0, 0: SUCCEEDED}.get(code, FAILED)
        elif ended >= 0:
            recorder.ended_us[job] = ended * S
            recorder.state[job] = FAILED
        else:
            recorder.state[job] = PENDING
        if told.reason:
            recorder.status_reason[job] = told.reason
        if told.requested:
            recorder.requested[job] = told.requested
        if told.gpus:
            recorder.gpus[job] = told.gpus
    recorder.finish(120 * S, "horizon")
    return recorder


def write_attempt(  # noqa: PLR0917 - a row of a table
    recorder: Recorder,
    job: int,
    instance: int,
    placed: int,
    starting: int,
    started: int,
    ended: int,
    code: int,
    pulled: int = -1,
) -> None:
    recorder.attempts[job] += 1
    recorder.instance[job] = instance
    recorder.placed_us[job] = placed
    recorder.starting_us[job] = starting
    recorder.pulled_us[job] = pulled
    recorder.started_us[job] = started
    recorder.ended_us[job] = ended
    recorder.exit_code[job] = code


@dataclass
class Machine:
    """An instance of the generator: ready and lost at ticks (lost -1: never)."""

    environment: int
    kind: int
    running: int = 0
    ready: int = 0
    lost: int = -1


@dataclass
class Job:
    """Runs `lasts[k]` ticks in attempt k and exits with `codes[k]`; the last ones are repeated."""

    submit: int
    job_class: int
    lasts: list[int] = field(default_factory=lambda: [1])
    codes: list[int] = field(default_factory=lambda: [0])


@dataclass
class World:
    """Jobs in order of submission, on machines; queue q may use environment q modulo their number."""

    classes: list[JobClass]
    kinds: list[InstanceTypeRow]
    environments: int
    machines: list[Machine]
    jobs: list[Job]
    evaluate: int = 0
    dispatch: int = 0
    pull: int = 0
    horizon: int | None = None
    tick_us: int = S


def record(world: World) -> tuple[Recorder, RunContext]:
    """Run the world tick by tick: losses, exits, then each queue's heads while they fit."""
    return _Ticks(world).run()


def result_of(world: World) -> Result:
    return build_result(*record(world))


class _Ticks:
    def __init__(self, world: World) -> None:
        self.world = world
        self.recorder = Recorder(len(world.jobs))
        self.queues = list(dict.fromkeys(row.queue for row in world.classes))
        self.retried: list[int] = []
        self.line: list[int] = []  # jobs that are RUNNABLE for the first time
        self.exits: dict[int, int] = {}  # job -> tick at which its container exits
        for machine in world.machines:
            row = self.recorder.add_instance(machine.environment, machine.kind, 0)
            self.recorder.i_running_us[row] = machine.running * world.tick_us
            self.recorder.i_ready_us[row] = machine.ready * world.tick_us

    def run(self) -> tuple[Recorder, RunContext]:
        world, recorder = self.world, self.recorder
        last = 0
        instants = [job.submit + world.evaluate for job in world.jobs]
        instants += [tick for machine in world.machines for tick in (machine.ready, machine.lost)]
        now = 0
        outcome = "stalled"
        while True:
            if world.horizon is not None and now >= world.horizon:
                last, outcome = world.horizon, "horizon"
                break
            if self.tick(now):
                last = now
            if all(state >= SUCCEEDED for state in recorder.state) and now >= max(instants, default=0):
                outcome = "finished"
                break
            if not self.exits and now >= max(instants, default=0):
                break
            now += 1
        if outcome == "horizon" and all(state >= SUCCEEDED for state in recorder.state):
            outcome = "finished"
        if outcome == "stalled":
            for job in [*self.retried, *self.line]:
                recorder.status_reason[job] = "nothing fits"
        recorder.finish(last * world.tick_us, outcome)
        context = context_of(
            world.classes,
            [(job.submit * world.tick_us, job.job_class) for job in world.jobs],
            environments=[EnvironmentRow(f"env{row}", managed=True) for row in range(world.environments)],
            scenario={
                "batchsim": 1,
                "name": "small",
                "workload": _entries(world.classes),
                "jobQueues": [
                    {
                        "jobQueueName": name,
                        "computeEnvironmentOrder": [
                            {"order": 1, "computeEnvironment": f"env{row % world.environments}"}
                        ],
                    }
                    for row, name in enumerate(self.queues)
                ],
            },
            instance_types=world.kinds,
            assumptions={
                "submitEvaluation": f"{world.evaluate * world.tick_us}us",
                "dispatchDelay": f"{world.dispatch * world.tick_us}us",
                "backfill": "none",
            },
            horizon_us=None if world.horizon is None else world.horizon * world.tick_us,
        )
        return recorder, context

    def tick(self, now: int) -> bool:
        world, recorder, us = self.world, self.recorder, now * self.world.tick_us
        happened = False
        for job in [job for job, tick in self.exits.items() if tick == now]:
            recorder.ended_us[job] = us
            attempt = recorder.attempts[job] - 1
            code = recorder.exit_code[job] = _at(world.jobs[job].codes, attempt)
            self.ended(job, code == 0)
            happened = True
        for row, machine in enumerate(world.machines):
            if machine.lost == now:
                recorder.i_ended_us[row] = us
                recorder.i_end_reason[row] = "lost"
                for job in sorted(job for job in self.exits if recorder.instance[job] == row):
                    recorder.ended_us[job] = us
                    if recorder.started_us[job] >= us:
                        recorder.started_us[job] = -1  # it was lost first
                    recorder.status_reason[job] = f"Host EC2 (instance i-{row:017x}) terminated."
                    self.ended(job, success=False)
                happened = True
            happened |= machine.ready == now
        for job, spec in enumerate(world.jobs):
            if spec.submit + world.evaluate == now:
                recorder.runnable_us[job] = us
                self.line.append(job)
            happened |= spec.submit + world.evaluate == now
        for queue, name in enumerate(self.queues):
            while (job := self.head(name)) is not None and self.place(now, job, queue % world.environments):
                happened = True
        return happened

    def ended(self, job: int, success: bool) -> None:
        recorder = self.recorder
        del self.exits[job]
        if success:
            recorder.state[job] = SUCCEEDED
        elif recorder.attempts[job] < self.need(job).attempts:
            recorder.keep_attempt(job)
            self.retried.append(job)
        else:
            recorder.state[job] = FAILED

    def need(self, job: int) -> JobClass:
        return self.world.classes[self.world.jobs[job].job_class]

    def head(self, queue: str) -> int | None:
        retried = sorted(job for job in self.retried if self.need(job).queue == queue)
        fresh = [job for job in self.line if self.need(job).queue == queue]
        return next(iter(retried + fresh), None)

    def place(self, now: int, job: int, environment: int) -> bool:
        world, recorder, need = self.world, self.recorder, self.need(job)
        for row, machine in enumerate(world.machines):
            there = machine.ready <= now and not 0 <= machine.lost <= now
            kind = world.kinds[machine.kind]
            held = [self.need(other) for other in self.exits if recorder.instance[other] == row]
            fits = (
                sum(other.vcpus for other in held) + need.vcpus <= kind.vcpus
                and sum(other.memory_mib for other in held) + need.memory_mib <= kind.memory_mib
                and sum(other.gpus for other in held) + need.gpus <= kind.gpus
            )
            if machine.environment == environment and there and fits:
                (self.retried if job in self.retried else self.line).remove(job)
                started = now + world.dispatch + world.pull
                lasts = _at(world.jobs[job].lasts, recorder.attempts[job])
                tick = world.tick_us
                write_attempt(
                    recorder, job, row, now * tick, (now + world.dispatch) * tick, started * tick, -1, -1
                )
                self.exits[job] = started + lasts
                return True
        return False


def _at(values: list[int], number: int) -> int:
    return values[min(number, len(values) - 1)]
