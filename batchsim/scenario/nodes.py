"""Multi-node parallel jobs: node ranges and what each node is [spec 1.11]."""

import re
from collections.abc import Iterable
from typing import Annotated, Any, NamedTuple, Self

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from .consumables import ConsumableResourceProperties
from .containers import ContainerOverrides, ContainerProperties, Resources
from .pods import EksProperties, EksPropertiesOverride, PodResources
from .tasks import EcsProperties, EcsPropertiesOverride
from .values import InstanceTypeName, Many, MismatchError, Model, integral

MOST_NODES = 1000
MOST_NODE_GROUPS = 5

_RANGE = re.compile(r"([0-9]{0,4}):([0-9]{0,4})|([0-9]{1,4})")


class NodeRange(NamedTuple):
    """Nodes `first` to `last`, both included; `last` None runs to the last node there is."""

    first: int
    last: int | None

    def __str__(self) -> str:
        return f"{self.first}:{'' if self.last is None else self.last}"

    def within(self, nodes: int) -> range:
        """The nodes of the range in a job of so many nodes."""
        return range(self.first, nodes if self.last is None else min(self.last + 1, nodes))


def parse_node_range(text: Any) -> NodeRange:
    """`0:3`, `:3`, `4:`, `:` or a single node `4` [spec 1.11]; MismatchError for anything else."""
    match = _RANGE.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise MismatchError("a range of nodes such as '0:3', ':3' or '4:'")
    first, last, only = match.groups()
    if only is not None:
        return NodeRange(int(only), int(only))
    found = NodeRange(int(first or 0), int(last) if last else None)
    if found.last is not None and found.first > found.last:
        raise MismatchError("a range of nodes whose end is not before its beginning")
    return found


TargetNodes = Annotated[
    NodeRange,
    BeforeValidator(lambda given: given if isinstance(given, NodeRange) else parse_node_range(given)),
    PlainSerializer(str, when_used="json"),
    WithJsonSchema({"title": "Node range", "type": "string", "pattern": f"^({_RANGE.pattern})$"}),
]
_OLD_STYLE = ("container", "instanceType")
_OneInstanceType = Annotated[Many[InstanceTypeName], Field(max_length=1)]


def range_of_each_node(ranges: Iterable[NodeRange], nodes: int) -> list[int]:
    """For each node the position of its range, the innermost that holds it; -1 where none does."""
    owner = [-1] * nodes
    wide_first = sorted(enumerate(ranges), key=lambda item: -len(item[1].within(nodes)))
    for position, each in wide_first:
        for node in each.within(nodes):
            owner[node] = position
    return owner


class NodeRangeProperty(Model):
    """What the nodes of a range are: a container, several containers or a pod."""

    targetNodes: TargetNodes
    container: ContainerProperties | None = None
    ecsProperties: EcsProperties | None = None
    eksProperties: EksProperties | None = None
    instanceTypes: _OneInstanceType = ()
    consumableResourceProperties: ConsumableResourceProperties = ConsumableResourceProperties()

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        kinds = ("container", "ecsProperties", "eksProperties")
        given = [name for name in kinds if getattr(self, name) is not None]
        if len(given) != 1:
            raise MismatchError(
                f"exactly one of {', '.join(kinds)}",
                message=f"there is {' and '.join(given) or 'none of them'}",
            )
        return self

    @property
    def platform(self) -> str:
        """ECS or EKS."""
        return "ECS" if self.eksProperties is None else "EKS"

    @property
    def instance_type(self) -> str | None:
        """The instance type these nodes ask for."""
        old_style = self.container.instanceType if self.container else None
        return self.instanceTypes[0] if self.instanceTypes else old_style

    def resources(self) -> Resources:
        """vCPUs, MiB and GPUs of one node on ECS."""
        if self.container is not None:
            return self.container.resources()
        assert self.ecsProperties is not None
        return self.ecsProperties.task.resources()

    def pod_resources(self) -> PodResources:
        """What the pod of one node on EKS asks for."""
        assert self.eksProperties is not None
        return self.eksProperties.podProperties.resources()


