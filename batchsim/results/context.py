"""What a result must know about a run besides its record: plain data, so that results depend on nobody."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import numpy.typing as npt


class JobClassLike(Protocol):
    """What equal jobs share. The workload's own job classes fit."""

    @property
    def group(self) -> str: ...
    @property
    def queue(self) -> str: ...
    @property
    def job_definition(self) -> str | None: ...
    @property
    def vcpus(self) -> int: ...
    @property
    def memory_mib(self) -> int: ...
    @property
    def gpus(self) -> int: ...
    @property
    def attempts(self) -> int:
        """Attempts allowed, 1 to 10."""


class EnvironmentRow(NamedTuple):
    """A compute environment; `min_vcpus` and `max_vcpus` are 0 where `managed` is false."""

    name: str
    managed: bool
    min_vcpus: int = 0
    max_vcpus: int = 0


class InstanceTypeRow(NamedTuple):
    """What an instance offers jobs and costs; two prices of one instance type are two rows."""

    name: str
    vcpus: int
    memory_mib: int
    gpus: int
    uusd_per_hour: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContext:
    """The world of one run.

    submit_us, job_class, ordinal   one value a job, `submit_us` nondecreasing; a job is named
                                    `group-ordinal` and `job_class` is its row in `classes`
    classes                         any objects with the attributes of `JobClassLike`
    queues                          names, in the scenario's order; every class's queue is among them
    environments, instance_types    tables that the recorder's instances refer to by row
    scenario, assumptions, notes, not_modelled   JSON-able; they go to the manifest as they are
    digest                          SHA-256 of the scenario, in hex
    price_date                      of the price table, "2026-01-31"; "" when no price came from it
    horizon_us                      where the run was to be stopped, None for "when all jobs are done"
    not_submitted                   jobs left out because they would be submitted beyond the horizon
    """

    name: str
    region: str
    scenario: Mapping[str, Any]
    digest: str
    assumptions: Mapping[str, Any]
    submit_us: npt.NDArray[np.int64]
    job_class: npt.NDArray[np.int32]
    ordinal: npt.NDArray[np.int64]
    classes: Sequence[JobClassLike]
    queues: Sequence[str]
    environments: Sequence[EnvironmentRow]
    instance_types: Sequence[InstanceTypeRow]
    version: str
    seed: int = 0
    replication: int = 0
    driver: str = "simulated"
    price_date: str = ""
    horizon_us: int | None = None
    not_submitted: int = 0
    notes: Mapping[str, Any] = field(default_factory=dict)
    not_modelled: Sequence[str] = ()
