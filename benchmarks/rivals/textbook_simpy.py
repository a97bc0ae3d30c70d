"""Batch queues modelled the way a SimPy tutorial does it: a process for each job.

    identical_slots        a job asks a `simpy.PriorityResource` for a slot
    managed_filter_store   instances are pairs of `simpy.Container` in a `simpy.FilterStore`, where the head
                           of each queue looks for the first that it fits
    managed_resource       the heads of the queues go to the instances one at a time, as a
                           `simpy.PriorityResource` lets them, and again whenever anything has changed
    managed_dispatcher     the same instances, queues are `simpy.Store`; a dispatcher process places the head
                           of each queue on the instance that it fits best. No tutorial: it has a scheduler

The managed models have priority queues whose heads block only their own queue, and a process that boots
instances for the jobs that wait and retires those that stay idle.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import simpy
from simpy.resources.resource import SortedQueue
from simpy.resources.store import FilterStoreGet

if TYPE_CHECKING:
    from benchmarks.shapes import InstanceKind, Shape

US_PER_S = 1_000_000

Process = Generator[simpy.Event, Any, None]


def identical_slots(
    submit: Sequence[int], runtime: Sequence[int], slots: int, priority: Sequence[int] | None = None
) -> list[int]:
    """Starts on identical slots; the smaller `priority` goes first, equal ones by submission."""
    env = simpy.Environment()
    resource = simpy.PriorityResource(env, capacity=slots)
    starts = [0] * len(submit)

    def job(number: int) -> Process:
        with resource.request(priority=priority[number] if priority else 0) as request:
            yield request
            starts[number] = int(env.now)
            yield env.timeout(runtime[number])

    env.process(_source(env, submit, job))
    env.run()
    return starts


@dataclass(frozen=True, slots=True)
class Delays:
    """Of the managed environment, in microseconds."""

    scaling_us: int = 30 * US_PER_S
    boot_us: int = 90 * US_PER_S
    idle_us: int = 120 * US_PER_S


@dataclass(frozen=True, slots=True)
class ManagedOutcome:
    """starts, instances: of each job; paid_vcpu_us: from launch to retirement or the last job's end."""

    starts: list[int]
    instances: list[int]
    launched: int
    paid_vcpu_us: int


def managed_dispatcher(shape: Shape, delays: Delays = Delays()) -> ManagedOutcome:
    env = simpy.Environment()
    fleet: list[Instance] = []
    queues = {priority: simpy.Store(env) for priority in sorted(shape.queue_priorities, reverse=True)}
    bell = [env.event()]

    def ring() -> None:
        if not bell[0].triggered:
            bell[0].succeed()

    def dispatcher() -> Process:
        while True:
            yield bell[0]
            bell[0] = env.event()
            for queue in queues.values():
                while queue.items and (instance := best_fit(fleet, queue.items[0].need)):
                    need = queue.items[0].need
                    yield instance.vcpus.get(need.vcpus)
                    yield instance.memory.get(need.memory_mib)
                    ticket = yield queue.get()
                    ticket.placed.succeed(instance)

    def job(number: int) -> Process:
        ticket = Ticket(world.needs[number], env.event())
        yield queues[world.priority(number)].put(ticket)
        ring()
        instance = yield ticket.placed
        world.started(number, instance)
        yield env.timeout(world.runtime[number])
        yield instance.vcpus.put(ticket.need.vcpus)
        yield instance.memory.put(ticket.need.memory_mib)
        world.finished(instance)
        ring()

    def join(instance: Instance) -> None:
        fleet.append(instance)
        ring()

    world = World(env, shape, fleet, join)
    env.process(dispatcher())
    return world.run(job, delays)


def managed_filter_store(shape: Shape, delays: Delays = Delays()) -> ManagedOutcome:
    """First fit, in the order in which instances were last put back into the store."""
    env = simpy.Environment()
    store = PriorityFilterStore(env)
    head_of_line = [simpy.Resource(env, capacity=1) for _ in shape.queue_priorities]

    def job(number: int) -> Process:
        need, priority = world.needs[number], world.priority(number)
        with head_of_line[world.queue[number]].request() as turn:
            yield turn
            instance = yield store.get_first(lambda instance: instance.fits(need), -priority)
            yield instance.vcpus.get(need.vcpus)
            yield instance.memory.get(need.memory_mib)
            yield store.put(instance)
        world.started(number, instance)
        yield env.timeout(world.runtime[number])
        yield instance.vcpus.put(need.vcpus)
        yield instance.memory.put(need.memory_mib)
        world.finished(instance)
        # The store looks again at who waits only when something is taken out or put in.
        yield store.get_first(lambda other: other is instance, 0)
        yield store.put(instance)

    world = World(env, shape, store.items, store.put)
    return world.run(job, delays)


