"""Scenarios of service jobs, run from data."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import batchsim
from batchsim.scenario import parse_scenario

if TYPE_CHECKING:
    from collections.abc import Callable

    from batchsim import Result, Scenario


@pytest.fixture
def load() -> Callable[..., Scenario]:
    """The scenario of the data."""
    return lambda data: parse_scenario(json.dumps(data))


@pytest.fixture
def run(load) -> Callable[..., Result]:
    """The result of running a scenario; it keeps every law that a result must keep."""

    def simulate(data: dict[str, Any], **more: Any) -> Result:
        result = batchsim.run(load(data), **more)
        assert result.audit() == []
        return result

    return simulate
