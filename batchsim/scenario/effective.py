"""What a job really is: its job definition with what the submission changes of it."""

from typing import Any

from .definitions import JobDefinition
from .jobs import GeneratedJobs, TraceJobs
from .values import MismatchError, at_place

_OVERRIDE_OF = {
    "containerProperties": "containerOverrides",
    "ecsProperties": "ecsPropertiesOverride",
    "eksProperties": "eksPropertiesOverride",
    "nodeProperties": "nodeOverrides",
}


def effective_definition(definition: JobDefinition, entry: GeneratedJobs | TraceJobs) -> JobDefinition:
    """The definition of the jobs that a workload entry submits, every override applied [spec 1.14].

    Parameters, environment variables, resource requirements and consumable resources are overridden one
    by one; retry strategy and timeout are replaced [spec 1.3]. Raises MismatchError, with the place in
    the entry, for overrides that the definition does not allow: a scenario that was read has none.
    """
    update: dict[str, Any] = {
        "parameters": {**definition.parameters, **entry.parameters},
        "retryStrategy": entry.retryStrategy or definition.retryStrategy,
        "timeout": entry.timeout or definition.timeout,
    }
    if entry.schedulingPriorityOverride is not None:
        update["schedulingPriority"] = entry.schedulingPriorityOverride
    if entry.consumableResourcePropertiesOverride is not None:
        with at_place("consumableResourcePropertiesOverride"):
            if definition.kind == "multinode":
                raise MismatchError(
                    message="the nodes of a multi-node job have consumable resources of their own",
                    hint="override them in nodeOverrides.nodePropertyOverrides",
                )
        update["consumableResourceProperties"] = definition.consumableResourceProperties.overridden(
            entry.consumableResourcePropertiesOverride
        )
    if isinstance(entry, GeneratedJobs):
        update |= _parts(definition, entry)
    effective = definition.model_copy(update=update)
    effective.check_whole_vcpus()
    return effective


def _parts(definition: JobDefinition, entry: GeneratedJobs) -> dict[str, Any]:
    """The one part that says what the jobs are, if the entry changes it."""
    parts = {}
    for part, field in _OVERRIDE_OF.items():
        own, change = getattr(definition, part), getattr(entry, field)
        if change is None:
            continue
        with at_place(field):
            if own is None:
                suitable = next(_OVERRIDE_OF[name] for name in _OVERRIDE_OF if getattr(definition, name))
                raise MismatchError(
                    message=f"the job definition {definition.jobDefinitionName} has no {part}",
                    hint=f"use {suitable}",
                )
            if part == "containerProperties" and change.instanceType is not None:
                raise MismatchError(
                    message="instanceType is for multi-node jobs only", place=("instanceType",)
                )
            parts[part] = own.overridden(change)
    return parts
