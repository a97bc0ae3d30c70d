"""EKS jobs: `eksProperties`, one pod a job [spec 1.12]."""

import re
from fractions import Fraction
from typing import Annotated, Any, NamedTuple, Self

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from .containers import EnvironmentVariable, Image, merged_environment
from .metadata import CONTAINER_SETTINGS, Access, ContainerSettings, Identity, Network, Storage
from .tasks import MOST_CONTAINERS, check_names
from .values import LONGEST_QUANTITY, Many, MismatchError, Model, SafeName, Text, at_place, integral

_MILLI = 1000
_STEP_MILLI = 250
_MOST_CPU_MILLI = 10_000 * _MILLI
_CPU = re.compile(r"[0-9]{1,5}(\.[0-9]{1,9})?")
_MEMORY = re.compile(r"([0-9]{1,8})Mi")
_MEMORY_LIMITS = (4, 10_000_000)


class PodResources(NamedTuple):
    """What a pod asks for; CPU in thousandths of a vCPU, as Kubernetes counts."""

    cpu_milli: int
    memory_mib: int
    gpus: int


def _cpu_milli(value: Any) -> int:
    expected = "a multiple of 0.25 CPUs from 0.25 on, such as '1.75'"
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise MismatchError(expected)
    text = str(value)
    if not _CPU.fullmatch(text):
        in_milli = text.endswith("m") and len(text) <= LONGEST_QUANTITY
        raise MismatchError(expected, hint="AWS Batch takes no thousandths (m)" if in_milli else None)
    milli = Fraction(text) * _MILLI
    if milli % _STEP_MILLI or not _STEP_MILLI <= milli <= _MOST_CPU_MILLI:
        raise MismatchError(expected)
    return int(milli)


def _memory_mib(value: Any) -> int:
    expected = "whole MiB from 4Mi on, such as '2048Mi'"
    match = _MEMORY.fullmatch(value) if isinstance(value, str) and len(value) <= LONGEST_QUANTITY else None
    if match is None or not _MEMORY_LIMITS[0] <= int(match[1]) <= _MEMORY_LIMITS[1]:
        raise MismatchError(expected)
    return int(match[1])


def _gpus(value: Any) -> Any:
    whole = isinstance(value, str) and re.fullmatch("[0-9]{1,5}", value)
    return int(value) if whole else value


Cpu = Annotated[
    int,
    BeforeValidator(_cpu_milli),
    PlainSerializer(lambda milli: f"{milli / _MILLI:g}", when_used="json"),
    WithJsonSchema(
        {
            "title": "EKS CPU",
            "anyOf": [{"type": "string", "pattern": f"^{_CPU.pattern}$"}, {"type": "number"}],
        }
    ),
]
PodMemory = Annotated[
    int,
    BeforeValidator(_memory_mib),
    PlainSerializer(lambda mib: f"{mib}Mi", when_used="json"),
    WithJsonSchema({"title": "EKS memory", "type": "string", "pattern": f"^{_MEMORY.pattern}$"}),
]
Gpus = Annotated[
    int,
    Field(ge=0, le=10_000, json_schema_extra={"type": ["string", "integer"]}),
    integral,
    BeforeValidator(_gpus),
    PlainSerializer(str, when_used="json"),
]


class EksAmounts(Model):
    """The requests or the limits of a container: CPU as int thousandths, memory as int MiB."""

    cpu: Cpu | None = None
    memory: PodMemory | None = None
    gpu: Gpus | None = Field(None, alias="nvidia.com/gpu")


class EksResources(Model):
    """What a container reserves; a request that is missing is the limit [spec 1.12]."""

    limits: EksAmounts = EksAmounts.model_construct()
    requests: EksAmounts = EksAmounts.model_construct()

    @model_validator(mode="after")
    def _requests_are_limits(self) -> Self:
        for field, name in (("memory", "memory"), ("gpu", "nvidia.com/gpu")):
            limit, request = getattr(self.limits, field), getattr(self.requests, field)
            if limit is not None and request is not None and limit != request:
                raise MismatchError(
                    f"as much {name} as in limits",
                    message=f"the {name} requested and its limit must be equal",
                    place=("requests", name),
                )
        limit, request = self.limits.cpu, self.requests.cpu
        if limit is not None and request is not None and request > limit:
            raise MismatchError("at most the cpu in limits", place=("requests", "cpu"))
        return self

    def requested(self) -> PodResources:
        """What placement counts: the requests, and the limits where there are none; 0 of the rest."""
        amounts = [
            next((each for each in pair if each is not None), 0)
            for pair in (
                (self.requests.cpu, self.limits.cpu),
                (self.requests.memory, self.limits.memory),
                (self.requests.gpu, self.limits.gpu),
            )
        ]
        return PodResources(*amounts)

    def overridden(self, change: "EksResources") -> Self:
        """These resources with each kind that the change names, as request or as limit, replaced."""
        limits, requests = dict(self.limits), dict(self.requests)
        for kind in EksAmounts.model_fields:
            new = getattr(change.limits, kind), getattr(change.requests, kind)
            if new != (None, None):
                limits[kind], requests[kind] = new
        return self.model_copy(
            update={
                "limits": EksAmounts.model_construct(**limits),
                "requests": EksAmounts.model_construct(**requests),
            }
        )


