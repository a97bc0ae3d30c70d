"""The frames as integers, seen by the audit alone: rows refer to rows, instants are microseconds.

-1 stands for "never", "none" and "unknown". Nothing is taken from the code that made the frames.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from batchsim.errors import ResultError
from batchsim.results.audit.violation import Violation, rows_where
from batchsim.results.columns import FRAMES, OPTIONAL_FRAMES, columns_of
from batchsim.units import MAX_TIME_US, US_PER_S, parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import numpy.typing as npt

QUARTERS = 4  # of a vCPU
MOST_SHARES = 500  # of which the summary tells
Ints = Any  # columns of integers; numpy's stubs lose the type of arithmetic on mixed widths
STATES = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED")
Amounts = dict[str, Ints]  # "vcpus" in quarters, "memory_mib", "gpus"
SUBMITTED, PENDING, RUNNABLE, STARTING, RUNNING, SUCCEEDED, FAILED = range(7)


@dataclass(frozen=True, slots=True)
class JobFacts:
    submit: Ints
    runnable: Ints
    start: Ints
    end: Ints
    state: Ints
    attempts: Ints
    allowed: Ints
    nodes: Ints
    amounts: Amounts
    queue: Ints
    instance: Ints
    exit_code: Ints
    first_attempt: Ints  # position among the attempts; -1 without one
    last_attempt: Ints

    @property
    def terminal(self) -> npt.NDArray[np.bool_]:
        return np.asarray(self.state >= SUCCEEDED)


@dataclass(frozen=True, slots=True)
class AttemptFacts:
    """By job, by number, then by node, whatever the order of the frame; `row` is the frame's row.

    attempt   of the main node, position among `Facts.attempts`; -1: there is none
    node      -1 but for multi-node jobs
    """

    row: Ints
    job: Ints
    number: Ints
    attempt: Ints
    node: Ints
    instance: Ints
    placed: Ints
    starting: Ints
    pulled: Ints
    started: Ints
    ended: Ints
    until: Ints  # its end, or the run's
    exit_code: Ints
    amounts: Amounts

    def where(self, flags: npt.NDArray[np.bool_]) -> AttemptFacts:
        """Only these rows."""
        columns = {field.name: getattr(self, field.name) for field in fields(self)}
        amounts = {name: column[flags] for name, column in columns.pop("amounts").items()}
        return AttemptFacts(**{name: column[flags] for name, column in columns.items()}, amounts=amounts)


@dataclass(frozen=True, slots=True)
class InstanceFacts:
    requested: Ints
    running: Ints
    ready: Ints
    ended: Ints
    amounts: Amounts


@dataclass(frozen=True, slots=True)
class Facts:
    """What the laws are about.

    attempts   of a multi-node job those of its main node, which decides for all
    holds      attempts and, of multi-node jobs, their other nodes: what is held of which instance
    """

    frames: Mapping[str, pd.DataFrame]
    summary: Mapping[str, Any]
    manifest: Mapping[str, Any]
    ended_at: int
    jobs: JobFacts
    attempts: AttemptFacts
    holds: AttemptFacts
    instances: InstanceFacts


def gather(
    frames: Mapping[str, pd.DataFrame], summary: Mapping[str, Any], manifest: Mapping[str, Any]
) -> tuple[Facts, list[Violation]]:
    """The facts, and what is wrong with them already: impossible instants, unknown or doubled names.

    Raises ResultError when a column that every result has is missing.
    """
    _check_columns(frames)
    reader = _Reader(frames)
    ended_at = round(summary["ended_at_s"] * US_PER_S)
    holds, mains = _attempt_facts(reader, ended_at)
    attempts = holds if mains.all() else holds.where(mains)
    facts = Facts(
        frames,
        summary,
        manifest,
        ended_at,
        _job_facts(reader, attempts),
        attempts,
        holds,
        InstanceFacts(
            requested=reader.instants("instances", "requested_s"),
            running=reader.instants("instances", "running_s"),
            ready=reader.instants("instances", "ready_s"),
            ended=reader.instants("instances", "ended_s"),
            amounts=reader.amounts("instances"),
        ),
    )
    return facts, reader.problems + _names(facts)


def _attempt_facts(reader: _Reader, ended_at: int) -> tuple[AttemptFacts, npt.NDArray[np.bool_]]:
    """All rows, and which of them are of main nodes."""
    frame, jobs = reader.frames["attempts"], reader.frames["jobs"]
    job = _rows_of_names(frame["job"], jobs["job"], jobs["attempts"].to_numpy())
    number = frame["attempt"].to_numpy()
    node = frame["node"].fillna(-1).to_numpy(dtype=np.int64)
    order = _order(job, number, node)
    mains = frame["is_main"].to_numpy()[order]
    ended = reader.instants("attempts", "ended_s")[order]
    holds = AttemptFacts(
        row=order,
        job=job[order],
        number=number[order],
        attempt=_main_rows(job[order], number[order], mains),
        node=node[order],
        instance=_codes(frame["instance"], reader.frames["instances"]["instance"])[order],
        placed=reader.instants("attempts", "placed_s")[order],
        starting=reader.instants("attempts", "starting_s")[order],
        pulled=reader.instants("attempts", "pulled_s")[order],
        started=reader.instants("attempts", "started_s")[order],
        ended=ended,
        until=np.where(ended < 0, ended_at, ended),
        exit_code=_exit_codes(frame)[order],
        amounts={name: column[order] for name, column in reader.amounts("attempts").items()},
    )
    return holds, mains


def _main_rows(job: Ints, number: Ints, mains: npt.NDArray[np.bool_]) -> Ints:
    """For each row the position, among the rows of main nodes, of that of its attempt; -1 without one."""
    if mains.all():
        return np.arange(len(job))
    new = np.append(True, (job[1:] != job[:-1]) | (number[1:] != number[:-1]))
    attempt = np.cumsum(new) - 1
    main_of = np.full(int(new.sum()), -1)
    main_of[attempt[mains]] = np.arange(int(mains.sum()))
    return main_of[attempt]


def _job_facts(reader: _Reader, attempts: AttemptFacts) -> JobFacts:
    frame = reader.frames["jobs"]
    first, last = _bounds(attempts.job, len(frame))
    return JobFacts(
        submit=reader.instants("jobs", "submit_s"),
        runnable=reader.instants("jobs", "runnable_s"),
        start=reader.instants("jobs", "start_s"),
        end=reader.instants("jobs", "end_s"),
        state=_codes(frame["state"], STATES),
        attempts=frame["attempts"].to_numpy(),
        allowed=frame["attempts_allowed"].to_numpy(),
        nodes=frame["nodes"].to_numpy(),
        amounts=reader.amounts("jobs"),
        queue=frame["queue"].cat.codes.to_numpy(),
        instance=_codes(frame["instance"], reader.frames["instances"]["instance"]),
        exit_code=_exit_codes(frame),
        first_attempt=first,
        last_attempt=last,
    )


def total(values: Ints) -> int:
    """The exact sum of an int64 column as a Python integer."""
    wide = np.asarray(values, dtype=np.int64)
    return (int((wide >> 32).sum()) << 32) + int((wide & 0xFFFF_FFFF).sum())


def series(facts: Facts) -> Iterator[tuple[str, str, npt.NDArray[np.int64]]]:
    """The kind, the name and the rows of each series of the timeseries frame."""
    by_name = facts.frames["timeseries"].groupby(["kind", "name"], observed=True, sort=False)
    for key, rows in by_name.indices.items():
        kind, name = cast("tuple[str, str]", key)
        yield kind, name, np.sort(rows)


def holders(facts: Facts, job: Ints) -> Iterator[tuple[str, Mapping[str, Any], Ints]]:
    """Each queue and each share of the summary: what to call it, its figures, and which rows are its.

    job   of each row, as a row of the jobs; -1 without one
    """
    frame, summary = facts.frames["jobs"], facts.summary
    for kind, parts, of_job in (
        ("queues", summary["queues"], _codes(frame["queue"], list(summary["queues"]))),
        ("shares", summary.get("shares", {}), _told_share(facts)),
    ):
        code = np.append(of_job, -1)[job]
        order = np.argsort(code, kind="stable")
        bounds = np.searchsorted(code[order], np.arange(len(parts) + 1))
        for row, (name, part) in enumerate(parts.items()):
            yield f"{kind}.{name}: ", part, order[bounds[row] : bounds[row + 1]]


def shares_in_use(facts: Facts) -> set[str]:
    """The names <queue>/<share> that jobs have."""
    queue, share = (facts.frames["jobs"][name].cat for name in ("queue", "share"))
    pairs = np.unique(np.stack((queue.codes, share.codes)), axis=1)
    return {
        f"{queue.categories[first]}/{share.categories[second]}" for first, second in pairs.T if second >= 0
    }


def _told_share(facts: Facts) -> Ints:
    """For each job the position of its share among those of the summary; -1 without one."""
    queue, share = (facts.frames["jobs"][name].cat for name in ("queue", "share"))
    told = {name: row for row, name in enumerate(facts.summary.get("shares", {}))}
    of_pair = np.full((len(queue.categories) + 1, len(share.categories) + 1), -1)
    for first, second in np.ndindex(len(queue.categories), len(share.categories)):
        of_pair[first, second] = told.get(f"{queue.categories[first]}/{share.categories[second]}", -1)
    return of_pair[queue.codes, share.codes]


class _Reader:
    """Reads instants and remembers those that cannot be."""

    def __init__(self, frames: Mapping[str, pd.DataFrame]) -> None:
        self.frames = frames
        self.problems: list[Violation] = []

    def instants(self, frame: str, column: str) -> npt.NDArray[np.int64]:
        us = self.frames[frame][column].to_numpy(dtype=np.float64) * US_PER_S
        possible = (us >= 0) & (us <= MAX_TIME_US)
        if possible.all():
            return np.asarray(np.rint(us, out=us), dtype=np.int64)
        self.problems += rows_where(
            ~possible & ~np.isnan(us), "L1", frame, f"{column} is not an instant of the run"
        )
        return np.rint(np.where(possible, us, -1)).astype(np.int64)

    def amounts(self, frame: str) -> Amounts:
        """VCPUs in quarters, memory and GPUs; -1 for vCPUs that are no whole quarters."""
        columns = self.frames[frame]
        vcpus = columns["vcpus"].to_numpy(dtype=np.float64) * QUARTERS
        whole = (vcpus >= 0) & (vcpus == np.rint(vcpus)) & (vcpus < MAX_TIME_US)
        self.problems += rows_where(~whole, "L3", frame, "vcpus are not whole quarters")
        return {
            "vcpus": np.where(whole, vcpus, -1).astype(np.int64),
            "memory_mib": columns["memory_mib"].to_numpy(),
            "gpus": columns["gpus"].to_numpy(),
        }


def _check_columns(frames: Mapping[str, pd.DataFrame]) -> None:
    for name in (*FRAMES, *(name for name in OPTIONAL_FRAMES if name in frames)):
        missing = [column.name for column in columns_of(name) if column.name not in frames[name].columns]
        if missing:
            raise ResultError(f"the {name} frame has no column {', '.join(missing)}")


def _names(facts: Facts) -> list[Violation]:
    jobs, instances = facts.frames["jobs"]["job"], facts.frames["instances"]["instance"]
    queue = facts.frames["jobs"]["queue"]
    doubled = np.zeros(len(jobs), dtype=np.bool_)
    if pc.count_distinct(_arrow(jobs)).as_py() < len(jobs):
        doubled = jobs.duplicated().to_numpy()
    return [
        *rows_where(doubled, "L2", "jobs", "the name of another job"),
        *rows_where(
            ~queue.isin(list(facts.summary["queues"])).to_numpy(),
            "L16",
            "jobs",
            "in a queue that the summary does not know",
        ),
        *rows_where(instances.duplicated().to_numpy(), "L4", "instances", "the name of another instance"),
        *rows_where(facts.holds.job < 0, "L5", "attempts", "no such job", facts.holds.row),
        *rows_where(facts.holds.instance < 0, "L4", "attempts", "no such instance", facts.holds.row),
    ]


def _rows_of_names(names: pd.Series[Any], of: pd.Series[Any], times: Ints) -> Ints:
    """The row in `of` of each name. Quick when each name of `of` comes `times` times, in order."""
    wanted, known = _arrow(names), _arrow(of)
    if (times >= 0).all() and int(times.sum()) == len(names):
        guess = np.repeat(np.arange(len(of)), times)
        expected = known if (times == 1).all() else known.take(guess)
        if expected.equals(wanted):
            return guess
    return pc.fill_null(pc.index_in(wanted, value_set=known), -1).to_numpy().astype(np.int64)


def _arrow(texts: pd.Series[Any]) -> Any:
    return pa.array(texts, pa.large_string(), from_pandas=True)


def _codes(column: pd.Series[Any], names: Any) -> Ints:
    """The position in `names` of each value of a categorical column, -1 for missing and unknown."""
    positions = pd.Index(names, dtype="str")
    first = ~positions.duplicated()
    known = pd.Series(np.flatnonzero(first), index=positions[first])
    of_category = known.reindex(pd.Index(column.cat.categories, dtype="str")).fillna(-1).to_numpy(np.int64)
    return np.append(of_category, -1)[column.cat.codes.to_numpy()]


def _exit_codes(frame: pd.DataFrame) -> Ints:
    return frame["exit_code"].fillna(-1).to_numpy(dtype=np.int64)


def _order(job: Ints, number: Ints, node: Ints) -> Ints:
    same = job[1:] == job[:-1]
    if ((job[1:] > job[:-1]) | (same & (number[1:] > number[:-1]))).all():
        return np.arange(len(job))
    return np.lexsort((node, number, job))


def _bounds(job: Ints, jobs: int) -> tuple[Ints, Ints]:
    """For each job the positions of its first and last attempt in the sorted column `job`."""
    begin = np.searchsorted(job, np.arange(jobs), side="left")
    end = np.searchsorted(job, np.arange(jobs), side="right")
    none = begin == end
    return np.where(none, -1, begin), np.where(none, -1, end - 1)


def instances_of(facts: Facts, holds: Callable[[Mapping[str, Any]], bool]) -> npt.NDArray[np.bool_]:
    """Which instances are of environments of which something holds, as the scenario says them."""
    names = [
        each["computeEnvironmentName"]
        for each in facts.manifest["scenario"].get("computeEnvironments", ())
        if holds(each)
    ]
    return facts.frames["instances"]["environment"].isin(names).to_numpy(np.bool_)


def kind_of(environment: Mapping[str, Any]) -> str | None:
    """The type of its compute resources, as the scenario says it; None if it has none."""
    return (environment.get("computeResources") or {}).get("type")


def said_updates(scenario: Mapping[str, Any]) -> list[tuple[int, dict[str, Any]]]:
    """The updates of environments and queues in a scenario's workload: when, and what, in order of time."""
    said = [
        (parse_duration(each["at"]), each["update"])
        for each in scenario.get("workload", ())
        if "update" in each
    ]
    return sorted(said, key=lambda each: each[0])
