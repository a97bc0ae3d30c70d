"""Containers of ECS jobs: what they are made of and what they need [spec 1.14]."""

import re
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import Field, PlainSerializer, ValidationInfo, field_validator, model_validator

from batchsim.units import parse_size

from .metadata import CONTAINER_SETTINGS, Access, ContainerSettings, Logging, Network, Storage, Unbuilt
from .values import LONGEST_QUANTITY, InstanceTypeName, Many, MismatchError, Model, Text, integral

# [spec 1.14] for the lower limits; the upper ones keep the arithmetic of a run in 64 bits.
_REQUIREMENT_LIMITS = {"VCPU": (0.25, 10_000), "MEMORY": (4, 10_000_000), "GPU": (1, 10_000)}
_REQUIREMENT_UNITS = {"VCPU": "vCPUs, whole or quarters", "MEMORY": "MiB", "GPU": "whole GPUs"}
_OLD_STYLE = {"VCPU": "vcpus", "MEMORY": "memory"}

Vcpus = Annotated[int, Field(ge=1, le=10_000), integral]
MemoryMiB = Annotated[int, Field(ge=4, le=10_000_000), integral]
Image = Annotated[Text, Field(min_length=1)]
Command = Annotated[Many[Text], Field(max_length=1000), CONTAINER_SETTINGS]
"""The command and its arguments; `Ref::name` in it stands for a parameter."""


class Resources(NamedTuple):
    """What one job asks for, or one of its containers; vCPUs are whole quarters."""

    vcpus: float
    memory_mib: int
    gpus: int


class EnvironmentVariable(Model):
    """A variable of a container's environment."""

    name: Text
    value: Text = ""


Environment = Annotated[Many[EnvironmentVariable], Field(max_length=1000), CONTAINER_SETTINGS]


def _as_text(amount: float) -> str:
    return f"{amount:.12g}"


class ResourceRequirement(Model):
    """vCPUs, memory in MiB or GPUs of one job; AWS writes the value as text [spec 1.14]."""

    type: Literal["VCPU", "MEMORY", "GPU"]
    value: Annotated[float, PlainSerializer(_as_text, when_used="json")] = Field(
        json_schema_extra={"type": ["string", "number"]},
        description='Number, as text or not: "4" vCPUs, "7400" MiB (or "7.5GiB"), "1" GPU; all of them whole,'
        ' but for quarter vCPUs on Fargate: "0.25".',
    )

    @field_validator("value", mode="before")
    @classmethod
    def _of_its_type(cls, value: Any, info: ValidationInfo) -> Any:
        kind = info.data.get("type", "GPU")
        low, high = _REQUIREMENT_LIMITS[kind]
        amount = _quarters(value) if kind == "VCPU" else _amount(value, is_size=kind == "MEMORY")
        if amount is None or not low <= amount <= high:
            raise MismatchError(f"{low} to {high} {_REQUIREMENT_UNITS[kind]}")
        return amount


def _quarters(value: Any) -> float | None:
    """Whole vCPUs as int; quarters, which floats hold exactly."""
    is_text = isinstance(value, str) and len(value) <= LONGEST_QUANTITY
    if is_text and re.fullmatch(r"[0-9]+(\.[0-9]+)?", value):
        value = float(value)
    if not isinstance(value, int | float) or isinstance(value, bool) or 4 * value % 1:
        return None
    return value if value % 1 else int(value)


def _amount(value: Any, *, is_size: bool) -> int | None:
    if isinstance(value, str) and len(value) <= LONGEST_QUANTITY:
        if re.fullmatch(r"[0-9]+", value):
            return int(value)
        if is_size:
            try:
                return parse_size(value)
            except ValueError:
                return None
        return None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


Requirements = Annotated[Many[ResourceRequirement], Field(max_length=3)]


def check_each_type_once(requirements: tuple[ResourceRequirement, ...]) -> None:
    """Raises MismatchError where a container asks for one kind of resource twice."""
    types = [requirement.type for requirement in requirements]
    for index, kind in enumerate(types):
        if kind in types[:index]:
            raise MismatchError(
                message=f"{kind} is required twice", place=("resourceRequirements", index, "type")
            )


def merged_requirements(
    own: tuple[ResourceRequirement, ...], overriding: tuple[ResourceRequirement, ...]
) -> tuple[ResourceRequirement, ...]:
    """A container's requirements with the overridden kinds replaced, others added."""
    by_type = {requirement.type: requirement for requirement in (*own, *overriding)}
    return tuple(by_type.values())


