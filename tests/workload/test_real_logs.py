"""Whole logs of real machines against the figures published with them."""

from __future__ import annotations

import gzip
import time
from fractions import Fraction

import numpy as np
import pytest

from batchsim.workload import build_workload
from batchsim.workload.swf import SwfOptions, read_swf

S = 1_000_000
LOGS = {
    "KTH-SP2-1996-2.1-cln": (28_476, 8, 1, 28_467, 2_016_591_520),
    "NASA-iPSC-1993-3.1-cln": (18_239, 173, 0, 18_066, 474_238_015),
    "LCG-2005-1": (188_041, 521, 0, 187_520, 1_502_530_759),
    "lublin-256": (10_000, 0, 0, 10_000, 2_092_781_168),
}


@pytest.mark.parametrize("log", LOGS)
def test_jobs_drops_and_core_seconds(traces, scenario_of, log):
    rows, idle, without_processors, used, core_seconds = LOGS[log]
    path = str(traces / "swf" / f"{log}.swf.gz")
    workload = build_workload(scenario_of({"name": "log", "trace": {"format": "swf", "path": path}}))
    notes = workload.notes["log"]
    assert notes["rows_read"] == rows
    assert notes["dropped"] == {"run time <= 0": idle, "processors <= 0": without_processors}
    assert notes["jobs"] == notes["memory_assumed_jobs"] == len(workload) == used
    vcpus = np.array([job_class.vcpus for job_class in workload.classes])[workload.job_class]
    assert int((workload.runtime_us * vcpus).sum()) == core_seconds * S
    assert len(set(workload.job_names())) == used


def test_every_row_of_kth_is_read_as_written(traces):
    path = traces / "swf" / "KTH-SP2-1996-2.1-cln.swf.gz"
    with gzip.open(path, "rt") as lines:
        table = [[int(cell) for cell in line.split()] for line in lines if line.strip() and line[0] != ";"]
    expected = []
    for cells in table:
        vcpus = cells[4] if cells[4] > 0 else cells[7]
        requested_us = cells[8] * S if cells[8] > 0 else -1
        if cells[3] > 0 and vcpus > 0:
            expected.append((cells[0], cells[1] * S, cells[3] * S, requested_us, vcpus))
    jobs = read_swf(path)
    columns = (jobs.number, jobs.submit_us, jobs.runtime_us, jobs.requested_us, jobs.vcpus)
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == expected
    assert jobs.submit_us[0] == 599_850 * S


def test_nasa_scaled_is_floor_of_seven_tenths(traces):
    path = traces / "swf" / "NASA-iPSC-1993-3.1-cln.swf.gz"
    plain = read_swf(path).submit_us
    scaled = read_swf(path, SwfOptions(scale=Fraction("0.7"))).submit_us
    assert scaled.tolist() == [second * S * 7 // 10 // S * S for second in (plain // S).tolist()]


def test_a_log_of_188_thousand_rows_is_read_well_under_two_seconds(traces):
    began = time.process_time()
    read_swf(traces / "swf" / "LCG-2005-1.swf.gz")
    assert time.process_time() - began < 2
