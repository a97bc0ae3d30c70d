"""A scenario for real: the same scheduler, the wall clock, containers on a Docker engine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from batchsim.drivers.cgroups import CgroupTree
from batchsim.drivers.containers import Containers
from batchsim.drivers.decisions import LoggedScheduler
from batchsim.drivers.docker_gateway import LOCAL, DockerGateway, Relaxed
from batchsim.drivers.gateway import GatewayLostError
from batchsim.drivers.jobspecs import JobContainers, JobOptions
from batchsim.drivers.ownership import Owner
from batchsim.drivers.planning import prepare
from batchsim.drivers.realtime import ThreadPool, WallClock, Watcher
from batchsim.drivers.reaper import ORDERLY, Reaped, reap
from batchsim.drivers.reports import Inbox, Report, What
from batchsim.drivers.wallclock import Reality, WallClockDriver
from batchsim.errors import EngineError, ResultError
from batchsim.results.names import DECISIONS
from batchsim.results.recording import Recorder
from batchsim.studies.run import cut_at_horizon, describe
from batchsim.workload import build_workload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import TextIO

    from batchsim.drivers.planning import Setup
    from batchsim.results import Result
    from batchsim.scenario import Scenario

INTERRUPT_GRACE_S: Final = 10.0
_HOST_SHARE: Final = 0.9  # of the host's memory; the rest is for the engine and for us
_numbers = count()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayOptions:
    """How a scenario is run for real; the defaults are the strictest.

    hosts          engines; the machines of unmanaged environments are dealt out to them one by one
    speed          simulated seconds a real second
    stand_in       image of jobs without a command, instead of the image that their definition names
    scalable       names of job definitions whose command may run at another speed than 1
    oversubscribe  let the fleet be larger than the hosts
    cgroups        hold the containers of an instance to its size
    pull           pull images that an engine has not
    lifetime_s     deadline of containers without a time limit
    mounts         folders of the hosts that volumes may name, with all below them
    relax          what containers may do although they normally may not: "network", "capabilities" and
                   "privileges" as in `Relaxed`, "writable-root" and "image-user" as in `JobOptions`
    tls            folder with ca.pem, cert.pem and key.pem for tcp:// hosts
    """

    hosts: Sequence[str] = ()
    speed: float = 1.0
    stand_in: str | None = None
    scalable: Sequence[str] = ()
    oversubscribe: bool = False
    cgroups: bool = False
    pull: bool = True
    lifetime_s: int = 3600
    mounts: Sequence[str] = ()
    relax: Sequence[str] = ()
    tls: Path | None = None


class Replayed(NamedTuple):
    """A real run: its result, and what has cut it short: "" for nothing, "interrupted", "engine lost"."""

    result: Result
    cut_short: str


def replay(
    scenario: Scenario,
    folder: str | Path,
    options: ReplayOptions,
    *,
    seed: int = 0,
    report: Callable[[int, int, int], None] | None = None,
) -> Replayed:
    """Run `scenario` for real; the log of decisions is written to `folder`, which must exist, as it happens.

    One interrupt (SIGINT or SIGTERM) ends the run: containers get SIGTERM and 10 s. A second one kills
    them. No container is left, however it ends. `report(now_us, jobs_ended, jobs)` is called now and then.
    Raises InputError for scenarios that cannot be run so, and for engines that cannot be used.
    """
    return _Run(scenario, options, seed).run(Path(folder), report or (lambda *_: None))


class _Run:
    """The parts of one real run, made ready before anything is started."""

    def __init__(self, scenario: Scenario, options: ReplayOptions, seed: int) -> None:
        self._scenario = scenario
        self._options = options
        drawn = build_workload(scenario, seed)
        self._workload = cut_at_horizon(drawn, scenario.horizon)
        self._not_submitted = len(drawn) - len(self._workload)
        setup = prepare(scenario, self._workload, seed)
        self._setup = replace(setup, world=replace(setup.world, goes_on=self._not_submitted > 0))
        self._name = Owner.this_process().run_name(next(_numbers))
        self._gateways = [_gateway(url, options) for url in options.hosts or (default_host(),)]
        self._specs = JobContainers(scenario, self._workload, setup, self._job_options())
        self._recorder = Recorder(len(self._workload))
        self._cgroups = CgroupTree(self._name) if options.cgroups else None
        self._check_engines()

    def run(self, folder: Path, report: Callable[[int, int, int], None]) -> Replayed:
        from batchsim.results import build_result  # noqa: PLC0415 - pandas is slow to import

        with _log_in(folder) as log, ExitStack() as guards:
            core = LoggedScheduler(self._setup.plan, log)
            self._specs.environment_of = self._recorder.i_environment.__getitem__
            self._specs.type_of = self._recorder.i_type.__getitem__
            self._specs.gpus_of = core.gpus_of
            self._specs.host_of = self._host_of
            self._specs.cgroup_of = self._cgroup_of
            orderly = threading.Event()
            for gateway in self._gateways:
                guards.enter_context(_watchdog(gateway.url, self._name, orderly))
            inbox, clock = Inbox(), WallClock(self._options.speed)
            pool = ThreadPool(inbox, clock)
            containers = Containers(self._gateways, pool, clock, inbox)
            interrupts = guards.enter_context(_interrupts(inbox, clock, containers))
            jobs = len(self._workload)
            reality = Reality(
                clock,
                inbox,
                containers,
                self._specs,
                witness=core.witness,
                progress=lambda now, ended: report(now, ended, jobs),
                host_of=self._host_of,
                hosts=len(self._gateways),
            )
            driver = WallClockDriver(core, self._setup.world, self._recorder, reality)
            self._drive(driver, containers, pool)
            if not containers.hurry.is_set():
                orderly.set()
            core.timings(containers.timings)
            context = describe(self._scenario, self._workload, self._setup, self._not_submitted)
            context = replace(context, driver="docker", real=self._conditions())
            result = build_result(self._recorder, context)
        lost = "engine lost" if driver.interrupted else ""
        return Replayed(result, "interrupted" if interrupts else lost)

    def _drive(self, driver: WallClockDriver, containers: Containers, pool: ThreadPool) -> None:
        """Run to the end, and whatever the end is, leave nothing."""
        watchers = [
            Watcher(host, gateway, containers, self._name) for host, gateway in enumerate(self._gateways)
        ]
        grace_s = 0.0
        try:
            for watcher in watchers:
                watcher.start()
            driver.run(self._scenario.horizon)
            grace_s = INTERRUPT_GRACE_S
        finally:
            containers.close(grace_s)
            pool.close(wait=not containers.hurry.is_set())
            for watcher in watchers:
                watcher.close()
            for gateway in self._gateways:
                with suppress(GatewayLostError):  # the watchdog, or `batchsim reap`, comes after us
                    reap(gateway, run=self._name)

    # --- where containers stand ---------------------------------------------------------------

    def _host_of(self, instance: int) -> int:
        return instance % len(self._gateways)

    def _cgroup_of(self, instance: int) -> str:
        if self._cgroups is None:
            return ""
        row = self._setup.plan.types[self._recorder.i_type[instance]]
        return self._cgroups.parent_of(instance, row.vcpus / self._setup.plan.vcpu_parts, row.memory_mib)

    def _job_options(self) -> JobOptions:
        options = self._options
        return JobOptions(
            run=self._name,
            speed=options.speed,
            stand_in=options.stand_in,
            scalable=frozenset(options.scalable),
            mounts=tuple(options.mounts),
            writable_root="writable-root" in options.relax,
            image_user="image-user" in options.relax,
            lifetime_s=options.lifetime_s,
            gpu_devices=self._has_gpus(),
        )

    def _has_gpus(self) -> bool:
        return all("nvidia" in gateway.info.get("Runtimes", {}) for gateway in self._gateways)

    def _check_engines(self) -> None:
        """Raise EngineError where the engines cannot do what is asked of them."""
        plan, urls = self._setup.plan, [gateway.url for gateway in self._gateways]
        if len(urls) > 1 and any(plan.gangs):
            raise EngineError(
                "the nodes of a multi-node job must reach each other", path=urls[1], hint="name one host only"
            )
        if self._cgroups is not None:
            driver = self._gateways[0].info["CgroupDriver"]
            if not urls[0].startswith("unix:") or driver != "cgroupfs":
                raise EngineError(
                    path=urls[0],
                    expected="an engine on this host that uses cgroupfs",
                    found=driver,
                    hint="leave out --cgroups",
                )
        if not self._options.oversubscribe:
            check_fits(self._setup, [gateway.info for gateway in self._gateways])

    def _conditions(self) -> dict[str, Any]:
        """What the run rests on beside the scenario, for the manifest."""
        options = self._options
        engines = [gateway.info for gateway in self._gateways]
        return {
            "speed": options.speed,
            "engines": [
                f"{each['ServerVersion']}, {each['NCPU']} CPUs, {each['OperatingSystem']}" for each in engines
            ],
            "gpus": "device requests" if self._has_gpus() else "NVIDIA_VISIBLE_DEVICES only",
            "instances_held_to_size": options.cgroups,
            "relaxed": sorted(options.relax),
        }


def reap_hosts(hosts: Sequence[str], tls: Path | None, run: str | None) -> dict[str, Reaped]:
    """For each engine what was removed of what runs have left behind; see `batchsim.drivers.reaper`.

    Raises EngineError for an engine that does not answer.
    """
    urls = hosts or (default_host(),)
    return {url: reap(DockerGateway(url, tls=tls), run=run) for url in urls}


def default_host() -> str:
    """The engine that docker's own tools would use: DOCKER_HOST, or the local one."""
    return os.environ.get("DOCKER_HOST") or LOCAL


