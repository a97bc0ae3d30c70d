"""L7 bounds: maxvCpus, minvCpus and the account's quotas, at every launch and every scale-in.

What is there before a launch is counted from the launches that were decided before it and from the instances
that had ended before: of those that ended at the same instant nobody can tell, and they count for nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from batchsim.results.audit.facts import QUARTERS, Ints, said_updates
from batchsim.results.audit.violation import Violation, rows_where

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt

    from batchsim.results.audit.facts import Facts

_FOR_EVER = np.iinfo(np.int64).max
_SCALED_IN = "scaled in: idle"
_TASKS = ("FARGATE", "FARGATE_SPOT")
# The letters that begin an instance type, by the family of its quota; all others are Standard.
_FAMILIES = {
    "dl": "DL",
    "f": "F",
    "g": "G and VT",
    "gr": "G and VT",
    "vt": "G and VT",
    "hpc": "HPC",
    "inf": "Inf",
    "p": "P",
    "trn": "Trn",
    "u": "High Memory",
    "x": "X",
}


@dataclass(frozen=True, slots=True)
class _Launches:
    """Some instances in the order in which their launches were decided; vCPUs in quarters.

    row   of the frame of instances
    """

    row: Ints
    requested: Ints
    ended: Ints
    vcpus: Ints

    def where(self, flags: npt.NDArray[np.bool_]) -> _Launches:
        return _Launches(self.row[flags], self.requested[flags], self.ended[flags], self.vcpus[flags])

    def after_each(self) -> Ints:
        """The vCPUs that are there at least, right after each launch."""
        return np.cumsum(self.vcpus) - self.ended_at(self.requested)

    def left_at(self, instants: Ints, at_once: npt.NDArray[np.bool_]) -> Ints:
        """The vCPUs that are left at most, once those of `at_once` that end at an instant have ended."""
        asked = np.append(0, np.cumsum(self.vcpus))[np.searchsorted(self.requested, instants, side="right")]
        others = self.where(~at_once).ended_at(instants - 1)
        return asked - others - self.where(at_once).ended_at(instants)

    def ended_at(self, instants: Ints) -> Ints:
        """The vCPUs that have ended at each instant."""
        order = np.argsort(self.ended, kind="stable")
        ended = np.append(0, np.cumsum(self.vcpus[order]))
        return ended[np.searchsorted(self.ended[order], instants, side="right")]


def bounds(facts: Facts) -> list[Violation]:
    """L7: launches need room below maxvCpus and in quotas, a scale-in leaves minvCpus [spec 3.2, 3.10]."""
    launches = _all_launches(facts)
    where = facts.frames["instances"]["environment"].astype("str").to_numpy()[launches.row]
    found: list[Violation] = []
    managed = {}
    for each in facts.manifest["scenario"].get("computeEnvironments", ()):
        resources = each.get("computeResources")
        if resources:
            name = each["computeEnvironmentName"]
            managed[name] = resources["type"]
            found += _within(facts, launches.where(where == name), name, resources)
    return found + _within_quotas(facts, launches, np.array([managed.get(name, "") for name in where]))


def _all_launches(facts: Facts) -> _Launches:
    instances = facts.instances
    ended = np.where(instances.ended < 0, _FOR_EVER, instances.ended)
    row = np.flatnonzero(instances.requested >= 0)
    order = row[np.argsort(instances.requested[row], kind="stable")]
    return _Launches(order, instances.requested[order], ended[order], instances.amounts["vcpus"][order])


def _within(facts: Facts, launches: _Launches, name: str, resources: Mapping[str, Any]) -> list[Violation]:
    """One environment stays within maxvCpus, and keeps minvCpus where it gives instances back."""
    if resources["type"] == "ECS_MANAGED_INSTANCES":
        return _jobs_within(facts, name, resources)
    most = _limits(facts, name, "maxvCpus", resources, launches.requested)
    if resources["type"] in _TASKS:
        jobs = _Launches(launches.row, launches.requested, launches.ended, _held(facts)[launches.row])
        return rows_where(
            jobs.after_each() > most.max(axis=0), "L7", "instances", "a task above maxvCpus", launches.row
        )
    after = launches.after_each()
    exceeds = after - launches.vcpus >= most.max(axis=0)
    if resources.get("allocationStrategy", "BEST_FIT") == "BEST_FIT" and resources["type"] == "EC2":
        exceeds = after > most.max(axis=0)
    reasons = facts.frames["instances"]["end_reason"].astype("str").to_numpy()[launches.row]
    scaled_in = reasons == _SCALED_IN
    instants = launches.ended[scaled_in]
    least = _limits(facts, name, "minvCpus", resources, instants).min(axis=0)
    below = launches.left_at(instants, scaled_in) < least
    return [
        *rows_where(exceeds, "L7", "instances", "launched above maxvCpus", launches.row),
        *rows_where(below, "L7", "instances", "given back below minvCpus", launches.row[scaled_in]),
    ]


def _jobs_within(facts: Facts, name: str, resources: Mapping[str, Any]) -> list[Violation]:
    """On ECS Managed Instances it is the jobs' vCPUs that stay within maxvCpus [spec 3.9]."""
    holds = facts.holds
    where = facts.frames["instances"]["environment"].astype("str").to_numpy()
    known = np.flatnonzero((holds.instance >= 0) & (holds.placed >= 0))
    mine = known[where[holds.instance[known]] == name]
    mine = mine[np.argsort(holds.placed[mine], kind="stable")]
    ended = np.where(holds.ended[mine] < 0, _FOR_EVER, holds.ended[mine])
    jobs = _Launches(holds.row[mine], holds.placed[mine], ended, holds.amounts["vcpus"][mine])
    most = _limits(facts, name, "maxvCpus", resources, jobs.requested)
    return rows_where(
        jobs.after_each() > most.max(axis=0), "L7", "attempts", "a job above maxvCpus", jobs.row
    )


