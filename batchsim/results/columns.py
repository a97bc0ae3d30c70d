"""Every column of every result frame, declared once, as data.

The frames are built to these declarations, `batchsim columns` prints them, files are read back with
them, and a test proves that they match. Missing values are NaN, <NA> or None: "has not happened" or
"does not apply". Time columns are seconds since the run began, exact to the microsecond: multiply by
10**6 and round to have the integers back.
"""

from __future__ import annotations

from typing import NamedTuple

from batchsim.results.recording import STATE_NAMES

FRAMES = ("jobs", "attempts", "instances", "timeseries", "costs")
# Only where there are array jobs, where jobs wait for others, where heads were blocked, where users updated
# something, and where there are service queues.
OPTIONAL_FRAMES = ("arrays", "dependencies", "waits", "updates", "service_jobs", "service_attempts")

TEXT = "string"
CATEGORY = "category"
FLOAT = "float64"
INTEGER = "int64"
BOOL = "bool"
NULLABLE_INTEGER = "Int64"


class Column(NamedTuple):
    """A column: its pandas dtype, its unit ("" for none) and what it holds or how it is computed."""

    frame: str
    name: str
    dtype: str
    unit: str
    meaning: str


_JOBS = (
    ("job", TEXT, "", "name: workload entry, number within it, of a child of an array also :index; unique"),
    ("queue", CATEGORY, "", "job queue"),
    ("group", CATEGORY, "", "workload entry the job comes from"),
    ("array_index", NULLABLE_INTEGER, "", "of a child of an array job, 0, 1, ..."),
    ("job_definition", CATEGORY, "", "job definition, where there is one"),
    ("share", CATEGORY, "", "share identifier, where there is one"),
    ("priority", INTEGER, "", "scheduling priority inside the share"),
    ("state", CATEGORY, "", "state when the run ended; the seven states of AWS Batch, in their order"),
    ("submit_s", FLOAT, "s", "instant of submission"),
    ("runnable_s", FLOAT, "s", "instant the job first became RUNNABLE"),
    ("start_s", FLOAT, "s", "RUNNING instant of the first attempt that ran"),
    ("end_s", FLOAT, "s", "instant the job became SUCCEEDED or FAILED"),
    ("pending_s", FLOAT, "s", "of jobs with dependencies: time in PENDING; missing while it lasts"),
    ("waiting_s", FLOAT, "s", "start_s - submit_s"),
    ("execution_s", FLOAT, "s", "end_s - start_s; with retries it holds the waits between attempts"),
    ("turnaround_s", FLOAT, "s", "end_s - submit_s"),
    ("attempts", INTEGER, "", "attempts begun, that is, placed on an instance"),
    ("attempts_allowed", INTEGER, "", "attempts of the retry strategy, 1 to 10"),
    ("nodes", INTEGER, "", "1, or the nodes of a multi-node job"),
    ("vcpus", FLOAT, "vCPU", "requested, of all nodes; whole quarters"),
    ("memory_mib", INTEGER, "MiB", "requested, of all nodes"),
    ("gpus", INTEGER, "GPU", "requested, of all nodes"),
    ("environment", CATEGORY, "", "compute environment of the last attempt; missing while a retry waits"),
    ("instance", CATEGORY, "", "instance of the last attempt; missing while a retry waits"),
    ("instance_type", CATEGORY, "", "instance type of the last attempt; missing while a retry waits"),
    ("exit_code", NULLABLE_INTEGER, "", "of the last attempt's container, where it had one"),
    ("status_reason", CATEGORY, "", "AWS's statusReason: why the job ended, or why it still waits"),
    ("reason", CATEGORY, "", "AWS's container.reason, where the container runtime gave one"),
    ("is_cancelled", BOOL, "", "ended because it was cancelled; AWS's isCancelled"),
    ("is_terminated", BOOL, "", "ended because it was terminated; AWS's isTerminated"),
)
_ATTEMPTS = (
    ("job", TEXT, "", "name of the job"),
    ("attempt", INTEGER, "", "1, 2, 3, ... of the job"),
    ("node", NULLABLE_INTEGER, "", "of a multi-node job, 0, 1, ...: each has a row of its own"),
    ("is_main", BOOL, "", "False for all but the main node of a multi-node job, which decides the attempt"),
    ("environment", CATEGORY, "", "compute environment"),
    ("instance", CATEGORY, "", "instance whose resources the attempt held from placed_s to ended_s"),
    ("instance_type", CATEGORY, "", "instance type"),
    ("placed_s", FLOAT, "s", "decision that reserved the resources"),
    ("starting_s", FLOAT, "s", "STARTING: the container instance was told; the image is pulled"),
    (
        "pulled_s",
        FLOAT,
        "s",
        "all its images are there, perhaps since before; missing without any, and if it did not get so far",
    ),
    ("started_s", FLOAT, "s", "RUNNING: the container is up"),
    ("ended_s", FLOAT, "s", "the resources are free again; missing when the run ended first"),
    ("vcpus", FLOAT, "vCPU", "reserved; whole quarters"),
    ("memory_mib", INTEGER, "MiB", "reserved"),
    ("gpus", INTEGER, "GPU", "reserved"),
    ("gpu_indices", CATEGORY, "", "of the instance's GPUs, such as 0,1; missing without GPUs"),
    ("exit_code", NULLABLE_INTEGER, "", "of the container, where it had one"),
    ("status_reason", CATEGORY, "", "AWS's statusReason of the attempt"),
    ("reason", CATEGORY, "", "AWS's container.reason of the attempt"),
)
_PARTS = (
    ("busy_usd", FLOAT, "USD", "of cost_usd, held by attempts in RUNNING"),
    ("pull_usd", FLOAT, "USD", "held by attempts before RUNNING: dispatch, image pull, container start"),
    ("lost_usd", FLOAT, "USD", "instead of both, held by attempts that ended because their host was lost"),
    ("boot_usd", FLOAT, "USD", "running but not yet ready for jobs"),
    ("idle_usd", FLOAT, "USD", "free before the instance's last attempt ended, with nobody waiting"),
    (
        "fragmentation_usd",
        FLOAT,
        "USD",
        "free before that, while jobs waited that could not use it; of a task: what was not asked for",
    ),
    ("tail_usd", FLOAT, "USD", "free after the instance's last attempt"),
)
_INSTANCES = (
    ("instance", TEXT, "", "id, or the name of one of the user's machines; unique"),
    ("environment", CATEGORY, "", "compute environment"),
    ("instance_type", CATEGORY, "", "instance type"),
    ("zone", CATEGORY, "", "Availability Zone, where the scenario has several; missing for refused launches"),
    ("vcpus", FLOAT, "vCPU", "capacity for jobs; whole quarters"),
    ("memory_mib", INTEGER, "MiB", "capacity for jobs, after what the system keeps for itself"),
    ("gpus", INTEGER, "GPU", "capacity for jobs"),
    ("requested_s", FLOAT, "s", "the scaling decision that asked for the instance"),
    ("running_s", FLOAT, "s", "the instance runs and billing begins"),
    ("ready_s", FLOAT, "s", "registered: jobs can be placed on it"),
    ("ended_s", FLOAT, "s", "told to terminate, or lost: billing stops; missing when the run ended first"),
    ("end_reason", CATEGORY, "", "why it ended"),
    ("billing", CATEGORY, "", "ec2, spot or fargate: how it is paid for"),
    ("usd_per_hour", FLOAT, "USD/h", "price; where it moved, its mean over the billed seconds"),
    (
        "billed_s",
        INTEGER,
        "s",
        "until ended_s or the run's end, rounded up; AWS's at least 60, and 0 if interrupted within 1 h",
    ),
    ("volume_usd", FLOAT, "USD", "its volume, as long as it ran; also where the instance is free"),
    ("fee_usd", FLOAT, "USD", "ECS's fee for a Managed Instance, as long as it ran; also where it is free"),
    ("discount_usd", FLOAT, "USD", "what Reserved Instances and the Savings Plan have taken off"),
    *_PARTS,
    (
        "cost_usd",
        FLOAT,
        "USD",
        "billed_s x usd_per_hour / 3600, half up to a micro-USD, + volume_usd + fee_usd - discount_usd",
    ),
    ("busy_vcpu_s", FLOAT, "vCPU s", "sum over its attempts of vcpus x time in RUNNING"),
    ("starting_vcpu_s", FLOAT, "vCPU s", "sum over its attempts of vcpus x time from placed_s to RUNNING"),
    ("busy_gpu_s", FLOAT, "GPU s", "sum over its attempts of gpus x time in RUNNING"),
)
_TIMESERIES = (
    ("t_s", FLOAT, "s", "instant; values are those after everything that happened at it"),
    ("kind", CATEGORY, "", "'queue', 'environment' or 'share'; of shares the 500 with the most jobs"),
    ("name", CATEGORY, "", "of the job queue or compute environment; <queue>/<share identifier>"),
    ("submitted", NULLABLE_INTEGER, "jobs", "queue, share: jobs submitted so far"),
    ("pending", NULLABLE_INTEGER, "jobs", "queue, share: jobs in PENDING"),
    ("runnable", NULLABLE_INTEGER, "jobs", "queue, share: jobs in RUNNABLE"),
    ("starting", INTEGER, "jobs", "jobs in STARTING"),
    ("running", INTEGER, "jobs", "jobs in RUNNING"),
    ("succeeded", NULLABLE_INTEGER, "jobs", "queue, share: jobs SUCCEEDED so far"),
    ("failed", NULLABLE_INTEGER, "jobs", "queue, share: jobs FAILED so far"),
    ("reserved_vcpus", FLOAT, "vCPU", "held by attempts that are placed and have not ended"),
    ("used_vcpus", FLOAT, "vCPU", "held by attempts in RUNNING"),
    ("instances", NULLABLE_INTEGER, "", "environment: instances that are billed"),
    ("booting_vcpus", FLOAT, "vCPU", "environment: of instances requested and not yet ready"),
    ("provisioned_vcpus", FLOAT, "vCPU", "environment: of instances that are billed"),
    ("cost_usd", FLOAT, "USD", "environment: cost so far, exact for the instances that have ended"),
)
_COSTS = (
    ("environment", CATEGORY, "", "compute environment"),
    ("queue", CATEGORY, "", "job queue; missing: what no job bears"),
    ("share", CATEGORY, "", "share identifier, where there is one"),
    ("group", CATEGORY, "", "workload entry"),
    ("job_definition", CATEGORY, "", "job definition, where there is one"),
    ("busy_usd", FLOAT, "USD", "attempts in RUNNING"),
    ("pull_usd", FLOAT, "USD", "attempts before RUNNING: dispatch, image pull, container start"),
    ("lost_usd", FLOAT, "USD", "instead of both, attempts that ended because their host was lost"),
    ("boot_usd", FLOAT, "USD", "its part, by the idle-cost rule, of instances that were not ready yet"),
    ("idle_usd", FLOAT, "USD", "its part of what was free with nobody waiting"),
    ("fragmentation_usd", FLOAT, "USD", "its part of what was free while jobs waited that could not use it"),
    ("tail_usd", FLOAT, "USD", "its part of what was free after the last attempt of an instance"),
    ("commitment_usd", FLOAT, "USD", "in a row of its own: paid for commitments that nobody used"),
    ("cluster_usd", FLOAT, "USD", "in a row of its own: EKS clusters, whether used or not"),
    ("cost_usd", FLOAT, "USD", "the sum of the nine; all rows add up to the bill"),
)
_ARRAYS = (
    ("job", TEXT, "", "name of the array job; its children are <name>:0, <name>:1, ...; unique"),
    ("queue", CATEGORY, "", "job queue"),
    ("group", CATEGORY, "", "workload entry the array comes from"),
    (
        "state",
        CATEGORY,
        "",
        "SUBMITTED until a child is RUNNABLE, then PENDING until all have ended",
    ),
    ("submit_s", FLOAT, "s", "instant of submission, also of its children"),
    ("end_s", FLOAT, "s", "end of the last child"),
    ("size", INTEGER, "jobs", "children"),
    ("status_reason", CATEGORY, "", "why it FAILED: all children have ended, and one of them FAILED"),
    *(
        (
            state.lower(),
            INTEGER,
            "jobs",
            f"AWS's statusSummary: children {state} when the run ended",
        )
        for state in STATE_NAMES
    ),
)
_DEPENDENCIES = (
    ("job", TEXT, "", "job that waits, or barrier #0, #1, ... that stands for many jobs at once"),
    ("depends_on", TEXT, "", "job or barrier it waits for; missing: jobs submitted after the run's end"),
    (
        "is_patient",
        BOOL,
        "",
        "of a barrier that fails only when all it waits for have ended, as an array does",
    ),
)
_WAITS = (
    ("t_s", FLOAT, "s", "from this instant on, until the queue's next row"),
    ("queue", CATEGORY, "", "job queue"),
    ("reason", CATEGORY, "", "why the queue's head cannot start; missing: no head is blocked"),
    ("detail", CATEGORY, "", "which consumable resource, where that is the reason"),
)
_UPDATES = (
    ("t_s", FLOAT, "s", "instant of the update"),
    ("environment", CATEGORY, "", "compute environment, where it is one of a compute environment"),
    ("queue", CATEGORY, "", "job queue, where it is one of a job queue"),
    ("kind", CATEGORY, "", "scaling; infrastructure, which replaces instances; queue"),
    ("change", TEXT, "", "the new settings"),
    ("not_made", TEXT, "", "why it was not made, or which part of it; missing: it was"),
    ("max_vcpus", NULLABLE_INTEGER, "vCPU", "maxvCpus from then on, of managed environments"),
    ("there_vcpus", FLOAT, "vCPU", "of its instances, booting or ready, after that instant"),
    ("above_max_vcpus", FLOAT, "vCPU", "max(0, there_vcpus - max_vcpus)"),
    (
        "above_until_s",
        FLOAT,
        "s",
        "when they were above no more; missing: not before the next update or the end",
    ),
    ("replaced", NULLABLE_INTEGER, "", "infrastructure: instances that make way for others"),
    (
        "updating_until_s",
        FLOAT,
        "s",
        "infrastructure: when the last of these had gone; UPDATING from t_s to it",
    ),
)
_SERVICE_JOBS = (
    ("job", TEXT, "", "name: workload entry and number within it; unique"),
    ("queue", CATEGORY, "", "job queue"),
    ("quota_share", CATEGORY, "", "quota share, where the queue has them"),
    ("share", CATEGORY, "", "share identifier, where the queue is a fair-share queue"),
    ("group", CATEGORY, "", "workload entry the job comes from"),
    ("priority", INTEGER, "", "scheduling priority inside the share or quota share"),
    ("state", CATEGORY, "", "state when the run ended; the states of service jobs, in their order"),
    ("submit_s", FLOAT, "s", "instant of submission"),
    ("scheduled_s", FLOAT, "s", "first SCHEDULED instant: the job was sent to SageMaker"),
    ("start_s", FLOAT, "s", "RUNNING instant of the first attempt that ran"),
    ("end_s", FLOAT, "s", "instant the job became SUCCEEDED or FAILED"),
    ("waiting_s", FLOAT, "s", "start_s - submit_s"),
    ("execution_s", FLOAT, "s", "end_s - start_s; with retries it holds the waits between attempts"),
    ("turnaround_s", FLOAT, "s", "end_s - submit_s"),
    ("held_s", FLOAT, "s", "time from SCHEDULED to its end of all attempts: the instances count so long"),
    ("running_s", FLOAT, "s", "time in RUNNING of all attempts"),
    ("preempted_s", FLOAT, "s", "of running_s, that of attempts that were preempted"),
    ("instance_type", CATEGORY, "", "instance type of SageMaker"),
    ("instances", INTEGER, "", "instances of each attempt"),
    ("attempts", INTEGER, "", "attempts begun, but for those that were preempted or refused"),
    ("attempts_allowed", INTEGER, "", "attempts of the retry strategy, 1 to 10"),
    ("capacity_retries", INTEGER, "", "times that SageMaker had no capacity; they use no attempt"),
    ("preemptions", INTEGER, "", "times that the job was preempted; they use no attempt"),
    ("status_reason", CATEGORY, "", "AWS's statusReason: why the job ended, or why it still waits"),
)
_SERVICE_ATTEMPTS = (
    ("job", TEXT, "", "name of the service job"),
    ("attempt", INTEGER, "", "1, 2, ... of the job; the same again after one PREEMPTED or REFUSED"),
    ("instance_type", CATEGORY, "", "instance type of SageMaker"),
    ("instances", INTEGER, "", "instances, which count from scheduled_s to ended_s"),
    ("scheduled_s", FLOAT, "s", "SCHEDULED: the job was sent to SageMaker"),
    ("starting_s", FLOAT, "s", "STARTING: SageMaker has the instances and downloads data and image"),
    ("started_s", FLOAT, "s", "RUNNING: the training runs"),
    ("ended_s", FLOAT, "s", "the instances are free again; missing when the run ended first"),
    ("outcome", CATEGORY, "", "SUCCEEDED, FAILED, PREEMPTED, or REFUSED for want of capacity"),
    ("status_reason", CATEGORY, "", "AWS's statusReason of the attempt"),
)

COLUMNS: tuple[Column, ...] = tuple(
    Column(frame, *column)
    for frame, columns in zip(
        (*FRAMES, *OPTIONAL_FRAMES),
        (
            _JOBS,
            _ATTEMPTS,
            _INSTANCES,
            _TIMESERIES,
            _COSTS,
            _ARRAYS,
            _DEPENDENCIES,
            _WAITS,
            _UPDATES,
            _SERVICE_JOBS,
            _SERVICE_ATTEMPTS,
        ),
        strict=True,
    )
    for column in columns
)


def columns_of(frame: str) -> tuple[Column, ...]:
    """The columns of one of `FRAMES` or `OPTIONAL_FRAMES`, in their order."""
    return tuple(column for column in COLUMNS if column.frame == frame)
