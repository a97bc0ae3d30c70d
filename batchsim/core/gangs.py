"""Multi-node jobs: all their instances at once, each for one node alone, all of one type [spec 1.11].

A gang is placed on READY instances without jobs, or not at all, so that two of them never hold parts of what
each other needs. While it runs, its instances are out of their fleet: nobody else is placed there. It ends
with its main node; a node that dies before changes nothing for the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsim.core.fleet import GONE, READY, Fleet, Instance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsim.core.plan import Plan
    from batchsim.core.queues import AnyFleet, Where


class Gangs:
    """The multi-node jobs that hold instances, and where the next may go."""

    __slots__ = ("_fleets", "_free", "_instances", "_plan", "nodes_of")

    def __init__(self, plan: Plan, fleets: Sequence[AnyFleet], instances: Sequence[Instance]) -> None:
        """`instances` is the growing list of all."""
        self._plan = plan
        self._fleets = fleets
        self._instances = instances
        self.nodes_of: dict[int, list[Instance]] = {}  # of running jobs, in node order; lost ones included

    def find(self, need: int, places: Sequence[Where]) -> list[Instance]:
        """Instances for all nodes of `need`, in node order; [] if there are not enough.

        `places` are the enabled environments of the queue, in order. As any job, a gang waits for an
        environment that can still grow for it rather than go to a later one.
        """
        gang = self._plan.gangs[need]
        assert gang is not None
        for index, fleet, scaler in places:
            if scaler is None or not self._plan.environments[index].gangs:
                continue
            empties = fleet.empties
            assert empties is not None
            for type_index in scaler.gang_hosts(need):
                found = empties.get(type_index, ())
                if len(found) >= len(gang.nodes):
                    return [self._instances[each] for each in found[: len(gang.nodes)]]
            if scaler.can_gather(need):
                break
        return []

    def take(self, job: int, need: int, nodes: Sequence[Instance]) -> Instance:
        """The job's nodes hold these instances, wholly; gives that of the main node."""
        gang = self._plan.gangs[need]
        assert gang is not None
        for instance in nodes:
            self._fleets[instance.environment].remove(instance)
            instance.free_vcpus = instance.free_memory = instance.free_gpus = 0
            instance.jobs.add(job)
        self.nodes_of[job] = list(nodes)
        return nodes[gang.main]

    def give_back(self, job: int) -> list[Instance]:
        """The job's attempt is over: its instances that are there yet are free, and given."""
        free = [instance for instance in self.nodes_of.pop(job) if instance.state != GONE]
        for instance in free:
            instance.jobs.remove(job)
            machine = self._plan.types[instance.type]
            instance.free_vcpus = machine.usable_vcpus
            instance.free_memory = machine.memory_mib
            instance.free_gpus = machine.gpus
            fleet = self._fleets[instance.environment]
            assert isinstance(fleet, Fleet)
            if instance.state == READY:
                fleet.add(instance)
        return free
