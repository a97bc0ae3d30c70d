"""What stands at the front of a job queue at an instant, as AWS's GetJobQueueSnapshot tells it [spec 1.18].

The order is derived from the frames of a result, with the fair-share policy and the assumptions that its
manifest holds; so it can be asked of a result that was read from files.

FIFO            retried jobs, by submission; then the others by the instant they became RUNNABLE
fair share      the share with the least score is next, and its score rises by what its job would use; in a
                share by priority, then as in FIFO. The score [spec 2.4] at t is

                    weight x (A + H / D)     A   vCPUs of attempts in flight
                                             H   vCPU-seconds of those that ended less than D ago, each moment
                                                 of which counts the less the older it is, and nothing after D
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heapify, heapreplace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from batchsim.errors import UsageError
from batchsim.results.queue_waits import FOR_EVER, QueueWaits, microseconds
from batchsim.units import US_PER_S, format_duration, parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from batchsim.results.exact import Ints

MOST_JOBS = 100
_DEFAULT_WINDOW_S = 600  # [API: FairsharePolicy.shareDecaySeconds]
_WEIGHT_UNITS = 10_000
_QUARTERS = 4


def snapshot(
    jobs: pd.DataFrame, attempts: pd.DataFrame, manifest: Mapping[str, Any], queue: str, at: str | float
) -> pd.DataFrame:
    """The first 100 RUNNABLE jobs of a queue after everything that happened at `at`, in dispatch order.

    position          1, 2, ...
    job, share, priority, vcpus   as in the jobs frame
    waiting_s         since its submission
    runnable_since_s  instant it became RUNNABLE, or RUNNABLE again
    earliest_at_position_s        instant since which it has had this position; missing in fair-share queues,
                      where positions move with time alone
    score             of its share at that place in the order, in vCPUs; missing in FIFO queues

    Raises UsageError for a queue that the scenario does not have, and for what is no duration in the run.
    """
    at_us = instant_of(at, manifest)
    policy = _policy_of(manifest, queue)
    waits = QueueWaits.of(jobs, attempts, queue)
    here = np.flatnonzero((waits.since <= at_us) & (waits.until > at_us))
    here = here[np.lexsort((waits.rank[here], ~waits.is_retry[here]))]
    if policy is None:
        scores: list[float] = []
        first = here[:MOST_JOBS]
        earliest = [_earliest(waits, wait, at_us) / US_PER_S for wait in first.tolist()]
    else:
        order = _fair_order(jobs, attempts, waits, here, policy, at_us, queue)
        first = np.array([wait for wait, _ in order], dtype=np.int64)
        scores = [score for _, score in order]
        earliest = [np.nan] * len(first)
    rows = jobs.iloc[waits.job[first]].reset_index(drop=True)
    return pd.DataFrame(
        {
            "position": np.arange(1, len(first) + 1),
            "job": rows["job"],
            "share": rows["share"],
            "priority": rows["priority"],
            "vcpus": rows["vcpus"],
            "waiting_s": at_us / US_PER_S - rows["submit_s"],
            "runnable_since_s": waits.since[first] / US_PER_S,
            "earliest_at_position_s": np.array(earliest, dtype=np.float64),
            "score": np.array(scores or [np.nan] * len(first), dtype=np.float64),
        }
    )


def instant_of(at: str | float, manifest: Mapping[str, Any]) -> int:
    try:
        at_us = parse_duration(at)
    except ValueError as error:
        raise UsageError(str(error), path="at") from error
    if at_us > round(manifest["ended_at_s"] * US_PER_S):
        end = format_duration(manifest["ended_at_s"] * US_PER_S)
        raise UsageError(
            path="at", expected=f"an instant of the run, which ended after {end}", found=repr(at)
        )
    return at_us


def _earliest(waits: QueueWaits, wait: int, at_us: int) -> int:
    """Since when a job of a FIFO queue has its position: somebody ahead left, or a retry came in front."""
    since = int(waits.since[wait])
    alike = waits.is_retry == waits.is_retry[wait]
    ahead = np.where(alike, waits.rank < waits.rank[wait], waits.is_retry)
    came = waits.since[ahead & (waits.since > since) & (waits.since <= at_us)]
    left = waits.until[ahead & (waits.until > since) & (waits.until <= at_us) & (waits.since <= at_us)]
    instants, position = np.unique(np.concatenate((came, left)), return_inverse=True)
    moved = np.bincount(position[: len(came)], minlength=len(instants)) - np.bincount(
        position[len(came) :], minlength=len(instants)
    )
    changed = instants[moved != 0]
    return int(changed[-1]) if len(changed) else since


# --- fair share ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Policy:
    """A fair-share policy and the assumptions on it; `window_us` is D, weights in units of 0.0001."""

    window_us: int
    weights: Mapping[str, int]
    decays: bool
    splits: bool

    def entry(self, share: str) -> str | None:
        """The entry of `weights` that matches; entries never overlap."""
        if share in self.weights:
            return share
        prefixes = (f"{share[:length]}*" for length in range(len(share), -1, -1))
        return next((prefix for prefix in prefixes if prefix in self.weights), None)


def _policy_of(manifest: Mapping[str, Any], queue: str) -> _Policy | None:
    """The fair-share policy of a queue; None for FIFO. Raises UsageError if there is no such queue."""
    scenario, assumptions = manifest["scenario"], manifest["assumptions"]
    queues = {each["jobQueueName"]: each for each in scenario.get("jobQueues", ())}
    if queue not in queues:
        raise UsageError(path="queue", expected=" or ".join(queues) or "a job queue", found=repr(queue))
    name = (queues[queue].get("schedulingPolicyArn") or "").rpartition("/")[-1]
    found = next((each for each in scenario.get("schedulingPolicies", ()) if each["name"] == name), None)
    if found is None or found.get("quotaSharePolicy") is not None:
        return None
    rules = found.get("fairsharePolicy") or {}
    return _Policy(
        (rules.get("shareDecaySeconds") or _DEFAULT_WINDOW_S) * US_PER_S,
        {
            each["shareIdentifier"]: round(each.get("weightFactor", 1.0) * _WEIGHT_UNITS)
            for each in rules.get("shareDistribution", ())
        },
        assumptions.get("fairShareModel") == "cdk",
        assumptions.get("wildcardSplit", True),
    )


def _fair_order(  # noqa: PLR0917 - all that the order depends on
    jobs: pd.DataFrame,
    attempts: pd.DataFrame,
    waits: QueueWaits,
    here: Ints,
    policy: _Policy,
    at_us: int,
    queue: str,
) -> list[tuple[int, float]]:
    """The first waits in the order in which they would start if all started now, with their scores."""
    if not len(here):
        return []
    shares = jobs["share"].astype("object").to_numpy()
    quarters = np.rint(jobs["vcpus"].to_numpy() * _QUARTERS).astype(np.int64)
    usage = _usage(jobs, attempts, policy, at_us, queue)
    weights = _weights(jobs, policy, at_us, queue)
    whole = 2 * policy.window_us**2
    priority = jobs["priority"].to_numpy()
    lines: dict[str, list[int]] = {}
    # `here` is in FIFO order already, and the sort is stable; the lines are read from their ends.
    for wait in sorted(here.tolist(), key=lambda wait: -priority[waits.job[wait]]):
        lines.setdefault(shares[waits.job[wait]], []).append(wait)
    runnable = microseconds(jobs["runnable_s"])
    race = [
        (weights[share] * usage.get(share, 0), int(runnable[waits.job[line[0]]]), share, line[::-1])
        for share, line in lines.items()
    ]
    heapify(race)
    order: list[tuple[int, float]] = []
    while race and len(order) < MOST_JOBS:
        score, _, share, line = race[0]
        wait = line.pop()
        order.append((wait, score / (_WEIGHT_UNITS * _QUARTERS * whole)))
        if not line:
            race[0] = race[-1]
            race.pop()
            heapify(race)
            continue
        more = weights[share] * whole * int(quarters[waits.job[wait]])
        heapreplace(race, (score + more, int(runnable[waits.job[line[-1]]]), share, line))
    return order


def _usage(
    jobs: pd.DataFrame, attempts: pd.DataFrame, policy: _Policy, at_us: int, queue: str
) -> dict[str, int]:
    """A + H / D of each share, in quarters of a vCPU and times 2 D^2: whole numbers."""
    window = policy.window_us
    used: dict[str, int] = {}
    for share, quarters, start, end in _recent(jobs, attempts, at_us, window, queue):
        if end > at_us:
            left = max(start + window - at_us, 0)
            part = 2 * window * left if policy.decays else 2 * window * window
        else:
            part = (end + window - at_us) ** 2 - max(start + window - at_us, 0) ** 2
        used[share] = used.get(share, 0) + quarters * part
    return used


def _recent(
    jobs: pd.DataFrame, attempts: pd.DataFrame, at_us: int, window_us: int, queue: str
) -> Iterator[tuple[str, int, int, int]]:
    """Share, quarter vCPUs, placement and end of attempts that count; those in flight end for ever later."""
    main = attempts[attempts["is_main"].to_numpy()]
    placed, ended = microseconds(main["placed_s"]), microseconds(main["ended_s"])
    ended = np.where((ended < 0) | (ended > at_us), FOR_EVER, ended)
    counts = np.flatnonzero((placed <= at_us) & (ended > at_us - window_us))
    job = pd.Index(jobs["job"]).get_indexer(main["job"].iloc[counts])
    mine = (jobs["queue"] == queue).to_numpy(np.bool_)[job]
    rows = jobs.iloc[job[mine]]
    yield from zip(
        rows["share"].astype("object").tolist(),
        np.rint(rows["vcpus"].to_numpy() * _QUARTERS).astype(np.int64).tolist(),
        placed[counts][mine].tolist(),
        ended[counts][mine].tolist(),
        strict=True,
    )


def _weights(jobs: pd.DataFrame, policy: _Policy, at_us: int, queue: str) -> dict[str, int]:
    """Of each active share its weight, times the active shares that match its wildcard.

    A share is active from its first submission until D after its last job ended.
    """
    submit, end = microseconds(jobs["submit_s"]), microseconds(jobs["end_s"])
    live = (submit <= at_us) & ((end < 0) | (end > at_us - policy.window_us))
    live &= (jobs["queue"] == queue).to_numpy(np.bool_)
    entries = {share: policy.entry(share) for share in jobs["share"][live].unique()}
    matching = list(entries.values())
    return {
        share: policy.weights.get(entry or "", _WEIGHT_UNITS)
        * (matching.count(entry) if entry is not None and entry.endswith("*") and policy.splits else 1)
        for share, entry in entries.items()
    }
