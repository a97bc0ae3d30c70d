"""What twice as much costs: the time for each doubling of the backlog, and of the fleet.

    python -m benchmarks.doublings [--scale 0.1] [--repeats 3] [--json]

    backlog   50 k, 100 k and 200 k jobs submitted at once, on slots and on an environment that scales
    fleet     2,500, 5,000 and 10,000 instances, each with 20 jobs in its life, so that a doubling is of both

A program whose cost for an event does not depend on how many wait, or how wide the fleet is, takes twice as
long. It ends with 1 when a ratio is above the limit of `limits.yaml`.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from benchmarks import cases
from benchmarks.report import Case, as_json, cheapest, judge, show

if TYPE_CHECKING:
    from collections.abc import Sequence

BACKLOGS, BACKLOG_SHAPES = (50_000, 100_000, 200_000), ("burst", "managed_burst")
FLEETS, JOBS_PER_INSTANCE = (2_500, 5_000, 10_000), 20


def plan(scale: float) -> list[list[Case]]:
    """One series for each thing that is doubled."""
    series = [
        [
            Case(f"{shape}: {jobs:,} waiting", jobs, "batchsim", cases.batchsim, (shape, jobs))
            for jobs in (round(backlog * scale) for backlog in BACKLOGS)
        ]
        for shape in BACKLOG_SHAPES
    ]
    fleets = [round(instances * scale) for instances in FLEETS]
    series.append(
        [
            Case(
                f"fleet: {instances:,} instances",
                instances * JOBS_PER_INSTANCE,
                "batchsim",
                cases.batchsim_fleet,
                (instances * JOBS_PER_INSTANCE, instances),
            )
            for instances in fleets
        ]
    )
    return series


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description="Time ratios for each doubling of the backlog and the fleet."
    )
    parser.add_argument("--scale", type=float, default=1.0, help="of all sizes")
    parser.add_argument("--repeats", type=int, default=3, help="rounds of which the cheapest run counts")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    series = plan(options.scale)
    measured = cheapest(
        [case for each in series for case in each],
        options.repeats,
        lambda line: print(line, file=sys.stderr),
    )
    rows: list[dict[str, str]] = []
    worst = 0.0
    for each in series:
        before = 0.0
        for case in each:
            cost = measured[case]
            ratio = cost.cpu_s / before if before else 0.0
            worst = max(worst, ratio)
            before = cost.cpu_s
            rows.append(
                {
                    "doubled": case.shape,
                    "jobs": f"{cost.jobs:,}",
                    "CPU s": f"{cost.cpu_s:.3f}",
                    "us/job": f"{cost.us_per_job:.2f}",
                    "peak MiB": f"{cost.peak_mib:.0f}",
                    "x half": f"{ratio:.2f}" if ratio else "-",
                }
            )
    verdicts = judge({"doubling": worst}) if options.scale == 1 else []
    if options.json:
        print(as_json(measured, verdicts))
    else:
        show(rows, verdicts)
    return 1 if any(each.holds is False for each in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())
