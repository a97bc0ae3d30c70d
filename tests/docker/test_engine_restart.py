"""An engine that dies in mid-run and comes back: no attempt is lost or doubled."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import warnings
from pathlib import Path

import docker
import pytest

from batchsim.drivers.docker_gateway import DockerGateway
from batchsim.scenario import parse_scenario
from batchsim.studies.replay import ReplayOptions, replay
from batchsim.studies.validation import validate
from tests.docker.engine import _absent, make_image
from tests.docker.test_real_runs import SCENARIO, jobs, until

pytestmark = pytest.mark.docker

RETRIED = SCENARIO.replace("timeout: {attemptDurationSeconds: 60}", "retryStrategy: {attempts: 5}")


BRIDGE = "batchsimtest0"


class PrivateEngine:
    """A daemon of our own, which can be killed and started again."""

    def __init__(self, folder) -> None:
        self.folder = folder
        self.url = f"unix://{folder}/docker.sock"
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        arguments = [
            "--host",
            self.url,
            "--data-root",
            f"{self.folder}/data",
            "--exec-root",
            f"{self.folder}/exec",
        ]
        arguments += [
            "--pidfile",
            f"{self.folder}/pid",
            "--bridge",  # "none" would take docker0 from the engine that is there
            BRIDGE,
            "--iptables=false",
            "--ip6tables=false",
        ]
        (self.folder / "pid").unlink(missing_ok=True)
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(["dockerd", *arguments], stdout=log, stderr=log)
        until(self.answers, 60)

    def answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as connection:
            try:
                connection.connect(str(self.folder / "docker.sock"))
                connection.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
                return b" 200 " in connection.recv(100)
            except OSError:
                return False

    def kill(self, number: int = signal.SIGKILL) -> None:
        self.process.send_signal(number)
        self.process.wait(60)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.kill(signal.SIGTERM)
        for name in (self.folder / "exec").rglob("containerd.pid"):
            os.kill(int(name.read_text()), signal.SIGTERM)
        mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for point in reversed([each for each in mounted if each.startswith(str(self.folder))]):
            subprocess.run(["umount", "--lazy", point], check=False)


@pytest.fixture
def private():
    if shutil.which("dockerd") is None or shutil.which("ip") is None or os.geteuid():
        _absent("there is no dockerd or no ip, or we are not root")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        engine = PrivateEngine(Path(folder))
        subprocess.run(["ip", "link", "add", BRIDGE, "type", "bridge"], check=False)
        try:
            engine.start()
        except AssertionError:
            _absent("a Docker engine of our own did not start")
        yield engine
        engine.stop()
        subprocess.run(["ip", "link", "delete", BRIDGE], check=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # docker-py leaves sockets of failed calls open
        gc.collect()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # sockets of failed calls
def test_a_run_survives_a_daemon_that_is_killed_and_comes_back(private, tmp_path):
    api = docker.APIClient(base_url=private.url, version="auto")
    make_image(api)
    scenario = parse_scenario(RETRIED + jobs("endless", 12, "6s"))

    def crash() -> None:
        until(lambda: len(api.containers()) >= 6)
        time.sleep(1.0)
        private.kill()
        time.sleep(2.0)
        private.start()

    thread = threading.Thread(target=crash)
    thread.start()
    result, cut_short = replay(scenario, tmp_path, ReplayOptions(hosts=(private.url,), oversubscribe=True))
    thread.join()
    result.write(tmp_path)
    assert cut_short == ""
    assert set(result.jobs["state"]) == {"SUCCEEDED"}
    lost = result.attempts[result.attempts["status_reason"].str.startswith("Host EC2")]
    assert 1 <= len(lost) <= 8
    assert len(result.attempts) == 12 + len(lost)
    assert [str(each) for each in result.audit()] == []
    assert validate(tmp_path).first_difference is None
    gateway = DockerGateway(private.url)
    assert gateway.list({"batchsim.run": ""}) == []
