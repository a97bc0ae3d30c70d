"""In which parts of a run the jobs of a scenario can start, and what becomes of those that come in another.

An instance above maxvCpus takes jobs until it is idle [spec 3.2]. So jobs for which nothing is launched any
more may find one that an earlier part of the run has left; only a run can tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from batchsim.core.feasibility import (
    DISABLED,
    INVALID,
    OTHER_ARCHITECTURE,
    RESOURCE_REQUIREMENT,
    never_starts,
)
from batchsim.studies.changes import Asked
from batchsim.units import US_PER_S

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from batchsim.core.plan import EnvironmentPlan
    from batchsim.studies.ec2market import Ec2Market
    from batchsim.studies.phases import Phase
    from batchsim.workload import Workload

Course = tuple[str | None, ...]
"""By phase AWS's status reason of jobs for which nothing is launched; None: something is."""

_TAKES_NONE = {DISABLED, INVALID, RESOURCE_REQUIREMENT, OTHER_ARCHITECTURE}


class Turn(NamedTuple):
    """An instant at which jobs can start that could not before, or the reverse.

    update   what is updated then, in words
    reason   AWS's status reason from then on; None: they can
    jobs     how many are submitted from then on, until the next turn
    left     with a reason: whether instances that hold them may be there yet
    """

    at_s: float
    update: str
    reason: str | None
    jobs: int
    left: bool = False

    @property
    def shuts_out(self) -> bool:
        """Whether no environment takes them any more, not even on instances that are there.

        Those with other types than before are replaced, and take no more jobs.
        """
        return self.reason is not None and not self.left


class Courses:
    """Of each class of jobs, by phases of the run.

    of        the course of each class
    no_room   the status reason of those that can never start, wherever their jobs come; None of others
    refused   of each job whether its queue is DISABLED when it is submitted [spec 1.2]
    """

    def __init__(self, phases: Sequence[Phase], workload: Workload, market: Ec2Market) -> None:
        self._phases = phases
        self._workload = workload
        begins = np.array([phase.at_us for phase in phases], dtype=np.int64)
        # A job at the very beginning of a phase is in it, but its SubmitJob comes before the update.
        self._phase_of_submit = np.maximum(np.searchsorted(begins, workload.submit_us) - 1, 0)
        self._phase_of_jobs = np.searchsorted(begins, workload.submit_us, side="right") - 1
        enabled = np.array([[queue.enabled for queue in phase.plan.queues] for phase in phases])
        self._queues = np.array([each.queue for each in phases[0].plan.classes])[workload.job_class]
        self.refused = ~enabled[self._phase_of_submit, self._queues]
        self.of = self._courses(market)
        first = self._first_phases()
        self._launched = self._first_launches(first)
        self.no_room = [
            None if self._may_start(index, begin) else course[-1]
            for index, (course, begin) in enumerate(zip(self.of, first, strict=True))
        ]

    def turns(self, members: Sequence[int], course: Course) -> Iterator[Turn]:
        """Of jobs of classes with the same course."""
        if len(set(course)) == 1:
            return
        mine = np.isin(self._workload.job_class, members) & ~self.refused
        submitted = np.bincount(self._phase_of_jobs[mine], minlength=len(course)).tolist()
        turns = [
            0,
            *(each for each in range(1, len(course)) if (course[each] is None) != (course[each - 1] is None)),
        ]
        for number, begin in enumerate(turns[1:], 1):
            end = turns[number + 1] if number + 1 < len(turns) else len(course)
            phase = self._phases[begin]
            left = any(self._are_left(index, each) for index in members for each in range(begin, end))
            jobs = sum(submitted[begin:end])
            yield Turn(phase.at_us / US_PER_S, phase.updates, course[begin], jobs, left)

    def refused_of(self, members: Sequence[int]) -> int:
        """How many jobs of these classes are refused."""
        return int((self.refused & np.isin(self._workload.job_class, members)).sum())

    def closed(self, queue: int) -> list[tuple[int, int]]:
        """From when to when a queue is DISABLED and jobs are refused, in microseconds; both included."""
        disabled = [not phase.plan.queues[queue].enabled for phase in self._phases]
        found = []
        for number in np.unique(self._phase_of_submit[self.refused & (self._queues == queue)]).tolist():
            begin = number
            while begin and disabled[begin - 1]:
                begin -= 1
            found.append((self._phases[begin].at_us, self._phases[number].at_us))
        return found

    def _courses(self, market: Ec2Market) -> list[Course]:
        known: dict[tuple[int, int], Course] = {}
        for each in self._phases[0].plan.classes:
            if (each.queue, each.need) not in known:
                known[each.queue, each.need] = tuple(
                    never_starts(phase.plan, each.queue, each.need)
                    or market.never_starts(phase, each.queue, each.need)
                    for phase in self._phases
                )
        return [known[each.queue, each.need] for each in self._phases[0].plan.classes]

    def _first_phases(self) -> list[int]:
        """In which phase the first job of each class is submitted."""
        first = np.full(len(self.of), len(self._phases) - 1, dtype=np.int64)
        np.minimum.at(first, self._workload.job_class, self._phase_of_jobs)
        found: list[int] = first.tolist()
        return found

    def _may_start(self, index: int, begin: int) -> bool:
        """Whether a job of a class that comes in phase `begin` or later can start, or perhaps can."""
        course = self.of[index]
        return any(
            course[phase] is None or self._are_left(index, phase) for phase in range(begin, len(course))
        )

    def _first_launches(self, first: Sequence[int]) -> list[int]:
        """The phase in which each environment may have an instance first; beyond the last: in none."""
        found = [len(self._phases)] * len(self._phases[0].plan.environments)
        for number, phase in enumerate(self._phases):
            plan = phase.plan
            asking = {
                environment
                for each, course, begin in zip(plan.classes, self.of, first, strict=True)
                if begin <= number and course[number] is None
                for environment in plan.queues[each.queue].environments
            }
            for index, each in enumerate(plan.environments):
                if _keeps_instances(each) and (index in asking or each.min_vcpus):
                    found[index] = min(found[index], number)
        return found

    def _are_left(self, index: int, number: int) -> bool:
        """Whether a class that has a reason in a phase may find an instance that is larger than maxvCpus."""
        course, plan = self.of[index], self._phases[number].plan
        if course[number] is None or course[number] in _TAKES_NONE or None not in course[:number]:
            return False
        planned = plan.classes[index]
        gang = plan.gangs[planned.need] if plan.gangs else None
        asked = Asked(planned.queue, plan.needs[planned.need], gang, plan.kind_of(planned.need))
        return any(
            self._launched[each] <= number
            and _keeps_instances(plan.environments[each])
            and bool(asked.fits(plan, plan.environments[each]))
            for each in plan.queues[planned.queue].environments
        )


def _keeps_instances(environment: EnvironmentPlan) -> bool:
    """Whether it takes jobs on instances that are there whatever its maxvCpus is."""
    counts_jobs = environment.per_job or environment.shared
    return environment.managed and environment.enabled and not counts_jobs
