"""What a job really is: its job definition with what the submission changes of it."""

from typing import Any

from .definitions import JobDefinition
from .jobs import GeneratedJobs, TraceJobs


def effective_definition(definition: JobDefinition, entry: GeneratedJobs | TraceJobs) -> JobDefinition:
    """The definition of the jobs that a workload entry submits, every override applied [spec 1.14].

    Parameters, environment variables, resource requirements and consumable resources are overridden one
    by one; retry strategy and timeout are replaced [spec 1.3]; overrides of another kind of job than the
    definition's change nothing. Raises MismatchError, with the place in the entry, for node overrides
    that the definition does not allow.
    """
    update: dict[str, Any] = {
        "parameters": {**definition.parameters, **entry.parameters},
        "retryStrategy": entry.retryStrategy or definition.retryStrategy,
        "timeout": entry.timeout or definition.timeout,
        "consumableResourceProperties": definition.consumableResourceProperties.overridden(
            entry.consumableResourcePropertiesOverride
        ),
    }
    if entry.schedulingPriorityOverride is not None:
        update["schedulingPriority"] = entry.schedulingPriorityOverride
    if isinstance(entry, GeneratedJobs):
        update |= _parts(definition, entry)
    return definition.model_copy(update=update)


def _parts(definition: JobDefinition, entry: GeneratedJobs) -> dict[str, Any]:
    parts: dict[str, Any] = {}
    if definition.containerProperties and entry.containerOverrides:
        parts["containerProperties"] = definition.containerProperties.overridden(entry.containerOverrides)
    if definition.ecsProperties and entry.ecsPropertiesOverride:
        parts["ecsProperties"] = definition.ecsProperties.overridden(entry.ecsPropertiesOverride)
    if definition.eksProperties and entry.eksPropertiesOverride:
        parts["eksProperties"] = definition.eksProperties.overridden(entry.eksPropertiesOverride)
    if definition.nodeProperties and entry.nodeOverrides:
        parts["nodeProperties"] = definition.nodeProperties.overridden(entry.nodeOverrides)
    return parts
