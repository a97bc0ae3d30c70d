"""A real run against simulations of it: is its log the scheduler's own, and how far off are they.

    log       the log, told to a fresh scheduler, must give the same commands at the same instants
    measured  the same scenario, simulated with what every attempt of the real run took
    heard     likewise, but with the instants at which the scheduler heard of it, late by the engine's latency
    planned   the same scenario, simulated as `batchsim run` does, with no knowledge of the real run

What `measured` is off by and `heard` is not, the engine's latency explains.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from batchsim.drivers.decisions import History, is_told, read_log
from batchsim.drivers.planning import prepare
from batchsim.drivers.simulated import simulate
from batchsim.drivers.world import Measured
from batchsim.errors import ResultError
from batchsim.results import Result, build_result
from batchsim.results.names import DECISIONS
from batchsim.results.recording import Recorder
from batchsim.scenario import parse_scenario
from batchsim.studies.run import cut_at_horizon, describe
from batchsim.workload import build_workload

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from batchsim.drivers.decisions import Lived
    from batchsim.drivers.planning import Setup
    from batchsim.scenario import Scenario
    from batchsim.workload import Workload

_ATTEMPT = ["job", "attempt"]
_END = ["state", "status_reason", "reason", "exit_code"]
_ROWS_AT_ONCE = 512


class Pair(NamedTuple):
    """A figure of the real run and of the simulation."""

    real: float | None
    simulated: float | None

    @property
    def error(self) -> float | None:
        """Relative to the real one; None where that is nothing."""
        if not self.real or self.simulated is None:
            return 0.0 if self.real == self.simulated else None
        return (self.simulated - self.real) / self.real


class Spread(NamedTuple):
    """Absolute errors in seconds; None where there is none to take."""

    median_s: float | None
    p95_s: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """One simulation against the real run.

    starts         [(real, simulated)] starting instants in seconds, of jobs that started in both
    start, waiting errors of these jobs
    figures        waiting_mean_s, waiting_p50_s, makespan_s, cost_usd
    same_order     share of pairs of attempts that were placed in the same order, or at one instant in both
    same_instance  share of attempts that were placed on the same instance
    endings        jobs whose state, status reason, reason or exit code differ: (job, real, simulated)
    """

    starts: list[tuple[float, float]]
    start: Spread
    waiting: Spread
    figures: dict[str, Pair]
    same_order: float | None
    same_instance: float | None
    endings: list[tuple[str, str, str]]

    def to_dict(self) -> dict[str, Any]:
        return {
            "jobs_started_in_both": len(self.starts),
            "start_error_s": self.start._asdict(),
            "waiting_error_s": self.waiting._asdict(),
            "figures": {name: {**pair._asdict(), "error": pair.error} for name, pair in self.figures.items()},
            "same_order": self.same_order,
            "same_instance": self.same_instance,
            "different_endings": [
                dict(zip(("job", "real", "simulated"), each, strict=True)) for each in self.endings
            ],
        }


@dataclass(frozen=True, slots=True)
class Validation:
    """What a real run proves.

    entries, first_difference   of the log: events and decisions; the first line at which a fresh scheduler
                                decides otherwise, as (line of its own log, logged, decided), None if never
    measured, heard, planned    None for a run that was cut short, which no simulation can end like
    """

    entries: int
    first_difference: tuple[int, str, str] | None
    measured: Comparison | None = None
    heard: Comparison | None = None
    planned: Comparison | None = None

    @property
    def explained_by_latency(self) -> float | None:
        """The share of the median error of starting instants that the engine's latency explains."""
        if self.measured is None or self.heard is None:
            return None
        off, left = self.measured.start.median_s, self.heard.start.median_s
        return None if not off or left is None else max(0.0, 1 - left / off)

    def to_dict(self) -> dict[str, Any]:
        difference = self.first_difference
        return {
            "log": {
                "entries": self.entries,
                "identical": difference is None,
                "first_difference": difference
                and dict(zip(("line", "logged", "decided"), difference, strict=True)),
            },
            "explained_by_latency": self.explained_by_latency,
            **{
                name: None if each is None else each.to_dict()
                for name, each in (
                    ("measured", self.measured),
                    ("heard", self.heard),
                    ("planned", self.planned),
                )
            },
        }


