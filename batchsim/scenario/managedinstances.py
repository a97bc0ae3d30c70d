"""What an environment of ECS Managed Instances says in place of instance types and bounds [spec 3.9].

Spelt as in AWS's API: `computeResources.managedInstancesProvider`
[UG: ecs-managed-instances-compute-environments].
"""

from typing import Annotated, Literal

from pydantic import Field

from .metadata import Access, Identity, MachineImage, Network, Storage, Unbuilt
from .values import ManyPlain, Model, integral, matching

NOT_MODELLED = (
    "That ECS moves tasks off Managed Instances which are used little is not modelled: only idle ones go."
)
"""AWS says neither when an instance is used little, nor where its tasks go [ECS API:
InfrastructureOptimization]."""

AllowedTypes = Annotated[
    ManyPlain[
        Annotated[
            str, matching(r"^[a-z0-9*][a-z0-9.*-]{0,29}$", "an instance type, or a pattern such as c6i.*", 30)
        ]
    ],
    Field(min_length=1, max_length=400),
]


class InfrastructureOptimization(Model):
    """When idle instances go."""

    scaleInAfter: Annotated[int, Field(ge=-1, le=3600), integral] | None = Field(
        default=None,
        description="Seconds that an instance may be idle; -1: for ever; absent: assumptions.idleScaleIn.",
    )


class InstanceRequirements(Model):
    """Which instance types ECS may launch."""

    allowedInstanceTypes: AllowedTypes | None = Field(
        default=None,
        description="Types, and patterns with *, of both architectures; absent: Batch's default families.",
    )


class StorageConfiguration(Model):
    """The volume of each instance."""

    storageSizeGiB: Annotated[int, Field(ge=1, le=65_536), integral] | None = None


class InstanceLaunchTemplate(Model):
    """What ECS launches."""

    capacityOptionType: Literal["ON_DEMAND", "SPOT"] = "ON_DEMAND"
    instanceRequirements: InstanceRequirements = InstanceRequirements()
    storageConfiguration: StorageConfiguration = StorageConfiguration()

    ec2InstanceProfileArn: Access = None
    networkConfiguration: Network = None
    fipsEnabled: MachineImage = None
    instanceMetadataTagsPropagation: Identity = None
    monitoring: Identity = None
    localStorageConfiguration: Storage = None
    capacityReservations: Unbuilt = None


class ManagedInstancesProvider(Model):
    """The capacity provider of an environment of ECS Managed Instances."""

    instanceLaunchTemplate: InstanceLaunchTemplate = InstanceLaunchTemplate()
    infrastructureOptimization: InfrastructureOptimization = InfrastructureOptimization()

    infrastructureRoleArn: Access = None
    propagateTags: Identity = None

    @property
    def on_spot(self) -> bool:
        return self.instanceLaunchTemplate.capacityOptionType == "SPOT"

    @property
    def allowed_types(self) -> tuple[str, ...] | None:
        """None where nothing is said: ECS names no types that it takes then, and the catalogue does."""
        return self.instanceLaunchTemplate.instanceRequirements.allowedInstanceTypes
