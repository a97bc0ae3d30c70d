"""The gateway to a Docker engine, or to whatever speaks its API: the only module that imports docker.

    local       DockerGateway("unix:///var/run/docker.sock")
    elsewhere   ssh://user@host, tcp://host:2376 with the certificates of DOCKER_CERT_PATH

What a container may do is little: no network, no capabilities, no new privileges, 256 processes, a root
file system that it cannot write to, memory without swap, logs of 1 MB. `Relaxed` names what may be more.
"""

from __future__ import annotations

import datetime as dt
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import docker  # type: ignore[import-untyped]
import requests
from docker import errors
from docker.tls import TLSConfig  # type: ignore[import-untyped]
from docker.types import DeviceRequest  # type: ignore[import-untyped]
from docker.types import Ulimit as DockerUlimit

from batchsim.drivers.gateway import (
    CREATE_FAILED,
    DEADLINE,
    PULL_FAILED,
    START_FAILED,
    ContainerSpec,
    ContainerState,
    GatewayLostError,
    Notice,
    StartFailedError,
)
from batchsim.drivers.kernel import killed_for_memory
from batchsim.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

LOCAL: Final = "unix:///var/run/docker.sock"

_PIDS: Final = 256
_TMPFS: Final = {"/tmp": "rw,nosuid,nodev,size=64m,mode=1777"}  # noqa: S108 - of the container
_LOGS: Final = {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "1"}}
_SMALLEST_MEMORY_MIB: Final = 6  # what engines accept
_SHARES_PER_VCPU: Final = 1024
_NANO: Final = 10**9
_LONGEST_REASON: Final = 255  # [spec 1.6]
_NEVER: Final = "0001-01-01"
_KILLED: Final = 137
_CALL_TIMEOUT_S: Final = 120.0
_CONNECTION_ERRORS: Final = (requests.exceptions.ConnectionError, requests.exceptions.Timeout)
_NO_ANSWER: Final = (
    errors.DockerException,
    errors.StreamParseError,  # a stream that ended in the middle of a line
    requests.exceptions.RequestException,
)
_TOLD: Final = ["start", "die", "died", "oom"]  # "died" is Podman's filter for what it then calls die
_NOT_RUNNING: Final = ("is not running", "can only kill running containers")  # Docker, Podman
_GOING_DOWN: Final = ("shutting down", "transport is closing", "connection refused", "containerd.sock")


@dataclass(frozen=True, slots=True)
class Relaxed:
    """What containers may do although they normally may not; each is an option of its own.

    network        join the engine's default network
    capabilities   keep the engine's default capabilities
    privileges     gain new privileges by set-user-id programs
    """

    network: bool = False
    capabilities: bool = False
    privileges: bool = False


