"""Why a run stalled: the jobs that it left waiting for ever, by AWS's status reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from batchsim.results import Result


_ENDED = ("SUCCEEDED", "FAILED")


class LeftWaiting(NamedTuple):
    """Jobs that wait for the same reason; `example` is the name of the first of them."""

    reason: str
    jobs: int
    example: str


def left_waiting(result: Result) -> list[LeftWaiting]:
    """The jobs that a stalled run left waiting, in order of submission, then the service jobs.

    [] for a run that did not stall.
    """
    left = _waiting(result.jobs) if result.summary["outcome"] == "stalled" else []
    services = result.service_jobs
    if services is not None and result.summary["services"]["outcome"] == "stalled":
        left += _waiting(services)
    return left


def groups_left_waiting(result: Result) -> set[str]:
    """The workload entries of jobs that have not ended."""
    return set(result.jobs["group"][~result.jobs["state"].isin(_ENDED)].astype(str))


def has_stalled(summary: Mapping[str, Any]) -> bool:
    """Whether jobs are left that will wait for ever, service jobs or others."""
    return "stalled" in (summary["outcome"], summary.get("services", summary)["outcome"])


def _waiting(jobs: pd.DataFrame) -> list[LeftWaiting]:
    waiting = jobs[~jobs["state"].isin(_ENDED)]
    return [
        LeftWaiting(str(reason), len(alike), str(alike["job"].iloc[0]))
        for reason, alike in waiting.groupby("status_reason", observed=True, sort=False)
    ]
