"""`batchsim check`: whether each job of a scenario can ever start."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import typer

from batchsim.cli.figures import duration, jobs, several
from batchsim.cli.output import (
    Column,
    Format,
    Table,
    note,
    print_csv,
    print_json,
    print_line,
    print_table,
    print_text,
)
from batchsim.cli.verbs import FAILED, OutputFormat, Overrides, ScenarioPath

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batchsim.studies.changes import Change
    from batchsim.studies.check import CheckReport, Finding
    from batchsim.studies.courses import Turn
    from batchsim.studies.held_up import HeldUp
    from batchsim.studies.supplies import Supply

_MOST_ROWS = 40
_COLUMNS = (
    Column("workload", words=True),
    Column("definition", words=True, spare=5),
    Column("queue", words=True, spare=4),
    Column("jobs"),
    Column("nodes", spare=1),
    Column("vCPUs", spare=1),
    Column("MiB", spare=2),
    Column("GPUs", spare=3),
    Column("starts on", words=True),
)


def check(
    scenario: ScenarioPath, overrides: Overrides = None, output_format: OutputFormat = Format.TABLE
) -> None:
    """Tell whether each job can ever start, and why not.

    No simulation is made. For jobs that cannot: AWS's status reason, and the smallest changes that mend
    it. Exit code 1 if there is a job that can never start.
    """
    from batchsim.cli import services
    from batchsim.scenario import load_scenario
    from batchsim.studies.beyond_aws import in_words
    from batchsim.studies.check import check as check_scenario

    loaded = load_scenario(scenario, overrides or ())
    report = check_scenario(loaded)
    if output_format is Format.JSON:
        print_json(_data(report))
    elif output_format is Format.CSV:
        print_csv([*map(_flat, report.findings), *map(services.flat_finding, report.services)])
    else:
        _print(scenario, report, wide=output_format is Format.WIDE)
    for sentence in (*in_words(report.beyond_aws), *loaded.not_modelled()):
        note(f"note: {sentence}")
    if not report.can_all_start:
        raise typer.Exit(FAILED)


def _print(scenario: str, report: CheckReport, *, wide: bool) -> None:
    from batchsim.cli.services import print_findings

    if report.findings or not report.services:
        _print_findings(scenario, report, wide=wide)
        print_text()
    print_findings(report.services, len(_alike(report.never)) + 1)
    if report.services:
        print_text()
    print_text(*_verdict(report))


def _print_findings(scenario: str, report: CheckReport, *, wide: bool) -> None:
    never = _alike(report.never)
    numbers = {id(each): number for number, alike in enumerate(never, start=1) for each in alike}
    cut = not wide and len(report.findings) > _MOST_ROWS
    findings = sorted(report.findings, key=lambda each: each.reason is None) if cut else report.findings
    shown = findings[:_MOST_ROWS] if cut else findings
    rows = [_row(each, numbers.get(id(each), 0)) for each in shown]
    hidden = len(findings) - len(shown)
    notes = [f"{hidden} of {len(findings)} rows were cut; --format wide shows all"] if hidden else []
    nodes = any(each.nodes > 1 for each in shown)
    if nodes:
        notes.append("a multi-node job starts on as many empty instances of one type at once as it has nodes")
    kept = [position for position, each in enumerate(_COLUMNS) if nodes or each.header != "nodes"]
    print_table(
        Table(
            "",
            [_COLUMNS[position] for position in kept],
            [tuple(row[position] for position in kept) for row in rows],
            "\n".join(notes),
        ),
        wide=wide,
    )
    _print_supplies(report.supplies, wide=wide)
    for number, alike in enumerate(never if wide else never[:_MOST_ROWS], start=1):
        _print_never(number, alike)
    _print_updated(report.findings if wide else report.findings[:_MOST_ROWS])
    for supply in report.supplies:
        if supply.change is not None:
            print_text()
            print_text(
                f"Consumable resource {supply.resource} is used up before all have had of it: at least"
                f" {jobs(supply.left_over)} can never start."
            )
            print_text(f"to mend it: {supply.change.text}", "green", indent=3)
            print_line(as_options(supply.change.overrides), indent=6)
    for queue, held_up in report.held_up.items():
        print_text()
        print_text(_held_up(queue, held_up))
    for group, number in report.stranded.items():
        print_text()
        print_text(f"Workload {group}: {jobs(number)} could start, but for depending on jobs that never can.")
    if len(never) > 1 and report.mend_all:
        print_text()
        what = "compute environments" + (
            " and quotas" if any("Quotas" in path for path in report.mend_all) else ""
        )
        print_text(f"All of them at once, by changing {what} only:")
        print_line(f"batchsim check {shlex.quote(scenario)} {as_options(report.mend_all)}", indent=3)
    _print_prices(report)


def _print_prices(report: CheckReport) -> None:
    """Which prices the changes are told with."""
    texts = [change.text for finding in report.never for change in finding.changes]
    if any("USD" in text for text in texts):
        said = ", but where Spot is said," if any("USD/h Spot" in text for text in texts) else ""
        print_text()
        print_text(f"On-Demand prices{said} in USD, {report.region}, of {report.price_date}", "dim")


def _verdict(report: CheckReport) -> tuple[str, str]:
    late = sum(each.turns[-1].jobs for each in report.no_longer)
    until = _until(report)
    if report.can_all_start:
        but = f", but {late:,} that come after an update perhaps not" if late else ""
        return (
            f"Each of the {jobs(report.jobs)} can start{but}{until}.",
            "yellow" if late or until else "green",
        )
    least = "At least " if any(each.left_over for each in report.supplies) else ""
    return f"{least}{report.never_started:,} of the {jobs(report.jobs)} can never start{until}.", "bold red"


def _until(report: CheckReport) -> str:
    """Of jobs that have to start before an update: only a run can tell how many do."""
    bound = [each for each in report.no_longer if each.in_time_only]
    if not bound:
        return ""
    when = " or ".join(dict.fromkeys(duration(each.turns[-1].at_s) for each in bound))
    number = sum(each.in_time_only for each in bound)
    perhaps = "" if any(each.turns[-1].shuts_out for each in bound) else " perhaps"
    return (
        f"; {number:,} only until {when}: who waits then{perhaps} never starts (batchsim run tells how many)"
    )


def _held_up(queue: str, held_up: HeldUp) -> str:
    kind, why = ("fair-share", "") if held_up.is_fair else ("FIFO", " (assumptions.backfill: none)")
    number = f"up to {jobs(held_up.jobs)}" if held_up.is_fair else jobs(held_up.jobs)
    then = (
        ""
        if held_up.cancelled_s is None
        else f" jobStateTimeLimitActions cancel each such head after {duration(held_up.cancelled_s)}."
    )
    return (
        f"Job queue {queue}: {number} that could start come after one that never can, and a {kind} queue"
        f" does not skip its head{why}.{then}"
    )


def _print_supplies(supplies: Sequence[Supply], *, wide: bool) -> None:
    """Whether there is enough of each consumable resource, ever."""
    if not supplies:
        return
    headers = ("consumable resource", "there is", "jobs", "each asks for", "suffices for")
    columns = [Column(header, words=position in {0, 4}) for position, header in enumerate(headers)]
    print_text()
    print_table(Table("", columns, [_supply_row(each) for each in supplies]), wide=wide)


def _supply_row(supply: Supply) -> tuple[str, ...]:
    if supply.replenishable:
        enough = f"{supply.at_once:,} at once" if supply.at_once else "none of them"
    else:
        enough = f"{supply.jobs - supply.never - supply.left_over:,} in all"
    enough += f", NEVER for {supply.never:,}" if supply.never else ""
    return (
        supply.resource,
        f"{supply.most:,}",
        f"{supply.jobs:,}",
        _range(supply.least, supply.greatest),
        enough,
    )


def _row(finding: Finding, number: int) -> tuple[str, ...]:
    return (
        finding.group,
        finding.definition or "-",
        finding.queue,
        f"{finding.jobs:,}",
        f"{finding.nodes:,}",
        *(_range(low, high) for low, high in zip(finding.least, finding.most, strict=True)),
        f"NEVER, see {number}" if number else _hosts(finding),
    )


def _range(low: float, high: float) -> str:
    return f"{low:,}" if low == high else f"{low:,}-{high:,}"


def _hosts(finding: Finding) -> str:
    told = [
        host.environment
        + (f" ({host.types} of {host.of} types)" if host.types and host.of > 1 else "")
        + (f" from {duration(host.since_s)}" if host.since_s else "")
        for host in finding.hosts
    ]
    if finding.all_refused:
        return "REFUSED"
    last = finding.turns[-1] if finding.turns else None
    if last is not None and last.reason is not None and not finding.in_time_only:
        told.append("but only perhaps")
    elif not finding.begins:
        told.append(f"from {duration(finding.turns[0].at_s)} on")
    elif finding.turns:
        told.append(f"until {duration(finding.turns[0].at_s)}")
    return ", ".join(told)


def _alike(never: Sequence[Finding]) -> list[list[Finding]]:
    """Those of one queue of which the same is to be said, together."""
    found: dict[str, list[Finding]] = {}
    for each in never:
        said = repr((each.queue, each.reason, each.shortfall, each.changes))
        found.setdefault(said, []).append(each)
    return list(found.values())


def _print_never(number: int, alike: Sequence[Finding]) -> None:
    finding = alike[0]
    example = f", such as {finding.example}" if finding.example else ""
    print_text()
    print_text(
        f"{number}. {several([each.title for each in alike])}: {jobs(sum(each.jobs for each in alike))}"
        f" in job queue {finding.queue}{example}",
        "bold",
    )
    print_text(str(finding.reason), "red", indent=3)
    _print_mending(finding)


def _print_updated(findings: Sequence[Finding]) -> None:
    """Jobs for which it matters when they come."""
    for finding in findings:
        if finding.turns and not finding.reason:
            _print_turns(finding)
        if finding.reopened is not None:
            _print_refused(finding, finding.reopened)


def _print_turns(finding: Finding) -> None:
    """Jobs that can start in a part of the run only."""
    print_text()
    print_text(f"{finding.title}, in job queue {finding.queue}", "bold")
    if not finding.begins:
        print_text("cannot start at the beginning", "yellow", indent=3)
    for turn in finding.turns:
        print_text(
            f"from {duration(turn.at_s)} on they {_can(turn)} ({turn.update});"
            f" {turn.jobs:,} of {jobs(finding.jobs)} are submitted while that is so",
            "yellow",
            indent=3,
        )
    if finding.changes:
        print_text(str(finding.turns[-1].reason), "red", indent=3)
        _print_mending(finding)


def _print_refused(finding: Finding, reopened: Change) -> None:
    """Jobs that come while their queue takes none."""
    print_text()
    print_text(
        f"{finding.title}: {finding.refused:,} of {jobs(finding.jobs)} come while an update has DISABLED job"
        f" queue {finding.queue}: SubmitJob is refused, and they fail",
        "bold",
    )
    print_text(f"to mend it: {reopened.text}", "green", indent=3)
    print_line(as_options(reopened.overrides), indent=6)


def _can(turn: Turn) -> str:
    if turn.reason is None:
        return "can start"
    return "can start no longer" + ("" if turn.shuts_out else " but on instances that are there")


def _print_mending(finding: Finding) -> None:
    if finding.shortfall:
        print_text(finding.shortfall, indent=3)
    for position, change in enumerate(finding.changes):
        print_text(f"{'or' if position else 'to mend it'}: {change.text}", "green", indent=3)
        if change.overrides:
            print_line(as_options(change.overrides), indent=6)


def as_options(overrides: Mapping[str, str]) -> str:
    return " ".join(f"--set {shlex.quote(f'{path}={value}')}" for path, value in overrides.items())


def _data(report: CheckReport) -> dict[str, Any]:
    from batchsim.cli.services import finding_data

    return {
        "can_all_start": report.can_all_start,
        "region": report.region,
        "price_date": report.price_date,
        "findings": [_finding(each) for each in report.findings],
        **({"services": [finding_data(each) for each in report.services]} if report.services else {}),
        "held_up": {queue: each._asdict() for queue, each in report.held_up.items()},
        "stranded": dict(report.stranded),
        **({"supplies": [*map(_supply, report.supplies)]} if report.supplies else {}),
        "mend_all": dict(report.mend_all),
        "beyond_aws_dependencies": [
            {"workload": each.group, "task": each.task, "dependencies": each.dependencies}
            for each in report.beyond_aws
        ],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "workload": finding.group,
        "job_definition": finding.definition,
        "queue": finding.queue,
        "jobs": finding.jobs,
        "kinds": finding.kinds,
        "nodes": finding.nodes,
        "example": finding.example or None,
        "least": finding.least._asdict(),
        "most": finding.most._asdict(),
        "can_start": finding.reason is None and not finding.all_refused,
        "hosts": [host._asdict() for host in finding.hosts],
        "status_reason": finding.reason,
        "shortfall": finding.shortfall or None,
        "changes": [{"text": each.text, "set": dict(each.overrides)} for each in finding.changes],
        **({"refused": finding.refused, **_mended(finding.reopened)} if finding.reopened else {}),
        **({"turns": [each._asdict() for each in finding.turns]} if finding.turns else {}),
    }


def _mended(reopened: Change) -> dict[str, Any]:
    return {"reopened": {"text": reopened.text, "set": dict(reopened.overrides)}}


def _supply(supply: Supply) -> dict[str, Any]:
    change = supply.change
    mended = None if change is None else {"text": change.text, "set": dict(change.overrides)}
    return {**supply._asdict(), "change": mended}


def _flat(finding: Finding) -> dict[str, Any]:
    """One CSV row; the largest needs, the changes in words."""
    row = _finding(finding)
    del row["least"], row["most"]
    row.pop("turns", None)
    row.pop("reopened", None)
    row["refused"] = finding.refused
    return {
        **row,
        **finding.most._asdict(),
        "hosts": " ".join(host.environment for host in finding.hosts),
        "changes": "; or ".join(each.text for each in finding.changes),
    }
