"""Checks of the workload against the rest of the scenario: each entry, dependencies, events."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .changes import CancelJobs, ConsumableResourceUpdate, TerminateJobs, parse_target
from .checks import unknown_consumables
from .definitions import JobDefinition
from .effective import effective_definition
from .graphs import a_cycle
from .jobs import GeneratedJobs, Jobs, ServiceJobs, TraceJobs
from .noderanges import the_first_clash
from .suggestions import did_you_mean
from .updates import UpdateEvent, check_updates
from .values import MismatchError

if TYPE_CHECKING:
    from .scenario import Scenario

Place = tuple[str | int, ...]


class _Names:
    """The parts of a scenario by name, looked up once for all entries."""

    def __init__(self, scenario: "Scenario") -> None:
        self.queues = {queue.jobQueueName: queue for queue in scenario.jobQueues}
        self.takes_shares = {
            name: scenario.fair_share(queue) is not None
            for name, queue in self.queues.items()
            if queue.schedulingPolicyArn is None or scenario.policy(queue) is not None
        }
        self.platforms: dict[str, str] = {}
        environments = {each.computeEnvironmentName: each for each in scenario.computeEnvironments}
        for name, queue in self.queues.items():
            known = [environments[each] for each in queue.environments() if each in environments]
            if known:
                self.platforms[name] = known[0].platform
        self.definitions: dict[str, JobDefinition] = {}
        for each in sorted(scenario.jobDefinitions, key=lambda each: each.revision):
            if each.status == "ACTIVE":
                self.definitions[each.jobDefinitionName] = each
                self.definitions[f"{each.jobDefinitionName}:{each.revision}"] = each
        self.consumables = {each.consumableResourceName: each for each in scenario.consumableResources}
        self.quota_shares: dict[str, list[str]] = {
            name: [] for name, queue in self.queues.items() if scenario.has_quota_shares(queue)
        }
        self.enabled_later = {
            each.update.jobQueue
            for each in scenario.workload
            if isinstance(each, UpdateEvent) and each.update.state == "ENABLED"
        }
        self.disabled_shares: set[tuple[str, str]] = set()
        for share in scenario.quotaShares:
            if share.queue in self.quota_shares:
                self.quota_shares[share.queue].append(share.quotaShareName)
            if share.state == "DISABLED":
                self.disabled_shares.add((share.queue, share.quotaShareName))


def check_workload(scenario: "Scenario") -> Iterator[MismatchError]:
    """What is wrong between the items of the workload and all else."""
    names = _Names(scenario)
    for index, entry in scenario.entries():
        for problem in _check_entry(names, entry):
            problem.place = ("workload", index, *problem.place)
            yield problem
    yield from _dependencies(scenario)
    yield from _rule_limit(scenario)
    yield from _events(scenario)
    yield from check_updates(scenario)


def _check_entry(names: _Names, entry: Jobs) -> Iterator[MismatchError]:
    yield from _queue_of_entry(names, entry)
    if isinstance(entry, ServiceJobs):
        yield from _quota_share_of_entry(names, entry)
        return
    in_mix = isinstance(entry, GeneratedJobs) and entry.mix is not None
    first_use: dict[str, int] = {}
    for position, reference in enumerate(entry.definitions()):
        first_use.setdefault(reference, position)
    for reference, position in first_use.items():
        place: Place = ("mix", position, "jobDefinition") if in_mix else ("jobDefinition",)
        definition = names.definitions.get(reference)
        if definition is None:
            yield MismatchError(
                "the name of an ACTIVE job definition", choices=names.definitions, place=place
            )
        else:
            yield from _definition_of_entry(names, entry, definition, place)
    if isinstance(entry, GeneratedJobs):
        yield from _runtimes_of_containers(names, entry)
    override = entry.consumableResourcePropertiesOverride
    if override is not None:
        yield from unknown_consumables(
            override.quantities(),
            names.consumables,
            ("consumableResourcePropertiesOverride", "consumableResourceList"),
        )


def _queue_of_entry(names: _Names, entry: Jobs) -> Iterator[MismatchError]:
    queue = names.queues.get(entry.jobQueue)
    if queue is None:
        yield MismatchError("the name of a job queue", choices=names.queues, place=("jobQueue",))
        return
    if queue.state == "DISABLED" and queue.jobQueueName not in names.enabled_later:
        yield MismatchError(
            "an ENABLED job queue",
            message="a DISABLED job queue accepts no jobs",
            hint="set its state to ENABLED, or submit to another queue",
            place=("jobQueue",),
        )
    if isinstance(entry, ServiceJobs) == queue.is_service:
        yield from _share_of_entry(names, entry)
        return
    wanted = "service" if isinstance(entry, ServiceJobs) else "compute"
    yield MismatchError(
        f"a queue of {wanted} environments",
        message="this queue takes no jobs of this kind",
        choices=[
            name for name, each in names.queues.items() if each.is_service == isinstance(entry, ServiceJobs)
        ],
        place=("jobQueue",),
    )


def _share_of_entry(names: _Names, entry: Jobs) -> Iterator[MismatchError]:
    """[spec 1.14]: mandatory in fair-share queues, forbidden in all others."""
    if entry.jobQueue not in names.takes_shares:
        return  # its policy is unknown, which is an error of its own
    is_fair_share = names.takes_shares[entry.jobQueue]
    if is_fair_share and entry.shareIdentifier is None:
        yield MismatchError(
            "a shareIdentifier",
            message=f"{entry.jobQueue} is a fair-share queue",
            hint="add shareIdentifier: NAME, or submit to a queue without a schedulingPolicyArn",
            place=("shareIdentifier",),
            missing=True,
        )
    if not is_fair_share and entry.shareIdentifier is not None:
        yield MismatchError(
            message=f"{entry.jobQueue} has no fair-share policy, so its jobs have no shareIdentifier",
            hint="remove it, or give the queue a schedulingPolicyArn",
            place=("shareIdentifier",),
        )


def _quota_share_of_entry(names: _Names, entry: ServiceJobs) -> Iterator[MismatchError]:
    shares = names.quota_shares.get(entry.jobQueue)
    place = ("quotaShareName",)
    if shares is not None and entry.quotaShareName not in shares:
        yield MismatchError(
            "the name of a quota share of the queue",
            choices=shares,
            place=place,
            missing=entry.quotaShareName is None,
        )
    if (entry.jobQueue, entry.quotaShareName or "") in names.disabled_shares:
        yield MismatchError(
            "an ENABLED quota share",
            message="a DISABLED quota share accepts no jobs",
            hint="set its state to ENABLED, or submit to another share",
            place=place,
        )
    if shares is None and entry.quotaShareName is not None and entry.jobQueue in names.queues:
        yield MismatchError(message=f"{entry.jobQueue} has no quota shares", hint="remove it", place=place)


def _definition_of_entry(
    names: _Names, entry: GeneratedJobs | TraceJobs, definition: JobDefinition, place: Place
) -> Iterator[MismatchError]:
    platform = names.platforms.get(entry.jobQueue)
    if platform is not None and definition.platform != platform:
        yield MismatchError(
            f"a job definition for {platform}",
            message=f"this one is for {definition.platform}, and {entry.jobQueue} runs {platform} jobs",
            choices=[
                name
                for name, each in names.definitions.items()
                if each.platform == platform and ":" not in name
            ],
            place=place,
        )
    if isinstance(entry, TraceJobs):
        if definition.kind == "multinode":
            yield MismatchError(message="the jobs of a trace have one node", place=place)
        return
    try:
        effective = effective_definition(definition, entry)
    except MismatchError as problem:
        yield problem
    else:
        yield from _runtimes_of_nodes(entry, effective)
    if definition.kind == "multinode" and entry.array_size is not None:
        yield MismatchError(
            message="arrays of multi-node jobs are not modelled by this version of batchsim",
            place=("array",) if entry.array is not None else ("arrayProperties",),
        )


def _runtimes_of_containers(names: _Names, entry: GeneratedJobs) -> Iterator[MismatchError]:
    used = [names.definitions[each] for each in entry.definitions() if each in names.definitions]
    known = dict.fromkeys(name for each in used for name in each.container_names() if name)
    for name in entry.containerRuntimes:
        if name not in known:
            yield MismatchError(
                message=f"no container of these jobs is called {name}",
                hint=did_you_mean(name, known),
                place=("containerRuntimes", name),
            )


def _runtimes_of_nodes(entry: GeneratedJobs, definition: JobDefinition) -> Iterator[MismatchError]:
    if definition.nodeProperties is None:
        if entry.nodeRuntimes:
            yield MismatchError(
                message=f"the jobs of {definition.jobDefinitionName} have one node", place=("nodeRuntimes",)
            )
        return
    nodes = definition.nodeProperties.numNodes
    for text, each in entry.node_runtimes().items():
        if each.highest_named >= nodes:
            yield MismatchError(
                message=f"{text!r} is not among the {nodes} nodes", place=("nodeRuntimes", text)
            )
    ranges = list(entry.node_runtimes().values())
    if clash := the_first_clash(ranges, nodes):
        yield MismatchError(message=clash[1], place=("nodeRuntimes", list(entry.nodeRuntimes)[clash[0]]))


def _dependencies(scenario: "Scenario") -> Iterator[MismatchError]:
    entries = {entry.name: entry for _, entry in scenario.submissions()}
    edges: dict[str, list[str]] = {}
    for index, entry in scenario.submissions():
        groups = [each.group for each in entry.dependsOn if each.group is not None]
        edges[entry.name] = groups
        size = entry.array_size if isinstance(entry, GeneratedJobs) else None
        for number, dependency in enumerate(entry.dependsOn):
            place: Place = ("workload", index, "dependsOn", number)
            if dependency.group is not None and dependency.group not in entries:
                yield MismatchError("the name of a workload entry", choices=entries, place=(*place, "group"))
            elif dependency.group in [each.group for each in entry.dependsOn[:number]]:
                yield MismatchError(message="this stands twice", place=place)
            elif dependency.type is not None and size is None:
                yield MismatchError(
                    "an array",
                    message=f"{dependency.type} is between the children of arrays",
                    hint="add array: {size: ...}, or remove the type",
                    place=(*place, "type"),
                )
            elif dependency.type == "N_TO_N":
                other = entries[dependency.group or ""]
                other_size = other.array_size if isinstance(other, GeneratedJobs) else None
                if other_size != size:
                    said = "no array" if other_size is None else f"an array of {other_size}"
                    yield MismatchError(
                        message=f"N_TO_N is between arrays of one size: this is of {size}, the other {said}",
                        hint="give both the same size, or remove the type",
                        place=(*place, "type"),
                    )
    if cycle := a_cycle(edges):
        index = next(number for number, entry in scenario.submissions() if entry.name == cycle[0])
        yield MismatchError(
            message=f"these wait for each other: {' → '.join(cycle)}",
            place=("workload", index, "dependsOn"),
        )


def _rule_limit(scenario: "Scenario") -> Iterator[MismatchError]:
    limit = scenario.assumptions.evaluateOnExitLimit
    strategies: list[tuple[Place, int]] = [
        (("jobDefinitions", index), len(definition.retryStrategy.evaluateOnExit))
        for index, definition in enumerate(scenario.jobDefinitions)
    ]
    strategies += [
        (("workload", index), len(entry.retryStrategy.evaluateOnExit))
        for index, entry in scenario.submissions()
        if entry.retryStrategy is not None
    ]
    for place, rules in strategies:
        if rules > limit:
            yield MismatchError(
                f"at most {limit} entries",
                hint="AWS's pages disagree on a sixth: assumptions.evaluateOnExitLimit"
                if (limit, rules) == (5, 6)
                else "let one rule stand for several: its patterns may end with *",
                place=(*place, "retryStrategy", "evaluateOnExit"),
            )


def _events(scenario: "Scenario") -> Iterator[MismatchError]:
    entries = {entry.name: entry for _, entry in scenario.entries()}
    resources = [each.consumableResourceName for each in scenario.consumableResources]
    for index, event in enumerate(scenario.workload):
        if isinstance(event, CancelJobs | TerminateJobs):
            key = "cancel" if isinstance(event, CancelJobs) else "terminate"
            text = getattr(event, key)
            place: Place = ("workload", index, key)
            target = parse_target(text, entries)
            if target is None:
                yield MismatchError(
                    "a workload entry (name), one of its jobs (name-17) or an array child (name-17:3)",
                    choices=entries,
                    place=place,
                )
                continue
            entry = entries[target.entry]
            size = entry.array_size if isinstance(entry, GeneratedJobs) else None
            count = None if isinstance(entry, TraceJobs) else entry.count
            if target.child is not None and (size is None or target.child >= size):
                said = "no arrays" if size is None else f"arrays of {size}, numbered from 0"
                yield MismatchError(message=f"the jobs of {target.entry} are {said}", place=place)
            if target.ordinal is not None and count is not None and target.ordinal >= count:
                yield MismatchError(message=f"{target.entry} has {count} jobs, numbered from 0", place=place)
        elif isinstance(event, ConsumableResourceUpdate) and event.updateConsumableResource not in resources:
            yield MismatchError(
                "the name of a consumable resource",
                choices=resources,
                place=("workload", index, "updateConsumableResource"),
            )
