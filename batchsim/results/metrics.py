"""The summary of a run: exact where it can be.

Means are sums of integer microseconds divided once; money is integer micro-USD until the last division.
A key without a value (no job has started, say) is None. Keys, units as in the names:

    jobs, jobs_started, attempts      counted, an attempt of many nodes once; `jobs_not_submitted`:
                                      the run ended before their submission
    states                            jobs by state when the run ended, all seven states
    makespan_s                        last end_s - first submit_s
    waiting_mean_s, _p50_, _p95_, _p99_, _max_     of waiting_s: of the jobs that have started, which are
                                      `waiting_jobs` many
    pending_mean_s                    of waiting_mean_s, the part in PENDING, waiting for other jobs;
                                      only in runs where jobs depend on others
    jobs_not_started                  of `jobs`, those the waiting figures leave out
    not_started_max_s                 the longest that one of them waited: to its end, or until now
    execution_mean_s, turnaround_mean_s            of execution_s and turnaround_s, where there is one
    bounded_slowdown_mean             of max(1, turnaround_s / max(execution_s, 10)): of the jobs that ran to
                                      their end
    utilization                       vCPU-time in RUNNING / vCPU-time of instances from running_s to their
                                      end; of a queue its part of that: queues add up to the whole
    vcpu_hours_used                   vCPU-time in RUNNING
    vcpu_hours_paid                   billed_s x vCPUs: with the minimum and the rounding up
    vcpu_hours_free                   of Spot instances that were taken back within an hour: used, not paid
    vcpu_hours_provisioned            time from running_s to the end x vCPUs, paid or free;
                                      = used + starting + booting + unused
    vcpu_hours_starting, _booting     reserved while the container was not up yet; instance not ready yet
    vcpu_hours_unused                 ready, and reserved by nobody
    gpu_utilization, gpu_hours_used, _paid, _provisioned   the same of GPUs
    instances, peak_vcpus             those that ran; most vCPUs running at one instant
    cost_usd                          exact sum over instances; of a queue: what its jobs bear, by the run's
                                      idle-cost rule
    volume_usd, fee_usd               in cost_usd: of volumes; of ECS Managed Instances' management
    discount_usd                      taken off from it by commitments
    commitment_unused_usd             in cost_usd of the whole only: paid for commitments that nobody used
    cost_unattributed_usd             what no job bears, but for unused commitments
    launches_failed                   by what ended them, such as EC2's error code, how many `instances`
                                      never ran; only where there are any
    failures                          by status reason, without the instance that it may name, how many of
                                      the FAILED `jobs` have it, the most first; only where there are any
    shares                            the same as of a queue, of each share identifier <queue>/<share> in use;
                                      only in runs with fair-share queues, and of 500 shares at most
    images                            of attempts, nodes counted one by one: how many `waited` until their
                                      images were there and how many `found` them on the instance; of the
                                      former `wait_p50_s` and `wait_p95_s`; `part_of_starting`, what these
                                      waits are of all time in STARTING; only where some waited
    cost_parts_usd                    busy, pull, lost, boot, idle, fragmentation, tail: see `bill`

Percentiles interpolate linearly between order statistics, as numpy and pandas do by default.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from batchsim.results.bill import PARTS
from batchsim.results.exact import by_group, exact_mean, exact_sum, sums_by, totals_by
from batchsim.results.recorded import QUARTERS
from batchsim.results.recording import FAILED, STATE_NAMES
from batchsim.results.sharing import shares_in_use
from batchsim.units import S_PER_HOUR, US_PER_S, UUSD_PER_USD

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from batchsim.results.arrays import Flags
    from batchsim.results.attempts import Attempts
    from batchsim.results.bill import Bill
    from batchsim.results.context import RunContext
    from batchsim.results.exact import Ints
    from batchsim.results.recorded import Text
    from batchsim.results.recording import Outcome
    from batchsim.results.tables import Instances, Tables

SLOWDOWN_BOUND_US = 10 * US_PER_S
_HOUR_US = S_PER_HOUR * US_PER_S
_QUARTER_HOUR_US = QUARTERS * _HOUR_US
_QUARTER_HOUR_S = QUARTERS * S_PER_HOUR

Summary = dict[str, Any]


def summarize(tables: Tables, context: RunContext, outcome: Outcome, spent: Bill) -> Summary:
    """The summary of a run: the whole, then by queue, environment and instance type."""
    rows, parts = tables.instances, spent.of_instances
    every_instance = np.arange(len(rows.type))
    of_jobs = _JobMetrics(tables)
    environments, types = (
        [row.name for row in table] for table in (context.environments, context.instance_types)
    )
    by_type = _by_name(rows, rows.type, types, parts)
    failed_launches = _failed_launches(rows)
    images = _image_metrics(tables.holds)
    failures, by_share = _failures(tables), _by_share(of_jobs, context, spent.of_holds)
    return {
        "outcome": outcome,
        "ended_at_s": tables.ended_at / US_PER_S,
        "jobs_not_submitted": tables.not_submitted,
        **of_jobs.whole,
        "attempts": len(tables.attempts.job),
        **({"failures": failures} if failures else {}),
        **({"launches_failed": failed_launches} if failed_launches else {}),
        **({"images": images} if images else {}),
        **_instance_metrics(rows, every_instance, parts),
        "cost_usd": (exact_sum(rows.cost) + tables.unused_commitment + tables.clusters) / UUSD_PER_USD,
        "commitment_unused_usd": tables.unused_commitment / UUSD_PER_USD,
        "cluster_usd": tables.clusters / UUSD_PER_USD,
        "cost_unattributed_usd": exact_sum(spent.unallocated.ravel()) / UUSD_PER_USD,
        "queues": _by_holder(of_jobs, tables.jobs.queue, context.queues, spent.of_holds),
        **({"shares": by_share} if by_share else {}),
        "environments": _by_name(rows, rows.environment, environments, parts),
        "instanceTypes": {name: metrics for name, metrics in by_type.items() if metrics["instances"]},
    }


class _JobMetrics:
    """The metrics of any jobs; `whole` are those of all.

    Columns of times are in microseconds. Jobs that `_ran` have started and ended; only of them execution and
    slowdown mean something. `_waiting` ends with the start; of those without one at their end, or now.
    """

    __slots__ = (
        "_ended",
        "_execution",
        "_ran",
        "_slowdown",
        "_started",
        "_turnaround",
        "_waiting",
        "tables",
        "whole",
    )

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        jobs = tables.jobs
        self._started, self._ended = jobs.start >= 0, jobs.end >= 0
        self._ran = self._started & self._ended
        until = np.where(self._started, jobs.start, np.where(self._ended, jobs.end, tables.ended_at))
        self._waiting = until - jobs.submit
        self._execution, self._turnaround = jobs.end - jobs.start, jobs.end - jobs.submit
        self._slowdown = self._turnaround / np.maximum(self._execution, SLOWDOWN_BOUND_US)
        np.maximum(self._slowdown, 1, out=self._slowdown)
        self.whole = self.of(slice(None))

    def of(self, rows: Ints | slice) -> Summary:
        jobs = self.tables.jobs
        started, ended, ran = self._started[rows], self._ended[rows], self._ran[rows]
        waiting = self._waiting[rows]
        in_vain, waiting = waiting[~started], _those(started, waiting)
        states = np.bincount(jobs.state[rows], minlength=len(STATE_NAMES)).tolist()
        lasted = jobs.end[rows].max() - jobs.submit[rows].min() if ended.any() else None
        pending = jobs.pending[rows] if self.tables.waits_for_others else None
        return {
            "jobs": len(started),
            "jobs_started": len(waiting),
            "states": dict(zip(STATE_NAMES, states, strict=True)),
            "makespan_s": None if lasted is None else int(lasted) / US_PER_S,
            "waiting_jobs": len(waiting),
            "waiting_mean_s": mean_s(waiting),
            **({} if pending is None else {"pending_mean_s": mean_s(_those(started, pending))}),
            **waiting_percentiles(waiting),
            "jobs_not_started": len(in_vain),
            "not_started_max_s": int(in_vain.max()) / US_PER_S if len(in_vain) else None,
            "execution_mean_s": mean_s(_those(ran, self._execution[rows])),
            "turnaround_mean_s": mean_s(_those(ended, self._turnaround[rows])),
            "bounded_slowdown_mean": exact_mean(_those(ran, self._slowdown[rows])) if ran.any() else None,
        }


def _those(chosen: Flags, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The chosen ones of `values`, which as a rule are all."""
    return values if chosen.all() else values[chosen]