class NodeGroup(NamedTuple):
    """The nodes that are alike: those left to a node range by the ranges inside it."""

    nodes: tuple[int, ...]
    properties: NodeRangeProperty


class NodeProperties(Model):
    """The nodes of a multi-node parallel job.

    The ranges hold every node; where one lies inside another the inner one counts.
    """

    numNodes: Annotated[int, Field(ge=1, le=MOST_NODES), integral]
    mainNode: Annotated[int, Field(ge=0, lt=MOST_NODES), integral]
    nodeRangeProperties: Annotated[Many[NodeRangeProperty], Field(min_length=1, max_length=MOST_NODE_GROUPS)]

    @model_validator(mode="after")
    def _ranges_fit(self) -> Self:
        if self.mainNode >= self.numNodes:
            raise MismatchError(f"a node below numNodes = {self.numNodes}", place=("mainNode",))
        for index, each in enumerate(self.ranges):
            place = ("nodeRangeProperties", index, "targetNodes")
            if max(each.first, each.last or 0) >= self.numNodes:
                raise MismatchError(f"nodes below numNodes = {self.numNodes}", place=place)
        self._check_nesting()
        owner = range_of_each_node(self.ranges, self.numNodes)
        if -1 in owner:
            raise MismatchError(
                message=f"no node range holds node {owner.index(-1)}",
                hint="let the ranges hold every node, for example with one range '0:'",
                place=("nodeRangeProperties",),
            )
        return self

    def _check_nesting(self) -> None:
        spans = [each.within(self.numNodes) for each in self.ranges]
        for index, span in enumerate(spans):
            place = ("nodeRangeProperties", index, "targetNodes")
            for other in spans[:index]:
                if span == other:
                    raise MismatchError(message="another node range holds the same nodes", place=place)
                shared = range(max(span.start, other.start), min(span.stop, other.stop))
                if shared and shared not in (span, other):
                    raise MismatchError(
                        message=f"this range crosses the range {other.start}:{other.stop - 1}",
                        hint="ranges may lie apart or one inside the other",
                        place=place,
                    )

    @model_validator(mode="after")
    def _nodes_are_of_one_kind(self) -> Self:
        first = self.nodeRangeProperties[0]
        chosen = next((each.instance_type for each in self.nodeRangeProperties if each.instance_type), None)
        for index, each in enumerate(self.nodeRangeProperties):
            place = ("nodeRangeProperties", index)
            if each.platform != first.platform:
                raise MismatchError(message="all nodes of a job must be ECS or all EKS", place=place)
            if each.instance_type not in (None, chosen):
                raise MismatchError(
                    f"{chosen}, as in the range before",
                    message="all node ranges must use the same instance type",
                    place=(*place, "instanceTypes", 0) if each.instanceTypes else (*place, *_OLD_STYLE),
                )
        return self

    @property
    def ranges(self) -> list[NodeRange]:
        """The node ranges in the order of the file."""
        return [each.targetNodes for each in self.nodeRangeProperties]

    @property
    def platform(self) -> str:
        """ECS or EKS."""
        return self.nodeRangeProperties[0].platform

    @property
    def instance_type(self) -> str | None:
        """The instance type of all nodes; None: any."""
        return next((each.instance_type for each in self.nodeRangeProperties if each.instance_type), None)

    def of_each_node(self) -> list[NodeRangeProperty]:
        """The properties of node 0, 1, ... [spec 1.11: the inner range wins]."""
        return [self.nodeRangeProperties[index] for index in range_of_each_node(self.ranges, self.numNodes)]

    def groups(self) -> list[NodeGroup]:
        """The nodes by range, in the order of the file; without ranges that have no node left."""
        owner = range_of_each_node(self.ranges, self.numNodes)
        nodes: list[list[int]] = [[] for _ in self.nodeRangeProperties]
        for node, position in enumerate(owner):
            nodes[position].append(node)
        return [
            NodeGroup(tuple(each), properties)
            for each, properties in zip(nodes, self.nodeRangeProperties, strict=True)
            if each
        ]

    def consumables(self) -> dict[str, int]:
        """Consumable resources of all nodes together: name -> quantity."""
        total: dict[str, int] = {}
        for properties in self.of_each_node():
            for name, quantity in properties.consumableResourceProperties.quantities().items():
                total[name] = total.get(name, 0) + quantity
        return total

    def overridden(self, overrides: "NodeOverrides") -> Self:
        """These nodes as a submission changes them.

        Raises MismatchError, with the place in the overrides, for a number of nodes that the ranges do
        not allow, and for a change of a range that is not one of them.
        """
        nodes = self.numNodes if overrides.numNodes is None else overrides.numNodes
        if overrides.numNodes is not None:
            self._check_number(overrides.numNodes)
        changes = {each.targetNodes: each for each in overrides.nodePropertyOverrides}
        for index, target in enumerate(changes):
            if target not in self.ranges:
                raise MismatchError(
                    "a node range of the job definition",
                    choices=map(str, self.ranges),
                    place=("nodePropertyOverrides", index, "targetNodes"),
                )
        return self.model_copy(
            update={
                "numNodes": nodes,
                "nodeRangeProperties": tuple(
                    changes[each.targetNodes].applied_to(each) if each.targetNodes in changes else each
                    for each in self.nodeRangeProperties
                ),
            }
        )

    def _check_number(self, nodes: int) -> None:
        place = ("numNodes",)
        open_ended = [each.first for each in self.ranges if each.last is None]
        if not open_ended:
            raise MismatchError(
                message="no node range of the job definition is open-ended, so numNodes cannot be overridden",
                hint="end one of its ranges with a colon, such as '1:'",
                place=place,
            )
        if min(open_ended) >= nodes:
            raise MismatchError(f"more than the {min(open_ended)} nodes before the open range", place=place)
        if self.mainNode >= nodes:
            raise MismatchError(f"more nodes than mainNode = {self.mainNode}", place=place)


