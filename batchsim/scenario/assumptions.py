"""The assumptions: every number that AWS does not publish, by name, with its source.

Each is declared once, in `Assumptions`, with its value in each preset, its unit, the section of the
behaviour specification it comes from, and a sentence. `assumption_table` gives them as data.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from .assumed import MARK, Preset, assumed
from .distributions import Distribution
from .market import FARGATE, AccountQuotas, Availabilities, Prices, Shortages, Zones
from .unbuilt import is_unbuilt
from .values import (
    Bandwidth,
    Duration,
    ImageSize,
    InstanceTypeName,
    ManyPlain,
    MismatchError,
    Model,
    Rate,
    SafeName,
    Size,
    VolumeSize,
    integral,
    sized,
)

Chance = Annotated[float, Field(ge=0, le=1)]
Probability = Annotated[float, Field(ge=0, le=0.99)]


class Assumptions(Model):
    """All assumptions with their values: those given, and the preset's for the others.

    `preset: aws` holds the recommended defaults; `preset: ideal` sets every delay to zero and memory
    to nominal, for theory, traces and oracles. `preset: measured` differs from `aws` in start-up times:
    they add up to the few whole starts that were measured, 262 to 448 s on AWS Batch and 294 s (median
    of 100) on AWS ParallelCluster, where those of `aws` add up to about 150 s. `aws` is the default all
    the same, since single stages of `measured` are the remainder that makes the sum right.
    """

    preset: Preset = Field("aws", description="Where values come from that are not given.")

    schedulingInterval: Duration = assumed(
        "1s", 0, "time", "[spec 5.3]", "Time between two passes of the scheduler; 0 means at each event."
    )
    scalingInterval: Duration = assumed(
        "30s",
        0,
        "time",
        "[spec 5.3]",
        "Time between two scaling decisions; 0 means at each event.",
        measured="1s",
    )
    submitEvaluation: Duration = assumed(
        "1s", 0, "time", "[spec 5.3]", "Time from SUBMITTED to RUNNABLE of a job without dependencies."
    )
    dispatchDelay: Duration = assumed(
        "1s",
        0,
        "time",
        "[spec 5.3]",
        "Time from the decision to place a job to STARTING.",
        measured="8s",
    )
    containerStart: Distribution = assumed(
        "2s",
        0,
        "time",
        "[spec 5.3]",
        "Time from the image being present to RUNNING.",
        measured={"lognormal": {"median": "2s", "p95": "6s"}},
    )
    capacityReaction: Distribution = assumed(
        {"uniform": {"low": "5s", "high": "60s"}},
        0,
        "time",
        "[spec 5.3]",
        "Time from a scaling decision to the launch request.",
        measured={"lognormal": {"median": "170s", "p95": "320s"}},
    )
    instanceLaunch: Distribution = assumed(
        {"lognormal": {"median": "20s", "p95": "60s"}},
        0,
        "time",
        "[spec 5.2, 5.3]",
        "Time from the launch request to the instance running, when billing starts.",
        measured={"lognormal": {"median": "30s", "p95": "46s"}},
    )
    instanceRegistration: Distribution = assumed(
        {"lognormal": {"median": "60s", "p95": "150s"}},
        0,
        "time",
        "[spec 5.3]",
        "Time from the instance running to its container agent being registered.",
        measured={"lognormal": {"median": "46s", "p95": "111s"}},
    )
    imagePullRate: Bandwidth = assumed(
        100,
        0,
        "MB/s",
        "[spec 5.3]",
        "Compressed image bytes pulled, 10^6 a second; 0 means instantly.",
        measured=35,
    )
    imageSize: ImageSize = assumed(
        "500MB", 0, "bytes", "[spec 5.3]", "Compressed size of an image where the workload does not say."
    )
    imagePullSpread: Annotated[float, Field(ge=0, le=5)] = assumed(
        0,
        0,
        "fraction",
        "[spec 5.3]",
        "How far the times of pulls scatter: the standard deviation of their logarithm, of a lognormal.",
        measured=0.515,
    )
    imagePullSharing: Literal["none", "instance"] = assumed(
        "none",
        "none",
        "choice",
        "[spec 5.1, 5.3]",
        "Whether each pull has that rate, or all pulls of an instance share it, as Docker pulls three layers"
        " at a time per host.",
        measured="instance",
    )
    imagePullNetwork: Literal["burst", "baseline", "none"] = assumed(
        "burst",
        "burst",
        "choice",
        "[AWS EC2 user guide: Amazon EC2 instance network bandwidth]",
        "Which bandwidth of an instance's network all its pulls together never exceed: that to which it may"
        " burst, which AWS grants from its launch on for 5 to 60 minutes, or its baseline; machines that the"
        " scenario describes have none.",
    )
    registryBandwidth: Bandwidth = assumed(
        0,
        0,
        "MB/s",
        "[spec 5.3]",
        "What a registry gives to all image pulls of the run together, by max-min fairness; 0 means any"
        " number, since AWS publishes none.",
    )
    launchCooloff: Duration = assumed(
        "180s", 0, "time", "[spec 3.4]", "Time for which a type that could not be launched is left alone."
    )
    insufficientCapacity: Chance | dict[InstanceTypeName, Chance] = assumed(
        0,
        0,
        "fraction",
        "[spec 3.4]",
        "Probability that EC2 has no capacity for a launch, or numbers by type or family; 1: it never has.",
    )
    availabilityZones: Zones = assumed(
        [],
        [],
        "zones",
        "[spec 3.5]",
        "Names of the zones in which instances are launched, in random order; empty: one without a name.",
    )
    neverRegisters: Annotated[ManyPlain[SafeName], Field(max_length=1000)] = assumed(
        [],
        [],
        "environments",
        "[spec 3.5]",
        "Compute environments whose instances never join the cluster, for want of a network or a role, say.",
    )
    invalidAfter: Duration = assumed(
        "1h", 0, "time", "[spec 3.5]", "Time from its first launch until such an environment is INVALID."
    )
    capacityShortages: Shortages = assumed(
        [], [], "rules", "[spec 3.4]", "When EC2 has no capacity, by type, zone and time of day."
    )
    placementGroupShortage: Probability = assumed(
        0,
        0,
        "fraction",
        "[spec 1.11]",
        "Probability that a cluster placement group has no room for a launch, beside other shortages.",
    )
    accountQuotas: AccountQuotas = assumed(
        {},
        {},
        "vCPU",
        "[spec 3.10]",
        "vCPUs of On-Demand and Spot instances, or Fargate tasks, that the account may run, by family;"
        " absent: any number.",
    )
    spotAvailability: Availabilities = assumed(
        [], [], "traces", "[spec 3.8]", "Recorded numbers of Spot instances that there are of a pool."
    )
    spotPrices: Prices = assumed(
        [], [], "traces", "[spec 3.4]", "Recorded Spot prices, in place of the catalogue's."
    )
    spotPriceFactor: Annotated[float, Field(gt=0, le=1)] = assumed(
        0.36,
        0.36,
        "fraction",
        "[spec 3.4]",
        "Spot price of a type that the catalogue has no Spot price of; the median of those that it has.",
    )
    spotInterruptions: Literal["day", "month"] | Rate = assumed(
        "day",
        0,
        "1/s",
        "[spec 3.8]",
        "How often an instance is interrupted; day, month: with the probability of its Advisor band"
        " within so long.",
    )
    spotInterruptionBand: Annotated[int, Field(ge=0, le=4), integral] = assumed(
        2, 2, "choice", "[spec 3.8]", "Advisor band of types of which none is known: 0 below 5%, 4 above 20%."
    )
    spotCorrelation: Annotated[float, Field(ge=0, le=1)] = assumed(
        0,
        0,
        "fraction",
        "[spec 3.8]",
        "Part of the interruptions that take all instances of a type at once.",
    )
    fargateProvisioning: Distribution = assumed(
        {"lognormal": {"median": "20s", "p95": "45s"}},
        0,
        "time",
        "[spec 5.1, 5.3]",
        "Time from a task's launch to its image being pulled, when billing starts.",
        measured={"lognormal": {"median": "25s", "p95": "45s"}},
    )
    fargatePullRate: Bandwidth = assumed(
        60,
        0,
        "MB/s",
        "[spec 5.3]",
        "As imagePullRate, of tasks, each of which pulls its images anew.",
        measured=13,
    )
    fargatePullSpread: Annotated[float, Field(ge=0, le=5)] = assumed(
        0, 0, "fraction", "[spec 5.3]", "As imagePullSpread, of tasks.", measured=0.375
    )
    fargateLaunchRate: Rate = assumed(
        "20/s",
        0,
        "1/s",
        "[spec 4.3]",
        "Tasks launched for good, On-Demand and Spot each; 0 means any number.",
    )
    fargateLaunchBurst: Annotated[int, Field(ge=1, le=1_000_000), integral] = assumed(
        100, 100, "tasks", "[spec 4.3]", "Tasks that may be launched at once before that rate holds."
    )
    fargateTaskLifetime: Duration = assumed(
        "14d",
        0,
        "time",
        "[spec 1.7, 4.2]",
        "Time after which a Fargate task is terminated, which AWS says may happen; 0 means never.",
    )
    fargateSpotFactor: Annotated[float, Field(gt=0, le=1)] = assumed(
        0.3, 0.3, "fraction", "[spec 4.4]", "Price of a Fargate Spot task as a part of the usual price."
    )
    instanceVolume: VolumeSize = assumed(
        0,
        0,
        "MiB",
        "[spec 8.1]",
        "EBS volume of each instance that AWS Batch launches, 30GiB with an ECS AMI; a GB is a GiB.",
    )
    volumePrice: Annotated[float, Field(ge=0, le=100)] = assumed(
        0.08,
        0.08,
        "USD/GB-month",
        "[spec 8.1]",
        "Price of these volumes; 0.08 is gp3 in us-east-1. A month has 730 hours.",
    )
    managedInstancesFee: Annotated[float, Field(ge=0, le=10)] = assumed(
        0.12,
        0.12,
        "fraction",
        "[AWS samples: ECS Managed Instances pricing calculator]",
        "What ECS takes for each of its Managed Instances, as a part of the On-Demand price.",
    )
    eksClusterPrice: Annotated[float, Field(ge=0, le=100)] = assumed(
        0.1,
        0.1,
        "USD/hour",
        "[AWS containers blog: Amazon EKS extended support pricing]",
        "Price of each EKS cluster, paid all the time; 0.6 in extended support, 0 to leave it out.",
    )
    spotNotice: Duration = assumed(
        "120s", "120s", "time", "[spec 3.8, 5.3]", "Time from the interruption notice to the loss."
    )
    idleScaleIn: Duration = assumed(
        "120s", 0, "time", "[spec 3.8, 5.3]", "Time an instance stays idle before it is terminated."
    )
    speedFactors: dict[SafeName, Annotated[float, Field(ge=0.01, le=100)]] = assumed(
        {},
        {},
        "factor",
        "[measured]",
        "How many times as fast jobs run on an instance type or family, or on fargate; 1 where nothing is"
        " said.",
    )
    sizeTiebreak: Literal["largest_not_exceeding_demand", "smallest_fitting"] = assumed(
        "largest_not_exceeding_demand",
        "largest_not_exceeding_demand",
        "choice",
        "[spec 3.4]",
        "Which size is launched among instance types of equal price per vCPU.",
    )
    backfill: Literal["none", "greedy", "easy"] = assumed(
        "none",
        "none",
        "choice",
        "[spec 2.3, 2.7]",
        "Whether jobs behind a queue's head may start while the head cannot.",
    )
    estimate: Literal["exact", "requested"] = assumed(
        "exact",
        "exact",
        "choice",
        "[spec 2.3]",
        "What EASY backfilling takes for the duration of a job: the real one, or the one its user stated.",
    )
    fairShareModel: Literal["finished", "cdk"] = assumed(
        "finished",
        "finished",
        "choice",
        "[spec 2.4]",
        "Whether the usage of running jobs counts in full, or decays as that of finished ones does.",
    )
    wildcardSplit: bool = assumed(
        True,
        True,
        "choice",
        "[spec 2.4]",
        "Whether the shares that one wildcard matches divide its allocation among them.",
    )
    submitJobRate: Rate = assumed(
        "50/s", 0, "1/s", "[spec 5.4]", "SubmitJob calls that an account may make; 0 means any number."
    )
    submitServiceJobRate: Rate = assumed(
        "5/s", 0, "1/s", "[spec 1.16]", "SubmitServiceJob calls that an account may make; 0 means any number."
    )
    trainingPending: Distribution = assumed(
        "120s",
        0,
        "time",
        "[spec 1.16, 8.5]",
        "Time in SCHEDULED until SageMaker has the instances of a service job, or says that it has none.",
    )
    trainingDownload: Distribution = assumed(
        "60s",
        0,
        "time",
        "[spec 1.16, 8.5]",
        "Time in STARTING of a service job, in which data and images are downloaded.",
    )
    trainingStop: Duration = assumed(
        "20s",
        0,
        "time",
        "[spec 2.5, 8.5]",
        "Time until a service job in RUNNING that is stopped or preempted has ended; at most 120 s on AWS.",
    )
    startFailureConsumesAttempt: bool = assumed(
        True,
        True,
        "choice",
        "[spec 1.3]",
        "Whether an attempt that fails before RUNNING counts as one.",
    )
    evaluateOnExitLimit: Literal[5, 6] = assumed(
        5, 5, "rules", "[spec 1.4]", "How many rules a retry strategy may have; AWS's own pages disagree."
    )
    memoryModel: Literal["registered", "fitted", "nominal"] = assumed(
        "registered",
        "nominal",
        "choice",
        "[spec 3.6]",
        "Memory an instance offers: observed (else a cautious formula), a fitted formula, or all of it.",
    )
    eksMaxPods: Literal["interfaces"] | Annotated[int, Field(ge=1, le=1000), integral] = assumed(
        "interfaces",
        "interfaces",
        "pods",
        "[spec 1.12]",
        "Pods for each of which an EKS node keeps 11 MiB; interfaces: as many as the network interfaces of"
        " most sizes have addresses for: 8 with 1 vCPU, 29 with 2, 58 up to 8, 234 up to 48, then 737.",
    )
    traceMemoryPerVcpu: Annotated[Size, sized(1, 10_000_000)] = assumed(
        "4MiB", "4MiB", "MiB", "[spec 1.14]", "Memory per vCPU of a trace's job where the log does not say."
    )
    stopGrace: Duration = assumed(
        "30s", "30s", "time", "[spec 1.7]", "Time from SIGTERM to SIGKILL of a container that is stopped."
    )

    @model_validator(mode="after")
    def _refusals_end(self) -> Self:
        """What is refused for certain must not be asked for again at the same instant."""
        certain = ("capacityShortages", "spotAvailability", "spotPrices")
        given = [name for name in certain if getattr(self, name)]
        if {*self.accountQuotas.onDemand, *self.accountQuotas.spot} - {FARGATE}:  # which keeps jobs waiting
            given.append("accountQuotas")
        if given and not self.launchCooloff:
            raise MismatchError(
                "a launchCooloff above 0",
                message=f"{given[0]} may refuse launches for as long as it likes",
                hint="180s is the value of preset aws",
                place=("launchCooloff",),
                missing="launchCooloff" not in self.model_fields_set,
            )
        return self

    def resolved(self) -> Self:
        """The same values, all counted as given, so that a dump shows every one that has an effect."""
        return self.model_copy(update={name: value for name, value in self if _has_effect(name)})


def _has_effect(name: str) -> bool:
    return not is_unbuilt([Assumptions.__name__], name)


@dataclass(frozen=True, slots=True)
class Assumption:
    """One assumption as data; `aws`, `measured` and `ideal` are written as in a scenario file."""

    name: str
    aws: Any
    measured: Any
    ideal: Any
    unit: str
    source: str
    sentence: str


def assumption_table() -> tuple[Assumption, ...]:
    """All assumptions that have an effect, in the order they are declared."""
    extras = {name: field.json_schema_extra for name, field in Assumptions.model_fields.items()}
    return tuple(
        Assumption(name=name, **extra[MARK])  # type: ignore[arg-type]
        for name, extra in extras.items()
        if isinstance(extra, dict) and _has_effect(name)
    )