def _image_metrics(holds: Attempts) -> Summary:
    """Empty if nobody waited for an image."""
    waits = (holds.pulled - holds.starting)[holds.pulled >= 0]
    waited = waits[waits > 0]
    if not len(waited):
        return {}
    began = holds.starting >= 0
    until = np.where(holds.started < 0, holds.until, holds.started)
    p50, p95 = np.quantile(waited, (0.5, 0.95))
    return {
        "waited": len(waited),
        "found": len(waits) - len(waited),
        "wait_p50_s": float(p50) / US_PER_S,
        "wait_p95_s": float(p95) / US_PER_S,
        "part_of_starting": exact_sum(waited) / exact_sum((until - holds.starting)[began]),
    }


def mean_s(us: Ints) -> float | None:
    """Mean in seconds; None for no values."""
    return exact_sum(us) / (len(us) * US_PER_S) if len(us) else None


def waiting_percentiles(waiting: Ints) -> Summary:
    """`waiting_p50_s` and so on of waits in microseconds."""
    names = ("waiting_p50_s", "waiting_p95_s", "waiting_p99_s", "waiting_max_s")
    if not len(waiting):
        return dict.fromkeys(names)
    waiting = np.sort(waiting)  # numpy sorts by vectors, in a third of the time of its selection
    values = [*np.quantile(waiting, (0.5, 0.95, 0.99)), waiting[-1]]
    return {name: float(value) / US_PER_S for name, value in zip(names, values, strict=True)}


