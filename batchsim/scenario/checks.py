"""Checks across the parts of a scenario: names, and the platforms of environments and queues."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from .services import NUM_INSTANCES
from .values import MismatchError

if TYPE_CHECKING:
    from .scenario import Scenario

MAX_MACHINES = 1_000_000
MOST_QUOTA_SHARES = 20
_NAME_OF = {
    "computeEnvironments": "computeEnvironmentName",
    "jobQueues": "jobQueueName",
    "schedulingPolicies": "name",
    "consumableResources": "consumableResourceName",
    "serviceEnvironments": "serviceEnvironmentName",
}


def check_parts(scenario: "Scenario") -> Iterator[MismatchError]:
    """What is wrong between environments, queues, policies and the names of all parts."""
    yield from _names_given_twice(scenario)
    yield from _machines(scenario)
    yield from _environments_of_queue(scenario)
    yield from _on_demand_first(scenario)
    yield from _never_registering(scenario)
    yield from _policy_of_queue(scenario)
    yield from _quota_shares(scenario)
    yield from _capacity_units(scenario)
    yield from _environments_of_quota_shares(scenario)
    yield from _consumables_of_definition(scenario)


def nowhere_to_run(scenario: "Scenario") -> Iterator[MismatchError]:
    """The lack of any environment, beside which every name of one would be another problem."""
    if not scenario.computeEnvironments and not scenario.serviceEnvironments:
        yield MismatchError(
            "at least 1 entries in computeEnvironments",
            place=("computeEnvironments",),
            missing="computeEnvironments" not in scenario.model_fields_set,
        )


def _names_given_twice(scenario: "Scenario") -> Iterator[MismatchError]:
    for section, field in _NAME_OF.items():
        yield from _repeated((section,), field, [getattr(item, field) for item in getattr(scenario, section)])
    yield from _repeated(("workload",), "name", [getattr(each, "name", None) for each in scenario.workload])
    revisions = [(each.jobDefinitionName, each.revision) for each in scenario.jobDefinitions]
    yield from _repeated(("jobDefinitions",), "jobDefinitionName", revisions)
    shares = [(each.queue, each.quotaShareName) for each in scenario.quotaShares]
    yield from _repeated(("quotaShares",), "quotaShareName", shares)
    for index, environment in enumerate(scenario.computeEnvironments):
        names = [machine.name for machine in environment.instances]
        yield from _repeated(("computeEnvironments", index, "instances"), "name", names)


def _repeated(section: tuple[str | int, ...], field: str, names: list[Any]) -> Iterator[MismatchError]:
    seen: set[Any] = set()
    for index, name in enumerate(names):
        if name is not None and name in seen:
            yield MismatchError(
                message="this name is already taken",
                hint=f"give each {field} once",
                place=(*section, index, field),
            )
        seen.add(name)


def _machines(scenario: "Scenario") -> Iterator[MismatchError]:
    total = sum(
        machine.count for environment in scenario.computeEnvironments for machine in environment.instances
    )
    if total > MAX_MACHINES:
        yield MismatchError(
            f"at most {MAX_MACHINES:,} machines in all",
            message=f"{total:,} machines are described",
            place=("computeEnvironments",),
        )


def _environments_of_queue(scenario: "Scenario") -> Iterator[MismatchError]:
    platforms = {each.computeEnvironmentName: each.platform for each in scenario.computeEnvironments}
    services = [each.serviceEnvironmentName for each in scenario.serviceEnvironments]
    for q, queue in enumerate(scenario.jobQueues):
        wanted: str | None = None if queue.is_service else queue.jobQueueType
        for i, item in enumerate(queue.computeEnvironmentOrder):
            place = ("jobQueues", q, "computeEnvironmentOrder", i, "computeEnvironment")
            platform = platforms.get(item.computeEnvironment)
            if platform is None:
                yield MismatchError("the name of a compute environment", choices=platforms, place=place)
            elif wanted is not None and platform != wanted:
                yield MismatchError(
                    f"an environment for {wanted} jobs",
                    message=f"this environment is for {platform} jobs",
                    hint="all environments of a queue are of one platform",
                    place=place,
                )
            wanted = wanted or platform
        for i, service in enumerate(queue.serviceEnvironmentOrder):
            if service.serviceEnvironment not in services:
                yield MismatchError(
                    "the name of a service environment",
                    choices=services,
                    place=("jobQueues", q, "serviceEnvironmentOrder", i, "serviceEnvironment"),
                )


def _never_registering(scenario: "Scenario") -> Iterator[MismatchError]:
    launching = [
        each.computeEnvironmentName
        for each in scenario.computeEnvironments
        if each.computeResources and not each.computeResources.is_fargate
    ]
    for index, name in enumerate(scenario.assumptions.neverRegisters):
        if name not in launching:
            yield MismatchError(
                "the name of a compute environment that launches instances",
                choices=launching,
                place=("assumptions", "neverRegisters", index),
            )


def _on_demand_first(scenario: "Scenario") -> Iterator[MismatchError]:
    """[UG: ecs-managed-instances-job-queues]: Spot after On-Demand, where ECS chooses the instances."""
    on_spot = {
        each.computeEnvironmentName: each.computeResources.on_spot
        for each in scenario.computeEnvironments
        if each.computeResources and each.computeResources.is_managed_instances
    }
    for q, queue in enumerate(scenario.jobQueues):
        kinds = [on_spot.get(name, False) for name in queue.environments()]
        if kinds != sorted(kinds):
            yield MismatchError(
                "environments of ECS Managed Instances with ON_DEMAND before those with SPOT",
                message=f"{queue.environments()[kinds.index(True)]} comes first",
                place=("jobQueues", q, "computeEnvironmentOrder"),
            )


def _policy_of_queue(scenario: "Scenario") -> Iterator[MismatchError]:
    policies = {each.name: each for each in scenario.schedulingPolicies}
    for q, queue in enumerate(scenario.jobQueues):
        place = ("jobQueues", q, "schedulingPolicyArn")
        if queue.schedulingPolicyArn is None:
            continue
        policy = policies.get(queue.schedulingPolicyArn)
        if policy is None:
            yield MismatchError("the name of a scheduling policy", choices=policies, place=place)
        elif policy.quotaSharePolicy is not None and not queue.is_service:
            yield MismatchError(
                message="quota shares belong to queues of type SAGEMAKER_TRAINING",
                hint="name a policy with a fairsharePolicy",
                place=place,
            )


def _quota_shares(scenario: "Scenario") -> Iterator[MismatchError]:
    queues = {queue.jobQueueName: queue for queue in scenario.jobQueues}
    uses: dict[str, int] = {}
    for index, share in enumerate(scenario.quotaShares):
        place = ("quotaShares", index, "jobQueue" if share.jobQueue is not None else "jobQueueArn")
        queue = queues.get(share.queue)
        uses[share.queue] = uses.get(share.queue, 0) + 1
        if queue is None:
            yield MismatchError("the name of a job queue", choices=queues, place=place)
        elif not scenario.has_quota_shares(queue):
            yield MismatchError(
                "a queue whose scheduling policy has a quotaSharePolicy",
                message="this queue has no quota shares",
                choices=[name for name, each in queues.items() if scenario.has_quota_shares(each)],
                place=place,
            )
        elif uses[share.queue] == MOST_QUOTA_SHARES + 1:
            yield MismatchError(
                message=f"{share.queue} has more than {MOST_QUOTA_SHARES} quota shares",
                hint="remove some, or move them to another queue",
                place=("quotaShares", index),
            )


def _capacity_units(scenario: "Scenario") -> Iterator[MismatchError]:
    """[spec 1.16]: limits by instance type where a queue has quota shares, and else one on all instances."""
    environments = {each.serviceEnvironmentName: each for each in scenario.serviceEnvironments}
    for q, queue in enumerate(scenario.jobQueues):
        by_type = scenario.has_quota_shares(queue)
        wanted = "by instance type" if by_type else f"in {NUM_INSTANCES}"
        for i, item in enumerate(queue.serviceEnvironmentOrder):
            environment = environments.get(item.serviceEnvironment)
            units = [limit.capacityUnit for limit in environment.capacityLimits] if environment else []
            if any((unit == NUM_INSTANCES) == by_type for unit in units):
                yield MismatchError(
                    f"a service environment with limits {wanted}",
                    message=f"its limits are in {', '.join(units)}",
                    place=("jobQueues", q, "serviceEnvironmentOrder", i, "serviceEnvironment"),
                )
    for index, share in enumerate(scenario.quotaShares):
        for number, limit in enumerate(share.capacityLimits):
            if limit.capacityUnit == NUM_INSTANCES:
                yield MismatchError(
                    "an instance type as capacityUnit",
                    hint="a share has a limit for each type, such as capacityUnit: ml.g5.xlarge",
                    place=("quotaShares", index, "capacityLimits", number, "capacityUnit"),
                    missing="capacityUnit" not in limit.model_fields_set,
                )


def _environments_of_quota_shares(scenario: "Scenario") -> Iterator[MismatchError]:
    """A service environment serves one queue if that has quota shares [UG: service_limits]."""
    taken: set[str] = set()
    for q, queue in enumerate(scenario.jobQueues):
        for i, item in enumerate(queue.serviceEnvironmentOrder if scenario.has_quota_shares(queue) else ()):
            if item.serviceEnvironment in taken:
                yield MismatchError(
                    message=f"{item.serviceEnvironment} serves another queue with quota shares",
                    hint="give each of these queues a service environment of its own",
                    place=("jobQueues", q, "serviceEnvironmentOrder", i, "serviceEnvironment"),
                )
            taken.add(item.serviceEnvironment)


def _consumables_of_definition(scenario: "Scenario") -> Iterator[MismatchError]:
    known = [each.consumableResourceName for each in scenario.consumableResources]
    for index, definition in enumerate(scenario.jobDefinitions):
        place = ("jobDefinitions", index, "consumableResourceProperties", "consumableResourceList")
        names = list(definition.consumableResourceProperties.quantities())
        yield from unknown_consumables(names, known, place)
        nodes = definition.nodeProperties.nodeRangeProperties if definition.nodeProperties else ()
        for number, properties in enumerate(nodes):
            inside = ("jobDefinitions", index, "nodeProperties", "nodeRangeProperties", number)
            yield from unknown_consumables(
                list(properties.consumableResourceProperties.quantities()),
                known,
                (*inside, "consumableResourceProperties", "consumableResourceList"),
            )


def unknown_consumables(
    names: Iterable[str], known: Iterable[str], place: tuple[str | int, ...]
) -> Iterator[MismatchError]:
    """The names, in a consumableResourceList at a place, of resources that the scenario does not have."""
    choices = list(known)
    for number, name in enumerate(names):
        if name not in choices:
            yield MismatchError(
                "the name of a consumable resource",
                choices=choices,
                place=(*place, number, "consumableResource"),
            )
