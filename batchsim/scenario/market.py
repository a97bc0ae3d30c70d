"""What EC2 has to offer during a run: shortages, account quotas, recorded Spot capacity and prices.

Ours: AWS has no such things in its API. All are parts of the assumptions.
"""

import datetime as dt
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from .values import (
    Duration,
    FilePath,
    InstanceTypeName,
    Many,
    ManyPlain,
    MismatchError,
    Model,
    integral,
    matching,
)

HOURS = 24

ZoneName = Annotated[str, matching(r"^[a-z0-9][a-z0-9-]*$", "an Availability Zone such as us-east-1a", 32)]
FARGATE = "Fargate"
QuotaFamily = Literal[
    "Standard", "G and VT", "P", "P5", "F", "X", "High Memory", "HPC", "Inf", "DL", "Trn", "Fargate"
]
"""The families that share a quota; P5 is one of its own for Spot instances only; Fargate is that of tasks."""
VCpuQuotas = dict[QuotaFamily, Annotated[int, Field(ge=0, le=100_000_000), integral]]

_Chance = Annotated[float, Field(ge=0, le=1)]


class _OfPools(Model):
    """Something about pools: types or families, and zones; absent: all."""

    instanceTypes: Annotated[ManyPlain[InstanceTypeName], Field(max_length=1000)] = ()
    zones: Annotated[ManyPlain[ZoneName], Field(max_length=20)] = ()


class Shortage(_OfPools):
    """When EC2 has no capacity for launches: with a probability, by the hour of the day, or as recorded."""

    type: Literal["EC2", "SPOT"] | None = Field(None, description="Absent: On-Demand and Spot instances.")
    probability: _Chance | None = None
    hourly: Annotated[ManyPlain[_Chance], Field(min_length=HOURS, max_length=HOURS)] | None = Field(
        None, description="Probabilities of the hours 0 to 23."
    )
    startHour: Annotated[int, Field(ge=0, le=HOURS - 1), integral] = Field(
        0, description="What o'clock it is, sharp, when the run begins."
    )
    trace: FilePath | None = Field(
        None, description="CSV with at_s and probability, which holds until the next row."
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        given = [name for name in ("probability", "hourly", "trace") if getattr(self, name) is not None]
        if len(given) != 1:
            said = " and ".join(given) or "none of them"
            raise MismatchError("exactly one of probability, hourly and trace", message=f"there is {said}")
        if self.hourly is None and "startHour" in self.model_fields_set:
            raise MismatchError(message="startHour belongs to hourly", hint="remove it", place=("startHour",))
        return self


class AccountQuotas(Model):
    """vCPUs of running instances and tasks that the account may have, by family; absent: any number."""

    onDemand: VCpuQuotas = Field(default_factory=dict)
    spot: VCpuQuotas = Field(default_factory=dict)

    @model_validator(mode="after")
    def _families(self) -> Self:
        if "P5" in self.onDemand:
            raise MismatchError(
                message="On-Demand P5 instances are of the family P", hint="use P", place=("onDemand", "P5")
            )
        return self


class SpotAvailability(_OfPools):
    """How many Spot instances of a pool there are, as recorded; each type and zone is a pool of its own.

    When there are fewer than run, those that came last to the pool are interrupted.
    """

    trace: FilePath = Field(
        description="JSON with metadata.gap_seconds and data; or CSV with at_s and instances, or of"
        " milliseconds, add or remove, and a name."
    )
    scale: Annotated[int, Field(ge=1, le=100_000), integral] = Field(
        1, description="Instances for which each recorded one stands."
    )
    start: Duration = Field(0, description="Where in the trace the run begins; after its end the last holds.")


def _instant(value: Any) -> dt.datetime:
    try:
        at = dt.datetime.fromisoformat(str(value))
        return at.replace(tzinfo=dt.UTC) if at.tzinfo is None else at.astimezone(dt.UTC)
    except (ValueError, OverflowError):  # the latter at the edges of the calendar
        raise MismatchError("a date such as 2024-06-10, or a time such as 2024-06-10T08:00Z") from None


def _instant_text(at: dt.datetime) -> str:
    whole_day = at.time() == dt.time.min
    return at.date().isoformat() if whole_day else at.isoformat().replace("+00:00", "Z")


Instant = Annotated[
    dt.datetime,
    BeforeValidator(_instant),
    PlainSerializer(_instant_text, when_used="json"),
    WithJsonSchema({"type": "string", "anyOf": [{"format": "date"}, {"format": "date-time"}]}),
]


class SpotPrices(Model):
    """Prices that move, as recorded, of types and zones that no trace before it has."""

    trace: FilePath = Field(
        description="JSON as aws ec2 describe-spot-price-history prints it; or CSV with instance_type,"
        " usd_per_hour, and at_s or date; where it has them, region and zone. A price holds until the next of"
        " its type and zone."
    )
    begin: Instant | None = Field(
        None,
        description="The date (at 00:00) or the time in UTC at which the run begins; for traces with date,"
        " and for AWS's. Unless it is said, that of the first trace that says one; without any, AWS's traces"
        " take the first instant at which each type and zone of the Spot environments has a price in them.",
    )


def quota_family(instance_type: str, *, spot: bool) -> str:
    """The family by whose quota an instance type is limited [AWS: EC2 service quotas]."""
    family = instance_type.partition(".")[0]
    letters = family.rstrip("-").split("-")[0]
    for prefixes, name in _PREFIXES:
        if letters.startswith(prefixes):
            if name == "P" and spot and letters.startswith("p5"):
                return "P5"
            return name
    return "Standard"


_PREFIXES: tuple[tuple[tuple[str, ...], str], ...] = (
    (("hpc",), "HPC"),
    (("inf",), "Inf"),
    (("trn",), "Trn"),
    (("dl",), "DL"),
    (("u",), "High Memory"),
    (("g", "vt"), "G and VT"),
    (("p",), "P"),
    (("f",), "F"),
    (("x",), "X"),
)
assert {name for _, name in _PREFIXES} < set(get_args(QuotaFamily))

Shortages = Annotated[Many[Shortage], Field(max_length=1000)]
Availabilities = Annotated[Many[SpotAvailability], Field(max_length=1000)]
Prices = Annotated[Many[SpotPrices], Field(max_length=1000)]
Zones = Annotated[ManyPlain[ZoneName], Field(max_length=20)]
