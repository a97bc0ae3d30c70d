"""Which prices a cost rests on, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Metrics = dict[str, Any]

_OF_ECS = "ECS_MANAGED_INSTANCES"
_PRICES = {"EC2": "On-Demand", "SPOT": "Spot", "FARGATE": "Fargate", "FARGATE_SPOT": "Fargate Spot"}


def prices(manifest: Metrics, scenarios: Sequence[Metrics] = ()) -> str:
    """Currency and region, which prices were paid, and their date.

    scenarios   those that were run, if several: variants
    """
    several = scenarios or [manifest["scenario"]]
    kinds = {kind for each in several for kind in _kinds(each)}
    paid = [words for kind, words in _PRICES.items() if kind in kinds] or ["On-Demand"]
    listed = " and ".join(filter(None, (", ".join(paid[:-1]), paid[-1])))
    dated = manifest["price_date"]
    origin = f"{listed} prices of {dated}" if dated else "the scenario's own prices"
    if "SPOT" in kinds and any(each.get("assumptions", {}).get("spotPrices") for each in several):
        origin += "; Spot as recorded where spotPrices has the type"
    if any(map(_has_fee, several)):
        origin += "; ECS's fee on Managed Instances included"
    return f"{manifest['currency']} ({manifest['region']}, {origin})"


def of_ecs(scenario: Metrics) -> set[str]:
    """The environments of ECS Managed Instances."""
    return {
        each["computeEnvironmentName"]
        for each in scenario.get("computeEnvironments", ())
        if (each.get("computeResources") or {}).get("type") == _OF_ECS
    }


def _kinds(scenario: Metrics) -> Iterator[str]:
    """The types of the environments with which AWS Batch launches anything, at first and after updates."""
    for each in scenario.get("computeEnvironments", ()):
        if resources := each.get("computeResources"):
            yield _market(resources) if resources["type"] == _OF_ECS else resources["type"]
    for each in scenario.get("workload", ()):
        if kind := each.get("update", {}).get("type"):
            yield kind


def _market(resources: Metrics) -> str:
    """Where ECS buys its Managed Instances, as `computeResources.type` says it of others."""
    template = resources["managedInstancesProvider"].get("instanceLaunchTemplate", {})
    return "SPOT" if template.get("capacityOptionType") == "SPOT" else "EC2"


def _has_fee(scenario: Metrics) -> bool:
    """Whether ECS is paid for the management of instances."""
    return bool(of_ecs(scenario)) and scenario.get("assumptions", {}).get("managedInstancesFee") != 0
