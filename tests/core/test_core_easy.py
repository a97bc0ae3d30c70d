"""EASY backfilling: against the pool's oracle, published cases and logs, and a model of several instances."""

from __future__ import annotations

import csv
import itertools
from random import Random
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchsim.core.easy import EasyQueue
from batchsim.core.expected import ExpectedEnds
from batchsim.core.fleet import READY, Fleet, Instance
from batchsim.core.line import Line
from batchsim.core.needs import Needs
from batchsim.core.ordering import NOBODY, StrictQueue
from batchsim.core.plan import EnvironmentPlan, Need, Plan, Policy
from batchsim.core.queues import Place
from batchsim.core.scaling import Scaler
from batchsim.drivers.world import Machines
from tests import reference
from tests.harness import SECOND, PlanBuilder, machine
from tests.harness import managed as managed_plan
from tests.reference import EXIT, NEVER, SUBMISSION, HeapClock, Placement, PoolJob

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path


class Job(NamedTuple):
    submit: int
    run: int
    need: Need
    estimate: int
    queue: int = 0
    attempts: int = 1  # all but the last fail


class Drive:
    """The least that drives EASY queues: fleets of machines that are there from 0, a clock, and no delays.

    An instant: all exits, all submissions, then a pass over the queues as given. `check` looks at
    everything after each pass.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        types: Sequence[tuple[int, int, int]],
        machines: Sequence[Machines],
        queues: Sequence[tuple[int, ...]] = ((0,),),
        *,
        backfill: str = "easy",
    ) -> None:
        self.jobs, self.machines = jobs, machines
        numbers = {need: number for number, need in enumerate(dict.fromkeys(job.need for job in jobs))}
        need_of = [numbers[job.need] for job in jobs]
        estimates = [job.estimate for job in jobs]
        self.need_of = need_of
        self.types = [machine(*amounts) for amounts in types]
        environments = 1 + max(
            each for group in (*queues, [m.environment for m in machines]) for each in group
        )
        plan = Plan(self.types, [], [], list(numbers), [], [])
        self.instances: list[Instance] = []
        needs = Needs(list(numbers))
        self.fleets = [Fleet(needs, self.instances, self.types) for _ in range(environments)]
        self.ends = ExpectedEnds(needs, estimates, self.instances, environments)
        for each in machines:
            for _ in range(each.count):
                self.join(each.environment, each.type)
        self.places = [[Place(index, self.fleets[index], None) for index in queue] for queue in queues]
        self.orders = [
            EasyQueue(plan, (need_of, estimates), self.ends, places)
            if backfill == "easy"
            else StrictQueue(need_of)
            for places in self.places
        ]
        self.placed = [reference.NOWHERE] * len(jobs)  # of the latest attempt
        self.story: list[tuple[int, int, int]] = []  # (instant, job, instance) of each start
        self.attempts = [0] * len(jobs)
        self.promised: dict[int, int] = {}  # blocked head -> its first shadow

    def join(self, environment: int, type_index: int) -> None:
        instance = Instance(len(self.instances), environment, type_index, self.types[type_index])
        instance.state = READY
        self.instances.append(instance)
        self.fleets[environment].add(instance)

    def run(self, *, check: bool = False) -> list[Placement]:
        clock = HeapClock()
        for number, job in enumerate(self.jobs):
            clock.push(job.submit, SUBMISSION, number)
        while events := clock.advance():
            for kind, number in events:
                order = self.orders[self.jobs[number].queue]
                if kind != EXIT:
                    order.add(number)
                elif self.exit(number):
                    order.add(number, retried=True)
            for order, places in zip(self.orders, self.places, strict=True):
                for number, instance in self.placements(clock.now, order, places):
                    self.start(clock.now, number, instance)
                    clock.push(clock.now + self.jobs[number].run, EXIT, number)
            if check:
                self.check(clock.now)
        return self.placed

    def placements(self, now, order, places) -> Iterator[tuple[int, Instance]]:
        if isinstance(order, EasyQueue):
            yield from order.placements(now)
            return
        while (job := order.first(0)) != NOBODY:
            found = (place.fleet.find(self.need_of[job]) for place in places)
            instance = next((each for each in found if each is not None), None)
            if instance is None:
                return
            order.take(job)
            yield job, instance

    def start(self, now: int, number: int, instance: Instance) -> None:
        self.fleets[instance.environment].reserve(instance, self.need_of[number])
        instance.jobs.add(number)
        self.ends.placed(now, number, self.need_of[number], instance)
        self.ends.running(now, number, instance)
        self.placed[number] = Placement(now, instance.index)
        self.story.append((now, number, instance.index))
        self.attempts[number] += 1

    def exit(self, number: int) -> bool:
        """Whether another attempt follows."""
        instance = self.instances[self.placed[number].instance]
        self.fleets[instance.environment].release(instance, self.need_of[number])
        instance.jobs.remove(number)
        self.ends.ended(number, instance)
        return self.attempts[number] < self.jobs[number].attempts

    def check(self, now: int) -> None:
        """No instance holds more than it has, fleets tell the truth, and no head waits that has a place."""
        for instance in self.instances:
            kind = self.types[instance.type]
            held = [self.jobs[number].need for number in instance.jobs]
            free = (instance.free_vcpus, instance.free_memory, instance.free_gpus)
            had = (kind.vcpus, kind.memory_mib, kind.gpus)
            used = tuple(sum(amounts) for amounts in zip(*held, strict=True)) if held else (0, 0, 0)
            assert free == tuple(has - takes for has, takes in zip(had, used, strict=True))
            assert min(free) >= 0
        for environment, fleet in enumerate(self.fleets):
            members = [each for each in self.instances if each.environment == environment]
            assert fleet.free_vcpus == sum(each.free_vcpus for each in members)
        for order, places in zip(self.orders, self.places, strict=True):
            waiting = order.jobs()
            assert order.size == len(waiting) == sum(order.waiting.values())
            if waiting:
                assert order.head() == waiting[0]
                need = self.need_of[waiting[0]]
                assert not [place for place in places if place.fleet.find(need)]
                rooms = [self.ends.earliest(place.environment, need) for place in places]
                shadows = [room[0] for room in rooms if room is not None]
                if shadows:
                    self.promised.setdefault(waiting[0], max(now, min(shadows)))


def pool(
    jobs: Sequence[PoolJob], processors: int, estimates: Sequence[int] | None = None, **more: object
) -> Drive:
    """One machine; jobs in order of submission."""
    expected = [job.run for job in jobs] if estimates is None else estimates
    return Drive(
        [
            Job(job.submit, job.run, Need(job.processors, 4, 0), estimate)
            for job, estimate in zip(jobs, expected, strict=True)
        ],
        [(processors, 1 << 30, 0)],
        [Machines(0, 0, 1, "")],
        **more,
    )


def starts(placed: Iterable[Placement]) -> list[int]:
    return [each.start for each in placed]


def jobs_of(*rows: tuple[int, int, int]) -> list[PoolJob]:
    return [PoolJob(*row) for row in rows]


# ------------------------------------------------------------------------------------------- one pool


def test_every_small_world_of_one_pool():
    worlds = 0
    for jobs, processors in reference.small_worlds():
        assert starts(pool(jobs, processors).run()) == reference.pool_easy(jobs, processors), (
            jobs,
            processors,
        )
        worlds += 1
    assert worlds == 11_664


def test_every_world_of_four_jobs_behind_a_long_one_with_loose_estimates():
    """A job holds 2 of 3 processors; four more come at 1: all sizes and lengths, estimated well or badly."""
    shapes = list(itertools.product((1, 3), (0, 2), (1, 2, 3)))  # run, estimate beyond it, processors
    worlds = 0
    for four in itertools.product(shapes, repeat=4):
        if not any(processors == 3 for _, _, processors in four[:2]):
            continue
        jobs = jobs_of((0, 4, 2), *((1, run, processors) for run, _, processors in four))
        estimates = [5, *(run + beyond for run, beyond, _ in four)]
        expected = reference.pool_easy(jobs, 3, estimates)
        assert starts(pool(jobs, 3, estimates).run()) == expected, (jobs, estimates)
        worlds += 1
    assert worlds == 11_520


POOL_JOBS = st.lists(
    st.tuples(st.integers(0, 12), st.integers(0, 7), st.integers(1, 6), st.integers(0, 5)),
    min_size=1,
    max_size=25,
)


@given(POOL_JOBS, st.integers(6, 9))
def test_random_worlds_of_one_pool(rows, processors):
    rows = sorted(rows, key=lambda row: row[0])
    jobs = [PoolJob(*row[:3]) for row in rows]
    estimates = [row[1] + row[3] for row in rows]
    for expected in (None, estimates):
        assert starts(pool(jobs, processors, expected).run(check=True)) == reference.pool_easy(
            jobs, processors, expected
        )


def test_extra_is_spent_once_and_only_by_jobs_that_outlast_the_shadow():
    running, head = (0, 10, 6), (1, 10, 8)  # shadow 10, extra 12 - 8 = 4
    takes_3, too_wide_for_1, ends_in_time, takes_1 = (2, 20, 3), (2, 20, 2), (2, 7, 2), (2, 20, 1)
    jobs = jobs_of(running, head, takes_3, too_wide_for_1, ends_in_time, takes_1)
    assert starts(pool(jobs, 12).run()) == [0, 10, 2, 20, 2, 2]


def test_a_job_that_outlives_its_estimate_counts_as_ending_now():
    """The first is believed to end at 2 and ends at 9: from 2 on the head may start at any moment."""
    jobs = jobs_of((0, 9, 2), (1, 5, 3), (1, 1, 1), (3, 1, 1), (4, 1, 1))
    estimates = [2, 5, 1, 1, 0]
    assert starts(pool(jobs, 3, estimates).run()) == [0, 9, 1, 14, 4]


def test_anomaly_a_processor_more_delays_a_job():
    jobs = jobs_of((2, 6, 2), (3, 6, 1), (2, 2, 3))
    assert starts(pool(jobs, 4).run()) == [2, 3, 8]
    assert starts(pool(jobs, 5).run()) == [2, 4, 2]


def test_anomaly_removing_the_first_job_delays_the_third():
    jobs = jobs_of((0, 5, 1), (0, 1, 2), (0, 5, 1))
    assert starts(pool(jobs, 2).run()) == [0, 5, 0]
    assert starts(pool(jobs[1:], 2).run()) == [0, 1]


# ------------------------------------------------------------------------------------------- real logs

KTH, NASA, LUBLIN = "KTH-SP2-1996-2.1-cln", "NASA-iPSC-1993-3.1-cln", "lublin-256"


@pytest.mark.parametrize(
    ("name", "tenths", "processors", "estimate", "jobs", "total_s", "mean_s"),
    [
        (KTH, 10, 100, "exact", 28_467, 180_983_987, "6357.676854"),
        (KTH, 10, 100, "requested", 28_467, 195_237_048, "6858.364000"),
        (NASA, 10, 128, "exact", 18_066, 73_468, "4.066645"),
        (NASA, 7, 128, "exact", 18_066, 37_706_027, "2087.126481"),
        (LUBLIN, 10, 256, "exact", 10_000, 971_559_945, "97155.994500"),
    ],
)
def test_waits_on_whole_logs(traces, name, tenths, processors, estimate, jobs, total_s, mean_s):  # noqa: PLR0917 - a row of the table
    log = reference.read_swf(traces / "swf" / f"{name}.swf.gz")
    rows = [job.pool_job._replace(submit=job.submit * tenths // 10) for job in log]
    requested = [max(job.run, job.requested) for job in log]
    placed = pool(rows, processors, requested if estimate == "requested" else None).run()
    total = sum(starts(placed)) - sum(job.submit for job in rows)
    assert (len(rows), total, f"{total / len(rows):.6f}") == (jobs, total_s, mean_s)


@pytest.mark.parametrize("name", [KTH, LUBLIN])
def test_every_start_on_whole_logs(traces, name):
    log = reference.read_swf(traces / "swf" / f"{name}.swf.gz")[:6_000]
    rows = [job.pool_job for job in log]
    requested = [max(job.run, job.requested) for job in log]
    processors = 256 if name == LUBLIN else 100
    assert starts(pool(rows, processors, requested).run()) == reference.pool_easy(rows, processors, requested)


def small_cases(folder: Path) -> dict[str, tuple[list[str], list[list[int]]]]:
    """Case -> the policies for which it holds, and rows of submit, run, processors, estimate, end."""
    cases: dict[str, tuple[list[str], list[list[int]]]] = {}
    with (folder / "sched-cases" / "small_cases.csv").open() as rows:
        for row in csv.DictReader(rows):
            _, jobs = cases.setdefault(row["case"], (row["policies"].split(";"), []))
            jobs.append(
                [int(row[name]) for name in ("submit", "run", "procs", "estimate", "expected_finish")]
            )
    return cases


SMALL_CASES = [
    *(f"basic.{number}" for number in range(12)),
    *("bf.0", "bf.1", "bf.2", "easy_bf.0", "easy_bf.1", "extreme.1", "fcfs.0", "fcfs.1", "fcfs.2"),
]


@pytest.mark.parametrize("case", SMALL_CASES)
def test_small_published_cases(traces, case):
    policies, rows = small_cases(traces)[case]
    held = [policy for policy in ("fcfs", "easy") if policy in policies]
    assert held
    for policy in held:
        jobs = [PoolJob(*row[:3]) for row in rows]
        placed = pool(jobs, 100, [row[3] for row in rows], backfill=policy).run(check=policy == "easy")
        ends = [start + job.run for start, job in zip(starts(placed), jobs, strict=True)]
        assert ends == [row[4] for row in rows], policy


def test_there_are_no_other_small_cases(traces):
    assert sorted(small_cases(traces)) == sorted(SMALL_CASES)


# ---------------------------------------------------------------------------------- several instances


class Model:
    """The rule of `batchsim.core.easy`, word by word, with lists: everything is looked at each time."""

    def __init__(self, drive: Drive) -> None:
        self.jobs = drive.jobs
        self.had = [
            (kind.gpus, kind.vcpus, kind.memory_mib)
            for kind in (drive.types[each.type] for each in drive.instances)
        ]
        self.environment = [each.environment for each in drive.instances]
        self.queues = [[place.environment for place in places] for places in drive.places]
        self.running: dict[int, int] = {}  # job -> instance
        self.started_at = [NEVER] * len(self.jobs)
        self.story: list[tuple[int, int, int]] = []

    def run(self) -> list[tuple[int, int, int]]:
        clock = HeapClock()
        waiting: list[int] = []
        retried: set[int] = set()
        for number, job in enumerate(self.jobs):
            clock.push(job.submit, SUBMISSION, number)
        while events := clock.advance():
            for kind, number in events:
                if kind != EXIT:
                    waiting.append(number)
                    continue
                del self.running[number]
                if sum(job == number for _, job, _ in self.story) < self.jobs[number].attempts:
                    retried.add(number)
            for queue in range(len(self.queues)):
                line = [each for each in sorted(retried) + waiting if self.jobs[each].queue == queue]
                for number in self.schedule(clock.now, queue, line):
                    (retried if number in retried else waiting).remove(number)
                    clock.push(clock.now + self.jobs[number].run, EXIT, number)
        return self.story

    def schedule(self, now: int, queue: int, line: list[int]) -> list[int]:
        started: list[int] = []
        everywhere = [i for i in range(len(self.had)) if self.environment[i] in self.queues[queue]]
        while line and self.start(now, line[0], everywhere):
            started.append(line.pop(0))
        if not line:
            return started
        rooms = [room for i in everywhere if (room := self.room(queue, line[0], i))]
        reserved = min(rooms)[-1] if rooms else None
        shadow = max(min(rooms)[0], now) if rooms else None
        extra = self.beside(line[0], reserved, shadow) if rooms else ()
        for number in line[1:]:
            long = shadow is not None and now + self.jobs[number].estimate > shadow
            need = amounts(self.jobs[number].need)
            wide = any(asked > left for asked, left in zip(need, extra, strict=False))
            allowed = [i for i in everywhere if i != reserved or not (long and wide)]
            if self.start(now, number, allowed):
                started.append(number)
                if long and self.running[number] == reserved:
                    extra = tuple(left - asked for asked, left in zip(need, extra, strict=True))
        return started

    def start(self, now: int, number: int, allowed: Sequence[int]) -> bool:
        queue = self.queues[self.jobs[number].queue]
        fitting = [
            (queue.index(self.environment[i]), self.free(i), i)
            for i in allowed
            if fits(self.jobs[number].need, self.free(i))
        ]
        if fitting:
            self.running[number] = min(fitting)[-1]
            self.started_at[number] = now
            self.story.append((now, number, self.running[number]))
        return bool(fitting)

    def room(self, queue: int, head: int, instance: int) -> tuple[int, int, tuple[int, ...], int] | None:
        """(expected end by which the head fits, environment's position, what is free then, instance)."""
        for end in sorted(self.end(number) for number, where in self.running.items() if where == instance):
            if fits(self.jobs[head].need, free := self.free(instance, end)):
                return end, self.queues[queue].index(self.environment[instance]), free, instance
        return None

    def beside(self, head: int, instance: int, shadow: int) -> tuple[int, ...]:
        free = self.free(instance, shadow)
        return tuple(has - asks for has, asks in zip(free, amounts(self.jobs[head].need), strict=True))

    def end(self, number: int) -> int:
        return self.started_at[number] + self.jobs[number].estimate

    def free(self, instance: int, at: int = NEVER) -> tuple[int, ...]:
        """GPUs, vCPUs and memory; those who are expected to end by `at` count as gone."""
        free = self.had[instance]
        for number, where in self.running.items():
            if where == instance and self.end(number) > at:
                free = tuple(
                    has - takes for has, takes in zip(free, amounts(self.jobs[number].need), strict=True)
                )
        return free


def amounts(need: Need) -> tuple[int, int, int]:
    return need.gpus, need.vcpus, need.memory_mib


def fits(need: Need, free: Sequence[int]) -> bool:
    return all(asked <= has for asked, has in zip(amounts(need), free, strict=True))


TYPES = [(2, 4, 0), (4, 6, 0), (4, 12, 1), (6, 8, 2)]


@st.composite
def drives(draw: st.DrawFn, *, most_queues: int = 2, exact: bool = False) -> Drive:
    machines = [
        Machines(environment, draw(st.integers(0, 3)), draw(st.integers(1, 2)), "")
        for environment in draw(st.lists(st.integers(0, 1), min_size=1, max_size=4))
    ]
    queues = [
        draw(st.sampled_from([(0,), (1,), (0, 1), (1, 0)])) for _ in range(draw(st.integers(1, most_queues)))
    ]
    needs = st.builds(Need, st.integers(1, 6), st.integers(1, 8), st.sampled_from([0, 0, 0, 1, 2]))
    jobs = []
    for _ in range(draw(st.integers(1, 25))):
        run = draw(st.integers(0, 7))
        beyond = 0 if exact else draw(st.integers(-3, 4))
        queue = draw(st.integers(0, len(queues) - 1))
        attempts = 1 if exact else draw(st.sampled_from([1, 1, 2, 3]))
        jobs.append(Job(draw(st.integers(0, 10)), run, draw(needs), max(run + beyond, 0), queue, attempts))
    jobs.sort(key=lambda job: job.submit)
    return Drive(jobs, TYPES, machines, queues)


@given(drives())
def test_random_worlds_of_several_instances_agree_with_the_rule(drive):
    expected = Model(drive).run()
    drive.run(check=True)
    assert drive.story == expected


@given(drives(most_queues=1, exact=True))
def test_no_head_starts_later_than_its_first_reservation(drive):
    placed = drive.run(check=True)
    for job, shadow in drive.promised.items():
        assert placed[job].start <= shadow


def test_a_fleet_in_which_heads_change_and_all_answers_are_kept_or_dropped():
    random = Random(5)
    jobs = []
    for number in range(400):
        need = Need(
            random.choice((1, 1, 2, 3, 4, 6)), random.randint(1, 8), random.choice((0, 0, 0, 0, 1, 2))
        )
        run = random.randint(1, 400)
        jobs.append(Job(number * 3, run, need, run + random.randint(-20, 60) if run > 20 else run))
    machines = [Machines(environment, kind, 2, "") for environment in (0, 1) for kind in range(4)]
    drive = Drive(jobs, TYPES, machines, [(0, 1)])
    expected = Model(drive).run()
    drive.run()
    assert drive.story == expected
    assert len({jobs[number].need for now, number, _ in expected if now > jobs[number].submit}) > 20


def test_only_the_reserved_instance_is_restricted():
    """Both machines are full until 10; the head is promised the one where it will fit better."""
    long = Need(1, 1, 0)
    jobs = [
        Job(0, 10, Need(4, 1, 0), 10),
        Job(0, 10, Need(5, 1, 0), 10),
        Job(1, 5, Need(4, 1, 0), 5),
        Job(2, 50, long, 50),
        Job(2, 50, long, 50),
        Job(2, 8, long, 8),
        Job(2, 9, long, 9),
    ]
    drive = Drive(jobs, [(5, 9, 0), (6, 9, 0)], [Machines(0, 0, 1, ""), Machines(0, 1, 1, "")])
    assert drive.run(check=True) == [(0, 0), (0, 1), (10, 0), (2, 0), (2, 1), (10, 1), (10, 1)]


def test_a_reservation_goes_to_the_earlier_environment_if_both_have_room_at_once():
    jobs = [
        Job(0, 10, Need(4, 1, 0), 10),
        Job(0, 10, Need(4, 1, 0), 10),
        Job(1, 5, Need(3, 1, 0), 5),
        Job(2, 50, Need(2, 1, 0), 50),
        Job(2, 50, Need(2, 1, 0), 50),
    ]
    machines = [Machines(0, 0, 1, ""), Machines(1, 0, 1, "")]
    for queue, reserved in (((0, 1), 0), ((1, 0), 1)):
        drive = Drive(jobs, [(4 + 2, 9, 0)], machines, [queue])
        placed = drive.run(check=True)
        assert placed[2] == (10, reserved)
        assert [each.start for each in placed[3:]] == [2, 2]
        assert placed[3].instance == reserved  # it fits beside the head, and there first
        assert placed[4].instance == 1 - reserved


# ------------------------------------------------------------------------------- instances that may come


def managed(drive: Drive, environment: int, types: Sequence[int], max_vcpus: int, provisioned: int) -> Scaler:
    """Makes an environment of the first queue a managed one."""
    managed = EnvironmentPlan("ce", tuple(types), managed=True, max_vcpus=max_vcpus)
    needs = list(dict.fromkeys(job.need for job in drive.jobs))
    scaler = Scaler(Plan(drive.types, [], [], needs, [], []), managed, drive.fleets[environment])
    scaler.provisioned = provisioned
    places = drive.places[0]
    position = [place.environment for place in places].index(environment)
    places[position] = places[position]._replace(scaler=scaler)
    return scaler


LARGE, SMALL = Need(8, 1, 0), Need(1, 1, 0)


def waiting_for_a_larger_instance() -> Drive:
    """The head needs 8 vCPUs; two instances of 4 are there, and types of 8 could be launched."""
    jobs = [Job(0, 9, LARGE, 9), Job(0, 9, SMALL, 9)]
    return Drive(jobs, [(4, 9, 0), (8, 9, 0)], [Machines(0, 0, 2, "")])


def started_at_once(drive: Drive) -> list[int]:
    for number in range(len(drive.jobs)):
        drive.orders[0].add(number)
    started = []
    for number, instance in drive.orders[0].placements(0):
        drive.start(0, number, instance)
        started.append(number)
    return started


def test_who_can_never_start_is_passed():
    assert started_at_once(waiting_for_a_larger_instance()) == [1]
    drive = waiting_for_a_larger_instance()
    managed(drive, 0, (0, 1), max_vcpus=7, provisioned=8)
    assert started_at_once(drive) == [1]


def test_who_waits_for_a_launch_is_passed():
    drive = waiting_for_a_larger_instance()
    managed(drive, 0, (0, 1), max_vcpus=9, provisioned=8)
    drive.places[0][0].scaler.refusals.until |= {0: 5, 1: 5}  # these types have just failed to launch
    assert started_at_once(drive) == [1]
    drive = waiting_for_a_larger_instance()
    managed(drive, 0, (0, 1), max_vcpus=16, provisioned=16).booting = {0: 2, 1: 1}
    assert started_at_once(drive) == [1]


def test_nobody_passes_a_head_that_waits_for_something_to_be_given_back():
    drive = waiting_for_a_larger_instance()
    managed(drive, 0, (0, 1), max_vcpus=8, provisioned=8)
    assert started_at_once(drive) == []
    drive = waiting_for_a_larger_instance()
    managed(drive, 0, (0, 1), max_vcpus=12, provisioned=12).booting = {0: 1}
    assert started_at_once(drive) == []


def test_no_reservation_behind_an_environment_that_can_grow_for_the_head():
    """Room for the head comes at 20 in the first environment, at 10 in the second, where it would not go."""
    for estimate, passes in ((15, True), (25, False)):
        jobs = [
            Job(0, 20, Need(6, 1, 0), 20),
            Job(0, 10, Need(8, 1, 0), 10),
            Job(0, 9, LARGE, 9),
            Job(0, 9, SMALL, estimate),
        ]
        drive = Drive(jobs, [(8, 9, 0)], [Machines(0, 0, 1, ""), Machines(1, 0, 1, "")], [(0, 1)])
        drive.start(0, 0, drive.instances[0])
        drive.start(0, 1, drive.instances[1])
        managed(drive, 0, (0,), max_vcpus=99, provisioned=8)
        drive.orders[0].add(2)
        drive.orders[0].add(3)
        assert [number for number, _ in drive.orders[0].placements(0)] == ([3] if passes else [])


def test_a_job_waits_for_an_environment_that_can_grow_for_it_rather_than_pass_the_head_in_the_next():
    jobs = [Job(0, 10, Need(6, 1, 0), 10), Job(0, 9, LARGE, 9), Job(0, 9, SMALL, 9)]
    for max_vcpus, passes in ((4, []), (0, [2])):
        drive = Drive(jobs, [(4, 9, 0), (8, 9, 0)], [Machines(1, 1, 1, "")], [(0, 1)])
        drive.start(0, 0, drive.instances[0])
        managed(drive, 0, (0,), max_vcpus=max_vcpus, provisioned=0)
        drive.orders[0].add(1)
        drive.orders[0].add(2)
        assert [number for number, _ in drive.orders[0].placements(0)] == passes


# --------------------------------------------------------------------------------------------- the parts


def test_an_estimate_counts_from_running():
    drive = pool(jobs_of((0, 5, 2), (0, 5, 3)), 3)
    drive.fleets[0].reserve(drive.instances[0], 0)
    drive.ends.placed(0, 0, 0, drive.instances[0])
    assert drive.ends.earliest(0, 1)[0] == 5
    drive.ends.running(4, 0, drive.instances[0])
    assert drive.ends.earliest(0, 1)[0] == 9


def test_an_instance_that_was_lost_is_forgotten():
    jobs = [Job(0, 5, Need(3, 1, 0), 5), Job(0, 7, Need(3, 1, 0), 7), Job(0, 1, Need(4, 1, 0), 1)]
    drive = Drive(jobs, [(4, 9, 0)], [Machines(0, 0, 2, "")])
    for number, instance in enumerate(drive.instances):
        drive.start(0, number, instance)
    assert drive.ends.earliest(0, 1) == (5, 0, 4, 9, 0)
    drive.fleets[0].remove(drive.instances[0])
    drive.ends.ended(0, drive.instances[0])
    assert drive.ends.earliest(0, 1) == (7, 0, 4, 9, 1)


def test_a_job_may_leave_the_queue_without_having_been_placed():
    drive = pool(jobs_of((0, 5, 3), (0, 5, 3), (0, 5, 1)), 3)
    order = drive.orders[0]
    for number in range(3):
        order.add(number)
    order.take(0)
    assert (order.head(), order.jobs(), order.size, order.waiting) == (1, [1, 2], 2, {0: 1, 1: 1})
    order.take(2)
    order.take(1)
    assert (order.head(), order.jobs(), order.size, order.waiting) == (NOBODY, [], 0, {})
    assert list(order.placements(0)) == []


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.integers(0, 60), st.integers(0, 5)),
            st.tuples(st.just("remove"), st.integers(0, 60), st.just(0)),
        ),
        max_size=120,
    ),
)
def test_a_line_finds_the_first_within_a_time(steps):
    line, truth = Line(), dict[int, int]()
    for step, entry, estimate in steps:
        if step == "add" and entry not in truth:
            line.add(entry, estimate)
            truth[entry] = estimate
        elif truth:
            gone = min(truth, key=lambda each: abs(each - entry))
            line.remove(gone)
            del truth[gone]
        for longest in (0, 2, 5):
            within = [each for each, takes in truth.items() if takes <= longest]
            assert line.first_within(longest) == min(within, default=NOBODY)


def test_what_is_given_back_for_the_head_is_launched_for_the_head_and_not_for_those_behind_it():
    """On 2 vCPUs: `small` jobs, one still waiting behind a head that only the other type holds."""
    small, large = Need(2, 3000, 0), Need(2, 6000, 0)
    types = [machine(2, 4000, usd=0.1), machine(2, 8000, usd=0.2)]
    builder = PlanBuilder(types, [managed_plan([0, 1], 2)], policy=Policy(backfill="easy"))
    for submit, need in ((0, small), (0, small), (1, large), (2, small)):
        builder.job(submit * SECOND, 10 * SECOND, need)
    record = builder.run()
    assert record.outcome == "finished"
    assert [start // SECOND for start in record.started_us] == [0, 10, 20, 30]
    assert list(record.i_type) == [0, 1]
