"""Node ranges, the properties of each node, and what a submission changes of them [spec 1.11]."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchsim.scenario import NodeGroup, NodeOverrides, NodeProperties, Resources
from batchsim.scenario.noderanges import NodeRange, parse_node_range, range_of_each_node, the_first_clash
from batchsim.scenario.values import MismatchError

pytestmark = pytest.mark.usefixtures("all_built")


def job(nodes: int, *ranges: str, main: int = 0) -> NodeProperties:
    """Nodes of a range ask for as many vCPUs as its position, from 1 on."""
    return NodeProperties.model_validate(
        {
            "numNodes": nodes,
            "mainNode": main,
            "nodeRangeProperties": [
                {"targetNodes": each, "container": {"image": f"i{n}", "vcpus": n, "memory": 100 * n}}
                for n, each in enumerate(ranges, 1)
            ],
        }
    )


def vcpus(properties: NodeProperties) -> list[int]:
    return [each.resources().vcpus for each in properties.of_each_node()]


@pytest.mark.parametrize(
    ("text", "parsed", "written"),
    [
        ("0:3", NodeRange(0, 3), "0:3"),
        (":3", NodeRange(0, 3), "0:3"),
        ("4:", NodeRange(4, None), "4:"),
        (":", NodeRange(0, None), "0:"),
        ("7", NodeRange(7, 7), "7:7"),
    ],
)
def test_a_range_is_read_and_written(text, parsed, written):
    assert parse_node_range(text) == parsed
    assert str(parsed) == written
    assert parse_node_range(written) == parsed


@pytest.mark.parametrize("text", ["", "a", "1:2:3", "-1:2", "3:2", "1 : 2", "12345:", 3, None, "٣:"])
def test_what_is_no_range_is_refused(text):
    with pytest.raises(MismatchError):
        parse_node_range(text)


def test_the_inner_range_wins():
    """[spec 9.2: 23]"""
    properties = job(11, "0:10", "4:5")
    assert vcpus(properties) == [1, 1, 1, 1, 2, 2, 1, 1, 1, 1, 1]
    assert vcpus(job(11, "4:5", "0:10")) == [2, 2, 2, 2, 1, 1, 2, 2, 2, 2, 2]
    outer, inner = properties.groups()
    assert outer == NodeGroup((0, 1, 2, 3, 6, 7, 8, 9, 10), properties.nodeRangeProperties[0])
    assert inner == NodeGroup((4, 5), properties.nodeRangeProperties[1])


def test_three_levels_of_ranges():
    assert vcpus(job(6, "0:", "1:4", "2:3", "5")) == [1, 2, 3, 3, 2, 4]


def test_a_range_with_no_node_left_makes_no_group():
    properties = job(4, "0:3", "0:1", "2:3")
    assert [each.nodes for each in properties.groups()] == [(0, 1), (2, 3)]


def test_the_inner_range_still_wins_when_both_are_cut_to_the_same_nodes():
    cut = job(20, "0:", "0:10", "0:5").overridden(NodeOverrides(numNodes=3))
    assert vcpus(cut) == [3, 3, 3]
    assert vcpus(job(20, "0:5", "0:10", "0:").overridden(NodeOverrides(numNodes=3))) == [1, 1, 1]


def test_more_or_fewer_nodes():
    """[spec 9.2: 23]"""
    properties = job(4, "0:0", "1:")
    assert vcpus(properties.overridden(NodeOverrides(numNodes=3))) == [1, 2, 2]
    assert vcpus(properties.overridden(NodeOverrides(numNodes=6))) == [1, 2, 2, 2, 2, 2]
    assert properties.numNodes == 4
    with pytest.raises(MismatchError, match="more nodes than mainNode = 5"):
        job(10, "0:0", "1:", main=5).overridden(NodeOverrides(numNodes=3))


def test_overrides_change_one_range():
    changed = job(4, "0:0", "1:").overridden(
        NodeOverrides.model_validate(
            {
                "nodePropertyOverrides": [
                    {
                        "targetNodes": "1:",
                        "instanceTypes": ["c5.xlarge"],
                        "containerOverrides": {"resourceRequirements": [{"type": "GPU", "value": 1}]},
                        "consumableResourcePropertiesOverride": {
                            "consumableResourceList": [{"consumableResource": "licences", "quantity": 2}]
                        },
                    }
                ]
            }
        )
    )
    assert [each.resources() for each in changed.of_each_node()] == [
        Resources(1, 100, 0),
        *[Resources(2, 200, 1)] * 3,
    ]
    assert changed.instance_type == "c5.xlarge"
    assert changed.consumables() == {"licences": 6}
    assert [each.images() for _, each in changed.groups()] == [("i1",), ("i2",)]


def test_the_instance_type_may_be_said_in_the_old_place():
    container = {"image": "i", "vcpus": 1, "memory": 4, "instanceType": "c5.xlarge"}
    properties = NodeProperties.model_validate(
        {
            "numNodes": 2,
            "mainNode": 0,
            "nodeRangeProperties": [
                {"targetNodes": "0", "container": container},
                {"targetNodes": "1", "container": {"image": "i", "vcpus": 1, "memory": 4}},
            ],
        }
    )
    assert properties.instance_type == "c5.xlarge"
    assert job(1, "0").instance_type is None


ranges = st.lists(
    st.tuples(st.integers(0, 9), st.one_of(st.none(), st.integers(0, 9)))
    .filter(lambda ends: ends[1] is None or ends[0] <= ends[1])
    .map(lambda ends: NodeRange(*ends)),
    max_size=5,
)


@given(ranges, st.integers(1, 12))
def test_each_node_belongs_to_the_smallest_range_that_holds_it(given_ranges, nodes):
    clash = the_first_clash(given_ranges, 10_000)
    sets = [
        frozenset(n for n in range(10_000) if each.first <= n and (each.last is None or n <= each.last))
        for each in given_ranges
    ]
    nested = all(a != b and (not a & b or a < b or b < a) for i, a in enumerate(sets) for b in sets[:i])
    assert (clash is None) == nested
    if not nested:
        return
    for node, owner in enumerate(range_of_each_node(given_ranges, nodes)):
        holding = [index for index, each in enumerate(sets) if node in each]
        assert owner == min(holding, key=lambda index: len(sets[index]), default=-1)
