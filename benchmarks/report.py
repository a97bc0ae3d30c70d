"""Tables for people, JSON for programs, and the limits that the figures are held to."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ruamel.yaml import YAML

from batchsim.drivers.compiled import compiled_modules
from benchmarks.measure import measure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchmarks.cases import Cost

IS_COMPILED = bool(compiled_modules())
LIMITS = Path(__file__).with_name("limits.yaml")


class Case(NamedTuple):
    """A run to be measured: of which jobs, by which simulator, and the call that gives its Cost."""

    shape: str
    jobs: int
    simulator: str
    call: Callable[..., Cost]
    arguments: tuple[object, ...]


def cheapest(cases: Sequence[Case], repeats: int, progress: Callable[[str], None]) -> dict[Case, Cost]:
    """The cheapest of `repeats` runs of each case, each run in a process of its own.

    A round runs every case once before any is run again, so that a machine that is busy for a while slows all
    of them. The minimum is what is left when others take time away; it is never less than the work itself.
    """
    best: dict[Case, Cost] = {}
    for number in range(1, repeats + 1):
        for case in cases:
            progress(f"round {number} of {repeats}: {case.simulator}, {case.shape}, {case.jobs:,} jobs")
            cost = measure(case.call, *case.arguments).result
            if case not in best or cost.cpu_s < best[case].cpu_s:
                best[case] = cost
    return best


class Verdict(NamedTuple):
    """A figure of this run beside its limit.

    holds      None: the limit is one for a compiled batchsim, and this is not
    recorded   what it was when the limit was last looked at, compiled or not as this run is
    """

    figure: str
    measured: float
    limit: str
    holds: bool | None
    recorded: str


def judge(figures: Mapping[str, float]) -> list[Verdict]:
    """Hold figures to `limits.yaml`; a figure that has no limit is a mistake of the program."""
    limits = YAML(typ="safe").load(LIMITS)
    return [_verdict(name, measured, limits[name]) for name, measured in figures.items()]


def _verdict(name: str, measured: float, limit: Mapping[str, Any]) -> Verdict:
    recorded = f"{limit.get('compiled' if IS_COMPILED else 'measured', 'never')} on {limit['date']}"
    if "most" in limit:
        holds, bound = measured <= limit["most"], f"<= {limit['most']}"
    else:
        holds, bound = measured >= limit["least"], f">= {limit['least']}"
    owed = IS_COMPILED or limit.get("of") != "compiled"
    return Verdict(name, measured, bound, holds if holds or owed else None, recorded)


def show(rows: Sequence[Mapping[str, str]], verdicts: Sequence[Verdict]) -> None:
    """Print a plain table of the rows, and below it what became of each limit; on stderr, what ran."""
    print("batchsim is compiled" if IS_COMPILED else "batchsim is not compiled", file=sys.stderr)
    print(_table(rows))
    if verdicts:
        print()
        print(
            _table(
                [
                    {
                        "figure": each.figure,
                        "measured": f"{each.measured:.4g}",
                        "limit": each.limit,
                        "holds": {True: "yes", False: "NO", None: "compiled only"}[each.holds],
                        "recorded": each.recorded,
                    }
                    for each in verdicts
                ]
            )
        )


def as_json(costs: Mapping[Case, Cost], verdicts: Sequence[Verdict]) -> str:
    runs = [
        {
            "shape": case.shape,
            "simulator": case.simulator,
            **cost._asdict(),
            "us_per_job": cost.us_per_job,
        }
        for case, cost in costs.items()
    ]
    return json.dumps({"runs": runs, "limits": [each._asdict() for each in verdicts]}, indent=1)


def _table(rows: Sequence[Mapping[str, str]]) -> str:
    """Columns as wide as their widest cell; numbers to the right, words to the left."""
    names = list(rows[0])
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in names}
    right = {name for name in names if all(row[name][:1].isdigit() or row[name] in {"", "-"} for row in rows)}

    def line(cells: Mapping[str, str]) -> str:
        return "  ".join(
            cells[name].rjust(widths[name]) if name in right else cells[name].ljust(widths[name])
            for name in names
        ).rstrip()

    rule = {name: "-" * widths[name] for name in names}
    return "\n".join([line({name: name for name in names}), line(rule), *map(line, rows)])
