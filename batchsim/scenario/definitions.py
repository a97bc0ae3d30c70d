"""Job definitions, spelt as `describe-job-definitions` spells them."""

import re
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import BeforeValidator, Field, PlainSerializer, ValidationInfo, field_validator, model_validator

from batchsim.units import parse_size

from .metadata import Access, ContainerSettings, FairShare, Identity, Logging, Network, Storage, Unbuilt
from .values import LONGEST_QUANTITY, Many, MismatchError, Model, SafeName, Text, integral

# [spec 1.14] for the lower limits; the upper ones keep the arithmetic of a run in 64 bits.
_REQUIREMENT_LIMITS = {"VCPU": (1, 10_000), "MEMORY": (4, 10_000_000), "GPU": (1, 10_000)}
_REQUIREMENT_UNITS = {"VCPU": "whole vCPUs", "MEMORY": "MiB", "GPU": "whole GPUs"}
_REASON_PATTERN = re.compile(r"[A-Za-z0-9.:\s]*\*?")
_EXIT_CODE_PATTERN = re.compile(r"[0-9]*\*?")
_LONGEST_PATTERN = 512

Vcpus = Annotated[int, Field(ge=1, le=10_000), integral]
MemoryMiB = Annotated[int, Field(ge=4, le=10_000_000), integral]


class Resources(NamedTuple):
    """What one job asks for."""

    vcpus: int
    memory_mib: int
    gpus: int


class ResourceRequirement(Model):
    """vCPUs, memory in MiB or GPUs of one job; AWS writes the value as text [spec 1.14]."""

    type: Literal["VCPU", "MEMORY", "GPU"]
    value: Annotated[int, PlainSerializer(str, when_used="json")] = Field(
        json_schema_extra={"type": ["string", "integer"]},
        description='Whole number, as text or not: "4" vCPUs, "7400" MiB (or "7.5GiB"), "1" GPU.',
    )

    @field_validator("value", mode="before")
    @classmethod
    def _of_its_type(cls, value: Any, info: ValidationInfo) -> Any:
        kind = info.data.get("type", "GPU")
        low, high = _REQUIREMENT_LIMITS[kind]
        amount = _amount(value, is_size=kind == "MEMORY")
        if amount is None or not low <= amount <= high:
            raise MismatchError(f"{low} to {high} {_REQUIREMENT_UNITS[kind]}")
        return amount


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


def _each_type_once(requirements: tuple[ResourceRequirement, ...]) -> None:
    types = [requirement.type for requirement in requirements]
    for index, kind in enumerate(types):
        if kind in types[:index]:
            raise MismatchError(
                message=f"{kind} is required twice", place=("resourceRequirements", index, "type")
            )


class ContainerOverrides(Model):
    """What a submission changes of its job definition."""

    resourceRequirements: Annotated[Many[ResourceRequirement], Field(max_length=3)] = ()

    command: ContainerSettings = None
    environment: ContainerSettings = None

    @model_validator(mode="after")
    def _checked(self) -> Self:
        _each_type_once(self.resourceRequirements)
        return self

    def applied_to(self, resources: Resources) -> Resources:
        """The definition's resources with the overridden ones replaced."""
        given = {requirement.type: requirement.value for requirement in self.resourceRequirements}
        return Resources(
            given.get("VCPU", resources.vcpus),
            given.get("MEMORY", resources.memory_mib),
            given.get("GPU", resources.gpus),
        )


