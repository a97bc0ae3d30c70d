"""Why a service job waits or can never run, and why it was preempted: AWS's words [spec 1.6, 1.17].

What a job can never run for is a property of the plan alone, so it can be told without a simulation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from batchsim.core.services.plan import LEND_AND_BORROW, NO_UNIT, UNLIMITED

if TYPE_CHECKING:
    from batchsim.core.services.plan import QuotaSharePlan, ServicePlan

MAX_RESOURCE: Final = (
    "MISCONFIGURATION:SERVICE_ENVIRONMENT_MAX_RESOURCE - Service environment(s) associated with the job queue"
    " cannot meet the capacity requirement of the job."
)
_QUOTA_LIMIT: Final = "MISCONFIGURATION:QUOTA_MANAGEMENT_LIMIT_EXCEEDED - "
ABOVE_LIMIT: Final = f"{_QUOTA_LIMIT}Job requirements exceed quota share capacity limits."
ABOVE_BORROW_LIMIT: Final = (
    f"{_QUOTA_LIMIT}Job requirements exceed quota share capacity limits and borrow limits."
)
ABOVE_BORROWABLE: Final = (
    f"{_QUOTA_LIMIT}Job requires borrowing that exceeds all configured borrowable capacity."
)
NO_CAPACITY: Final = (
    "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Unable to provision requested compute resources"
)

CROSS_SHARE: Final = "Cross-share preemption triggered to reclaim borrowed capacity"
# AWS does not publish the text of the other kind.
IN_SHARE: Final = "In-share preemption triggered by a job of higher priority"
TIMED_OUT: Final = "Job attempt duration exceeded timeout"
COMPLETED: Final = "Received status from SageMaker: Training job completed"

TOO_MANY_SHARES: Final = "SubmitServiceJob was refused: the job queue has 500 active share identifiers."
DISABLED: Final = "The service environment of the job queue is DISABLED."
BEHIND: Final = "Waits behind the head of its job queue or quota share."
NO_ROOM: Final = "Waits for capacity of its service environment to become free."
NOTHING_IDLE: Final = "Waits for capacity that its quota share may use to become free."
RESERVED: Final = "Waits because the fair-share policy reserves capacity for shares that are not active."


def reason_code(text: str) -> str:
    """`MISCONFIGURATION:...` or `CAPACITY:...`: what a `jobStateTimeLimitActions` entry names."""
    return text.split(" - ", 1)[0]


def terminated_by_limit(code: str) -> str:
    """The status reason of a job that a time limit ended [UG: sm_job_stuck_in_runnable_misconfiguration]."""
    return f"Terminated by JobStateTimeLimit action due to reason: {code}"


def borrow_limit(share: QuotaSharePlan, unit: int) -> int | None:
    """Instances beyond its own limit that a share may use at once; None: as many as are lent."""
    if share.strategy != LEND_AND_BORROW:
        return 0
    if share.borrow_percent == UNLIMITED:
        return None
    return share.limits[unit] * share.borrow_percent // 100


def largest_job(shares: tuple[QuotaSharePlan, ...], index: int, unit: int) -> int:
    """The most instances of a unit that a job of a quota share can ever have [spec 2.5].

    Its own limit; for LEND_AND_BORROW its limit and its borrow limit together, or its limit and all that
    the other shares lend, whichever is less.
    """
    share = shares[index]
    own, limit = share.limits[unit], borrow_limit(share, unit)
    lent = sum(each.limits[unit] for other, each in enumerate(shares) if other != index and each.lends)
    return own + (lent if limit is None else min(limit, lent))


def never_runs(plan: ServicePlan, class_index: int) -> str | None:
    """The status reason of a job of that class, which can never be scheduled; None if it can.

    SERVICE_ENVIRONMENT_MAX_RESOURCE: it asks for more instances than the limit of the environment, or for a
    type without a limit. QUOTA_MANAGEMENT_LIMIT_EXCEEDED, which is looked at next: for more than its
    quota share can ever use. [UG: sm_job_stuck_in_runnable_misconfiguration]
    """
    job_class = plan.classes[class_index]
    queue = plan.queues[job_class.queue]
    environment = plan.environments[queue.environment]
    if not environment.enabled:
        return DISABLED
    unit, asked = job_class.unit, job_class.instances
    if unit == NO_UNIT or asked > environment.limits[unit]:
        return MAX_RESOURCE
    if not queue.quota_shares or asked <= largest_job(queue.quota_shares, job_class.quota_share, unit):
        return None
    share = queue.quota_shares[job_class.quota_share]
    if share.strategy != LEND_AND_BORROW:
        return ABOVE_LIMIT
    limit = borrow_limit(share, unit)
    above = limit is not None and asked > share.limits[unit] + limit
    return ABOVE_BORROW_LIMIT if above else ABOVE_BORROWABLE
