"""What `batchsim run` prints of one run: its headline, and tables by queue, environment and type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchsim.cli import startup, updates
from batchsim.cli.billend import end_of_bill
from batchsim.cli.figures import by_reason, column, count, duration, has_gpus, jobs, percent, usd, vcpus
from batchsim.cli.foundations import foundations
from batchsim.cli.output import (
    Column,
    Format,
    Table,
    print_csv,
    print_facts,
    print_json,
    print_table,
    print_text,
)
from batchsim.cli.prices import of_ecs, prices
from batchsim.cli.purchases import committed_to, table_of_purchases
from batchsim.cli.requests import in_vain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from batchsim.results import Result
    from batchsim.studies.stalled import LeftWaiting

Metrics = dict[str, Any]

MOST_ROWS = 12
PARTS = {
    "busy": "jobs RUNNING",
    "pull": "jobs before RUNNING: dispatch, image pull, container start",
    "boot": "instances that are not ready for jobs yet",
    "idle": "free, and nobody waits for it",
    "fragmentation": "free, but what waits does not fit, or may not pass its queue's head",
    "tail": "free after the last job of an instance",
    "lost": "jobs whose host was lost: work done in vain",
}
OF_ECS = "free, but what waits does not fit, is beyond maxvCpus, or may not pass its queue's head"
UNUSED = "committed to, and used by nobody"
CLUSTERS = "EKS clusters, whether used or not"
_RULES = {
    "proportional": "in proportion to what their jobs cost directly",
    "even": "each job the same",
    "instance": "each instance's by the jobs on it, in proportion to what they cost directly",
}
_OUTCOMES = {"finished": "bold green", "horizon": "bold yellow", "stalled": "bold red"}


def print_summary(result: Result, audit: str, *, wide: bool) -> None:
    """The tables of one run; `audit` says in words what the audit found."""
    summary, manifest = result.summary, result.manifest
    services = summary.get("services")
    alone = services is not None and not summary["queues"]
    whole = summary["services"] if alone else summary
    print_text(f"{manifest['name']}: {outcome_of(whole)}", _OUTCOMES[whole["outcome"]])
    print_text()
    headline = () if alone else (*_headline(result), *in_vain(result))
    print_facts([*headline, *foundations(manifest, manifest), ("audit", audit)])
    for table in () if alone else _tables(summary, manifest, wide=wide):
        print_text()
        print_table(table, wide=wide)
    if not alone and (bought := table_of_purchases(result)) is not None:
        print_text()
        print_table(bought, wide=wide)
    if services is not None:
        from batchsim.cli.services import print_services

        print_text()
        print_services(services, wide=wide, alone=alone)


def outcome_of(summary: Metrics) -> str:
    after = duration(summary["ended_at_s"])
    states = summary["states"]
    waiting = summary["jobs"] - states["SUCCEEDED"] - states["FAILED"]
    if summary["outcome"] == "finished":
        return f"finished after {after} of simulated time"
    if summary["outcome"] == "horizon":
        unborn = summary["jobs_not_submitted"]
        return f"stopped at its horizon, {after}, with {jobs(waiting)} not ended" + (
            f" and {unborn:,} not submitted" if unborn else ""
        )
    return f"stalled after {after} of simulated time, with {jobs(waiting)} that can never start"


def _headline(result: Result) -> Iterator[tuple[str, str]]:
    from batchsim.results.costs import has_lost_work

    summary, manifest = result.summary, result.manifest
    states = ", ".join(f"{number:,} {state}" for state, number in summary["states"].items() if number)
    attempts = f", {summary['attempts']:,} attempts" if summary["attempts"] > summary["jobs"] else ""
    yield "jobs", f"{summary['jobs']:,}{': ' if states else ''}{states}{attempts}"
    if "failures" in summary:
        yield "FAILED", by_reason(summary["failures"], "jobs")
    yield from startup.launches(summary)
    makespan = summary["makespan_s"]
    since = "" if makespan is None else " from the first submission to the last end"
    yield "makespan", duration(makespan) + since
    yield (
        "waiting",
        "no job has started"
        if not summary["jobs_started"]
        else ", ".join(
            f"{name} {duration(summary[f'waiting_{key}_s'])}"
            for name, key in (
                ("mean", "mean"),
                ("P50", "p50"),
                ("P95", "p95"),
                ("P99", "p99"),
                ("longest", "max"),
            )
        ),
    )
    if summary.get("pending_mean_s") is not None:
        pending = duration(summary["pending_mean_s"])
        yield "PENDING", f"mean {pending} of that, waiting for jobs that they depend on"
    yield from startup.images(summary)
    lost = ", those of lost work included," if has_lost_work(result.attempts) else ""
    yield "utilization", _use(summary, "vcpu_hours", summary["utilization"], f"vCPU-hours used{lost}")
    if has_gpus(summary):
        yield "of GPUs", _use(summary, "gpu_hours", summary["gpu_utilization"], "GPU-hours used")
    yield "cost", f"{usd([summary['cost_usd']])[0]} {prices(manifest)}"
    yield from _beside_prices(summary, manifest)
    yield from end_of_bill(result)
    if not summary["cost_usd"]:
        yield "the bill", "nothing was paid"


def _use(summary: Metrics, resource: str, utilization: float | None, used_what: str) -> str:
    """How much was used, of what was paid for; and of what ran, where that is not about the same.

    It is not where instances ran for less than the minute that is paid at least, or for nothing.
    """
    amounts = [summary[f"{resource}_{key}"] for key in ("used", "paid", "provisioned")]
    free_hours = summary.get(f"{resource}_free")
    used, paid, ran, free = column([*amounts, free_hours or 0.0])
    of = f"{paid} {_had(summary)}"
    if free_hours:
        of += f" and {free} free (Spot instances taken back within an hour)"
    if amounts[1] and percent(amounts[0] / amounts[1]) != percent(utilization):
        of = f"{ran} that ran; {of}"
    return f"{percent(utilization)}: {used} {used_what} of {of}"


def _had(summary: Metrics) -> str:
    """What became of capacity: machines of one's own may cost nothing."""
    return "paid" if summary["cost_usd"] or summary["vcpu_hours_free"] else "provided"


