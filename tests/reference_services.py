"""Oracle for service jobs: the rules of the specification and the stated assumptions, read off over all jobs.

It has the seam of the scheduler, keeps no more than what happened, and finds out everything else by looking
at all jobs and sorting them anew for each question. It takes the plan's values, imports nothing but the
texts and states, and knows no heap, no ledger and no index. FIFO queues and quota shares only.
"""

# ruff: noqa: ARG002 - the seam's signatures

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from batchsim.core.services import reasons
from batchsim.core.services.commands import FAIL, PREEMPT, SCHEDULE, STOP

UNBORN, SUBMITTED, RUNNABLE, SCHEDULED, STARTING, RUNNING, SUCCEEDED, FAILED = range(-1, 7)
HOLDING = (SCHEDULED, STARTING, RUNNING)
CAPACITY = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"


@dataclass
class Job:
    number: int
    kind: Any
    state: int = UNBORN
    back: bool = False  # it waits again
    arrival: int = 0
    runnable: int = -1
    scheduled: int = -1
    started: int = -1
    attempts: int = 0
    preemptions: int = 0
    refused_for: int = 0
    stop: tuple[str, bool] | None = None  # reason, preempted

    @property
    def priority(self) -> int:
        return self.kind.priority if self.kind.quota_share >= 0 else 0

    @property
    def place(self) -> tuple:
        return (-self.priority, not self.back, self.number if self.back else self.arrival)


