"""Who imports what: a driver must not load pandas, and the auditor nothing of what it judges."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pandas as pd
import pytest

import batchsim.results
from batchsim.results import build_result
from tests.results.worlds import told_by_hand


def modules_after(statement: str) -> set[str]:
    program = f"{statement}\nimport sys\nprint('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "from batchsim.results import Recorder, RunContext, EnvironmentRow, InstanceTypeRow",
        "from batchsim.results import COLUMNS, columns_of",
    ],
)
def test_recording_and_columns_load_neither_pandas_nor_pyarrow(statement):
    assert not {"pandas", "pyarrow", "scipy", "matplotlib"} & modules_after(statement)


def test_the_auditor_loads_nothing_of_what_it_judges():
    loaded = modules_after("from batchsim.results import audit_folder")
    inner = {name for name in loaded if name.startswith("batchsim.")}
    of_results = {name for name in inner if name.startswith("batchsim.results.")}
    assert inner - of_results == {"batchsim.results", "batchsim.errors", "batchsim.units"}
    outside_the_audit = {name for name in of_results if not name.startswith("batchsim.results.audit")}
    assert outside_the_audit == {
        "batchsim.results.files",
        "batchsim.results.arrays",
        "batchsim.results.columns",
        "batchsim.results.names",
        "batchsim.results.recording",  # the names of the states
        "batchsim.results.servicerecord",  # likewise
    }


def test_public_names_are_all_there():
    for name in batchsim.results.__all__:
        assert getattr(batchsim.results, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        batchsim.results.nothing  # noqa: B018


def test_a_result_can_be_sent_to_another_process():
    result = build_result(*told_by_hand())
    again = pickle.loads(pickle.dumps(result))  # noqa: S301
    for name, frame in result.frames.items():
        pd.testing.assert_frame_equal(again.frames[name], frame)
    assert (again.summary, again.manifest) == (result.summary, result.manifest)