def check_fits(setup: Setup, engines: Sequence[Mapping[str, Any]]) -> None:
    """Raise EngineError when the fleet at its largest has more vCPUs or memory than the engines' hosts."""
    plan = setup.plan
    vcpus, memory_mib = 0.0, 0.0
    for machines in setup.world.machines:
        row = plan.types[machines.type]
        vcpus += machines.count * row.vcpus
        memory_mib += machines.count * row.memory_mib
    for index, environment in enumerate(plan.environments):
        if environment.managed and environment.types:
            ever = [environment, *(each.after for each in plan.environment_updates(index))]
            most = max(each.max_vcpus for each in ever)
            rows = [row for each in ever for row in each.types]
            vcpus += most
            memory_mib += most * max(plan.types[row].memory_mib / plan.types[row].vcpus for row in rows)
    vcpus /= plan.vcpu_parts
    cpus = sum(int(each["NCPU"]) for each in engines)
    room_mib = _HOST_SHARE * sum(int(each["MemTotal"]) for each in engines) / 2**20
    if vcpus > cpus or memory_mib > room_mib:
        raise EngineError(
            "the fleet may grow larger than what it runs on",
            expected=f"at most {cpus} vCPUs and {room_mib:,.0f} MiB",
            found=f"{vcpus:g} vCPUs and {memory_mib:,.0f} MiB",
            hint="make it smaller, or say --oversubscribe",
        )