class DockerGateway:
    """A `ContainerGateway`. Any thread may call it; each has a connection of its own."""

    def __init__(
        self, url: str = LOCAL, *, pull: bool = True, relaxed: Relaxed | None = None, tls: Path | None = None
    ) -> None:
        """`tls` is a folder with ca.pem, cert.pem and key.pem. Raises EngineError if nobody answers."""
        self.url = url
        self._pull = pull
        self._relaxed = relaxed or Relaxed()
        self._tls = None if tls is None else _tls_of(tls)
        self._local = threading.local()
        self._streams: list[Any] = []
        self._there: set[str] = set()
        self._begun: set[str] = set()
        self._pids: dict[str, int] = {}
        self._closed = False
        try:
            self.info: dict[str, Any] = self._api.info()
        except (errors.DockerException, *_CONNECTION_ERRORS, OSError) as error:
            raise EngineError(
                f"no container engine answers: {_first_line(error)}",
                path=url,
                hint=_hint(url, str(error)),
            ) from error

    # --- containers ---------------------------------------------------------------------------

    def ensure_image(self, spec: ContainerSpec) -> bool:
        pulled = False
        if spec.image in self._there:
            return pulled
        with _translated(PULL_FAILED):
            try:
                self._api.inspect_image(spec.image)
            except errors.ImageNotFound:
                if not self._pull:
                    raise StartFailedError(f"{PULL_FAILED}: {spec.image} is not on the engine") from None
                self._pull_image(spec.image)
                pulled = True
        self._there.add(spec.image)
        return pulled

    def create(self, spec: ContainerSpec) -> str:
        with _translated(CREATE_FAILED):
            try:
                made = self._api.create_container_from_config(self._config(spec), spec.name)
            except errors.APIError as error:
                if error.status_code != 409 and "is already in use" not in str(error):
                    raise  # Podman says so with the code of an internal error
                return self._adopted(spec)
        return str(made["Id"])

    def start(self, container: str) -> None:
        with _translated(START_FAILED):
            if container in self._begun and _ns(self._api.inspect_container(container)["State"]["StartedAt"]):
                return  # an engine would start once more what has ended
            self._begun.add(container)
            self._api.start(container)
            if self._sees_kernel:
                self._pids[container] = self._api.inspect_container(container)["State"]["Pid"]

    def signal(self, container: str, name: Literal["TERM", "KILL"]) -> None:
        with _translated(START_FAILED), suppress(errors.NotFound):
            try:
                self._api.kill(container, f"SIG{name}")
            except errors.APIError as error:
                if error.status_code not in {404, 409} and not any(s in str(error) for s in _NOT_RUNNING):
                    raise

    def remove(self, container: str) -> None:
        self._begun.discard(container)
        self._pids.pop(container, None)
        with _translated(START_FAILED), suppress(errors.NotFound):
            try:
                self._api.remove_container(container, force=True, v=True)
            except errors.APIError as error:
                if "already in progress" not in str(error):
                    raise

    def inspect(self, container: str) -> ContainerState | None:
        with _translated(START_FAILED):
            try:
                found = self._api.inspect_container(container)
            except errors.NotFound:
                return None
        state = found["State"]
        started_ns, finished_ns = _ns(state["StartedAt"]), _ns(state["FinishedAt"])
        if finished_ns:
            started_ns = min(
                started_ns, finished_ns
            )  # of what ends at once, an engine may note the end first
        return ContainerState(
            id=found["Id"],
            name=found["Name"].lstrip("/"),
            labels=found["Config"]["Labels"] or {},
            status=state["Status"],
            exit_code=state["ExitCode"],
            oom_killed=state["OOMKilled"]
            or (state["ExitCode"] == _KILLED and self._kernel_tells(found["Id"], started_ns, finished_ns)),
            started_ns=started_ns,
            finished_ns=finished_ns,
            error=state["Error"],
        )

    def list(self, labels: Mapping[str, str]) -> list[ContainerState]:
        with _translated(START_FAILED):
            found = self._api.containers(all=True, filters={"label": _filter(labels)})
        return [
            ContainerState(each["Id"], each["Names"][0].lstrip("/"), each["Labels"], each["State"])
            for each in found
            if each["Names"]
        ]

    # --- networks -----------------------------------------------------------------------------

    def address(self, container: str, network: str) -> str:
        with _translated(START_FAILED):
            found = self._api.inspect_container(container)
        return str(found["NetworkSettings"]["Networks"][network]["IPAddress"])

    def create_network(self, name: str, labels: Mapping[str, str]) -> None:
        with _translated(CREATE_FAILED):
            if any(each["Name"] == name for each in self._api.networks(names=[name])):
                return
            self._api.create_network(name, driver="bridge", internal=True, labels=dict(labels))

    def remove_network(self, name: str) -> None:
        with _translated(CREATE_FAILED), suppress(errors.NotFound):
            self._api.remove_network(name)

    def networks(self, labels: Mapping[str, str]) -> Sequence[tuple[str, Mapping[str, str]]]:
        with _translated(CREATE_FAILED):
            found = self._api.networks(filters={"label": _filter(labels)})
        return [(each["Name"], each["Labels"]) for each in found]

    # --- what happens -------------------------------------------------------------------------

    def events(self, labels: Mapping[str, str], since_ns: int) -> Iterator[Notice]:
        filters = {"type": ["container"], "event": _TOLD, "label": _filter(labels)}
        since = f"{since_ns // _NANO}.{since_ns % _NANO:09d}"
        with _translated(START_FAILED):
            stream = self._api.events(since=since, filters=filters, decode=True)
            self._streams.append(stream)
            try:
                for event in stream:
                    if self._closed:
                        return
                    attributes = event["Actor"]["Attributes"]
                    code = attributes.get("exitCode")
                    yield Notice(
                        kind=event["Action"],
                        id=event["Actor"]["ID"],
                        labels=attributes,
                        at_ns=event["timeNano"],
                        exit_code=None if code is None else int(code),
                    )
            finally:
                self._streams.remove(stream)
        if not self._closed:
            raise GatewayLostError(f"the event stream of {self.url} has ended")

    def close(self) -> None:
        self._closed = True
        for stream in list(self._streams):
            with suppress(Exception):  # it may be gone, and there is nothing left to do with it
                stream.close()

    # --- inside -------------------------------------------------------------------------------

    @property
    def _api(self) -> Any:
        api = getattr(self._local, "api", None)
        if api is None:
            api = self._local.api = _Client(
                base_url=self.url, version="auto", timeout=_CALL_TIMEOUT_S, tls=self._tls
            )
        return api

    @property
    def _sees_kernel(self) -> bool:
        return self.url.startswith("unix:")

    def _kernel_tells(self, container: str, started_ns: int, finished_ns: int) -> bool:
        if not self._sees_kernel:
            return False
        pids = self._pids.copy()  # other threads start containers meanwhile
        return killed_for_memory(
            container, pids.get(container, 0), (started_ns, finished_ns), set(pids.values())
        )

    def _pull_image(self, image: str) -> None:
        repository, _, tag = (
            image.rpartition(":") if ":" in image.rpartition("/")[2] else (image, "", "latest")
        )
        try:
            for step in self._api.pull(repository, tag=tag, stream=True, decode=True):
                if "error" in step:  # an engine may find out when it has said that all is well
                    raise StartFailedError(_reason(PULL_FAILED, f"{image}: {step['error']}"))
        except errors.APIError as error:
            raise StartFailedError(_reason(PULL_FAILED, f"{image}: {_first_line(error)}")) from error

    def _adopted(self, spec: ContainerSpec) -> str:
        """The container of that name, which an earlier call made whose answer was lost."""
        state = self.inspect(spec.name)
        if state is None:
            raise GatewayLostError(f"{spec.name} was there a moment ago")
        if any(state.labels.get(key) != value for key, value in spec.labels.items()):
            raise StartFailedError(f"{CREATE_FAILED}: the name {spec.name} belongs to another container")
        return state.id

    def _config(self, spec: ContainerSpec) -> dict[str, Any]:
        host = self._host_config(spec)
        networking = None
        if spec.network is not None:
            networking = self._api.create_networking_config(
                {spec.network: self._api.create_endpoint_config(aliases=[f"node{spec.key.node}"])}
            )
        return dict(
            self._api.create_container_config(
                image=spec.image,
                command=list(spec.command) or None,
                entrypoint=list(spec.entrypoint) or None,
                environment=dict(spec.environment),
                labels={**spec.labels, DEADLINE: str(int(time.time()) + spec.lifetime_s)},
                user=spec.user or None,
                host_config=host,
                networking_config=networking,
                stop_signal="SIGTERM",
            )
        )

    def _host_config(self, spec: ContainerSpec) -> dict[str, Any]:
        relaxed = self._relaxed
        memory = max(spec.memory_mib, _SMALLEST_MEMORY_MIB) << 20 if spec.memory_mib else None
        more: dict[str, Any] = {}
        if spec.capped:
            more["nano_cpus"] = round(spec.vcpus * _NANO)
        else:
            more["cpu_shares"] = max(2, round(spec.vcpus * _SHARES_PER_VCPU))
        if spec.gpus:
            ids = [str(index) for index in spec.gpus]
            more["device_requests"] = [DeviceRequest(device_ids=ids, capabilities=[["gpu"]])]
        if spec.cgroup_parent:
            more["cgroup_parent"] = spec.cgroup_parent
        return dict(
            self._api.create_host_config(
                network_mode=spec.network or ("default" if relaxed.network else "none"),
                mem_limit=memory,
                memswap_limit=memory,
                pids_limit=_PIDS,
                read_only=spec.read_only,
                tmpfs=_TMPFS,
                cap_drop=None if relaxed.capabilities else ["ALL"],
                security_opt=None if relaxed.privileges else ["no-new-privileges:true"],
                log_config=_LOGS,
                init=spec.init,
                ulimits=[
                    DockerUlimit(name=each.name, soft=each.soft, hard=each.hard) for each in spec.ulimits
                ],
                binds=[
                    f"{each.source}:{each.target}:{'ro' if each.read_only else 'rw'}" for each in spec.mounts
                ],
                **more,
            )
        )