def validate(folder: str | Path, scenario: Scenario | None = None) -> Validation:
    """Judge the real run whose result is in `folder`.

    `scenario` is needed where the run's own reads files, such as traces, which are not in the folder; it must
    be the one that was run. Raises ResultError for a folder that `batchsim replay` did not write.
    """
    result = Result.read(folder)
    run = RealRun.of(result, folder, scenario)
    difference = _first_difference(run.log, run.history.log)
    entries = run.log.count("\n")
    if result.summary["outcome"] == "horizon" and run.scenario.horizon is None:
        return Validation(entries, difference)
    true, heard = (run.simulated(run.measured(late=late)) for late in (False, True))
    planned = run.simulated({})
    return Validation(entries, difference, *(compare(result, each) for each in (true, heard, planned)))


def compare(real: Result, simulated: Result) -> Comparison:
    """Two results of one scenario and seed."""
    jobs = real.jobs.merge(simulated.jobs, on="job", suffixes=("", "_simulated"))
    started = jobs.dropna(subset=["start_s", "start_s_simulated"])
    attempts = _mains(real).merge(_mains(simulated), on=_ATTEMPT, suffixes=("", "_simulated"))
    same = attempts["instance"].astype("str") == attempts["instance_simulated"].astype("str")
    return Comparison(
        starts=list(zip(started["start_s"].tolist(), started["start_s_simulated"].tolist(), strict=True)),
        start=_spread(started, "start_s"),
        waiting=_spread(started, "waiting_s"),
        figures={
            name: Pair(real.summary[name], simulated.summary[name])
            for name in ("waiting_mean_s", "waiting_p50_s", "makespan_s", "cost_usd")
        },
        same_order=_same_order(attempts["placed_s"].to_numpy(), attempts["placed_s_simulated"].to_numpy()),
        same_instance=float(same.mean()) if len(same) else None,
        endings=_different_endings(jobs),
    )


class RealRun:
    """A real run's scenario made ready a second time, and its log."""

    def __init__(
        self, scenario: Scenario, manifest: Mapping[str, Any], lines: Sequence[str], file: str
    ) -> None:
        self.scenario = scenario
        self.speed: float = manifest["real"]["speed"]
        drawn = build_workload(scenario, manifest["seed"])
        self._workload: Workload = cut_at_horizon(drawn, scenario.horizon)
        self._not_submitted = len(drawn) - len(self._workload)
        self._setup: Setup = prepare(scenario, self._workload, manifest["seed"])
        entries = list(read_log(lines, file))
        told = [line for line, entry in zip(lines[1:], entries, strict=True) if is_told(entry)]
        self.log = "".join([*lines[:1], *told])
        self.timings = [entry for entry in entries if "engine" in entry]
        self.history = History(self._setup.plan, entries)

    @classmethod
    def of(cls, result: Result, folder: str | Path, scenario: Scenario | None = None) -> RealRun:
        """Of the result that was read from `folder`; see `validate`."""
        manifest = result.manifest
        if manifest["driver"] != "docker":
            raise ResultError(
                file=str(folder),
                expected="a real run",
                found="a simulation",
                hint="batchsim replay makes real ones",
            )
        if scenario is None:
            scenario = parse_scenario(json.dumps(manifest["scenario"]), file="manifest.json", base=folder)
        if scenario.digest() != manifest["scenario_sha256"]:
            raise ResultError(file=str(folder), expected="the scenario that was run", found="another one")
        path = Path(folder) / DECISIONS
        try:
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        except OSError as error:
            raise ResultError(f"cannot be read: {error.strerror or error}", file=str(path)) from error
        return cls(scenario, manifest, lines, str(path))

    def image_bytes(self, job: int) -> int:
        """What the scenario says of the size of the job's image."""
        return self._workload.classes[int(self._workload.job_class[job])].image_bytes

    def startups_us(self) -> dict[tuple[int, int], int]:
        """(job, attempt) -> from STARTING to RUNNING, in the time of the run, of attempts that ran."""
        dispatch_us = self._setup.world.dispatch_us
        return {
            key: lived.started_us - lived.placed_us - dispatch_us
            for key, lived in self.history.attempts.items()
            if lived.started_us >= 0
        }

    def measured(self, *, late: bool) -> dict[tuple[int, int], Measured]:
        """What each attempt took: really, or `late`, as the scheduler heard of it."""
        measure = partial(_measured, dispatch_us=self._setup.world.dispatch_us, late=late)
        return {key: measure(lived) for key, lived in self.history.attempts.items() if lived.over_us >= 0}

    def simulated(self, measured: Mapping[tuple[int, int], Measured]) -> Result:
        recorder = Recorder(len(self._workload))
        world = replace(self._setup.world, measured=measured, goes_on=self._not_submitted > 0)
        simulate(self._setup.plan, world, recorder, horizon_us=self.scenario.horizon)
        return build_result(
            recorder, describe(self.scenario, self._workload, self._setup, self._not_submitted)
        )


