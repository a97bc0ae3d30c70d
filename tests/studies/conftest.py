"""Scenarios from data, as if read from a file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from batchsim.scenario import Scenario, load_scenario

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Scenario]:
    """Write a scenario's data to `small.json` and load it, with overrides."""

    def write_and_load(data: dict[str, Any], *overrides: str) -> Scenario:
        path = tmp_path / "small.json"
        path.write_text(json.dumps(data))
        return load_scenario(path, overrides)

    return write_and_load
