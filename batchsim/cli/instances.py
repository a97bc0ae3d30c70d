"""`batchsim instances`: which instance types can hold a job, ranked."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from batchsim.cli.output import Column, Format, Table, note, print_csv, print_json, print_table, print_text
from batchsim.cli.verbs import OutputFormat  # noqa: TC001 - typer reads it
from batchsim.units import UUSD_PER_USD

if TYPE_CHECKING:
    from batchsim.catalog import Catalog, InstanceQuery, RankedInstance


_SHORT = {"vcpus": "vCPUs", "memory": "MiB", "gpus": "GPUs"}


class SortBy(StrEnum):
    """What to rank by; most jobs first, of everything else the smallest."""

    PRICE = "price"
    PRICE_PER_JOB = "price_per_job"
    PRICE_PER_VCPU = "price_per_vcpu"
    VCPUS = "vcpus"
    MEMORY = "memory"
    JOBS = "jobs"
    INTERRUPTION = "interruption"


class Arch(StrEnum):
    """Processor architectures."""

    X86_64 = "x86_64"
    ARM64 = "arm64"


class MemoryModel(StrEnum):
    """How much of an instance's memory jobs can use."""

    REGISTERED = "registered"
    FITTED = "fitted"
    NOMINAL = "nominal"


_Types = Annotated[
    list[str] | None,
    typer.Argument(metavar="[TYPE]...", help="Only these types, families or bundles.", show_default=False),
]
_ByPrice = Annotated[SortBy, typer.Option(help="Best first; ties by price.")]
_Spot = Annotated[
    bool,
    typer.Option("--spot", help="Spot prices, and how often instances are interrupted, by the Spot Advisor."),
]
_Usable = Annotated[MemoryModel, typer.Option(help="How much of an instance's memory jobs can use.")]
_Csv = Annotated[
    str | None,
    typer.Option(metavar="CSV", help="Instance types and prices of your own.", show_default=False),
]


def instances(
    types: _Types = None,
    *,
    vcpus: Annotated[int, typer.Option(min=1, max=10_000, help="vCPUs of one job.")] = 1,
    memory: Annotated[str, typer.Option(metavar="SIZE", help="Memory of one job.")] = "4MiB",
    gpus: Annotated[int, typer.Option(min=0, max=10_000, help="GPUs of one job.")] = 0,
    region: Annotated[str, typer.Option(help="AWS region of the prices.")] = "us-east-1",
    arch: Annotated[Arch | None, typer.Option(help="Processor architecture.", show_default=False)] = None,
    spot: _Spot = False,
    sort_by: _ByPrice = SortBy.PRICE,
    limit: Annotated[int, typer.Option(min=0, help="Most rows to print; 0: all of them.")] = 20,
    memory_model: _Usable = MemoryModel.REGISTERED,
    catalog: _Csv = None,
    output_format: OutputFormat = Format.TABLE,
) -> None:
    """Rank the instance types that can hold a job.

    By the memory that jobs can really use, which is less than the nominal memory. Example:

    batchsim instances --vcpus 4 --memory 31000MiB --region eu-west-1 --sort-by price
    """
    from pathlib import Path

    from batchsim.catalog import Catalog, InstanceQuery, rank_instances, why_none

    known = Catalog.load(region, None if catalog is None else Path(catalog))
    query = InstanceQuery(
        vcpus,
        _mib(memory),
        gpus,
        architecture=arch.value if arch else None,
        entries=tuple(types or ()),
        sort_by=sort_by.value,
        memory_model=memory_model.value,
        spot=spot,
    )
    ranked = rank_instances(known, query)
    shown = ranked[:limit] if limit else ranked
    rows = [_row(known, each) for each in shown]
    if output_format is Format.JSON:
        print_json(rows)
    elif output_format is Format.CSV:
        print_csv({**row, "limited_by": " ".join(row["limited_by"])} for row in rows)
    elif rows:
        job = f"{vcpus} vCPU, {query.memory_mib} MiB" + (f", {gpus} GPU" if gpus else "")
        title = f"{'Spot' if spot else 'Instance'} types for jobs of {job}, by {sort_by.value}"
        wide = output_format is Format.WIDE
        print_table(_table(title, rows, wide=wide, spot=spot), wide=wide)
        print_text(_origin(known, rows), "dim")
    if not ranked:
        note(f"no instance type in {region} can hold such a job: {why_none(known, query)}")
    elif len(shown) < len(ranked):
        note(f"{len(ranked) - len(shown):,} of {len(ranked):,} rows were cut; --limit 0 shows all")
    if spot and (unknown := _without_pool(known, query) - len(ranked)):
        note(
            f"not listed, for the Spot Advisor's data do not have them: {unknown:,} more that can hold such a"
            " job; a run takes assumptions.spotPriceFactor and spotInterruptionBand for them"
        )


