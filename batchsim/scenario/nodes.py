"""Multi-node parallel jobs: what each of their nodes is [spec 1.11]."""

from typing import Annotated, NamedTuple, Self

from pydantic import Field, model_validator

from .consumables import ConsumableResourceProperties
from .containers import ContainerOverrides, ContainerProperties, Resources
from .noderanges import NodeRange, TargetNodes, range_of_each_node, the_first_clash
from .pods import EksProperties, EksPropertiesOverride, PodResources
from .tasks import EcsProperties, EcsPropertiesOverride
from .values import InstanceTypeName, Many, MismatchError, Model, at_place, integral

MOST_NODES = 1000
MOST_NODE_GROUPS = 5

_OneInstanceType = Annotated[Many[InstanceTypeName], Field(max_length=1)]
_OVERRIDE_OF = {
    "container": "containerOverrides",
    "ecsProperties": "ecsPropertiesOverride",
    "eksProperties": "eksPropertiesOverride",
}


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
        given = [name for name in _OVERRIDE_OF if getattr(self, name) is not None]
        if len(given) != 1:
            raise MismatchError(
                f"exactly one of {', '.join(_OVERRIDE_OF)}",
                message=f"there is {' and '.join(given) or 'none of them'}",
            )
        return self

    @property
    def part(self) -> str:
        """Which of its three forms it has: `container`, `ecsProperties` or `eksProperties`."""
        return next(name for name in _OVERRIDE_OF if getattr(self, name) is not None)

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
        assert self.ecsProperties is not None, "not a node on ECS"
        return self.ecsProperties.task.resources()

    def pod_resources(self) -> PodResources:
        """What the pod of one node on EKS asks for."""
        assert self.eksProperties is not None, "not a node on EKS"
        return self.eksProperties.podProperties.resources()

    def images(self) -> tuple[str, ...]:
        """The images of one node, init containers first, each once."""
        if self.container is not None:
            return (self.container.image,)
        several = self.ecsProperties or self.eksProperties
        assert several is not None
        return several.images()