def managed_resource(shape: Shape, delays: Delays = Delays()) -> ManagedOutcome:
    env = simpy.Environment()
    fleet: list[Instance] = []
    head_of_line = [simpy.Resource(env, capacity=1) for _ in shape.queue_priorities]
    door = simpy.PriorityResource(env, capacity=1)
    change = {priority: env.event() for priority in sorted(shape.queue_priorities, reverse=True)}

    def changed() -> None:
        for priority, event in change.items():
            if event.callbacks:  # the head of that queue waits for it
                change[priority] = env.event()
                event.succeed()

    def job(number: int) -> Process:
        need, priority = world.needs[number], world.priority(number)
        instance = None
        with head_of_line[world.queue[number]].request() as turn:
            yield turn
            while instance is None:
                with door.request(-priority) as entrance:
                    yield entrance
                    instance = best_fit(fleet, need)
                    if instance is not None:
                        yield instance.vcpus.get(need.vcpus)
                        yield instance.memory.get(need.memory_mib)
                if instance is None:
                    yield change[priority]
        world.started(number, instance)
        yield env.timeout(world.runtime[number])
        yield instance.vcpus.put(need.vcpus)
        yield instance.memory.put(need.memory_mib)
        world.finished(instance)
        changed()

    def join(instance: Instance) -> None:
        fleet.append(instance)
        changed()

    world = World(env, shape, fleet, join)
    return world.run(job, delays)


def best_fit(fleet: Sequence[Instance], need: Need) -> Instance | None:
    """The instance with the fewest free vCPUs, then the least free memory; of these the oldest."""
    fitting = [instance for instance in fleet if instance.fits(need)]
    return min(fitting, key=Instance.free, default=None)


@dataclass(frozen=True, slots=True)
class Need:
    vcpus: int
    memory_mib: int


@dataclass(frozen=True, slots=True)
class Ticket:
    need: Need
    placed: simpy.Event


class Instance:
    def __init__(self, env: simpy.Environment, kind: InstanceKind, number: int) -> None:
        self.kind = kind
        self.number = number
        self.launched_at = self.idle_since = env.now
        self.retired_at: float | None = None
        self.vcpus = simpy.Container(env, capacity=kind.vcpus, init=kind.vcpus)
        self.memory = simpy.Container(env, capacity=kind.memory_mib, init=kind.memory_mib)

    def fits(self, need: Need) -> bool:
        return self.vcpus.level >= need.vcpus and self.memory.level >= need.memory_mib

    def free(self) -> tuple[float, float, int]:
        return self.vcpus.level, self.memory.level, self.number

    @property
    def idle(self) -> bool:
        return self.vcpus.level == self.kind.vcpus


class PriorityFilterStoreGet(FilterStoreGet):
    def __init__(self, store: simpy.FilterStore, accept: Callable[[Any], bool], key: int) -> None:
        self.key = key
        super().__init__(store, accept)


class PriorityFilterStore(simpy.FilterStore):
    """A FilterStore that serves whoever waits in the order of a key, then of asking."""

    GetQueue = SortedQueue

    def get_first(self, accept: Callable[[Any], bool], key: int) -> PriorityFilterStoreGet:
        return PriorityFilterStoreGet(self, accept, key)


