"""Every law of the state of a `ServiceScheduler`, checked in full: O(state), for tests.

S1  a job is in a state that exists, and in no more attempts than it is allowed
S2  what jobs hold is what the desks say, and is not above the limits of the service environments
S3  a quota share borrows no more than its borrow limit, and all borrow no more than is lent
S4  each RUNNABLE job waits once, and nobody else waits
S5  only jobs that hold instances are told to stop; what is promised to heads leaves them out
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsim.core.services.quotadesk import QuotaDesk
from batchsim.core.services.reasons import borrow_limit
from batchsim.core.services.scheduler import UNBORN
from batchsim.core.services.states import FAILED, HOLDING, RUNNABLE, STATE_NAMES
from batchsim.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Callable

    from batchsim.core.services.plan import ServiceQueuePlan
    from batchsim.core.services.quotas import Quotas
    from batchsim.core.services.scheduler import ServiceScheduler


def check(core: ServiceScheduler) -> None:
    """Raise ContractError, naming the law, unless all laws hold."""
    _states_exist(core)
    _limits_hold(core)
    _quotas_hold(core)
    _every_job_waits_once(core)


def _require(law: str, holds: bool, what: str) -> None:  # noqa: FBT001 - it reads as a sentence
    if not holds:
        raise ContractError(f"law {law}: {what}")


def _states_exist(core: ServiceScheduler) -> None:
    plan = core.plan
    for job, state in enumerate(core.state):
        _require("S1", state < len(STATE_NAMES) or state == UNBORN, f"job {job} is in state {state}")
        allowed = plan.classes[plan.class_of[job]].attempts
        _require("S1", core.attempt[job] <= allowed, f"job {job} began {core.attempt[job]} of {allowed}")
        _require("S5", not core.is_stopping(job) or state in HOLDING, f"job {job} stops in state {state}")


def _limits_hold(core: ServiceScheduler) -> None:
    plan = core.plan
    for index, desk in enumerate(core.desks()):
        queues = [q for q, queue in enumerate(plan.queues) if queue.environment == index]
        held = _held(core, queues, lambda _job: True)
        limits = plan.environments[index].limits
        for unit, limit in enumerate(limits):
            used = sum(row[unit] for row in held.values())
            _require("S2", used <= limit, f"environment {index} has {used} of {limit} instances in use")
            _require("S2", used == desk.used()[unit], f"environment {index} miscounts its instances")


def _held(
    core: ServiceScheduler, queues: list[int], counts: Callable[[int], bool]
) -> dict[int, dict[int, int]]:
    """Instances that the jobs which count hold, by quota share (-1: none) and unit."""
    plan = core.plan
    units = range(max(len(environment.limits) for environment in plan.environments))
    held: dict[int, dict[int, int]] = {}
    for job, state in enumerate(core.state):
        kind = plan.classes[plan.class_of[job]]
        if kind.queue in queues and state in HOLDING and counts(job):
            held.setdefault(kind.quota_share, dict.fromkeys(units, 0))[kind.unit] += kind.instances
    return held


def _quotas_hold(core: ServiceScheduler) -> None:
    for desk in core.desks():
        if isinstance(desk, QuotaDesk):
            (q,) = (q for q, each in enumerate(core.plan.queues) if core.desks()[each.environment] is desk)
            used, soon = desk.quotas()
            _counts_agree(used, _held(core, [q], lambda _job: True))
            _counts_agree(soon, _held(core, [q], lambda job: not core.is_stopping(job)))
            _borrowing_is_bounded(core.plan.queues[q], used)


def _counts_agree(quotas: Quotas, held: dict[int, dict[int, int]]) -> None:
    for unit, row in enumerate(quotas.used):
        for share, used in enumerate(row):
            truth = held.get(share, {}).get(unit, 0)
            _require("S2", used == truth, f"share {share} says it uses {used} of unit {unit}, not {truth}")


def _borrowing_is_bounded(queue: ServiceQueuePlan, quotas: Quotas) -> None:
    shares = queue.quota_shares
    for unit, row in enumerate(quotas.used):
        borrowed = [max(0, used - share.limits[unit]) for used, share in zip(row, shares, strict=True)]
        for share, amount in zip(shares, borrowed, strict=True):
            limit = borrow_limit(share, unit)
            _require("S3", limit is None or amount <= limit, f"share {share.name} borrows {amount}")
        spare = sum(
            max(0, share.limits[unit] - used) for used, share in zip(row, shares, strict=True) if share.lends
        )
        _require("S3", sum(borrowed) <= spare, f"{sum(borrowed)} are borrowed and {spare} are lent")


def _every_job_waits_once(core: ServiceScheduler) -> None:
    waiting = [job for desk in core.desks() for job in desk.waiting_reasons()]
    _require("S4", len(waiting) == len(set(waiting)), "a job waits twice")
    runnable = [job for job, state in enumerate(core.state) if state == RUNNABLE]
    _require("S4", sorted(waiting) == runnable, f"{sorted(waiting)} wait, {runnable} are RUNNABLE")
    for job in core.status_reason:
        _require("S1", core.state[job] == FAILED, f"job {job} has a reason for a failure it has not")
