"""States of service jobs as a table: those of other jobs and SCHEDULED, which lies before STARTING.

    SUBMITTED ──► RUNNABLE ──► SCHEDULED ──► STARTING ──► RUNNING ──► SUCCEEDED

RUNNABLE follows SCHEDULED when SageMaker has no capacity, and follows SCHEDULED, STARTING and RUNNING
when the job is retried or preempted. FAILED may follow every state but SUCCEEDED. Service jobs do not wait
for others, so nothing is PENDING.

SCHEDULED is Pending at SageMaker, STARTING is Downloading, RUNNING is Training and Uploading.
Source: [spec 1.16], [UG: service-job-status].
"""

from __future__ import annotations

from typing import Final

SUBMITTED: Final = 0
RUNNABLE: Final = 1
SCHEDULED: Final = 2
STARTING: Final = 3
RUNNING: Final = 4
SUCCEEDED: Final = 5
FAILED: Final = 6

STATE_NAMES: Final = ("SUBMITTED", "RUNNABLE", "SCHEDULED", "STARTING", "RUNNING", "SUCCEEDED", "FAILED")

# From each state, the states a job may enter next. Terminal states have none.
LEGAL: Final[dict[int, tuple[int, ...]]] = {
    SUBMITTED: (RUNNABLE, FAILED),
    RUNNABLE: (SCHEDULED, FAILED),
    SCHEDULED: (STARTING, RUNNABLE, FAILED),
    STARTING: (RUNNING, RUNNABLE, FAILED),
    RUNNING: (SUCCEEDED, RUNNABLE, FAILED),
    SUCCEEDED: (),
    FAILED: (),
}

HOLDING: Final = (SCHEDULED, STARTING, RUNNING)
"""States in which a job counts against capacity limits."""
