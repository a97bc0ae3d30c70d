"""The pool policies on whole logs of real machines, against figures computed and published by others.

The logs are not part of the repository; they are looked for in ../shared/data/traces beside it.
"""

import functools
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.oracles.published import small_cases
from tests.reference import PoolJob, pool_easy, pool_fifo, pool_greedy, read_swf

TRACES = Path(__file__).resolve().parents[3] / "shared" / "data" / "traces"

pytestmark = pytest.mark.skipif(not TRACES.is_dir(), reason="needs the logs in ../shared/data/traces")

NASA, KTH = "NASA-iPSC-1993-3.1-cln", "KTH-SP2-1996-2.1-cln"
LCG, LUBLIN = "LCG-2005-1", "lublin-256"


@functools.cache
def log_of(name):
    return read_swf(TRACES / "swf" / f"{name}.swf.gz")


def easy_with_requested_times(jobs, processors, log):
    return pool_easy(jobs, processors, [max(job.run, job.requested) for job in log])


class Waits(NamedTuple):
    jobs: int
    total: int
    longest: int
    waited: int
    bounded_slowdown: float


def waits_of(jobs, starts):
    waits = [start - job.submit for start, job in zip(starts, jobs, strict=True)]
    slowdowns = [max(1, (wait + job.run) / max(job.run, 10)) for wait, job in zip(waits, jobs, strict=True)]
    waited = sum(wait > 0 for wait in waits)
    return Waits(len(jobs), sum(waits), max(waits), waited, round(sum(slowdowns) / len(jobs), 6))


@pytest.mark.parametrize(
    ("name", "tenths", "processors", "policy", "expected"),
    [
        (NASA, 10, 128, pool_fifo, Waits(18_066, 145_997, 23_753, 11, 1.026233)),
        (NASA, 10, 128, pool_greedy, Waits(18_066, 73_468, 23_753, 6, 1.011872)),
        (NASA, 10, 128, pool_easy, Waits(18_066, 73_468, 23_753, 6, 1.011872)),
        (NASA, 7, 128, pool_fifo, Waits(18_066, 260_933_157, 63_816, 13_924, 327.930796)),
        (NASA, 7, 128, pool_greedy, Waits(18_066, 32_094_007, 216_176, 6_717, 26.464856)),
        (NASA, 7, 128, pool_easy, Waits(18_066, 37_706_027, 29_826, 7_805, 31.208225)),
        (KTH, 10, 100, pool_fifo, Waits(28_467, 11_104_748_586, 1_018_341, 25_637, 7_514.421451)),
        (KTH, 10, 100, pool_greedy, Waits(28_467, 164_076_009, 1_723_252, 10_206, 71.404587)),
        (KTH, 10, 100, pool_easy, Waits(28_467, 180_983_987, 258_803, 13_005, 71.179992)),
        (KTH, 10, 100, easy_with_requested_times, Waits(28_467, 195_237_048, 262_194, 13_225, 90.856809)),
        (LCG, 10, 2000, pool_fifo, Waits(187_520, 1_161_982_426, 37_822, 76_965, 44.902518)),
        (LCG, 10, 3000, pool_fifo, Waits(187_520, 8_391_949, 2_787, 9_169, 1.406204)),
        (LUBLIN, 10, 256, pool_fifo, Waits(10_000, 23_884_437_601, 4_759_976, 9_972, 66_502.475529)),
        (LUBLIN, 10, 256, pool_easy, Waits(10_000, 971_559_945, 1_029_731, 8_542, 590.053777)),
    ],
)
def test_waits_on_whole_logs(name, tenths, processors, policy, expected):
    log = log_of(name)
    jobs = [job.pool_job._replace(submit=job.submit * tenths // 10) for job in log]
    requests = (log,) if policy is easy_with_requested_times else ()
    assert waits_of(jobs, policy(jobs, processors, *requests)) == expected


@pytest.mark.parametrize(
    ("name", "core_seconds"),
    [(NASA, 474_238_015), (KTH, 2_016_591_520), (LCG, 1_502_530_759), (LUBLIN, 2_092_781_168)],
)
def test_work_in_whole_logs(name, core_seconds):
    assert sum(job.run * job.processors for job in log_of(name)) == core_seconds


def test_mean_bounded_slowdown_published_for_ten_windows():
    """RLScheduler (Zhang et al., SC'20), table V, trace Lublin-1 under FCFS without backfilling: 7273.77."""
    windows = {
        1981: 6862.2636,
        2756: 7034.4524,
        4299: 9090.8359,
        8850: 5405.4992,
        3316: 7847.3679,
        2714: 6366.9808,
        5228: 7655.8118,
        7762: 7535.1375,
        4022: 10071.4184,
        7085: 4867.9461,
    }
    log = [job.pool_job for job in log_of(LUBLIN)]
    means = []
    for first, expected in windows.items():
        window = log[first : first + 1024]
        starts = pool_fifo(window, 256)
        ends = [start + job.run for start, job in zip(starts, window, strict=True)]
        slowdowns = [
            max(1, (end - job.submit) / max(job.run, 10)) for end, job in zip(ends, window, strict=True)
        ]
        means.append(sum(slowdowns) / len(slowdowns))
        assert means[-1] == pytest.approx(expected, abs=5e-5)
    assert sum(means) / len(means) == pytest.approx(7273.771360, abs=5e-7)


@pytest.mark.parametrize(("policy", "cases_held"), [("fcfs", 16), ("easy", 18)])
def test_small_published_cases(policy, cases_held):
    held = {name: case for name, case in small_cases(TRACES).items() if policy in case.policies}
    assert len(held) == cases_held
    for name, case in held.items():
        jobs = [PoolJob(job.submit, job.run, job.processors) for job in case.jobs]
        estimates = [job.estimate for job in case.jobs]
        starts = pool_fifo(jobs, 100) if policy == "fcfs" else pool_easy(jobs, 100, estimates)
        ends = [start + job.run for start, job in zip(starts, jobs, strict=True)]
        assert ends == [job.expected_end for job in case.jobs], name
