"""The scenario: the root of what a user writes, and the checks across its parts."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr, model_validator

from batchsim.errors import InputError
from batchsim.units import S_PER_HOUR, US_PER_S

from .assumptions import Assumptions
from .checks import check_parts, nowhere_to_run
from .commitments import Commitments
from .consumables import ConsumableResource
from .definitions import JobDefinition
from .document import Document
from .entry_checks import check_workload
from .environments import ComputeEnvironment
from .jobs import Event, GeneratedJobs, Jobs, ServiceJobs, TraceJobs, WorkloadEntry
from .managedinstances import NOT_MODELLED as MOVES_NOT_MODELLED
from .metadata import not_modelled
from .policies import FairsharePolicy, SchedulingPolicy
from .queues import JobQueue
from .services import SERVICE_JOBS_NOT_MODELLED, QuotaShare, ServiceEnvironment
from .tree import Place
from .values import Duration, FilePath, Many, MismatchError, MismatchesError, Model, SafeName, matching

LONGEST_HORIZON_US = 10 * 366 * 24 * S_PER_HOUR * US_PER_S

RegionName = Annotated[str, matching(r"^[a-z]{2}(-[a-z]+)+-[0-9]+$", "an AWS region such as us-east-1", 32)]


def _horizon(us: int) -> int:
    if not 0 < us <= LONGEST_HORIZON_US:
        raise MismatchError("a duration above 0 and up to 10 years")
    return us


def _version(given: Any) -> Any:
    if given is True:  # which is equal to 1
        raise MismatchError("1")
    return given


class Scenario(Model):
    """Compute environments, job queues and job definitions; a workload; and the assumptions.

    Attributes are spelt as in the file. Times are int microseconds, memory int MiB, image sizes int
    bytes, rates float per second; lists are tuples.
    """

    batchsim: Annotated[Literal[1], BeforeValidator(_version)] = Field(description="Version of this format.")
    name: SafeName = "scenario"
    region: RegionName = "us-east-1"
    computeEnvironments: Annotated[Many[ComputeEnvironment], Field(max_length=100)] = ()
    jobQueues: Annotated[Many[JobQueue], Field(min_length=1, max_length=100)]
    jobDefinitions: Annotated[Many[JobDefinition], Field(max_length=10_000)] = ()
    schedulingPolicies: Annotated[Many[SchedulingPolicy], Field(max_length=500)] = ()
    consumableResources: Annotated[Many[ConsumableResource], Field(max_length=50_000)] = ()
    serviceEnvironments: Annotated[Many[ServiceEnvironment], Field(max_length=50)] = ()
    quotaShares: Annotated[Many[QuotaShare], Field(max_length=1000)] = ()
    workload: Annotated[Many[WorkloadEntry], Field(min_length=1, max_length=10_000)]
    assumptions: Assumptions = Field(default_factory=lambda: Assumptions(preset="aws"))
    horizon: Annotated[Duration, AfterValidator(_horizon)] | None = Field(
        None, description="Stop the run there; absent: when every job has ended."
    )
    commitments: Commitments | None = None
    catalog: FilePath | None = Field(
        None, description="CSV of more instance types, relative to the scenario file."
    )

    _base_dir: Path = PrivateAttr(default_factory=Path)
    _document: Document | None = PrivateAttr(None)

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        problems = [*nowhere_to_run(self)] or [*check_parts(self), *check_workload(self)]
        if problems:
            raise MismatchesError(problems)
        return self

    @property
    def base_dir(self) -> Path:
        """The folder in which relative paths of the scenario are looked up."""
        return self._base_dir

    @property
    def document(self) -> Document:
        """What it was read from; of a scenario that was not read from a text, what it would be written as."""
        return self._document or Document("the scenario", self.to_dict(), Place(1, 1, 1, 1))

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

    def path_of(self, part: Jobs | ComputeEnvironment) -> str:
        """The `--set` path of a workload entry or a compute environment."""
        section, name = "workload", getattr(part, "name", "")
        if isinstance(part, ComputeEnvironment):
            section, name = "computeEnvironments", part.computeEnvironmentName
        # A number in a path is a position, also where it is somebody's name.
        return f"{section}.{getattr(self, section).index(part) if name.isdecimal() else name}"

    @contextmanager
    def placing_errors(self) -> Iterator[None]:
        """Let each InputError about a part of the scenario say where in the file that part stands.

        The part is known by the `--set` path that the error has, from `at_path` or of its own. An error
        with a line of another file keeps it, and says where the scenario names that file.
        """
        try:
            yield
        except InputError as error:
            if self._document is not None:
                self._document.locate(error)
            raise

    def entries(self) -> list[tuple[int, Jobs]]:
        """What the workload submits, each with its position in the file; events are left out."""
        kinds = (GeneratedJobs, TraceJobs, ServiceJobs)
        return [(index, each) for index, each in enumerate(self.workload) if isinstance(each, kinds)]

    def submissions(self) -> list[tuple[int, GeneratedJobs | TraceJobs]]:
        """The entries that are submitted by SubmitJob, each with its position; no service jobs."""
        return [(index, each) for index, each in self.entries() if not isinstance(each, ServiceJobs)]

    def events(self) -> list[tuple[int, Event]]:
        """What is done to jobs and resources during the run, each with its position in the workload."""
        kinds = (GeneratedJobs, TraceJobs, ServiceJobs)
        return [(index, each) for index, each in enumerate(self.workload) if not isinstance(each, kinds)]

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

    def policy(self, queue: JobQueue) -> SchedulingPolicy | None:
        """The scheduling policy of a queue; None: FIFO."""
        return next(
            (each for each in self.schedulingPolicies if each.name == queue.schedulingPolicyArn), None
        )

    def fair_share(self, queue: JobQueue) -> FairsharePolicy | None:
        """The fair-share rules of a queue; None if it is FIFO or divided into quota shares."""
        policy = self.policy(queue)
        return policy.fair_share() if policy else None

    def has_quota_shares(self, queue: JobQueue) -> bool:
        """Whether a queue is divided into quota shares."""
        policy = self.policy(queue)
        return policy is not None and policy.quotaSharePolicy is not None

    def not_modelled(self) -> list[str]:
        """One sentence for each kind of field that was given and has no effect on the simulation.

        So for each override that has none on AWS either, and for what AWS does without being asked.
        """
        sentences = [*not_modelled(self), *self._vain_overrides()]
        if any(isinstance(entry, ServiceJobs) for _, entry in self.entries()):
            sentences += SERVICE_JOBS_NOT_MODELLED
        if any(each.platform == "ECS_MANAGED_INSTANCES" for each in self.computeEnvironments):
            sentences.append(MOVES_NOT_MODELLED)
        return list(dict.fromkeys(sentences))

    def _vain_overrides(self) -> Iterator[str]:
        for _, entry in self.submissions():
            if not isinstance(entry, GeneratedJobs) or entry.containerOverrides is None:
                continue
            container = [self.definition(reference).containerProperties for reference in entry.definitions()]
            for field in sorted(
                set().union(*(each.ignored(entry.containerOverrides) for each in container if each))
            ):
                yield (
                    f"workload.{entry.name}: containerOverrides.{field} changes nothing, on AWS as here: "
                    "the job definition says it in resourceRequirements."
                )

    def to_dict(self) -> dict[str, Any]:
        """What was given, as plain JSON data in the file's notation, one spelling for equal values.

        Read back, it gives an equal scenario.
        """
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)

    def digest(self) -> str:
        """SHA-256 (hex) of `to_dict` as canonical JSON: 90s and 1.5m give the same digest."""
        canonical = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()
