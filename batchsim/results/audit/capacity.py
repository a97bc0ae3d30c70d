"""L3 capacity, L4 holding, L12 orphans: what attempts hold of which instance, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from batchsim.results.audit.facts import RUNNING, STARTING
from batchsim.results.audit.violation import Violation, rows_where

if TYPE_CHECKING:
    from batchsim.results.audit.facts import Facts, Ints

_UNKNOWN = -2  # neither a category nor missing
_RESOURCES = ("vcpus", "memory_mib", "gpus")
_HOST_LOST = "Host EC2 (instance "  # [spec 1.6]


def capacity(facts: Facts) -> list[Violation]:
    """L3: 0 <= held <= capacity of every instance at every instant, for each resource."""
    attempts = facts.holds
    found = _asked_for(facts)
    held = np.flatnonzero(
        (attempts.until > attempts.placed) & (attempts.placed >= 0) & (attempts.instance >= 0)
    )
    if not len(held):
        return found
    order = by_instance_and_time(attempts.instance[held], attempts.placed[held], attempts.until[held])
    attempt = held[order % len(held)]
    begins = order < len(held)
    instance = attempts.instance[attempt]
    for resource in _RESOURCES:
        needs = attempts.amounts[resource]
        limits = facts.instances.amounts[resource]
        if not needs.any() and not (limits < 0).any():
            continue
        # Every attempt is given back in the end, so each instance's part of the sum begins at zero.
        in_use = np.cumsum(np.where(begins, needs[attempt], -needs[attempt]))
        over = np.zeros(len(attempts.row), dtype=np.bool_)
        over[attempt[begins & (in_use > limits[instance])]] = True
        found += rows_where(
            over, "L3", "attempts", f"its instance has not that many {resource}", attempts.row
        )
    return found


def _asked_for(facts: Facts) -> list[Violation]:
    """An attempt holds what its job asks for: its nodes together, as far as they have been launched."""
    holds, jobs = facts.holds, facts.jobs
    if not len(jobs.submit):
        return []
    found: list[Violation] = []
    known = (holds.job >= 0) & (holds.attempt >= 0)
    mine = holds.attempt[known]
    launched = np.append(np.bincount(mine, minlength=len(facts.attempts.job)), 0)[holds.attempt]
    whole = launched == jobs.nodes[holds.job]
    for resource in _RESOURCES:
        needs = holds.amounts[resource]
        together = needs
        if holds is not facts.attempts:
            together = np.zeros(len(facts.attempts.job) + 1, dtype=np.int64)
            np.add.at(together, mine, needs[known])
            together = together[holds.attempt]
        of_job = jobs.amounts[resource][holds.job]
        wrong = (needs < 0) | (known & ((together > of_job) | (whole & (together != of_job))))
        found += rows_where(wrong, "L3", "attempts", f"{resource} are not those of the job", holds.row)
    return found


def by_instance_and_time(instance: Ints, begin: Ints, end: Ints) -> Ints:
    """The order of the n beginnings (0 .. n - 1) and n ends (n .. 2n - 1): by instance, then by time;
    at one instant ends come first.
    """
    instances = np.concatenate((instance, instance))
    instants = np.concatenate((begin, end))
    begins = np.repeat(np.array([1, 0], dtype=np.int64), len(begin))
    first = int(begin.min())
    span = int(end.max()) - first + 1
    if int(instance.max() + 1) * span < 2**61:
        return np.argsort((instances * span + (instants - first)) * 2 + begins)
    return np.lexsort((begins, instants, instances))


def holding(facts: Facts) -> list[Violation]:
    """L4: attempts are on instances that are ready and there; the job's row tells the same place."""
    jobs, attempts, holds, instances = facts.jobs, facts.attempts, facts.holds, facts.instances
    found: list[Violation] = []
    if len(instances.ready):
        ready, gone = instances.ready[holds.instance], instances.ended[holds.instance]
        known = holds.instance >= 0
        found += rows_where(
            known & ((ready < 0) | (holds.placed < ready)),
            "L4",
            "attempts",
            "placed before its instance was ready",
            holds.row,
        )
        found += rows_where(
            known & (gone >= 0) & ((holds.placed > gone) | ((holds.placed == gone) & (holds.until > gone))),
            "L4",
            "attempts",
            "placed on an instance that was gone",
            holds.row,
        )
    last = jobs.last_attempt
    open_ = (last >= 0) & (np.append(attempts.ended, -1)[last] < 0)
    on = np.append(attempts.instance, -1)[last]
    in_container = (jobs.state == STARTING) | (jobs.state == RUNNING)
    runs = open_ & (np.append(attempts.starting, -1)[last] >= 0)
    found += rows_where(
        (in_container & ~open_) | (runs & ~in_container) | (jobs.terminal & open_),
        "L4",
        "jobs",
        "holds resources without being STARTING or RUNNING, or the other way round",
    )
    # A job that waits after an attempt, or FAILED while it waited, has no place; one that is terminated
    # at the instant at which its host is lost may have one or not.
    frame = facts.frames["jobs"]
    at_once = jobs.end == np.append(attempts.ended, -1)[last]
    waited = ~open_ & (~jobs.terminal | ~at_once | frame["is_cancelled"].to_numpy())
    either = frame["is_terminated"].to_numpy() & at_once & (jobs.instance < 0)
    found += rows_where(
        (jobs.instance != np.where(waited, -1, on)) & ~either,
        "L4",
        "jobs",
        "instance is not that of the last attempt",
    )
    return (
        found
        + _same_place(facts, "attempts", holds.instance, holds.row)
        + _same_place(facts, "jobs", jobs.instance, None)
    )


def _same_place(facts: Facts, frame: str, instance: Ints, rows: Ints | None) -> list[Violation]:
    """The environment and type that a row tells are those of its instance, missing without one."""
    found: list[Violation] = []
    for column in ("environment", "instance_type"):
        own, of_instance = facts.frames[frame][column], facts.frames["instances"][column]
        to_own = own.cat.categories.get_indexer(of_instance.cat.categories)
        to_own = np.append(np.where(to_own < 0, _UNKNOWN, to_own), _UNKNOWN)
        expected = np.append(to_own[of_instance.cat.codes.to_numpy()], -1)[instance]
        told = own.cat.codes.to_numpy()
        wrong = expected != (told if rows is None else told[rows])
        found += rows_where(wrong, "L4", frame, f"{column} is not that of its instance", rows)
    return found


def orphans(facts: Facts) -> list[Violation]:
    """L12: when an instance ends, so does each of its attempts, at that instant at the latest."""
    attempts, instances = facts.holds, facts.instances
    if not len(instances.ended):
        return []
    gone = np.where(attempts.instance < 0, -1, instances.ended[attempts.instance])
    outlives = (gone >= 0) & ((attempts.ended < 0) | (attempts.ended > gone))
    reasons = facts.frames["attempts"]["status_reason"].cat
    host_lost = np.array([str(text).startswith(_HOST_LOST) for text in reasons.categories] + [False])
    lost = host_lost[reasons.codes.to_numpy()[attempts.row]]
    exited = attempts.exit_code >= 0
    return [
        *rows_where(lost & exited, "L12", "attempts", "host lost, yet its container exited", attempts.row),
        *rows_where(outlives, "L12", "attempts", "goes on after its instance ended", attempts.row),
        *rows_where(
            lost & (attempts.ended != gone),
            "L12",
            "attempts",
            "host lost, but not at that instant",
            attempts.row,
        ),
    ]
