from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batchsim.errors import ScenarioError
from batchsim.scenario import parse_scenario
from batchsim.scenario.tree import read_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def kth() -> Path:
    """The smallest scenario that replays a log."""
    return HERE / "kth.yaml"


@pytest.fixture(scope="session")
def genomics() -> Path:
    """A scenario with every section: two environments, two queues, generated and replayed jobs."""
    return HERE / "genomics.yaml"


@pytest.fixture(scope="session")
def everything() -> Path:
    """A scenario that uses every feature there is a model of."""
    return HERE / "everything.yaml"


@pytest.fixture(scope="session")
def everything_text(everything) -> str:
    """The same as JSON, which is read several times as fast."""
    return json.dumps(read_tree(everything.read_text(), "f").data)


@pytest.fixture
def all_built(monkeypatch) -> None:
    """As if the simulator honoured every feature that has a model."""
    monkeypatch.setattr("batchsim.scenario.unbuilt.UNBUILT", {})


@pytest.fixture(scope="session")
def problems_of() -> Callable[..., list[str]]:
    """The lines that a scenario's text gives as errors; empty if it is a scenario."""

    def read(text: str, *overrides: str, file: str = "s.yaml") -> list[str]:
        try:
            parse_scenario(text, file=file, overrides=overrides)
        except ScenarioError as error:
            return [problem.one_line() for problem in (error, *getattr(error, "others", ()))]
        return []

    return read


@pytest.fixture(scope="session")
def faults() -> Callable[..., Iterator[str]]:
    """What a value breaks of a JSON Schema: the part of the standard that ours uses."""
    return lambda schema, data: _faults(schema, data, schema)


def _faults(schema, data, root, at="$"):
    """What a value breaks of a schema: the part of JSON Schema that ours uses."""
    if "$ref" in schema:
        yield from _faults(root["$defs"][schema["$ref"].removeprefix("#/$defs/")], data, root, at)
    options = schema.get("anyOf", schema.get("oneOf"))
    if options is not None:
        fitting = sum(not list(_faults(option, data, root, at)) for option in options)
        if fitting == 0 or ("oneOf" in schema and fitting != 1):
            yield f"{at}: {fitting} of {len(options)} options fit"
    kinds = {
        "object": dict,
        "array": list,
        "string": str,
        "integer": int,
        "number": int | float,
        "boolean": bool,
    }
    wanted = schema.get("type", list(kinds))
    if not any(isinstance(data, kinds[kind]) for kind in ([wanted] if isinstance(wanted, str) else wanted)):
        if "type" in schema:
            yield f"{at}: {data!r} is not of type {wanted}"
        return
    if "const" in schema and data != schema["const"]:
        yield f"{at}: {data!r} is not {schema['const']!r}"
    if "enum" in schema and data not in schema["enum"]:
        yield f"{at}: {data!r} is not one of {schema['enum']}"
    if isinstance(data, str) and not re.search(schema.get("pattern", ""), data):
        yield f"{at}: {data!r} does not match {schema['pattern']}"
    if isinstance(data, int | float) and not schema.get("minimum", data) <= data <= schema.get(
        "maximum", data
    ):
        yield f"{at}: {data} is out of bounds"
    if isinstance(data, list):
        for index, item in enumerate(data):
            yield from _faults(schema.get("items", {}), item, root, f"{at}[{index}]")
    if isinstance(data, dict) and "properties" in schema:
        yield from (f"{at}: no {key}" for key in schema.get("required", ()) if key not in data)
        for key, value in data.items():
            if key in schema["properties"]:
                yield from _faults(schema["properties"][key], value, root, f"{at}.{key}")
            else:
                yield f"{at}: unknown {key}"
