"""A broken law, and how one is reported: the law, a sentence, and the first guilty rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

SHOWN_ROWS = 5

LAWS = {
    "L1": "time never decreases",
    "L2": "each job changes state only along the table; terminal states never change",
    "L3": "no instance holds more than its vCPUs, memory and GPUs",
    "L4": "a job holds resources iff STARTING or RUNNING, on exactly one ready instance",
    "L5": "one live attempt a job at most; attempts as allowed",
    "L6": "at each instant the jobs of a queue are those of its states",
    "L7": "launches keep maxvCpus and the account's quotas, scale-in keeps minvCpus",
    "L8": "strict FIFO: nobody passes an older RUNNABLE job of the queue",
    "L11": "a job is RUNNABLE once it is evaluated and all it waits for SUCCEEDED; else it fails",
    "L12": "no attempt outlives its instance",
    "L13": "cost = sum over instances of billed time x price",
    "L14": "Little: the integral of jobs in the system = the sum of turnaround",
    "L15": "busy vCPU- and GPU-time = sum over attempts of vCPUs and GPUs x duration",
    "L16": "a run ends finished, at its horizon, or stalled with a reason for each waiting job",
    "L18": "what the scenario fixes is so: names, attempts allowed, fixed delays",
    "L19": "no two attempts have one GPU of an instance at once",
    "L20": "what replications say together follows from each of them",
    "L21": "an array job is what its children are",
    "L22": "what is told of service jobs agrees with itself",
    "L23": "the parts of the bill add up to it, are what instances did, and are borne by the rule",
    "L24": "each attempt runs on the CPU architecture that its job needs",
}


@dataclass(frozen=True, slots=True)
class Violation:
    """One law broken in one way.

    law      a key of `LAWS`
    message  what is wrong
    rows     positions of the first guilty rows in `frame`, at most five; () if no single row is guilty
    frame    name of the frame, or "summary" or "manifest"
    count    how many rows are guilty
    """

    law: str
    message: str
    rows: tuple[int, ...] = ()
    frame: str = "summary"
    count: int = 0

    def __str__(self) -> str:
        guilty = ", ".join(map(str, self.rows)) + (", ..." if self.count > len(self.rows) else "")
        where = f"{self.frame} row{'s' if self.count > 1 else ''} {guilty}" if self.rows else self.frame
        return f"{self.law} ({LAWS[self.law]}): {where}: {self.message}"


def rows_where(
    guilty: npt.NDArray[np.bool_],
    law: str,
    frame: str,
    message: str,
    rows: npt.NDArray[np.int64] | None = None,
) -> list[Violation]:
    """A violation if any is guilty, else nothing. `rows` are the frame's rows the flags stand for."""
    if not guilty.any():
        return []
    found = np.flatnonzero(guilty)
    first = found[:SHOWN_ROWS] if rows is None else np.sort(rows[found])[:SHOWN_ROWS]
    return [Violation(law, message, tuple(first.tolist()), frame, len(found))]


def unless(holds: bool, law: str, message: str, frame: str = "summary") -> list[Violation]:  # noqa: FBT001
    return [] if holds else [Violation(law, message, frame=frame)]
