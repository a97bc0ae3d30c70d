"""What environments and queues are as users update them during a run, and as machines of theirs join and
leave: one plan for each part of it.

`never_starts` is asked of each part, so that check can tell from when on jobs can start, or until when.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from batchsim.core.grid import NEVER
from batchsim.core.plan import EnvironmentUpdate, QueueUpdate
from batchsim.core.registration import invalid
from batchsim.scenario import ComputeEnvironment, JobQueue, applied_updates
from batchsim.scenario.updates import UpdateEvent
from batchsim.studies.quotas import beside_minimum

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from batchsim.core.plan import EnvironmentPlan, Plan
    from batchsim.drivers.world import Machines
    from batchsim.scenario import Scenario
    from batchsim.scenario.updates import Applied

_Updates = list[tuple["Applied", "EnvironmentUpdate | QueueUpdate"]]
Said = tuple[int, int]
"""An item of the workload that is an update, and its instant in microseconds."""


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of a run.

    at_us          its beginning
    updates        the updates, and who joined or left, with which it began, in words; "" of the first
    plan           as the scheduler has it then, with what `beside_minimum` leaves of quotas
    environments   as users have updated them, in the scenario's order
    said           by environment and field, which update says it last; else the environment does
    """

    at_us: int
    updates: str
    plan: Plan
    environments: Sequence[ComputeEnvironment]
    said: Mapping[tuple[int, str], Said]


def phases(scenario: Scenario, plan: Plan, machines: Sequence[Machines]) -> list[Phase]:
    """In order of time; what happens at one instant begins one phase together."""
    environments, said = list(scenario.computeEnvironments), dict[tuple[int, str], Said]()
    plans, queues = [_in_the_end(each) for each in plan.environments], list(plan.queues)
    first = replace(plan, environments=_there(plans, machines, 0))
    found = [Phase(0, "", beside_minimum(first, scenario), tuple(environments), {})]
    updates = zip(applied_updates(scenario), plan.updates, strict=True)
    for at_us, here in _by_instant(updates, machines):
        told = list(_moves(plan, machines, at_us))
        for applied, planned in here:
            event = scenario.workload[applied.item]
            assert isinstance(event, UpdateEvent)
            told.append(event.update.in_words())
            if isinstance(planned, QueueUpdate):
                queues[planned.queue] = planned.after
                continue
            assert not isinstance(applied.after, JobQueue)
            plans[planned.environment] = _in_the_end(planned.after)
            environments[planned.environment] = applied.after
            said |= {(planned.environment, name): (applied.item, event.at) for name in event.update.changes()}
        then = replace(plan, environments=_there(plans, machines, at_us), queues=tuple(queues))
        now = beside_minimum(then, scenario)
        found.append(Phase(at_us, "; ".join(told), now, tuple(environments), dict(said)))
    return found


def _by_instant(
    updates: Iterable[tuple[Applied, EnvironmentUpdate | QueueUpdate]], machines: Iterable[Machines]
) -> Iterator[tuple[int, _Updates]]:
    """The instants at which anything changes after the beginning or is updated, with the updates."""
    moves = {at_us for each in machines for at_us in (each.joins_us, each.leaves_us)} - {0, NEVER}
    found: dict[int, _Updates] = {at_us: [] for at_us in moves}
    for update in updates:
        found.setdefault(update[0].at_us, []).append(update)
    yield from sorted(found.items())


def _moves(plan: Plan, machines: Iterable[Machines], at_us: int) -> Iterator[str]:
    """Such as "lab: night joins"."""
    for each in machines:
        verb = {each.joins_us: "joins", each.leaves_us: "leaves"}.get(at_us)
        if verb:
            yield f"{plan.environments[each.environment].name}: {plan.types[each.type].name} {verb}"


def _there(
    plans: Iterable[EnvironmentPlan], machines: Iterable[Machines], at_us: int
) -> tuple[EnvironmentPlan, ...]:
    """The environments with the machines that are there at an instant, where users bring them."""
    there = {(each.environment, each.type) for each in machines if each.joins_us <= at_us < each.leaves_us}
    return tuple(
        each
        if each.managed
        else replace(each, types=tuple(row for row in each.types if (index, row) in there))
        for index, each in enumerate(plans)
    )


def _in_the_end(environment: EnvironmentPlan) -> EnvironmentPlan:
    """Jobs never start in an environment whose instances never register."""
    return invalid(environment) if environment.invalid_after_us > 0 else environment
