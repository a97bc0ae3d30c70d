"""A clock that jumps, and an engine that runs nothing: a world's outcomes in the form of containers."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from batchsim.drivers.gateway import ContainerSpec, ContainerState, Key, Notice, StartFailedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from batchsim.core.plan import Plan
    from batchsim.drivers.reports import Inbox
    from batchsim.drivers.world import World

EPOCH_US = 1_000_000_000_000_000


class FakeClock:
    """Time passes only in `wait`, and what is on the agenda happens then."""

    def __init__(self) -> None:
        self.us = 0
        self._agenda: list[tuple[int, int, Callable[[], None]]] = []
        self._count = count()

    def now_us(self) -> int:
        return self.us

    def now_ns(self) -> int:
        return (EPOCH_US + self.us) * 1000

    def of_engine(self, at_ns: int) -> int:
        return at_ns // 1000 - EPOCH_US

    def after(self, us: int, what: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (self.us + us, next(self._count), what))

    def wait(self, inbox: Inbox, until_us: int) -> None:
        while self._agenda and self._agenda[0][0] <= until_us:
            if inbox and self._agenda[0][0] > self.us:
                return
            at_us, _, what = heapq.heappop(self._agenda)
            self.us = max(self.us, at_us)
            what()
        if not inbox:
            assert until_us < 1 << 61, "the driver waits for something that will never happen"
            self.us = max(self.us, until_us)


class FakePool:
    """Makes each call at once; what comes of it is known when the engine has taken its time."""

    def __init__(self, clock: FakeClock, gateway: FakeGateway) -> None:
        self._clock, self._gateway = clock, gateway

    def run(self, step, then) -> None:
        try:
            answer = step()
        except Exception as error:  # noqa: BLE001 - that is what a pool is for
            answer = error
        took, self._gateway.took_us = self._gateway.took_us, 0
        if took:
            self._clock.after(took, lambda: then(answer))
        else:
            then(answer)


@dataclass
class _Container:
    spec: ContainerSpec
    status: str = "created"
    begun: bool = False
    started_ns: int = 0
    ends_us: int = -1
    exit_code: int = 0
    error: str = ""
    finished_ns: int = 0


class FakeGateway:
    """An engine in virtual time, in which containers do what a world says.

    `took_us` is how long the latest call would have blocked; `notify` is told of ends; `type_of` says
    of which type an instance is.
    """

    def __init__(self, plan: Plan, world: World, clock: FakeClock) -> None:
        self.plan, self.world, self.clock = plan, world, clock
        self.took_us = 0
        self.notify: Callable[[Notice], None] = lambda _: None
        self.type_of: Callable[[int], int] = lambda _: -1
        self.containers: dict[str, _Container] = {}
        self.nets: dict[str, Mapping[str, str]] = {}
        self.pulled: dict[tuple[int, int], int] = {}

    # --- the protocol -------------------------------------------------------------------------

    def ensure_image(self, spec: ContainerSpec) -> bool:
        world, (job, attempt, node) = self.world, spec.key
        job_class, now = world.class_of[job], self.clock.us
        main = self._is_main(spec.key)
        failure = world.start_failure(job, attempt) if main else ""
        images = world.images[job_class] if main else self._images_of_node(job_class, node)
        there = now
        for image in images:
            place = (spec.instance, image)
            at = self.pulled.get(place, now + world.pull_time(job_class, *place))
            if not failure.startswith("CannotPull"):
                self.pulled[place] = at
            there = max(there, at)
        self.took_us = there - now
        if failure:
            raise StartFailedError(failure)
        return there > now

    def create(self, spec: ContainerSpec) -> str:
        self.containers.setdefault(spec.name, _Container(spec))
        return spec.name

    def start(self, container: str) -> None:
        it = self.containers[container]
        if it.begun:
            return
        it.begun = True
        job, attempt, node = it.spec.key
        main = self._is_main(it.spec.key)
        self.took_us = self.world.container_start(job, attempt, -1 if main else node)
        if self.world.startup_us and main:
            self.took_us += self.world.startup_us[job]
        if self.took_us:
            self.clock.after(self.took_us, lambda: self._runs(container))
        else:
            self._runs(container)

    def signal(self, container: str, name: str) -> None:
        it = self.containers.get(container)
        if it is None or it.status != "running":
            return
        outcome = self.world.outcomes[self.world.class_of[it.spec.key.job]]
        if name == "KILL":
            self._will_end(it, 0, 137)
        elif outcome.sigterm_after_us is not None:
            self._will_end(it, outcome.sigterm_after_us, outcome.sigterm_exit)

    def remove(self, container: str) -> None:
        self.containers.pop(container, None)

    def inspect(self, container: str) -> ContainerState | None:
        it = self.containers.get(container)
        if it is None:
            return None
        return ContainerState(
            container,
            container,
            it.spec.labels,
            it.status,
            it.exit_code,
            started_ns=it.started_ns,
            finished_ns=it.finished_ns,
            error=it.error,
        )

    def list(self, labels: Mapping[str, str]) -> list[ContainerState]:
        states = [self.inspect(name) for name in self.containers]
        return [state for state in states if state is not None and _has(state.labels, labels)]

    def address(self, container: str, network: str) -> str:  # noqa: ARG002
        return "10.0.0.1"

    def create_network(self, name: str, labels: Mapping[str, str]) -> None:
        self.nets[name] = labels

    def remove_network(self, name: str) -> None:
        self.nets.pop(name, None)

    def networks(self, labels: Mapping[str, str]) -> list[tuple[str, Mapping[str, str]]]:
        return [(name, its) for name, its in self.nets.items() if _has(its, labels)]

    # --- what containers do -------------------------------------------------------------------

    def _runs(self, container: str) -> None:
        it = self.containers.get(container)
        if it is None:
            return
        it.status, it.started_ns = "running", self.clock.now_ns()
        job, attempt, node = it.spec.key
        if self._is_main(it.spec.key):
            it.exit_code, it.error = self.world.exit_of(job, attempt)
            lasts = self.world.runtime_us[job]
        else:
            lasts = self.world.time_of_node(job, node)
        lasts = self.world.lasts_us(lasts, self.type_of(it.spec.instance))
        it.ends_us = self.clock.us + lasts
        self.clock.after(lasts, lambda: self._ends(container, it))

    def _will_end(self, it: _Container, after_us: int, exit_code: int) -> None:
        ends = self.clock.us + after_us
        if ends < it.ends_us:
            it.ends_us, it.exit_code, it.error = ends, exit_code, ""
            self.clock.after(after_us, lambda: self._ends(it.spec.name, it))

    def _ends(self, container: str, it: _Container) -> None:
        if it.status == "running" and it.ends_us == self.clock.us and self.containers.get(container) is it:
            it.status, it.finished_ns = "exited", self.clock.now_ns()
            self.notify(Notice("die", container, it.spec.labels, it.finished_ns))

    def _images_of_node(self, job_class: int, node: int) -> tuple[int, ...]:
        return self.world.node_images[job_class][node] if self.world.node_images else ()

    def _is_main(self, key: Key) -> bool:
        gangs, job_class = self.plan.gangs, self.plan.classes[self.plan.class_of[key.job]]
        gang = gangs[job_class.need] if gangs else None
        return key.node == (gang.main if gang else 0)


def _has(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(key in labels and value in {"", labels[key]} for key, value in wanted.items())