def _gateway(url: str, options: ReplayOptions) -> DockerGateway:
    relaxed = Relaxed(*(name in options.relax for name in ("network", "capabilities", "privileges")))
    return DockerGateway(url, pull=options.pull, relaxed=relaxed, tls=options.tls)


@contextmanager
def _log_in(folder: Path) -> Iterator[TextIO]:
    path = folder / DECISIONS
    try:
        with path.open("w", encoding="utf-8", buffering=1) as log:
            yield log
    except OSError as error:
        raise ResultError(f"cannot be written: {error.strerror or error}", file=str(path)) from error


@contextmanager
def _watchdog(url: str, run: str, orderly: threading.Event) -> Iterator[None]:
    """A process that removes the run's containers when this one has ended, however it does."""
    command = [sys.executable, "-m", "batchsim.drivers.reaper", url, run]
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as process:  # noqa: S603
        yield
        assert process.stdin is not None
        if orderly.is_set():
            process.stdin.write(ORDERLY)
        process.stdin.close()


@contextmanager
def _interrupts(inbox: Inbox, clock: WallClock, containers: Containers) -> Iterator[list[int]]:
    """Interrupts end the run, the second one at once; gives a list that grows with each of them."""
    came: list[int] = []

    def interrupt(number: int, _: Any) -> None:
        came.append(number)
        if len(came) == 1:
            inbox.post(Report(clock.now_us(), What.INTERRUPTED))
        else:
            containers.hurry.set()

    if threading.current_thread() is not threading.main_thread():
        yield came
        return
    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
