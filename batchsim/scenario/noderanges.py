"""Ranges of the nodes of a multi-node job: how they are written, and which of them a node belongs to."""

import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from .values import MismatchError

_RANGE = re.compile(r"([0-9]{0,4}):([0-9]{0,4})|([0-9]{1,4})")


class NodeRange(NamedTuple):
    """Nodes `first` to `last`, both included; `last` None runs to the last node there is."""

    first: int
    last: int | None

    def __str__(self) -> str:
        return f"{self.first}:{'' if self.last is None else self.last}"

    @property
    def highest_named(self) -> int:
        """The highest node that the range names."""
        return self.first if self.last is None else self.last

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
    if found.highest_named < found.first:
        raise MismatchError("a range of nodes whose end is not before its beginning")
    return found


TargetNodes = Annotated[
    NodeRange,
    BeforeValidator(lambda given: given if isinstance(given, NodeRange) else parse_node_range(given)),
    PlainSerializer(str, when_used="json"),
    WithJsonSchema({"title": "Node range", "type": "string", "pattern": f"^({_RANGE.pattern})$"}),
]


def range_of_each_node(ranges: Iterable[NodeRange], nodes: int) -> list[int]:
    """For each node the position of its range, the innermost that holds it; -1 where none does."""
    owner = [-1] * nodes
    for position, each in sorted(enumerate(ranges), key=_outer_first):
        for node in each.within(nodes):
            owner[node] = position
    return owner


def _outer_first(item: tuple[int, NodeRange]) -> tuple[int, float]:
    _, (first, last) = item
    return first, -float("inf") if last is None else -last


def the_first_clash(ranges: Sequence[NodeRange], nodes: int) -> tuple[int, str] | None:
    """The position of a range that is neither apart from an earlier one nor inside or around it, and why.

    None if all ranges lie apart or nested, so that each node has an innermost one.
    """
    spans = [each.within(nodes) for each in ranges]
    for index, span in enumerate(spans):
        for other_index, other in enumerate(spans[:index]):
            if ranges[index] == ranges[other_index]:
                return index, f"the range {ranges[index]} stands twice"
            shared = range(max(span.start, other.start), min(span.stop, other.stop))
            if shared and shared not in (span, other):
                return index, f"the ranges {ranges[other_index]} and {ranges[index]} cross"
    return None
