"""The auditor: every law of a result, derived again from its frames, its summary and its manifest alone.

It never imports the scheduler, the drivers or the code that builds results, so that a mistake there
cannot excuse itself. Vectorised: a million jobs take about three seconds.

    violations = audit_frames(result.frames, result.summary, result.manifest)     # [] for a good result
    violations = audit_folder("runs/night")
    violations = audit_replication_folder("runs/nights")      # of the summary above the replications
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pandas.errors import InvalidIndexError

from batchsim.errors import ResultError
from batchsim.results.audit import (
    accounts,
    architectures,
    arrays,
    bill,
    bounds,
    capacity,
    commitments,
    counts,
    dependencies,
    endings,
    fixed,
    images,
    lifecycle,
    little,
    machines,
    nodes,
    order,
    services,
    updates,
)
from batchsim.results.audit.facts import gather
from batchsim.results.audit.replications import audit_replication_folder, audit_replications
from batchsim.results.audit.violation import LAWS, Violation
from batchsim.results.files import read_folder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd

__all__ = [
    "LAWS",
    "Violation",
    "audit_folder",
    "audit_frames",
    "audit_replication_folder",
    "audit_replications",
]

# What pandas and numpy raise about frames that contradict each other.
UNDERIVABLE: Final = (IndexError, TypeError, ValueError, InvalidIndexError)
_CHECKS = (
    lifecycle.time,
    lifecycle.states,
    capacity.capacity,
    capacity.holding,
    nodes.nodes,
    lifecycle.attempts,
    counts.counts,
    bounds.bounds,
    order.fifo,
    dependencies.dependencies,
    capacity.orphans,
    accounts.cost,
    little.little,
    accounts.work,
    endings.endings,
    fixed.fixed,
    images.images,
    nodes.gpus,
    arrays.arrays,
    services.services,
    bill.bill,
    commitments.commitments,
    updates.updates,
    machines.machines,
    machines.tasks,
    architectures.architectures,
)


def audit_frames(
    frames: Mapping[str, pd.DataFrame], summary: Mapping[str, Any], manifest: Mapping[str, Any]
) -> list[Violation]:
    """Every way in which the result breaks a law, in the order of `LAWS`.

    frames   "jobs", "attempts", "instances", "timeseries", and "arrays" and "dependencies" where there are
             any, with the columns of `batchsim.results.columns`

    Raises ResultError when a frame, a column or a key that every result has is missing, and when no law is
    found broken but one cannot be derived. Where some are broken, those that cannot be derived are left out.
    """
    unclear: Exception | None = None
    try:
        facts, found = gather(frames, summary, manifest)
        for check in _CHECKS:
            try:
                found += check(facts)
            except UNDERIVABLE as error:
                unclear = error
    except KeyError as error:
        raise ResultError(f"the summary or the manifest has no {error}") from error
    except UNDERIVABLE as error:
        raise _contradiction(error) from error
    if unclear is not None and not found:
        raise _contradiction(unclear) from unclear
    laws = list(LAWS)
    return sorted(found, key=lambda violation: laws.index(violation.law))


def _contradiction(error: Exception) -> ResultError:
    return ResultError(f"the frames contradict each other, so that no law can be derived: {error}")


def audit_folder(folder: str | Path) -> list[Violation]:
    """`audit_frames` of a folder that `Result.write` wrote. Raises ResultError if it cannot be read."""
    return audit_frames(*read_folder(folder))
