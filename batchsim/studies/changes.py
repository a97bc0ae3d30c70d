"""The smallest change of what a job asks for that lets it start where it never could."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from batchsim.core.feasibility import never_starts
from batchsim.core.plan import Need

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from batchsim.core.plan import Plan
    from batchsim.scenario import GeneratedJobs, Scenario

Location = tuple[str | int, ...]

_KINDS = ("VCPU", "MEMORY", "GPU")
_OLD_STYLE = ("vcpus", "memory")
_LEAST = Need(1, 4, 0)  # [spec 1.14]


@dataclass(frozen=True, slots=True)
class Change:
    """What to do, in words, and the `--set` overrides (path -> value) that do it.

    Without overrides it is advice: no change of that kind can help.
    """

    text: str
    overrides: Mapping[str, str] = field(default_factory=dict)


def ask_for_less(
    scenario: Scenario, plan: Plan, entry: int, definition: str, unmet: tuple[int, Need]
) -> Change | None:
    """Lower what the jobs of a generated workload entry and one of its job definitions ask for.

    unmet   the queue and the need that it can never serve

    The lowered request fits an instance that the queue's enabled environments offer; of all such
    requests, the one that differs in the fewest resources, and by the smallest part. None when there is
    no such instance, or only such without the GPUs that the job cannot do without.
    """
    queue, need = unmet
    limits = [limit for limit in _limits(plan, queue) if limit.gpus or not need.gpus]
    requests = [Need(*map(min, need, limit)) for limit in limits]
    requests = [each for each in requests if all(map(int.__ge__, each, _LEAST))]
    if not requests:
        return None
    request = min(requests, key=lambda each: reduction(need, each))
    assert never_starts(replace(plan, needs=[request]), queue, 0) is None
    lowered = [axis for axis in range(3) if request[axis] < need[axis]]
    overrides = {
        override_path(scenario, _place(scenario, entry, definition, axis)): str(request[axis])
        for axis in lowered
    }
    return Change(
        f"ask for at most {' and '.join(amount(axis, request[axis]) for axis in lowered)}", overrides
    )


def _limits(plan: Plan, queue: int) -> Iterator[Need]:
    """The largest request that each instance type of the queue could hold, maxvCpus included."""
    for environment in (plan.environments[index] for index in plan.queues[queue].environments):
        for kind in (plan.types[index] for index in environment.types if environment.enabled):
            vcpus = min(kind.vcpus, environment.max_vcpus) if environment.managed else kind.vcpus
            yield Need(vcpus, kind.memory_mib, kind.gpus)


def _place(scenario: Scenario, entry: int, definition: str, axis: int) -> Location:
    """Where the request for a resource is written: at submission, or in the job definition."""
    jobs: GeneratedJobs = scenario.workload[entry]  # type: ignore[assignment] # a trace has no requests
    if jobs.containerOverrides is not None:
        for index, each in enumerate(jobs.containerOverrides.resourceRequirements):
            if each.type == _KINDS[axis]:
                return ("workload", entry, "containerOverrides", "resourceRequirements", index, "value")
    chosen = scenario.definition(definition)
    number = next(index for index, each in enumerate(scenario.jobDefinitions) if each is chosen)
    assert chosen.containerProperties is not None, "the other kinds of job are not built yet"
    container: Location = ("jobDefinitions", number, "containerProperties")
    for index, each in enumerate(chosen.containerProperties.resourceRequirements):
        if each.type == _KINDS[axis]:
            return (*container, "resourceRequirements", index, "value")
    return (*container, _OLD_STYLE[axis])


def reduction(need: Need, request: Need) -> tuple[int, float]:
    """How much smaller a request is: in how many resources, and by which part of them in all."""
    parts = [1 - got / asked for got, asked in zip(request, need, strict=True) if got < asked]
    return len(parts), sum(parts)


def amount(axis: int, number: int) -> str:
    """An amount of a need's resource in words: "4 vCPUs", "7400 MiB", "1 GPU"."""
    if axis == 1:
        return f"{number} MiB"
    return f"{number} {('vCPU', '', 'GPU')[axis]}{'' if number == 1 else 's'}"


def describe_need(need: Need) -> str:
    """A need in words: "4 vCPUs, 7400 MiB, 1 GPU"; GPUs only where there are some."""
    return ", ".join(amount(axis, number) for axis, number in enumerate(need) if number or axis < 2)


def override_path(scenario: Scenario, location: Location) -> str:
    """A place of the scenario in `--set` notation, with names of list items where they are short."""
    path = str(scenario.origin(*location)["path"])
    return ".".join(map(str, location)) if "…" in path else path