def _beside_prices(summary: Metrics, manifest: Metrics) -> Iterator[tuple[str, str]]:
    """What makes the cost differ from instance time at list prices."""
    volumes, fees, saved = usd([summary["volume_usd"], summary["fee_usd"], summary["discount_usd"]])
    if summary["volume_usd"]:
        yield "volumes", f"{volumes} USD of it for EBS volumes"
    if summary["fee_usd"]:
        yield "management", f"{fees} USD of it for ECS's management of instances"
    if summary["discount_usd"]:
        yield "commitments", f"{saved} USD taken off by {committed_to(manifest['scenario'])}"


def _never_started(summary: Metrics) -> str:
    number = summary["jobs_not_started"]
    if not number:
        return ""
    longest = duration(summary["not_started_max_s"])
    return f"waiting is of jobs that started; {jobs(number)} never did, waiting for {longest} at most"


def _bill(summary: Metrics, manifest: Metrics) -> Table:
    total, parts = summary["cost_usd"], summary["cost_parts_usd"]
    told = PARTS | ({"fragmentation": OF_ECS} if of_ecs(manifest["scenario"]) else {})
    spent = [(part, parts[part], words) for part, words in told.items()]
    beside = (("commitment", "commitment_unused_usd", UNUSED), ("clusters", "cluster_usd", CLUSTERS))
    spent += [(name, summary[key], words) for name, key, words in beside if summary[key]]
    rows = [
        (name, amount, percent(part / total), words)
        for (name, part, words), amount in zip(spent, usd([part for _, part, _ in spent]), strict=True)
    ]
    headers = [Column("bill", words=True), Column("USD"), Column("of it")]
    excluded = f"Not in it: {', '.join(manifest['not_in_the_bill'])}."
    if has_gpus(summary):
        weight = "Of an instance with GPUs, they are nine tenths of the cost and its vCPUs one (our choice)."
        excluded = f"{excluded}\n{weight}"
    return Table("", [*headers, Column("spent on", words=True, spare=1)], rows, excluded)


def _borne(summary: Metrics, manifest: Metrics) -> str:
    """By which rule queues bear what no job costs directly, where there is a choice."""
    unborne, words = summary["cost_unattributed_usd"], _RULES.get(manifest["idle_cost"])
    if not words:
        return f"boot, idle, fragmentation and tail, {usd([unborne])[0]} USD, are borne by no queue"
    sharers = sum(each["cost_usd"] > 0 for each in summary["queues"].values())
    return f"boot, idle, fragmentation and tail are borne {words} (--idle-cost)" if sharers > 1 else ""


# --- tables -------------------------------------------------------------------------------------


def each(words: Callable[[Any], str]) -> Callable[[Sequence[Any]], list[str]]:
    return lambda values: [words(value) for value in values]


