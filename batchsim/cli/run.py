"""`batchsim run`: simulate a scenario, once or several times."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from batchsim.cli.interrupts import held_back
from batchsim.cli.output import Format, note
from batchsim.cli.progress import RunProgress
from batchsim.cli.verbs import STALLED, OutputFormat, Overrides, ScenarioPath, Seed
from batchsim.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Collection

    from batchsim.results import Result
    from batchsim.results.context import IdleCost as Rule
    from batchsim.results.files import Format as FileFormat
    from batchsim.scenario import Scenario


class IdleCost(StrEnum):
    """Who bears what no job costs directly: `batchsim.results.bill`."""

    PROPORTIONAL = "proportional"
    EVEN = "even"
    INSTANCE = "instance"
    SEPARATE = "separate"


class Files(StrEnum):
    """The form of the frames that are written."""

    PARQUET = "parquet"
    CSV = "csv"


@dataclass(slots=True)
class Job:
    """What is to be done; `written` says in words what of it is on the disk."""

    scenario: Scenario
    seed: int
    replications: int
    folder: str | None
    files: FileFormat
    audited: bool
    output_format: Format
    idle_cost: Rule
    written: str = "nothing was written"


@dataclass(slots=True)
class Verdict:
    """What decides the exit code: broken laws in words, and whether a run stalled."""

    violations: list[str]
    stalled: bool


def run(
    scenario: ScenarioPath,
    *,
    replications: Annotated[
        int,
        typer.Option(
            "-n", "--replications", min=1, max=10_000, help="Runs with different draws, for intervals."
        ),
    ] = 1,
    seed: Seed = 0,
    folder: Annotated[
        str | None,
        typer.Option("-o", "--output", metavar="DIR", help="Write the frames there.", show_default=False),
    ] = None,
    files: Annotated[Files, typer.Option(help="Form of the frames in DIR.")] = Files.PARQUET,
    overrides: Overrides = None,
    audit: Annotated[bool, typer.Option(help="Derive the laws again from the result.")] = True,
    idle_cost: Annotated[
        IdleCost,
        typer.Option(
            help="Who bears boot, idle, fragmentation and tail: jobs in proportion to their direct cost, all"
            " jobs evenly, the jobs of each instance, or nobody (kept separate)."
        ),
    ] = IdleCost.PROPORTIONAL,
    output_format: OutputFormat = Format.TABLE,
) -> None:
    """Simulate a scenario: waiting, utilization and cost.

    The figures come as a whole, by job queue, compute environment and instance type.

    Exit code 3 if the run stalls because there are jobs that can never start, 1 if the audit finds a
    broken law.
    """
    from batchsim.scenario import load_scenario

    loaded = load_scenario(scenario, overrides or ())
    job = Job(loaded, seed, replications, folder, files.value, audit, output_format, idle_cost.value)
    try:
        verdict = _once(job) if replications == 1 else _several(job)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(job.written) from None
    for sentence in loaded.not_modelled():
        note(f"note: {sentence}")
    if folder is not None:
        note(job.written)
    if verdict.violations:
        raise AuditError.about(verdict.violations)
    if verdict.stalled:
        raise typer.Exit(STALLED)


def _once(job: Job) -> Verdict:
    from batchsim.cli import summary
    from batchsim.results.files import check_folder
    from batchsim.studies.run import run as simulate
    from batchsim.studies.stalled import groups_left_waiting, left_waiting

    if job.folder is not None:
        check_folder(job.folder, job.scenario.name)
    with RunProgress(1) as progress:
        result = simulate(
            job.scenario,
            seed=job.seed,
            idle_cost=job.idle_cost,
            report=lambda now_us, ended, jobs: progress(0, now_us, ended, jobs),
        )
    if job.folder is not None:
        with held_back():
            result.write(job.folder, job.files)
            job.written = f"the result is in {job.folder}"
    verdict = _judge(job, result, "")
    waiting = left_waiting(result)
    summary.print_result(result, verdict.violations if job.audited else None, waiting, job.output_format)
    if waiting and job.output_format in {Format.TABLE, Format.WIDE}:
        summary.print_left_waiting(waiting, _advice(job, groups_left_waiting(result)))
    return verdict


def _judge(job: Job, result: Result, whose: str) -> Verdict:
    found = [f"{whose}{violation}" for violation in result.audit()] if job.audited else []
    from batchsim.studies.stalled import has_stalled

    return Verdict(found, has_stalled(result.summary))


def _advice(job: Job, waiting: Collection[str]) -> list[tuple[str, str]]:
    """The jobs that can never start, and the smallest changes that let them.

    waiting   workload entries of which jobs are left; updates may have kept them from starting
    """
    from batchsim.cli.figures import several
    from batchsim.studies.check import check

    report = check(job.scenario, job.seed)
    never = [(each.title, each.changes) for each in report.never]
    never += [(each.title, each.changes) for each in report.no_longer if each.group in waiting]
    never += [(each.group, each.changes) for each in report.services_never]
    never += [(each.resource, (each.change,)) for each in report.supplies if each.change is not None]
    titles: dict[str, list[str]] = {}
    for title, changes in never:
        titles.setdefault(", or ".join(change.text for change in changes), []).append(title)
    return [(several(alike), advice) for advice, alike in titles.items()]


def _several(job: Job) -> Verdict:
    from batchsim.cli import intervals
    from batchsim.cli.summary import audit_in_words
    from batchsim.results.audit import audit_replications
    from batchsim.studies.replications import ReplicationFolder, combine, replicate

    name = job.scenario.name
    folder = None if job.folder is None else ReplicationFolder(job.folder, name, job.replications)
    told = []
    verdict = Verdict([], stalled=False)
    with RunProgress(job.replications) as progress:
        for number, result in enumerate(
            replicate(job.scenario, job.replications, seed=job.seed, report=progress, idle_cost=job.idle_cost)
        ):
            if folder is not None:
                with held_back():
                    folder.write(number, result, job.files)
                    job.written = (
                        f"{number + 1} of {job.replications} replications were written to {job.folder}"
                    )
            judged = _judge(job, result, f"replication {number}: ")
            verdict.violations += judged.violations
            verdict.stalled |= judged.stalled
            told.append((result.summary, result.manifest))
    combined = combine(told)
    if job.audited:
        verdict.violations += map(str, audit_replications(combined, told))
    if folder is not None:
        with held_back():
            folder.finish(combined)
            job.written = f"the result is in {job.folder}"
    violations = verdict.violations if job.audited else None
    words = audit_in_words(violations)
    intervals.print_combined(combined, told[0][1], words, job.output_format, violations)
    if verdict.stalled:
        note("batchsim check tells which jobs can never start, and what to do about it")
    return verdict
