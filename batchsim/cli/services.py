"""What the command line prints of service jobs: their tables in a run's summary and in a check."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchsim.cli.check import as_options
from batchsim.cli.figures import column, count, counts, duration, jobs
from batchsim.cli.output import Column, Table, print_facts, print_line, print_table, print_text
from batchsim.cli.summary import each, outcome_of, table_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from batchsim.cli.intervals import Spec
    from batchsim.studies.checkservices import ServiceFinding

Metrics = dict[str, Any]

_Spec = tuple[str, str, "Callable[[Sequence[Any]], list[str]]"]
_QUEUE: tuple[_Spec, ...] = (
    ("jobs", "jobs", each(count)),
    ("waiting\nmean", "waiting_mean_s", each(duration)),
    ("\nP95", "waiting_p95_s", each(duration)),
    ("no\ncapacity", "capacity_retries", each(count)),
    ("preempted", "preemptions", each(count)),
    ("instance-h\nheld", "instance_hours_held", column),
    ("\nrunning", "instance_hours_running", column),
    ("\npreempted", "instance_hours_preempted", column),
)
_QUEUE_WIDE: tuple[_Spec, ...] = (
    ("waiting\nP50", "waiting_p50_s", each(duration)),
    ("\nP99", "waiting_p99_s", each(duration)),
    ("\nlongest", "waiting_max_s", each(duration)),
    ("execution\nmean", "execution_mean_s", each(duration)),
    ("turnaround\nmean", "turnaround_mean_s", each(duration)),
    ("makespan", "makespan_s", each(duration)),
    ("started", "jobs_started", each(count)),
    ("attempts", "attempts", each(count)),
    ("SUCCEEDED", "states.SUCCEEDED", each(count)),
    ("FAILED", "states.FAILED", each(count)),
)
COMBINED: tuple[Spec, ...] = (
    ("jobs", "jobs", counts),
    ("waiting mean", "waiting_mean_s", each(duration)),
    ("waiting P95", "waiting_p95_s", each(duration)),
    ("preempted", "preemptions", counts),
    ("instance-h held", "instance_hours_held", column),
    ("instance-h running", "instance_hours_running", column),
)


def print_services(services: Metrics, *, wide: bool, alone: bool) -> None:
    """The service jobs of one run; `alone`: there are no others, and the outcome was told before."""
    states = ", ".join(f"{number:,} {state}" for state, number in services["states"].items() if number)
    told = [("service jobs", f"{services['jobs']:,}{': ' if states else ''}{states}")]
    if not alone:
        told.append(("outcome", outcome_of(services)))
    print_facts(told)
    print_text()
    specs = (*_QUEUE, *_QUEUE_WIDE) if wide else _QUEUE
    print_table(table_of("service queue", dict(parts(services)), specs, None), wide=wide)


def parts(services: Metrics) -> Iterator[tuple[str, Metrics]]:
    """(name, metrics) of each service queue, and under `<queue>/<quota share>` of its shares."""
    for queue, metrics in services["queues"].items():
        yield queue, metrics
        for share, of_share in metrics.get("quotaShares", {}).items():
            yield f"{queue}/{share}", of_share


def scopes_of(services: Metrics, name: str) -> Iterator[tuple[str, str, Metrics]]:
    """(scope, name, metrics) of all service jobs, and of their queues and quota shares."""
    yield "services", name, {key: value for key, value in services.items() if key != "queues"}
    for part, metrics in parts(services):
        scope = "quota_share" if "/" in part else "service_queue"
        yield scope, part, {key: value for key, value in metrics.items() if key != "quotaShares"}


# --- check --------------------------------------------------------------------------------------


def print_findings(findings: Sequence[ServiceFinding], first: int) -> None:
    """The service jobs of a check; those that can never run are numbered from `first`."""
    if not findings:
        return
    headers = ("workload", "queue", "quota share", "jobs", "instance type", "instances", "runs")
    columns = [Column(header, words=header not in {"jobs", "instances"}) for header in headers]
    never = [finding for finding in findings if finding.reason is not None]
    rows = [
        (
            finding.group,
            finding.queue,
            finding.quota_share or "-",
            f"{finding.jobs:,}",
            finding.instance_type,
            f"{finding.instances:,}",
            "yes" if finding.reason is None else f"NEVER, see {first + never.index(finding)}",
        )
        for finding in findings
    ]
    print_table(Table("", columns, rows))
    for number, finding in enumerate(never, start=first):
        _print_never(number, finding)


def _print_never(number: int, finding: ServiceFinding) -> None:
    print_text()
    print_text(f"{number}. {finding.group}: {jobs(finding.jobs)} in job queue {finding.queue}", "bold")
    print_text(str(finding.reason), "red", indent=3)
    print_text(finding.shortfall, indent=3)
    for position, change in enumerate(finding.changes):
        print_text(f"{'or' if position else 'to mend it'}: {change.text}", "green", indent=3)
        print_line(as_options(change.overrides), indent=6)


def flat_finding(finding: ServiceFinding) -> Metrics:
    """One CSV row of a check; the changes in words."""
    return {**finding_data(finding), "changes": "; or ".join(change.text for change in finding.changes)}


def finding_data(finding: ServiceFinding) -> Metrics:
    """A finding as JSON data."""
    return {
        "workload": finding.group,
        "queue": finding.queue,
        "quota_share": finding.quota_share,
        "jobs": finding.jobs,
        "instance_type": finding.instance_type,
        "instances": finding.instances,
        "can_run": finding.reason is None,
        "status_reason": finding.reason,
        "shortfall": finding.shortfall or None,
        "changes": [{"text": each.text, "set": dict(each.overrides)} for each in finding.changes],
    }
