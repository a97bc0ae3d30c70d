from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from batchsim.drivers.planning import prepare
from batchsim.scenario import parse_scenario
from batchsim.workload import build_workload

if TYPE_CHECKING:
    from collections.abc import Callable

    from batchsim.drivers.planning import Setup


@pytest.fixture
def prepared(monkeypatch) -> Callable[..., Setup]:
    """What `prepare` makes of a scenario's text, as if everything that has a model was simulated."""
    monkeypatch.setattr("batchsim.scenario.unbuilt.UNBUILT", {})

    def make(text: str, *overrides: str, **more: Any) -> Setup:
        scenario = parse_scenario(text, overrides=overrides)
        return prepare(scenario, build_workload(scenario), **more)

    return make
