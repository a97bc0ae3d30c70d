"""`batchsim validate` and `batchsim calibrate`: a real run against simulations of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from batchsim.cli.figures import NOTHING, duration, percent
from batchsim.cli.interrupts import held_back
from batchsim.cli.output import Column, Format, Table, note, print_csv, print_facts, print_json, print_table
from batchsim.cli.output import print_text as say
from batchsim.cli.verbs import FAILED, OutputFormat

if TYPE_CHECKING:
    from batchsim.scenario import Scenario
    from batchsim.studies.validation import Comparison, Pair, Validation

_MOST_ENDINGS = 20

Folder = Annotated[
    str, typer.Argument(metavar="DIR", help="Folder that `batchsim replay -o DIR` wrote.", show_default=False)
]
RunScenario = Annotated[
    str | None,
    typer.Option(
        "--scenario",
        metavar="FILE",
        help="The scenario that was run; needed where it reads files, such as traces.",
        show_default=False,
    ),
]


def validate(
    folder: Folder,
    *,
    scenario: RunScenario = None,
    write: Annotated[bool, typer.Option(help="Write validation.json and validation.svg into DIR.")] = True,
    output_format: OutputFormat = Format.TABLE,
) -> None:
    """Compare a real run with simulations of it.

    Its log must be what a fresh scheduler decides. Then the scenario is simulated with what each attempt
    really took, with the instants at which the scheduler heard of it, and as planned.

    Exit code 1 if the scheduler decides otherwise.
    """
    from batchsim.studies.validation import validate as judge

    found = judge(folder, _scenario(scenario))
    if write:
        with held_back():
            _write(folder, found)
    if output_format is Format.JSON:
        print_json(found.to_dict())
    elif output_format is Format.CSV:
        print_csv(_rows(found))
    else:
        _print(found, wide=output_format is Format.WIDE)
    if write:
        note(f"validation.json and validation.svg are in {folder}")
    if found.first_difference is not None:
        raise typer.Exit(FAILED)


def calibrate(
    folder: Folder,
    *,
    scenario: RunScenario = None,
    output_format: OutputFormat = Format.TABLE,
) -> None:
    """Fit the start-up assumptions to a real run, as a block for a scenario."""
    from batchsim.studies.calibration import calibrate as fit

    found = fit(folder, _scenario(scenario))
    rows = [each._asdict() for each in found.fits]
    if output_format is Format.JSON:
        print_json(rows)
    elif output_format is Format.CSV:
        print_csv(rows)
    else:
        columns = [Column("step", words=True), Column("number"), Column("median"), Column("P95")]
        table = [
            (each.step, f"{each.number:,}", duration(each.median_s), duration(each.p95_s))
            for each in found.fits
        ]
        print_table(Table("", columns, table))
        say()
        say(found.assumptions().rstrip())


def _scenario(path: str | None) -> Scenario | None:
    from batchsim.scenario import load_scenario

    return None if path is None else load_scenario(path)


def _simulations(found: Validation) -> list[tuple[str, Comparison]]:
    named = (("measured", found.measured), ("heard", found.heard), ("planned", found.planned))
    return [(name, each) for name, each in named if each is not None]


def _rows(found: Validation) -> list[dict[str, Any]]:
    return [
        {
            "simulation": name,
            "figure": figure,
            "real": pair.real,
            "simulated": pair.simulated,
            "error": pair.error,
        }
        for name, each in _simulations(found)
        for figure, pair in each.figures.items()
    ]


def _print(found: Validation, *, wide: bool) -> None:
    if found.first_difference is None:
        say(f"the log is the scheduler's own: {found.entries:,} lines, identical to the byte")
    else:
        line, logged, decided = found.first_difference
        say(f"the log is not the scheduler's own, from line {line} on", style="red")
        print_facts([("logged", logged or NOTHING), ("decided", decided or NOTHING)])
    simulations = _simulations(found)
    if not simulations:
        say("the run was cut short; there is nothing to compare it with")
        return
    say()
    columns = [Column("", words=True), Column("real"), *(Column(name) for name, _ in simulations)]
    print_table(Table("", columns, list(_table(simulations))), wide=wide)
    say()
    for sentence in _explanations(found):
        say(sentence)
    for name, each in simulations:
        for job, real, simulated in each.endings[:_MOST_ENDINGS]:
            say(f"{name}: {job} ended otherwise: really {real!r}, simulated {simulated!r}")


def _table(simulations: list[tuple[str, Comparison]]) -> list[tuple[str, ...]]:
    kinds = {
        "mean waiting": ("waiting_mean_s", duration),
        "median waiting": ("waiting_p50_s", duration),
        "makespan": ("makespan_s", duration),
        "cost, USD": ("cost_usd", _usd),
    }
    rows = []
    for title, (name, write) in kinds.items():
        pairs = [each.figures[name] for _, each in simulations]
        rows.append((title, write(pairs[0].real), *(_with_error(pair, write) for pair in pairs)))
    for title, name in (("start", "start"), ("waiting", "waiting")):
        for part in ("median", "P95"):
            field = "median_s" if part == "median" else "p95_s"
            errors = (duration(getattr(getattr(each, name), field)) for _, each in simulations)
            rows.append((f"error of {title}, {part}", "", *errors))
    rows.append(("placed in the same order", "", *(percent(each.same_order) for _, each in simulations)))
    rows.append(
        ("placed on the same instance", "", *(percent(each.same_instance) for _, each in simulations))
    )
    rows.append(("jobs that end otherwise", "", *(f"{len(each.endings):,}" for _, each in simulations)))
    return rows


def _with_error(pair: Pair, write: Any) -> str:
    error = "" if pair.error is None else f" ({100 * pair.error:+.1f} %)"
    return f"{write(pair.simulated)}{error}"


def _usd(amount: float | None) -> str:
    return NOTHING if amount is None else f"{amount:,.4f}"


def _explanations(found: Validation) -> list[str]:
    share = percent(found.explained_by_latency)
    return [
        "measured: simulated with what every attempt really took",
        f"heard: with the instants at which the scheduler heard of it; latency explains {share} of the error",
        "planned: simulated as `batchsim run` does, knowing nothing of the real run",
    ]


def _write(folder: str, found: Validation) -> None:
    from batchsim.report.pictures import as_bytes
    from batchsim.report.validation import draw_starts
    from batchsim.results.files import write_beside
    from batchsim.results.names import VALIDATION, VALIDATION_PLOT

    starts = {name: each.starts for name, each in _simulations(found)}
    plot = {VALIDATION_PLOT: as_bytes(draw_starts(starts), "svg")} if starts else {}
    write_beside(folder, {VALIDATION: found.to_dict(), **plot})
