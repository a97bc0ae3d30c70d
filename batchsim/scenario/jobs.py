"""The workload: what is submitted, when, and what really happens to it. Ours: AWS has no such thing."""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    model_validator,
)

from .changes import CancelJobs, ConsumableResourceUpdate, TerminateJobs
from .consumables import ConsumableResourceProperties
from .containers import ContainerOverrides
from .definitions import Parameters, Priority
from .distributions import Arrivals, Distribution
from .metadata import Identity
from .noderanges import NodeRange, parse_node_range
from .nodes import NodeOverrides
from .outcomes import CapacityFailures, Failure, OnSigterm, StartFailures
from .pods import EksPropertiesOverride
from .policies import Shares
from .retries import ExitCode, JobTimeout, RetryStrategy, ServiceRetryStrategy
from .services import ServiceInstanceType
from .tasks import EcsPropertiesOverride
from .updates import UpdateEvent
from .values import (
    ARN_PREFIX,
    AwsName,
    Duration,
    FilePath,
    ImageSize,
    Many,
    ManyPlain,
    MismatchError,
    Model,
    SafeName,
    Size,
    Text,
    integral,
    last_component,
    matching,
    sized,
)

MAX_JOBS = 10_000_000
"""Jobs of one scenario [reliability: limits]; a run refuses more before it draws any."""
MOST_DEPENDENCIES = 20
SMALLEST_ARRAY, LARGEST_ARRAY = 2, 10_000

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


def _is_node_range(text: str) -> str:
    parse_node_range(text)
    return text


NodeRangeText = Annotated[str, AfterValidator(_is_node_range)]


class MixItem(Model):
    """One kind of job in a mix; what it leaves out is taken from the workload entry."""

    weight: Annotated[float, Field(gt=0, le=1e9)]
    jobDefinition: DefinitionReference
    runtime: Distribution | None = None
    imageSize: ImageSize | None = None
    failure: Failure | None = None


def _array_size(size: Any) -> Any:
    if isinstance(size, int) and not SMALLEST_ARRAY <= size <= LARGEST_ARRAY:
        small = size < SMALLEST_ARRAY
        raise MismatchError(
            f"{SMALLEST_ARRAY} to {LARGEST_ARRAY:,} children",
            hint="without array it is a plain job" if small else "count submits as many arrays as you like",
        )
    return size


class ArrayProperties(Model):
    """Makes each job an array of so many children [spec 1.10]."""

    size: Annotated[int, Field(ge=SMALLEST_ARRAY, le=LARGEST_ARRAY), BeforeValidator(_array_size), integral]


class Dependency(Model):
    """What must have SUCCEEDED before a job can start [spec 1.9].

    Without a type: every job of another workload entry. N_TO_N: child i waits for child i of each
    array of that entry. SEQUENTIAL: child i of an array waits for child i-1 of the same.
    """

    group: SafeName | None = None
    type: Literal["N_TO_N", "SEQUENTIAL"] | None = None

    @model_validator(mode="after")
    def _group_or_own(self) -> Self:
        if self.type == "SEQUENTIAL" and self.group is not None:
            raise MismatchError(
                message="SEQUENTIAL orders the children of the job's own array",
                hint="remove it",
                place=("group",),
            )
        if self.type != "SEQUENTIAL" and self.group is None:
            raise MismatchError("the name of a workload entry", place=("group",), missing=True)
        return self


def _not_too_many(dependencies: Any) -> Any:
    if isinstance(dependencies, list) and len(dependencies) > MOST_DEPENDENCIES:
        raise MismatchError(
            f"at most {MOST_DEPENDENCIES} entries",
            hint="put the jobs it waits for into arrays or fewer entries, or wait for a job that waits",
        )
    return dependencies


class AnyJobs(Model):
    """What all submissions have in common."""

    name: SafeName
    jobQueue: AwsName
    failure: Failure | None = None
    exitCodes: Annotated[ManyPlain[ExitCode], Field(min_length=1, max_length=10)] | None = Field(
        None, description="What attempt 1, 2, ... leave; the last repeats."
    )
    reasons: Annotated[ManyPlain[Text], Field(max_length=10)] = Field(
        (), description="The container's reasons beside exitCodes, such as OutOfMemoryError: ..."
    )
    shareIdentifier: Shares | None = None

    tags: Identity = None
    propagateTags: Identity = None

    @model_validator(mode="after")
    def _outcome_said_once(self) -> Self:
        if self.exitCodes is not None and self.failure is not None:
            raise MismatchError(message="the exitCodes already say which attempts fail", place=("failure",))
        if len(self.reasons) > len(self.exitCodes or ()):
            raise MismatchError("no more reasons than exitCodes", place=("reasons",))
        return self


