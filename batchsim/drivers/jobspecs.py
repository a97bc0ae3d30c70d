"""What the containers of a scenario's jobs are made of.

A job definition with a command runs it. Where there is none, a stand-in takes its place: a few lines of shell
that sleep for as long as the workload says, leave the exit code that the workload says, and take SIGTERM as
it says. Jobs of a trace are always stand-ins.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from math import ceil
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from batchsim.drivers.gateway import (
    ATTEMPT,
    JOB,
    LABEL,
    NODE,
    RUN,
    ContainerSpec,
    Key,
    Mount,
    Ulimit,
)
from batchsim.errors import ScenarioError, UsageError
from batchsim.scenario import TraceJobs, effective_definition, substituted
from batchsim.units import US_PER_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from batchsim.drivers.planning import Setup
    from batchsim.scenario import ContainerProperties, JobDefinition, Scenario
    from batchsim.workload import JobClass, Workload

NOBODY_USER: Final = "65534:65534"
_STAND_IN: Final = 'trap "$2" TERM; sleep "$1" & wait $!; exit "$3"'
_SPARE_S: Final = 60  # from the last instant that a container may be needed to its deadline


@dataclass(frozen=True, slots=True)
class JobOptions:
    """How jobs are run for real.

    speed           simulated seconds a real second
    stand_in        image of stand-ins whose job definition names none
    scalable        job definitions whose command may run at another speed
    mounts          folders of the host that a scenario may mount, with all below them
    writable_root   let containers write to their root file system
    image_user      run as the image's user instead of nobody, where the definition names none
    lifetime_s      deadline of containers of which it is not known how long they take
    gpu_devices     whether the engine can hand out GPUs
    """

    run: str
    speed: float = 1.0
    stand_in: str | None = None
    scalable: frozenset[str] = frozenset()
    mounts: tuple[str, ...] = ()
    writable_root: bool = False
    image_user: bool = False
    lifetime_s: int = 3600
    gpu_devices: bool = False


@dataclass(frozen=True, slots=True)
class _Kind:
    """The containers of a job class that are alike; `command` is () for stand-ins."""

    image: str
    vcpus: float
    memory_mib: int
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    init: bool = False
    ulimits: tuple[Ulimit, ...] = ()
    mounts: tuple[Mount, ...] = ()


class JobContainers:
    """Says what each container is made of.

    Where containers stand is not known before a run: whoever drives it sets `environment_of` and `type_of`
    (instance -> environment, row of the plan's types), `gpus_of` (job -> mask), `host_of` and `cgroup_of`
    (instance -> engine, cgroup).

    Raises ScenarioError or UsageError for jobs that cannot be run.
    """

    def __init__(self, scenario: Scenario, workload: Workload, setup: Setup, options: JobOptions) -> None:
        self._plan, self._world = setup.plan, setup.world
        self._options = options
        self._names = workload.job_names()
        self._arrays = workload.arrays
        self._classes = workload.classes
        kinds = _Kinds(scenario, options)
        self._kinds = [kinds.of_class(each) for each in workload.classes]
        self.environment_of: Callable[[int], int] = lambda _: 0
        self.type_of: Callable[[int], int] = lambda _: -1
        self.host_of: Callable[[int], int] = lambda _: 0
        self.cgroup_of: Callable[[int], str] = lambda _: ""
        self.gpus_of: Mapping[int, int] = {}

    def images(self) -> list[str]:
        """The images of all jobs, each once."""
        return list(dict.fromkeys(kind.image for kinds in self._kinds for kind in kinds))

    def __call__(self, key: Key, instance: int) -> ContainerSpec:
        options, nodes = self._options, self._class_of(key).nodes
        kind = self._kinds[self._world.class_of[key.job]][key.node]
        name = f"{LABEL}-{options.run}-{key.job}-{key.attempt}"
        gpus = _bits(self.gpus_of.get(key.job, 0))
        visible = {"NVIDIA_VISIBLE_DEVICES": ",".join(map(str, gpus))} if gpus else {}
        return ContainerSpec(
            key=key,
            name=f"{name}-{key.node}",
            image=kind.image,
            labels={RUN: options.run, JOB: str(key.job), ATTEMPT: str(key.attempt), NODE: str(key.node)},
            lifetime_s=self._lifetime_s(key, instance),
            host=self.host_of(instance),
            instance=instance,
            entrypoint=() if kind.command else ("sh", "-c", _STAND_IN, "sh"),
            command=kind.command or self._stand_in(key, instance),
            environment={**kind.environment, **self._variables(key, instance), **visible},
            memory_mib=kind.memory_mib,
            vcpus=kind.vcpus,
            gpus=gpus if options.gpu_devices else (),
            network=name if nodes else None,
            read_only=not options.writable_root,
            user=kind.user or ("" if options.image_user else NOBODY_USER),
            init=kind.init,
            ulimits=kind.ulimits,
            mounts=kind.mounts,
            cgroup_parent=self.cgroup_of(instance),
        )

    # --- one container ------------------------------------------------------------------------

    def _class_of(self, key: Key) -> JobClass:
        return self._classes[self._world.class_of[key.job]]

    def _stand_in(self, key: Key, instance: int) -> tuple[str, ...]:
        """What the stand-in sleeps, what it does on SIGTERM, and its exit code."""
        world, nodes = self._world, self._class_of(key).nodes
        outcome = world.outcomes[world.class_of[key.job]]
        exit_code = 0
        if nodes is None or key.node == nodes.main:
            exit_code, _ = world.exit_of(key.job, key.attempt)
        trap = ""
        if outcome.sigterm_after_us is not None:
            trap = f"sleep {self._real_s(outcome.sigterm_after_us):.6f}; exit {outcome.sigterm_exit}"
        return f"{self._real_s(self._runtime_us(key, instance)):.6f}", trap, str(exit_code)

    def _runtime_us(self, key: Key, instance: int) -> int:
        world, nodes = self._world, self._class_of(key).nodes
        child = nodes is not None and key.node != nodes.main
        running_us = world.time_of_node(key.job, key.node) if child else world.runtime_us[key.job]
        return world.lasts_us(running_us, self.type_of(instance))

    def _real_s(self, us: int) -> float:
        return us / self._options.speed / US_PER_S

    def _lifetime_s(self, key: Key, instance: int) -> int:
        """Until its time limit, or else for as long as a container may live; of stand-ins it is known."""
        timeout_us = self._plan.classes[self._plan.class_of[key.job]].timeout_us
        longest_us = timeout_us or self._runtime_us(key, instance)
        lifetime_s = 0 if timeout_us else self._options.lifetime_s
        return max(lifetime_s, ceil(self._real_s(longest_us + self._world.stop_grace_us))) + _SPARE_S

    def _variables(self, key: Key, instance: int) -> dict[str, str]:
        """What AWS Batch sets [spec 1.10, 1.11]."""
        job_class, name = self._class_of(key), self._names[key.job]
        environment = self._plan.environments[self.environment_of(instance)].name
        variables = {
            "AWS_BATCH_JOB_ID": name,
            "AWS_BATCH_JOB_ATTEMPT": str(key.attempt),
            "AWS_BATCH_JQ_NAME": job_class.queue,
            "AWS_BATCH_CE_NAME": environment,
        }
        if self._arrays is not None and (array := int(self._arrays.array[key.job])) >= 0:
            variables["AWS_BATCH_JOB_ARRAY_INDEX"] = str(self._arrays.index[key.job])
            variables["AWS_BATCH_JOB_ARRAY_SIZE"] = str(self._arrays.size[array])
        if job_class.nodes is not None:
            variables["AWS_BATCH_JOB_ID"] = f"{name}#{key.node}"
            variables["AWS_BATCH_JOB_NODE_INDEX"] = str(key.node)
            variables["AWS_BATCH_JOB_NUM_NODES"] = str(len(job_class.nodes.group_of))
            variables["AWS_BATCH_JOB_MAIN_NODE_INDEX"] = str(job_class.nodes.main)
        return variables


class _Kinds:
    """From job definitions to what their containers are made of."""

    def __init__(self, scenario: Scenario, options: JobOptions) -> None:
        self._scenario = scenario
        self._options = options
        self._entries = {entry.name: entry for _, entry in scenario.submissions()}

    def of_class(self, job_class: JobClass) -> list[_Kind]:
        """One for each node of a job of the class."""
        entry = self._entries[job_class.group]
        if isinstance(entry, TraceJobs):
            image = job_class.image if job_class.job_definition else ""
            return [self._stand_in(job_class, image, Amounts(job_class.vcpus, job_class.memory_mib))]
        assert job_class.job_definition is not None
        definition = effective_definition(self._scenario.definition(job_class.job_definition), entry)
        if definition.nodeProperties is None:
            containers = [definition.containerProperties]
        else:
            containers = [each.container for each in definition.nodeProperties.of_each_node()]
        return [self._kind(job_class, definition, each) for each in containers]

    def _kind(
        self, job_class: JobClass, definition: JobDefinition, container: ContainerProperties | None
    ) -> _Kind:
        name = definition.jobDefinitionName
        if container is None:
            raise ScenarioError(
                "only jobs of one container a node can be run for real",
                path=f"jobDefinitions.{name}",
                hint="a pod or several containers in one task can be simulated",
            )
        if container.privileged:
            raise ScenarioError("privileged containers are never run", path=f"jobDefinitions.{name}")
        amounts = Amounts(container.resources().vcpus, container.resources().memory_mib)
        if not container.command:
            return self._stand_in(job_class, container.image, amounts)
        if self._options.speed != 1 and name not in self._options.scalable:
            raise UsageError(
                f"the command of job definition {name} takes the time it takes",
                path="--speed",
                hint=f"leave it at 1, or say --scalable {name} if its jobs can run at that speed",
            )
        parts = _Parts(f"jobDefinitions.{name}.containerProperties", self._options.mounts)
        return _Kind(
            image=container.image,
            vcpus=amounts.vcpus,
            memory_mib=amounts.memory_mib,
            command=substituted(container.command, definition.parameters),
            environment={each.name: each.value for each in container.environment},
            user=str(container.user or ""),
            init=bool((container.linuxParameters or {}).get("initProcessEnabled")),
            ulimits=parts.ulimits(container.ulimits or []),
            mounts=parts.mounts(container.volumes or [], container.mountPoints or []),
        )

    def _stand_in(self, job_class: JobClass, image: str, amounts: Amounts) -> _Kind:
        image = self._options.stand_in or image
        if not image:
            raise UsageError(
                f"the jobs of workload entry {job_class.group} name no image",
                path="--stand-in",
                expected="an image with sh and sleep",
                hint="such as --stand-in busybox",
            )
        return _Kind(image, amounts.vcpus, amounts.memory_mib)


class Amounts(NamedTuple):
    """What one container may use."""

    vcpus: float
    memory_mib: int


class _Parts:
    """Reads those parts of a job definition that simulation has no use for, as AWS writes them."""

    def __init__(self, path: str, allowed: Sequence[str]) -> None:
        self._path = path
        self._allowed = [PurePosixPath(each) for each in allowed]

    def ulimits(self, given: Any) -> tuple[Ulimit, ...]:
        with self._expected("ulimits", "a list of {name, softLimit, hardLimit}"):
            return tuple(
                Ulimit(str(each["name"]), int(each["softLimit"]), int(each["hardLimit"])) for each in given
            )

    def mounts(self, volumes: Any, points: Any) -> tuple[Mount, ...]:
        with self._expected("volumes", "a list of {name, host: {sourcePath}}"):
            sources = {str(each["name"]): str(each["host"]["sourcePath"]) for each in volumes}
        with self._expected(
            "mountPoints", "a list of {sourceVolume, containerPath, readOnly}, of these volumes"
        ):
            mounts = tuple(
                Mount(
                    sources[each["sourceVolume"]],
                    str(each["containerPath"]),
                    bool(each.get("readOnly", False)),
                )
                for each in points
            )
        for mount in mounts:
            self._check(mount.source)
        return mounts

    def _check(self, source: str) -> None:
        path = PurePosixPath(source)
        inside = any(path.is_relative_to(folder) for folder in self._allowed)
        if not inside or not path.is_absolute() or ".." in path.parts:
            raise ScenarioError(
                f"the folder {source} of the host may not be mounted",
                path=f"{self._path}.volumes",
                hint=f"allow it by --mount {source}",
            )

    @contextmanager
    def _expected(self, field: str, what: str) -> Iterator[None]:
        try:
            yield
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ScenarioError(path=f"{self._path}.{field}", expected=what, found=repr(error)) from error


def _bits(mask: int) -> tuple[int, ...]:
    return tuple(index for index in range(mask.bit_length()) if mask >> index & 1)
