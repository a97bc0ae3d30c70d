"""The instance types that compute environments may launch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from batchsim.scenario import JobQueue, applied_updates

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchsim.catalog import Catalog, InstanceType
    from batchsim.scenario import Scenario
    from batchsim.scenario.environments import ComputeResources

_PATTERNS: Final = "managedInstancesProvider.instanceLaunchTemplate.instanceRequirements.allowedInstanceTypes"


def place_of_types(resources: ComputeResources, path: str) -> str:
    """Where an environment says its types; `path` is where its resources are said."""
    return f"{path}.{'instanceTypes' if resources.managedInstancesProvider is None else _PATTERNS}"


def offered_types(resources: ComputeResources, catalog: Catalog, path: str) -> list[tuple[int, InstanceType]]:
    """The types of an environment of instances, each with the position that it stems from.

    All are of equal position as ECS Managed Instances, which have no order. Raises CatalogError for types
    that are not known.
    """
    place = place_of_types(resources, path)
    provider = resources.managedInstancesProvider
    if provider is None:
        return catalog.resolve_each(resources.instanceTypes, place)
    patterns = provider.allowed_types or catalog.default_patterns()
    return [(0, each) for each in catalog.matching(patterns, place)]


def spot_types(scenario: Scenario, catalog: Catalog) -> set[str]:
    """The names of all types that its Spot environments may launch, at first or after updates."""
    return {
        each.name
        for resources, path in _resources(scenario)
        if resources.on_spot
        for _, each in offered_types(resources, catalog, path)
        if each.spot
    }


def _resources(scenario: Scenario) -> Iterator[tuple[ComputeResources, str]]:
    """Those of each environment, and of each again as an update leaves it, with where they are said."""
    for environment in scenario.computeEnvironments:
        if environment.computeResources is not None:
            yield environment.computeResources, f"{scenario.path_of(environment)}.computeResources"
    for update in applied_updates(scenario):
        after = update.after
        if not isinstance(after, JobQueue) and after.computeResources is not None:
            yield after.computeResources, f"workload.{update.item}.update"
