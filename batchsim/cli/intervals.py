"""What `batchsim run -n N` prints of several replications: means with confidence intervals."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from batchsim.cli.figures import NOTHING, column, counts, duration, has_gpus, percent, usd
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
from batchsim.cli.prices import prices
from batchsim.cli.summary import MOST_ROWS, PARTS, SPARE, Metrics, flat, scopes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Writer = Callable[[Sequence[float | None]], list[str]]
    # Header, key of the metric, how numbers of it are written together.
    Spec = tuple[str, str, Writer]


def _each(words: Callable[[float | None], str]) -> Writer:
    return lambda values: [words(value) for value in values]


_MAIN: tuple[Spec, ...] = (
    ("jobs", "jobs", counts),
    ("jobs FAILED", "states.FAILED", counts),
    ("makespan", "makespan_s", _each(duration)),
    ("waiting mean", "waiting_mean_s", _each(duration)),
    ("waiting P50", "waiting_p50_s", _each(duration)),
    ("waiting P95", "waiting_p95_s", _each(duration)),
    ("waiting P99", "waiting_p99_s", _each(duration)),
    ("waiting longest", "waiting_max_s", _each(duration)),
    ("bounded slowdown", "bounded_slowdown_mean", column),
    ("utilization", "utilization", _each(percent)),
    ("vCPU-hours used", "vcpu_hours_used", column),
    ("vCPU-hours paid", "vcpu_hours_paid", column),
    ("cost USD", "cost_usd", usd),
)
_SPENT: tuple[Spec, ...] = tuple((f"of it {part}", f"cost_parts_usd.{part}", usd) for part in PARTS)
_MONEY: tuple[Spec, ...] = (
    *_SPENT,
    ("of it unused commitment", "commitment_unused_usd", usd),
    ("of it EKS clusters", "cluster_usd", usd),
    ("of it volumes", "volume_usd", usd),
    ("of it ECS's fee", "fee_usd", usd),
    ("taken off by commitments", "discount_usd", usd),
)
_PENDING: Spec = ("of mean PENDING", "pending_mean_s", _each(duration))
_NOT_STARTED: Spec = ("jobs that never started", "jobs_not_started", counts)
_MAIN_GPUS: tuple[Spec, ...] = (
    ("utilization of GPUs", "gpu_utilization", _each(percent)),
    ("GPU-hours used", "gpu_hours_used", column),
    ("GPU-hours paid", "gpu_hours_paid", column),
)
_QUEUE: tuple[Spec, ...] = (
    ("jobs", "jobs", counts),
    ("waiting mean", "waiting_mean_s", _each(duration)),
    ("waiting P95", "waiting_p95_s", _each(duration)),
    ("cost USD", "cost_usd", usd),
)
_QUEUE_WIDE: tuple[Spec, ...] = (
    ("waiting P50", "waiting_p50_s", _each(duration)),
    ("waiting P99", "waiting_p99_s", _each(duration)),
    ("waiting longest", "waiting_max_s", _each(duration)),
    ("turnaround mean", "turnaround_mean_s", _each(duration)),
    ("bounded slowdown", "bounded_slowdown_mean", column),
    ("FAILED", "states.FAILED", counts),
    ("vCPU-h used", "vcpu_hours_used", column),
)
_CAPACITY: tuple[Spec, ...] = (
    ("instances", "instances", counts),
    ("vCPU-h paid", "vcpu_hours_paid", column),
    ("utilization", "utilization", _each(percent)),
    ("cost USD", "cost_usd", usd),
)
_CAPACITY_GPUS: tuple[Spec, ...] = (
    ("GPU-h used", "gpu_hours_used", column),
    ("utilization of GPUs", "gpu_utilization", _each(percent)),
)
_CAPACITY_WIDE: tuple[Spec, ...] = (
    ("most vCPUs at once", "peak_vcpus", counts),
    ("vCPU-h used", "vcpu_hours_used", column),
    ("vCPU-h booting", "vcpu_hours_booting", column),
    ("vCPU-h unused", "vcpu_hours_unused", column),
)


def print_combined(
    combined: Metrics, manifest: Metrics, audit: str, output_format: Format, violations: list[str] | None
) -> None:
    """Print the replications that `batchsim.studies.replications.combine` has put together.

    manifest   of one of them
    audit      in words what the audits found; `violations` in detail, None without an audit
    """
    if output_format is Format.JSON:
        print_json({**combined, "violations": violations})
    elif output_format is Format.CSV:
        print_csv(_rows(combined))
    else:
        _print_tables(combined, manifest, audit, wide=output_format is Format.WIDE)


def _rows(combined: Metrics) -> Iterator[dict[str, Any]]:
    """One row a metric that has an interval."""
    shared = {key: combined[key] for key in ("region", "currency", "price_date", "seed", "confidence")}
    for scope, name, metrics in scopes(combined, combined["name"]):
        for metric, value in flat(metrics, leaf="half_width"):
            if isinstance(value, dict):
                yield {"scope": scope, "name": name, "metric": metric, **value, **shared}


def _print_tables(combined: Metrics, manifest: Metrics, audit: str, *, wide: bool) -> None:
    services = combined.get("services")
    alone = services is not None and not combined["queues"]
    told = combined["services"]["outcome"] if alone else combined["outcome"]
    outcomes = ", ".join(f"{number} {outcome}" for outcome, number in told.items())
    stalled = "stalled" in told
    style = "bold red" if stalled else "bold green"
    print_text(f"{combined['name']}: {combined['replications']} replications, {outcomes}", style)
    print_text()
    print_facts([("prices", prices(manifest)), *foundations(combined, manifest), ("audit", audit)])
    if not alone:
        print_text()
        print_table(_main_table(combined), wide=wide)
    queue = (*_QUEUE, *_QUEUE_WIDE) if wide else _QUEUE
    capacity = (*_CAPACITY, *_CAPACITY_GPUS) if has_gpus(combined) else _CAPACITY
    capacity = (*capacity, *_CAPACITY_WIDE) if wide else capacity
    types = dict(sorted(combined["instanceTypes"].items(), key=lambda each: -each[1]["cost_usd"]["mean"]))
    for what, things, specs in (
        ("job queue", combined["queues"], queue),
        ("queue/share", combined.get("shares", {}), queue),
        ("environment", combined["environments"], capacity),
        ("instance type", types, capacity),
    ):
        if things:
            print_text()
            print_table(_part_table(what, things, specs, None if wide else MOST_ROWS), wide=wide)
    if services is not None:
        from batchsim.cli.services import COMBINED, parts

        print_text()
        print_table(_part_table("service queue", dict(parts(services)), COMBINED, None), wide=wide)


def _main_table(combined: Metrics) -> Table:
    level = f"{combined['confidence']:.0%}".replace("%", " %")
    columns = [
        Column("", words=True),
        Column("mean"),
        Column(f"{level} interval"),
        Column("least", spare=1),
        Column("most", spare=2),
    ]
    rows = []
    values = dict(flat(combined, leaf="half_width"))
    main = (*_MAIN[:4], _PENDING, *_MAIN[4:]) if combined.get("pending_mean_s") else _MAIN
    specs = [*main, *(spec for spec in _MONEY if values[spec[1]]["most"])]
    specs += _MAIN_GPUS if has_gpus(combined) else ()
    if combined["jobs_not_started"]["most"]:
        specs.append(_NOT_STARTED)
    for header, key, write in specs:
        value = values[key] or dict.fromkeys(("mean", "low", "high", "least", "most"))
        mean, low, high, least, most = write(
            [value[each] for each in ("mean", "low", "high", "least", "most")]
        )
        rows.append((header, mean, NOTHING if low == NOTHING else f"{low} to {high}", least, most))
    return Table("", columns, rows)


def _part_table(what: str, things: Metrics, specs: Sequence[Spec], most: int | None) -> Table:
    names = list(things)[:most]
    metrics = [dict(flat(things[name], leaf="half_width")) for name in names]
    columns = [_with_half_widths([each[key] for each in metrics], write) for _, key, write in specs]
    hidden = len(things) - len(names)
    return Table(
        "",
        [Column(what, words=True), *(Column(header, spare=SPARE.get(key, 0)) for header, key, _ in specs)],
        list(zip(names, *columns, strict=True)),
        f"{hidden} of {len(things)} rows were cut; --format wide shows all" if hidden else "",
    )


def _with_half_widths(values: Sequence[Metrics | None], write: Writer) -> list[str]:
    """Mean and half-width of each value, such as 12m 05s ± 40s."""
    pairs = [(value["mean"], value["half_width"]) if value else (None, None) for value in values]
    texts = write(list(chain.from_iterable(pairs)))
    return [
        mean if half_width == NOTHING else f"{mean} ± {half_width}"
        for mean, half_width in zip(texts[::2], texts[1::2], strict=True)
    ]
