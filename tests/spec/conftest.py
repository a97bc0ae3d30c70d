"""What the scenarios of the behaviour specification are run with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import batchsim
from batchsim.errors import ScenarioError
from batchsim.workload import build_workload

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from batchsim.workload.table import Workload


@pytest.fixture
def load(tmp_path: Path) -> Callable[[dict[str, Any]], batchsim.Scenario]:
    """The scenario in a file that holds the data."""

    def read(data: dict[str, Any]) -> batchsim.Scenario:
        path = tmp_path / "scenario.yaml"
        path.write_text(json.dumps(data), encoding="utf-8")
        return batchsim.load_scenario(path)

    return read


@pytest.fixture
def run(load, monkeypatch) -> Callable[..., batchsim.Result]:
    """The result of running a scenario; it keeps every law that a result must keep.

    `edit` changes the drawn workload before the run: what a scenario cannot say of a single job.
    """

    def simulate(
        data: dict[str, Any], edit: Callable[[Workload], None] | None = None, seed: int = 0
    ) -> batchsim.Result:
        if edit is not None:

            def edited(*arguments: Any) -> Workload:
                workload = build_workload(*arguments)
                edit(workload)
                return workload

            monkeypatch.setattr("batchsim.studies.run.build_workload", edited)
        result = batchsim.run(load(data), seed=seed)
        assert result.audit() == []
        return result

    return simulate


@pytest.fixture
def problems_of(load) -> Callable[[dict[str, Any]], list[str]]:
    """The lines that a scenario is refused with; none if it is accepted."""

    def refused(data: dict[str, Any]) -> list[str]:
        try:
            load(data)
        except ScenarioError as error:
            return [problem.one_line() for problem in (error, *getattr(error, "others", ()))]
        return []

    return refused
