"""What a user writes: the models of a scenario, and how one is read.

The models' attributes are spelt as in the file, which spells AWS's fields as AWS does. Durations are
stored as int microseconds, sizes as int MiB (image sizes as int bytes), rates as float per second.
"""

from __future__ import annotations

from .assumptions import Assumption, Assumptions, assumption_table
from .definitions import (
    ContainerOverrides,
    ContainerProperties,
    EvaluateOnExit,
    JobDefinition,
    JobTimeout,
    ResourceRequirement,
    Resources,
    RetryStrategy,
)
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
from .environments import ComputeEnvironment, ComputeResources, Machine
from .jobs import MAX_JOBS, Failure, GeneratedJobs, MixItem, Trace, TraceJobs, WorkloadEntry
from .loading import load_scenario, parse_scenario
from .problems import ScenarioProblems
from .queues import ComputeEnvironmentOrder, JobQueue
from .scenario import Scenario
from .schema import json_schema

__all__ = [
    "MAX_JOBS",
    "Arrivals",
    "Assumption",
    "Assumptions",
    "AtOnce",
    "ComputeEnvironment",
    "ComputeEnvironmentOrder",
    "ComputeResources",
    "ContainerOverrides",
    "ContainerProperties",
    "Distribution",
    "Empirical",
    "EvaluateOnExit",
    "Every",
    "Exponential",
    "Failure",
    "Gamma",
    "GeneratedJobs",
    "Hourly",
    "JobDefinition",
    "JobQueue",
    "JobTimeout",
    "Lognormal",
    "Machine",
    "MixItem",
    "Poisson",
    "ResourceRequirement",
    "Resources",
    "RetryStrategy",
    "Scenario",
    "ScenarioProblems",
    "Trace",
    "TraceJobs",
    "Uniform",
    "WorkloadEntry",
    "assumption_table",
    "json_schema",
    "load_scenario",
    "parse_scenario",
]
