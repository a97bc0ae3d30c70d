"""Service environments and quota shares: what SageMaker Training queues run on [spec 1.16, 2.5]."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from .metadata import Identity
from .values import AwsName, Many, MismatchError, Model, SafeName, State, integral, matching

NUM_INSTANCES = "NUM_INSTANCES"
SERVICE_JOBS_NOT_MODELLED = (
    "Prices of SageMaker instances are not modelled: service jobs are not part of the cost.",
    "Checkpoints are not modelled: a service job that was preempted begins its training anew.",
)

_TYPE = r"ml\.[a-z0-9-]+\.[a-z0-9-]+"
ServiceInstanceType = Annotated[
    str, matching(f"^{_TYPE}$", "an instance type of SageMaker such as ml.m5.large", 64)
]
CapacityUnit = Annotated[
    str,
    matching(f"^({_TYPE}|{NUM_INSTANCES})$", f"{NUM_INSTANCES} or an instance type such as ml.m5.large", 64),
]
Capacity = Annotated[int, Field(ge=0, le=1_000_000), integral]


class CapacityLimit(Model):
    """How much runs at once: instances in all (NUM_INSTANCES), or instances of one type."""

    maxCapacity: Capacity
    capacityUnit: CapacityUnit = NUM_INSTANCES


class ServiceEnvironment(Model):
    """Where service jobs run."""

    serviceEnvironmentName: SafeName
    serviceEnvironmentType: Literal["SAGEMAKER_TRAINING"] = "SAGEMAKER_TRAINING"
    state: State = "ENABLED"
    capacityLimits: Annotated[Many[CapacityLimit], Field(min_length=1, max_length=10)]

    serviceEnvironmentArn: Identity = None
    status: Identity = None
    tags: Identity = None

    @model_validator(mode="after")
    def _each_unit_once(self) -> Self:
        check_units(self.capacityLimits)
        return self


def check_units(limits: tuple[CapacityLimit, ...]) -> None:
    """Raises MismatchError for a unit given twice, and for a total beside limits of types."""
    units = [limit.capacityUnit for limit in limits]
    for index, unit in enumerate(units):
        place = ("capacityLimits", index, "capacityUnit")
        if unit in units[:index]:
            raise MismatchError(message=f"{unit} has a limit already", place=place)
        if unit == NUM_INSTANCES and len(units) > 1:
            raise MismatchError(message="a total stands alone, or each type has its own limit", place=place)


class ResourceSharing(Model):
    """What a quota share does with idle capacity; `borrowLimit` is percent of its own, -1 no limit."""

    strategy: Literal["RESERVE", "LEND", "LEND_AND_BORROW"]
    borrowLimit: Annotated[int, Field(ge=-1, le=1_000_000), integral] = -1

    @model_validator(mode="after")
    def _only_borrowers_have_a_limit(self) -> Self:
        if (
            "borrowLimit" in self.model_fields_set
            and self.strategy != "LEND_AND_BORROW"
            and self.borrowLimit != -1
        ):
            raise MismatchError(
                message=f"a share that does {self.strategy} borrows nothing",
                hint="use LEND_AND_BORROW, or remove borrowLimit",
                place=("borrowLimit",),
            )
        return self


class QuotaSharePreemption(Model):
    """Whether jobs of a share may preempt others of the same share, by priority."""

    inSharePreemption: State = "DISABLED"


class QuotaShare(Model):
    """A virtual queue inside a service queue, with capacity of its own [spec 2.5]."""

    quotaShareName: SafeName
    jobQueue: AwsName | None = None
    jobQueueArn: AwsName | None = Field(None, description="The same, as describe-quota-share gives it.")
    state: State = "ENABLED"
    capacityLimits: Annotated[Many[CapacityLimit], Field(min_length=1, max_length=5)]
    resourceSharingConfiguration: ResourceSharing = ResourceSharing(strategy="RESERVE")
    preemptionConfiguration: QuotaSharePreemption = QuotaSharePreemption()

    quotaShareArn: Identity = None
    status: Identity = None
    tags: Identity = None

    @model_validator(mode="after")
    def _checked(self) -> Self:
        check_units(self.capacityLimits)
        if (self.jobQueue is None) == (self.jobQueueArn is None):
            said = "none of them" if self.jobQueue is None else "both"
            raise MismatchError("exactly one of jobQueue and jobQueueArn", message=f"there is {said}")
        return self

    @property
    def queue(self) -> str:
        """The name of the job queue."""
        return self.jobQueue or self.jobQueueArn or ""
