"""Oracles: small models of a batch system, written to be obviously right rather than fast.

They import nothing from batchsim, so that no mistake can agree with itself. Unless a docstring says
otherwise, times are integers of any unit, resources are integers, jobs are given in any order and answers
come in that same order, and `NEVER` is the start of a job that can never start.

    one or c identical servers      lindley, kiefer_wolfowitz
    one pool of processors          pool_fifo, pool_greedy, pool_easy
    instances, queues, priorities   tick_model
    an event queue without SimPy    HeapClock
    real logs                       read_swf
"""

from __future__ import annotations

import gzip
import heapq
import itertools
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

NEVER = -1

# The order in which the things of one instant are delivered.
EXIT, LOSS, READY, SUBMISSION, WAKE_UP = range(5)


# ---------------------------------------------------------------- identical servers, first come first served


def lindley(submit_us: ArrayLike, service_us: ArrayLike) -> NDArray[np.int64]:
    """Starts (int64) on one server that serves jobs in the order given; submissions must not decrease.

    Lindley's recursion `wait[k+1] = max(0, wait[k] + service[k] - gap[k])` in its closed form: the random
    walk minus its running minimum. Exact on integers.
    """
    submit = np.asarray(submit_us, dtype=np.int64)
    service = np.asarray(service_us, dtype=np.int64)
    assert submit.shape == service.shape
    assert np.all(np.diff(submit) >= 0), "jobs must come in order of submission"
    walk = np.zeros_like(submit)
    np.cumsum(service[:-1] - np.diff(submit), out=walk[1:])
    return submit + walk - np.minimum.accumulate(walk)


def kiefer_wolfowitz(submit: Iterable[int], service: Iterable[int], servers: int) -> list[int]:
    """Starts on `servers` identical servers, in the order given; submissions must not decrease.

    The next job goes to whichever server is free first. Holds for identical requests on identical
    instances too, with `servers` the number of requests that fit at once.
    """
    free_at = [0] * servers
    starts: list[int] = []
    latest = 0
    for submitted, needed in zip(submit, service, strict=True):
        assert submitted >= latest, "jobs must come in order of submission, from 0 on"
        latest = submitted
        start = max(submitted, free_at[0])
        heapq.heapreplace(free_at, start + needed)
        starts.append(start)
    return starts


# ------------------------------------------------------------------------------------------ an event queue


class HeapClock:
    """An event queue on `heapq`: what SimPy does for the simulated driver, in a few lines.

    Events of one instant come out together, ordered by kind (EXIT, LOSS, READY, SUBMISSION, WAKE_UP) and
    then by index. An event pushed for the present instant is delivered by another call at that instant.
    """

    def __init__(self) -> None:
        self.now = 0
        self._heap: list[tuple[int, int, int]] = []

    def push(self, at: int, kind: int, index: int) -> None:
        """Book an event; raises ValueError for one in the past."""
        if at < self.now:
            raise ValueError(f"an event at {at} is in the past of {self.now}")
        heapq.heappush(self._heap, (at, kind, index))

    def advance(self) -> list[tuple[int, int]]:
        """Move `now` to the next instant and give its (kind, index) pairs; empty when all is done."""
        events: list[tuple[int, int]] = []
        if self._heap:
            self.now = self._heap[0][0]
        while self._heap and self._heap[0][0] == self.now:
            events.append(heapq.heappop(self._heap)[1:])
        return events


# -------------------------------------------------------------------------------- one pool of processors


class PoolJob(NamedTuple):
    submit: int
    run: int
    processors: int


class _Pool(NamedTuple):
    """What a policy sees: jobs waiting, in queue order, and (expected end, processors) of those running."""

    now: int
    jobs: Sequence[PoolJob]
    waiting: list[int]
    free: int
    running: Iterable[tuple[int, int]]


def pool_fifo(jobs: Sequence[PoolJob], processors: int) -> list[int]:
    """Starts under strict first come first served: a blocked head blocks everybody.

    Order: submission, then number. Instant: all completions, all arrivals, one scheduling pass. A job that
    runs 0 ends in a second round of the same instant.
    """
    return _simulate_pool(jobs, processors, _heads_that_fit)


def pool_greedy(jobs: Sequence[PoolJob], processors: int) -> list[int]:
    """Starts when each pass walks the whole queue and starts all that fits, reserving nothing."""
    return _simulate_pool(jobs, processors, _all_that_fit)


