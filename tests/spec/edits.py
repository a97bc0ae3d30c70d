"""What a scenario cannot say of a single job, said of the drawn workload."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batchsim.workload.table import Workload

SECOND = 1_000_000


def let_exit(workload: Workload, job: str, code: int) -> None:
    """Every attempt of the job leaves `code`; those of its siblings leave what they did."""
    row = workload.job_names().index(job)
    scripted = replace(workload.classes[workload.job_class[row]], exit_codes=(code,), reasons=("",))
    workload.job_class[row] = len(workload.classes)
    workload.classes.append(scripted)


def let_run(workload: Workload, seconds: dict[str, int]) -> None:
    """Running times by job."""
    rows = {name: row for row, name in enumerate(workload.job_names())}
    for job, duration in seconds.items():
        workload.runtime_us[rows[job]] = duration * SECOND
