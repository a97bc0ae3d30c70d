"""What a run gives its user."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from batchsim.errors import ResultError
from batchsim.results.files import Format, read_folder, write_folder
from batchsim.units import US_PER_S, format_duration

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd

    from batchsim.results.audit import Violation
    from batchsim.results.context import IdleCost


@dataclass(slots=True, repr=False, eq=False)
class Result:
    """One run: frames whose columns `batchsim columns` lists, a summary, and what they rest on.

    jobs        one row a job that was submitted, in order of submission
    attempts    one row an attempt, by job, then by number
    instances   one row an instance, in the order in which they were requested
    timeseries  one row an instant and queue, compute environment or share
    costs       one row an environment, queue, share, group and job definition: what they cost, and for what
    arrays      one row an array job; None if there is none
    dependencies   one row a job, or barrier, and what it waits for; None if nobody waits
    waits       one row a change of what the head of a queue waits for; None if none was ever blocked
    updates     one row an update of an environment or a queue; None if there was none
    service_jobs   one row a service job, in order of submission; None without service queues
    service_attempts   one row each time that one of them was SCHEDULED; None without service queues
    summary     JSON-able; its keys are described in `batchsim.results.metrics`
    manifest    JSON-able: version, seed, scenario and its hash, assumptions, price date, what is not modelled
    """

    jobs: pd.DataFrame
    attempts: pd.DataFrame
    instances: pd.DataFrame
    timeseries: pd.DataFrame
    costs: pd.DataFrame
    summary: dict[str, Any]
    manifest: dict[str, Any]
    arrays: pd.DataFrame | None = None
    dependencies: pd.DataFrame | None = None
    waits: pd.DataFrame | None = None
    updates: pd.DataFrame | None = None
    service_jobs: pd.DataFrame | None = None
    service_attempts: pd.DataFrame | None = None

    @property
    def frames(self) -> dict[str, pd.DataFrame]:
        """By name; those that this result does not have are left out."""
        frames = {
            "jobs": self.jobs,
            "attempts": self.attempts,
            "instances": self.instances,
            "timeseries": self.timeseries,
            "costs": self.costs,
            "arrays": self.arrays,
            "dependencies": self.dependencies,
            "waits": self.waits,
            "updates": self.updates,
            "service_jobs": self.service_jobs,
            "service_attempts": self.service_attempts,
        }
        return {name: frame for name, frame in frames.items() if frame is not None}

    def write(self, folder: str | Path, format: Format = "parquet") -> None:  # noqa: A002 - the option's name
        """Write the folder of files that `Result.read` and `batchsim audit` read.

        Files of an earlier result are replaced; a crash leaves no file half-written. Raises ResultError
        when the folder cannot be written to or holds other things.
        """
        write_folder(folder, self.frames, self.summary, self.manifest, format)

    @classmethod
    def read(cls, folder: str | Path) -> Result:
        """The result in a folder, equal to the one that was written. Raises ResultError if there is none."""
        frames, summary, manifest = read_folder(folder)
        return cls(**frames, summary=summary, manifest=manifest)

    def audit(self) -> list[Violation]:
        """The laws this result breaks, re-derived from its frames alone; [] for a good result."""
        from batchsim.results.audit import audit_frames  # noqa: PLC0415 - only who asks pays for it

        return audit_frames(self.frames, self.summary, self.manifest)

    def costs_by(self, by: str | Sequence[str], idle_cost: IdleCost | None = None) -> pd.DataFrame:
        """The bill by what it was spent on: a row a group, in USD; all rows add up to the bill.

        by         one or more of environment, queue, share, group, job_definition, job and tag:NAME (a tag of
                   the workload entry, else of its job definition): what jobs bear, overhead shared out;
                   or of environment, instance_type, billing and instance: what instances cost, beside
                   unused commitments and EKS clusters, which are of none of them
        idle_cost  the rule that shares overhead out, instead of the run's: see `batchsim.results.bill`

        The columns are those of `by`, missing where nobody bears it, then `busy_usd` to `tail_usd` and
        `cost_usd`, as `costs` has them. Raises UsageError for other groups or rules.
        """
        from batchsim.results.costs import costs  # noqa: PLC0415 - only who asks pays for it

        return costs(self.frames, self.manifest, by, idle_cost)

    def snapshot(self, queue: str, at: str | float) -> pd.DataFrame:
        """The first 100 RUNNABLE jobs of a queue in dispatch order: GetJobQueueSnapshot [spec 1.18].

        `at` is a duration since the run began, such as "2h", or seconds. The columns are described in
        `batchsim.results.snapshot.snapshot`. Raises UsageError for an unknown queue or instant.
        """
        from batchsim.results.snapshot import snapshot  # noqa: PLC0415 - only who asks pays for it

        return snapshot(self.jobs, self.attempts, self.manifest, queue, at)

    def explain(self, job: str) -> pd.DataFrame:
        """Where the time of a job went, and why it waited: its life as intervals without gaps.

        The columns are described in `batchsim.results.explain.explain`. Raises UsageError if there is no
        such job, ResultError if the frames contradict each other.
        """
        from batchsim.results.audit import UNDERIVABLE  # noqa: PLC0415 - only who asks pays for it
        from batchsim.results.explain import explain  # noqa: PLC0415 - only who asks pays for it

        try:
            return explain(self.frames, self.manifest, job)
        except (*UNDERIVABLE, AssertionError, LookupError) as error:
            broken = self.audit()
            if not broken:
                raise
            raise ResultError(
                f"the frames contradict each other, so that {job} cannot be explained: {broken[0]}",
                hint="batchsim audit DIR tells of all laws that are broken",
            ) from error

    def __repr__(self) -> str:
        return f"<Result {self.manifest['name']}: {', '.join(f'{k} {v}' for k, v in self._headline())}>"

    def _repr_html_(self) -> str:
        cells = "".join(
            f"<tr><th style='text-align:left'>{escape(key)}</th><td>{escape(value)}</td></tr>"
            for key, value in self._headline()
        )
        frames = ", ".join(f"{name} ({len(frame):,} rows)" for name, frame in self.frames.items())
        return (
            f"<div><b>{escape(str(self.manifest['name']))}</b><table>{cells}</table>{self._parts_html()}"
            f"<small>frames: {escape(frames)}</small></div>"
        )

    def _parts_html(self) -> str:
        """Tables by job queue and compute environment, for notebooks."""
        queues = [
            (name, f"{of['jobs']:,}", *(_duration(of[f"waiting_{part}_s"]) for part in ("mean", "p95")), of)
            for name, of in self.summary["queues"].items()
        ]
        environments = [
            (name, f"{of['instances']:,}", f"{of['vcpu_hours_paid']:,.1f}", _percent(of["utilization"]), of)
            for name, of in self.summary["environments"].items()
        ]
        return _table_html(("job queue", "jobs", "waiting mean", "P95"), queues) + _table_html(
            ("environment", "instances", "vCPU-h paid", "utilization"), environments
        )

    def _headline(self) -> list[tuple[str, str]]:
        summary, manifest = self.summary, self.manifest
        states = ", ".join(f"{count:,} {state}" for state, count in summary["states"].items() if count)
        dated = f", prices of {manifest['price_date']}" if manifest["price_date"] else ""
        return [
            ("jobs", states or "none"),
            ("outcome", f"{summary['outcome']} after {_duration(summary['ended_at_s'])}"),
            ("makespan", _duration(summary["makespan_s"])),
            ("waiting mean", _duration(summary["waiting_mean_s"])),
            ("waiting P95", _duration(summary["waiting_p95_s"])),
            ("utilization", _percent(summary["utilization"])),
            ("cost", f"{summary['cost_usd']:,.2f} {manifest['currency']} ({manifest['region']}{dated})"),
        ]


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _table_html(headers: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    """The last of a row are the metrics that say what it costs."""
    if not rows:
        return ""
    heads = "".join(f"<th>{escape(each)}</th>" for each in (*headers, "cost USD"))
    lines = (
        "".join(f"<td>{escape(each)}</td>" for each in (*texts, f"{metrics['cost_usd']:,.2f}"))
        for *texts, metrics in rows
    )
    return f"<table><tr>{heads}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _duration(seconds: float | None) -> str:
    return "-" if seconds is None else format_duration(seconds * US_PER_S)