def pool_easy(jobs: Sequence[PoolJob], processors: int, estimates: Sequence[int] | None = None) -> list[int]:
    """Starts under EASY backfilling; `estimates` (at least `run`) are the run times a user announced.

    The blocked head gets a reservation at *shadow*, the earliest expected end at which enough processors
    are free; *extra* are those left over then. A later job starts if it fits now and ends by shadow, or
    needs no more than extra (which it then uses up). No job may need more than the pool has.
    """
    expected = [job.run for job in jobs] if estimates is None else estimates
    assert all(job.run <= estimate for job, estimate in zip(jobs, expected, strict=True))
    assert all(job.processors <= processors for job in jobs)

    def easy(pool: _Pool) -> list[int]:
        heads = _heads_that_fit(pool)
        if len(heads) == len(pool.waiting):
            return heads
        blocked, *rest = pool.waiting[len(heads) :]
        free = pool.free - sum(jobs[job].processors for job in heads)
        ends = [*pool.running, *((pool.now + expected[job], jobs[job].processors) for job in heads)]
        need = jobs[blocked].processors
        shadow = min(end for end, _ in ends if free + _freed_by(end, ends) >= need)
        extra = free + _freed_by(shadow, ends) - need
        backfilled = []
        for job in rest:
            size = jobs[job].processors
            ends_in_time = pool.now + expected[job] <= shadow
            if size <= free and (ends_in_time or size <= extra):
                backfilled.append(job)
                free -= size
                extra -= 0 if ends_in_time else size
        return heads + backfilled

    return _simulate_pool(jobs, processors, easy, expected)


def _freed_by(instant: int, ends: Iterable[tuple[int, int]]) -> int:
    return sum(size for end, size in ends if end <= instant)


def _heads_that_fit(pool: _Pool) -> list[int]:
    free, chosen = pool.free, []
    for job in pool.waiting:
        if pool.jobs[job].processors > free:
            break
        free -= pool.jobs[job].processors
        chosen.append(job)
    return chosen


def _all_that_fit(pool: _Pool) -> list[int]:
    free, chosen = pool.free, []
    for job in pool.waiting:
        if pool.jobs[job].processors <= free:
            free -= pool.jobs[job].processors
            chosen.append(job)
    return chosen


def _simulate_pool(
    jobs: Sequence[PoolJob],
    processors: int,
    choose: Callable[[_Pool], list[int]],
    expected: Sequence[int] | None = None,
) -> list[int]:
    clock = HeapClock()
    for number, job in enumerate(jobs):
        assert job.processors > 0
        clock.push(job.submit, SUBMISSION, number)
    starts = [NEVER] * len(jobs)
    free, waiting = processors, list[int]()
    running: dict[int, tuple[int, int]] = {}
    while events := clock.advance():
        for kind, number in events:
            if kind == EXIT:
                free += jobs[number].processors
                del running[number]
            else:
                waiting.append(number)
        for number in choose(_Pool(clock.now, jobs, waiting, free, running.values())):
            job = jobs[number]
            waiting.remove(number)
            starts[number] = clock.now
            free -= job.processors
            running[number] = (clock.now + (expected[number] if expected else job.run), job.processors)
            clock.push(clock.now + job.run, EXIT, number)
        assert free >= 0
    return starts


# ----------------------------------------------------------------------- instances, queues and priorities


class TickJob(NamedTuple):
    submit: int
    duration: int
    vcpus: int
    memory: int = 0
    gpus: int = 0
    queue: int = 0


class TickInstance(NamedTuple):
    vcpus: int
    memory: int = 0
    gpus: int = 0
    environment: int = 0


class TickQueue(NamedTuple):
    priority: int = 1
    environments: tuple[int, ...] = (0,)


class Placement(NamedTuple):
    start: int
    instance: int


NOWHERE = Placement(NEVER, NEVER)


def tick_model(
    jobs: Sequence[TickJob],
    instances: Sequence[TickInstance],
    queues: Sequence[TickQueue] = (TickQueue(),),
    *,
    backfill: bool = False,
) -> list[Placement]:
    """When and where each job starts, on instances that are there from 0 to the end, found one unit of time
    after another.

    In each unit: completions, arrivals, then one pass over the queues in descending priority. Queues of
    equal priority take turns: their given order, rotated by one for each earlier pass that started a job.
    A queue offers its jobs by (submit, number) until one does not fit; with `backfill` it offers them all.
    A job tries its queue's environments in order; of the instances it fits there it takes the one with the
    smallest (free GPUs, free vCPUs, free memory, number). A job of duration 0 holds its place to the end of
    the pass, and a second round of the same unit follows.
    """
    model = _TickModel(jobs, instances, queues, backfill=backfill)
    last_start = max((job.submit for job in jobs), default=0) + sum(job.duration for job in jobs)
    for now in range(last_start + 1):
        again = True
        while again:
            model.complete(now)
            started = model.schedule(now)
            again = any(jobs[number].duration == 0 for number in started)
    return model.placements


