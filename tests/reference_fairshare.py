"""Oracle for fair-share queues: the formulas of the specification, read off over all jobs, in fractions.

Like `reference`, it imports nothing from batchsim and is written to be obviously right: no state is kept but
what happened, nothing is remembered from one question to the next, and the next share is found by a scan.
Times are integers of any unit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass
class Job:
    share: str
    vcpus: int
    priority: int = 1
    submitted: int | None = None
    finished: int | None = None
    runnable: int = 0
    place: tuple[int, int] | None = None  # while it waits: (0, number) if retried, (1, arrival) otherwise
    attempts: list[tuple[int, int | None]] = field(default_factory=list)  # started, ended


@dataclass
class SlowFairShare:
    """`weights` by identifier, or by prefix and `*`; 1 where none matches. Of `identifiers`, all that may
    occur, the earlier one wins what is left of ties.
    """

    identifiers: Sequence[str]
    jobs: list[Job]
    window: int
    reservation: int = 0
    weights: Mapping[str, Fraction] = field(default_factory=dict)
    model: str = "finished"
    wildcard_split: bool = True
    arrivals: int = 0

    # --- what happened

    def submitted(self, now: int, job: int) -> None:
        self.jobs[job].submitted = now

    def finished(self, now: int, job: int) -> None:
        self.jobs[job].finished = now

    def add(self, job: int, runnable: int, *, retried: bool = False) -> None:
        self.jobs[job].runnable = runnable
        self.jobs[job].place = (0, job) if retried else (1, self.arrivals)
        self.arrivals += 1

    def leave(self, job: int) -> None:
        self.jobs[job].place = None

    def started(self, now: int, job: int) -> None:
        self.jobs[job].attempts.append((now, None))

    def ended(self, now: int, job: int) -> None:
        start, _ = self.jobs[job].attempts.pop()
        self.jobs[job].attempts.append((start, now))

    # --- what follows

    def active(self, now: int) -> list[str]:
        """Shares with a job in SUBMITTED..RUNNING, or whose last one finished less than a window ago."""
        return [
            share
            for share in self.identifiers
            if any(self._keeps_active(now, job, share) for job in self.jobs)
        ]

    def _keeps_active(self, now: int, job: Job, share: str) -> bool:
        if job.share != share or job.submitted is None:
            return False
        return job.finished is None or now < job.finished + self.window

    def weight(self, now: int, share: str) -> Fraction:
        if share in self.weights:
            return self.weights[share]
        for entry, weight in self.weights.items():
            if entry.endswith("*") and share.startswith(entry[:-1]):
                matching = [each for each in self.active(now) if each.startswith(entry[:-1])]
                return weight * len(matching) if self.wildcard_split else weight
        return Fraction(1)

    def in_flight(self, share: str | None = None) -> int:
        return sum(
            job.vcpus
            for job in self.jobs
            if share in (None, job.share) and job.attempts and job.attempts[-1][1] is None
        )

    def recent(self, now: int, share: str) -> Fraction:
        """vCPU-time of ended attempts; a moment x ago counts 1 - x / window [spec 2.4, the formula of H]."""
        total = Fraction(0)
        for job in self.jobs:
            if job.share == share:
                for start, end in job.attempts:
                    if end is not None and now - self.window < end:
                        x1, x2 = now - end, min(now - start, self.window)
                        total += job.vcpus * (x2 - x1 - Fraction(x2 * x2 - x1 * x1, 2 * self.window))
        return total

    def score(self, now: int, share: str) -> Fraction:
        flight = Fraction(0)
        for job in self.jobs:
            if job.share == share and job.attempts and job.attempts[-1][1] is None:
                age = now - job.attempts[-1][0]
                full = self.model == "finished"
                flight += job.vcpus * (1 if full else max(Fraction(0), 1 - Fraction(age, self.window)))
        return self.weight(now, share) * (flight + self.recent(now, share) / self.window)

    def head(self, share: str) -> int | None:
        waiting = [
            (-job.priority, job.place, number)
            for number, job in enumerate(self.jobs)
            if job.share == share and job.place is not None
        ]
        return min(waiting)[-1] if waiting else None

    def first(self, now: int) -> int | None:
        heads = [
            (self.score(now, share), self.jobs[head].runnable, index, head)
            for index, share in enumerate(self.identifiers)
            if (head := self.head(share)) is not None
        ]
        return min(heads)[-1] if heads else None

    def usable(self, now: int, total: int) -> Fraction:
        return total * (1 - Fraction(self.reservation, 100) ** len(self.active(now)))

    def drain(self, now: int) -> list[int]:
        """The order in which the waiting jobs would start if all started now. Nobody waits afterwards."""
        order = []
        while (job := self.first(now)) is not None:
            order.append(job)
            self.leave(job)
            self.started(now, job)
        return order
