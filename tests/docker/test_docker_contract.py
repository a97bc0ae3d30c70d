"""The Docker gateway keeps the contract of gateways, as the fake does."""

from __future__ import annotations

import threading
import time

import pytest

from batchsim.drivers.containers import key_of
from batchsim.drivers.docker_gateway import DockerGateway
from batchsim.drivers.gateway import RUN, ContainerSpec, GatewayLostError, Key
from batchsim.studies.replay import default_host
from tests.docker.engine import IMAGE
from tests.drivers.contract import CONTRACT, RUN_NAME, Bench, labels_of

pytestmark = pytest.mark.docker

SCRIPT = 'trap "exit 143" TERM; sleep "$1" & wait $!; exit "$2"'


class DockerBench(Bench):
    def __init__(self) -> None:
        self.gateway = DockerGateway(default_host())
        self.told = []
        self.since_ns = time.time_ns()
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self) -> None:
        try:
            for notice in self.gateway.events({RUN: RUN_NAME}, self.since_ns):
                self.told.append((notice.kind, key_of(notice.labels)))
        except GatewayLostError:
            return

    def spec(self, job, *, seconds=0, exit_code=0):
        key = Key(job, 1, 0)
        return ContainerSpec(
            key,
            f"batchsim-contract-{job}",
            IMAGE,
            labels_of(key),
            entrypoint=("sh", "-c", SCRIPT, "sh"),
            command=(str(seconds), str(exit_code)),
            user="65534:65534",
        )

    def missing_image(self):
        return ContainerSpec(Key(7, 1, 0), "batchsim-contract-7", "batchsim.invalid/nothing:1")

    def until(self, condition):
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline, "it never came"
            time.sleep(0.02)

    def notices(self):
        return self.told


@pytest.mark.parametrize("law", CONTRACT, ids=lambda law: law.__name__)
def test_docker_keeps_the_contract(law, engine):
    bench = DockerBench()
    try:
        law(bench)
    finally:
        bench.gateway.close()
