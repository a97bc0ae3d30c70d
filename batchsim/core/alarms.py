"""What makes a decision due beside passes and scaling: time limits, jobs to be evaluated, updates."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from batchsim.core.grid import NEVER, next_multiple

if TYPE_CHECKING:
    from batchsim.core.attempts import Attempts
    from batchsim.core.commands import Command
    from batchsim.core.jobs import Jobs
    from batchsim.core.plan import Plan
    from batchsim.core.updates import Updates
    from batchsim.core.waits import Waits


class Alarms:
    """The alarms of a run.

    any        whether there can be any; if not, nothing else need be asked
    of_heads   whether heads of queues can have waited for too long
    """

    __slots__ = (
        "_attempts",
        "_delay_us",
        "_evaluating",
        "_jobs",
        "_pass_interval",
        "_queues_with_limits",
        "_updates",
        "_waits",
        "any",
        "of_heads",
    )

    def __init__(self, plan: Plan, attempts: Attempts, jobs: Jobs, waits: Waits, updates: Updates) -> None:
        self._attempts = attempts
        self._updates = updates if updates.any else None
        self._jobs = jobs
        self._waits = waits
        self._delay_us = plan.policy.submit_evaluation_us
        self._pass_interval = plan.policy.scheduling_interval_us
        self._queues_with_limits = [q for q, queue in enumerate(plan.queues) if queue.time_limits]
        self.of_heads = bool(self._queues_with_limits)
        self._evaluating: deque[tuple[int, int]] = deque()
        timeouts = any(each.timeout_us for each in plan.classes)
        self.any = bool(timeouts or self.of_heads or self._delay_us or self._updates)

    def submitted(self, now: int, job: int) -> int:
        """The job is to be evaluated after a while; gives when a decision must be asked for, or NEVER."""
        self._evaluating.append((now + self._delay_us, job))
        return self._evaluation_due_us() if len(self._evaluating) == 1 else NEVER

    def ring(self, now: int, reason: str, commands: list[Command]) -> None:
        """Do what is due; `reason` is why attempts are stopped."""
        self._attempts.enforce_limits(now, reason, commands)
        for queue in self._queues_with_limits:
            due, why = self._waits.limit_of(queue)
            if due <= now:
                self._jobs.cancel_head(now, queue, why)
        evaluating = self._evaluating
        while evaluating and evaluating[0][0] <= now:
            self._jobs.evaluate(*evaluating.popleft())
        if self._updates is not None:
            self._updates.ring(now, commands)

    def due_us(self) -> int:
        """When the next is due; NEVER if none is."""
        due = self._attempts.limit_due_us()
        if self._updates is not None:
            due = min(due, self._updates.due_us())
        for queue in self._queues_with_limits:
            due = min(due, self._waits.limit_of(queue)[0])
        return min(due, self._evaluation_due_us()) if self._evaluating else due

    def _evaluation_due_us(self) -> int:
        """Who is evaluated can start in the next pass, so that there is no hurry before."""
        return next_multiple(self._evaluating[0][0], self._pass_interval)
