"""Why a run stalled: the jobs that it left waiting for ever, by AWS's status reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from batchsim.results import Result


class LeftWaiting(NamedTuple):
    """Jobs that wait for the same reason; `example` is the name of the first of them."""

    reason: str
    jobs: int
    example: str


def left_waiting(result: Result) -> list[LeftWaiting]:
    """The jobs that a stalled run left waiting, in order of submission; [] for a run that did not stall."""
    if result.summary["outcome"] != "stalled":
        return []
    waiting = result.jobs[~result.jobs["state"].isin(["SUCCEEDED", "FAILED"])]
    return [
        LeftWaiting(str(reason), len(jobs), str(jobs["job"].iloc[0]))
        for reason, jobs in waiting.groupby("status_reason", observed=True, sort=False)
    ]
