"""What a run leaves behind: a record, frames made of it, their summary, cost, files and audit.

    Recorder, RunContext   what a driver writes, and what it says about the run    (numpy only)
    build_result           record and context -> Result                            (pandas, pyarrow)
    Result                 frames, summary, manifest; write, read, audit
    audit_frames, audit_folder, Violation    the laws, from frames alone
    COLUMNS, columns_of    every column as data

Names are imported when first asked for, so that a driver does not load pandas before it has run.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batchsim.results.audit import Violation, audit_folder, audit_frames
    from batchsim.results.build import build_result
    from batchsim.results.columns import COLUMNS, Column, columns_of
    from batchsim.results.context import EnvironmentRow, InstanceTypeRow, RunContext
    from batchsim.results.recording import Recorder
    from batchsim.results.result import Result

_HOMES = {
    "COLUMNS": "columns",
    "Column": "columns",
    "EnvironmentRow": "context",
    "InstanceTypeRow": "context",
    "Recorder": "recording",
    "Result": "result",
    "RunContext": "context",
    "Violation": "audit",
    "audit_folder": "audit",
    "audit_frames": "audit",
    "build_result": "build",
    "columns_of": "columns",
}

__all__ = [
    "COLUMNS",
    "Column",
    "EnvironmentRow",
    "InstanceTypeRow",
    "Recorder",
    "Result",
    "RunContext",
    "Violation",
    "audit_folder",
    "audit_frames",
    "build_result",
    "columns_of",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
