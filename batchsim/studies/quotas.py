"""What the account's quotas leave for jobs, once instances that nobody gives back are there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from batchsim.core.allocation import tiers_of
from batchsim.core.grid import NEVER
from batchsim.core.plan import Gang, Need
from batchsim.scenario.market import quota_family

if TYPE_CHECKING:
    from batchsim.core.plan import EnvironmentPlan, Plan, Quota
    from batchsim.scenario import Scenario


def beside_minimum(plan: Plan, scenario: Scenario) -> Plan:
    """The plan with quotas less what other environments keep for their minvCpus from the beginning.

    Each environment has types of its own in it, and a quota for them. As it is where capacity may lack:
    then it is not certain who comes first.
    """
    assumed = scenario.assumptions
    uncertain = (
        assumed.insufficientCapacity,
        assumed.capacityShortages,
        assumed.placementGroupShortage,
        assumed.spotAvailability,
        assumed.spotPrices,
    )
    if any(uncertain) or not any(
        _kept_by(plan, each, quota)[0] for each in plan.environments for quota in plan.quotas
    ):
        return plan
    types, environments, quotas = [*plan.types], [], []
    copies: dict[int, list[int]] = {}
    for index, environment in enumerate(plan.environments):
        own = {row: len(types) + number for number, row in enumerate(dict.fromkeys(environment.types))}
        types += [plan.types[row] for row in own]
        environments.append(replace(environment, types=tuple(own[row] for row in environment.types)))
        for row, copy in own.items():
            copies.setdefault(row, []).append(copy)
        for quota in plan.quotas:
            rows = frozenset(own[row] for row in own if row in quota.rows)
            quotas.append(replace(quota, rows=rows, vcpus=quota.vcpus - _kept_beside(plan, index, quota)))
    gangs = [gang and _of_copies(gang, copies) for gang in plan.gangs]
    return replace(plan, types=types, environments=environments, quotas=quotas, gangs=gangs)


def kept_in_full(plan: Plan, index: int, name: str) -> int:
    """What environments other than one keep of a quota if it is high enough; of `beside_minimum`'s plan."""
    same = [quota for quota in plan.quotas if quota.name == name]
    if len(same) == 1:
        return 0  # there is nothing to keep, or it is not certain
    enough = replace(same[0], rows=frozenset[int]().union(*(quota.rows for quota in same)), vcpus=NEVER)
    others = [_kept_by(plan, each, enough) for row, each in enumerate(plan.environments) if row != index]
    return sum(-(-kept // size) * size for kept, size in others if kept)


def quota_name(instance_type: str, *, spot: bool) -> str:
    """As in `assumptions.accountQuotas`."""
    return f"{'spot' if spot else 'onDemand'}.{quota_family(instance_type, spot=spot)}"


def quota_path(name: str) -> str:
    """Where a quota is said, in `--set` notation."""
    return f"assumptions.accountQuotas.{name}"


def given_quota(scenario: Scenario, name: str) -> int:
    """What the scenario says of a quota that it has."""
    kind, _, family = name.partition(".")
    vcpus: int = getattr(scenario.assumptions.accountQuotas, kind)[family]
    return vcpus


def _of_copies(gang: Gang, copies: dict[int, list[int]]) -> Gang:
    return gang._replace(types=tuple(copy for row in gang.types for copy in copies.get(row, [row])))


def _kept_beside(plan: Plan, index: int, quota: Quota) -> int:
    """What environments other than one keep of a quota, at least."""
    others = [_kept_by(plan, each, quota) for row, each in enumerate(plan.environments) if row != index]
    smallest = max((size for kept, size in others if kept), default=1)
    # They ask for all of it, in turn, until the smallest instance of one of them does not fit.
    return max(min(sum(kept for kept, _ in others), quota.vcpus - smallest + 1), 0)


def _kept_by(plan: Plan, environment: EnvironmentPlan, quota: Quota) -> tuple[int, int]:
    """What an environment keeps of a quota if it can, and its smallest instance; (0, 0) if of others, too."""
    if not (environment.managed and environment.min_vcpus):
        return 0, 0
    rows = [row for tier in tiers_of(plan.types, environment, Need(0, 0, 0)) for row in tier]
    sizes = [plan.types[row].vcpus for row in rows if plan.types[row].vcpus <= quota.vcpus]
    if not sizes or any(row not in quota.rows for row in rows):
        return 0, 0
    return environment.min_vcpus, min(sizes)
