"""What a result must know about a run besides its record: plain data, so that results depend on nobody."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from batchsim.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    from batchsim.results.commitments import CommitmentRows


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

    @property
    def vcpu_quarters(self) -> int:
        """The exact vCPUs of all nodes, 4 a vCPU; `vcpus` is rounded up."""

    @property
    def share(self) -> str | None: ...
    @property
    def priority(self) -> int: ...
    @property
    def nodes(self) -> NodesLike | None:
        """Of multi-node jobs."""


class NodeGroupLike(Protocol):
    """What each node of a group of nodes asks for."""

    @property
    def vcpu_quarters(self) -> int: ...
    @property
    def memory_mib(self) -> int: ...
    @property
    def gpus(self) -> int: ...


class NodesLike(Protocol):
    """The nodes of a multi-node job: `group_of[node]` is the row of a node in `groups`."""

    @property
    def groups(self) -> Sequence[NodeGroupLike]: ...
    @property
    def group_of(self) -> Sequence[int]: ...
    @property
    def main(self) -> int: ...


class ArraysLike(Protocol):
    """The array jobs of a run; the children of one are consecutive jobs, by index.

    array, index   one value a job: the array it is a child of, and its index there; -1: none
    first, size    one value an array: the job that is its child 0, and how many children it has
    """

    @property
    def array(self) -> npt.NDArray[np.int32]: ...
    @property
    def index(self) -> npt.NDArray[np.int32]: ...
    @property
    def first(self) -> npt.NDArray[np.int64]: ...
    @property
    def size(self) -> npt.NDArray[np.int64]: ...


class EdgesLike(Protocol):
    """Who waits for whom: nodes are the jobs and after them barriers, each of which stands for many jobs.

    The successors of node `i` are `successors[successor_start[i] : successor_start[i + 1]]`; it has
    `waits_for[i]` predecessors. A barrier that is `patient` fails only when all its predecessors have ended.
    """

    @property
    def successor_start(self) -> npt.NDArray[np.int64]: ...
    @property
    def successors(self) -> npt.NDArray[np.int32]: ...
    @property
    def waits_for(self) -> npt.NDArray[np.int32]: ...
    @property
    def patient(self) -> npt.NDArray[np.bool_]: ...


class EnvironmentRow(NamedTuple):
    """A compute environment; `min_vcpus` and `max_vcpus` are 0 where `managed` is false.

    volume_uusd_per_hour   what the volume of each instance costs
    fee_part               what the management of each costs, as a part of its On-Demand price
    """

    name: str
    managed: bool
    min_vcpus: int = 0
    max_vcpus: int = 0
    volume_uusd_per_hour: int = 0
    fee_part: float = 0.0


class UpdateRow(NamedTuple):
    """What a user updates: `environment` or `queue` is its row, the other -1.

    kind        scaling or infrastructure, of environments; queue
    change      in words
    max_vcpus   maxvCpus from then on; -1 where there is none
    desired_vcpus   the desiredvCpus that it asks for; -1: nothing
    """

    at_us: int
    environment: int
    queue: int
    kind: str
    change: str
    max_vcpus: int = -1
    desired_vcpus: int = -1


Billing = Literal["ec2", "spot", "fargate"]
IdleCost = Literal["proportional", "even", "instance", "separate"]
"""Who bears what no job costs directly; see `bill`."""


class InstanceTypeRow(NamedTuple):
    """What an instance offers jobs and costs; two prices of one instance type are two rows.

    vcpus                   whole quarters
    on_demand_uusd_per_hour   where fees depend on it; else 0
    architecture            of its CPU; "" of machines that a user describes
    """

    name: str
    vcpus: float
    memory_mib: int
    gpus: int
    uusd_per_hour: int
    billing: Billing = "ec2"
    on_demand_uusd_per_hour: int = 0
    architecture: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContext:
    """The world of one run.

    submit_us, job_class, ordinal   one value a job, `submit_us` nondecreasing; a job is named
                                    `group-ordinal`, a child of an array `group-ordinal:index`;
                                    `job_class` is its row in `classes`
    arrays, edges                   which jobs are children of arrays; who waits for whom; None: nobody
    classes                         any objects with the attributes of `JobClassLike`
    queues                          names, in the scenario's order; every class's queue is among them
    wait_reasons                    what the numbers of the recorder's `w_reason` mean
    wait_details                    for some of these numbers the texts that `w_detail` is an index of
    environments, instance_types    tables that the recorder's instances refer to by row
    zones                           names of Availability Zones, likewise; empty where there is only one
    scenario, assumptions, notes, not_modelled   JSON-able; they go to the manifest as they are
    real                            JSON-able: how a real run was made; None for a simulation
    digest                          SHA-256 of the scenario, in hex
    price_date                      of the price table, "2026-01-31"; "" when no price came from it
    horizon_us                      where the run was to be stopped, None for "when all jobs are done"
    not_submitted                   jobs left out because they would be submitted beyond the horizon
    idle_cost                       the rule by which jobs bear what none of them costs directly
    commitments                     Reserved Instances and a Savings Plan
    cluster_uusd_per_hour           what EKS clusters cost together, whether used or not
    updates                         of environments and queues, in order of time
    price_notes                     JSON-able: what became of the records of Spot prices
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
    zones: Sequence[str] = ()
    seed: int = 0
    replication: int = 0
    driver: str = "simulated"
    real: Mapping[str, Any] | None = None
    price_date: str = ""
    horizon_us: int | None = None
    not_submitted: int = 0
    arrays: ArraysLike | None = None
    edges: EdgesLike | None = None
    wait_reasons: Sequence[str] = ()
    wait_details: Mapping[int, Sequence[str]] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)
    not_modelled: Sequence[str] = ()
    idle_cost: IdleCost = "proportional"
    commitments: CommitmentRows | None = None
    cluster_uusd_per_hour: int = 0
    updates: Sequence[UpdateRow] = ()
    price_notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def evaluation_us(self) -> int:
        """Time from SUBMITTED to RUNNABLE or PENDING."""
        return parse_duration(self.assumptions.get("submitEvaluation", 0))
