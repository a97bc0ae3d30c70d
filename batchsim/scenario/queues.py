"""Job queues, spelt as `describe-job-queues` spells them."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from .metadata import Identity, Unbuilt
from .values import AwsName, Many, MismatchError, Model, SafeName, State, integral


class ComputeEnvironmentOrder(Model):
    """One environment of a queue; lower `order` is tried first."""

    order: Annotated[int, Field(ge=0, le=1_000_000), integral]
    computeEnvironment: AwsName = Field(description="The environment's name or ARN.")


class JobQueue(Model):
    """A job queue: higher `priority` is served first, one to three compute environments [spec 2.1]."""

    jobQueueName: SafeName
    state: State = "ENABLED"
    priority: Annotated[int, Field(ge=0, le=9999), integral] = 1
    computeEnvironmentOrder: Annotated[Many[ComputeEnvironmentOrder], Field(min_length=1, max_length=3)]

    jobQueueArn: Identity = None
    jobQueueType: Literal["ECS"] | None = None
    status: Identity = None
    statusReason: Identity = None
    tags: Identity = None
    schedulingPolicyArn: Unbuilt = None
    jobStateTimeLimitActions: Unbuilt = None
    serviceEnvironmentOrder: Unbuilt = None

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

    def environments(self) -> tuple[str, ...]:
        """Names of the queue's compute environments, first choice first."""
        ordered = sorted(self.computeEnvironmentOrder, key=lambda item: item.order)
        return tuple(item.computeEnvironment for item in ordered)