class Submission(AnyJobs):
    """What generated jobs and jobs of a trace have in common.

    `retryStrategy` and `timeout` replace those of the job definition, they are not merged [spec 1.3].
    """

    imageSize: ImageSize | None = None
    startFailures: StartFailures | None = None
    onSigterm: OnSigterm = OnSigterm()
    retryStrategy: RetryStrategy | None = None
    timeout: JobTimeout | None = None
    parameters: Parameters = Field({}, description="Values of Ref::name in the command.")
    schedulingPriorityOverride: Priority | None = None
    dependsOn: Annotated[
        Many[Dependency], Field(max_length=MOST_DEPENDENCIES), BeforeValidator(_not_too_many)
    ] = ()
    consumableResourcePropertiesOverride: ConsumableResourceProperties | None = None


class _Arriving(Model):
    """Jobs drawn one by one: `count` of them, or those that arrive `until` a time, or the fewer."""

    count: Annotated[int, Field(ge=1, le=MAX_JOBS), integral] | None = None
    until: Duration | None = None
    arrivals: Arrivals

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


class GeneratedJobs(_Arriving, Submission):
    """Jobs drawn from distributions; `count` is of SubmitJob calls, each with the children of its array."""

    jobDefinition: DefinitionReference | None = None
    mix: Annotated[Many[MixItem], Field(min_length=1, max_length=1000)] | None = None
    runtime: Distribution | None = None
    containerRuntimes: dict[SafeName, Distribution] = Field(
        {}, description="By container of a multi-container job or pod; the others take `runtime`."
    )
    nodeRuntimes: dict[NodeRangeText, Distribution] = Field(
        {}, description="By node or range of nodes, the inner range wins; the others take `runtime`."
    )
    array: ArrayProperties | None = None
    arrayProperties: ArrayProperties | None = None
    containerOverrides: ContainerOverrides | None = None
    ecsPropertiesOverride: EcsPropertiesOverride | None = None
    eksPropertiesOverride: EksPropertiesOverride | None = None
    nodeOverrides: NodeOverrides | None = None

    @model_validator(mode="after")
    def _one_kind_of_job(self) -> Self:
        if (self.jobDefinition is None) == (self.mix is None):
            said = "none of them" if self.mix is None else "both"
            raise MismatchError("exactly one of jobDefinition and mix", message=f"there is {said}")
        if self.array is not None and self.arrayProperties is not None:
            raise MismatchError(message="array already says the size", place=("arrayProperties",))
        return self

    @model_validator(mode="after")
    def _every_job_has_a_runtime(self) -> Self:
        lacking = [index for index, item in enumerate(self.mix or ()) if item.runtime is None]
        if self.runtime is None and (lacking or self.mix is None):
            hint = None if self.mix is None else f"mix item {lacking[0]} has none of its own"
            raise MismatchError("a runtime", hint=hint, place=("runtime",), missing=True)
        return self

    @property
    def array_size(self) -> int | None:
        """Children of each job; None: the jobs are no arrays."""
        properties = self.array or self.arrayProperties
        return None if properties is None else properties.size

    def node_runtimes(self) -> dict[str, NodeRange]:
        """The keys of `nodeRuntimes` as ranges of nodes."""
        return {text: parse_node_range(text) for text in self.nodeRuntimes}

    def definitions(self) -> tuple[str, ...]:
        """References of the job definitions: of each item of the mix, or the only one."""
        return tuple(item.jobDefinition for item in self.mix or ()) or (self.jobDefinition or "",)