class ContainerProperties(Model):
    """The container of a job definition: its image and what it needs."""

    image: Annotated[Text, Field(min_length=1)]
    resourceRequirements: Annotated[Many[ResourceRequirement], Field(max_length=3)] = ()
    vcpus: Vcpus | None = Field(None, description="Old style; resourceRequirements wins.")
    memory: MemoryMiB | None = Field(None, description="Old style, MiB; resourceRequirements wins.")

    command: ContainerSettings = None
    environment: ContainerSettings = None
    user: ContainerSettings = None
    privileged: ContainerSettings = None
    readonlyRootFilesystem: ContainerSettings = None
    enableExecuteCommand: ContainerSettings = None
    linuxParameters: ContainerSettings = None
    ulimits: ContainerSettings = None
    runtimePlatform: ContainerSettings = None
    volumes: Storage = None
    mountPoints: Storage = None
    ephemeralStorage: Storage = None
    jobRoleArn: Access = None
    executionRoleArn: Access = None
    secrets: Access = None
    repositoryCredentials: Access = None
    logConfiguration: Logging = None
    networkConfiguration: Network = None
    instanceType: Unbuilt = None
    fargatePlatformConfiguration: Unbuilt = None

    @model_validator(mode="after")
    def _says_what_it_needs(self) -> Self:
        _each_type_once(self.resourceRequirements)
        given = {requirement.type for requirement in self.resourceRequirements}
        for kind, old in (("VCPU", self.vcpus), ("MEMORY", self.memory)):
            if kind not in given and old is None:
                raise MismatchError(
                    f"a {kind} requirement",
                    hint=f"add {{type: {kind}, value: ...}} to resourceRequirements",
                    place=("resourceRequirements",),
                )
        return self

    def resources(self) -> Resources:
        """vCPUs, MiB and GPUs of a job of this definition."""
        old_style = Resources(self.vcpus or 1, self.memory or 4, 0)
        return ContainerOverrides(resourceRequirements=self.resourceRequirements).applied_to(old_style)


def _pattern_check(allowed: re.Pattern[str], expected: str) -> BeforeValidator:
    def check(value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str) or not 1 <= len(value) <= _LONGEST_PATTERN:
            raise MismatchError(expected)
        if not allowed.fullmatch(value):
            raise MismatchError(expected, message="Evaluate on exit condition contains restricted characters")
        return value

    return BeforeValidator(check)


ReasonPattern = Annotated[
    str,
    _pattern_check(_REASON_PATTERN, "letters, digits, '.', ':' and spaces, with at most one * at the end"),
]
ExitCodePattern = Annotated[str, _pattern_check(_EXIT_CODE_PATTERN, "digits, with at most one * at the end")]


def _upper(value: Any) -> Any:
    return value.upper() if isinstance(value, str) and len(value) <= LONGEST_QUANTITY else value


class EvaluateOnExit(Model):
    """One rule of a retry strategy: all the patterns given must match [spec 1.4]."""

    onStatusReason: ReasonPattern | None = None
    onReason: ReasonPattern | None = None
    onExitCode: ExitCodePattern | None = None
    action: Annotated[Literal["RETRY", "EXIT"], BeforeValidator(_upper)]


class RetryStrategy(Model):
    """How often a job may be tried, and which failures end it at once [spec 1.3, 1.4]."""

    attempts: Annotated[int, Field(ge=1, le=10), integral] = 1
    evaluateOnExit: Annotated[Many[EvaluateOnExit], Field(max_length=5)] = ()

    @model_validator(mode="after")
    def _rules_need_attempts(self) -> Self:
        if self.evaluateOnExit and "attempts" not in self.model_fields_set:
            raise MismatchError("attempts beside evaluateOnExit", place=("attempts",), missing=True)
        return self


class JobTimeout(Model):
    """A limit on the duration of each attempt, counted from RUNNING [spec 1.7]."""

    attemptDurationSeconds: Annotated[int, Field(ge=60, le=2**31 - 1), integral]


class JobDefinition(Model):
    """A job definition of one container on EC2."""

    jobDefinitionName: SafeName
    type: Literal["container"] = "container"
    revision: Annotated[int, Field(ge=1, le=2**31 - 1), integral] = 1
    status: Literal["ACTIVE", "INACTIVE"] = "ACTIVE"
    containerProperties: ContainerProperties
    retryStrategy: RetryStrategy = RetryStrategy()
    timeout: JobTimeout | None = None
    platformCapabilities: Annotated[Many[Literal["EC2"]], Field(max_length=1)] = ("EC2",)

    jobDefinitionArn: Identity = None
    containerOrchestrationType: Literal["ECS"] | None = None
    tags: Identity = None
    propagateTags: Identity = None
    parameters: Identity = None
    schedulingPriority: FairShare = None
    nodeProperties: Unbuilt = None
    eksProperties: Unbuilt = None
    ecsProperties: Unbuilt = None
    consumableResourceProperties: Unbuilt = None
    resourceRetentionPolicy: Identity = None
