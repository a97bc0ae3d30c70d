"""What a measurement counts, and what happens when the measured function goes wrong."""

import os
import time

import numpy as np
import pytest

from benchmarks.measure import MeasurementError, measure, peak_mib


def test_it_returns_the_result_and_the_time_of_the_call_alone():
    spin = "import time\nend = time.process_time() + 0.5\nwhile time.process_time() < end: pass"
    idle = measure(time.sleep, 0.5)
    busy = measure(exec, spin)
    assert measure(sum, [1, 2, 3]).result == 6
    assert idle.cpu_s < 0.03
    assert measure(np.arange, 3).cpu_s < 0.03  # importing numpy takes longer
    assert 0.5 <= busy.cpu_s < 0.6


def test_peak_memory_is_the_childs_own_and_includes_what_was_freed():
    ballast = b"x" * 300_000_000
    modest = measure(exec, "")
    greedy = measure(exec, "held = b'x' * 200_000_000\ndel held")
    assert peak_mib() > len(ballast) / 2**20
    assert modest.peak_mib < 200
    assert greedy.peak_mib - modest.peak_mib == pytest.approx(200_000_000 / 2**20, rel=0.1)
    assert greedy.before_mib == pytest.approx(modest.before_mib, rel=0.2)


def test_an_error_in_the_child_is_reported_with_its_traceback():
    with pytest.raises(MeasurementError, match=r"(?s)int failed:.*ValueError: invalid literal"):
        measure(int, "seven")


def test_a_child_that_dies_is_reported_with_its_exit_code():
    with pytest.raises(MeasurementError, match="_exit died with exit code 7"):
        measure(os._exit, 7)


def test_a_child_that_takes_too_long_is_stopped():
    began = time.monotonic()
    with pytest.raises(MeasurementError, match="sleep did not finish within"):
        measure(time.sleep, 60, timeout_s=0.5)
    assert time.monotonic() - began < 20
