"""Updates of compute environments and job queues during the run: events among the items of a workload.

- {at: 6h, update: {computeEnvironment: spot, maxvCpus: 512}}
- {at: 8h, update: {computeEnvironment: spot, state: DISABLED}}
- {at: 9h, update: {computeEnvironment: spot, instanceTypes: [c7i]}}
- {at: 9h, update: {jobQueue: bulk, priority: 5}}

A scaling update changes numbers, or the state. A change of any other setting is an infrastructure update,
which replaces the instances [spec 3.8, UG: infrastructure-updates].
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Self, TypeVar

from pydantic import Field, ValidationError, model_validator

from .changes import Timed
from .environments import (
    BidPercentage,
    ComputeEnvironment,
    ComputeResources,
    InstanceTypes,
    PlacementGroup,
    Strategy,
    UpdatePolicy,
    VCpus,
)
from .metadata import Access, Identity, MachineImage, Network
from .queues import ComputeEnvironmentOrder, JobQueue, Priority
from .values import AwsName, Many, MismatchError, MismatchesError, Model, State, at_place

if TYPE_CHECKING:
    from .scenario import Scenario

_Part = TypeVar("_Part", ComputeEnvironment, JobQueue)
_OF_QUEUES = ("priority", "computeEnvironmentOrder")
_SCALING = ("minvCpus", "maxvCpus", "desiredvCpus")
_MODELLED = ("type", "allocationStrategy", "instanceTypes", "bidPercentage", "placementGroup")
_NOT_MODELLED = (
    "subnets",
    "securityGroupIds",
    "instanceRole",
    "ec2KeyPair",
    "imageId",
    "launchTemplate",
    "ec2Configuration",
    "tags",
)
_OF_RESOURCES = (*_SCALING, *_MODELLED, *_NOT_MODELLED)
_LATEST_IMAGE = "updateToLatestImageVersion"
_OF_ENVIRONMENTS = (*_OF_RESOURCES, _LATEST_IMAGE, "updatePolicy", "unmanagedvCpus")
_SERVICE_LINKED = "AWSServiceRoleForBatch"


class Update(Model):
    """UpdateComputeEnvironment or UpdateJobQueue: what is left out stays as it is."""

    computeEnvironment: AwsName | None = None
    jobQueue: AwsName | None = None
    state: State | None = None

    minvCpus: VCpus | None = None
    maxvCpus: VCpus | None = None
    desiredvCpus: VCpus | None = Field(
        None, description="Instances are launched until there are so many; of no effect if there are more."
    )
    unmanagedvCpus: VCpus | None = None
    type: Literal["EC2", "SPOT"] | None = None
    allocationStrategy: Strategy | None = None
    instanceTypes: InstanceTypes | None = None
    bidPercentage: BidPercentage | None = None
    updatePolicy: UpdatePolicy | None = Field(
        None, description="What becomes of the jobs of an infrastructure update; absent: as before."
    )
    updateToLatestImageVersion: bool = False

    subnets: Network = None
    securityGroupIds: Network = None
    placementGroup: PlacementGroup = None
    instanceRole: Access = None
    ec2KeyPair: Access = None
    imageId: MachineImage = None
    launchTemplate: MachineImage = None
    ec2Configuration: MachineImage = None
    tags: Identity = None

    priority: Priority | None = None
    computeEnvironmentOrder: (
        Annotated[Many[ComputeEnvironmentOrder], Field(min_length=1, max_length=3)] | None
    ) = None

    @model_validator(mode="after")
    def _of_one_part(self) -> Self:
        if (self.computeEnvironment is None) == (self.jobQueue is None):
            said = "none of them" if self.jobQueue is None else "both"
            raise MismatchError(
                "exactly one of computeEnvironment and jobQueue", message=f"an update names {said}"
            )
        own, foreign = ("job queues", _OF_ENVIRONMENTS) if self.jobQueue else ("environments", _OF_QUEUES)
        for name in foreign:
            if name in self.model_fields_set and getattr(self, name) is not None:
                raise MismatchError(
                    message=f"{name} is not updated in {own}", hint="remove it", place=(name,)
                )
        if not self.changes():
            raise MismatchError(message="this update changes nothing", hint="say what is to change")
        return self

    def changes(self) -> list[str]:
        """The settings that are given."""
        given = [name for name in ("state", *_OF_QUEUES, *_OF_ENVIRONMENTS) if name in self.model_fields_set]
        return [name for name in given if (value := getattr(self, name)) is not None and value is not False]

    def in_words(self) -> str:
        """Such as "cloud: maxvCpus 4, state DISABLED"."""
        return f"{self.computeEnvironment or self.jobQueue}: {self.new_settings()}"

    def new_settings(self) -> str:
        """Such as "maxvCpus 4, instanceTypes c7i m7i"; what has parts of its own is named only."""
        said = self.model_dump(mode="json", by_alias=True)
        return ", ".join(f"{name} {_plain(said[name])}".rstrip() for name in self.changes())


def _plain(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return " ".join(value)
    return "" if value is True or not isinstance(value, int | str) else str(value)


class UpdateEvent(Timed):
    """An update during the run."""

    update: Update


class Applied(NamedTuple):
    """An update with what it makes of an environment or a queue.

    item       its position in the workload
    replaces   whether it is an infrastructure update
    """

    item: int
    at_us: int
    after: ComputeEnvironment | JobQueue
    replaces: bool = False


def applied_updates(scenario: "Scenario") -> list[Applied]:
    """All updates in order of time, ties in the order of the file, each on top of those before it.

    Raises MismatchError, placed in the scenario, for the first that is not possible.
    """
    environments = {each.computeEnvironmentName: each for each in scenario.computeEnvironments}
    queues = {each.jobQueueName: each for each in scenario.jobQueues}
    events = [(item, each) for item, each in enumerate(scenario.workload) if isinstance(each, UpdateEvent)]
    found: list[Applied] = []
    for item, event in sorted(events, key=lambda each: each[1].at):
        update = event.update
        with at_place("workload", item, "update"):
            if update.computeEnvironment is None:
                queue = _queue(update, queues, environments)
                queues[queue.jobQueueName] = queue
                found.append(Applied(item, event.at, queue))
            else:
                before = _environment_of(update, environments)
                after = environments[before.computeEnvironmentName] = _environment(update, before)
                replaces = _replaces(update, before)
                if replaces:
                    _may_be_replaced(before, after, update)
                found.append(Applied(item, event.at, after, replaces))
    return found


def check_updates(scenario: "Scenario") -> Iterator[MismatchError]:
    """The first update that is not possible; later ones may follow from it."""
    try:
        applied_updates(scenario)
    except MismatchError as problem:
        yield problem


def _environment_of(update: Update, environments: dict[str, ComputeEnvironment]) -> ComputeEnvironment:
    found = environments.get(update.computeEnvironment or "")
    if found is None:
        raise MismatchError(
            "the name of a compute environment", choices=environments, place=("computeEnvironment",)
        )
    return found


def _replaces(update: Update, before: ComputeEnvironment) -> bool:
    """Whether a setting changes for which instances are replaced."""
    resources = before.computeResources
    if resources is None or resources.is_fargate or resources.is_managed_instances:
        return False
    changes = update.changes()
    return any(
        getattr(update, name) != getattr(resources, name)
        for name in changes
        if name in _MODELLED or name in _NOT_MODELLED
    ) or (_LATEST_IMAGE in changes)


def _check_of_its_type(resources: ComputeResources, changes: list[str]) -> None:
    for name in changes:
        if resources.is_managed_instances and name not in ("state", "maxvCpus"):
            raise MismatchError(
                message=f"{name} is not updated in ECS Managed Instances",
                hint="state and maxvCpus are",
                place=(name,),
            )
        if resources.is_fargate and name in ("type", _LATEST_IMAGE):
            raise MismatchError(message=f"{name} does not belong to Fargate", hint="remove it", place=(name,))


def _environment(update: Update, before: ComputeEnvironment) -> ComputeEnvironment:
    changes = update.changes()
    managed = before.computeResources is not None
    foreign = ("unmanagedvCpus",) if managed else (*_OF_RESOURCES, _LATEST_IMAGE, "updatePolicy")
    for name in foreign:
        if name in changes:
            raise MismatchError(
                message=f"{name} does not belong to {before.type} environments",
                hint="remove it",
                place=(name,),
            )
    if before.computeResources is not None:
        _check_of_its_type(before.computeResources, changes)
    given = before.model_dump(mode="json", by_alias=True, exclude_unset=True)
    given.pop("status", None)  # AWS Batch looks anew at whether it is VALID
    said = update.model_dump(mode="json", by_alias=True, exclude_unset=True)
    given |= {name: said[name] for name in changes if name not in (*_OF_RESOURCES, _LATEST_IMAGE)}
    if managed:
        resources = {name: said[name] for name in changes if name in _OF_RESOURCES}
        given["computeResources"].pop("desiredvCpus", None)
        if update.type == "EC2" and "bidPercentage" not in changes:
            given["computeResources"].pop("bidPercentage", None)
        given["computeResources"] |= resources
    return _validated(ComputeEnvironment, given, changes)


def _may_be_replaced(before: ComputeEnvironment, after: ComputeEnvironment, update: Update) -> None:
    """Raise MismatchError where AWS allows no infrastructure update [UG: infrastructure-updates]."""
    changed = next(name for name in update.changes() if name in (*_MODELLED, *_NOT_MODELLED, _LATEST_IMAGE))
    for environment in (before, after):
        assert environment.computeResources is not None
        if environment.computeResources.allocationStrategy == "BEST_FIT":
            raise MismatchError(
                message=f"an environment with BEST_FIT cannot get another {changed}",
                hint="use BEST_FIT_PROGRESSIVE from the beginning, or move the queue to another environment",
                place=(changed,),
            )
    role = before.serviceRole
    if isinstance(role, str) and role and _SERVICE_LINKED not in role:
        raise MismatchError(
            message=f"an environment with a serviceRole of its own cannot get another {changed}",
            hint=f"use {_SERVICE_LINKED}",
            place=(changed,),
        )


def _queue(update: Update, queues: dict[str, JobQueue], environments: dict[str, Any]) -> JobQueue:
    before = queues.get(update.jobQueue or "")
    if before is None or before.is_service:
        choices = [name for name, each in queues.items() if not each.is_service]
        raise MismatchError(
            "the name of a job queue of compute environments", choices=choices, place=("jobQueue",)
        )
    platform = next(
        (environments[name].platform for name in before.environments() if name in environments), None
    )
    for position, item in enumerate(update.computeEnvironmentOrder or ()):
        place = ("computeEnvironmentOrder", position, "computeEnvironment")
        environment = environments.get(item.computeEnvironment)
        if environment is None:
            raise MismatchError("the name of a compute environment", choices=environments, place=place)
        if environment.platform != platform:
            raise MismatchError(
                f"an environment for {platform} jobs",
                message=f"this environment is for {environment.platform} jobs",
                place=place,
            )
    given = before.model_dump(mode="json", by_alias=True, exclude_unset=True)
    said = update.model_dump(mode="json", by_alias=True, exclude_unset=True)
    changes = update.changes()
    return _validated(JobQueue, given | {name: said[name] for name in changes}, changes)


def _validated(model: type[_Part], given: dict[str, Any], changes: list[str]) -> _Part:
    """The part as it is then. Raises MismatchError, placed in the update, if it cannot be so."""
    try:
        return model.model_validate(given)
    except ValidationError as failure:
        cause = failure.errors(include_url=False)[0].get("ctx", {}).get("error")
        if isinstance(cause, MismatchesError):
            cause = cause.problems[0]
        if not isinstance(cause, MismatchError):
            raise
        place = tuple(part for part in cause.place if part != "computeResources")
        if place[:1] and place[0] not in changes:
            place = (changes[0],)
        raise MismatchError(
            cause.expected, message=cause.message, hint=cause.hint, choices=cause.choices, place=place
        ) from None
