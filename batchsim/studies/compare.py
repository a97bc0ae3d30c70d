"""Variants of a scenario, simulated with the same draws, and what can be said of their differences.

Replication r of every variant has the same seed and number, so that jobs arrive at the same instants, run for
the same times and fail alike: what differs is due to the variant. A difference is therefore taken within each
replication, and its interval is that of those differences [paired comparison, common random numbers].

A variant in which jobs can never be placed is not ranked: it would do less of the work and look cheap.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple

from batchsim import __version__
from batchsim.core.jobs import QUEUE_DISABLED
from batchsim.drivers.planning import type_names
from batchsim.drivers.speeds import named_by
from batchsim.errors import AuditError, InputError, UsageError
from batchsim.scenario import with_overrides
from batchsim.studies.check import check
from batchsim.studies.comparison import Comparison, NeverPlaced, Outcome
from batchsim.studies.measures import MEASURES, parse_target
from batchsim.studies.parallel import do_all
from batchsim.studies.run import run
from batchsim.studies.speeds import speed_factors as read_speed_factors
from batchsim.studies.stalled import has_stalled, left_waiting
from batchsim.studies.variants import axes_of, blaming, names, texts, variants

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from batchsim.scenario import Scenario
    from batchsim.studies.measures import Measure, Target
    from batchsim.studies.variants import Variant

DEFAULT_REPLICATIONS = 10
_COMPARED = (
    "cost_usd",
    "makespan_s",
    "waiting_p95_s",
    "utilization",
    "gpu_utilization",
    "waste_share",
    "waste_usd",
)
_ALWAYS = (*_COMPARED, "jobs_succeeded")
_MOST_WHYS = 5
_MOST_VAIN = 5


class _Task(NamedTuple):
    """A run to be made."""

    scenario: Scenario
    seed: int
    replication: int
    measures: Sequence[Measure]
    audit: bool


class _Run(NamedTuple):
    """What is kept of one run."""

    measured: dict[str, float | None]
    outcome: str
    ended: int
    jobs: int
    price_date: str
    not_modelled: list[str]
    broken: list[str]
    never: NeverPlaced | None


def compare(
    scenario: Scenario,
    vary: Mapping[str, Sequence[Any]] | Iterable[str],
    *,
    replications: int = DEFAULT_REPLICATIONS,
    seed: int = 0,
    subject_to: Sequence[str] | str = (),
    speed_factors: Mapping[str, float] | Iterable[str] = (),
    audit: bool = True,
    workers: int | None = None,
    report: Callable[[int, int], None] | None = None,
) -> Comparison:
    """Simulate all combinations of the values in `vary`, and rank them by cost.

    vary           {`--set` path: values}, or texts such as "horizon=12h,24h"
    subject_to     targets such as "p95_wait<=30m" or "clinical.p95_wait<=10m"; see `measures`
    speed_factors  {instance type or family: how many times as fast jobs run there}, on top of the scenario's
                   `assumptions.speedFactors`; or texts such as "m7i=1.25", or names of CSV files
    audit          derive the laws again from each result; raises AuditError if one is broken
    workers        processes; by default one a core
    report         called with (runs done, runs)

    The same arguments give the same comparison, whatever `workers` is. Raises InputError for scenarios that
    cannot be used and for values that make no sense.
    """
    axes = axes_of(vary)
    targets = _targets(subject_to, scenario)
    if replications < 1:
        raise UsageError(path="replications", expected="at least 1", found=str(replications))
    faster = speed_factors if isinstance(speed_factors, Mapping) else read_speed_factors(texts(speed_factors))
    scenario = _sped_up(scenario, faster)
    if not scenario.submissions():
        raise UsageError("there is nothing to compare: all jobs of this scenario are service jobs")
    measures = _measures(targets)
    tried = variants(scenario, axes)
    with blaming(axes):
        never = do_all(_never_placed, [(each.scenario, seed) for each in tried], workers=workers)
    places = [(row, number) for row, no in enumerate(never) if no is None for number in range(replications)]
    tasks = [(_Task(tried[row].scenario, seed, number, measures, audit),) for row, number in places]
    told = None if report is None else lambda number: report(number, len(tasks))
    runs: list[list[_Run]] = [[] for _ in tried]
    for (row, _), each in zip(places, do_all(_run, tasks, workers=workers, done=told), strict=True):
        runs[row].append(each)
    _raise_broken(tried, runs)
    return Comparison(
        scenario=scenario,
        axes=dict(zip(names(axes), axes, strict=True)),
        measures=tuple(
            each for each in measures if each.column != "gpu_utilization" or _has_values(runs, each)
        ),
        targets=targets,
        outcomes=tuple(map(_outcome, tried, runs, never)),
        replications=replications,
        seed=seed,
        version=__version__,
        price_dates=_price_dates(tried, runs),
        not_modelled=tuple(_not_modelled(runs, faster, tried)),
    )


def _price_dates(tried: Sequence[Variant], runs: Sequence[Sequence[_Run]]) -> dict[str, str]:
    """By region of the variants, of those that were run if any was, from when to when their prices are of."""
    days: dict[str, set[str]] = {}
    for variant, row in zip(tried, runs, strict=True):
        if row or not any(runs):
            of_region = days.setdefault(variant.scenario.region, set())
            of_region.update(day for each in row if each.price_date for day in each.price_date.split(" to "))
    return {
        region: " to ".join(sorted({min(each), max(each)})) if each else "" for region, each in days.items()
    }


def _targets(given: Iterable[str], scenario: Scenario) -> tuple[Target, ...]:
    queues = [queue.jobQueueName for queue in scenario.jobQueues if not queue.is_service]
    return tuple(parse_target(text, queues) for text in texts(given))


def _sped_up(scenario: Scenario, faster: Mapping[str, float]) -> Scenario:
    if not faster:
        return scenario
    together = {**scenario.assumptions.speedFactors, **faster}
    try:
        return with_overrides(scenario, [f"assumptions.speedFactors={json.dumps(together)}"])
    except InputError as error:
        error.file = "--speed-factor"
        raise


def _not_modelled(
    runs: Sequence[Sequence[_Run]], faster: Iterable[str], tried: Sequence[Variant]
) -> Iterator[str]:
    yield from dict.fromkeys(text for row in runs for each in row for text in each.not_modelled)
    yield from _vain(faster, tried)


def _vain(faster: Iterable[str], tried: Sequence[Variant]) -> Iterator[str]:
    """A sentence about the speed factors that change nothing, as no variant may use such types."""
    if left := set(faster):
        used = set().union(*(type_names(each.scenario) for each in tried))
        left = {each for each in left if not named_by(each, used)}
    if left:
        shown = ", ".join(sorted(left)[:_MOST_VAIN])
        more = f" and {len(left) - _MOST_VAIN} more" if len(left) > _MOST_VAIN else ""
        yield f"--speed-factor of {shown}{more} changes nothing: no variant has such an instance type."


def _measures(targets: Sequence[Target]) -> tuple[Measure, ...]:
    """Those that are always compared, and those that there is a target for."""
    by_column = {each.column: each for each in MEASURES}
    chosen = {column: by_column[column] for column in _ALWAYS}
    return tuple((chosen | {each.measure.column: each.measure for each in targets}).values())


def _has_values(runs: Sequence[Sequence[_Run]], measure: Measure) -> bool:
    return any(each.measured[measure.column] is not None for of_variant in runs for each in of_variant)


# --- in the worker processes ----------------------------------------------------------------------


def _never_placed(scenario: Scenario, seed: int) -> NeverPlaced | None:
    """The jobs of a scenario that can never start, if a check finds some: a run decides how many."""
    found = check(scenario, seed)
    if found.can_all_start:
        return None
    result = run(scenario, seed=seed)
    if has_stalled(result.summary):
        number = sum(each.jobs for each in left_waiting(result))
        number += int((result.jobs["status_reason"] == QUEUE_DISABLED).sum())
    elif not found.services_never and result.jobs["attempts"].all():
        return None
    else:
        number = found.never_started
    left = [each for each in found.supplies if each.left_over]
    whys = [
        *(f"{each.title}: {each.shortfall or each.reason}" for each in found.never),
        *(
            f"{each.title}: {each.shortfall or each.turns[-1].reason}"
            for each in found.findings
            if each.shut_out
        ),
        *(f"{each.title}: {QUEUE_DISABLED}" for each in found.findings if each.refused),
        *(f"{each.group}: {each.shortfall or each.reason}" for each in found.services_never),
        *(f"there is too little of {each.resource}" for each in left),
    ]
    return NeverPlaced(number, found.jobs, tuple(whys[:_MOST_WHYS]))


def _run(task: _Task) -> _Run:
    result = run(task.scenario, seed=task.seed, replication=task.replication)
    summary, manifest = result.summary, result.manifest
    never = None
    if has_stalled(summary):
        left = left_waiting(result)
        whys = tuple(f"{each.example}: {each.reason}" for each in left[:_MOST_WHYS])
        never = NeverPlaced(sum(each.jobs for each in left), summary["jobs"], whys)
    return _Run(
        measured={measure.column: measure.of(summary) for measure in task.measures},
        outcome=summary["outcome"],
        ended=summary["states"]["SUCCEEDED"] + summary["states"]["FAILED"],
        jobs=summary["jobs"] + summary["jobs_not_submitted"],
        price_date=manifest["price_date"],
        not_modelled=manifest["not_modelled"],
        broken=list(map(str, result.audit())) if task.audit else [],
        never=never,
    )


# --- what is made of it ---------------------------------------------------------------------------


def _raise_broken(tried: Sequence[Variant], runs: Sequence[Sequence[_Run]]) -> None:
    broken = [
        f"{variant.name}, replication {number}: {text}"
        for variant, of_variant in zip(tried, runs, strict=True)
        for number, each in enumerate(of_variant)
        for text in each.broken
    ]
    if broken:
        raise AuditError.about(broken, "a result")


def _outcome(variant: Variant, runs: Sequence[_Run], never: NeverPlaced | None) -> Outcome:
    stalled = next((each.never for each in runs if each.never is not None), None)
    return Outcome(
        variant=variant,
        measured={}
        if stalled
        else {
            column: tuple(each.measured[column] for each in runs)
            for column in (runs[0].measured if runs else ())
        },
        at_horizon=any(each.outcome == "horizon" for each in runs),
        never=never or stalled,
        ended=fmean(each.ended for each in runs) if runs else 0,
        jobs=fmean(each.jobs for each in runs) if runs else 0,
    )