@dataclass
class SlowServices:
    plan: Any
    jobs: list[Job] = field(init=False)
    commands: list[tuple] = field(default_factory=list)
    head_since: dict[tuple, tuple[int, int]] = field(default_factory=dict)  # line -> job, instant
    cycle: dict[int, list[int]] = field(default_factory=dict)
    arrivals: int = 0
    owed: dict[tuple[int, int], int] = field(default_factory=dict)  # line -> for whom others were preempted

    def __post_init__(self) -> None:
        plan = self.plan
        self.jobs = [Job(number, plan.classes[index]) for number, index in enumerate(plan.class_of)]
        for environment in range(len(plan.environments)):
            queues = [q for q, each in enumerate(plan.queues) if each.environment == environment]
            self.cycle[environment] = sorted(queues, key=lambda q: -plan.queues[q].priority)

    @property
    def state(self) -> list[int]:
        return [job.state for job in self.jobs]

    def is_stopping(self, job: int) -> bool:
        return self.jobs[job].stop is not None

    # --- what happened

    def job_submitted(self, now: int, job: int) -> None:
        each = self.jobs[job]
        each.state, each.runnable, each.arrival = RUNNABLE, now, self.arrivals
        self.arrivals += 1

    def training_starting(self, now: int, job: int) -> None:
        self.jobs[job].state = STARTING

    def training_started(self, now: int, job: int) -> None:
        self.jobs[job].state, self.jobs[job].started = RUNNING, now

    def attempt_exited(self, now: int, job: int, status_reason: str, *, succeeded: bool = False) -> int:
        each = self.jobs[job]
        if succeeded:
            each.state, each.stop = SUCCEEDED, None
        elif each.stop is not None:
            self._stopped(each)
        elif each.attempts < each.kind.attempts and self._rule(each, status_reason):
            self._again(each)
        else:
            each.state = FAILED
        return each.state

    def capacity_refused(self, now: int, job: int) -> int:
        each = self.jobs[job]
        if each.stop is not None:
            self._stopped(each)
        else:
            each.refused_for += now - each.scheduled
            each.attempts -= 1
            self._again(each)
        return each.state

    def job_cancelled(self, now: int, job: int, reason: str) -> None:
        if self.jobs[job].state == RUNNABLE:
            self._fail(self.jobs[job], reason)

    def job_terminated(self, now: int, job: int, reason: str) -> None:
        each = self.jobs[job]
        if each.state == RUNNABLE:
            self._fail(each, reason)
        elif each.state in HOLDING and (each.stop is None or each.stop[1]):
            if each.stop is None:
                self.commands.append((STOP, job, reason))
            each.stop = (reason, False)

    def _rule(self, job: Job, text: str) -> bool:
        for rule in job.kind.rules:
            pattern = rule.on_status_reason
            if text == pattern or (pattern.endswith("*") and text.startswith(pattern[:-1])):
                return rule.retry
        return True

    def _stopped(self, job: Job) -> None:
        _, preempted = job.stop
        job.stop = None
        if preempted:
            job.preemptions += 1
            job.attempts -= 1
        most = job.kind.preemptions
        if preempted and (most < 0 or job.preemptions <= most):
            self._again(job)
        else:
            job.state = FAILED

    def _again(self, job: Job) -> None:
        job.state, job.back = RUNNABLE, True

    def _fail(self, job: Job, reason: str) -> None:
        job.state = FAILED
        self.commands.append((FAIL, job.number, reason))

    # --- what to do

    def next_wakeup(self) -> int | None:
        """The next instant at which a time limit may be reached."""
        due = [
            each.started + each.kind.timeout_us
            for each in self.jobs
            if each.state == RUNNING and each.kind.timeout_us and not each.stop
        ]
        for line, (job, since) in self.head_since.items():
            if job >= 0 and (text := self._misfit(self.jobs[job])) is not None:
                limit = self._limit(line[0], text.split(" - ")[0])
                if limit is not None and self.jobs[job].state == RUNNABLE:
                    due.append(since + limit)
        return min(due, default=None)

    def decide(self, now: int) -> list[tuple]:
        running = [
            each for each in self.jobs if each.state == RUNNING and each.kind.timeout_us and not each.stop
        ]
        for each in sorted(running, key=lambda each: (each.started + each.kind.timeout_us, each.number)):
            if each.started + each.kind.timeout_us <= now:
                each.stop = (reasons.TIMED_OUT, False)
                self.commands.append((STOP, each.number, reasons.TIMED_OUT))
        self._time_limits(now)
        for environment, queues in self.cycle.items():
            if any(self.plan.queues[q].quota_shares for q in queues):
                self._pass_of_shares(now, queues[0])
            else:
                self._pass_of_queues(now, environment, queues)
        self._look_at_heads(now)
        commands, self.commands = self.commands, []
        return commands

    def _lines(self) -> list[tuple[int, int]]:
        return [
            (q, share)
            for environment in self.cycle
            for q, queue in enumerate(self.plan.queues)
            if queue.environment == environment
            for share in (range(len(queue.quota_shares)) if queue.quota_shares else [-1])
        ]

    def _line(self, q: int, share: int) -> list[Job]:
        waiting = [
            each
            for each in self.jobs
            if each.state == RUNNABLE and each.kind.queue == q and each.kind.quota_share == share
        ]
        return sorted(waiting, key=lambda each: each.place)

    def _limit(self, q: int, code: str) -> int | None:
        return next((each.max_us for each in self.plan.queues[q].time_limits if each.reason == code), None)

    def _misfit(self, job: Job) -> str | None:
        return reasons.never_runs(self.plan, self.plan.class_of[job.number])

    def _time_limits(self, now: int) -> None:
        due = []
        for number, line in enumerate(self._lines()):
            job, since = self.head_since.get(line, (-1, 0))
            if job >= 0 and (text := self._misfit(self.jobs[job])) is not None:
                code = text.split(" - ")[0]
                limit = self._limit(line[0], code)
                if limit is not None and since + limit <= now:
                    due.append((since + limit, number, job, code))
        for _, _, job, code in sorted(due):
            if self.jobs[job].state == RUNNABLE:
                self._fail(self.jobs[job], f"Terminated by JobStateTimeLimit action due to reason: {code}")

    def _look_at_heads(self, now: int) -> None:
        for line in self._lines():
            head = self._line(*line)[:1]
            job = head[0].number if head else -1
            if self.head_since.get(line, (-1, 0))[0] != job:
                self.head_since[line] = (job, now)

    def _head(self, q: int, share: int) -> Job | None:
        """The head, after those that lacked capacity for too long have been failed."""
        while line := self._line(q, share):
            limit = self._limit(q, CAPACITY)
            if limit is None or line[0].refused_for < limit or not self._was_refused(line[0]):
                return line[0]
            self._fail(line[0], f"Terminated by JobStateTimeLimit action due to reason: {CAPACITY}")
        return None

    def _was_refused(self, job: Job) -> bool:
        return job.refused_for > 0

    def _schedule(self, now: int, job: Job) -> None:
        job.state, job.scheduled = SCHEDULED, now
        job.attempts += 1
        self.commands.append((SCHEDULE, job.number))

    def _pass_of_queues(self, now: int, environment: int, queues: list[int]) -> None:
        scheduled = False
        for q in queues:
            while (head := self._head(q, -1)) is not None:
                used = sum(
                    e.kind.instances for e in self.jobs if e.state in HOLDING and e.kind.queue in queues
                )
                limit = self.plan.environments[environment].limits[0]
                if self._misfit(head) or used + head.kind.instances > limit:
                    break
                self._schedule(now, head)
                scheduled = True
        if scheduled:
            by_priority: dict[int, list[int]] = {}
            for q in queues:
                by_priority.setdefault(self.plan.queues[q].priority, []).append(q)
            self.cycle[environment] = [q for group in by_priority.values() for q in group[1:] + group[:1]]

    # --- quota shares

    def _pass_of_shares(self, now: int, q: int) -> None:
        shares = self.plan.queues[q].quota_shares
        claims: list[Job] = []
        done: set[int] = set()
        held: dict[int, int] = {}
        while True:
            turns = []
            for share in range(len(shares)):
                if share in done:
                    continue
                head = self._head(q, share)
                if head is None or self._misfit(head):
                    done.add(share)
                    continue
                own = self._use([*self._holders(q, stopping=False), *claims], head)
                borrows = own + head.kind.instances > shares[share].limits[head.kind.unit]
                waits = self.owed.get((q, share)) != head.number
                turns.append((waits, borrows, head.runnable, head.number, share))
            if not turns:
                return
            *_, number, share = min(turns)
            head = self.jobs[number]
            staying = self._holders(q, stopping=False)
            if self._fits(q, [*staying, *claims], head, held):
                if self._fits(q, self._holders(q), head):
                    self._schedule(now, head)
                    if self.owed.get((q, share)) == number:
                        del self.owed[q, share]
                    continue
                claims.append(head)
            elif victims := self._victims(q, (staying, claims, held), head):
                for victim in victims:
                    same = victim.kind.quota_share == share
                    text = reasons.IN_SHARE if same else reasons.CROSS_SHARE
                    victim.stop = (text, True)
                    self.commands.append((PREEMPT, victim.number, text))
                claims.append(head)
                self.owed[q, share] = number
            elif self._waits_for_idle(q, [*staying, *claims], head):
                held[head.kind.unit] = self._idle(q, [*staying, *claims], head.kind.unit)
            done.add(share)

    def _holders(self, q: int, *, stopping: bool = True) -> list[Job]:
        held = [each for each in self.jobs if each.kind.queue == q and each.state in HOLDING]
        return [each for each in held if stopping or each.stop is None]

    def _use(self, holders: list[Job], like: Job) -> int:
        return sum(
            each.kind.instances
            for each in holders
            if each.kind.unit == like.kind.unit and each.kind.quota_share == like.kind.quota_share
        )

    def _idle(self, q: int, holders: list[Job], unit: int) -> int:
        borrowed = spare = 0
        for index, share in enumerate(self.plan.queues[q].quota_shares):
            used = sum(
                e.kind.instances for e in holders if (e.kind.unit, e.kind.quota_share) == (unit, index)
            )
            borrowed += max(0, used - share.limits[unit])
            spare += max(0, share.limits[unit] - used) if share.strategy != "RESERVE" else 0
        return max(0, spare - borrowed)

    def _waits_for_idle(self, q: int, holders: list[Job], head: Job) -> bool:
        share = self.plan.queues[q].quota_shares[head.kind.quota_share]
        more = self._use(holders, head) + head.kind.instances - share.limits[head.kind.unit]
        return 0 < more <= self._may_borrow(share, head.kind.unit)

    def _fits(self, q: int, holders: list[Job], job: Job, held: dict[int, int] | None = None) -> bool:
        """Whether all laws hold when the job is among the holders, and leaves alone what is held."""
        queue, unit = self.plan.queues[q], job.kind.unit
        holders = [each for each in [*holders, job] if each.kind.unit == unit]
        if sum(e.kind.instances for e in holders) > self.plan.environments[queue.environment].limits[unit]:
            return False
        borrowed = spare = 0
        for index, share in enumerate(queue.quota_shares):
            used = sum(each.kind.instances for each in holders if each.kind.quota_share == index)
            if index == job.kind.quota_share and used - share.limits[unit] > max(
                0, used - job.kind.instances - share.limits[unit]
            ):
                borrowed += (held or {}).get(unit, 0)
            more = max(0, used - share.limits[unit])
            if index == job.kind.quota_share and more > self._may_borrow(share, unit):
                return False
            borrowed += more
            if share.strategy != "RESERVE":
                spare += max(0, share.limits[unit] - used)
        return borrowed <= spare

    def _may_borrow(self, share: Any, unit: int) -> float:
        if share.strategy != "LEND_AND_BORROW":
            return 0
        if share.borrow_percent == -1:
            return float("inf")
        return share.limits[unit] * share.borrow_percent // 100

    def _victims(self, q: int, now: tuple[list[Job], list[Job], dict[int, int]], head: Job) -> list[Job]:
        staying, claims, held = now
        shares, unit, mine = self.plan.queues[q].quota_shares, head.kind.unit, head.kind.quota_share
        chosen: list[Job] = []

        def left() -> list[Job]:
            return [*(each for each in staying if each not in chosen), *claims]

        def within_own() -> bool:
            return self._use(left(), head) + head.kind.instances <= shares[mine].limits[unit]

        def first(candidates: list[Job]) -> Job:
            return min(candidates, key=lambda each: (each.kind.priority, -each.scheduled, -each.number))

        def next_victim() -> Job | None:
            there = [each for each in staying if each not in chosen and each.kind.unit == unit]
            if within_own():
                borrowed = {}
                for share in range(len(shares)):
                    used = sum(
                        e.kind.instances
                        for e in left()
                        if e.kind.unit == unit and e.kind.quota_share == share
                    )
                    if used > shares[share].limits[unit]:
                        borrowed[share] = used - shares[share].limits[unit]
                for share in sorted(borrowed, key=lambda share: (-borrowed[share], share)):
                    if candidates := [each for each in there if each.kind.quota_share == share]:
                        return first(candidates)
            lower = [e for e in there if e.kind.quota_share == mine and e.kind.priority < head.kind.priority]
            return first(lower) if lower and shares[mine].in_share else None

        while not self._fits(q, left(), head, held):
            victim = next_victim()
            if victim is None:
                return []
            chosen.append(victim)
        for victim in chosen[-2::-1]:
            position = chosen.index(victim)
            chosen.remove(victim)
            crossed = any(each.kind.quota_share != mine for each in chosen)
            if not self._fits(q, left(), head, held) or (crossed and not within_own()):
                chosen.insert(position, victim)
        return chosen
