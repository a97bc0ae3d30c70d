"""Whatever is given: a scenario or a ScenarioError of one line, within a second. Nothing else, ever."""

from __future__ import annotations

import copy
import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchsim.errors import ScenarioError
from batchsim.scenario import Scenario, parse_scenario
from batchsim.scenario.tree import read_tree

HERE = Path(__file__).parent
TEXTS = [(HERE / name).read_text() for name in ("kth.yaml", "genomics.yaml")]
FACTS = [read_tree(text, "f").data for text in TEXTS]

names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,8}", fullmatch=True)
durations = st.one_of(
    st.integers(1, 10**6),
    st.floats(0.001, 1e6, allow_nan=False),
    st.builds("{}{}".format, st.integers(1, 999), st.sampled_from(["us", "ms", "s", "m", "min", "h", "d"])),
    st.builds("{}h{}m".format, st.integers(0, 99), st.integers(1, 99)),
)
sizes = st.one_of(
    st.integers(4, 10**6),
    st.builds("{}{}".format, st.integers(5, 999), st.sampled_from(["MiB", "GiB", "MB", "GB"])),
)
rates = st.builds("{}/{}".format, st.integers(1, 1000), st.sampled_from(["s", "m", "h", "d"]))
runtimes = st.one_of(
    durations,
    st.fixed_dictionaries({"constant": durations}),
    st.fixed_dictionaries({"exponential": st.fixed_dictionaries({"mean": durations})}),
    st.fixed_dictionaries({"uniform": st.fixed_dictionaries({"low": st.just(0), "high": durations})}),
    st.fixed_dictionaries({"gamma": st.fixed_dictionaries({"mean": durations, "cv": st.floats(0.01, 100)})}),
)
arrivals = st.one_of(
    st.fixed_dictionaries({"atOnce": st.fixed_dictionaries({}, optional={"at": durations})}),
    st.fixed_dictionaries(
        {"every": st.fixed_dictionaries({"interval": durations}, optional={"start": durations})}
    ),
    st.fixed_dictionaries({"poisson": st.fixed_dictionaries({"rate": rates}, optional={"start": durations})}),
    st.fixed_dictionaries(
        {"hourly": st.fixed_dictionaries({"rates": st.lists(rates, min_size=24, max_size=24)})}
    ),
)


@st.composite
def scenarios(draw: st.DrawFn) -> dict[str, Any]:
    """The data of a valid scenario."""
    environments = draw(st.lists(names, min_size=1, max_size=3, unique=True))
    queues = draw(st.lists(names, min_size=1, max_size=3, unique=True))
    definition = draw(names)
    entries = draw(st.lists(names, min_size=1, max_size=3, unique=True))
    return {
        "batchsim": 1,
        "computeEnvironments": [_environment(draw, name) for name in environments],
        "jobQueues": [_queue(draw, name, environments) for name in queues],
        "jobDefinitions": [_definition(draw, definition)],
        "workload": [_entry(draw, name, draw(st.sampled_from(queues)), definition) for name in entries],
        "assumptions": draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "preset": st.sampled_from(["aws", "ideal"]),
                    "idleScaleIn": durations,
                    "instanceLaunch": runtimes,
                },
            )
        ),
    }


def _environment(draw: st.DrawFn, name: str) -> dict[str, Any]:
    machine = {
        "vcpus": draw(st.integers(1, 10_000)),
        "memory": draw(sizes),
        "count": draw(st.integers(1, 99)),
    }
    least = draw(st.integers(0, 100))
    resources = {
        "type": "EC2",
        "minvCpus": least,
        "maxvCpus": least + draw(st.integers(0, 100)),
        "instanceTypes": ["c6i"],
    }
    unmanaged = {"type": "UNMANAGED", "instances": [machine]}
    managed = {"type": "MANAGED", "computeResources": resources}
    return {"computeEnvironmentName": name, **draw(st.sampled_from([unmanaged, managed]))}


def _queue(draw: st.DrawFn, name: str, environments: list[str]) -> dict[str, Any]:
    order = [{"order": place, "computeEnvironment": each} for place, each in enumerate(environments)]
    return {"jobQueueName": name, "priority": draw(st.integers(0, 9999)), "computeEnvironmentOrder": order}


def _definition(draw: st.DrawFn, name: str) -> dict[str, Any]:
    needs = [
        {"type": "VCPU", "value": str(draw(st.integers(1, 10_000)))},
        {"type": "MEMORY", "value": draw(st.integers(4, 10**7))},
    ]
    retry = {"attempts": draw(st.integers(1, 10)), "evaluateOnExit": [{"onExitCode": "1*", "action": "exit"}]}
    properties = {"image": "i", "resourceRequirements": needs}
    return {"jobDefinitionName": name, "containerProperties": properties, "retryStrategy": retry}


def _entry(draw: st.DrawFn, name: str, queue: str, definition: str) -> dict[str, Any]:
    generated = {
        "jobDefinition": definition,
        "count": draw(st.integers(1, 10**7)),
        "arrivals": draw(arrivals),
        "runtime": draw(runtimes),
        "imageSize": draw(sizes),
    }
    replayed = {"trace": {"format": "swf", "path": "log.swf", "from": draw(durations)}}
    return {"name": name, "jobQueue": queue, **draw(st.sampled_from([generated, replayed]))}


