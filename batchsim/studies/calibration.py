"""From a real run to assumptions: how long its engine really took to pull, start and stop containers."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from batchsim.errors import ResultError
from batchsim.results import Result
from batchsim.studies.validation import RealRun
from batchsim.units import US_PER_S

if TYPE_CHECKING:
    from pathlib import Path

    from batchsim.scenario import Scenario

_BYTES_PER_MB = 10**6


class Fit(NamedTuple):
    """Durations of one kind, in real seconds; `assumption` is "" where no assumption stands for it.

    `value` is in the time of the run, which goes `speed` times as fast.
    """

    step: str
    number: int
    median_s: float
    p95_s: float
    assumption: str
    value: str


class Calibration(NamedTuple):
    """What was fitted, and a block of a scenario that says so."""

    fits: list[Fit]

    def assumptions(self) -> str:
        """YAML: an `assumptions` block with every value that could be fitted, and what it rests on."""
        lines = [
            f"  {fit.assumption}: {fit.value}  # median of {fit.number}, really {fit.median_s:.3f} s;"
            f" P95 {fit.p95_s:.3f} s"
            for fit in self.fits
            if fit.assumption
        ]
        return "\n".join(["assumptions:", *lines]) + "\n"


def calibrate(folder: str | Path, scenario: Scenario | None = None) -> Calibration:
    """Fit the start-up assumptions to the real run whose result is in `folder`; see `validate`.

    `containerStart` is the time from STARTING to RUNNING without a pull, `imagePullRate` the scenario's image
    size by the time that a pull took. Raises ResultError when no container started.
    """
    run = RealRun.of(Result.read(folder), folder, scenario)
    took: dict[str, list[float]] = defaultdict(list)
    pulled: dict[tuple[int, int], float] = {}
    rates = []
    for entry in run.timings:
        seconds = entry["took"] / US_PER_S
        took[entry["engine"]].append(seconds)
        if entry["engine"] == "pull":
            pulled[entry["job"], entry["attempt"]] = seconds
            image_bytes = run.image_bytes(entry["job"])
            if image_bytes and seconds:
                rates.append(image_bytes / _BYTES_PER_MB / seconds)
    starts = [
        max(0.0, startup_us / run.speed / US_PER_S - pulled.get(key, 0.0))
        for key, startup_us in run.startups_us().items()
    ]
    if not starts:
        raise ResultError(file=str(folder), expected="a run in which containers started", found="none")
    start_ms = round(1000 * run.speed * float(np.median(starts)))
    fits = [_fit("start", starts, "containerStart", f"{start_ms}ms")]
    if rates:
        rate = float(np.median(rates)) / run.speed
        fits.append(_fit("pull", took.pop("pull"), "imagePullRate", f"{rate:.3g}"))
    fits += [_fit(f"engine: {step}", seconds) for step, seconds in sorted(took.items())]
    return Calibration(fits)


def _fit(step: str, seconds: list[float], assumption: str = "", value: str = "") -> Fit:
    median, p95 = float(np.median(seconds)), float(np.quantile(seconds, 0.95))
    return Fit(step, len(seconds), median, p95, assumption, value)