class Trace(Model):
    """A log of real jobs, replayed.

    `from` and `to` choose by the log's own submit times, before `scaleArrivals` multiplies them;
    `limit` counts the jobs that are used. The tasks of a workflow (wfformat) are all submitted at `start`.
    """

    format: Literal["swf", "wfformat"]
    path: FilePath = Field(description="Relative to the scenario file.")
    scaleArrivals: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    limit: Annotated[int, Field(ge=1, le=MAX_JOBS), integral] | None = None
    from_: Duration | None = Field(None, alias="from")
    to: Duration | None = None
    start: Duration = 0
    memoryPerVcpu: Annotated[Size, sized(1, 10_000_000)] | None = Field(
        None, description="Where the log does not say; absent: assumptions.traceMemoryPerVcpu."
    )

    @model_validator(mode="after")
    def _window_in_order(self) -> Self:
        if self.from_ is not None and self.to is not None and self.from_ >= self.to:
            raise MismatchError("a duration above from", place=("to",))
        return self

    @model_validator(mode="after")
    def _fields_of_its_format(self) -> Self:
        foreign = {"swf": ("start",), "wfformat": ("scaleArrivals", "limit", "from_", "to")}[self.format]
        for name in foreign:
            if name in self.model_fields_set:
                key = type(self).model_fields[name].alias or name
                raise MismatchError(message=f"a trace of format {self.format} has no {key}", place=(key,))
        return self


class TraceJobs(Submission):
    """Jobs replayed from a trace; of its job definition only retries, timeout and image are taken."""

    trace: Trace
    jobDefinition: DefinitionReference | None = None

    def definitions(self) -> tuple[str, ...]:
        """The reference of the job definition, if there is one."""
        return () if self.jobDefinition is None else (self.jobDefinition,)


class ServiceResources(Model):
    """The instances of a service job: it uses `instanceCount` units of capacity [spec 1.16]."""

    instanceType: ServiceInstanceType
    instanceCount: Annotated[int, Field(ge=1, le=1_000_000), integral] = 1


class ServicePreemption(Model):
    """How often a preempted job is queued again; absent: always [spec 2.5]."""

    preemptionRetriesBeforeTermination: Annotated[int, Field(ge=0, le=1_000_000), integral] | None = None


class ServiceJobs(_Arriving, AnyJobs):
    """SageMaker Training jobs: SubmitServiceJob calls."""

    serviceJobType: Literal["SAGEMAKER_TRAINING"] = "SAGEMAKER_TRAINING"
    resourceConfig: ServiceResources
    runtime: Distribution
    quotaShareName: AwsName | None = None
    schedulingPriority: Priority = 0
    retryStrategy: ServiceRetryStrategy = ServiceRetryStrategy(attempts=1)
    timeoutConfig: JobTimeout | None = None
    preemptionConfiguration: ServicePreemption = ServicePreemption()
    capacityFailures: CapacityFailures = CapacityFailures()


_KINDS: dict[str, type[Model]] = {
    "trace": TraceJobs,
    "resourceConfig": ServiceJobs,
    "cancel": CancelJobs,
    "terminate": TerminateJobs,
    "updateConsumableResource": ConsumableResourceUpdate,
    "update": UpdateEvent,
}
_GENERATED = "<generated>"
ENTRY_KINDS: dict[str, type[Model]] = {
    _GENERATED: GeneratedJobs,
    **{f"<{key}>": model for key, model in _KINDS.items()},
}
"""How pydantic names the kind of a workload entry in the location of an error."""


def _kind_of_entry(entry: Any) -> str:
    if not isinstance(entry, dict):
        return next((tag for tag, model in ENTRY_KINDS.items() if type(entry) is model), _GENERATED)
    return next((f"<{key}>" for key in _KINDS if key in entry), _GENERATED)


Jobs = GeneratedJobs | TraceJobs | ServiceJobs
Event = CancelJobs | TerminateJobs | ConsumableResourceUpdate | UpdateEvent
WorkloadEntry = Annotated[
    Annotated[GeneratedJobs, Tag(_GENERATED)]
    | Annotated[TraceJobs, Tag("<trace>")]
    | Annotated[ServiceJobs, Tag("<resourceConfig>")]
    | Annotated[CancelJobs, Tag("<cancel>")]
    | Annotated[TerminateJobs, Tag("<terminate>")]
    | Annotated[ConsumableResourceUpdate, Tag("<updateConsumableResource>")]
    | Annotated[UpdateEvent, Tag("<update>")],
    Discriminator(_kind_of_entry),
]
