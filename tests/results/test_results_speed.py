"""Results of a million jobs: seconds and megabytes. The small size runs always, the large with -m slow."""

from __future__ import annotations

import heapq
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from batchsim.results import EnvironmentRow, InstanceTypeRow, Recorder, RunContext, build_result
from tests.results.worlds import JobClass, S, context_of


def busy_night(jobs: int, instances: int = 100, slots: int = 16) -> tuple[Recorder, RunContext]:
    """Single-vCPU jobs of two queues with instances of their own, in FIFO order; one in 50 is retried."""
    rng = np.random.default_rng(1)
    submit = np.sort(rng.integers(0, jobs * 50_000, jobs))
    lasts = rng.integers(S, 160 * S, jobs).tolist()
    recorder = Recorder(jobs)
    for number in range(instances):
        row = recorder.add_instance(number % 2, number % 3, 0)
        recorder.i_running_us[row] = recorder.i_ready_us[row] = 0
    free = [
        [(0, row, slot) for row in range(queue, instances, 2) for slot in range(slots)] for queue in (0, 1)
    ]
    last_start, end = [0, 0], 0
    for job, at in enumerate(submit.tolist()):
        queue = job % 2
        ready, instance, slot = free[queue][0]
        start = max(at, ready, last_start[queue])
        last_start[queue] = start
        recorder.runnable_us[job] = at
        if job % 50 == 0:  # fails at once and is tried again on the same slot
            _attempt(recorder, job, instance, start, start + 1, 1)
            recorder.keep_attempt(job)
            start += 1
        done = start + lasts[job]
        _attempt(recorder, job, instance, start, done, 0)
        recorder.state[job] = 5
        heapq.heapreplace(free[queue], (done, instance, slot))
        end = max(end, done)
    recorder.finish(end, "finished")
    context = context_of(
        [JobClass("even", "a", attempts=3), JobClass("odd", "b", attempts=3)],
        [],
        submit_us=submit,
        job_class=np.arange(jobs, dtype=np.int32) % 2,
        ordinal=np.arange(jobs) // 2,
        environments=[EnvironmentRow("left", managed=False), EnvironmentRow("right", managed=False)],
        instance_types=[InstanceTypeRow(f"m5.{n}", slots, 64_000, 0, 100_000 + n) for n in range(3)],
    )
    return recorder, context


def _attempt(recorder: Recorder, job: int, instance: int, start: int, end: int, code: int) -> None:  # noqa: PLR0917
    recorder.attempts[job] += 1
    recorder.instance[job] = instance
    recorder.placed_us[job] = recorder.starting_us[job] = recorder.started_us[job] = start
    recorder.ended_us[job] = end
    recorder.exit_code[job] = code


def seconds_to_build_and_audit(jobs: int) -> tuple[float, float]:
    recorder, context = busy_night(jobs)
    build_result(*busy_night(1000)).audit()  # everything is imported now
    began = time.process_time()
    result = build_result(recorder, context)
    built = time.process_time()
    assert result.audit() == []
    return built - began, time.process_time() - built


def test_results_of_a_hundred_thousand_jobs_take_a_fraction_of_a_second():
    build, audit = seconds_to_build_and_audit(100_000)
    assert build < 1
    assert audit < 1


@pytest.mark.slow
def test_results_of_a_million_jobs_take_seconds():
    # Measured on two shared cores: 1.2 s and 2.2 s; the limits leave room for their noise.
    build, audit = seconds_to_build_and_audit(1_000_000)
    assert build < 2.5
    assert audit < 4


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_results_of_a_million_jobs_fit_into_memory():
    # Not getrusage: its peak may be that of the process which started this one.
    program = (
        "import re, sys; sys.path.insert(0, '.')\n"
        "from tests.results.test_results_speed import busy_night\n"
        "from batchsim.results import build_result\n"
        "result = build_result(*busy_night(1_000_000))\n"
        "print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read()).group(1))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout) / 1024 < 750  # MiB, with the record, Python, numpy, pandas and pyarrow
