"""Engines beside the usual one: it dies in mid-run and comes back, it shares the machines, it is far away."""

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
from batchsim.errors import EngineError
from batchsim.scenario import parse_scenario
from batchsim.studies.replay import ReplayOptions, default_host, replay
from batchsim.studies.validation import validate
from tests.docker.conftest import labelled
from tests.docker.engine import _absent, make_image
from tests.docker.test_real_runs import SCENARIO, jobs, running, until

pytestmark = pytest.mark.docker

RETRIED = SCENARIO.replace("timeout: {attemptDurationSeconds: 60}", "retryStrategy: {attempts: 5}")


BRIDGE = "batchsimtest0"


class PrivateEngine:
    """A daemon of our own, which can be killed and started again."""

    def __init__(self, folder) -> None:
        self.folder = folder
        self.url = f"unix://{folder}/docker.sock"
        self.more: list[str] = []
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
        arguments += self.more
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


def test_machines_are_dealt_out_to_several_engines(engine, private, tmp_path):
    api = docker.APIClient(base_url=private.url, version="auto")
    make_image(api)
    two = SCENARIO.replace("vcpus: 8, memory: 1GiB", "vcpus: 4, memory: 512MiB, count: 2")
    scenario = parse_scenario(two + jobs("task", 8, "3s"))
    most = [0, 0]
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.1):
            most[:] = [max(so_far, running(each)) for so_far, each in zip(most, (engine, api), strict=True)]

    thread = threading.Thread(target=look)
    thread.start()
    options = ReplayOptions(hosts=(default_host(), private.url), oversubscribe=True, pull=False)
    result, _ = replay(scenario, tmp_path, options)
    done.set()
    thread.join()
    assert set(result.jobs["state"]) == {"SUCCEEDED"}
    assert most == [4, 4]
    assert labelled(engine) == labelled(api) == []


def test_an_engine_far_away_is_reached_with_certificates_only(private, tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make certificates with")
    certificates = make_certificates(tmp_path)
    private.kill(signal.SIGTERM)
    port = free_port()
    private.more = ["--host", f"tcp://127.0.0.1:{port}", "--tlsverify"]
    private.more += [
        f"--tls{what}={certificates / name}"
        for what, name in (("cacert", "ca.pem"), ("cert", "cert.pem"), ("key", "key.pem"))
    ]
    private.start()
    make_image(docker.APIClient(base_url=private.url, version="auto"))
    url, scenario = f"tcp://127.0.0.1:{port}", parse_scenario(SCENARIO + jobs("task", 2, "1s"))
    with pytest.raises(EngineError, match="no container engine answers"):
        replay(scenario, tmp_path, ReplayOptions(hosts=(url,), oversubscribe=True))
    options = ReplayOptions(hosts=(url,), oversubscribe=True, tls=certificates)
    result, _ = replay(scenario, tmp_path, options)
    assert set(result.jobs["state"]) == {"SUCCEEDED"}


def make_certificates(folder: Path) -> Path:
    """An authority of our own, and one certificate for both sides."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    new = ["-newkey", "rsa:2048", "-nodes", "-days", "2"]
    openssl("req", "-x509", *new, "-subj", "/CN=authority", "-keyout", "ca-key.pem", "-out", "ca.pem")
    openssl("req", *new[:3], "-subj", "/CN=127.0.0.1", "-keyout", "key.pem", "-out", "request.pem")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n")
    signed = ["-CA", "ca.pem", "-CAkey", "ca-key.pem", "-CAcreateserial", "-days", "2", "-extfile", "names"]
    openssl("x509", "-req", "-in", "request.pem", *signed, "-out", "cert.pem")
    return folder


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