def merged_environment(
    own: tuple[EnvironmentVariable, ...], overriding: tuple[EnvironmentVariable, ...]
) -> tuple[EnvironmentVariable, ...]:
    """A container's environment with the overridden variables replaced, others added."""
    by_name = {variable.name: variable for variable in (*own, *overriding)}
    return tuple(by_name.values())


def required(requirements: tuple[ResourceRequirement, ...]) -> Resources:
    """The amounts in a list of requirements; 0 of what it does not name."""
    given = {requirement.type: requirement.value for requirement in requirements}
    return Resources(given.get("VCPU", 0), int(given.get("MEMORY", 0)), int(given.get("GPU", 0)))


class RuntimePlatform(Model):
    """What a Fargate task runs on [spec 4.2]; on EC2, instance types say it."""

    cpuArchitecture: Text | None = Field(None, description="X86_64 or ARM64.")
    operatingSystemFamily: Text | None = Field(None, description="LINUX, on Fargate.")


class EphemeralStorage(Model):
    """The disk of a Fargate task, beyond the 20 GiB that each one has [API: EphemeralStorage]."""

    sizeInGiB: Annotated[int, Field(ge=21, le=200), integral]


class ContainerOverrides(Model):
    """What a submission changes of the container of its job definition.

    The old-style `vcpus` and `memory` replace only their like: where the definition has a resource
    requirement of that kind they change nothing [spec 1.14].
    """

    resourceRequirements: Requirements = ()
    vcpus: Vcpus | None = Field(None, description="Old style; without effect on resourceRequirements.")
    memory: MemoryMiB | None = Field(None, description="Old style, MiB; without effect on those as well.")
    command: Command = ()
    environment: Environment = ()
    instanceType: InstanceTypeName | None = Field(None, description="Of multi-node jobs only.")

    @model_validator(mode="after")
    def _checked(self) -> Self:
        check_each_type_once(self.resourceRequirements)
        return self


class ContainerProperties(Model):
    """The container of a job definition: its image and what it needs."""

    image: Image
    resourceRequirements: Requirements = ()
    vcpus: Vcpus | None = Field(None, description="Old style; resourceRequirements wins.")
    memory: MemoryMiB | None = Field(None, description="Old style, MiB; resourceRequirements wins.")
    command: Command = ()
    environment: Environment = ()
    instanceType: InstanceTypeName | None = Field(None, description="Of multi-node jobs only.")

    user: ContainerSettings = None
    privileged: ContainerSettings = None
    readonlyRootFilesystem: ContainerSettings = None
    enableExecuteCommand: ContainerSettings = None
    linuxParameters: ContainerSettings = None
    ulimits: ContainerSettings = None
    runtimePlatform: RuntimePlatform | None = None
    volumes: Storage = None
    mountPoints: Storage = None
    ephemeralStorage: EphemeralStorage | None = None
    jobRoleArn: Access = None
    executionRoleArn: Access = None
    secrets: Access = None
    repositoryCredentials: Access = None
    logConfiguration: Logging = None
    networkConfiguration: Network = None
    fargatePlatformConfiguration: Unbuilt = None

    @model_validator(mode="after")
    def _says_what_it_needs(self) -> Self:
        check_each_type_once(self.resourceRequirements)
        given = {requirement.type for requirement in self.resourceRequirements}
        for kind, old in _OLD_STYLE.items():
            if kind not in given and getattr(self, old) is None:
                raise MismatchError(
                    f"a {kind} requirement",
                    hint=f"add {{type: {kind}, value: ...}} to resourceRequirements",
                    place=("resourceRequirements",),
                )
        return self

    def resources(self) -> Resources:
        """vCPUs, MiB and GPUs of a job of this definition."""
        new = required(self.resourceRequirements)
        return Resources(new.vcpus or self.vcpus or 1, new.memory_mib or self.memory or 4, new.gpus)

    def ignored(self, overrides: ContainerOverrides) -> list[str]:
        """The old-style overrides that change nothing here."""
        given = {requirement.type for requirement in self.resourceRequirements}
        return [
            old for kind, old in _OLD_STYLE.items() if kind in given and getattr(overrides, old) is not None
        ]

    def overridden(self, overrides: ContainerOverrides) -> Self:
        """This container as a submission changes it [spec 1.14]."""
        return self.model_copy(
            update={
                "resourceRequirements": merged_requirements(
                    self.resourceRequirements, overrides.resourceRequirements
                ),
                "vcpus": overrides.vcpus or self.vcpus,
                "memory": overrides.memory or self.memory,
                "command": overrides.command or self.command,
                "environment": merged_environment(self.environment, overrides.environment),
                "instanceType": overrides.instanceType or self.instanceType,
            }
        )
