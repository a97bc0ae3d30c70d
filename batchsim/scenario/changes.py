"""What is done to jobs and resources while they run: the events among the items of a workload.

- {at: 2h, terminate: samples, reason: "no longer needed"}      every job of a workload entry
- {at: 2h, cancel: samples-17, reason: "..."}                   its job number 17
- {at: 2h, cancel: "samples-17:3", reason: "..."}               child 3 of its array job number 17
- {at: 1h, updateConsumableResource: licences, operation: ADD, quantity: 5}

What is done to environments and queues is in `updates`.
"""

from collections.abc import Collection
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from .consumables import Quantity
from .values import AwsName, Duration, Model, matching

_LONGEST_REASON = 1024

TargetText = Annotated[
    str,
    matching(
        r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(:[0-9]{1,5})?$",
        "a workload entry (name), one of its jobs (name-17) or an array child (name-17:3)",
        160,
    ),
]
Reason = Annotated[str, Field(max_length=_LONGEST_REASON)]


class Target(NamedTuple):
    """The jobs an event is about: all of a workload entry, one, or one child of an array job."""

    entry: str
    ordinal: int | None = None
    child: int | None = None


def parse_target(text: str, entries: Collection[str]) -> Target | None:
    """Whom an event is about, given the names of the workload's entries; None: there is no such entry.

    A text that is a name means the entry, even where it could be read as a job of another.
    """
    if text in entries:
        return Target(text)
    job, colon, index = text.partition(":")
    entry, _, ordinal = job.rpartition("-")
    if entry not in entries or not ordinal.isascii() or not ordinal.isdigit() or len(ordinal) > 18:
        return None
    return Target(entry, int(ordinal), int(index) if colon else None)


class Timed(Model):
    """Something that happens at an instant of the run."""

    at: Duration


class CancelJobs(Timed):
    """CancelJob: of no effect on jobs that are STARTING or RUNNING [spec 1.8]."""

    cancel: TargetText
    reason: Reason = "Canceled by the user"


class TerminateJobs(Timed):
    """TerminateJob: whatever state the jobs are in [spec 1.8]."""

    terminate: TargetText
    reason: Reason = "Terminated by the user"


class ConsumableResourceUpdate(Timed):
    """UpdateConsumableResource [spec 1.15]."""

    updateConsumableResource: AwsName
    operation: Literal["SET", "ADD", "REMOVE"]
    quantity: Quantity
