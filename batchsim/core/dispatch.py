"""The pass: which of the waiting jobs start now, and where.

A job that becomes RUNNABLE or is retried is noted at once and joins its queue in the next pass, so that
the order in which a driver tells what happens at one instant makes no difference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsim.core.cycle import Cycle
from batchsim.core.feasibility import never_starts
from batchsim.core.ordering import NOBODY, GreedyQueue, Order, StrictQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from batchsim.core.commands import Command
    from batchsim.core.fleet import Fleet, Instance
    from batchsim.core.plan import Need, Plan
    from batchsim.core.scaling import Scaler


class Dispatch:
    """The queues of a plan, and who waits in them.

    orders     the order of each queue
    queued     the number of jobs that wait in all of them together
    arrived    jobs that became RUNNABLE since the last pass, in any order; to be appended to
    retried    likewise, jobs that are RUNNABLE again after an attempt that failed
    need_of    the need of each job
    """

    __slots__ = (
        "_cycle",
        "_greedy",
        "_heads",
        "_heads_tell",
        "_places",
        "_plan",
        "_queue_of",
        "_start",
        "arrived",
        "need_of",
        "orders",
        "queued",
        "retried",
    )

    def __init__(
        self,
        plan: Plan,
        fleets: Sequence[Fleet],
        scalers: Sequence[Scaler | None],
        start: Callable[[int, int, Instance, list[Command]], None],
    ) -> None:
        """`start(job, need, instance, commands)` begins an attempt."""
        self._plan = plan
        self._start = start
        self.need_of = [plan.classes[index].need for index in plan.class_of]
        self._queue_of = [plan.classes[index].queue for index in plan.class_of]
        self._places = [
            [
                (fleets[index], scalers[index])
                for index in queue.environments
                if plan.environments[index].enabled
            ]
            for queue in plan.queues
        ]
        self._cycle = Cycle(plan.queues)
        self._greedy = plan.policy.backfill == "greedy"
        kind = GreedyQueue if self._greedy else StrictQueue
        self.orders: list[Order] = [kind(self.need_of) for _ in plan.queues]
        self.queued = 0
        self.arrived: list[int] = []
        self.retried: list[int] = []
        self._heads: list[Need] = []  # those that found no place in the last pass
        # With one need whatever ends makes room for the head.
        self._heads_tell = (
            not self._greedy
            and len(plan.needs) > 1
            and all(len(queue.environments) == 1 for queue in plan.queues)
        )

    def may_use(self, instance: Instance) -> bool:
        """Whether a pass may start a job now that there is more room on `instance`, and only there.

        The last pass left the head of each queue without a place. If none of them fits here, and nobody
        may pass or go elsewhere, a pass would start nobody.
        """
        if not self._heads_tell:
            return True
        vcpus, memory_mib, gpus = instance.free_vcpus, instance.free_memory, instance.free_gpus
        for need_vcpus, need_memory, need_gpus in self._heads:
            if need_vcpus <= vcpus and need_memory <= memory_mib and need_gpus <= gpus:
                return True
        return False

    def run(self, now: int, commands: list[Command]) -> None:
        """One cycle over the queues in descending priority [spec 2.2]."""
        begun = len(commands)
        self._heads.clear()
        if not self.queued and not self.retried and (len(self.arrived) == 1 or not self._greedy):
            self._serve_newcomers(now, commands)
        else:
            self._enqueue()
            for queue in self._cycle.queues():
                order = self.orders[queue]
                if order.size:
                    self._serve(now, order, self._places[queue], commands)
        if self._cycle.rotates and len(commands) > begun:
            self._cycle.rotate()

    def queues(self) -> Sequence[int]:
        """Queue indices in the order in which the next pass serves them."""
        return self._cycle.queues()

    def waiting_jobs(self) -> list[int]:
        """Queue by queue in dispatch order, then those that no pass has seen yet."""
        return [job for order in self.orders for job in order.jobs()] + self.retried + self.arrived

    def waiting_reasons(self) -> dict[int, str]:
        """Why each job waits that a pass has seen: AWS's status reason, or a sentence of ours."""
        reasons: dict[int, str] = {}
        for queue, order in enumerate(self.orders):
            blocker = ""
            for job in order.jobs():
                own = never_starts(self._plan, queue, self.need_of[job])
                reasons[job] = own or blocker or "No capacity is free and none can be added."
                if not blocker and not self._greedy:
                    blocker = (
                        f"Waits behind the head of job queue {self._plan.queues[queue].name}: {reasons[job]}"
                    )
        return reasons

    # --- inside -------------------------------------------------------------------------------

    def _serve_newcomers(self, now: int, commands: list[Command]) -> None:
        """Nobody waits but who has just arrived: as `_enqueue` and `_serve`, at a third of the cost."""
        arrived, queue_of = self.arrived, self._queue_of
        if len(arrived) > 1:
            arrived.sort()
            turn = self._cycle.turn
            arrived.sort(key=lambda job: turn[queue_of[job]])
        blocked = NOBODY
        for job in arrived:
            need, queue = self.need_of[job], queue_of[job]
            instance = None if queue == blocked else self._place(now, need, self._places[queue])
            if instance is not None:
                self._start(job, need, instance, commands)
                continue
            if queue != blocked:
                blocked = queue
                self._heads.append(self._plan.needs[need])
            self.orders[queue].add(job)
            self.queued += 1
        arrived.clear()

    def _enqueue(self) -> None:
        """Let those who became RUNNABLE since the last pass join their queues, earliest submission first."""
        for jobs, retried in ((self.retried, True), (self.arrived, False)):
            if jobs:
                if len(jobs) > 1:
                    jobs.sort()
                for job in jobs:
                    self.orders[self._queue_of[job]].add(job, retried=retried)
                self.queued += len(jobs)
                jobs.clear()

    def _serve(
        self, now: int, order: Order, places: Sequence[tuple[Fleet, Scaler | None]], commands: list[Command]
    ) -> None:
        """Start jobs of one queue until nobody who may be tried finds a place."""
        need_of = self.need_of
        while order.size:
            job = order.first(self._open_needs(places) if self._greedy else 0)
            if job == NOBODY:
                break
            need = need_of[job]
            instance = self._place(now, need, places)
            if instance is not None:
                order.take(job)
                self.queued -= 1
                self._start(job, need, instance, commands)
            elif not order.skip(job):
                self._heads.append(self._plan.needs[need])
                break
        order.end_pass()

    def _place(self, now: int, need: int, places: Sequence[tuple[Fleet, Scaler | None]]) -> Instance | None:
        """The instance for `need`: of the first environment, in order, that has room.

        A job waits for an environment that can still grow rather than go to a later one. [spec 2.6]
        """
        for fleet, scaler in places:
            instance = fleet.find(need)
            if instance is not None:
                return instance
            if scaler is not None and scaler.can_grow(now, need):
                return None
        return None

    def _open_needs(self, places: Sequence[tuple[Fleet, Scaler | None]]) -> int:
        mask = 0
        for fleet, _ in places:
            mask |= fleet.open_needs()
        return mask
