"""The workload: what is submitted, when, and what really happens to it. Ours: AWS has no such thing."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, WithJsonSchema, model_validator

from .definitions import ContainerOverrides, JobTimeout, RetryStrategy
from .distributions import Arrivals, Distribution
from .metadata import Identity, Unbuilt
from .values import (
    ARN_PREFIX,
    AwsName,
    Duration,
    FilePath,
    ImageSize,
    Many,
    MismatchError,
    Model,
    SafeName,
    Size,
    integral,
    last_component,
    matching,
    sized,
)

MAX_JOBS = 10_000_000
"""Jobs of one scenario [reliability: limits]; a run refuses more before it draws any."""

# A name, name:revision or either as an ARN [spec 1.14].
_REFERENCE = "[A-Za-z0-9_][A-Za-z0-9_.-]*(:[1-9][0-9]{0,9})?"
DefinitionReference = Annotated[
    str,
    matching(f"^{_REFERENCE}$", "a name, or name:revision", 140),
    BeforeValidator(last_component),
    WithJsonSchema(
        {"title": "Job definition", "type": "string", "pattern": f"^({ARN_PREFIX})?{_REFERENCE}$"}
    ),
]


class Failure(Model):
    """Attempts that fail by themselves: each with probability `rate`, leaving `exitCode`."""

    rate: Annotated[float, Field(ge=0, le=1)]
    exitCode: Annotated[int, Field(ge=1, le=255), integral] = 1


class MixItem(Model):
    """One kind of job in a mix; what it leaves out is taken from the workload entry."""

    weight: Annotated[float, Field(gt=0, le=1e9)]
    jobDefinition: DefinitionReference
    runtime: Distribution | None = None
    imageSize: ImageSize | None = None
    failure: Failure | None = None


class _Submission(Model):
    """What generated jobs and jobs of a trace have in common.

    `retryStrategy` and `timeout` replace those of the job definition, they are not merged [spec 1.3].
    """

    name: SafeName
    jobQueue: AwsName
    imageSize: ImageSize | None = None
    failure: Failure | None = None
    retryStrategy: RetryStrategy | None = None
    timeout: JobTimeout | None = None

    tags: Identity = None
    propagateTags: Identity = None
    parameters: Identity = None
    shareIdentifier: Unbuilt = None
    schedulingPriorityOverride: Unbuilt = None
    arrayProperties: Unbuilt = None
    dependsOn: Unbuilt = None
    nodeOverrides: Unbuilt = None
    eksPropertiesOverride: Unbuilt = None
    ecsPropertiesOverride: Unbuilt = None
    consumableResourcePropertiesOverride: Unbuilt = None


class GeneratedJobs(_Submission):
    """Jobs drawn from distributions: `count` of them, or those that arrive `until` a time, or the fewer."""

    jobDefinition: DefinitionReference | None = None
    mix: Annotated[Many[MixItem], Field(min_length=1, max_length=1000)] | None = None
    count: Annotated[int, Field(ge=1, le=MAX_JOBS), integral] | None = None
    until: Duration | None = None
    arrivals: Arrivals
    runtime: Distribution | None = None
    containerOverrides: ContainerOverrides | None = None

    @model_validator(mode="after")
    def _one_kind_of_job(self) -> Self:
        if (self.jobDefinition is None) == (self.mix is None):
            said = "none of them" if self.mix is None else "both"
            raise MismatchError("exactly one of jobDefinition and mix", message=f"there is {said}")
        return self

    @model_validator(mode="after")
    def _every_job_has_a_runtime(self) -> Self:
        lacking = [index for index, item in enumerate(self.mix or ()) if item.runtime is None]
        if self.runtime is None and (lacking or self.mix is None):
            hint = None if self.mix is None else f"mix item {lacking[0]} has none of its own"
            raise MismatchError("a runtime", hint=hint, place=("runtime",), missing=True)
        return self

    @model_validator(mode="after")
    def _arrivals_end(self) -> Self:
        kind = self.arrivals.kind
        if kind == "times":
            if self.count is not None:
                raise MismatchError(message="the times already say how many jobs there are", place=("count",))
        elif kind == "atOnce":
            if self.count is None:
                raise MismatchError("a count beside atOnce", place=("count",), missing=True)
        elif self.count is None and self.until is None:
            raise MismatchError(
                "count, until or both", message=f"{kind} arrivals would never end", place=("arrivals",)
            )
        return self


class Trace(Model):
    """A log of real jobs, replayed.

    `from` and `to` choose by the log's own submit times, before `scaleArrivals` multiplies them;
    `limit` counts the jobs that are used.
    """

    format: Literal["swf"]
    path: FilePath = Field(description="Relative to the scenario file.")
    scaleArrivals: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    limit: Annotated[int, Field(ge=1, le=MAX_JOBS), integral] | None = None
    from_: Duration | None = Field(None, alias="from")
    to: Duration | None = None
    memoryPerVcpu: Annotated[Size, sized(1, 10_000_000)] | None = Field(
        None, description="Where the log does not say; absent: assumptions.traceMemoryPerVcpu."
    )

    @model_validator(mode="after")
    def _window_in_order(self) -> Self:
        if self.from_ is not None and self.to is not None and self.from_ >= self.to:
            raise MismatchError("a duration above from", place=("to",))
        return self


class TraceJobs(_Submission):
    """Jobs replayed from a trace; of its job definition only retries, timeout and image are taken."""

    trace: Trace
    jobDefinition: DefinitionReference | None = None


def _kind_of_entry(entry: Any) -> str:
    is_trace = "trace" in entry if isinstance(entry, dict) else isinstance(entry, TraceJobs)
    return _TRACE if is_trace else _GENERATED


_GENERATED, _TRACE = "<generated>", "<trace>"
ENTRY_KINDS: dict[str | int, type[Model]] = {_GENERATED: GeneratedJobs, _TRACE: TraceJobs}
"""How pydantic names the kind of a workload entry in the location of an error."""

WorkloadEntry = Annotated[
    Annotated[GeneratedJobs, Tag(_GENERATED)] | Annotated[TraceJobs, Tag(_TRACE)],
    Discriminator(_kind_of_entry),
]
