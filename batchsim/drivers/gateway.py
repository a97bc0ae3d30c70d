"""What the wall-clock driver asks of the world: a clock, and engines that run containers.

    Clock               when is it, and wake me when something was reported or at that instant
    ContainerGateway    one container engine: create, start, signal, remove, list, events, networks

Every call of a gateway blocks until the engine has answered. Both protocols are small on purpose, so that
a fake of each fits on a page and one suite of tests holds for the fake and for a real engine.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol

from batchsim.errors import BatchsimError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from batchsim.drivers.reports import Inbox

LABEL: Final = "batchsim"
RUN: Final = f"{LABEL}.run"
OWNER: Final = f"{LABEL}.owner"
JOB: Final = f"{LABEL}.job"
ATTEMPT: Final = f"{LABEL}.attempt"
NODE: Final = f"{LABEL}.node"
INSTANCE: Final = f"{LABEL}.instance"
DEADLINE: Final = f"{LABEL}.deadline"

MAIN_ADDRESS: Final = "AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS"  # [spec 1.11]

PULL_FAILED: Final = "CannotPullContainerError"  # [spec 1.6]
CREATE_FAILED: Final = "CannotCreateContainerError"
START_FAILED: Final = "CannotStartContainerError"


class StartFailedError(BatchsimError):
    """A container cannot begin; `str(error)` is the container reason that the job gets."""


class GatewayLostError(BatchsimError):
    """The engine does not answer, or the connection broke before it had."""


class Key(NamedTuple):
    """Which container: of a job that is no multi-node job, node 0."""

    job: int
    attempt: int
    node: int


NOBODY: Final = Key(-1, -1, -1)


class Mount(NamedTuple):
    """A folder of the engine's host, and where a container sees it."""

    source: str
    target: str
    read_only: bool


class Ulimit(NamedTuple):
    name: str
    soft: int
    hard: int


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """All that one container is made of.

    name, labels   deterministic, so that a container can be found again whoever lost sight of it
    lifetime_s     from its creation to the deadline that it carries as a label
    host           which of the engines
    instance       the instance of the run that it stands on
    entrypoint     () for the image's own; command likewise
    memory_mib     hard limit; 0 for none. Swap is never added
    vcpus          relative weight, or with `capped` a hard limit
    gpus           indices of the GPUs of the instance that it holds
    network        name of a network that was created before, None for no network at all
    read_only      whether the root file system is; /tmp is always a small tmpfs
    user           "" for the image's own
    init           a small process 1 that passes signals on and waits for orphans
    """

    key: Key
    name: str
    image: str
    labels: Mapping[str, str] = field(default_factory=dict)
    lifetime_s: int = 3600
    host: int = 0
    instance: int = 0
    entrypoint: Sequence[str] = ()
    command: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    memory_mib: int = 0
    vcpus: float = 1.0
    capped: bool = False
    gpus: Sequence[int] = ()
    network: str | None = None
    read_only: bool = True
    user: str = ""
    init: bool = False
    ulimits: Sequence[Ulimit] = ()
    mounts: Sequence[Mount] = ()
    cgroup_parent: str = ""


class ContainerState(NamedTuple):
    """What the engine knows of a container; instants in its own ns since 1970, 0 for never."""

    id: str
    name: str
    labels: Mapping[str, str]
    status: str
    exit_code: int = 0
    oom_killed: bool = False
    started_ns: int = 0
    finished_ns: int = 0
    error: str = ""

    @property
    def over(self) -> bool:
        """It has run and runs no more."""
        return self.status in {"exited", "dead", "removing"}


class Notice(NamedTuple):
    """An item of the event stream: a container of ours started or died, at so many ns since 1970.

    exit_code   of one that died, where the stream says so
    """

    kind: Literal["start", "die", "oom"]
    id: str
    labels: Mapping[str, str]
    at_ns: int
    exit_code: int | None = None


class ContainerGateway(Protocol):
    """One container engine.

    Raises GatewayLostError when it does not answer; what was asked may then have been done or not.
    """

    def ensure_image(self, spec: ContainerSpec) -> bool:
        """Pull the image unless it is there; whether it was pulled. Raises StartFailedError."""

    def create(self, spec: ContainerSpec) -> str:
        """Create the container and give its id; one that is there already under its name and labels is
        adopted. Raises StartFailedError.
        """

    def start(self, container: str) -> None:
        """Start it; one that has been started is left as it is. Raises StartFailedError."""

    def signal(self, container: str, name: Literal["TERM", "KILL"]) -> None:
        """Send a signal; without effect when it does not run."""

    def remove(self, container: str) -> None:
        """Kill and remove it; without effect when it is gone."""

    def inspect(self, container: str) -> ContainerState | None:
        """None when there is no such container."""

    def list(self, labels: Mapping[str, str]) -> list[ContainerState]:
        """All containers, running or not, that have these labels; "" stands for any value."""

    def address(self, container: str, network: str) -> str:
        """Its IPv4 address in a network."""

    def create_network(self, name: str, labels: Mapping[str, str]) -> None:
        """Create an internal network, unless there is one of that name and these labels."""

    def remove_network(self, name: str) -> None:
        """Without effect when it is gone."""

    def networks(self, labels: Mapping[str, str]) -> Sequence[tuple[str, Mapping[str, str]]]:
        """Names and labels of the networks that have these labels."""

    def events(self, labels: Mapping[str, str], since_ns: int) -> Iterator[Notice]:
        """What happens to containers with these labels, from then on, until `close`."""

    def close(self) -> None:
        """End `events`, and let go of the engine."""


class Clock(Protocol):
    """Simulated time, in integer microseconds since the run began."""

    def now_us(self) -> int: ...

    def of_engine(self, at_ns: int) -> int:
        """The instant that an engine calls `at_ns`, ns since 1970."""

    def wait(self, inbox: Inbox, until_us: int) -> None:
        """Return when something is in the inbox, or at `until_us`, whichever is first."""
