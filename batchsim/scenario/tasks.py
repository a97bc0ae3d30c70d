"""Multi-container jobs: `ecsProperties`, one task of several containers [spec 1.13]."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from .containers import (
    Command,
    Environment,
    EphemeralStorage,
    Image,
    Requirements,
    Resources,
    RuntimePlatform,
    check_each_type_once,
    merged_environment,
    merged_requirements,
    required,
)
from .graphs import a_cycle
from .metadata import Access, ContainerSettings, Logging, Network, Storage, Unbuilt
from .values import Many, MismatchError, Model, SafeName, at_place

MOST_CONTAINERS = 10
"""Containers of one task or pod [spec 1.12, 1.13]."""


class TaskContainerDependency(Model):
    """What must have happened to another container before this one starts."""

    containerName: SafeName
    condition: Literal["START", "COMPLETE", "SUCCESS"]


class TaskContainer(Model):
    """One container of a task; the task ends when an essential one stops."""

    name: SafeName | None = None
    image: Image
    essential: bool = True
    dependsOn: Annotated[Many[TaskContainerDependency], Field(max_length=MOST_CONTAINERS)] = ()
    resourceRequirements: Requirements = ()
    command: Command = ()
    environment: Environment = ()

    user: ContainerSettings = None
    privileged: ContainerSettings = None
    readonlyRootFilesystem: ContainerSettings = None
    linuxParameters: ContainerSettings = None
    ulimits: ContainerSettings = None
    startTimeout: ContainerSettings = None
    stopTimeout: ContainerSettings = None
    mountPoints: Storage = None
    secrets: Access = None
    repositoryCredentials: Access = None
    logConfiguration: Logging = None
    firelensConfiguration: Logging = None

    @model_validator(mode="after")
    def _checked(self) -> Self:
        check_each_type_once(self.resourceRequirements)
        return self


class EcsTaskProperties(Model):
    """The task of a multi-container job."""

    containers: Annotated[Many[TaskContainer], Field(min_length=1, max_length=MOST_CONTAINERS)]

    enableExecuteCommand: ContainerSettings = None
    runtimePlatform: RuntimePlatform | None = None
    ipcMode: ContainerSettings = None
    pidMode: ContainerSettings = None
    volumes: Storage = None
    ephemeralStorage: EphemeralStorage | None = None
    taskRoleArn: Access = None
    executionRoleArn: Access = None
    networkConfiguration: Network = None
    platformVersion: Unbuilt = None

    @model_validator(mode="after")
    def _containers_fit(self) -> Self:
        check_names([container.name for container in self.containers])
        if not any(container.essential for container in self.containers):
            raise MismatchError(
                "at least one essential container",
                hint="remove essential: false from one of them",
                place=("containers",),
            )
        self._check_dependencies()
        resources = self.resources()
        for kind, amount in (("VCPU", resources.vcpus), ("MEMORY", resources.memory_mib)):
            if not amount:
                raise MismatchError(f"a {kind} requirement in at least one container", place=("containers",))
        return self

    def _check_dependencies(self) -> None:
        by_name = {each.name: each for each in self.containers if each.name is not None}
        for index, container in enumerate(self.containers):
            for number, dependency in enumerate(container.dependsOn):
                place = ("containers", index, "dependsOn", number)
                target = by_name.get(dependency.containerName)
                if target is None:
                    raise MismatchError(
                        "the name of a container of this task",
                        choices=by_name,
                        place=(*place, "containerName"),
                    )
                if target.essential and dependency.condition != "START":
                    raise MismatchError(
                        message=f"{dependency.condition} cannot wait for {target.name!r}, which is essential",
                        hint="wait for its START, or give it essential: false",
                        place=(*place, "condition"),
                    )
        edges = {
            name: [dependency.containerName for dependency in container.dependsOn]
            for name, container in by_name.items()
        }
        if cycle := a_cycle(edges):
            raise MismatchError(
                message=f"containers wait for each other: {' → '.join(cycle)}", place=("containers",)
            )

    def resources(self) -> Resources:
        """vCPUs, MiB and GPUs of the job: the sum of its containers [spec 1.13]."""
        parts = [required(container.resourceRequirements) for container in self.containers]
        return Resources(*map(sum, zip(*parts, strict=True)))


def check_names(names: list[str | None], field: str = "containers") -> None:
    """Raises MismatchError for a name given twice, and where one of several containers has none."""
    for index, name in enumerate(names):
        if name is None and len(names) > 1:
            raise MismatchError(
                "a name for each of several containers", place=(field, index, "name"), missing=True
            )
        if name in names[:index]:
            raise MismatchError(message="this name is already taken", place=(field, index, "name"))


class EcsProperties(Model):
    """Several containers in one task."""

    taskProperties: Annotated[Many[EcsTaskProperties], Field(min_length=1, max_length=1)]

    @property
    def task(self) -> EcsTaskProperties:
        """The only task."""
        return self.taskProperties[0]

    def overridden(self, override: "EcsPropertiesOverride") -> Self:
        """These properties as a submission changes them; containers are found by name.

        Raises MismatchError, with the place in the override, for a name that no container has.
        """
        containers = {container.name: container for container in self.task.containers}
        for index, change in enumerate(override.taskProperties[0].containers):
            if change.name not in containers:
                raise MismatchError(
                    "the name of a container of the job definition",
                    choices=[name for name in containers if name],
                    place=("taskProperties", 0, "containers", index, "name"),
                )
            containers[change.name] = _overridden(containers[change.name], change)
        task = self.task.model_copy(update={"containers": tuple(containers.values())})
        return self.model_copy(update={"taskProperties": (task,)})

    def images(self) -> tuple[str, ...]:
        """The images of all containers, each once."""
        return tuple(dict.fromkeys(container.image for container in self.task.containers))


class TaskContainerOverrides(Model):
    """What a submission changes of one container of a task."""

    name: SafeName
    resourceRequirements: Requirements = ()
    command: Command = ()
    environment: Environment = ()

    @model_validator(mode="after")
    def _checked(self) -> Self:
        check_each_type_once(self.resourceRequirements)
        return self


class TaskPropertiesOverride(Model):
    """What a submission changes of a task."""

    containers: Annotated[Many[TaskContainerOverrides], Field(max_length=MOST_CONTAINERS)] = ()


class EcsPropertiesOverride(Model):
    """What a submission changes of a multi-container job."""

    taskProperties: Annotated[Many[TaskPropertiesOverride], Field(min_length=1, max_length=1)]

    @model_validator(mode="after")
    def _each_name_once(self) -> Self:
        with at_place("taskProperties", 0):
            check_names([container.name for container in self.taskProperties[0].containers])
        return self


def _overridden(container: TaskContainer, change: TaskContainerOverrides) -> TaskContainer:
    return container.model_copy(
        update={
            "resourceRequirements": merged_requirements(
                container.resourceRequirements, change.resourceRequirements
            ),
            "command": change.command or container.command,
            "environment": merged_environment(container.environment, change.environment),
        }
    )
