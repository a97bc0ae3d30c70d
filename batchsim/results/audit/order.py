"""L8 strict FIFO, when the manifest's assumptions say `backfill: none`; not of queues divided into shares,
nor of those of Fargate.

Each attempt, made or not, is a wait: from the instant its job became RUNNABLE (again) until it was placed,
until the job ended without it, or for ever. In a queue, waits for a retry stand in front, among
themselves by submission; the others stand in order of becoming RUNNABLE [spec 1.5, 2.3]. Nobody may be
placed at an instant at which somebody further up waits and goes on waiting.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from batchsim.results.audit.violation import Violation, rows_where
from batchsim.units import parse_duration

if TYPE_CHECKING:
    import numpy.typing as npt

    from batchsim.results.audit.facts import Facts, Ints

_REPLACED = "replaced: infrastructure update"
_FOR_EVER = np.iinfo(np.int64).max


class _Waits(NamedTuple):
    """Parallel columns; `placed` is whether `until` is a placement."""

    job: Ints
    since: Ints
    until: Ints
    placed: npt.NDArray[np.bool_]


def fifo(facts: Facts) -> list[Violation]:
    """L8: no job is placed past an older one of its queue that is RUNNABLE and stays so."""
    if facts.manifest["assumptions"].get("backfill") != "none":
        return []
    late = _ended_late(facts)
    first, again = _first_waits(facts), _waits_again(facts, late)
    # What an attempt's end brings about comes after what was there before, at these instants.
    rounds = np.unique(facts.attempts.ended[late])
    guilty = np.zeros(len(facts.jobs.submit), dtype=np.bool_)
    names = facts.frames["jobs"]["queue"].cat.categories
    divided = {
        each["jobQueueName"]
        for each in facts.manifest["scenario"].get("jobQueues", ())
        if each.get("schedulingPolicyArn")
    } | _queues_of_tasks(facts)
    for queue in np.unique(facts.jobs.queue).tolist():
        if names[queue] in divided:
            continue
        whole = bool((facts.jobs.queue == queue).all())
        mine = first if whole else _of_queue(facts, first, queue)
        retries = again if whole else _of_queue(facts, again, queue)
        seen = _seen_by_a_pass(facts, mine.since)
        guilty[mine.job[_passed_older(mine, seen, rounds) | _passed_any(mine, retries)]] = True
        guilty[retries.job[_passed_lower(retries)]] = True
    return rows_where(guilty, "L8", "jobs", "placed while an older job of its queue went on waiting")


def _queues_of_tasks(facts: Facts) -> set[str]:
    """The queues whose jobs get tasks: their placement is the end of provisioning, which takes its time."""
    scenario = facts.manifest["scenario"]
    tasks = {
        each["computeEnvironmentName"]
        for each in scenario.get("computeEnvironments", ())
        if (each.get("computeResources") or {}).get("type") in {"FARGATE", "FARGATE_SPOT"}
    }
    return {
        queue["jobQueueName"]
        for queue in scenario.get("jobQueues", ())
        if any(each["computeEnvironment"] in tasks for each in queue.get("computeEnvironmentOrder", ()))
    }


def _first_waits(facts: Facts) -> _Waits:
    """The wait of each job that became RUNNABLE for its first attempt, in queue order."""
    jobs = facts.jobs
    placed = np.append(facts.attempts.placed, -1)[jobs.first_attempt]
    job = np.flatnonzero(jobs.runnable >= 0)
    seen = _seen_by_a_pass(facts, jobs.runnable[job])
    if (np.diff(seen) < 0).any():
        job = job[np.argsort(seen, kind="stable")]
    left = np.where(placed >= 0, placed, np.where(jobs.end >= 0, jobs.end, _FOR_EVER))[job]
    return _Waits(job, jobs.runnable[job], left, placed[job] >= 0)


def _seen_by_a_pass(facts: Facts, runnable: Ints) -> Ints:
    """The pass that sees each job first; whom it sees together stands in order of submission [spec 2.3]."""
    interval = parse_duration(facts.manifest["assumptions"].get("schedulingInterval", 0))
    return -(-runnable // interval) * interval if interval else runnable


def _waits_again(facts: Facts, late: npt.NDArray[np.bool_]) -> _Waits:
    """The waits that begin with the end of an attempt, in order of submission."""
    jobs, attempts = facts.jobs, facts.attempts
    known = attempts.job >= 0
    position = np.arange(len(attempts.job))
    is_last = known & (np.append(jobs.last_attempt, -1)[attempts.job] == position)
    terminal = np.append(jobs.terminal, True)[attempts.job]
    end = np.append(jobs.end, -1)[attempts.job]
    waits = known & (attempts.ended >= 0) & (~is_last | ~terminal | (end > attempts.ended))
    rows = np.flatnonzero(waits)
    followed = ~is_last[rows]
    next_placed = np.append(attempts.placed, -1)[rows + 1]
    gave_up = np.where(terminal[rows], end[rows], _FOR_EVER)
    since = attempts.ended[rows] + late[rows]
    return _Waits(attempts.job[rows], since, np.where(followed, next_placed, gave_up), followed)


def _of_queue(facts: Facts, waits: _Waits, queue: int) -> _Waits:
    mine = facts.jobs.queue[waits.job] == queue
    return _Waits(*(column[mine] for column in waits))


def _ended_late(facts: Facts) -> npt.NDArray[np.bool_]:
    """The attempts whose end comes after placements of the same instant have been made.

    Those that began then, and those that an infrastructure update ends, as the pass itself commands.
    """
    attempts, instances = facts.attempts, facts.instances
    replaced = (facts.frames["instances"]["end_reason"] == _REPLACED).to_numpy(np.bool_)
    evicted = np.append(replaced, False)[attempts.instance] & (
        np.append(instances.ended, -1)[attempts.instance] == attempts.ended
    )
    return np.asarray((attempts.ended >= 0) & ((attempts.ended == attempts.placed) | evicted))


def _passed_older(waits: _Waits, seen: Ints, rounds: Ints) -> npt.NDArray[np.bool_]:
    """In queue order, everybody's wait must end no earlier than those before it.

    Who was placed by the first pass that saw it, at one of the instants `rounds`, may have been so before an
    older job became RUNNABLE at that very instant; the others that this pass saw were there.

    seen   the instant of that pass, nondecreasing
    """
    if not len(waits.job):
        return np.zeros(0, dtype=np.bool_)
    longest = np.append(-1, np.maximum.accumulate(waits.until))[:-1]
    if len(rounds):
        tied = (waits.until == seen) & np.isin(seen, rounds)
        late = (waits.since == seen) & np.isin(seen, rounds)
        there = np.append(-1, np.maximum.accumulate(np.where(late, -1, waits.until)))[:-1]
        earlier = longest[np.searchsorted(seen, seen)]  # of passes before
        longest = np.where(tied, np.maximum(there, earlier), longest)
    return np.asarray(waits.placed & (longest > waits.until))


def _passed_any(waits: _Waits, retries: _Waits) -> npt.NDArray[np.bool_]:
    """Nobody may be placed at an instant inside any wait of a retry."""
    begun = np.searchsorted(np.sort(retries.since), waits.until, side="right")
    over = np.searchsorted(np.sort(np.maximum(retries.until, retries.since)), waits.until, side="right")
    return np.asarray(waits.placed & (begun > over))


def _passed_lower(waits: _Waits) -> npt.NDArray[np.bool_]:
    """In order of submission: nobody may be placed inside the wait of somebody further up.

    Most retries are placed at once and can neither pass nor be passed; a sweep looks at the others.
    """
    guilty = np.zeros(len(waits.job), dtype=np.bool_)
    suspects = np.flatnonzero(_passed_any(waits, waits))
    if not len(suspects):
        return guilty
    waiting = np.flatnonzero(waits.until > waits.since)
    waiting = waiting[np.argsort(waits.since[waiting], kind="stable")]
    since, until = waits.since.tolist(), waits.until.tolist()
    pending = iter(waiting.tolist())
    coming = next(pending, None)
    line: list[int] = []
    for suspect in suspects[np.argsort(waits.until[suspects], kind="stable")].tolist():
        now = until[suspect]
        while coming is not None and since[coming] <= now:
            heappush(line, coming)
            coming = next(pending, None)
        while line and until[line[0]] <= now:
            heappop(line)
        guilty[suspect] = bool(line) and line[0] < suspect
    return guilty
