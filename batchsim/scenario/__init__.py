"""What a user writes: the models of a scenario, and how one is read.

The models' attributes are spelt as in the file, which spells AWS's fields as AWS does. Durations are
stored as int microseconds, sizes as int MiB (image sizes as int bytes), rates as float per second.
"""

from __future__ import annotations

from .assumptions import Assumption, Assumptions, assumption_table
from .changes import CancelJobs, ConsumableResourceUpdate, Target, TerminateJobs, parse_target
from .consumables import ConsumableResource, ConsumableResourceProperties
from .containers import ContainerOverrides, ContainerProperties, ResourceRequirement, Resources
from .definitions import JobDefinition, substituted
from .distributions import (
    Arrivals,
    AtOnce,
    Distribution,
    Empirical,
    Every,
    Exponential,
    Gamma,
    Hourly,
    Lognormal,
    Poisson,
    Uniform,
)
from .effective import effective_definition
from .environments import (
    ComputeEnvironment,
    ComputeResources,
    EksConfiguration,
    Machine,
    Platform,
    UpdatePolicy,
)
from .jobs import (
    MAX_JOBS,
    MOST_DEPENDENCIES,
    ArrayProperties,
    Dependency,
    Event,
    GeneratedJobs,
    Jobs,
    MixItem,
    ServiceJobs,
    Submission,
    Trace,
    TraceJobs,
    WorkloadEntry,
)
from .loading import load_scenario, parse_scenario, with_overrides
from .noderanges import NodeRange
from .nodes import NodeGroup, NodeOverrides, NodeProperties, NodeRangeProperty
from .outcomes import CapacityFailures, Failure, OnSigterm, StartFailures
from .pods import EksProperties, PodResources
from .policies import FairsharePolicy, QuotaSharePolicy, SchedulingPolicy, ShareAttributes
from .problems import ScenarioProblems
from .queues import ComputeEnvironmentOrder, JobQueue, JobStateTimeLimitAction
from .retries import EvaluateOnExit, JobTimeout, RetryStrategy, ServiceRetryStrategy
from .scenario import Scenario
from .schema import json_schema
from .services import CapacityLimit, QuotaShare, ServiceEnvironment
from .tasks import EcsProperties, TaskContainer
from .updates import Applied, Update, UpdateEvent, applied_updates

__all__ = [
    "MAX_JOBS",
    "MOST_DEPENDENCIES",
    "Applied",
    "ArrayProperties",
    "Arrivals",
    "Assumption",
    "Assumptions",
    "AtOnce",
    "CancelJobs",
    "CapacityFailures",
    "CapacityLimit",
    "ComputeEnvironment",
    "ComputeEnvironmentOrder",
    "ComputeResources",
    "ConsumableResource",
    "ConsumableResourceProperties",
    "ConsumableResourceUpdate",
    "ContainerOverrides",
    "ContainerProperties",
    "Dependency",
    "Distribution",
    "EcsProperties",
    "EksConfiguration",
    "EksProperties",
    "Empirical",
    "EvaluateOnExit",
    "Event",
    "Every",
    "Exponential",
    "Failure",
    "FairsharePolicy",
    "Gamma",
    "GeneratedJobs",
    "Hourly",
    "JobDefinition",
    "JobQueue",
    "JobStateTimeLimitAction",
    "JobTimeout",
    "Jobs",
    "Lognormal",
    "Machine",
    "MixItem",
    "NodeGroup",
    "NodeOverrides",
    "NodeProperties",
    "NodeRange",
    "NodeRangeProperty",
    "OnSigterm",
    "Platform",
    "PodResources",
    "Poisson",
    "QuotaShare",
    "QuotaSharePolicy",
    "ResourceRequirement",
    "Resources",
    "RetryStrategy",
    "Scenario",
    "ScenarioProblems",
    "SchedulingPolicy",
    "ServiceEnvironment",
    "ServiceJobs",
    "ServiceRetryStrategy",
    "ShareAttributes",
    "StartFailures",
    "Submission",
    "Target",
    "TaskContainer",
    "TerminateJobs",
    "Trace",
    "TraceJobs",
    "Uniform",
    "Update",
    "UpdateEvent",
    "UpdatePolicy",
    "WorkloadEntry",
    "applied_updates",
    "assumption_table",
    "effective_definition",
    "json_schema",
    "load_scenario",
    "parse_scenario",
    "parse_target",
    "substituted",
    "with_overrides",
]
