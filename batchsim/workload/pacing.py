"""How fast an account may submit: SubmitJob calls leave the client one by one.

Whoever submits wants call k at `wanted[k]`, in order of time. With a limit of `rate` calls a second the
calls leave at

    left[k] = max(wanted[k], left[k - 1] + 1 / rate)

A client that never calls faster than AWS allows is never refused, so there are no refusals and no repeated
calls to simulate. AWS's limit is 50 a second for the whole account, and says nothing about bursts; none are
granted here [spec 5.4]. An array is one call, whatever its size [spec 1.10]. SubmitServiceJob has a limit of
its own, 5 a second [spec 1.16].
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from batchsim.errors import ScenarioError
from batchsim.scenario import assumption_table
from batchsim.units import MAX_TIME_US, US_PER_S

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from batchsim.scenario import Assumptions

SUBMIT_JOB = "submitJobRate"


def call_interval_us(assumptions: Assumptions, name: str = SUBMIT_JOB) -> int:
    """Least time between two calls in whole microseconds, rounded up; 0 where calls are not limited.

    `name` is the assumption that limits them; it counts once it is among those that have an effect.
    """
    rate: float = getattr(assumptions, name)
    if not rate or all(each.name != name for each in assumption_table()):
        return 0
    return math.ceil(min(US_PER_S / rate, MAX_TIME_US))


def paced(wanted_us: NDArray[np.int64], interval_us: int, name: str = SUBMIT_JOB) -> NDArray[np.int64]:
    """When calls leave that are wanted at `wanted_us`, nondecreasing; at least `interval_us` apart.

    Raises ScenarioError, about the assumption of that name, when the last would leave beyond 285 years.
    """
    calls = len(wanted_us)
    if not calls:
        return wanted_us
    # The last call cannot leave before this; beyond it, the steps below would not fit 64 bits either.
    if int(wanted_us[0]) + (calls - 1) * interval_us >= MAX_TIME_US:
        raise _too_slow(name)
    steps = np.arange(calls, dtype=np.int64) * interval_us
    left_us = np.maximum.accumulate(wanted_us - steps) + steps
    if left_us[-1] >= MAX_TIME_US:
        raise _too_slow(name)
    return left_us


def note_delays(
    notes: Mapping[str, dict[str, Any]],
    delay_us: NDArray[np.int64],
    rows: Mapping[str, NDArray[np.int64]],
    name: str = SUBMIT_JOB,
) -> None:
    """Into the notes of each entry: how many of its calls left late, how late, and what assumption held them.

    delay_us   of each job of the workload; 0 for those that are no call of their own
    rows       by entry, its jobs
    """
    for entry, mine in rows.items():
        delayed = delay_us[mine]
        if delayed.any():
            notes[entry]["calls_delayed"] = int(np.count_nonzero(delayed))
            notes[entry]["longest_delay_s"] = int(delayed.max()) / US_PER_S
            notes[entry]["held_by"] = name


def _too_slow(name: str) -> ScenarioError:
    return ScenarioError(
        "the last job would be submitted beyond 285 years",
        path=f"assumptions.{name}",
        hint="raise it, or give 0 for no limit",
    )
