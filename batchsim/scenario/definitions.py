"""Job definitions, spelt as `describe-job-definitions` spells them."""

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from .consumables import ConsumableResourceProperties
from .containers import ContainerProperties, Resources
from .environments import Platform
from .metadata import CONTAINER_SETTINGS, Identity
from .nodes import NodeProperties
from .pods import EksProperties, PodResources
from .retries import JobTimeout, RetryStrategy
from .tasks import EcsProperties, EcsTaskProperties, TaskContainer
from .values import Many, MismatchError, Model, SafeName, Text, integral

Priority = Annotated[int, Field(ge=0, le=9999), integral]
Parameters = Annotated[dict[str, Text], Field(max_length=1000), CONTAINER_SETTINGS]
Kind = Literal["container", "ecs", "eks", "multinode"]

_PARTS: dict[str, Kind] = {
    "containerProperties": "container",
    "ecsProperties": "ecs",
    "eksProperties": "eks",
    "nodeProperties": "multinode",
}
_FARGATE_LOG_DRIVERS = ("awslogs", "splunk", "awsfirelens")
_PLACEHOLDER = re.compile(r"Ref::([A-Za-z0-9_.-]+)")


def substituted(command: Iterable[str], parameters: Mapping[str, str]) -> tuple[str, ...]:
    """A command with each `Ref::name` replaced by its parameter; others stay [spec 1.14]."""
    return tuple(_PLACEHOLDER.sub(lambda match: parameters.get(match[1], match[0]), word) for word in command)


