"""What `batchsim run` says of the bill where it ends before what is paid for does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchsim.cli.figures import duration, several
from batchsim.units import US_PER_S, parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from batchsim.results import Result


def end_of_bill(result: Result) -> Iterator[tuple[str, str]]:
    """That it ends with the last job, where something would be paid after that whether used or not."""
    summary, scenario = result.summary, result.manifest["scenario"]
    if summary["outcome"] != "finished":
        return
    ended = duration(summary["ended_at_s"])
    kept = _kept_for_ever(result)
    if "horizon" in scenario:
        horizon = parse_duration(scenario["horizon"]) / US_PER_S
        if horizon > summary["ended_at_s"] and (kept or _always(summary, scenario)):
            yield (
                "horizon",
                f"not reached: the bill ends with the last job, {ended}, and not at {duration(horizon)}",
            )
    elif kept:
        stay = f"instances of {several(kept)} stay for ever (scaleInAfter -1)"
        yield "bill ends", f"with the last job, {ended}, though {stay}"


def _always(summary: Mapping[str, Any], scenario: Mapping[str, Any]) -> bool:
    environments = scenario.get("computeEnvironments", ())
    return (
        "commitments" in scenario
        or bool(summary["cluster_usd"])
        or any((each.get("computeResources") or {}).get("minvCpus") for each in environments)
    )


def _kept_for_ever(result: Result) -> list[str]:
    """The environments of ECS Managed Instances with some that are there and are never given back."""
    left = result.instances[result.instances["ended_s"].isna() & result.instances["running_s"].notna()]
    there = set(left["environment"])
    found = []
    for each in result.manifest["scenario"].get("computeEnvironments", ()):
        provider = (each.get("computeResources") or {}).get("managedInstancesProvider") or {}
        optimization = provider.get("infrastructureOptimization") or {}
        if optimization.get("scaleInAfter") == -1 and each["computeEnvironmentName"] in there:
            found.append(each["computeEnvironmentName"])
    return found
