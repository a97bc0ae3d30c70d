from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from batchsim.errors import ScenarioError
from batchsim.scenario import json_schema, load_scenario, parse_scenario
from batchsim.scenario.tree import read_tree
from tests.scenario.test_scenario_properties import EVERYTHING, FACTS, mutated, scenarios

if TYPE_CHECKING:
    from collections.abc import Iterator


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
        if "object" in node.get("type", ()):
            inside = node["additionalProperties"]
            assert inside is False or {"type", "$ref", "anyOf"} & set(inside)
        if "$ref" in node:
            assert node["$ref"].removeprefix("#/$defs/") in schema["$defs"]


def test_what_is_not_modelled_is_not_offered(schema):
    offered = {name for part in mappings_in(schema) for name in part.get("properties", {})}
    assert {"subnets", "maxvCpus", "from", "arrayProperties"} <= offered
    assert not {"platformVersion", "from_"} & offered


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
    quantity = next(part for part in mappings_in(schema) if part.get("title") == name)
    fits = Draft202012Validator(quantity).is_valid
    assert all(map(fits, good))
    assert not any(map(fits, bad))


@pytest.mark.parametrize("name", ["kth", "genomics"])
def test_it_accepts_the_scenarios_that_load(schema, faults, request, name):
    path = request.getfixturevalue(name)
    for data in (read_tree(path.read_text(), "f").data, load_scenario(path).to_dict()):
        assert faults(schema, data) == []


def test_it_refuses_what_is_wrong(schema, faults, genomics):
    data = read_tree(genomics.read_text(), "f").data
    data["computeEnvironments"][0]["computeResources"]["maxvCPUs"] = 1
    data["jobQueues"][0]["priority"] = -1
    del data["workload"]
    assert len(faults(schema, data)) == 3


# --- whatever is a scenario fits the schema -----------------------------------------------------

ODD = (
    *(None, True, False, 0, 1, -1, 2.0, 0.5, "", "1", "1.5", [], {}, [None], {"a": None}),
    *("1h", " 2 s", "5.s", "5GiB", "500m", "1e-3/h", "1_0/h", "-0/h", "*"),
    *("\u0663s", "\u0663GiB", "\u0663/h"),  # digits of another script
)


def other_spellings(value: Any) -> Iterator[Any]:
    """What could stand for a value, whether the same or not."""
    yield from ODD
    if isinstance(value, str):
        yield from (
            value.lower(),
            value.upper(),
            f" {value}",
            f"{value}\n",
            [value],
            {value: 1},
            f"{value}:1",
        )
        yield f"arn:aws:batch:us-east-1:1:x/{value}"
        if value.isdecimal():
            yield from (int(value), float(value))
    elif isinstance(value, int | float):
        yield from (str(value), float(value), [value])
    elif isinstance(value, dict):
        yield from ([value], {**value, "unknown": None}, {**value, "unknown": []})
        yield from ({**value, key: None} for key in value)
        yield from ({other: value[other] for other in value if other != key} for key in value)
    elif value:
        yield from (value[0], [*value, value[-1]], [*value, None])


def places_in(data: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    inside = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in inside:
        yield (*path, key)
        yield from places_in(value, (*path, key))


def at(data: Any, path: tuple[str | int, ...]) -> Any:
    for key in path:
        data = data[key]
    return data


def changed(facts: Any, path: str, value: Any) -> Any:
    """The facts with another value at a path of keys and positions."""
    data = copy.deepcopy(facts)
    *inside, key = (int(part) if part.isdecimal() else part for part in path.split("."))
    at(data, tuple(inside))[key] = value
    return data


def is_scenario(data: Any) -> bool:
    try:
        parse_scenario(json.dumps(data))
    except ScenarioError:
        return False
    return True


@pytest.mark.parametrize("facts", FACTS, ids=["kth", "genomics"])
def test_any_other_spelling_that_loads_fits(schema, faults, facts):
    loaded = 0
    for path in places_in(facts):
        for value in other_spellings(at(facts, path)):
            data = copy.deepcopy(facts)
            at(data, path[:-1])[path[-1]] = value
            if is_scenario(data):
                loaded += 1
                assert faults(schema, data) == []
    assert loaded > 50


@given(st.one_of(scenarios(), mutated(*FACTS)))
def test_whatever_loads_fits(schema, faults, data):
    if is_scenario(data):
        assert faults(schema, data) == []


@pytest.fixture(scope="module")
def schema_of_all() -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("batchsim.scenario.unbuilt.UNBUILT", {})
        return json_schema()


@pytest.mark.usefixtures("all_built")
@given(st.data())
def test_whatever_of_every_feature_loads_fits(schema_of_all, faults, data):
    facts = copy.deepcopy(EVERYTHING)
    path = data.draw(st.sampled_from(list(places_in(facts))))
    at(facts, path[:-1])[path[-1]] = data.draw(st.sampled_from(list(other_spellings(at(facts, path)))))
    if is_scenario(facts):
        assert faults(schema_of_all, facts) == []


@pytest.mark.usefixtures("all_built")
def test_a_scenario_of_every_feature_fits(schema_of_all, faults, everything):
    assert faults(schema_of_all, EVERYTHING) == []
    assert faults(schema_of_all, load_scenario(everything).to_dict()) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("jobDefinitions.0.retryStrategy.evaluateOnExit.0.action", "retry"),
        ("jobDefinitions.0.retryStrategy.evaluateOnExit.0.onExitCode", 137),
        ("jobDefinitions.0.timeout", None),
        ("jobQueues.0.jobStateTimeLimitActions", []),
        ("jobDefinitions.0.consumableResourceProperties", {"consumableResourceList": []}),
        ("computeEnvironments.0.computeResources.scalingPolicy", {"minScaleDownDelayMinutes": 0}),
    ],
)
def test_what_the_schema_once_refused_although_it_loads(schema, faults, path, value):
    data = changed(FACTS[1], path, value)
    assert is_scenario(data)
    assert faults(schema, data) == []


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("batchsim", True, "batchsim: expected 1, found true"),
        ("computeEnvironments.0.computeResources.maxvCPUs", None, "unknown key; did you mean maxvCpus?"),
        ("workload.0.arrivals", {"poisson": {"rate": "1/h"}, "every": None}, "there is every and poisson"),
        ("jobDefinitions.0.retryStrategy.evaluateOnExit.0.onReason", 5, "expected letters, digits"),
    ],
)
def test_what_once_loaded_although_it_is_wrong(problems_of, path, value, said):
    data = changed(FACTS[1], path, value)
    assert said in problems_of(json.dumps(data))[0]
    assert not Draft202012Validator(json_schema()).is_valid(data)
