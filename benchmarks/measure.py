"""Measure a function in a process of its own, where no memory and no garbage is anybody else's."""

from __future__ import annotations

import gc
import multiprocessing
import resource
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

R = TypeVar("R")

_STATUS = Path("/proc/self/status")


@dataclass(frozen=True, slots=True)
class Measurement(Generic[R]):
    """cpu_s: user and system time of the call, all threads; peak_mib: highest resident memory of the process;
    before_mib: the same when the call began, with what its imports took."""

    cpu_s: float
    peak_mib: float
    before_mib: float
    result: R


class MeasurementError(RuntimeError):
    """The measured process failed, died, or ran out of time."""


def measure(function: Callable[..., R], *args: object, timeout_s: float | None = None) -> Measurement[R]:
    """Call `function(*args)` in a fresh interpreter and say what it took.

    The function must be importable; it, its arguments and its result must pickle. Importing the function's
    module is not counted. Let the function make its own data: what is sent counts as its memory. Raises
    MeasurementError with the child's traceback, its exit code, or after `timeout_s` of wall-clock time.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_measured, args=(theirs, function, args))
    child.start()
    theirs.close()
    try:
        if not ours.poll(timeout_s):
            raise MeasurementError(f"{_name(function)} did not finish within {timeout_s} s")
        succeeded, answer = ours.recv()
    except EOFError:
        child.join()
        raise MeasurementError(f"{_name(function)} died with exit code {child.exitcode}") from None
    finally:
        child.kill()
        child.join()
        ours.close()
    if not succeeded:
        raise MeasurementError(f"{_name(function)} failed:\n{answer}")
    measurement: Measurement[R] = answer
    return measurement


def _measured(connection: Connection, function: Callable[..., Any], args: tuple[object, ...]) -> None:
    try:
        gc.collect()
        before_mib = peak_mib()
        began = time.process_time()
        result = function(*args)
        cpu_s = time.process_time() - began
        connection.send((True, Measurement(cpu_s, peak_mib(), before_mib, result)))
    except Exception:  # noqa: BLE001  # the parent reports whatever it was
        connection.send((False, traceback.format_exc()))


def peak_mib() -> float:
    """The highest resident memory of this process.

    Linux keeps `ru_maxrss` across exec, so that a child's would start at its parent's peak; the high-water
    mark of the present address space is in /proc.
    """
    if _STATUS.exists():
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024**2 if sys.platform == "darwin" else 1024)


def _name(function: Callable[..., object]) -> str:
    return getattr(function, "__qualname__", repr(function))