class NodePropertyOverride(Model):
    """What a submission changes of the nodes of one range, written as in the job definition."""

    targetNodes: TargetNodes
    containerOverrides: ContainerOverrides | None = None
    ecsPropertiesOverride: EcsPropertiesOverride | None = None
    eksPropertiesOverride: EksPropertiesOverride | None = None
    instanceTypes: _OneInstanceType = ()
    consumableResourcePropertiesOverride: ConsumableResourceProperties | None = None

    def applied_to(self, properties: NodeRangeProperty) -> NodeRangeProperty:
        """The properties with these changes; those of another kind of node change nothing."""
        container, ecs, eks = properties.container, properties.ecsProperties, properties.eksProperties
        if container and self.containerOverrides:
            container = container.overridden(self.containerOverrides)
        if ecs and self.ecsPropertiesOverride:
            ecs = ecs.overridden(self.ecsPropertiesOverride)
        if eks and self.eksPropertiesOverride:
            eks = eks.overridden(self.eksPropertiesOverride)
        return properties.model_copy(
            update={
                "container": container,
                "ecsProperties": ecs,
                "eksProperties": eks,
                "instanceTypes": self.instanceTypes or properties.instanceTypes,
                "consumableResourceProperties": properties.consumableResourceProperties.overridden(
                    self.consumableResourcePropertiesOverride
                ),
            }
        )


class NodeOverrides(Model):
    """What a submission changes of a multi-node job.

    `numNodes` needs an open-ended range that begins below it, and a main node below it [spec 1.11].
    """

    numNodes: Annotated[int, Field(ge=1, le=MOST_NODES), integral] | None = None
    nodePropertyOverrides: Annotated[Many[NodePropertyOverride], Field(max_length=MOST_NODE_GROUPS)] = ()

    @model_validator(mode="after")
    def _each_range_once(self) -> Self:
        targets = [each.targetNodes for each in self.nodePropertyOverrides]
        for index, target in enumerate(targets):
            if target in targets[:index]:
                raise MismatchError(
                    message=f"the range {target} is overridden twice",
                    place=("nodePropertyOverrides", index, "targetNodes"),
                )
        return self
