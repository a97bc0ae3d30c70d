"""`batchsim compare`: variants of a scenario, ranked by cost."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from batchsim.cli.interrupts import held_back
from batchsim.cli.output import (
    Column,
    Format,
    Table,
    note,
    print_csv,
    print_facts,
    print_json,
    print_table,
    print_text,
)
from batchsim.cli.progress import TaskProgress
from batchsim.cli.verbs import FAILED, OutputFormat, Overrides, ScenarioPath, Seed

if TYPE_CHECKING:
    from batchsim.studies.cells import Texts
    from batchsim.studies.comparison import Comparison


Vary = Annotated[
    list[str],
    typer.Option(
        "--vary",
        metavar="PATH=VALUES",
        help="What to vary, as with --set: horizon=12h,24h or PATH.instanceTypes='[c6i],[m6i]'; again for"
        " a grid. What changes together: PATH.{a,b}='[1,2],[3,4]'.",
        show_default=False,
    ),
]
Targets = Annotated[
    list[str] | None,
    typer.Option(
        "--subject-to",
        metavar="TARGET",
        help="What the ticked variant must meet: 'p95_wait<=30m', 'QUEUE.p95_wait<=10m', 'waste<20%';"
        " again for more.",
        show_default=False,
    ),
]
SpeedFactors = Annotated[
    list[str] | None,
    typer.Option(
        "--speed-factor",
        metavar="TYPE=FACTOR",
        help="How many times as fast jobs run on a type or family, such as m7i=1.25; or a CSV of such;"
        " again for more.",
        show_default=False,
    ),
]
Replications = Annotated[
    int,
    typer.Option("-n", "--replications", min=1, max=10_000, help="Runs of each variant, for intervals."),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers", min=1, metavar="N", help="Processes; by default one a core.", show_default=False
    ),
]
Folder = Annotated[
    str | None,
    typer.Option(
        "-o",
        "--output",
        metavar="DIR",
        help="Write the table, the plot and the manifest there.",
        show_default=False,
    ),
]


def compare(
    scenario: ScenarioPath,
    *,
    vary: Vary,
    subject_to: Targets = None,
    speed_factor: SpeedFactors = None,
    replications: Replications = 10,
    seed: Seed = 0,
    folder: Folder = None,
    workers: Workers = None,
    overrides: Overrides = None,
    audit: Annotated[bool, typer.Option(help="Derive the laws again from each result.")] = True,
    output_format: OutputFormat = Format.TABLE,
) -> None:
    """Compare variants of a scenario: cost, makespan, wait, utilization and waste, ranked by cost.

    All variants see the same draws; differences are to the first variant, within each replication, and ± is
    a 95 % interval. The cheapest variant that does all the work and meets all targets is ticked. Variants in
    which some job can never be placed are named, not ranked.

    Exit code 1 if no variant does all the work and meets all targets.
    """
    from batchsim.results.files import check_folder
    from batchsim.scenario import load_scenario
    from batchsim.studies.compare import compare as study
    from batchsim.studies.comparison import FOLDER
    from batchsim.studies.variants import axes_of, refuse_both

    loaded = load_scenario(scenario, overrides or ())
    refuse_both(axes_of(vary), overrides or ())
    if folder is not None:
        check_folder(folder, loaded.name, FOLDER)
    with TaskProgress("runs") as progress:
        found = study(
            loaded,
            vary,
            replications=replications,
            seed=seed,
            subject_to=subject_to or (),
            speed_factors=speed_factor or (),
            audit=audit,
            workers=workers,
            report=progress,
        )
    if folder is not None:
        with held_back():
            found.write(folder)
    if output_format is Format.JSON:
        print_json(found.to_dict())
    elif output_format is Format.CSV:
        print_csv(_rows(found))
    else:
        _print(found, audited=audit, wide=output_format is Format.WIDE)
    for sentence in found.not_modelled:
        note(f"note: {sentence}")
    if folder is not None:
        note(f"the comparison is in {folder}")
    if found.cheapest is None:
        raise typer.Exit(FAILED)


def _rows(found: Comparison) -> list[dict[str, Any]]:
    table = found.table.reset_index()
    texts = table.astype(object).where(table.notna(), None)
    shared = {
        key: found.manifest[key] for key in ("region", "currency", "price_date", "seed", "replications")
    }
    return [{str(key): value for key, value in row.items()} | shared for row in texts.to_dict("records")]


def _print(found: Comparison, *, audited: bool, wide: bool) -> None:
    from batchsim.studies.cells import differences, ranking, sentences

    print_text(found.title, "bold")
    print_text()
    print_facts(_facts(found, audited=audited))
    print_text()
    print_table(_table("", ranking(found, everything=wide), remarks=True), wide=wide)
    changes = differences(found, everything=wide)
    if changes is not None and found.baseline is not None:
        print_text()
        print_table(_table(f"Difference to {found.baseline.variant.name}", changes), wide=wide)
    print_text()
    for sentence in sentences(found):
        print_text(_printable(sentence))


def _facts(found: Comparison, *, audited: bool) -> list[tuple[str, str]]:
    from batchsim.cli.foundations import foundations
    from batchsim.cli.prices import prices
    from batchsim.results.audit import LAWS

    manifest = {**found.manifest, "workload": {}}
    ran = [each.variant.scenario.to_dict() for each in found.outcomes if each.measured]
    told = [("varied", axis.path) for axis in found.axes.values()]
    told += [("target", target.text) for target in found.targets]
    return [
        *told,
        ("prices", prices(manifest, ran) if ran else "none: no variant was run"),
        *foundations(manifest, manifest),
        ("audit", f"{len(LAWS)} laws hold" if audited else "not made (--no-audit)"),
    ]


def _table(title: str, texts: Texts, *, remarks: bool = False) -> Table:
    last = len(texts.headers) - 1 if remarks else len(texts.headers)
    columns = [
        Column(header, words=place < texts.words or place == last)
        for place, header in enumerate(texts.headers)
    ]
    return Table(title, columns, [list(map(_printable, row)) for row in texts.rows])


def _printable(text: str) -> str:
    """The tick as a letter where the output has no other."""
    from batchsim.studies.cells import TICK

    try:
        TICK.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return text.replace(TICK, "*")
    return text
