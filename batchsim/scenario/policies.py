"""Scheduling policies: fair share, and quota shares of service queues [spec 2.4, 2.5]."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from .metadata import Identity
from .values import Many, MismatchError, Model, SafeName, integral, matching

LONGEST_SHARE = 255
DEFAULT_WEIGHT = 1.0

ShareIdentifier = Annotated[str, matching(r"^[A-Za-z0-9]+$", "letters and digits", LONGEST_SHARE)]
_SharePattern = Annotated[
    str,
    matching(
        r"^[A-Za-z0-9]+\*?$",
        "letters and digits, at least one of them, with at most one * at the end",
        LONGEST_SHARE + 1,
    ),
]


def _one_share(given: Any) -> Any:
    if isinstance(given, dict):
        return given
    if not isinstance(given, str):
        hint = "put it in quotes" if isinstance(given, int) else None
        raise MismatchError("a share identifier, or several with weights: {identifier: weight}", hint=hint)
    return {given: 1.0}


Shares = Annotated[
    dict[ShareIdentifier, Annotated[float, Field(gt=0, le=1e9)]],
    Field(min_length=1, max_length=10_000),
    BeforeValidator(_one_share),
    WithJsonSchema(
        {
            "title": "Share identifier",
            "description": "One share identifier, or several with weights: each job draws its own.",
            "anyOf": [
                {"type": "string", "pattern": "^[A-Za-z0-9]+$"},
                {"type": "object", "additionalProperties": {"type": "number", "exclusiveMinimum": 0}},
            ],
        }
    ),
]
"""A share identifier, or {identifier: weight, ...} of which each job draws one; stored as the mapping."""


class ShareAttributes(Model):
    """The weight of a share, or of all whose identifiers begin with the text before a `*`.

    A share of lower weight gets more: 0.125 gets eight times the resources of 1.
    """

    shareIdentifier: _SharePattern
    weightFactor: Annotated[float, Field(ge=0.0001, le=999.9999)] = DEFAULT_WEIGHT

    @property
    def is_prefix(self) -> bool:
        """Whether the identifier ends with `*`."""
        return self.shareIdentifier.endswith("*")

    def matches(self, identifier: str) -> bool:
        """Whether a job's share identifier is meant."""
        if self.is_prefix:
            return identifier.startswith(self.shareIdentifier[:-1])
        return identifier == self.shareIdentifier


class FairsharePolicy(Model):
    """How a queue divides capacity among shares [spec 2.4]; a decay of 0 means AWS's 600 s."""

    shareDecaySeconds: Annotated[int, Field(ge=0, le=604_800), integral] = 0
    computeReservation: Annotated[int, Field(ge=0, le=99), integral] = 0
    shareDistribution: Annotated[Many[ShareAttributes], Field(max_length=500)] = ()

    @model_validator(mode="after")
    def _entries_do_not_overlap(self) -> Self:
        for index, each in enumerate(self.shareDistribution):
            for other in self.shareDistribution[:index]:
                if _overlap(each, other):
                    raise MismatchError(
                        message=f"{each.shareIdentifier} overlaps {other.shareIdentifier}",
                        hint="let each share identifier match one entry only",
                        place=("shareDistribution", index, "shareIdentifier"),
                    )
        return self

    def entry_of(self, identifier: str) -> ShareAttributes | None:
        """The entry that names a share identifier; None: it weighs DEFAULT_WEIGHT."""
        return next((each for each in self.shareDistribution if each.matches(identifier)), None)


def _overlap(one: ShareAttributes, other: ShareAttributes) -> bool:
    a, b = one.shareIdentifier.removesuffix("*"), other.shareIdentifier.removesuffix("*")
    return a == b or (one.is_prefix and b.startswith(a)) or (other.is_prefix and a.startswith(b))


class QuotaSharePolicy(Model):
    """Marks a policy of quota shares; idle capacity is given away in order of arrival [spec 2.5]."""

    idleResourceAssignmentStrategy: Literal["FIFO"] = "FIFO"


class SchedulingPolicy(Model):
    """A scheduling policy that job queues name; without either part it is fair share by default."""

    name: SafeName
    fairsharePolicy: FairsharePolicy | None = None
    quotaSharePolicy: QuotaSharePolicy | None = None

    arn: Identity = None
    tags: Identity = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if self.fairsharePolicy is not None and self.quotaSharePolicy is not None:
            raise MismatchError(
                message="a policy is of fair shares or of quota shares, not both",
                hint="remove one, or make a second policy of it",
                place=("quotaSharePolicy",),
            )
        return self

    def fair_share(self) -> FairsharePolicy | None:
        """The fair-share rules; None for a policy of quota shares."""
        if self.quotaSharePolicy is not None:
            return None
        return self.fairsharePolicy or FairsharePolicy()
