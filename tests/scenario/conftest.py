from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

from batchsim.errors import ScenarioError
from batchsim.scenario import parse_scenario
from batchsim.scenario.tree import read_tree

if TYPE_CHECKING:
    from collections.abc import Callable

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
def faults() -> Callable[..., list[str]]:
    """What a value breaks of a JSON Schema."""

    def broken(schema: dict[str, Any], data: Any) -> list[str]:
        validator = Draft202012Validator(schema)
        return [
            f"{'.'.join(map(str, fault.absolute_path))}: {fault.message}"
            for fault in validator.iter_errors(data)
        ]

    return broken
