"""What every container gateway must do, as functions of a `Bench`: the fake and a real engine alike."""

from __future__ import annotations

from abc import ABC, abstractmethod

import pytest

from batchsim.drivers.gateway import ATTEMPT, JOB, NODE, RUN, ContainerSpec, Key, StartFailedError

RUN_NAME = "contract"


class Bench(ABC):
    """A gateway, and jobs that run for `seconds` and leave `exit_code`."""

    gateway: object

    @abstractmethod
    def spec(self, job: int, *, seconds: int = 0, exit_code: int = 0) -> ContainerSpec: ...

    @abstractmethod
    def missing_image(self) -> ContainerSpec: ...

    @abstractmethod
    def until(self, condition) -> None:
        """Let time pass until `condition()` holds."""

    @abstractmethod
    def notices(self) -> list[tuple[str, Key]]:
        """What was told of containers so far: (kind, key)."""

    def begin(self, spec: ContainerSpec) -> str:
        self.gateway.ensure_image(spec)
        container = self.gateway.create(spec)
        self.gateway.start(container)
        self.until(lambda: self.gateway.inspect(container).started_ns > 0)
        return container

    def over(self, container: str) -> bool:
        return self.gateway.inspect(container).over


def labels_of(key: Key) -> dict[str, str]:
    return {RUN: RUN_NAME, JOB: str(key.job), ATTEMPT: str(key.attempt), NODE: str(key.node)}


def a_container_is_created_started_and_ends(bench: Bench):
    spec = bench.spec(0, exit_code=3)
    container = bench.gateway.create(spec)
    assert bench.gateway.inspect(container).status == "created"
    bench.gateway.start(container)
    bench.until(lambda: bench.over(container))
    state = bench.gateway.inspect(container)
    assert (state.exit_code, state.oom_killed, state.name) == (3, False, spec.name)
    assert 0 < state.started_ns <= state.finished_ns
    assert spec.labels.items() <= dict(state.labels).items()
    bench.gateway.remove(container)


def its_end_is_told(bench: Bench):
    container = bench.begin(bench.spec(1))
    bench.until(lambda: ("die", Key(1, 1, 0)) in bench.notices())
    assert bench.over(container)
    bench.gateway.remove(container)


def creating_twice_adopts(bench: Bench):
    spec = bench.spec(2)
    first = bench.gateway.create(spec)
    assert bench.gateway.create(spec) == first
    assert [each.id for each in bench.gateway.list({RUN: RUN_NAME})] == [first]
    bench.gateway.remove(first)


def starting_twice_starts_once(bench: Bench):
    container = bench.begin(bench.spec(8))
    bench.gateway.start(container)
    bench.until(lambda: bench.over(container))
    began = bench.gateway.inspect(container).started_ns
    assert [kind for kind, _ in bench.notices()].count("die") <= 1
    bench.gateway.start(container)
    assert bench.over(container)
    assert bench.gateway.inspect(container).started_ns == began
    bench.gateway.remove(container)


def a_killed_container_leaves_137(bench: Bench):
    container = bench.begin(bench.spec(3, seconds=600))
    bench.gateway.signal(container, "KILL")
    bench.until(lambda: bench.over(container))
    assert bench.gateway.inspect(container).exit_code == 137
    bench.gateway.remove(container)


def a_container_may_obey_sigterm(bench: Bench):
    container = bench.begin(bench.spec(4, seconds=600))
    bench.gateway.signal(container, "TERM")
    bench.until(lambda: bench.over(container))
    assert bench.gateway.inspect(container).exit_code == 143
    bench.gateway.remove(container)


def what_is_over_or_gone_is_left_alone(bench: Bench):
    container = bench.begin(bench.spec(5))
    bench.until(lambda: bench.over(container))
    bench.gateway.signal(container, "KILL")
    assert bench.gateway.inspect(container).exit_code == 0
    for _ in range(2):
        bench.gateway.remove(container)
        bench.gateway.signal(container, "TERM")
    assert bench.gateway.inspect(container) is None


def a_missing_image_has_a_reason(bench: Bench):
    with pytest.raises(StartFailedError, match=r"^CannotPullContainerError: "):
        bench.gateway.ensure_image(bench.missing_image())


def lists_are_by_label(bench: Bench):
    ours = bench.gateway.create(bench.spec(6))
    assert bench.gateway.list({RUN: "another"}) == []
    assert {each.id for each in bench.gateway.list({RUN: ""})} == {ours}
    assert {each.id for each in bench.gateway.list({RUN: RUN_NAME, JOB: "6"})} == {ours}
    bench.gateway.remove(ours)


def networks_are_made_once_and_removed(bench: Bench):
    labels = {RUN: RUN_NAME}
    for _ in range(2):
        bench.gateway.create_network("batchsim-contract", labels)
    assert [name for name, _ in bench.gateway.networks(labels)] == ["batchsim-contract"]
    for _ in range(2):
        bench.gateway.remove_network("batchsim-contract")
    assert list(bench.gateway.networks(labels)) == []


CONTRACT = [
    a_container_is_created_started_and_ends,
    its_end_is_told,
    creating_twice_adopts,
    starting_twice_starts_once,
    a_killed_container_leaves_137,
    a_container_may_obey_sigterm,
    what_is_over_or_gone_is_left_alone,
    a_missing_image_has_a_reason,
    lists_are_by_label,
    networks_are_made_once_and_removed,
]
