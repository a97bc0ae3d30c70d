"""Job classes: what a job definition and a submission say together about equal jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from batchsim.errors import ScenarioError
from batchsim.scenario import RetryStrategy, effective_definition
from batchsim.units import US_PER_S
from batchsim.workload.table import QUARTERS, USUAL_TASK, ExitRule, JobClass, NodeGroup, Nodes, TaskKind

if TYPE_CHECKING:
    from batchsim.scenario import (
        Failure,
        GeneratedJobs,
        JobDefinition,
        NodeProperties,
        PodResources,
        Resources,
        Scenario,
        TraceJobs,
    )

_MILLI_PER_QUARTER = 1000 // QUARTERS


class _Kind(NamedTuple):
    """What an item of a mix, or the whole entry, says about its jobs."""

    definition: str | None
    image_bytes: int | None = None
    failure: Failure | None = None


class _Amounts(NamedTuple):
    """What a job, or one of its nodes, asks for."""

    vcpu_quarters: int
    memory_mib: int
    gpus: int

    @classmethod
    def of_task(cls, resources: Resources) -> _Amounts:
        return cls(int(QUARTERS * resources.vcpus), resources.memory_mib, resources.gpus)

    @classmethod
    def of_pod(cls, resources: PodResources) -> _Amounts:
        return cls(resources.cpu_milli // _MILLI_PER_QUARTER, resources.memory_mib, resources.gpus)

    @property
    def vcpus(self) -> int:
        return -(-self.vcpu_quarters // QUARTERS)


def classes_of_mix(scenario: Scenario, entry: GeneratedJobs) -> list[JobClass]:
    """One class for each item of the mix, or the only one; without share identifiers.

    What is said at submission comes before the job definition, an item of a mix before its entry.
    Raises ScenarioError where an item's failures contradict scripted exit codes.
    """
    if entry.mix is None:
        return [_generated_class(scenario, entry, _Kind(entry.jobDefinition))]
    for index, item in enumerate(entry.mix):
        if item.failure is not None and entry.exitCodes is not None:
            raise ScenarioError(
                "the exitCodes already say which attempts fail",
                path=f"{scenario.path_of(entry)}.mix.{index}.failure",
                hint="remove one of them",
            )
    kinds = [_Kind(item.jobDefinition, item.imageSize, item.failure) for item in entry.mix]
    return [_generated_class(scenario, entry, kind) for kind in kinds]


def class_of_trace(scenario: Scenario, entry: TraceJobs, needs: Resources) -> JobClass:
    """The class of jobs of a log; of a job definition it takes retries, timeout and images only."""
    definition = None
    task = USUAL_TASK
    images: tuple[str, ...] = (entry.name,)
    if entry.jobDefinition is not None:
        definition = effective_definition(scenario.definition(entry.jobDefinition), entry)
        images = definition.images()
        task = _task_kind(definition)
    queue = scenario.queue(entry.jobQueue)
    consumables = entry.consumableResourcePropertiesOverride
    return JobClass(
        vcpus=int(needs.vcpus),
        memory_mib=needs.memory_mib,
        gpus=needs.gpus,
        platform=scenario.environment(queue.environments()[0]).platform,
        task=task,
        priority=entry.schedulingPriorityOverride or 0,
        consumables=tuple(consumables.quantities().items()) if consumables else (),
        image=images[0],
        more_images=images[1:],
        **_submission(scenario, entry, definition, _Kind(entry.jobDefinition)),
    )


def _generated_class(scenario: Scenario, entry: GeneratedJobs, kind: _Kind) -> JobClass:
    definition = effective_definition(scenario.definition(kind.definition or ""), entry)
    nodes = main = None
    if definition.nodeProperties is not None:
        nodes = _nodes(definition.nodeProperties)
        main = definition.nodeProperties.of_each_node()[nodes.main]
        amounts = _sum_of_nodes(nodes)
    elif definition.platform == "EKS":
        amounts = _Amounts.of_pod(definition.pod_resources())
    else:
        amounts = _Amounts.of_task(definition.resources())
    images = main.images() if main else definition.images()
    return JobClass(
        vcpus=amounts.vcpus,
        memory_mib=amounts.memory_mib,
        gpus=amounts.gpus,
        vcpu_quarters=amounts.vcpu_quarters,
        platform=definition.platform,
        task=_task_kind(definition),
        priority=definition.schedulingPriority,
        consumables=tuple(definition.consumables().items()),
        nodes=nodes,
        image=images[0],
        more_images=images[1:] if nodes is None else (),
        **_submission(scenario, entry, definition, kind),
    )


def _task_kind(definition: JobDefinition) -> TaskKind:
    if definition.platform not in {"ECS_FARGATE", "ECS_MANAGED_INSTANCES"}:
        return USUAL_TASK
    architecture, storage_gib = definition.task_kind()
    kind = TaskKind(architecture.lower())
    return kind if storage_gib is None else kind._replace(storage_gib=storage_gib)


def _submission(
    scenario: Scenario, entry: GeneratedJobs | TraceJobs, definition: JobDefinition | None, kind: _Kind
) -> dict[str, Any]:
    """What jobs of every form have; the definition's overrides are applied already."""
    retry = definition.retryStrategy if definition else entry.retryStrategy or RetryStrategy()
    timeout = definition.timeout if definition else entry.timeout
    failure = kind.failure or entry.failure
    sizes = (kind.image_bytes, entry.imageSize, scenario.assumptions.imageSize)
    scripted = entry.exitCodes or ()
    starts, sigterm = entry.startFailures, entry.onSigterm
    return {
        "group": entry.name,
        "queue": entry.jobQueue,
        "job_definition": kind.definition,
        "attempts": retry.attempts,
        "rules": tuple(
            ExitRule(rule.onStatusReason, rule.onReason, rule.onExitCode, rule.action == "RETRY")
            for rule in retry.evaluateOnExit
        ),
        "timeout_us": timeout.attemptDurationSeconds * US_PER_S if timeout else None,
        "image_bytes": next(size for size in sizes if size is not None),
        "failure_rate": failure.rate if failure else 0.0,
        "failure_exit_code": failure.exitCode if failure else 1,
        "exit_codes": scripted,
        "reasons": entry.reasons + ("",) * (len(scripted) - len(entry.reasons)),
        "start_failure_rate": starts.rate if starts else 0.0,
        "start_failure_reason": starts.reason if starts else "",
        "sigterm_exit": sigterm.exit,
        "sigterm_after_us": None if sigterm.ignored else sigterm.after,
    }


def _nodes(properties: NodeProperties) -> Nodes:
    groups, group_of = [], [0] * properties.numNodes
    for index, group in enumerate(properties.groups()):
        each = group.properties
        amounts = (
            _Amounts.of_pod(each.pod_resources())
            if each.platform == "EKS"
            else _Amounts.of_task(each.resources())
        )
        groups.append(
            NodeGroup(
                nodes=len(group.nodes),
                vcpus=amounts.vcpus,
                memory_mib=amounts.memory_mib,
                gpus=amounts.gpus,
                vcpu_quarters=amounts.vcpu_quarters,
                images=each.images(),
            )
        )
        for node in group.nodes:
            group_of[node] = index
    return Nodes(tuple(groups), tuple(group_of), properties.mainNode, properties.instance_type)


def _sum_of_nodes(nodes: Nodes) -> _Amounts:
    return _Amounts(
        sum(group.nodes * group.vcpu_quarters for group in nodes.groups),
        sum(group.nodes * group.memory_mib for group in nodes.groups),
        sum(group.nodes * group.gpus for group in nodes.groups),
    )
