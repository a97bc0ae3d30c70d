"""Fargate tasks: each is launched as a token bucket allows, provisioned, and billed from then on [spec 4]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsim.errors import at_path
from batchsim.units import US_PER_S
from batchsim.workload.distributions import quantile
from batchsim.workload.streams import uniform

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchsim.workload.distributions import Drawable


@dataclass(frozen=True, slots=True)
class Tasks:
    """How tasks come.

    bucket_of      by index of the environment which token bucket it uses; others have no tasks
    interval_us    between two launches of one bucket, 0 for no limit; `burst` more may come at once
    provisioning   time from launch to the image pull, drawn for the task
    lifetime_us    from then on a task is kept for so long at most [spec 1.7, 4.2]; 0: for ever
    """

    bucket_of: Mapping[int, str]
    provisioning: Drawable
    interval_us: int = 0
    burst: int = 1
    lifetime_us: int = 0

    def provision_us(self, seed: int, replication: int, instance: int) -> int:
        with at_path("assumptions.fargateProvisioning"):
            return quantile(self.provisioning, uniform(seed, replication, "provisioning", instance))


class TokenBuckets:
    """When tasks may be launched: `burst` at once, then one each interval, as tokens come back."""

    __slots__ = ("_full_at", "_tasks")

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self._full_at: dict[str, int] = {}  # when the bucket would be full again

    def __contains__(self, environment: int) -> bool:
        """Whether jobs of the environment are tasks."""
        return environment in self._tasks.bucket_of

    def launch_at(self, now: int, environment: int) -> int:
        """The instant at which a task that is asked for now is launched; takes the token."""
        tasks = self._tasks
        bucket = tasks.bucket_of[environment]
        full_at = max(self._full_at.get(bucket, 0), now)
        self._full_at[bucket] = full_at + tasks.interval_us
        return max(now, full_at - (tasks.burst - 1) * tasks.interval_us)


def launch_interval_us(rate: float) -> int:
    """Between two tokens, for a rate per second; 0 for no limit."""
    return round(US_PER_S / rate) if rate else 0
