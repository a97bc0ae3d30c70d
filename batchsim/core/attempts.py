"""Attempts: what they hold from the moment they are placed until they end, and their time limits."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING

from batchsim.core.commands import LAUNCH, START, START_NODES, STOP, Command
from batchsim.core.grid import NEVER
from batchsim.core.states import RUNNING, STARTING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsim.core.claims import Claims
    from batchsim.core.columns import Columns
    from batchsim.core.fleet import Instance
    from batchsim.core.gangs import Gangs
    from batchsim.core.plan import Plan
    from batchsim.core.queues import AnyFleet


class Attempts:
    """The attempts that are STARTING or RUNNING.

    limits     a heap of (instant, job, attempt): when the attempt will have run for too long
    stopping   jobs whose attempt was told to stop, with the status reason of their end
    now        of the present pass
    """

    __slots__ = (
        "_claims",
        "_columns",
        "_environments",
        "_fleets",
        "_gangs",
        "_instances",
        "_per_job",
        "limits",
        "now",
        "stopping",
    )

    def __init__(
        self,
        plan: Plan,
        columns: Columns,
        fleets: list[AnyFleet],
        instances: list[Instance],
        *,
        claims: Claims | None,
        gangs: Gangs | None,
    ) -> None:
        """`claims` and `gangs` are None where nothing but room on one instance is ever held."""
        self._per_job = any(environment.per_job for environment in plan.environments)
        self._environments = plan.environments
        self._columns = columns
        self._fleets = fleets
        self._instances = instances
        self._claims = claims
        self._gangs = gangs
        self.limits: list[tuple[int, int, int]] = []
        self.stopping: dict[int, str] = {}
        self.now = 0

    def start(self, job: int, need: int, instance: Instance, commands: list[Command]) -> None:
        """Begin an attempt on an instance that has room for it."""
        self._fleets[instance.environment].reserve(instance, need)
        instance.jobs.add(job)
        columns = self._columns
        columns.state[job] = STARTING
        columns.attempt[job] += 1
        columns.instance_of[job] = instance.index
        if self._per_job and self._environments[instance.environment].per_job:
            commands.append((LAUNCH, instance.index, instance.environment, instance.type))
        commands.append((START, job, instance.index))
        if self._claims is not None:
            self._claims.begin(self.now, job, need, instance)

    def start_nodes(self, job: int, nodes: Sequence[Instance], commands: list[Command]) -> None:
        """Begin an attempt of a multi-node job on instances that are empty."""
        assert self._gangs is not None
        assert self._claims is not None
        columns = self._columns
        need = columns.need[job]
        main = self._gangs.take(job, need, nodes)
        columns.state[job] = STARTING
        columns.attempt[job] += 1
        columns.instance_of[job] = main.index
        commands.append((START_NODES, job, tuple(instance.index for instance in nodes)))
        self._claims.begin(self.now, job, need, main)

    def running(self, now: int, job: int, timeout_us: int) -> None:
        """The container is up: the clock of the time limit runs, if there is one [spec 1.7]."""
        if timeout_us:
            heappush(self.limits, (now + timeout_us, job, self._columns.attempt[job]))
        if self._claims is not None:
            self._claims.running(now, job, self._instances[self._columns.instance_of[job]])

    def end(self, now: int, job: int) -> Sequence[Instance]:
        """The attempt is over, and what it held is free; gives the instances on which there is room now."""
        columns = self._columns
        need = columns.need[job]
        instance = self._instances[columns.instance_of[job]]
        freed: Sequence[Instance]
        if self._gangs is not None and job in self._gangs.nodes_of:
            freed = self._gangs.give_back(job)
        else:
            instance.jobs.remove(job)
            self._fleets[instance.environment].release(instance, need)
            freed = (instance,)
        if self._claims is not None:
            self._claims.end(now, job, need, instance)
        return freed

    def lost(self, now: int, instance: Instance) -> tuple[list[int], list[Instance]]:
        """An instance is GONE: the jobs whose attempts ended with it, and other instances that they held.

        A multi-node job ends with the instance of its main node only [spec 1.11].
        """
        columns = self._columns
        ended = [job for job in sorted(instance.jobs) if columns.instance_of[job] == instance.index]
        instance.jobs.clear()
        freed: list[Instance] = []
        for job in ended:
            if self._gangs is not None and job in self._gangs.nodes_of:
                freed += self._gangs.give_back(job)
            if self._claims is not None:
                self._claims.end(now, job, columns.need[job], instance)
        return ended, freed

    # --- stopping -----------------------------------------------------------------------------

    def stop(self, job: int, reason: str, commands: list[Command]) -> None:
        """Tell the attempt to stop, unless it was told before; it will be FAILED and never retried."""
        if job not in self.stopping:
            self.stopping[job] = reason
            commands.append((STOP, job, reason))

    def enforce_limits(self, now: int, reason: str, commands: list[Command]) -> None:
        """Stop the attempts that have run for too long."""
        columns = self._columns
        while self.limits and self.limits[0][0] <= now:
            _, job, attempt = heappop(self.limits)
            if columns.state[job] == RUNNING and columns.attempt[job] == attempt:
                self.stop(job, reason, commands)

    def limit_due_us(self) -> int:
        """When the next time limit is reached; NEVER if none runs."""
        limits, columns = self.limits, self._columns
        while limits and (
            columns.state[limits[0][1]] != RUNNING or columns.attempt[limits[0][1]] != limits[0][2]
        ):
            heappop(limits)  # of an attempt that is over
        return limits[0][0] if limits else NEVER
