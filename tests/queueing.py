"""What queueing theory says about mean waits, and the interval in which a simulation must find it.

Rates are per unit of time; service times have the mean `1 / mu`; a wait is the mean time from submission to
start, in the steady state. Sources: A. K. Erlang (loss and delay formulas), F. Pollaczek and A. Y. Khinchine
(one server, any service time), A. Cobham (priorities without preemption).
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence


def erlang_b(load: float, servers: int) -> float:
    """Share of jobs lost in M/M/c/c at a load of `lambda / mu`."""
    inverse = 1.0
    for server in range(1, servers + 1):
        inverse = 1 + server / load * inverse
    return 1 / inverse


def erlang_c(load: float, servers: int) -> float:
    """Probability that a job waits in M/M/c at a load of `lambda / mu < c`."""
    blocking = erlang_b(load, servers)
    utilization = _stable(load / servers)
    return blocking / (1 - utilization * (1 - blocking))


def mmc_wait(arrivals: float, mu: float, servers: int) -> float:
    """Mean wait in M/M/c, first come first served."""
    return erlang_c(arrivals / mu, servers) / (servers * mu - arrivals)


def mmc_wait_exceeds(wait: float, arrivals: float, mu: float, servers: int) -> float:
    """Probability that a job waits longer than `wait` in M/M/c, first come first served."""
    return erlang_c(arrivals / mu, servers) * math.exp(-(servers * mu - arrivals) * wait)


def mg1_wait(arrivals: float, mean: float, squared_cv: float) -> float:
    """Pollaczek-Khinchine: mean wait on one server; service times by mean and (deviation / mean)^2."""
    second_moment = mean**2 * (1 + squared_cv)
    return arrivals * second_moment / (2 * (1 - _stable(arrivals * mean)))


def mm1_priority_waits(arrivals: Sequence[float], mu: float) -> list[float]:
    """Cobham: mean wait of each class on one server, no preemption; the class named first goes first."""
    # The work a newcomer finds in service: sum of lambda_i E[S^2] / 2, with E[S^2] = 2 / mu^2.
    return _cobham(arrivals, mu, 1, residual=sum(arrivals) / mu**2)


def mmc_priority_waits(arrivals: Sequence[float], mu: float, servers: int) -> list[float]:
    """Mean wait of each class in M/M/c, no preemption, equal service; the class named first goes first."""
    return _cobham(arrivals, mu, servers, residual=erlang_c(sum(arrivals) / mu, servers) / (servers * mu))


def batch_wait(arrivals: float, mu: float, batch: int) -> float:
    """Mean wait in M^[batch]/M/1: `arrivals` jobs per unit of time that come in groups of `batch` at once."""
    ahead_in_batch = (batch - 1) / mu / (2 * (1 - _stable(arrivals / mu)))
    return mg1_wait(arrivals, 1 / mu, 1) + ahead_in_batch


def _cobham(arrivals: Sequence[float], mu: float, servers: int, *, residual: float) -> list[float]:
    shares = [0.0, *itertools.accumulate(rate / (servers * mu) for rate in arrivals)]
    return [residual / ((1 - above) * (1 - _stable(upto))) for above, upto in itertools.pairwise(shares)]


def _stable(utilization: float) -> float:
    if not 0 <= utilization < 1:
        raise ValueError(f"no steady state at a utilization of {utilization}")
    return utilization


class Interval(NamedTuple):
    mean: float
    half_width: float

    def confirms(self, theory: float, precision: float = 0.05) -> bool:
        """Whether `theory` lies inside and the interval is no wider than `precision` of it to either side.

        The second half keeps an interval that is too wide to say anything from confirming everything.
        """
        return abs(self.mean - theory) <= self.half_width <= precision * abs(theory)


def t_interval(replications: Sequence[float], confidence: float = 0.999) -> Interval:
    """Student's interval for the mean of independent replications (at least two).

    For a paired comparison give the differences of replications that share their random numbers.
    """
    from scipy import stats  # heavy, and only the statistical tests need it

    values = np.asarray(replications, dtype=np.float64)
    error = float(values.std(ddof=1)) / math.sqrt(len(values))
    return Interval(float(values.mean()), float(stats.t.ppf((1 + confidence) / 2, len(values) - 1)) * error)
