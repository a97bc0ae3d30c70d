"""batchsim: a discrete-event simulator of AWS Batch for capacity planning.

import batchsim

scenario = batchsim.load_scenario("scenarios/quickstart.yaml")
result = batchsim.run(scenario, seed=1)
result.jobs, result.attempts, result.instances, result.timeseries, result.summary
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batchsim.errors import BatchsimError, InputError, ScenarioError
    from batchsim.results import Result
    from batchsim.scenario import Scenario, load_scenario, parse_scenario
    from batchsim.studies.compare import compare
    from batchsim.studies.comparison import Comparison
    from batchsim.studies.run import run

    __version__: str

# Imported when first asked for: pandas and pydantic take longer to load than many runs take.
_HOMES = {
    "BatchsimError": "batchsim.errors",
    "Comparison": "batchsim.studies.comparison",
    "InputError": "batchsim.errors",
    "Result": "batchsim.results",
    "Scenario": "batchsim.scenario",
    "ScenarioError": "batchsim.errors",
    "compare": "batchsim.studies.compare",
    "load_scenario": "batchsim.scenario",
    "parse_scenario": "batchsim.scenario",
    "run": "batchsim.studies.run",
}

__all__ = [
    "BatchsimError",
    "Comparison",
    "InputError",
    "Result",
    "Scenario",
    "ScenarioError",
    "compare",
    "load_scenario",
    "parse_scenario",
    "run",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("batchsim")
    if name not in _HOMES:
        raise AttributeError(f"module 'batchsim' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