class _TickModel:
    def __init__(
        self,
        jobs: Sequence[TickJob],
        instances: Sequence[TickInstance],
        queues: Sequence[TickQueue],
        *,
        backfill: bool,
    ) -> None:
        self.jobs, self.instances, self.queues, self.backfill = jobs, instances, queues, backfill
        self.placements = [NOWHERE] * len(jobs)
        self.running: list[int] = []
        self.turns = 0

    def complete(self, now: int) -> None:
        self.running = [n for n in self.running if self.placements[n].start + self.jobs[n].duration > now]

    def schedule(self, now: int) -> list[int]:
        started = []
        for queue in self.cycle():
            for number in self.waiting(queue, now):
                instance = self.best_fit(self.jobs[number])
                if instance is not None:
                    self.placements[number] = Placement(now, instance)
                    self.running.append(number)
                    started.append(number)
                elif not self.backfill:
                    break
        self.turns += bool(started)
        return started

    def cycle(self) -> list[int]:
        order: list[int] = []
        for priority in sorted({queue.priority for queue in self.queues}, reverse=True):
            equals = [number for number, queue in enumerate(self.queues) if queue.priority == priority]
            turn = self.turns % len(equals)
            order += equals[turn:] + equals[:turn]
        return order

    def waiting(self, queue: int, now: int) -> list[int]:
        numbers = [
            number
            for number, job in enumerate(self.jobs)
            if job.queue == queue and job.submit <= now and self.placements[number] is NOWHERE
        ]
        return sorted(numbers, key=lambda number: (self.jobs[number].submit, number))

    def best_fit(self, job: TickJob) -> int | None:
        for environment in self.queues[job.queue].environments:
            fitting = []
            for number, instance in enumerate(self.instances):
                vcpus, memory, gpus = self.free(number)
                enough = job.vcpus <= vcpus and job.memory <= memory and job.gpus <= gpus
                if instance.environment == environment and enough:
                    fitting.append((gpus, vcpus, memory, number))
            if fitting:
                return min(fitting)[-1]
        return None

    def free(self, instance: int) -> tuple[int, int, int]:
        """Free vCPUs, memory and GPUs: the capacity less what each running job there holds."""
        vcpus, memory, gpus, _ = self.instances[instance]
        for number in self.running:
            if self.placements[number].instance == instance:
                job = self.jobs[number]
                vcpus, memory, gpus = vcpus - job.vcpus, memory - job.memory, gpus - job.gpus
        return vcpus, memory, gpus


def small_worlds() -> Iterator[tuple[list[PoolJob], int]]:
    """All 11,664 worlds of three jobs: submit 0..2, run 1..3, 1 or 2 processors, in a pool of 2 or 3."""
    shapes = [PoolJob(*shape) for shape in itertools.product((0, 1, 2), (1, 2, 3), (1, 2))]
    for processors in (2, 3):
        for jobs in itertools.product(shapes, repeat=3):
            yield list(jobs), processors


# --------------------------------------------------------------------------------------------- real logs


class SwfJob(NamedTuple):
    submit: int
    run: int
    processors: int
    requested: int

    @property
    def pool_job(self) -> PoolJob:
        return PoolJob(self.submit, self.run, self.processors)


def read_swf(path: Path) -> list[SwfJob]:
    """The usable jobs of a Standard Workload Format log, plain or .gz, by submission, ties by line; seconds.

    Run time is field 4, processors field 5 or, if that is not positive, field 8, the user's estimate field 9
    (-1: none). Jobs without a positive run time and a positive number of processors are left out.
    """
    jobs = []
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
        for line in lines:
            if line.strip() and not line.startswith(";"):
                field = [0, *map(float, line.split())]
                processors = field[5] if field[5] > 0 else field[8]
                if field[4] > 0 and processors > 0:
                    jobs.append(SwfJob(*map(int, (field[2], field[4], processors, field[9]))))
    return sorted(jobs, key=lambda job: job.submit)