def _instance_metrics(rows: Instances, of: Ints, parts: Ints) -> Summary:
    provisioned, booting, starting, busy, gpus_provisioned, gpus_busy = (
        exact_sum(column[of])
        for column in (
            rows.provisioned_quarter_us,
            rows.booting_quarter_us,
            rows.starting_quarter_us,
            rows.busy_quarter_us,
            rows.provisioned_gpu_us,
            rows.busy_gpu_us,
        )
    )
    ran = of[rows.running[of] >= 0]
    free = of[(rows.billed_s[of] == 0) & (rows.running[of] >= 0)]
    return {
        "instances": len(ran),
        "peak_vcpus": _peak_vcpus(rows, ran),
        "utilization": busy / provisioned if provisioned else None,
        "vcpu_hours_used": busy / _QUARTER_HOUR_US,
        "vcpu_hours_paid": exact_sum(rows.billed_s[of] * rows.quarters[of]) / _QUARTER_HOUR_S,
        "vcpu_hours_free": exact_sum(rows.provisioned_quarter_us[free]) / _QUARTER_HOUR_US,
        "vcpu_hours_provisioned": provisioned / _QUARTER_HOUR_US,
        "vcpu_hours_starting": starting / _QUARTER_HOUR_US,
        "vcpu_hours_booting": booting / _QUARTER_HOUR_US,
        "vcpu_hours_unused": (provisioned - booting - starting - busy) / _QUARTER_HOUR_US,
        "gpu_utilization": gpus_busy / gpus_provisioned if gpus_provisioned else None,
        "gpu_hours_used": gpus_busy / _HOUR_US,
        "gpu_hours_paid": exact_sum(rows.billed_s[of] * rows.gpus[of]) / S_PER_HOUR,
        "gpu_hours_provisioned": gpus_provisioned / _HOUR_US,
        "cost_usd": exact_sum(rows.cost[of]) / UUSD_PER_USD,
        "volume_usd": exact_sum(rows.volume[of]) / UUSD_PER_USD,
        "fee_usd": exact_sum(rows.fee[of]) / UUSD_PER_USD,
        "discount_usd": exact_sum(rows.discount[of]) / UUSD_PER_USD,
        "cost_parts_usd": _in_parts([exact_sum(part[of]) for part in parts]),
    }


def _in_parts(uusd: Sequence[int]) -> dict[str, float]:
    return {name: part / UUSD_PER_USD for name, part in zip(PARTS, uusd, strict=True)}