# Header, key (a dot leads into a nested mapping), how a column of values is written.
_Spec = tuple[str, str, "Callable[[Sequence[Any]], list[str]]"]
_SPENT: tuple[_Spec, ...] = tuple((f"USD\n{part}", f"cost_parts_usd.{part}", usd) for part in PARTS)
_QUEUE: tuple[_Spec, ...] = (
    ("jobs", "jobs", each(count)),
    ("waiting\nmean", "waiting_mean_s", each(duration)),
    ("\nP50", "waiting_p50_s", each(duration)),
    ("\nP95", "waiting_p95_s", each(duration)),
    ("\nP99", "waiting_p99_s", each(duration)),
    ("vCPU-h\nused", "vcpu_hours_used", column),
    ("cost\nUSD", "cost_usd", usd),
)
_PENDING: _Spec = ("of mean\nPENDING", "pending_mean_s", each(duration))
_QUEUE_GPUS: tuple[_Spec, ...] = (("GPU-h\nused", "gpu_hours_used", column),)
_QUEUE_WIDE: tuple[_Spec, ...] = (
    ("waiting\nlongest", "waiting_max_s", each(duration)),
    ("execution\nmean", "execution_mean_s", each(duration)),
    ("turnaround\nmean", "turnaround_mean_s", each(duration)),
    ("bounded\nslowdown", "bounded_slowdown_mean", column),
    ("makespan", "makespan_s", each(duration)),
    ("started", "jobs_started", each(count)),
    ("attempts", "attempts", each(count)),
    ("SUCCEEDED", "states.SUCCEEDED", each(count)),
    ("FAILED", "states.FAILED", each(count)),
    ("part of\nutilization", "utilization", each(percent)),
    *_SPENT,
)
_QUEUE_GPUS_WIDE: tuple[_Spec, ...] = (("of that\nof GPUs", "gpu_utilization", each(percent)),)
_CAPACITY: tuple[_Spec, ...] = (
    ("instances", "instances", each(count)),
    ("vCPU-h\npaid", "vcpu_hours_paid", column),
    ("vCPU-h\nused", "vcpu_hours_used", column),
    ("utilization", "utilization", each(percent)),
    ("cost\nUSD", "cost_usd", usd),
)
_CAPACITY_FREE: _Spec = ("vCPU-h\nfree", "vcpu_hours_free", column)
_CAPACITY_GPUS: tuple[_Spec, ...] = (
    ("GPU-h\npaid", "gpu_hours_paid", column),
    ("GPU-h\nused", "gpu_hours_used", column),
    ("utilization\nof GPUs", "gpu_utilization", each(percent)),
)
_CAPACITY_WIDE: tuple[_Spec, ...] = (
    ("most vCPUs\nat once", "peak_vcpus", each(vcpus)),
    ("vCPU-h\nstarting", "vcpu_hours_starting", column),
    ("vCPU-h\nbooting", "vcpu_hours_booting", column),
    ("vCPU-h\nunused", "vcpu_hours_unused", column),
    *_SPENT,
)
# What a narrow terminal can do without, the highest first.
SPARE = {
    "waiting_p50_s": 5,
    "vcpu_hours_used": 4,
    "waiting_p99_s": 3,
    "vcpu_hours_paid": 2,
    "pending_mean_s": 2,
    "waiting_mean_s": 1,
    "instances": 1,
}


def _tables(summary: Metrics, manifest: Metrics, *, wide: bool) -> Iterator[Table]:
    if summary["cost_usd"]:
        yield _bill(summary, manifest)
    capacity, queue = _CAPACITY, _QUEUE
    if has_gpus(summary):
        capacity = (*capacity[:-1], *_CAPACITY_GPUS, capacity[-1])
        queue = (*queue[:-1], *_QUEUE_GPUS, queue[-1])
    if summary["vcpu_hours_free"]:
        capacity = (*capacity[:2], _CAPACITY_FREE, *capacity[2:])
    if wide:
        capacity, queue = (*capacity, *_CAPACITY_WIDE), (*queue, *_QUEUE_WIDE)
        queue = (*queue, *_QUEUE_GPUS_WIDE) if has_gpus(summary) else queue
    capacity = tuple((title.replace("paid", _had(summary)), key, told) for title, key, told in capacity)
    if "pending_mean_s" in summary:
        queue = (*queue[:2], _PENDING, *queue[2:])
    most = None if wide else MOST_ROWS
    queues = table_of("job queue", summary["queues"], queue, most)
    borne = _borne(summary, manifest) if summary["cost_usd"] else ""
    notes = filter(None, (queues.left_out, _never_started(summary), borne))
    yield queues._replace(left_out="\n".join(notes))
    if "shares" in summary:
        yield table_of("queue/share", summary["shares"], queue, most)
    yield table_of("environment", summary["environments"], capacity, most)
    types = sorted(summary["instanceTypes"].items(), key=lambda each: (-each[1]["cost_usd"], each[0]))
    if types:
        yield table_of("instance type", dict(types), capacity, most)