class JobDefinition(Model):
    """A job definition: one container, several (`ecsProperties`), a pod, or the nodes of a multi-node job."""

    jobDefinitionName: SafeName
    type: Literal["container", "multinode"] = "container"
    revision: Annotated[int, Field(ge=1, le=2**31 - 1), integral] = 1
    status: Literal["ACTIVE", "INACTIVE"] = "ACTIVE"
    containerProperties: ContainerProperties | None = None
    ecsProperties: EcsProperties | None = None
    eksProperties: EksProperties | None = None
    nodeProperties: NodeProperties | None = None
    retryStrategy: RetryStrategy = RetryStrategy()
    timeout: JobTimeout | None = None
    schedulingPriority: Priority = Field(0, description="Counts inside one share of a fair-share queue.")
    parameters: Parameters = Field({}, description="Values of Ref::name in commands; a submission's win.")
    consumableResourceProperties: ConsumableResourceProperties = ConsumableResourceProperties()
    platformCapabilities: Annotated[
        Many[Literal["EC2", "FARGATE", "MANAGED_INSTANCES"]], Field(max_length=1)
    ] = ("EC2",)
    containerOrchestrationType: Literal["ECS", "EKS"] | None = None

    jobDefinitionArn: Identity = None
    tags: Identity = None
    propagateTags: Identity = None
    resourceRetentionPolicy: Identity = None

    @model_validator(mode="after")
    def _parts_of_its_type(self) -> Self:
        allowed = [
            part for part, kind in _PARTS.items() if (kind == "multinode") == (self.type == "multinode")
        ]
        foreign = [part for part in _PARTS if part not in allowed and getattr(self, part) is not None]
        if foreign:
            raise MismatchError(
                message=f"{foreign[0]} does not belong to a job definition of type {self.type}",
                hint="remove it, or change the type",
                place=(foreign[0],),
            )
        given = [part for part in allowed if getattr(self, part) is not None]
        if not given:
            raise MismatchError(
                f"{allowed[0]} in a job definition of type {self.type}", place=(allowed[0],), missing=True
            )
        if len(given) > 1:
            raise MismatchError(
                f"exactly one of {', '.join(allowed)}",
                message=f"there is {' and '.join(given)}",
                place=(given[1],),
            )
        return self

    @model_validator(mode="after")
    def _platform_agrees(self) -> Self:
        orchestration = "EKS" if self.platform == "EKS" else "ECS"
        if self.containerOrchestrationType not in (None, orchestration):
            raise MismatchError(f"{orchestration!r} or nothing", place=("containerOrchestrationType",))
        if "FARGATE" in self.platformCapabilities and self.kind not in {"container", "ecs"}:
            raise MismatchError(
                message=f"Fargate runs no {'multi-node jobs' if self.kind == 'multinode' else 'pods'}",
                hint="remove FARGATE",
                place=("platformCapabilities",),
            )
        if self.platform == "ECS_MANAGED_INSTANCES" and self.kind != "ecs":
            given = next(part for part in _PARTS if getattr(self, part))
            raise MismatchError(
                message=f"ECS Managed Instances run no {given}",
                hint="say it as ecsProperties",
                place=("platformCapabilities",),
            )
        if self.platform == "ECS_FARGATE":
            self._check_fargate()
        else:
            self._check_not_fargate()
        if self.containerProperties is not None and self.containerProperties.instanceType is not None:
            raise MismatchError(
                message="instanceType is for multi-node jobs only",
                hint="list instance types in the compute environment",
                place=("containerProperties", "instanceType"),
            )
        if self.nodeProperties is not None and self.consumableResourceProperties.consumableResourceList:
            raise MismatchError(
                message="a multi-node job names consumable resources in its node ranges",
                hint="move it into nodeProperties.nodeRangeProperties",
                place=("consumableResourceProperties",),
            )
        return self

    def _check_fargate(self) -> None:
        """What Fargate does not have [UG: fargate]."""
        if self.resources().gpus:
            raise MismatchError(
                message="Fargate has no GPUs", hint="remove FARGATE", place=("platformCapabilities",)
            )
        place, task = self._task()
        if isinstance(task, ContainerProperties):
            for old in ("vcpus", "memory"):
                if getattr(task, old) is not None:
                    raise MismatchError(
                        "resourceRequirements in its place on Fargate", place=("containerProperties", old)
                    )
            _check_fargate_container(task, place)
        else:
            for index, container in enumerate(task.containers):
                _check_fargate_container(container, (*place, "containers", index))
        self._check_system()

    def _check_system(self) -> None:
        place, task = self._task()
        system = task.runtimePlatform
        if system is None:
            return
        for key, known in (("cpuArchitecture", ("X86_64", "ARM64")), ("operatingSystemFamily", ("LINUX",))):
            if getattr(system, key) not in (None, *known):
                raise MismatchError(
                    f"{' or '.join(known)} or nothing",
                    message="only Linux tasks are modelled",
                    place=(*place, "runtimePlatform", key),
                )

    def _check_not_fargate(self) -> None:
        """What nothing but Fargate has."""
        self.check_whole_vcpus()
        if self.platform == "ECS_MANAGED_INSTANCES":
            self._check_system()
        if self.kind not in {"container", "ecs"}:
            return
        place, task = self._task()
        if task.ephemeralStorage is not None:
            raise MismatchError(
                message="ephemeralStorage is for Fargate tasks only",
                hint="remove it, or give the compute environment an instanceVolume",
                place=(*place, "ephemeralStorage"),
            )

    def check_whole_vcpus(self) -> None:
        """Raises MismatchError if containers that do not run on Fargate ask for a part of a vCPU."""
        if self.platform != "ECS":
            return
        if self.nodeProperties is None:
            asked = [self.resources()]
        else:
            asked = [each.properties.resources() for each in self.nodeProperties.groups()]
        for each in asked:
            if each.vcpus % 1:
                raise MismatchError(
                    message=f"{each.vcpus:g} vCPU is for Fargate only",
                    hint="round it up, or set platformCapabilities to [FARGATE]",
                )

    def _task(self) -> tuple[tuple[str | int, ...], ContainerProperties | EcsTaskProperties]:
        """The part that says what a single-node job on ECS runs on, and where it stands."""
        if self.containerProperties is not None:
            return ("containerProperties",), self.containerProperties
        assert self.ecsProperties is not None, "not a single-node ECS job"
        return ("ecsProperties", "taskProperties", 0), self.ecsProperties.task

    def task_kind(self) -> tuple[str, int | None]:
        """Of a task: `X86_64` or `ARM64`, and GiB of ephemeral storage, None if it says nothing."""
        _, task = self._task()
        system, storage = task.runtimePlatform, task.ephemeralStorage
        architecture = (system and system.cpuArchitecture) or "X86_64"
        return architecture, None if storage is None else storage.sizeInGiB

    @property
    def kind(self) -> Kind:
        """Which of its four forms the definition has."""
        return next(kind for part, kind in _PARTS.items() if getattr(self, part) is not None)

    @property
    def platform(self) -> Platform:
        """Where jobs of the definition run."""
        if "MANAGED_INSTANCES" in self.platformCapabilities:
            return "ECS_MANAGED_INSTANCES"
        if "FARGATE" in self.platformCapabilities:
            return "ECS_FARGATE"
        in_pods = self.kind == "eks" or (self.nodeProperties and self.nodeProperties.platform == "EKS")
        return "EKS" if in_pods else "ECS"

    def resources(self) -> Resources:
        """vCPUs, MiB and GPUs of a single-node job on ECS: of its container, or of all of them."""
        if self.containerProperties is not None:
            return self.containerProperties.resources()
        assert self.ecsProperties is not None, "not a single-node ECS job"
        return self.ecsProperties.task.resources()

    def pod_resources(self) -> PodResources:
        """What the pod of a single-node job on EKS asks for."""
        assert self.eksProperties is not None, "not a single-node EKS job"
        return self.eksProperties.podProperties.resources()

    def images(self) -> tuple[str, ...]:
        """The images of a single-node job, init containers first, each once."""
        if self.containerProperties is not None:
            return (self.containerProperties.image,)
        several = self.ecsProperties or self.eksProperties
        assert several is not None, "not a single-node job"
        return several.images()

    def consumables(self) -> dict[str, int]:
        """Consumable resources that one job locks, all its nodes together: name -> quantity."""
        if self.nodeProperties is not None:
            return self.nodeProperties.consumables()
        return self.consumableResourceProperties.quantities()

    def container_names(self) -> tuple[str | None, ...]:
        """Names of the containers of a multi-container job or a pod, without init containers."""
        if self.ecsProperties is not None:
            return tuple(each.name for each in self.ecsProperties.task.containers)
        if self.eksProperties is not None:
            return tuple(each.name for each in self.eksProperties.podProperties.containers)
        return ()


def _check_fargate_container(
    container: ContainerProperties | TaskContainer, place: tuple[str | int, ...]
) -> None:
    """Raises MismatchError for settings that containers on Fargate cannot have [spec 4.2]."""
    if container.privileged:
        raise MismatchError("false on Fargate", place=(*place, "privileged"))
    if container.ulimits:
        raise MismatchError(message="Fargate has no ulimits", hint="remove them", place=(*place, "ulimits"))
    logs = container.logConfiguration
    driver = logs.get("logDriver") if isinstance(logs, dict) else None
    if driver not in (None, *_FARGATE_LOG_DRIVERS):
        raise MismatchError(
            "awslogs, splunk or awsfirelens on Fargate", place=(*place, "logConfiguration", "logDriver")
        )
