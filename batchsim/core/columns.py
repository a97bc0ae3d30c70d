"""What the scheduler knows of each job, as columns."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from batchsim.core.plan import Plan

JOB_BITS: Final = 32  # of a job's number, where it stands behind its rank in one integer
JOB_MASK: Final = (1 << JOB_BITS) - 1
UNBORN: Final = 255  # the state of a job that has not been submitted yet


class Columns:
    """One value a job.

    need, queue   as its class says
    state         see `states`; UNBORN before it is submitted
    attempt       attempts begun
    instance_of   the instance of the latest attempt, of a multi-node job that of its main node; -1 before
    runnable_us   first instant in RUNNABLE; -1 before
    """

    __slots__ = ("attempt", "instance_of", "need", "queue", "runnable_us", "state")

    def __init__(self, plan: Plan) -> None:
        jobs = len(plan.class_of)
        self.need = list(map([each.need for each in plan.classes].__getitem__, plan.class_of))
        self.queue = list(map([each.queue for each in plan.classes].__getitem__, plan.class_of))
        self.state = bytearray([UNBORN]) * jobs
        self.attempt = bytearray(jobs)
        self.instance_of = array("q", [-1]) * jobs
        self.runnable_us = array("q", [-1]) * jobs
