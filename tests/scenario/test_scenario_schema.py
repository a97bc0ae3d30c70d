from __future__ import annotations

import json
import re

import pytest

from batchsim.scenario import json_schema, load_scenario
from batchsim.scenario.tree import read_tree


@pytest.fixture(scope="module")
def schema():
    return json_schema()


def mappings_in(node):
    if isinstance(node, dict):
        yield node
    for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from mappings_in(inner)


def test_it_is_plain_json_of_the_2020_draft(schema):
    assert json.loads(json.dumps(schema)) == schema
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["title"] == "batchsim scenario"
    assert schema["required"] == ["batchsim", "jobQueues", "workload"]


def test_every_mapping_is_closed_and_every_reference_leads_somewhere(schema):
    for node in mappings_in(schema):
        if node.get("type") == "object":
            assert node["additionalProperties"] is False or "type" in node["additionalProperties"]
        if "$ref" in node:
            assert node["$ref"].removeprefix("#/$defs/") in schema["$defs"]


def test_what_is_not_modelled_is_not_offered(schema):
    offered = {name for part in mappings_in(schema) for name in part.get("properties", {})}
    assert {"subnets", "maxvCpus", "from"} <= offered
    assert not {"arrayProperties", "shareIdentifier", "eksProperties", "from_"} & offered


def test_the_assumptions_carry_their_sources(schema):
    properties = schema["$defs"]["Assumptions"]["properties"]
    assert properties["idleScaleIn"]["description"].endswith("aws: 120s, ideal: 0. [spec 3.8, 5.3]")
    assert properties["idleScaleIn"]["x-assumption"]["unit"] == "time"


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        (
            "Duration",
            ["90s", "12m", "1h30m", "1.5h", " 2d ", "250ms", 0, 7.5],
            ["90", "12:30", "s", "-5s", -1, ""],
        ),
        ("Size", ["7.5GiB", "900MiB", "500MB", 4], ["7.5", "900 mib", -1, ""]),
        ("Rate", ["120/h", "2/s", " 1e3 / d", "1e-3/h", 0], ["120", "3/week", "-1/h", "1_0/h", -1, 0.5]),
    ],
)
def test_quantities_are_text_or_numbers(schema, name, good, bad):
    options = next(part["anyOf"] for part in mappings_in(schema) if part.get("title") == name)
    assert all(_matches(options, value) for value in good)
    assert not any(_matches(options, value) for value in bad)


def _matches(options, value) -> bool:
    for option in options:
        if isinstance(value, str) and option.get("type") == "string" and re.search(option["pattern"], value):
            return True
        if not isinstance(value, str) and ("const" in option or option["type"] != "string"):
            return value == option.get("const", value) and value >= option.get("minimum", 0)
    return False


@pytest.mark.parametrize("name", ["kth", "genomics"])
def test_it_accepts_the_scenarios_that_load(schema, faults, request, name):
    path = request.getfixturevalue(name)
    for data in (read_tree(path.read_text(), "f").data, load_scenario(path).to_dict()):
        assert list(faults(schema, data)) == []


def test_it_refuses_what_is_wrong(schema, faults, genomics):
    data = read_tree(genomics.read_text(), "f").data
    data["computeEnvironments"][0]["computeResources"]["maxvCPUs"] = 1
    data["jobQueues"][0]["priority"] = -1
    del data["workload"]
    assert len(list(faults(schema, data))) == 3