def _origin(known: Catalog, rows: list[dict[str, Any]]) -> str:
    listed = f"On-Demand prices (Linux) in USD, {known.region}, of {known.price_date()}"
    dates = sorted({row["spot_as_of"] for row in rows if "spot_as_of" in row})
    if not dates:
        return listed
    return (
        f"{listed}, times their usual share on the Spot market; share and monthly rate of interruptions by"
        f" the Spot Instance Advisor of {' and '.join(dates)}"
    )


def _without_pool(known: Catalog, query: InstanceQuery) -> int:
    """How many types would hold the job if Spot did not matter."""
    from dataclasses import replace

    from batchsim.catalog import rank_instances

    return len(rank_instances(known, replace(query, spot=False, sort_by="price")))


def _mib(size: str) -> int:
    from batchsim.errors import UsageError
    from batchsim.units import parse_size

    try:
        return parse_size(int(size) if size.isdecimal() else size)
    except ValueError as error:
        raise UsageError(f"--memory: {error}") from None


def _row(known: Catalog, ranked: RankedInstance) -> dict[str, Any]:
    from batchsim.catalog import INTERRUPTION_WORDS

    kind, pool = ranked.instance_type, ranked.pool
    of_spot = (
        {}
        if pool is None
        else {
            "on_demand_usd_per_hour": known.price_uusd(kind.name) / UUSD_PER_USD,
            "spot_share": pool.price_factor,
            "interruption_band": pool.interruption_band,
            "interruption": INTERRUPTION_WORDS[pool.interruption_band],
            "spot_as_of": pool.as_of,
        }
    )
    price = known.price_row(kind.name)
    return {
        "instance_type": kind.name,
        "architecture": kind.architecture,
        "vcpus": kind.vcpus,
        "memory_mib": kind.memory_mib,
        "usable_memory_mib": ranked.usable_memory_mib,
        "gpus": kind.gpus,
        "gpu_model": kind.gpu_model,
        "jobs": ranked.jobs,
        "limited_by": list(ranked.limited_by),
        "usd_per_hour": ranked.uusd_per_hour / UUSD_PER_USD,
        "usd_per_job_hour": ranked.uusd_per_job_hour / UUSD_PER_USD,
        **of_spot,
        "network": kind.network,
        "local_disk_gb": kind.local_disk_gb,
        "current_generation": kind.current_generation,
        "bare_metal": kind.bare_metal,
        "region": known.region,
        "price_date": price.as_of,
        "price_method": price.method,
    }


def _table(title: str, rows: list[dict[str, Any]], *, wide: bool, spot: bool) -> Table:
    columns = [
        Column("instance type", True),
        Column("arch", True, spare=4),
        Column("vCPUs"),
        Column("usable\nMiB"),
        Column("GPUs", spare=1),
        Column("jobs\neach", spare=3),
        Column("limited by", True, spare=5),
        Column("USD/h"),
        Column("USD/h\nper job", spare=2),
    ]
    if spot:
        columns += [Column("of On-\nDemand"), Column("inter-\nrupted")]
    cells = [
        [
            row["instance_type"],
            row["architecture"],
            str(row["vcpus"]),
            f"{row['usable_memory_mib']:,}",
            f"{row['gpus']} {row['gpu_model']}" if row["gpus"] else "-",
            str(row["jobs"]),
            ", ".join(_SHORT[each] for each in row["limited_by"]),
            f"{row['usd_per_hour']:,.4f}",
            f"{row['usd_per_job_hour']:,.4f}",
            *((f"{row['spot_share']:.0%}".replace("%", " %"), row["interruption"]) if spot else ()),
        ]
        for row in rows
    ]
    if wide:
        more = ("nominal\nMiB", "network", "local disk\nGB", "price of", "price method")
        columns += [Column(header, not header.endswith(("MiB", "GB"))) for header in more]
        for row, line in zip(rows, cells, strict=True):
            line += [
                f"{row['memory_mib']:,}",
                row["network"],
                str(row["local_disk_gb"] or "-"),
                row["price_date"],
                row["price_method"],
            ]
    return Table(title, columns, cells)