def _measured(lived: Lived, *, dispatch_us: int, late: bool) -> Measured:
    started, ended = (lived.heard_us, lived.over_us) if late else (lived.started_us, lived.ended_us)
    if ended < 0:  # it was stopped before it had begun
        ended = lived.over_us
    starting = lived.placed_us + dispatch_us
    ran = lived.heard_us >= 0
    begun = started if ran else ended
    return Measured(
        startup_us=max(0, begun - starting),
        runtime_us=max(0, ended - started) if ran else -1,
        exit_code=lived.exit_code,
        status_reason=lived.status_reason,
        reason=lived.reason,
    )


def _first_difference(logged: str, decided: str) -> tuple[int, str, str] | None:
    if logged == decided:
        return None
    pairs = zip_longest(logged.splitlines(), decided.splitlines(), fillvalue="")
    return next((number, *pair) for number, pair in enumerate(pairs, 1) if pair[0] != pair[1])


def _mains(result: Result) -> pd.DataFrame:
    return result.attempts[result.attempts["is_main"]][[*_ATTEMPT, "instance", "placed_s"]]


def _spread(jobs: pd.DataFrame, column: str) -> Spread:
    errors = (jobs[f"{column}_simulated"] - jobs[column]).abs().to_numpy()
    if not errors.size:
        return Spread(None, None)
    return Spread(float(np.median(errors)), float(np.quantile(errors, 0.95)))


def _same_order(real: Any, simulated: Any) -> float | None:
    """Of all pairs, a block of rows at a time."""
    count = len(real)
    if count < 2:
        return None
    alike = 0
    for first in range(0, count, _ROWS_AT_ONCE):
        rows = slice(first, first + _ROWS_AT_ONCE)
        signs = (np.sign(np.subtract.outer(each[rows], each)) for each in (real, simulated))
        alike += int(np.equal(*signs).sum())
    return (alike - count) / (count * (count - 1))


def _different_endings(jobs: pd.DataFrame) -> list[tuple[str, str, str]]:
    found = []
    for row in jobs.to_dict("records"):
        real, simulated = (
            " ".join(_words(row[f"{name}{suffix}"]) for name in _END).strip() for suffix in ("", "_simulated")
        )
        if real != simulated:
            found.append((str(row["job"]), real, simulated))
    return found


def _words(value: Any) -> str:
    """Without what an engine adds after the name of an error."""
    text = "" if value is None or value != value else str(value)  # noqa: PLR0124 - NaN
    name, colon, _ = text.partition(":")
    return name if colon and name.startswith("Cannot") else text
