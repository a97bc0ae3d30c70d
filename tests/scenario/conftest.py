from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batchsim.errors import ScenarioError
from batchsim.scenario import parse_scenario

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