class NodeGroup(NamedTuple):
    """The nodes that are alike: those that a range does not leave to ranges inside it."""

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
            if each.highest_named >= self.numNodes:
                raise MismatchError(
                    f"nodes below numNodes = {self.numNodes}",
                    place=("nodeRangeProperties", index, "targetNodes"),
                )
        if clash := the_first_clash(self.ranges, self.numNodes):
            raise MismatchError(
                message=clash[1],
                hint="ranges may lie apart or one inside the other",
                place=("nodeRangeProperties", clash[0], "targetNodes"),
            )
        owner = range_of_each_node(self.ranges, self.numNodes)
        if -1 in owner:
            raise MismatchError(
                message=f"no node range holds node {owner.index(-1)}",
                hint="let the ranges hold every node, for example with one range '0:'",
                place=("nodeRangeProperties",),
            )
        return self

    @model_validator(mode="after")
    def _nodes_are_of_one_kind(self) -> Self:
        for index, each in enumerate(self.nodeRangeProperties):
            if each.platform != self.platform:
                raise MismatchError(
                    message="the nodes of a job are all on ECS or all on EKS",
                    place=("nodeRangeProperties", index, each.part),
                )
        for index, each in enumerate(self.nodeRangeProperties):
            if each.instance_type not in (None, self.instance_type):
                field = ("instanceTypes", 0) if each.instanceTypes else ("container", "instanceType")
                raise MismatchError(
                    _same_instance_type(self.instance_type), place=("nodeRangeProperties", index, *field)
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
        """The instance type of all nodes; None: any one."""
        return next((each.instance_type for each in self.nodeRangeProperties if each.instance_type), None)

    def of_each_node(self) -> list[NodeRangeProperty]:
        """The properties of node 0, 1, ...: of the innermost range that holds it."""
        return [self.nodeRangeProperties[index] for index in range_of_each_node(self.ranges, self.numNodes)]

    def groups(self) -> list[NodeGroup]:
        """The nodes by range, in the order of the file; without ranges that have no node left."""
        nodes: list[list[int]] = [[] for _ in self.nodeRangeProperties]
        for node, position in enumerate(range_of_each_node(self.ranges, self.numNodes)):
            nodes[position].append(node)
        return [
            NodeGroup(tuple(each), properties)
            for each, properties in zip(nodes, self.nodeRangeProperties, strict=True)
            if each
        ]

    def consumables(self) -> dict[str, int]:
        """Consumable resources of all nodes together: name -> quantity."""
        total: dict[str, int] = {}
        for nodes, properties in self.groups():
            for name, quantity in properties.consumableResourceProperties.quantities().items():
                total[name] = total.get(name, 0) + quantity * len(nodes)
        return total

    def overridden(self, overrides: "NodeOverrides") -> Self:
        """These nodes as a submission changes them.

        Raises MismatchError, with the place in the overrides, for a number of nodes that the ranges do
        not allow and for a change that does not fit the range.
        """
        nodes = self.numNodes if overrides.numNodes is None else self._checked_number(overrides.numNodes)
        changed = list(self.nodeRangeProperties)
        for index, change in enumerate(overrides.nodePropertyOverrides):
            with at_place("nodePropertyOverrides", index):
                position = self._position_of(change.targetNodes)
                changed[position] = change.applied_to(changed[position])
        result = self.model_copy(update={"numNodes": nodes, "nodeRangeProperties": tuple(changed)})
        if any(each.instance_type not in (None, result.instance_type) for each in changed):
            types = [each.instanceTypes for each in overrides.nodePropertyOverrides]
            usual = self.instance_type or next(each[0] for each in types if each)
            raise MismatchError(
                _same_instance_type(usual),
                hint="override it in every range that names one",
                place=(
                    "nodePropertyOverrides",
                    next(index for index, each in enumerate(types) if each and each[0] != usual),
                    "instanceTypes",
                    0,
                ),
            )
        return result

    def _position_of(self, target: NodeRange) -> int:
        if target not in self.ranges:
            raise MismatchError(
                "a node range of the job definition", choices=map(str, self.ranges), place=("targetNodes",)
            )
        return self.ranges.index(target)

    def _checked_number(self, nodes: int) -> int:
        place = ("numNodes",)
        open_ended = [each.first for each in self.ranges if each.last is None]
        if not open_ended:
            raise MismatchError(
                message="numNodes can be overridden only if a node range of the job definition is open-ended",
                hint="let one of its ranges end with the colon, such as '1:'",
                place=place,
            )
        if min(open_ended) >= nodes:
            raise MismatchError(f"more nodes than the {min(open_ended)} before the open range", place=place)
        if self.mainNode >= nodes:
            raise MismatchError(f"more nodes than mainNode = {self.mainNode}", place=place)
        if clash := the_first_clash(self.ranges, nodes):
            raise MismatchError(message=f"of {nodes} nodes, {clash[1]}", place=place)
        return nodes


def _same_instance_type(instance_type: str | None) -> str:
    return f"one instance type for all nodes, such as {instance_type}"


class NodePropertyOverride(Model):
    """What a submission changes of the nodes of one range of the job definition."""

    targetNodes: TargetNodes
    containerOverrides: ContainerOverrides | None = None
    ecsPropertiesOverride: EcsPropertiesOverride | None = None
    eksPropertiesOverride: EksPropertiesOverride | None = None
    instanceTypes: _OneInstanceType = ()
    consumableResourcePropertiesOverride: ConsumableResourceProperties | None = None

    def applied_to(self, properties: NodeRangeProperty) -> NodeRangeProperty:
        """The properties with these changes; MismatchError for those of another kind of node."""
        update: dict[str, object] = {
            "instanceTypes": self.instanceTypes or properties.instanceTypes,
            "consumableResourceProperties": properties.consumableResourceProperties.overridden(
                self.consumableResourcePropertiesOverride
            ),
        }
        for part, field in _OVERRIDE_OF.items():
            change, own = getattr(self, field), getattr(properties, part)
            if change is None:
                continue
            with at_place(field):
                if own is None:
                    raise MismatchError(
                        message=f"these nodes have no {part}", hint=f"use {_OVERRIDE_OF[properties.part]}"
                    )
                update[part] = own.overridden(change)
        return properties.model_copy(update=update)


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