class _Client(docker.APIClient):  # type: ignore[misc]
    """Without the certificates and proxies of the environment, which would take the place of its own."""

    @property
    def trust_env(self) -> bool:
        return False

    @trust_env.setter
    def trust_env(self, _: bool) -> None: ...


@contextmanager
def _translated(what: str) -> Iterator[None]:
    """Turn the errors of docker-py into the two that a gateway has; `what` failed, if the engine says so."""
    try:
        yield
    except errors.NotFound as error:
        raise StartFailedError(_reason(what, _first_line(error))) from error
    except errors.APIError as error:
        said = _first_line(error)
        if error.status_code == 503 or any(sign in said for sign in _GOING_DOWN):
            raise GatewayLostError(said) from error
        raise StartFailedError(_reason(what, said)) from error
    except (*_NO_ANSWER, OSError) as error:
        raise GatewayLostError(_first_line(error)) from error


def _reason(what: str, said: str) -> str:
    return f"{what}: {said}"[:_LONGEST_REASON]


def _first_line(error: BaseException) -> str:
    said = getattr(error, "explanation", None) or str(error) or type(error).__name__
    return " ".join(str(said).split())


def _hint(url: str, said: str) -> str:
    if url.startswith("ssh:") and "paramiko" in said:
        return "pip install 'batchsim[ssh]'"
    return "start it, or name another one with --host"


