"""Consumable resources: account-wide counters that jobs lock while they run [spec 1.15]."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from .metadata import Identity
from .values import AwsName, Many, MismatchError, Model, SafeName, integral

LARGEST_QUANTITY = 10**12
Quantity = Annotated[int, Field(ge=0, le=LARGEST_QUANTITY), integral]


class ConsumableResource(Model):
    """A counter; what jobs take of a NON_REPLENISHABLE one they do not give back."""

    consumableResourceName: SafeName
    totalQuantity: Quantity
    resourceType: Literal["REPLENISHABLE", "NON_REPLENISHABLE"] = "REPLENISHABLE"

    consumableResourceArn: Identity = None
    inUseQuantity: Identity = None
    availableQuantity: Identity = None
    createdAt: Identity = None
    tags: Identity = None


class ConsumableResourceRequirement(Model):
    """How much of a consumable resource one job, or one node of it, locks."""

    consumableResource: AwsName = Field(description="The resource's name or ARN.")
    quantity: Annotated[int, Field(ge=1, le=LARGEST_QUANTITY), integral]


class ConsumableResourceProperties(Model):
    """The consumable resources of a job; a job definition names at most five [spec 1.15]."""

    consumableResourceList: Annotated[Many[ConsumableResourceRequirement], Field(max_length=5)] = ()

    @model_validator(mode="after")
    def _each_resource_once(self) -> Self:
        names = [each.consumableResource for each in self.consumableResourceList]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise MismatchError(
                    message=f"{name} is required twice",
                    hint="require the sum once",
                    place=("consumableResourceList", index, "consumableResource"),
                )
        return self

    def quantities(self) -> dict[str, int]:
        """Resource name -> quantity."""
        return {each.consumableResource: each.quantity for each in self.consumableResourceList}

    def overridden(self, override: "ConsumableResourceProperties | None") -> Self:
        """These requirements with the overridden resources replaced, others added."""
        if override is None:
            return self
        by_name = {
            each.consumableResource: each
            for each in (*self.consumableResourceList, *override.consumableResourceList)
        }
        return self.model_copy(update={"consumableResourceList": tuple(by_name.values())})