class World:
    """What both managed models share: the jobs, who waits, and the environment that scales."""

    def __init__(
        self, env: simpy.Environment, shape: Shape, fleet: list[Instance], join: Callable[[Instance], object]
    ) -> None:
        self.env, self.shape, self.fleet, self.join = env, shape, fleet, join
        self.submit: list[int] = shape.submit_us.tolist()
        self.runtime: list[int] = shape.runtime_us.tolist()
        self.queue: list[int] = shape.queue.tolist()
        self.needs = [
            Need(vcpus, memory_mib)
            for vcpus, memory_mib in zip(shape.vcpus.tolist(), shape.memory_mib.tolist(), strict=True)
        ]
        self.starts, self.instances = [0] * len(shape), [0] * len(shape)
        self.waiting: dict[int, None] = {}
        self.unfinished = len(shape)
        self.all_done = env.event()
        self.launched: list[Instance] = []
        self.provisioned_vcpus = self.booting_vcpus = 0

    def run(self, job: Callable[[int], Process], delays: Delays) -> ManagedOutcome:
        def submitted(number: int) -> Process:
            self.waiting[number] = None
            return job(number)

        self.env.process(_source(self.env, self.submit, submitted))
        self.env.process(self.scaling(delays))
        self.env.run(until=self.all_done)
        lives = [
            (instance.kind.vcpus, (instance.retired_at or self.env.now) - instance.launched_at)
            for instance in self.launched
        ]
        paid_vcpu_us = sum(vcpus * int(life_us) for vcpus, life_us in lives)
        return ManagedOutcome(self.starts, self.instances, len(lives), paid_vcpu_us)

    def priority(self, number: int) -> int:
        return self.shape.queue_priorities[self.queue[number]]

    def started(self, number: int, instance: Instance) -> None:
        del self.waiting[number]
        self.starts[number] = int(self.env.now)
        self.instances[number] = instance.number

    def finished(self, instance: Instance) -> None:
        instance.idle_since = self.env.now
        self.unfinished -= 1
        if not self.unfinished:
            self.all_done.succeed()

    def scaling(self, delays: Delays) -> Process:
        while True:
            yield self.env.timeout(delays.scaling_us)
            for kind in self.kinds_to_launch():
                self.env.process(self.boot(kind, delays))
            for instance in list(self.fleet):
                if instance.idle and self.env.now - instance.idle_since >= delays.idle_us:
                    self.retire(instance)

    def boot(self, kind: InstanceKind, delays: Delays) -> Process:
        instance = Instance(self.env, kind, len(self.launched))
        self.launched.append(instance)
        self.booting_vcpus += kind.vcpus
        self.provisioned_vcpus += kind.vcpus
        yield self.env.timeout(delays.boot_us)
        self.booting_vcpus -= kind.vcpus
        instance.idle_since = self.env.now
        self.join(instance)

    def retire(self, instance: Instance) -> None:
        self.fleet.remove(instance)
        instance.retired_at = self.env.now
        self.provisioned_vcpus -= instance.kind.vcpus

    def kinds_to_launch(self) -> list[InstanceKind]:
        """Room for the waiting jobs that are not covered by what boots, until the environment is full."""
        kinds: list[InstanceKind] = []
        covered, provisioned = self.booting_vcpus, self.provisioned_vcpus
        demand = sum(self.needs[number].vcpus for number in self.waiting) - covered
        room = Need(0, 0)
        for number in self.waiting:
            need = self.needs[number]
            if covered > 0:
                covered -= need.vcpus
                continue
            if room.vcpus < need.vcpus or room.memory_mib < need.memory_mib:
                if provisioned >= self.shape.max_vcpus:
                    break
                kind = self.cheapest_kind(need, demand)
                kinds.append(kind)
                provisioned += kind.vcpus
                room = Need(kind.vcpus, kind.memory_mib)
            room = Need(room.vcpus - need.vcpus, room.memory_mib - need.memory_mib)
            demand -= need.vcpus
        return kinds

    def cheapest_kind(self, need: Need, demand_vcpus: int) -> InstanceKind:
        """By price a vCPU; among its sizes the largest that the demand fills, else the smallest."""

        def rank(kind: InstanceKind) -> tuple[float, bool, int]:
            filled = kind.vcpus <= demand_vcpus
            price = round(kind.usd_per_hour / kind.vcpus, 9)
            return price, not filled, -kind.vcpus if filled else kind.vcpus

        fitting = [
            kind
            for kind in self.shape.kinds
            if kind.vcpus >= need.vcpus and kind.memory_mib >= need.memory_mib
        ]
        return min(fitting, key=rank)


def _source(env: simpy.Environment, submit: Sequence[int], job: Callable[[int], Process]) -> Process:
    for number, at in enumerate(submit):
        yield env.timeout(at - env.now)
        env.process(job(number))
