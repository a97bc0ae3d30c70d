"""AccaSim (MIT licence), a published simulator of batch systems, on strict first come, first served.

AccaSim 1.1.3 is older than Python 3.10 and no dependency of batchsim; give it an interpreter of its own:

    python3.11 -m venv DIR
    DIR/bin/pip install accasim==1.1.3
    DIR/bin/python -m benchmarks.rivals.accasim_shim LOG.swf 1024      (from the root of the repository)

What it needs, all done below: `collections.Mapping`, which Python 3.10 removed; submissions that begin after
second 1, since it takes a clock that reads 0 for one that is not set; a log without jobs that run 0 and with
the processors in field 8. Output files, which it writes from forked processes, are off.
"""

from __future__ import annotations

import argparse
import collections
import collections.abc
import importlib
import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.measure import MeasurementError, peak_mib

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

REPOSITORY = Path(__file__).resolve().parents[2]
FIRST_SECOND = 10


class AccasimOutcome(NamedTuple):
    """cpu_s: of reading the log and simulating it, imports left out."""

    jobs: int
    mean_wait_s: float
    cpu_s: float
    peak_mib: float


def run_accasim(python: str, log: Path, slots: int, timeout_s: float | None = None) -> AccasimOutcome:
    """Run this module in an interpreter that has AccaSim; raises MeasurementError with what it said."""
    command = [python, "-m", __spec__.name, str(log.resolve()), str(slots)]
    try:
        answer = subprocess.run(
            command, cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=timeout_s
        )
    except (OSError, subprocess.SubprocessError) as error:
        said = str(getattr(error, "stderr", None) or error).strip().splitlines()
        raise MeasurementError(f"AccaSim did not run: {said[-1]}") from error
    return AccasimOutcome(**json.loads(answer.stdout.splitlines()[-1]))


def accasim_fcfs(log: Path, slots: int, nodes: int = 1) -> AccasimOutcome:
    """Simulate a Standard Workload Format log on `slots` one-core slots, once in the life of a process.

    The slots are the cores of `nodes` equal nodes. Where they are does not change a start; AccaSim is fastest
    with them all in one node, and takes twice as long with 1,024 nodes of one core.
    """
    assert slots % nodes == 0
    collections.Mapping = collections.abc.Mapping  # type: ignore[attr-defined]
    simulators = importlib.import_module("accasim.base.simulator_class")
    schedulers = importlib.import_module("accasim.base.scheduler_class")
    allocators = importlib.import_module("accasim.base.allocator_class")
    with tempfile.TemporaryDirectory() as folder:
        clean, system = Path(folder, "log.swf"), Path(folder, "system.json")
        with log.open() as lines:
            clean.write_text("".join(usable_jobs(lines)))
        system.write_text(json.dumps(_system(slots, nodes)))
        began = time.process_time()
        simulator = simulators.Simulator(
            str(clean),
            str(system),
            schedulers.FirstInFirstOut(allocators.FirstFit()),
            scheduling_output=False,
            statistics_output=False,
            show_statistics=False,
            RESULTS_FOLDER_PATH=folder,
            LOG_LEVEL="ERROR",
        )
        simulator.start_simulation()
        cpu_s = time.process_time() - began
    waits = simulator.mapper.wtimes
    return AccasimOutcome(len(waits), sum(waits) / len(waits), cpu_s, peak_mib())


def usable_jobs(lines: Iterable[str]) -> Iterator[str]:
    """The jobs that ran on something, by submission and numbered from 1; fields 5 and 8 made equal."""
    jobs = []
    for line in lines:
        if line.strip() and not line.startswith(";"):
            _, submit, _, run, allocated, _, _, requested, *_ = line.split()
            processors = int(allocated) if int(allocated) > 0 else int(requested)
            if int(run) > 0 and processors > 0:
                jobs.append((int(submit), int(run), processors))
    for number, (submit_s, run_s, size) in enumerate(sorted(jobs, key=lambda job: job[0]), start=1):
        yield f"{number} {submit_s} -1 {run_s} {size} -1 -1 {size} {run_s} -1 1 1 1 1 1 1 -1 -1\n"


def _system(slots: int, nodes: int) -> dict[str, Any]:
    return {
        "groups": {"node": {"core": slots // nodes}},
        "resources": {"node": nodes},
        "equivalence": {"processor": {"core": 1}},
        "start_time": FIRST_SECOND,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Print AccaSim's mean wait, CPU time and memory as JSON.")
    parser.add_argument("log", type=Path)
    parser.add_argument("slots", type=int)
    parser.add_argument("--nodes", type=int, default=1)
    options = parser.parse_args()
    print(json.dumps(accasim_fcfs(options.log, options.slots, options.nodes)._asdict()))


if __name__ == "__main__":
    main()
