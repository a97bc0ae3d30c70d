"""L11: a job is RUNNABLE as soon as it has been evaluated and all that it waits for has SUCCEEDED."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsim.results.audit.fixed import fixed_delay
from batchsim.results.audit.violation import Violation, rows_where

if TYPE_CHECKING:
    from batchsim.results.audit.facts import Facts


def dependencies(facts: Facts) -> list[Violation]:
    """L11: jobs become RUNNABLE `submitEvaluation` after their submission."""
    delay = fixed_delay(facts, "submitEvaluation")
    if delay is None:
        return []
    jobs = facts.jobs
    wrong = (jobs.runnable >= 0) & (jobs.runnable != jobs.submit + delay)
    return rows_where(wrong, "L11", "jobs", "runnable_s is not submitEvaluation after submit_s")
