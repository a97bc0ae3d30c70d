"""Compute environments, spelt as `describe-compute-environments` spells them."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from batchsim.units import format_duration

from .managedinstances import ManagedInstancesProvider
from .metadata import Access, Identity, MachineImage, Network
from .unbuilt import is_empty
from .values import (
    Duration,
    InstanceTypeName,
    Many,
    ManyPlain,
    MismatchError,
    Model,
    SafeName,
    Size,
    State,
    Text,
    VolumeSize,
    integral,
    matching,
    sized,
)

_FOREIGN_PARTS = {
    "MANAGED": ("instances", "unmanagedvCpus"),
    "UNMANAGED": ("computeResources", "instanceVolume"),
}


class Machine(Model):
    """Machines of an unmanaged environment: an EC2 instance type, or vCPUs and memory as described."""

    instanceType: InstanceTypeName | None = None
    vcpus: Annotated[int, Field(ge=1, le=10_000), integral] | None = None
    memory: Annotated[Size, sized(4, 100_000_000)] | None = None
    gpus: Annotated[int, Field(ge=0, le=10_000), integral] = 0
    name: SafeName | None = None
    count: Annotated[int, Field(ge=1, le=100_000), integral] = 1
    usdPerHour: Annotated[float, Field(ge=0, le=1_000_000)] | None = Field(
        None,
        description="Price of one; absent: the catalogue's for an instanceType, 0 for a described machine.",
    )
    joinsAfter: Duration = Field(
        0, description="From the run's beginning until it registers with the environment."
    )
    leavesAfter: Duration | None = Field(
        None,
        description="From the run's beginning until it is gone, with the attempts on it; absent: never.",
    )

    @model_validator(mode="after")
    def _typed_or_described(self) -> Self:
        described = [name for name in ("vcpus", "memory", "gpus") if name in self.model_fields_set]
        if self.instanceType is not None and described:
            raise MismatchError(
                message=f"instanceType already says the {described[0]}",
                hint=f"leave out either instanceType or {' and '.join(described)}",
                place=(described[0],),
            )
        if self.instanceType is None and (self.vcpus is None or self.memory is None):
            raise MismatchError("instanceType, or vcpus and memory", message="this machine is not described")
        return self

    @model_validator(mode="after")
    def _leaves_after_it_joins(self) -> Self:
        if self.leavesAfter is not None and self.leavesAfter <= self.joinsAfter:
            raise MismatchError(
                f"more than joinsAfter = {format_duration(self.joinsAfter)}", place=("leavesAfter",)
            )
        return self


Platform = Literal["ECS", "ECS_FARGATE", "ECS_MANAGED_INSTANCES", "EKS"]
Strategy = Literal[
    "BEST_FIT",
    "BEST_FIT_PROGRESSIVE",
    "BEST_FIT_PROGRESSIVE_ORDERED",
    "SPOT_CAPACITY_OPTIMIZED",
    "SPOT_CAPACITY_OPTIMIZED_PRIORITIZED",
    "SPOT_PRICE_CAPACITY_OPTIMIZED",
]
_ONLY_FOR = {
    "BEST_FIT_PROGRESSIVE_ORDERED": "EC2",
    "SPOT_CAPACITY_OPTIMIZED": "SPOT",
    "SPOT_CAPACITY_OPTIMIZED_PRIORITIZED": "SPOT",
    "SPOT_PRICE_CAPACITY_OPTIMIZED": "SPOT",
}
# Of Fargate, and of ECS Managed Instances.
_ONLY_OF_EC2 = (
    "minvCpus",
    "desiredvCpus",
    "instanceTypes",
    "allocationStrategy",
    "bidPercentage",
    "scalingPolicy",
    "imageId",
    "launchTemplate",
    "ec2KeyPair",
    "ec2Configuration",
    "instanceRole",
    "placementGroup",
    "spotIamFleetRole",
    "tags",
)
_MOST_OF_FARGATE = {"subnets": 16, "securityGroupIds": 5}
_SHORTEST_DELAY_MINUTES = 20
_LONGEST_TIMEOUT_MINUTES = 7200

VCpus = Annotated[int, Field(ge=0, le=100_000_000), integral]
InstanceTypes = Annotated[ManyPlain[InstanceTypeName], Field(min_length=1, max_length=1000)]
PlacementGroup = Annotated[
    Annotated[str, matching(r"^[ -~]{0,255}$", "the name of a placement group", 255)] | None,
    Field(description="A cluster placement group: all its instances are in one Availability Zone."),
]
BidPercentage = Annotated[int, Field(ge=0, le=100), integral]


class UpdatePolicy(Model):
    """What becomes of running jobs when an infrastructure update replaces their instances.

    [API-2026: UpdatePolicy]; before, the timeout was at most 360 [spec 3.8].
    """

    terminateJobsOnUpdate: bool = Field(default=False, description="At once, whatever the timeout is.")
    jobExecutionTimeoutMinutes: Annotated[int, Field(ge=1, le=_LONGEST_TIMEOUT_MINUTES), integral] = 30


class ScalingPolicy(Model):
    """How long an instance that has run jobs is kept when it is idle."""

    minScaleDownDelayMinutes: Annotated[int, Field(ge=0, le=10_080), integral] = Field(
        default=0,
        description="20 to 10080, from the end of its last job; 0: assumptions.idleScaleIn, as for others.",
    )

    @model_validator(mode="after")
    def _not_too_short(self) -> Self:
        if 0 < self.minScaleDownDelayMinutes < _SHORTEST_DELAY_MINUTES:
            raise MismatchError(
                f"{_SHORTEST_DELAY_MINUTES} or more, or 0 for no delay", place=("minScaleDownDelayMinutes",)
            )
        return self


class ComputeResources(Model):
    """What AWS Batch may launch for a managed environment."""

    type: Literal["EC2", "SPOT", "FARGATE", "FARGATE_SPOT", "ECS_MANAGED_INSTANCES"]
    allocationStrategy: Strategy = Field(
        "BEST_FIT", description="Which instance types are launched; absent: BEST_FIT, as in AWS's API."
    )
    minvCpus: VCpus = 0
    maxvCpus: VCpus
    desiredvCpus: VCpus | None = Field(
        None, description="vCPUs there at the start, between minvCpus and maxvCpus; absent: minvCpus."
    )
    instanceTypes: InstanceTypes = ("optimal",)

    managedInstancesProvider: ManagedInstancesProvider | None = Field(
        None, description="Of ECS_MANAGED_INSTANCES, which has it in place of instance types and minvCpus."
    )

    subnets: Network = None
    securityGroupIds: Network = None
    placementGroup: PlacementGroup = None
    instanceRole: Access = None
    ec2KeyPair: Access = None
    imageId: MachineImage = None
    launchTemplate: MachineImage = None
    ec2Configuration: MachineImage = None
    spotIamFleetRole: Access = None
    bidPercentage: BidPercentage | None = Field(
        None,
        description="Of SPOT: types whose Spot price is not below this part of On-Demand are left out;"
        " absent: 100.",
    )
    tags: Identity = None
    scalingPolicy: ScalingPolicy = ScalingPolicy()

    @model_validator(mode="after")
    def _vcpus_in_order(self) -> Self:
        if self.minvCpus > self.maxvCpus:
            raise MismatchError(f"at most maxvCpus = {self.maxvCpus}", place=("minvCpus",))
        if self.desiredvCpus is not None and not self.minvCpus <= self.desiredvCpus <= self.maxvCpus:
            raise MismatchError(
                f"a number between minvCpus = {self.minvCpus} and maxvCpus = {self.maxvCpus}",
                place=("desiredvCpus",),
            )
        return self

    @model_validator(mode="after")
    def _as_its_type_allows(self) -> Self:
        self._check_provider()
        if self.is_managed_instances:
            self._check_nothing_of_ec2("ECS Managed Instances")
            return self
        if self.is_fargate:
            self._check_nothing_of_ec2("Fargate")
            for name, most in _MOST_OF_FARGATE.items():
                given = getattr(self, name)
                if isinstance(given, list) and len(given) > most:
                    raise MismatchError(f"at most {most} of them on Fargate", place=(name,))
            return self
        only = _ONLY_FOR.get(self.allocationStrategy, self.type)
        if only != self.type:
            raise MismatchError(
                message=f"{self.allocationStrategy} is for type {only}",
                hint="use BEST_FIT_PROGRESSIVE"
                if self.type == "EC2"
                else "use SPOT_PRICE_CAPACITY_OPTIMIZED",
                place=("allocationStrategy",),
            )
        if self.bidPercentage and self.type == "EC2":
            raise MismatchError(
                message="bidPercentage is for type SPOT", hint="remove it", place=("bidPercentage",)
            )
        if self.bidPercentage == 0 and self.type == "SPOT":
            raise MismatchError("1 to 100", place=("bidPercentage",))
        return self

    def _check_provider(self) -> None:
        provider = self.managedInstancesProvider
        if (provider is not None) != self.is_managed_instances:
            raise MismatchError(
                f"managedInstancesProvider in an environment of type {self.type}",
                message="" if provider is None else f"it does not belong to type {self.type}",
                place=("managedInstancesProvider",),
                missing=provider is None,
            )

    def _check_nothing_of_ec2(self, what: str) -> None:
        foreign = [name for name in _ONLY_OF_EC2 if name in self.model_fields_set]
        if foreign and not is_empty(getattr(self, foreign[0])):
            raise MismatchError(
                message=f"{foreign[0]} does not belong to {what}",
                hint="remove it, or use type EC2 or SPOT",
                place=(foreign[0],),
            )

    @property
    def is_fargate(self) -> bool:
        """Whether each job gets a task of its own, and there are no instances."""
        return self.type in {"FARGATE", "FARGATE_SPOT"}

    @property
    def is_managed_instances(self) -> bool:
        """Whether ECS, not AWS Batch, chooses the instances."""
        return self.type == "ECS_MANAGED_INSTANCES"

    @property
    def on_spot(self) -> bool:
        """Whether its instances are Spot instances."""
        provider = self.managedInstancesProvider
        return self.type == "SPOT" if provider is None else provider.on_spot


class EksConfiguration(Model):
    """The cluster of an environment whose jobs are pods."""

    eksClusterArn: Text
    kubernetesNamespace: Text = "default"


class ComputeEnvironment(Model):
    """A compute environment; `computeResources` if it is managed, `instances` if it is not."""

    computeEnvironmentName: SafeName
    type: Literal["MANAGED", "UNMANAGED"]
    state: State = "ENABLED"
    computeResources: ComputeResources | None = None
    instances: Annotated[Many[Machine], Field(max_length=1000)] = Field(
        (), description="The machines of an UNMANAGED environment. Ours: AWS has no such field."
    )

    unmanagedvCpus: VCpus | None = Field(
        None, description="What an UNMANAGED environment adds to a fair-share queue's total."
    )
    instanceVolume: VolumeSize | None = Field(
        None, description="EBS volume of each instance; absent: assumptions.instanceVolume. Ours, as above."
    )
    containerOrchestrationType: Literal["ECS", "EKS"] | None = None
    eksConfiguration: EksConfiguration | None = None

    computeEnvironmentArn: Identity = None
    ecsClusterArn: Identity = None
    status: Text | None = Field(
        None,
        description="INVALID: no jobs are placed in it and nothing is launched, until an update.",
    )
    statusReason: Identity = None
    uuid: Identity = None
    tags: Identity = None
    context: Identity = None
    serviceRole: Access = None
    updatePolicy: UpdatePolicy = UpdatePolicy()

    @model_validator(mode="after")
    def _parts_of_its_type(self) -> Self:
        if self.type == "MANAGED" and self.computeResources is None:
            raise MismatchError(
                "computeResources in a MANAGED environment", place=("computeResources",), missing=True
            )
        if self.computeResources and self.computeResources.is_fargate and self.instanceVolume:
            raise MismatchError(message="Fargate tasks have no instance volume", place=("instanceVolume",))
        for name in _FOREIGN_PARTS[self.type]:
            if name in self.model_fields_set and getattr(self, name) is not None:
                raise MismatchError(
                    message=f"{name} does not belong to {self.type} environments",
                    hint="remove it, or change the environment's type",
                    place=(name,),
                )
        return self

    @model_validator(mode="after")
    def _platform_agrees(self) -> Self:
        if self.eksConfiguration is not None and self.containerOrchestrationType == "ECS":
            raise MismatchError(
                message="eksConfiguration does not belong to ECS environments", place=("eksConfiguration",)
            )
        if self.platform != "EKS":
            return self
        if self.computeResources and self.computeResources.type not in {"EC2", "SPOT"}:
            raise MismatchError(
                message="an EKS environment is of type EC2 or SPOT", place=("computeResources", "type")
            )
        if self.type == "UNMANAGED":
            raise MismatchError(
                message="an EKS environment is MANAGED", hint="change its type", place=("type",)
            )
        if self.computeResources and "allocationStrategy" not in self.computeResources.model_fields_set:
            raise MismatchError(
                "an allocationStrategy in an EKS environment",
                place=("computeResources", "allocationStrategy"),
                missing=True,
            )
        if self.computeResources and self.computeResources.allocationStrategy == "BEST_FIT":
            raise MismatchError(
                message="an EKS environment cannot use BEST_FIT",
                hint="use BEST_FIT_PROGRESSIVE",
                place=("computeResources", "allocationStrategy"),
            )
        return self

    @property
    def platform(self) -> Platform:
        """Where its jobs run, as a `jobQueueType` says it, which has no word for ECS Managed Instances."""
        resources = self.computeResources
        if resources and resources.is_managed_instances and not self.eksConfiguration:
            return "ECS_MANAGED_INSTANCES"
        if resources and resources.is_fargate and not self.eksConfiguration:
            return "ECS_FARGATE"
        return "EKS" if self.eksConfiguration or self.containerOrchestrationType == "EKS" else "ECS"
