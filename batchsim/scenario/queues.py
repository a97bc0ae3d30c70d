"""Job queues, spelt as `describe-job-queues` spells them."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from .metadata import Identity
from .values import AwsName, Many, MismatchError, Model, SafeName, State, integral

LIMIT_REASONS = (
    "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY",
    "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE",
    "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT",
)
"""Why a job is stuck: what a time limit of a queue of compute environments can match [spec 1.17]."""
SERVICE_LIMIT_REASONS = (
    "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY",
    "MISCONFIGURATION:SERVICE_ENVIRONMENT_MAX_RESOURCE",
    "MISCONFIGURATION:QUOTA_MANAGEMENT_LIMIT_EXCEEDED",
)
"""The same for a queue of service environments."""

Priority = Annotated[int, Field(ge=0, le=9999), integral]
Order = Annotated[int, Field(ge=0, le=1_000_000), integral]


def _known_reason(value: Any) -> Any:
    known = dict.fromkeys((*LIMIT_REASONS, *SERVICE_LIMIT_REASONS))
    if not isinstance(value, str) or value not in known:
        raise MismatchError("a reason that AWS Batch detects", message="Invalid job reason", choices=known)
    return value


class ComputeEnvironmentOrder(Model):
    """One environment of a queue; lower `order` is tried first."""

    order: Order
    computeEnvironment: AwsName = Field(description="The environment's name or ARN.")


class ServiceEnvironmentOrder(Model):
    """The service environment of a queue."""

    order: Order
    serviceEnvironment: AwsName = Field(description="The environment's name or ARN.")


class JobStateTimeLimitAction(Model):
    """What happens to the head of a queue that is stuck for one reason for too long [spec 1.17]."""

    reason: Annotated[str, BeforeValidator(_known_reason)]
    state: Literal["RUNNABLE"]
    maxTimeSeconds: Annotated[int, Field(ge=600, le=86_400), integral]
    action: Literal["CANCEL", "TERMINATE"]


class JobQueue(Model):
    """A job queue: higher `priority` is served first [spec 2.1].

    It has one to three compute environments or, of type SAGEMAKER_TRAINING, one service environment.
    """

    jobQueueName: SafeName
    state: State = "ENABLED"
    priority: Priority = 1
    computeEnvironmentOrder: Annotated[Many[ComputeEnvironmentOrder], Field(max_length=3)] = ()
    serviceEnvironmentOrder: Annotated[Many[ServiceEnvironmentOrder], Field(max_length=1)] = ()
    jobQueueType: Literal["ECS", "ECS_FARGATE", "EKS", "SAGEMAKER_TRAINING"] | None = None
    schedulingPolicyArn: AwsName | None = Field(
        None, description="Name or ARN of a scheduling policy; absent: FIFO."
    )
    jobStateTimeLimitActions: Annotated[Many[JobStateTimeLimitAction], Field(max_length=100)] = ()

    jobQueueArn: Identity = None
    status: Identity = None
    statusReason: Identity = None
    tags: Identity = None

    @model_validator(mode="after")
    def _environments_of_its_type(self) -> Self:
        kinds = ("computeEnvironmentOrder", "serviceEnvironmentOrder")
        wanted, foreign = reversed(kinds) if self.is_service else kinds
        if getattr(self, foreign):
            raise MismatchError(
                message=f"{foreign} does not belong to a queue of type {self.jobQueueType or 'ECS'}",
                hint=f"a queue has {kinds[0]}, or is of type SAGEMAKER_TRAINING and has {kinds[1]}",
                place=(foreign,),
            )
        if not getattr(self, wanted):
            raise MismatchError(
                f"at least 1 entries in {wanted}",
                place=(wanted,),
                missing=wanted not in self.model_fields_set,
            )
        return self

    @model_validator(mode="after")
    def _each_place_once(self) -> Self:
        for field in ("order", "computeEnvironment"):
            seen: set[object] = set()
            for index, item in enumerate(self.computeEnvironmentOrder):
                value = getattr(item, field)
                if value in seen:
                    raise MismatchError(
                        message=f"this {field} stands twice in the queue",
                        hint=f"give each entry its own {field}",
                        place=("computeEnvironmentOrder", index, field),
                    )
                seen.add(value)
        return self

    @model_validator(mode="after")
    def _limits_of_its_type(self) -> Self:
        action = "TERMINATE" if self.is_service else "CANCEL"
        reasons = SERVICE_LIMIT_REASONS if self.is_service else LIMIT_REASONS
        for index, each in enumerate(self.jobStateTimeLimitActions):
            place = ("jobStateTimeLimitActions", index)
            if each.action != action:
                raise MismatchError(f"{action} in a queue of this type", place=(*place, "action"))
            if each.reason not in reasons:
                raise MismatchError(
                    "a reason of a queue of this type", choices=reasons, place=(*place, "reason")
                )
            if each.reason in [other.reason for other in self.jobStateTimeLimitActions[:index]]:
                raise MismatchError(message="this reason has an action already", place=(*place, "reason"))
        return self

    @property
    def is_service(self) -> bool:
        """Whether it takes service jobs: a queue of type SAGEMAKER_TRAINING."""
        return self.jobQueueType == "SAGEMAKER_TRAINING"

    def environments(self) -> tuple[str, ...]:
        """Names of the queue's compute environments, first choice first; none of a service queue."""
        ordered = sorted(self.computeEnvironmentOrder, key=lambda item: item.order)
        return tuple(item.computeEnvironment for item in ordered)