class EksContainer(Model):
    """One container of a pod."""

    name: SafeName | None = None
    image: Image
    resources: EksResources = EksResources()
    command: Annotated[Many[Text], Field(max_length=1000), CONTAINER_SETTINGS] = ()
    args: Annotated[Many[Text], Field(max_length=1000), CONTAINER_SETTINGS] = ()
    env: Annotated[Many[EnvironmentVariable], Field(max_length=1000), CONTAINER_SETTINGS] = ()

    imagePullPolicy: ContainerSettings = None
    securityContext: ContainerSettings = None
    volumeMounts: Storage = None


class EksPodProperties(Model):
    """The pod of an EKS job; init containers run one after the other before the others start."""

    containers: Annotated[Many[EksContainer], Field(min_length=1, max_length=MOST_CONTAINERS)]
    initContainers: Annotated[Many[EksContainer], Field(max_length=MOST_CONTAINERS)] = ()

    metadata: Identity = None
    serviceAccountName: Access = None
    imagePullSecrets: Access = None
    hostNetwork: Network = None
    dnsPolicy: Network = None
    shareProcessNamespace: ContainerSettings = None
    volumes: Storage = None

    @model_validator(mode="after")
    def _containers_fit(self) -> Self:
        check_names([container.name for container in self.containers])
        check_names([container.name for container in self.initContainers], "initContainers")
        own = {container.name for container in self.containers}
        for index, container in enumerate(self.initContainers):
            if container.name is not None and container.name in own:
                raise MismatchError(
                    message="this name is already taken", place=("initContainers", index, "name")
                )
        resources = self.resources()
        for kind, amount in (("cpu", resources.cpu_milli), ("memory", resources.memory_mib)):
            if not amount:
                raise MismatchError(f"a {kind} request in at least one container", place=("containers",))
        return self

    def resources(self) -> PodResources:
        """The pod's effective request, as Kubernetes defines it: per resource the sum over the
        containers, or what the largest init container asks for if that is more.
        """
        running = [container.resources.requested() for container in self.containers]
        total = PodResources(*map(sum, zip(*running, strict=True)))
        for container in self.initContainers:
            total = PodResources(*map(max, total, container.resources.requested()))
        return total


class EksProperties(Model):
    """The pod of an EKS job."""

    podProperties: EksPodProperties

    def overridden(self, override: "EksPropertiesOverride") -> Self:
        """These properties as a submission changes them; containers are found by name.

        A change without a name is of the only container. Raises MismatchError, with the place in the
        override, for a name that no container has.
        """
        update = {}
        for field in ("containers", "initContainers"):
            with at_place("podProperties", field):
                own, changes = getattr(self.podProperties, field), getattr(override.podProperties, field)
                update[field] = _overridden(own, changes)
        return self.model_copy(update={"podProperties": self.podProperties.model_copy(update=update)})

    def images(self) -> tuple[str, ...]:
        """The images of all containers, init containers first, each once."""
        pod = self.podProperties
        return tuple(dict.fromkeys(each.image for each in (*pod.initContainers, *pod.containers)))


class EksContainerOverride(Model):
    """What a submission changes of one container of a pod."""

    name: SafeName | None = None
    image: Image | None = None
    resources: EksResources | None = None
    command: Annotated[Many[Text], Field(max_length=1000), CONTAINER_SETTINGS] = ()
    args: Annotated[Many[Text], Field(max_length=1000), CONTAINER_SETTINGS] = ()
    env: Annotated[Many[EnvironmentVariable], Field(max_length=1000), CONTAINER_SETTINGS] = ()

    def applied_to(self, container: EksContainer) -> EksContainer:
        """The container with these changes."""
        resources = container.resources
        return container.model_copy(
            update={
                "image": self.image or container.image,
                "resources": resources.overridden(self.resources) if self.resources else resources,
                "command": self.command or container.command,
                "args": self.args or container.args,
                "env": merged_environment(container.env, self.env),
            }
        )


class EksPodPropertiesOverride(Model):
    """What a submission changes of a pod."""

    containers: Annotated[Many[EksContainerOverride], Field(max_length=MOST_CONTAINERS)] = ()
    initContainers: Annotated[Many[EksContainerOverride], Field(max_length=MOST_CONTAINERS)] = ()
    metadata: Identity = None

    @model_validator(mode="after")
    def _each_name_once(self) -> Self:
        check_names([container.name for container in self.containers])
        check_names([container.name for container in self.initContainers], "initContainers")
        return self


class EksPropertiesOverride(Model):
    """What a submission changes of an EKS job."""

    podProperties: EksPodPropertiesOverride


def _overridden(
    containers: tuple[EksContainer, ...], changes: tuple[EksContainerOverride, ...]
) -> tuple[EksContainer, ...]:
    by_name = {each.name: each for each in containers}
    for index, change in enumerate(changes):
        name = containers[0].name if change.name is None and len(containers) == 1 else change.name
        if name not in by_name:
            raise MismatchError(
                "the name of a container of the job definition",
                choices=[known for known in by_name if known],
                place=(index, "name"),
                missing=name is None,
            )
        by_name[name] = change.applied_to(by_name[name])
    return tuple(by_name.values())
