"""Distributions of durations: sampled as columns, or inverted one value at a time.

The parameters are the scenario's own models; a draw is rounded to the nearest microsecond.

    uniform      evenly between low and high
    exponential  mean
    lognormal    mu = ln(median), sigma = ln(p95 / median) / 1.6448536269514722
    gamma        shape = 1 / cv^2, scale = mean x cv^2
    empirical    each value of the file with the same probability, nothing in between
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Final

import numpy as np

from batchsim.errors import ScenarioError, at_path
from batchsim.scenario import Distribution, Empirical, Exponential, Gamma, Lognormal, Uniform
from batchsim.units import MAX_TIME_US
from batchsim.workload.samples import read_samples

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_NORMAL: Final = NormalDist()
_Z95: Final = 1.6448536269514722  # 95 % quantile of the standard normal distribution


@dataclass(frozen=True, slots=True)
class Samples:
    """Durations from a file: `sorted_us` int64[n], n >= 1, ascending; `sha256` of the file's text."""

    sorted_us: NDArray[np.int64]
    sha256: str


Drawable = int | Uniform | Exponential | Lognormal | Gamma | Samples
"""What can be drawn from; an int is a constant number of microseconds."""


def load_distribution(distribution: Distribution, base_dir: Path, path: str) -> Drawable:
    """The distribution with the file it names, relative to `base_dir`, read.

    `path` is where the scenario has it, for errors. Raises TraceError.
    """
    chosen: Drawable | Empirical = distribution.chosen
    if isinstance(chosen, Empirical):
        with at_path(f"{path}.empirical.path"):
            return Samples(*read_samples(base_dir / chosen.path, chosen.column, chosen.unit))
    return chosen


def quantile(distribution: Drawable, u: float) -> int:
    """The value below which a share `u` of the draws lies, 0 < u < 1, in microseconds.

    Fed with uniform numbers it samples the distribution. Raises ScenarioError when the value is
    beyond 285 years.
    """
    match distribution:
        case int():
            return distribution
        case Uniform(low=low, high=high):
            return round(low + u * (high - low))
        case Exponential(mean=mean):
            return _one_us(-mean * math.log1p(-u))
        case Lognormal(median=median):
            return _one_us(median * _exp(_sigma(distribution) * _NORMAL.inv_cdf(u)))
        case Gamma(mean=mean):
            from scipy.special import gammaincinv  # noqa: PLC0415 - slow to import and seldom needed

            shape = _shape(distribution)
            return _one_us(mean * (float(gammaincinv(shape, u)) / shape))
        case Samples(sorted_us=values):
            return int(values[int(u * len(values))])


def sample(distribution: Drawable, rng: np.random.Generator, n: int) -> NDArray[np.int64]:
    """`n` independent draws, int64 microseconds; the first k of n draws are the draws for k.

    Raises ScenarioError when a draw is beyond 285 years.
    """
    match distribution:
        case int():
            return np.full(n, distribution, np.int64)
        case Uniform(low=low, high=high):
            return _whole_us(low + rng.random(n) * (high - low))
        case Exponential(mean=mean):
            return _whole_us(mean * rng.standard_exponential(n))
        case Lognormal(median=median):
            with np.errstate(over="ignore"):
                return _whole_us(median * np.exp(_sigma(distribution) * rng.standard_normal(n)))
        case Gamma(mean=mean):
            shape = _shape(distribution)
            return _whole_us(mean * (rng.standard_gamma(shape, n) / shape))
        case Samples(sorted_us=values):
            return values[(rng.random(n) * len(values)).astype(np.int64)]


def _sigma(distribution: Lognormal) -> float:
    return math.log(distribution.p95 / distribution.median) / _Z95


def _shape(distribution: Gamma) -> float:
    # A cv below 1e-9 moves no draw by a microsecond of 10 days, and its square must not vanish.
    return max(distribution.cv, 1e-9) ** -2


def _exp(exponent: float) -> float:
    try:
        return math.exp(exponent)
    except OverflowError:
        return math.inf


def _one_us(value: float) -> int:
    if not value < MAX_TIME_US:
        raise _too_long()
    return round(value)


def _whole_us(values: NDArray[np.float64]) -> NDArray[np.int64]:
    if not (values < MAX_TIME_US).all():
        raise _too_long()
    return np.rint(values).astype(np.int64)


def _too_long() -> ScenarioError:
    return ScenarioError(
        "a random duration came out beyond 285 years", hint="choose a distribution with a lighter tail"
    )
