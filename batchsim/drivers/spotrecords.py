"""The recorded Spot prices of a scenario: of which pools, and from when on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from batchsim.drivers.offered import spot_types
from batchsim.errors import ScenarioError, TraceError, at_path
from batchsim.workload.spotprices import instant_text, read_prices, since_1970

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from batchsim.catalog import Catalog
    from batchsim.scenario import Scenario
    from batchsim.workload.spotprices import RecordedPrices
    from batchsim.workload.steps import Steps

_MOST_NAMED: Final = 10

_Pool = tuple[str, str]


class _Trace(NamedTuple):
    """A file of the scenario, what is said of its beginning, and the pools of which it is the first."""

    place: str
    record: RecordedPrices
    begin_us: int | None
    pools: list[_Pool]


def recorded_prices(scenario: Scenario, catalog: Catalog) -> tuple[Mapping[_Pool, Steps], Mapping[str, Any]]:
    """The prices by instance type and zone, of zones that the scenario has, and notes for the manifest.

    traces            of each file rows_read = prices + the sum of `dropped`, and what `_notes` adds
    unrecorded_types  types of Spot environments that no file has: they keep the catalogue's price

    Raises TraceError for a file that is none, ScenarioError where only some zones of a type are recorded.
    """
    if not scenario.assumptions.spotPrices:
        return {}, {}
    used = spot_types(scenario, catalog)
    traces = _traces(scenario)
    _check_zones(scenario, traces, used)
    common = _common_begin(traces, used)
    prices: dict[_Pool, Steps] = {}
    notes = []
    for trace in traces:
        begin = _begin(trace, common)
        with at_path(f"{trace.place}.trace"):
            prices |= {pool: trace.record.steps(pool, begin) for pool in trace.pools}
        notes.append(_notes(trace, begin, used, scenario.assumptions.availabilityZones))
    recorded = {name for trace in traces for name, _ in trace.record.changes}
    return prices, {"traces": notes, "unrecorded_types": sorted(used - recorded)}


def _traces(scenario: Scenario) -> list[_Trace]:
    given = scenario.assumptions.spotPrices
    zones = scenario.assumptions.availabilityZones
    said = next((each.begin for each in given if each.begin is not None), None)
    taken: set[_Pool] = set()
    traces = []
    for number, each in enumerate(given):
        place = f"assumptions.spotPrices.{number}"
        with at_path(f"{place}.trace"):
            record = read_prices(scenario.base_dir / each.trace, scenario.region)
        if record.counts_in == "at_s" and each.begin is not None:
            raise ScenarioError(
                "the trace counts from the beginning of the run (at_s)",
                path=f"{place}.begin",
                hint="remove begin",
            )
        there = [pool for pool in record.changes if pool[1] in ("", *zones)]
        if not there:
            raise ScenarioError(
                path="assumptions.availabilityZones",
                expected="zones of the price trace",
                found=", ".join(zones) or "none",
                hint=f"it has {', '.join(sorted({zone for _, zone in record.changes})[:_MOST_NAMED])}",
            )
        begin = each.begin or said
        pools = [pool for pool in there if pool not in taken]
        taken.update(pools)
        traces.append(_Trace(place, record, None if begin is None else since_1970(begin), pools))
    return traces


def _check_zones(scenario: Scenario, traces: Sequence[_Trace], used: Collection[str]) -> None:
    """A bid cannot be held against the price of a zone that is not recorded."""
    zones = scenario.assumptions.availabilityZones or ("",)
    recorded = {pool for trace in traces for pool in trace.record.changes}
    names = sorted({name for name, _ in recorded if name in used and (name, "") not in recorded})
    missing = [(name, zone) for name in names for zone in zones if (name, zone) not in recorded]
    if not missing:
        return
    name, zone = missing[0]
    more = f", and of {len(missing) - 1:,} more pools" if len(missing) > 1 else ""
    complete = [each for each in zones if all((name, each) in recorded for name in names)]
    kept = ", ".join(complete) or "zones in which all types are recorded"
    raise ScenarioError(
        f"no price of {name} in {zone or 'a zone without a name'} is recorded{more},"
        " though there are some of other zones",
        path="assumptions.spotPrices",
        hint=f"add prices, or limit assumptions.availabilityZones to {kept}",
    )


def _common_begin(traces: Sequence[_Trace], used: Collection[str]) -> int | None:
    """The first instant at which all pools have a price, of those of AWS's traces that are used."""
    first = {
        pool: trace.record.changes[pool][0].at_us
        for trace in traces
        if trace.record.counts_in == "Timestamp"
        for pool in trace.pools
    }
    return max(
        (at for (name, _), at in first.items() if name in used), default=max(first.values(), default=None)
    )


def _begin(trace: _Trace, common: int | None) -> int:
    """When the run begins, as the trace counts time."""
    if trace.record.counts_in == "at_s":
        return 0
    if trace.begin_us is not None:
        return trace.begin_us
    if trace.record.counts_in == "Timestamp" and common is not None:
        return common
    with at_path(f"{trace.place}.trace"):
        raise TraceError(
            "this trace has dates",
            file=str(trace.record.path),
            line=1,
            hint="say with begin on which date the run begins",
        )


def _notes(trace: _Trace, begin_us: int, used: Collection[str], zones: Sequence[str]) -> dict[str, Any]:
    """What became of the rows of a trace.

    other_types    names of types that no Spot environment has
    begins_at      when the run begins, in UTC; null where the trace counts from its beginning
    begin_is_said  whether the scenario says so
    ended_at       of when the last price is, if the run begins after it
    late_pools     how many have their first price after the beginning
    """
    changes = trace.record.changes
    pools = [pool for pool in trace.pools if pool[0] in used]
    lost = {"other zones": 0, "types of no Spot environment": 0, "pools of a trace before": 0}
    for pool, rows in changes.items():
        if pool[1] not in ("", *zones):
            lost["other zones"] += len(rows)
        elif pool[0] not in used:
            lost["types of no Spot environment"] += len(rows)
        elif pool not in trace.pools:
            lost["pools of a trace before"] += len(rows)
    dropped = trace.record.dropped | lost
    prices = sum(len(changes[pool]) for pool in pools)
    last = max((changes[pool][-1].at_us for pool in pools), default=begin_us)
    dated = trace.record.counts_in != "at_s"
    return {
        "rows_read": prices + sum(dropped.values()),
        "prices": prices,
        "dropped": dropped,
        "other_types": sorted({name for name, _ in changes} - set(used)),
        "begins_at": instant_text(begin_us) if dated else None,
        "begin_is_said": trace.begin_us is not None,
        "ended_at": instant_text(last) if last < begin_us else None,
        "late_pools": sum(changes[pool][0].at_us > begin_us for pool in pools),
    }
