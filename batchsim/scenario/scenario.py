"""The scenario: the root of what a user writes, and the checks across its parts."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, PrivateAttr, model_validator

from batchsim.units import S_PER_HOUR, US_PER_S

from .assumptions import Assumptions
from .definitions import JobDefinition
from .document import Document
from .environments import ComputeEnvironment
from .jobs import GeneratedJobs, WorkloadEntry
from .metadata import not_modelled
from .queues import JobQueue
from .values import Duration, FilePath, Many, MismatchError, MismatchesError, Model, SafeName, matching

LONGEST_HORIZON_US = 10 * 366 * 24 * S_PER_HOUR * US_PER_S
MAX_MACHINES = 1_000_000

RegionName = Annotated[str, matching(r"^[a-z]{2}(-[a-z]+)+-[0-9]+$", "an AWS region such as us-east-1", 32)]


def _horizon(us: int) -> int:
    if not 0 < us <= LONGEST_HORIZON_US:
        raise MismatchError("a duration above 0 and up to 10 years")
    return us


class Scenario(Model):
    """Compute environments, job queues and job definitions; a workload; and the assumptions.

    Attributes are spelt as in the file. Times are int microseconds, memory int MiB, image sizes int
    bytes, rates float per second; lists are tuples.
    """

    batchsim: Literal[1] = Field(description="Version of this format.")
    name: SafeName = "scenario"
    region: RegionName = "us-east-1"
    computeEnvironments: Annotated[Many[ComputeEnvironment], Field(min_length=1, max_length=100)]
    jobQueues: Annotated[Many[JobQueue], Field(min_length=1, max_length=100)]
    jobDefinitions: Annotated[Many[JobDefinition], Field(max_length=10_000)] = ()
    workload: Annotated[Many[WorkloadEntry], Field(min_length=1, max_length=10_000)]
    assumptions: Assumptions = Field(default_factory=lambda: Assumptions(preset="aws"))
    horizon: Annotated[Duration, AfterValidator(_horizon)] | None = Field(
        None, description="Stop the run there; absent: when every job has ended."
    )
    catalog: FilePath | None = Field(
        None, description="CSV of more instance types, relative to the scenario file."
    )

    _base_dir: Path = PrivateAttr(default_factory=Path)
    _document: Document | None = PrivateAttr(None)

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        problems = list(_problems(self))
        if problems:
            raise MismatchesError(problems)
        return self

    @property
    def base_dir(self) -> Path:
        """The folder in which relative paths of the scenario are looked up."""
        return self._base_dir

    def read_from(self, document: Document, base_dir: Path) -> Self:
        """This scenario, knowing the document it was read from and where relative paths are looked up."""
        self._document = document
        self._base_dir = base_dir
        return self

    def origin(self, *location: str | int) -> dict[str, Any]:
        """`file`, `line`, `column` and `path` of the value at a location, as arguments of an InputError.

        The location is of keys as in the file and of positions: `origin("workload", 0, "trace", "path")`.
        For a scenario that was not read from a text there is only the path.
        """
        if self._document is None:
            return {"path": ".".join(map(str, location))}
        return self._document.origin(location)

    def queue(self, name: str) -> JobQueue:
        """The queue of that name; KeyError if there is none."""
        return {queue.jobQueueName: queue for queue in self.jobQueues}[name]

    def environment(self, name: str) -> ComputeEnvironment:
        """The compute environment of that name; KeyError if there is none."""
        return {each.computeEnvironmentName: each for each in self.computeEnvironments}[name]

    def definition(self, reference: str) -> JobDefinition:
        """The job definition of a `name` (its latest active revision) or `name:revision` [spec 1.14].

        KeyError if there is none.
        """
        name, _, revision = reference.partition(":")
        found = [
            each
            for each in self.jobDefinitions
            if each.jobDefinitionName == name
            and each.status == "ACTIVE"
            and (not revision or each.revision == int(revision))
        ]
        if not found:
            raise KeyError(reference)
        return max(found, key=lambda each: each.revision)

    def not_modelled(self) -> list[str]:
        """One sentence for each kind of field that was given and has no effect on the simulation."""
        return list(dict.fromkeys(not_modelled(self)))

    def to_dict(self) -> dict[str, Any]:
        """What was given, as plain JSON data in the file's notation, one spelling for equal values.

        Read back, it gives an equal scenario.
        """
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)

    def digest(self) -> str:
        """SHA-256 (hex) of `to_dict` as canonical JSON: 90s and 1.5m give the same digest."""
        canonical = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


def _problems(scenario: Scenario) -> Iterator[MismatchError]:
    yield from _names_given_twice(scenario)
    yield from _machines(scenario)
    yield from _unknown_environments(scenario)
    yield from _queue_of_entry(scenario)
    yield from _definitions_of_entry(scenario)


def _names_given_twice(scenario: Scenario) -> Iterator[MismatchError]:
    named: list[tuple[str, str, Iterable[Any]]] = [
        ("computeEnvironments", "computeEnvironmentName", scenario.computeEnvironments),
        ("jobQueues", "jobQueueName", scenario.jobQueues),
        ("workload", "name", scenario.workload),
    ]
    for section, field, items in named:
        yield from _repeated((section,), field, [getattr(item, field) for item in items])
    revisions = [(each.jobDefinitionName, each.revision) for each in scenario.jobDefinitions]
    yield from _repeated(("jobDefinitions",), "jobDefinitionName", revisions)
    for index, environment in enumerate(scenario.computeEnvironments):
        names = [machine.name for machine in environment.instances]
        yield from _repeated(("computeEnvironments", index, "instances"), "name", names)


def _repeated(section: tuple[str | int, ...], field: str, names: list[Any]) -> Iterator[MismatchError]:
    seen: set[Any] = set()
    for index, name in enumerate(names):
        if name is not None and name in seen:
            yield MismatchError(
                message="this name is already taken",
                hint=f"give each {field} once",
                place=(*section, index, field),
            )
        seen.add(name)


def _machines(scenario: Scenario) -> Iterator[MismatchError]:
    total = sum(
        machine.count for environment in scenario.computeEnvironments for machine in environment.instances
    )
    if total > MAX_MACHINES:
        yield MismatchError(
            f"at most {MAX_MACHINES:,} machines in all",
            message=f"{total:,} machines are described",
            place=("computeEnvironments",),
        )


def _unknown_environments(scenario: Scenario) -> Iterator[MismatchError]:
    known = [each.computeEnvironmentName for each in scenario.computeEnvironments]
    for q, queue in enumerate(scenario.jobQueues):
        for i, item in enumerate(queue.computeEnvironmentOrder):
            if item.computeEnvironment not in known:
                yield MismatchError(
                    "the name of a compute environment",
                    choices=known,
                    place=("jobQueues", q, "computeEnvironmentOrder", i, "computeEnvironment"),
                )


def _queue_of_entry(scenario: Scenario) -> Iterator[MismatchError]:
    states = {queue.jobQueueName: queue.state for queue in scenario.jobQueues}
    for index, entry in enumerate(scenario.workload):
        place = ("workload", index, "jobQueue")
        if entry.jobQueue not in states:
            yield MismatchError("the name of a job queue", choices=states, place=place)
        elif states[entry.jobQueue] == "DISABLED":
            yield MismatchError(
                "an ENABLED job queue",
                message="a DISABLED job queue accepts no jobs",
                hint="set its state to ENABLED, or submit to another queue",
                place=place,
            )


def _definitions_of_entry(scenario: Scenario) -> Iterator[MismatchError]:
    known = dict.fromkeys(name for each in scenario.jobDefinitions for name in _references(each))
    for index, entry in enumerate(scenario.workload):
        places: list[tuple[tuple[str | int, ...], str | None]] = [(("jobDefinition",), entry.jobDefinition)]
        if isinstance(entry, GeneratedJobs):
            places += [
                (("mix", i, "jobDefinition"), item.jobDefinition) for i, item in enumerate(entry.mix or ())
            ]
        for place, reference in places:
            if reference is not None and reference not in known:
                yield MismatchError(
                    "the name of an ACTIVE job definition",
                    choices=known,
                    place=("workload", index, *place),
                )


def _references(definition: JobDefinition) -> tuple[str, ...]:
    if definition.status == "INACTIVE":
        return ()
    name = definition.jobDefinitionName
    return name, f"{name}:{definition.revision}"
