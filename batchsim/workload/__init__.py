"""What is submitted, when, and what really happens to it: integer columns, one row a job."""

from __future__ import annotations

from batchsim.workload.build import build_workload
from batchsim.workload.table import ExitRule, JobClass, Workload

__all__ = ["ExitRule", "JobClass", "Workload", "build_workload"]
