"""What environments and queues are as users update them during a run: one plan for each part of it.

`never_starts` is asked of each part, so that check can tell from when on jobs can start, or until when.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from batchsim.core.plan import QueueUpdate
from batchsim.core.registration import invalid
from batchsim.scenario import ComputeEnvironment, JobQueue, applied_updates
from batchsim.scenario.updates import UpdateEvent
from batchsim.studies.quotas import beside_minimum

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batchsim.core.plan import EnvironmentPlan, Plan
    from batchsim.scenario import Scenario

Said = tuple[int, int]
"""An item of the workload that is an update, and its instant in microseconds."""


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of a run.

    at_us          its beginning
    updates        the updates with which it began, in words; "" of the first
    plan           as the scheduler has it then, with what `beside_minimum` leaves of quotas
    environments   as users have updated them, in the scenario's order
    said           by environment and field, which update says it last; else the environment does
    """

    at_us: int
    updates: str
    plan: Plan
    environments: Sequence[ComputeEnvironment]
    said: Mapping[tuple[int, str], Said]


def phases(scenario: Scenario, plan: Plan) -> list[Phase]:
    """In order of time; updates of one instant begin one phase together."""
    environments, said = list(scenario.computeEnvironments), dict[tuple[int, str], Said]()
    plans, queues = [_in_the_end(each) for each in plan.environments], list(plan.queues)
    first = beside_minimum(replace(plan, environments=tuple(plans)), scenario)
    found = [Phase(0, "", first, tuple(environments), {})]
    for applied, planned in zip(applied_updates(scenario), plan.updates, strict=True):
        event = scenario.workload[applied.item]
        assert isinstance(event, UpdateEvent)
        if isinstance(planned, QueueUpdate):
            queues[planned.queue] = planned.after
        else:
            assert not isinstance(applied.after, JobQueue)
            plans[planned.environment] = _in_the_end(planned.after)
            environments[planned.environment] = applied.after
            said |= {(planned.environment, name): (applied.item, event.at) for name in event.update.changes()}
        then = replace(plan, environments=tuple(plans), queues=tuple(queues))
        words = event.update.in_words()
        if found[-1].at_us == event.at and found[-1].updates:
            words = f"{found.pop().updates}; {words}"
        found.append(Phase(event.at, words, beside_minimum(then, scenario), tuple(environments), dict(said)))
    return found


def _in_the_end(environment: EnvironmentPlan) -> EnvironmentPlan:
    """Jobs never start in an environment whose instances never register."""
    return invalid(environment) if environment.invalid_after_us > 0 else environment
