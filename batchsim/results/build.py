"""From a finished record to a result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from batchsim.results.cost import CLUSTERS, NOT_IN_THE_BILL, VOLUMES
from batchsim.results.costs import bill_of, costs_frame
from batchsim.results.frames import build_frames, job_names
from batchsim.results.metrics import summarize
from batchsim.results.relations import arrays_frame, dependencies_frame
from batchsim.results.result import Result
from batchsim.results.tables import build_tables
from batchsim.results.timeseries import build_timeseries
from batchsim.results.updates import updates_frame
from batchsim.results.waits import waits_frame
from batchsim.units import US_PER_S, UUSD_PER_USD

if TYPE_CHECKING:
    from batchsim.results.context import InstanceTypeRow, RunContext
    from batchsim.results.recording import Recorder


def build_result(recorder: Recorder, context: RunContext) -> Result:
    """The result of a finished record; equal records and contexts give equal results, to the byte.

    Raises ContractError when the record is not finished or does not fit the context.
    """
    tables = build_tables(recorder, context)
    assert recorder.outcome is not None
    # The large frames last: what the others need for a moment is free again by then.
    parts = bill_of(tables, context)
    summary = summarize(tables, context, recorder.outcome, parts)
    costs = costs_frame(tables, context, parts)
    of_instances = parts.of_instances
    del parts
    timeseries = build_timeseries(tables, context)
    names = job_names(context, tables.jobs.job_class)
    jobs, attempts, instances = build_frames(tables, recorder, context, names, of_instances)
    return Result(
        jobs=jobs,
        attempts=attempts,
        instances=instances,
        timeseries=timeseries,
        costs=costs,
        summary=summary,
        manifest=build_manifest(recorder, context),
        arrays=arrays_frame(tables, context, names),
        dependencies=dependencies_frame(tables, context, names),
        waits=waits_frame(recorder, context),
        updates=updates_frame(tables, context),
    )


def build_manifest(recorder: Recorder, context: RunContext) -> dict[str, Any]:
    """What the result rests on. No clock time and no path: equal runs have equal manifests."""
    return {
        "batchsim": context.version,
        "numpy": np.__version__,
        "driver": context.driver,
        **({} if context.real is None else {"real": dict(context.real)}),
        "name": context.name,
        "region": context.region,
        "currency": "USD",
        "price_date": context.price_date,
        "seed": context.seed,
        "replication": context.replication,
        "scenario_sha256": context.digest,
        "outcome": recorder.outcome,
        "ended_at_s": recorder.ended_at_us / US_PER_S,
        "horizon_s": None if context.horizon_us is None else context.horizon_us / US_PER_S,
        "assumptions": dict(context.assumptions),
        "not_modelled": list(context.not_modelled),
        "idle_cost": context.idle_cost,
        "not_in_the_bill": _not_in_the_bill(context),
        "architectures": _architectures(recorder, context),
        **_on_demand(recorder, context),
        "workload": dict(context.notes),
        **({"spot_prices": dict(context.price_notes)} if context.price_notes else {}),
        "scenario": dict(context.scenario),
    }


def _architectures(recorder: Recorder, context: RunContext) -> dict[str, str]:
    """By instance type the architecture of the instances that there were, as far as it is known."""
    rows = _types_there(recorder, context)
    return {each.name: each.architecture for each in rows if each.architecture}


def _on_demand(recorder: Recorder, context: RunContext) -> dict[str, dict[str, float]]:
    """The On-Demand prices by instance type, where somebody takes a part of them."""
    if not any(each.fee_part for each in context.environments):
        return {}
    rows = [each for each in _types_there(recorder, context) if each.on_demand_uusd_per_hour]
    prices = {each.name: each.on_demand_uusd_per_hour / UUSD_PER_USD for each in rows}
    return {"on_demand_usd_per_hour": prices}


def _types_there(recorder: Recorder, context: RunContext) -> list[InstanceTypeRow]:
    return [context.instance_types[row] for row in sorted(set(recorder.i_type))]


def _not_in_the_bill(context: RunContext) -> list[str]:
    in_it = {VOLUMES} if any(each.volume_uusd_per_hour for each in context.environments) else set()
    if context.cluster_uusd_per_hour:
        in_it.add(CLUSTERS)
    return [each for each in NOT_IN_THE_BILL if each not in in_it]