@given(scenarios())
def test_a_valid_scenario_loads_and_reads_back(data):
    scenario = parse_scenario(json.dumps(data))
    assert isinstance(scenario, Scenario)
    written = scenario.to_dict()
    again = parse_scenario(json.dumps(written))
    assert again.to_dict() == written
    assert again.digest() == scenario.digest()
    assert again.model_dump() == scenario.model_dump()


def scenario_or_one_line(text: str, *overrides: str) -> None:
    started = time.process_time()
    try:
        scenario = parse_scenario(text, overrides=overrides)
    except ScenarioError as error:
        for problem in (error, *getattr(error, "others", ())):
            line = problem.one_line()
            assert line.isprintable(), line
            assert len(line) < 500, line
    else:
        assert isinstance(scenario, Scenario)
    assert time.process_time() - started < 1


junk = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**18), 10**18),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.sampled_from(
        ["SPOT", "12:30", "", "1e3", "-5s", "x" * 1000, [], {}, [[]], {"a": {}}, "*", "arn:aws:batch"]
    ),
)


@st.composite
def mutated(draw: st.DrawFn, *facts: Any) -> Any:
    """A valid scenario's data with a few values replaced, removed, repeated or renamed."""
    data = copy.deepcopy(draw(st.sampled_from(facts)))
    for _ in range(draw(st.integers(1, 4))):
        inside = data
        while isinstance(inside, dict | list) and inside:
            keys = list(inside) if isinstance(inside, dict) else list(range(len(inside)))
            key = draw(st.sampled_from(keys))
            deeper = inside[key]
            if not isinstance(deeper, dict | list) or not deeper or draw(st.integers(0, 3)) == 0:
                _mutate(draw, inside, key)
                break
            inside = deeper
    return data


def _mutate(draw: st.DrawFn, inside: Any, key: Any) -> None:
    how = draw(st.sampled_from(["replace", "remove", "repeat", "rename"]))
    if how == "replace":
        inside[key] = copy.deepcopy(draw(junk))
    elif how == "remove":
        del inside[key]
    elif isinstance(inside, list):
        inside.append(copy.deepcopy(inside[key]))
    else:
        inside[draw(st.text(max_size=8)) if how == "rename" else f"{key}s"] = inside.pop(key)


@given(mutated(*FACTS))
def test_mutated_data_give_a_scenario_or_one_line(data):
    scenario_or_one_line(json.dumps(data))


YAML_PIECES = (
    *"[]{},:&*!|>'\"%@`#?-\n \t\\\0\x85\u2028\ufeff\r~<=",
    *(
        "- ",
        "? ",
        ": ",
        "&a ",
        "*a",
        "<<",
        "!!int ",
        "---\n",
        "...\n",
        "%YAML 1.1\n",
        "null",
        "1e999",
        "\\ud800",
    ),
    *(
        "0x",
        ".5",
        "1_000",
        "\ud800",
        "\U0001f600",
        "1" * 400,
        "!<x> ",
        "! ",
        "|+\n",
        ">2\n",
        "%TAG !a! b\n",
        "!a!b ",
    ),
)


@given(
    text=st.sampled_from(TEXTS),
    edits=st.lists(
        st.tuples(
            st.floats(0, 1), st.integers(0, 12), st.one_of(st.sampled_from(YAML_PIECES), st.text(max_size=4))
        ),
        min_size=1,
        max_size=6,
    ),
)
@example(text="a: &a [*a", edits=[])
def test_mutated_text_gives_a_scenario_or_one_line(text, edits):
    for where, removed, added in edits:
        at = int(where * len(text))
        text = text[:at] + added + text[at + removed :]
    scenario_or_one_line(text)


@given(st.text(max_size=200))
def test_any_text_gives_a_scenario_or_one_line(text):
    scenario_or_one_line(text)


@given(
    path=st.lists(
        st.one_of(
            st.sampled_from(
                [
                    "computeEnvironments",
                    "cloud",
                    "workload",
                    "samples",
                    "0",
                    "assumptions",
                    "runtime",
                    "-1",
                    "",
                ]
            ),
            st.text(max_size=4),
        ),
        max_size=5,
    ),
    value=st.text(max_size=30),
)
def test_any_override_gives_a_scenario_or_one_line(path, value):
    scenario_or_one_line(TEXTS[1], f"{'.'.join(path)}={value}")


EVERYTHING = read_tree((HERE / "everything.yaml").read_text(), "f").data


@pytest.mark.usefixtures("all_built")
@given(mutated(EVERYTHING))
def test_mutated_data_of_every_feature_give_a_scenario_or_one_line(data):
    scenario_or_one_line(json.dumps(data))


@given(mutated(EVERYTHING))
def test_mutated_data_of_what_is_not_built_give_a_scenario_or_one_line(data):
    scenario_or_one_line(json.dumps(data))