def table_of(what: str, things: dict[str, Metrics], specs: Sequence[_Spec], most: int | None) -> Table:
    names = list(things)[:most]
    columns = [[_value(things[name], key) for name in names] for _, key, _ in specs]
    texts = [written(values) for (_, _, written), values in zip(specs, columns, strict=True)]
    hidden = len(things) - len(names)
    return Table(
        "",
        [Column(what, words=True), *(Column(header, spare=SPARE.get(key, 0)) for header, key, _ in specs)],
        list(zip(names, *texts, strict=True)),
        f"{hidden} of {len(things)} rows were cut; --format wide shows all" if hidden else "",
    )


def _value(metrics: Metrics, key: str) -> Any:
    """The value at a dotted key."""
    for part in key.split("."):
        metrics = metrics[part]
    return metrics


def print_left_waiting(groups: Sequence[LeftWaiting], advice: Sequence[tuple[str, str]]) -> None:
    """The jobs that can never start, by reason; for whom to do what about it."""
    columns = [Column("jobs"), Column("such as", words=True), Column("status reason", words=True)]
    rows = [(f"{each.jobs:,}", each.example, each.reason) for each in groups]
    print_text()
    print_table(Table("Jobs that can never start", columns, rows))
    if advice:
        print_text()
        print_text("What to do (batchsim check gives the --set options)", "bold")
        print_facts(advice)


# --- data ---------------------------------------------------------------------------------------

_SHARED = ("name", "region", "currency", "price_date", "seed")
_SCOPES = {
    "queues": "queue",
    "shares": "share",
    "environments": "environment",
    "instanceTypes": "instance_type",
}


def audit_in_words(violations: list[str] | None) -> str:
    """Of the broken laws; None: nobody has looked."""
    from batchsim.results.audit import LAWS

    if violations is None:
        return "not made (--no-audit)"
    return f"FAILED: {len(violations)} broken laws" if violations else f"{len(LAWS)} laws hold"


def print_result(
    result: Result, violations: list[str] | None, waiting: Sequence[LeftWaiting], form: Format
) -> None:
    """One run in any form; the tables are without the jobs that are left waiting."""
    if form is Format.JSON:
        print_as_json(result, violations, waiting)
    elif form is Format.CSV:
        print_as_csv(result)
    else:
        words = audit_in_words(violations)
        print_summary(result, words, wide=form is Format.WIDE)
        if told := [*updates.facts(updates.records(result))]:
            print_text()
            print_text("Updates during the run", "bold")
            print_facts(told if form is Format.WIDE else told[:MOST_ROWS])
            if form is not Format.WIDE and len(told) > MOST_ROWS:
                print_text(f"{len(told) - MOST_ROWS} of {len(told)} were cut; --format wide shows all", "dim")


def print_as_json(result: Result, violations: list[str] | None, waiting: Sequence[LeftWaiting]) -> None:
    """The summary, what its money rests on, and the verdicts; `violations` is None without an audit."""
    print_json(
        {
            **{key: result.manifest[key] for key in (*_SHARED, "replication", "scenario_sha256")},
            "violations": violations,
            "never_start": [each._asdict() for each in waiting],
            **({"updates": updates.records(result)} if result.updates is not None else {}),
            **result.summary,
        }
    )


def print_as_csv(result: Result) -> None:
    """One row for the whole, and one for each queue, environment and instance type."""
    shared = {key: result.manifest[key] for key in _SHARED[1:]}
    print_csv(
        {"scope": scope, "name": name, **dict(flat(metrics)), **shared}
        for scope, name, metrics in scopes(result.summary, result.manifest["name"])
    )


def scopes(summary: Metrics, name: str) -> Iterator[tuple[str, str, Metrics]]:
    """(scope, name, metrics) of the whole, whose name is given, and of all its parts."""
    yield "total", name, {key: value for key, value in summary.items() if key not in (*_SCOPES, "services")}
    for key, scope in _SCOPES.items():
        for part, metrics in summary.get(key, {}).items():
            yield scope, part, metrics
    if "services" in summary:
        from batchsim.cli.services import scopes_of

        yield from scopes_of(summary["services"], name)


def flat(metrics: Metrics, prefix: str = "", leaf: str | None = None) -> Iterator[tuple[str, Any]]:
    """Dotted names and values of nested mappings; one that has the key `leaf` counts as a value."""
    for name, value in metrics.items():
        if isinstance(value, dict) and leaf not in value:
            yield from flat(value, f"{prefix}{name}.", leaf)
        else:
            yield prefix + name, value
