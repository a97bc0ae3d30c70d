"""L18 of what goes by itself: machines join and leave unmanaged environments, Fargate keeps no old task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from batchsim.results.audit.facts import instances_of, kind_of
from batchsim.results.audit.fixed import is_simulated
from batchsim.results.audit.violation import Violation, rows_where
from batchsim.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchsim.results.audit.facts import Facts

_FARGATE = ("FARGATE", "FARGATE_SPOT")
_EXPIRED = "expired: Fargate"
_NEVER = np.iinfo(np.int64).max


def machines(facts: Facts) -> list[Violation]:
    """L18: each is there from its instant until it leaves or the run ends.

    Who would join when the last job has ended does not, and who would leave then may stay.
    """
    if not is_simulated(facts):
        return []
    jobs, rows = facts.jobs, facts.instances
    all_ended = bool(jobs.terminal.all()) and not facts.summary["jobs_not_submitted"]
    awaited = int(jobs.end.max(initial=0)) if all_ended else facts.ended_at
    environment = facts.frames["instances"]["environment"].astype("str").to_numpy()
    wrong = np.zeros(len(environment), dtype=np.bool_)
    found: list[Violation] = []
    for each in facts.manifest["scenario"].get("computeEnvironments", ()):
        if each.get("type") != "UNMANAGED":
            continue
        name, said = each["computeEnvironmentName"], _said(each)
        mine = np.flatnonzero(environment == name)
        least = sum(joins == 0 or joins < awaited for joins, _ in said)
        if not least <= len(mine) <= sum(joins <= awaited for joins, _ in said):
            text = f"{len(mine)} machines of {name} have come, not those of the scenario"
            found.append(Violation("L18", text, frame="instances"))
            continue
        joins, leaves = np.array(said, dtype=np.int64).reshape(-1, 2)[: len(mine)].T
        came = (rows.requested[mine] == joins) & (rows.running[mine] == joins) & (rows.ready[mine] == joins)
        stays = (rows.ended[mine] < 0) & (leaves >= awaited)
        leaves_in_time = (rows.ended[mine] == leaves) & (leaves <= facts.ended_at)
        wrong[mine] = ~came | ~(stays | leaves_in_time)
    text = "this machine does not join or leave when the scenario says"
    return found + rows_where(wrong, "L18", "instances", text)


def tasks(facts: Facts) -> list[Violation]:
    """L18: no Fargate task is kept for longer than `fargateTaskLifetime`, or ends for that before."""
    if not is_simulated(facts):
        return []
    frame, rows = facts.frames["instances"], facts.instances
    mine = instances_of(facts, lambda each: kind_of(each) in _FARGATE) & (rows.running >= 0)
    lifetime = parse_duration(facts.manifest["assumptions"].get("fargateTaskLifetime", 0)) or _NEVER
    age = np.where(rows.ended >= 0, rows.ended, facts.ended_at) - rows.running
    expired = (frame["end_reason"] == _EXPIRED).to_numpy(np.bool_)
    wrong = mine & ((age > lifetime) | (expired & (age != lifetime)))
    return rows_where(
        wrong | (expired & ~mine), "L18", "instances", "not a task of that age, or kept for longer"
    )


def _said(environment: Mapping[str, Any]) -> list[tuple[int, int]]:
    """When each machine joins, and when it leaves, in the order in which they come."""
    said = []
    for each in environment.get("instances") or ():
        leaves = each.get("leavesAfter")
        times = (
            parse_duration(each.get("joinsAfter", 0)),
            _NEVER if leaves is None else parse_duration(leaves),
        )
        said += [times] * int(each.get("count", 1))
    return sorted(said, key=lambda times: times[0])
