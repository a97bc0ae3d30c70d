"""What is done to jobs, resources, environments and queues during a run, with names resolved to rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from batchsim.errors import ScenarioError
from batchsim.scenario import (
    CancelJobs,
    Hourly,
    Poisson,
    Target,
    TerminateJobs,
    TraceJobs,
    UpdateEvent,
    parse_target,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from batchsim.scenario import Scenario
    from batchsim.workload.part import Part

_RANDOM = (Poisson, Hourly)
_Action = Literal["cancel", "terminate"]


class JobsEvent(NamedTuple):
    """CancelJob or TerminateJob of jobs that have been submitted by then [spec 1.8].

    The jobs are those of all `rows`, which are ascending and do not touch each other; there are none
    where nobody was submitted in time.
    """

    at_us: int
    action: _Action
    rows: tuple[range, ...]
    reason: str


class ResourceEvent(NamedTuple):
    """UpdateConsumableResource [spec 1.15]."""

    at_us: int
    resource: str
    operation: Literal["SET", "ADD", "REMOVE"]
    quantity: int


class UpdateOf(NamedTuple):
    """UpdateComputeEnvironment or UpdateJobQueue: the item of that position in the workload."""

    at_us: int
    item: int


Event = JobsEvent | ResourceEvent | UpdateOf


def resolve_events(
    scenario: Scenario,
    parts: Mapping[str, tuple[Part, NDArray[np.int64]]],
    submit_us: NDArray[np.int64],
) -> tuple[Event, ...]:
    """The events in order of time, ties in the order of the file.

    `parts` has for each workload entry its jobs and their rows, `submit_us` is of all rows. Events on
    jobs of other entries are left out: service jobs have rows of their own. Raises ScenarioError for a job
    that no draw can give.
    """
    entries = {entry.name for _, entry in scenario.entries()}
    events: list[Event] = []
    for index, event in scenario.events():
        if isinstance(event, UpdateEvent):
            events.append(UpdateOf(event.at, index))
            continue
        if not isinstance(event, CancelJobs | TerminateJobs):
            events.append(
                ResourceEvent(event.at, event.updateConsumableResource, event.operation, event.quantity)
            )
            continue
        text = event.cancel if isinstance(event, CancelJobs) else event.terminate
        target = parse_target(text, entries)
        assert target is not None, "the scenario was checked"
        if target.entry in parts:
            action: _Action = "cancel" if isinstance(event, CancelJobs) else "terminate"
            part, rows = parts[target.entry]
            members = _members(part, target)
            if not members.any() and not _is_random(scenario, target.entry):
                raise _no_such_job(scenario, (index, action), part, text)
            submitted = int(np.searchsorted(submit_us, event.at, side="right"))
            wanted = rows[members]
            events.append(JobsEvent(event.at, action, _runs(wanted[wanted < submitted]), event.reason))
    return tuple(sorted(events, key=lambda each: each.at_us))


def _no_such_job(scenario: Scenario, place: tuple[int, str], part: Part, text: str) -> ScenarioError:
    return ScenarioError(
        message=f"there is no job {text}",
        hint=f"its workload entry has the numbers {int(part.ordinal.min())} to {int(part.ordinal.max())}",
        **scenario.origin("workload", *place),
    )


def _members(part: Part, target: Target) -> NDArray[np.bool_]:
    """Which jobs of an entry are meant."""
    if target.ordinal is None:
        return np.ones(len(part), np.bool_)
    chosen: NDArray[np.bool_] = part.ordinal == target.ordinal
    if target.child is not None and part.array_size is not None:
        chosen &= np.arange(len(part)) % part.array_size == target.child
    return chosen


def _is_random(scenario: Scenario, name: str) -> bool:
    """Whether it is a matter of chance how many jobs an entry has."""
    entry = next(entry for _, entry in scenario.entries() if entry.name == name)
    return not isinstance(entry, TraceJobs) and isinstance(entry.arrivals.chosen, _RANDOM)


def _runs(rows: NDArray[np.int64]) -> tuple[range, ...]:
    """The rows as the fewest ranges."""
    if not rows.size:
        return ()
    ascending = np.sort(rows)
    breaks = np.flatnonzero(np.diff(ascending) > 1)
    firsts = ascending[np.concatenate([[0], breaks + 1])]
    lasts = ascending[np.concatenate([breaks, [-1]])]
    return tuple(range(first, last + 1) for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True))
