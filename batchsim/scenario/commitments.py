"""What has been committed to: a Savings Plan and Reserved Instances, paid for by the hour, used or not."""

from typing import Annotated

from pydantic import Field

from .values import InstanceTypeName, Many, Model, integral

Discount = Annotated[float, Field(gt=0, lt=1)]


class SavingsPlan(Model):
    """A Compute Savings Plan: so many USD an hour, for which usage is had at a discount."""

    commitment: Annotated[float, Field(gt=0, le=1_000_000)] = Field(
        description="USD an hour, as AWS's own field; paid for every hour that the run has begun."
    )
    discount: Discount = Field(description="1 - the plan's rate / the On-Demand price: 0.28 is 28 % off.")
    fargateDiscount: Discount | None = Field(
        None, description="The same for On-Demand Fargate tasks; absent: the plan does not cover them."
    )


class ReservedInstances(Model):
    """Reserved Instances of one type; upfront payments are spread over the term, as amortized cost is."""

    instanceType: InstanceTypeName
    instanceCount: Annotated[int, Field(ge=1, le=100_000), integral] = 1
    discount: Discount = Field(description="1 - the effective hourly rate / the On-Demand price.")


class Commitments(Model):
    """Discounts on On-Demand usage, applied hour by hour: Reserved Instances first, then the Savings Plan.

    Not on Spot, volumes, or machines of unmanaged environments. Reserved Instances are of exactly their type.
    """

    savingsPlan: SavingsPlan | None = None
    reservedInstances: Annotated[Many[ReservedInstances], Field(max_length=1000)] = ()