def _filter(labels: Mapping[str, str]) -> list[str]:
    return [f"{key}={value}" if value else key for key, value in labels.items()]


def _ns(text: str) -> int:
    """An RFC 3339 instant with up to nine digits of a second, in UTC or with an offset; 0 for never."""
    if text.startswith(_NEVER):
        return 0
    head, dot, tail = text.partition(".")
    if not dot:
        return round(dt.datetime.fromisoformat(text).timestamp()) * _NANO
    digits = tail.rstrip("Zz") if "+" not in tail and "-" not in tail else tail[: -len("+00:00")]
    zone = tail[len(digits) :]
    seconds = dt.datetime.fromisoformat(head + ("+00:00" if zone in {"Z", "z"} else zone)).timestamp()
    return round(seconds) * _NANO + int(digits.ljust(9, "0"))


def _tls_of(folder: Path) -> TLSConfig:
    missing = [name for name in ("ca.pem", "cert.pem", "key.pem") if not (folder / name).is_file()]
    if missing:
        raise EngineError(
            f"there is no {missing[0]}", path=str(folder), hint="ca.pem, cert.pem and key.pem are needed"
        )
    return TLSConfig(
        client_cert=(str(folder / "cert.pem"), str(folder / "key.pem")),
        ca_cert=str(folder / "ca.pem"),
        verify=True,
    )
