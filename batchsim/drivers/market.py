"""From a scenario to what EC2 has to launch: shortages, account quotas, recorded Spot capacity and prices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from batchsim.core.plan import Quota
from batchsim.drivers.ec2 import Capacity, Shortage
from batchsim.errors import ScenarioError, at_path
from batchsim.scenario import JobQueue, applied_updates
from batchsim.scenario.market import FARGATE, HOURS, quota_family
from batchsim.workload.steps import read_availability, read_probabilities

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batchsim.drivers.ec2 import Pool
    from batchsim.drivers.machines import MachineTypes
    from batchsim.scenario import Assumptions, ComputeEnvironment, Scenario, market
    from batchsim.workload.steps import Steps

_PERCENT: Final = 100


def build_capacity(scenario: Scenario, types: MachineTypes) -> Capacity:
    """What EC2 has for the machine types of a plan. Raises ScenarioError and TraceError."""
    assumptions = scenario.assumptions
    named = assumptions.availabilityZones
    _check_named(assumptions, types)
    chances = {row: _chance(assumptions, types.rows[row].name) for row in types.launched("ec2", "spot")}
    prices = _prices(types, named)
    return Capacity(
        {row: chance for row, chance in chances.items() if chance},
        [
            _shortage(scenario, types, number, each)
            for number, each in enumerate(assumptions.capacityShortages)
        ],
        max(len(named), 1),
        build_quotas(assumptions.accountQuotas, types),
        _slots(scenario, types),
        prices,
        _bids(scenario, types) if prices else {},
        _groups(scenario),
        assumptions.placementGroupShortage,
    )


def _check_named(assumptions: Assumptions, types: MachineTypes) -> None:
    """A shortage of what does not exist would be taken for one.

    A type or family that no environment has may be named, as in `assumptions.speedFactors`.
    """
    given = assumptions.insufficientCapacity
    for name in given if isinstance(given, dict) else ():
        with at_path(f"assumptions.insufficientCapacity.{name}"):
            types.catalog.check_known(name)


def _chance(assumptions: Assumptions, name: str) -> float:
    """The probability that a launch of a type is refused: by its name, its family, or for all."""
    given = assumptions.insufficientCapacity
    if not isinstance(given, dict):
        return given
    return given.get(name, given.get(name.partition(".")[0], 0.0))


def _shortage(scenario: Scenario, types: MachineTypes, number: int, given: market.Shortage) -> Shortage:
    billings = {"EC2": ("ec2",), "SPOT": ("spot",), None: ("ec2", "spot")}[given.type]
    path = f"assumptions.capacityShortages.{number}"
    pools = frozenset(_pools(scenario, types, given, billings, path))
    if given.trace is None:
        hourly = given.hourly or (given.probability or 0.0,) * HOURS
        return Shortage(pools, hourly, given.startHour)
    with at_path(f"{path}.trace"):
        return Shortage(pools, steps=read_probabilities(scenario.base_dir / given.trace))


def _pools(
    scenario: Scenario,
    types: MachineTypes,
    given: market.Shortage | market.SpotAvailability,
    billings: Sequence[str],
    path: str,
) -> list[Pool]:
    zones = scenario.assumptions.availabilityZones
    for position, zone in enumerate(given.zones):
        if zone not in zones:
            raise ScenarioError(
                path=f"{path}.zones.{position}",
                expected="one of assumptions.availabilityZones",
                found=zone,
            )
    for position, name in enumerate(given.instanceTypes):
        with at_path(f"{path}.instanceTypes.{position}"):
            types.catalog.check_known(name)
    wanted = [zones.index(zone) for zone in given.zones] or range(max(len(zones), 1))
    names = given.instanceTypes
    return [
        (row, zone)
        for row in types.launched(*billings)
        if not names or any(_is_of(types.rows[row].name, name) for name in names)
        for zone in wanted
    ]


def _is_of(name: str, wanted: str) -> bool:
    """Whether an instance type is one, or of a family."""
    return wanted in {name, name.partition(".")[0]}


def build_quotas(given: market.AccountQuotas, types: MachineTypes) -> list[Quota]:
    """The quotas, as the types of a plan count vCPUs; named by their place in `accountQuotas`."""
    quotas = []
    for spot, limits in ((False, given.onDemand), (True, given.spot)):
        for family, vcpus in limits.items():
            rows = frozenset(
                types.tasks(spot=spot)
                if family == FARGATE
                else (
                    row
                    for row in types.launched("spot" if spot else "ec2")
                    if quota_family(types.rows[row].name, spot=spot) == family
                )
            )
            name = f"{'spot' if spot else 'onDemand'}.{family}"
            quotas.append(Quota(rows, vcpus * types.vcpu_parts, spot, name))
    return quotas


def _slots(scenario: Scenario, types: MachineTypes) -> dict[Pool, Steps]:
    """The first trace of a pool counts."""
    slots: dict[Pool, Steps] = {}
    for number, given in enumerate(scenario.assumptions.spotAvailability):
        path = f"assumptions.spotAvailability.{number}"
        with at_path(f"{path}.trace"):
            steps = read_availability(scenario.base_dir / given.trace).shifted(given.start, given.scale)
        for pool in _pools(scenario, types, given, ("spot",), path):
            slots.setdefault(pool, steps)
    return slots


def _groups(scenario: Scenario) -> dict[int, list[tuple[int, str]]]:
    """The placement group of each environment that ever has one, as its users update it."""
    rows = {each.computeEnvironmentName: row for row, each in enumerate(scenario.computeEnvironments)}
    groups = {row: [(-1, _group(each))] for row, each in enumerate(scenario.computeEnvironments)}
    for update in applied_updates(scenario):
        after = update.after
        if not isinstance(after, JobQueue):
            groups[rows[after.computeEnvironmentName]].append((update.at_us, _group(after)))
    return {row: names for row, names in groups.items() if any(name for _, name in names)}


def _group(environment: ComputeEnvironment) -> str:
    resources = environment.computeResources
    return "" if resources is None else resources.placementGroup or ""


def _prices(types: MachineTypes, zones: Sequence[str]) -> dict[Pool, Steps]:
    """Of each Spot row in each zone that the trace has; a price without a zone is of all of them."""
    prices: dict[Pool, Steps] = {}
    for row in types.launched("spot"):
        name = types.rows[row].name
        for number, zone in enumerate(zones or ("",)):
            steps = types.spot_prices.get((name, zone)) or types.spot_prices.get((name, ""))
            if steps is not None:
                prices[row, number] = steps
    return prices


def _bids(scenario: Scenario, types: MachineTypes) -> dict[int, list[tuple[int, Mapping[int, int]]]]:
    """What each Spot environment pays at most, as its users update it."""
    rows = {each.computeEnvironmentName: row for row, each in enumerate(scenario.computeEnvironments)}
    bids = {row: [(-1, _bid(each, types))] for row, each in enumerate(scenario.computeEnvironments)}
    for update in applied_updates(scenario):
        after = update.after
        if not isinstance(after, JobQueue):
            bids[rows[after.computeEnvironmentName]].append((update.at_us, _bid(after, types)))
    return bids  # type: ignore[return-value]  # lists of a mapping are not covariant


def _bid(environment: ComputeEnvironment, types: MachineTypes) -> dict[int, int]:
    resources = environment.computeResources
    if resources is None or not resources.on_spot:
        return {}
    percent = resources.bidPercentage or _PERCENT
    return {
        row: types.catalog.price_uusd(types.rows[row].name) * percent // _PERCENT
        for row in types.launched("spot")
    }
