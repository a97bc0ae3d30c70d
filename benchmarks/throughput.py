"""How many jobs a second, beside programs that do the same or less: one table, ratios from one run.

    python -m benchmarks.throughput                        10 k and 100 k jobs, every shape: some minutes
    python -m benchmarks.throughput --full                 1 M jobs too
    python -m benchmarks.throughput --shapes steady,managed_steady --sizes 1M --repeats 5
    python -m benchmarks.throughput --accasim PYTHON       with an interpreter that has AccaSim
    python -m benchmarks.throughput --json

`x heapq` is the time over that of the bare heapq loop on the same jobs; the loop knows neither fleets nor
needs, so that the other shapes are set against its time for as many jobs of the steady one. The shapes with
fair shares or dependencies are set against batchsim's own time for their jobs without. batchsim's time
includes the result's frames and summary, save where it is compared with that of the SimPy models, which
make none: `x starts` is the time over that which batchsim takes until it is known when each job starts.

The program ends with 1 when a figure breaks a limit of `limits.yaml`.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from benchmarks import cases
from benchmarks.report import Case, as_json, cheapest, judge, show
from benchmarks.shapes import PLAIN, SHAPES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.cases import Cost
    from benchmarks.report import Verdict

BATCHSIM, HEAPQ = "batchsim", "heapq loop"
SIZES = {"k": 1_000, "M": 1_000_000}
DEFAULT_SIZES, ALL_SIZES = (10_000, 100_000), (10_000, 100_000, 1_000_000)
LIMITED_SIZE, ACCASIM_JOBS = 1_000_000, 10_000
OVER_PLAIN = {"shares": 1_000_000, "workflow": 100_000, "arrays": 1_000_000}
"""The number of jobs with which a shape is set against its plain one."""

MODELS = {
    "filter_store": "SimPy FilterStore",
    "resource": "SimPy Resource",
    "dispatcher": "SimPy dispatcher",
}
"""The models of a managed environment by what their figures are called."""

# The most jobs on which a rival ends within a minute or so; where it is not named it cannot do the shape.
SUITABLE = {
    HEAPQ: {"steady": 10**7, "burst": 10**7},
    "recursion": {"steady": 10**7, "burst": 10**7},
    "SimPy PriorityResource": {"steady": 10**6, "burst": 10**4},
    **{model: {"managed_steady": 10**4, "managed_burst": 10**3} for model in MODELS.values()},
}


def plan(shape_names: Sequence[str], sizes: Sequence[int], accasim: str | None) -> list[Case]:
    """What is to be measured; the yardstick comes with every size."""
    planned: list[Case] = []
    for jobs in sizes:
        if not {"steady", "burst"} & set(_with_plain(shape_names)):
            planned.append(_rival(HEAPQ, "steady", jobs))
        for shape in _with_plain(shape_names):
            planned.append(Case(shape, jobs, BATCHSIM, cases.batchsim, (shape, jobs)))
            planned += [
                _rival(name, shape, jobs) for name, most in SUITABLE.items() if jobs <= most.get(shape, 0)
            ]
    if accasim:
        planned += [
            Case("log", ACCASIM_JOBS, BATCHSIM, cases.batchsim_log, (ACCASIM_JOBS,)),
            Case("log", ACCASIM_JOBS, "AccaSim", cases.accasim, (accasim, ACCASIM_JOBS)),
        ]
    return planned


def _with_plain(shape_names: Sequence[str]) -> list[str]:
    """The shapes, and before the first that needs it what it is set against."""
    names: list[str] = []
    for shape in shape_names:
        plain = PLAIN.get(shape, shape)
        names += [plain] * (plain not in shape_names and plain not in names)
        names.append(shape)
    return names


def _rival(name: str, shape: str, jobs: int) -> Case:
    return Case(shape, jobs, name, (cases.SLOT_RIVALS | cases.MANAGED_RIVALS)[name], (shape, jobs))


class Costs:
    """The measured costs by what they are of."""

    def __init__(self, costs: Mapping[Case, Cost]) -> None:
        self._costs = {(case.shape, case.jobs, case.simulator): cost for case, cost in costs.items()}

    def get(self, shape: str, jobs: int, simulator: str = BATCHSIM) -> Cost | None:
        return self._costs.get((shape, jobs, simulator))

    def yardstick(self, shape: str, jobs: int) -> Cost | None:
        return self.get(shape, jobs, HEAPQ) or self.get("steady", jobs, HEAPQ)

    def ratio(self, one: Cost | None, other: Cost | None) -> float | None:
        return one.us_per_job / other.us_per_job if one and other else None

    def over_starts(self, one: Cost | None, ours: Cost | None) -> float | None:
        return one.starts_cpu_s / ours.starts_cpu_s if one and ours else None


def figures(costs: Costs) -> dict[str, float]:
    """The figures that `limits.yaml` bounds, as far as they have been measured."""
    jobs = LIMITED_SIZE
    steady, burst = costs.get("steady", jobs), costs.get("burst", jobs)
    log, accasim = costs.get("log", ACCASIM_JOBS), costs.get("log", ACCASIM_JOBS, "AccaSim")
    small = costs.get("managed_steady", 10_000)
    found = {
        "steady_over_heapq": costs.ratio(steady, costs.yardstick("steady", jobs)),
        "burst_over_heapq": costs.ratio(burst, costs.yardstick("burst", jobs)),
        "burst_over_steady": costs.ratio(burst, steady),
        "managed_steady_over_steady": costs.ratio(costs.get("managed_steady", jobs), steady),
        "managed_burst_over_steady": costs.ratio(costs.get("managed_burst", jobs), steady),
        "managed_spot_over_steady": costs.ratio(costs.get("managed_spot", jobs), steady),
        **{
            f"{shape}_over_plain": costs.ratio(costs.get(shape, number), costs.get(PLAIN[shape], number))
            for shape, number in OVER_PLAIN.items()
        },
        **{
            f"{name}_over_managed": costs.over_starts(costs.get("managed_steady", 10_000, model), small)
            for name, model in MODELS.items()
        },
        "accasim_over_batchsim": costs.ratio(accasim, log),
        "accasim_wait_differs_s": abs(accasim.mean_wait_s - log.mean_wait_s) if accasim and log else None,
        "peak_mib": max(
            (
                cost.peak_mib
                for shape in SHAPES
                if OVER_PLAIN.get(shape, jobs) == jobs and (cost := costs.get(shape, jobs))
            ),
            default=None,
        ),
    }
    return {name: value for name, value in found.items() if value is not None}


def rows(planned: Sequence[Case], costs: Costs) -> list[dict[str, str]]:
    return [_row(case, costs) for case in planned]


def _row(case: Case, costs: Costs) -> dict[str, str]:
    cost = costs.get(case.shape, case.jobs, case.simulator)
    assert cost is not None
    heapq = costs.ratio(cost, costs.yardstick(case.shape, case.jobs))
    ours = costs.get(case.shape, case.jobs)
    over, over_starts = costs.ratio(cost, ours), costs.over_starts(cost, ours)
    return {
        "shape": case.shape,
        "jobs": f"{case.jobs:,}",
        "simulator": case.simulator,
        "jobs/s": f"{cost.jobs / cost.cpu_s:,.0f}",
        "us/job": f"{cost.us_per_job:.2f}",
        "peak MiB": f"{cost.peak_mib:.0f}",
        "x heapq": "-" if heapq is None else f"{heapq:.2f}",
        "x batchsim": "-" if over is None else f"{over:.2f}",
        "x starts": "-" if over_starts is None else f"{over_starts:.2f}",
    }


def size(text: str) -> int:
    """10000, 10k or 1M."""
    factor = SIZES.get(text[-1:], 1)
    digits = text if factor == 1 else text[:-1]
    if not digits.isdigit() or not int(digits):
        raise argparse.ArgumentTypeError(f"expected a number of jobs such as 300, 10k or 1M, found {text!r}")
    return int(digits) * factor


def _sizes(text: str) -> list[int]:
    return [size(each) for each in text.split(",")]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Jobs a second of batchsim and of others, on equal jobs.")
    parser.add_argument("--sizes", type=_sizes, help="numbers of jobs, such as 10k,1M")
    parser.add_argument("--shapes", default=",".join(SHAPES), help=f"of {', '.join(SHAPES)}")
    parser.add_argument("--full", action="store_true", help="10k, 100k and 1M jobs")
    parser.add_argument("--repeats", type=size, default=3, help="rounds of which the cheapest run counts")
    parser.add_argument("--accasim", metavar="PYTHON", help="an interpreter that has AccaSim")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    names = options.shapes.split(",")
    if unknown := set(names) - set(SHAPES):
        parser.error(f"no such shape: {', '.join(sorted(unknown))}")
    sizes: Sequence[int] = ALL_SIZES if options.full else DEFAULT_SIZES
    if options.sizes:
        sizes = options.sizes
    planned = plan(names, sizes, options.accasim)
    measured = cheapest(planned, options.repeats, lambda line: print(line, file=sys.stderr))
    costs = Costs(measured)
    verdicts: list[Verdict] = judge(figures(costs))
    if options.json:
        print(as_json(measured, verdicts))
    else:
        show(rows(planned, costs), verdicts)
    return 1 if any(each.holds is False for each in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())