def _peak_vcpus(rows: Instances, ran: Ints) -> float:
    """Most vCPUs running at once; at one instant, ends come before beginnings."""
    instants = np.concatenate((rows.until[ran], rows.running[ran]))
    changes = np.concatenate((-rows.quarters[ran], rows.quarters[ran]))
    order = np.argsort(instants, kind="stable")
    return int(changes[order].cumsum().max(initial=0)) / QUARTERS


def _failures(tables: Tables) -> dict[str, Summary]:
    """The FAILED jobs by status reason, those that name an instance together."""
    jobs = tables.jobs
    counted: dict[str, int] = {}
    for name, number in _most_first(jobs.status_reason, jobs.state == FAILED):
        of_a_host = name.startswith("Host EC2 (instance ") and name.endswith(") terminated.")
        text = "Host EC2 terminated." if of_a_host else name
        counted[text] = counted.get(text, 0) + number
    return {
        text: {"jobs": counted[text]} for text in sorted(counted, key=lambda text: (-counted[text], text))
    }


def _failed_launches(rows: Instances) -> dict[str, Summary]:
    """The instances that never ran by the reason for their end."""
    never = (rows.running < 0) & (rows.ended >= 0)
    return {name: {"instances": number} for name, number in _most_first(rows.end_reason, never)}


def _most_first(texts: Text, chosen: npt.NDArray[np.bool_]) -> Iterator[tuple[str, int]]:
    """How many of the chosen rows have each text."""
    codes = texts.codes[chosen]
    numbers = np.bincount(codes[codes >= 0], minlength=len(texts.names)).tolist()
    found = sorted((-number, name) for number, name in zip(numbers, texts.names, strict=True) if number)
    return ((name, -number) for number, name in found)


def _by_share(of_jobs: _JobMetrics, context: RunContext, borne: Ints) -> dict[str, Summary]:
    job_class = of_jobs.tables.jobs.job_class
    names, share_of_class = shares_in_use(job_class, context.classes)
    return _by_holder(of_jobs, share_of_class[job_class], names, borne) if names else {}


def _by_holder(of_jobs: _JobMetrics, holder: Ints, names: Sequence[str], borne: Ints) -> dict[str, Summary]:
    """Metrics of the jobs of each name; `holder` is each job's position in `names`, or just beyond them."""
    tables = of_jobs.tables
    holds, count = tables.holds, len(names) + 1
    order = by_group(holder, count)
    rows = np.split(order, np.searchsorted(holder[order], np.arange(1, count)))
    number = np.bincount(holder[tables.attempts.job], minlength=count).tolist()
    of_holds, running_us = holder[holds.job], holds.running_us
    used = sums_by(of_holds, holds.quarters * running_us, count)
    gpus_used = sums_by(of_holds, holds.gpus * running_us, count)
    parts = list(zip(*(totals_by(of_holds, part, count).tolist() for part in borne), strict=True))
    provisioned = exact_sum(tables.instances.provisioned_quarter_us)
    gpus_provisioned = exact_sum(tables.instances.provisioned_gpu_us)
    return {
        name: {
            **(of_jobs.whole if len(rows[row]) == len(holder) else of_jobs.of(rows[row])),
            "attempts": number[row],
            "utilization": used[row] / provisioned if provisioned else None,
            "vcpu_hours_used": used[row] / _QUARTER_HOUR_US,
            "gpu_utilization": gpus_used[row] / gpus_provisioned if gpus_provisioned else None,
            "gpu_hours_used": gpus_used[row] / _HOUR_US,
            "cost_usd": sum(parts[row]) / UUSD_PER_USD,
            "cost_parts_usd": _in_parts(parts[row]),
        }
        for row, name in enumerate(names)
    }


def _by_name(rows: Instances, codes: Ints, names: Sequence[str], parts: Ints) -> dict[str, Summary]:
    """Instance metrics by the name that each code stands for."""
    number = {name: row for row, name in enumerate(dict.fromkeys(names))}
    named = np.array([number[name] for name in names], dtype=np.int64)[codes]
    return {
        name: _instance_metrics(rows, np.flatnonzero(named == row), parts) for name, row in number.items()
    }
