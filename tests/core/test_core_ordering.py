"""The order of jobs in a queue where nobody passes the head, and which needs fit into how much room."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from batchsim.core.needs import Needs
from batchsim.core.ordering import NOBODY, StrictQueue
from batchsim.core.plan import Need

NEEDS = 3
FAR = 5_000  # vCPUs beyond those that are looked up in a table

AMOUNTS = st.tuples(st.integers(0, FAR), st.integers(0, 5), st.integers(0, 2))


class PlainQueue:
    """The same with one list, sorted anew where it must be."""

    def __init__(self) -> None:
        self.front: list[int] = []
        self.line: list[int] = []

    @property
    def jobs(self) -> list[int]:
        return self.front + self.line

    def add(self, job: int, *, retried: bool) -> None:
        if retried:
            self.front = sorted([*self.front, job])
        else:
            self.line.append(job)

    def add_among(self, job: int, runnable_us: list[int], since_us: int) -> None:
        """Those at the end that became RUNNABLE later are one group, sorted; but it ends at a smaller job."""
        place = len(self.line)
        while place and runnable_us[self.line[place - 1]] > since_us and self.line[place - 1] > job:
            place -= 1
        self.line.insert(place, job)

    def remove(self, job: int) -> None:
        (self.front if job in self.front else self.line).remove(job)


def assert_equal(queue: StrictQueue, plain: PlainQueue, need_of: list[int]) -> None:
    assert queue.jobs() == plain.jobs
    assert queue.size == len(plain.jobs)
    assert queue.first(0) == (plain.jobs[0] if plain.jobs else NOBODY)
    assert queue.blocking_need() == (need_of[plain.jobs[0]] if plain.jobs else NOBODY)
    assert queue.waiting == Counter(need_of[job] for job in plain.jobs)


@given(st.permutations(range(300)), st.data())
def test_a_strict_queue_keeps_its_jobs_as_a_plain_list_does(jobs, data):
    need_of = [job % NEEDS for job in jobs]
    runnable_us = [0] * len(jobs)
    queue, plain = StrictQueue(need_of), PlainQueue()
    waiting = list(jobs)
    for now in range(data.draw(st.integers(1, 12))):
        for _ in range(data.draw(st.integers(0, 90))):  # more than move up one by one
            if waiting:
                job = waiting.pop()
                runnable_us[job] = now
                queue.add(job)
                plain.add(job, retried=False)
        if waiting and data.draw(st.booleans()):
            job = waiting.pop()
            runnable_us[job] = now
            queue.add_among(job, runnable_us, now - 1)
            plain.add_among(job, runnable_us, now - 1)
        for _ in range(data.draw(st.integers(0, 90))):
            if plain.jobs:
                job = plain.jobs[0]
                queue.take(job)
                plain.remove(job)
                if data.draw(st.integers(0, 9)) == 0:
                    queue.add(job, retried=True)
                    plain.add(job, retried=True)
        for _ in range(data.draw(st.integers(0, 3))):
            if plain.jobs:
                job = data.draw(st.sampled_from(plain.jobs))
                queue.remove(job)
                plain.remove(job)
        assert_equal(queue, plain, need_of)


@given(st.lists(AMOUNTS, min_size=1, max_size=8, unique=True), AMOUNTS, st.integers(0, 255))
def test_of_some_needs_those_are_within_some_room_that_ask_for_no_more_of_anything(needs, room, some):
    some &= (1 << len(needs)) - 1
    expected = sum(
        1 << number
        for number, need in enumerate(needs)
        if some >> number & 1 and all(asked <= free for asked, free in zip(need, room, strict=True))
    )
    assert Needs([Need(*need) for need in needs]).within(some, *room) == expected