def _limits(
    facts: Facts, name: str, key: str, resources: Mapping[str, Any], instants: Ints
) -> npt.NDArray[np.int64]:
    """What was said of a number of vCPUs, in quarters, before and after whatever is said at each instant."""
    said = [(-1, int(resources.get(key, 0))), *_updates(facts, name, key)]
    times = np.array([at for at, _ in said])
    values = np.array([value for _, value in said], dtype=np.int64) * QUARTERS
    sides = [np.searchsorted(times, instants, side="right") - 1, np.searchsorted(times, instants) - 1]
    return np.stack([values[np.maximum(side, 0)] for side in sides])


def _updates(facts: Facts, name: str, key: str) -> Iterator[tuple[int, int]]:
    for at_us, update in said_updates(facts.manifest["scenario"]):
        if update.get("computeEnvironment") == name and update.get(key) is not None:
            yield at_us, int(update[key])


def _held(facts: Facts) -> Ints:
    """The vCPUs of the attempts on each instance."""
    known = facts.holds.instance >= 0
    held = np.zeros(len(facts.instances.requested), dtype=np.int64)
    np.add.at(held, facts.holds.instance[known], facts.holds.amounts["vcpus"][known])
    return held


def _within_quotas(facts: Facts, launches: _Launches, kinds: npt.NDArray[np.str_]) -> list[Violation]:
    """`kinds` are the types of the launches' environments, "" where nothing is launched.

    What never ran may have been refused, and not told before it was replaced, or the run ended.
    """
    given = facts.manifest["assumptions"].get("accountQuotas") or {}
    frame = facts.frames["instances"]
    names, billing = (
        frame[column].astype("str").to_numpy()[launches.row] for column in ("instance_type", "billing")
    )
    ran = facts.instances.running[launches.row] >= 0
    found: list[Violation] = []
    for market, quotas in given.items():
        for family, vcpus in (quotas or {}).items():
            if family == "Fargate":
                counted = kinds == _TASKS[market == "spot"]
            else:
                mine = {name for name in set(names.tolist()) if family_of(name, market) == family}
                counted = np.isin(names, list(mine)) & (kinds != "") & ~np.isin(kinds, _TASKS)
                counted &= billing == ("spot" if market == "spot" else "ec2")
            members = launches.where(counted & ran)
            over = members.after_each() > int(vcpus) * QUARTERS
            found += rows_where(over, "L7", "instances", f"beyond the quota {market}.{family}", members.row)
    return found


def family_of(instance_type: str, market: str) -> str:
    letters = re.match("[a-z]*", instance_type)
    family = _FAMILIES.get(letters[0] if letters else "", "Standard")
    return "P5" if family == "P" and market == "spot" and instance_type.startswith("p5") else family
