"""How late the scheduler hears of real containers, and how many a second an engine starts for it.

    python -m benchmarks.containers --image busybox:1 [--concurrent 50] [--jobs 300] [--seconds 4] [--json]

Jobs that sleep, so many at once, on the local Docker engine. The lag of an exit is from the instant at which
the engine says that the container ended to that at which the scheduler is told. The program ends with 1 when
it is beyond its limit in `limits.yaml`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from batchsim.scenario import parse_scenario
from batchsim.studies.replay import ReplayOptions, default_host, replay
from benchmarks.report import judge, show

if TYPE_CHECKING:
    from collections.abc import Sequence

SCENARIO = """
batchsim: 1
name: containers
computeEnvironments:
  - {{computeEnvironmentName: own, type: UNMANAGED, instances: [{{vcpus: {concurrent}, memory: 64GiB}}]}}
jobQueues: [{{jobQueueName: q, computeEnvironmentOrder: [{{order: 1, computeEnvironment: own}}]}}]
jobDefinitions:
  - jobDefinitionName: sleeper
    type: container
    containerProperties:
      image: "{image}"
      resourceRequirements: [{{type: VCPU, value: "1"}}, {{type: MEMORY, value: "16"}}]
workload:
  - {{name: jobs, jobQueue: q, jobDefinition: sleeper, count: {jobs}, arrivals: {{atOnce: {{}}}},
     runtime: {{uniform: {{low: "{low}s", high: "{high}s"}}}}}}
assumptions: {{preset: ideal}}
"""


def measure(image: str, concurrent: int, jobs: int, seconds: float) -> dict[str, float]:
    """Lags in milliseconds, and containers a second."""
    text = SCENARIO.format(
        image=image, concurrent=concurrent, jobs=jobs, low=seconds / 2, high=seconds * 3 / 2
    )
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        replay(parse_scenario(text), folder, ReplayOptions(hosts=(default_host(),), oversubscribe=True))
        took_s = time.monotonic() - began
        lines = (Path(folder) / "decisions.jsonl").read_text(encoding="utf-8").splitlines()
    entries = [json.loads(line) for line in lines]
    lags = {
        kind: np.array([each["at"] - each["happened"] for each in entries if each.get("report") == kind])
        / 1e3
        for kind in ("started", "ended")
    }
    assert len(lags["ended"]) == jobs
    return {
        "concurrent": concurrent,
        "jobs": jobs,
        "containers_per_s": jobs / took_s,
        **{
            f"{kind}_lag_{name}_ms": float(np.quantile(lag, part))
            for kind, lag in lags.items()
            for name, part in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))
        },
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--image", default="busybox:1")
    parser.add_argument("--concurrent", type=int, default=50)
    parser.add_argument("--jobs", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    found = measure(options.image, options.concurrent, options.jobs, options.seconds)
    verdicts = judge({"exit_lag_p99_ms": found["ended_lag_p99_ms"]})
    if options.json:
        print(json.dumps({"figures": found, "limits": [each._asdict() for each in verdicts]}, indent=1))
    else:
        show([{"figure": name, "measured": f"{value:.4g}"} for name, value in found.items()], verdicts)
    return 1 if any(each.holds is False for each in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())
