"""The pass: which of the waiting jobs start now, and where.

A job that becomes RUNNABLE or is retried is noted at once and joins its queue in the next pass, so that
the order in which a driver tells what happens at one instant makes no difference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from batchsim.core.cycle import Cycle
from batchsim.core.easy import EasyQueue
from batchsim.core.feasibility import lacks_resource, never_starts
from batchsim.core.grid import NEVER
from batchsim.core.ordering import NOBODY, Order, StrictQueue
from batchsim.core.queues import Places, Where, barred_places, reservable_vcpus, shares_of
from batchsim.core.waits import CONSUMABLE, RESERVATION, Reason, Waits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsim.core.attempts import Attempts
    from batchsim.core.capacity import Capacity
    from batchsim.core.claims import Claims
    from batchsim.core.columns import Columns
    from batchsim.core.commands import Command
    from batchsim.core.fleet import Instance
    from batchsim.core.gangs import Gangs
    from batchsim.core.plan import Need, Plan

_NO_PLACE: Final[Reason] = (-1, -1)  # for want of room; `Capacity.why` says of what kind


class Dispatch:
    """The queues of a plan, and who waits in them.

    orders      the order of each queue
    waits       the blocked heads, and why
    queued      the number of jobs that wait in all queues together
    heads_may_start   whether anything has happened since the last pass by which a blocked head may start, but
                for what `Capacity.changes` counts; to be set by whoever knows of it
    retried     jobs that are RUNNABLE again since the last pass, after an attempt that failed, in any order;
                to be appended to
    looks       whether a pass may find another head though nothing has happened
    look_us     when it may; NEVER if it will not
    """

    __slots__ = (
        "_arrivals",
        "_attempts",
        "_barred",
        "_before_us",
        "_capacity",
        "_changes_seen",
        "_claims",
        "_cycle",
        "_gangs",
        "_greedy",
        "_heads",
        "_heads_tell",
        "_in_order",
        "_need_of",
        "_newcomers",
        "_pass_us",
        "_places",
        "_plain",
        "_plan",
        "_queue_of",
        "_reservable",
        "_rows",
        "_runnable_us",
        "_shares",
        "_unseen",
        "_with_newcomers",
        "_withdrawn",
        "heads_may_start",
        "look_us",
        "looks",
        "orders",
        "queued",
        "retried",
        "waits",
    )

    def __init__(
        self,
        plan: Plan,
        columns: Columns,
        places: Sequence[Places],
        orders: list[Order],
        *,
        capacity: Capacity,
        attempts: Attempts,
        claims: Claims | None,
        gangs: Gangs | None,
    ) -> None:
        """`claims` and `gangs` are None where jobs ask for nothing but room on one instance."""
        self._plan = plan
        self._need_of, self._queue_of = columns.need, columns.queue
        self._rows = places
        self._capacity = capacity
        self._attempts = attempts
        self._claims = claims
        self._gangs = gangs
        self.orders = orders
        self._shares = shares_of(orders)
        self.waits = Waits(plan.queues)
        self.queued = 0
        self.heads_may_start = True
        self._changes_seen = -1  # `capacity.changes` as of the last pass
        # By queue, the jobs that became RUNNABLE since the last pass, in any order; which queues have any;
        # and how many they are.
        self._newcomers: list[list[int]] = [[] for _ in plan.queues]
        self._with_newcomers: list[int] = []
        self._arrivals = 0
        self.retried: list[int] = []
        self.looks = any(self._shares)
        self.look_us = NEVER
        self._runnable_us = columns.runnable_us
        self._pass_us = self._before_us = -1  # the instants of the last pass, and of that before it
        self._unseen: tuple[int, frozenset[int]] = (0, frozenset())
        self._withdrawn: set[int] = set()
        self._make_ready()
        self._greedy = plan.policy.backfill == "greedy"
        # Whether jobs of one queue start in the order in which they arrive.
        self._in_order = plan.policy.backfill == "none" and not any(self._shares)
        self._heads: list[Need] = []  # those that found no place when they were tried last
        # Whether a head can start, or wait for something else, only because there is more room for its need,
        # or because `Capacity.changes` counts on. With one need whatever ends makes room for the head.
        self._heads_tell = (
            self._in_order
            and self._plain
            and not plan.updates
            and len(plan.needs) > 1
            and not any(environment.per_job or environment.shared for environment in plan.environments)
            and all(len(queue.environments) == 1 for queue in plan.queues)
        )

    def replan(self, places: Sequence[Places]) -> None:
        """The plan's environments or queues are not what they were; `places` are those of now."""
        for row, now in zip(self._rows, places, strict=True):
            row[:] = now  # a queue's order may look at them, too
        self._make_ready()

    def arrive(self, job: int) -> None:
        """The job has become RUNNABLE for the first time."""
        queue = self._queue_of[job]
        if not self._newcomers[queue]:
            self._with_newcomers.append(queue)
        self._newcomers[queue].append(job)
        self._arrivals += 1

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
        self._attempts.now = now
        if self._unseen[0]:
            self._leave_out_the_withdrawn()
        if self.looks:
            self._begin_pass(now)
        if self._only_newcomers_may_start(now):
            self._serve_newcomers(now, commands)
        else:
            self._serve_all(now, commands)
        self.heads_may_start, self._changes_seen = False, self._capacity.changes
        if self.looks:
            self.look_us = self._next_look_us()
        if now != self._pass_us:
            self._pass_us, self._before_us = now, self._pass_us
        if self._cycle.rotates and len(commands) > begun:
            self._cycle.rotate()

    def look_at_heads(self, now: int) -> None:
        """Instances come or go since the last pass: who waits for room may wait for something else now."""
        for queue, head in enumerate(self.waits.head):
            if head != NOBODY and self.waits.lacks_room(queue):
                self.waits.blocked(now, queue, head, self._capacity.why(now, queue, self._need_of[head]))

    def withdraw(self, now: int, job: int) -> None:
        """A RUNNABLE job waits no more."""
        fresh = self._arrivals + len(self.retried)
        if self._unseen[0] != fresh:
            self._unseen = (fresh, frozenset(self.retried).union(*self._newcomers))
        if job in self._unseen[1]:
            self._withdrawn.add(job)
        else:
            queue = self._queue_of[job]
            self.orders[queue].remove(job)
            self.queued -= 1
            self.waits.left(now, queue, job, last=not self.orders[queue].size)

    def queues(self) -> list[int]:
        """Queue indices in the order in which the next pass serves them."""
        return self._cycle.queues()

    def waiting_jobs(self) -> list[int]:
        """Queue by queue in dispatch order, then those that no pass has seen yet."""
        fresh = [*self.retried, *sorted(job for jobs in self._newcomers for job in jobs)]
        unseen = [job for job in fresh if job not in self._withdrawn]
        return [job for order in self.orders for job in order.jobs()] + unseen

    def waiting_reasons(self) -> dict[int, str]:
        """Why each job waits that a pass has seen: AWS's status reason, or a sentence of ours."""
        reasons: dict[int, str] = {}
        for queue, order in enumerate(self.orders):
            blocks = self._plan.policy.backfill == "none" or self._shares[queue] is not None
            blocker = ""
            for job in order.jobs():
                own = never_starts(self._plan, queue, self._need_of[job])
                if own is None and not (blocker and blocks):
                    own = self._missing_words(queue, job) or self._capacity.refusal(
                        self._attempts.now, queue, self._need_of[job]
                    )
                reasons[job] = own or blocker or "No capacity is free and none can be added."
                if not blocker and blocks:
                    blocker = (
                        f"Waits behind the head of job queue {self._plan.queues[queue].name}: {reasons[job]}"
                    )
        return reasons

    # --- inside -------------------------------------------------------------------------------

    def _make_ready(self) -> None:
        plan, places = self._plan, self._rows
        self._places = [_plain_tuples(row) for row in places]
        self._barred = {pair: _plain_tuples(left) for pair, left in barred_places(plan, places).items()}
        self._reservable = [reservable_vcpus(plan, queue) for queue in range(len(plan.queues))]
        self._cycle = Cycle(plan.queues)
        self._plain = not (any(self._shares) or plan.asks or self._gangs or self._barred)

    def _leave_out_the_withdrawn(self) -> None:
        for jobs in (*self._newcomers, self.retried):
            jobs[:] = [job for job in jobs if job not in self._withdrawn]
        self._with_newcomers = [queue for queue, jobs in enumerate(self._newcomers) if jobs]
        self._arrivals = sum(len(jobs) for jobs in self._newcomers)
        self._withdrawn.clear()
        self._unseen = (0, frozenset())

    def _begin_pass(self, now: int) -> None:
        for share in self._shares:
            if share is not None:
                share.begin_pass(now)

    def _next_look_us(self) -> int:
        due = NEVER
        for share in self._shares:
            if share is not None and share.size:
                due = min(due, share.next_look_us())
        return due

    def _only_newcomers_may_start(self, now: int) -> bool:
        """Whether nobody waits but who has just arrived; or nothing has happened since the last pass by which
        the heads who do may start, or wait for something else.
        """
        if self.retried:
            return False
        if not self.queued:
            return self._in_order or self._arrivals == 1
        return (
            self._heads_tell
            and not self.heads_may_start
            and self._changes_seen == self._capacity.changes
            and now != self._pass_us  # else newcomers may stand before others, see `add_among`
        )

    def _serve_newcomers(self, now: int, commands: list[Command]) -> None:
        """As `_enqueue` and `_serve` if only newcomers may start, at a third of the cost."""
        if not self.queued:
            self._heads.clear()
        for queue in self._with_newcomers if len(self._with_newcomers) == 1 else self._cycle.queues():
            jobs = self._newcomers[queue]
            if not jobs:
                continue
            if len(jobs) > 1:
                jobs.sort()
            order = self.orders[queue]
            for job in jobs:
                if not order.size:
                    why = self._try(now, job, queue, commands)
                    if why is None:
                        continue
                    self._blocked(now, queue, job, why)
                order.add(job)
                self.queued += 1
            jobs.clear()
        self._with_newcomers.clear()
        self._arrivals = 0

    def _enqueue(self, now: int) -> None:
        """Let those who became RUNNABLE since the last pass join their queues, earliest submission first."""
        self.queued += self._arrivals + len(self.retried)
        self.retried.sort()
        for job in self.retried:
            self.orders[self._queue_of[job]].add(job, retried=True)
        self.retried.clear()
        for queue in self._with_newcomers:
            order, jobs = self.orders[queue], self._newcomers[queue]
            jobs.sort()
            for job in jobs:
                if now == self._pass_us and isinstance(order, StrictQueue):
                    order.add_among(job, self._runnable_us, self._before_us)
                else:
                    order.add(job)
            jobs.clear()
        self._with_newcomers.clear()
        self._arrivals = 0

    def _serve_all(self, now: int, commands: list[Command]) -> None:
        self._enqueue(now)
        self._heads.clear()
        for queue in self._cycle.queues():
            order = self.orders[queue]
            if order.size:
                self._serve(now, queue, commands)
            if not order.size:
                self.waits.free(now, queue)

    def _serve(self, now: int, queue: int, commands: list[Command]) -> None:
        """Start jobs of one queue until nobody who may be tried finds a place."""
        order = self.orders[queue]
        if isinstance(order, EasyQueue):
            self._serve_easy(now, queue, order, commands)
            return
        head_is_known = False
        while order.size:
            job = order.first(self._open_needs(self._places[queue]) if self._greedy else 0)
            if job == NOBODY:
                break
            why = self._try(now, job, queue, commands)
            if why is None:
                order.take(job)
                self.queued -= 1
                continue
            if not head_is_known:
                head_is_known = True
                self._blocked(now, queue, job, why)
            if not order.skip(job):
                break
        order.end_pass()
        if order.size and not head_is_known:  # nobody was worth a try
            job = order.first(-1)
            self._blocked(now, queue, job, self._missing(now, queue, job) or _NO_PLACE)

    def _serve_easy(self, now: int, queue: int, order: EasyQueue, commands: list[Command]) -> None:
        for job, instance in order.placements(now):
            self.queued -= 1
            self._attempts.start(job, self._need_of[job], instance, commands)
        if order.size:
            self._blocked(now, queue, order.head(), _NO_PLACE)

    def _try(self, now: int, job: int, queue: int, commands: list[Command]) -> Reason | None:
        """Start the job if it can be; else the reason why not."""
        need = self._need_of[job]
        places = self._places[queue]
        if not self._plain:
            missing = self._missing(now, queue, job)
            if missing is not None:
                return missing
            if self._gangs is not None and self._plan.gangs[need] is not None:
                nodes = self._gangs.find(need, places)
                if not nodes:
                    return _NO_PLACE
                self._attempts.start_nodes(job, nodes, commands)
                return None
            places = self._barred.get((queue, need), places)
        last = len(places) - 1
        for position, (_, fleet, scaler) in enumerate(places):
            instance = fleet.find(need)
            if instance is not None:
                self._attempts.start(job, need, instance, commands)
                return None
            if position < last and scaler is not None and scaler.can_grow(now, need):
                break  # it waits for this environment rather than go to a later one [spec 2.6]
        return _NO_PLACE

    def _blocked(self, now: int, queue: int, job: int, why: Reason) -> None:
        """The pass leaves the queue with a head that cannot start."""
        need = self._need_of[job]
        if self._heads_tell:
            self._heads.append(self._plan.needs[need])
            if self.waits.head[queue] == job and self._changes_seen == self._capacity.changes:
                return  # it has waited for the same thing before
        if why == _NO_PLACE:
            why = self._capacity.why(now, queue, need)
        self.waits.blocked(now, queue, job, why)

    def _missing(self, now: int, queue: int, job: int) -> Reason | None:
        """What the job lacks beside room: a part of the reservation, or a consumable resource."""
        share = self._shares[queue]
        total = self._reservable[queue]
        if share is not None and total and not share.admits(now, job, total):
            return RESERVATION, -1
        if self._plan.asks:
            assert self._claims is not None
            resource = self._claims.consumables.missing(self._plan.asks[self._need_of[job]])
            if resource >= 0:
                return CONSUMABLE, resource
        return None

    def _missing_words(self, queue: int, job: int) -> str | None:
        missing = None if self._plain else self._missing(self._attempts.now, queue, job)
        if missing is None:
            return None
        if missing[0] == RESERVATION:
            return "The fair-share reservation keeps what is left for shares that are not active."
        return lacks_resource(self._plan.consumables[missing[1]].name)

    def _open_needs(self, places: Sequence[Where]) -> int:
        mask = 0
        for _, fleet, _ in places:
            mask |= fleet.open_needs()
        return mask


def _plain_tuples(places: Places) -> list[Where]:
    return [(place.environment, place.fleet, place.scaler) for place in places]
